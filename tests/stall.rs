//! A server that falls silent, drips, talks without end or hangs up at any point of the exchange:
//! in virtual time, the sign-in ends in a typed outcome at the documented moment, and leaves nothing.
#![cfg(feature = "digest")]
#![expect(clippy::disallowed_methods, reason = "the servers of the test are tasks of their own")]

#[path = "common/pipe.rs"]
mod pipe;

#[path = "common/toy.rs"]
mod toy;

#[path = "common/zone.rs"]
mod zone;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use pipe::Pipe;
use sip_signin::auth::Credentials;
use sip_signin::discovery::{Cause, ConnectFailure, Endpoint};
use sip_signin::sign_in::{Mechanisms, SignInError};
use sip_signin::sip::{Message, MessageReader};
use sip_signin::{
    Client, Connection, FixedCredentials, SignInFailure, SignInFailureKind, SignedIn, SipAddress,
    Transport,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::{Instant, sleep};
use toy::Toy;
use zone::Zone;

/// What a server does instead of going on.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Does {
    /// Nothing more.
    FallsSilent,
    /// One byte a second.
    Drips,
    /// A header line a second, without end.
    DripsWithoutEnd,
    /// As many header lines as anybody would read.
    TalksWithoutEnd,
    /// Hangs up.
    HangsUp,
    /// Sends what is no SIP.
    Babbles,
    /// Neither reads nor writes any more.
    Freezes,
    /// Says every four seconds that it is trying.
    Tries,
}

/// Those that may begin at any byte.
const ALL: [Does; 7] = [
    Does::FallsSilent,
    Does::Drips,
    Does::DripsWithoutEnd,
    Does::TalksWithoutEnd,
    Does::HangsUp,
    Does::Babbles,
    Does::Freezes,
];

/// In which answer, behind how many bytes of it, and what.
type Fault = Option<(usize, usize, Does)>;

/// A server that is good up to its fault.
#[derive(Clone, Default)]
struct Network {
    fault: Fault,
    /// The answers, as long as they were good.
    said: Arc<Mutex<Vec<String>>>,
    /// When the last request came.
    heard: Arc<Mutex<Option<Instant>>>,
    servers: Arc<AtomicUsize>,
}

/// The three answers of an NTLM exchange.
const ANSWERS: [(&str, &str); 3] = [
    ("401 Unauthorized", "WWW-Authenticate: NTLM realm=\"r\", targetname=\"t\", version=4\r\n"),
    (
        "401 Unauthorized",
        "WWW-Authenticate: NTLM realm=\"r\", targetname=\"t\", version=4, opaque=\"o\", \
         gssapi-data=\"dG9rZW4=\"\r\n",
    ),
    (
        "200 OK",
        "Expires: 7200\r\nAuthentication-Info: NTLM rspauth=\"7369676e6564\", srand=\"1\", \
         snum=\"1\", opaque=\"o\", realm=\"r\", targetname=\"t\"\r\n",
    ),
];

/// Counts the servers that are there.
struct Alive(Arc<AtomicUsize>);

impl Alive {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Transport for Network {
    async fn connect(
        &self,
        _: &Endpoint,
        peer: SocketAddr,
    ) -> Result<Box<dyn Connection>, ConnectFailure> {
        // No more room than for a part of a request, so that who does not read is noticed.
        let (near, far) = tokio::io::duplex(64);
        let (network, alive) = (self.clone(), Alive::new(&self.servers));
        tokio::spawn(async move {
            let _alive = alive;
            // Its end is the client's.
            let _ = network.serve(far).await;
        });
        Ok(Box::new(Pipe::new(near, peer)))
    }
}

impl Network {
    async fn serve(&self, mut far: DuplexStream) -> std::io::Result<()> {
        let mut reader = MessageReader::default();
        for (at, (status, lines)) in ANSWERS.into_iter().enumerate() {
            let fault = self.fault.filter(|(answer, ..)| *answer == at);
            if let Some((_, 0, Does::Freezes)) = fault {
                *self.heard.lock().unwrap() = Some(Instant::now());
                return freeze(&mut far).await;
            }
            let Some(request) = request(&mut reader, &mut far).await else { return Ok(()) };
            *self.heard.lock().unwrap() = Some(Instant::now());
            let copied: String = ["From", "To", "Call-ID", "CSeq"]
                .map(|name| format!("{name}: {}\r\n", request.headers().get(name).unwrap()))
                .concat();
            let text = format!("SIP/2.0 {status}\r\n{copied}{lines}l: 0\r\n\r\n");
            let Some((_, cut, does)) = fault else {
                far.write_all(text.as_bytes()).await?;
                self.said.lock().unwrap().push(text);
                continue;
            };
            far.write_all(&text.as_bytes()[..cut]).await?;
            match does {
                Does::FallsSilent => request_without_end(&mut far).await,
                Does::Freezes => return freeze(&mut far).await,
                Does::HangsUp => return Ok(()),
                Does::Babbles => {
                    far.write_all(b"\0\x01\x02\r\n\r\n").await?;
                    request_without_end(&mut far).await;
                }
                Does::TalksWithoutEnd => loop {
                    far.write_all(b"a: b\r\n").await?;
                },
                Does::DripsWithoutEnd => loop {
                    sleep(Duration::from_secs(1)).await;
                    far.write_all(b"a: b\r\n").await?;
                },
                Does::Tries => loop {
                    sleep(Duration::from_secs(4)).await;
                    let trying = format!("SIP/2.0 100 Trying\r\n{copied}l: 0\r\n\r\n");
                    far.write_all(trying.as_bytes()).await?;
                },
                Does::Drips => {
                    for byte in &text.as_bytes()[cut..] {
                        sleep(Duration::from_secs(1)).await;
                        far.write_all(&[*byte]).await?;
                    }
                }
            }
        }
        request_without_end(&mut far).await;
        Ok(())
    }

    fn client(&self) -> Client {
        Client::builder(Zone(vec!["sip.contoso.com"]), self.clone())
            .mechanisms(Mechanisms::none().then(TOY))
            .build()
    }

    async fn sign_in(&self) -> Result<SignedIn, SignInFailure> {
        let address: SipAddress = "sip:jeremy@contoso.com".parse().unwrap();
        let credentials = Credentials::new("jeremy".parse().unwrap(), "x");
        self.client().sign_in(&address, &FixedCredentials::new(credentials)).await
    }

    /// Whether nothing is left: no connection, and so no server.
    async fn is_deserted(&self) -> bool {
        // A server that sleeps notices when it wakes that nobody is there.
        sleep(Duration::from_secs(3601)).await;
        let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
        self.servers.load(Ordering::SeqCst) == 0 && tasks == 0
    }
}

async fn request(reader: &mut MessageReader, far: &mut DuplexStream) -> Option<Message> {
    let mut bytes = [0; 4096];
    loop {
        let count = far.read(&mut bytes).await.ok().filter(|count| *count > 0)?;
        if let Some(message) = reader.read(&mut &bytes[..count]).unwrap() {
            return Some(message);
        }
    }
}

/// Does nothing for an hour; the client must be gone by then.
async fn freeze(far: &mut DuplexStream) -> std::io::Result<()> {
    sleep(Duration::from_secs(3600)).await;
    request_without_end(far).await;
    Ok(())
}

/// Reads until the client is gone.
async fn request_without_end(far: &mut DuplexStream) {
    let mut bytes = [0; 4096];
    while let Ok(1..) = far.read(&mut bytes).await {}
}

const TOY: Toy = Toy { signature: "signed", begins_empty: true };

/// Every place where a line begins or ends, and what is beside it.
fn cuts(text: &str) -> Vec<usize> {
    let ends = text.match_indices("\r\n").flat_map(|(at, _)| [at.saturating_sub(1), at, at + 1]);
    let mut cuts: Vec<usize> = [0, 1, 7, 11].into_iter().chain(ends).collect();
    cuts.extend([text.len() - 1, text.len()]);
    cuts.dedup();
    cuts
}

/// Who got a whole answer writes the next request, and nobody reads it.
fn is_unread(error: &SignInError) -> bool {
    *error == SignInError::Lost("it does not read".into())
}

fn is_expected(does: Does, is_whole: bool, error: &SignInError) -> bool {
    match does {
        Does::FallsSilent | Does::Drips | Does::Tries => *error == SignInError::NoAnswer,
        Does::HangsUp => matches!(error, SignInError::Lost(_)),
        Does::Babbles => matches!(error, SignInError::Garbage(_)),
        Does::Freezes => *error == SignInError::NoAnswer || is_unread(error),
        Does::DripsWithoutEnd | Does::TalksWithoutEnd if is_whole => is_unread(error),
        // Its lines may fit into the answer, or not.
        Does::DripsWithoutEnd => matches!(error, SignInError::NoAnswer | SignInError::Garbage(_)),
        Does::TalksWithoutEnd => matches!(error, SignInError::Garbage(_)),
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_a_server_does_at_any_point_the_sign_in_ends_in_time_and_leaves_nothing() {
    let good = Network::default();
    drop(good.sign_in().await.unwrap());
    let answers = good.said.lock().unwrap().clone();
    assert_eq!(answers.len(), 3);
    assert!(good.is_deserted().await);

    let (mut ended, mut let_in) = (0, 0);
    for (at, answer) in answers.iter().enumerate() {
        for cut in cuts(answer) {
            for does in ALL {
                let case = format!("{does:?} behind {cut} bytes of answer {at}");
                let network = Network { fault: Some((at, cut, does)), ..Network::default() };
                let outcome = network.sign_in().await;
                let heard = network.heard.lock().unwrap().expect("a request came");
                let took = heard.elapsed();
                let is_whole = cut == answer.len();
                // What a drip leaves of an answer may still come in time.
                let in_time = does == Does::Drips && answer.len() - cut < 15;
                match outcome {
                    Ok(signed_in) => {
                        assert!(at == 2 && is_whole || in_time, "{case}: signed in");
                        drop(signed_in);
                        let_in += 1;
                    }
                    Err(failure) => {
                        let SignInFailureKind::SignIn(_, error) = failure.kind() else {
                            panic!("{case}: {failure}");
                        };
                        assert!(is_expected(does, is_whole, error), "{case}: {failure}");
                        // Whoever says nothing is given so long, and no longer; a wrong word or
                        // a closed connection ends it at once.
                        let waited = *error == SignInError::NoAnswer || is_unread(error);
                        let (least, most) = match (waited, does) {
                            (true, _) => (Client::ANSWER_WITHIN, Client::ANSWER_WITHIN),
                            (_, Does::DripsWithoutEnd) => (Duration::ZERO, Client::ANSWER_WITHIN),
                            _ => (Duration::ZERO, Duration::ZERO),
                        };
                        assert!(took >= least, "{case}: gave up after {took:?}");
                        assert!(took <= most + Duration::from_millis(10), "{case}: {took:?}");
                        ended += 1;
                    }
                }
                assert!(network.is_deserted().await, "{case}: something is left");
            }
        }
    }
    assert!(ended > 300, "only {ended} ended");
    assert!(let_in > 15, "only {let_in} were let in");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_that_it_is_trying_gets_no_more_time() {
    for at in 0..3 {
        let network = Network { fault: Some((at, 0, Does::Tries)), ..Network::default() };
        let failure = network.sign_in().await.unwrap_err();
        let took = network.heard.lock().unwrap().unwrap().elapsed();
        let SignInFailureKind::SignIn(_, error) = failure.kind() else { panic!("{failure}") };
        assert!(is_expected(Does::Tries, false, error), "{failure}");
        assert_eq!(took.as_millis() / 10, Client::ANSWER_WITHIN.as_millis() / 10, "{took:?}");
        assert!(network.is_deserted().await);
    }
}

/// The same for whoever gives up first: the caller, at any moment of the whole exchange.
#[tokio::test(start_paused = true)]
async fn a_sign_in_that_is_dropped_at_any_moment_leaves_nothing() {
    let mut cut_off = 0;
    for seconds in 0..90 {
        // The last answer drips; the two before it do as well, as far as they may.
        let network = Network { fault: Some((2, 0, Does::Drips)), ..Network::default() };
        let limit = Duration::from_millis(seconds * 200);
        cut_off += usize::from(tokio::time::timeout(limit, network.sign_in()).await.is_err());
        assert!(network.is_deserted().await, "dropped after {limit:?}");
    }
    assert!(cut_off > 50, "{cut_off}");
}

/// A connect that never ends is the search's to bound: 8 s.
#[tokio::test(start_paused = true)]
async fn a_server_that_never_takes_the_connection_costs_eight_seconds() {
    struct BlackHole;
    #[async_trait]
    impl Transport for BlackHole {
        async fn connect(
            &self,
            _: &Endpoint,
            _: SocketAddr,
        ) -> Result<Box<dyn Connection>, ConnectFailure> {
            std::future::pending().await
        }
    }
    let client = Client::new(Zone(vec!["sip.contoso.com"]), BlackHole);
    let begun = Instant::now();
    let address: SipAddress = "sip:jeremy@contoso.com".parse().unwrap();
    let source = FixedCredentials::new(Credentials::new("jeremy".parse().unwrap(), "x"));
    let failure = client.sign_in(&address, &source).await.unwrap_err();
    let SignInFailureKind::NoServer { cause: Cause::Unreachable(_, why), .. } = failure.kind()
    else {
        panic!("{failure}");
    };
    assert_eq!(*why, ConnectFailure::TimedOut);
    assert_eq!(begun.elapsed().as_secs(), 8);
}
