//! What a server wants to see before it lets anybody in.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use smallvec::SmallVec;

use super::head::is_token_byte;
use super::message::Headers;
use super::parameters::{is_token, parameter, split, trim, unquote};
use super::scheme::Scheme;
use crate::text::WireText;

/// One challenge of a `WWW-Authenticate` or `Proxy-Authenticate` header.
///
/// A scheme and its parameters in their order, unknown ones among them (RFC 3261 section 20.44,
/// RFC 7235 section 2.1, [MS-SIPAE]). Values are as the server meant them: without quotes and
/// escapes, never shown but as [`WireText`].
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    scheme: Scheme,
    /// Inline, for as many as a Communications server sends in a first answer.
    parameters: SmallVec<[Parameter; 4]>,
}

impl Challenge {
    /// How many challenges are read of one message; those behind are left out.
    pub const LIMIT: usize = 16;
    /// The most parameters of one challenge.
    pub const PARAMETER_LIMIT: usize = 32;
    /// The version of the protocol when the server names none. [MS-SIPAE] (unverified)
    pub const OLDEST_VERSION: u32 = 2;

    /// Reads the challenges of all fields called `name`. A broken one does not hide the others.
    pub fn of(headers: &Headers, name: &str) -> Vec<Result<Self, ChallengeError>> {
        let mut challenges = Vec::new();
        for value in headers.shared(name) {
            read_into(&mut challenges, &value);
        }
        challenges
    }

    /// Reads the challenges in one header value, separated by commas as RFC 7235 allows.
    ///
    /// A quoted string that does not end hides what follows it: nobody can tell where it ends.
    pub fn read_all(value: &str) -> Vec<Result<Self, ChallengeError>> {
        let mut challenges = Vec::new();
        read_into(&mut challenges, &Bytes::copy_from_slice(value.as_bytes()));
        challenges
    }

    /// What kind of proof it wants.
    pub fn scheme(&self) -> &Scheme {
        &self.scheme
    }

    /// All parameters, in the order they came.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// The value of the parameter `name`, whatever its case.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|p| p.is(name));
        found.map(Parameter::value)
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
        let named = self.parameter("version").and_then(read_version);
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

/// Reads `value` piece by piece. A piece is a parameter, or a scheme with or without its first
/// parameter: a scheme is never followed by `=`.
///
/// What it finds shares the memory of the value: a challenge outlives its message, and has no more
/// of it than that.
fn read_into(challenges: &mut Vec<Result<Challenge, ChallengeError>>, shared: &Bytes) {
    let value = std::str::from_utf8(shared).unwrap_or_default();
    let mut open: Option<Draft> = None;
    for piece in split(value, b',').filter(|piece| !piece.is_empty()) {
        let (head, rest) = cut_token(piece);
        let continues = head.is_empty() || rest.starts_with('=');
        if let Some(draft) = open.as_mut().filter(|_| continues) {
            draft.take(piece, shared);
            continue;
        }
        finish(challenges, open.take());
        let draft = open.insert(Draft::new(head));
        if !rest.is_empty() {
            draft.take(rest, shared);
        }
    }
    finish(challenges, open);
}

fn finish(challenges: &mut Vec<Result<Challenge, ChallengeError>>, draft: Option<Draft>) {
    if let Some(draft) = draft.filter(|_| challenges.len() < Challenge::LIMIT) {
        challenges.push(draft.finish());
    }
}

/// The token that `piece` begins with, or nothing, and the rest.
fn cut_token(piece: &str) -> (&str, &str) {
    let end = piece.bytes().take_while(|&byte| is_token_byte(byte)).count();
    match piece.split_at_checked(end) {
        Some((token, rest)) if rest.is_empty() || rest.starts_with([' ', '\t', '=', '"']) => {
            (token, trim(rest))
        }
        _ => ("", piece),
    }
}

/// A challenge that is being read, and the first thing that is wrong with it.
struct Draft {
    challenge: Challenge,
    wrong: Option<ChallengeErrorKind>,
}

impl Draft {
    fn new(scheme: &str) -> Self {
        Self {
            challenge: Challenge { scheme: Scheme::read(scheme), parameters: SmallVec::new() },
            wrong: scheme.is_empty().then_some(ChallengeErrorKind::NoScheme),
        }
    }

    fn take(&mut self, piece: &str, shared: &Bytes) {
        if self.wrong.is_none() {
            self.wrong = self.add(piece, shared).err();
        }
    }

    fn add(&mut self, piece: &str, shared: &Bytes) -> Result<(), ChallengeErrorKind> {
        use ChallengeErrorKind as Kind;
        let (name, Some(value)) = parameter(piece) else {
            return Err(Kind::Parameter);
        };
        let content = unquote(value).ok_or(Kind::Quote)?;
        let quoted = value.starts_with('"');
        if !is_token(name) || !quoted && !is_bare_value(value) {
            return Err(Kind::Parameter);
        }
        if self.challenge.parameter(name).is_some() {
            return Err(Kind::Duplicate);
        }
        if self.challenge.parameters.len() >= Challenge::PARAMETER_LIMIT {
            return Err(Kind::TooManyParameters);
        }
        if name.eq_ignore_ascii_case("version") && read_version(&content).is_none() {
            return Err(Kind::Version);
        }
        let name = shared.slice_ref(name.as_bytes());
        let value = match content {
            Cow::Borrowed(content) => shared.slice_ref(content.as_bytes()),
            Cow::Owned(content) => content.into(),
        };
        self.challenge.parameters.push(Parameter { name, value });
        Ok(())
    }

    fn finish(self) -> Result<Challenge, ChallengeError> {
        match self.wrong {
            None => Ok(self.challenge),
            Some(kind) => Err(ChallengeError { scheme: self.challenge.scheme, kind }),
        }
    }
}

fn read_version(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

/// A value without quotes: a token, and what base64 and URIs need besides.
fn is_bare_value(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_graphic() && b != b'"';
    !text.is_empty() && !text.starts_with('=') && text.bytes().all(allowed)
}

/// One `name=value` of a challenge.
#[derive(Clone, PartialEq, Eq)]
pub struct Parameter {
    name: Bytes,
    value: Bytes,
}

impl Parameter {
    /// The name as it came; its case carries no meaning.
    pub fn name(&self) -> &str {
        std::str::from_utf8(&self.name).unwrap_or_default()
    }

    /// The value, without quotes and escapes.
    pub fn value(&self) -> &str {
        std::str::from_utf8(&self.value).unwrap_or_default()
    }

    fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }
}

/// Shown as [`WireText`].
impl fmt::Debug for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, value) = (WireText::new(self.name()), WireText::new(self.value()));
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
mod tests {
    use super::*;
    use ChallengeErrorKind as Kind;

    /// What each piece of `value` is: the scheme and its parameters, or what is wrong.
    fn read(value: &str) -> Vec<String> {
        let show = |challenge: Result<Challenge, ChallengeError>| match challenge {
            Ok(challenge) => format!("{} {:?}", challenge.scheme, challenge.parameters),
            Err(error) => format!("{} {:?}", error.scheme, error.kind),
        };
        Challenge::read_all(value).into_iter().map(show).collect()
    }

    /// [MS-SIPAE] section 4.1, and what TLS-DSK and later rounds add.
    #[test]
    fn the_challenges_of_a_communications_server_are_read() {
        for (value, scheme, target, version) in [
            (
                r#"NTLM realm="SIP Communications Service", targetname="server.contoso.com", version=3"#,
                Scheme::Ntlm,
                "server.contoso.com",
                3,
            ),
            (
                r#"kerberos version=4,targetname="sip/server.contoso.com",realm="SIP Communications Service""#,
                Scheme::Kerberos,
                "sip/server.contoso.com",
                4,
            ),
            (
                r#"TLS-DSK realm = "SIP Communications Service", TargetName="server.contoso.com", sts-uri="https://a/b,c""#,
                Scheme::TlsDsk,
                "server.contoso.com",
                Challenge::OLDEST_VERSION,
            ),
        ] {
            let challenges = Challenge::read_all(value);
            let [Ok(challenge)] = challenges.as_slice() else {
                panic!("{challenges:?}");
            };
            assert_eq!(*challenge.scheme(), scheme);
            assert_eq!(challenge.realm(), Some("SIP Communications Service"));
            assert_eq!(challenge.target_name(), Some(target));
            assert_eq!(challenge.version(), version);
        }
        let value = r#"NTLM opaque="2BDBAC9D", gssapi-data="TlRM+/==", qop="auth", sts-uri="u""#;
        let challenge = Challenge::read_all(value).remove(0).unwrap();
        assert_eq!(challenge.opaque(), Some("2BDBAC9D"));
        assert_eq!(challenge.gssapi_data(), Some("TlRM+/=="));
        assert_eq!((challenge.qop(), challenge.sts_uri()), (Some("auth"), Some("u")));
    }

    /// RFC 2617 section 3.5 and RFC 8760.
    #[test]
    fn a_digest_challenge_is_read() {
        let value = r#"Digest realm="testrealm@host.com", qop="auth,auth-int", algorithm=SHA-256,
            nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", stale=TRUE"#;
        let challenge = Challenge::read_all(value).remove(0).unwrap();
        assert_eq!(*challenge.scheme(), Scheme::Digest);
        assert_eq!(challenge.realm(), Some("testrealm@host.com"));
        assert_eq!(challenge.qop(), Some("auth,auth-int"));
        assert_eq!(challenge.algorithm(), Some("SHA-256"));
        assert_eq!(challenge.nonce(), Some("dcd98b7102dd2f0e8b11d0f600bfb0c093"));
        assert!(challenge.stale());
        assert!(!Challenge::read_all("Digest stale=false")[0].as_ref().unwrap().stale());
    }

    /// The first is the example of RFC 7235 section 4.1.
    #[test]
    fn commas_part_challenges_and_parameters_alike() {
        for (value, read_as) in [
            (
                r#"Newauth realm="apps", type=1, title="Login to \"apps\"", Basic realm="simple""#,
                &[
                    r#"Newauth [realm="apps", type="1", title="Login to "apps""]"#,
                    r#"Basic [realm="simple"]"#,
                ][..],
            ),
            ("Negotiate, NTLM", &["Negotiate []", "NTLM []"]),
            (",, NTLM a=1,, ,b = 2,", &[r#"NTLM [a="1", b="2"]"#]),
            ("NTLM \ta=1", &[r#"NTLM [a="1"]"#]),
            ("", &[]),
            ("sch\u{202e}eme a=1", &[" NoScheme"]),
        ] {
            assert_eq!(read(value), read_as, "{value}");
        }
    }

    #[test]
    fn a_broken_challenge_does_not_hide_the_others() {
        for (value, read_as) in [
            ("A x=1, X=2, B y=1", &["A Duplicate", r#"B [y="1"]"#][..]),
            (r#"A x="1"2, B y=1"#, &["A Quote", r#"B [y="1"]"#]),
            (r#"B y=1, A x="1, C z=1"#, &[r#"B [y="1"]"#, "A Quote"]),
            ("A version=x, B y=1", &["A Version", r#"B [y="1"]"#]),
            ("A version=-1", &["A Version"]),
            ("A x=, B y=1", &["A Parameter", r#"B [y="1"]"#]),
            ("A YII==, B y=1", &["A Parameter", r#"B [y="1"]"#]),
            ("A x=1, @, B y=1", &["A Parameter", r#"B [y="1"]"#]),
            ("=1, B y=1", &[" NoScheme", r#"B [y="1"]"#]),
        ] {
            assert_eq!(read(value), read_as, "{value}");
        }
    }

    #[test]
    fn parameters_and_challenges_have_limits() {
        let many = |count: usize| {
            let list: Vec<_> = (0..count).map(|n| format!("p{n}=1")).collect();
            let value = format!("NTLM {}, Basic a=1", list.join(", "));
            Challenge::read_all(&value)
        };
        assert!(many(Challenge::PARAMETER_LIMIT).iter().all(Result::is_ok));
        let over = many(Challenge::PARAMETER_LIMIT + 1);
        assert_eq!(over[0].as_ref().unwrap_err().kind, Kind::TooManyParameters);
        assert!(over[1].is_ok());
        for count in [Challenge::LIMIT, Challenge::LIMIT + 1] {
            let read = Challenge::read_all(&vec!["NTLM"; count].join(","));
            assert_eq!(read.len(), Challenge::LIMIT);
        }
    }

    #[test]
    fn nothing_from_the_wire_is_shown_as_it_came() {
        let challenge = Challenge::read_all("NTLM realm=\"a\u{202e}b\"").remove(0).unwrap();
        assert!(format!("{challenge:?}").contains(r"a\u{202e}b"));
        assert_eq!(challenge.realm(), Some("a\u{202e}b"));
    }
}
