//! The ready-made resolver against DNS servers that are silent, absent, broken or lying.
#![cfg(feature = "hickory")]
#![expect(clippy::disallowed_methods, reason = "broken servers listen too, and are timed")]

mod dns_server;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use dns_server::{DnsServer, NO_DATA, NO_SUCH_NAME, Reply, ask, found, host, name, resolver, srv};
use hickory_proto::op::{Message, ResponseCode};
use sip_signin::discovery::LookupFailure;
use sip_signin::net::HickoryResolver;
use sip_signin::{Resolver, SrvName};
use tokio::net::UdpSocket;

/// A lost datagram costs a quarter of a second, and a plan's five seconds are never reached.
#[tokio::test(start_paused = true)]
async fn a_silent_server_is_asked_four_times_and_has_then_timed_out() {
    let begun = tokio::time::Instant::now();
    let (tell, told) = std::sync::mpsc::channel();
    let server = DnsServer::new(move |_| {
        // The clock of this test stands still while there is anything to do.
        tell.send(begun.elapsed().as_millis() / 50).unwrap();
        None
    })
    .await;
    assert_eq!(ask(&resolver(&[&server])).await, Err(LookupFailure::TimedOut));
    assert_eq!(told.try_iter().collect::<Vec<_>>(), [0, 250 / 50, 750 / 50, 1750 / 50]);
    assert_eq!(begun.elapsed().as_millis() / 50, 3750 / 50);
}

#[tokio::test]
async fn a_lost_datagram_is_sent_again() {
    let asked = AtomicUsize::new(0);
    let server =
        DnsServer::new(move |_| (asked.fetch_add(1, Ordering::Relaxed) > 0).then(Reply::no_data))
            .await;
    assert_eq!(ask(&resolver(&[&server])).await, NO_DATA);
    assert!(server.asked().len() > 1);
}

#[tokio::test]
async fn where_no_server_is_the_lookup_fails_at_once() {
    let nobody = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let begun = Instant::now();
    let resolver = HickoryResolver::with_servers([nobody]);
    assert_eq!(ask(&resolver).await, Err(LookupFailure::Unreachable));
    assert_eq!(ask(&HickoryResolver::with_servers([])).await, Err(LookupFailure::Unreachable));
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn another_server_mends_what_the_first_could_not() {
    let good = DnsServer::always(Reply::no_such_name()).await;
    for bad in [Some(ResponseCode::ServFail), Some(ResponseCode::Refused), None] {
        let bad = DnsServer::new(move |_| bad.map(Reply::code)).await;
        assert_eq!(ask(&resolver(&[&bad, &good])).await, NO_SUCH_NAME);
        assert_eq!(good.asked().len(), 1);
        assert_eq!(ask(&resolver(&[&good, &bad])).await, NO_SUCH_NAME);
        assert_eq!(good.asked().len(), 1);
    }
    let bad = DnsServer::always(Reply::code(ResponseCode::ServFail)).await;
    let nobody = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let both = HickoryResolver::with_servers([nobody, bad.address]);
    assert_eq!(ask(&both).await, Err(LookupFailure::ServerFailure));
}

/// Answers each datagram with what `say` makes of it.
async fn raw_server(say: impl Fn(Message) -> Vec<Vec<u8>> + Send + 'static) -> HickoryResolver {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 1500];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            for datagram in say(Message::from_vec(&buffer[..length]).unwrap()) {
                socket.send_to(&datagram, from).await.unwrap();
            }
        }
    });
    HickoryResolver::with_servers([address])
}

fn absence(question: &Message) -> Message {
    let mut answer = question.clone().into_response();
    answer.metadata.response_code = ResponseCode::NXDomain;
    answer
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_malformed() {
    let resolver = raw_server(|question| {
        let mut bytes = absence(&question).to_vec().unwrap();
        bytes.truncate(20);
        vec![bytes]
    })
    .await;
    assert_eq!(ask(&resolver).await, Err(LookupFailure::Malformed));
}

#[tokio::test]
async fn a_truncated_answer_without_tcp_is_a_failure_that_says_so() {
    let resolver = raw_server(|question| {
        let mut answer = absence(&question);
        answer.metadata.truncation = true;
        let mut bytes = answer.to_vec().unwrap();
        bytes.truncate(20);
        vec![bytes]
    })
    .await;
    match ask(&resolver).await {
        Err(LookupFailure::Other(text)) => assert!(text.raw().contains("tcp"), "{text}"),
        other => panic!("{other:?}"),
    }
}

/// RFC 5452 section 9.1: what does not match the question is as if it had not come.
#[tokio::test]
async fn what_answers_another_question_is_not_heard() {
    let resolver = raw_server(|question| {
        let spoofed = |change: fn(&mut Message)| {
            let mut answer = question.clone().into_response();
            answer.metadata.authoritative = true;
            change(&mut answer);
            answer.to_vec().unwrap()
        };
        vec![
            b"short".to_vec(),
            question.to_vec().unwrap(),
            spoofed(|m| m.metadata.id = m.metadata.id.wrapping_add(1)),
            spoofed(|m| m.queries[0].name = name("_sip._tls.cpandl.com.")),
            spoofed(|m| m.queries.clear()),
            absence(&question).to_vec().unwrap(),
        ]
    })
    .await;
    assert_eq!(ask(&resolver).await, NO_SUCH_NAME);
}

/// RFC 6891 section 7: a server that knows no EDNS says FORMERR, and is asked again without.
#[tokio::test]
async fn a_server_without_edns_is_asked_without_it() {
    let resolver = raw_server(|question| {
        let mut answer = absence(&question);
        if answer.edns.take().is_some() {
            answer.metadata.response_code = ResponseCode::FormErr;
            answer.queries.clear();
        }
        vec![answer.to_vec().unwrap()]
    })
    .await;
    assert_eq!(ask(&resolver).await, NO_SUCH_NAME);
}

/// Many tasks at once, each with its own question.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_tasks_share_one_resolver() {
    let server = DnsServer::new(|question| {
        let owner = question.strip_prefix("SRV ")?;
        let n = owner.strip_prefix("_sip._tls.d")?.strip_suffix(".example.")?;
        Some(Reply::answers([srv(owner, 0, 0, n.parse().ok()?, "sip.contoso.com.")]))
    })
    .await;
    let resolver = resolver(&[&server]);
    let tasks: Vec<_> = (0..64u16)
        .map(|n| {
            let resolver = resolver.clone();
            let domain = host(&format!("d{n}.example"));
            let question = SrvName::new("_sip._tls", &domain).unwrap();
            tokio::spawn(async move { (n, resolver.srv(&question).await) })
        })
        .collect();
    for task in tasks {
        let (n, answer) = task.await.unwrap();
        assert_eq!(found(answer).records[0].port, n);
    }
}
