//! Servers set by hand.

use std::str::FromStr;

use super::order::Protocol;
use crate::address::read_port;
use crate::name::{Host, NameError};
use crate::text::WireText;

/// Servers that an administrator or the user named: no question is asked of DNS but their
/// addresses, and no name rule applies. Internal first, external when internal failed.
/// [seed, article 1]
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct ManualServers {
    /// `ServerAddressInternal`
    pub internal: Option<ManualServer>,
    /// `ServerAddressExternal`
    pub external: Option<ManualServer>,
    /// How both are spoken to (`Transport`).
    pub protocol: Protocol,
}

/// A server as a person writes it: a name or an IP address, and perhaps a port.
///
/// ```
/// use sip_signin::discovery::ManualServer;
/// let server: ManualServer = "sip.corp.example:5061".parse()?;
/// assert_eq!(server.port, Some(5061));
/// # Ok::<(), sip_signin::discovery::ManualServerError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct ManualServer {
    /// The host. An address needs a certificate that names it, which few servers have.
    pub host: Host,
    /// The port; without one, the protocol's own.
    pub port: Option<u16>,
}

impl FromStr for ManualServer {
    type Err = ManualServerError;

    /// Reads `host`, `host:port`, `192.0.2.1:5061`, `2001:db8::1`, `[2001:db8::1]:5061`.
    fn from_str(text: &str) -> Result<Self, ManualServerError> {
        let text = text.trim();
        let fail = |kind| ManualServerError { text: text.into(), kind };
        let bare_v6 = text.parse::<std::net::Ipv6Addr>().is_ok();
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !bare_v6 && !text.ends_with(']') => (host, Some(port)),
            _ => (text, None),
        };
        let port = port.map(|port| read_port(port).ok_or(ManualServerErrorKind::Port));
        let host = host.parse().map_err(ManualServerErrorKind::Host).map_err(fail)?;
        Ok(Self { host, port: port.transpose().map_err(fail)? })
    }
}

/// Why a text is not a server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a server: {kind}")]
pub struct ManualServerError {
    /// The text that was read, without the space around it.
    pub text: WireText,
    /// What is wrong with it.
    #[source]
    pub kind: ManualServerErrorKind,
}

/// What is wrong with a server's text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManualServerErrorKind {
    /// The host is neither a name nor an address.
    #[error("{0}")]
    Host(#[source] NameError),
    /// Not a number from 1 to 65535.
    #[error("its port is not a number from 1 to 65535")]
    Port,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_name_or_an_address_and_perhaps_a_port() {
        for (text, host, port) in [
            ("sip.corp.example", "sip.corp.example", None),
            (" SIP.corp.example:443 ", "sip.corp.example", Some(443)),
            ("192.0.2.1", "192.0.2.1", None),
            ("192.0.2.1:5061", "192.0.2.1", Some(5061)),
            ("2001:db8::1", "[2001:db8::1]", None),
            ("[2001:db8::1]", "[2001:db8::1]", None),
            ("[2001:db8::1]:5061", "[2001:db8::1]", Some(5061)),
        ] {
            assert_eq!(
                (
                    text.parse::<ManualServer>().unwrap().host.to_string().as_str(),
                    text.parse::<ManualServer>().unwrap().port
                ),
                (host, port)
            );
        }
        for text in ["", ":5061", "a:", "a:0", "a:70000", "a b", "[a]:5061", "sip:a", "a:1:2"] {
            assert!(text.parse::<ManualServer>().is_err(), "{text}");
        }
    }
}
