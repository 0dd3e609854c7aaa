//! The driver against a real deployment on loopback: one typed outcome for every fault.
#![expect(clippy::disallowed_methods, reason = "the judge holds the clock and spawns the callers")]

use std::time::{Duration, Instant};

use sip_signin::discovery::{
    Cause, CertificateFault, ClearText, ConnectFailure, Fault as Blame, LookupFailure, Pace,
    Protocol, Search, SearchBuilder, Timeouts,
};
use sip_signin::lab::{Answer as LabAnswer, DnsFault, Fault, Lab, LabBuilder, Server, SipFault};
use sip_signin::lab::{TcpFault, TlsFault};
use sip_signin::sip::{Answer, Scheme};
use sip_signin::{Challenged, Client, SignInFailure, SignInFailureKind, SipAddress};

const SRV: &str = "_sip._tls.contoso.com";

fn address() -> SipAddress {
    "sip:jeremy@contoso.com".parse().unwrap()
}

/// Time-outs that a test can sit through.
fn impatient() -> SearchBuilder {
    Search::builder().timeouts(Timeouts {
        lookup: Duration::from_millis(600),
        connect: Duration::from_millis(600),
        search: Duration::from_secs(3),
    })
}

fn client(lab: &Lab, search: SearchBuilder) -> Client {
    lab.client().search(search.build().unwrap()).answer_within(Duration::from_millis(600)).build()
}

async fn challenge(lab: LabBuilder, search: SearchBuilder) -> Result<Challenged, SignInFailure> {
    let lab = lab.start().await.unwrap();
    client(&lab, search).challenge(&address()).await
}

/// A deployment of one Edge server, broken.
fn broken_edge(fault: Fault) -> LabBuilder {
    let edge = Server::tls("sip.contoso.com").port(443);
    let lab = Lab::builder().domain("contoso.com");
    match fault {
        Fault::Dns(fault) => lab.external(edge).dns_fault(SRV, fault),
        fault => lab.external(edge.fault(fault)),
    }
}

/// Whether a fault shows only to a client that has proved who it is.
fn shows_later(fault: Fault) -> bool {
    [SipFault::NoSignature, SipFault::WrongSignature].map(Fault::Sip).contains(&fault)
}

/// What each fault of the only server must end in.
fn is_right(fault: Fault, failure: &SignInFailure) -> bool {
    use CertificateFault as Certificate;
    use SignInFailureKind::{NoServer, Refused, Unauthenticated};
    let refused = |wanted: u16| match failure.kind() {
        Refused(_, refusal) => refusal.status == wanted,
        _ => false,
    };
    if let Fault::Sip(fault) = fault {
        match fault {
            SipFault::Forbidden => return refused(403),
            SipFault::NotFound => return refused(404),
            SipFault::Unchallenged => return matches!(failure.kind(), Unauthenticated(_)),
            _ => {}
        }
    }
    let NoServer { cause, refusals } = failure.kind() else { return false };
    let unreachable =
        |wanted: ConnectFailure| matches!(cause, Cause::Unreachable(_, why) if *why == wanted);
    let lookup =
        |wanted: LookupFailure| matches!(cause, Cause::LookupFailed(_, why) if *why == wanted);
    let certificate =
        |wanted: Certificate| matches!(cause, Cause::Certificate(_, why) if *why == wanted);
    let answer = |wanted: &str| matches!(cause, Cause::Answer(_, why) if why.to_string().starts_with(wanted));
    match fault {
        // No record at all, and no host of the fallback exists in this deployment.
        Fault::Dns(DnsFault::NoData | DnsFault::NoSuchName) => {
            matches!(cause, Cause::NoRecords(_))
        }
        Fault::Dns(DnsFault::Garbage | DnsFault::OtherOwner) => {
            lookup(LookupFailure::Malformed) || lookup(LookupFailure::TimedOut)
        }
        Fault::Dns(DnsFault::Refused) => lookup(LookupFailure::Refused),
        Fault::Dns(DnsFault::ServerFailure) => lookup(LookupFailure::ServerFailure),
        Fault::Dns(DnsFault::Silent) => lookup(LookupFailure::TimedOut),
        Fault::Tcp(TcpFault::BlackHole | TcpFault::Silent) => unreachable(ConnectFailure::TimedOut),
        Fault::Tcp(TcpFault::Close | TcpFault::Reset) => {
            unreachable(ConnectFailure::ClosedBeforeTls)
        }
        Fault::Tcp(TcpFault::Refused) => unreachable(ConnectFailure::Refused),
        Fault::Tls(TlsFault::CertificateExpired) => certificate(Certificate::Expired),
        Fault::Tls(TlsFault::CertificateNotYetValid) => certificate(Certificate::NotYetValid),
        Fault::Tls(TlsFault::CertificateUntrusted) => certificate(Certificate::Untrusted),
        Fault::Tls(TlsFault::CertificateWithoutNames) => {
            certificate(Certificate::NoSubjectAlternativeName)
        }
        Fault::Tls(TlsFault::CertificateWrongName) => {
            certificate(Certificate::WrongName(vec!["other.example".into()]))
        }
        Fault::Tls(TlsFault::Garbage) => {
            matches!(cause, Cause::Tls(_, ConnectFailure::Handshake(_)))
        }
        Fault::Tls(TlsFault::Stall) => unreachable(ConnectFailure::TimedOut),
        Fault::Tls(TlsFault::TooOld | TlsFault::TooOldHello) => {
            matches!(cause, Cause::Tls(_, ConnectFailure::PeerTooOld))
        }
        Fault::Sip(SipFault::Busy) => {
            let retry_after = Some(Duration::from_secs(30));
            answer("503") && refusals.len() == 1 && failure.retry_after() == retry_after
        }
        Fault::Sip(SipFault::Close | SipFault::CloseMidAnswer) => answer("closed"),
        Fault::Sip(SipFault::EndlessHeaders | SipFault::Garbage) => answer("garbage"),
        Fault::Sip(SipFault::ForeignCallId | SipFault::Silent | SipFault::Slow) => {
            answer("no answer in time")
        }
        Fault::Sip(SipFault::NoChallenge) => answer("401"),
        other => panic!("{other} has no expected outcome"),
    }
}

#[tokio::test]
async fn every_fault_of_the_only_server_ends_in_its_typed_outcome_and_in_time() {
    for fault in Fault::all() {
        let harmless = [DnsFault::Slow, DnsFault::Truncated].map(Fault::Dns).contains(&fault)
            || shows_later(fault);
        let begun = Instant::now();
        let outcome = challenge(broken_edge(fault), impatient()).await;
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(4), "{fault} took {took:?}");
        match outcome {
            Ok(_) => assert!(harmless, "{fault} was overlooked"),
            Err(failure) => {
                assert!(is_right(fault, &failure), "{fault}: {failure}\n{}", failure.trace());
            }
        }
    }
}

#[tokio::test]
async fn a_fault_that_another_server_may_mend_is_mended_by_the_next() {
    for fault in Fault::all() {
        let mendable = match fault {
            fault if shows_later(fault) => false,
            Fault::Dns(_) => false,
            Fault::Sip(fault) => {
                use SipFault::{Forbidden, NotFound, Unchallenged};
                ![Forbidden, NotFound, Unchallenged].contains(&fault)
            }
            Fault::Tcp(_) | Fault::Tls(_) => true,
            other => panic!("{other} has no expected outcome"),
        };
        if !mendable {
            continue;
        }
        let lab = Lab::builder()
            .domain("contoso.com")
            .internal(Server::tls("pool01.contoso.com").fault(fault))
            .external(Server::tls("sip.contoso.com").port(443));
        match challenge(lab, impatient()).await {
            Ok(challenged) => {
                assert_eq!(challenged.endpoint.to_string(), "tls sip.contoso.com:443", "{fault}");
            }
            Err(failure) => panic!("{fault}: {failure}\n{}", failure.trace()),
        }
    }
}

#[tokio::test]
async fn no_sip_leaves_before_the_certificate_is_accepted_and_none_in_clear_text() {
    for &fault in TlsFault::ALL {
        // Clear text is allowed, offered and open, and still must not be used.
        let lab = Lab::builder()
            .domain("contoso.com")
            .internal(Server::tls("pool01.contoso.com").fault(fault))
            .internal(Server::tcp("pool01.contoso.com"))
            .start()
            .await
            .unwrap();
        let search = impatient().clear_text(ClearText::Allow);
        let outcome = client(&lab, search).challenge(&address()).await;
        let seen = lab.seen();
        let tls = seen.iter().filter(|seen| seen.address.port() == 5061);
        assert!(tls.clone().count() > 0, "{fault}: nothing was tried");
        assert!(tls.clone().all(|seen| seen.sip.is_empty() && !seen.in_clear()), "{fault}");
        // A stall shows no more than a black hole does: R5 leaves clear text for a time-out.
        if fault != TlsFault::Stall {
            assert!(outcome.is_err(), "{fault}: signed in over {seen:?}");
            assert!(seen.iter().all(|seen| seen.address.port() == 5061), "{fault}: {seen:?}");
        }
    }
}

#[tokio::test]
async fn clear_text_is_used_where_it_is_allowed_and_no_tls_server_shows_itself() {
    let lab = || {
        Lab::builder()
            .domain("contoso.com")
            .internal(Server::tls("pool01.contoso.com").fault(TcpFault::Refused))
            .internal(Server::tcp("pool01.contoso.com"))
    };
    let allowed = challenge(lab(), impatient().clear_text(ClearText::Allow)).await.unwrap();
    assert_eq!(allowed.endpoint.protocol, Protocol::Tcp);
    assert_eq!(allowed.channel.facts().tls, None);

    let forbidden = lab().start().await.unwrap();
    assert!(client(&forbidden, impatient()).challenge(&address()).await.is_err());
    assert!(forbidden.seen().iter().all(|seen| !seen.in_clear()));
    let asked = forbidden.questions();
    assert!(!asked.is_empty());
    assert!(asked.iter().all(|question| !question.name.starts_with("_sipinternal._tcp")));
}

#[tokio::test]
async fn the_challenge_names_every_scheme_with_its_realm_target_and_version() {
    let challenged = challenge(Lab::ordinary("contoso.com"), impatient()).await.unwrap();
    let Answer::Challenged { challenges, .. } = &challenged.answer else {
        panic!("{:?}", challenged.answer);
    };
    let shown: Vec<_> = challenges
        .iter()
        .map(|c| (c.scheme().clone(), c.realm(), c.target_name(), c.version()))
        .collect();
    let realm = Some("SIP Communications Service");
    assert_eq!(
        shown,
        [
            (Scheme::Ntlm, realm, Some("pool01.contoso.com"), 4),
            (Scheme::Kerberos, realm, Some("sip/pool01.contoso.com"), 4),
        ]
    );
    let tls = challenged.channel.facts().tls.as_ref().unwrap();
    assert_eq!(tls.version.to_string(), "TLS 1.3");
    assert_eq!(*tls.names, ["pool01.contoso.com".into()]);
}

#[tokio::test]
async fn a_name_that_the_rule_refuses_is_neither_asked_for_nor_connected_to() {
    let lab = Lab::builder()
        .domain("contoso.com")
        .server(Server::tls("sip.contoso.net").address([192, 0, 2, 66]))
        .srv("_sip._tls.contoso.com", 0, 0, 5061, "sip.contoso.net")
        .start()
        .await
        .unwrap();
    let failure = client(&lab, impatient()).challenge(&address()).await.unwrap_err();
    let SignInFailureKind::NoServer { cause: Cause::Refused(refusal), .. } = failure.kind() else {
        panic!("{failure}");
    };
    assert_eq!(refusal.host.as_str(), "sip.contoso.net");
    assert!(lab.seen().is_empty());
    assert!(lab.questions().iter().all(|question| !question.name.contains("contoso.net")));
}

#[tokio::test]
async fn a_server_that_asks_for_nothing_is_taken_only_where_that_is_allowed() {
    let lab = broken_edge(SipFault::Unchallenged.into()).start().await.unwrap();
    let client = lab.client().allow_unauthenticated(true).build();
    let challenged = client.challenge(&address()).await.unwrap();
    assert_eq!(challenged.answer, Answer::Unauthenticated);
}

#[tokio::test]
async fn a_redirect_before_authentication_and_a_refusal_end_the_search_with_their_words() {
    let with = |answer: LabAnswer| {
        Lab::builder()
            .domain("contoso.com")
            .internal(Server::tls("pool01.contoso.com").answer(answer))
            .external(Server::tls("sip.contoso.com").port(443))
    };
    let to = LabAnswer::redirect(["<sip:pool02.contoso.com:5061;transport=TLS>"]);
    let failure = challenge(with(to), impatient()).await.unwrap_err();
    assert!(matches!(failure.kind(), SignInFailureKind::Redirected(_, to) if to.len() == 1));

    let diagnostics =
        r#"ms-diagnostics: 4004;source="pool01";reason="Credentials provided are not authorized""#;
    let no = LabAnswer::status(403, "Forbidden").header(diagnostics);
    let failure = challenge(with(no), impatient()).await.unwrap_err();
    let SignInFailureKind::Refused(endpoint, refusal) = failure.kind() else {
        panic!("{failure}");
    };
    assert_eq!(endpoint.to_string(), "tls pool01.contoso.com:5061");
    assert_eq!(refusal.diagnostics.as_ref().unwrap().error_id, 4004);
    assert_eq!(failure.fault(), Blame::Server);
}

#[tokio::test]
async fn dropping_the_future_at_any_point_leaves_no_connection_open() {
    let lab = Lab::ordinary("contoso.com").start().await.unwrap();
    let client = client(&lab, impatient());
    let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let mut finished = 0;
    for microseconds in (0..6000).step_by(200) {
        let limit = Duration::from_micros(microseconds);
        finished +=
            usize::from(tokio::time::timeout(limit, client.challenge(&address())).await.is_ok());
    }
    // Some must have been cut off while connected for this to show anything.
    let _ = client.challenge(&address()).await.unwrap();
    assert!(lab.seen().len() > finished);
    let all_closed = || lab.seen().iter().all(|seen| seen.closed);
    for _ in 0..200 {
        if all_closed() && tokio::runtime::Handle::current().metrics().num_alive_tasks() <= tasks {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("still open: {:?}", lab.seen().iter().filter(|seen| !seen.closed).count());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_client_serves_many_tasks() {
    let lab = Lab::ordinary("contoso.com").start().await.unwrap();
    // One at a time, because a busy machine may take longer for a handshake than a head start.
    let client = client(&lab, Search::builder().pace(Pace::ONE_AT_A_TIME));
    let tasks: Vec<_> = (0..50)
        .map(|n| {
            let (client, address) = (client.clone(), format!("user{n}@contoso.com"));
            tokio::spawn(async move { client.challenge(&address.parse().unwrap()).await })
        })
        .collect();
    for task in tasks {
        let challenged = task.await.unwrap().unwrap();
        assert_eq!(challenged.endpoint.to_string(), "tls pool01.contoso.com:5061");
    }
}
