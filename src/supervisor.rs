//! Stays signed in: signs in above [`Client`], and again whenever the session is lost.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;

use crate::address::SipAddress;
use crate::back_off::BackOff;
use crate::client::{Client, SignedIn};
use crate::clock::now;
use crate::credentials::CredentialSource;
use crate::discovery::{LastServer, Trace};
use crate::failure::SignInFailure;
use crate::random::RandomError;
use crate::session::{Received, SessionReceiver, SessionSender};
use crate::upkeep::SessionError;

/// Keeps a user signed in, for as long as the caller asks it for events.
///
/// Nothing is spawned: signing in, waiting, and the session's own refreshing and keeping alive go on
/// while [`next`](Self::next) is polled, and only then. Dropping the supervisor drops all of it.
///
/// Between two attempts it waits as [`BackOff`] says, with the identity of the device for its seed.
/// It never tries again by itself what waiting does not mend: a rejected password is sent once. Then
/// the event says `again: None`, and it is for the caller to change something and to begin anew.
///
/// The server that had the user is tried first, as with [`Client::remembering`], after a session
/// that was a success and was only lost or forgotten. If that fails, or if it was the server that
/// would not have the user any more, the next attempt searches anew.
///
/// ```
/// # #[cfg(all(feature = "lab", feature = "ntlm"))]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use sip_signin::auth::Credentials;
/// use sip_signin::lab::Lab;
/// use sip_signin::{FixedCredentials, Supervisor, SupervisorEvent};
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// # runtime.block_on(async {
/// let lab = Lab::ordinary("contoso.com")
///     .account(r"CONTOSO\jeremy", "Passw0rd!", "sip:jeremy@contoso.com")
///     .start()
///     .await?;
/// let source = FixedCredentials::new(Credentials::new(r"CONTOSO\jeremy".parse()?, "Passw0rd!"));
/// let client = lab.client().build();
/// let mut supervisor = Supervisor::new(&client, "sip:jeremy@contoso.com".parse()?, source)?;
///
/// let mut seen = Vec::new();
/// while let Some(event) = supervisor.next().await {
///     seen.push(match event {
///         SupervisorEvent::SignedIn { sender, .. } => {
///             supervisor.sign_out(); // or stay, and send
///             sender.endpoint().to_string()
///         }
///         SupervisorEvent::Received(received) => format!("{:?}", received.message),
///         SupervisorEvent::Lost { why, again } => format!("lost: {why}; again at {again:?}"),
///         SupervisorEvent::Failed { why, again } => format!("failed: {why}; again at {again:?}"),
///         other => format!("{other:?}"),
///     });
/// }
/// assert_eq!(seen, ["tls pool01.contoso.com:5061", "SignedOut"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })
/// # }
/// # #[cfg(not(all(feature = "lab", feature = "ntlm")))]
/// # fn main() {}
/// ```
pub struct Supervisor {
    client: Client,
    address: SipAddress,
    source: Arc<dyn CredentialSource>,
    back_off: BackOff,
    state: State,
}

enum State {
    /// Before the next attempt.
    Waiting {
        until: Instant,
    },
    SigningIn(BoxFuture<'static, Result<SignedIn, SignInFailure>>),
    Up {
        sender: SessionSender,
        receiver: Box<SessionReceiver>,
        since: Instant,
    },
    Over,
}

/// What happened to a user who is kept signed in.
#[derive(Debug)]
#[non_exhaustive]
pub enum SupervisorEvent {
    /// A session has begun. What was said in the one before, dialogs and subscriptions, is gone.
    SignedIn {
        /// Sends messages, for as long as this session lasts, and knows the server and the binding.
        sender: SessionSender,
        /// How the server was found: the search, then a trace for each redirect that was followed.
        traces: Vec<Trace>,
        /// What to keep for the next program, as [`SignedIn::last_server`] tells it.
        last_server: Option<LastServer>,
    },
    /// The session brought a message.
    Received(Received),
    /// Somebody signed out, and the server let us go. Nothing follows.
    SignedOut,
    /// The session is over, and not because the server let us go.
    Lost {
        /// Whose fault it is, what, and what to do.
        why: SessionError,
        /// When the supervisor signs in again; `None` when it does not, and nothing follows.
        again: Option<Instant>,
    },
    /// An attempt to sign in failed.
    Failed {
        /// Whose fault it is, what, and what to do.
        why: Box<SignInFailure>,
        /// When the next one begins; `None` when there is none, and nothing follows.
        again: Option<Instant>,
    },
}

impl Supervisor {
    /// Keeps `address` signed in through `client`, with the credentials that `source` gives whenever
    /// it is asked. The first attempt begins with the first call of [`next`](Self::next), at once.
    ///
    /// All attempts are of one device: the client's [own](crate::ClientBuilder::epid), or else a
    /// random one, so that the server replaces the binding that was lost.
    ///
    /// # Errors
    /// [`RandomError`] when the client has no identity and chance gives none.
    pub fn new(
        client: &Client,
        address: SipAddress,
        source: impl CredentialSource + 'static,
    ) -> Result<Self, RandomError> {
        let (client, epid) = client.as_one_device()?;
        let back_off = BackOff::of(&epid);
        let state = State::Waiting { until: now() };
        Ok(Self { client, address, source: Arc::new(source), back_off, state })
    }

    /// Waits by this between attempts, instead of by [`BackOff::of`] the device.
    #[must_use]
    pub fn back_off(self, back_off: BackOff) -> Self {
        Self { back_off, ..self }
    }

    /// What happens next; `None` when nothing will, because the last event said so.
    ///
    /// May be cancelled: what was under way goes on where it was with the next call, and no event is
    /// lost.
    pub async fn next(&mut self) -> Option<SupervisorEvent> {
        loop {
            match &mut self.state {
                State::Waiting { until } => {
                    tokio::time::sleep_until((*until).into()).await;
                    self.state = State::SigningIn(self.attempt());
                }
                State::SigningIn(attempt) => match attempt.await {
                    Ok(signed_in) => return Some(self.begin(signed_in)),
                    Err(failure) => {
                        let wait = self.back_off.failed(failure.retry(), failure.retry_after());
                        self.client = self.client.remembering(None);
                        let (why, again) = (Box::new(failure), self.wait(wait));
                        return Some(SupervisorEvent::Failed { why, again });
                    }
                },
                State::Up { sender, receiver, since } => match receiver.receive().await {
                    Ok(Some(received)) => return Some(SupervisorEvent::Received(received)),
                    Ok(None) => {
                        self.state = State::Over;
                        return Some(SupervisorEvent::SignedOut);
                    }
                    Err(why) => {
                        let lived = now().saturating_duration_since(*since);
                        let wait = match sender.is_leaving() {
                            true => None,
                            false => self.back_off.lost(lived, why.retry(), why.retry_after()),
                        };
                        let only_lost =
                            matches!(why, SessionError::Forgotten | SessionError::Lost(_));
                        if !only_lost || self.back_off.failures() > 0 {
                            self.client = self.client.remembering(None);
                        }
                        let again = self.wait(wait);
                        return Some(SupervisorEvent::Lost { why, again });
                    }
                },
                State::Over => return None,
            }
        }
    }

    /// Signs out: the session says so to the server, and the next event is its last. Where there is
    /// no session, an attempt or a wait is given up, and no event follows.
    ///
    /// A [`SessionSender`] may do it too, while its session lasts; one of an earlier session ends
    /// nothing. The supervisor never signs in again after that.
    pub fn sign_out(&mut self) {
        match &self.state {
            State::Up { sender, .. } => sender.sign_out(),
            _ => self.state = State::Over,
        }
    }

    /// A session, both ends of it.
    fn begin(&mut self, signed_in: SignedIn) -> SupervisorEvent {
        let last_server = signed_in.last_server();
        self.client = self.client.remembering(last_server.clone());
        let SignedIn { session, trace, redirects, .. } = signed_in;
        let (sender, receiver) = session.asking(Arc::clone(&self.source)).split();
        self.state =
            State::Up { sender: sender.clone(), receiver: Box::new(receiver), since: now() };
        let traces = std::iter::once(trace).chain(redirects).collect();
        SupervisorEvent::SignedIn { sender, traces, last_server }
    }

    /// One attempt, which holds all that it needs, so that it outlives a call that is cancelled.
    fn attempt(&self) -> BoxFuture<'static, Result<SignedIn, SignInFailure>> {
        let (client, address) = (self.client.clone(), self.address.clone());
        let source = Arc::clone(&self.source);
        Box::pin(async move { client.sign_in(&address, &*source).await })
    }

    /// Waits for so long, or for ever; says until when.
    fn wait(&mut self, wait: Option<Duration>) -> Option<Instant> {
        let until = wait.and_then(|wait| now().checked_add(wait));
        self.state = until.map_or(State::Over, |until| State::Waiting { until });
        until
    }
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Waiting { .. } => "waiting",
            State::SigningIn(_) => "signing in",
            State::Up { .. } => "signed in",
            State::Over => "over",
        };
        let mut shown = f.debug_struct("Supervisor");
        shown.field("address", &self.address).field("state", &state);
        shown.field("back_off", &self.back_off).finish_non_exhaustive()
    }
}
