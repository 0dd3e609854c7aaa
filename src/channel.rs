//! A connection that carries whole SIP messages.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use futures_util::FutureExt;
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf, ReadHalf, WriteHalf};

use crate::compression::{HeaderLayout, Level, Negotiation, PacketError};
use crate::packed::Packed;
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
    /// Boxed: a channel goes from hand to hand, and each keeps room for it.
    inbox: Box<Inbox>,
}

impl Channel {
    /// Speaks SIP over `connection`.
    pub fn new(connection: Box<dyn Connection>) -> Self {
        Self { connection, inbox: Box::default() }
    }

    /// The same, with everything from here on in packets, both ways.
    pub(crate) fn compressed(self, level: Level, layout: Arc<dyn HeaderLayout>) -> Self {
        let packed = Packed::new(self.connection, level, layout, self.inbox.unread);
        Self::new(Box::new(packed))
    }

    /// The same, after compression was asked for in vain. If the server agrees to it after all, too
    /// late, nothing that it sends then can be understood.
    pub(crate) fn uncompressed(mut self, asked: Negotiation) -> Self {
        self.inbox.asked = Some(Box::new(asked));
        self
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
        let Self { connection, inbox } = self;
        poll_fn(|cx| inbox.poll_receive(connection, cx)).await
    }

    /// Whether the connection is known to be over, without waiting. What came before is kept for
    /// [`receive`](Self::receive).
    pub(crate) fn is_closed(&mut self) -> bool {
        let Self { connection, inbox } = self;
        while inbox.unread.len() < Inbox::READ_SIZE {
            match poll_fn(|cx| inbox.poll_read(connection, cx)).now_or_never() {
                Some(Ok(0) | Err(_)) => return true,
                Some(Ok(_)) => {}
                None => return false,
            }
        }
        false
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
    inbox: Box<Inbox>,
}

impl ReadEnd {
    /// As [`Channel::receive`].
    pub(crate) async fn receive(&mut self) -> Result<Message, ChannelError> {
        let Self { from, inbox } = self;
        poll_fn(|cx| inbox.poll_receive(from, cx)).await
    }
}

/// What was read and is no whole message yet.
#[derive(Debug, Default)]
struct Inbox {
    reader: MessageReader,
    unread: BytesMut,
    /// The question for compression that was not answered with yes.
    asked: Option<Box<Negotiation>>,
}

impl Inbox {
    /// How many bytes are read at once.
    const READ_SIZE: usize = 4096;

    /// Waits for the next whole message, without room for one.
    fn poll_receive(
        &mut self,
        from: &mut (impl AsyncRead + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<Result<Message, ChannelError>> {
        loop {
            if let Some(message) = self.take()? {
                return Poll::Ready(Ok(message));
            }
            if ready!(self.poll_read(from, cx))? == 0 {
                return Poll::Ready(Err(ChannelError::Closed));
            }
        }
    }

    /// The next message, once all of it was read.
    fn take(&mut self) -> Result<Option<Message>, ChannelError> {
        let mut input = &self.unread[..];
        let message = self.reader.read(&mut input)?;
        let taken = self.unread.len().saturating_sub(input.len());
        self.unread.advance(taken);
        if self.unread.is_empty() {
            // A session is idle most of its life, and then holds no buffer.
            self.unread = BytesMut::new();
        }
        if let Some(message) = &message {
            if self.asked.as_ref().is_some_and(|asked| asked.is_late_yes(message)) {
                return Err(ChannelError::LateCompression);
            }
            self.reader.take_keep_alives();
        }
        Ok(message)
    }

    /// Waits for bytes without a buffer to keep them in; there is one once they have come.
    fn poll_read(
        &mut self,
        from: &mut (impl AsyncRead + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let mut room = [MaybeUninit::uninit(); Self::READ_SIZE];
        let mut came = ReadBuf::uninit(&mut room);
        let Poll::Ready(read) = Pin::new(from).poll_read(cx, &mut came) else {
            // A connection that lives for days carries more keep-alives than are taken on end;
            // only those without a pause are a flood.
            self.reader.take_keep_alives();
            return Poll::Pending;
        };
        read?;
        self.unread.extend_from_slice(came.filled());
        Poll::Ready(Ok(came.filled().len()))
    }
}

/// Why a channel carries no more messages.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChannelError {
    /// The server closed the connection.
    #[error("closed by the server")]
    Closed,
    /// The server sent a packet that cannot be, or whose flags contradict each other.
    #[error("corrupt packet: {0}")]
    Corrupt(PacketError),
    /// What the server sent is no SIP, or more than is read.
    #[error("garbage: {0}")]
    Garbage(#[from] FramingError),
    /// The server agreed to compression when we no longer waited for its answer: from there on it
    /// sends packets, and we do not.
    #[error("the server agreed to compression too late")]
    LateCompression,
    /// The connection broke.
    #[error("connection lost: {0}")]
    Lost(WireText),
}

impl ChannelError {
    /// What the server did wrong; `None` where it is only gone.
    pub(crate) fn garbage(&self) -> Option<WireText> {
        match self {
            Self::Garbage(why) => Some(WireText::printed(why)),
            Self::Corrupt(_) | Self::LateCompression => Some(WireText::printed(self)),
            Self::Closed | Self::Lost(_) => None,
        }
    }
}

impl From<io::Error> for ChannelError {
    fn from(error: io::Error) -> Self {
        if let Some(&error) = error.get_ref().and_then(|inner| inner.downcast_ref()) {
            return Self::Corrupt(error);
        }
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Closed,
            _ => Self::Lost(WireText::new(error.to_string())),
        }
    }
}
