//! The driver of a session: the signed-in connection as a value.
//!
//! It has no rules of its own, those are [`Upkeep`]'s, and spawns nothing: everything happens inside
//! the futures that the caller polls.

use std::fmt;
use std::future::pending;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use futures_util::future::{BoxFuture, Either, select};

use crate::auth::{Credentials, Protection, Version};
use crate::channel::{Channel, ChannelError, ReadEnd};
use crate::clock::{moment, now};
use crate::credentials::CredentialSource;
use crate::discovery::Endpoint;
use crate::sign_in::Registration;
use crate::sip::Message;
use crate::text::WireText;
use crate::transport::ConnectionFacts;
use crate::upkeep::{Heard, SendError, SessionError, Step, Upkeep};

mod wire;

use wire::Shared;

/// A connection that is signed in. Whole SIP messages go in and out; each is signed when it goes,
/// and verified when it comes, so that any SIP stack fits on top.
///
/// **It lives while it is polled.** Keep-alives, the refresh of the binding and the renewal of the
/// security association happen inside [`receive`](Self::receive), and nowhere else: a program that
/// stops calling it is signed out by the server some time later. Nothing is spawned.
///
/// What the server asks (OPTIONS, INVITE, MESSAGE, NOTIFY) comes out of `receive` and is the caller's
/// to answer. Messages that are not signed as they must be do not come out: see
/// [`Upkeep::receive`]. Nothing is queued: what is not received waits in the network, and one message
/// is no longer than [`sip::Limits`](crate::sip::Limits) say.
///
/// Dropping it closes the connection, without a word to the server; [`sign_out`](Self::sign_out)
/// says goodbye first.
///
/// ```
/// # #[cfg(all(feature = "lab", feature = "ntlm"))]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use sip_signin::auth::Credentials;
/// use sip_signin::lab::Lab;
/// use sip_signin::FixedCredentials;
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// # runtime.block_on(async {
/// let lab = Lab::ordinary("contoso.com")
///     .account(r"CONTOSO\jeremy", "Passw0rd!", "sip:jeremy@contoso.com")
///     .start()
///     .await?;
/// let source = FixedCredentials::new(Credentials::new(r"CONTOSO\jeremy".parse()?, "Passw0rd!"));
/// let client = lab.client().build();
/// let signed_in = client.sign_in(&"sip:jeremy@contoso.com".parse()?, &source).await?;
/// let mut session = signed_in.session;
///
/// session.send("OPTIONS sip:contoso.com SIP/2.0\r\n\
///     Via: SIP/2.0/TLS 192.0.2.7:1;branch=z9hG4bK1\r\n\
///     From: <sip:jeremy@contoso.com>;tag=1\r\nTo: <sip:contoso.com>\r\n\
///     Call-ID: 1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n".into()).await?;
/// let received = session.receive().await?.expect("nobody signs out");
/// assert_eq!(received.message.headers().call_id().as_deref(), Some("1"));
/// session.sign_out().await?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })
/// # }
/// # #[cfg(not(all(feature = "lab", feature = "ntlm")))]
/// # fn main() {}
/// ```
#[derive(Debug)]
pub struct Session {
    sender: SessionSender,
    receiver: SessionReceiver,
}

/// The direction to the server. Clones send over the same connection; what is signed first is sent
/// first.
#[derive(Clone, Debug)]
pub struct SessionSender {
    shared: Arc<Shared>,
}

/// The direction from the server, and everything that keeps the session alive. There is one; when it
/// is dropped the connection is closed.
pub struct SessionReceiver {
    shared: Arc<Shared>,
    /// `None` once it is over.
    from: Option<ReadEnd>,
    source: Option<Arc<dyn CredentialSource>>,
    /// Somebody is looking for credentials. Never locked: the lock lets `&Session` cross threads,
    /// which a future alone would not.
    asked: Mutex<Asked>,
}

/// A message of the server's to the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Received {
    /// The message, as it came.
    pub message: Message,
    /// Whether the server signed it: see [`Upkeep::receive`] for what comes unsigned.
    pub protection: Protection,
}

impl Session {
    /// A session over `channel`, on which the sign-in of `upkeep` took place.
    ///
    /// [`Client::sign_in`](crate::Client::sign_in) makes them; this is for other drivers.
    pub fn new(channel: Channel, upkeep: Upkeep) -> Self {
        let facts = channel.facts().clone();
        let (from, to) = channel.split();
        let shared = Arc::new(Shared::new(to, facts, upkeep));
        let sender = SessionSender { shared: Arc::clone(&shared) };
        let receiver =
            SessionReceiver { shared, from: Some(from), source: None, asked: Mutex::default() };
        Self { sender, receiver }
    }

    /// The same, with somebody who knows the password when the security association is renewed and
    /// the one that was used is not known or not believed any more. Without one, that ends it. It
    /// hears what became of what it gave, and that what let us in is not believed any more.
    #[must_use]
    pub fn asking(mut self, source: Arc<dyn CredentialSource>) -> Self {
        self.receiver.source = Some(source);
        self
    }

    /// Sends a whole SIP message, a request or a response; see [`SessionSender::send`].
    ///
    /// # Errors
    /// [`SendError`] when it is no SIP message or the session is over.
    pub async fn send(&self, message: Bytes) -> Result<(), SendError> {
        self.sender.send(message).await
    }

    /// Waits for the next message to the caller; see [`SessionReceiver::receive`].
    ///
    /// # Errors
    /// [`SessionError`] when it is over.
    pub async fn receive(&mut self) -> Result<Option<Received>, SessionError> {
        self.receiver.receive().await
    }

    /// Signs out; see [`SessionReceiver::sign_out`].
    ///
    /// # Errors
    /// [`SessionError`] when the server did not say that it let us go.
    pub async fn sign_out(self) -> Result<(), SessionError> {
        self.receiver.sign_out().await
    }

    /// Both directions, for two tasks.
    pub fn split(self) -> (SessionSender, SessionReceiver) {
        (self.sender, self.receiver)
    }

    /// Another sender, while this one goes on receiving.
    pub fn sender(&self) -> SessionSender {
        self.sender.clone()
    }

    /// The server.
    pub fn endpoint(&self) -> Endpoint {
        self.sender.endpoint()
    }

    /// What is known about the connection.
    pub fn facts(&self) -> &ConnectionFacts {
        &self.sender.shared.facts
    }

    /// The binding as the server last said it: Contact, GRUU, how long it was granted, what the
    /// server says it is, and how we proved who we are.
    pub fn registration(&self) -> Registration {
        self.sender.registration()
    }

    /// When the binding ends unless it is refreshed.
    pub fn expires_at(&self) -> Instant {
        self.sender.expires_at()
    }

    /// The version of the security association; `None` with Digest, which has none.
    pub fn version(&self) -> Option<Version> {
        self.sender.version()
    }
}

impl SessionSender {
    /// Sends a whole SIP message, a request or a response, with the header field that proves who
    /// sends it. Nothing else of it is changed: Via, Contact and all the rest are the caller's.
    ///
    /// It may take as long as the server may take to answer, for each message that is being sent
    /// before it. Cancelling is safe: the message goes out as a whole or not at all. It goes out also
    /// while nobody receives. Poll it to its end or drop it: one that is kept and not polled may keep
    /// all others waiting, those of the session itself too.
    ///
    /// # Errors
    /// [`SendError`] when it is no SIP message or cannot be signed: then nothing was sent, and the
    /// session goes on. Or when the session is over.
    pub async fn send(&self, message: Bytes) -> Result<(), SendError> {
        let message = Message::parse(message).map_err(SendError::NotSip)?;
        self.shared.send(&message).await
    }

    /// Has the binding refreshed at once, the next time that somebody receives: after the machine has
    /// slept, say.
    pub fn refresh(&self) {
        self.shared.upkeep().refresh(now());
        self.shared.changed();
    }

    /// Has the receiver sign out: it says so to the server, and then answers `None`.
    pub fn sign_out(&self) {
        self.shared.upkeep().sign_out();
        self.shared.changed();
    }

    /// Whether somebody has signed out, although the server may not have said yes.
    pub fn is_leaving(&self) -> bool {
        self.shared.upkeep().is_leaving()
    }

    /// The server.
    pub fn endpoint(&self) -> Endpoint {
        self.shared.upkeep().server().endpoint.clone()
    }

    /// As [`Session::registration`].
    pub fn registration(&self) -> Registration {
        self.shared.upkeep().registration().clone()
    }

    /// As [`Session::expires_at`].
    pub fn expires_at(&self) -> Instant {
        self.shared.upkeep().expires_at()
    }

    /// As [`Session::version`].
    pub fn version(&self) -> Option<Version> {
        Some(self.shared.upkeep().association()?.version())
    }
}

/// What woke the receiver.
enum Event {
    Due(Step),
    Came(Result<Message, ChannelError>),
    Supplied(Option<Credentials>),
    Told,
}

impl SessionReceiver {
    /// Waits for the next message to the caller, and keeps the session alive meanwhile; `None` when
    /// somebody signed out and it is over. Cancelling loses nothing.
    ///
    /// # Errors
    /// [`SessionError`] when it is over in any other way, and every time after that.
    pub async fn receive(&mut self) -> Result<Option<Received>, SessionError> {
        let lost = loop {
            self.tell();
            match self.event().await {
                Event::Came(Ok(message)) => {
                    let heard = self.shared.upkeep().receive(&message, moment());
                    if let Heard::Yours(protection) = heard {
                        return Ok(Some(Received { message, protection }));
                    }
                }
                Event::Came(Err(error)) => self.shared.upkeep().lose(match error.garbage() {
                    Some(why) => SessionError::Garbage(why),
                    None => SessionError::Lost(WireText::printed(&error)),
                }),
                Event::Supplied(credentials) => {
                    self.asked().asking = None;
                    self.shared.upkeep().supply(credentials, moment());
                }
                Event::Due(Step::AskCredentials(request)) => match self.source.clone() {
                    Some(source) => {
                        self.asked().asking =
                            Some(Box::pin(async move { source.credentials(&request).await }));
                    }
                    None => self.shared.upkeep().supply(None, moment()),
                },
                Event::Told => self.asked().telling = None,
                Event::Due(Step::SignedOut) => break None,
                Event::Due(Step::Lost(error)) => break Some(error),
                Event::Due(Step::Send(_) | Step::Wait { .. }) => {}
            }
        };
        self.end().await;
        lost.map_or(Ok(None), Err)
    }

    /// Takes the binding back, waits until the server has said that it is gone, and closes the
    /// connection. Messages that come meanwhile are dropped.
    ///
    /// # Errors
    /// [`SessionError`] when the server did not say so in time, or was lost before.
    pub async fn sign_out(mut self) -> Result<(), SessionError> {
        self.shared.upkeep().sign_out();
        while self.receive().await?.is_some() {}
        Ok(())
    }

    fn asked(&mut self) -> &mut Asked {
        self.asked.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to tell the source what became of its credentials, unless it is being told already.
    fn tell(&mut self) {
        if self.asked().telling.is_some() {
            return;
        }
        let Some(source) = self.source.clone() else { return };
        let mut upkeep = self.shared.upkeep();
        let Some((credentials, verdict)) = upkeep.judged() else { return };
        let address = upkeep.address().clone();
        drop(upkeep);
        self.asked().telling = Some(Box::pin(async move {
            source.judged(&address, &credentials, verdict).await;
        }));
    }

    /// What is due comes first, so that a talkative server starves nothing.
    async fn event(&mut self) -> Event {
        if self.shared.upkeep().is_leaving() {
            self.asked().asking = None;
        }
        let due = pin!(self.shared.due());
        let Asked { telling, asking } =
            self.asked.get_mut().unwrap_or_else(PoisonError::into_inner);
        let supplied = pin!(async {
            match (telling, asking) {
                (Some(telling), _) => {
                    telling.await;
                    Event::Told
                }
                (None, Some(asking)) => Event::Supplied(asking.await),
                (None, None) => pending().await,
            }
        });
        let from = &mut self.from;
        let came = pin!(async {
            match from {
                Some(from) => from.receive().await,
                None => pending().await,
            }
        });
        match select(due, select(supplied, came)).await {
            Either::Left((step, _)) => Event::Due(step),
            Either::Right((Either::Left((event, _)), _)) => event,
            Either::Right((Either::Right((message, _)), _)) => Event::Came(message),
        }
    }

    /// Closes the connection, although senders may still be there.
    async fn end(&mut self) {
        self.from = None;
        self.asked().asking = None;
        self.shared.shut().await;
        self.tell();
        while let Some(telling) = &mut self.asked().telling {
            telling.await;
            self.asked().telling = None;
            self.tell();
        }
    }
}

/// What is under way with the source, and goes on where it was although a `receive` is cancelled. It
/// is told before it is asked again.
#[derive(Default)]
struct Asked {
    telling: Option<BoxFuture<'static, ()>>,
    asking: Option<BoxFuture<'static, Option<Credentials>>>,
}

impl Drop for SessionReceiver {
    fn drop(&mut self) {
        self.shared.upkeep().lose(SessionError::Lost("nobody receives any more".into()));
        self.shared.close();
    }
}

impl fmt::Debug for SessionReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SessionReceiver").field(&self.shared).finish()
    }
}
