//! The third machine in virtual time: what is due when, to the millisecond, and what each answer means.
#![cfg(feature = "digest")]
#![expect(clippy::disallowed_methods, reason = "any instant will do")]

#[path = "common/jeremy.rs"]
mod jeremy;

#[path = "common/sevens.rs"]
mod sevens;

#[path = "common/watchdog.rs"]
mod watchdog;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use jeremy::{register, server};
use sevens::Sevens;
use sip_signin::auth::{
    Association, Credentials, DigestAlgorithm, Identity, Mechanism, MechanismError,
    MechanismErrorKind, MechanismProvider, MechanismStep, Protection,
};
use sip_signin::discovery::{Fault, Seed};
use sip_signin::sign_in::{
    self, AskReason, CredentialCache, Mechanisms, Retry, Rules, SignIn, SignInError, Verdict,
};
use sip_signin::sip::{Message, Scheme};
use sip_signin::upkeep::{Heard, SendError, SessionError, Step, Upkeep};
use sip_signin::{Now, Random};
use watchdog::watched;

const MS: Duration = Duration::from_millis(1);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A mechanism whose one token is the password, whose only signature is `signed`, and which ends after
/// a time.
#[derive(Clone)]
struct Proof {
    scheme: Scheme,
    life: Option<Duration>,
    end: Option<SystemTime>,
    token: Vec<u8>,
}

impl MechanismProvider for Proof {
    fn scheme(&self) -> Scheme {
        self.scheme.clone()
    }

    fn takes(&self, identity: Identity<'_>) -> bool {
        matches!(identity, Identity::Supplied(_))
    }

    fn start(&self, _: &str, i: Identity<'_>) -> Result<Box<dyn Mechanism>, MechanismError> {
        let Identity::Supplied(credentials) = i else { panic!() };
        let token = credentials.password.reveal().into();
        Ok(Box::new(Self { token, ..self.clone() }))
    }
}

impl Mechanism for Proof {
    fn step(
        &mut self,
        _: Option<&[u8]>,
        now: Now,
        _: &dyn Random,
    ) -> Result<MechanismStep, MechanismError> {
        self.end = self.life.map(|life| now.wall + life);
        Ok(MechanismStep::Done(Some(self.token.clone())))
    }

    fn sign(&mut self, _: &[u8]) -> Result<Vec<u8>, MechanismError> {
        Ok(b"ours".to_vec())
    }

    fn verify(&mut self, _: &[u8], signature: &[u8]) -> Result<(), MechanismError> {
        if signature == b"signed" { Ok(()) } else { Err(MechanismErrorKind::Signature.into()) }
    }

    fn expires(&self) -> Option<SystemTime> {
        self.end
    }
}

const NTLM: &str = "WWW-Authenticate: NTLM realm=\"r\", targetname=\"t\", version=4";
const DIGEST: &str =
    "WWW-Authenticate: Digest realm=\"r\", nonce=\"n1\", qop=\"auth\", algorithm=SHA-256";

fn ntlm(life: Option<Duration>) -> Rules {
    let mut rules = Rules::default();
    rules.mechanisms = Mechanisms::none().then(proof(Scheme::Ntlm, life));
    rules
}

fn proof(scheme: Scheme, life: Option<Duration>) -> Proof {
    Proof { scheme, life, end: None, token: Vec::new() }
}

/// Words about NTLM as they would be about Kerberos.
fn with_ticket(words: &str) -> String {
    words.replace("NTLM", "Kerberos").replace("\"t\"", "\"sip/sip.contoso.com\"")
}

fn digest() -> Rules {
    let mut rules = Rules::default();
    rules.mechanisms = Mechanisms::none().then_digest(DigestAlgorithm::Sha256);
    rules
}

/// A session with somebody who carries out its steps.
struct Talk {
    machine: Upkeep,
    begin: Now,
    now: Now,
    sent: Vec<Message>,
    pings: usize,
    snum: u32,
}

impl Talk {
    /// Signs in: what the last 200 says beside its signature.
    fn new(rules: Rules, lines: &[&str]) -> Self {
        watched();
        let now = Now { instant: Instant::now(), wall: SystemTime::UNIX_EPOCH + seconds(1 << 30) };
        let random: Arc<dyn Random> = Arc::new(Sevens);
        let (cache, scheme) = (CredentialCache::new(), format!("{:?}", rules.mechanisms));
        let mut sign_in = SignIn::new(register(), server(), rules, cache, random);
        assert!(matches!(sign_in.poll_step(now.instant), sign_in::Step::Send(_)));
        let ntlm = scheme.contains("NTLM");
        let kerberos = scheme.contains("Kerberos");
        let challenge = match (ntlm, kerberos) {
            (true, _) => NTLM.into(),
            (_, true) => with_ticket(NTLM),
            _ => DIGEST.into(),
        };
        sign_in.receive(&to_register(1, "401 No", &[&challenge]), now);
        let credentials = Credentials::new(r"CONTOSO\jeremy".parse().unwrap(), "Passw0rd!");
        sign_in.supply(Some(credentials), now);
        assert!(matches!(sign_in.poll_step(now.instant), sign_in::Step::Send(_)));
        let mut signature = signed("Authentication-Info", 1);
        if kerberos {
            signature = with_ticket(&signature);
        }
        let mut all = lines.to_vec();
        if ntlm || kerberos {
            all.push(&signature);
        }
        sign_in.receive(&to_register(2, "200 OK", &all), now);
        assert!(matches!(sign_in.poll_step(now.instant), sign_in::Step::SignedIn(_)));
        let machine = Upkeep::new(sign_in, Seed(1), now.instant).unwrap();
        Self { machine, begin: now, now, sent: Vec::new(), pings: 0, snum: 1 }
    }

    fn at(&mut self, since: Duration) -> &mut Self {
        self.now = Now { instant: self.begin.instant + since, wall: self.begin.wall + since };
        self
    }

    /// The next step; what is to be sent is sent.
    fn poll(&mut self) -> Step {
        let step = self.machine.poll_step(self.now.instant);
        if let Step::Send(bytes) = &step {
            match &bytes[..] {
                b"\r\n\r\n" => self.pings += 1,
                _ => self.sent.push(Message::parse(bytes.clone()).unwrap()),
            }
        }
        step
    }

    /// Polls until nothing is due; until when to wait.
    fn rest(&mut self) -> Duration {
        for _ in 0..10 {
            match self.poll() {
                Step::Wait { until } => return until - self.begin.instant,
                Step::Send(_) => {}
                other => panic!("{other:?}"),
            }
        }
        panic!("it does not come to rest");
    }

    /// The server answers the last REGISTER; `signature` says how it is signed.
    fn answer(&mut self, status: &str, lines: &[&str], signature: Signature) {
        let number = self.sent.last().unwrap().headers().cseq().unwrap().number;
        self.snum += 1;
        let signature = match signature {
            Signature::Right => Some(signed("Authentication-Info", self.snum)),
            Signature::Wrong => {
                Some(signed("Authentication-Info", self.snum).replace("7369", "0000"))
            }
            Signature::Absent => None,
        };
        let lines: Vec<_> = lines.iter().copied().chain(signature.as_deref()).collect();
        let heard = self.machine.receive(&to_register(number, status, &lines), self.now);
        assert_eq!(heard, Heard::Ours);
    }

    fn hear(&mut self, start: &str, lines: &[&str]) -> Heard {
        self.machine.receive(&message(start, lines), self.now)
    }

    fn last(&self, name: &str) -> String {
        self.sent.last().unwrap().headers().get(name).unwrap_or_default().into_owned()
    }

    fn lost(&mut self) -> SessionError {
        match self.poll() {
            Step::Lost(error) => {
                assert_eq!(self.poll(), Step::Lost(error.clone()), "for ever");
                error
            }
            other => panic!("{other:?}"),
        }
    }
}

#[derive(Clone, Copy)]
enum Signature {
    Right,
    Wrong,
    Absent,
}
use Signature::{Absent, Right, Wrong};

fn signed(field: &str, snum: u32) -> String {
    format!(
        "{field}: NTLM rspauth=\"7369676e6564\", srand=\"1\", snum=\"{snum}\", opaque=\"o\", \
         realm=\"r\", targetname=\"t\""
    )
}

fn to_register(number: u32, status: &str, lines: &[&str]) -> Message {
    let cseq = format!("CSeq: {number} REGISTER");
    let lines: Vec<_> = ["Call-ID: ours", &cseq].into_iter().chain(lines.iter().copied()).collect();
    message(&format!("SIP/2.0 {status}"), &lines)
}

fn message(start: &str, lines: &[&str]) -> Message {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    Message::parse(format!("{start}\r\n{lines}l: 0\r\n\r\n").into()).unwrap()
}

const REFRESHED: &str = "presence-state: register-action=\"refreshed\"";

/// What is granted, and when the refresh is due.
#[test]
fn a_refresh_is_due_strictly_before_the_end_and_never_in_a_tight_loop() {
    for (line, due) in [
        ("Expires: 7200", seconds(7170)),
        ("Expires: 61", seconds(31)),
        ("Expires: 60", seconds(30)),
        ("Expires: 40", seconds(20)),
        ("Expires: 11", Duration::from_millis(5500)),
        ("Expires: 10", seconds(5)),
        ("Expires: 5", Upkeep::SHORTEST),
        ("Expires: 1", Upkeep::SHORTEST),
        ("X: no word of it", Upkeep::ASSUMED - Upkeep::LEAD),
    ] {
        for rules in [ntlm(None), digest()] {
            let mut talk = Talk::new(rules, &[line, "ms-keep-alive: x;timeout=999999"]);
            talk.at(due - MS);
            assert_eq!(talk.rest(), due, "{line}");
            assert!(talk.sent.is_empty(), "{line}: too early");
            talk.at(due);
            let until = talk.rest();
            assert_eq!(talk.sent.len(), 1, "{line}");
            assert_eq!(until, due + Rules::ANSWER_WITHIN, "{line}");
            assert_eq!(talk.last("CSeq"), "3 REGISTER");
            assert!(!talk.last("Authorization").is_empty(), "it is proved");
            assert_eq!(talk.last("Expires"), "", "as long as the server wants");
        }
    }
    let mut talk = Talk::new(digest(), &["Expires: 0"]);
    assert_eq!(talk.lost(), SessionError::Forgotten);
}

#[test]
fn a_refresh_begins_the_time_anew_and_may_change_what_is_granted() {
    let mut talk = Talk::new(ntlm(None), &["Expires: 600", "Server: RTC/3.5"]);
    talk.at(seconds(570)).rest();
    talk.answer("100 Trying", &[], Absent);
    talk.answer("200 OK", &["Expires: 60", REFRESHED], Right);
    assert_eq!(talk.machine.expires_at(), talk.begin.instant + seconds(630));
    assert_eq!(talk.machine.registration().server.as_ref().unwrap().raw(), "RTC/3.5", "kept");
    talk.at(seconds(600) - MS).rest();
    assert_eq!(talk.sent.len(), 1);
    talk.at(seconds(600)).rest();
    assert_eq!(talk.sent.len(), 2);
    // The answer that came before is nobody's answer now.
    let late = to_register(3, "500 Late", &[]);
    assert_eq!(talk.machine.receive(&late, talk.now), Heard::Ours);
    talk.at(seconds(615) - MS);
    assert_eq!(talk.rest(), seconds(615));
    talk.at(seconds(615));
    assert_eq!(talk.lost(), SessionError::Refresh(SignInError::NoAnswer));
}

#[test]
fn a_refresh_may_be_asked_for() {
    let mut talk = Talk::new(ntlm(None), &["Expires: 600"]);
    talk.rest();
    talk.machine.refresh(talk.now.instant);
    talk.rest();
    assert_eq!(talk.sent.len(), 1);
    // Not twice while it is open.
    talk.machine.refresh(talk.now.instant);
    talk.rest();
    assert_eq!(talk.sent.len(), 1);
}

/// The life of the ticket, and when the bare REGISTER is due.
#[test]
fn a_new_association_is_due_five_minutes_before_the_end() {
    for (life, due) in [
        (None, Association::LIFETIME - Association::MARGIN),
        (Some(seconds(100_000)), seconds(8 * 3600 - 300)),
        (Some(seconds(3600)), seconds(3300)),
        (Some(seconds(300)), Upkeep::RENEWAL_INTERVAL),
        (Some(Duration::ZERO), Upkeep::RENEWAL_INTERVAL),
    ] {
        let lines = ["Expires: 999999", "ms-keep-alive: x;timeout=999999"];
        let mut talk = Talk::new(ntlm(life), &lines);
        talk.at(due - MS);
        assert_eq!(talk.rest(), due, "{life:?}");
        assert!(talk.sent.is_empty(), "{life:?}");
        talk.at(due).rest();
        assert_eq!(talk.sent.len(), 1, "{life:?}");
        assert_eq!(talk.last("CSeq"), "3 REGISTER");
        assert_eq!(talk.last("Authorization"), "", "bare");

        // Meanwhile the old one signs and verifies.
        let signature = signed("Proxy-Authentication-Info", 50);
        let heard = talk.hear("OPTIONS sip:a SIP/2.0", &["Call-ID: theirs", &signature]);
        assert_eq!(heard, Heard::Yours(Protection::Verified));
        let ours = message("SIP/2.0 200 OK", &["Call-ID: theirs", "CSeq: 1 OPTIONS"]);
        let out = talk.machine.outgoing(&ours, talk.now.instant).unwrap();
        assert!(String::from_utf8_lossy(&out).contains("opaque=\"o\""));

        // The known password is used unasked; the answer belongs to the new one.
        talk.answer("401 No", &[NTLM], Absent);
        talk.rest();
        assert!(talk.last("Authorization").contains("gssapi-data="));
        talk.snum = 0;
        talk.answer("200 OK", &["Expires: 600", REFRESHED], Right);
        talk.rest();
        assert!(talk.sent.len() == 2 && talk.machine.end().is_none());
        // And so on.
        let next = life.map_or(Association::LIFETIME, |l| l.min(Association::LIFETIME));
        let next = next.saturating_sub(Association::MARGIN).max(Upkeep::RENEWAL_INTERVAL);
        assert_eq!(talk.machine.expires_at(), talk.now.instant + seconds(600));
        let until = talk.rest();
        assert_eq!(until, due + next.min(seconds(570)), "{life:?}");
    }
}

#[test]
fn what_the_former_association_signed_counts_for_a_while() {
    let mut talk = Talk::new(ntlm(None), &["Expires: 99999", "ms-keep-alive: x;timeout=99999"]);
    let due = Association::LIFETIME - Association::MARGIN;
    talk.at(due).rest();
    talk.answer("401 No", &[&NTLM.replace("version", "opaque=\"p\", version")], Absent);
    talk.rest();
    let new = signed("Authentication-Info", 1).replace("\"o\"", "\"p\"");
    talk.answer("200 OK", &["Expires: 600", REFRESHED, &new], Absent);
    talk.rest();
    for (after, snum, wanted) in [
        (Duration::ZERO, 80, true),
        (Rules::ANSWER_WITHIN - MS, 81, true),
        (Rules::ANSWER_WITHIN, 82, false),
    ] {
        talk.at(due + after);
        let old = signed("Proxy-Authentication-Info", snum);
        let heard = talk.hear("OPTIONS sip:a SIP/2.0", &[&old]);
        assert_eq!(heard == Heard::Yours(Protection::Verified), wanted, "{after:?}: {heard:?}");
    }
}

#[test]
fn what_the_new_association_signed_counts_as_soon_as_both_have_its_keys() {
    let mut talk = Talk::new(ntlm(None), &["Expires: 99999", "ms-keep-alive: x;timeout=99999"]);
    talk.at(Association::LIFETIME - Association::MARGIN).rest();
    let new = |snum| signed("Proxy-Authentication-Info", snum).replace("\"o\"", "\"p\"");
    let heard = |talk: &mut Talk, line: &str| talk.hear("OPTIONS sip:a SIP/2.0", &[line]);
    assert!(matches!(heard(&mut talk, &new(1)), Heard::Dropped(_)), "nobody has them yet");
    talk.answer("401 No", &[&NTLM.replace("version", "opaque=\"p\", version")], Absent);
    talk.rest();
    assert_eq!(heard(&mut talk, &new(2)), Heard::Yours(Protection::Verified));
    assert!(matches!(heard(&mut talk, &new(2)), Heard::Dropped(_)), "once");
    let wrong = new(3).replace("7369", "0000");
    assert!(matches!(heard(&mut talk, &wrong), Heard::Dropped(_)));
    let old = signed("Proxy-Authentication-Info", 80);
    assert_eq!(heard(&mut talk, &old), Heard::Yours(Protection::Verified));
    let welcome = new(3).replace("Proxy-", "");
    talk.answer("200 OK", &["Expires: 600", REFRESHED, &welcome], Absent);
    talk.rest();
    assert!(matches!(heard(&mut talk, &new(2)), Heard::Dropped(_)), "its numbers go on");
}

#[test]
fn the_renewal_asks_when_the_password_is_not_believed_any_more_and_fails_when_nobody_knows() {
    let due = Association::LIFETIME - Association::MARGIN;
    let renewing = |expires: &str| {
        let mut talk = Talk::new(ntlm(None), &[expires, "ms-keep-alive: x;timeout=999999"]);
        talk.at(due).rest();
        talk.answer("401 No", &[NTLM], Absent);
        talk.rest();
        talk.answer("401 No", &[NTLM], Absent);
        let Step::AskCredentials(request) = talk.poll() else { panic!() };
        assert_eq!(request.reason, AskReason::Rejected);
        talk
    };
    let mut talk = renewing("Expires: 99999");
    assert_eq!(talk.rest(), seconds(99999), "said once; until the binding ends");
    talk.at(seconds(99999) - MS).rest();
    talk.at(seconds(99999));
    let error = talk.lost();
    assert_eq!(error, SessionError::Renewal(SignInError::CredentialsNeeded));

    let mut talk = renewing("Expires: 99999");
    talk.machine.supply(None, talk.now);
    let error = talk.lost();
    let told = judged(&mut talk);
    assert_eq!(told, [("Passw0rd!".into(), Verdict::Rejected)], "although it is over");
    assert_eq!(error, SessionError::Renewal(SignInError::Rejected(Scheme::Ntlm)));
    assert_eq!(error.retry(), Retry::WithCredentials);

    let mut talk = renewing("Expires: 99999");
    assert_eq!(judged(&mut talk), [("Passw0rd!".into(), Verdict::Rejected)]);
    let new = Credentials::new(r"CONTOSO\jeremy".parse().unwrap(), "new");
    talk.machine.supply(Some(new), talk.now);
    talk.rest();
    assert!(talk.last("Authorization").contains("gssapi-data=\"bmV3\""), "`new` in base64");
    talk.snum = 0;
    assert_eq!(judged(&mut talk), [], "not before the server has said so");
    talk.answer("200 OK", &["Expires: 99999", REFRESHED], Right);
    talk.rest();
    assert_eq!(judged(&mut talk), [("new".into(), Verdict::Accepted)]);
    // What was rejected is never sent again, at no later renewal.
    talk.at(due + due).rest();
    talk.answer("401 No", &[NTLM], Absent);
    talk.rest();
    assert!(talk.last("Authorization").contains("gssapi-data=\"bmV3\""));
    talk.snum = 0;
    talk.answer("200 OK", &["Expires: 99999", REFRESHED], Right);
    talk.rest();
    assert_eq!(judged(&mut talk), [], "what is known already is not told again");
}

/// What the machine has to tell the source.
fn judged(talk: &mut Talk) -> Vec<(String, Verdict)> {
    let known = ["Passw0rd!", "new"];
    let name = |credentials: Credentials| {
        let is = |password: &&str| {
            Credentials::new(r"CONTOSO\jeremy".parse().unwrap(), *password).are(&credentials)
        };
        known.into_iter().find(is).unwrap().to_owned()
    };
    std::iter::from_fn(|| talk.machine.judged()).map(|(c, verdict)| (name(c), verdict)).collect()
}

/// The seed only spreads; 80 to 100 % of what the server says.
#[test]
fn a_word_is_said_when_nothing_was_sent_for_a_while() {
    for (line, most) in [
        ("ms-keep-alive: UAS;timeout=300", seconds(300)),
        ("X: none", Upkeep::KEEP_ALIVE),
        ("ms-keep-alive: UAS;timeout=0", Upkeep::SHORTEST),
        ("ms-keep-alive: UAS;timeout=4294967295", seconds(4_294_967_295)),
    ] {
        let mut talk = Talk::new(digest(), &["Expires: 4294967295", line]);
        let mut last = Duration::ZERO;
        let mut waits = std::collections::BTreeSet::new();
        for ping in 0..20 {
            let until = talk.rest();
            if until + seconds(30) >= seconds(4_294_967_295) {
                break;
            }
            assert_eq!(talk.pings, ping, "{line}");
            let wait = until - last;
            assert!(wait >= (most * 80 / 100).max(Upkeep::SHORTEST) && wait <= most, "{wait:?}");
            waits.insert(wait);
            talk.at(until - MS).rest();
            assert_eq!(talk.pings, ping, "{line}");
            talk.at(until).rest();
            last = until;
        }
        assert!(most < seconds(100) || most > seconds(1000) || waits.len() > 5, "{waits:?}");
        // Whatever is sent counts.
        talk.rest();
        let (before, pings) = (talk.now.instant, talk.pings);
        let options = message("OPTIONS sip:a SIP/2.0", &["Call-ID: 1"]);
        talk.at(last + most * 7 / 10);
        talk.machine.outgoing(&options, talk.now.instant).unwrap();
        if most < seconds(1000) && most > seconds(10) {
            talk.at(last + most + MS).rest();
            assert_eq!(talk.pings, pings, "{line} {before:?}");
        }
    }
}

/// One hour with servers that would like to hear from us all the time.
#[test]
fn no_server_makes_a_tight_loop() {
    let anew = Association::LIFETIME;
    for (first, status, lines, most) in [
        ("Expires: 1", "200 OK", vec!["Expires: 1", REFRESHED], 1),
        ("Expires: 6", "200 OK", vec!["Expires: 6", REFRESHED], 1),
        // Each refresh is a renewal: the refresh, the bare one, the proof.
        ("Expires: 1", "401 No", vec![NTLM], 3),
    ] {
        let interval = Upkeep::SHORTEST.as_secs() as usize;
        let limit = most * 3600 / interval + most;
        let mut talk = Talk::new(ntlm(Some(anew)), &[first, "ms-keep-alive: x;timeout=1"]);
        let (mut at, mut polls) = (Duration::ZERO, 0);
        while at < seconds(3600) {
            let sent = talk.sent.len();
            at = talk.at(at).rest().min(at + seconds(1)).max(at + MS);
            polls += 1;
            assert!(polls < 20_000, "{first} {status}");
            if talk.sent.len() == sent {
                continue;
            }
            // The server answers everything at once.
            loop {
                let sent = talk.sent.len();
                let authorization = talk.last("Authorization");
                if authorization.contains("gssapi-data") {
                    talk.snum = 0;
                    talk.answer("200 OK", &["Expires: 1", REFRESHED], Right);
                } else if authorization.is_empty() {
                    talk.answer("401 No", &[NTLM], Absent);
                } else {
                    talk.answer(status, &lines, if status == "200 OK" { Right } else { Absent });
                }
                talk.rest();
                assert!(talk.sent.len() <= limit, "{first} {status}");
                if talk.sent.len() == sent {
                    break;
                }
            }
        }
        let registers = talk.sent.len();
        assert!(registers >= 3600 / 7, "{first} {status}: it lived: {registers}");
        assert!(registers <= limit, "{first} {status}: {registers}");
        assert!(talk.pings <= 3600 / interval + 1, "{}", talk.pings);
    }
}

/// The answer to a refresh, and what it means.
#[test]
fn the_table_of_answers_to_a_refresh_is_total() {
    let moved = ["m: <sip:pool2.contoso.com>"];
    for (status, lines, signature, wanted) in [
        ("200 OK", vec!["Expires: 60", REFRESHED], Right, "kept"),
        ("202 Accepted", vec!["Expires: 60"], Right, "kept"),
        ("200 OK", vec!["Expires: 60"], Wrong, "wrong"),
        ("200 OK", vec!["Expires: 60"], Absent, "unsigned"),
        ("200 OK", vec!["presence-state: register-action=\"added\";x=y"], Right, "forgotten"),
        ("200 OK", vec!["presence-state: a=b; register-action=FIXED"], Right, "forgotten"),
        ("200 OK", vec!["Expires: 0"], Right, "forgotten"),
        ("401 No", vec![NTLM], Right, "renewal"),
        ("401 No", vec![NTLM], Absent, "renewal"),
        ("407 No", vec![], Absent, "renewal"),
        ("401 No", vec![NTLM], Wrong, "wrong"),
        ("301 Moved", moved.to_vec(), Right, "redirected"),
        ("302 Moved", vec![], Absent, "redirected"),
        ("403 No", vec!["ms-diagnostics: 4004;reason=\"r\""], Right, "mismatch"),
        ("404 No", vec![], Absent, "unknown"),
        ("403 No", vec![], Wrong, "wrong"),
        ("500 No", vec![], Absent, "unavailable"),
        ("503 Busy", vec!["Retry-After: 90"], Absent, "overloaded"),
        ("504 No", vec![], Right, "unavailable"),
        ("603 No", vec![], Right, "refused"),
    ] {
        let mut talk = Talk::new(ntlm(None), &["Expires: 600"]);
        talk.at(seconds(570)).rest();
        talk.answer(status, &lines, signature);
        let step = talk.poll();
        use SignInError as S;
        let kind = match &step {
            Step::Wait { .. } => "kept",
            Step::Send(_) if talk.last("Authorization").is_empty() => "renewal",
            Step::Lost(SessionError::Forgotten) => "forgotten",
            Step::Lost(SessionError::Redirected(_)) => "redirected",
            Step::Lost(SessionError::Refresh(error)) => match error {
                S::SignatureAbsent => "unsigned",
                S::SignatureWrong(_) => "wrong",
                S::AddressMismatch(_) => "mismatch",
                S::UnknownUser(_) => "unknown",
                S::Unavailable(_) => "unavailable",
                S::Overloaded(_) => "overloaded",
                S::Refused(_) => "refused",
                other => panic!("{other}"),
            },
            other => panic!("{status} {lines:?}: {other:?}"),
        };
        assert_eq!(kind, wanted, "{status} {lines:?}");
        if let Step::Lost(error) = step {
            let wait = (wanted == "overloaded").then_some(seconds(90));
            assert_eq!(error.retry_after(), wait);
            let now = matches!(wanted, "forgotten" | "redirected");
            assert_eq!(error.retry() == Retry::Now, now, "{error}");
            assert_ne!(error.fault(), Fault::Network);
        }
    }
    let mut lax = ntlm(None);
    lax.allow_unsigned = true;
    let mut talk = Talk::new(lax, &["Expires: 600"]);
    talk.at(seconds(570)).rest();
    talk.answer("200 OK", &["Expires: 60"], Absent);
    talk.rest();
    assert_eq!(talk.machine.registration().protection, Protection::Absent);
}

#[test]
fn digest_takes_the_next_nonce_and_a_stale_one_and_begins_anew_otherwise() {
    let mut talk =
        Talk::new(digest(), &["Expires: 600", "Authentication-Info: qop=auth, nextnonce=\"n2\""]);
    talk.at(seconds(570)).rest();
    assert!(talk.last("Authorization").contains("nonce=\"n2\""), "{}", talk.last("Authorization"));
    // The same REGISTER again, with the new nonce; not for ever.
    for round in 0..=SignIn::ROUND_LIMIT {
        let stale = DIGEST.replace("n1", &format!("s{round}")) + ", stale=true";
        talk.answer("401 No", &[&stale], Absent);
        talk.rest();
        let last = talk.last("Authorization");
        let again = last.contains(&format!("nonce=\"s{round}\""));
        assert_eq!(again, round < SignIn::ROUND_LIMIT, "{round}: {last}");
    }
    assert_eq!(talk.last("Authorization"), "", "a renewal, as at the first sign-in");
    talk.answer("401 No", &[DIGEST], Absent);
    talk.rest();
    assert!(talk.last("Authorization").contains("nonce=\"n1\""));
    talk.answer("200 OK", &["Expires: 600", REFRESHED], Absent);
    talk.rest();
    assert!(talk.machine.end().is_none());

    // What another request of ours hears is kept for the next one.
    let options = message("OPTIONS sip:a SIP/2.0", &["Call-ID: 1"]);
    let stale = DIGEST.replace("n1", "m1").replace("WWW", "Proxy") + ", stale=true";
    let heard = talk.hear("SIP/2.0 407 No", &["Call-ID: 1", "CSeq: 1 OPTIONS", &stale]);
    assert_eq!(heard, Heard::Yours(Protection::Absent));
    let out = talk.machine.outgoing(&options, talk.now.instant).unwrap();
    assert!(String::from_utf8_lossy(&out).contains("nonce=\"m1\""));
    for (start, lines) in [
        ("ACK sip:a SIP/2.0", vec!["Call-ID: 1"]),
        ("CANCEL sip:a SIP/2.0", vec!["Call-ID: 1"]),
        ("SIP/2.0 200 OK", vec!["Call-ID: 1"]),
        ("OPTIONS sip:a SIP/2.0", vec!["Proxy-Authorization: Digest x=1"]),
    ] {
        let message = message(start, &lines);
        let out = talk.machine.outgoing(&message, talk.now.instant).unwrap();
        assert_eq!(out, message.as_bytes(), "{start}");
    }
}

/// A message of the server's, and what becomes of it.
#[test]
fn whose_a_message_is() {
    let right = |snum| signed("Proxy-Authentication-Info", snum);
    let wrong = right(60).replace("7369", "0000");
    let foreign = right(61).replace("\"o\"", "\"x\"");
    let elsewhere = right(62).replace("\"t\"", "\"elsewhere\"");
    for (start, line, strict, lax) in [
        ("OPTIONS sip:a SIP/2.0", right(70), "verified", "verified"),
        ("SIP/2.0 200 OK", right(71), "verified", "verified"),
        ("SIP/2.0 180 Ringing", right(72), "verified", "verified"),
        ("OPTIONS sip:a SIP/2.0", "X: unsigned".into(), "dropped", "absent"),
        ("SIP/2.0 200 OK", "X: unsigned".into(), "dropped", "absent"),
        ("SIP/2.0 486 Busy", "X: unsigned".into(), "dropped", "absent"),
        ("SIP/2.0 180 Ringing", "X: unsigned".into(), "absent", "absent"),
        ("SIP/2.0 100 Trying", "X: unsigned".into(), "absent", "absent"),
        ("SIP/2.0 401 No", "X: unsigned".into(), "absent", "absent"),
        ("SIP/2.0 407 No", "X: unsigned".into(), "absent", "absent"),
        ("SIP/2.0 180 Ringing", wrong.clone(), "dropped", "dropped"),
        ("SIP/2.0 401 No", wrong.clone(), "dropped", "dropped"),
        ("OPTIONS sip:a SIP/2.0", wrong, "dropped", "dropped"),
        ("OPTIONS sip:a SIP/2.0", foreign, "dropped", "dropped"),
        ("OPTIONS sip:a SIP/2.0", elsewhere, "dropped", "dropped"),
        ("OPTIONS sip:a SIP/2.0", right(1), "dropped", "dropped"),
    ] {
        for (allow, wanted) in [(false, strict), (true, lax)] {
            let mut rules = ntlm(None);
            rules.allow_unsigned = allow;
            let mut talk = Talk::new(rules, &["Expires: 600"]);
            let heard = match talk.hear(start, &["Call-ID: 1", &line]) {
                Heard::Yours(Protection::Verified) => "verified",
                Heard::Yours(Protection::Absent) => "absent",
                Heard::Dropped(_) => "dropped",
                Heard::Ours => "ours",
            };
            assert_eq!(heard, wanted, "{start} {line}");
            // Nothing is signed with Digest, and nothing is dropped.
            let mut talk = Talk::new(digest(), &["Expires: 600"]);
            assert_eq!(talk.hear(start, &["Call-ID: 1"]), Heard::Yours(Protection::Absent));
        }
    }
}

/// A ticket was shown: only a signature says that its reader was the right one.
#[test]
fn with_kerberos_nothing_unsigned_is_believed_whatever_is_allowed() {
    let talk = || {
        let mut rules = Rules::default();
        rules.mechanisms = Mechanisms::none().then(proof(Scheme::Kerberos, None));
        rules.allow_unsigned = true;
        Talk::new(rules, &["Expires: 600"])
    };
    let mut talked = talk();
    assert!(matches!(talked.hear("OPTIONS sip:a SIP/2.0", &["Call-ID: 1"]), Heard::Dropped(_)));
    assert!(matches!(talked.hear("SIP/2.0 200 OK", &["Call-ID: 1"]), Heard::Dropped(_)));
    let signature = with_ticket(&signed("Proxy-Authentication-Info", 70));
    let heard = talked.hear("OPTIONS sip:a SIP/2.0", &["Call-ID: 1", &signature]);
    assert_eq!(heard, Heard::Yours(Protection::Verified));
    for (signed_rightly, wanted) in [(true, None), (false, Some(SignInError::SignatureAbsent))] {
        let mut talked = talk();
        talked.at(seconds(570)).rest();
        let signature = with_ticket(&signed("Authentication-Info", 71));
        let lines = ["Expires: 600", REFRESHED, &signature];
        talked.answer("200 OK", &lines[..if signed_rightly { 3 } else { 2 }], Absent);
        match wanted {
            Some(error) => assert_eq!(talked.lost(), SessionError::Refresh(error)),
            None => assert!(talked.rest() > seconds(570)),
        }
    }
}

#[test]
fn an_unsigned_401_makes_a_new_association_due_but_not_each_time() {
    let mut talk = Talk::new(ntlm(None), &["Expires: 6000"]);
    for _ in 0..3 {
        let _ = talk.hear("SIP/2.0 401 No", &["Call-ID: 1", "CSeq: 1 MESSAGE"]);
    }
    talk.at(Upkeep::RENEWAL_INTERVAL - MS).rest();
    assert!(talk.sent.is_empty());
    talk.at(Upkeep::RENEWAL_INTERVAL).rest();
    assert_eq!((talk.sent.len(), talk.last("Authorization")), (1, String::new()));
}

#[test]
fn no_more_than_the_limit_is_dropped_between_two_answers() {
    let mut talk = Talk::new(ntlm(None), &["Expires: 600"]);
    let spoil = |talk: &mut Talk, count: usize| {
        for _ in 0..count {
            assert!(matches!(talk.hear("OPTIONS sip:a SIP/2.0", &[]), Heard::Dropped(_)));
        }
    };
    spoil(&mut talk, Upkeep::DROP_LIMIT);
    talk.at(seconds(570)).rest();
    talk.answer("200 OK", &["Expires: 600", REFRESHED], Right);
    spoil(&mut talk, Upkeep::DROP_LIMIT);
    talk.rest();
    spoil(&mut talk, 1);
    assert_eq!(talk.lost(), SessionError::Untrusted);
    let options = message("OPTIONS sip:a SIP/2.0", &["Call-ID: 1"]);
    let error = talk.machine.outgoing(&options, talk.now.instant).unwrap_err();
    assert_eq!(error, SessionError::Untrusted.into());
}

/// Whatever is under way, signing out comes next.
#[test]
fn signing_out_takes_the_binding_back() {
    for under_way in ["nothing", "refresh", "renewal", "question"] {
        let mut talk = Talk::new(ntlm(None), &["Expires: 99999"]);
        match under_way {
            "refresh" => {
                talk.at(seconds(99969));
                talk.machine.refresh(talk.now.instant);
                talk.at(seconds(1)).rest();
            }
            "renewal" | "question" => {
                talk.at(Association::LIFETIME - Association::MARGIN).rest();
                if under_way == "question" {
                    talk.answer("401 No", &[NTLM], Absent);
                    talk.rest();
                    talk.answer("401 No", &[NTLM], Absent);
                    assert!(matches!(talk.poll(), Step::AskCredentials(_)));
                }
            }
            _ => {}
        }
        let before = talk.sent.len();
        talk.machine.sign_out();
        let options = message("OPTIONS sip:a SIP/2.0", &["Call-ID: 1"]);
        let error = talk.machine.outgoing(&options, talk.now.instant).unwrap_err();
        assert_eq!(error, SendError::SignedOut);
        talk.rest();
        assert_eq!(talk.sent.len(), before + 1, "{under_way}");
        assert_eq!(talk.last("Expires"), "0");
        assert!(talk.last("Contact").ends_with(";expires=0"));
        assert!(talk.last("Authorization").contains("response="));
        let numbers: Vec<_> =
            talk.sent.iter().map(|m| m.headers().cseq().unwrap().number).collect();
        assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
        talk.snum += 20;
        talk.answer("200 OK", &["Expires: 0"], Right);
        assert_eq!(talk.poll(), Step::SignedOut);
        assert_eq!(talk.poll(), Step::SignedOut, "for ever");
    }
}

#[test]
fn a_server_that_does_not_let_go_is_left_all_the_same() {
    use SignInError as S;
    let leave = |answer: Option<(&str, Signature)>| {
        let mut talk = Talk::new(ntlm(None), &["Expires: 600"]);
        talk.machine.sign_out();
        talk.rest();
        match answer {
            Some((status, signature)) => {
                talk.answer(status, &[], signature);
            }
            None => {
                talk.at(Rules::ANSWER_WITHIN);
            }
        }
        match talk.lost() {
            SessionError::SignOut(error) => error,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(leave(None), S::NoAnswer);
    assert!(matches!(leave(Some(("200 OK", Wrong))), S::SignatureWrong(_)));
    assert!(matches!(leave(Some(("200 OK", Absent))), S::SignatureAbsent));
    for status in ["301 Moved", "401 No", "404 No", "481 No", "603 No"] {
        leave(Some((status, Right)));
    }
    // Digest may be asked for another nonce.
    let mut talk = Talk::new(digest(), &["Expires: 600"]);
    talk.machine.sign_out();
    talk.rest();
    talk.answer("401 No", &[&(DIGEST.replace("n1", "n2") + ", stale=true")], Absent);
    talk.rest();
    assert!(talk.last("Authorization").contains("n2") && talk.last("Expires") == "0");
    talk.answer("200 OK", &[], Absent);
    assert_eq!(talk.poll(), Step::SignedOut);
}

#[test]
fn what_is_lost_stays_lost_and_nothing_secret_is_shown() {
    let mut talk = Talk::new(ntlm(None), &["Expires: 600"]);
    let shown = format!("{:?}", talk.machine);
    assert!(!shown.contains("Passw0rd"), "{shown}");
    talk.machine.lose(SessionError::Lost("closed by the server".into()));
    talk.machine.lose(SessionError::Forgotten);
    assert_eq!(talk.lost(), SessionError::Lost("closed by the server".into()));
    assert!(matches!(talk.hear("OPTIONS sip:a SIP/2.0", &[]), Heard::Dropped(_)));
    // A sign-in that is not over is no session.
    let random: Arc<dyn Random> = Arc::new(Sevens);
    let sign_in = SignIn::new(register(), server(), digest(), CredentialCache::new(), random);
    assert!(Upkeep::new(sign_in, Seed(0), talk.now.instant).is_none());
}
