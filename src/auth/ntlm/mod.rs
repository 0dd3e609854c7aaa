//! NTLM the way [MS-SIPAE] runs it: connectionless NTLMv2 with extended session security.
//!
//! The client begins with an empty token, the server sends its challenge, the client answers; there
//! is no NEGOTIATE message. A challenge that leads to anything weaker is refused: NTLMv1, no extended
//! session security, short keys. [MS-NLMP section 1.3.1.3; MS-SIPAE section 3.2.5.1]

mod hash;

mod flags;

mod target_info;

mod challenge;

mod response;

mod authenticate;

mod keys;

#[cfg(feature = "lab")]
mod acceptor;

#[cfg(test)]
mod tests;

#[cfg(test)]
mod vectors;

use zeroize::Zeroizing;

#[cfg(feature = "lab")]
pub(crate) use self::acceptor::{Acceptor, ServerKeys};
pub use self::flags::NtlmFlags;

use self::authenticate::{Client, Drawn};
use self::challenge::ChallengeMessage;
use self::hash::Key;
use self::keys::SideKeys;
use super::mechanism::{
    Identity, Mechanism, MechanismError, MechanismErrorKind, MechanismProvider, MechanismStep,
};
use super::secret::Account;
use crate::now::Now;
use crate::random::Random;
use crate::sip::Scheme;

/// Proves a password by NTLM. See the [trait](MechanismProvider) for how it is used.
///
/// ```
/// use sip_signin::auth::{Credentials, Identity, MechanismProvider, MechanismStep, Ntlm};
/// # use sip_signin::{Now, Random, RandomError};
/// # struct Fixed;
/// # impl Random for Fixed {
/// #     fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> { bytes.fill(7); Ok(()) }
/// # }
/// # let now = Now { instant: std::time::Instant::now(), wall: std::time::SystemTime::now() };
/// let credentials = Credentials::new(r"CONTOSO\jeremy".parse()?, "Passw0rd!");
/// let identity = Identity::Supplied(&credentials);
/// let mut mechanism = Ntlm::new().start("pool01.contoso.com", identity)?;
/// // An empty token asks for a challenge.
/// assert_eq!(mechanism.step(None, now, &Fixed)?, MechanismStep::Continue(vec![]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Ntlm {
    workstation: Box<str>,
}

impl Ntlm {
    /// The longest name of a workstation that is sent, in characters; the rest is cut off.
    pub const WORKSTATION_LIMIT: usize = 255;

    /// NTLM that does not tell the name of this computer.
    pub fn new() -> Self {
        Self::default()
    }

    /// NTLM that tells this name: some accounts may sign in on certain computers only.
    #[must_use]
    pub fn with_workstation(self, name: &str) -> Self {
        Self { workstation: name.chars().take(Self::WORKSTATION_LIMIT).collect() }
    }
}

impl MechanismProvider for Ntlm {
    fn scheme(&self) -> Scheme {
        Scheme::Ntlm
    }

    /// A password only: what the operating system knows, it keeps to itself.
    fn takes(&self, identity: Identity<'_>) -> bool {
        matches!(identity, Identity::Supplied(_))
    }

    fn start(
        &self,
        _target: &str,
        identity: Identity<'_>,
    ) -> Result<Box<dyn Mechanism>, MechanismError> {
        let Identity::Supplied(credentials) = identity else {
            return Err(MechanismErrorKind::Identity.into());
        };
        let proof = Proof {
            account: credentials.account.clone(),
            ntowf: response::ntowf_v2(&credentials.account, &credentials.password),
            workstation: self.workstation.clone(),
        };
        Ok(Box::new(Exchange::Begun { proof, asked: false }))
    }
}

/// 6.1.7601, NTLM revision 15. For people who read traces. [MS-NLMP section 2.2.2.10]
const WINDOWS_7: [u8; 8] = [6, 1, 0xb1, 0x1d, 0, 0, 0, 15];

/// One exchange. It stays where it is: a key that moves leaves a copy behind.
enum Exchange {
    /// Nothing was sent, or a challenge was asked for.
    Begun { proof: Proof, asked: bool },
    /// The keys are there.
    Done { client: SideKeys, server: SideKeys },
    /// It failed; nothing brings it back.
    Failed,
}

/// What a challenge is answered with, once: nothing needs it any more then. The password itself is not
/// kept.
struct Proof {
    account: Account,
    ntowf: Key,
    workstation: Box<str>,
}

impl Proof {
    fn answer(
        &self,
        challenge: &[u8],
        now: Now,
        random: &dyn Random,
    ) -> Result<(Vec<u8>, Key), MechanismError> {
        let message = ChallengeMessage::read(challenge)?;
        let mut drawn = Drawn { client_challenge: [0; 8], session_key: Zeroizing::new([0; 16]) };
        random.fill(&mut drawn.client_challenge)?;
        random.fill(&mut *drawn.session_key)?;
        let Self { account, ntowf, workstation } = self;
        let client = Client { account, ntowf, workstation, version: WINDOWS_7 };
        let token = client.answer(challenge, message, &drawn, now)?;
        Ok((token, drawn.session_key))
    }
}

impl Mechanism for Exchange {
    fn step(
        &mut self,
        token: Option<&[u8]>,
        now: Now,
        random: &dyn Random,
    ) -> Result<MechanismStep, MechanismError> {
        let challenge = token.filter(|token| !token.is_empty());
        let answer = match (&mut *self, challenge) {
            (Self::Begun { asked: asked @ false, .. }, None) => {
                *asked = true;
                return Ok(MechanismStep::Continue(Vec::new()));
            }
            (Self::Begun { .. }, None) => Err(NtlmError::NotAChallenge.into()),
            (Self::Begun { proof, .. }, Some(challenge)) => proof.answer(challenge, now, random),
            (Self::Done { .. } | Self::Failed, _) => Err(MechanismErrorKind::NotReady.into()),
        };
        *self = Self::Failed;
        let (token, key) = answer?;
        *self = Self::Done { client: SideKeys::client(&key), server: SideKeys::server(&key) };
        Ok(MechanismStep::Done(Some(token)))
    }

    fn sign(&mut self, message: &[u8]) -> Result<Vec<u8>, MechanismError> {
        match self {
            Self::Done { client, .. } => Ok(client.mac(message).to_vec()),
            _ => Err(MechanismErrorKind::NotReady.into()),
        }
    }

    fn verify(&mut self, message: &[u8], signature: &[u8]) -> Result<(), MechanismError> {
        match self {
            Self::Done { server, .. } if server.verifies(message, signature) => Ok(()),
            Self::Done { .. } => Err(MechanismErrorKind::Signature.into()),
            _ => Err(MechanismErrorKind::NotReady.into()),
        }
    }
}

/// Why a challenge is not answered. The fault is the server's, or somebody's on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NtlmError {
    /// Something else than a CHALLENGE_MESSAGE.
    #[error("it is no ntlm challenge")]
    NotAChallenge,
    /// Its target information is said to be where the message is not.
    #[error("its target information lies outside of the message")]
    OutOfBounds,
    /// Its target information is not a sequence of pairs, or has a pair twice.
    #[error("its target information cannot be read")]
    TargetInfo,
    /// It is longer than any real one, or its answer would be.
    #[error("it is too long")]
    TooLong,
    /// It ends too early.
    #[error("it ends too early")]
    Truncated,
    /// It leads to less than connectionless NTLMv2 with extended session security and 128 bits.
    #[error("it lacks {missing}")]
    Weak {
        /// What it lacks.
        missing: NtlmFlags,
    },
}

impl From<NtlmError> for MechanismError {
    fn from(error: NtlmError) -> Self {
        let kind = match error {
            NtlmError::Weak { .. } => MechanismErrorKind::Weak,
            _ => MechanismErrorKind::Token,
        };
        Self::new(kind).because(error)
    }
}
