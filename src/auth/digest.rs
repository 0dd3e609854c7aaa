//! Digest: a hash of the password and a nonce (RFC 3261 section 22.4, RFC 7616, RFC 8760).
//!
//! [MS-SIPAE] does not know it: there is no security association and no signature of messages. Basic
//! is no part of this crate.

use std::fmt;

use data_encoding::HEXLOWER;
use md5::Md5;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::Protection;
use super::authorization::{Authorization, Unwritable, Writer, field};
use super::secret::Credentials;
use crate::random::{self, Random, RandomError};
use crate::sip::parameters::{split, value_of};
use crate::sip::{Challenge, Challenger, Message, Scheme};
use crate::text::WireText;

/// The hash of a Digest challenge. Those that hash a session (`-sess`) are not spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DigestAlgorithm {
    /// MD5, also what a challenge means that names none (RFC 7616 section 3.3). It is broken; use it
    /// only if a caller asks for it.
    Md5,
    /// SHA-256 (RFC 8760 section 2.1).
    Sha256,
}

impl DigestAlgorithm {
    /// What a challenge asks for.
    ///
    /// # Errors
    /// [`DigestError::Algorithm`] when it is not spoken here.
    pub fn of(challenge: &Challenge) -> Result<Self, DigestError> {
        let name = challenge.algorithm().unwrap_or(Self::Md5.name());
        let mut known = [Self::Md5, Self::Sha256].into_iter();
        let found = known.find(|algorithm| algorithm.name().eq_ignore_ascii_case(name));
        found.ok_or_else(|| DigestError::Algorithm(name.into()))
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
        }
    }

    /// The hash of `parts` with colons between them, in hexadecimal.
    pub(crate) fn hash(self, parts: &[&str]) -> Zeroizing<String> {
        // Joined it holds the password, so it is made once and wiped.
        let colons = parts.len().saturating_add(parts.iter().map(|part| part.len()).sum());
        let mut text = Zeroizing::new(String::with_capacity(colons));
        for (n, part) in parts.iter().enumerate() {
            text.push_str(if n == 0 { "" } else { ":" });
            text.push_str(part);
        }
        let digits = |bytes: &[u8]| Zeroizing::new(HEXLOWER.encode(bytes));
        match self {
            Self::Md5 => digits(&Zeroizing::new(<[u8; 16]>::from(Md5::digest(&*text)))[..]),
            Self::Sha256 => digits(&Zeroizing::new(<[u8; 32]>::from(Sha256::digest(&*text)))[..]),
        }
    }
}

impl fmt::Display for DigestAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Answers the challenges of one server with one password. The password itself is not kept.
///
/// ```
/// # #[cfg(feature = "digest")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use sip_signin::auth::{Credentials, Digest};
/// use sip_signin::sip::{Challenge, Challenger, Message};
/// # use sip_signin::{Random, RandomError};
/// # struct Fixed;
/// # impl Random for Fixed {
/// #     fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> { bytes.fill(7); Ok(()) }
/// # }
/// # let random = &Fixed;
/// let value = r#"Digest realm="contoso.com", nonce="n1", qop="auth", algorithm=SHA-256"#;
/// let challenge = Challenge::read_all(value).remove(0)?;
/// let credentials = Credentials::new("jeremy".parse()?, "Passw0rd!");
/// let mut digest = Digest::start(&challenge, Challenger::Registrar, &credentials)?;
///
/// let register = Message::parse("REGISTER sip:contoso.com SIP/2.0\r\nl: 0\r\n\r\n".into())?;
/// let authorization = digest.authorize(&register, random)?;
/// assert!(authorization.value().contains(r#"uri="sip:contoso.com""#));
/// assert!(authorization.value().contains("nc=00000001"));
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "digest"))]
/// # fn main() {}
/// ```
pub struct Digest {
    by: Challenger,
    algorithm: DigestAlgorithm,
    user: Box<str>,
    realm: Box<str>,
    /// The hash of user, realm and password: as good as the password for this realm.
    secret: Zeroizing<String>,
    nonce: Box<str>,
    opaque: Option<Box<str>>,
    /// Whether the server knows `qop` (RFC 2617); one that does not is of RFC 2069.
    qop: bool,
    count: u32,
    last: Option<Sent>,
}

/// What the answer to the last request is proved with.
struct Sent {
    uri: Box<str>,
    nonce: Box<str>,
    count: String,
    cnonce: String,
}

impl Digest {
    /// Answers the first challenge of a server.
    ///
    /// The user name is the account as it was typed.
    ///
    /// # Errors
    /// [`DigestError`] when the challenge is no Digest challenge, lacks a realm or a nonce, or asks
    /// for what is not spoken here: another algorithm, or the protection of bodies only.
    pub fn start(
        challenge: &Challenge,
        by: Challenger,
        credentials: &Credentials,
    ) -> Result<Self, DigestError> {
        if *challenge.scheme() != Scheme::Digest {
            return Err(DigestError::Foreign("scheme"));
        }
        let algorithm = DigestAlgorithm::of(challenge)?;
        let realm = challenge.realm().ok_or(DigestError::Missing("realm"))?;
        let user = credentials.account.typed();
        let secret = algorithm.hash(&[&user, realm, credentials.password.reveal()]);
        let mut digest = Self {
            by,
            algorithm,
            user: user.into(),
            realm: realm.into(),
            secret,
            nonce: Box::default(),
            opaque: None,
            qop: false,
            count: 0,
            last: None,
        };
        digest.take(challenge)?;
        Ok(digest)
    }

    /// Whether a challenge says all that it must, and asks for nothing else, whoever answers it.
    pub(crate) fn check(challenge: &Challenge) -> Result<(), DigestError> {
        challenge.realm().ok_or(DigestError::Missing("realm"))?;
        asked(challenge, DigestAlgorithm::of(challenge)?).map(|_| ())
    }

    /// Takes a further challenge: a new nonce, if the old one was only too old.
    ///
    /// # Errors
    /// [`DigestError::Rejected`] when the nonce was good and the password was not, and
    /// [`DigestError::Foreign`] when the challenge is for another realm or algorithm.
    pub fn challenged(&mut self, challenge: &Challenge) -> Result<(), DigestError> {
        for (name, same) in [
            ("scheme", *challenge.scheme() == Scheme::Digest),
            ("realm", challenge.realm() == Some(&self.realm)),
            ("algorithm", DigestAlgorithm::of(challenge)? == self.algorithm),
        ] {
            if !same {
                return Err(DigestError::Foreign(name));
            }
        }
        if !challenge.stale() || challenge.nonce() == Some(&self.nonce) {
            return Err(DigestError::Rejected);
        }
        self.take(challenge)
    }

    /// The header field that `message`, a request that is about to be sent, must carry.
    ///
    /// # Errors
    /// [`DigestError`] when it is no request, or there is no chance.
    pub fn authorize(
        &mut self,
        message: &Message,
        random: &dyn Random,
    ) -> Result<Authorization, DigestError> {
        let (authorization, sent) = self.prove(message, random)?;
        self.last = Some(sent);
        Ok(authorization)
    }

    /// The same for a request whose answer nobody verifies: the last one's is still awaited.
    pub(crate) fn authorize_in_passing(
        &mut self,
        message: &Message,
        random: &dyn Random,
    ) -> Result<Authorization, DigestError> {
        self.prove(message, random).map(|(authorization, _)| authorization)
    }

    fn prove(
        &mut self,
        message: &Message,
        random: &dyn Random,
    ) -> Result<(Authorization, Sent), DigestError> {
        let Message::Request(request) = message else {
            return Err(DigestError::NoRequest);
        };
        let cnonce = random::hex::<16>(random)?;
        self.count = self.count.checked_add(1).ok_or(DigestError::Rejected)?;
        let count = format!("{:08x}", self.count);
        let sent = Sent { uri: request.uri().into(), nonce: self.nonce.clone(), count, cnonce };
        let mut writer = Writer::new(field(self.by, message), "Digest")
            .quoted("username", &self.user)?
            .quoted("realm", &self.realm)?
            .quoted("nonce", &self.nonce)?
            .quoted("uri", &sent.uri)?
            .quoted("response", &self.response(&sent, request.method()))?
            .token("algorithm", self.algorithm.name());
        if let Some(opaque) = &self.opaque {
            writer = writer.quoted("opaque", opaque)?;
        }
        if self.qop {
            writer = writer.quoted("cnonce", &sent.cnonce)?;
            writer = writer.token("qop", "auth").token("nc", &sent.count);
        }
        Ok((writer.finish(), sent))
    }

    /// Whether the answer to the last request proves that the server knows the password too, and the
    /// nonce to use from then on, if it names one (RFC 7616 section 3.5).
    ///
    /// # Errors
    /// [`DigestError::WrongProof`]: such an answer must not be believed.
    pub fn verify(&mut self, message: &Message) -> Result<Protection, DigestError> {
        let mut protection = Protection::Absent;
        // What a proxy says is not about the registrar's proof (RFC 7615).
        let name = match self.by {
            Challenger::Proxy => "Proxy-Authentication-Info",
            Challenger::Registrar => "Authentication-Info",
        };
        for info in message.headers().all(name) {
            let parameter = |name| value_of(split(&info, b','), name);
            if let Some(proof) = parameter("rspauth") {
                let expected = self.last.as_ref().map(|sent| self.response(sent, ""));
                if expected.is_none_or(|expected| !expected.eq_ignore_ascii_case(&proof)) {
                    return Err(DigestError::WrongProof);
                }
                protection = Protection::Verified;
            }
            if let Some(nonce) = parameter("nextnonce").filter(|nonce| **nonce != *self.nonce) {
                self.nonce = nonce.into();
                self.count = 0;
            }
        }
        Ok(protection)
    }

    /// What the challenge asks for.
    pub fn algorithm(&self) -> DigestAlgorithm {
        self.algorithm
    }

    pub(crate) fn by(&self) -> Challenger {
        self.by
    }

    pub(crate) fn realm(&self) -> &str {
        &self.realm
    }

    fn take(&mut self, challenge: &Challenge) -> Result<(), DigestError> {
        let (nonce, qop) = asked(challenge, self.algorithm)?;
        self.qop = qop;
        self.nonce = nonce.into();
        self.opaque = challenge.opaque().map(Into::into);
        self.count = 0;
        Ok(())
    }

    /// `response` of a request, `rspauth` of an answer, which has no method (RFC 7616 sections 3.4.1
    /// and 3.5).
    fn response(
        &self,
        Sent { uri, nonce, count, cnonce }: &Sent,
        method: &str,
    ) -> Zeroizing<String> {
        let request = self.algorithm.hash(&[method, uri]);
        if self.qop {
            self.algorithm.hash(&[&self.secret, nonce, count, cnonce, "auth", &request])
        } else {
            self.algorithm.hash(&[&self.secret, nonce, &request])
        }
    }
}

/// The nonce, and whether the server knows `qop`.
fn asked<'a>(
    challenge: &'a Challenge<'_>,
    algorithm: DigestAlgorithm,
) -> Result<(&'a str, bool), DigestError> {
    let nonce = challenge.nonce().ok_or(DigestError::Missing("nonce"))?;
    let qop = match challenge.qop() {
        Some(offered) if split(offered, b',').any(|qop| qop.eq_ignore_ascii_case("auth")) => true,
        Some(offered) => return Err(DigestError::Qop(offered.into())),
        None if algorithm == DigestAlgorithm::Md5 => false,
        None => return Err(DigestError::Missing("qop")),
    };
    Ok((nonce, qop))
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Digest")
            .field("algorithm", &self.algorithm)
            .field("user", &WireText::new(&self.user))
            .field("realm", &WireText::new(&self.realm))
            .finish_non_exhaustive()
    }
}

/// Why a Digest challenge is not answered, or an answer not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DigestError {
    /// The server wants a hash that is not spoken here.
    #[error("the algorithm {0} is not spoken here")]
    Algorithm(WireText),
    /// The challenge is not for this exchange: this parameter differs.
    #[error("the {0} is not the one of the first challenge")]
    Foreign(&'static str),
    /// The server left a parameter out.
    #[error("the server sent no {0}")]
    Missing(&'static str),
    /// Only requests carry it.
    #[error("a response carries no digest")]
    NoRequest,
    /// The server wants another protection than `auth`.
    #[error("the protection {0} is not spoken here")]
    Qop(WireText),
    /// There is no chance.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The server asks again although the nonce was good: it does not believe the proof.
    #[error("the server did not accept the proof")]
    Rejected,
    /// A parameter cannot be written.
    #[error(transparent)]
    Unwritable(#[from] Unwritable),
    /// The server's proof that it knows the password is wrong.
    #[error("the server's proof is wrong")]
    WrongProof,
}

#[cfg(test)]
mod tests;
