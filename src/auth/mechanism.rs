//! The door to proof: what a mechanism must be able to do, ours or a caller's own.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use super::secret::Credentials;
use crate::now::Now;
use crate::random::{Random, RandomError};
use crate::sip::Scheme;
use crate::text::WireText;

/// Starts [`Mechanism`]s of one scheme.
///
/// A caller can bring its own: Windows' SSPI, a smart card, another Kerberos library.
///
/// ```
/// use sip_signin::auth::{
///     Identity, Mechanism, MechanismError, MechanismErrorKind, MechanismProvider, MechanismStep,
/// };
/// use sip_signin::sip::Scheme;
/// use sip_signin::{Now, Random};
///
/// /// Kerberos by some library that has a context for each server.
/// struct Library;
/// struct Context { target: String }
///
/// impl MechanismProvider for Library {
///     fn scheme(&self) -> Scheme {
///         Scheme::Kerberos
///     }
///
///     fn takes(&self, identity: Identity<'_>) -> bool {
///         matches!(identity, Identity::CurrentUser)
///     }
///
///     fn start(
///         &self,
///         target: &str,
///         identity: Identity<'_>,
///     ) -> Result<Box<dyn Mechanism>, MechanismError> {
///         if !self.takes(identity) {
///             return Err(MechanismErrorKind::Identity.into());
///         }
///         Ok(Box::new(Context { target: target.to_owned() }))
///     }
/// }
///
/// impl Mechanism for Context {
///     fn step(
///         &mut self,
///         token: Option<&[u8]>,
///         _now: Now,
///         _random: &dyn Random,
///     ) -> Result<MechanismStep, MechanismError> {
///         match token {
///             None => Ok(MechanismStep::Continue(format!("ticket for {}", self.target).into())),
///             Some(_reply) => Ok(MechanismStep::Done(None)),
///         }
///     }
/// #   fn sign(&mut self, _: &[u8]) -> Result<Vec<u8>, MechanismError> {
/// #       Err(MechanismErrorKind::NotReady.into())
/// #   }
/// #   fn verify(&mut self, _: &[u8], _: &[u8]) -> Result<(), MechanismError> {
/// #       Err(MechanismErrorKind::NotReady.into())
/// #   }
///     // and `sign` and `verify`, which call the library with the context
/// }
///
/// assert!(Library.start("sip/pool01.contoso.com", Identity::CurrentUser).is_ok());
/// ```
pub trait MechanismProvider: Send + Sync {
    /// Which challenges it answers. It is also the first word of what it writes.
    fn scheme(&self) -> Scheme;

    /// Whether it can prove who somebody is with this. Asked before anybody is bothered for a
    /// password.
    fn takes(&self, identity: Identity<'_>) -> bool;

    /// Starts one exchange with one server.
    ///
    /// `target` is what the server calls itself in its challenge, `sip/` in front for Kerberos.
    /// Whether that name may be trusted has been settled before. [MS-SIPAE section 3.2.5.2]
    ///
    /// # Errors
    /// [`MechanismError`]; the next mechanism is then tried.
    fn start(
        &self,
        target: &str,
        identity: Identity<'_>,
    ) -> Result<Box<dyn Mechanism>, MechanismError>;
}

/// With what to prove who somebody is. There is nothing else.
#[derive(Clone, Copy, Debug)]
pub enum Identity<'a> {
    /// What the operating system knows of the user who is logged on.
    CurrentUser,
    /// An account and its password.
    Supplied(&'a Credentials),
}

/// One exchange with one server: tokens until both sides have the keys, then signatures.
///
/// It keeps no time and draws no chance of its own. These are the GSS-API's calls (RFC 2743):
/// `step` is `GSS_Init_sec_context`, `sign` is `GSS_GetMIC`, `verify` is `GSS_VerifyMIC`.
/// [MS-SIPAE section 3.2.5.1]
pub trait Mechanism: Send {
    /// Takes the server's token, `None` at the beginning, and says what to answer.
    ///
    /// # Errors
    /// [`MechanismError`] when the token cannot be answered. The exchange is then over.
    fn step(
        &mut self,
        token: Option<&[u8]>,
        now: Now,
        random: &dyn Random,
    ) -> Result<MechanismStep, MechanismError>;

    /// The signature of `message`.
    ///
    /// # Errors
    /// [`MechanismErrorKind::NotReady`] before [`MechanismStep::Done`].
    fn sign(&mut self, message: &[u8]) -> Result<Vec<u8>, MechanismError>;

    /// Whether `signature` is the server's for `message`.
    ///
    /// # Errors
    /// [`MechanismErrorKind::Signature`] when it is not, and [`MechanismErrorKind::NotReady`]
    /// before [`MechanismStep::Done`].
    fn verify(&mut self, message: &[u8], signature: &[u8]) -> Result<(), MechanismError>;

    /// When what it rests on ends: the ticket, the certificate. `None` when it does not end.
    fn expires(&self) -> Option<SystemTime> {
        None
    }
}

/// What a [`Mechanism`] wants next. There is nothing else.
#[derive(Clone, PartialEq, Eq)]
pub enum MechanismStep {
    /// Send this; the server has more to say. NTLM begins with nothing at all, which asks for a
    /// challenge. [MS-SIPAE section 3.2.5.1]
    Continue(Vec<u8>),
    /// The keys are there. Send this last token, if there is one.
    Done(Option<Vec<u8>>),
}

/// Tokens prove things; they are shown by their length only.
impl fmt::Debug for MechanismStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Continue(token) => write!(f, "Continue({} bytes)", token.len()),
            Self::Done(Some(token)) => write!(f, "Done({} bytes)", token.len()),
            Self::Done(None) => f.write_str("Done"),
        }
    }
}

/// Why a mechanism could not go on.
#[derive(Clone, Debug)]
pub struct MechanismError {
    kind: MechanismErrorKind,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl MechanismError {
    /// An error of this kind.
    pub fn new(kind: MechanismErrorKind) -> Self {
        Self { kind, source: None }
    }

    /// The same with what caused it. The cause is shown: there must be no secret in it.
    #[must_use]
    pub fn because(self, source: impl Error + Send + Sync + 'static) -> Self {
        Self { source: Some(Arc::new(source)), ..self }
    }

    /// What went wrong.
    pub fn kind(&self) -> &MechanismErrorKind {
        &self.kind
    }
}

impl From<MechanismErrorKind> for MechanismError {
    fn from(kind: MechanismErrorKind) -> Self {
        Self::new(kind)
    }
}

impl From<RandomError> for MechanismError {
    fn from(error: RandomError) -> Self {
        Self::new(MechanismErrorKind::Random).because(error)
    }
}

impl fmt::Display for MechanismError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl Error for MechanismError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| &**source as &(dyn Error + 'static))
    }
}

/// What went wrong in a mechanism.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MechanismErrorKind {
    /// The clocks of this machine and of the ticket server differ too much; whose is wrong is not
    /// known.
    #[error("the clocks of this machine and the ticket server differ too much")]
    ClockSkew,
    /// The ticket was good once.
    #[error("the ticket has expired")]
    Expired,
    /// It cannot prove anything with this identity: no ticket, no password.
    #[error("there is nothing to prove with")]
    Identity,
    /// It was asked to sign or to verify before it had the keys, or to go on when it had them.
    #[error("the exchange of tokens is not at this point")]
    NotReady,
    /// The system holds no ticket.
    #[error("there is no ticket")]
    NoTicket,
    /// Something of its own went wrong; the text may come from elsewhere.
    #[error("{0}")]
    Other(WireText),
    /// There is no chance.
    #[error("there are no random bytes")]
    Random,
    /// The signature is not the server's.
    #[error("the signature is wrong")]
    Signature,
    /// What the server calls itself is nothing that a ticket is asked for.
    #[error("the server's name is not one that a ticket is asked for")]
    Target,
    /// The server's token cannot be read.
    #[error("the server's token cannot be read")]
    Token,
    /// The ticket server, which is not the SIP server, does not answer or cannot be found.
    #[error("the ticket server cannot be reached")]
    Unreachable,
    /// The ticket server gives no ticket for this server.
    #[error("the ticket server knows no such service")]
    UnknownService,
    /// The server offers less than this client accepts.
    #[error("the server offers less than this client accepts")]
    Weak,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_traits_are_object_safe_and_cross_threads() {
        fn crosses<T: Send + ?Sized>() {}
        crosses::<Box<dyn Mechanism>>();
        crosses::<Arc<dyn MechanismProvider>>();
        crosses::<MechanismError>();
    }

    #[test]
    fn an_error_says_what_and_why_and_a_step_shows_no_token() {
        let error = MechanismError::from(RandomError);
        assert_eq!(error.kind(), &MechanismErrorKind::Random);
        assert_eq!(error.to_string(), "there are no random bytes");
        assert_eq!(error.source().unwrap().to_string(), RandomError.to_string());
        assert!(MechanismError::new(MechanismErrorKind::Weak).source().is_none());
        for step in [MechanismStep::Continue(vec![77; 3]), MechanismStep::Done(Some(vec![77; 3]))] {
            let shown = format!("{step:?}");
            assert!(shown.contains("3 bytes") && !shown.contains("77"), "{shown}");
        }
    }
}
