//! Where a server says to go: the Contacts of a redirect.

use std::cmp::Reverse;
use std::net::IpAddr;

use super::message::Headers;
use super::parameters::{find_outside, split, split_addresses, trim, value_of};
use crate::address::split_port;
use crate::name::{Host, HostName};
use crate::text::WireText;

/// One target of a redirect (RFC 3261 section 20.10).
///
/// Nothing here is trusted: whether [`Target::host`] may be connected to is for the name rule.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Contact {
    /// The URI as it came.
    pub uri: WireText,
    /// The preference `q` in thousandths, 0 to 1000: 1000 when there is none, 0 when it is broken.
    pub quality: u16,
    /// Where the URI points to, when it can be read and this client could go there.
    pub target: Option<Target>,
}

/// A host, a port and a transport that a SIP URI names (RFC 3261 section 19.1).
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Target {
    /// The host.
    pub host: Host,
    /// The port, when the URI names one.
    pub port: Option<u16>,
    /// The transport.
    pub transport: UriTransport,
}

/// A transport of SIP that this client speaks. There are no others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "lowercase"))]
pub enum UriTransport {
    /// In clear text over TCP.
    Tcp,
    /// TLS over TCP: what a redirect without a `transport` means to a Communicator.
    Tls,
}

impl UriTransport {
    /// As Via spells it: `TLS`.
    pub fn in_via(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
        }
    }

    /// As a URI spells it: `tls`.
    pub fn in_uri(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }
}

impl Contact {
    /// How many are read of one message; those behind are left out.
    pub const LIMIT: usize = 16;

    /// The Contacts of a message, the most preferred first, equals in the order they came.
    pub fn of(headers: &Headers) -> Vec<Self> {
        let mut contacts: Vec<_> = headers
            .all("Contact")
            .flat_map(|value| {
                let pieces = split_addresses(&value).filter(|piece| !piece.is_empty());
                pieces.take(Self::LIMIT).map(Self::read).collect::<Vec<_>>()
            })
            .take(Self::LIMIT)
            .collect();
        contacts.sort_by_key(|contact| Reverse(contact.quality));
        contacts
    }

    /// `name-addr` or `addr-spec`, and parameters.
    fn read(piece: &str) -> Self {
        let enclosed = find_outside(piece, b'<', false)
            .and_then(|at| piece.split_at_checked(at))
            .and_then(|(_, rest)| rest.strip_prefix('<')?.split_once('>'));
        // Without brackets whatever follows the URI belongs to the header, q among it.
        let (uri, parameters) = enclosed.unwrap_or((piece, piece));
        let parameters = split(parameters, b';');
        let quality = value_of(parameters, "q");
        Self {
            uri: uri.into(),
            quality: quality.map_or(1000, |q| thousandths(&q).unwrap_or(0)),
            target: Target::read(trim(uri)),
        }
    }
}

impl Target {
    fn read(uri: &str) -> Option<Self> {
        let (scheme, rest) = uri.split_once(':')?;
        let secure = scheme.eq_ignore_ascii_case("sips");
        if !secure && !scheme.eq_ignore_ascii_case("sip") {
            return None;
        }
        // A user part may hold `;` and `?` but no `@`, and what follows may not either.
        let rest = rest.split_once('@').map_or(rest, |(_user, rest)| rest);
        if rest.contains('@') {
            return None;
        }
        let (rest, _headers) = rest.split_once('?').unwrap_or((rest, ""));
        let (host_port, parameters) = rest.split_once(';').unwrap_or((rest, ""));
        let (host, port) = split_port(host_port).ok()?;
        let transport = value_of(split(parameters, b';'), "transport");
        Some(Self {
            host: read_host(host)?,
            port,
            transport: match transport.as_deref() {
                None => UriTransport::Tls,
                Some(tls) if tls.eq_ignore_ascii_case("tls") => UriTransport::Tls,
                Some(tcp) if tcp.eq_ignore_ascii_case("tcp") && secure => UriTransport::Tls,
                Some(tcp) if tcp.eq_ignore_ascii_case("tcp") => UriTransport::Tcp,
                Some(_) => return None,
            },
        })
    }
}

/// A host that a machine wrote: an address, IPv6 in brackets, or an ASCII name.
fn read_host(text: &str) -> Option<Host> {
    let address = match text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
        Some(inside) => inside.parse().ok().map(IpAddr::V6),
        None => text.parse().ok().map(IpAddr::V4),
    };
    address.map(Host::Ip).or_else(|| HostName::parse(text).ok().map(Host::Name))
}

/// `qvalue` of RFC 3261 section 25.1: 0 to 1 with up to three decimals.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    if !matches!(whole, "0" | "1") || decimals.len() > 3 || !digits(decimals) {
        return None;
    }
    let value = format!("{whole}{decimals:0<3}").parse().ok()?;
    (value <= 1000).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::super::message::Message;
    use super::*;

    fn contacts(lines: &str) -> Vec<Contact> {
        let message = format!("SIP/2.0 301 Moved\r\n{lines}l: 0\r\n\r\n");
        Contact::of(Message::parse(message.into()).unwrap().headers())
    }

    /// The redirect to a home pool as Communicator and Lync see it: primary and backup.
    #[test]
    fn a_redirect_gives_its_pools_in_the_order_of_preference() {
        let pools = contacts(
            "Contact: <sip:POOL2.contoso.com:5061;transport=TLS>;q=0.3\r\n\
             Contact: <sip:POOL1.contoso.com:5061;transport=TLS>;q=0.7\r\n",
        );
        let hosts: Vec<_> = pools.iter().map(|p| (p.quality, p.target.clone())).collect();
        let target = |name: &str| {
            Some(Target {
                host: name.parse().unwrap(),
                port: Some(5061),
                transport: UriTransport::Tls,
            })
        };
        assert_eq!(hosts, [(700, target("pool1.contoso.com")), (300, target("pool2.contoso.com"))]);
    }

    #[test]
    fn a_target_is_read_whatever_stands_around_it() {
        use UriTransport::{Tcp, Tls};
        for (value, host, port, transport) in [
            ("<sip:pool.contoso.com>", "pool.contoso.com", None, Tls),
            ("sip:pool.contoso.com:443;q=0.5", "pool.contoso.com", Some(443), Tls),
            ("\"A, <B>\" <sip:u;x@a.b:1;transport=tcp?h=v>", "a.b", Some(1), Tcp),
            ("<sips:a.b;transport=tcp>", "a.b", None, Tls),
            ("<sip:a.b;lr;Transport=TCP;x=y>", "a.b", None, Tcp),
            ("<sip:192.0.2.9:5061>", "192.0.2.9", Some(5061), Tls),
            ("<sip:[2001:db8::9]:5061>", "[2001:db8::9]", Some(5061), Tls),
        ] {
            let contacts = contacts(&format!("m: {value}\r\n"));
            let target = contacts.first().unwrap().target.clone().expect(value);
            assert_eq!(target.host.to_string(), host, "{value}");
            assert_eq!((target.port, target.transport), (port, transport), "{value}");
        }
    }

    #[test]
    fn a_contact_that_leads_nowhere_is_kept_without_a_target() {
        for value in [
            "*",
            "<tel:+15551234>",
            "<sip:>",
            "<sip:a.b:0>",
            "<sip:a.b:70000>",
            "<sip:a.b;transport=udp>",
            "<sip:a..b>",
            "<sip:u@a.b@c.d>",
            "<sip:u@a.b;x=y@c.d>",
            "<sip:u@a.b?x=y@c.d>",
            "<sip:2130706433>",
            "<sip:2001:db8::9>",
            "<sip:a.b",
            "\"never ends <sip:a.b>",
        ] {
            let contacts = contacts(&format!("m: {value}\r\n"));
            assert_eq!(contacts.len(), 1);
            assert_eq!(contacts.first().unwrap().target, None, "{value}");
        }
    }

    #[test]
    fn qualities_have_three_decimals() {
        for (text, value) in [
            ("0", Some(0)),
            ("0.7", Some(700)),
            ("0.33", Some(330)),
            ("1.000", Some(1000)),
            ("1.", Some(1000)),
            ("1.001", None),
            ("0.0001", None),
            ("2", None),
            (".5", None),
            ("-1", None),
        ] {
            assert_eq!(thousandths(text), value, "{text}");
        }
    }

    #[test]
    fn no_more_than_the_limit_are_read() {
        for count in [Contact::LIMIT, Contact::LIMIT + 1] {
            let list = vec!["<sip:a.b>"; count].join(",");
            assert_eq!(contacts(&format!("m: {list}\r\n")).len(), Contact::LIMIT);
        }
    }
}
