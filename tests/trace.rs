//! The trace as people and programs read it: in print, as data, and as a cause with its advice.

use std::time::{Duration, Instant};

use sip_signin::discovery::{
    Absence, Answer, Cause, CertificateFault, ConnectFailure, DiscoveryPlan, Family, Fault,
    LookupFailure, Search, Seed, SrvAnswer, SrvRecord, Step,
};
use sip_signin::{HostName, WireText};

/// A search of which every part ends as it is told.
struct World {
    srv: Result<Answer<&'static str>, LookupFailure>,
    host: Result<Answer<&'static str>, LookupFailure>,
    connect: Result<(), ConnectFailure>,
    says: &'static str,
}

const NOTHING: Answer<&str> = Answer::Absent(Absence::NoSuchName);

impl Default for World {
    fn default() -> Self {
        Self {
            srv: Ok(Answer::Found("pool01.contoso.com")),
            host: Ok(Answer::Found("192.0.2.1")),
            connect: Ok(()),
            says: "403 Forbidden",
        }
    }
}

impl World {
    #[expect(clippy::disallowed_methods, reason = "a test is a caller: the clock is its own")]
    fn end(self) -> (DiscoveryPlan<()>, Cause) {
        let mut now = Instant::now();
        let address = "sip:jeremy@contoso.com".parse().unwrap();
        let mut plan = DiscoveryPlan::new(&address, &Search::default(), Seed(7), now);
        now += Duration::from_micros(1500);
        loop {
            let outcome = match plan.poll_step(now) {
                Step::LookupSrv(step) if step.name().service() == "_sip._tls" => {
                    step.answer(Ok(Answer::Absent(Absence::NoSuchName)))
                }
                Step::LookupSrv(step) => step.answer(self.srv.clone().map(|answer| match answer {
                    Answer::Found(target) => Answer::Found(SrvAnswer {
                        records: vec![SrvRecord::new(0, 0, 5061, target)],
                        additional: vec![],
                    }),
                    Answer::Absent(absence) => Answer::Absent(absence),
                })),
                Step::LookupHost(step) if step.family() == Family::V6 => {
                    step.answer(Ok(Answer::Absent(Absence::NoData)))
                }
                Step::LookupHost(step) => {
                    step.answer(self.host.clone().map(|answer| match answer {
                        Answer::Found(address) => Answer::Found(vec![address.parse().unwrap()]),
                        Answer::Absent(absence) => Answer::Absent(absence),
                    }))
                }
                Step::Connect(step) => match self.connect.clone() {
                    Ok(()) => step.established(()),
                    Err(failure) => step.failed(failure),
                },
                Step::Connected(connected) => connected.token.final_answer(self.says),
                Step::Exhausted(cause) => return (plan, cause),
                step @ (Step::Wait { .. } | Step::Idle) => panic!("{step:?}"),
            };
            plan.handle(outcome, now);
        }
    }
}

fn refused_certificate(fault: CertificateFault) -> World {
    World { connect: Err(ConnectFailure::Certificate(fault)), ..World::default() }
}

#[test]
fn every_cause_says_whose_fault_it_is_and_what_to_do() {
    use CertificateFault as Certificate;
    let connect = |failure| World { connect: Err(failure), ..World::default() };
    let srv = |srv| World { srv, ..World::default() };
    let table = [
        (refused_certificate(Certificate::Untrusted), Fault::Server, "install the root"),
        (
            refused_certificate(Certificate::WrongName(vec![])),
            Fault::Server,
            "have the server's certificate name",
        ),
        (refused_certificate(Certificate::NotYetValid), Fault::Server, "check the clock"),
        (
            refused_certificate(Certificate::Expired),
            Fault::Server,
            "have the server's certificate renewed",
        ),
        (connect(ConnectFailure::PeerTooOld), Fault::Server, "have the server speak tls 1.2"),
        (connect(ConnectFailure::Handshake("x".into())), Fault::Server, "check that the port"),
        (World::default(), Fault::Server, "ask the server's administrator"),
        (
            srv(Ok(Answer::Found("sip.contoso.net"))),
            Fault::Dns,
            "check the sign-in address; if the server is right",
        ),
        (srv(Err(LookupFailure::ServerFailure)), Fault::Network, "check the network and its dns"),
        (connect(ConnectFailure::Refused), Fault::Network, "check the network and the firewall"),
        (
            World { host: Ok(NOTHING), ..World::default() },
            Fault::Dns,
            "have the dns records corrected",
        ),
        (srv(Ok(Answer::Found("_x.contoso.com"))), Fault::Dns, "have the dns records corrected"),
        (srv(Ok(Answer::Found("."))), Fault::Dns, "check the sign-in address; if it is right"),
        (
            World { srv: Ok(NOTHING), host: Ok(NOTHING), ..World::default() },
            Fault::Dns,
            "check the sign-in address; if it is right, enter the servers by hand",
        ),
    ];
    for (world, fault, advice) in table {
        let (plan, cause) = world.end();
        assert_eq!(cause.fault(), fault, "{cause}");
        assert!(cause.advice().starts_with(advice), "{cause}: {}", cause.advice());
        assert_eq!(plan.trace().cause(), cause);
    }
}

#[test]
fn a_fault_names_whose_it_is() {
    for (fault, shown) in [
        (Fault::Dns, "the domain's dns records"),
        (Fault::Input, "the sign-in address or the settings"),
        (Fault::Library, "this library"),
        (Fault::Machine, "this machine"),
        (Fault::Network, "the network"),
        (Fault::Server, "the server"),
    ] {
        assert_eq!(fault.to_string(), shown);
    }
}

#[test]
fn print_is_exact_to_be_read_back_and_rounded_to_be_read() {
    let (plan, _) = World::default().end();
    let exact = plan.trace().to_string();
    assert!(exact.contains("\nseed     7\n+1.5ms > srv "), "{exact}");
    assert!(exact.ends_with(
        "> exhausted\n  because  tls pool01.contoso.com:5061 answered: 403 Forbidden\n"
    ));
    let round = format!("{:#}", plan.trace());
    assert!(round.contains("\n     1 ms  > srv "), "{round}");
    assert!(!round.contains("seed") && !round.contains("because"), "{round}");
    assert!(round.ends_with("     1 ms  > exhausted\n"), "{round}");
}

#[test]
fn a_trace_serialises_with_names_as_text() {
    let (plan, _) = refused_certificate(CertificateFault::Expired).end();
    let json = serde_json::to_value(plan.trace()).unwrap();
    assert_eq!(json["address"], "sip:jeremy@contoso.com");
    assert_eq!(json["seed"], 7);
    assert_eq!(json["search"]["place"]["automatic"]["name"], "communicator");
    let events = json["events"].as_array().unwrap();
    assert_eq!(events.len(), plan.trace().events().count());
    assert_eq!(events[0]["entry"]["asked-srv"], "_sipinternaltls._tcp.contoso.com");
    let ended = events.iter().find_map(|event| event["entry"].get("connect-ended")).unwrap();
    assert_eq!(ended[0]["host"], "pool01.contoso.com");
    assert_eq!(ended[0]["protocol"], "tls");
    assert_eq!(ended[1], "192.0.2.1");
    assert_eq!(ended[2]["Err"]["certificate"], "expired");
    let text = serde_json::to_value(WireText::new("a\u{1b}b")).unwrap();
    assert_eq!(text, r"a\u{1b}b");
    let name = serde_json::to_value(HostName::parse("SIP.contoso.com").unwrap()).unwrap();
    assert_eq!(name, "sip.contoso.com");
}
