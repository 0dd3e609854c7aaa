//! One test for each attack of `docs/threats.md` that is shown here, against real sockets, DNS
//! packets and TLS: by default none succeeds. That page names the tests of the others.
#![cfg(all(feature = "digest", feature = "ntlm"))]

#[path = "attacks/auth.rs"]
mod auth;
#[path = "attacks/names.rs"]
mod names;
#[path = "attacks/redirects.rs"]
mod redirects;
#[path = "attacks/text.rs"]
mod text;

use std::time::Duration;

use sip_signin::auth::Credentials;
use sip_signin::discovery::{ClearText, Search, SearchBuilder, Timeouts};
use sip_signin::lab::{Answer, Lab, LabBuilder, Server};
use sip_signin::sign_in::SignInError;
use sip_signin::{
    Client, FixedCredentials, SignInFailure, SignInFailureKind, SignedIn, SipAddress,
};

const ACCOUNT: &str = r"CONTOSO\jeremy";
const PASSWORD: &str = "Passw0rd!";

fn address() -> SipAddress {
    "sip:jeremy@contoso.com".parse().unwrap()
}

/// The deployment of contoso.com, where jeremy has an account; no server yet.
fn contoso() -> LabBuilder {
    Lab::builder().domain("contoso.com").account(ACCOUNT, PASSWORD, address().to_string())
}

/// A search that a test can sit through.
fn impatient() -> SearchBuilder {
    Search::builder().timeouts(Timeouts {
        lookup: Duration::from_millis(600),
        connect: Duration::from_millis(600),
        search: Duration::from_secs(3),
    })
}

fn client(lab: &Lab) -> Client {
    let client = lab.client().search(impatient().build().unwrap());
    client.answer_within(Duration::from_millis(600)).build()
}

/// The same, and clear text is allowed.
fn lax_client(lab: &Lab) -> Client {
    lab.client().search(impatient().clear_text(ClearText::Allow).build().unwrap()).build()
}

async fn attempt(client: &Client) -> Result<SignedIn, SignInFailure> {
    let credentials = Credentials::new(ACCOUNT.parse().unwrap(), PASSWORD);
    client.sign_in(&address(), &FixedCredentials::new(credentials)).await
}

async fn sign_in(lab: &Lab) -> Result<SignedIn, SignInFailure> {
    attempt(&client(lab)).await
}

/// A server that says these challenges to every REGISTER.
fn challenging<const N: usize>(server: Server, rounds: [&[&str]; N]) -> Server {
    rounds.into_iter().fold(server, |server, challenges| {
        let answer = Answer::status(401, "Unauthorized");
        server.answer(challenges.iter().fold(answer, |answer, challenge| {
            answer.header(format!("WWW-Authenticate: {challenge}"))
        }))
    })
}

fn error(outcome: Result<SignedIn, SignInFailure>) -> SignInError {
    let failure = outcome.expect_err("it was let in");
    match failure.kind() {
        SignInFailureKind::SignIn(_, error) => error.clone(),
        other => panic!("{other}\n{}", failure.trace()),
    }
}

/// Everything of SIP that the servers of this host were told, connection by connection.
fn told(lab: &Lab, host: &str) -> Vec<String> {
    let seen = lab.seen();
    let of_host = seen.iter().filter(|seen| seen.host == host);
    of_host.map(|seen| String::from_utf8_lossy(&seen.sip).into_owned()).collect()
}

/// What stands in the `Authorization` lines that any server was told.
fn proofs(lab: &Lab) -> Vec<String> {
    let seen = lab.seen();
    let lines = seen.iter().flat_map(|seen| {
        let text = String::from_utf8_lossy(&seen.sip).into_owned();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    });
    lines.filter_map(|line| Some(line.split_once("Authorization: ")?.1.to_owned())).collect()
}
