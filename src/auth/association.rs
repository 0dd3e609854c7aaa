//! The security association: what client and server agree on, and how messages are signed with it.

use std::fmt;
use std::time::{Duration, Instant};

use data_encoding::{BASE64, HEXLOWER, HEXLOWER_PERMISSIVE};

use super::authorization::{Authorization, Unwritable, Writer, field};
use super::mechanism::{
    Identity, Mechanism, MechanismError, MechanismErrorKind, MechanismProvider, MechanismStep,
};
use super::signature::{Ambiguous, Salt, Version, signature_buffer};
use super::window::Window;
use crate::now::Now;
use crate::random::{self, Random, RandomError};
use crate::sip::{Challenge, Challenger, Message, Scheme};
use crate::text::WireText;

/// A security association with one server. [MS-SIPAE sections 3.1 and 3.2]
///
/// It begins with the first challenge. Every message that is sent is given to
/// [`authorize`](Self::authorize), every further challenge to [`challenged`](Self::challenged), and
/// every other message that comes to [`verify`](Self::verify). It belongs to one connection: a new
/// connection, a redirect or the end of its life asks for a new one, and nothing of the old one goes
/// into it.
///
/// ```
/// use sip_signin::auth::{Association, Credentials, Identity, Ntlm};
/// use sip_signin::sip::{Challenge, Challenger, Message};
/// # use sip_signin::{Now, Random, RandomError};
/// # struct Fixed;
/// # impl Random for Fixed {
/// #     fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> { bytes.fill(7); Ok(()) }
/// # }
/// # #[cfg(feature = "ntlm")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let now = Now { instant: std::time::Instant::now(), wall: std::time::SystemTime::now() };
/// # let random = &Fixed;
/// let value = r#"NTLM realm="SIP Communications Service", targetname="a.contoso.com", version=4"#;
/// let challenge = Challenge::read_all(value).remove(0)?;
/// let credentials = Credentials::new(r"CONTOSO\jeremy".parse()?, "Passw0rd!");
/// let identity = Identity::Supplied(&credentials);
/// let by = Challenger::Registrar;
/// let mut association = Association::start(&challenge, by, &Ntlm::new(), identity, now, random)?;
///
/// let register = Message::parse("REGISTER sip:contoso.com SIP/2.0\r\nl: 0\r\n\r\n".into())?;
/// let authorization = association.authorize(&register, random)?;
/// assert_eq!(authorization.name(), "Authorization");
/// assert_eq!(
///     authorization.value(),
///     r#"NTLM qop="auth", realm="SIP Communications Service", targetname="a.contoso.com", version=4, gssapi-data="""#,
/// );
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "ntlm"))]
/// # fn main() {}
/// ```
pub struct Association {
    mechanism: Box<dyn Mechanism>,
    scheme: Scheme,
    by: Challenger,
    version: Version,
    realm: Box<str>,
    target: Box<str>,
    opaque: Option<Box<str>>,
    token: Option<Box<[u8]>>,
    expires_at: Option<Instant>,
    sent: u32,
    received: Window,
}

/// Whether a server proved that it holds the keys. There is nothing between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protection {
    /// The message is not signed.
    Absent,
    /// The message is signed, and the signature is right.
    Verified,
}

impl Association {
    /// How long an association lasts at the most. [MS-SIPAE section 3.2.2]
    pub const LIFETIME: Duration = Duration::from_secs(8 * 60 * 60);
    /// How long before its end a new one is due. [MS-SIPAE section 3.2.2]
    pub const MARGIN: Duration = Duration::from_secs(5 * 60);

    /// Answers the first challenge of a server.
    ///
    /// # Errors
    /// [`AssociationError`] when the challenge is of another scheme or version, says no realm or
    /// target, or the mechanism cannot begin.
    pub fn start(
        challenge: &Challenge,
        by: Challenger,
        provider: &dyn MechanismProvider,
        identity: Identity<'_>,
        now: Now,
        random: &dyn Random,
    ) -> Result<Self, AssociationError> {
        let scheme = provider.scheme();
        if *challenge.scheme() != scheme {
            return Err(AssociationError::Foreign("scheme"));
        }
        let (version, realm, target) = first(challenge)?;
        let mut association = Self {
            mechanism: provider.start(target, identity)?,
            scheme,
            by,
            version,
            realm: realm.into(),
            target: target.into(),
            opaque: None,
            token: None,
            expires_at: None,
            sent: 0,
            received: Window::default(),
        };
        association.step(challenge, now, random)?;
        Ok(association)
    }

    /// Whether a first challenge says all that it must, whoever answers it.
    pub(crate) fn check_first(challenge: &Challenge) -> Result<(), AssociationError> {
        first(challenge).map(|_| ())
    }

    /// Takes a further challenge of the same server.
    ///
    /// # Errors
    /// [`AssociationError::Rejected`] when everything there is to say has been said,
    /// [`AssociationError::Foreign`] when it is not this association's, and whatever the mechanism
    /// finds wrong with the token.
    pub fn challenged(
        &mut self,
        challenge: &Challenge,
        now: Now,
        random: &dyn Random,
    ) -> Result<(), AssociationError> {
        self.check(challenge)?;
        let named = challenge.parameter("version").map(|_| challenge.version());
        if named.is_some_and(|number| number != self.version.number()) {
            return Err(AssociationError::Foreign("version"));
        }
        if self.is_up() {
            return Err(AssociationError::Rejected);
        }
        self.step(challenge, now, random)
    }

    /// The header field that `message`, which is about to be sent, must carry.
    ///
    /// While the association is negotiated it holds the next token; from then on a signature. From
    /// version 4 on the last token comes with one. [MS-SIPAE section 3.2.5.1]
    ///
    /// # Errors
    /// [`AssociationError`] when it is the server's turn, when the message cannot be signed, or when
    /// there is no chance.
    pub fn authorize(
        &mut self,
        message: &Message,
        random: &dyn Random,
    ) -> Result<Authorization, AssociationError> {
        let token = self.token.as_deref();
        if token.is_none() && !self.is_up() {
            return Err(AssociationError::OutOfTurn);
        }
        let signs = self.is_up() && (token.is_none() || self.version.signs_last_token());
        let scheme = self.scheme.to_string();
        let mut writer = Writer::new(field(self.by, message), &scheme);
        writer = writer.quoted("qop", "auth")?.quoted("realm", &self.realm)?;
        if let Some(opaque) = &self.opaque {
            writer = writer.quoted("opaque", opaque)?;
        }
        writer = writer.quoted("targetname", &self.target)?;
        if let Some(token) = token {
            if self.version > Version::V2 {
                writer = writer.token("version", &self.version.number().to_string());
            }
            writer = writer.encoded("gssapi-data", &BASE64, token);
        }
        if signs {
            let rand = random::hex::<4>(random)?;
            self.sent = self.sent.saturating_add(1);
            let num = self.sent.to_string();
            let buffer = signature_buffer(self.version, self.salt(&scheme, &rand, &num), message)?;
            let response = self.mechanism.sign(buffer.as_bytes())?;
            writer = writer.plain("crand", &rand).plain("cnum", &num);
            writer = writer.encoded("response", &HEXLOWER, &response);
        }
        self.token = None;
        Ok(writer.finish())
    }

    /// Whether `message`, which came from the server, is signed, and rightly.
    ///
    /// A last token of the server in it is taken first. [MS-SIPAE section 3.2.5.2]
    ///
    /// # Errors
    /// [`AssociationError`] when the signature is wrong, was seen before, is another association's or
    /// cannot be read. Such a message must not be believed.
    pub fn verify(
        &mut self,
        message: &Message,
        now: Now,
        random: &dyn Random,
    ) -> Result<Protection, AssociationError> {
        let Some(info) = self.info(message)? else {
            return Ok(Protection::Absent);
        };
        self.check(&info)?;
        if self.opaque.as_deref().zip(info.opaque()).is_some_and(|(ours, theirs)| ours != theirs) {
            return Err(AssociationError::Foreign("opaque"));
        }
        if info.gssapi_data().is_some() && !self.is_up() {
            self.step(&info, now, random)?;
            if self.token.take().is_some() {
                return Err(AssociationError::OutOfTurn);
            }
        }
        let Some(signature) = info.parameter("rspauth") else {
            return Ok(Protection::Absent);
        };
        if !self.is_up() {
            return Err(AssociationError::OutOfTurn);
        }
        let signature = HEXLOWER_PERMISSIVE.decode(signature.as_bytes());
        let signature = signature.map_err(|_| AssociationError::Unreadable("rspauth"))?;
        let rand = info.parameter("srand").ok_or(AssociationError::Missing("srand"))?;
        let num = info.parameter("snum").ok_or(AssociationError::Missing("snum"))?;
        let number = decimal(num).ok_or(AssociationError::Unreadable("snum"))?;
        if !self.received.admits(number) {
            return Err(AssociationError::Replayed(number));
        }
        let scheme = self.scheme.to_string();
        let buffer = signature_buffer(self.version, self.salt(&scheme, rand, num), message)?;
        self.mechanism.verify(buffer.as_bytes(), &signature)?;
        self.received.take(number);
        // With Kerberos the answer that ends the handshake is the first to name the association.
        if self.opaque.is_none() {
            self.opaque = info.opaque().map(Into::into);
        }
        Ok(Protection::Verified)
    }

    /// Whether both sides have the keys, as far as the client knows.
    pub fn is_up(&self) -> bool {
        self.expires_at.is_some()
    }

    /// When a new one is due: [`Association::LIFETIME`] or the end of the ticket, whatever comes
    /// first, less [`Association::MARGIN`]. `None` before it is up. [MS-SIPAE section 3.2.2]
    pub fn expires_at(&self) -> Option<Instant> {
        self.expires_at
    }

    /// The scheme.
    pub fn scheme(&self) -> &Scheme {
        &self.scheme
    }

    /// The version of [MS-SIPAE] that the server named.
    pub fn version(&self) -> Version {
        self.version
    }

    /// What the server calls itself.
    pub fn target(&self) -> WireText {
        WireText::new(&self.target)
    }

    pub(crate) fn by(&self) -> Challenger {
        self.by
    }

    pub(crate) fn realm(&self) -> &str {
        &self.realm
    }

    fn salt<'a>(&'a self, scheme: &'a str, rand: &'a str, num: &'a str) -> Salt<'a> {
        Salt { scheme, rand, num, realm: &self.realm, target: &self.target }
    }

    /// Gives the mechanism what the server said, and keeps what it answers.
    fn step(
        &mut self,
        said: &Challenge,
        now: Now,
        random: &dyn Random,
    ) -> Result<(), AssociationError> {
        let decode = |data: &str| {
            let bytes = BASE64.decode(data.as_bytes());
            bytes.map_err(|_| AssociationError::Unreadable("gssapi-data"))
        };
        let token = said.gssapi_data().map(decode).transpose()?;
        match self.mechanism.step(token.as_deref(), now, random)? {
            MechanismStep::Continue(token) => self.token = Some(token.into()),
            MechanismStep::Done(token) => {
                self.token = token.map(Into::into);
                self.expires_at = Some(self.end(now));
            }
        }
        if let Some(opaque) = said.opaque() {
            self.opaque = Some(opaque.into());
        }
        Ok(())
    }

    fn end(&self, now: Now) -> Instant {
        let left = |end: std::time::SystemTime| end.duration_since(now.wall).unwrap_or_default();
        let life = self.mechanism.expires().map_or(Self::LIFETIME, left).min(Self::LIFETIME);
        now.instant.checked_add(life.saturating_sub(Self::MARGIN)).unwrap_or(now.instant)
    }

    /// That a server's words are about this association. [MS-SIPAE section 3.2.5.2]
    fn check(&self, said: &Challenge) -> Result<(), AssociationError> {
        for (name, same) in [
            ("scheme", *said.scheme() == self.scheme),
            ("realm", said.realm() == Some(&self.realm)),
            ("targetname", said.target_name() == Some(&self.target)),
        ] {
            if !same {
                return Err(AssociationError::Foreign(name));
            }
        }
        Ok(())
    }

    /// What the server says of its signature. Another scheme's words are nothing to us.
    fn info<'a>(&self, message: &'a Message) -> Result<Option<Challenge<'a>>, AssociationError> {
        let mut found = Vec::new();
        for name in ["Authentication-Info", "Proxy-Authentication-Info"] {
            for info in Challenge::of(message.headers(), name) {
                match info {
                    Ok(info) if *info.scheme() == self.scheme => found.push(info),
                    Err(error) if error.scheme == self.scheme => {
                        return Err(AssociationError::Unreadable("Authentication-Info"));
                    }
                    _ => {}
                }
            }
        }
        if found.len() > 1 {
            return Err(Ambiguous { name: "Authentication-Info" }.into());
        }
        Ok(found.pop())
    }
}

impl fmt::Debug for Association {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Association")
            .field("scheme", &self.scheme)
            .field("version", &self.version)
            .field("target", &self.target())
            .field("up", &self.is_up())
            .finish_non_exhaustive()
    }
}

/// What a first challenge must say: version, realm and target.
fn first<'a>(
    challenge: &'a Challenge<'_>,
) -> Result<(Version, &'a str, &'a str), AssociationError> {
    let number = challenge.version();
    let version = Version::read(number).ok_or(AssociationError::Version(number))?;
    let realm = challenge.realm().ok_or(AssociationError::Missing("realm"))?;
    let target = challenge.target_name().ok_or(AssociationError::Missing("targetname"))?;
    Ok((version, realm, target))
}

fn decimal(text: &str) -> Option<u32> {
    text.parse().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()))
}

/// Why an association fails, or a message is not this association's.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AssociationError {
    /// A message cannot be signed: nobody could say which of its fields is meant.
    #[error(transparent)]
    Ambiguous(#[from] Ambiguous),
    /// The server speaks of another association: this parameter differs.
    #[error("the {0} is not the one of this security association")]
    Foreign(&'static str),
    /// The mechanism failed.
    #[error(transparent)]
    Mechanism(#[from] MechanismError),
    /// The server left a parameter out.
    #[error("the server sent no {0}")]
    Missing(&'static str),
    /// It is the other side's turn.
    #[error("the security association is not at this point")]
    OutOfTurn,
    /// The server asks again although everything has been said: it does not believe it.
    #[error("the server did not accept the proof")]
    Rejected,
    /// A message with this `snum` has come before, or one of a much higher.
    #[error("the server's number {0} was used before")]
    Replayed(u32),
    /// A parameter cannot be read.
    #[error("the server's {0} cannot be read")]
    Unreadable(&'static str),
    /// A parameter cannot be written.
    #[error(transparent)]
    Unwritable(#[from] Unwritable),
    /// The server speaks a version that this client does not.
    #[error("the server speaks version {0} of the protocol")]
    Version(u32),
}

impl AssociationError {
    /// Whether a signature was there and wrong.
    pub fn is_wrong_signature(&self) -> bool {
        matches!(self, Self::Mechanism(error) if *error.kind() == MechanismErrorKind::Signature)
    }
}

impl From<RandomError> for AssociationError {
    fn from(error: RandomError) -> Self {
        Self::Mechanism(error.into())
    }
}

#[cfg(test)]
mod tests;
