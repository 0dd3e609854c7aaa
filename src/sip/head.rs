//! Where things are in the head of a message: one pass over the bytes, resumable anywhere.
//!
//! The grammar is RFC 3261 section 25.1 and nothing beside it. What two readers could take in two
//! ways (a bare CR or LF, an odd space in front of a colon, two Content-Lengths) is an error: that
//! is how messages are smuggled. Decided by RFC 3261 section 7: the start line, each header line
//! and the empty line "MUST be terminated by a carriage-return line-feed sequence".

use super::fields::{Field, FieldList, Fields, behind_colon};
use super::limits::{FramingError, FramingErrorKind, Limits};
use super::scan::{is_called, is_token_byte, plain, token};
use crate::text::WireText;

/// Where something stands in a head, or in a value of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    start: u16,
    end: u16,
}

/// The last line of a head begins within its limits, so that 16 bits hold where it ends.
const _: () = assert!(2 * (Limits::LINE + 2) + Limits::HEADER_BYTES <= u16::MAX as usize);
/// They hold the longest value, too, and behind it what it says without its escapes, which is shorter.
const _: () = assert!(2 * Limits::HEADER_BYTES - 1 <= u16::MAX as usize);

impl Span {
    pub(super) fn new(start: usize, end: usize) -> Self {
        Self { start: start as u16, end: end as u16 }
    }

    /// Where `part` stands in `text`, which holds it.
    pub(super) fn of_part(part: &[u8], text: &[u8]) -> Self {
        let start = part.as_ptr().addr().wrapping_sub(text.as_ptr().addr());
        Self::new(start, start.wrapping_add(part.len()))
    }

    /// The same place, once what stood at `from` stands at `to`.
    pub(super) fn moved(self, from: usize, to: usize) -> Self {
        let moved = |at: u16| usize::from(at).wrapping_sub(from).wrapping_add(to);
        Self::new(moved(self.start), moved(self.end))
    }

    /// From where the first of the two begins to where the last one ends.
    pub(super) fn with(self, other: Self) -> Self {
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    pub(super) fn start(self) -> usize {
        self.start.into()
    }

    pub(super) fn of(self, bytes: &[u8]) -> &[u8] {
        bytes.get(usize::from(self.start)..usize::from(self.end)).unwrap_or_default()
    }
}

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
    pub(super) fields: FieldList,
    /// Whether a value goes on in another line.
    pub(super) folded: bool,
    /// Whether the unfinished line was seen to hold a byte outside ASCII.
    non_ascii: bool,
    now: Progress,
}

/// How far a head has been read.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    /// Where the header lines begin; 0 in the start line.
    headers: usize,
    /// Where the unfinished line begins.
    line: usize,
    /// How many bytes of it were found not to end or spoil it.
    scanned: usize,
}

impl Head {
    /// Reads on in a message whose first bytes are `bytes`, where the last call stopped.
    ///
    /// Gives where the body begins once the empty line is there; then the head is complete.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<Option<usize>, FramingError> {
        let mut now = self.now;
        let end = self.read_lines(bytes, &mut now);
        self.now = now;
        end.map_err(|kind| {
            let Progress { line, scanned, .. } = now;
            let line = bytes.get(line..line.wrapping_add(scanned)).unwrap_or_default();
            FramingError { kind, line: Some(WireText::from_bytes(line)) }
        })
    }

    /// Reads line after line, each with its name (`token HCOLON value`): what is wrong with that comes before
    /// what is wrong in a later line. Inlined, so that how far it has come stays in registers.
    #[inline(always)]
    fn read_lines(
        &mut self,
        bytes: &[u8],
        now: &mut Progress,
    ) -> Result<Option<usize>, FramingErrorKind> {
        let mut rest = bytes.get(now.line..).unwrap_or_default();
        while let Some((text, behind)) = now.cut_line(rest, &mut self.non_ascii)? {
            let next = bytes.len().wrapping_sub(behind.len());
            if self.start.is_none() {
                self.start = Some(start_line(text)?);
                now.headers = next;
            } else {
                let name = token(text);
                match text.get(name..) {
                    Some(rest) if name > 0 && behind_colon(rest).is_some() => {
                        self.fields.push(Field::new(now.line, name));
                        if self.fields.len() > Limits::HEADERS {
                            return Err(FramingErrorKind::TooManyHeaders);
                        }
                    }
                    Some([]) if name == 0 => return Ok(Some(next)),
                    Some([b' ' | b'\t', ..]) if name == 0 && !self.fields.is_empty() => {
                        self.folded = true;
                    }
                    _ => return Err(FramingErrorKind::HeaderName),
                }
                if next.wrapping_sub(now.headers) > Limits::HEADER_BYTES {
                    return Err(FramingErrorKind::HeadersTooLong);
                }
            }
            (now.line, now.scanned) = (next, 0);
            rest = behind;
        }
        Ok(None)
    }

    /// How long the body is: what every Content-Length says (RFC 3261 section 20.14).
    pub(super) fn content_length(
        &self,
        bytes: &[u8],
        body: usize,
    ) -> Result<usize, FramingErrorKind> {
        use FramingErrorKind as Kind;
        let mut length = None;
        let mut fields = Fields { list: &self.fields, bytes, body };
        while let Some(value) = fields.next_called(b"Content-Length") {
            let value = digits(value).ok_or(Kind::ContentLength)?;
            if length.replace(value).is_some_and(|before| before != value) {
                return Err(Kind::ContentLengths);
            }
        }
        let length = length.ok_or(Kind::NoContentLength)?;
        if length > Limits::BODY { Err(Kind::BodyTooLong) } else { Ok(length) }
    }
}

/// A line, and what stands behind its CRLF.
type Cut<'a> = (&'a [u8], &'a [u8]);

impl Progress {
    /// Cuts the unfinished line off `rest`, or gives `None` when its CRLF is not there yet. Inlined into the
    /// one loop that calls it, which keeps its state in registers.
    #[inline(always)]
    fn cut_line<'a>(
        &mut self,
        rest: &'a [u8],
        non_ascii: &mut bool,
    ) -> Result<Option<Cut<'a>>, FramingErrorKind> {
        loop {
            let Some(unread) = rest.get(self.scanned..) else { return Ok(None) };
            self.scanned = self.scanned.wrapping_add(plain(unread));
            if self.scanned > Limits::LINE {
                return Err(FramingErrorKind::LineTooLong);
            }
            let Some((text, behind)) = rest.split_at_checked(self.scanned) else { return Ok(None) };
            match behind {
                [b'\r', b'\n', behind @ ..] => {
                    if std::mem::take(non_ascii) && std::str::from_utf8(text).is_err() {
                        return Err(FramingErrorKind::NotUtf8);
                    }
                    return Ok(Some((text, behind)));
                }
                [] | [b'\r'] => return Ok(None),
                [b'\r' | b'\n', ..] => return Err(FramingErrorKind::BareLineEnd),
                [b'\t', ..] => {}
                [0x80..=0xff, ..] => *non_ascii = true,
                [_, ..] if self.headers > 0 && is_escaped(text) => {}
                [control, ..] => return Err(FramingErrorKind::Control(*control)),
            }
            self.scanned = self.scanned.wrapping_add(1);
        }
    }
}

/// Whether a control character is the second half of a `quoted-pair`, which may hold any but CR
/// and LF (RFC 3261 section 25.1; RFC 4475 section 3.1.1.2 sends a NUL that way). Outside of
/// tests hardly any message has one.
#[cold]
fn is_escaped(before: &[u8]) -> bool {
    before.iter().rev().take_while(|&&b| b == b'\\').count() & 1 == 1
}

/// `Status-Line` or `Request-Line`: single spaces, nothing behind (RFC 3261 section 7). Not inlined: it is
/// read once, and would take registers from the loop over the lines.
#[inline(never)]
fn start_line(text: &[u8]) -> Result<Start, FramingErrorKind> {
    use FramingErrorKind as Kind;
    let (first, rest) = text.split_at_checked(8).unwrap_or_default();
    if is_called(first, b"SIP/2.0 ") {
        let (status, reason) = word(rest).ok_or(Kind::StartLine)?;
        let end = text.len();
        let reason = Span::new(end.wrapping_sub(reason.len()), end);
        return Ok(Start::Response { status: status_code(status).ok_or(Kind::Status)?, reason });
    }
    let (first, rest) = word(text).ok_or(Kind::StartLine)?;
    if first.get(..4).is_some_and(|begin| is_called(begin, b"SIP/")) {
        return Err(Kind::Version);
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
    if !is_called(version, b"SIP/2.0") {
        return Err(Kind::Version);
    }
    let behind = first.len();
    let begin = behind.wrapping_add(1);
    let uri = Span::new(begin, begin.wrapping_add(uri.len()));
    Ok(Start::Request { method: Span::new(0, behind), uri })
}

/// What stands before and behind the first space.
fn word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|&b| b == b' ')?;
    Some((text.get(..at)?, text.get(at.saturating_add(1)..)?))
}

fn status_code(text: &[u8]) -> Option<u16> {
    let code = digits(text).filter(|_| text.len() == 3)?;
    u16::try_from(code).ok().filter(|c| (100..=699).contains(c))
}

/// A number of one to nine digits: longer ones have been cut to 32 bits elsewhere.
fn digits(text: &[u8]) -> Option<usize> {
    let add = |number: usize, digit: &u8| {
        let value = usize::from(digit.wrapping_sub(b'0'));
        digit.is_ascii_digit().then(|| number.wrapping_mul(10).wrapping_add(value))
    };
    if (1..=9).contains(&text.len()) { text.iter().try_fold(0, add) } else { None }
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
            ("SIP/2", Some(Kind::StartLine)),
            ("SIP/2.0 ", Some(Kind::StartLine)),
            ("SIP/2.1 200 OK", Some(Kind::Version)),
            ("SIP/2.0200 OK", Some(Kind::Version)),
            ("sip/2.0\t200 OK", Some(Kind::Version)),
            ("SIP/ 200 OK", Some(Kind::Version)),
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

    /// `token` of RFC 3261 section 25.1.
    #[test]
    fn each_byte_of_a_name_is_looked_at() {
        let alphanumeric = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
        let token = format!("{alphanumeric}-.!%*_+`'~");
        for (length, at) in (1..20).flat_map(|length| (0..length).map(move |at| (length, at))) {
            for byte in (b'!'..=b'~').filter(|&byte| byte != b':') {
                let mut name = vec![b'a'; length];
                name[at] = byte;
                let name = String::from_utf8(name).unwrap();
                let kind = (!token.contains(char::from(byte))).then_some(Kind::HeaderName);
                let message = format!("SIP/2.0 200 OK\r\n{name}: 0\r\nl: 0\r\n\r\n");
                assert_eq!(fault(message), kind, "{name}");
            }
        }
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
