//! Counts in messages.

/// A number of something: `1 epoch`, `2 epochs`, `2 classes`.
pub fn counted(n: usize, what: &str) -> String {
    let end = match (n, what.ends_with('s')) {
        (1, _) => "",
        (_, true) => "es",
        (_, false) => "s",
    };
    format!("{n} {what}{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_not_a_plural() {
        assert_eq!(
            [counted(1, "class"), counted(0, "class"), counted(2, "epoch")],
            ["1 class", "0 classes", "2 epochs"]
        );
    }
}
