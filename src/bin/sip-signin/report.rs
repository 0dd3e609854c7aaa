//! What came of a sign-in, told and as JSON.

use serde::Serialize;
use sip_signin::auth::Protection;
use sip_signin::discovery::Endpoint;
use sip_signin::upkeep::SessionError;
use sip_signin::{SignInFailure, SignInFailureKind, SignedIn, SipAddress};

use crate::screen::{BAD, GOOD, PLAIN, Page};
use crate::{tell, words};

/// What came of it. Its form is promised in `docs/tool.md`.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub address: String,
    pub deed: &'static str,
    pub good: bool,
    pub server: Option<Server>,
    pub registration: Option<Registration>,
    pub failure: Option<Failure>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Server {
    pub protocol: String,
    pub host: String,
    pub port: u16,
}

impl From<&Endpoint> for Server {
    fn from(endpoint: &Endpoint) -> Self {
        let (protocol, host) = (endpoint.protocol.to_string(), endpoint.host.to_string());
        Self { protocol, host, port: endpoint.port }
    }
}

#[derive(Clone, Debug, Serialize)]
pub struct Registration {
    pub scheme: Option<String>,
    pub expires: Option<u64>,
    pub gruu: Option<String>,
    pub software: Option<String>,
    pub verified: bool,
}

#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    pub name: &'static str,
    pub reason: String,
    pub fault: &'static str,
    pub advice: &'static str,
    pub retry_after: Option<u64>,
}

impl From<&SignInFailureKind> for Failure {
    fn from(kind: &SignInFailureKind) -> Self {
        Self {
            name: kind.name(),
            reason: kind.to_string(),
            fault: words::of_fault(kind.fault()),
            advice: kind.advice(),
            retry_after: None,
        }
    }
}

impl From<&SessionError> for Failure {
    fn from(error: &SessionError) -> Self {
        Self {
            name: error.name(),
            reason: error.to_string(),
            fault: words::of_fault(error.fault()),
            advice: error.advice(),
            retry_after: error.retry_after().map(|after| after.as_secs()),
        }
    }
}

impl Report {
    /// The end of a session that was stayed in.
    pub fn stayed(
        address: &SipAddress,
        endpoint: &Endpoint,
        end: &Result<(), SessionError>,
    ) -> Self {
        let report = Self::good(address, "stay", endpoint);
        Self { good: end.is_ok(), failure: end.as_ref().err().map(Failure::from), ..report }
    }

    /// A sign-in, or another deed, that led to this server.
    pub fn good(address: &SipAddress, deed: &'static str, endpoint: &Endpoint) -> Self {
        Self {
            address: address.to_string(),
            deed,
            good: true,
            server: Some(endpoint.into()),
            registration: None,
            failure: None,
        }
    }

    pub fn bad(address: &SipAddress, deed: &'static str, kind: &SignInFailureKind) -> Self {
        Self {
            address: address.to_string(),
            deed,
            good: false,
            server: kind.endpoint().map(Server::from),
            registration: None,
            failure: Some(kind.into()),
        }
    }

    pub fn signed_in(address: &SipAddress, signed_in: &SignedIn) -> Self {
        let made = &signed_in.registration;
        let registration = Registration {
            scheme: made.scheme.as_ref().map(ToString::to_string),
            expires: made.expires.map(|expires| expires.as_secs()),
            gruu: made.gruu.as_ref().map(ToString::to_string),
            software: made.server.as_ref().map(ToString::to_string),
            verified: made.protection == Protection::Verified,
        };
        let report = Self::good(address, "sign-in", &signed_in.endpoint);
        Self { registration: Some(registration), ..report }
    }

    pub fn failed(address: &SipAddress, deed: &'static str, failure: &SignInFailure) -> Self {
        let mut report = Self::bad(address, deed, failure.kind());
        if let Some(failed) = &mut report.failure {
            failed.retry_after = failure.retry_after().map(|after| after.as_secs());
        }
        report
    }
}

/// Tells how somebody was signed in.
pub fn tell_signed_in(page: &mut Page, address: &SipAddress, signed_in: &SignedIn) {
    for trace in std::iter::once(&signed_in.trace).chain(&signed_in.redirects) {
        tell::trace(page, trace);
        page.blank();
    }
    let text = format!("{address} is signed in at {}.", signed_in.endpoint);
    page.item("signed in", GOOD, 11, PLAIN, &text);
    let made = &signed_in.registration;
    let mut say = |head: &str, text: &str| page.item(&format!("  {head}"), PLAIN, 11, PLAIN, text);
    let by = made.scheme.as_ref().map_or("nothing".into(), |scheme| scheme.to_string());
    say("proved", &format!("by {by}"));
    say(
        "server",
        match made.protection {
            Protection::Verified => "proved itself too: its signature is right",
            _ => "did not prove itself beyond its certificate",
        },
    );
    if let Some(expires) = made.expires {
        say("until", &format!("{} s from now", expires.as_secs()));
    }
    if let Some(software) = &made.server {
        say("runs", &software.to_string());
    }
}

/// Tells why nobody was.
pub fn tell_failure(page: &mut Page, address: &SipAddress, failure: &SignInFailure) {
    for trace in std::iter::once(failure.trace()).chain(failure.redirects()) {
        tell::trace(page, trace);
        page.blank();
    }
    let kind = failure.kind();
    page.item("failed", BAD, 11, PLAIN, &format!("{address} is not signed in: {}.", kind.name()));
    tell::problem(page, kind, kind.fault(), kind.advice());
    let again = match failure.retry_after() {
        Some(after) => format!("{}, {} s at least", failure.retry(), after.as_secs()),
        None => failure.retry().to_string(),
    };
    page.item("  again", PLAIN, 11, PLAIN, &again);
}
