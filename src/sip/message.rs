//! A message: one piece of bytes, and where things are in it.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use super::fields::{FieldList, Fields};
use super::head::{Head, Span, Start};
use super::limits::{FramingError, FramingErrorKind};
use super::parameters::{is_token, seconds, split, trim, value_of};
use crate::text::WireText;

/// A SIP message, as it came (RFC 3261 section 7). There are no other kinds.
///
/// ```
/// use sip_signin::sip::Message;
/// let bytes = "SIP/2.0 401 Unauthorized\r\nm : <sip:a@b>\r\nl: 0\r\n\r\n";
/// let Message::Response(response) = Message::parse(bytes.into())? else {
///     panic!("it has a status line");
/// };
/// assert_eq!(response.status(), 401);
/// assert_eq!(response.headers().get("Contact").as_deref(), Some("<sip:a@b>"));
/// # Ok::<(), sip_signin::sip::FramingError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Somebody asks for something.
    Request(Request),
    /// The answer to it.
    Response(Response),
}

impl Message {
    /// Reads bytes that are one whole message, by the rules of a stream.
    ///
    /// # Errors
    /// [`FramingError`] says which rule or limit they break.
    pub fn parse(bytes: Bytes) -> Result<Self, FramingError> {
        let whole = |kind| FramingError { kind, line: None };
        let mut head = Head::default();
        let Some(body) = head.read(&bytes)? else {
            return Err(whole(FramingErrorKind::Incomplete));
        };
        let length = head.content_length(&bytes, body).map_err(whole)?;
        match bytes.len().cmp(&body.saturating_add(length)) {
            std::cmp::Ordering::Less => Err(whole(FramingErrorKind::Incomplete)),
            std::cmp::Ordering::Equal => Self::assemble(head, bytes, body),
            std::cmp::Ordering::Greater => Err(whole(FramingErrorKind::Trailing)),
        }
    }

    /// Puts a complete head and the bytes it was read from together.
    pub(super) fn assemble(head: Head, bytes: Bytes, body: usize) -> Result<Self, FramingError> {
        let headers = Headers { bytes, fields: head.fields, folded: head.folded, body };
        match head.start {
            Some(Start::Request { method, uri }) => {
                Ok(Self::Request(Request { method, uri, headers }))
            }
            Some(Start::Response { status, reason }) => {
                Ok(Self::Response(Response { status, reason, headers }))
            }
            None => Err(FramingError { kind: FramingErrorKind::StartLine, line: None }),
        }
    }

    /// The header fields and the body.
    pub fn headers(&self) -> &Headers {
        match self {
            Self::Request(request) => &request.headers,
            Self::Response(response) => &response.headers,
        }
    }

    /// The whole message, byte for byte.
    pub fn as_bytes(&self) -> &Bytes {
        &self.headers().bytes
    }
}

/// A message that asks (RFC 3261 section 7.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    method: Span,
    uri: Span,
    headers: Headers,
}

impl Request {
    /// The method, whose case counts: `REGISTER`.
    pub fn method(&self) -> &str {
        self.headers.slice(self.method)
    }

    /// The Request-URI as it came: it has a scheme and no white space, the rest is not checked.
    pub fn uri(&self) -> &str {
        self.headers.slice(self.uri)
    }

    /// The header fields and the body.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }
}

/// A message that answers (RFC 3261 section 7.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    status: u16,
    reason: Span,
    headers: Headers,
}

impl Response {
    /// The status code, 100 to 699.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// What the server says the status means; it may be empty.
    pub fn reason(&self) -> WireText {
        self.headers.slice(self.reason).into()
    }

    /// The header fields and the body.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }
}

/// The header fields of a message in their order, and its body.
///
/// Names are compared without regard to case, and a compact form is the name it stands for
/// (RFC 3261 section 7.3.3): `get("Via")` finds `v`.
#[derive(Clone, PartialEq, Eq)]
pub struct Headers {
    bytes: Bytes,
    fields: FieldList,
    /// Whether some value has a fold.
    pub(super) folded: bool,
    body: usize,
}

impl Headers {
    /// The value of the first field of this name, its line folds read as single spaces.
    pub fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        self.all(name).next()
    }

    /// The values of all fields of this name.
    pub fn all(&self, name: &str) -> impl Iterator<Item = Cow<'_, str>> {
        self.values(name).map(|value| match self.folded {
            true => unfolded(text(value)),
            false => Cow::Borrowed(text(value)),
        })
    }

    /// The values as they came.
    pub(super) fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.fields().called(name.as_bytes())
    }

    fn fields(&self) -> Fields<'_> {
        Fields { list: &self.fields, bytes: &self.bytes, body: self.body }
    }

    /// The value of the field of this name when there is exactly one.
    ///
    /// Of two Call-IDs neither is the message's (RFC 4475 section 3.3.8).
    pub fn only(&self, name: &str) -> Option<Cow<'_, str>> {
        let mut values = self.all(name);
        let first = values.next()?;
        values.next().is_none().then_some(first)
    }

    /// All fields.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Header<'_>> {
        self.fields().each().map(|(name, value)| Header { name: text(name), value: text(value) })
    }

    /// The body: as many bytes as Content-Length says.
    pub fn body(&self) -> &[u8] {
        self.bytes.get(self.body..).unwrap_or_default()
    }

    /// Which dialog the message belongs to (RFC 3261 section 20.8); `None` unless there is one.
    pub fn call_id(&self) -> Option<Cow<'_, str>> {
        self.only("Call-ID").filter(|id| !id.is_empty())
    }

    /// Which request it is or answers (RFC 3261 section 20.16); `None` unless there is one, and it
    /// is a number below 2^31 and a method.
    pub fn cseq(&self) -> Option<CSeq<'_>> {
        match self.only("CSeq")? {
            Cow::Borrowed(value) => CSeq::parse(value),
            Cow::Owned(value) => {
                let CSeq { number, method } = CSeq::parse(&value)?;
                Some(CSeq { number, method: Cow::Owned(method.into_owned()) })
            }
        }
    }

    /// How many seconds a binding lasts (RFC 3261 section 20.19).
    pub fn expires(&self) -> Option<Duration> {
        self.duration("Expires")
    }

    /// How long to leave this server alone; a comment and parameters behind it are not looked at
    /// (RFC 3261 section 20.33).
    pub fn retry_after(&self) -> Option<Duration> {
        self.duration("Retry-After")
    }

    /// How often the server wants to hear from us: `timeout` of `ms-keep-alive`. [MS-CONMGMT]
    /// (unverified)
    pub fn keep_alive(&self) -> Option<Duration> {
        let value = self.get("ms-keep-alive")?;
        let timeout = seconds(&value_of(split(&value, b';'), "timeout")?)?;
        Some(Duration::from_secs(timeout.into()))
    }

    fn duration(&self, name: &str) -> Option<Duration> {
        let number = seconds(&self.get(name)?)?;
        Some(Duration::from_secs(number.into()))
    }

    fn slice(&self, span: Span) -> &str {
        text(span.of(&self.bytes))
    }
}

/// What stands in a head, whose lines have been checked to be UTF-8.
pub(super) fn text(part: &[u8]) -> &str {
    std::str::from_utf8(part).unwrap_or_default()
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// One header field.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    name: &'a str,
    value: &'a str,
}

impl<'a> Header<'a> {
    /// The name as it came, perhaps compact.
    pub fn name(self) -> &'a str {
        self.name
    }

    /// The value as it came, folds and all, without the white space around it.
    pub fn raw(self) -> &'a str {
        self.value
    }

    /// The value with each fold read as one space (RFC 3261 section 7.3.1).
    pub fn text(self) -> Cow<'a, str> {
        unfolded(self.value)
    }
}

/// A value with each fold read as one space (RFC 3261 section 7.3.1).
pub(super) fn unfolded(value: &str) -> Cow<'_, str> {
    if !value.contains('\r') {
        return Cow::Borrowed(value);
    }
    let mut text = String::with_capacity(value.len());
    for line in value.split("\r\n").map(trim).filter(|l| !l.is_empty()) {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(line);
    }
    Cow::Owned(text)
}

/// Shown as [`WireText`].
impl fmt::Debug for Header<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, value) = (WireText::new(self.name), WireText::new(self.value));
        write!(f, "{name}: {value}")
    }
}

/// The number and the method of a request (RFC 3261 section 20.16).
///
/// ```
/// use sip_signin::sip::CSeq;
/// let cseq = CSeq::parse("0009  INVITE").unwrap();
/// assert_eq!((cseq.number, &*cseq.method), (9, "INVITE"));
/// assert_eq!(CSeq::parse("2147483648 INVITE"), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CSeq<'a> {
    /// Below 2^31 (RFC 3261 section 8.1.1.5).
    pub number: u32,
    /// The method, whose case counts.
    pub method: Cow<'a, str>,
}

impl<'a> CSeq<'a> {
    /// The largest number.
    pub const LIMIT: u32 = (1 << 31) - 1;

    /// Reads a header value; `None` when it is not a number and a method.
    pub fn parse(value: &'a str) -> Option<Self> {
        let (number, method) = trim(value).split_once([' ', '\t'])?;
        let digits = number.bytes().all(|b| b.is_ascii_digit());
        let number = number.parse().ok().filter(|&n| digits && n <= Self::LIMIT)?;
        let method = trim(method);
        is_token(method).then_some(Self { number, method: Cow::Borrowed(method) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &str) -> Headers {
        let bytes = format!("SIP/2.0 200 OK\r\n{lines}l: 0\r\n\r\n");
        Message::parse(bytes.into()).unwrap().headers().clone()
    }

    #[test]
    fn start_lines_give_their_parts() {
        let bytes = "REGISTER sip:contoso.com SIP/2.0\r\nl: 0\r\n\r\n";
        let Message::Request(request) = Message::parse(bytes.into()).unwrap() else {
            panic!("it is a request");
        };
        assert_eq!((request.method(), request.uri()), ("REGISTER", "sip:contoso.com"));
        for (line, status, reason) in [
            ("SIP/2.0 401 Unauthorized", 401, "Unauthorized"),
            ("sip/2.0 100 ", 100, ""),
            ("SIP/2.0 699 a  b ", 699, "a  b "),
            ("SIP/2.0 200 \u{439}", 200, "\u{439}"),
        ] {
            let bytes = format!("{line}\r\nl: 0\r\n\r\n");
            let Message::Response(response) = Message::parse(bytes.into()).unwrap() else {
                panic!("it is a response");
            };
            assert_eq!(response.status(), status);
            assert_eq!(response.reason(), reason.into());
        }
    }

    #[test]
    fn a_field_is_found_by_any_spelling_of_its_name() {
        let headers = headers("v: one\r\nVIA : two\r\nX-Via: three\r\nQ: four\r\n");
        for name in ["Via", "via", "V", "v"] {
            assert_eq!(headers.all(name).collect::<Vec<_>>(), ["one", "two"]);
            assert_eq!(headers.only(name), None);
        }
        assert_eq!(headers.get("q").as_deref(), Some("four"));
        assert_eq!(headers.get("To"), None);
        assert_eq!(headers.iter().len(), 5);
    }

    /// The registry of header fields at IANA, as of RFC 8224.
    #[test]
    fn each_compact_form_stands_for_its_name() {
        let names = "Accept-Contact Referred-By Content-Type Request-Disposition Content-Encoding \
                     From Call-ID Reject-Contact Supported Contact Identity-Info Event Refer-To \
                     Subject To Allow-Events Via Session-Expires Identity";
        for (letter, name) in "abcdefijkmnorstuvxy".chars().zip(names.split(' ')) {
            let headers = headers(&format!("{letter}: here\r\n"));
            assert_eq!(headers.get(name).as_deref(), Some("here"), "{name}");
        }
    }

    #[test]
    fn a_fold_is_read_as_one_space_and_kept_as_it_came() {
        for (lines, raw, text) in [
            ("s: a\r\n b\r\n", "a\r\n b", "a b"),
            ("s: a  \r\n\t b c \r\n", "a  \r\n\t b c", "a b c"),
            ("s :\r\n a\r\n", "a", "a"),
            ("s:\r\n \r\n a\r\n  \r\n b\r\n \r\n", "a\r\n  \r\n b", "a b"),
            ("s:\r\n", "", ""),
            ("s: \t\r\n", "", ""),
        ] {
            let headers = headers(lines);
            let header = headers.iter().next().unwrap();
            assert_eq!((header.name(), header.raw()), ("s", raw));
            assert_eq!(header.text(), text, "{lines:?}");
        }
    }

    #[test]
    fn numbers_are_read_or_left_alone() {
        let seconds = |n| Some(Duration::from_secs(n));
        let headers = headers(
            "Expires: 7200\r\nRetry-After: 18000;duration=3600\r\n\
             ms-keep-alive: UAS; tcp=no; hop-hop=yes; end-end=no; timeout=300\r\n",
        );
        assert_eq!(headers.expires(), seconds(7200));
        assert_eq!(headers.retry_after(), seconds(18000));
        assert_eq!(headers.keep_alive(), seconds(300));
        for value in ["", "1", "REGISTER 1", "-1 A", "2147483648 A", "1 A B", "1 @", "1,A"] {
            assert_eq!(CSeq::parse(value), None, "{value}");
        }
        for (value, number) in [("0 A", 0), ("2147483647\tA", CSeq::LIMIT)] {
            assert_eq!(CSeq::parse(value).unwrap().number, number);
        }
    }

    #[test]
    fn what_is_shown_is_escaped() {
        let shown = format!("{:?}", headers("s: a\u{202e}b\r\n"));
        assert_eq!(shown, r"[s: a\u{202e}b, l: 0]");
    }
}
