//! Texts in the lines of protocol 0.

/// Parses a string of Python 2 in quotes, as `repr` writes it.
pub(super) fn quoted(line: &[u8]) -> Option<Vec<u8>> {
    let (&quote, within) = line.trim_ascii().split_first()?;
    let mut rest = within.strip_suffix(&[quote]).filter(|_| quote == b'\'' || quote == b'"')?;
    let mut text = Vec::with_capacity(rest.len());
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            text.push(byte);
            continue;
        }
        let (&code, after) = rest.split_first()?;
        rest = after;
        text.push(match code {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'\\' | b'\'' | b'"' => code,
            b'x' => take_hex(&mut rest, 2)? as u8,
            _ => return None,
        });
    }
    Some(text)
}

/// Parses a text of characters below 256 and escapes `\uXXXX` into UTF-8.
pub(super) fn escaped(line: &[u8]) -> Option<Vec<u8>> {
    let mut text = String::new();
    let mut rest = line;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let code = match (byte, rest.first()) {
            (b'\\', Some(&width @ (b'u' | b'U'))) => {
                rest = &rest[1..];
                take_hex(&mut rest, if width == b'u' { 4 } else { 8 })?
            }
            _ => byte.into(),
        };
        text.push(char::from_u32(code)?);
    }
    Some(text.into_bytes())
}

/// Takes a number of `n_digit` hexadecimal digits.
fn take_hex(rest: &mut &[u8], n_digit: usize) -> Option<u32> {
    let (digits, after) = rest.split_at_checked(n_digit)?;
    *rest = after;
    digits.iter().try_fold(0, |number, &digit| Some(number << 4 | char::from(digit).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_as_python_writes_them() {
        assert_eq!(quoted(br"'a\x00\n\'\\'").as_deref(), Some(&b"a\0\n'\\"[..]));
        assert_eq!(quoted(b"\"it's\"").as_deref(), Some(&b"it's"[..]));
        assert_eq!(escaped(b"\xe9\\u000ax\\y").as_deref(), Some("\u{e9}\nx\\y".as_bytes()));
        for wrong in [&b"a"[..], b"'a", b"'\\x0'", b"'\\q'", b"'\\", b""] {
            assert_eq!(quoted(wrong), None, "{wrong:?}");
        }
        assert_eq!((escaped(b"\\u00"), escaped(b"\\ud800")), (None, None));
    }
}
