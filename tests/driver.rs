//! The driver on scripted parts: exact bytes, virtual time, and servers that never do their duty.

#[path = "common/pipe.rs"]
mod pipe;

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use pipe::Pipe;
use sip_signin::discovery::{
    Absence, Answer as Lookup, Cause, ConnectFailure, Endpoint, Family, LookupFailure, Pace,
    Search, SrvAnswer, SrvRecord, Timeouts,
};
use sip_signin::sip::{Answer, Message, Register, Tokens, UriTransport};
use sip_signin::{
    Client, Connection, HostName, Random, RandomError, Resolver, SignInFailureKind, SipAddress,
    SrvName, Transport,
};
use tokio::io::{AsyncReadExt, DuplexStream};
use tokio::time::{Instant, timeout};
use tokio_test::io::{Builder, Mock};

const CHALLENGE: &str = "WWW-Authenticate: NTLM realm=\"SIP Communications Service\", \
                         targetname=\"pool01.contoso.com\", version=4\r\n";

fn address() -> SipAddress {
    "sip:jeremy@contoso.com".parse().unwrap()
}

/// Two pools, `pool01` before `pool02`; or nothing ever.
struct Zone {
    silent: bool,
}

#[async_trait]
impl Resolver for Zone {
    async fn srv(&self, name: &SrvName) -> Result<Lookup<SrvAnswer>, LookupFailure> {
        if self.silent {
            std::future::pending::<()>().await;
        }
        Ok(match name.service() {
            "_sipinternaltls._tcp" => Lookup::Found(SrvAnswer {
                records: vec![
                    SrvRecord::new(0, 0, 5061, "pool01.contoso.com"),
                    SrvRecord::new(10, 0, 5061, "pool02.contoso.com"),
                ],
                additional: vec![],
            }),
            _ => Lookup::Absent(Absence::NoSuchName),
        })
    }

    async fn addresses(
        &self,
        host: &HostName,
        family: Family,
    ) -> Result<Lookup<Vec<IpAddr>>, LookupFailure> {
        let last = if host.as_str().starts_with("pool01") { 1 } else { 2 };
        Ok(match family {
            Family::V4 => Lookup::Found(vec![[192, 0, 2, last].into()]),
            Family::V6 => Lookup::Absent(Absence::NoData),
        })
    }
}

/// Gives out one scripted connection after the other; then refuses.
#[derive(Default)]
struct Script(Mutex<Vec<Mock>>);

#[async_trait]
impl Transport for Script {
    async fn connect(
        &self,
        _: &Endpoint,
        peer: SocketAddr,
    ) -> Result<Box<dyn Connection>, ConnectFailure> {
        let mut connections = self.0.lock().unwrap();
        if connections.is_empty() {
            return Err(ConnectFailure::Refused);
        }
        Ok(Box::new(Pipe::new(connections.remove(0), peer)))
    }
}

/// Always the same bytes.
struct Sevens;

impl Random for Sevens {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
        bytes.fill(0x77);
        Ok(())
    }
}

struct Nothing;

impl Random for Nothing {
    fn fill(&self, _: &mut [u8]) -> Result<(), RandomError> {
        Err(RandomError)
    }
}

/// The REGISTER that the client must send when every random byte is 0x77.
fn register() -> Register {
    let digits = |count: usize| "77".repeat(count);
    let tokens =
        Tokens { call_id: digits(16), from_tag: digits(5), branch: digits(8), contact: digits(5) };
    let local = "192.0.2.7:49152".parse().unwrap();
    let epid = digits(5).parse().unwrap();
    Register::new(&address(), local, UriTransport::Tls, tokens, epid, "driver/1").unwrap()
}

fn response(status: &str, lines: &str) -> String {
    let call_id = "77".repeat(16);
    format!("SIP/2.0 {status}\r\nCall-ID: {call_id}\r\nCSeq: 1 REGISTER\r\n{lines}l: 0\r\n\r\n")
}

/// A connection that expects the REGISTER first.
fn greeted() -> Builder {
    let mut script = Builder::new();
    script.write(&register().write());
    script
}

fn client(connections: impl IntoIterator<Item = Mock>) -> Client {
    let script = Script(Mutex::new(connections.into_iter().collect()));
    Client::builder(Zone { silent: false }, script).random(Sevens).user_agent("driver/1").build()
}

#[tokio::test(start_paused = true)]
async fn the_first_register_carries_no_credentials_and_its_answer_may_come_in_pieces() {
    let Message::Request(request) = Message::parse(register().write()).unwrap() else {
        panic!("it is a request");
    };
    for header in ["Authorization", "Proxy-Authorization"] {
        assert_eq!(request.headers().get(header), None);
    }
    let whole = response("401 Unauthorized", CHALLENGE);
    let mut script = greeted();
    for byte in whole.bytes() {
        script.read(&[byte]);
    }
    let challenged = client([script.build()]).challenge(&address()).await.unwrap();
    assert_eq!(challenged.register, register());
    assert_eq!(challenged.response.status(), 401);
    let Answer::Challenged { challenges, .. } = &challenged.answer else {
        panic!("{:?}", challenged.answer);
    };
    assert_eq!(challenges[0].target_name(), Some("pool01.contoso.com"));
}

#[tokio::test(start_paused = true)]
async fn provisional_and_foreign_messages_are_passed_over_up_to_the_limit() {
    let others = |count: usize| {
        let trying = response("100 Trying", "");
        let foreign = response("403 Forbidden", "").replace("77", "88");
        let request = "OPTIONS sip:jeremy@contoso.com SIP/2.0\r\nl: 0\r\n\r\n".to_owned();
        let kinds = [trying, foreign, request];
        kinds.iter().cycle().take(count).cloned().collect::<String>()
    };
    let answer = response("401 Unauthorized", CHALLENGE);
    for (count, passes) in
        [(3, true), (Client::PASSED_OVER_LIMIT, true), (Client::PASSED_OVER_LIMIT + 1, false)]
    {
        let stream = others(count) + &answer;
        let script = greeted().read(stream.as_bytes()).build();
        let outcome = client([script]).challenge(&address()).await;
        assert_eq!(outcome.is_ok(), passes, "{count} other messages");
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_and_one_of_a_byte_a_second_are_left_after_fifteen_seconds() {
    let silent = greeted().wait(Duration::from_secs(3600)).build();
    let mut slow = greeted();
    for byte in response("401 Unauthorized", CHALLENGE).bytes().take(10) {
        slow.wait(Duration::from_secs(1)).read(&[byte]);
    }
    let slow = slow.wait(Duration::from_secs(3600)).build();
    for late in [silent, slow] {
        let good = greeted().read(response("401 Unauthorized", CHALLENGE).as_bytes()).build();
        let begun = Instant::now();
        let outcome = client([late, good]).challenge(&address()).await;
        assert_eq!(outcome.unwrap().endpoint.to_string(), "tls pool02.contoso.com:5061");
        let took = begun.elapsed();
        assert!(took >= Client::ANSWER_WITHIN, "{took:?}");
        assert!(took < Client::ANSWER_WITHIN + Duration::from_secs(1), "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_longest_retry_after_is_told_when_no_server_is_left() {
    let busy = |seconds| {
        let lines = format!("Retry-After: {seconds}\r\n");
        greeted().read(response("503 Service Unavailable", &lines).as_bytes()).build()
    };
    let failure = client([busy(120), busy(30)]).challenge(&address()).await.unwrap_err();
    assert_eq!(failure.retry_after(), Some(Duration::from_secs(120)));
    let SignInFailureKind::NoServer { cause, refusals } = failure.kind() else {
        panic!("{failure}");
    };
    assert!(matches!(cause, Cause::Answer(..)), "{cause}");
    assert_eq!(refusals.len(), 2);
    assert_eq!(
        failure.to_string(),
        "the server: tls pool01.contoso.com:5061 answered: 503 Service Unavailable; \
         ask the server's administrator, with the server's answer in hand"
    );
}

/// Nobody answers at `pool01`, ever; the connects to it that are under way hold a `rope` each.
struct Swamp {
    rope: Arc<()>,
    /// How many ropes were held when `pool02` was dialled.
    held: Arc<AtomicUsize>,
    near: Mutex<Option<DuplexStream>>,
}

#[async_trait]
impl Transport for Swamp {
    async fn connect(
        &self,
        endpoint: &Endpoint,
        peer: SocketAddr,
    ) -> Result<Box<dyn Connection>, ConnectFailure> {
        if endpoint.host.to_string().starts_with("pool01") {
            let _rope = Arc::clone(&self.rope);
            std::future::pending::<()>().await;
        }
        self.held.store(Arc::strong_count(&self.rope), Ordering::SeqCst);
        let near = self.near.lock().unwrap().take();
        near.map(|near| Box::new(Pipe::new(near, peer)) as _).ok_or(ConnectFailure::Refused)
    }
}

#[tokio::test(start_paused = true)]
async fn a_connect_whose_time_is_over_and_one_that_lost_the_race_are_dropped() {
    // One more is the transport's own, and one the test's.
    for (pace, held_at_the_dial) in [(Pace::ONE_AT_A_TIME, 2), (Pace::DEFAULT, 3)] {
        let (near, mut far) = tokio::io::duplex(4096);
        let (rope, held) = (Arc::new(()), Arc::new(AtomicUsize::new(0)));
        let near = Mutex::new(Some(near));
        let swamp = Swamp { rope: Arc::clone(&rope), held: Arc::clone(&held), near };
        let search = Search::builder().pace(pace).build().unwrap();
        let client = Client::builder(Zone { silent: false }, swamp).search(search).build();
        let served = async {
            assert_eq!(far.read_u8().await.unwrap(), b'R');
            Arc::strong_count(&rope)
        };
        let address = address();
        tokio::select! {
            outcome = client.challenge(&address) => panic!("nobody answered: {:?}", outcome.err()),
            left = served => assert_eq!(left, 2),
        }
        assert_eq!(held.load(Ordering::SeqCst), held_at_the_dial);
    }
}

#[tokio::test(start_paused = true)]
async fn silent_dns_ends_in_a_typed_failure_within_the_lookup_deadline() {
    let client = Client::new(Zone { silent: true }, Script::default());
    let begun = Instant::now();
    let failure = client.challenge(&address()).await.unwrap_err();
    let SignInFailureKind::NoServer { cause, .. } = failure.kind() else { panic!("{failure}") };
    assert!(matches!(cause, Cause::LookupFailed(_, LookupFailure::TimedOut)), "{cause}");
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(5) && took < Duration::from_secs(6), "{took:?}");
}

/// What a connect holds is freed when its time is over, not when the search is.
#[tokio::test(start_paused = true)]
async fn a_connect_whose_time_is_over_is_dropped_while_another_one_goes_on() {
    struct Silent(Arc<()>);

    #[async_trait]
    impl Transport for Silent {
        async fn connect(
            &self,
            _: &Endpoint,
            _: SocketAddr,
        ) -> Result<Box<dyn Connection>, ConnectFailure> {
            let _held = Arc::clone(&self.0);
            std::future::pending().await
        }
    }

    let connects = Arc::new(());
    let open = || Arc::strong_count(&connects) - 2;
    let client = Client::new(Zone { silent: false }, Silent(Arc::clone(&connects)));
    let address = address();
    let mut search = std::pin::pin!(client.challenge(&address));
    let (connect, moment) = (Timeouts::default().connect, Duration::from_millis(10));
    assert!(timeout(connect - moment, &mut search).await.is_err());
    assert_eq!(open(), 2);
    assert!(timeout(2 * moment, &mut search).await.is_err());
    assert_eq!(open(), 1);
    assert!(search.await.is_err());
    assert_eq!(open(), 0);
}

/// DNS that never answers holds nobody up who knows where to go.
#[tokio::test(start_paused = true)]
async fn the_last_server_is_remembered_from_one_sign_in_to_the_next() {
    let good = || greeted().read(response("401 Unauthorized", CHALLENGE).as_bytes()).build();
    let first = client([good()]).challenge(&address()).await.unwrap();
    let last = first.last_server().unwrap();
    assert_eq!(last.to_string(), "pool01.contoso.com:5061 192.0.2.1");

    let script = Script(Mutex::new(vec![good()]));
    let dark = Client::builder(Zone { silent: true }, script).random(Sevens);
    let dark = dark.user_agent("driver/1").build().remembering(Some(last.clone()));
    let begun = Instant::now();
    let again = dark.challenge(&address()).await.unwrap();
    assert_eq!(again.last_server(), Some(last));
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert!(dark.remembering(None).challenge(&address()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn without_random_bytes_nothing_is_sent() {
    let builder = Client::builder(Zone { silent: false }, Script::default());
    let failure = builder.random(Nothing).build().challenge(&address()).await.unwrap_err();
    assert_eq!(*failure.kind(), SignInFailureKind::NoRandom(RandomError));
    assert!(failure.trace().events().next().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_setting_that_could_break_a_message_is_told_and_nothing_is_sent() {
    let script = Script(Mutex::new(vec![Builder::new().build()]));
    let builder = Client::builder(Zone { silent: false }, script);
    let client = builder.user_agent("evil\r\nAuthorization: x").build();
    let failure = client.challenge(&address()).await.unwrap_err();
    assert!(matches!(failure.kind(), SignInFailureKind::Unwritable(_)), "{failure}");
    assert!(!failure.to_string().contains('\r'), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn a_channel_carries_whole_messages_and_tells_why_it_ends() {
    use sip_signin::{Channel, ChannelError};
    let whole = response("200 OK", "");
    let script = Builder::new()
        .read(format!("\r\n\r\n{whole}{}", &whole[..20]).as_bytes())
        .write(b"bye")
        .read(&whole.as_bytes()[20..])
        .build();
    let peer = "192.0.2.1:5061".parse().unwrap();
    let mut channel = Channel::new(Box::new(Pipe::new(script, peer)));
    assert_eq!(channel.receive().await.unwrap().as_bytes(), whole.as_bytes());
    channel.send(&Bytes::from_static(b"bye")).await.unwrap();
    assert_eq!(channel.receive().await.unwrap().as_bytes(), whole.as_bytes());
    assert_eq!(channel.receive().await, Err(ChannelError::Closed));

    let garbage = Builder::new().read(b"HTTP/1.1 400 Bad Request\r\n\r\n").build();
    let mut channel = Channel::new(Box::new(Pipe::new(garbage, peer)));
    assert!(matches!(channel.receive().await, Err(ChannelError::Garbage(_))));
}
