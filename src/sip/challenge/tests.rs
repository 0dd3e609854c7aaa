//! Challenges as servers send them, and as they should not.

use ChallengeErrorKind as Kind;

use super::super::Message;
use super::*;

/// What each piece of `value` is: the scheme and its parameters, or what is wrong.
fn read(value: &str) -> Vec<String> {
    let show = |challenge: Result<Challenge, ChallengeError>| match challenge {
        Ok(challenge) => format!("{challenge:?}"),
        Err(error) => format!("{} {:?}", error.scheme, error.kind),
    };
    Challenge::read_all(value).into_iter().map(show).collect()
}

/// [MS-SIPAE] section 4.1, and what TLS-DSK and later rounds add.
#[test]
fn the_challenges_of_a_communications_server_are_read() {
    for (value, scheme, target, version) in [
        (
            r#"NTLM realm="SIP Communications Service", targetname="server.contoso.com", version=3"#,
            Scheme::Ntlm,
            "server.contoso.com",
            3,
        ),
        (
            r#"kerberos version=4,targetname="sip/server.contoso.com",realm="SIP Communications Service""#,
            Scheme::Kerberos,
            "sip/server.contoso.com",
            4,
        ),
        (
            r#"TLS-DSK realm = "SIP Communications Service", TargetName="server.contoso.com", sts-uri="https://a/b,c""#,
            Scheme::TlsDsk,
            "server.contoso.com",
            Challenge::OLDEST_VERSION,
        ),
    ] {
        let challenges = Challenge::read_all(value);
        let [Ok(challenge)] = challenges.as_slice() else {
            panic!("{challenges:?}");
        };
        assert_eq!(*challenge.scheme(), scheme);
        assert_eq!(challenge.realm(), Some("SIP Communications Service"));
        assert_eq!(challenge.target_name(), Some(target));
        assert_eq!(challenge.version(), version);
    }
    let value = r#"NTLM opaque="2BDBAC9D", gssapi-data="TlRM+/==", qop="auth", sts-uri="u""#;
    let challenge = Challenge::read_all(value).remove(0).unwrap();
    assert_eq!(challenge.opaque(), Some("2BDBAC9D"));
    assert_eq!(challenge.gssapi_data(), Some("TlRM+/=="));
    assert_eq!((challenge.qop(), challenge.sts_uri()), (Some("auth"), Some("u")));
}

/// RFC 2617 section 3.5 and RFC 8760.
#[test]
fn a_digest_challenge_is_read() {
    let value = r#"Digest realm="testrealm@host.com", qop="auth,auth-int", algorithm=SHA-256,
        nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", stale=TRUE"#;
    let challenge = Challenge::read_all(value).remove(0).unwrap();
    assert_eq!(*challenge.scheme(), Scheme::Digest);
    assert_eq!(challenge.realm(), Some("testrealm@host.com"));
    assert_eq!(challenge.qop(), Some("auth,auth-int"));
    assert_eq!(challenge.algorithm(), Some("SHA-256"));
    assert_eq!(challenge.nonce(), Some("dcd98b7102dd2f0e8b11d0f600bfb0c093"));
    assert!(challenge.stale());
    assert!(!Challenge::read_all("Digest stale=false")[0].as_ref().unwrap().stale());
}

/// The first is the example of RFC 7235 section 4.1.
#[test]
fn commas_part_challenges_and_parameters_alike() {
    for (value, read_as) in [
        (
            r#"Newauth realm="apps", type=1, title="Login to \"apps\"", Basic realm="simple""#,
            &[
                r#"Newauth [realm="apps", type="1", title="Login to "apps""]"#,
                r#"Basic [realm="simple"]"#,
            ][..],
        ),
        ("Negotiate, NTLM", &["Negotiate []", "NTLM []"]),
        (",, NTLM a=1,, ,b = 2,", &[r#"NTLM [a="1", b="2"]"#]),
        ("NTLM \ta=1", &[r#"NTLM [a="1"]"#]),
        ("", &[]),
        ("sch\u{202e}eme a=1", &[" NoScheme"]),
    ] {
        assert_eq!(read(value), read_as, "{value}");
    }
}

#[test]
fn a_broken_challenge_does_not_hide_the_others() {
    for (value, read_as) in [
        ("A x=1, X=2, B y=1", &["A Duplicate", r#"B [y="1"]"#][..]),
        (r#"A x="1"2, B y=1"#, &["A Quote", r#"B [y="1"]"#]),
        (r#"B y=1, A x="1, C z=1"#, &[r#"B [y="1"]"#, "A Quote"]),
        ("A version=x, B y=1", &["A Version", r#"B [y="1"]"#]),
        ("A version=-1", &["A Version"]),
        ("A x=, B y=1", &["A Parameter", r#"B [y="1"]"#]),
        ("A YII==, B y=1", &["A Parameter", r#"B [y="1"]"#]),
        ("A x=1, @, B y=1", &["A Parameter", r#"B [y="1"]"#]),
        ("=1, B y=1", &[" NoScheme", r#"B [y="1"]"#]),
        ("x=1, B y=1", &["x Parameter", r#"B [y="1"]"#]),
        (r#"A x=1, ="1"#, &["A Parameter"]),
        (r#"A x="\"", x=1, B y="\\""#, &["A Duplicate", r#"B [y="\\"]"#]),
    ] {
        assert_eq!(read(value), read_as, "{value}");
    }
}

#[test]
fn parameters_and_challenges_have_limits() {
    let many = |count: usize| {
        let list: Vec<_> = (0..count).map(|n| format!("p{n}=1")).collect();
        format!("NTLM {}, Basic a=1", list.join(", "))
    };
    let most = many(Challenge::PARAMETER_LIMIT);
    assert!(Challenge::read_all(&most).iter().all(Result::is_ok));
    let over = many(Challenge::PARAMETER_LIMIT + 1);
    let over = Challenge::read_all(&over);
    assert_eq!(over[0].as_ref().unwrap_err().kind, Kind::TooManyParameters);
    assert!(over[1].is_ok());
    for count in [Challenge::LIMIT, Challenge::LIMIT + 1] {
        let value = vec!["NTLM"; count].join(",");
        assert_eq!(Challenge::read_all(&value).len(), Challenge::LIMIT);
    }
    // The escape makes the challenge hold its value twice, nearly.
    for (over, read) in [(0, 1), (1, 0)] {
        let realm = "x".repeat(Limits::HEADER_BYTES - 15 + over);
        let value = format!(r#"NTLM realm="\\{realm}""#);
        let challenges = Challenge::read_all(&value);
        assert_eq!(challenges.len(), read);
        let same = |c: &Challenge| c.realm() == Some(&format!(r"\{realm}"));
        assert!(challenges.iter().flatten().all(same));
    }
}

/// However long it is, and whatever others are as long.
#[test]
fn a_name_that_comes_twice_is_seen() {
    for length in 1..70 {
        let name = |letter: &str| letter.repeat(length);
        let others = [length, length + 32, length + 64].map(|n| format!("{}=1", "b".repeat(n)));
        let value = format!("A {}, {}=2", others.join(", "), name("a"));
        assert!(Challenge::read_all(&value)[0].is_ok(), "{value}");
        for again in ["a", "A"] {
            let value = format!("{value}, c=3, {}=4", name(again));
            let error = Challenge::read_all(&value).remove(0).unwrap_err();
            assert_eq!(error.kind, Kind::Duplicate, "{value}");
        }
    }
}

/// Each with an escape keeps its own part of the value only, and what stands there.
#[test]
fn escapes_are_undone_wherever_in_a_value_they_stand() {
    let value = r#"NTLM realm="a\"b", version=4, Digest x=1, realm="c", nonce="\d\e", y="", A b=c"#;
    assert_eq!(
        read(value),
        [
            r#"NTLM [realm="a"b", version="4"]"#,
            r#"Digest [x="1", realm="c", nonce="de", y=""]"#,
            r#"A [b="c"]"#
        ]
    );
    for value in [value.to_owned(), value.replace(' ', "\r\n ")] {
        let text = format!("SIP/2.0 401 U\r\na: b\r\nWWW-Authenticate: {value}\r\nl: 0\r\n\r\n");
        let message = Message::parse(text.into()).unwrap();
        let read = Challenge::of(message.headers(), "WWW-Authenticate");
        assert!(read.eq(Challenge::read_all(&value.replace("\r\n", ""))));
    }
}

#[test]
fn a_challenge_apart_says_the_same_and_holds_nothing_else() {
    let value = r#"NTLM realm="a", version=4, Digest realm="b\"c", x=1, Negotiate"#;
    let message = format!("SIP/2.0 401 No\r\nWWW-Authenticate: {value}\r\nl: 0\r\n\r\n");
    let message = Message::parse(message.into()).unwrap();
    let held = Challenge::of(message.headers(), "WWW-Authenticate").map(|challenge| {
        let challenge = challenge.unwrap();
        let apart = challenge.apart();
        assert_eq!(format!("{apart:?}"), format!("{challenge:?}"));
        String::from_utf8(apart.text.to_vec()).unwrap()
    });
    // What had an escape stands behind the rest, without it.
    let digest = r#"realm="b\"c", x=1b"c"#;
    assert_eq!(held.collect::<Vec<_>>(), [r#"realm="a", version=4"#, digest, ""]);
}

#[test]
fn the_fields_of_a_message_are_read_whether_folded_or_not_up_to_the_limit() {
    let realms = |lines: &str| -> Vec<_> {
        let message = format!("SIP/2.0 401 No\r\n{lines}l: 0\r\n\r\n");
        let message = Message::parse(message.into()).unwrap();
        let challenges = Challenge::of(message.headers(), "WWW-Authenticate");
        challenges.map(|challenge| challenge.unwrap().realm().unwrap().to_owned()).collect()
    };
    let folded = "WWW-Authenticate: NTLM\r\n realm=\"a\"\r\n";
    let plain = "WWW-Authenticate: Digest realm=\"b\"\r\n";
    assert_eq!(realms(&[plain, folded, plain].concat()), ["b", "a", "b"]);
    assert_eq!(realms(&plain.repeat(Challenge::LIMIT + 1)).len(), Challenge::LIMIT);
}

#[test]
fn nothing_from_the_wire_is_shown_as_it_came() {
    let challenge = Challenge::read_all("NTLM realm=\"a\u{202e}b\"").remove(0).unwrap();
    assert!(format!("{challenge:?}").contains(r"a\u{202e}b"));
    assert_eq!(challenge.realm(), Some("a\u{202e}b"));
}
