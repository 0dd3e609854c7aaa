//! Where things are in the head of a message: one pass over the bytes, resumable anywhere.
//!
//! The grammar is RFC 3261 section 25.1 and nothing beside it. What two readers could take in two
//! ways (a bare CR or LF, an odd space in front of a colon, two Content-Lengths) is an error: that
//! is how messages are smuggled. Decided by RFC 3261 section 7: the start line, each header line
//! and the empty line "MUST be terminated by a carriage-return line-feed sequence".

use smallvec::SmallVec;

use super::limits::{FramingError, FramingErrorKind, Limits};
use super::scan::{before, cut, is_token_byte};
use crate::text::WireText;

/// Where something stands in a head, or in a value of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    start: u16,
    end: u16,
}

/// The last line of a head begins within its limits, so that 16 bits hold where it ends. They hold
/// twice the longest value, too.
const _: () = assert!(2 * (Limits::LINE + 2) + Limits::HEADER_BYTES <= u16::MAX as usize);

impl Span {
    pub(super) fn new(start: usize, end: usize) -> Self {
        Self { start: start as u16, end: end as u16 }
    }

    /// Where `part` stands in `text`, which holds it.
    pub(super) fn of_part(part: &[u8], text: &[u8]) -> Self {
        let start = part.as_ptr().addr().wrapping_sub(text.as_ptr().addr());
        Self::new(start, start.wrapping_add(part.len()))
    }

    /// The same place, once all but `start` to `end` is cut out of the first `len` bytes.
    pub(super) fn cut_out(&mut self, start: usize, end: usize, len: usize) {
        let behind = usize::from(self.start) >= len;
        let gone = if behind { len.wrapping_sub(end).wrapping_add(start) } else { start };
        let back = |at: u16| usize::from(at).wrapping_sub(gone);
        *self = Self::new(back(self.start), back(self.end));
    }

    fn len(self) -> usize {
        usize::from(self.end.wrapping_sub(self.start))
    }

    pub(super) fn of(self, bytes: &[u8]) -> &[u8] {
        bytes.get(usize::from(self.start)..usize::from(self.end)).unwrap_or_default()
    }
}

/// One header field: where its name and its value are, without the white space around them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: Span,
    pub(super) value: Span,
}

/// The fields of a head: inline, for as many as a server's ordinary answer has.
pub(super) type Fields = SmallVec<[Field; 24]>;

/// The start line: where its parts are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Start {
    Request { method: Span, uri: Span },
    Response { status: u16, reason: Span },
}

/// What is known of a head so far.
#[derive(Debug, Default)]
pub(super) struct Head {
    pub(super) start: Option<Start>,
    pub(super) fields: Fields,
    /// Whether a value goes on in another line.
    pub(super) folded: bool,
    /// Where the unfinished line begins.
    line: usize,
    /// How far nothing was found that ends or spoils it.
    scanned: usize,
    /// Whether that line was seen to hold a byte outside ASCII.
    non_ascii: bool,
    /// Where the header lines begin.
    headers: usize,
}

impl Head {
    /// Reads on in a message whose first bytes are `bytes`, where the last call stopped.
    ///
    /// Gives where the body begins once the empty line is there; then the head is complete.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<Option<usize>, FramingError> {
        self.lines(bytes).map_err(|kind| {
            let line = bytes.get(self.line..self.scanned).unwrap_or_default();
            FramingError { kind, line: Some(WireText::from_bytes(line)) }
        })
    }

    fn lines(&mut self, bytes: &[u8]) -> Result<Option<usize>, FramingErrorKind> {
        while let Some(text) = self.line_end(bytes)? {
            let at = self.line;
            let next = self.scanned.wrapping_add(2);
            if self.non_ascii && std::str::from_utf8(text).is_err() {
                return Err(FramingErrorKind::NotUtf8);
            }
            match text.first() {
                _ if self.start.is_none() => {
                    self.start = Some(start_line(at, text)?);
                    self.headers = next;
                }
                None => return Ok(Some(next)),
                Some(b' ' | b'\t') => self.fold(at, text)?,
                Some(_) => self.field(at, text)?,
            }
            if next.wrapping_sub(self.headers) > Limits::HEADER_BYTES {
                return Err(FramingErrorKind::HeadersTooLong);
            }
            self.line = next;
            self.scanned = next;
            self.non_ascii = false;
        }
        Ok(None)
    }

    /// The line that begins at `self.line`, or `None` when its CRLF is not there yet.
    fn line_end<'a>(&mut self, bytes: &'a [u8]) -> Result<Option<&'a [u8]>, FramingErrorKind> {
        loop {
            let rest = bytes.get(self.scanned..).unwrap_or_default();
            let plain = before(rest, |byte| !(b' '..=b'~').contains(&byte));
            self.scanned = self.scanned.wrapping_add(plain);
            if self.scanned.wrapping_sub(self.line) > Limits::LINE {
                return Err(FramingErrorKind::LineTooLong);
            }
            match rest.get(plain..).unwrap_or_default() {
                [] | [b'\r'] => return Ok(None),
                [b'\r', b'\n', ..] => return Ok(bytes.get(self.line..self.scanned)),
                [b'\r' | b'\n', ..] => return Err(FramingErrorKind::BareLineEnd),
                [b'\t', ..] => {}
                [0x80..=0xff, ..] => self.non_ascii = true,
                [_, ..] if self.is_escaped(bytes) => {}
                [control, ..] => return Err(FramingErrorKind::Control(*control)),
            }
            self.scanned = self.scanned.wrapping_add(1);
        }
    }

    /// Whether a control character is the second half of a `quoted-pair`, which may hold any but CR
    /// and LF (RFC 3261 section 25.1; RFC 4475 section 3.1.1.2 sends a NUL that way).
    fn is_escaped(&self, bytes: &[u8]) -> bool {
        let before = bytes.get(..self.scanned).unwrap_or_default();
        let backslashes = before.iter().rev().take_while(|&&b| b == b'\\').count();
        self.start.is_some() && backslashes & 1 == 1
    }

    /// `token HCOLON value`: only SP and HTAB may stand in front of the colon.
    fn field(&mut self, at: usize, text: &[u8]) -> Result<(), FramingErrorKind> {
        let (name, mut rest) = cut(text, is_token_byte);
        while let [b' ' | b'\t', behind @ ..] = rest {
            rest = behind;
        }
        let [b':', value @ ..] = rest else {
            return Err(FramingErrorKind::HeaderName);
        };
        if name.is_empty() {
            return Err(FramingErrorKind::HeaderName);
        }
        if self.fields.len() >= Limits::HEADERS {
            return Err(FramingErrorKind::TooManyHeaders);
        }
        let end = at.wrapping_add(text.len());
        let name = Span::new(at, at.wrapping_add(name.len()));
        self.fields.push(Field { name, value: trimmed(value, end) });
        Ok(())
    }

    /// A line that begins with white space continues the value in front of it.
    fn fold(&mut self, at: usize, text: &[u8]) -> Result<(), FramingErrorKind> {
        let field = self.fields.last_mut().ok_or(FramingErrorKind::HeaderName)?;
        let more = trimmed(text, at.wrapping_add(text.len()));
        if more.len() == 0 {
            return Ok(());
        }
        if field.value.len() == 0 {
            field.value.start = more.start;
        }
        field.value.end = more.end;
        self.folded = true;
        Ok(())
    }
}

/// Where `text`, which ends at `end`, stands without the white space around it.
fn trimmed(mut text: &[u8], mut end: usize) -> Span {
    while let [rest @ .., b' ' | b'\t'] = text {
        text = rest;
        end = end.wrapping_sub(1);
    }
    while let [b' ' | b'\t', rest @ ..] = text {
        text = rest;
    }
    Span::new(end.wrapping_sub(text.len()), end)
}

/// `Status-Line` or `Request-Line`: single spaces, nothing behind (RFC 3261 section 7).
fn start_line(at: usize, text: &[u8]) -> Result<Start, FramingErrorKind> {
    use FramingErrorKind as Kind;
    let (first, rest) = word(text).ok_or(Kind::StartLine)?;
    if first.get(..4).is_some_and(|p| p.eq_ignore_ascii_case(b"SIP/")) {
        check_version(first)?;
        let (status, reason) = word(rest).ok_or(Kind::StartLine)?;
        let end = at.wrapping_add(text.len());
        let reason = Span::new(end.wrapping_sub(reason.len()), end);
        return Ok(Start::Response { status: status_code(status).ok_or(Kind::Status)?, reason });
    }
    let (uri, version) = word(rest).ok_or(Kind::StartLine)?;
    let scheme = uri.split(|&b| b == b':').next().unwrap_or_default();
    let is_method = !first.is_empty() && first.iter().all(|&b| is_token_byte(b));
    let has_scheme =
        scheme.len() < uri.len() && scheme.first().is_some_and(u8::is_ascii_alphabetic);
    let enclosed = uri.iter().any(|b| b"<>\"".contains(b));
    if !is_method || !has_scheme || enclosed || version.contains(&b' ') {
        return Err(Kind::StartLine);
    }
    check_version(version)?;
    let behind = at.wrapping_add(first.len());
    let begin = behind.wrapping_add(1);
    let uri = Span::new(begin, begin.wrapping_add(uri.len()));
    Ok(Start::Request { method: Span::new(at, behind), uri })
}

/// What stands before and behind the first space.
fn word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|&b| b == b' ')?;
    Some((text.get(..at)?, text.get(at.saturating_add(1)..)?))
}

fn check_version(version: &[u8]) -> Result<(), FramingErrorKind> {
    if version.eq_ignore_ascii_case(b"SIP/2.0") { Ok(()) } else { Err(FramingErrorKind::Version) }
}

fn status_code(text: &[u8]) -> Option<u16> {
    let code = digits(text).filter(|_| text.len() == 3)?;
    u16::try_from(code).ok().filter(|c| (100..=699).contains(c))
}

/// A number of one to nine digits: longer ones have been cut to 32 bits elsewhere.
fn digits(text: &[u8]) -> Option<usize> {
    let plain = (1..=9).contains(&text.len()) && text.iter().all(u8::is_ascii_digit);
    let add = |number: usize, digit: &u8| {
        number.wrapping_mul(10).wrapping_add(usize::from(digit.wrapping_sub(b'0')))
    };
    plain.then(|| text.iter().fold(0, add))
}

/// How long the body is: what every Content-Length says (RFC 3261 section 20.14).
pub(super) fn content_length(fields: &[Field], bytes: &[u8]) -> Result<usize, FramingErrorKind> {
    use FramingErrorKind as Kind;
    let mut length = None;
    for field in fields {
        let is_called = |name: &[u8]| {
            let found = field.name.of(bytes);
            found == name || found.eq_ignore_ascii_case(name)
        };
        if !is_called(b"l") && !is_called(b"Content-Length") {
            continue;
        }
        let value = digits(field.value.of(bytes)).ok_or(Kind::ContentLength)?;
        if length.replace(value).is_some_and(|before| before != value) {
            return Err(Kind::ContentLengths);
        }
    }
    length
        .ok_or(Kind::NoContentLength)
        .and_then(|length| (length <= Limits::BODY).then_some(length).ok_or(Kind::BodyTooLong))
}

#[cfg(test)]
mod tests {
    use super::super::message::Message;
    use super::FramingErrorKind as Kind;

    fn fault(message: String) -> Option<Kind> {
        Message::parse(message.into()).err().map(|error| error.kind)
    }

    #[test]
    fn start_lines_follow_the_grammar_to_the_letter() {
        for (line, kind) in [
            ("REGISTER sip:a SIP/2.0", None),
            ("!-.%*_+`'~9 x+-.1:?a=b;c SIP/2.0", None),
            ("A sip:a sip/2.0", None),
            ("SIP/2.0 100 ", None),
            ("SIP/2.0 699 \tx", None),
            ("", Some(Kind::StartLine)),
            ("SIP/2.0", Some(Kind::StartLine)),
            ("SIP/2.0 200", Some(Kind::StartLine)),
            (" SIP/2.0 200 OK", Some(Kind::StartLine)),
            ("SIP/2.0  200 OK", Some(Kind::Status)),
            ("SIP/2.0 099 OK", Some(Kind::Status)),
            ("SIP/2.0 700 OK", Some(Kind::Status)),
            ("SIP/2.0 20 OK", Some(Kind::Status)),
            ("SIP/2.0 0200 OK", Some(Kind::Status)),
            ("SIP/2.0 +20 OK", Some(Kind::Status)),
            ("SIP/2.0 4294967301 OK", Some(Kind::Status)),
            ("SIP/2.1 200 OK", Some(Kind::Version)),
            ("SIP/2.00 200 OK", Some(Kind::Version)),
            ("A sip:a SIP/3.0", Some(Kind::Version)),
            ("A sip:a HTTP/1.1", Some(Kind::Version)),
            ("A sip:a", Some(Kind::StartLine)),
            ("A sip:a SIP/2.0 ", Some(Kind::StartLine)),
            ("A  sip:a SIP/2.0", Some(Kind::StartLine)),
            ("A sip:a;x y SIP/2.0", Some(Kind::StartLine)),
            ("A <sip:a> SIP/2.0", Some(Kind::StartLine)),
            ("A a SIP/2.0", Some(Kind::StartLine)),
            ("A 1:a SIP/2.0", Some(Kind::StartLine)),
            ("A/B sip:a SIP/2.0", Some(Kind::StartLine)),
            ("SIP/2.0 200 a\\\u{1}", Some(Kind::Control(1))),
        ] {
            assert_eq!(fault(format!("{line}\r\nl: 0\r\n\r\n")), kind, "{line:?}");
        }
    }

    #[test]
    fn header_lines_follow_the_grammar_to_the_letter() {
        for (lines, kind) in [
            ("a:b\r\n", None),
            ("!-.%*_+`'~9 \t:\tb\r\n", None),
            ("a:\r\n", None),
            ("a::\r\n", None),
            ("a: \u{65e5}\r\n", None),
            ("a: \"\\\u{0}\\\u{7f}\"\r\n", None),
            ("a: b\r\n\tc\r\n", None),
            (" a: b\r\n", Some(Kind::HeaderName)),
            ("a\r\n", Some(Kind::HeaderName)),
            (":b\r\n", Some(Kind::HeaderName)),
            ("a b: c\r\n", Some(Kind::HeaderName)),
            ("a\u{a0}: c\r\n", Some(Kind::HeaderName)),
            ("a(b): c\r\n", Some(Kind::HeaderName)),
            ("a\u{b}: c\r\n", Some(Kind::Control(0x0b))),
            ("a\u{c}: c\r\n", Some(Kind::Control(0x0c))),
            ("a: \u{0}\r\n", Some(Kind::Control(0))),
            ("a: \"\\\\\u{0}\"\r\n", Some(Kind::Control(0))),
            ("a: \u{1f}\r\n", Some(Kind::Control(0x1f))),
            ("a: bbbbbbbbbbbbb\u{7f}\r\n", Some(Kind::Control(0x7f))),
            ("\\\u{7f}a: b\r\n", Some(Kind::HeaderName)),
            ("a: b\n", Some(Kind::BareLineEnd)),
            ("a: b\rc\r\n", Some(Kind::BareLineEnd)),
            ("a: b\\\rc\r\n", Some(Kind::BareLineEnd)),
            ("a: b\r\r\n", Some(Kind::BareLineEnd)),
        ] {
            let message = format!("SIP/2.0 200 OK\r\n{lines}l: 0\r\n\r\n");
            assert_eq!(fault(message), kind, "{lines:?}");
        }
        let latin = b"SIP/2.0 200 OK\r\na: \xfc\r\nl: 0\r\n\r\n";
        let error = Message::parse(latin.as_slice().into()).unwrap_err();
        assert_eq!(error.kind, Kind::NotUtf8);
    }

    #[test]
    fn the_body_is_as_long_as_every_content_length_says() {
        for (lines, kind) in [
            ("Content-Length: 2\r\n", None),
            ("L:2\r\ncontent-LENGTH : 002\r\n", None),
            ("l:\r\n 2\r\n", None),
            ("l: 000000002\r\n", None),
            ("", Some(Kind::NoContentLength)),
            ("l: 0000000002\r\n", Some(Kind::ContentLength)),
            ("l: 4294967298\r\n", Some(Kind::ContentLength)),
            ("l:\r\n", Some(Kind::ContentLength)),
            ("l: +2\r\n", Some(Kind::ContentLength)),
            ("l: -2\r\n", Some(Kind::ContentLength)),
            ("l: 2, 2\r\n", Some(Kind::ContentLength)),
            ("l: 0x2\r\n", Some(Kind::ContentLength)),
            ("l: 2\r\nl: 3\r\n", Some(Kind::ContentLengths)),
            ("l: 2\r\nl: x\r\n", Some(Kind::ContentLength)),
            ("l: 3\r\n", Some(Kind::Incomplete)),
            ("l: 1\r\n", Some(Kind::Trailing)),
            ("l: 65537\r\n", Some(Kind::BodyTooLong)),
        ] {
            let message = format!("SIP/2.0 200 OK\r\n{lines}\r\nhi");
            assert_eq!(fault(message), kind, "{lines:?}");
        }
    }

    #[test]
    fn an_error_shows_the_line_up_to_what_is_wrong() {
        let message = "SIP/2.0 200 OK\r\na: \u{202e}b\u{b}c\r\n";
        assert_eq!(
            Message::parse(message.into()).unwrap_err().to_string(),
            r"the peer sent no SIP message: it holds the control character 0x0b, at `a: \u{202e}b`"
        );
    }
}
