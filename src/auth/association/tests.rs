use std::time::SystemTime;

use super::*;
use crate::auth::Password;

struct Fixed;

impl Random for Fixed {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
        bytes.fill(0xab);
        Ok(())
    }
}

/// Says what it is told to say, one step after the other; a signature is the message turned round.
#[derive(Clone)]
struct Told {
    steps: Vec<MechanismStep>,
    expires: Option<SystemTime>,
    heard: Vec<Option<Vec<u8>>>,
}

fn told(steps: &[MechanismStep]) -> Told {
    let steps = steps.iter().rev().cloned().collect();
    Told { steps, expires: None, heard: Vec::new() }
}

impl MechanismProvider for Told {
    fn scheme(&self) -> Scheme {
        Scheme::Kerberos
    }

    fn takes(&self, _identity: Identity<'_>) -> bool {
        true
    }

    fn start(&self, target: &str, _: Identity<'_>) -> Result<Box<dyn Mechanism>, MechanismError> {
        assert_eq!(target, "sip/a.contoso.com");
        Ok(Box::new(self.clone()))
    }
}

impl Mechanism for Told {
    fn step(
        &mut self,
        token: Option<&[u8]>,
        _now: Now,
        _random: &dyn Random,
    ) -> Result<MechanismStep, MechanismError> {
        self.heard.push(token.map(Into::into));
        self.steps.pop().ok_or(MechanismErrorKind::Token.into())
    }

    fn sign(&mut self, message: &[u8]) -> Result<Vec<u8>, MechanismError> {
        Ok(message.iter().rev().copied().collect())
    }

    fn verify(&mut self, message: &[u8], signature: &[u8]) -> Result<(), MechanismError> {
        if signature.iter().rev().eq(message) {
            Ok(())
        } else {
            Err(MechanismErrorKind::Signature.into())
        }
    }

    fn expires(&self) -> Option<SystemTime> {
        self.expires
    }
}

#[expect(clippy::disallowed_methods, reason = "any instant will do")]
fn now() -> Now {
    Now { instant: Instant::now(), wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000) }
}

const FIRST: &str = r#"Kerberos realm="R", targetname="sip/a.contoso.com", version=4"#;

fn challenge(value: &str) -> Challenge<'_> {
    Challenge::read_all(value).remove(0).unwrap()
}

fn start(provider: &Told, value: &str) -> Result<Association, AssociationError> {
    let by = Challenger::Registrar;
    Association::start(&challenge(value), by, provider, Identity::CurrentUser, now(), &Fixed)
}

fn register() -> Message {
    Message::parse("REGISTER sip:contoso.com SIP/2.0\r\nCSeq: 1 REGISTER\r\nl: 0\r\n\r\n".into())
        .unwrap()
}

/// A 200 with these parameters, and the signature that belongs to this salt.
fn signed(rand: &str, num: &str, more: &str) -> Message {
    let salt = Salt { scheme: "Kerberos", rand, num, realm: "R", target: "sip/a.contoso.com" };
    let bare = Message::parse("SIP/2.0 200 OK\r\nl: 0\r\n\r\n".into()).unwrap();
    let buffer = signature_buffer(Version::V4, salt, &bare).unwrap();
    let rspauth = data_encoding::HEXUPPER.encode(&buffer.bytes().rev().collect::<Vec<_>>());
    answer(&format!(r#"rspauth="{rspauth}", srand="{rand}", snum="{num}"{more}"#))
}

fn answer(parameters: &str) -> Message {
    let text = format!(
        "SIP/2.0 200 OK\r\nProxy-Authentication-Info: Kerberos realm=\"R\", \
         targetname=\"sip/a.contoso.com\", {parameters}\r\nl: 0\r\n\r\n"
    );
    Message::parse(text.into()).unwrap()
}

fn done() -> Told {
    told(&[MechanismStep::Done(Some(b"ticket".into()))])
}

#[test]
fn the_last_token_is_signed_from_version_4_on() {
    let head = r#"Kerberos qop="auth", realm="R", targetname="sip/a.contoso.com""#;
    for (version, token, signed) in [
        ("", r#", gssapi-data="dGlja2V0""#, false),
        (", version=2", r#", gssapi-data="dGlja2V0""#, false),
        (", version=3", r#", version=3, gssapi-data="dGlja2V0""#, false),
        (", version=4", r#", version=4, gssapi-data="dGlja2V0""#, true),
    ] {
        let value = format!(r#"Kerberos realm="R", targetname="sip/a.contoso.com"{version}"#);
        let mut association = start(&done(), &value).unwrap();
        let first = association.authorize(&register(), &Fixed).unwrap();
        let number = if signed { 2 } else { 1 };
        let bare = format!("{head}{token}");
        if signed {
            let signature = format!(r#"{bare}, crand="abababab", cnum="1", response=""#);
            assert!(first.value().starts_with(&signature), "{}", first.value());
        } else {
            assert_eq!(first.value(), bare);
        }
        let next = association.authorize(&register(), &Fixed).unwrap();
        let signature = format!(r#"{head}, crand="abababab", cnum="{number}", response=""#);
        assert!(next.value().starts_with(&signature), "{}", next.value());
    }
}

/// Mutual authentication, as Kerberos has it: the answer that lets us in carries the last token.
#[test]
fn a_last_token_of_the_server_is_taken_before_its_signature() {
    let steps = [MechanismStep::Continue(b"ticket".into()), MechanismStep::Done(None)];
    let mut association = start(&told(&steps), FIRST).unwrap();
    let first = association.authorize(&register(), &Fixed).unwrap();
    assert!(first.value().ends_with(r#"gssapi-data="dGlja2V0""#), "{}", first.value());
    assert!(!association.is_up());
    let early = association.verify(&signed("1", "1", ""), now(), &Fixed).unwrap_err();
    assert!(matches!(early, AssociationError::OutOfTurn), "{early}");
    let ours = association.authorize(&register(), &Fixed).unwrap_err();
    assert!(matches!(ours, AssociationError::OutOfTurn), "{ours}");
    let welcome = signed("1", "1", r#", opaque="O", gssapi-data="aGk=""#);
    assert_eq!(association.verify(&welcome, now(), &Fixed).unwrap(), Protection::Verified);
    assert!(association.is_up());
    let next = association.authorize(&register(), &Fixed).unwrap();
    assert!(next.value().contains(r#"opaque="O""#), "{}", next.value());
}

#[test]
fn an_absent_signature_is_said_and_a_wrong_or_replayed_one_refused() {
    let mut association = start(&done(), FIRST).unwrap();
    let mut verify = |message: &Message| association.verify(message, now(), &Fixed);
    let bare = Message::parse("SIP/2.0 200 OK\r\nl: 0\r\n\r\n".into()).unwrap();
    assert_eq!(verify(&bare).unwrap(), Protection::Absent);
    assert_eq!(verify(&answer(r#"qop="auth""#)).unwrap(), Protection::Absent);
    assert_eq!(verify(&signed("1", "7", "")).unwrap(), Protection::Verified);
    assert!(matches!(verify(&signed("2", "7", "")), Err(AssociationError::Replayed(7))));
    let wrong = verify(&answer(r#"rspauth="00", srand="1", snum="8""#)).unwrap_err();
    assert!(wrong.is_wrong_signature(), "{wrong}");
    // A wrong one uses no number up.
    assert_eq!(verify(&signed("1", "8", "")).unwrap(), Protection::Verified);
    let named = signed("1", "6", r#", opaque="O""#);
    assert_eq!(verify(&named).unwrap(), Protection::Verified);
    // What a verified message says of the association's name holds from then on.
    assert!(matches!(
        verify(&signed("1", "9", r#", opaque="P""#)),
        Err(AssociationError::Foreign("opaque"))
    ));
    let next = association.authorize(&register(), &Fixed).unwrap();
    assert!(next.value().contains(r#"opaque="O""#), "{}", next.value());
}

#[test]
fn what_cannot_be_read_is_not_taken_for_absent() {
    let mut association = start(&done(), FIRST).unwrap();
    for (parameters, shown) in [
        (r#"rspauth="0g", srand="1", snum="1""#, "the server's rspauth cannot be read"),
        (r#"rspauth="0", srand="1", snum="1""#, "the server's rspauth cannot be read"),
        (r#"rspauth="00", snum="1""#, "the server sent no srand"),
        (r#"rspauth="00", srand="1""#, "the server sent no snum"),
        (r#"rspauth="00", srand="1", snum="+1""#, "the server's snum cannot be read"),
        (r#"rspauth="00", rspauth="00""#, "the server's Authentication-Info cannot be read"),
    ] {
        let error = association.verify(&answer(parameters), now(), &Fixed).unwrap_err();
        assert_eq!(error.to_string(), shown, "{parameters}");
    }
    let twice = "SIP/2.0 200 OK\r\nAuthentication-Info: Kerberos realm=\"R\"\r\n\
                 Proxy-Authentication-Info: Kerberos realm=\"R\"\r\nl: 0\r\n\r\n";
    let twice = Message::parse(twice.into()).unwrap();
    assert!(matches!(
        association.verify(&twice, now(), &Fixed),
        Err(AssociationError::Ambiguous(_))
    ));
}

#[test]
fn the_words_of_another_association_are_not_ours() {
    let steps = [MechanismStep::Continue(Vec::new()), MechanismStep::Done(Some(Vec::new()))];
    let mut association = start(&told(&steps), FIRST).unwrap();
    for (value, differs) in [
        (r#"NTLM realm="R", targetname="sip/a.contoso.com", version=4"#, "scheme"),
        (r#"Kerberos realm="r", targetname="sip/a.contoso.com", version=4"#, "realm"),
        (r#"Kerberos realm="R", targetname="sip/b.contoso.com", version=4"#, "targetname"),
        (r#"Kerberos realm="R", version=4"#, "targetname"),
        (r#"Kerberos realm="R", targetname="sip/a.contoso.com", version=3"#, "version"),
    ] {
        let error = association.challenged(&challenge(value), now(), &Fixed).unwrap_err();
        assert!(matches!(error, AssociationError::Foreign(name) if name == differs), "{error}");
    }
    // The version need not be said again, and stays what it was.
    let second = format!(r#"{FIRST}, opaque="O", gssapi-data="""#).replace(", version=4", "");
    association.challenged(&challenge(&second), now(), &Fixed).unwrap();
    assert_eq!(association.version(), Version::V4);
    let error =
        association.verify(&signed("1", "1", r#", opaque="P""#), now(), &Fixed).unwrap_err();
    assert!(matches!(error, AssociationError::Foreign("opaque")), "{error}");
    association.verify(&signed("1", "1", r#", opaque="O""#), now(), &Fixed).unwrap();
    let error = association.challenged(&challenge(&second), now(), &Fixed).unwrap_err();
    assert!(matches!(error, AssociationError::Rejected), "{error}");
}

#[test]
fn a_challenge_that_cannot_be_answered_starts_nothing() {
    for (value, shown) in [
        (
            r#"NTLM realm="R", targetname="T""#,
            "the scheme is not the one of this security association",
        ),
        (r#"Kerberos targetname="T""#, "the server sent no realm"),
        (r#"Kerberos realm="R""#, "the server sent no targetname"),
        (
            r#"Kerberos realm="R", targetname="T", version=1"#,
            "the server speaks version 1 of the protocol",
        ),
        (
            r#"Kerberos realm="R", targetname="T", version=5"#,
            "the server speaks version 5 of the protocol",
        ),
    ] {
        assert_eq!(start(&done(), value).unwrap_err().to_string(), shown);
    }
    let broken = format!(r#"{FIRST}, gssapi-data="a""#);
    assert_eq!(
        start(&done(), &broken).unwrap_err().to_string(),
        "the server's gssapi-data cannot be read"
    );
    let error = start(&told(&[]), FIRST).unwrap_err();
    assert!(matches!(error, AssociationError::Mechanism(_)), "{error}");
}

#[test]
fn a_message_that_cannot_be_signed_uses_no_token_up() {
    let mut association = start(&done(), FIRST).unwrap();
    let twice = "REGISTER sip:a SIP/2.0\r\nCall-ID: 1\r\nCall-ID: 2\r\nl: 0\r\n\r\n";
    let twice = Message::parse(twice.into()).unwrap();
    assert!(matches!(association.authorize(&twice, &Fixed), Err(AssociationError::Ambiguous(_))));
    assert!(association.authorize(&register(), &Fixed).unwrap().value().contains("gssapi-data"));
}

#[test]
fn it_lasts_eight_hours_or_as_long_as_the_ticket_less_five_minutes() {
    let now = now();
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    for (ticket, lasts) in [
        (None, 475),
        (Some(now.wall + minutes(600)), 475),
        (Some(now.wall + minutes(480)), 475),
        (Some(now.wall + minutes(65)), 60),
        (Some(now.wall + minutes(3)), 0),
        (Some(now.wall - minutes(1)), 0),
    ] {
        let provider = Told { expires: ticket, ..done() };
        let by = Challenger::Proxy;
        let identity = Identity::CurrentUser;
        let association =
            Association::start(&challenge(FIRST), by, &provider, identity, now, &Fixed).unwrap();
        assert_eq!(association.expires_at(), Some(now.instant + minutes(lasts)), "{ticket:?}");
    }
    let steps = [MechanismStep::Continue(Vec::new())];
    assert_eq!(start(&told(&steps), FIRST).unwrap().expires_at(), None);
}

#[test]
fn debug_shows_no_token() {
    let association = start(&done(), FIRST).unwrap();
    let shown = format!("{association:?} {:?}", Password::new("marker"));
    assert!(shown.contains("sip/a.contoso.com"), "{shown}");
    assert!(
        !shown.contains("ticket") && !shown.contains("marker") && !shown.contains("116"),
        "{shown}"
    );
}
