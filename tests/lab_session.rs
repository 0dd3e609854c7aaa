//! Sessions for real: sockets, TLS, signatures both ways. Time is virtual once somebody is signed in.
#![cfg(all(feature = "digest", feature = "ntlm"))]
#![expect(clippy::disallowed_methods, reason = "two tasks share a session")]

#[path = "common/watchdog.rs"]
mod watchdog;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use data_encoding::HEXLOWER;
use sip_signin::auth::{
    Credentials, DigestAlgorithm, Identity, Mechanism, MechanismError, MechanismProvider,
    MechanismStep, Ntlm, Protection, Version,
};
use sip_signin::lab::{Lab, LabBuilder, Offer, Seen, Server, SipFault};
use sip_signin::sign_in::{AskReason, CredentialRequest, Mechanisms, Retry, SignInError};
use sip_signin::sip::{Message, Scheme};
use sip_signin::upkeep::Upkeep;
use sip_signin::{
    CredentialSource, FixedCredentials, Now, Random, SendError, Session, SessionError, SignedIn,
    SipAddress, Verdict,
};
use watchdog::watched;

const ACCOUNT: &str = r"CONTOSO\jeremy";
const PASSWORD: &str = "marker-Pa55word";
const HOST: &str = "sip.contoso.com";

const OFFERS: [Offer; 4] = [
    Offer::Ntlm(Version::V2),
    Offer::Ntlm(Version::V3),
    Offer::Ntlm(Version::V4),
    Offer::Digest(DigestAlgorithm::Sha256),
];

fn deployment(server: Server) -> LabBuilder {
    watched();
    let lab = Lab::builder().domain("contoso.com").internal(server);
    lab.account(ACCOUNT, PASSWORD, "sip:jeremy@contoso.com")
}

fn source() -> FixedCredentials {
    FixedCredentials::new(Credentials::new(ACCOUNT.parse().unwrap(), PASSWORD))
}

/// Signs in, and stops the clock: from then on it jumps to whatever is due next.
async fn signed_in(server: Server, mechanisms: Mechanisms) -> (Lab, SignedIn) {
    tokio::time::resume();
    let lab = deployment(server).start().await.unwrap();
    let client = lab.client().mechanisms(mechanisms).build();
    let signed_in = client.sign_in(&"sip:jeremy@contoso.com".parse().unwrap(), &source()).await;
    let signed_in = signed_in.unwrap_or_else(|failure| panic!("{failure}\n{}", failure.trace()));
    tokio::time::pause();
    (lab, signed_in)
}

async fn session(server: Server) -> (Lab, Session) {
    let (lab, signed_in) = signed_in(server, Mechanisms::default()).await;
    (lab, signed_in.session)
}

fn server() -> Server {
    Server::tls(HOST)
}

fn message(number: usize, method: &str, body: &str) -> Bytes {
    format!(
        "{method} sip:jeremy@contoso.com SIP/2.0\r\nVia: SIP/2.0/TLS 192.0.2.7:1;branch=z9hG4bK{number}\r\n\
         From: <sip:jeremy@contoso.com>;tag=t;epid=e\r\nTo: <sip:jeremy@contoso.com>\r\n\
         Call-ID: call-{number}\r\nCSeq: {number} {method}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into()
}

/// A whole answer, as a SIP stack would write it.
fn ok(request: &Message) -> Bytes {
    let copied: String = ["Via", "From", "To", "Call-ID", "CSeq"]
        .iter()
        .map(|name| format!("{name}: {}\r\n", request.headers().get(name).unwrap()))
        .collect();
    format!("SIP/2.0 200 OK\r\n{copied}Content-Length: 0\r\n\r\n").into()
}

fn text(seen: &Seen) -> String {
    String::from_utf8_lossy(&seen.sip).into_owned()
}

/// How many requests of this method came.
fn count(lab: &Lab, method: &str) -> usize {
    let start = format!("{method} sip:");
    lab.seen().iter().map(|seen| text(seen).lines().filter(|l| l.starts_with(&start)).count()).sum()
}

async fn until_closed(lab: &Lab) {
    let closed = async {
        while !lab.seen().iter().all(|seen| seen.closed) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let closed = tokio::time::timeout(Duration::from_secs(60), closed).await;
    assert!(closed.is_ok(), "a connection stays open: {:?}", lab.seen());
}

#[tokio::test(start_paused = true)]
async fn messages_go_both_ways_with_verified_signatures() {
    for offer in OFFERS {
        let (lab, mut session) = session(server().offers([offer])).await;
        let signs = matches!(offer, Offer::Ntlm(_));
        assert_eq!(session.version().is_some(), signs);
        let wanted = if signs { Protection::Verified } else { Protection::Absent };
        let before = lab.seen()[0].signed;
        for number in 1..=3 {
            session.send(message(number, "MESSAGE", "hello")).await.unwrap();
            let answer = session.receive().await.unwrap().unwrap();
            assert_eq!(answer.protection, wanted, "{offer:?}");
            assert!(matches!(&answer.message, Message::Response(r) if r.status() == 200));
            let request = session.receive().await.unwrap().unwrap();
            assert_eq!(request.protection, wanted, "{offer:?}");
            assert!(matches!(&request.message, Message::Request(r) if r.method() == "MESSAGE"));
            assert_eq!(request.message.headers().body(), b"hello");
            session.send(ok(&request.message)).await.unwrap();
        }
        let shown = format!("{session:?}");
        assert!(shown.contains("Upkeep") && !shown.contains(PASSWORD), "{shown}");
        session.sign_out().await.unwrap();
        until_closed(&lab).await;
        let seen = &lab.seen()[0];
        // Each message, each answer to what came back, and the last REGISTER.
        assert_eq!(seen.signed - before, if signs { 7 } else { 0 }, "{offer:?}");
        let last = text(seen);
        let last = last.rsplit("REGISTER sip:").next().unwrap();
        assert!(last.contains("\r\nExpires: 0\r\n") && last.contains(";expires=0\r\n"), "{last}");
        let hex = HEXLOWER.encode(PASSWORD.as_bytes());
        assert!(!text(seen).contains(PASSWORD) && !text(seen).contains(&hex));
    }
}

#[tokio::test(start_paused = true)]
async fn the_binding_is_refreshed_before_it_ends_and_the_connection_kept_alive() {
    for offer in OFFERS {
        let (lab, mut session) =
            session(server().offers([offer]).grants(Duration::from_secs(1200))).await;
        let first = session.registration();
        assert_eq!(first.expires, Some(Duration::from_secs(1200)));
        assert_eq!(first.action.unwrap().raw(), "added");
        let registers = count(&lab, "REGISTER");
        let begin = tokio::time::Instant::now();
        let hour = tokio::time::timeout(Duration::from_secs(3600), session.receive()).await;
        assert!(hour.is_err(), "{offer:?}: {hour:?}");
        // At 1170 s, 2340 s and 3510 s.
        assert_eq!(count(&lab, "REGISTER") - registers, 3, "{offer:?}");
        assert_eq!(session.registration().action.unwrap().raw(), "refreshed");
        let left = session.expires_at() - (begin + Duration::from_secs(3510)).into_std();
        assert!(left <= Duration::from_secs(1201), "{left:?}");
        // 300 s are asked for: 3 or 4 in each 1170 s.
        let pings = lab.seen()[0].empty_lines / 2;
        assert!((9..=14).contains(&pings), "{pings}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_overtakes_the_answer_to_a_refresh_spoils_no_proof() {
    for offer in OFFERS {
        let (lab, mut session) = session(server().offers([offer])).await;
        let registers = count(&lab, "REGISTER");
        session.sender().refresh();
        // Polled once: the refresh is out, the answer cannot be here.
        tokio::select! {
            biased;
            early = session.receive() => panic!("{early:?}"),
            () = std::future::ready(()) => {}
        }
        session.send(message(1, "OPTIONS", "")).await.unwrap();
        let received = session.receive().await.unwrap().unwrap();
        assert_eq!(received.message.headers().call_id().unwrap(), "call-1");
        assert_eq!(session.registration().action.unwrap().raw(), "refreshed", "{offer:?}");
        assert_eq!(session.registration().protection, Protection::Verified, "{offer:?}");
        assert_eq!(count(&lab, "REGISTER") - registers, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_forgot_the_binding_has_lost_us() {
    for offer in OFFERS {
        let (lab, mut session) = session(server().offers([offer])).await;
        lab.forget_bindings(HOST);
        session.sender().refresh();
        assert_eq!(session.receive().await.unwrap_err(), SessionError::Forgotten, "{offer:?}");
        let again = session.receive().await.unwrap_err();
        assert_eq!((again.retry(), &again), (Retry::Now, &SessionError::Forgotten));
        let refused = session.send(message(1, "MESSAGE", "")).await.unwrap_err();
        assert_eq!(refused, SessionError::Forgotten.into());
        until_closed(&lab).await;
    }
}

/// NTLM with an end.
struct Short(Ntlm, Duration);
struct Ending(Box<dyn Mechanism>, Duration, Option<std::time::SystemTime>);

impl MechanismProvider for Short {
    fn scheme(&self) -> Scheme {
        self.0.scheme()
    }
    fn takes(&self, identity: Identity<'_>) -> bool {
        self.0.takes(identity)
    }
    fn start(&self, t: &str, i: Identity<'_>) -> Result<Box<dyn Mechanism>, MechanismError> {
        Ok(Box::new(Ending(self.0.start(t, i)?, self.1, None)))
    }
}

impl Mechanism for Ending {
    fn step(
        &mut self,
        token: Option<&[u8]>,
        now: Now,
        random: &dyn Random,
    ) -> Result<MechanismStep, MechanismError> {
        self.2 = Some(now.wall + self.1);
        self.0.step(token, now, random)
    }
    fn sign(&mut self, message: &[u8]) -> Result<Vec<u8>, MechanismError> {
        self.0.sign(message)
    }
    fn verify(&mut self, message: &[u8], signature: &[u8]) -> Result<(), MechanismError> {
        self.0.verify(message, signature)
    }
    fn expires(&self) -> Option<std::time::SystemTime> {
        self.2
    }
}

#[tokio::test(start_paused = true)]
async fn the_association_is_renewed_on_the_same_connection_with_the_same_password() {
    for version in [Version::V2, Version::V3, Version::V4] {
        // Ten minutes, less the margin of five.
        let mechanisms = Mechanisms::none().then(Short(Ntlm::new(), Duration::from_secs(600)));
        let (lab, signed_in) = signed_in(server().offers([Offer::Ntlm(version)]), mechanisms).await;
        let mut session = signed_in.session;
        let registers = count(&lab, "REGISTER");
        let wait = tokio::time::timeout(Duration::from_secs(301), session.receive()).await;
        assert!(wait.is_err(), "{wait:?}");
        // Bare, empty token, proof.
        assert_eq!(count(&lab, "REGISTER") - registers, 3);
        let opaques: std::collections::BTreeSet<String> = text(&lab.seen()[0])
            .split("opaque=\"")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap().to_owned())
            .collect();
        assert_eq!(opaques.len(), 2, "another association");
        assert_eq!(lab.seen().len(), 1, "the same connection");
        session.send(message(1, "MESSAGE", "x")).await.unwrap();
        for _ in 0..2 {
            let received = session.receive().await.unwrap().unwrap();
            assert_eq!(received.protection, Protection::Verified);
        }
        session.sign_out().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_forgot_the_association_is_given_a_new_one() {
    let (lab, mut session) = session(server()).await;
    lab.forget_associations(HOST);
    session.sender().refresh();
    // An unsigned 401 to the refresh, then bare, empty token, proof.
    let registers = count(&lab, "REGISTER");
    let wait = tokio::time::timeout(Duration::from_secs(30), session.receive()).await;
    assert!(wait.is_err(), "{wait:?}");
    assert_eq!(count(&lab, "REGISTER") - registers, 4);
    session.send(message(1, "MESSAGE", "x")).await.unwrap();
    assert_eq!(session.receive().await.unwrap().unwrap().protection, Protection::Verified);

    // So it is when the caller's message meets it first; the caller hears the 401.
    lab.forget_associations(HOST);
    assert!(session.receive().await.unwrap().is_some(), "what was handed on");
    session.send(message(2, "MESSAGE", "x")).await.unwrap();
    let received = session.receive().await.unwrap().unwrap();
    assert_eq!(received.protection, Protection::Absent);
    assert!(matches!(&received.message, Message::Response(r) if r.status() == 401));
    let wait = tokio::time::timeout(Upkeep::RENEWAL_INTERVAL, session.receive()).await;
    assert!(wait.is_err(), "{wait:?}");
    session.send(message(3, "MESSAGE", "x")).await.unwrap();
    assert_eq!(session.receive().await.unwrap().unwrap().protection, Protection::Verified);
}

/// What a refresh comes to, fault by fault.
#[tokio::test(start_paused = true)]
async fn a_refresh_that_fails_ends_the_session_with_the_reason() {
    use SessionError as E;
    use SignInError as S;
    for (fault, wanted, retry) in [
        (SipFault::Silent, "no answer", Retry::Later),
        (SipFault::Close, "lost", Retry::Later),
        (SipFault::CloseMidAnswer, "lost", Retry::Later),
        (SipFault::Garbage, "garbage", Retry::Later),
        (SipFault::EndlessHeaders, "garbage", Retry::Later),
        (SipFault::Busy, "overloaded", Retry::Later),
        (SipFault::Forbidden, "mismatch", Retry::AfterChange),
        (SipFault::NotFound, "unknown", Retry::AfterChange),
        (SipFault::Unchallenged, "unsigned", Retry::AfterChange),
        (SipFault::NoSignature, "unsigned", Retry::AfterChange),
        (SipFault::WrongSignature, "wrong", Retry::AfterChange),
        (SipFault::NoChallenge, "renewal", Retry::Later),
    ] {
        let (lab, mut session) = session(server()).await;
        lab.befall(HOST, Some(fault));
        session.sender().refresh();
        let error = session.receive().await.unwrap_err();
        let kind = match &error {
            E::Refresh(S::NoAnswer) => "no answer",
            E::Refresh(S::Overloaded(_)) => "overloaded",
            E::Refresh(S::AddressMismatch(_)) => "mismatch",
            E::Refresh(S::UnknownUser(_)) => "unknown",
            E::Refresh(S::SignatureAbsent) => "unsigned",
            E::Refresh(S::SignatureWrong(_)) => "wrong",
            E::Renewal(S::Garbage(_)) => "renewal",
            E::Lost(_) => "lost",
            E::Garbage(_) => "garbage",
            other => panic!("{fault}: {other:?}"),
        };
        assert_eq!((kind, error.retry()), (wanted, retry), "{fault}: {error}");
        let busy = (fault == SipFault::Busy).then_some(Duration::from_secs(30));
        assert_eq!(error.retry_after(), busy);
        assert!(!error.to_string().is_empty() && !error.advice().is_empty());
        until_closed(&lab).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_not_signed_rightly_is_not_delivered() {
    for (fault, allowed) in [(SipFault::WrongSignature, false), (SipFault::NoSignature, true)] {
        for lax in [false, true] {
            tokio::time::resume();
            let lab = deployment(server()).start().await.unwrap();
            let client = lab.client().allow_unsigned(lax).build();
            let who = "sip:jeremy@contoso.com".parse().unwrap();
            let mut session = client.sign_in(&who, &source()).await.unwrap().session;
            tokio::time::pause();
            lab.befall(HOST, Some(fault));
            session.send(message(1, "MESSAGE", "bad")).await.unwrap();
            let wait = tokio::time::timeout(Duration::from_secs(5), session.receive()).await;
            match wait {
                Ok(received) => {
                    assert!(lax && allowed, "{fault}");
                    assert_eq!(received.unwrap().unwrap().protection, Protection::Absent);
                    assert!(session.receive().await.unwrap().is_some());
                }
                Err(_) => assert!(!(lax && allowed), "{fault}"),
            }
            // What is right again is delivered again.
            lab.befall(HOST, None);
            session.send(message(2, "MESSAGE", "good")).await.unwrap();
            let received = session.receive().await.unwrap().unwrap();
            assert_eq!(received.protection, Protection::Verified);
            assert_eq!(received.message.headers().call_id().unwrap(), "call-2");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_signs_nothing_rightly_is_given_up() {
    let (lab, session) = session(server()).await;
    lab.befall(HOST, Some(SipFault::WrongSignature));
    let (sender, mut receiver) = session.split();
    // Each brings an answer and a request, both wrong.
    let many = tokio::spawn(async move {
        for number in 0..=Upkeep::DROP_LIMIT / 2 {
            if sender.send(message(number, "MESSAGE", "x")).await.is_err() {
                break;
            }
        }
    });
    let error = receiver.receive().await.unwrap_err();
    assert_eq!((error.retry(), error), (Retry::AfterChange, SessionError::Untrusted));
    many.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn two_tasks_share_a_session_and_what_is_signed_first_is_sent_first() {
    let (lab, session) = session(server()).await;
    let (sender, mut receiver) = session.split();
    let senders: Vec<_> = (0..4)
        .map(|task| {
            let sender = sender.clone();
            tokio::spawn(async move {
                for number in 0..25 {
                    let number = task * 100 + number;
                    sender.send(message(number, "OPTIONS", "")).await.unwrap();
                }
            })
        })
        .collect();
    let mut answered = std::collections::BTreeSet::new();
    while answered.len() < 100 {
        let received = receiver.receive().await.unwrap().unwrap();
        assert_eq!(received.protection, Protection::Verified);
        answered.insert(received.message.headers().call_id().unwrap().into_owned());
    }
    for sender in senders {
        sender.await.unwrap();
    }
    // The lab refuses a number that is not higher than the one before.
    let text = text(&lab.seen()[0]);
    let numbers: Vec<u32> = text
        .split("cnum=\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap().parse().unwrap())
        .collect();
    assert!(numbers.len() > 50 && numbers.is_sorted(), "{numbers:?}");
    sender.sign_out();
    assert_eq!(receiver.receive().await, Ok(None));
    assert_eq!(sender.send(message(1, "OPTIONS", "")).await, Err(SendError::SignedOut));
    until_closed(&lab).await;
}

#[tokio::test(start_paused = true)]
async fn receiving_may_be_cancelled_at_any_point() {
    let (_lab, mut session) = session(server()).await;
    let mut received = 0;
    for number in 0..20 {
        session.send(message(number, "OPTIONS", "")).await.unwrap();
        // Polled once, dropped, polled again.
        for _ in 0..1000 {
            let once = tokio::time::timeout(Duration::ZERO, session.receive()).await;
            if let Ok(message) = once {
                let message = message.unwrap().unwrap().message;
                assert_eq!(message.headers().call_id().unwrap(), format!("call-{number}"));
                received += 1;
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(received, 20);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_message_is_refused_and_nothing_is_lost() {
    let (lab, mut session) = session(server()).await;
    let before = text(&lab.seen()[0]).len();
    for bad in ["", "\r\n\r\n", "hello", "OPTIONS sip:a SIP/2.0\r\n\r\n"] {
        let error = session.send(bad.into()).await.unwrap_err();
        assert!(matches!(error, SendError::NotSip(_)), "{bad:?}: {error}");
    }
    let twice = "OPTIONS sip:a SIP/2.0\r\nCall-ID: 1\r\nCall-ID: 2\r\nl: 0\r\n\r\n";
    let error = session.send(twice.into()).await.unwrap_err();
    assert!(matches!(error, SendError::Unsignable(_)), "{error}");
    session.send(message(7, "OPTIONS", "")).await.unwrap();
    let received = session.receive().await.unwrap().unwrap();
    assert_eq!(received.message.headers().call_id().unwrap(), "call-7");
    assert!(text(&lab.seen()[0])[before..].starts_with("OPTIONS sip:jeremy"));
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_does_not_keep_us_from_leaving() {
    let (lab, session) = session(server()).await;
    lab.befall(HOST, Some(SipFault::Silent));
    let begin = tokio::time::Instant::now();
    let error = session.sign_out().await.unwrap_err();
    assert_eq!(error, SessionError::SignOut(SignInError::NoAnswer));
    assert!(begin.elapsed() <= Duration::from_secs(16), "{:?}", begin.elapsed());
    until_closed(&lab).await;
}

#[tokio::test(start_paused = true)]
async fn dropping_the_receiver_closes_the_connection_although_senders_live() {
    let (lab, session) = session(server()).await;
    let (sender, receiver) = session.split();
    drop(receiver);
    until_closed(&lab).await;
    assert!(matches!(sender.send(message(1, "OPTIONS", "")).await, Err(SendError::Over(_))));
}

/// Knows the password, and counts why it is asked.
#[derive(Default)]
struct Person {
    asked: Mutex<Vec<AskReason>>,
    slow: AtomicUsize,
}

#[async_trait]
impl CredentialSource for Person {
    async fn credentials(&self, request: &CredentialRequest) -> Option<Credentials> {
        self.asked.lock().unwrap().push(request.reason);
        tokio::time::sleep(Duration::from_secs(60)).await;
        self.slow.fetch_add(1, Ordering::SeqCst);
        Some(Credentials::new(ACCOUNT.parse().unwrap(), PASSWORD))
    }
}

/// Signs in as whoever is logged on, by a password that is known: the first time only.
struct LoggedOn(Ntlm, AtomicUsize);

impl MechanismProvider for LoggedOn {
    fn scheme(&self) -> Scheme {
        Scheme::Ntlm
    }
    fn takes(&self, identity: Identity<'_>) -> bool {
        let first = self.1.load(Ordering::SeqCst) == 0;
        matches!(identity, Identity::Supplied(_)) || first
    }
    fn start(&self, t: &str, i: Identity<'_>) -> Result<Box<dyn Mechanism>, MechanismError> {
        self.1.fetch_add(1, Ordering::SeqCst);
        let known = Credentials::new(ACCOUNT.parse().unwrap(), PASSWORD);
        match i {
            Identity::Supplied(_) => self.0.start(t, i),
            Identity::CurrentUser => self.0.start(t, Identity::Supplied(&known)),
        }
    }
}

/// A session of who was logged on, at a server that forgot the association: a password is needed.
async fn forgotten() -> (Lab, Session) {
    let logged_on = Mechanisms::none().then(LoggedOn(Ntlm::new(), AtomicUsize::new(0)));
    let (lab, signed_in) = signed_in(server(), logged_on).await;
    lab.forget_associations(HOST);
    signed_in.session.sender().refresh();
    (lab, signed_in.session)
}

#[tokio::test(start_paused = true)]
async fn somebody_is_asked_when_nothing_is_known_and_messages_go_on_meanwhile() {
    for answers in [true, false] {
        let (_lab, mut session) = forgotten().await;
        let person = Arc::new(Person::default());
        if answers {
            session = session.asking(Arc::<Person>::clone(&person));
        }
        if !answers {
            let error = session.receive().await.unwrap_err();
            assert_eq!(error, SessionError::Renewal(SignInError::CredentialsNeeded));
            assert_eq!(error.retry(), Retry::WithCredentials);
            continue;
        }
        let wait = tokio::time::timeout(Duration::from_secs(10), session.receive()).await;
        assert!(wait.is_err(), "{wait:?}");
        assert_eq!(*person.asked.lock().unwrap(), [AskReason::Expired]);
        // The old association is gone on the server; its 401 still comes through.
        session.send(message(1, "OPTIONS", "")).await.unwrap();
        assert!(session.receive().await.unwrap().is_some());
        assert_eq!(person.slow.load(Ordering::SeqCst), 0, "still looking");
        let wait = tokio::time::timeout(Duration::from_secs(60), session.receive()).await;
        assert!(wait.is_err(), "{wait:?}");
        session.send(message(2, "OPTIONS", "")).await.unwrap();
        let received = session.receive().await.unwrap().unwrap();
        assert_eq!(received.protection, Protection::Verified);
    }
}

/// Knows a wrong password first; slow to speak and slow to listen.
#[derive(Default)]
struct Forgetful(Mutex<Vec<String>>);

impl Forgetful {
    fn note(&self, what: String) {
        self.0.lock().unwrap().push(what);
    }
}

#[async_trait]
impl CredentialSource for Forgetful {
    async fn credentials(&self, request: &CredentialRequest) -> Option<Credentials> {
        self.note(format!("asked: {:?}", request.reason));
        tokio::time::sleep(Duration::from_secs(7)).await;
        let first = request.reason != AskReason::Rejected;
        let password = if first { "marker-0ld" } else { PASSWORD };
        Some(Credentials::new(ACCOUNT.parse().unwrap(), password))
    }

    async fn judged(&self, address: &SipAddress, credentials: &Credentials, verdict: Verdict) {
        tokio::time::sleep(Duration::from_secs(7)).await;
        let right = credentials.are(&Credentials::new(ACCOUNT.parse().unwrap(), PASSWORD));
        let which = if right { "right" } else { "wrong" };
        self.note(format!("{address}: {which} {verdict:?}"));
    }
}

#[tokio::test(start_paused = true)]
async fn the_source_hears_what_a_renewal_made_of_its_credentials_before_it_is_asked_again() {
    let (_lab, session) = forgotten().await;
    let source = Arc::new(Forgetful::default());
    let mut session = session.asking(Arc::<Forgetful>::clone(&source));
    // Whoever gives up waiting every three seconds loses nothing.
    for _ in 0..20 {
        let wait = tokio::time::timeout(Duration::from_secs(3), session.receive()).await;
        assert!(wait.is_err(), "{wait:?}");
    }
    let told = source.0.lock().unwrap().clone();
    let wanted = [
        "asked: Expired",
        "sip:jeremy@contoso.com: wrong Rejected",
        "asked: Rejected",
        "sip:jeremy@contoso.com: right Accepted",
    ];
    assert_eq!(told, wanted);
}

#[tokio::test(start_paused = true)]
async fn the_source_hears_of_a_rejection_although_it_ends_the_session() {
    let (lab, session) = forgotten().await;
    let source = Arc::new(Forgetful::default());
    let mut session = session.asking(Arc::<Forgetful>::clone(&source));
    let wait = tokio::time::timeout(Duration::from_secs(9), session.receive()).await;
    assert!(wait.is_err(), "{wait:?}");
    assert_eq!(source.0.lock().unwrap().len(), 1, "it is rejected, and not yet told");
    lab.befall(HOST, Some(SipFault::Silent));
    session.sender().sign_out();
    assert!(session.receive().await.is_err());
    let told = source.0.lock().unwrap().clone();
    assert_eq!(told, ["asked: Expired", "sip:jeremy@contoso.com: wrong Rejected"]);
}
