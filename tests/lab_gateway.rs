//! One client for many users, as a gateway has it.
#![cfg(all(feature = "digest", feature = "ntlm"))]

use std::collections::BTreeMap;

use sip_signin::auth::Credentials;
use sip_signin::discovery::{Pace, Search};
use sip_signin::lab::{Lab, LabBuilder, Server};
use sip_signin::net::RustlsTransport;
use sip_signin::{Client, FixedCredentials, SignInFailure, SignedIn};
use tokio::task::JoinSet;

const USERS: usize = 200;

/// Two pools of equal weight, and an account for each user.
fn deployment(users: usize) -> LabBuilder {
    let lab = Lab::builder()
        .domain("contoso.com")
        .server(Server::tls("pool01.contoso.com"))
        .server(Server::tls("pool02.contoso.com"))
        .srv("_sipinternaltls._tcp.contoso.com", 0, 10, 5061, "pool01.contoso.com")
        .srv("_sipinternaltls._tcp.contoso.com", 0, 10, 5061, "pool02.contoso.com");
    (0..users).fold(lab, |lab, n| {
        let (account, address) = (format!(r"CONTOSO\user{n}"), format!("sip:user{n}@contoso.com"));
        lab.account(account, format!("password {n}"), address)
    })
}

async fn sign_in(client: Client, n: usize) -> Result<SignedIn, SignInFailure> {
    let account = format!(r"CONTOSO\user{n}").parse().unwrap();
    let source = FixedCredentials::new(Credentials::new(account, format!("password {n}")));
    client.sign_in(&format!("sip:user{n}@contoso.com").parse().unwrap(), &source).await
}

/// Nobody else is dialled while a server is slow: each connection is a sign-in.
fn in_turn() -> Search {
    Search::builder().pace(Pace::ONE_AT_A_TIME).build().unwrap()
}

/// All of them at once, each in a task of its own.
async fn sign_in_all(client: &Client, users: usize) -> Vec<SignedIn> {
    let mut tasks: JoinSet<_> = (0..users).map(|n| sign_in(client.clone(), n)).collect();
    let mut signed_in = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        signed_in.push(ended.unwrap().unwrap_or_else(|f| panic!("{f}\n{}", f.trace())));
    }
    signed_in
}

#[tokio::test]
async fn two_hundred_sign_in_at_once_ask_each_name_once_and_share_two_pools() {
    let lab = deployment(USERS).start().await.unwrap();
    let signed_in = sign_in_all(&lab.client().build(), USERS).await;
    assert_eq!(signed_in.len(), USERS);

    let mut questions = BTreeMap::new();
    for question in lab.questions() {
        *questions.entry(question.to_string()).or_insert(0) += 1;
    }
    assert!(questions.contains_key("SRV _sipinternaltls._tcp.contoso.com"), "{questions:?}");
    // More than once where a datagram was late, or who asked had a connection before the answer.
    assert!(questions.values().all(|&asked| asked <= USERS / 20), "{questions:?}");

    // Of 200 fair draws 100 are expected, with a standard deviation of the square root of 50; five
    // of those miss by chance once in 1.7 million runs.
    let first = |signed_in: &&SignedIn| {
        signed_in.endpoint.to_string().starts_with("tls pool01.contoso.com:")
    };
    let first = signed_in.iter().filter(first).count();
    assert!((65..=135).contains(&first), "{first} of {USERS} at pool01");
    for signed_in in signed_in {
        signed_in.session.sign_out().await.unwrap();
    }
}

#[tokio::test]
async fn a_second_sign_in_resumes_the_tls_session_of_the_same_server_only() {
    let lab = deployment(1).start().await.unwrap();
    let client = lab.client().search(in_turn()).build();
    // Thirty draws that are all the same are not chance.
    for _ in 0..30 {
        sign_in(client.clone(), 0).await.unwrap();
    }
    let mut met = Vec::new();
    for seen in lab.seen() {
        let name = seen.server_name.unwrap();
        assert_eq!(seen.resumed, met.contains(&name), "{name} after {met:?}");
        met.push(name);
    }
    assert!(
        ["pool01.contoso.com", "pool02.contoso.com"]
            .map(String::from)
            .iter()
            .all(|n| met.contains(n))
    );

    // A client with a transport of its own shares nothing.
    let other = RustlsTransport::with_roots([lab.roots().to_vec().into()]).unwrap();
    let other = Client::builder(lab.resolver(), lab.transport(other)).search(in_turn()).build();
    sign_in(other, 0).await.unwrap();
    assert!(lab.seen().last().is_some_and(|seen| seen.handshake && !seen.resumed));
}

#[tokio::test]
async fn no_more_sign_ins_are_under_way_than_the_client_allows() {
    let lab = deployment(20).start().await.unwrap();
    let client = lab.client().search(in_turn()).at_once(1).build();
    let signed_in = sign_in_all(&client, 20).await;
    assert_eq!(signed_in.len(), 20);
    // One after the other, so every server but the first of each name was met with a session.
    let full = lab.seen().iter().filter(|seen| !seen.resumed).count();
    assert!(full <= 2, "{full} full handshakes");
}
