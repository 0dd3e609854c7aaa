//! What the servers saw: proof of what a client sent, and of what it never sent.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Lab;

/// One connection, as the server saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Seen {
    /// The host of the server.
    pub host: String,
    /// The published address that the connection was meant for.
    pub address: SocketAddr,
    /// The name in the client's SNI extension, when a handshake was completed.
    pub server_name: Option<String>,
    /// Whether a TLS handshake was completed, which a client does only after it has accepted the
    /// certificate.
    pub handshake: bool,
    /// Whether that handshake resumed a session, which the client got under the same server name.
    pub resumed: bool,
    /// What came, as it was on the wire: the first [`Seen::LIMIT`] bytes.
    pub wire: Vec<u8>,
    /// What came as text of SIP, deciphered where TLS was spoken: the first [`Seen::LIMIT`] bytes.
    pub sip: Vec<u8>,
    /// How many empty lines stood in front of messages: a keep-alive is two of them.
    pub empty_lines: usize,
    /// How many messages the client signed, and signed rightly.
    pub signed: usize,
    /// Whether the connection is over.
    pub closed: bool,
}

impl Seen {
    /// How many bytes of each kind are kept.
    pub const LIMIT: usize = 64 * 1024;

    /// Whether the client sent anything that was not TLS.
    pub fn in_clear(&self) -> bool {
        // RFC 8446 section 5.1: a record begins with its type; the first one of a client is a
        // handshake record, 22.
        self.wire.first().is_some_and(|&first| first != 22)
    }
}

/// A list that the lab's tasks write and the caller reads: the first [`Lab::LOG_LIMIT`]
/// entries.
pub(super) struct Log<T>(Arc<Mutex<Vec<T>>>);

impl<T> Clone for Log<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for Log<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: Clone> Log<T> {
    pub(super) fn all(&self) -> Vec<T> {
        self.lock().clone()
    }

    /// Adds an entry and says where it stands; `None` where there is no room for it.
    pub(super) fn push(&self, entry: T) -> Option<usize> {
        let mut entries = self.lock();
        let at = entries.len();
        (at < Lab::LOG_LIMIT).then(|| {
            entries.push(entry);
            at
        })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<T>> {
        // A list of whole entries has no state that a panic could have left half-changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection being written down; dropping it writes down the end.
pub(super) struct Note {
    log: Log<Seen>,
    at: Option<usize>,
}

impl Note {
    /// Begins to write down a new connection.
    pub(super) fn new(log: &Log<Seen>, host: &str, address: SocketAddr) -> Self {
        let at = log.push(Seen {
            host: host.into(),
            address,
            server_name: None,
            handshake: false,
            resumed: false,
            wire: Vec::new(),
            sip: Vec::new(),
            empty_lines: 0,
            signed: 0,
            closed: false,
        });
        Self { log: log.clone(), at }
    }

    pub(super) fn handshake(&self, server_name: Option<&str>, resumed: bool) {
        self.change(|seen| {
            seen.handshake = true;
            seen.resumed = resumed;
            seen.server_name = server_name.map(Into::into);
        });
    }

    pub(super) fn sip(&self, bytes: &[u8]) {
        self.change(|seen| keep(&mut seen.sip, bytes));
    }

    pub(super) fn empty_lines(&self, count: usize) {
        self.change(|seen| seen.empty_lines = seen.empty_lines.saturating_add(count));
    }

    pub(super) fn signed(&self, rightly: bool) {
        self.change(|seen| seen.signed = seen.signed.saturating_add(rightly.into()));
    }

    fn change(&self, change: impl FnOnce(&mut Seen)) {
        if let Some(at) = self.at
            && let Some(seen) = self.log.lock().get_mut(at)
        {
            change(seen);
        }
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        self.change(|seen| seen.closed = true);
    }
}

fn keep(kept: &mut Vec<u8>, bytes: &[u8]) {
    let room = Seen::LIMIT.saturating_sub(kept.len());
    kept.extend(bytes.iter().take(room));
}

/// A stream whose incoming bytes are written down as they are on the wire.
pub(super) struct Tap<'a, S> {
    pub(super) stream: S,
    pub(super) note: &'a Note,
}

impl<S: AsyncRead + Unpin> AsyncRead for Tap<'_, S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        let came = buf.filled().get(before..).unwrap_or_default();
        if !came.is_empty() {
            self.note.change(|seen| keep(&mut seen.wire, came));
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tap<'_, S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_there_is_no_room_for_is_not_written_down() {
        let (log, address) = (Log::default(), SocketAddr::from(([192, 0, 2, 10], 5061)));
        for _ in 0..=Lab::LOG_LIMIT {
            Note::new(&log, "pool01.contoso.com", address).sip(b"x");
        }
        let all = log.all();
        assert_eq!(all.len(), Lab::LOG_LIMIT);
        assert!(all.iter().all(|seen| seen.closed && seen.sip == b"x"));
    }
}
