//! Host names: parsed once into one normal form, then only compared.
//!
//! The same value goes to the name rule, to DNS, to SNI and to the certificate check, so nothing
//! can be one name here and another there. The normal form is ASCII lower case, without the final
//! dot, labels of letters, digits and hyphens (RFC 952, RFC 1123 section 2.1), A-labels for
//! internationalised names (RFC 5890).

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use crate::text::WireText;

/// The name of a host or of a domain, in its normal form.
///
/// At most 253 characters in labels of at most 63. Never an IP address, never a wildcard, never an
/// underscore. Cloning is cheap.
///
/// ```
/// use sip_signin::HostName;
/// let name: HostName = "SIP.Contoso.COM.".parse()?;
/// assert_eq!(name.as_str(), "sip.contoso.com");
/// assert!("192.0.2.1".parse::<HostName>().is_err());
/// # Ok::<(), sip_signin::NameError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostName(Arc<str>);

impl HostName {
    /// The longest name, in characters without the final dot (RFC 1035 section 2.3.4).
    pub const LIMIT: usize = 253;
    /// The longest label (RFC 1035 section 2.3.4).
    pub const LABEL_LIMIT: usize = 63;

    /// Reads a name that a machine wrote: ASCII only, one final dot allowed.
    ///
    /// # Errors
    /// [`NameError`] says which rule the text breaks.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let fail = |kind| NameError { text: text.into(), kind };
        let name = text.strip_suffix('.').unwrap_or(text);
        check(name).map_err(fail)?;
        if name.bytes().any(|b| b.is_ascii_uppercase()) {
            Ok(Self(name.to_ascii_lowercase().into()))
        } else {
            Ok(Self(name.into()))
        }
    }

    /// Reads a name that a person typed: like [`HostName::parse`], but Unicode labels are converted
    /// to A-labels once (feature `idna`; UTS 46, non-transitional).
    ///
    /// A label that only becomes ASCII by the conversion (full-width letters, the Kelvin sign) is
    /// refused: it looks like one name and would be another.
    ///
    /// # Errors
    /// [`NameError`] says which rule the text breaks; without the feature every non-ASCII label is
    /// [`NameErrorKind::NotAscii`].
    pub fn from_typed(text: &str) -> Result<Self, NameError> {
        if text.is_ascii() {
            return Self::parse(text);
        }
        to_ascii(text)
            .and_then(|ascii| Self::parse(&ascii).map_err(|e| e.kind))
            .map_err(|kind| NameError { text: text.into(), kind })
    }

    /// The name: lower case, no final dot.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A name that was written down as it is here: nothing of it is checked.
    pub(crate) fn written(name: &str) -> Self {
        Self(name.into())
    }

    /// `label` in front of this name.
    pub(crate) fn below(&self, label: &str) -> Result<Self, NameError> {
        Self::parse(&format!("{label}.{self}"))
    }

    /// The labels in front of `domain`, when this name lies below it: `a.b` for `a.b.contoso.com`.
    ///
    /// Both names are in normal form and no label holds a dot, so that comparing the tail after a
    /// dot compares label by label.
    pub(crate) fn labels_below(&self, domain: &Self) -> Option<&str> {
        self.0.strip_suffix(&*domain.0)?.strip_suffix('.')
    }
}

/// The grammar of a name without its final dot.
fn check(name: &str) -> Result<(), NameErrorKind> {
    use NameErrorKind as Kind;
    if name.is_empty() {
        return Err(Kind::Empty);
    }
    if is_ip_literal(name) {
        return Err(Kind::IpAddress);
    }
    for label in name.split('.') {
        if let Some(c) = label.chars().find(|c| !c.is_ascii_alphanumeric() && *c != '-') {
            return Err(if c.is_ascii() { Kind::Character(c) } else { Kind::NotAscii });
        }
        if label.is_empty() {
            return Err(Kind::EmptyLabel);
        }
        if label.len() > HostName::LABEL_LIMIT {
            return Err(Kind::LabelTooLong);
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Err(Kind::Hyphen);
        }
    }
    if name.len() > HostName::LIMIT {
        return Err(Kind::TooLong);
    }
    let last = name.rsplit('.').next().unwrap_or(name);
    if ends_in_number(last) { Err(Kind::NumericLastLabel) } else { Ok(()) }
}

fn is_ip_literal(name: &str) -> bool {
    let bare = name.strip_prefix('[').and_then(|n| n.strip_suffix(']')).unwrap_or(name);
    bare.parse::<IpAddr>().is_ok()
}

/// Whether some reader of addresses would take a name with this last label for an IPv4 address.
fn ends_in_number(label: &str) -> bool {
    let hexadecimal = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
    label.bytes().all(|b| b.is_ascii_digit())
        || hexadecimal.is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
}

#[cfg(not(feature = "idna"))]
fn to_ascii(_: &str) -> Result<String, NameErrorKind> {
    Err(NameErrorKind::NotAscii)
}

/// Our own grammar first, so that the converter never sees what it would quietly repair: percent
/// escapes, other dots, numbers that it reads as addresses.
#[cfg(feature = "idna")]
fn to_ascii(text: &str) -> Result<String, NameErrorKind> {
    use NameErrorKind as Kind;
    let name = text.strip_suffix('.').unwrap_or(text);
    for label in name.split('.') {
        if label.is_empty() {
            return Err(Kind::EmptyLabel);
        }
        let foreign = |c: &char| c.is_ascii() && !c.is_ascii_alphanumeric() && *c != '-';
        if let Some(c) = label.chars().find(foreign) {
            return Err(Kind::Character(c));
        }
        if label.contains(['\u{3002}', '\u{ff0e}', '\u{ff61}']) {
            return Err(Kind::NotConvertible);
        }
    }
    let Ok(url::Host::Domain(ascii)) = url::Host::parse(name) else {
        return Err(Kind::NotConvertible);
    };
    let converted = |(from, to): (&str, &str)| {
        if from.is_ascii() { from.eq_ignore_ascii_case(to) } else { to.starts_with("xn--") }
    };
    let same_count = ascii.split('.').count() == name.split('.').count();
    if same_count && name.split('.').zip(ascii.split('.')).all(converted) {
        Ok(ascii)
    } else {
        Err(Kind::NotConvertible)
    }
}

/// The name of a DNS SRV question: a service in front of a domain, `_sip._tls.contoso.com`.
///
/// ```
/// use sip_signin::{HostName, SrvName};
/// let name = SrvName::new("_sip._tls", &HostName::parse("contoso.com")?)?;
/// assert_eq!(name.to_string(), "_sip._tls.contoso.com");
/// # Ok::<(), sip_signin::NameError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SrvName {
    service: Cow<'static, str>,
    domain: HostName,
}

impl SrvName {
    /// Puts `service` (two labels, each `_` and a name: RFC 2782) in front of `domain`.
    ///
    /// # Errors
    /// [`NameError`] when `service` is not of that form or the whole is over 253 characters.
    pub fn new(
        service: impl Into<Cow<'static, str>>,
        domain: &HostName,
    ) -> Result<Self, NameError> {
        let name = Self::of_service(service.into(), domain);
        let fits = Self::fits(&name.service, domain).then_some(());
        match check_service(&name.service).and(fits.ok_or(NameErrorKind::TooLong)) {
            Ok(()) => Ok(name),
            Err(kind) => Err(NameError { text: WireText::new(name.to_string()), kind }),
        }
    }

    /// The same for two that were checked before, or for an error that names them.
    pub(crate) fn of_service(service: Cow<'static, str>, domain: &HostName) -> Self {
        Self { service, domain: domain.clone() }
    }

    /// Whether the two together are no longer than a name may be.
    pub(crate) fn fits(service: &str, domain: &HostName) -> bool {
        service.len().saturating_add(1).saturating_add(domain.as_str().len()) <= HostName::LIMIT
    }

    /// The two service labels: `_sip._tls`.
    pub fn service(&self) -> &str {
        &self.service
    }

    /// The domain that is asked about.
    pub fn domain(&self) -> &HostName {
        &self.domain
    }
}

/// The grammar of the two labels in front of the domain.
pub(crate) fn check_service(service: &str) -> Result<(), NameErrorKind> {
    let mut labels = service.split('.');
    let (Some(service), Some(protocol), None) = (labels.next(), labels.next(), labels.next())
    else {
        return Err(NameErrorKind::Service);
    };
    for label in [service, protocol] {
        let name = label.strip_prefix('_').ok_or(NameErrorKind::Service)?;
        let letters = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !letters || name.is_empty() || label.len() > HostName::LABEL_LIMIT {
            return Err(NameErrorKind::Service);
        }
    }
    Ok(())
}

impl FromStr for SrvName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let dots: Vec<usize> = text.match_indices('.').map(|(at, _)| at).collect();
        let split = dots.get(1).and_then(|&at| text.split_at_checked(at));
        let (service, domain) =
            split.ok_or(NameError { text: text.into(), kind: NameErrorKind::Service })?;
        let domain = HostName::parse(domain.trim_start_matches('.'))?;
        Self::new(service.to_ascii_lowercase(), &domain)
    }
}

/// A host as an administrator may write it: a name or an IP address.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(untagged))]
pub enum Host {
    /// A name, to be resolved.
    Name(HostName),
    /// An address, used as it is.
    Ip(IpAddr),
}

impl FromStr for Host {
    type Err = NameError;

    /// Reads a name that a person typed, an IPv4 address, or an IPv6 address with or without
    /// brackets.
    fn from_str(text: &str) -> Result<Self, NameError> {
        let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
        if let Some(Ok(address)) = bare.map(|b| b.parse().map(IpAddr::V6)) {
            return Ok(Self::Ip(address));
        }
        match text.parse() {
            Ok(address) => Ok(Self::Ip(address)),
            Err(_) => HostName::from_typed(text).map(Self::Name),
        }
    }
}

/// Why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a host name: {kind}")]
pub struct NameError {
    /// The text that was read.
    pub text: WireText,
    /// The rule it breaks.
    pub kind: NameErrorKind,
}

/// The rule that a name breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameErrorKind {
    /// A character that no host name has: only letters, digits and hyphens are allowed.
    #[error("the character '{c}' is not allowed", c = .0.escape_default())]
    Character(char),
    /// Nothing, or only a dot.
    #[error("it is empty")]
    Empty,
    /// Two dots in a row, or a dot in front.
    #[error("a label between two dots is empty")]
    EmptyLabel,
    /// A label begins or ends with a hyphen.
    #[error("a label begins or ends with a hyphen")]
    Hyphen,
    /// An IP address stands where a name must.
    #[error("it is an IP address")]
    IpAddress,
    /// A label of more than 63 characters.
    #[error("a label is longer than 63 characters")]
    LabelTooLong,
    /// Non-ASCII where only ASCII is allowed, or feature `idna` is off.
    #[error("it is not ASCII")]
    NotAscii,
    /// Internationalised, but with no A-label form that looks like what was typed.
    #[error("it has no A-label form (IDNA)")]
    NotConvertible,
    /// The last label is a number, so that some readers would take the name for an address.
    #[error("its last label is a number")]
    NumericLastLabel,
    /// Not of the form `_service._protocol`.
    #[error("it does not begin with _service._protocol")]
    Service,
    /// More than 253 characters.
    #[error("it is longer than 253 characters")]
    TooLong,
}

impl FromStr for HostName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::parse(text)
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for SrvName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.service, self.domain)
    }
}

impl fmt::Debug for SrvName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Ip(IpAddr::V4(address)) => address.fmt(f),
            Self::Ip(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for HostName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for SrvName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use NameErrorKind as Kind;

    #[test]
    fn names_have_one_normal_form() {
        for (text, name) in [
            ("contoso.com", "contoso.com"),
            ("SIP.Contoso.COM", "sip.contoso.com"),
            ("sip.contoso.com.", "sip.contoso.com"),
            ("contoso", "contoso"),
            ("xn--mnchen-3ya.contoso.com", "xn--mnchen-3ya.contoso.com"),
            ("1.contoso.com", "1.contoso.com"),
            ("a--b.c0m", "a--b.c0m"),
        ] {
            assert_eq!(HostName::parse(text).unwrap().as_str(), name);
        }
    }

    #[test]
    fn what_is_no_name_is_refused_with_the_rule_it_breaks() {
        let label = "a".repeat(64);
        let long = format!("{}.com", [label.get(..49).unwrap(); 5].join("."));
        assert_eq!(long.len(), 253);
        assert!(HostName::parse(&long).is_ok());
        let longer = format!("b{long}");
        for (text, kind) in [
            ("", Kind::Empty),
            (".", Kind::Empty),
            ("..", Kind::EmptyLabel),
            ("sip..contoso.com", Kind::EmptyLabel),
            (".sip.contoso.com", Kind::EmptyLabel),
            ("sip.contoso.com..", Kind::EmptyLabel),
            ("_sip.contoso.com", Kind::Character('_')),
            ("*.contoso.com", Kind::Character('*')),
            ("sip%2econtoso.com", Kind::Character('%')),
            ("sip.contoso.com:5061", Kind::Character(':')),
            ("sip.contoso.com ", Kind::Character(' ')),
            ("sip\0.contoso.com", Kind::Character('\0')),
            ("-a.contoso.com", Kind::Hyphen),
            ("a-.contoso.com", Kind::Hyphen),
            ("xn--contoso-", Kind::Hyphen),
            ("192.0.2.10", Kind::IpAddress),
            ("2001:db8::1", Kind::IpAddress),
            ("[2001:db8::1]", Kind::IpAddress),
            ("contoso.123", Kind::NumericLastLabel),
            ("1.2.3", Kind::NumericLastLabel),
            ("2130706433", Kind::NumericLastLabel),
            ("0x7f000001", Kind::NumericLastLabel),
            ("0x7f.0x1", Kind::NumericLastLabel),
            ("münchen.contoso.com", Kind::NotAscii),
            ("sip\u{ff0e}contoso.com", Kind::NotAscii),
            (&label, Kind::LabelTooLong),
            (&longer, Kind::TooLong),
        ] {
            assert_eq!(HostName::parse(text).unwrap_err().kind, kind, "{text:?}");
        }
    }

    #[cfg(feature = "idna")]
    #[test]
    fn a_person_may_type_unicode_that_looks_like_what_it_becomes() {
        for (text, name) in [
            ("bücher.example", "xn--bcher-kva.example"),
            ("BÜCHER.Example.", "xn--bcher-kva.example"),
            ("straße.de", "xn--strae-oqa.de"),
            ("contoso.com", "contoso.com"),
        ] {
            assert_eq!(HostName::from_typed(text).unwrap().as_str(), name);
        }
        for (text, kind) in [
            ("\u{ff53}\u{ff49}\u{ff50}.contoso.com", Kind::NotConvertible),
            ("\u{212a}ontoso.com", Kind::NotConvertible),
            ("\u{17f}ip.contoso.com", Kind::NotConvertible),
            ("sip\u{3002}bücher.example", Kind::NotConvertible),
            ("bücher%2e.example", Kind::Character('%')),
            ("bücher..example", Kind::EmptyLabel),
            ("bü cher.example", Kind::Character(' ')),
        ] {
            assert_eq!(HostName::from_typed(text).unwrap_err().kind, kind, "{text:?}");
        }
    }

    #[cfg(not(feature = "idna"))]
    #[test]
    fn without_the_feature_a_unicode_name_is_refused_by_name() {
        let error = HostName::from_typed("bücher.example").unwrap_err();
        assert_eq!(error.kind, Kind::NotAscii);
    }

    #[test]
    fn srv_names_are_two_service_labels_and_a_domain() {
        let name: SrvName = "_SIP._tls.Contoso.com.".parse().unwrap();
        assert_eq!(name.to_string(), "_sip._tls.contoso.com");
        for text in ["sip._tls.contoso.com", "_sip._tls", "_sip.contoso.com", "_._tls.contoso.com"]
        {
            assert!(text.parse::<SrvName>().is_err(), "{text}");
        }
        let domain = |last: usize| {
            let labels = [63, 63, 63, last].map(|length| "a".repeat(length));
            HostName::parse(&labels.join(".")).unwrap()
        };
        assert!(SrvName::new("_sipinternaltls._tcp", &domain(40)).is_ok());
        let error = SrvName::new("_sipinternaltls._tcp", &domain(41)).unwrap_err();
        assert_eq!(error.kind, Kind::TooLong);
    }

    #[test]
    fn a_host_is_a_name_or_an_address() {
        for (text, shown) in [
            ("SIP.contoso.com", "sip.contoso.com"),
            ("192.0.2.1", "192.0.2.1"),
            ("2001:db8::1", "[2001:db8::1]"),
            ("[2001:db8::1]", "[2001:db8::1]"),
        ] {
            assert_eq!(text.parse::<Host>().unwrap().to_string(), shown);
        }
        assert!("[192.0.2.1]".parse::<Host>().is_err());
    }
}
