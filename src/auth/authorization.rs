//! The header field that carries the proof.

use std::fmt;

use bytes::Bytes;
use data_encoding::Encoding;

use crate::sip::{Challenger, Message};
use crate::text::WireText;

/// An `Authorization` or `Proxy-Authorization` header field (RFC 3261 sections 20.7 and 20.28).
///
/// [`Association`](super::Association) and `Digest` make them; [`add_to`](Self::add_to) puts one into
/// the message that it is for. `Debug` shows its name only: a password can be guessed at from some values.
#[derive(Clone, PartialEq, Eq)]
pub struct Authorization {
    name: &'static str,
    value: String,
}

impl Authorization {
    /// The name of the field.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The value, as it is written.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// `message` with this field behind all others. Nothing else of it changes, so signatures stay
    /// right.
    pub fn add_to(&self, message: &Message) -> Bytes {
        Self::write(message, [self])
    }

    /// The same with one for a proxy beside one for the registrar (RFC 3261 section 22.3), as far as
    /// they are there.
    pub(crate) fn add_all(message: &Message, all: [Option<Self>; 2]) -> Bytes {
        Self::write(message, all.iter().flatten())
    }

    fn write<'a>(message: &Message, all: impl IntoIterator<Item = &'a Self>) -> Bytes {
        let bytes = message.as_bytes();
        let behind = message.headers().body().len().saturating_add(EMPTY_LINE.len());
        let (head, rest) = bytes.split_at(bytes.len().saturating_sub(behind));
        let mut pieces = Vec::with_capacity(10);
        pieces.push(head);
        for one in all {
            pieces.extend([one.name.as_bytes(), b": ", one.value.as_bytes(), EMPTY_LINE]);
        }
        pieces.push(rest);
        pieces.concat().into()
    }
}

const EMPTY_LINE: &[u8] = b"\r\n";

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: (..)", self.name)
    }
}

/// Which field answers `by` in `message`.
///
/// The registrar is the destination of a REGISTER; whatever else is sent only passes it as a proxy.
pub(super) fn field(by: Challenger, message: &Message) -> &'static str {
    let register = match message {
        Message::Request(request) => request.method() == "REGISTER",
        Message::Response(_) => false,
    };
    match by {
        Challenger::Registrar if register => "Authorization",
        Challenger::Proxy | Challenger::Registrar => "Proxy-Authorization",
    }
}

/// Writes a value: a scheme and its parameters.
pub(super) struct Writer {
    name: &'static str,
    value: String,
    comma: bool,
}

impl Writer {
    pub(super) fn new(name: &'static str, scheme: &str) -> Self {
        let mut value = String::with_capacity(1024);
        value.extend([scheme, " "]);
        Self { name, value, comma: false }
    }

    /// `name="value"`. A control character in it would be a line of its own.
    pub(super) fn quoted(mut self, name: &str, value: &str) -> Result<Self, Unwritable> {
        // Nearly every value: it is written as it is.
        let plain = |byte| matches!(byte, b' '..=b'~' if byte != b'"' && byte != b'\\');
        if value.bytes().all(plain) {
            return Ok(self.plain(name, value));
        }
        if value.chars().any(char::is_control) {
            return Err(Unwritable { text: value.into() });
        }
        self.begin(name);
        self.value.push('"');
        for c in value.chars() {
            if matches!(c, '"' | '\\') {
                self.value.push('\\');
            }
            self.value.push(c);
        }
        self.value.push('"');
        Ok(self)
    }

    /// `name="value"`, for a value in which there is nothing to escape.
    pub(super) fn plain(mut self, name: &str, value: &str) -> Self {
        self.begin(name);
        self.value.extend(["\"", value, "\""]);
        self
    }

    /// `name="value"`, for bytes that no header field can hold as they are.
    pub(super) fn encoded(mut self, name: &str, encoding: &Encoding, bytes: &[u8]) -> Self {
        self.begin(name);
        self.value.push('"');
        encoding.encode_append(bytes, &mut self.value);
        self.value.push('"');
        self
    }

    /// `name=value`, for what is a token by construction.
    pub(super) fn token(mut self, name: &str, value: &str) -> Self {
        self.begin(name);
        self.value.push_str(value);
        self
    }

    fn begin(&mut self, name: &str) {
        self.value.push_str(if self.comma { ", " } else { "" });
        self.value.push_str(name);
        self.value.push('=');
        self.comma = true;
    }

    pub(super) fn finish(self) -> Authorization {
        Authorization { name: self.name, value: self.value }
    }
}

/// A text that cannot be written into a header field. It came from a server, or from the account.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` cannot stand in a header field")]
pub struct Unwritable {
    /// The text.
    pub text: WireText,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authorization() -> Authorization {
        let writer = Writer::new("Authorization", "NTLM");
        writer.quoted("realm", r#"a "b" \c"#).unwrap().token("version", "4").finish()
    }

    #[test]
    fn a_value_is_quoted_and_nothing_breaks_out_of_it() {
        assert_eq!(authorization().value(), r#"NTLM realm="a \"b\" \\c", version=4"#);
        for text in ["a\r\nEvil: 1", "\0", "\u{7f}", "\u{85}"] {
            let refused = Writer::new("Authorization", "NTLM").quoted("realm", text);
            assert_eq!(refused.err().unwrap().text.raw(), text);
        }
    }

    #[test]
    fn the_field_is_added_behind_all_others() {
        for (message, body) in [
            ("REGISTER sip:a SIP/2.0\r\nl: 2\r\n\r\n", "hi"),
            ("SIP/2.0 200 OK\r\nl: 0\r\n\r\n", ""),
        ] {
            let before = Message::parse(format!("{message}{body}").into()).unwrap();
            let after = Message::parse(authorization().add_to(&before)).unwrap();
            assert_eq!(after.headers().body(), body.as_bytes());
            assert_eq!(after.headers().iter().len(), 2);
            let last = after.headers().iter().last().unwrap();
            assert_eq!((last.name(), last.raw()), ("Authorization", authorization().value()));
        }
    }

    #[test]
    fn the_name_follows_who_asks_and_what_is_sent() {
        let message =
            |line: &str| Message::parse(format!("{line}\r\nl: 0\r\n\r\n").into()).unwrap();
        let register = message("REGISTER sip:a SIP/2.0");
        let others = [message("SUBSCRIBE sip:a SIP/2.0"), message("SIP/2.0 200 OK")];
        assert_eq!(field(Challenger::Registrar, &register), "Authorization");
        assert_eq!(field(Challenger::Proxy, &register), "Proxy-Authorization");
        for other in others {
            assert_eq!(field(Challenger::Registrar, &other), "Proxy-Authorization");
        }
    }

    #[test]
    fn the_value_is_not_shown() {
        assert_eq!(format!("{:?}", authorization()), "Authorization: (..)");
    }
}
