//! Whom a connect leads to.

use std::fmt;
use std::net::IpAddr;

use super::order::Protocol;
use crate::policy::TrustedHost;

/// A server as the search sees it: how to speak to it, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Endpoint {
    /// TLS or clear text.
    pub protocol: Protocol,
    /// The host; with TLS, its certificate must be valid for this name, never for another.
    pub host: TrustedHost,
    /// The TCP port.
    pub port: u16,
}

/// The family of an address question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "lowercase"))]
pub enum Family {
    /// AAAA records.
    V6,
    /// A records.
    V4,
}

impl Family {
    pub(super) fn other(self) -> Self {
        match self {
            Self::V6 => Self::V4,
            Self::V4 => Self::V6,
        }
    }

    /// The family of `address`.
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::V6 => "aaaa",
            Self::V4 => "a",
        })
    }
}

/// `tls sip.contoso.com:5061`
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}:{}", self.protocol, self.host, self.port)
    }
}
