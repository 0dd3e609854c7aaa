//! The sign-in address: the only thing the user must tell us.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::name::{HostName, NameError};
use crate::text::WireText;

/// A user's address-of-record, `sip:jeremy@contoso.com`.
///
/// Reads `sip:user@domain` and `user@domain`, with space around it. A port and parameters are kept
/// apart and are never part of the domain; the search does not use them. The user part keeps its
/// spelling, escapes included. [seed, article 1; RFC 3261 section 19.1.1] A clone shares its text.
///
/// ```
/// use sip_signin::SipAddress;
/// let address: SipAddress = "jeremy@Contoso.com".parse()?;
/// assert_eq!(address.to_string(), "sip:jeremy@contoso.com");
/// assert_eq!(address.domain().as_str(), "contoso.com");
/// # Ok::<(), sip_signin::AddressError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SipAddress(Arc<Parts>);

#[derive(Debug, PartialEq, Eq, Hash)]
struct Parts {
    user: Box<str>,
    domain: HostName,
    port: Option<u16>,
    parameters: Option<Box<str>>,
}

impl SipAddress {
    /// The longest input, in bytes without the space around it, and the longest address printed.
    pub const LIMIT: usize = 512;

    /// The user part as it was typed, without decoding: `jeremy`, `jeremy%40home`.
    pub fn user(&self) -> &str {
        &self.0.user
    }

    /// The domain part: where the search begins.
    pub fn domain(&self) -> &HostName {
        &self.0.domain
    }

    /// A port that was typed behind the domain.
    pub fn port(&self) -> Option<u16> {
        self.0.port
    }

    /// Parameters that were typed behind the domain, without the first `;`.
    pub fn parameters(&self) -> Option<&str> {
        self.0.parameters.as_deref()
    }

    fn parse(text: &str) -> Result<Self, AddressErrorKind> {
        use AddressErrorKind as Kind;
        if text.is_empty() {
            return Err(Kind::Empty);
        }
        if text.len() > Self::LIMIT {
            return Err(Kind::TooLong);
        }
        if let Some(c) = text.chars().find(|c| c.is_control()) {
            return Err(Kind::Character(c));
        }
        let rest = strip_scheme(text)?;
        let (user, rest) = rest.rsplit_once('@').ok_or(Kind::NoAt)?;
        check_user(user)?;
        if rest.contains('?') {
            return Err(Kind::Headers);
        }
        let (host_port, parameters) = match rest.split_once(';') {
            Some((host_port, parameters)) => (host_port, Some(parameters)),
            None => (rest, None),
        };
        if let Some(parameters) = parameters {
            check_parameters(parameters)?;
        }
        let (domain, port) = split_port(host_port)?;
        let domain = HostName::from_typed(domain).map_err(Kind::Domain)?;
        // What is printed must read back, also where a scheme or A-labels made it longer.
        let printed = ["sip:", user, "@", domain.as_str()].map(str::len).into_iter().sum::<usize>();
        if printed > Self::LIMIT {
            return Err(Kind::TooLong);
        }
        let parameters = parameters.map(Into::into);
        Ok(Self(Arc::new(Parts { user: user.into(), domain, port, parameters })))
    }
}

/// Takes `sip:` off; no scheme is fine, another one that people use for addresses is an error.
fn strip_scheme(text: &str) -> Result<&str, AddressErrorKind> {
    const OTHERS: [&str; 5] = ["im", "mailto", "sips", "tel", "xmpp"];
    match text.split_once(':') {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("sip") => Ok(rest),
        Some((scheme, _)) if OTHERS.iter().any(|other| scheme.eq_ignore_ascii_case(other)) => {
            Err(AddressErrorKind::Scheme)
        }
        _ => Ok(text),
    }
}

/// `user` of RFC 3261 section 25.1: unreserved, user-unreserved and escapes; no password.
fn check_user(user: &str) -> Result<(), AddressErrorKind> {
    use AddressErrorKind as Kind;
    if user.is_empty() {
        return Err(Kind::NoUser);
    }
    let mut rest = user;
    while let Some(c) = rest.chars().next() {
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
        match c {
            ':' => return Err(Kind::Password),
            '%' => {
                let byte = rest.get(..2).filter(|h| h.bytes().all(|b| b.is_ascii_hexdigit()));
                let byte = byte.and_then(|h| u8::from_str_radix(h, 16).ok());
                if byte.ok_or(Kind::Escape)?.is_ascii_control() {
                    return Err(Kind::Escape);
                }
                rest = rest.get(2..).unwrap_or_default();
            }
            c if c.is_ascii_alphanumeric() || "-_.!~*'()&=+$,;?/".contains(c) => {}
            c => return Err(Kind::Character(c)),
        }
    }
    Ok(())
}

/// `uri-parameters` of RFC 3261 section 25.1, unread: `name` or `name=value`, separated by `;`.
fn check_parameters(parameters: &str) -> Result<(), AddressErrorKind> {
    use AddressErrorKind as Kind;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.!~*'()%[]/:&+$".contains(c);
    for parameter in parameters.split(';') {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, "-"));
        if name.is_empty() || value.is_empty() {
            return Err(Kind::Parameters);
        }
        if let Some(c) = name.chars().chain(value.chars()).find(|c| !allowed(*c)) {
            return Err(Kind::Character(c));
        }
    }
    Ok(())
}

pub(crate) fn split_port(host_port: &str) -> Result<(&str, Option<u16>), AddressErrorKind> {
    let Some((host, port)) = host_port.rsplit_once(':').filter(|_| !host_port.ends_with(']'))
    else {
        return Ok((host_port, None));
    };
    if host.contains(':') && !host.starts_with('[') {
        return Ok((host_port, None));
    }
    Ok((host, Some(read_port(port).ok_or(AddressErrorKind::Port)?)))
}

/// A port number: 1 to 65535 in plain digits.
pub(crate) fn read_port(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.len() <= 5 && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|&port| digits && port != 0)
}

/// Why a text is not a sign-in address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a sign-in address: {kind}")]
pub struct AddressError {
    /// The text that was read, without the space around it.
    pub text: WireText,
    /// The rule it breaks.
    #[source]
    pub kind: AddressErrorKind,
}

/// The rule that an address breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressErrorKind {
    /// A character that does not belong there (a non-ASCII one in the user part must be escaped).
    #[error("the character '{c}' is not allowed there", c = .0.escape_default())]
    Character(char),
    /// The domain is not a host name.
    #[error("in its domain, {0}")]
    Domain(#[source] NameError),
    /// Nothing was typed.
    #[error("it is empty; it looks like sip:user@domain")]
    Empty,
    /// A `%` without two hexadecimal digits, or the escape of a control character.
    #[error("a percent escape in the user part is broken or hides a control character")]
    Escape,
    /// Headers (`?…`) behind the domain.
    #[error("it carries headers, which an address-of-record cannot")]
    Headers,
    /// No `@`.
    #[error("it has no @; it looks like sip:user@domain")]
    NoAt,
    /// Nothing in front of the `@`.
    #[error("nothing stands in front of the @")]
    NoUser,
    /// An empty parameter, or one without its value.
    #[error("its parameters are broken")]
    Parameters,
    /// A password in the user part.
    #[error("it carries a password; credentials are given elsewhere")]
    Password,
    /// Not a number from 1 to 65535.
    #[error("its port is not a number from 1 to 65535")]
    Port,
    /// Another scheme than `sip:`.
    #[error("its scheme is not sip:")]
    Scheme,
    /// More than [`SipAddress::LIMIT`] bytes.
    #[error("it is longer than 512 bytes")]
    TooLong,
}

impl FromStr for SipAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let text = text.trim();
        Self::parse(text).map_err(|kind| AddressError { text: text.into(), kind })
    }
}

/// The address-of-record: scheme, user and domain; no port, no parameters.
impl fmt::Display for SipAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sip:{}@{}", self.user(), self.domain())
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for SipAddress {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::NameErrorKind;
    use AddressErrorKind as Kind;

    fn read(text: &str) -> SipAddress {
        text.parse().unwrap()
    }

    #[test]
    fn every_usual_spelling_reads_as_user_and_domain() {
        for (text, shown) in [
            ("sip:jeremy@contoso.com", "sip:jeremy@contoso.com"),
            ("SIP:jeremy@Contoso.COM", "sip:jeremy@contoso.com"),
            ("jeremy@contoso.com", "sip:jeremy@contoso.com"),
            (" \tsip:kim.akers@fabrikam.com \n", "sip:kim.akers@fabrikam.com"),
            ("j%40home@contoso.com.", "sip:j%40home@contoso.com"),
            ("o'neil+test@contoso", "sip:o'neil+test@contoso"),
        ] {
            assert_eq!(read(text).to_string(), shown);
        }
    }

    #[test]
    fn an_escaped_at_stays_in_the_user_part() {
        let address = read("sip:jeremy%40evil.example@contoso.com");
        assert_eq!(address.user(), "jeremy%40evil.example");
        assert_eq!(address.domain().as_str(), "contoso.com");
    }

    #[test]
    fn a_port_and_parameters_are_never_part_of_the_domain() {
        let address = read("sip:jeremy@contoso.com:5061;transport=tls;lr");
        assert_eq!(address.domain().as_str(), "contoso.com");
        assert_eq!(address.port(), Some(5061));
        assert_eq!(address.parameters(), Some("transport=tls;lr"));
        assert_eq!(address.to_string(), "sip:jeremy@contoso.com");
    }

    #[cfg(feature = "idna")]
    #[test]
    fn an_internationalised_domain_is_converted_once() {
        assert_eq!(read("jeremy@bücher.example").domain().as_str(), "xn--bcher-kva.example");
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_rule_it_breaks() {
        let long = format!("sip:{}@contoso.com", "j".repeat(497));
        let longest = long.replacen('j', "", 1);
        assert_eq!(read(&longest).to_string().len(), SipAddress::LIMIT);
        let longer_printed = longest.replacen("sip:", "jj", 1);
        for (text, kind) in [
            ("", Kind::Empty),
            ("  ", Kind::Empty),
            ("jeremy", Kind::NoAt),
            ("sip:contoso.com", Kind::NoAt),
            ("@contoso.com", Kind::NoUser),
            ("sip:@contoso.com", Kind::NoUser),
            ("sips:jeremy@contoso.com", Kind::Scheme),
            ("tel:5550100@contoso.com", Kind::Scheme),
            ("sip:jeremy:secret@contoso.com", Kind::Password),
            ("jeremy:secret@contoso.com", Kind::Password),
            ("jer%@contoso.com", Kind::Escape),
            ("jer%4@contoso.com", Kind::Escape),
            ("jer%00@contoso.com", Kind::Escape),
            ("jer%+1@contoso.com", Kind::Escape),
            ("jere my@contoso.com", Kind::Character(' ')),
            ("jeremy@home@contoso.com", Kind::Character('@')),
            ("jürgen@contoso.com", Kind::Character('ü')),
            ("jer\remy@contoso.com", Kind::Character('\r')),
            ("jeremy@contoso.com?subject=x", Kind::Headers),
            ("jeremy@contoso.com:", Kind::Port),
            ("jeremy@contoso.com:0", Kind::Port),
            ("jeremy@contoso.com:65536", Kind::Port),
            ("jeremy@contoso.com:+506", Kind::Port),
            ("jeremy@contoso.com;", Kind::Parameters),
            ("jeremy@contoso.com;a=", Kind::Parameters),
            ("jeremy@contoso.com;a=\"", Kind::Character('"')),
            (&long, Kind::TooLong),
            (&longer_printed, Kind::TooLong),
        ] {
            assert_eq!(text.parse::<SipAddress>().unwrap_err().kind, kind, "{text:?}");
        }
        for (text, kind) in [
            ("jeremy@", NameErrorKind::Empty),
            ("jeremy@192.0.2.1", NameErrorKind::IpAddress),
            ("jeremy@192.0.2.1:5061", NameErrorKind::IpAddress),
            ("jeremy@[2001:db8::1]", NameErrorKind::IpAddress),
            ("jeremy@[2001:db8::1]:5061", NameErrorKind::IpAddress),
            ("jeremy@2001:db8::1", NameErrorKind::IpAddress),
            ("jeremy@contoso..com", NameErrorKind::EmptyLabel),
            ("jeremy@contoso.com%", NameErrorKind::Character('%')),
        ] {
            let Kind::Domain(error) = text.parse::<SipAddress>().unwrap_err().kind else {
                panic!("{text}: not an error of the domain");
            };
            assert_eq!(error.kind, kind, "{text:?}");
        }
    }

    #[test]
    fn an_error_names_the_input_without_its_tricks() {
        let error = "jer\u{202e}emy@contoso.com".parse::<SipAddress>().unwrap_err();
        assert_eq!(
            error.to_string(),
            r"`jer\u{202e}emy@contoso.com` is not a sign-in address: the character '\u{202e}' is not allowed there"
        );
    }
}
