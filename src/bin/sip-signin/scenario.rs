//! Everything that can go wrong, each in a small deployment on loopback.

use sip_signin::auth::{DigestAlgorithm, Version};
use sip_signin::lab::{Answer, Fault, Lab, LabBuilder, Offer, Server};

/// The user of every scenario.
pub const ADDRESS: &str = "sip:jeremy@contoso.com";
pub const ACCOUNT: &str = r"CONTOSO\jeremy";
pub const PASSWORD: &str = "Passw0rd!";

/// What is done in a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    SignIn,
    /// With a password that is wrong.
    WrongPassword,
    /// And nobody knows a password.
    NoPassword,
    /// On a machine without chance.
    NoRandom,
    /// Under a name that no header can carry.
    BadName,
    /// Only the first REGISTER, as `Client::challenge` sends it.
    Challenge,
}

/// Something that goes wrong.
pub struct Scenario {
    pub name: String,
    /// What happens, in a few words.
    pub what: &'static str,
    pub deed: Deed,
    /// The name of the failure that comes of it; `None` where clients cope.
    pub failure: Option<&'static str>,
    /// The same of `check`, which sends no credentials.
    pub check: Option<&'static str>,
    build: Build,
}

enum Build {
    /// The fault befalls what a client meets first.
    Fault(Fault),
    /// The pool answers the first REGISTER like that.
    Says(fn() -> Answer),
    Own(fn() -> LabBuilder),
}

use Build::{Own, Says};
use Deed::{BadName, Challenge, NoPassword, NoRandom, SignIn, WrongPassword};

/// A scenario that is no fault of the lab's: name, what, deed, failure, the same of check, how.
type Row = (&'static str, &'static str, Deed, Option<&'static str>, Option<&'static str>, Build);

const POOL: &str = "sip.contoso.com";
const SRV: &str = "_sipinternaltls._tcp.contoso.com";

impl Scenario {
    /// All of them: the faults of the lab, and then what is wrong with records, people and settings.
    pub fn all() -> Vec<Self> {
        let faults = Fault::all().map(|fault| {
            let name = fault.to_string();
            let (what, failure, check) = of_fault(&name);
            Self { name, what, deed: SignIn, failure, check, build: Build::Fault(fault) }
        });
        let own = rows().into_iter().map(|(name, what, deed, failure, check, build)| Self {
            name: name.into(),
            what,
            deed,
            failure,
            check,
            build,
        });
        faults.chain(own).collect()
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|scenario| scenario.name == name)
    }

    /// Its deployment.
    pub fn lab(&self) -> LabBuilder {
        match self.build {
            Build::Fault(fault) => ordinary(Server::tls(POOL).interval(QUICK)).fault(fault),
            Says(answer) => ordinary(Server::tls(POOL).answer(answer())),
            Own(build) => build(),
        }
    }
}

/// The time between two bytes of a slow server: a whole answer takes no second.
const QUICK: std::time::Duration = std::time::Duration::from_micros(500);

/// A pool where the user is at home.
pub fn ordinary(pool: Server) -> LabBuilder {
    Lab::builder().internal(pool).account(ACCOUNT, PASSWORD, ADDRESS)
}

fn bare() -> LabBuilder {
    Lab::builder().account(ACCOUNT, PASSWORD, ADDRESS)
}

type Expected = (&'static str, Option<&'static str>, Option<&'static str>);

/// What each fault of the lab is, and comes to.
fn of_fault(name: &str) -> Expected {
    let both = |what, failure| (what, Some(failure), Some(failure));
    let copes = |what| (what, None, None);
    match name {
        "dns-garbage" => both("the SRV record cannot be read", "lookup failed"),
        "dns-no-data" => both("the name is there, without SRV records", "no records"),
        "dns-no-such-name" => both("the name is not there", "no records"),
        "dns-other-owner" => both("DNS answers with records of another name", "lookup failed"),
        "dns-refused" => both("the DNS server refuses the question", "lookup failed"),
        "dns-servfail" => both("the DNS server cannot answer", "lookup failed"),
        "dns-silent" => both("the DNS server says nothing", "lookup failed"),
        "dns-slow" => copes("the DNS server takes half a second"),
        "dns-truncated" => copes("the answer fits into no datagram"),
        "tcp-black-hole" => both("packets to the server vanish", "unreachable"),
        "tcp-close" => both("the server hangs up at once", "unreachable"),
        "tcp-refused" => both("nothing listens at the port", "unreachable"),
        "tcp-reset" => both("the server resets the connection", "unreachable"),
        "tcp-silent" => both("the server never says a word", "unreachable"),
        "certificate-expired" => both("the certificate's time is over", "certificate"),
        "certificate-not-yet-valid" => both("the certificate's time has not come", "certificate"),
        "certificate-untrusted" => both("nobody trusts who issued the certificate", "certificate"),
        "certificate-without-names" => {
            both("the certificate names only a common name", "certificate")
        }
        "certificate-wrong-name" => both("the certificate is for another host", "certificate"),
        "tls-garbage" => both("the port speaks no TLS", "tls"),
        "tls-stall" => both("the handshake stops in the middle", "tls"),
        "tls-too-old" => both("the server speaks only old TLS, and says so", "tls"),
        "tls-too-old-hello" => both("the server answers in TLS 1.0", "tls"),
        "sip-busy" => both("the server is overloaded", "overloaded"),
        "sip-close" => both("the server hangs up on the REGISTER", "lost"),
        "sip-close-mid-answer" => both("the server hangs up in the middle of its answer", "lost"),
        "sip-endless-headers" => both("the answer has no end", "garbage"),
        "sip-forbidden" => both("the account may not use the address", "address mismatch"),
        "sip-foreign-call-id" => both("the answer belongs to somebody else", "no answer"),
        "sip-garbage" => both("the answer is no SIP", "garbage"),
        "sip-no-challenge" => both("a 401 without a challenge", "garbage"),
        "sip-no-signature" => ("the server signs nothing", Some("signature absent"), None),
        "sip-not-found" => both("the server knows no such user", "unknown user"),
        "sip-silent" => both("the server never answers", "no answer"),
        "sip-slow" => copes("the answer comes byte by byte"),
        "sip-unchallenged" => both("the server lets in without asking", "unauthenticated"),
        "sip-wrong-signature" => ("the server signs wrongly", Some("signature wrong"), None),
        _ => copes("a fault of the lab"),
    }
}

fn rows() -> Vec<Row> {
    let both =
        |name, what, failure, build| (name, what, SignIn, Some(failure), Some(failure), build);
    vec![
        both(
            "name-refused",
            "DNS names a server of another domain",
            "name refused",
            Own(|| {
                bare()
                    .srv(SRV, 0, 0, 5061, "sip.fabrikam.com")
                    .server(Server::tls("sip.fabrikam.com"))
            }),
        ),
        both(
            "not-offered",
            "DNS says that there is no such service",
            "not offered",
            Own(|| bare().srv(SRV, 0, 0, 0, ".")),
        ),
        both(
            "target-invalid",
            "DNS names a port that nothing can connect to",
            "invalid",
            Own(|| bare().srv(SRV, 0, 0, 0, POOL).server(Server::tls(POOL))),
        ),
        both(
            "unresolvable",
            "DNS names a host without an address",
            "unresolvable",
            Own(|| bare().srv(SRV, 0, 0, 5061, POOL)),
        ),
        (
            "credentials-needed",
            "nobody knows the password",
            NoPassword,
            Some("credentials needed"),
            None,
            Own(|| ordinary(Server::tls(POOL))),
        ),
        (
            "password-wrong",
            "the password is wrong",
            WrongPassword,
            Some("rejected"),
            None,
            Own(|| ordinary(Server::tls(POOL))),
        ),
        both(
            "no-common-scheme",
            "the server offers nothing that this client can answer",
            "no common scheme",
            Own(|| ordinary(Server::tls(POOL).offers([Offer::Kerberos(Version::V4)]))),
        ),
        both(
            "clock-skew",
            "the clocks differ too much",
            "clock skew",
            Says(|| {
                refusal(
                    401,
                    "Unauthorized",
                    1013,
                    "Significant time skew detected during authentication",
                )
            }),
        ),
        both(
            "remote-access-denied",
            "the user may not sign in from outside",
            "remote access denied",
            Says(|| refusal(403, "Forbidden", 4003, "User is not enabled for remote access")),
        ),
        both(
            "version-blocked",
            "the server lets no such client in",
            "version blocked",
            Says(|| refusal(403, "Forbidden", 17002, "Invalid version")),
        ),
        both(
            "unavailable",
            "the server cannot reach the home pool",
            "unavailable",
            Says(|| refusal(504, "Server time-out", 1008, "Unable to resolve DNS SRV record")),
        ),
        both(
            "refused",
            "the server refuses for another reason",
            "refused",
            Says(|| refusal(403, "Forbidden", 4999, "Not today")),
        ),
        both(
            "bad-request",
            "the server does not understand us",
            "bad request",
            Says(|| refusal(400, "Bad Request", 4010, "Missing endpoint id")),
        ),
        (
            "redirect-loop",
            "two Directors send us to each other",
            SignIn,
            Some("redirect loop"),
            None,
            Own(|| {
                ordinary(Server::tls(POOL).home(["pool01.contoso.com"]))
                    .server(Server::tls("pool01.contoso.com").home([POOL]))
            }),
        ),
        (
            "redirect-refused",
            "the Director names a pool of another domain",
            SignIn,
            Some("redirect refused"),
            None,
            Own(|| {
                // Digest signs nothing, so the name rule judges.
                let digest = Offer::Digest(DigestAlgorithm::Sha256);
                ordinary(Server::tls(POOL).offers([digest]).home(["pool01.example.net"]))
            }),
        ),
        (
            "no-random",
            "this machine gives no random bytes",
            NoRandom,
            Some("no random bytes"),
            None,
            Own(|| ordinary(Server::tls(POOL))),
        ),
        (
            "unwritable",
            "a setting cannot stand in a REGISTER",
            BadName,
            Some("unwritable"),
            None,
            Own(|| ordinary(Server::tls(POOL))),
        ),
        (
            "answer",
            "every server answers, and none lets in",
            Challenge,
            Some("answer"),
            Some("overloaded"),
            Own(|| ordinary(Server::tls(POOL).fault(sip_signin::lab::SipFault::Busy))),
        ),
        (
            "redirected-at-once",
            "the server redirects before it asks",
            Challenge,
            Some("redirected at once"),
            Some("redirected at once"),
            Says(|| Answer::redirect(["<sip:pool01.contoso.com:5061;transport=TLS>"])),
        ),
        (
            "refused-at-once",
            "the server refuses before it asks",
            Challenge,
            Some("refused at once"),
            Some("remote access denied"),
            Says(|| refusal(403, "Forbidden", 4003, "User is not enabled for remote access")),
        ),
        (
            "unauthenticated-at-once",
            "the server lets in before it asks",
            Challenge,
            Some("unauthenticated at once"),
            Some("unauthenticated"),
            Says(|| Answer::status(200, "OK").header("Expires: 7200")),
        ),
    ]
}

fn refusal(status: u16, reason: &str, number: u32, why: &str) -> Answer {
    let line = format!("ms-diagnostics: {number};reason=\"{why}\";source=\"sip.contoso.com\"");
    Answer::status(status, reason).header(line)
}
