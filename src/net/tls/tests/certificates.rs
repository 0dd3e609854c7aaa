//! Which certificates are refused, how that is told, and that nothing is sent before.

use std::net::{IpAddr, Ipv4Addr};

use rcgen::{ExtendedKeyUsagePurpose, SanType, date_time_ymd};

use super::*;

/// How `host` fails at a server with such a certificate; by then no SIP has been sent.
#[track_caller]
fn refusal(
    transport: &RustlsTransport,
    host: &str,
    config: ServerConfig,
) -> impl Future<Output = CertificateFault> {
    let caller = std::panic::Location::caller();
    async move {
        let (address, seen) = serve(config).await;
        let fault = match connect(transport, host, address).await {
            Err(ConnectFailure::Certificate(fault)) => fault,
            other => panic!("{caller}: {other:?}"),
        };
        let alert = seen.await.unwrap().unwrap_err().to_string();
        assert!(alert.starts_with("received fatal alert"), "{caller}: {alert}");
        fault
    }
}

async fn fault(config: ServerConfig, authority: &Authority) -> CertificateFault {
    refusal(&authority.transport(), SIP, config).await
}

/// RFC 9525 section 6.3: a wildcard is the whole left-most label and stands for one label.
#[tokio::test]
async fn a_wildcard_stands_for_exactly_one_label() {
    let authority = Authority::new("Contoso CA");
    let transport = authority.transport();
    let wildcard = || authority.server(&["*.contoso.com"], |_| ());
    let (address, _seen) = serve(wildcard()).await;
    connect(&transport, SIP, address).await.unwrap();
    for host in ["contoso.com", "sip.eng.contoso.com", "sip.cpandl.com"] {
        assert_eq!(refusal(&transport, host, wildcard()).await, wrong_name(&["*.contoso.com"]));
    }
    let partial = authority.server(&["s*.contoso.com"], |_| ());
    assert_eq!(refusal(&transport, SIP, partial).await, wrong_name(&["s*.contoso.com"]));
}

/// RFC 5922 section 7.2, for those who want it.
#[tokio::test]
async fn wildcards_can_be_refused_and_nothing_is_sent_then() {
    let authority = Authority::new("Contoso CA");
    let transport = authority.transport().refusing_wildcards();
    let (address, seen) = serve(authority.server(&["*.contoso.com"], |_| ())).await;
    let refused = connect(&transport, SIP, address).await.unwrap_err();
    assert_eq!(refused, ConnectFailure::Certificate(wrong_name(&["*.contoso.com"])));
    assert_eq!(seen.await.unwrap().unwrap(), b"");

    let (address, _seen) =
        serve(authority.server(&["*.contoso.com", "SIP.Contoso.com"], |_| ())).await;
    connect(&transport, SIP, address).await.unwrap();
}

#[tokio::test]
async fn a_certificate_for_others_is_refused_and_its_names_are_told() {
    let authority = Authority::new("Contoso CA");
    for names in [
        &["pool.contoso.com", "sip.cpandl.com"][..],
        &["contoso.com"],
        &["xsip.contoso.com"],
        &["sip.contoso.com.cpandl.com"],
        &["127.0.0.1"],
    ] {
        assert_eq!(fault(authority.server(names, |_| ()), &authority).await, wrong_name(names));
    }
    // A name of another kind is not compared, but shows that it is not "no name at all".
    let uri = authority.server(&[], |params| {
        params.subject_alt_names = vec![SanType::URI("sip:sip.contoso.com".try_into().unwrap())];
    });
    assert_eq!(fault(uri, &authority).await, wrong_name(&["sip:sip.contoso.com"]));
}

/// RFC 9525 section 2: the common name is no identity.
#[tokio::test]
async fn a_common_name_alone_is_no_name() {
    let authority = Authority::new("Contoso CA");
    let config = authority.server(&[], |_| ());
    assert_eq!(fault(config, &authority).await, CertificateFault::NoSubjectAlternativeName);
}

#[tokio::test]
async fn a_certificate_out_of_its_time_is_refused() {
    let authority = Authority::new("Contoso CA");
    let expired = |params: &mut CertificateParams| {
        params.not_before = date_time_ymd(2007, 1, 1);
        params.not_after = date_time_ymd(2009, 1, 1);
    };
    let config = authority.server(&[SIP], expired);
    assert_eq!(fault(config, &authority).await, CertificateFault::Expired);
    let future = authority.server(&[SIP], |params| params.not_before = date_time_ymd(4000, 1, 1));
    assert_eq!(fault(future, &authority).await, CertificateFault::NotYetValid);
    // Of two faults the chain's is told: the name is looked at last.
    let config = authority.server(&["pool.contoso.com"], expired);
    assert_eq!(fault(config, &authority).await, CertificateFault::Expired);
}

#[tokio::test]
async fn nobody_trusted_stands_behind_it() {
    let authority = Authority::new("Contoso CA");
    let unknown = Authority::new("Cpandl CA").server(&[SIP], |_| ());
    assert_eq!(fault(unknown, &authority).await, CertificateFault::Untrusted);
    // An authority of the same name but with another key shows by its signature.
    let rogue = Authority::new("Contoso CA").server(&[SIP], |_| ());
    assert_eq!(fault(rogue, &authority).await, CertificateFault::Untrusted);
}

#[tokio::test]
async fn a_certificate_for_clients_serves_no_server() {
    let authority = Authority::new("Contoso CA");
    let config = authority.server(&[SIP], |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    });
    let fault = fault(config, &authority).await;
    assert!(matches!(fault, CertificateFault::Other(_)), "{fault:?}");
}

#[tokio::test]
async fn an_address_must_stand_in_the_certificate_as_an_address() {
    let authority = Authority::new("Contoso CA");
    let transport = authority.transport().refusing_wildcards();
    let address = |params: &mut CertificateParams| {
        let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
        params.subject_alt_names = vec![SanType::IpAddress(ip)];
    };
    let (server, _seen) = serve(authority.server(&[], address)).await;
    connect(&transport, "127.0.0.1", server).await.unwrap();
    let other = refusal(&transport, "192.0.2.1", authority.server(&[], address)).await;
    assert_eq!(other, wrong_name(&["127.0.0.1"]));
    let name = refusal(&transport, "127.0.0.1", authority.server(&[SIP], |_| ())).await;
    assert_eq!(name, wrong_name(&[SIP]));
    let text = authority.server(&[], |params| {
        params.subject_alt_names = vec![SanType::DnsName("127.0.0.1".try_into().unwrap())];
    });
    assert_eq!(refusal(&transport, "127.0.0.1", text).await, wrong_name(&["127.0.0.1"]));
}

/// In TLS 1.2 the record types are in clear: 22 is the handshake's, 21 an alert, 23 application
/// data. [RFC 5246 section 6.2.1]
#[tokio::test]
async fn nothing_but_handshake_and_alert_reaches_a_server_with_a_wrong_certificate() {
    let authority = Authority::new("Contoso CA");
    let config = Arc::new(authority.server_of(&[&TLS12], &["pool.contoso.com"], |_| ()));
    let (tell, told) = tokio::sync::oneshot::channel();
    let address = canned(async move |mut stream: TcpStream| {
        let mut server = ServerConnection::new(config).map_err(io::Error::other)?;
        let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
        loop {
            let length = stream.read(&mut buffer).await?;
            if length == 0 {
                break;
            }
            seen.extend_from_slice(&buffer[..length]);
            server.read_tls(&mut &buffer[..length])?;
            if server.process_new_packets().is_err() {
                continue;
            }
            let mut flight = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut flight)?;
            }
            stream.write_all(&flight).await?;
        }
        tell.send(seen).map_err(|_| io::ErrorKind::Other.into())
    })
    .await;
    connect(&authority.transport(), SIP, address).await.unwrap_err();
    let seen = told.await.unwrap();
    let (mut types, mut rest) = (Vec::new(), &seen[..]);
    while let [kind, _, _, high, low, tail @ ..] = rest {
        types.push(*kind);
        rest = &tail[usize::from(u16::from_be_bytes([*high, *low]))..];
    }
    assert_eq!(types, [22, 21]);
}

#[test]
fn what_is_no_certificate_is_no_root() {
    assert!(RustlsTransport::with_roots([CertificateDer::from(vec![1, 2, 3])]).is_err());
}
