//! The ways to prove who one is.

use std::fmt;

use super::scan::is_called;
use crate::text::WireText;

/// How a client proves who it is. The order carries no meaning.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scheme {
    /// The password in clear text (RFC 7617). Never answered.
    Basic,
    /// A hash of the password and a nonce (RFC 3261 section 22, RFC 8760).
    Digest,
    /// A Kerberos ticket. [MS-SIPAE]
    Kerberos,
    /// Kerberos or NTLM, negotiated (RFC 4559); [MS-SIPAE] does not define it.
    Negotiate,
    /// A challenge and a response. [MS-SIPAE]
    Ntlm,
    /// A certificate, shown in a TLS handshake inside SIP. [MS-SIPAE]
    TlsDsk,
    /// Another one.
    Other(WireText),
}

impl Scheme {
    const KNOWN: [Self; 6] =
        [Self::Basic, Self::Digest, Self::Kerberos, Self::Negotiate, Self::Ntlm, Self::TlsDsk];

    /// The scheme of this name, whatever its case (RFC 7235 section 2.1).
    pub fn read(name: &str) -> Self {
        Self::read_bytes(name.as_bytes())
    }

    pub(super) fn read_bytes(name: &[u8]) -> Self {
        let is_it = |known: &&Self| is_called(name, known.name().as_bytes());
        let known = Self::KNOWN.iter().find(is_it).cloned();
        known.unwrap_or_else(|| Self::Other(WireText::from_bytes(name)))
    }

    /// The name as its standard spells it.
    fn name(&self) -> &str {
        match self {
            Self::Basic => "Basic",
            Self::Digest => "Digest",
            Self::Kerberos => "Kerberos",
            Self::Negotiate => "Negotiate",
            Self::Ntlm => "NTLM",
            Self::TlsDsk => "TLS-DSK",
            Self::Other(name) => name.raw(),
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other(name) => name.fmt(f),
            known => f.write_str(known.name()),
        }
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Scheme {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheme_is_known_by_its_name_in_any_case() {
        for (name, scheme, shown) in [
            ("basic", Scheme::Basic, "Basic"),
            ("DIGEST", Scheme::Digest, "Digest"),
            ("kerberos", Scheme::Kerberos, "Kerberos"),
            ("negotiate", Scheme::Negotiate, "Negotiate"),
            ("Ntlm", Scheme::Ntlm, "NTLM"),
            ("tls-dsk", Scheme::TlsDsk, "TLS-DSK"),
            ("TLSDSK", Scheme::Other("TLSDSK".into()), "TLSDSK"),
        ] {
            assert_eq!(Scheme::read(name), scheme);
            assert_eq!(scheme.to_string(), shown);
        }
    }
}
