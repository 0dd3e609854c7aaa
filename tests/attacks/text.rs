//! Attacks on whoever reads: terminals, logs, right-to-left tricks.

use std::error::Error;
use std::fmt::Write;
use std::sync::Mutex;

use async_trait::async_trait;
use sip_signin::CredentialSource;
use sip_signin::lab::{Answer, Server};
use sip_signin::sign_in::{CredentialRequest, Mechanisms};

use super::auth::Untouched;
use super::*;

/// Escapes for a terminal, in quoted pairs where SIP lets no control character stand; the C1 form of
/// the same, a bidirectional override, a line separator, a byte order mark.
const NASTY: &str = "\u{9b}2J\u{202e}txt\u{2028}\u{feff}\u{7f1}";
const QUOTED: &str = "\\\u{1b}[2J\\\u{7}";

fn nasty() -> Vec<(&'static str, Answer)> {
    let long = "\u{202e}x".repeat(900);
    let quoted = format!("{NASTY}{QUOTED}{long}");
    vec![
        ("reason", Answer::status(403, format!("{NASTY}{long}"))),
        (
            "diagnostics",
            Answer::status(403, "Forbidden").header(format!(
                "ms-diagnostics: 4004;reason=\"{quoted}\";source=\"{quoted}\";x=\"{quoted}\""
            )),
        ),
        (
            "target of a ticket",
            Answer::status(401, "Unauthorized").header(format!(
                "WWW-Authenticate: Kerberos realm=\"r\", targetname=\"sip/{quoted}\""
            )),
        ),
        (
            "realm and target",
            Answer::status(401, "Unauthorized").header(format!(
                "WWW-Authenticate: NTLM realm=\"{quoted}\", targetname=\"{quoted}\", version=4"
            )),
        ),
        (
            "scheme",
            Answer::status(401, "Unauthorized")
                .header(format!("WWW-Authenticate: Unknown{NASTY} realm=\"{quoted}\"")),
        ),
        (
            "contact",
            Answer::redirect([
                format!("<sip:a.attacker.example;x={NASTY}{long}>"),
                format!("\"{quoted}\" <x:y>"),
            ]),
        ),
        (
            "server",
            Answer::status(200, "OK")
                .header(format!("Server: {NASTY}{long}"))
                .header(format!("ms-keep-alive: {NASTY}; timeout=300")),
        ),
        ("broken line", Answer::status(403, "No").header(format!("{NASTY}{long}"))),
        ("overload", Answer::status(503, NASTY).header(format!("Retry-After: 30 ({NASTY})"))),
    ]
}

/// Somebody who is asked, and reads why.
struct Nosy(Mutex<String>);

#[async_trait]
impl CredentialSource for Nosy {
    async fn credentials(&self, request: &CredentialRequest) -> Option<Credentials> {
        let CredentialRequest { realm, target, scheme, .. } = request;
        let target = target.as_ref().unwrap();
        *self.0.lock().unwrap() += &format!("{realm}\n{target}\n{scheme}\n{request:?}\n");
        None
    }
}

/// Everything that a person or a log may come to see, line by line.
fn shown(outcome: &Result<SignedIn, SignInFailure>) -> String {
    let mut text = String::new();
    let traces = match outcome {
        Ok(signed_in) => {
            write!(text, "{:?}\n{:#?}\n", signed_in.registration, signed_in.registration).unwrap();
            std::iter::once(&signed_in.trace).chain(&signed_in.redirects).collect::<Vec<_>>()
        }
        Err(failure) => {
            let mut next: Option<&dyn Error> = Some(failure);
            while let Some(error) = next {
                write!(text, "{error}\n{error:#}\n{error:?}\n").unwrap();
                next = error.source();
            }
            write!(text, "{}\n{:?}\n", failure.kind(), failure.kind()).unwrap();
            std::iter::once(failure.trace()).chain(failure.redirects()).collect()
        }
    };
    for trace in traces {
        write!(text, "{trace}\n{trace:#}\n{trace:?}\n").unwrap();
    }
    text
}

#[tokio::test]
async fn what_a_server_writes_is_escaped_and_cut_wherever_it_is_shown() {
    for (name, answer) in nasty() {
        let server = Server::tls("sip.contoso.com").answer(answer);
        let lab = contoso().internal(server).start().await.unwrap();
        let mechanisms = Mechanisms::default().then(Untouched);
        let client = lab.client().allow_unauthenticated(true).mechanisms(mechanisms).build();
        let nosy = Nosy(Mutex::default());
        let outcome = client.sign_in(&address(), &nosy).await;
        assert_eq!(outcome.is_ok(), name == "server", "{name}: {outcome:?}");
        // `Debug` of a `Duration` writes microseconds so.
        let shown = nosy.0.into_inner().unwrap() + &shown(&outcome).replace("\u{b5}s", "us");
        for c in shown.chars() {
            assert!(c == '\n' || (' '..='~').contains(&c), "{name}: {c:?} in {shown}");
        }
        assert!(!shown.contains(r"\u{202e}x".repeat(30).as_str()), "{name}: not cut: {shown}");
        // A scheme that is no token makes its challenge one that cannot be read.
        assert_eq!(shown.contains(r"\u{202e}"), name != "scheme", "{name}: {shown}");
    }
}
