//! `Client::survey` goes on where a sign-in stops: every server, every address, every problem; and
//! it connects to nothing that a search would not connect to.

use sip_signin::discovery::{ClearText, Fault, Search};
use sip_signin::lab::{Answer, Compresses, Lab, LabBuilder, Server, SipFault, TcpFault, TlsFault};
use sip_signin::{Client, SipAddress, Survey};

fn jeremy() -> SipAddress {
    "sip:jeremy@contoso.com".parse().unwrap()
}

async fn survey(lab: &Lab) -> Survey {
    lab.client().build().survey(&jeremy()).await.unwrap()
}

async fn started(builder: LabBuilder) -> Lab {
    builder.start().await.unwrap()
}

fn problems(survey: &Survey) -> Vec<String> {
    survey.problems().iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn what_is_broken_behind_a_good_server_is_seen_too() {
    let lab = started(
        Lab::builder()
            .internal(Server::tls("pool01.contoso.com"))
            .external(Server::tls("sip.contoso.com").fault(TlsFault::CertificateExpired)),
    )
    .await;
    let survey = survey(&lab).await;
    assert_eq!(survey.verdict().unwrap().endpoint.to_string(), "tls pool01.contoso.com:5061");
    assert_eq!(
        problems(&survey),
        ["the certificate of tls sip.contoso.com:5061 was not accepted: expired"]
    );
    assert_eq!(survey.problems()[0].fault(), Fault::Server);
    let good = survey.visits.iter().find(|visit| visit.is_good()).unwrap();
    let visited = good.result.as_ref().unwrap();
    let schemes: Vec<_> =
        visited.challenges.as_ref().unwrap().iter().map(|c| c.scheme().to_string()).collect();
    assert_eq!(schemes, ["NTLM", "Kerberos"]);
    assert_eq!(visited.response.as_ref().unwrap().status(), 401);
    assert!(visited.facts.tls.is_some());
}

#[tokio::test]
async fn a_good_server_is_asked_whether_it_compresses() {
    for (compresses, said) in [(Compresses::Yes, Ok(())), (Compresses::default(), Err(()))] {
        let pool = Server::tls("pool01.contoso.com").compresses(compresses);
        let lab = started(Lab::builder().internal(pool)).await;
        let survey = survey(&lab).await;
        let visited = survey.visits[0].result.as_ref().unwrap();
        assert_eq!(visited.compresses.clone().unwrap().map_err(|_| ()), said, "{compresses:?}");
    }
}

#[tokio::test]
async fn every_address_of_a_pool_is_visited() {
    let pool = || Server::tls("pool01.contoso.com");
    let lab = started(
        Lab::builder()
            .internal(pool().address([192, 0, 2, 1]))
            .server(pool().address([192, 0, 2, 2]).fault(TcpFault::Refused))
            .server(pool().address([192, 0, 2, 3]).fault(SipFault::Busy)),
    )
    .await;
    let survey = survey(&lab).await;
    let mut visits: Vec<_> = survey
        .visits
        .iter()
        .map(|visit| format!("{} {}", visit.address.ip(), visit.is_good()))
        .collect();
    visits.sort();
    assert_eq!(visits, ["192.0.2.1 true", "192.0.2.2 false", "192.0.2.3 false"]);
    // What the search itself came to is no spare; the order of the addresses decides what that is.
    assert!(survey.visits.iter().any(|visit| visit.spare));
    assert!(survey.verdict().is_ok());
    assert_eq!(problems(&survey).len(), 2, "{:?}", problems(&survey));
}

#[tokio::test]
async fn the_verdict_is_what_a_sign_in_would_meet() {
    let says = |answer| Server::tls("pool01.contoso.com").answer(answer);
    let forbidden =
        || Answer::status(403, "Forbidden").header("ms-diagnostics: 4003;reason=\"not enabled\"");
    // A final no at the first server, though the second would ask.
    let lab = Lab::builder().internal(says(forbidden())).external(Server::tls("sip.contoso.com"));
    let refused = survey(&started(lab).await).await.verdict().unwrap_err().name();
    assert_eq!(refused, "remote access denied");
    // A no that another server mends.
    let busy = Lab::builder()
        .internal(Server::tls("pool01.contoso.com").fault(SipFault::Busy))
        .external(Server::tls("sip.contoso.com"));
    let survey_of_busy = survey(&started(busy).await).await;
    assert_eq!(survey_of_busy.verdict().unwrap().endpoint.host.to_string(), "sip.contoso.com");
    assert_eq!(survey_of_busy.problems()[0].name(), "overloaded");
    // Nobody there at all.
    let nobody = survey(&started(Lab::builder()).await).await;
    assert_eq!(nobody.verdict().unwrap_err().name(), "no records");
    assert_eq!(nobody.problems().len(), 1);
}

#[tokio::test]
async fn nothing_is_connected_to_that_the_rules_forbid() {
    let lab = started(
        Lab::builder()
            .internal(Server::tls("pool01.contoso.com"))
            .internal(Server::tcp("pool01.contoso.com"))
            .srv("_sip._tls.contoso.com", 0, 0, 443, "sip.fabrikam.com")
            .server(Server::tls("sip.fabrikam.com").port(443)),
    )
    .await;
    let search = Search::builder().clear_text(ClearText::Allow).build().unwrap();
    let client: Client = lab.client().search(search).build();
    let survey = client.survey(&jeremy()).await.unwrap();
    assert!(survey.problems().iter().any(|problem| problem.name() == "name refused"));
    let seen = lab.seen();
    assert!(!seen.is_empty() && seen.iter().all(|seen| seen.host == "pool01.contoso.com"));
    // A TLS server is there, so clear text is not tried.
    assert!(!seen.iter().any(sip_signin::lab::Seen::in_clear), "{seen:?}");
}

#[tokio::test]
async fn no_request_carries_credentials_and_each_server_gets_one() {
    let lab = started(Lab::ordinary("contoso.com")).await;
    let survey = survey(&lab).await;
    assert_eq!(survey.visits.len(), 2);
    for host in ["pool01.contoso.com", "sip.contoso.com"] {
        let seen = lab.seen().into_iter().filter(|seen| seen.host == host);
        let sip: String = seen.map(|seen| String::from_utf8(seen.sip).unwrap()).collect();
        assert_eq!(sip.matches("REGISTER sip:").count(), 1, "{sip}");
        assert!(!sip.contains("uthorization:"), "{sip}");
    }
}
