//! Why a server did not let us in: the table of final answers, and everything else.

use std::fmt;
use std::time::Duration;

use super::attempt::{Attempt, Retry, TELLING};
use super::redirect::RedirectObjection;
use crate::discovery::Fault;
use crate::sip::{Answer, Contact, Remedy, Response, Scheme, ServerRefusal};
use crate::text::WireText;

/// Why one server did not let us in.
///
/// | status | number in `ms-diagnostics` | kind |
/// |---|---|---|
/// | 503 | any | [`Overloaded`](Self::Overloaded) |
/// | 500, 504 | any | [`Unavailable`](Self::Unavailable) |
/// | any other | 1013 | [`ClockSkew`](Self::ClockSkew) |
/// | 401, 407 | any other | a challenge |
/// | any other | 4003 | [`RemoteAccessDenied`](Self::RemoteAccessDenied) |
/// | any other | 4004 | [`AddressMismatch`](Self::AddressMismatch) |
/// | any other | 2057, 4010, 4011, 4012, 4055 | [`BadRequest`](Self::BadRequest) |
/// | any other | 17002, 17003 | [`VersionBlocked`](Self::VersionBlocked) |
/// | any other | 1003, 4005, 4006 | [`UnknownUser`](Self::UnknownUser) |
/// | 404 | any other | [`UnknownUser`](Self::UnknownUser) |
/// | any other | any other | [`Refused`](Self::Refused) |
///
/// The numbers are those of [MS-OCER] sections 8.2 and 8.16, and of [MS-SIPREGE section 3.1.2.5.1].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignInError {
    /// The account may not use this sign-in address.
    #[error("the account may not use this sign-in address: {0}")]
    AddressMismatch(ServerRefusal),
    /// The server misses something in our request that only this library could put right.
    #[error("our request is not what the server expects: {0}")]
    BadRequest(ServerRefusal),
    /// The clocks of the two sides differ too much.
    #[error("the clocks differ too much: {0}")]
    ClockSkew(ServerRefusal),
    /// The server asks who we are, and nobody says so.
    #[error("credentials are needed")]
    CredentialsNeeded,
    /// What the server sent means nothing.
    #[error("garbage: {0}")]
    Garbage(WireText),
    /// The connection was closed or lost.
    #[error("{0}")]
    Lost(WireText),
    /// The server sent nothing in time.
    #[error("no answer in time")]
    NoAnswer,
    /// No scheme of the server's is one that this client would and could answer.
    #[error("none of the server's schemes can be answered: {}", Listed(offered, attempts))]
    NoCommonScheme {
        /// What the server offered.
        offered: Vec<Scheme>,
        /// What was tried in vain.
        attempts: Vec<Attempt>,
    },
    /// The server is overloaded.
    #[error("overloaded: {0}")]
    Overloaded(ServerRefusal),
    /// Redirects lead in a circle, or too far.
    #[error("the redirects lead nowhere")]
    RedirectLoop,
    /// A redirect leads only to where we must not go.
    #[error("the redirect is not followed: {}", Objections(.0))]
    RedirectRefused(Vec<(Contact, RedirectObjection)>),
    /// The server refused for another reason, which others would share.
    #[error("refused: {0}")]
    Refused(ServerRefusal),
    /// The server does not believe the credentials.
    #[error("the credentials were rejected ({0})")]
    Rejected(Scheme),
    /// The user may not sign in from outside.
    #[error("the user may not sign in from outside: {0}")]
    RemoteAccessDenied(ServerRefusal),
    /// The server let us in and did not sign it.
    #[error("the server did not sign its answer")]
    SignatureAbsent,
    /// The server signed its answer wrongly.
    #[error("the server's signature is not accepted: {0}")]
    SignatureWrong(WireText),
    /// The server let us in without proof.
    #[error("the server let us in without asking who we are")]
    Unauthenticated,
    /// The server cannot do its work, or cannot reach the home pool.
    #[error("unavailable: {0}")]
    Unavailable(ServerRefusal),
    /// The server knows no such user.
    #[error("no such user: {0}")]
    UnknownUser(ServerRefusal),
    /// The server does not let this client in, in this version.
    #[error("this client is not let in: {0}")]
    VersionBlocked(ServerRefusal),
}

impl SignInError {
    /// What the final answer to a REGISTER says, where it is a no. `None` when it is not final, lets
    /// us in, sends us elsewhere, or asks for a proof in a way that can be read.
    ///
    /// ```
    /// use sip_signin::sign_in::SignInError;
    /// use sip_signin::sip::Message;
    /// let bytes = "SIP/2.0 403 Forbidden\r\nms-diagnostics: 4003;reason=\"x\"\r\nl: 0\r\n\r\n";
    /// let Message::Response(response) = Message::parse(bytes.into())? else { panic!("a response") };
    /// let error = SignInError::of_answer(&response).unwrap();
    /// assert_eq!(error.advice(), "sign in from inside, or have remote access enabled for the user");
    /// # Ok::<(), sip_signin::sip::FramingError>(())
    /// ```
    pub fn of_answer(response: &Response) -> Option<Self> {
        Self::in_answer(response, &Answer::to_first_register(response))
    }

    /// The same, where the answer has been read.
    pub(super) fn in_answer(response: &Response, answer: &Answer) -> Option<Self> {
        if !matches!(answer, Answer::Challenged { .. } | Answer::Refused(_)) {
            return None;
        }
        let error = Self::of(response);
        let skewed = matches!(error, Self::ClockSkew(_)) && response.status() >= 400;
        match answer {
            _ if skewed => Some(error),
            Answer::Refused(_) => Some(match response.status() {
                300..=399 => Self::Garbage("a redirect to nowhere".into()),
                401 | 407 => Self::Garbage("no challenge that can be read".into()),
                _ => error,
            }),
            _ => None,
        }
    }

    /// What a final answer says that neither lets us in, nor challenges, nor redirects.
    pub(crate) fn of(response: &Response) -> Self {
        let remedy = match response.status() {
            500 | 503 | 504 => Remedy::AnotherServer,
            _ => Remedy::None,
        };
        let refusal = ServerRefusal::read(response, remedy);
        let number = refusal.diagnostics.as_ref().map(|diagnostics| diagnostics.error_id);
        match (refusal.status, number) {
            (503, _) => Self::Overloaded(refusal),
            (500 | 504, _) => Self::Unavailable(refusal),
            (_, Some(1013)) => Self::ClockSkew(refusal),
            (_, Some(2057 | 4010..=4012 | 4055)) => Self::BadRequest(refusal),
            (_, Some(4003)) => Self::RemoteAccessDenied(refusal),
            (_, Some(4004)) => Self::AddressMismatch(refusal),
            (_, Some(17002 | 17003)) => Self::VersionBlocked(refusal),
            (_, Some(1003 | 4005 | 4006)) | (404, _) => Self::UnknownUser(refusal),
            _ => Self::Refused(refusal),
        }
    }

    /// Its name, as the page of failures has it: `rejected`, `unknown user`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::AddressMismatch(_) => "address mismatch",
            Self::BadRequest(_) => "bad request",
            Self::ClockSkew(_) => "clock skew",
            Self::CredentialsNeeded => "credentials needed",
            Self::Garbage(_) => "garbage",
            Self::Lost(_) => "lost",
            Self::NoAnswer => "no answer",
            Self::NoCommonScheme { .. } => "no common scheme",
            Self::Overloaded(_) => "overloaded",
            Self::RedirectLoop => "redirect loop",
            Self::RedirectRefused(_) => "redirect refused",
            Self::Refused(_) => "refused",
            Self::Rejected(_) => "rejected",
            Self::RemoteAccessDenied(_) => "remote access denied",
            Self::SignatureAbsent => "signature absent",
            Self::SignatureWrong(_) => "signature wrong",
            Self::Unauthenticated => "unauthenticated",
            Self::Unavailable(_) => "unavailable",
            Self::UnknownUser(_) => "unknown user",
            Self::VersionBlocked(_) => "version blocked",
        }
    }

    /// Whether another server may do better.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Garbage(_)
            | Self::Lost(_)
            | Self::NoAnswer
            | Self::Overloaded(_)
            | Self::SignatureAbsent
            | Self::SignatureWrong(_)
            | Self::Unavailable(_) => Remedy::AnotherServer,
            Self::AddressMismatch(_)
            | Self::BadRequest(_)
            | Self::ClockSkew(_)
            | Self::CredentialsNeeded
            | Self::NoCommonScheme { .. }
            | Self::RedirectLoop
            | Self::RedirectRefused(_)
            | Self::Refused(_)
            | Self::Rejected(_)
            | Self::RemoteAccessDenied(_)
            | Self::Unauthenticated
            | Self::UnknownUser(_)
            | Self::VersionBlocked(_) => Remedy::None,
        }
    }

    /// The server's own words, where it said no.
    pub fn refusal(&self) -> Option<&ServerRefusal> {
        match self {
            Self::AddressMismatch(refusal)
            | Self::BadRequest(refusal)
            | Self::ClockSkew(refusal)
            | Self::Overloaded(refusal)
            | Self::Refused(refusal)
            | Self::RemoteAccessDenied(refusal)
            | Self::Unavailable(refusal)
            | Self::UnknownUser(refusal)
            | Self::VersionBlocked(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// What the most telling of the attempts says about it.
    fn telling(&self) -> Option<(Fault, &'static str, Retry)> {
        let Self::NoCommonScheme { attempts, .. } = self else { return None };
        let met = |kind| attempts.iter().any(|attempt| attempt.kind.as_ref() == Some(kind));
        let telling = TELLING.iter().find(|(kind, ..)| met(kind));
        telling.map(|(_, fault, advice, retry)| (*fault, *advice, *retry))
    }

    /// How long the server asked to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        self.refusal()?.retry_after
    }

    /// Whose fault it is, as far as a client can tell.
    pub fn fault(&self) -> Fault {
        if let Some((fault, ..)) = self.telling() {
            return fault;
        }
        match self {
            Self::AddressMismatch(_)
            | Self::CredentialsNeeded
            | Self::Rejected(_)
            | Self::UnknownUser(_) => Fault::Input,
            Self::BadRequest(_) => Fault::Library,
            Self::ClockSkew(_) | Self::VersionBlocked(_) => Fault::Machine,
            Self::Lost(_) | Self::NoAnswer => Fault::Network,
            _ => Fault::Server,
        }
    }

    /// What to do about it, in a sentence.
    pub fn advice(&self) -> &'static str {
        if let Some((_, advice, _)) = self.telling() {
            return advice;
        }
        match self {
            Self::AddressMismatch(_) => {
                "check that the sign-in address and the account belong to the same person"
            }
            Self::BadRequest(_) => {
                "tell the authors of this library, with the server's answer in hand"
            }
            Self::ClockSkew(_) => "set the clock of this machine",
            Self::CredentialsNeeded => "enter the account and its password",
            Self::Garbage(_) | Self::Refused(_) => {
                "ask the server's administrator, with the server's answer in hand"
            }
            Self::Lost(_) | Self::NoAnswer => "check the network, then try again",
            Self::NoCommonScheme { attempts, .. } if !attempts.is_empty() => {
                "mend what kept each scheme from working, or have the server offer another"
            }
            Self::NoCommonScheme { .. } => {
                "have the server offer ntlm or kerberos, or allow one of its schemes"
            }
            Self::Overloaded(_) | Self::Unavailable(_) => "try again later",
            Self::RedirectLoop | Self::RedirectRefused(_) => {
                "ask the administrator where the user's home pool is; if the server is right, trust \
                 its domain"
            }
            Self::Rejected(_) => "check the account and its password",
            Self::RemoteAccessDenied(_) => {
                "sign in from inside, or have remote access enabled for the user"
            }
            Self::SignatureAbsent => {
                "ask the server's administrator; allow unsigned answers only if the network is safe"
            }
            Self::SignatureWrong(_) => {
                "do not trust this network: somebody may be between you and the server"
            }
            Self::Unauthenticated => {
                "have the server authenticate its users, or allow unauthenticated servers"
            }
            Self::UnknownUser(_) => "check the sign-in address, and that it is enabled for sip",
            Self::VersionBlocked(_) => "install the version that the administrator asks for",
        }
    }

    /// When to try again.
    pub fn retry(&self) -> Retry {
        if let Some((.., retry)) = self.telling() {
            return retry;
        }
        match self {
            Self::BadRequest(_) => Retry::Never,
            Self::CredentialsNeeded | Self::Rejected(_) => Retry::WithCredentials,
            Self::Garbage(_)
            | Self::Lost(_)
            | Self::NoAnswer
            | Self::Overloaded(_)
            | Self::Unavailable(_) => Retry::Later,
            _ => Retry::AfterChange,
        }
    }
}

/// `it offers NTLM, Kerberos; NTLM: the server offers less than this client accepts`.
struct Listed<'a>(&'a [Scheme], &'a [Attempt]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, scheme) in self.0.iter().enumerate() {
            write!(f, "{}{scheme}", if at == 0 { "it offers " } else { ", " })?;
        }
        self.1.iter().try_for_each(|attempt| write!(f, "; {attempt}"))
    }
}

struct Objections<'a>(&'a [(Contact, RedirectObjection)]);

impl fmt::Display for Objections<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (contact, objection)) in self.0.iter().enumerate() {
            let before = if at == 0 { "" } else { "; " };
            write!(f, "{before}{} {objection}", contact.uri)?;
        }
        Ok(())
    }
}
