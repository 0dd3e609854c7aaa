//! The sign-in machine, message by message: the exchange that a Communicator had, and servers that
//! answer in every other way.
#![cfg(all(feature = "ntlm", feature = "digest"))]
#![expect(clippy::disallowed_methods, reason = "any instant will do")]

#[path = "common/needles.rs"]
#[allow(dead_code, reason = "the searcher's own test is elsewhere")]
mod needles;

use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use data_encoding::{BASE64, HEXLOWER};
use needles::{MARKER, Needles};
use sha2::{Digest as _, Sha256};
use sip_signin::auth::{
    Credentials, DigestAlgorithm, Identity, Mechanism, MechanismError, MechanismErrorKind,
    MechanismProvider, MechanismStep, Protection,
};
use sip_signin::discovery::{Endpoint, Protocol, Seed};
use sip_signin::sign_in::{
    AskReason, CredentialCache, CredentialRequest, Mechanisms, RedirectObjection, Redirects,
    Registration, Retry, Rules, Server, SignIn, SignInError, Step,
};
use sip_signin::sip::{
    Challenge, Contact, Diagnostics, Headers, Message, Register, Remedy, Scheme, Tokens,
    UriTransport,
};
use sip_signin::upkeep::{self, Upkeep};
use sip_signin::{HostName, HostNamePolicy, NameRule, Now, Random, RandomError, SipAddress};

const NTLM: &str = "WWW-Authenticate: NTLM realm=\"SIP Communications Service\", \
                    targetname=\"cosmo-ocs-r2.cosmo.local\", version=4";
const DIGEST: &str =
    "WWW-Authenticate: Digest realm=\"cosmo\", nonce=\"n1\", qop=\"auth\", algorithm=SHA-256";
const MD5: &str = "WWW-Authenticate: Digest realm=\"cosmo\", nonce=\"n1\", qop=\"auth\"";
const BASIC: &str = "WWW-Authenticate: Basic realm=\"cosmo\"";
const KERBEROS: &str = "WWW-Authenticate: Kerberos realm=\"SIP Communications Service\", \
                        targetname=\"sip/cosmo-ocs-r2.cosmo.local\", version=4";

/// Gives what was drawn when the exchange was recorded, then the same byte for ever.
struct Drawn(Mutex<Vec<Vec<u8>>>);

impl Random for Drawn {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
        match self.0.lock().unwrap().pop() {
            Some(drawn) => bytes.copy_from_slice(&drawn),
            None => bytes.fill(0x77),
        }
        Ok(())
    }
}

fn drawn(hex: &[&str]) -> Arc<dyn Random> {
    Arc::new(Drawn(Mutex::new(hex.iter().rev().map(|hex| unhex(hex)).collect())))
}

fn unhex(text: &str) -> Vec<u8> {
    HEXLOWER.decode(text.as_bytes()).unwrap()
}

fn address() -> SipAddress {
    "sip:user@cosmo.local".parse().unwrap()
}

fn register() -> Register {
    let tokens = Tokens {
        call_id: "4037df9284354df39065195bd57a4b14".into(),
        from_tag: "3e49177a52".into(),
        branch: "b1".into(),
        contact: "c1".into(),
    };
    let local = "192.0.2.7:49152".parse().unwrap();
    let epid = "c8ca638a15".parse().unwrap();
    Register::new(&address(), local, UriTransport::Tls, tokens, epid, "test/1").unwrap()
}

fn endpoint(protocol: Protocol, host: &str, port: u16) -> Endpoint {
    let host = HostName::parse(host).unwrap();
    let host = NameRule::new(HostNamePolicy::Relaxed).trusting([host.clone()]).admit(&host, &host);
    Endpoint { protocol, host: host.unwrap(), port }
}

fn server(protocol: Protocol) -> Server {
    Server {
        endpoint: endpoint(protocol, "cosmo-ocs-r2.cosmo.local", 5061),
        certificate: ["other.example".into()].into(),
        names: NameRule::default(),
    }
}

/// The machine with somebody who carries out its steps.
struct Talk {
    machine: SignIn,
    now: Now,
    sent: Vec<Message>,
    shown: String,
}

impl Talk {
    fn new(rules: Rules) -> Self {
        Self::with(rules, server(Protocol::Tls), CredentialCache::new(), &[])
    }

    fn with(rules: Rules, server: Server, cache: CredentialCache, random: &[&str]) -> Self {
        // 2010-03-01, as the recorded NTLMv2 response has it.
        let bytes: [u8; 8] = unhex("59519a1727b9ca01").try_into().unwrap();
        let steps = u64::from_le_bytes(bytes) - 116_444_736_000_000_000;
        let since = Duration::new(steps / 10_000_000, (steps % 10_000_000) as u32 * 100);
        let now = Now { instant: Instant::now(), wall: SystemTime::UNIX_EPOCH + since };
        let machine = SignIn::new(register(), server, rules, cache, drawn(random));
        let mut talk = Self { machine, now, sent: Vec::new(), shown: String::new() };
        assert!(matches!(talk.poll(), Step::Send(_)));
        talk
    }

    /// The next step; what is to be sent is sent.
    fn poll(&mut self) -> Step {
        let step = self.machine.poll_step(self.now.instant);
        self.shown.push_str(&format!("{step:?} {:?}\n", self.machine));
        if let Step::Failed(error) = &step {
            self.shown.push_str(&error.to_string());
        }
        if let Step::Send(bytes) = &step {
            self.sent.push(Message::parse(bytes.clone()).unwrap());
        }
        step
    }

    fn hear(&mut self, status: &str, lines: &[&str]) -> Step {
        let message = answer(status, self.sent.len(), lines);
        self.machine.receive(&message, self.now);
        self.poll()
    }

    fn ask(&mut self, lines: &[&str]) -> CredentialRequest {
        match self.hear("401 Unauthorized", lines) {
            Step::AskCredentials(request) => request,
            other => panic!("{other:?}"),
        }
    }

    fn supply(&mut self, password: &str) -> Step {
        let credentials = Credentials::new(r"COSMO\User".parse().unwrap(), password);
        self.machine.supply(Some(credentials), self.now);
        self.poll()
    }

    fn authorization(&self) -> String {
        self.header("Authorization")
    }

    fn header(&self, name: &str) -> String {
        let last = self.sent.last().unwrap();
        last.headers().only(name).unwrap_or_default().into_owned()
    }
}

fn answer(status: &str, number: usize, lines: &[&str]) -> Message {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    let text = format!(
        "SIP/2.0 {status}\r\nFrom: <sip:user@cosmo.local>;tag=3e49177a52;epid=c8ca638a15\r\n\
         To: <sip:user@cosmo.local>;tag=5E61CCD925D17E043D9A74835A88F664\r\n\
         Call-ID: 4037df9284354df39065195bd57a4b14\r\nCSeq: {number} REGISTER\r\n{lines}l: 0\r\n\r\n"
    );
    Message::parse(text.into()).unwrap()
}

fn failed(step: Step) -> SignInError {
    match step {
        Step::Failed(error) => error,
        other => panic!("{other:?}"),
    }
}

fn ntlm_challenge() -> String {
    let token = unhex(
        "4e544c4d53535000020000000000000038000000f38298e2dd1baaf4e7e218d10000000000000000960096003\
         80000000502ce0e0000000f02000a0043004f0053004d004f000100180043004f0053004d004f002d004f0043\
         0053002d00520032000400160063006f0073006d006f002e006c006f00630061006c000300300063006f00730\
         06d006f002d006f00630073002d00720032002e0063006f0073006d006f002e006c006f00630061006c000500\
         160063006f0073006d006f002e006c006f00630061006c0000000000",
    );
    format!("{NTLM}, opaque=\"2BDBAC9D\", gssapi-data=\"{}\"", BASE64.encode(&token))
}

const SIGNED: &str = "Authentication-Info: NTLM rspauth=\"01000000E615438A917661BE64000000\", \
    srand=\"9616454F\", snum=\"1\", opaque=\"2BDBAC9D\", qop=\"auth\", \
    targetname=\"cosmo-ocs-r2.cosmo.local\", realm=\"SIP Communications Service\"";

/// Client challenge, session key, crand.
const DRAWN: [&str; 3] = ["d6ae875cb0fdaa41", "6742fbe37bb1946b49d86a525bd29a9b", "13317733"];

/// The recorded exchange up to the last REGISTER.
fn communicator(rules: Rules) -> Talk {
    let mut talk = Talk::with(rules, server(Protocol::Tls), CredentialCache::new(), &DRAWN);
    let request = talk.ask(&[KERBEROS, NTLM]);
    assert_eq!((request.scheme, request.reason), (Scheme::Ntlm, AskReason::FirstTime));
    assert_eq!(request.realm.raw(), "SIP Communications Service");
    assert_eq!(request.target.unwrap().raw(), "cosmo-ocs-r2.cosmo.local");
    let _ = talk.supply("Pa$$word");
    assert!(talk.authorization().ends_with(r#"gssapi-data="""#), "{}", talk.authorization());
    assert!(matches!(talk.hear("401 Unauthorized", &[&ntlm_challenge()]), Step::Send(_)));
    talk
}

const CONTACT: &str = "Contact: <sip:192.0.2.9:1>;expires=99;\
    +sip.instance=\"<urn:uuid:00000000-0000-5000-8000-000000000000>\", \
    <sip:192.0.2.7:49152;transport=tls;ms-opaque=c1>;expires=7200;\
    +sip.instance=\"<urn:uuid:34D859DB-6585-5F91-A3B4-DE853C15347D>\";\
    gruu=\"sip:user@cosmo.local;opaque=user:epid:21nYNIVlkV-jtN6FPBU0fQAA;gruu\"";

fn signed_in(step: Step) -> Registration {
    match step {
        Step::SignedIn(registration) => registration,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_exchange_of_communicator_2007_r2_comes_out_again() {
    let mut talk = communicator(Rules::default());
    let tail = r#"", crand="13317733", cnum="1", response="0100000029618e9651b65a7764000000""#;
    assert!(talk.authorization().ends_with(tail), "{}", talk.authorization());
    let lines = [
        SIGNED,
        "Expires: 7200",
        CONTACT,
        "Server: RTC/3.5",
        "ms-keep-alive: UAS; tcp=no; hop-hop=yes; end-end=no; timeout=300",
    ];
    let registration = signed_in(talk.hear("200 OK", &lines));
    assert_eq!(registration.protection, Protection::Verified);
    assert_eq!(registration.scheme, Some(Scheme::Ntlm));
    assert_eq!(registration.expires, Some(Duration::from_secs(7200)));
    assert_eq!(registration.keep_alive, Some(Duration::from_secs(300)));
    assert_eq!(registration.server.unwrap().raw(), "RTC/3.5");
    let contact = registration.contact.unwrap();
    assert_eq!(contact.raw(), "sip:192.0.2.7:49152;transport=tls;ms-opaque=c1");
    let gruu = registration.gruu.unwrap();
    assert!(gruu.raw().contains("opaque=user:epid:21nYNIVlkV-jtN6FPBU0fQAA"), "{gruu}");

    let same = |name: &str| {
        let of = |m: &Message| m.headers().only(name).unwrap().into_owned();
        talk.sent.iter().all(|message| of(message) == of(&talk.sent[0]))
    };
    assert_eq!(talk.sent.len(), 3);
    assert!(same("Call-ID") && same("From") && same("Contact"));
    for (at, message) in talk.sent.iter().enumerate() {
        assert_eq!(message.headers().cseq().unwrap().number as usize, at + 1);
    }
    assert_eq!(talk.sent[0].headers().get("Authorization"), None);
    assert_eq!(talk.machine.register().cseq(), 3);
    assert_eq!(talk.machine.accepted().unwrap().password.reveal(), "Pa$$word");
    let upkeep = Upkeep::new(talk.machine, Seed(0), talk.now.instant).unwrap();
    assert!(upkeep.association().unwrap().is_up());
}

#[test]
fn a_proxys_challenge_is_answered_in_its_own_field() {
    let mut talk = Talk::new(Rules::default());
    let line = NTLM.replace("WWW-Authenticate", "Proxy-Authenticate");
    assert!(matches!(
        talk.hear("407 Proxy Authentication Required", &[&line]),
        Step::AskCredentials(_)
    ));
    assert!(matches!(talk.supply("Pa$$word"), Step::Send(_)));
    assert_eq!(talk.authorization(), "");
    assert!(talk.header("Proxy-Authorization").starts_with("NTLM "));
}

const PROXY: &str =
    "Proxy-Authenticate: Digest realm=\"edge\", nonce=\"p1\", qop=\"auth\", algorithm=SHA-256";

/// The fields in which the last request proves something, and the scheme and realm of each.
fn proofs(talk: &Talk) -> Vec<String> {
    let fields = headers(talk.sent.last().unwrap()).iter().filter_map(|field| {
        let field = format!("{}: {}", field.name(), field.raw());
        let (proof, rest) = field.split_once(": ")?;
        let scheme = rest.split_once(' ')?.0;
        let realm = rest.split_once("realm=\"")?.1.split_once('"')?.0;
        proof.ends_with("uthorization").then(|| format!("{proof} {scheme} {realm}"))
    });
    fields.collect()
}

/// RFC 3261 section 22.3: a request may prove something to a proxy and to the registrar.
#[test]
fn a_proxy_and_a_registrar_behind_it_are_both_answered_with_one_password() {
    let behind = |registrar: &str| {
        let mut talk = Talk::new(Rules::default());
        let Step::AskCredentials(request) = talk.hear("407 Who", &[PROXY]) else { panic!() };
        assert_eq!(request.realm.to_string(), "edge");
        let _ = talk.supply("Pa$$word");
        assert_eq!(proofs(&talk), ["Proxy-Authorization Digest edge"]);
        assert!(
            matches!(talk.hear("401 Who", &[registrar]), Step::Send(_)),
            "nobody is asked again"
        );
        talk
    };
    let both = ["Proxy-Authorization Digest edge", "Authorization Digest cosmo"];
    let mut talk = behind(DIGEST);
    assert_eq!(proofs(&talk), both);
    signed_in(talk.hear("200 OK", &["Expires: 600"]));
    // And both in the session, where the registrar is a proxy to everything else.
    let mut session = Upkeep::new(talk.machine, Seed(1), talk.now.instant).unwrap();
    let options = Message::parse("OPTIONS sip:a SIP/2.0\r\nl: 0\r\n\r\n".into()).unwrap();
    let sent = session.outgoing(&options, talk.now.instant).unwrap();
    let sent = String::from_utf8(sent.to_vec()).unwrap();
    let realms: Vec<_> = sent.split("realm=").skip(1).map(|rest| &rest[..7]).collect();
    assert_eq!(realms, ["\"edge\",", "\"cosmo\""], "{sent}");
    let due = talk.now.instant + Duration::from_secs(570);
    let upkeep::Step::Send(bytes) = session.poll_step(due) else { panic!() };
    talk = Talk::new(Rules::default());
    talk.sent = vec![Message::parse(bytes).unwrap()];
    assert_eq!(proofs(&talk), both);

    // What comes next, and what becomes of it.
    let stale =
        |line: &str| line.replace("\"n1\"", "\"n2\"").replace("\"p1\"", "\"p2\"") + ", stale=true";
    let other = |line: &str| line.replace("cosmo", "other").replace("edge", "other");
    for (status, line, wanted) in [
        ("401 Who", stale(DIGEST), "sent"),
        ("407 Who", stale(PROXY), "sent"),
        ("401 Who", DIGEST.into(), "rejected"),
        ("407 Who", PROXY.into(), "rejected"),
        ("401 Who", other(DIGEST), "given up"),
        ("407 Who", other(PROXY), "given up"),
    ] {
        let mut talk = behind(DIGEST);
        let step = talk.hear(status, &[&line]);
        let became = match &step {
            Step::Send(_) => "sent",
            Step::AskCredentials(request) if request.reason == AskReason::Rejected => "rejected",
            Step::Failed(SignInError::NoCommonScheme { .. }) => "given up",
            _ => panic!("{step:?}"),
        };
        assert_eq!(became, wanted, "{status} {line}");
        let rejected = if wanted == "rejected" { 1 } else { 0 };
        assert_eq!(talk.machine.cache().rejected().len(), rejected, "{status} {line}");
        if wanted == "sent" {
            let mut seen = proofs(&talk);
            seen.sort_by_key(|proof| std::cmp::Reverse(proof.clone()));
            assert_eq!(seen, both, "{status} {line}");
            signed_in(talk.hear("200 OK", &[]));
        }
    }

    let talk = behind(NTLM);
    let realm = "Authorization NTLM SIP Communications Service";
    assert_eq!(proofs(&talk), ["Proxy-Authorization Digest edge", realm]);
    // Who asks before the other has its answer is no proxy in front of it.
    let mut talk = Talk::new(Rules::default());
    talk.ask(&[NTLM]);
    let _ = talk.supply("Pa$$word");
    let error = failed(talk.hear("407 Who", &[PROXY]));
    assert!(matches!(error, SignInError::Garbage(_)), "{error}");
}

#[test]
fn a_signature_that_is_wrong_is_refused_and_one_that_is_absent_unless_it_is_allowed() {
    let wrong = SIGNED.replace("E615", "E616");
    let error = failed(communicator(Rules::default()).hear("200 OK", &[&wrong, "Expires: 7200"]));
    assert!(matches!(error, SignInError::SignatureWrong(_)), "{error}");
    assert_eq!(error.remedy(), Remedy::AnotherServer);
    // What is signed is what is there: another lifetime makes it wrong.
    let error = failed(communicator(Rules::default()).hear("200 OK", &[SIGNED, "Expires: 7201"]));
    assert!(matches!(error, SignInError::SignatureWrong(_)), "{error}");
    // So it is with a no.
    let error = failed(communicator(Rules::default()).hear("403 Forbidden", &[&wrong]));
    assert!(matches!(error, SignInError::SignatureWrong(_)), "{error}");

    let error = failed(communicator(Rules::default()).hear("200 OK", &["Expires: 7200"]));
    assert_eq!(error, SignInError::SignatureAbsent);
    assert_eq!(error.remedy(), Remedy::AnotherServer);
    let mut lax = Rules::default();
    lax.allow_unsigned = true;
    let registration = signed_in(communicator(lax.clone()).hear("200 OK", &["Expires: 7200"]));
    assert_eq!(registration.protection, Protection::Absent);
    let error = failed(communicator(lax).hear("200 OK", &[&wrong, "Expires: 7200"]));
    assert!(matches!(error, SignInError::SignatureWrong(_)), "an allowance is not for wrong ones");
}

/// Whoever recorded an exchange can play it back; the keys of the next one are others.
#[test]
fn a_signature_of_an_earlier_exchange_is_refused() {
    let lines = [SIGNED, "Expires: 7200"];
    let answer = |drawn: &[&str]| {
        let mut talk =
            Talk::with(Rules::default(), server(Protocol::Tls), CredentialCache::new(), drawn);
        talk.ask(&[NTLM]);
        let _ = talk.supply("Pa$$word");
        assert!(matches!(talk.hear("401 Unauthorized", &[&ntlm_challenge()]), Step::Send(_)));
        talk.hear("200 OK", &lines)
    };
    let error =
        failed(answer(&["d6ae875cb0fdaa41", "6742fbe37bb1946b49d86a525bd29a9c", "13317733"]));
    assert!(matches!(error, SignInError::SignatureWrong(_)), "{error}");
    assert!(matches!(answer(&DRAWN), Step::SignedIn(_)), "it is right in its own exchange");
}

#[test]
fn a_welcome_before_the_proof_is_no_sign_in() {
    let mut talk = Talk::new(Rules::default());
    assert_eq!(failed(talk.hear("200 OK", &[])), SignInError::Unauthenticated);
    let mut talk = Talk::new(Rules::default());
    talk.ask(&[NTLM]);
    let _ = talk.supply("Pa$$word");
    assert_eq!(failed(talk.hear("200 OK", &[])), SignInError::Unauthenticated);
    let mut rules = Rules::default();
    rules.allow_unauthenticated = true;
    assert_eq!(signed_in(Talk::new(rules).hear("200 OK", &[])).scheme, None);
}

#[test]
fn a_rejected_password_is_never_sent_again() {
    let mut talk = communicator(Rules::default());
    assert!(talk.machine.accepted().is_none(), "not yet");
    let request = talk.ask(&[NTLM, DIGEST]);
    assert_eq!(request.reason, AskReason::Rejected);
    let sent = talk.sent.len();
    assert_eq!(failed(talk.supply("Pa$$word")), SignInError::Rejected(Scheme::Ntlm));
    assert_eq!(talk.sent.len(), sent, "not even by Digest");

    // Another one is, and a server that comes later hears of neither.
    let mut talk = communicator(Rules::default());
    talk.ask(&[NTLM]);
    assert!(matches!(talk.supply("another"), Step::Send(_)));
    let mut talk = communicator(Rules::default());
    talk.ask(&[NTLM]);
    let cache = talk.machine.cache().clone();
    let mut next = Talk::with(Rules::default(), server(Protocol::Tls), cache, &[]);
    assert_eq!(next.ask(&[DIGEST]).reason, AskReason::Rejected);
    assert_eq!(failed(next.supply("Pa$$word")), SignInError::Rejected(Scheme::Digest));

    // Nor of one that was given a second time.
    let cache = next.machine.cache().clone();
    let mut third = Talk::with(Rules::default(), server(Protocol::Tls), cache, &[]);
    assert_eq!(third.ask(&[DIGEST]).reason, AskReason::Rejected);
}

#[test]
fn what_was_rejected_is_told_by_the_mechanism_that_was_tried() {
    let mut talk = Talk::new(kerberos(true));
    let _ = talk.hear("401 Unauthorized", &[KERBEROS]);
    let error = failed(talk.hear("401 Unauthorized", &[KERBEROS]));
    assert_eq!(error, SignInError::Rejected(Scheme::Kerberos));
}

#[test]
fn another_password_answers_the_latest_challenge() {
    let mut talk = Talk::new(Rules::default());
    talk.ask(&[DIGEST]);
    let _ = talk.supply("Pa$$word");
    talk.ask(&[&DIGEST.replace("n1", "n2")]);
    assert!(matches!(talk.supply("another"), Step::Send(_)));
    assert!(talk.authorization().contains("nonce=\"n2\""), "{}", talk.authorization());
}

#[test]
fn credentials_that_were_not_rejected_are_used_at_the_next_server_unasked() {
    let talk = communicator(Rules::default());
    let cache = talk.machine.cache().clone();
    let mut next = Talk::with(Rules::default(), server(Protocol::Tls), cache, &[]);
    assert!(matches!(next.hear("401 Unauthorized", &[NTLM]), Step::Send(_)));
    assert!(!next.authorization().contains("opaque"), "nothing of the old association");
}

#[test]
fn nobody_to_ask_is_a_failure_of_its_own() {
    let mut talk = Talk::new(Rules::default());
    talk.ask(&[NTLM]);
    talk.machine.supply(None, talk.now);
    let error = failed(talk.poll());
    assert_eq!(error, SignInError::CredentialsNeeded);
    assert_eq!(error.retry(), Retry::WithCredentials);
}

#[test]
fn the_callers_order_chooses_among_what_the_server_offers() {
    let none = Mechanisms::none;
    let digest = |algorithm| none().then_digest(algorithm);
    let ntlm = || none().then(sip_signin::auth::Ntlm::new());
    for (mechanisms, protocol, offered, wanted) in [
        (Mechanisms::default(), Protocol::Tls, vec![DIGEST, NTLM], Some(Scheme::Ntlm)),
        (Mechanisms::default(), Protocol::Tls, vec![BASIC, DIGEST], Some(Scheme::Digest)),
        (Mechanisms::default(), Protocol::Tls, vec![MD5], None),
        (Mechanisms::default(), Protocol::Tls, vec![BASIC], None),
        (digest(DigestAlgorithm::Md5), Protocol::Tls, vec![DIGEST, MD5], Some(Scheme::Digest)),
        (
            digest(DigestAlgorithm::Sha256).then(sip_signin::auth::Ntlm::new()),
            Protocol::Tls,
            vec![NTLM, DIGEST],
            Some(Scheme::Digest),
        ),
        (ntlm(), Protocol::Tls, vec![DIGEST], None),
        (none(), Protocol::Tls, vec![NTLM], None),
        (Mechanisms::default(), Protocol::Tcp, vec![DIGEST, NTLM], Some(Scheme::Ntlm)),
        (Mechanisms::default(), Protocol::Tcp, vec![DIGEST], None),
        (none().then(Plain), Protocol::Tls, vec![BASIC], None),
    ] {
        let mut rules = Rules::default();
        rules.mechanisms = mechanisms.clone();
        let mut talk = Talk::with(rules, server(protocol), CredentialCache::new(), &[]);
        match (talk.hear("401 Unauthorized", &offered), wanted) {
            (Step::AskCredentials(request), Some(wanted)) => assert_eq!(request.scheme, wanted),
            (Step::Failed(SignInError::NoCommonScheme { offered: seen, .. }), None) => {
                assert_eq!(seen.len(), offered.len());
            }
            (other, wanted) => panic!("{mechanisms:?} {offered:?}: {other:?}, not {wanted:?}"),
        }
    }
}

/// A provider for Basic, which is not used even if a caller brings one.
struct Plain;

impl MechanismProvider for Plain {
    fn scheme(&self) -> Scheme {
        Scheme::Basic
    }

    fn takes(&self, _: Identity<'_>) -> bool {
        true
    }

    fn start(&self, _: &str, _: Identity<'_>) -> Result<Box<dyn Mechanism>, MechanismError> {
        panic!("Basic is never answered")
    }
}

/// Kerberos by the ticket of whoever is logged on.
struct Ticket {
    works: bool,
    length: usize,
}

impl MechanismProvider for Ticket {
    fn scheme(&self) -> Scheme {
        Scheme::Kerberos
    }

    fn takes(&self, identity: Identity<'_>) -> bool {
        matches!(identity, Identity::CurrentUser)
    }

    fn start(&self, _: &str, _: Identity<'_>) -> Result<Box<dyn Mechanism>, MechanismError> {
        let none = || MechanismError::new(MechanismErrorKind::NoTicket);
        let why = io::Error::other("none in the cache");
        if self.works { Ok(Box::new(Context(self.length))) } else { Err(none().because(why)) }
    }
}

struct Context(usize);

impl Mechanism for Context {
    fn step(
        &mut self,
        token: Option<&[u8]>,
        _: Now,
        _: &dyn Random,
    ) -> Result<MechanismStep, MechanismError> {
        Ok(match token {
            None => MechanismStep::Continue(vec![b't'; self.0]),
            Some(_) => MechanismStep::Done(None),
        })
    }

    fn sign(&mut self, _: &[u8]) -> Result<Vec<u8>, MechanismError> {
        Ok(b"ours".to_vec())
    }

    fn verify(&mut self, _: &[u8], signature: &[u8]) -> Result<(), MechanismError> {
        if signature == b"signed" { Ok(()) } else { Err(MechanismErrorKind::Signature.into()) }
    }
}

fn kerberos(works: bool) -> Rules {
    let mut rules = Rules::default();
    rules.mechanisms = Mechanisms::default().first(Ticket { works, length: 6 });
    rules
}

#[test]
fn the_user_who_is_logged_on_is_not_asked() {
    let mut talk = Talk::new(kerberos(true));
    assert!(matches!(talk.hear("401 Unauthorized", &[NTLM, KERBEROS]), Step::Send(_)));
    assert!(talk.authorization().contains(&BASE64.encode(b"tttttt")));
    let info = "Authentication-Info: Kerberos rspauth=\"7369676e6564\", srand=\"1\", snum=\"1\", \
        opaque=\"o\", gssapi-data=\"AAAA\", realm=\"SIP Communications Service\", \
        targetname=\"sip/cosmo-ocs-r2.cosmo.local\"";
    let registration = signed_in(talk.hear("200 OK", &[info]));
    assert_eq!(registration.scheme, Some(Scheme::Kerberos));
    assert_eq!(registration.protection, Protection::Verified);
    assert!(talk.machine.accepted().is_none(), "nobody gave a password");
}

#[test]
fn a_mechanism_that_fails_or_is_not_believed_hands_over_to_the_next() {
    // No ticket.
    assert_eq!(Talk::new(kerberos(false)).ask(&[KERBEROS, NTLM]).scheme, Scheme::Ntlm);
    // A ticket that the server does not take.
    let mut talk = Talk::new(kerberos(true));
    let _ = talk.hear("401 Unauthorized", &[KERBEROS, NTLM]);
    let request = talk.ask(&[KERBEROS, NTLM]);
    assert_eq!((request.scheme, request.reason), (Scheme::Ntlm, AskReason::FirstTime));
    // Not as the current user.
    let mut rules = kerberos(true);
    rules.current_user = false;
    assert_eq!(Talk::new(rules).ask(&[KERBEROS, NTLM]).scheme, Scheme::Ntlm);
    // A challenge that NTLM does not take, in the middle: the same password goes to Digest.
    let mut talk = Talk::new(Rules::default());
    talk.ask(&[NTLM, DIGEST]);
    let _ = talk.supply("Pa$$word");
    let broken = format!("{NTLM}, opaque=\"1\", gssapi-data=\"AAAA\"");
    assert!(matches!(talk.hear("401 Unauthorized", &[&broken]), Step::Send(_)));
    assert!(talk.authorization().starts_with("Digest "), "{}", talk.authorization());
    // Another password begins where the first one did.
    talk.ask(&[DIGEST]);
    let _ = talk.supply("another");
    assert!(talk.authorization().starts_with("NTLM "), "{}", talk.authorization());
    // And when there is no next, what was tried is told.
    let mut talk = Talk::new(Rules::default());
    talk.ask(&[NTLM]);
    let _ = talk.supply("Pa$$word");
    let error = failed(talk.hear("401 Unauthorized", &[&broken]));
    let SignInError::NoCommonScheme { attempts, .. } = &error else { panic!("{error}") };
    assert_eq!(attempts[0].scheme, Scheme::Ntlm);
}

#[test]
fn a_ticket_is_shown_only_to_whom_it_is_for() {
    for (target, shown) in [
        ("sip/cosmo-ocs-r2.cosmo.local", true),
        ("SIP/pool.cosmo.local", true),
        ("sip/other.example", true),
        ("sip/host.evil.example", false),
        ("sip/a.b.cosmo.local", false),
        ("http/cosmo-ocs-r2.cosmo.local", false),
        ("cosmo-ocs-r2.cosmo.local", false),
        ("sip/cosmo-ocs-r2.cosmo.local/x", false),
        ("sip/cosmo-ocs-r2.cosmo.local:5061", false),
        ("sip/cosmo-ocs-r2.cosmo.local@COSMO.LOCAL", false),
        ("sip/pool.cosmo.local@EVIL.EXAMPLE", false),
        ("sip/*.cosmo.local", false),
        ("sip/192.0.2.1", false),
        ("krbtgt/COSMO.LOCAL", false),
        ("sip/", false),
    ] {
        let mut rules = kerberos(true);
        rules.mechanisms = Mechanisms::none().first(Ticket { works: true, length: 6 });
        let line = KERBEROS.replace("sip/cosmo-ocs-r2.cosmo.local", target);
        let step = Talk::new(rules).hear("401 Unauthorized", &[&line]);
        assert_eq!(matches!(step, Step::Send(_)), shown, "{target}: {step:?}");
    }
}

#[test]
fn who_was_shown_a_ticket_must_prove_itself_whatever_is_allowed() {
    let mut rules = kerberos(true);
    (rules.allow_unsigned, rules.allow_unauthenticated) = (true, true);
    let mut talk = Talk::new(rules);
    let _ = talk.hear("401 Unauthorized", &[KERBEROS]);
    assert_eq!(failed(talk.hear("200 OK", &["Expires: 7200"])), SignInError::SignatureAbsent);
}

#[test]
fn a_long_ticket_is_sent_whole() {
    let mut rules = kerberos(true);
    rules.mechanisms = Mechanisms::none().first(Ticket { works: true, length: 48_000 });
    // It is longer than what we would read.
    let Talk { mut machine, now, .. } = Talk::new(rules);
    machine.receive(&answer("401 Unauthorized", 1, &[KERBEROS]), now);
    let step = machine.poll_step(now.instant);
    let Step::Send(bytes) = step else { panic!("{step:?}") };
    let ticket = BASE64.encode(&[b't'; 48_000]);
    assert!(bytes.windows(ticket.len()).any(|window| window == ticket.as_bytes()));
}

#[test]
fn what_a_mechanism_ran_into_is_told_with_its_cause() {
    let mut talk = Talk::new(kerberos(false));
    let step = talk.hear("401 Unauthorized", &[KERBEROS]);
    let SignInError::NoCommonScheme { attempts, .. } = failed(step) else { panic!() };
    assert_eq!(attempts[0].to_string(), "Kerberos: there is no ticket: none in the cache");
    assert_eq!(attempts[0].kind, Some(MechanismErrorKind::NoTicket));
}

/// A challenge that no password answers, and why.
#[test]
fn nobody_is_asked_for_a_password_that_cannot_be_used() {
    for (challenge, why) in [
        (DIGEST.replace(", qop=\"auth\"", ""), "Digest: the server sent no qop"),
        (
            DIGEST.replace("\"auth\"", "\"auth-int\""),
            "Digest: the protection auth-int is not spoken here",
        ),
        (DIGEST.replace("nonce", "once"), "Digest: the server sent no nonce"),
        (DIGEST.replace("realm", "real"), "Digest: the server sent no realm"),
        (NTLM.replace("realm", "real"), "NTLM: the server sent no realm"),
        (NTLM.replace("targetname", "target"), "NTLM: the server sent no targetname"),
        (
            NTLM.replace("version=4", "version=5"),
            "NTLM: the server speaks version 5 of the protocol",
        ),
    ] {
        let mut talk = Talk::new(Rules::default());
        let error = failed(talk.hear("401 Unauthorized", &[&challenge]));
        let SignInError::NoCommonScheme { attempts, .. } = &error else { panic!("{error}") };
        assert_eq!(attempts.iter().map(ToString::to_string).collect::<Vec<_>>(), [why]);
        // What can be answered is asked for.
        let other = if challenge.contains("NTLM") { DIGEST } else { NTLM };
        Talk::new(Rules::default()).ask(&[&challenge, other]);
    }
}

#[test]
fn digest_takes_a_stale_nonce_and_no_endless_row_of_them() {
    let mut talk = Talk::new(Rules::default());
    talk.ask(&[DIGEST]);
    let _ = talk.supply("Pa$$word");
    for round in 2..=SignIn::ROUND_LIMIT + 2 {
        let line = DIGEST.replace("n1", &format!("n{round}")) + ", stale=true";
        let step = talk.hear("401 Unauthorized", &[&line]);
        assert_eq!(matches!(step, Step::Send(_)), round < SignIn::ROUND_LIMIT + 2, "{round}");
    }
    let mut talk = Talk::new(Rules::default());
    talk.ask(&[DIGEST]);
    let _ = talk.supply("Pa$$word");
    assert_eq!(talk.ask(&[DIGEST]).reason, AskReason::Rejected);
    let mut talk = Talk::new(Rules::default());
    talk.ask(&[DIGEST]);
    let _ = talk.supply("Pa$$word");
    let registration = signed_in(talk.hear("200 OK", &[]));
    assert_eq!(registration.protection, Protection::Absent);
    assert_eq!(registration.scheme, Some(Scheme::Digest));
}

/// The status, the number in `ms-diagnostics`, and what it means.
#[test]
fn the_table_of_final_answers_is_total() {
    use SignInError as E;
    let kind = |error: &E| match error {
        E::AddressMismatch(_) => "mismatch",
        E::BadRequest(_) => "bad",
        E::ClockSkew(_) => "skew",
        E::Garbage(_) => "garbage",
        E::Overloaded(_) => "overloaded",
        E::Refused(_) => "refused",
        E::RemoteAccessDenied(_) => "remote",
        E::Unavailable(_) => "unavailable",
        E::UnknownUser(_) => "unknown",
        E::VersionBlocked(_) => "version",
        other => panic!("{other}"),
    };
    for (status, number, wanted) in [
        (403, 4004, "mismatch"),
        (403, 4003, "remote"),
        (403, 17002, "version"),
        (403, 17003, "version"),
        (403, 0, "refused"),
        (404, 0, "unknown"),
        (404, 1003, "unknown"),
        (403, 4005, "unknown"),
        (404, 4006, "unknown"),
        (401, 1013, "skew"),
        (407, 1013, "skew"),
        (403, 1013, "skew"),
        (503, 17000, "overloaded"),
        (503, 0, "overloaded"),
        (503, 4004, "overloaded"),
        (500, 0, "unavailable"),
        (504, 1008, "unavailable"),
        (401, 0, "garbage"),
        (407, 0, "garbage"),
        (302, 0, "garbage"),
        (400, 4009, "refused"),
        (400, 4010, "bad"),
        (400, 4011, "bad"),
        (400, 4012, "bad"),
        (400, 4013, "refused"),
        (421, 2057, "bad"),
        (489, 4055, "bad"),
        (603, 0, "refused"),
    ] {
        let line = format!("ms-diagnostics: {number};reason=\"r\";source=\"s\"");
        let error = failed(Talk::new(Rules::default()).hear(&format!("{status} No"), &[&line]));
        assert_eq!(kind(&error), wanted, "{status} {number}");
        let another = matches!(wanted, "garbage" | "overloaded" | "unavailable");
        assert_eq!(error.remedy() == Remedy::AnotherServer, another, "{status} {number}");
        let told =
            error.refusal().and_then(|r| r.diagnostics.as_ref()).map(|d: &Diagnostics| d.error_id);
        assert_eq!(told, (wanted != "garbage").then_some(number), "{status} {number}");
    }
    for status in 200..700 {
        let step = Talk::new(Rules::default()).hear(&format!("{status} x"), &[]);
        assert!(matches!(step, Step::Failed(_)), "{status}: {step:?}");
    }
    let busy = Talk::new(Rules::default()).hear("503 Busy", &["Retry-After: 90"]);
    assert_eq!(failed(busy).retry_after(), Some(Duration::from_secs(90)));
}

#[test]
fn foreign_and_provisional_answers_are_passed_over_up_to_the_limit() {
    let mut talk = Talk::new(Rules::default());
    let others = [
        answer("100 Trying", 1, &[]),
        answer("403 Forbidden", 2, &[]),
        Message::parse("OPTIONS sip:a@b SIP/2.0\r\nl: 0\r\n\r\n".into()).unwrap(),
        Message::parse("SIP/2.0 403 No\r\nCall-ID: x\r\nCSeq: 1 REGISTER\r\nl: 0\r\n\r\n".into())
            .unwrap(),
    ];
    for other in others.iter().cycle().take(SignIn::PASSED_OVER_LIMIT) {
        talk.machine.receive(other, talk.now);
        assert!(matches!(talk.poll(), Step::Wait { .. }));
    }
    talk.machine.receive(&others[0], talk.now);
    assert!(matches!(failed(talk.poll()), SignInError::Garbage(_)));
}

#[test]
fn silence_ends_it_and_waiting_for_a_person_does_not() {
    let mut talk = Talk::new(Rules::default());
    let Step::Wait { until } = talk.poll() else { panic!() };
    assert_eq!(until, talk.now.instant + Rules::ANSWER_WITHIN);
    talk.ask(&[NTLM]);
    talk.now.instant += Duration::from_secs(3600);
    assert!(matches!(talk.poll(), Step::AskCredentials(_)));
    assert!(matches!(talk.supply("Pa$$word"), Step::Send(_)));
    let Step::Wait { until } = talk.poll() else { panic!() };
    assert_eq!(until, talk.now.instant + Rules::ANSWER_WITHIN);
    talk.now.instant = until;
    assert_eq!(failed(talk.poll()), SignInError::NoAnswer);
    let _ = talk.hear("200 OK", &[]);
    assert_eq!(failed(talk.poll()), SignInError::NoAnswer, "over is over");
}

#[test]
fn a_lost_connection_is_told_until_it_is_over() {
    let mut talk = Talk::new(Rules::default());
    talk.machine.lost("closed".into());
    assert_eq!(failed(talk.poll()), SignInError::Lost("closed".into()));
    let mut talk = Talk::new(Rules::default());
    talk.ask(&[NTLM]);
    talk.machine.lost("closed".into());
    assert_eq!(failed(talk.poll()), SignInError::Lost("closed".into()), "while a person is asked");
    let mut talk = Talk::new(Rules::default());
    let _ = talk.hear("404 Not Found", &[]);
    talk.machine.lost("closed".into());
    assert!(matches!(failed(talk.poll()), SignInError::UnknownUser(_)));
}

const HOME: &str = "Contact: <sip:pool2.cosmo.local:5061;transport=TLS>;q=0.3, \
                    <sip:pool1.cosmo.local:5061;transport=TLS>;q=0.7";

#[test]
fn a_redirect_says_whether_it_is_signed() {
    let mut talk = Talk::new(Rules::default());
    let Step::Redirected { contacts, protection } = talk.hear("301 Moved", &[HOME]) else {
        panic!("{:?}", talk.poll())
    };
    assert_eq!(protection, Protection::Absent);
    assert!(contacts[0].uri.raw().contains("pool1"));
    let mut talk = communicator(Rules::default());
    let wrong = talk.hear("301 Moved", &[SIGNED, "Expires: 7200", HOME]);
    assert!(matches!(failed(wrong), SignInError::SignatureWrong(_)), "it was for a 200");
    let mut talk = communicator(Rules::default());
    let unsigned = talk.hear("301 Moved", &[HOME]);
    assert!(matches!(unsigned, Step::Redirected { protection: Protection::Absent, .. }));
    let mut talk = Talk::new(kerberos(true));
    let _ = talk.hear("401 Unauthorized", &[KERBEROS]);
    let info = "Authentication-Info: Kerberos rspauth=\"7369676e6564\", srand=\"1\", snum=\"1\", \
        gssapi-data=\"AAAA\", realm=\"SIP Communications Service\", \
        targetname=\"sip/cosmo-ocs-r2.cosmo.local\"";
    let signed = talk.hear("301 Moved", &[info, HOME]);
    assert!(matches!(signed, Step::Redirected { protection: Protection::Verified, .. }));
}

/// Its hash covers neither the status nor a Contact, so whoever sits on the way may change both.
#[test]
fn a_digest_servers_proof_does_not_vouch_for_where_it_redirects_to() {
    let mut talk = Talk::new(Rules::default());
    talk.ask(&[DIGEST]);
    let _ = talk.supply("Pa$$word");
    let sent = talk.authorization();
    let sent = Challenge::read_all(&sent).remove(0).unwrap();
    let hash = |text: String| HEXLOWER.encode(&Sha256::digest(text));
    let secret = hash(r"COSMO\User:cosmo:Pa$$word".into());
    let (cnonce, uri) = (sent.parameter("cnonce").unwrap(), sent.parameter("uri").unwrap());
    let proof = hash(format!("{secret}:n1:00000001:{cnonce}:auth:{}", hash(format!(":{uri}"))));
    let info = format!("Authentication-Info: rspauth=\"{proof}\", qop=auth");
    let step = talk.hear("301 Moved", &[&info, HOME]);
    assert!(matches!(step, Step::Redirected { protection: Protection::Absent, .. }), "{step:?}");

    // It is the right proof: where nothing else counts, it is believed.
    let mut talk = Talk::new(Rules::default());
    talk.ask(&[DIGEST]);
    let _ = talk.supply("Pa$$word");
    assert_eq!(signed_in(talk.hear("200 OK", &[&info])).protection, Protection::Verified);
}

fn contacts(line: &str) -> Vec<Contact> {
    Contact::of(headers(&answer("301 Moved", 1, &[line])))
}

fn headers(message: &Message) -> &Headers {
    message.headers()
}

fn redirects() -> Redirects {
    Redirects::new(HostName::parse("cosmo.local").unwrap(), NameRule::default())
}

fn refused(result: Result<Vec<Endpoint>, Box<SignInError>>) -> Vec<RedirectObjection> {
    match *result.unwrap_err() {
        SignInError::RedirectRefused(all) => all.into_iter().map(|(_, why)| why).collect(),
        other => panic!("{other}"),
    }
}

#[test]
fn a_redirect_leads_to_the_most_preferred_that_is_permitted() {
    let director = endpoint(Protocol::Tls, "sip.cosmo.local", 443);
    let shown = |found: Vec<Endpoint>| found.iter().map(Endpoint::to_string).collect::<Vec<_>>();
    let found = redirects().follow(&director, &contacts(HOME), Protection::Absent).unwrap();
    assert_eq!(shown(found), ["tls pool1.cosmo.local:5061", "tls pool2.cosmo.local:5061"]);

    let far = contacts("Contact: <sip:home.example.net;transport=tls>");
    let follow = |to: &[Contact], signed| redirects().follow(&director, to, signed);
    assert_eq!(refused(follow(&far, Protection::Absent)), [RedirectObjection::Name]);
    let found = follow(&far, Protection::Verified).unwrap();
    assert_eq!(shown(found), ["tls home.example.net:5061"]);
    let trusting = NameRule::default().trusting([HostName::parse("example.net").unwrap()]);
    let mut trusting = Redirects::new(HostName::parse("cosmo.local").unwrap(), trusting);
    assert!(trusting.follow(&director, &far, Protection::Absent).is_ok());
    let deep = contacts("Contact: <sip:a.b.cosmo.local>");
    assert_eq!(refused(follow(&deep, Protection::Absent)), [RedirectObjection::Name]);
    let address = contacts("Contact: <sip:192.0.2.1:5061>");
    assert_eq!(refused(follow(&address, Protection::Absent)), [RedirectObjection::Name]);

    let clear = contacts("Contact: <sip:pool1.cosmo.local;transport=tcp>");
    for signed in [Protection::Absent, Protection::Verified] {
        assert_eq!(refused(follow(&clear, signed)), [RedirectObjection::ClearText]);
    }
    let from_clear = endpoint(Protocol::Tcp, "sip.cosmo.local", 5060);
    let found = redirects().follow(&from_clear, &clear, Protection::Absent).unwrap();
    assert_eq!(shown(found), ["tcp pool1.cosmo.local:5060"]);
}

#[test]
fn redirects_neither_circle_nor_go_on_for_ever() {
    let director = endpoint(Protocol::Tls, "sip.cosmo.local", 5061);
    let mut circle = redirects();
    assert!(circle.visit(&director) && !circle.visit(&director));
    let back = contacts("Contact: <sip:SIP.cosmo.local:5061>");
    let looped = circle.follow(&director, &back, Protection::Verified);
    assert_eq!(*looped.unwrap_err(), SignInError::RedirectLoop);
    assert!(circle.visit(&endpoint(Protocol::Tls, "sip.cosmo.local", 443)), "another port is new");

    let mut chain = redirects();
    for hop in 0..=Redirects::LIMIT {
        let on = contacts(&format!("Contact: <sip:pool{hop}.cosmo.local>"));
        let found = chain.follow(&director, &on, Protection::Absent);
        assert_eq!(found.is_ok(), hop < Redirects::LIMIT, "{hop}");
    }
}

/// What `tests/marker.rs` cannot see: every step and the machine in every state.
#[test]
fn the_machine_shows_the_password_in_no_step() {
    let (mut shown, mut sent) = (String::new(), Vec::new());
    let ntlm = ntlm_challenge();
    for offer in [NTLM, DIGEST] {
        let mut talk = Talk::new(Rules::default());
        talk.ask(&[offer]);
        let _ = talk.supply(MARKER);
        let _ = talk.hear("401 Unauthorized", &[if offer == NTLM { &*ntlm } else { DIGEST }]);
        let _ = talk.hear("401 Unauthorized", &[offer]);
        assert!(talk.sent.len() > 1, "a password was at work");
        let _ = talk.supply(MARKER);
        assert!(matches!(talk.poll(), Step::Failed(_)));
        shown.push_str(&talk.shown);
        shown.push_str(&format!("{:?}", talk.machine.cache()));
        sent.extend(talk.sent.iter().flat_map(|message| message.as_bytes().to_vec()));
    }
    let needles = Needles::new();
    assert_eq!(needles.found_in(&sent), [""; 0]);
    assert_eq!(needles.found_in(&shown), [""; 0]);
    assert!(shown.contains("Password(..)"), "the search would find what is printed");
}
