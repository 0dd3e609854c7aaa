//! What the world can answer to a step: found, absent, failed, and how.

use std::fmt;
use std::net::IpAddr;

use super::srv::SrvRecord;
use crate::name::HostName;
use crate::text::WireText;

/// What a lookup learned. Absence is an answer; not to learn it is a [`LookupFailure`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "kebab-case"))]
pub enum Answer<T> {
    /// There are such records.
    Found(T),
    /// There are none.
    Absent(Absence),
}

/// The two ways in which DNS says that there are no such records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "kebab-case"))]
pub enum Absence {
    /// The name exists, with records of other kinds (NODATA: RFC 2308 section 2.2).
    NoData,
    /// The name does not exist (NXDOMAIN: RFC 1035 section 4.1.1).
    NoSuchName,
}

/// The records of an SRV answer, with the addresses that came in its additional section.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct SrvAnswer {
    /// The records, in any order. None at all counts as a malformed answer, never as absence.
    pub records: Vec<SrvRecord>,
    /// Owner name and address of each address record of the additional section.
    pub additional: Vec<(HostName, IpAddr)>,
}

/// Why a lookup could not learn whether there are such records.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum LookupFailure {
    /// The answer could not be understood or broke DNS's own rules.
    #[error("malformed answer")]
    Malformed,
    /// Anything else, in words.
    #[error("failed: {0}")]
    Other(WireText),
    /// The server would not answer this question (REFUSED).
    #[error("refused")]
    Refused,
    /// The server could not answer (SERVFAIL).
    #[error("servfail")]
    ServerFailure,
    /// Nothing came in time.
    #[error("timed out")]
    TimedOut,
    /// The question cannot be put: with the service in front, the name is over 253 characters.
    #[error("name too long to ask for")]
    TooLong,
    /// No DNS server could be reached.
    #[error("no dns server reached")]
    Unreachable,
}

/// Why a connection was not established.
///
/// What is known about the server's side decides whether clear text may still be tried: only
/// [`leaves_clear_text`](ConnectFailure::leaves_clear_text) failures leave it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum ConnectFailure {
    /// The server's certificate was not accepted.
    #[error("certificate {0}")]
    Certificate(CertificateFault),
    /// The connection was closed or reset before the server's first TLS record.
    #[error("closed before tls")]
    ClosedBeforeTls,
    /// The TLS handshake failed after the server had begun to speak, not for its certificate.
    #[error("tls handshake failed: {0}")]
    Handshake(WireText),
    /// Anything that the transport did not classify, in words.
    #[error("failed: {0}")]
    Other(WireText),
    /// The server speaks only versions of TLS older than 1.2.
    #[error("tls too old on the server")]
    PeerTooOld,
    /// Nothing listens there (RST, ICMP port unreachable).
    #[error("refused")]
    Refused,
    /// Nothing came in time.
    #[error("timed out")]
    TimedOut,
    /// No route to the address.
    #[error("unreachable")]
    Unreachable,
}

impl ConnectFailure {
    /// Whether this failure of a TLS candidate still lets clear text be tried: nobody has shown by
    /// it that a TLS server is there.
    pub fn leaves_clear_text(&self) -> bool {
        matches!(self, Self::ClosedBeforeTls | Self::Refused | Self::TimedOut | Self::Unreachable)
    }
}

/// What is wrong with a certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum CertificateFault {
    /// Its time is over.
    #[error("expired")]
    Expired,
    /// It names nobody in a subject alternative name; the common name does not count (RFC 9525).
    #[error("without subject alternative name")]
    NoSubjectAlternativeName,
    /// Its time has not come.
    #[error("not yet valid")]
    NotYetValid,
    /// Anything else, in words.
    #[error("invalid: {0}")]
    Other(WireText),
    /// Its issuer took it back.
    #[error("revoked")]
    Revoked,
    /// No trusted authority stands behind it.
    #[error("untrusted")]
    Untrusted,
    /// It is for others than the host that was connected to; these are the names it is for.
    #[error("for another name: {}", Names(.0))]
    WrongName(Vec<WireText>),
}

struct Names<'a>(&'a [WireText]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, name) in self.0.iter().enumerate() {
            let before = if at == 0 { "" } else { ", " };
            write!(f, "{before}{}", name.word())?;
        }
        Ok(())
    }
}

impl fmt::Display for Absence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSuchName => "absent",
            Self::NoData => "absent (no data)",
        })
    }
}

/// As a transcript says it: the records, then the additional addresses behind `with`.
impl fmt::Display for SrvAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, record) in self.records.iter().enumerate() {
            let before = if at == 0 { "" } else { ", " };
            write!(f, "{before}{record}")?;
        }
        if self.records.is_empty() {
            f.write_str("nothing")?;
        }
        for (at, (host, address)) in self.additional.iter().enumerate() {
            let before = if at == 0 { " with " } else { ", " };
            write!(f, "{before}{host} {address}")?;
        }
        Ok(())
    }
}
