//! Words, numbers and marks.

use super::{Literal, PtxError};

/// A piece of text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Token<'a> {
    /// A name, a directive or an opcode, with its dots.
    Word(&'a str),
    Number(Literal),
    /// The text between quotes.
    Text(&'a str),
    Mark(char),
    End,
}

fn is_word_start(c: char) -> bool {
    c.is_ascii_alphabetic() || matches!(c, '_' | '$' | '%' | '.')
}

fn is_in_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '$' | '.')
}

/// All tokens with their lines. The last is `End`.
pub(super) fn lex(source: &str) -> Result<Vec<(Token<'_>, u32)>, PtxError> {
    let mut tokens = vec![];
    let mut rest = source;
    let mut line = 1;
    while let Some(c) = rest.chars().next() {
        let error = |message: String| PtxError::at(source, line, message);
        let (token, length) = match c {
            '/' if rest.starts_with("//") => (None, rest.find('\n').unwrap_or(rest.len())),
            '/' if rest.starts_with("/*") => {
                let end = rest.find("*/").ok_or_else(|| error("a comment that does not end".into()))?;
                (None, end + 2)
            }
            c if c.is_whitespace() => (None, c.len_utf8()),
            '"' => {
                let end = rest[1..].find('"').ok_or_else(|| error("a text that does not end".into()))?;
                (Some(Token::Text(&rest[1..1 + end])), end + 2)
            }
            c if c.is_ascii_digit() => {
                let end = rest.find(|c| !is_in_word(c)).unwrap_or(rest.len());
                let number = number(&rest[..end]).ok_or_else(|| error(format!("`{}` is no number", &rest[..end])))?;
                (Some(Token::Number(number)), end)
            }
            c if is_word_start(c) => {
                let inside = rest[1..].find(|c| !is_in_word(c)).map_or(rest.len(), |end| end + 1);
                let end = inside + space_suffix(&rest[inside..]);
                (Some(Token::Word(&rest[..end])), end)
            }
            c if c.is_ascii_punctuation() => (Some(Token::Mark(c)), 1),
            c => return Err(error(format!("`{c}` is not PTX"))),
        };
        tokens.extend(token.map(|token| (token, line)));
        line += rest[..length].matches('\n').count() as u32;
        rest = &rest[length..];
    }
    tokens.push((Token::End, line));
    Ok(tokens)
}

/// The length of the rest of a word that continues with `::`, as in `ld.shared::cta.f32`.
fn space_suffix(rest: &str) -> usize {
    let Some(tail) = rest.strip_prefix("::") else { return 0 };
    let end = tail.find(|c| !is_in_word(c)).unwrap_or(tail.len());
    2 + end + space_suffix(&tail[end..])
}

fn number(text: &str) -> Option<Literal> {
    let digits = |prefix: [&str; 2]| prefix.iter().find_map(|prefix| text.strip_prefix(prefix));
    if let Some(bits) = digits(["0f", "0F"]) {
        return u32::from_str_radix(bits, 16).ok().map(Literal::F32);
    }
    if let Some(bits) = digits(["0d", "0D"]) {
        return u64::from_str_radix(bits, 16).ok().map(Literal::F64);
    }
    if text.contains('.') {
        return text.parse::<f64>().ok().map(|value| Literal::F64(value.to_bits()));
    }
    let whole = text.trim_end_matches('U');
    let (digits, radix) = match whole.get(..2) {
        Some("0x" | "0X") => (&whole[2..], 16),
        Some("0b" | "0B") => (&whole[2..], 2),
        Some(_) if whole.starts_with('0') => (&whole[1..], 8),
        _ => (whole, 10),
    };
    u64::from_str_radix(digits, radix).ok().map(Literal::Int)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(source: &str) -> Vec<Token<'_>> {
        lex(source).unwrap().into_iter().map(|(token, _)| token).collect()
    }

    #[test]
    fn dots_belong_to_words() {
        use Token::{End, Mark, Number, Word};
        let expected = [
            Mark('@'),
            Word("%p1"),
            Word("ld.shared::cta.v2.f32"),
            Mark('['),
            Word("%rd8"),
            Mark('+'),
            Mark('-'),
            Number(Literal::Int(4)),
            Mark(']'),
            Mark(';'),
            End,
        ];
        assert_eq!(tokens("@%p1 ld.shared::cta.v2.f32 [%rd8+-4]; // done"), expected);
    }

    #[test]
    fn numbers_are_bits() {
        let numbers = ["10", "0x1F", "0b101", "017", "0f3F800000", "0d3FF0000000000000", "1.5", "7U", "0"];
        let expected = [
            Literal::Int(10),
            Literal::Int(31),
            Literal::Int(5),
            Literal::Int(15),
            Literal::F32(0x3f80_0000),
            Literal::F64(1f64.to_bits()),
            Literal::F64(1.5f64.to_bits()),
            Literal::Int(7),
            Literal::Int(0),
        ];
        for (text, literal) in numbers.into_iter().zip(expected) {
            assert_eq!(number(text), Some(literal), "{text}");
        }
        assert_eq!(number("0x"), None);
        assert_eq!(number("12q"), None);
    }

    #[test]
    fn lines_are_counted_through_comments() {
        let tokens = lex("/* a\nb */ x\n// c\ny").unwrap();
        assert_eq!(tokens[..2], [(Token::Word("x"), 2), (Token::Word("y"), 4)]);
    }

    #[test]
    fn what_does_not_end_is_an_error() {
        assert_eq!(lex("a\n/* b").unwrap_err().line, 2);
        assert!(lex("\"a").is_err());
        assert!(lex("ö").is_err());
    }
}
