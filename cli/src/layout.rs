//! Text in lines that the terminal has room for.

use terminal_size::{Width, terminal_size};

/// How wide lines may be where nobody says.
const WIDTH: usize = 100;

/// How wide lines may be: as wide as the terminal, else as `COLUMNS` says.
pub(crate) fn columns() -> Option<usize> {
    let terminal = terminal_size().map(|(Width(columns), _)| columns.into());
    let said = || std::env::var("COLUMNS").ok()?.parse().ok();
    terminal.or_else(said).filter(|columns| *columns > 0)
}

/// [`columns`], or what can still be read where nobody says.
pub(crate) fn width() -> usize {
    columns().unwrap_or(WIDTH)
}

/// The text with every line that is longer than `width` broken between words; what follows a break is indented, beyond
/// its line. What does not begin with a word, such as a line of a program, stays as it is.
pub(crate) fn wrap(text: &str, width: usize, indent: usize) -> String {
    let lines = text.split('\n').map(|line| {
        let words = line.trim_start();
        let before = line.len() - words.len();
        match words.starts_with(char::is_alphabetic) {
            true => " ".repeat(before) + &wrap_words(words, before, width, before + indent),
            false => line.into(),
        }
    });
    lines.collect::<Vec<String>>().join("\n")
}

/// The text in lines of at most `width` that all begin with `indent` spaces.
pub(crate) fn indented(text: &str, width: usize, indent: usize) -> String {
    " ".repeat(indent) + &wrap_words(text, indent, width, indent)
}

/// The first few of many names, and how many are not said.
pub(crate) fn listed(names: impl ExactSizeIterator<Item = String>, shown: usize) -> String {
    let more = names.len().saturating_sub(shown);
    let first = names.take(shown).collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{first} and {more} more") } else { first }
}

/// The line, which begins in column `column`.
fn wrap_words(line: &str, column: usize, width: usize, indent: usize) -> String {
    let length = |text: &str| text.chars().count();
    if column + length(line) <= width {
        return line.into();
    }
    let (mut text, mut column, mut is_begun) = (String::new(), column, false);
    // Spaces stay with the word before them, so that columns within a line keep their distance.
    for word in line.split_inclusive(' ') {
        if is_begun && column + length(word.trim_end()) > width {
            text.truncate(text.trim_end().len());
            text += "\n";
            text += &" ".repeat(indent);
            column = indent;
        }
        text += word;
        column += length(word);
        is_begun = true;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_names_the_first_are_listed() {
        let names = |n: usize| listed((0..n).map(|i| i.to_string()), 3);
        assert_eq!([names(1), names(3), names(100_000)], ["0", "0, 1, 2", "0, 1, 2 and 99997 more"]);
    }

    #[test]
    fn long_lines_are_broken_between_words() {
        let text = "data:  one two three four\nshort\n  advice that is long\n  %1: f32[3] = a line of a program";
        let wrapped =
            "data:  one two\n  three four\nshort\n  advice that is\n    long\n  %1: f32[3] = a line of a program";
        assert_eq!(wrap(text, 16, 2), wrapped);
        assert_eq!(indented("tried a, b, c, d", 12, 3), "   tried a,\n   b, c, d");
        // A word that is too long for any line stays whole.
        assert_eq!(wrap("a bbbbbbbbbb c", 6, 2), "a\n  bbbbbbbbbb\n  c");
    }
}
