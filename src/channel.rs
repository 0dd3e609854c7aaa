//! A connection that carries whole SIP messages.

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};

use crate::sip::{FramingError, Message, MessageReader};
use crate::text::WireText;
use crate::transport::{Connection, ConnectionFacts};

/// An open connection to a server, message by message.
///
/// What the peer may send at a time is bounded by [`sip::Limits`](crate::sip::Limits). Dropping the
/// channel closes the connection.
#[derive(Debug)]
pub struct Channel {
    connection: Box<dyn Connection>,
    inbox: Inbox,
}

impl Channel {
    /// Speaks SIP over `connection`.
    pub fn new(connection: Box<dyn Connection>) -> Self {
        Self { connection, inbox: Inbox::default() }
    }

    /// What is known about the connection.
    pub fn facts(&self) -> &ConnectionFacts {
        self.connection.facts()
    }

    /// Sends a whole message. Not to be cancelled half-way: what was sent of it cannot be taken
    /// back.
    ///
    /// # Errors
    /// [`ChannelError`] when the connection is lost.
    pub async fn send(&mut self, message: &Bytes) -> Result<(), ChannelError> {
        self.connection.write_all(message).await?;
        self.connection.flush().await?;
        Ok(())
    }

    /// Waits for the next whole message. Cancelling loses nothing.
    ///
    /// # Errors
    /// [`ChannelError`] when the connection is closed or lost, or what comes is no SIP. After that
    /// no message comes any more.
    pub async fn receive(&mut self) -> Result<Message, ChannelError> {
        self.inbox.receive(&mut self.connection).await
    }

    /// Both directions, each for itself.
    pub(crate) fn split(self) -> (ReadEnd, WriteHalf<Box<dyn Connection>>) {
        let (from, to) = tokio::io::split(self.connection);
        (ReadEnd { from, inbox: self.inbox }, to)
    }
}

/// The direction from the server to us.
#[derive(Debug)]
pub(crate) struct ReadEnd {
    from: ReadHalf<Box<dyn Connection>>,
    inbox: Inbox,
}

impl ReadEnd {
    /// As [`Channel::receive`].
    pub(crate) async fn receive(&mut self) -> Result<Message, ChannelError> {
        self.inbox.receive(&mut self.from).await
    }
}

/// What was read and is no whole message yet.
#[derive(Debug, Default)]
struct Inbox {
    reader: MessageReader,
    unread: BytesMut,
}

impl Inbox {
    /// How many bytes are read at once.
    const READ_SIZE: usize = 4096;

    async fn receive(
        &mut self,
        from: &mut (impl AsyncRead + Unpin),
    ) -> Result<Message, ChannelError> {
        loop {
            let mut input = &self.unread[..];
            let message = self.reader.read(&mut input)?;
            let taken = self.unread.len().saturating_sub(input.len());
            self.unread.advance(taken);
            if let Some(message) = message {
                // A connection that lives for days may carry more keep-alives than are counted.
                self.reader.take_keep_alives();
                return Ok(message);
            }
            self.unread.reserve(Self::READ_SIZE);
            if from.read_buf(&mut self.unread).await? == 0 {
                return Err(ChannelError::Closed);
            }
        }
    }
}

/// Why a channel carries no more messages.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChannelError {
    /// The server closed the connection.
    #[error("closed by the server")]
    Closed,
    /// What the server sent is no SIP, or more than is read.
    #[error("garbage: {0}")]
    Garbage(#[from] FramingError),
    /// The connection broke.
    #[error("connection lost: {0}")]
    Lost(WireText),
}

impl From<std::io::Error> for ChannelError {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::UnexpectedEof => Self::Closed,
            _ => Self::Lost(WireText::new(error.to_string())),
        }
    }
}
