//! Attacks by redirect: to strangers, to clear text, in a circle, without end.

use sip_signin::lab::{Answer, Server};
use sip_signin::sign_in::{RedirectObjection, Redirects, SignInError};

use super::*;

fn redirecting(host: &str, to: &str) -> Server {
    Server::tls(host).answer(Answer::redirect([to]))
}

#[tokio::test]
async fn an_unsigned_redirect_to_a_foreign_host_or_to_clear_text_is_not_followed() {
    use RedirectObjection::{ClearText, Name};
    for (to, objection) in [
        ("<sip:home.attacker.example;transport=TLS>", Some(Name)),
        ("<sip:sip.contoso.com.attacker.example;transport=TLS>", Some(Name)),
        ("<sip:a.b.contoso.com;transport=TLS>", Some(Name)),
        ("<sip:192.0.2.66;transport=TLS>", Some(Name)),
        ("<sip:pool01.contoso.com:5060;transport=TCP>", Some(ClearText)),
        ("<sip:pool01.contoso.com@attacker.example>", Some(Name)),
        ("<sip:pool01.contoso.com%00.attacker.example>", None),
    ] {
        let lab = contoso()
            .internal(redirecting("sip.contoso.com", to))
            .server(Server::tcp("pool01.contoso.com"))
            .server(Server::tls("home.attacker.example").address([192, 0, 2, 66]))
            .start()
            .await
            .unwrap();
        let error = error(sign_in(&lab).await);
        match (&error, objection) {
            (SignInError::RedirectRefused(refused), Some(objection)) => {
                assert_eq!(refused[0].1, objection, "{to}");
            }
            // It names nothing that could be gone to.
            (SignInError::Garbage(_), None) => {}
            _ => panic!("{to}: {error}"),
        }
        assert_eq!(lab.seen().len(), 1, "{to}: nobody else was connected to");
        assert!(lab.questions().iter().all(|asked| !asked.name.contains("attacker")), "{to}");
    }
}

/// The same host, named under a signature that NTLM's keys verify.
#[tokio::test]
async fn a_signed_redirect_may_lead_to_a_foreign_host_with_a_certificate() {
    let home = "home.partner.example";
    let deployment = |pool: Server| {
        contoso().internal(Server::tls("sip.contoso.com").home([home])).server(pool).start()
    };
    let lab = deployment(Server::tls(home)).await.unwrap();
    assert_eq!(sign_in(&lab).await.unwrap().endpoint.to_string(), format!("tls {home}:5061"));
    // Its certificate is checked like any other.
    let lab = deployment(Server::tls(home).certificate_for(["other.example"])).await.unwrap();
    assert!(sign_in(&lab).await.is_err());
    assert_eq!(told(&lab, home), [""]);
}

#[tokio::test]
async fn the_next_server_hears_nothing_of_the_last_one_before_it_asks() {
    let lab = contoso()
        .internal(Server::tls("sip.contoso.com").home(["pool01.contoso.com"]))
        .server(Server::tls("pool01.contoso.com"))
        .start()
        .await
        .unwrap();
    sign_in(&lab).await.unwrap();
    let (director, pool) = (told(&lab, "sip.contoso.com"), told(&lab, "pool01.contoso.com"));
    let first = pool[0].split("\r\n\r\n").next().unwrap();
    assert!(first.starts_with("REGISTER ") && first.contains("CSeq: 1 REGISTER"), "{first}");
    assert!(!first.contains("uthorization"), "{first}");
    let line = |text: &str, name: &str| {
        text.lines().find_map(|line| Some(line.split_once(name)?.1.to_owned())).unwrap()
    };
    for fresh in ["Call-ID: ", "opaque=\"", "crand=\""] {
        assert_ne!(line(&director[0], fresh), line(&pool[0], fresh), "{fresh}");
    }
    assert_eq!(proofs(&lab).len(), 4, "a full exchange with each");
}

#[tokio::test]
async fn a_circle_of_redirects_ends() {
    let lab = contoso()
        .internal(redirecting("sip.contoso.com", "<sip:pool01.contoso.com>"))
        .server(redirecting("pool01.contoso.com", "<sip:SIP.contoso.com:5061>"))
        .start()
        .await
        .unwrap();
    assert_eq!(error(sign_in(&lab).await), SignInError::RedirectLoop);
    assert_eq!(lab.seen().len(), 2);
}

#[tokio::test]
async fn a_chain_of_a_hundred_redirects_ends_behind_the_fifth() {
    let host = |hop: usize| format!("pool{hop}.contoso.com");
    let mut lab = contoso().internal(redirecting("sip.contoso.com", "<sip:pool1.contoso.com>"));
    for hop in 1..=100 {
        lab = lab.server(redirecting(&host(hop), &format!("<sip:{}>", host(hop + 1))));
    }
    let lab = lab.start().await.unwrap();
    assert_eq!(error(sign_in(&lab).await), SignInError::RedirectLoop);
    let seen = lab.seen();
    assert_eq!(seen.len(), 1 + Redirects::LIMIT);
    assert_eq!(seen.last().unwrap().host, host(Redirects::LIMIT));
}
