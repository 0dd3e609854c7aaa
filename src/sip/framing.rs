//! Messages off a stream, however the stream is cut.

use bytes::Bytes;

use super::head::Head;
use super::limits::{FramingError, FramingErrorKind, Limits};
use super::message::Message;

/// Reads messages off a stream (RFC 3261 section 18.3).
///
/// Any split of the same bytes gives the same messages and the same error. It takes no more than
/// one message at a time, so that it never holds more than [`Limits::MESSAGE`] bytes, and looks at
/// each byte a bounded number of times. After an error the stream has no more messages: every
/// further call gives the same error.
///
/// ```
/// use sip_signin::sip::MessageReader;
/// let mut reader = MessageReader::default();
/// let mut input = &b"\r\n\r\nSIP/2.0 200 OK\r\nContent-Length: 2\r\n\r\n"[..];
/// assert!(reader.read(&mut input)?.is_none());
/// input = b"hiSIP/2.0 ";
/// let message = reader.read(&mut input)?.expect("it is whole");
/// assert_eq!(message.headers().body(), b"hi");
/// assert!(reader.read(&mut input)?.is_none());
/// assert_eq!(reader.take_keep_alives(), 2);
/// # Ok::<(), sip_signin::sip::FramingError>(())
/// ```
#[derive(Debug, Default)]
pub struct MessageReader {
    /// Boxed: few messages are cut, and a connection is silent most of its life.
    unfinished: Option<Box<Unfinished>>,
    /// A CR came in front of a message and waits for its LF.
    half_keep_alive: bool,
    keep_alives: u32,
    failed: Option<FramingError>,
}

/// A message of which not all is there.
#[derive(Debug, Default)]
struct Unfinished {
    held: Vec<u8>,
    head: Head,
    /// Where the body begins and ends, once that is known.
    body: Option<(usize, usize)>,
}

impl MessageReader {
    /// Takes bytes off `input` until a message is whole; `None` when all are taken and none is.
    ///
    /// What stands behind the message stays in `input` for the next call.
    ///
    /// # Errors
    /// [`FramingError`] says what the peer did wrong.
    pub fn read(&mut self, input: &mut &[u8]) -> Result<Option<Message>, FramingError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let message = self.message(input);
        if let Err(error) = &message {
            self.failed = Some(error.clone());
        }
        message
    }

    /// How many CRLFs came in front of and between messages since the last call.
    ///
    /// A CRLF answers a keep-alive, two ask for an answer (RFC 5626 section 4.4.1). A peer that
    /// sends more than [`Limits::KEEP_ALIVES`] between two calls fails.
    pub fn take_keep_alives(&mut self) -> u32 {
        std::mem::take(&mut self.keep_alives)
    }

    /// How many bytes of an unfinished message are held.
    pub fn held(&self) -> usize {
        self.unfinished.as_ref().map_or(0, |unfinished| unfinished.held.len())
    }

    fn message(&mut self, input: &mut &[u8]) -> Result<Option<Message>, FramingError> {
        let Some(mut unfinished) = self.unfinished.take() else {
            self.skip_keep_alives(input)?;
            return self.first_bytes(input);
        };
        let message = unfinished.read_on(input)?;
        if message.is_none() {
            self.unfinished = Some(unfinished);
        }
        Ok(message)
    }

    /// A message that begins in `input` is read there, and copied once.
    fn first_bytes(&mut self, input: &mut &[u8]) -> Result<Option<Message>, FramingError> {
        if input.is_empty() {
            return Ok(None);
        }
        let mut begun = Unfinished::default();
        let Some((body, end)) = scan(&mut begun.head, &mut begun.body, input)? else {
            begun.held.extend_from_slice(std::mem::take(input));
            self.unfinished = Some(Box::new(begun));
            return Ok(None);
        };
        let (message, rest) = input.split_at_checked(end).unwrap_or((input, &[]));
        *input = rest;
        Message::assemble(begun.head, Bytes::copy_from_slice(message), body).map(Some)
    }

    /// CRLFs in front of a message are ignored (RFC 3261 section 7.5).
    fn skip_keep_alives(&mut self, input: &mut &[u8]) -> Result<(), FramingError> {
        let fail = |kind| FramingError { kind, line: None };
        while let Some((&byte, rest)) = input.split_first() {
            match (self.half_keep_alive, byte) {
                (true, b'\n') => {
                    self.keep_alives = self.keep_alives.saturating_add(1);
                    if self.keep_alives > Limits::KEEP_ALIVES {
                        return Err(fail(FramingErrorKind::TooManyKeepAlives));
                    }
                }
                (false, b'\r') => {}
                (true, _) | (false, b'\n') => return Err(fail(FramingErrorKind::BareLineEnd)),
                (false, _) => break,
            }
            self.half_keep_alive = byte == b'\r';
            *input = rest;
        }
        Ok(())
    }
}

impl Unfinished {
    fn read_on(&mut self, input: &mut &[u8]) -> Result<Option<Message>, FramingError> {
        let Self { held, head, body } = self;
        while !input.is_empty() {
            // Not a byte of the next message is taken, as far as that is known.
            let wanted = body.map_or(Limits::MESSAGE, |(_, end)| end);
            let room = wanted.saturating_sub(held.len());
            let (taken, rest) = input.split_at_checked(room).unwrap_or((input, &[]));
            let before = held.len();
            held.extend_from_slice(taken);
            let Some((body, end)) = scan(head, body, held)? else {
                *input = rest;
                continue;
            };
            // The bytes held before were no whole message, so what stands behind it is of `taken`.
            let used = end.saturating_sub(before);
            *input = input.get(used..).unwrap_or_default();
            held.truncate(end);
            let bytes = Bytes::from(std::mem::take(held));
            return Message::assemble(std::mem::take(head), bytes, body).map(Some);
        }
        Ok(None)
    }
}

/// Reads on in a message whose first bytes are `bytes`: where its body begins and ends, once all
/// of it is there.
fn scan(
    head: &mut Head,
    known: &mut Option<(usize, usize)>,
    bytes: &[u8],
) -> Result<Option<(usize, usize)>, FramingError> {
    if known.is_none()
        && let Some(body) = head.read(bytes)?
    {
        let length = head.content_length(bytes, body);
        let length = length.map_err(|kind| FramingError { kind, line: None })?;
        *known = Some((body, body.saturating_add(length)));
    }
    Ok(known.filter(|&(_, end)| end <= bytes.len()))
}

#[cfg(test)]
mod tests {
    use super::FramingErrorKind as Kind;
    use super::*;

    /// What makes a message of a given size, the size that is allowed, and what one more is.
    type Limit<'a> = (&'a dyn Fn(usize) -> String, usize, Kind);

    /// Everything a reader makes of `bytes` given in pieces of `size`.
    fn read(bytes: &[u8], size: usize) -> (Vec<Message>, Option<FramingError>, u32) {
        let mut reader = MessageReader::default();
        let mut messages = Vec::new();
        for mut input in bytes.chunks(size) {
            loop {
                assert!(reader.held() <= Limits::MESSAGE);
                match reader.read(&mut input) {
                    Ok(Some(message)) => messages.push(message),
                    Ok(None) => break,
                    Err(error) => return (messages, Some(error), reader.take_keep_alives()),
                }
            }
            assert!(input.is_empty());
        }
        (messages, None, reader.take_keep_alives())
    }

    /// What comes of `bytes`, the same for each size of pieces.
    fn outcome(bytes: &[u8]) -> (usize, Option<Kind>) {
        let whole = read(bytes, usize::MAX);
        for size in [1, 7, 4096] {
            assert_eq!(read(bytes, size), whole);
        }
        (whole.0.len(), whole.1.map(|error| error.kind))
    }

    #[test]
    fn messages_come_out_however_the_stream_is_cut() {
        let stream = b"\r\n\r\nSIP/2.0 100 Trying\r\nl: 0\r\n\r\n\r\n\
            SIP/2.0 200 OK\r\nl: 4\r\n\r\n\r\n\r\nNOTIFY sip:a SIP/2.0\r\nl: 0\r\n\r\n\r\n\r";
        for size in 1..=stream.len() {
            let (messages, error, keep_alives) = read(stream, size);
            let bodies: Vec<_> = messages.iter().map(|m| m.headers().body()).collect();
            assert_eq!(bodies, [&b""[..], b"\r\n\r\n", b""], "in pieces of {size}");
            assert_eq!((error, keep_alives), (None, 4));
        }
    }

    #[test]
    fn the_first_fault_is_told_however_the_stream_is_cut() {
        let fault =
            |lines: &[u8]| outcome(&[b"SIP/2.0 200 OK\r\n", lines, b"l: 0\r\n\r\n"].concat());
        assert_eq!(fault(b"a b: c\r\nd: \0\r\n"), (0, Some(Kind::HeaderName)));
        assert_eq!(fault(b"a: a long way \xfc behind\r\nb c: d\r\n"), (0, Some(Kind::NotUtf8)));
    }

    #[test]
    fn after_an_error_nothing_more_comes() {
        let mut reader = MessageReader::default();
        let mut input = &b"SIP/2.0 200 OK\r\nbroken\r\n"[..];
        let error = reader.read(&mut input).unwrap_err();
        assert_eq!(error.kind, Kind::HeaderName);
        assert_eq!(error.line, Some("broken".into()));
        let mut input = &b"SIP/2.0 200 OK\r\nl: 0\r\n\r\n"[..];
        assert_eq!(reader.read(&mut input), Err(error));
    }

    #[test]
    fn each_limit_holds_at_n_and_not_at_n_plus_1() {
        let line = |length: usize| {
            let value = "x".repeat(length - 3);
            format!("SIP/2.0 200 OK\r\na: {value}\r\nl: 0\r\n\r\n")
        };
        let start_line = |length: usize| {
            let reason = "x".repeat(length - 12);
            format!("SIP/2.0 200 {reason}\r\nl: 0\r\n\r\n")
        };
        let headers = |count: usize| {
            let lines = "a: b\r\n".repeat(count - 1);
            format!("SIP/2.0 200 OK\r\n{lines}l: 0\r\n\r\n")
        };
        let header_bytes = |length: usize| {
            let line = format!("a: {}\r\n", "x".repeat(4091));
            let lines = line.repeat(7);
            let last = "x".repeat(length - lines.len() - "a: \r\nl: 0\r\n".len());
            format!("SIP/2.0 200 OK\r\n{lines}a: {last}\r\nl: 0\r\n\r\n")
        };
        let body = |length: usize| {
            let body = "x".repeat(length);
            format!("SIP/2.0 200 OK\r\nl: {length}\r\n\r\n{body}")
        };
        let keep_alives = |count: usize| {
            let crlfs = "\r\n".repeat(count);
            format!("{crlfs}SIP/2.0 200 OK\r\nl: 0\r\n\r\n")
        };
        let table: [Limit; 6] = [
            (&line, Limits::LINE, Kind::LineTooLong),
            (&start_line, Limits::LINE, Kind::LineTooLong),
            (&headers, Limits::HEADERS, Kind::TooManyHeaders),
            (&header_bytes, Limits::HEADER_BYTES, Kind::HeadersTooLong),
            (&body, Limits::BODY, Kind::BodyTooLong),
            (&keep_alives, Limits::KEEP_ALIVES as usize, Kind::TooManyKeepAlives),
        ];
        for (message, limit, kind) in table {
            assert_eq!(outcome(message(limit).as_bytes()), (1, None), "{kind:?}");
            assert_eq!(outcome(message(limit + 1).as_bytes()), (0, Some(kind)));
        }
    }

    /// The largest message of all, and one of each limit but the last byte.
    #[test]
    fn the_whole_message_has_the_sum_of_its_limits() {
        let start = format!("SIP/2.0 200 {}\r\n", "x".repeat(Limits::LINE - 12));
        let line = format!("a: {}\r\n", "x".repeat(4091));
        let last = format!("a: {}\r\n", "x".repeat(4091 - "l: 65536\r\n".len()));
        let body = "x".repeat(Limits::BODY);
        let message = format!("{start}{}{last}l: 65536\r\n\r\n{body}", line.repeat(7));
        assert_eq!(message.len(), Limits::MESSAGE);
        assert_eq!(outcome(message.as_bytes()), (1, None));
    }

    #[test]
    fn taken_keep_alives_are_forgotten() {
        let mut reader = MessageReader::default();
        for _ in 0..3 {
            let crlfs = "\r\n".repeat(Limits::KEEP_ALIVES as usize);
            assert_eq!(reader.read(&mut crlfs.as_bytes()), Ok(None));
            assert_eq!(reader.take_keep_alives(), Limits::KEEP_ALIVES);
        }
        assert_eq!(outcome(b"\r\n\n"), (0, Some(Kind::BareLineEnd)));
        assert_eq!(outcome(b"\rS"), (0, Some(Kind::BareLineEnd)));
    }
}
