use super::*;
use crate::auth::Account;

/// Gives the same bytes always.
struct Fixed;

impl Random for Fixed {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
        bytes.fill(0xab);
        Ok(())
    }
}

fn challenge(value: &str) -> Challenge<'_> {
    Challenge::read_all(value).remove(0).unwrap()
}

fn start(value: &str) -> Result<Digest, DigestError> {
    let credentials = Credentials::new("bob".parse().unwrap(), "zanzibar");
    Digest::start(&challenge(value), Challenger::Registrar, &credentials)
}

fn register() -> Message {
    Message::parse("REGISTER sip:biloxi.com SIP/2.0\r\nl: 0\r\n\r\n".into()).unwrap()
}

fn answer(info: &str) -> Message {
    let text = format!("SIP/2.0 200 OK\r\nAuthentication-Info: {info}\r\nl: 0\r\n\r\n");
    Message::parse(text.into()).unwrap()
}

/// A published case. Only those of one kind are spoken; the others must be refused.
struct Case<'a> {
    user: &'a str,
    password: &'a str,
    realm: &'a str,
    algorithm: Option<&'a str>,
    qop: Option<&'a str>,
    nonce: &'a str,
    request: (&'a str, &'a str),
    count: &'a str,
    cnonce: &'a str,
    response: &'a str,
}

impl Case<'_> {
    fn check(&self) {
        let mut value = format!("Digest realm=\"{}\", nonce=\"{}\"", self.realm, self.nonce);
        if let Some(algorithm) = self.algorithm {
            value.push_str(&format!(", algorithm={algorithm}"));
        }
        if let Some(qop) = self.qop {
            value.push_str(&format!(", qop=\"{qop}\""));
        }
        let account: Account = self.user.parse().unwrap();
        let credentials = Credentials::new(account, self.password);
        let digest = Digest::start(&challenge(&value), Challenger::Proxy, &credentials);
        if self.qop == Some("auth-int") || self.algorithm == Some("MD5-sess") {
            let error = digest.err().unwrap();
            assert!(matches!(error, DigestError::Qop(_) | DigestError::Algorithm(_)), "{error}");
            return;
        }
        let (method, uri) = self.request;
        let sent = Sent {
            uri: uri.into(),
            nonce: self.nonce.into(),
            count: self.count.into(),
            cnonce: self.cnonce.into(),
        };
        assert_eq!(**digest.unwrap().response(&sent, method), *self.response, "{value}");
    }
}

/// RFC 2617 section 3.5, RFC 7616 section 3.9.1.
#[test]
fn the_responses_are_as_published() {
    let mufasa = Case {
        user: "Mufasa",
        password: "Circle Of Life",
        realm: "testrealm@host.com",
        algorithm: None,
        qop: Some("auth,auth-int"),
        nonce: "dcd98b7102dd2f0e8b11d0f600bfb0c093",
        request: ("GET", "/dir/index.html"),
        count: "00000001",
        cnonce: "0a4f113b",
        response: "6629fae49393a05397450978507c4ef1",
    };
    mufasa.check();
    let newer = Case {
        password: "Circle of Life",
        realm: "http-auth@example.org",
        nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
        cnonce: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
        ..mufasa
    };
    for (algorithm, response) in [
        ("md5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("sha-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ] {
        Case { algorithm: Some(algorithm), response, ..newer }.check();
    }
}

#[test]
fn the_cases_of_the_corpora_come_out() {
    let Some(root) = std::env::var_os("SIGNIN_CORPORA").map(std::path::PathBuf::from) else {
        println!("skipped: no corpora");
        return;
    };
    let text = std::fs::read_to_string(root.join("digest/vectors.json")).unwrap();
    let cases: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    assert!(cases.len() >= 12);
    for case in &cases {
        let text = |name: &str| case[name].as_str();
        Case {
            user: text("username").unwrap(),
            password: text("password").unwrap(),
            realm: text("realm").unwrap(),
            algorithm: text("algorithm"),
            qop: text("qop"),
            nonce: text("nonce").unwrap(),
            request: (text("method").unwrap(), text("uri").unwrap()),
            count: text("nc").unwrap_or_default(),
            cnonce: text("cnonce").unwrap_or_default(),
            response: text("response").unwrap(),
        }
        .check();
    }
}

#[test]
fn a_request_carries_every_parameter_and_counts() {
    let mut digest = start(
        r#"Digest realm="a \"b\"", nonce="n", opaque="o", qop="auth-int, Auth", algorithm=sha-256"#,
    )
    .unwrap();
    let first = digest.authorize(&register(), &Fixed).unwrap();
    assert_eq!(first.name(), "Authorization");
    let proof = digest.response(digest.last.as_ref().unwrap(), "REGISTER");
    let cnonce = "ab".repeat(16);
    assert_eq!(
        first.value(),
        format!(
            r#"Digest username="bob", realm="a \"b\"", nonce="n", uri="sip:biloxi.com", response="{}", algorithm=SHA-256, opaque="o", cnonce="{cnonce}", qop=auth, nc=00000001"#,
            *proof
        )
    );
    let second = digest.authorize(&register(), &Fixed).unwrap();
    assert!(second.value().ends_with("nc=00000002"));
    let response = Message::parse("SIP/2.0 200 OK\r\nl: 0\r\n\r\n".into()).unwrap();
    assert_eq!(digest.authorize(&response, &Fixed), Err(DigestError::NoRequest));
}

/// RFC 2069: MD5 only, without a count and a nonce of the client.
#[test]
fn a_server_that_knows_no_qop_gets_none() {
    let mut digest = start(r#"Digest realm="r", nonce="n""#).unwrap();
    let value = digest.authorize(&register(), &Fixed).unwrap().value().to_owned();
    assert!(value.ends_with("algorithm=MD5"), "{value}");
    let missing = start(r#"Digest realm="r", nonce="n", algorithm=SHA-256"#);
    assert_eq!(missing.err(), Some(DigestError::Missing("qop")));
}

#[test]
fn only_a_stale_nonce_is_answered_again() {
    let mut digest = start(r#"Digest realm="r", nonce="1", qop="auth""#).unwrap();
    digest.authorize(&register(), &Fixed).unwrap();
    for (value, error) in [
        (r#"Digest realm="r", nonce="2", qop="auth""#, DigestError::Rejected),
        (r#"Digest realm="r", nonce="2", qop="auth", stale=false"#, DigestError::Rejected),
        (r#"Digest realm="r", nonce="1", qop="auth", stale=true"#, DigestError::Rejected),
        (r#"Digest realm="s", nonce="2", qop="auth", stale=true"#, DigestError::Foreign("realm")),
        (
            r#"Digest realm="r", nonce="2", qop="auth", stale=true, algorithm=SHA-256"#,
            DigestError::Foreign("algorithm"),
        ),
        (r#"Digest realm="r", stale=true, qop="auth""#, DigestError::Missing("nonce")),
        (r#"NTLM realm="r", stale=true"#, DigestError::Foreign("scheme")),
    ] {
        assert_eq!(digest.challenged(&challenge(value)), Err(error), "{value}");
    }
    digest
        .challenged(&challenge(r#"Digest realm="r", nonce="2", qop="auth", stale=TRUE"#))
        .unwrap();
    let value = digest.authorize(&register(), &Fixed).unwrap().value().to_owned();
    assert!(value.contains(r#"nonce="2""#) && value.ends_with("nc=00000001"), "{value}");
}

#[test]
fn the_servers_proof_is_checked_and_its_next_nonce_used() {
    let mut digest =
        start(r#"Digest realm="r", nonce="1", qop="auth", algorithm=SHA-256"#).unwrap();
    let unasked = digest.verify(&answer(r#"rspauth="00""#));
    assert_eq!(unasked, Err(DigestError::WrongProof), "there was no request");
    digest.authorize(&register(), &Fixed).unwrap();
    let proof = digest.response(digest.last.as_ref().unwrap(), "");
    let right = format!("rspauth=\"{}\", nextnonce=\"2\"", *proof);
    let absent = digest.verify(&answer("qop=auth")).unwrap();
    assert_eq!(absent, Protection::Absent);
    let wrong = format!("nextnonce=\"3\", rspauth=\"{}\"", "0".repeat(64));
    assert_eq!(digest.verify(&answer(&wrong)), Err(DigestError::WrongProof));
    assert_eq!(digest.verify(&answer(&right)), Ok(Protection::Verified));
    let value = digest.authorize(&register(), &Fixed).unwrap().value().to_owned();
    assert!(value.contains(r#"nonce="2""#) && value.ends_with("nc=00000001"), "{value}");
    assert_eq!(digest.verify(&answer(&right)), Err(DigestError::WrongProof), "it is of the past");
}

#[test]
fn what_is_not_spoken_is_refused_with_the_reason() {
    for (value, shown) in [
        (r#"Basic realm="r""#, "the scheme is not the one of the first challenge"),
        (r#"Digest nonce="n""#, "the server sent no realm"),
        (r#"Digest realm="r""#, "the server sent no nonce"),
        (
            r#"Digest realm="r", nonce="n", algorithm=SHA-512-256"#,
            "the algorithm SHA-512-256 is not spoken here",
        ),
        (
            r#"Digest realm="r", nonce="n", algorithm=MD5-sess"#,
            "the algorithm MD5-sess is not spoken here",
        ),
        (
            r#"Digest realm="r", nonce="n", qop="auth-int""#,
            "the protection auth-int is not spoken here",
        ),
    ] {
        assert_eq!(start(value).err().unwrap().to_string(), shown);
    }
}

#[test]
fn the_password_is_nowhere_to_be_seen() {
    let credentials = Credentials::new("bob".parse().unwrap(), "marker-5ecret");
    let value = challenge(r#"Digest realm="r", nonce="1", qop="auth""#);
    let mut digest = Digest::start(&value, Challenger::Proxy, &credentials).unwrap();
    let authorization = digest.authorize(&register(), &Fixed).unwrap();
    let secret = digest.secret.to_string();
    let shown = format!("{digest:?} {authorization:?} {}", authorization.value());
    assert!(shown.contains("bob"));
    assert!(!shown.contains("5ecret") && !shown.contains(&secret), "{shown}");
}
