//! The lab's DNS server, judged by hand-made questions and by hickory's resolver.
#![expect(clippy::disallowed_methods, reason = "a judge from outside asks by itself")]

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use sip_signin::lab::{DnsFault, Lab, LabBuilder, LabError, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant, timeout};

const INTERNAL: &str = "_sipinternaltls._tcp.contoso.com";
/// How long silence is listened to; less than the delay of a slow answer.
const A_WHILE: Duration = Duration::from_millis(300);
/// When what must happen has not happened.
const TOO_LONG: Duration = Duration::from_secs(5);

use RecordType::{A, AAAA, SOA, SRV};

fn question(kind: RecordType, name: &str) -> Vec<u8> {
    let mut name = Name::from_ascii(name).unwrap();
    name.set_fqdn(true);
    let mut query = Message::query();
    query.metadata.recursion_desired = true;
    query.add_query(Query::query(name, kind));
    query.to_vec().unwrap()
}

/// The packet that answers over UDP; `None` for silence.
async fn packet(lab: &Lab, kind: RecordType, name: &str, patience: Duration) -> Option<Vec<u8>> {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(lab.dns()).await.unwrap();
    socket.send(&question(kind, name)).await.unwrap();
    let mut packet = vec![0; 65_535];
    let length = timeout(patience, socket.recv(&mut packet)).await.ok()?.unwrap();
    packet.truncate(length);
    Some(packet)
}

async fn over_udp(lab: &Lab, kind: RecordType, name: &str) -> Message {
    Message::from_vec(&packet(lab, kind, name, TOO_LONG).await.expect("an answer")).unwrap()
}

async fn over_tcp(lab: &Lab, kind: RecordType, name: &str) -> Message {
    let question = question(kind, name);
    let mut stream = TcpStream::connect(lab.dns()).await.unwrap();
    stream.write_u16(question.len() as u16).await.unwrap();
    stream.write_all(&question).await.unwrap();
    let mut packet = vec![0; usize::from(stream.read_u16().await.unwrap())];
    stream.read_exact(&mut packet).await.unwrap();
    Message::from_vec(&packet).unwrap()
}

fn shown<'a>(records: impl IntoIterator<Item = &'a RData>) -> Vec<String> {
    records.into_iter().map(ToString::to_string).collect()
}

fn resolver(lab: &Lab, patience: Duration) -> TokioResolver {
    let mut connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
    connections.iter_mut().for_each(|connection| connection.port = lab.dns().port());
    let server = NameServerConfig::new(lab.dns().ip(), true, connections.into());
    let config = ResolverConfig::from_parts(None, vec![], vec![server]);
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    builder.options_mut().timeout = patience;
    builder.options_mut().attempts = 0;
    builder.build().unwrap()
}

#[tokio::test]
async fn the_ordinary_deployment_is_published_as_the_articles_say() {
    let lab = Lab::start().await.unwrap();
    let resolver = resolver(&lab, TOO_LONG);
    for (service, record) in [
        ("_sipinternaltls._tcp", "0 0 5061 pool01.contoso.com."),
        ("_sipinternal._tcp", "0 0 5060 pool01.contoso.com."),
        ("_sip._tls", "0 0 443 sip.contoso.com."),
    ] {
        let found = resolver.lookup(format!("{service}.contoso.com."), SRV).await.unwrap();
        assert_eq!(shown(found.answers().iter().map(|r| &r.data)), [record]);
    }
    let found = resolver.lookup("sip.contoso.com.", A).await.unwrap();
    assert_eq!(shown(found.answers().iter().map(|r| &r.data)), ["192.0.2.11"]);
    let asked: Vec<_> = lab.questions().iter().map(ToString::to_string).collect();
    assert_eq!(
        asked,
        [
            "SRV _sipinternaltls._tcp.contoso.com",
            "SRV _sipinternal._tcp.contoso.com",
            "SRV _sip._tls.contoso.com",
            "A sip.contoso.com",
        ]
    );
}

#[tokio::test]
async fn absence_is_told_apart_and_proved_by_the_start_of_authority() {
    let lab = Lab::start().await.unwrap();
    use ResponseCode::{NXDomain, NoError};
    for (kind, name, code) in [
        (SRV, "_sip._tcp.contoso.com", NXDomain),
        (A, "sipinternal.contoso.com", NXDomain),
        (A, "below.sip.contoso.com", NXDomain),
        (AAAA, "sip.contoso.com", NoError),
        (A, "contoso.com", NoError),
        // No record of its own, but a name below it. [RFC 8020]
        (SRV, "_tls.contoso.com", NoError),
        (SRV, "_TLS.Contoso.COM", NoError),
    ] {
        for reply in [over_udp(&lab, kind, name).await, over_tcp(&lab, kind, name).await] {
            assert_eq!(reply.metadata.response_code, code, "{kind} {name}");
            assert!(reply.metadata.authoritative && reply.answers.is_empty());
            let authority = reply.authorities.first().unwrap();
            assert_eq!(authority.record_type(), SOA);
            assert_eq!(authority.name.to_string(), "contoso.com.");
        }
    }
    let elsewhere = over_udp(&lab, A, "sip.contoso.net").await;
    assert_eq!(elsewhere.metadata.response_code, ResponseCode::Refused);
    assert!(elsewhere.authorities.is_empty());
    let start = over_udp(&lab, SOA, "contoso.com").await;
    assert_eq!(start.answers.len(), 1);
}

#[tokio::test]
async fn records_are_what_was_said_and_nothing_twice() {
    let lab = Lab::builder()
        .domain("fabrikam.com")
        .internal(Server::tls("a.fabrikam.com").address(Ipv4Addr::new(192, 0, 2, 99)))
        .internal(Server::tls("a.fabrikam.com").address(Ipv6Addr::from_bits(0x2001_0db8 << 96)))
        .srv("_sip._tls.fabrikam.com", 10, 60, 443, "a.fabrikam.com")
        .srv("_sip._tls.fabrikam.com", 0, 0, 0, ".")
        .address("elsewhere.example", Ipv4Addr::new(192, 0, 2, 7))
        .cname("_sipinternal._tcp.fabrikam.com", "_sip._tls.fabrikam.com")
        .cname("loop.fabrikam.com", "loop.fabrikam.com")
        .cname("dangling.fabrikam.com", "nobody.fabrikam.com")
        .cname("outward.fabrikam.com", "elsewhere.example")
        .cname("abroad.fabrikam.com", "somewhere.example")
        .start()
        .await
        .unwrap();
    let answers = async |kind, name: &str| {
        let reply = over_udp(&lab, kind, name).await;
        (reply.metadata.response_code, shown(reply.answers.iter().map(|r| &r.data)))
    };
    let ok = ResponseCode::NoError;
    let list = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
    let internal = answers(SRV, "_sipinternaltls._tcp.fabrikam.com").await;
    assert_eq!(internal, (ok, list(&["0 0 5061 a.fabrikam.com."])));
    assert_eq!(answers(A, "a.fabrikam.com").await, (ok, list(&["192.0.2.99"])));
    assert_eq!(answers(AAAA, "a.fabrikam.com").await, (ok, list(&["2001:db8::"])));
    assert_eq!(answers(A, "elsewhere.example").await, (ok, list(&["192.0.2.7"])));
    let alias = list(&["_sip._tls.fabrikam.com.", "10 60 443 a.fabrikam.com.", "0 0 0 ."]);
    assert_eq!(answers(SRV, "_sipinternal._tcp.fabrikam.com").await, (ok, alias));
    assert_eq!(answers(A, "loop.fabrikam.com").await.0, ResponseCode::ServFail);
    // The code of a chain is that of its end. [RFC 6604]
    let outward = list(&["elsewhere.example.", "192.0.2.7"]);
    assert_eq!(answers(A, "outward.fabrikam.com").await, (ok, outward));
    let abroad = answers(A, "abroad.fabrikam.com").await;
    assert_eq!(abroad, (ok, list(&["somewhere.example."])));
    let dangling = answers(A, "dangling.fabrikam.com").await;
    assert_eq!(dangling, (ResponseCode::NXDomain, list(&["nobody.fabrikam.com."])));
}

#[tokio::test]
async fn addresses_of_targets_come_along_unless_told_otherwise() {
    let second = Server::tls("pool02.contoso.com").address(Ipv6Addr::LOCALHOST);
    for (builder, addresses) in [
        (Lab::ordinary("contoso.com"), vec!["192.0.2.10"]),
        (Lab::ordinary("contoso.com").internal(second), vec!["192.0.2.10", "::1"]),
        (Lab::ordinary("contoso.com").without_additional(), vec![]),
    ] {
        let lab = builder.start().await.unwrap();
        let reply = over_udp(&lab, SRV, INTERNAL).await;
        assert_eq!(shown(reply.additionals.iter().map(|r| &r.data)), addresses);
    }
}

#[tokio::test]
async fn a_large_answer_comes_over_tcp() {
    let many = (0..80).fold(Lab::builder(), |builder, n| {
        builder.srv(INTERNAL, n, 0, 5061, format!("pool{n}.contoso.com"))
    });
    let lab = many.start().await.unwrap();
    let cut = over_udp(&lab, SRV, INTERNAL).await;
    assert!(cut.metadata.truncation && cut.answers.is_empty());
    let found = resolver(&lab, TOO_LONG).lookup(format!("{INTERNAL}."), SRV).await.unwrap();
    assert_eq!(found.answers().len(), 80);
    assert_eq!(lab.questions().iter().filter(|question| question.tcp).count(), 1);
}

async fn with(fault: DnsFault) -> Lab {
    Lab::ordinary("contoso.com").dns_fault(INTERNAL, fault).start().await.unwrap()
}

#[tokio::test]
async fn each_fault_does_what_it_says_and_leaves_other_questions_alone() {
    for &fault in DnsFault::ALL {
        let lab = with(fault).await;
        let good = over_udp(&lab, SRV, "_sip._tls.contoso.com").await;
        assert_eq!(good.answers.len(), 1, "{fault}");
        let began = Instant::now();
        let late = matches!(fault, DnsFault::Silent | DnsFault::Slow);
        let patience = if late { A_WHILE } else { TOO_LONG };
        let packet = packet(&lab, SRV, INTERNAL, patience).await;
        let reply = packet.as_deref().map(Message::from_vec);
        let code = match &reply {
            Some(Ok(reply)) => Some(reply.metadata.response_code),
            _ => None,
        };
        match fault {
            DnsFault::Garbage => assert!(matches!(reply, Some(Err(_)))),
            DnsFault::Silent => assert!(reply.is_none()),
            DnsFault::Slow => {
                assert!(reply.is_none(), "slower than {A_WHILE:?}");
                let late = over_tcp(&lab, SRV, INTERNAL).await;
                assert!(began.elapsed() >= Duration::from_millis(500));
                assert_eq!(late.answers.len(), 1);
            }
            DnsFault::NoData | DnsFault::NoSuchName => {
                let reply = reply.unwrap().unwrap();
                let (no_data, absent) = (ResponseCode::NoError, ResponseCode::NXDomain);
                let expected = if fault == DnsFault::NoData { no_data } else { absent };
                assert_eq!(code, Some(expected));
                assert!(reply.answers.is_empty());
                assert_eq!(reply.authorities.first().unwrap().record_type(), SOA);
            }
            DnsFault::OtherOwner => {
                let reply = reply.unwrap().unwrap();
                let owner = reply.answers.first().unwrap().name.to_string();
                assert_eq!(owner, "attacker.example.");
            }
            DnsFault::Refused => assert_eq!(code, Some(ResponseCode::Refused)),
            DnsFault::ServerFailure => assert_eq!(code, Some(ResponseCode::ServFail)),
            DnsFault::Truncated => {
                assert!(reply.unwrap().unwrap().metadata.truncation);
                let whole = over_tcp(&lab, SRV, INTERNAL).await;
                assert_eq!((whole.metadata.truncation, whole.answers.len()), (false, 1));
            }
            other => panic!("{other} is not tested"),
        }
    }
}

#[tokio::test]
async fn a_resolver_hears_absence_refusal_and_silence() {
    let ask = async |fault| {
        let lab = with(fault).await;
        let patience = if fault == DnsFault::Silent { A_WHILE } else { TOO_LONG };
        resolver(&lab, patience).lookup(format!("{INTERNAL}."), SRV).await
    };
    for (fault, expected) in
        [(DnsFault::NoData, ResponseCode::NoError), (DnsFault::NoSuchName, ResponseCode::NXDomain)]
    {
        let Err(NetError::Dns(DnsError::NoRecordsFound(absence))) = ask(fault).await else {
            panic!("{fault} is an absence")
        };
        assert_eq!(absence.response_code, expected);
        assert!(absence.soa.is_some(), "{fault} is proved");
    }
    for (fault, expected) in [
        (DnsFault::Refused, ResponseCode::Refused),
        (DnsFault::ServerFailure, ResponseCode::ServFail),
    ] {
        let Err(NetError::Dns(DnsError::ResponseCode(code))) = ask(fault).await else {
            panic!("{fault} is a failure")
        };
        assert_eq!(code, expected);
    }
    assert!(matches!(ask(DnsFault::Silent).await, Err(NetError::Timeout)));
    assert_eq!(ask(DnsFault::Truncated).await.unwrap().answers().len(), 1);
}

#[tokio::test]
async fn a_fault_may_befall_one_kind_of_question_and_the_last_one_said_counts() {
    let lab = Lab::ordinary("contoso.com")
        .dns_fault_of("AAAA", "sip.contoso.com", DnsFault::Silent)
        .dns_fault(INTERNAL, DnsFault::Silent)
        .fault(DnsFault::Refused)
        .start()
        .await
        .unwrap();
    assert_eq!(over_udp(&lab, A, "sip.contoso.com").await.answers.len(), 1);
    assert!(packet(&lab, AAAA, "sip.contoso.com", A_WHILE).await.is_none());
    let refused = over_udp(&lab, SRV, INTERNAL).await;
    assert_eq!(refused.metadata.response_code, ResponseCode::Refused);
}

#[tokio::test]
async fn the_delay_is_the_callers() {
    let slow = Lab::ordinary("contoso.com").fault(DnsFault::Slow);
    let lab = slow.dns_delay(Duration::from_millis(20)).start().await.unwrap();
    let began = Instant::now();
    assert_eq!(over_udp(&lab, SRV, INTERNAL).await.answers.len(), 1);
    assert!(began.elapsed() >= Duration::from_millis(20));
}

#[tokio::test]
async fn what_is_no_question_stops_nothing() {
    let lab = Lab::start().await.unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for packet in [&b""[..], b"x", &[0xff; 600]] {
        socket.send_to(packet, lab.dns()).await.unwrap();
    }
    assert!(lab.questions().is_empty());
    assert_eq!(over_udp(&lab, SRV, INTERNAL).await.answers.len(), 1);
}

#[tokio::test]
async fn names_and_kinds_that_dns_cannot_hold_are_errors() {
    let wrong: [fn(LabBuilder) -> LabBuilder; 4] = [
        |b| b.domain("a..b"),
        |b| b.srv("_sip._tls.contoso.com", 0, 0, 443, "x".repeat(64)),
        |b| b.address("x".repeat(300), Ipv4Addr::LOCALHOST),
        |b| b.dns_fault_of("WORDS", INTERNAL, DnsFault::Silent),
    ];
    for wrong in wrong {
        let started = wrong(Lab::builder()).start().await;
        assert!(matches!(started, Err(LabError::Name(_))));
    }
    let alias = Lab::ordinary("contoso.com").cname("sip.contoso.com", "pool01.contoso.com");
    assert!(matches!(alias.start().await, Err(LabError::Alias(_))));
}
