//! Who is kept signed in comes back, and asks no more of dead servers than the page says
//! (`docs/reconnecting.md`). Time is virtual.
#![cfg(feature = "digest")]
#![expect(clippy::disallowed_methods, reason = "the servers of the test are tasks of their own")]

mod common {
    pub mod pipe;
}

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use common::pipe::Pipe;
use sip_signin::auth::Credentials;
use sip_signin::discovery::{
    Absence, Answer as Lookup, ConnectFailure, Endpoint, Family, LookupFailure, SrvAnswer,
    SrvRecord,
};
use sip_signin::sign_in::{AskReason, CredentialRequest};
use sip_signin::sip::{Message, MessageReader};
use sip_signin::{
    BackOff, Client, Connection, CredentialSource, FixedCredentials, HostName, Resolver,
    SessionError, SrvName, Supervisor, SupervisorEvent, Transport,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

const HOUR: Duration = Duration::from_secs(3600);

/// How the servers behave, all three of them.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Does {
    /// Answers 503 and asks to be left alone for so many seconds.
    Busy(u64),
    /// Lets in, and when asked again has forgotten it.
    Forgets,
    /// Lets in, and closes the connection.
    HangsUp,
    /// Lets in whoever has a proof, and says something.
    Registers,
    /// Nobody listens.
    Refuses,
    /// Believes nobody.
    Rejects,
    /// Takes no connection and refuses none.
    Silent,
}

/// The servers and what they were asked.
#[derive(Clone)]
struct World(Arc<Inside>);

struct Inside {
    does: Mutex<Does>,
    began: Instant,
    noted: Mutex<Noted>,
    /// Changes whenever every connection is to be cut.
    cut: watch::Sender<()>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Noted {
    /// When a search began.
    searches: Vec<Duration>,
    lookups: usize,
    connects: usize,
    proofs: usize,
    epids: Vec<String>,
    asked: Vec<AskReason>,
}

impl World {
    fn new(does: Does) -> Self {
        let (began, noted, cut) = (Instant::now(), Mutex::default(), watch::Sender::new(()));
        Self(Arc::new(Inside { does: Mutex::new(does), began, noted, cut }))
    }

    fn now_does(&self, does: Does) {
        *self.0.does.lock().unwrap() = does;
    }

    /// Cuts every connection.
    fn cut(&self) {
        self.0.cut.send_replace(());
    }

    fn does(&self) -> Does {
        *self.0.does.lock().unwrap()
    }

    fn noted(&self) -> Noted {
        self.0.noted.lock().unwrap().clone()
    }

    fn note(&self, note: impl FnOnce(&mut Noted)) {
        note(&mut self.0.noted.lock().unwrap());
    }

    fn supervisor(&self, epid: &str) -> Supervisor {
        let builder = Client::builder(self.clone(), self.clone());
        let client = builder.epid(epid.parse().unwrap()).build();
        self.supervise(&client)
    }

    fn supervise(&self, client: &Client) -> Supervisor {
        let source = Person { world: self.clone(), knows: FixedCredentials::new(credentials()) };
        Supervisor::new(client, "sip:jeremy@contoso.com".parse().unwrap(), source).unwrap()
    }
}

fn credentials() -> Credentials {
    Credentials::new(r"CONTOSO\jeremy".parse().unwrap(), "Passw0rd!")
}

/// Knows one password, and notes why it is asked.
struct Person {
    world: World,
    knows: FixedCredentials,
}

#[async_trait]
impl CredentialSource for Person {
    async fn credentials(&self, request: &CredentialRequest) -> Option<Credentials> {
        self.world.note(|noted| noted.asked.push(request.reason));
        self.knows.credentials(request).await
    }
}

#[async_trait]
impl Resolver for World {
    async fn srv(&self, name: &SrvName) -> Result<Lookup<SrvAnswer>, LookupFailure> {
        let hosts: &[_] = match name.service() {
            "_sipinternaltls._tcp" => {
                let now = self.0.began.elapsed();
                self.note(|noted| noted.searches.push(now));
                &["sip1.contoso.com", "sip2.contoso.com"]
            }
            "_sip._tls" => &["sip3.contoso.com"],
            other => panic!("nobody asks for {other}"),
        };
        self.note(|noted| noted.lookups += 1);
        let records = hosts.iter().map(|host| SrvRecord::new(0, 0, 5061, host)).collect();
        Ok(Lookup::Found(SrvAnswer { records, additional: vec![] }))
    }

    async fn addresses(
        &self,
        _: &HostName,
        family: Family,
    ) -> Result<Lookup<Vec<IpAddr>>, LookupFailure> {
        self.note(|noted| noted.lookups += 1);
        Ok(match family {
            Family::V4 => Lookup::Found(vec![[192, 0, 2, 1].into()]),
            Family::V6 => Lookup::Absent(Absence::NoData),
        })
    }
}

#[async_trait]
impl Transport for World {
    async fn connect(
        &self,
        _: &Endpoint,
        peer: SocketAddr,
    ) -> Result<Box<dyn Connection>, ConnectFailure> {
        self.note(|noted| noted.connects += 1);
        match self.does() {
            Does::Refuses => Err(ConnectFailure::Refused),
            Does::Silent => std::future::pending().await,
            _ => {
                let (near, far) = tokio::io::duplex(65536);
                tokio::spawn(self.clone().serve(far, self.0.cut.subscribe()));
                Ok(Box::new(Pipe::new(near, peer)))
            }
        }
    }
}

impl World {
    async fn serve(self, mut far: DuplexStream, mut cut: watch::Receiver<()>) {
        let mut reader = MessageReader::default();
        let mut bytes = vec![0; 65536];
        loop {
            let count = tokio::select! {
                biased;
                _ = cut.changed() => return,
                read = far.read(&mut bytes) => match read {
                    Ok(count @ 1..) => count,
                    _ => return,
                },
            };
            let mut input = &bytes[..count];
            while let Some(request) = reader.read(&mut input).unwrap() {
                let answers = self.answer(&request);
                if far.write_all(answers.as_bytes()).await.is_err() {
                    return;
                }
                if self.does() == Does::HangsUp && answers.starts_with("SIP/2.0 200") {
                    return;
                }
            }
        }
    }

    fn answer(&self, request: &Message) -> String {
        let line = |name| request.headers().get(name).unwrap().into_owned();
        let proved = request.headers().get("Authorization").is_some();
        let from = line("From");
        let epid = from.split("epid=").nth(1).unwrap().to_owned();
        self.note(|noted| {
            noted.proofs += usize::from(proved);
            noted.epids.push(epid);
        });
        let challenge = "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth\", \
                         algorithm=SHA-256\r\n";
        let (status, lines) = match self.does() {
            Does::Busy(seconds) => ("503 Busy", format!("Retry-After: {seconds}\r\n")),
            Does::Rejects => ("401 Unauthorized", challenge.into()),
            Does::Forgets if !line("CSeq").starts_with(['1', '2']) => {
                ("200 OK", "presence-state: register-action=\"added\"\r\nExpires: 7200\r\n".into())
            }
            _ if proved => ("200 OK", "Expires: 7200\r\n".into()),
            _ => ("401 Unauthorized", challenge.into()),
        };
        let copied: String = ["Via", "From", "To", "Call-ID", "CSeq"]
            .iter()
            .map(|name| format!("{name}: {}\r\n", line(name)))
            .collect();
        let notify = match self.does() {
            Does::Registers if proved => "MESSAGE sip:x SIP/2.0\r\nCall-ID: 1\r\nl: 0\r\n\r\n",
            _ => "",
        };
        format!("SIP/2.0 {status}\r\n{copied}{lines}l: 0\r\n\r\n{notify}")
    }
}

/// What happens in this time.
async fn events(supervisor: &mut Supervisor, time: Duration) -> Vec<SupervisorEvent> {
    let mut events = Vec::new();
    let end = Instant::now() + time;
    while let Ok(Some(event)) = tokio::time::timeout_at(end, supervisor.next()).await {
        events.push(event);
    }
    events
}

/// The next event, which comes before a day is over.
async fn next(supervisor: &mut Supervisor) -> SupervisorEvent {
    timeout(24 * HOUR, supervisor.next()).await.expect("in time").expect("an event")
}

/// Up to the session.
async fn signed_in(supervisor: &mut Supervisor) {
    loop {
        match next(supervisor).await {
            SupervisorEvent::SignedIn { .. } => return,
            SupervisorEvent::Failed { again: Some(_), .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

/// How many times can come in an hour, if the waits are the least that RFC 5626 section 4.5 has.
fn most_attempts_in_an_hour() -> usize {
    let (mut at, mut failures, mut attempts) = (0, 0, 0);
    while at <= 3600 {
        attempts += 1;
        failures += 1;
        at += 1800.min(30 << failures) / 2;
    }
    attempts
}

#[tokio::test(start_paused = true)]
async fn an_hour_of_dead_servers_sees_at_most_8_attempts_64_lookups_and_24_connects() {
    assert_eq!(most_attempts_in_an_hour(), 8);
    for does in [Does::Refuses, Does::Silent, Does::HangsUp] {
        for device in 0..25 {
            let world = World::new(does);
            let mut supervisor = world.supervisor(&format!("{device:010x}"));
            events(&mut supervisor, HOUR).await;
            let noted = world.noted();
            let attempts = noted.searches.len();
            assert!(attempts <= 8, "{does:?}: {:?}", noted.searches);
            assert!(noted.lookups <= 8 * attempts && noted.lookups <= 64, "{noted:?}");
            assert!(noted.connects <= 3 * attempts && noted.connects <= 24, "{noted:?}");
            assert!(attempts >= 6, "alive: {does:?}: {:?}", noted.searches);
            if does == Does::Refuses {
                assert_eq!((noted.lookups, noted.connects), (8 * attempts, 3 * attempts));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_of_120_is_obeyed_and_lengthens_only() {
    let world = World::new(Does::Busy(120));
    let mut supervisor = world.supervisor("8248ca9ebb");
    events(&mut supervisor, HOUR).await;
    let searches = world.noted().searches;
    let gaps: Vec<_> = searches.windows(2).map(|two| (two[1] - two[0]).as_secs()).collect();
    // The least wait or 120 s, whichever is more; up to the same spread as ever on top.
    for (gap, (least, most)) in gaps.iter().zip([(120, 150), (120, 180), (120, 240), (240, 480)]) {
        assert!((least..=most).contains(gap), "{gaps:?}");
    }
    assert!(gaps.len() >= 4, "{gaps:?}");
}

#[tokio::test(start_paused = true)]
async fn a_wrong_password_is_sent_once_and_never_again() {
    let world = World::new(Does::Rejects);
    let mut supervisor = world.supervisor("8248ca9ebb");
    match next(&mut supervisor).await {
        SupervisorEvent::Failed { why, again: None } => {
            assert!(why.to_string().contains("rejected"), "{why}");
        }
        other => panic!("{other:?}"),
    }
    let noted = world.noted();
    assert_eq!((noted.searches.len(), noted.connects, noted.proofs), (1, 1, 1));
    assert!(supervisor.next().await.is_none());
    assert!(events(&mut supervisor, 24 * HOUR).await.is_empty());
    assert_eq!(world.noted(), noted);
}

#[tokio::test(start_paused = true)]
async fn it_comes_back_when_the_server_does() {
    let world = World::new(Does::Registers);
    let mut supervisor = world.supervisor("8248ca9ebb");
    signed_in(&mut supervisor).await;
    assert_eq!(world.noted().searches, [Duration::ZERO], "the first attempt does not wait");
    let SupervisorEvent::Received(received) = next(&mut supervisor).await else { panic!() };
    assert_eq!(received.message.headers().call_id().as_deref(), Some("1"));
    assert!(events(&mut supervisor, Duration::from_secs(600)).await.is_empty());

    world.now_does(Does::Refuses);
    world.cut();
    let SupervisorEvent::Lost { again: Some(again), .. } = next(&mut supervisor).await else {
        panic!()
    };
    assert!(Instant::from_std(again) - Instant::now() <= BackOff::BASE, "it was a success");
    let failed = events(&mut supervisor, Duration::from_secs(900)).await;
    assert!(failed.iter().all(|event| matches!(event, SupervisorEvent::Failed { .. })));
    assert!((3..=6).contains(&failed.len()), "{failed:?}");

    world.now_does(Does::Registers);
    let returned = Instant::now();
    signed_in(&mut supervisor).await;
    assert!(returned.elapsed() <= BackOff::LONGEST);
    assert!(matches!(next(&mut supervisor).await, SupervisorEvent::Received(_)));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_only_forgot_is_told_again_at_once() {
    let world = World::new(Does::Forgets);
    let mut supervisor = world.supervisor("8248ca9ebb");
    signed_in(&mut supervisor).await;
    let SupervisorEvent::Lost { why, again } = next(&mut supervisor).await else { panic!() };
    assert_eq!(why, SessionError::Forgotten);
    assert_eq!(again, Some(Instant::now().into_std()));
    signed_in(&mut supervisor).await;
    // The binding of 7200 s is refreshed 30 s before its end.
    assert_eq!(world.0.began.elapsed(), Duration::from_secs(7170));
    assert_eq!(world.noted().searches, [Duration::ZERO], "it is gone back to without a question");
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_to_a_refresh_is_obeyed_too() {
    let world = World::new(Does::Registers);
    let mut supervisor = world.supervisor("8248ca9ebb");
    signed_in(&mut supervisor).await;
    assert!(matches!(next(&mut supervisor).await, SupervisorEvent::Received(_)));
    world.now_does(Does::Busy(600));
    let lost = next(&mut supervisor).await;
    let SupervisorEvent::Lost { again: Some(again), .. } = lost else { panic!("{lost:?}") };
    let wait = (Instant::from_std(again) - Instant::now()).as_secs();
    assert!((600..=630).contains(&wait), "{wait}");
}

#[tokio::test(start_paused = true)]
async fn a_password_that_is_changed_meanwhile_ends_it() {
    let world = World::new(Does::Registers);
    let mut supervisor = world.supervisor("8248ca9ebb");
    signed_in(&mut supervisor).await;
    world.now_does(Does::Rejects);
    let events = events(&mut supervisor, 24 * HOUR).await;
    let last = events.last().expect("it is lost");
    assert!(matches!(last, SupervisorEvent::Lost { again: None, .. }), "{last:?}");
    assert!(supervisor.next().await.is_none());
    let noted = world.noted();
    assert_eq!(noted.searches.len(), 1, "it is not tried elsewhere");
    assert_eq!(noted.asked, [AskReason::FirstTime, AskReason::Rejected], "there may be a new one");
}

#[tokio::test(start_paused = true)]
async fn who_signs_out_stays_signed_out_whatever_the_server_says() {
    // In order; from another task's sender while the server is gone; during a wait.
    let world = World::new(Does::Registers);
    let mut supervisor = world.supervisor("8248ca9ebb");
    signed_in(&mut supervisor).await;
    supervisor.sign_out();
    let said = events(&mut supervisor, HOUR).await;
    assert!(matches!(said.last(), Some(SupervisorEvent::SignedOut)), "{said:?}");
    assert!(supervisor.next().await.is_none());

    let mut supervisor = world.supervisor("8248ca9ebb");
    let SupervisorEvent::SignedIn { sender, traces, .. } = next(&mut supervisor).await else {
        panic!()
    };
    assert_eq!(traces.len(), 1, "{traces:?}");
    world.cut();
    sender.sign_out();
    let said = events(&mut supervisor, HOUR).await;
    let last = said.last().expect("the end");
    assert!(matches!(last, SupervisorEvent::Lost { again: None, .. }), "{last:?}");
    assert!(supervisor.next().await.is_none());

    world.now_does(Does::Refuses);
    let mut supervisor = world.supervisor("8248ca9ebb");
    let said = next(&mut supervisor).await;
    assert!(matches!(said, SupervisorEvent::Failed { again: Some(_), .. }), "{said:?}");
    supervisor.sign_out();
    assert!(supervisor.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn every_attempt_is_of_one_device() {
    let world = World::new(Does::HangsUp);
    let client = Client::builder(world.clone(), world.clone()).build();
    let mut supervisor = world.supervise(&client);
    events(&mut supervisor, HOUR).await;
    let epids = world.noted().epids;
    assert!(epids.len() > 5 && epids.iter().all(|epid| *epid == epids[0]), "{epids:?}");
}

#[tokio::test(start_paused = true)]
async fn the_same_device_makes_the_same_attempts_and_another_one_others() {
    let mut runs = Vec::new();
    for epid in ["8248ca9ebb", "8248ca9ebb", "8248ca9ebc"] {
        let world = World::new(Does::Refuses);
        events(&mut world.supervisor(epid), 24 * HOUR).await;
        runs.push(world.noted().searches);
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_is_busy_with_other_things_costs_no_attempt_and_loses_none() {
    let (world, patient) = (World::new(Does::Silent), World::new(Does::Silent));
    events(&mut patient.supervisor("8248ca9ebb"), HOUR).await;
    let mut supervisor = world.supervisor("8248ca9ebb");
    let mut failed = 0;
    for _ in 0..3600 * 2 {
        // Cancelled in the middle of whatever is under way.
        if timeout(Duration::from_millis(500), supervisor.next()).await.is_ok() {
            failed += 1;
        }
    }
    let (noted, patient) = (world.noted(), patient.noted());
    assert_eq!((noted.lookups, noted.connects), (patient.lookups, patient.connects));
    assert!(failed >= 5, "{failed}");
}

#[tokio::test(start_paused = true)]
async fn it_may_move_to_a_task_of_its_own() {
    let world = World::new(Does::Registers);
    let mut supervisor = world.supervisor("8248ca9ebb");
    let task = tokio::spawn(async move { signed_in(&mut supervisor).await });
    task.await.unwrap();
}
