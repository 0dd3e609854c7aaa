//! What a server wants to see before it lets anybody in.

mod reader;

use std::borrow::Cow;
use std::fmt;

use smallvec::SmallVec;

use self::reader::Unread;
use super::head::Span;
use super::limits::Limits;
use super::message::Headers;
use super::scheme::Scheme;
use crate::text::WireText;

/// One challenge of a `WWW-Authenticate` or `Proxy-Authenticate` header.
///
/// A scheme and its parameters in their order, unknown ones among them (RFC 3261 section 20.44,
/// RFC 7235 section 2.1, [MS-SIPAE]). Values are as the server meant them: without quotes and
/// escapes, never shown but as [`WireText`]. It borrows the message; who keeps it takes it [apart](Self::apart).
///
/// ```
/// use sip_signin::sip::{Challenge, Scheme};
/// let value = r#"NTLM realm="SIP Communications Service", targetname="a.contoso.com", version=3"#;
/// let challenges = Challenge::read_all(value);
/// let challenge = challenges[0].as_ref().unwrap();
/// assert_eq!(*challenge.scheme(), Scheme::Ntlm);
/// assert_eq!(challenge.target_name(), Some("a.contoso.com"));
/// assert_eq!(challenge.version(), 3);
/// ```
#[derive(Clone)]
pub struct Challenge<'a> {
    scheme: Scheme,
    /// The challenge's part of a header value, and behind it what had escapes, without them.
    text: Cow<'a, [u8]>,
    parameters: Parameters,
}

/// Where the name and the value of a parameter are.
#[derive(Clone)]
struct Place {
    name: Span,
    value: Span,
}

/// Where the parameters are: inline, for as many as a Communications server sends.
type Parameters = SmallVec<[Place; 6]>;

impl<'a> Challenge<'a> {
    /// Reads the challenges of all fields called `name`, each when it is asked for. A broken one does
    /// not hide the others.
    pub fn of(
        headers: &'a Headers,
        name: &str,
    ) -> impl Iterator<Item = Result<Self, ChallengeError>> {
        Unread::of(headers.values(name), headers.folded).take(Self::LIMIT)
    }

    /// Reads the challenges in one header value, separated by commas as RFC 7235 allows. A value of
    /// more than [`Limits::HEADER_BYTES`], which no message holds, has none.
    ///
    /// A quoted string that does not end hides what follows it: nobody can tell where it ends.
    pub fn read_all(value: &'a str) -> Vec<Result<Self, ChallengeError>> {
        let value = Some(value.as_bytes()).filter(|value| value.len() <= Limits::HEADER_BYTES);
        Unread::of(value.into_iter(), false).take(Self::LIMIT).collect()
    }
}

impl Challenge<'_> {
    /// How many challenges are read of one message; those behind are left out.
    pub const LIMIT: usize = 16;
    /// The most parameters of one challenge.
    pub const PARAMETER_LIMIT: usize = 32;
    /// The version of the protocol when the server names none. [MS-SIPAE] (unverified)
    pub const OLDEST_VERSION: u32 = 2;

    /// The same in memory of its own.
    pub fn apart(&self) -> Challenge<'static> {
        let places = || self.parameters.iter().flat_map(|place| [place.name, place.value]);
        let whole = places().reduce(Span::with).unwrap_or(Span::new(0, 0));
        let moved = |span: Span| span.moved(whole.start(), 0);
        let parameters = self.parameters.iter();
        let parameters =
            parameters.map(|place| Place { name: moved(place.name), value: moved(place.value) });
        Challenge {
            scheme: self.scheme.clone(),
            text: Cow::Owned(whole.of(&self.text).to_vec()),
            parameters: parameters.collect(),
        }
    }

    /// What kind of proof it wants.
    pub fn scheme(&self) -> &Scheme {
        &self.scheme
    }

    /// All parameters, in the order they came.
    pub fn parameters(&self) -> impl ExactSizeIterator<Item = Parameter<'_>> {
        self.parameters
            .iter()
            .map(|field| Parameter { name: self.slice(field.name), value: self.slice(field.value) })
    }

    /// The value of the parameter `name`, whatever its case.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        find(&self.parameters, name.as_bytes(), &self.text).map(|field| self.slice(field.value))
    }

    fn slice(&self, span: Span) -> &str {
        std::str::from_utf8(span.of(&self.text)).unwrap_or_default()
    }

    /// Which accounts are asked for.
    pub fn realm(&self) -> Option<&str> {
        self.parameter("realm")
    }

    /// Which server asks: `server.contoso.com`, for Kerberos `sip/server.contoso.com`.
    /// [MS-SIPAE section 3.2.5.2]
    pub fn target_name(&self) -> Option<&str> {
        self.parameter("targetname")
    }

    /// The version of [MS-SIPAE] that the server speaks, [`Challenge::OLDEST_VERSION`] if it names
    /// none.
    pub fn version(&self) -> u32 {
        let named = self.parameter("version").and_then(|named| read_version(named.as_bytes()));
        named.unwrap_or(Self::OLDEST_VERSION)
    }

    /// What is to be sent back as it is: it names the security association.
    pub fn opaque(&self) -> Option<&str> {
        self.parameter("opaque")
    }

    /// The server's part of the handshake, in base64.
    pub fn gssapi_data(&self) -> Option<&str> {
        self.parameter("gssapi-data")
    }

    /// What is to be protected: `auth`.
    pub fn qop(&self) -> Option<&str> {
        self.parameter("qop")
    }

    /// The number used once of a Digest challenge (RFC 7616 section 3.3).
    pub fn nonce(&self) -> Option<&str> {
        self.parameter("nonce")
    }

    /// The hash of a Digest challenge (RFC 8760 section 2.1).
    pub fn algorithm(&self) -> Option<&str> {
        self.parameter("algorithm")
    }

    /// Whether only the nonce was too old (RFC 7616 section 3.3).
    pub fn stale(&self) -> bool {
        self.parameter("stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true"))
    }

    /// Where TLS-DSK gets its certificate.
    pub fn sts_uri(&self) -> Option<&str> {
        self.parameter("sts-uri")
    }
}

impl PartialEq for Challenge<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.scheme == other.scheme && self.parameters().eq(other.parameters())
    }
}

impl Eq for Challenge<'_> {}

impl fmt::Debug for Challenge<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.scheme)?;
        f.debug_list().entries(self.parameters()).finish()
    }
}

fn find<'a>(parameters: &'a [Place], name: &[u8], text: &[u8]) -> Option<&'a Place> {
    parameters.iter().find(|field| field.name.of(text).eq_ignore_ascii_case(name))
}

fn read_version(text: &[u8]) -> Option<u32> {
    let add = |number: u32, digit: &u8| {
        let digit = digit.checked_sub(b'0').filter(|&digit| digit <= 9)?;
        number.checked_mul(10)?.checked_add(digit.into())
    };
    if text.is_empty() { None } else { text.iter().try_fold(0, add) }
}

/// One `name=value` of a challenge.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Parameter<'a> {
    name: &'a str,
    value: &'a str,
}

impl<'a> Parameter<'a> {
    /// The name as it came; its case carries no meaning.
    pub fn name(self) -> &'a str {
        self.name
    }

    /// The value, without quotes and escapes.
    pub fn value(self) -> &'a str {
        self.value
    }
}

/// Shown as [`WireText`].
impl fmt::Debug for Parameter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, value) = (WireText::new(self.name), WireText::new(self.value));
        write!(f, "{name}=\"{value}\"")
    }
}

/// Why one challenge could not be read. The fault is the server's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server's {scheme} challenge cannot be read: {kind}")]
pub struct ChallengeError {
    /// The scheme, as far as it could be read.
    pub scheme: Scheme,
    /// The rule it breaks.
    pub kind: ChallengeErrorKind,
}

/// The rule that a challenge breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChallengeErrorKind {
    /// Two parameters of one name.
    #[error("a parameter comes twice")]
    Duplicate,
    /// Something stands where a scheme must.
    #[error("it does not begin with a scheme")]
    NoScheme,
    /// Not `name=value`.
    #[error("a parameter is not of the form name=value")]
    Parameter,
    /// A quoted string that does not end, or does not end the parameter.
    #[error("a quoted string is broken")]
    Quote,
    /// More than [`Challenge::PARAMETER_LIMIT`] parameters.
    #[error("it has more than {} parameters", Challenge::PARAMETER_LIMIT)]
    TooManyParameters,
    /// A version that is not a number.
    #[error("its version is not a number")]
    Version,
}

#[cfg(test)]
mod tests;
