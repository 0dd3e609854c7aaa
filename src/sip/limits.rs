//! How much of a peer's bytes is read, and what is said of those that are refused.

use std::fmt;

use crate::text::WireText;

/// How much of a message is read, at the most. Everything beyond is a [`FramingError`].
///
/// RFC 3261 section 18.1.1 asks for messages up to 65,535 bytes; a server's answers to a REGISTER
/// stay far below.
#[derive(Debug)]
pub enum Limits {}

impl Limits {
    /// Bytes in one line, without its CRLF.
    pub const LINE: usize = 8 * 1024;
    /// Header fields in one message.
    pub const HEADERS: usize = 128;
    /// Bytes of all header lines of one message, with their CRLFs.
    pub const HEADER_BYTES: usize = 32 * 1024;
    /// Bytes of one body.
    pub const BODY: usize = 64 * 1024;
    /// Bytes of one whole message: also the most that a [`MessageReader`] ever holds.
    ///
    /// [`MessageReader`]: super::MessageReader
    pub const MESSAGE: usize = Self::LINE + 2 + Self::HEADER_BYTES + 2 + Self::BODY;
    /// CRLFs in front of a message that nobody has taken account of yet.
    pub const KEEP_ALIVES: u32 = 1024;
}

/// Why a peer's bytes are not SIP messages. The fault is the peer's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FramingError {
    /// The rule they break.
    pub kind: FramingErrorKind,
    /// The line that breaks it, when one does.
    pub line: Option<WireText>,
}

impl std::error::Error for FramingError {}

impl fmt::Display for FramingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the peer sent no SIP message: {}", self.kind)?;
        match &self.line {
            Some(line) => write!(f, ", at `{line}`"),
            None => Ok(()),
        }
    }
}

/// The rule that a peer's bytes break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FramingErrorKind {
    /// A CR without its LF, or an LF without its CR.
    #[error("a line ends in a bare CR or LF")]
    BareLineEnd,
    /// A body of more than [`Limits::BODY`] bytes.
    #[error("its body is longer than {} bytes", Limits::BODY)]
    BodyTooLong,
    /// A Content-Length that is not one to nine digits.
    #[error("its Content-Length is not a number of one to nine digits")]
    ContentLength,
    /// Two Content-Lengths that disagree.
    #[error("its Content-Lengths disagree")]
    ContentLengths,
    /// A control character that no backslash escapes.
    #[error("it holds the control character {0:#04x}")]
    Control(u8),
    /// A header line without a name and a colon, or a continuation of nothing.
    #[error("a header line has no name")]
    HeaderName,
    /// Header lines of more than [`Limits::HEADER_BYTES`] bytes.
    #[error("its header lines are longer than {} bytes", Limits::HEADER_BYTES)]
    HeadersTooLong,
    /// Fewer bytes than the message says it has.
    #[error("it ends too early")]
    Incomplete,
    /// A line of more than [`Limits::LINE`] bytes.
    #[error("a line is longer than {} bytes", Limits::LINE)]
    LineTooLong,
    /// No Content-Length: on a stream nobody knows where the message ends.
    #[error("it has no Content-Length")]
    NoContentLength,
    /// A line that is not UTF-8.
    #[error("it is not UTF-8")]
    NotUtf8,
    /// Neither `method uri version` nor `version status reason` with single spaces.
    #[error("it does not begin with a start line")]
    StartLine,
    /// A status code that is not three digits from 100 to 699.
    #[error("its status is not a number from 100 to 699")]
    Status,
    /// More than [`Limits::KEEP_ALIVES`] CRLFs that nobody took account of.
    #[error("it is preceded by more than {} keep-alives", Limits::KEEP_ALIVES)]
    TooManyKeepAlives,
    /// More than [`Limits::HEADERS`] header fields.
    #[error("it has more than {} headers", Limits::HEADERS)]
    TooManyHeaders,
    /// Bytes behind the end of the message.
    #[error("something stands behind its end")]
    Trailing,
    /// Another version than SIP/2.0.
    #[error("its version is not SIP/2.0")]
    Version,
}
