//! Which mechanisms a client uses, in its order, and one of them at work.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use crate::auth::{
    Association, AssociationError, Authorization, Identity, MechanismErrorKind, MechanismProvider,
    Protection,
};
#[cfg(feature = "digest")]
use crate::auth::{Digest, DigestAlgorithm, DigestError};
use crate::discovery::Protocol;
use crate::now::Now;
use crate::random::Random;
#[cfg(feature = "digest")]
use crate::sip::Request;
use crate::sip::{Challenge, Challenger, Message, Scheme};
use crate::text::WireText;

/// The mechanisms of a client, the most preferred first; whatever else a server offers is not
/// answered. Basic never is, and over clear text only NTLM and Kerberos are.
///
/// The default is Kerberos, NTLM, then Digest with SHA-256, as far as their features are there. MD5 is
/// used only where a caller asks for it. Kerberos (feature `kerberos`) asks the system for its tickets,
/// and may wait for that; all others are pure.
///
/// ```
/// use sip_signin::sign_in::Mechanisms;
/// # #[cfg(all(feature = "digest", feature = "ntlm", not(feature = "kerberos")))] {
/// use sip_signin::auth::DigestAlgorithm;
/// assert_eq!(format!("{:?}", Mechanisms::default()), "[NTLM, Digest SHA-256]");
/// let old = Mechanisms::default().then_digest(DigestAlgorithm::Md5);
/// assert_eq!(format!("{old:?}"), "[NTLM, Digest SHA-256, Digest MD5]");
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct Mechanisms(Vec<Method>);

/// One of them.
#[derive(Clone)]
pub(super) enum Method {
    Provider(Arc<dyn MechanismProvider>),
    #[cfg(feature = "digest")]
    Digest(DigestAlgorithm),
}

impl Mechanisms {
    /// None at all.
    pub fn none() -> Self {
        Self(Vec::new())
    }

    /// These, and `provider` before them.
    pub fn first(mut self, provider: impl MechanismProvider + 'static) -> Self {
        self.0.insert(0, Method::Provider(Arc::new(provider)));
        self
    }

    /// These, and `provider` behind them.
    pub fn then(mut self, provider: impl MechanismProvider + 'static) -> Self {
        self.0.push(Method::Provider(Arc::new(provider)));
        self
    }

    /// These, and Digest with this hash behind them.
    #[cfg(feature = "digest")]
    pub fn then_digest(mut self, algorithm: DigestAlgorithm) -> Self {
        self.0.push(Method::Digest(algorithm));
        self
    }

    /// Whether one of these may answer one of `challenges` over `protocol`.
    pub fn answer_any(&self, challenges: &[Challenge], protocol: Protocol) -> bool {
        self.over(protocol).any(|(_, method)| challenges.iter().any(|c| method.answers(c)))
    }

    pub(super) fn get(&self, at: usize) -> Option<&Method> {
        self.0.get(at)
    }

    /// Those that may be used over `protocol`, with their places.
    pub(super) fn over(&self, protocol: Protocol) -> impl Iterator<Item = (usize, &Method)> {
        self.0.iter().enumerate().filter(move |(_, method)| match method.scheme() {
            Scheme::Basic => false,
            Scheme::Kerberos | Scheme::Ntlm => true,
            _ => protocol == Protocol::Tls,
        })
    }
}

impl Default for Mechanisms {
    fn default() -> Self {
        let mechanisms = Self::none();
        #[cfg(all(unix, feature = "kerberos"))]
        let mechanisms = mechanisms.then(crate::kerberos::Kerberos::new());
        #[cfg(feature = "ntlm")]
        let mechanisms = mechanisms.then(crate::auth::Ntlm::new());
        #[cfg(feature = "digest")]
        let mechanisms = mechanisms.then_digest(DigestAlgorithm::Sha256);
        mechanisms
    }
}

impl fmt::Debug for Mechanisms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.0).finish()
    }
}

impl fmt::Debug for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Provider(provider) => write!(f, "{}", provider.scheme()),
            #[cfg(feature = "digest")]
            Self::Digest(algorithm) => write!(f, "Digest {algorithm}"),
        }
    }
}

impl Method {
    pub(super) fn scheme(&self) -> Scheme {
        match self {
            Self::Provider(provider) => provider.scheme(),
            #[cfg(feature = "digest")]
            Self::Digest(_) => Scheme::Digest,
        }
    }

    pub(super) fn answers(&self, challenge: &Challenge) -> bool {
        let scheme = *challenge.scheme() == self.scheme();
        match self {
            Self::Provider(_) => scheme,
            #[cfg(feature = "digest")]
            Self::Digest(algorithm) => {
                scheme && DigestAlgorithm::of(challenge).is_ok_and(|asked| asked == *algorithm)
            }
        }
    }

    pub(super) fn takes(&self, identity: Identity<'_>) -> bool {
        match self {
            Self::Provider(provider) => provider.takes(identity),
            #[cfg(feature = "digest")]
            Self::Digest(_) => matches!(identity, Identity::Supplied(_)),
        }
    }

    /// Begins to answer `challenge`.
    pub(super) fn start(
        &self,
        (by, challenge): (Challenger, &Challenge),
        identity: Identity<'_>,
        now: Now,
        random: &dyn Random,
    ) -> Result<Proof, Trouble> {
        match self {
            Self::Provider(provider) => {
                Association::start(challenge, by, &**provider, identity, now, random)
                    .map(|association| Proof::Association(Box::new(association)))
                    .map_err(Trouble::from)
            }
            #[cfg(feature = "digest")]
            Self::Digest(_) => match identity {
                Identity::Supplied(credentials) => Digest::start(challenge, by, credentials)
                    .map(|digest| Proof::Digest(Box::new(digest)))
                    .map_err(|error| WireText::printed(&error).into()),
                Identity::CurrentUser => Err(WireText::from("it needs a password").into()),
            },
        }
    }

    /// What keeps `challenge` from being answered, whoever answers it.
    pub(super) fn check(&self, challenge: &Challenge) -> Result<(), Trouble> {
        match self {
            Self::Provider(_) => Association::check_first(challenge).map_err(Trouble::from),
            #[cfg(feature = "digest")]
            Self::Digest(_) => {
                Digest::check(challenge).map_err(|error| WireText::printed(&error).into())
            }
        }
    }
}

/// Why a mechanism cannot go on.
pub(crate) struct Trouble {
    pub(super) why: WireText,
    pub(super) kind: Option<MechanismErrorKind>,
}

impl From<WireText> for Trouble {
    fn from(why: WireText) -> Self {
        Self { why, kind: None }
    }
}

impl From<AssociationError> for Trouble {
    fn from(error: AssociationError) -> Self {
        let kind = match &error {
            AssociationError::Mechanism(error) => Some(error.kind().clone()),
            _ => None,
        };
        Self { why: told(&error), kind }
    }
}

/// A mechanism at work with one server.
pub(crate) enum Proof {
    Association(Box<Association>),
    #[cfg(feature = "digest")]
    Digest(Box<Digest>),
}

/// An error and what caused it: the library that knows tickets says most in the cause.
fn told(error: &dyn Error) -> WireText {
    match error.source() {
        Some(cause) => WireText::printed(&format_args!("{error}: {cause}")),
        None => WireText::printed(&error),
    }
}

/// Why a further challenge is not answered.
pub(crate) enum Unanswered {
    /// All has been said: the server does not believe it.
    Rejected,
    /// The mechanism cannot go on; another may.
    Failed(Trouble),
}

impl Proof {
    pub(crate) fn authorize(
        &mut self,
        message: &Message,
        random: &dyn Random,
    ) -> Result<Authorization, WireText> {
        match self {
            Self::Association(association) => {
                association.authorize(message, random).map_err(|error| WireText::printed(&error))
            }
            #[cfg(feature = "digest")]
            Self::Digest(digest) => {
                digest.authorize(message, random).map_err(|error| WireText::printed(&error))
            }
        }
    }

    /// The field that a message of the caller's must carry, if any. Digest proves requests, but
    /// neither ACK nor CANCEL (RFC 3261 section 22.1), nor what the caller has proved itself.
    pub(crate) fn pass(
        &mut self,
        message: &Message,
        random: &dyn Random,
    ) -> Result<Option<Authorization>, WireText> {
        match self {
            Self::Association(_) => self.authorize(message, random).map(Some),
            #[cfg(feature = "digest")]
            Self::Digest(digest) => match message {
                Message::Request(request) if needs_digest(request) => digest
                    .authorize_in_passing(message, random)
                    .map(Some)
                    .map_err(|error| WireText::printed(&error)),
                _ => Ok(None),
            },
        }
    }

    /// The security association, if it is one.
    pub(crate) fn association(&self) -> Option<&Association> {
        match self {
            Self::Association(association) => Some(association),
            #[cfg(feature = "digest")]
            Self::Digest(_) => None,
        }
    }

    /// Who asked for it.
    pub(crate) fn by(&self) -> Challenger {
        match self {
            Self::Association(association) => association.by(),
            #[cfg(feature = "digest")]
            Self::Digest(digest) => digest.by(),
        }
    }

    /// Which accounts it is about.
    pub(super) fn realm(&self) -> &str {
        match self {
            Self::Association(association) => association.realm(),
            #[cfg(feature = "digest")]
            Self::Digest(digest) => digest.realm(),
        }
    }

    /// Whether the server has been given all that it needs to believe us.
    pub(super) fn is_complete(&self) -> bool {
        match self {
            Self::Association(association) => association.is_up(),
            #[cfg(feature = "digest")]
            Self::Digest(_) => true,
        }
    }

    /// Whether what the server sends from now on must be signed.
    pub(crate) fn is_signed(&self) -> bool {
        matches!(self, Self::Association(_))
    }

    /// Takes a further challenge.
    ///
    /// NTLM begins with an empty token, which proves nothing; every other mechanism has spoken by
    /// then, so that a challenge without a token for it is a no.
    pub(crate) fn challenged(
        &mut self,
        challenge: &Challenge,
        now: Now,
        random: &dyn Random,
    ) -> Result<(), Unanswered> {
        match self {
            Self::Association(association) => {
                let spoken = *association.scheme() != Scheme::Ntlm || association.is_up();
                if spoken && challenge.gssapi_data().is_none_or(str::is_empty) {
                    return Err(Unanswered::Rejected);
                }
                association.challenged(challenge, now, random).map_err(|error| match error {
                    AssociationError::Rejected => Unanswered::Rejected,
                    _ if association.is_up() => Unanswered::Rejected,
                    error => Unanswered::Failed(error.into()),
                })
            }
            #[cfg(feature = "digest")]
            Self::Digest(digest) => digest.challenged(challenge).map_err(|error| match error {
                DigestError::Missing(_) | DigestError::Qop(_) => {
                    Unanswered::Failed(WireText::printed(&error).into())
                }
                _ => Unanswered::Rejected,
            }),
        }
    }

    /// Whether `message` is the server's.
    pub(crate) fn verify(
        &mut self,
        message: &Message,
        now: Now,
        random: &dyn Random,
    ) -> Result<Protection, WireText> {
        match self {
            Self::Association(association) => {
                association.verify(message, now, random).map_err(|error| WireText::printed(&error))
            }
            #[cfg(feature = "digest")]
            Self::Digest(digest) => {
                digest.verify(message).map_err(|error| WireText::printed(&error))
            }
        }
    }
}

#[cfg(feature = "digest")]
fn needs_digest(request: &Request) -> bool {
    let proved = ["Authorization", "Proxy-Authorization"];
    !matches!(request.method(), "ACK" | "CANCEL")
        && proved.iter().all(|name| request.headers().get(name).is_none())
}
