//! What both directions of a session use: the machine, and the way to the server.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncWriteExt, WriteHalf};
use tokio::sync::Notify;
use tokio::time::{timeout, timeout_at};

use crate::channel::ChannelError;
use crate::clock::now;
use crate::now::later;
use crate::sip::Message;
use crate::text::WireText;
use crate::transport::{Connection, ConnectionFacts};
use crate::upkeep::{SendError, SessionError, Step, Upkeep};

/// What both directions use.
pub(super) struct Shared {
    /// Never locked while something is awaited, and always after `outbox` where both are. A mechanism
    /// that asks others in a renewal (Kerberos) holds it as long as that takes.
    upkeep: Mutex<Upkeep>,
    outbox: tokio::sync::Mutex<Outbox>,
    /// Something is due that was not.
    changed: Notify,
    within: Duration,
    pub(super) facts: ConnectionFacts,
}

/// The message that is being written. What a cancelled `send` leaves here goes out before anything
/// else does, so that no message is ever cut.
struct Outbox {
    /// `None` once it is over.
    to: Option<WriteHalf<Box<dyn Connection>>>,
    unsent: Bytes,
    /// Since when it is being written.
    since: Option<Instant>,
}

impl Shared {
    pub(super) fn new(
        to: WriteHalf<Box<dyn Connection>>,
        facts: ConnectionFacts,
        upkeep: Upkeep,
    ) -> Self {
        let within = upkeep.answer_within();
        let outbox = Outbox { to: Some(to), unsent: Bytes::new(), since: None };
        let (upkeep, outbox) = (Mutex::new(upkeep), outbox.into());
        Self { upkeep, outbox, changed: Notify::new(), within, facts }
    }

    pub(super) fn upkeep(&self) -> MutexGuard<'_, Upkeep> {
        // No panic happens inside; and if one did, the worst is a signature that the server refuses.
        self.upkeep.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something is due now that was not before.
    pub(super) fn changed(&self) {
        self.changed.notify_one();
    }

    /// Signs `message` and sends it.
    pub(super) async fn send(&self, message: &Message) -> Result<(), SendError> {
        // Dropped behind the lock, also where this is cancelled.
        let _behind = CloseBehind(self);
        let mut outbox = self.outbox.lock().await;
        self.flush(&mut outbox).await?;
        let signed = self.upkeep().outgoing(message, now())?;
        outbox.put(signed);
        Ok(self.flush(&mut outbox).await?)
    }

    /// Does what is due, until the caller or the end is.
    pub(super) async fn due(&self) -> Step {
        loop {
            let until = match self.attend().await {
                Step::Wait { until } => until,
                step => return step,
            };
            let _ = timeout_at(until.into(), self.changed.notified()).await;
        }
    }

    /// Sends what is due, and nothing overtakes it: what is signed first is sent first.
    async fn attend(&self) -> Step {
        if let Some(end) = self.upkeep().end() {
            return end.clone();
        }
        let mut outbox = self.outbox.lock().await;
        loop {
            // If it fails the machine knows.
            let _ = self.flush(&mut outbox).await;
            let step = self.upkeep().poll_step(now());
            match step {
                Step::Send(bytes) => outbox.put(bytes),
                step => return step,
            }
        }
    }

    /// Writes what is to be written.
    async fn flush(&self, outbox: &mut Outbox) -> Result<(), SessionError> {
        let mut written = outbox.flush(self.within).await;
        if let Err(error) = &written {
            self.upkeep().lose(error.clone());
            self.changed();
        }
        // The first reason counts; it may be that the receiver was dropped meanwhile.
        if let Some(Step::Lost(first)) = self.upkeep().end() {
            outbox.to = None;
            written = written.map_err(|_| first.clone());
        }
        written
    }

    /// Closes the direction to the server in order: the last words have been said, and whether the
    /// goodbye of TLS arrives changes nothing.
    pub(super) async fn shut(&self) {
        let mut outbox = self.outbox.lock().await;
        if let Some(mut to) = outbox.to.take() {
            let _ = timeout(self.within, to.shutdown()).await;
        }
    }

    /// Closes the direction to the server, unless somebody is writing, who then does.
    pub(super) fn close(&self) {
        if let Ok(mut outbox) = self.outbox.try_lock() {
            outbox.to = None;
        }
    }
}

/// Closes what the receiver could not close when it went, because somebody was writing.
struct CloseBehind<'a>(&'a Shared);

impl Drop for CloseBehind<'_> {
    fn drop(&mut self) {
        let is_over = self.0.upkeep().end().is_some();
        if is_over {
            self.0.close();
        }
    }
}

impl Outbox {
    fn put(&mut self, message: Bytes) {
        self.unsent = message;
        self.since = Some(now());
    }

    /// Cancelling loses nothing: the next call goes on.
    async fn flush(&mut self, within: Duration) -> Result<(), SessionError> {
        let Self { to, unsent, since } = self;
        let Some(began) = *since else { return Ok(()) };
        let Some(to) = to else {
            return Err(SessionError::Lost("the connection is closed".into()));
        };
        let written = async {
            while unsent.has_remaining() {
                if to.write_buf(unsent).await? == 0 {
                    return Err(std::io::ErrorKind::WriteZero.into());
                }
            }
            to.flush().await
        };
        let until = later(began, within);
        match timeout_at(until.into(), written).await {
            Ok(Ok(())) => *since = None,
            Ok(Err(error)) => {
                return Err(SessionError::Lost(WireText::printed(&ChannelError::from(error))));
            }
            Err(_) => return Err(SessionError::Lost("it does not read".into())),
        }
        Ok(())
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.upkeep().fmt(f)
    }
}
