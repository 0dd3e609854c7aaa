//! A request that is being written. Where things are in it is known then, so it need not be read again
//! to be signed.

use bytes::Bytes;

use super::fields::Field;
use super::head::{Head, Span, Start};
use super::limits::FramingError;
use super::message::Message;

/// A request without a body: its first line, and as many fields as were written.
pub(super) struct Writing {
    text: String,
    head: Head,
}

impl Writing {
    pub(super) fn begin(method: &str, uri: &[&str]) -> Self {
        let mut writing = Self { text: String::with_capacity(1024), head: Head::default() };
        let method = writing.put(&[method]);
        writing.put(&[" "]);
        let uri = writing.put(uri);
        writing.put(&[" SIP/2.0\r\n"]);
        writing.head.start = Some(Start::Request { method, uri });
        writing
    }

    /// One more field, in one line.
    pub(super) fn field(&mut self, name: &str, value: &[&str]) {
        self.head.fields.push(Field::new(self.text.len(), name.len()));
        self.put(&[name, ": "]);
        self.put(value);
        self.put(&["\r\n"]);
    }

    /// The whole request.
    pub(super) fn bytes(mut self) -> Bytes {
        self.put(&["\r\n"]);
        self.text.into()
    }

    /// The same, as if it had been read.
    pub(super) fn message(mut self) -> Result<Message, FramingError> {
        let head = std::mem::take(&mut self.head);
        let bytes = self.bytes();
        let body = bytes.len();
        Message::assemble(head, bytes, body)
    }

    /// Where the text then is that is put together of `pieces`.
    fn put(&mut self, pieces: &[&str]) -> Span {
        let start = self.text.len();
        self.text.extend(pieces.iter().copied());
        Span::new(start, self.text.len())
    }
}
