//! The driver of a session on a connection of a few bytes, in virtual time: slow, mute and gone peers.
#![expect(clippy::disallowed_methods, reason = "peer and sender are tasks of their own")]

mod common {
    pub mod jeremy;
    pub mod pipe;
    pub mod watchdog;
}

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use common::jeremy::{register, server};
use common::pipe::Pipe;
use common::watchdog::watched;
use sip_signin::discovery::Seed;
use sip_signin::sign_in::{CredentialCache, Rules, SignIn};
use sip_signin::sip::{Limits, Message};
use sip_signin::upkeep::Upkeep;
use sip_signin::{Channel, Now, SendError, Session, SessionError, SystemRandom};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// A session whose connection holds `room` bytes each way, and the server's end of it. The server
/// asked nobody who we are, so nothing is signed.
fn session(room: usize) -> (Session, DuplexStream) {
    watched();
    let (near, far) = tokio::io::duplex(room);
    let pipe = Pipe::new(near, "192.0.2.1:5061".parse().unwrap());
    let mut rules = Rules::default();
    rules.allow_unauthenticated = true;
    let (cache, random) = (CredentialCache::new(), Arc::new(SystemRandom));
    let mut sign_in = SignIn::new(register(), server(), rules, cache, random);
    let now = now();
    let _ = sign_in.poll_step(now);
    let welcome =
        "SIP/2.0 200 OK\r\nCall-ID: ours\r\nCSeq: 1 REGISTER\r\nExpires: 600\r\nl: 0\r\n\r\n";
    let wall = std::time::SystemTime::UNIX_EPOCH;
    sign_in.receive(&Message::parse(welcome.into()).unwrap(), Now { instant: now, wall });
    let upkeep = Upkeep::new(sign_in, Seed(1), now).unwrap();
    (Session::new(Channel::new(Box::new(pipe)), upkeep), far)
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

fn request(number: usize, body: usize) -> Bytes {
    let body = "x".repeat(body);
    format!(
        "MESSAGE sip:a SIP/2.0\r\nCall-ID: call-{number}\r\nCSeq: {number} MESSAGE\r\nl: {}\r\n\r\n{body}",
        body.len()
    )
    .into()
}

fn number(message: &Message) -> String {
    message.headers().call_id().unwrap().into_owned()
}

#[test]
fn a_session_crosses_threads() {
    fn crosses<T: Send>(_: &T) {}
    fn shared<T: Send + Sync + Clone>() {}
    shared::<sip_signin::SessionSender>();
    let build = || session(64);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _guard = runtime.enter();
    let (mut session, _far) = build();
    crosses(&session);
    crosses(&session.send(Bytes::new()));
    crosses(&session.receive());
    crosses(&session.sign_out());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_read_has_as_long_as_it_has_to_answer() {
    let (session, _far) = session(64);
    let begin = now();
    let error = session.send(request(1, 1000)).await.unwrap_err();
    assert_eq!(now() - begin, Rules::ANSWER_WITHIN);
    let lost = SessionError::Lost("it does not read".into());
    assert_eq!(error, lost.clone().into());
    let (sender, mut receiver) = session.split();
    assert_eq!(receiver.receive().await, Err(lost.clone()));
    assert_eq!(sender.send(request(2, 0)).await, Err(lost.into()));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_talks_and_does_not_read_is_found_out_all_the_same() {
    let (session, mut far) = session(64);
    let (sender, mut receiver) = session.split();
    sender.refresh();
    let talker = tokio::spawn(async move {
        for at in 0.. {
            if far.write_all(&request(at, 0)).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(700)).await;
        }
    });
    let begin = now();
    let mut heard = 0;
    let error = loop {
        match receiver.receive().await {
            Ok(_) => heard += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error, SessionError::Lost("it does not read".into()));
    assert_eq!(now() - begin, Rules::ANSWER_WITHIN);
    assert!(heard > 10, "what it said came through: {heard}");
    let end = tokio::time::timeout(Duration::from_secs(60), talker).await;
    end.expect("it is closed").unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_send_leaves_whole_messages_only() {
    let (session, mut far) = session(64);
    let (sender, mut receiver) = session.split();
    // The peer reads ten bytes each millisecond; each send is given up in the middle.
    let reader = tokio::spawn(async move {
        let mut read = Vec::new();
        let mut piece = [0; 10];
        loop {
            tokio::time::sleep(Duration::from_millis(1)).await;
            match far.read(&mut piece).await {
                Ok(0) | Err(_) => return read,
                Ok(count) => read.extend_from_slice(&piece[..count]),
            }
        }
    });
    let mut done = 0;
    for number in 0..20 {
        let sending = sender.send(request(number, 200 + number));
        let sent = tokio::time::timeout(Duration::from_millis(7), sending).await;
        done += usize::from(sent.is_ok());
    }
    assert_eq!(done, 0, "every one was cancelled");
    // The receiver writes what was left.
    let wait = tokio::time::timeout(Duration::from_secs(1), receiver.receive()).await;
    assert!(wait.is_err(), "{wait:?}");
    sender.send(request(99, 0)).await.unwrap();
    let wait = tokio::time::timeout(Duration::from_secs(1), receiver.receive()).await;
    assert!(wait.is_err(), "{wait:?}");
    drop((sender, receiver));
    let read = reader.await.unwrap();
    let mut input = &read[..];
    let mut reader = sip_signin::sip::MessageReader::default();
    let mut came = Vec::new();
    while let Some(message) = reader.read(&mut input).unwrap() {
        came.push(number(&message));
    }
    assert_eq!(reader.held(), 0, "nothing is cut");
    assert!(came.len() >= 2 && came.len() < 21, "{came:?}");
    assert_eq!(came.last().unwrap(), "call-99");
    let numbers: Vec<usize> = came.iter().map(|c| c[5..].parse().unwrap()).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_is_dropped_while_somebody_sends_closes_behind_the_message() {
    let (session, mut far) = session(64);
    let (sender, receiver) = session.split();
    let sending = tokio::spawn({
        let sender = sender.clone();
        async move { sender.send(request(1, 1000)).await }
    });
    tokio::time::sleep(Duration::from_millis(1)).await;
    drop(receiver);
    let mut read = Vec::new();
    let end = tokio::time::timeout(Duration::from_secs(60), far.read_to_end(&mut read)).await;
    assert!(end.is_ok(), "it is not closed");
    assert_eq!(read, request(1, 1000), "as a whole, and then the end");
    assert_eq!(sending.await.unwrap(), Ok(()));
    assert!(matches!(sender.send(request(2, 0)).await, Err(SendError::Over(_))));
}

#[tokio::test(start_paused = true)]
async fn a_send_that_is_given_up_after_the_receiver_was_dropped_closes_all_the_same() {
    let (session, mut far) = session(64);
    let (sender, receiver) = session.split();
    let mut receiver = Some(receiver);
    let sending = async {
        let sent = tokio::time::timeout(Duration::from_secs(1), sender.send(request(1, 1000)));
        assert!(sent.await.is_err());
    };
    let dropping = async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        receiver = None;
    };
    tokio::join!(sending, dropping);
    let mut read = Vec::new();
    let end = tokio::time::timeout(Duration::from_secs(60), far.read_to_end(&mut read)).await;
    assert!(end.is_ok(), "it is not closed, although a sender is kept");
    assert!(
        receiver.is_none() && matches!(sender.send(request(2, 0)).await, Err(SendError::Over(_)))
    );
}

#[tokio::test(start_paused = true)]
async fn a_message_may_come_byte_by_byte_and_the_receiver_be_cancelled_between() {
    let (session, mut far) = session(64);
    let (_sender, mut receiver) = session.split();
    tokio::spawn(async move {
        for byte in request(1, 10) {
            far.write_all(&[byte]).await.unwrap();
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        std::future::pending::<()>().await;
    });
    for _ in 0..1000 {
        let wait = tokio::time::timeout(Duration::from_millis(300), receiver.receive()).await;
        if let Ok(received) = wait {
            assert_eq!(number(&received.unwrap().unwrap().message), "call-1");
            return;
        }
    }
    panic!("it never came");
}

#[tokio::test(start_paused = true)]
async fn a_session_that_nobody_polls_sends_nothing_and_a_peer_that_closes_is_noticed() {
    let (mut session, mut far) = session(4096);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let mut bytes = [0; 4096];
    let read = tokio::time::timeout(Duration::ZERO, far.read(&mut bytes)).await;
    assert!(read.is_err(), "{read:?}");
    // Late is better than never: the refresh comes first.
    let wait = tokio::time::timeout(Duration::from_secs(1), session.receive()).await;
    assert!(wait.is_err(), "{wait:?}");
    let count = far.read(&mut bytes).await.unwrap();
    assert!(bytes[..count].starts_with(b"REGISTER sip:contoso.com"));
    drop(far);
    let error = session.receive().await.unwrap_err();
    assert_eq!(error, SessionError::Lost("closed by the server".into()));
    assert!(matches!(session.send(request(1, 0)).await, Err(SendError::Over(_))));
}

/// A server that answers each word with one, for as long as a long binding lasts.
#[tokio::test(start_paused = true)]
async fn keep_alives_with_time_between_them_are_not_counted_together() {
    let (mut session, mut far) = session(1 << 20);
    let talker = tokio::spawn(async move {
        for _ in 0..Limits::KEEP_ALIVES {
            tokio::time::sleep(Duration::from_millis(100)).await;
            far.write_all(b"\r\n\r\n").await.unwrap();
        }
        far.write_all(&request(1, 0)).await.unwrap();
        far
    });
    let received = session.receive().await.unwrap().expect("nobody signs out");
    assert_eq!(number(&received.message), "call-1");
    talker.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn no_more_is_held_than_one_message_and_what_is_read_at_once() {
    let (mut session, mut far) = session(1 << 20);
    // A head that never ends, and a body that is too long.
    for flood in ["X: y\r\n".repeat(100_000), format!("l: {}\r\n\r\n", Limits::BODY + 1)] {
        let (mut flooded, mut far) = self::session(1 << 20);
        far.write_all(b"SIP/2.0 200 OK\r\n").await.unwrap();
        far.write_all(flood.as_bytes()).await.unwrap();
        let error = flooded.receive().await.unwrap_err();
        assert!(matches!(error, SessionError::Garbage(_)), "{error}");
    }
    // Keep-alives for ever are nothing.
    for _ in 0..10 {
        far.write_all(&b"\r\n\r\n".repeat(200)).await.unwrap();
        far.write_all(&request(1, 0)).await.unwrap();
        assert!(session.receive().await.unwrap().is_some());
    }
}
