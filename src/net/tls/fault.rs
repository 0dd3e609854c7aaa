//! Telling failures apart: whether a server was there, whether it spoke TLS, what was wrong.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};

use crate::discovery::{CertificateFault, ConnectFailure};
use crate::text::WireText;

/// What an error before the connection stood means.
///
/// Nobody has answered then, so whatever the network or a firewall on the way can cause leaves clear
/// text to be tried; what is our own trouble (no more sockets) is not guessed at.
pub(super) fn of_dialling(error: &io::Error, address: SocketAddr) -> ConnectFailure {
    match error.kind() {
        ErrorKind::ConnectionRefused
        | ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted => ConnectFailure::Refused,
        ErrorKind::TimedOut => ConnectFailure::TimedOut,
        ErrorKind::AddrNotAvailable
        | ErrorKind::HostUnreachable
        | ErrorKind::InvalidInput
        | ErrorKind::NetworkDown
        | ErrorKind::NetworkUnreachable
        | ErrorKind::PermissionDenied
        | ErrorKind::Unsupported => ConnectFailure::Unreachable,
        // A system without IPv6 says so (EAFNOSUPPORT) by an error that has no kind.
        _ if address.is_ipv6() => ConnectFailure::Unreachable,
        _ => ConnectFailure::Other(WireText::new(error.to_string())),
    }
}

/// What an error of the handshake means; `heard` is whether the server had sent anything.
pub(super) fn of_handshake(error: &io::Error, heard: bool) -> ConnectFailure {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match (inner, error.kind()) {
        (Some(error), _) => of_tls(error),
        (None, ErrorKind::TimedOut) if !heard => ConnectFailure::TimedOut,
        (None, ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable) if !heard => {
            ConnectFailure::Unreachable
        }
        (
            None,
            ErrorKind::UnexpectedEof
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe,
        ) if !heard => ConnectFailure::ClosedBeforeTls,
        _ => ConnectFailure::Handshake(WireText::new(error.to_string())),
    }
}

fn of_tls(error: &Error) -> ConnectFailure {
    match error {
        Error::InvalidCertificate(error) => ConnectFailure::Certificate(of_certificate(error)),
        Error::NoCertificatesPresented => {
            let nothing = CertificateFault::Other("the server sent none".into());
            ConnectFailure::Certificate(nothing)
        }
        Error::AlertReceived(AlertDescription::ProtocolVersion)
        | Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13) => {
            ConnectFailure::PeerTooOld
        }
        error => ConnectFailure::Handshake(WireText::new(error.to_string())),
    }
}

/// The verifier looks at the chain and its times first and at the name last, so a certificate that
/// is both expired and for another host is told as expired.
fn of_certificate(error: &CertificateError) -> CertificateFault {
    use CertificateError as Error;
    match error {
        // A rogue authority that bears the name of a trusted one shows by its signature.
        Error::BadSignature | Error::UnknownIssuer => CertificateFault::Untrusted,
        Error::Expired | Error::ExpiredContext { .. } => CertificateFault::Expired,
        Error::NotValidYet | Error::NotValidYetContext { .. } => CertificateFault::NotYetValid,
        Error::Revoked => CertificateFault::Revoked,
        Error::NotValidForName => CertificateFault::WrongName(Vec::new()),
        Error::NotValidForNameContext { presented, .. } if presented.is_empty() => {
            CertificateFault::NoSubjectAlternativeName
        }
        Error::NotValidForNameContext { presented, .. } => {
            CertificateFault::WrongName(presented.iter().map(|name| bare(name).into()).collect())
        }
        error => CertificateFault::Other(WireText::new(error.to_string())),
    }
}

/// The name inside `DnsName("sip.contoso.com")` or `IpAddress(192.0.2.1)`, as webpki prints them.
fn bare(presented: &str) -> &str {
    let inside = presented.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inside.unwrap_or(presented).trim_matches('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_without_a_kind_is_no_route_for_ipv6_and_unclassified_for_ipv4() {
        let error = || io::Error::from_raw_os_error(12345);
        let v4 = of_dialling(&error(), SocketAddr::from(([192, 0, 2, 1], 5061)));
        let v6 = of_dialling(&error(), "[2001:db8::1]:5061".parse().unwrap());
        assert!(matches!(v4, ConnectFailure::Other(_)), "{v4:?}");
        assert_eq!(v6, ConnectFailure::Unreachable);
    }

    #[test]
    fn silence_and_reset_mean_no_tls_only_before_the_server_spoke() {
        for (kind, before) in [
            (ErrorKind::TimedOut, ConnectFailure::TimedOut),
            (ErrorKind::HostUnreachable, ConnectFailure::Unreachable),
            (ErrorKind::ConnectionReset, ConnectFailure::ClosedBeforeTls),
            (ErrorKind::BrokenPipe, ConnectFailure::ClosedBeforeTls),
            (ErrorKind::UnexpectedEof, ConnectFailure::ClosedBeforeTls),
        ] {
            assert_eq!(of_handshake(&kind.into(), false), before);
            let after = of_handshake(&kind.into(), true);
            assert!(matches!(after, ConnectFailure::Handshake(_)), "{kind:?}: {after:?}");
            assert!(!after.leaves_clear_text());
        }
    }

    #[test]
    fn each_fault_of_a_certificate_has_its_own_word() {
        let table = [
            (CertificateError::BadSignature, "untrusted"),
            (CertificateError::UnknownIssuer, "untrusted"),
            (CertificateError::Expired, "expired"),
            (CertificateError::NotValidYet, "not yet valid"),
            (CertificateError::Revoked, "revoked"),
            (CertificateError::NotValidForName, "for another name: "),
        ];
        for (error, word) in table {
            assert_eq!(of_certificate(&error).to_string(), word);
        }
        let other = of_certificate(&CertificateError::BadEncoding);
        assert!(matches!(other, CertificateFault::Other(_)), "{other:?}");
    }

    #[test]
    fn presented_names_are_shown_bare() {
        for (printed, name) in [
            (r#"DnsName("*.contoso.com")"#, "*.contoso.com"),
            ("IpAddress(192.0.2.1)", "192.0.2.1"),
            (r#"UniformResourceIdentifier("sip:contoso.com")"#, "sip:contoso.com"),
            ("DirectoryName", "DirectoryName"),
        ] {
            assert_eq!(bare(printed), name);
        }
    }
}
