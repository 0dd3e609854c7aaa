//! The server that let a user in before.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::endpoint::Endpoint;
use super::manual::ManualServer;
use super::order::Protocol;
use crate::name::{Host, HostName};
use crate::text::WireText;

/// The server that let a user in before: a search may try it first, and asks DNS only if it fails
/// or takes longer than its head start. The caller keeps it, as its text or with serde.
///
/// It is believed no more than an answer of DNS: the name rule must admit its host (or the order
/// must name it), and its certificate is checked as ever. Only TLS servers are remembered, or a
/// visit in clear text would hide the TLS server of the next search.
///
/// ```
/// use sip_signin::discovery::{LastServer, Search};
/// let last: LastServer = "pool01.contoso.com:5061 192.0.2.10".parse()?;
/// let search = Search::default().remembering(last);
/// # Ok::<(), sip_signin::discovery::LastServerError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(into = "String", try_from = "String"))]
pub struct LastServer {
    /// Its host, for which its certificate was valid.
    pub host: HostName,
    /// Its TCP port.
    pub port: u16,
    /// The address that answered.
    pub address: IpAddr,
}

impl LastServer {
    /// The server at `endpoint`, which answered from `address`; `None` if it is not to be
    /// remembered: it spoke clear text, or has no name.
    pub fn of(endpoint: &Endpoint, address: IpAddr) -> Option<Self> {
        let Endpoint { protocol: Protocol::Tls, host, port } = endpoint else { return None };
        Some(Self { host: host.name()?.clone(), port: *port, address })
    }
}

/// `pool01.contoso.com:5061 192.0.2.10`
impl fmt::Display for LastServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, address } = self;
        write!(f, "{host}:{port} {address}")
    }
}

impl FromStr for LastServer {
    type Err = LastServerError;

    /// Reads what `Display` writes.
    fn from_str(text: &str) -> Result<Self, LastServerError> {
        let read = || {
            let (server, address) = text.split_once(' ')?;
            let ManualServer { host: Host::Name(host), port } = server.parse().ok()? else {
                return None;
            };
            Some(Self { host, port: port?, address: address.parse().ok()? })
        };
        read().ok_or_else(|| LastServerError { text: text.into() })
    }
}

impl From<LastServer> for String {
    fn from(last: LastServer) -> Self {
        last.to_string()
    }
}

impl TryFrom<String> for LastServer {
    type Error = LastServerError;

    fn try_from(text: String) -> Result<Self, LastServerError> {
        text.parse()
    }
}

/// A text that names no server to remember. What stored it is at fault; a search without it works.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a host with a port, a space and an address")]
pub struct LastServerError {
    /// The text.
    pub text: WireText,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::TrustedHost;

    #[test]
    fn its_text_reads_back_and_nothing_else_does() {
        for text in ["pool01.contoso.com:5061 192.0.2.10", "pool01.contoso.com:443 2001:db8::1"] {
            assert_eq!(text.parse::<LastServer>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "pool01.contoso.com 192.0.2.10",
            "pool01.contoso.com:5061",
            "pool01.contoso.com:0 192.0.2.10",
            "192.0.2.10:5061 192.0.2.10",
            "pool01.contoso.com:5061  192.0.2.10",
            "pool01.contoso.com:5061 pool01.contoso.com",
        ] {
            assert!(text.parse::<LastServer>().is_err(), "{text}");
        }
    }

    #[test]
    fn only_a_named_tls_server_is_remembered() {
        let address = "192.0.2.10".parse().unwrap();
        let of = |protocol, host: &str| {
            let host = TrustedHost::set_by_administrator(host.parse().unwrap());
            LastServer::of(&Endpoint { protocol, host, port: 5061 }, address)
        };
        assert!(of(Protocol::Tls, "pool01.contoso.com").is_some());
        assert_eq!(of(Protocol::Tcp, "pool01.contoso.com"), None);
        assert_eq!(of(Protocol::Tls, "192.0.2.10"), None);
    }
}
