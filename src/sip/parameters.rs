//! The lists and parameters that header values are made of (RFC 3261 sections 7.3.1 and 25.1).

use std::borrow::Cow;

use super::scan::{is_space, is_token_byte, unquoted};

/// Cuts `text` at each `separator` outside quoted strings and takes white space off the pieces.
///
/// A quoted string that does not end takes the rest of the text with it.
pub(crate) fn split(text: &str, separator: u8) -> Split<'_> {
    Split { rest: Some(text), separator, brackets: false }
}

/// Cuts a list of addresses at its commas; those inside `<…>` belong to a URI.
pub(crate) fn split_addresses(text: &str) -> Split<'_> {
    Split { brackets: true, ..split(text, b',') }
}

pub(crate) struct Split<'a> {
    rest: Option<&'a str>,
    separator: u8,
    brackets: bool,
}

impl<'a> Iterator for Split<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let text = self.rest.take()?;
        let at = find_outside(text, self.separator, self.brackets);
        let Some((piece, rest)) = at.and_then(|at| text.split_at_checked(at)) else {
            return Some(trim(text));
        };
        self.rest = rest.get(1..);
        Some(trim(piece))
    }
}

/// Where `wanted` first stands outside quoted strings and, if asked, outside angle brackets.
pub(crate) fn find_outside(text: &str, wanted: u8, brackets: bool) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 0usize;
    loop {
        let rest = bytes.get(at..)?;
        let stop = |&b: &u8| b == wanted || b == b'"' || brackets && b == b'<';
        let stop = rest.iter().position(stop)?;
        at = at.saturating_add(stop);
        let inside = rest.get(stop.saturating_add(1)..)?;
        let length = match rest.get(stop)? {
            b'"' => quoted_length(inside)?,
            b'<' if brackets => inside.iter().position(|&b| b == b'>')?,
            _ => return Some(at),
        };
        at = at.saturating_add(length).saturating_add(2);
    }
}

/// A `name=value` or a `name` alone, the value still as it came.
pub(crate) fn parameter(piece: &str) -> (&str, Option<&str>) {
    let equals = piece.bytes().position(|byte| byte == b'=');
    match equals.and_then(|at| Some((piece.get(..at)?, piece.get(at.checked_add(1)?..)?))) {
        Some((name, value)) => (trim(name), Some(trim(value))),
        None => (trim(piece), None),
    }
}

/// The value of the parameter `name` among `pieces`, read leniently.
pub(crate) fn value_of<'a>(mut pieces: Split<'a>, name: &str) -> Option<Cow<'a, str>> {
    pieces.find_map(|piece| {
        let (found, value) = parameter(piece);
        let value = value.filter(|_| found.eq_ignore_ascii_case(name))?;
        unquote(value)
    })
}

/// The same of several parameters, in one pass.
pub(crate) fn values_of<'a, const N: usize>(
    pieces: Split<'a>,
    names: [&str; N],
) -> [Option<Cow<'a, str>>; N] {
    let mut values = [const { None }; N];
    for (found, value) in pieces.map(parameter) {
        let named =
            names.iter().zip(&mut values).find(|(name, _)| found.eq_ignore_ascii_case(name));
        if let (Some((_, known @ None)), Some(value)) = (named, value) {
            *known = unquote(value);
        }
    }
    values
}

/// The content of a quoted string, or the text itself when it begins with no quote.
///
/// `None` when the closing quote is missing or not the last character.
pub(crate) fn unquote(text: &str) -> Option<Cow<'_, str>> {
    let Some(rest) = text.strip_prefix('"') else {
        return Some(Cow::Borrowed(text));
    };
    match cut_quoted(rest.as_bytes())? {
        (Cow::Borrowed(content), []) => std::str::from_utf8(content).ok().map(Cow::Borrowed),
        (Cow::Owned(content), []) => String::from_utf8(content).ok().map(Cow::Owned),
        _ => None,
    }
}

/// The content of the quoted string that `text` stands in, without its escapes, and what is behind.
#[inline]
pub(super) fn cut_quoted(text: &[u8]) -> Option<(Cow<'_, [u8]>, &[u8])> {
    match text.split_at_checked(unquoted(text))? {
        (content, [b'"', rest @ ..]) => Some((Cow::Borrowed(content), rest)),
        _ => cut_escaped(text),
    }
}

fn cut_escaped(text: &[u8]) -> Option<(Cow<'_, [u8]>, &[u8])> {
    let (content, rest) = text.split_at_checked(quoted_length(text)?)?;
    let mut escaped = false;
    let kept = content.iter().copied().filter(|&byte| {
        escaped = byte == b'\\' && !escaped;
        !escaped
    });
    Some((Cow::Owned(kept.collect()), rest.get(1..)?))
}

/// How far the closing quote is, in a text behind the opening one.
fn quoted_length(text: &[u8]) -> Option<usize> {
    let mut at = 0usize;
    loop {
        let rest = text.get(at..)?;
        let stop = unquoted(rest);
        at = at.saturating_add(stop);
        if *rest.get(stop)? == b'"' {
            return Some(at);
        }
        at = at.saturating_add(2);
    }
}

pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

/// The number of seconds that a value begins with, a comment or parameters behind it.
///
/// One that does not fit counts as the largest, as in RFC 9111 section 1.2.2.
pub(crate) fn seconds(text: &str) -> Option<u32> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at_checked(digits)?;
    let ends = rest.is_empty() || rest.starts_with([' ', '\t', '\r', ';', '(']);
    (digits > 0 && ends).then(|| number.parse().unwrap_or(u32::MAX))
}

/// `text` without linear white space around it, folds included.
pub(crate) fn trim(text: &str) -> &str {
    let before = text.bytes().take_while(|&byte| is_space(byte)).count();
    let rest = text.get(before..).unwrap_or_default();
    let after = rest.bytes().rev().take_while(|&byte| is_space(byte)).count();
    rest.get(..rest.len().saturating_sub(after)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_cut_outside_quotes_and_brackets_only() {
        for (text, pieces) in [
            ("a, b ,c", &["a", "b", "c"][..]),
            (r#"a="x,y", b"#, &[r#"a="x,y""#, "b"]),
            (r#"a="x\",y", b"#, &[r#"a="x\",y""#, "b"]),
            (r#"a="never ends, b"#, &[r#"a="never ends, b"#]),
            ("", &[""]),
            (",", &["", ""]),
        ] {
            assert_eq!(split(text, b',').collect::<Vec<_>>(), pieces, "{text}");
        }
        let pieces: Vec<_> = split_addresses(r#""A, B" <sip:a,b@c>;q=1, <sip:d>"#).collect();
        assert_eq!(pieces, [r#""A, B" <sip:a,b@c>;q=1"#, "<sip:d>"]);
    }

    /// Byte by byte, for every text of up to six of the characters that matter.
    #[test]
    fn what_is_outside_is_what_a_reader_of_single_bytes_finds_outside() {
        let plain = |text: &str, brackets: bool| {
            let (mut quoted, mut escaped, mut enclosed) = (false, false, false);
            text.bytes().position(|byte| match byte {
                _ if escaped => {
                    escaped = false;
                    false
                }
                _ if quoted => {
                    escaped = byte == b'\\';
                    quoted = byte != b'"';
                    false
                }
                _ if enclosed => {
                    enclosed = byte != b'>';
                    false
                }
                _ => {
                    quoted = byte == b'"';
                    enclosed = brackets && byte == b'<';
                    byte == b','
                }
            })
        };
        let mut texts = vec![String::new()];
        for length in 0..=6 {
            for text in &texts {
                for brackets in [false, true] {
                    assert_eq!(find_outside(text, b',', brackets), plain(text, brackets), "{text}");
                }
            }
            let longer =
                |text: &String| [',', '"', '\\', '<', '>', 'a'].map(|c| format!("{text}{c}"));
            texts = if length < 6 { texts.iter().flat_map(longer).collect() } else { texts };
        }
        assert_eq!(texts.len(), 46_656);
    }

    #[test]
    fn a_quoted_string_gives_its_content_or_nothing() {
        for (text, content) in [
            ("plain", Some("plain")),
            (r#""""#, Some("")),
            (r#""a b""#, Some("a b")),
            (r#""a\"b\\c\d""#, Some(r#"a"b\cd"#)),
            (r#"""#, None),
            (r#""a"#, None),
            (r#""a\""#, None),
            (r#""a"b"#, None),
        ] {
            assert_eq!(unquote(text).as_deref(), content, "{text}");
        }
    }

    #[test]
    fn seconds_may_carry_a_comment_or_parameters() {
        for (text, number) in [
            ("120", Some(120)),
            ("18000;duration=3600", Some(18000)),
            ("120 (I'm in a meeting)", Some(120)),
            ("949302838503028349304023988", Some(u32::MAX)),
            ("", None),
            ("-1", None),
            ("12a", None),
        ] {
            assert_eq!(seconds(text), number, "{text}");
        }
    }
}
