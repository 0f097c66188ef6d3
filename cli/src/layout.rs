//! Text in lines that fit the terminal.

use terminal_size::{Width, terminal_size};

/// The width of lines where neither a terminal nor `COLUMNS` says.
const WIDTH: usize = 100;

/// The width of the terminal, else what `COLUMNS` says.
pub(crate) fn columns() -> Option<usize> {
    let terminal = terminal_size().map(|(Width(columns), _)| columns.into());
    let said = || std::env::var("COLUMNS").ok()?.parse().ok();
    terminal.or_else(said).filter(|columns| *columns > 0)
}

/// [`columns`], or a readable width where nothing says.
pub(crate) fn width() -> usize {
    columns().unwrap_or(WIDTH)
}

/// The text with every line that is longer than `width` broken between words; continuations are indented further than
/// their line. A line that does not begin with a word, such as a line of a program, stays as it is.
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

/// The text in lines of at most `width` columns, each indented by `indent` spaces.
pub(crate) fn indented(text: &str, width: usize, indent: usize) -> String {
    " ".repeat(indent) + &wrap_words(text, indent, width, indent)
}

/// The first few of many names, and how many are left out.
pub(crate) fn listed(names: impl ExactSizeIterator<Item = String>, shown: usize) -> String {
    let more = names.len().saturating_sub(shown);
    let first = names.take(shown).collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{first} and {more} more") } else { first }
}

/// A number with the fewest digits that it needs.
pub(crate) fn number(x: f64) -> String {
    let text = format!("{x:?}");
    text.strip_suffix(".0").map(String::from).unwrap_or(text)
}

/// The longest word, and the longest text between backticks, that is shown whole.
const WORD: usize = 200;
/// The longest line of a message that is shown whole.
const LINE: usize = 1200;
/// A message with more lines than these is shortened.
const LINES: usize = 60;

/// A text from an untrusted source, made safe and readable on a terminal: control characters are escaped as in Rust,
/// and the middle of a very long text is left out.
pub(crate) fn readable(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(readable_line).collect();
    if lines.len() <= LINES {
        return lines.join("\n");
    }
    // Of a program, the lines around the mark under a line.
    let marks: Vec<usize> = (0..lines.len()).filter(|i| lines[*i].trim_start().starts_with('^')).take(3).collect();
    let is_near = |i: usize| marks.iter().any(|mark| i.abs_diff(*mark) <= 4);
    let is_shown = |i: usize| i < 12 || i + 12 >= lines.len() || is_near(i);
    let mut shown: Vec<&str> = vec![];
    for (i, line) in lines.iter().enumerate() {
        match is_shown(i) {
            true => shown.push(line),
            false if is_shown(i - 1) => shown.push("  …"),
            false => {}
        }
    }
    shown.join("\n")
}

fn readable_line(line: &str) -> String {
    let escaped = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    let line: String = line.chars().map(escaped).collect();
    // A quoted text may hold spaces.
    let quoted: Vec<String> = line.split('`').map(shortened_words).collect();
    let last = quoted.len() - 1;
    let parts = quoted.iter().enumerate().map(|(i, part)| match i % 2 == 1 && i < last {
        true => shortened(part, WORD),
        false => part.clone(),
    });
    shortened(&parts.collect::<Vec<_>>().join("`"), LINE)
}

fn shortened_words(text: &str) -> String {
    text.split(' ').map(|word| shortened(word, WORD)).collect::<Vec<_>>().join(" ")
}

/// The text; if it is longer than `most` characters, without its middle.
fn shortened(text: &str, most: usize) -> String {
    let n = text.chars().count();
    if n <= most {
        return text.into();
    }
    let (head, tail) = (most * 3 / 4, most / 4);
    let head: String = text.chars().take(head).collect();
    let tail: String = text.chars().skip(n - tail).collect();
    format!("{head}…{tail}")
}

/// The line, wrapped, which begins in column `column`.
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
    fn numbers_are_as_long_as_they_must_be() {
        assert_eq!(
            [0.0, 0.6, 5e-4, 1e-320, 1e300, 100.0].map(number),
            ["0", "0.6", "0.0005", "1e-320", "1e300", "100"]
        );
    }

    #[test]
    fn what_comes_from_anywhere_can_be_read() {
        assert_eq!(readable("a `\u{1b}[31mred\u{7}`\r\n  é … ✓\t"), "a `\\u{1b}[31mred\\u{7}`\\r\n  é … ✓\\t");
        let long = "x".repeat(100_000);
        let text = readable(&format!("line 3: `{long}` is no word: see {long}/a.tsv"));
        assert!(text.starts_with("line 3: `xxx") && text.ends_with("x/a.tsv") && text.chars().count() < 500, "{text}");
        let words = readable(&format!("`{}` is no name", "x ".repeat(1000)));
        assert!(words.ends_with("` is no name") && words.chars().count() < 250, "{words}");
        assert!(readable(&"word ".repeat(9999)).chars().count() <= LINE + 1);
        let lines = |n: usize| (0..n).map(|i| format!("line {i}")).collect::<Vec<_>>();
        assert_eq!(readable(&lines(60).join("\n")), lines(60).join("\n"));
        let mut program = lines(9000);
        program[4000] = "  ^ this is wrong".into();
        let text = readable(&program.join("\n"));
        for part in ["line 0\n", "line 11\n  …\nline 3996", "line 3999\n  ^ this is wrong\nline 4001", "\nline 8999"]
        {
            assert!(text.contains(part), "{text}");
        }
        assert!(text.lines().count() < 40);
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
