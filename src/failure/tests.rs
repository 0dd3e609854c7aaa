//! The page of failures says what the code says.

use super::*;
use crate::address::SipAddress;
use crate::auth::MechanismErrorKind;
use crate::discovery::{
    CertificateFault, ConnectFailure, LookupFailure, Protocol, Search, Seed, SrvTarget,
};
use crate::name::{HostName, SrvName};
use crate::policy::{NameRule, TrustedHost};
use crate::random::RandomError;
use crate::sign_in::{Attempt, RedirectObjection};
use crate::sip::{Contact, Message, RegisterPart, Scheme};
use crate::upkeep::SessionError;

fn domain() -> HostName {
    HostName::parse("contoso.com").unwrap()
}

fn endpoint() -> Endpoint {
    let host = TrustedHost::built("sip", &domain()).unwrap();
    Endpoint { protocol: Protocol::Tls, host, port: 5061 }
}

fn contact() -> Contact {
    let text = "SIP/2.0 301 x\r\nm: <sip:pool.example.net>\r\nl: 0\r\n\r\n";
    let message = Message::parse(text.into()).unwrap();
    Contact::of(message.headers()).remove(0)
}

fn refusal(status: u16, reason: &str, number: u32, why: &str) -> ServerRefusal {
    let text = format!(
        "SIP/2.0 {status} {reason}\r\nms-diagnostics: {number};reason=\"{why}\"\r\nl: 0\r\n\r\n"
    );
    let Message::Response(response) = Message::parse(text.into()).unwrap() else { panic!() };
    ServerRefusal::read(&response, Remedy::None)
}

fn causes() -> Vec<Cause> {
    let host = || TrustedHost::built("sip", &domain()).unwrap();
    let srv = SrvName::new("_sip._tls".to_owned(), &domain()).unwrap();
    let other = HostName::parse("sip.example.net").unwrap();
    let refused = NameRule::default().admit(&other, &domain()).unwrap_err();
    [
        Cause::Certificate(endpoint(), CertificateFault::Expired),
        Cause::Tls(endpoint(), ConnectFailure::PeerTooOld),
        Cause::Answer(endpoint(), "503 Service Unavailable".into()),
        Cause::Refused(refused),
        Cause::LookupFailed(srv.to_string().as_str().into(), LookupFailure::ServerFailure),
        Cause::Unreachable(endpoint(), ConnectFailure::Refused),
        Cause::Unresolvable(host()),
        Cause::Invalid(SrvTarget::Invalid("a b".into()), 5061),
        Cause::NotOffered(srv.clone()),
        Cause::NoRecords(domain()),
    ]
    .into()
}

fn errors() -> Vec<SignInError> {
    use MechanismErrorKind as Kind;
    use SignInError as E;
    let tried = |scheme, kind: MechanismErrorKind| {
        let why = kind.to_string().as_str().into();
        Attempt { scheme, why, kind: Some(kind) }
    };
    let none =
        |offered: &[Scheme], attempts| E::NoCommonScheme { offered: offered.into(), attempts };
    let ticket = |kind| none(&[Scheme::Kerberos], vec![tried(Scheme::Kerberos, kind)]);
    [
        E::CredentialsNeeded,
        E::Rejected(Scheme::Ntlm),
        none(&[Scheme::Basic], Vec::new()),
        none(&[Scheme::Ntlm, Scheme::Basic], vec![tried(Scheme::Ntlm, Kind::Weak)]),
        none(
            &[Scheme::Ntlm, Scheme::Kerberos],
            vec![tried(Scheme::Ntlm, Kind::Weak), tried(Scheme::Kerberos, Kind::Expired)],
        ),
        ticket(Kind::ClockSkew),
        ticket(Kind::NoTicket),
        ticket(Kind::Unreachable),
        ticket(Kind::UnknownService),
        ticket(Kind::Random),
        E::AddressMismatch(refusal(403, "Forbidden", 4004, "Not authorized")),
        E::UnknownUser(refusal(404, "Not Found", 1003, "User does not exist")),
        E::RemoteAccessDenied(refusal(403, "Forbidden", 4003, "Not enabled")),
        E::ClockSkew(refusal(401, "Unauthorized", 1013, "Time skew")),
        E::VersionBlocked(refusal(403, "Forbidden", 17002, "Invalid version")),
        E::Overloaded(refusal(503, "Service Unavailable", 17000, "Server overloaded")),
        E::Unavailable(refusal(504, "Server time-out", 1008, "No SRV record")),
        E::BadRequest(refusal(400, "Bad Request", 4010, "Missing endpoint id")),
        E::Refused(refusal(403, "Forbidden", 4002, "Some other reason")),
        E::RedirectLoop,
        E::RedirectRefused(vec![(contact(), RedirectObjection::Name)]),
        E::SignatureWrong("the signature is wrong".into()),
        E::SignatureAbsent,
        E::Unauthenticated,
        E::NoAnswer,
        E::Lost("closed by the server".into()),
        E::Garbage("no challenge that can be read".into()),
    ]
    .into()
}

fn kinds() -> Vec<SignInFailureKind> {
    use SignInFailureKind as Kind;
    let mut kinds = Vec::new();
    for cause in causes() {
        kinds.push(Kind::NoServer { cause, refusals: Vec::new() });
    }
    for error in errors() {
        kinds.push(Kind::SignIn(endpoint(), error));
    }
    let part = RegisterPart::UserAgent;
    kinds.extend([
        Kind::NoRandom(RandomError),
        Kind::Unwritable(RegisterError { part, text: "\u{7}".into() }),
        Kind::Redirected(endpoint(), vec![contact()]),
        Kind::Refused(endpoint(), refusal(403, "Forbidden", 4003, "No")),
        Kind::Unauthenticated(endpoint()),
    ]);
    kinds
}

#[expect(clippy::disallowed_methods, reason = "any instant will do")]
fn failure(kind: SignInFailureKind) -> SignInFailure {
    let address: SipAddress = "sip:jeremy@contoso.com".parse().unwrap();
    let now = std::time::Instant::now();
    let plan =
        crate::discovery::DiscoveryPlan::<()>::new(&address, &Search::default(), Seed(0), now);
    SignInFailure::new(kind, plan.trace().clone())
}

#[test]
fn the_page_of_failures_is_the_code() {
    let (page, _) = PAGE.split_once(SESSIONS).unwrap();
    let expected: Vec<String> = kinds()
        .into_iter()
        .map(|kind| {
            let failure = failure(kind);
            let name = failure.kind().name();
            let (fault, advice, retry) = (failure.fault(), failure.advice(), failure.retry());
            let user = failure.for_user();
            format!("| {name} | {} | {fault} | {advice} | {retry} | {user} |", failure.kind())
        })
        .collect();
    assert_eq!(rows(page), expected, "\n{}", expected.join("\n"));
}

const PAGE: &str = include_str!("../../docs/failures.md");
const SESSIONS: &str = "## How a session ends";

fn rows(page: &str) -> Vec<&str> {
    page.lines().filter(|line| line.starts_with("| ")).skip(1).collect()
}

fn ends() -> Vec<SessionError> {
    use SessionError as E;
    let busy = refusal(503, "Service Unavailable", 17000, "Server overloaded");
    [
        E::Forgotten,
        E::Redirected(vec![contact()]),
        E::Refresh(SignInError::NoAnswer),
        E::Refresh(SignInError::Overloaded(busy)),
        E::Refresh(SignInError::SignatureWrong("the signature is wrong".into())),
        E::Renewal(SignInError::Rejected(Scheme::Ntlm)),
        E::Lost("closed by the server".into()),
        E::Garbage("it does not begin with a start line".into()),
        E::Untrusted,
        E::Unsignable("the system gives no random bytes".into()),
        E::SignOut(SignInError::NoAnswer),
    ]
    .into()
}

#[test]
fn the_page_of_ends_is_the_code() {
    let (_, page) = PAGE.split_once(SESSIONS).unwrap();
    let expected: Vec<String> = ends()
        .into_iter()
        .map(|error| {
            let name = error.name();
            let (fault, advice, retry) = (error.fault(), error.advice(), error.retry());
            format!("| {name} | {error} | {fault} | {advice} | {retry} |")
        })
        .collect();
    assert_eq!(rows(page), expected, "\n{}", expected.join("\n"));
}

#[test]
fn whatever_fails_names_fault_kind_and_advice_in_one_line() {
    for kind in kinds() {
        let name = kind.name();
        let shown = failure(kind.clone()).to_string();
        assert!(shown.contains(&kind.to_string()) && !shown.contains('\n'), "{name}: {shown}");
    }
}

#[test]
fn a_user_is_told_a_sentence_without_a_term_of_the_trade() {
    let terms = [
        "certificate",
        "contoso",
        "dns",
        "kerberos",
        "ntlm",
        "pool",
        "record",
        "redirect",
        "register",
        "scheme",
        "signature",
        "sip",
        "srv",
        "tls",
        "user",
        "5061",
    ];
    for kind in kinds() {
        let told = kind.for_user();
        let lower = told.to_lowercase();
        assert!(told.ends_with('.') && told.starts_with(char::is_uppercase), "{told}");
        assert!(told.len() <= 130, "{told}");
        assert_eq!(terms.iter().find(|term| lower.contains(**term)), None, "{told}");
    }
}

#[test]
fn the_longest_retry_after_of_all_servers_is_told() {
    let mut busy = refusal(503, "Busy", 17000, "Overloaded");
    busy.retry_after = Some(Duration::from_secs(30));
    let kind = SignInFailureKind::SignIn(endpoint(), SignInError::Overloaded(busy));
    assert_eq!(failure(kind.clone()).retry_after(), Some(Duration::from_secs(30)));
    let trace = failure(kind.clone()).trace().clone();
    let longest = Some(Duration::from_secs(90));
    let failure = SignInFailure::of_journey(kind.into(), trace.into(), Vec::new(), longest);
    assert_eq!(failure.retry_after(), longest);
    assert_eq!(failure.retry(), Retry::Later);
}
