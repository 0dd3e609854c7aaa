//! What servers do before, during and instead of a handshake.

use super::*;

#[tokio::test]
async fn either_version_of_tls_carries_sip_and_tells_its_facts() {
    let authority = Authority::new("Contoso CA");
    for (version, name, suites) in [
        (&TLS13, "TLS 1.3", ["TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256"]),
        (
            &TLS12,
            "TLS 1.2",
            ["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"],
        ),
    ] {
        let config = authority.server_of(&[version], &[SIP, "Pool.contoso.com"], |_| ());
        let (address, seen) = serve(config).await;
        let mut connection = connect(&authority.transport(), SIP, address).await.unwrap();
        connection.write_all(b"REGISTER").await.unwrap();
        let mut answer = [0; 6];
        connection.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"200 OK");
        assert_eq!(seen.await.unwrap().unwrap(), b"REGISTER");

        let facts = connection.facts();
        assert_eq!((facts.local.ip(), facts.peer), (address.ip(), address));
        let tls = facts.tls.as_ref().unwrap();
        assert_eq!(tls.version.raw(), name);
        assert!(suites.contains(&tls.cipher_suite.raw()), "{}", tls.cipher_suite);
        assert_eq!(*tls.names, [SIP, "Pool.contoso.com"].map(WireText::from));
        assert_eq!(tls.chain.len(), 1);
        assert_eq!(dns_names(&CertificateDer::from(tls.chain[0].to_vec())), tls.names);
    }
}

#[tokio::test]
async fn clear_text_goes_out_in_clear() {
    let address = canned(async |mut stream: TcpStream| {
        let mut bytes = [0; 8];
        stream.read_exact(&mut bytes).await?;
        stream.write_all(&bytes).await
    })
    .await;
    let transport = Authority::new("Contoso CA").transport();
    let mut connection = connect_by(Protocol::Tcp, &transport, SIP, address).await.unwrap();
    connection.write_all(b"REGISTER").await.unwrap();
    let mut echo = [0; 8];
    connection.read_exact(&mut echo).await.unwrap();
    assert_eq!(&echo, b"REGISTER");
    assert_eq!(connection.facts().tls, None);
}

#[tokio::test]
async fn a_session_is_resumed_for_the_same_host_only() {
    let authority = Authority::new("Contoso CA");
    let config = Arc::new(authority.server(&[SIP, "sip2.contoso.com"], |_| ()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let acceptor = TlsAcceptor::from(config);
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let resumed = stream.get_ref().1.handshake_kind();
                stream.write_all(format!("{resumed:?}").as_bytes()).await?;
                stream.shutdown().await?;
            }
        }
        Ok::<_, io::Error>(())
    });
    let transport = authority.transport();
    let mut kinds = Vec::new();
    for host in [SIP, SIP, "sip2.contoso.com", "sip2.contoso.com"] {
        let mut connection = connect(&transport, host, address).await.unwrap();
        let mut kind = String::new();
        connection.read_to_string(&mut kind).await.unwrap();
        let tls = connection.facts().tls.clone().unwrap();
        assert_eq!((tls.names.len(), tls.chain.len()), (2, 1));
        kinds.push(kind);
    }
    // The same address and a certificate that fits both names; it is the name that decides.
    assert_eq!(kinds, ["Some(Full)", "Some(Resumed)"].repeat(2));
    let other = connect(&transport, "pool.contoso.com", address).await.unwrap_err();
    assert_eq!(other, ConnectFailure::Certificate(wrong_name(&[SIP, "sip2.contoso.com"])));
}

#[tokio::test]
async fn where_nobody_listens_the_connection_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let transport = Authority::new("Contoso CA").transport();
    for protocol in [Protocol::Tls, Protocol::Tcp] {
        let failure = connect_by(protocol, &transport, SIP, address).await.unwrap_err();
        assert_eq!(failure, ConnectFailure::Refused);
    }
}

/// Close, reset, and close after reading: as a server in clear text may take a ClientHello.
#[tokio::test]
async fn a_server_that_closes_without_a_word_showed_no_tls() {
    let transport = Authority::new("Contoso CA").transport();
    let at_once = canned(async |stream: TcpStream| {
        drop(stream);
        Ok(())
    });
    let after_reading = says(b"");
    let reset = canned(async |mut stream: TcpStream| {
        stream.read_u8().await?;
        stream.set_zero_linger()
    });
    for address in [at_once.await, after_reading.await, reset.await] {
        let failure = connect(&transport, SIP, address).await.unwrap_err();
        assert_eq!(failure, ConnectFailure::ClosedBeforeTls);
        assert!(failure.leaves_clear_text());
    }
}

/// A ServerHello of TLS 1.0 as Windows Server 2003 sends it: RSA with RC4 and SHA-1, no extension.
const SERVER_HELLO_OF_TLS_1_0: &[u8] = &[
    0x16, 3, 1, 0, 42, 2, 0, 0, 38, 3, 1, 0x47, 0x3d, 0x5a, 0x11, 5, 6, 7, 8, 9, 10, 11, 12, 13,
    14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 0, 0, 5, 0,
];

/// The alerts protocol_version (70) and handshake_failure (40), fatal. [RFC 5246 section 7.2]
const PROTOCOL_VERSION: &[u8] = &[0x15, 3, 1, 0, 2, 2, 70];
const HANDSHAKE_FAILURE: &[u8] = &[0x15, 3, 3, 0, 2, 2, 40];

#[tokio::test]
async fn a_server_of_the_first_years_is_told_as_too_old() {
    let transport = Authority::new("Contoso CA").transport();
    for bytes in [SERVER_HELLO_OF_TLS_1_0, PROTOCOL_VERSION] {
        let failure = connect(&transport, SIP, says(bytes).await).await.unwrap_err();
        assert_eq!(failure, ConnectFailure::PeerTooOld);
        assert!(!failure.leaves_clear_text());
    }
}

#[tokio::test]
async fn whatever_else_follows_the_first_byte_is_a_failed_handshake() {
    let transport = Authority::new("Contoso CA").transport();
    for bytes in [
        HANDSHAKE_FAILURE,
        b"SIP/2.0 400 Bad Request\r\n\r\n",
        &SERVER_HELLO_OF_TLS_1_0[..20],
        &[0x16],
        &[0x16, 3, 3, 0, 4, 0xff, 0, 0, 0],
    ] {
        let failure = connect(&transport, SIP, says(bytes).await).await.unwrap_err();
        assert!(matches!(failure, ConnectFailure::Handshake(_)), "{bytes:?}: {failure:?}");
        assert!(!failure.leaves_clear_text());
    }
}

#[tokio::test]
async fn a_server_that_leaves_after_its_hello_had_begun_tls() {
    let authority = Authority::new("Contoso CA");
    let config = Arc::new(authority.server(&[SIP], |_| ()));
    let address = canned(async move |mut stream: TcpStream| {
        let mut server = ServerConnection::new(config).map_err(io::Error::other)?;
        let mut buffer = [0; 4096];
        let length = stream.read(&mut buffer).await?;
        server.read_tls(&mut &buffer[..length])?;
        server.process_new_packets().map_err(io::Error::other)?;
        let mut flight = Vec::new();
        server.write_tls(&mut flight)?;
        let hello = 5 + usize::from(u16::from_be_bytes([flight[3], flight[4]]));
        stream.write_all(&flight[..hello]).await
    })
    .await;
    let failure = connect(&authority.transport(), SIP, address).await.unwrap_err();
    assert!(matches!(failure, ConnectFailure::Handshake(_)), "{failure:?}");
}

#[tokio::test]
async fn a_server_that_falls_silent_has_begun_tls_only_if_it_ever_spoke() {
    let authority = Authority::new("Contoso CA");
    let transport = authority.transport().handshake_within(Duration::from_millis(200));
    let address = canned(async |mut stream: TcpStream| {
        let _hello = stream.read(&mut [0; 4096]).await?;
        // The head of a handshake record and no more of it.
        stream.write_all(&[22, 3, 3, 0, 122]).await?;
        stream.read(&mut [0; 1]).await.map(drop)
    })
    .await;
    let failure = connect(&transport, SIP, address).await.unwrap_err();
    assert_eq!(failure, ConnectFailure::Handshake("the server fell silent".into()));
    assert!(!failure.leaves_clear_text());

    let address = canned(async |mut stream: TcpStream| {
        while stream.read(&mut [0; 4096]).await? > 0 {}
        Ok(())
    })
    .await;
    let failure = connect(&transport, SIP, address).await.unwrap_err();
    assert_eq!(failure, ConnectFailure::TimedOut);
}

/// What the server name of SNI is made of: one normal form goes to DNS, SNI and certificate.
#[tokio::test]
async fn the_server_is_told_the_normal_form_of_the_name() {
    let authority = Authority::new("Contoso CA");
    let config = authority.server(&[SIP], |_| ());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await?;
        let stream = TlsAcceptor::from(Arc::new(config)).accept(stream).await?;
        Ok::<_, io::Error>(stream.get_ref().1.server_name().map(str::to_owned))
    });
    let _open = connect(&authority.transport(), "SIP.Contoso.COM.", address).await.unwrap();
    let told = server.await.unwrap().unwrap();
    assert_eq!(told.as_deref(), Some(SIP));
}

#[tokio::test]
async fn a_dropped_connect_closes_its_socket() {
    let (tell, told) = tokio::sync::oneshot::channel();
    let address = canned(async move |mut stream: TcpStream| {
        let mut seen = Vec::new();
        stream.read_to_end(&mut seen).await?;
        tell.send(seen).map_err(|_| io::ErrorKind::Other.into())
    })
    .await;
    let transport = Authority::new("Contoso CA").transport();
    let patience = std::time::Duration::from_millis(50);
    let cut_off = tokio::time::timeout(patience, connect(&transport, SIP, address)).await;
    assert!(cut_off.is_err());
    let seen = told.await.unwrap();
    assert_eq!(seen.first(), Some(&22), "a ClientHello and then the end");
}
