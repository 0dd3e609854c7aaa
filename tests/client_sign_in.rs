//! The whole sign-in, from the address to the home pool, against servers of a few lines each.
#![cfg(feature = "digest")]
#![expect(clippy::disallowed_methods, reason = "the servers of the test are tasks of their own")]

#[path = "common/pipe.rs"]
mod pipe;

#[path = "common/toy.rs"]
mod toy;

#[path = "common/zone.rs"]
mod zone;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use pipe::Pipe;
use sip_signin::auth::{Credentials, Protection, Version};
use sip_signin::discovery::{ConnectFailure, Endpoint};
use sip_signin::sign_in::{AskReason, CredentialRequest, Mechanisms, SignInError};
use sip_signin::sip::{Message, MessageReader, Scheme};
use sip_signin::{
    Client, Connection, CredentialSource, FixedCredentials, NoCredentials, SessionError,
    SignInFailure, SignInFailureKind, SignedIn, SipAddress, Transport,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use toy::Toy;
use zone::Zone;

fn address() -> SipAddress {
    "sip:jeremy@contoso.com".parse().unwrap()
}

fn credentials() -> Credentials {
    Credentials::new(r"CONTOSO\jeremy".parse().unwrap(), "Passw0rd!")
}

/// What a server does.
#[derive(Clone, Debug)]
enum Does {
    /// Lets in whoever has a proof, and signs it.
    Registers,
    /// Lets in whoever has a proof; the signature is wrong.
    SignsWrongly,
    /// Sends whoever has a proof there, and signs it.
    SendsOn(&'static str),
    /// The same without a question or a signature.
    SendsOnAtOnce(&'static str),
    /// Believes nobody.
    Rejects,
    /// Answers every proof with this.
    Says(&'static str, &'static str),
    /// Hangs up the first time after its challenge, then registers.
    HangsUp,
    /// Hangs up after its challenge, and then takes no more connections.
    HangsUpForGood,
    /// Hangs up the first time after its challenge, then behind every proof that it rejects.
    HangsUpOnThePerson,
    /// Hangs up on every proof.
    HangsUpOnProof,
    /// Rejects a proof, and hangs up.
    RejectsAndHangsUp,
    /// Never answers.
    Silent,
}

/// The deployment: hosts, and what was dialled.
#[derive(Clone, Default)]
struct Network(Arc<Inside>);

#[derive(Default)]
struct Inside {
    servers: BTreeMap<&'static str, Does>,
    dialled: Mutex<Vec<String>>,
    proofs: Arc<AtomicUsize>,
    hung_up: AtomicUsize,
}

impl Network {
    fn new<const N: usize>(servers: [(&'static str, Does); N]) -> Self {
        Self(Arc::new(Inside { servers: servers.into(), ..Inside::default() }))
    }

    fn dialled(&self) -> Vec<String> {
        self.0.dialled.lock().unwrap().clone()
    }

    fn proofs(&self) -> usize {
        self.0.proofs.load(Ordering::SeqCst)
    }

    fn client(&self, hosts: &[&'static str]) -> Client {
        Client::builder(Zone(hosts.to_vec()), self.clone())
            .mechanisms(Mechanisms::none().then(TOY))
            .build()
    }

    async fn sign_in(&self, hosts: &[&'static str]) -> Result<SignedIn, SignInFailure> {
        let source = FixedCredentials::new(credentials());
        self.client(hosts).sign_in(&address(), &source).await
    }
}

#[async_trait]
impl Transport for Network {
    async fn connect(
        &self,
        endpoint: &Endpoint,
        peer: SocketAddr,
    ) -> Result<Box<dyn Connection>, ConnectFailure> {
        self.0.dialled.lock().unwrap().push(endpoint.to_string());
        let host = endpoint.host.to_string();
        let mut does = self.0.servers.get(&*host).cloned().ok_or(ConnectFailure::Refused)?;
        if let Does::HangsUp | Does::HangsUpForGood | Does::HangsUpOnThePerson = does
            && self.0.hung_up.fetch_add(1, Ordering::SeqCst) > 0
        {
            match does {
                Does::HangsUp => does = Does::Registers,
                Does::HangsUpOnThePerson => does = Does::RejectsAndHangsUp,
                _ => return Err(ConnectFailure::Refused),
            }
        }
        let (near, far) = tokio::io::duplex(65536);
        tokio::spawn(serve(does, far, Arc::clone(&self.0.proofs)));
        Ok(Box::new(Pipe::new(near, peer)))
    }
}

async fn serve(does: Does, mut far: DuplexStream, proofs: Arc<AtomicUsize>) {
    let mut reader = MessageReader::default();
    let mut bytes = vec![0; 65536];
    loop {
        let Ok(count @ 1..) = far.read(&mut bytes).await else { return };
        let mut input = &bytes[..count];
        while let Some(message) = reader.read(&mut input).unwrap() {
            let proved = message.headers().get("Authorization").is_some();
            proofs.fetch_add(usize::from(proved), Ordering::SeqCst);
            if proved && matches!(does, Does::HangsUpOnProof) {
                return;
            }
            let Some(answer) = answer(&does, &message, proved) else { continue };
            if far.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
            match does {
                Does::HangsUp | Does::HangsUpForGood | Does::HangsUpOnThePerson => return,
                Does::RejectsAndHangsUp if proved => return,
                _ => {}
            }
        }
    }
}

fn answer(does: &Does, request: &Message, proved: bool) -> Option<String> {
    let target = "realm=\"r\", targetname=\"t\"";
    let signed = |hex: &str| {
        format!(
            "Authentication-Info: NTLM rspauth=\"{hex}\", srand=\"1\", snum=\"1\", opaque=\"o\", \
             {target}\r\n"
        )
    };
    let right = signed("7369676e6564");
    let challenge = format!("WWW-Authenticate: NTLM {target}, version=4\r\n");
    let (status, lines) = match (does, proved) {
        (Does::Silent, _) => return None,
        (Does::SendsOnAtOnce(to), _) => ("301 Moved", format!("Contact: {to}\r\n")),
        (_, false) => ("401 Unauthorized", challenge),
        (Does::Registers, true) => ("200 OK", format!("{right}Expires: 7200\r\n")),
        (Does::SignsWrongly, true) => ("200 OK", signed("00")),
        (Does::SendsOn(to), true) => ("301 Moved", format!("{right}Contact: {to}\r\n")),
        (Does::Says(status, lines), true) => (*status, (*lines).to_owned()),
        (_, true) => ("401 Unauthorized", challenge),
    };
    let copied: String = ["From", "To", "Call-ID", "CSeq"]
        .iter()
        .map(|name| format!("{name}: {}\r\n", request.headers().get(name).unwrap()))
        .collect();
    Some(format!("SIP/2.0 {status}\r\n{copied}{lines}l: 0\r\n\r\n"))
}

const TOY: Toy = Toy { signature: "signed", begins_empty: false };

/// Counts how often and why it is asked, and takes its time.
#[derive(Default)]
struct Person {
    asked: Mutex<Vec<AskReason>>,
}

#[async_trait]
impl CredentialSource for Person {
    async fn credentials(&self, request: &CredentialRequest) -> Option<Credentials> {
        self.asked.lock().unwrap().push(request.reason);
        tokio::time::sleep(Duration::from_secs(3600)).await;
        Some(credentials())
    }
}

fn error(failure: &SignInFailure) -> &SignInError {
    match failure.kind() {
        SignInFailureKind::SignIn(_, error) => error,
        other => panic!("{other}\n{}", failure.trace()),
    }
}

const HOME: &str = "<sip:pool2.contoso.com;transport=TLS>;q=0.3, \
                    <sip:pool1.contoso.com;transport=TLS>;q=0.7";

#[tokio::test(start_paused = true)]
async fn a_director_sends_to_the_home_pool_and_the_password_is_asked_for_once() {
    let network = Network::new([
        ("sip.contoso.com", Does::SendsOn(HOME)),
        ("pool1.contoso.com", Does::Registers),
        ("pool2.contoso.com", Does::Registers),
    ]);
    let person = Person::default();
    let signed_in =
        network.client(&["sip.contoso.com"]).sign_in(&address(), &person).await.unwrap();
    assert_eq!(network.dialled(), ["tls sip.contoso.com:5061", "tls pool1.contoso.com:5061"]);
    assert_eq!(signed_in.endpoint.to_string(), "tls pool1.contoso.com:5061");
    assert_eq!(signed_in.registration.protection, Protection::Verified);
    assert_eq!(signed_in.registration.expires, Some(Duration::from_secs(7200)));
    assert_eq!(signed_in.session.version(), Some(Version::V4));
    assert_eq!(*person.asked.lock().unwrap(), [AskReason::FirstTime]);
    assert_eq!(network.proofs(), 2, "one exchange for each server");
    assert!(signed_in.trace.to_string().contains("redirected to"), "{}", signed_in.trace);
    assert_eq!(signed_in.redirects.len(), 1);
    assert!(signed_in.redirects[0].to_string().contains("pool1.contoso.com"));
}

#[tokio::test(start_paused = true)]
async fn the_backup_pool_serves_when_the_first_one_does_not() {
    for broken in [None, Some(Does::Silent), Some(Does::Says("503 Busy", ""))] {
        let mut servers = BTreeMap::from([
            ("sip.contoso.com", Does::SendsOn(HOME)),
            ("pool2.contoso.com", Does::Registers),
        ]);
        servers.extend(broken.map(|does| ("pool1.contoso.com", does)));
        let network = Network(Arc::new(Inside { servers, ..Inside::default() }));
        let signed_in = network.sign_in(&["sip.contoso.com"]).await.unwrap();
        assert_eq!(signed_in.endpoint.to_string(), "tls pool2.contoso.com:5061");
        assert_eq!(signed_in.redirects.len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn an_unsigned_redirect_leads_to_no_stranger_and_a_signed_one_does() {
    const FAR: &str = "<sip:home.example.net;transport=TLS>";
    let strangers =
        |does| Network::new([("sip.contoso.com", does), ("home.example.net", Does::Registers)]);
    let network = strangers(Does::SendsOnAtOnce(FAR));
    let failure = network.sign_in(&["sip.contoso.com"]).await.unwrap_err();
    assert!(matches!(error(&failure), SignInError::RedirectRefused(_)), "{failure}");
    assert_eq!(network.dialled(), ["tls sip.contoso.com:5061"]);

    let network = strangers(Does::SendsOn(FAR));
    let signed_in = network.sign_in(&["sip.contoso.com"]).await.unwrap();
    assert_eq!(signed_in.endpoint.to_string(), "tls home.example.net:5061");

    let clear = "<sip:pool1.contoso.com;transport=tcp>";
    let network = strangers(Does::SendsOn(clear));
    let failure = network.sign_in(&["sip.contoso.com"]).await.unwrap_err();
    assert!(matches!(error(&failure), SignInError::RedirectRefused(_)), "{failure}");
    assert_eq!(network.dialled().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn redirects_in_a_circle_end() {
    let network = Network::new([
        ("sip.contoso.com", Does::SendsOnAtOnce("<sip:pool1.contoso.com>")),
        ("pool1.contoso.com", Does::SendsOn("<sip:sip.contoso.com>")),
    ]);
    let failure = network.sign_in(&["sip.contoso.com"]).await.unwrap_err();
    assert_eq!(*error(&failure), SignInError::RedirectLoop);
    assert_eq!(network.dialled().len(), 2);
    assert_eq!(failure.redirects().len(), 1);
}

/// The one that it was sent to has hung up: what was searched first has had its say.
#[tokio::test(start_paused = true)]
async fn who_cannot_call_back_the_server_of_a_redirect_searches_nothing_anew() {
    let (sip, pool) = ("sip.contoso.com", "pool1.contoso.com");
    let network = Network::new([
        (sip, Does::SendsOnAtOnce("<sip:pool1.contoso.com>")),
        (pool, Does::HangsUpForGood),
    ]);
    network.client(&[sip]).sign_in(&address(), &Person::default()).await.unwrap_err();
    assert_eq!(network.dialled().iter().filter(|dialled| dialled.contains(sip)).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn two_redirects_to_one_server_are_one_visit() {
    let network = Network::new([
        (
            "sip.contoso.com",
            Does::SendsOnAtOnce("<sip:pool1.contoso.com>, <sip:pool2.contoso.com>"),
        ),
        ("pool1.contoso.com", Does::SendsOn("<sip:pool2.contoso.com>")),
        ("pool2.contoso.com", Does::Says("503 Service Unavailable", "")),
    ]);
    network.sign_in(&["sip.contoso.com"]).await.unwrap_err();
    let visited = ["sip", "pool1", "pool2"].map(|host| format!("tls {host}.contoso.com:5061"));
    assert_eq!(network.dialled(), visited);
}

#[tokio::test(start_paused = true)]
async fn of_the_servers_of_a_redirect_the_first_that_failed_is_told_of() {
    let network = Network::new([
        (
            "sip.contoso.com",
            Does::SendsOnAtOnce("<sip:pool1.contoso.com>, <sip:pool2.contoso.com>"),
        ),
        ("pool1.contoso.com", Does::Says("503 Service Unavailable", "")),
    ]);
    let failure = network.sign_in(&["sip.contoso.com"]).await.unwrap_err();
    assert!(failure.to_string().contains("pool1.contoso.com"), "{failure}");
    assert!(network.dialled().iter().any(|dialled| dialled.contains("pool2")));
}

#[tokio::test(start_paused = true)]
async fn a_rejected_password_is_sent_once() {
    let network =
        Network::new([("sip.contoso.com", Does::Rejects), ("pool1.contoso.com", Does::Registers)]);
    let person = Person::default();
    let client = network.client(&["sip.contoso.com", "pool1.contoso.com"]);
    let failure = client.sign_in(&address(), &person).await.unwrap_err();
    assert_eq!(*error(&failure), SignInError::Rejected(Scheme::Ntlm));
    assert_eq!(*person.asked.lock().unwrap(), [AskReason::FirstTime, AskReason::Rejected]);
    assert_eq!((network.proofs(), network.dialled().len()), (1, 1));

    let failure = network.sign_in(&["sip.contoso.com"]).await.unwrap_err();
    assert_eq!(*error(&failure), SignInError::Rejected(Scheme::Ntlm));
    let failure = client.sign_in(&address(), &NoCredentials).await.unwrap_err();
    assert_eq!(*error(&failure), SignInError::CredentialsNeeded);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_up_on_a_slow_typist_is_called_back() {
    let network = Network::new([("sip.contoso.com", Does::HangsUp)]);
    let person = Person::default();
    let signed_in =
        network.client(&["sip.contoso.com"]).sign_in(&address(), &person).await.unwrap();
    assert_eq!(signed_in.endpoint.to_string(), "tls sip.contoso.com:5061");
    assert_eq!(person.asked.lock().unwrap().len(), 1);
    assert_eq!(network.dialled().len(), 2);
}

/// Gives another password each time it is asked, but not for ever.
#[derive(Default)]
struct Guesser(AtomicUsize);

#[async_trait]
impl CredentialSource for Guesser {
    async fn credentials(&self, _: &CredentialRequest) -> Option<Credentials> {
        let guess = self.0.fetch_add(1, Ordering::SeqCst);
        let account = r"CONTOSO\jeremy".parse().unwrap();
        (guess < 9).then(|| Credentials::new(account, format!("guess {guess}")))
    }
}

/// It is called back once, and met once more by the search that goes on.
#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_up_again_and_again_is_left() {
    let network = Network::new([("sip.contoso.com", Does::HangsUpOnThePerson)]);
    let guesser = Guesser::default();
    let failure = network.client(&["sip.contoso.com"]).sign_in(&address(), &guesser).await;
    let failure = failure.unwrap_err();
    assert!(matches!(error(&failure), SignInError::Lost(_)), "{failure}");
    assert_eq!((guesser.0.load(Ordering::SeqCst), network.dialled().len()), (3, 3));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_cannot_be_called_back_gives_way_to_the_next() {
    let (sip, pool) = ("sip.contoso.com", "pool1.contoso.com");
    let network = Network::new([(sip, Does::HangsUpForGood), (pool, Does::Registers)]);
    let person = Person::default();
    let signed_in = network.client(&[sip, pool]).sign_in(&address(), &person).await.unwrap();
    assert_eq!(signed_in.endpoint.to_string(), "tls pool1.contoso.com:5061");
    assert_eq!((person.asked.lock().unwrap().len(), network.proofs()), (1, 1));

    // It is still the one that is told of, where nobody else is there.
    let network = Network::new([(sip, Does::HangsUpForGood)]);
    let failure = network.client(&[sip]).sign_in(&address(), &Person::default()).await.unwrap_err();
    assert!(matches!(failure.kind(), SignInFailureKind::NoServer { .. }), "{failure}");
    assert_eq!(network.proofs(), 0);
}

/// Who believes no password may well say so by hanging up.
#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_up_on_a_proof_is_not_shown_it_again() {
    let network = Network::new([("sip.contoso.com", Does::HangsUpOnProof)]);
    let person = Person::default();
    let failure =
        network.client(&["sip.contoso.com"]).sign_in(&address(), &person).await.unwrap_err();
    assert!(matches!(error(&failure), SignInError::Lost(_)), "{failure}");
    assert_eq!((network.proofs(), network.dialled().len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn what_another_server_may_mend_is_mended_by_the_next() {
    for does in [
        Does::SignsWrongly,
        Does::Silent,
        Does::Says("200 OK", ""),
        Does::Says("503 Busy", "Retry-After: 90\r\n"),
        Does::Says("500 Broken", ""),
        Does::Says("504 Late", ""),
        Does::Says("401 Unreadable", ""),
    ] {
        let network = Network::new([
            ("sip.contoso.com", does.clone()),
            ("pool1.contoso.com", Does::Registers),
        ]);
        let signed_in = network.sign_in(&["sip.contoso.com", "pool1.contoso.com"]).await;
        let signed_in = signed_in.unwrap_or_else(|failure| panic!("{does:?}: {failure}"));
        assert_eq!(signed_in.endpoint.to_string(), "tls pool1.contoso.com:5061", "{does:?}");
        assert!(network.sign_in(&["sip.contoso.com"]).await.is_err(), "{does:?} alone");
    }
}

#[tokio::test(start_paused = true)]
async fn what_every_server_would_say_ends_the_search() {
    for (status, number, retry) in [
        ("403 Forbidden", "4004", "after a change"),
        ("403 Forbidden", "17002", "after a change"),
        ("404 Not Found", "1003", "after a change"),
        ("403 Forbidden", "1013", "after a change"),
        ("603 Decline", "1", "after a change"),
    ] {
        let lines: &'static str = format!("ms-diagnostics: {number}\r\n").leak();
        let network = Network::new([
            ("sip.contoso.com", Does::Says(status, lines)),
            ("pool1.contoso.com", Does::Registers),
        ]);
        let failure = network.sign_in(&["sip.contoso.com", "pool1.contoso.com"]).await.unwrap_err();
        let diagnostics = error(&failure).refusal().unwrap().diagnostics.clone().unwrap();
        assert_eq!(diagnostics.error_id.to_string(), number);
        assert_eq!(failure.retry().to_string(), retry);
        assert_eq!(network.dialled().len(), 1, "{status} {number}");
    }
}

#[tokio::test(start_paused = true)]
async fn when_no_server_is_left_the_most_telling_reason_and_the_longest_wait_are_told() {
    let network = Network::new([
        ("sip.contoso.com", Does::Says("503 Busy", "Retry-After: 90\r\n")),
        ("pool1.contoso.com", Does::SignsWrongly),
        ("pool2.contoso.com", Does::Says("503 Busy", "Retry-After: 30\r\n")),
    ]);
    let hosts = ["sip.contoso.com", "pool1.contoso.com", "pool2.contoso.com"];
    let failure = network.sign_in(&hosts).await.unwrap_err();
    assert!(matches!(error(&failure), SignInError::SignatureWrong(_)), "{failure}");
    assert_eq!(failure.retry_after(), Some(Duration::from_secs(90)));
}

#[tokio::test(start_paused = true)]
async fn no_limit_for_an_answer_is_not_the_shortest() {
    let network = Network::new([("sip.contoso.com", Does::Registers)]);
    let client = Client::builder(Zone(vec!["sip.contoso.com"]), network)
        .mechanisms(Mechanisms::none().then(TOY))
        .answer_within(Duration::MAX)
        .build();
    let source = FixedCredentials::new(credentials());
    let signed_in = client.sign_in(&address(), &source).await.unwrap();
    let mut session = signed_in.session;
    session.sender().refresh();
    // The answer is heard: its signature is that of the one before.
    let lost = session.receive().await.unwrap_err();
    assert!(matches!(lost, SessionError::Refresh(SignInError::SignatureWrong(_))), "{lost}");
}

#[tokio::test(start_paused = true)]
async fn silence_costs_fifteen_seconds_and_the_typist_nothing() {
    let network = Network::new([("sip.contoso.com", Does::Silent)]);
    let begun = tokio::time::Instant::now();
    let failure = network.sign_in(&["sip.contoso.com"]).await.unwrap_err();
    assert_eq!(*error(&failure), SignInError::NoAnswer);
    let took = begun.elapsed();
    assert!((15..16).contains(&took.as_secs()), "{took:?}");
}
