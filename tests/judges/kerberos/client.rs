//! Signs in with the tickets of a real KDC: to an acceptor that nobody here wrote, `krbd.c`, and to
//! the lab's registrars over TLS.
//!
//! The first argument says what is to be seen; `tests/judges/kerberos.sh` sets the scene (KDC, cache,
//! keytab) and runs it.

#[path = "../acceptor.rs"]
mod acceptor;

use std::error::Error;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use acceptor::Acceptor;
use sip_signin::auth::{
    Association, Credentials, Identity, Protection, Salt, Version, signature_buffer,
};
use sip_signin::lab::{Answer, Lab, LabBuilder, Offer, Server, SipFault};
use sip_signin::sign_in::{Mechanisms, SignInError};
use sip_signin::sip::{Challenge, Challenger, Message, Scheme};
use sip_signin::{
    FixedCredentials, Kerberos, NoCredentials, Now, SignInFailure, SignInFailureKind, SignedIn,
    SystemRandom,
};
use tokio::time::timeout;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const VERSIONS: [Version; 3] = [Version::V2, Version::V3, Version::V4];
const POOL: &str = "pool01.contoso.test";
const REALM: &str = "SIP Communications Service";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *arguments {
        ["acceptor", program] => acceptor(program),
        ["home"] => home().await,
        ["default"] => default().await,
        ["fallback"] => fallback().await,
        ["tool", program] => tool(program).await,
        ["faults"] => faults().await,
        ["rogue", target] => rogue(target).await,
        ["fails", host, says] => fails(host, says).await,
        _ => Err("what is to be seen?".into()),
    }
}

fn check(holds: bool, what: impl Into<String>) -> Result<()> {
    if holds { Ok(()) } else { Err(what.into().into()) }
}

#[expect(clippy::disallowed_methods, reason = "tickets are of real time")]
fn now() -> Now {
    Now { instant: Instant::now(), wall: SystemTime::now() }
}

// ---- an acceptor that nobody here wrote

fn message(start: &str, more: &str) -> Result<Message> {
    let text = format!(
        "{start}\r\nFrom: <sip:jeremy@contoso.test>;tag=3e49177a52;epid=c8ca638a15\r\n\
         Call-ID: 4037df9284354df39065195bd57a4b14\r\nCSeq: 2 REGISTER\r\n{more}\
         To: <sip:jeremy@contoso.test>\r\nl: 0\r\n\r\n"
    );
    Ok(Message::parse(text.into())?)
}

fn head() -> String {
    format!(r#"Kerberos realm="{REALM}", targetname="sip/{POOL}""#)
}

fn text(version: Version, rand: &str, num: &str, message: &Message) -> Result<String> {
    let target = &format!("sip/{POOL}");
    let salt = Salt { scheme: "Kerberos", rand, num, realm: REALM, target };
    Ok(signature_buffer(version, salt, message)?)
}

/// Ours verifies there and theirs here, in every version, with a reply and without.
fn acceptor(program: &str) -> Result<()> {
    for version in VERSIONS {
        for reply in [false, true] {
            exchange(program, version, reply)
                .map_err(|error| format!("version {version:?}, reply {reply}: {error}"))?;
            println!("accepted: version {}, reply {reply}", version.number());
        }
    }
    Ok(())
}

fn exchange(program: &str, version: Version, reply: bool) -> Result<()> {
    let random = &SystemRandom;
    let mut acceptor = Acceptor::start(&mut Command::new(program))?;
    let provider = if reply { Kerberos::new().with_reply() } else { Kerberos::new() };
    let challenge = format!("{}, version={}", head(), version.number());
    let challenge = Challenge::read_all(&challenge).remove(0)?;
    let (by, identity) = (Challenger::Registrar, Identity::CurrentUser);
    let mut association = Association::start(&challenge, by, &provider, identity, now(), random)?;
    let register = message("REGISTER sip:contoso.test SIP/2.0", "")?;
    let mut sent =
        Challenge::read_all(association.authorize(&register, random)?.value()).remove(0)?.apart();
    let accepted = acceptor.ask(&format!("AUTH {}", sent.gssapi_data().ok_or("no ticket")?))?;
    check(accepted.starts_with("OK user=jeremy@CONTOSO.TEST "), format!("not taken: {accepted}"))?;
    let flags = accepted.split("flags=0x").nth(1).and_then(|rest| rest.split(' ').next());
    let flags = u32::from_str_radix(flags.ok_or("no flags")?, 16)?;
    check((flags & 0x2 != 0, flags & 0x20 != 0) == (reply, true), format!("flags {flags:x}"))?;
    let token = accepted.split("reply=").nth(1).unwrap_or_default();
    check(token.is_empty() != reply, "whether there is a reply")?;
    check(association.is_up() != reply, "whether it is up before the answer")?;
    let signed = sent.parameter("response").is_some();
    check(signed == (version == Version::V4 && !reply), "whether the ticket came signed")?;

    let data = if reply { format!(", gssapi-data=\"{token}\"") } else { String::new() };
    for num in ["1", "2"] {
        let bare = message("SIP/2.0 200 OK", "Expires: 7200\r\n")?;
        let signed = acceptor.ask(&format!("SIGN {}", text(version, "9616454F", num, &bare)?))?;
        let rspauth = signed.strip_prefix("MIC ").ok_or("no signature")?;
        let info = |data: &str, rspauth: &str| {
            let head = head();
            format!(
                "Expires: 7200\r\nAuthentication-Info: {head}, opaque=\"2BDBAC9D\", \
                 srand=\"9616454F\", snum=\"{num}\", rspauth=\"{rspauth}\"{data}\r\n"
            )
        };
        if reply && num == "1" {
            let silent = message("SIP/2.0 200 OK", &info("", rspauth))?;
            check(association.verify(&silent, now(), random).is_err(), "taken without a reply")?;
        }
        let welcome = message("SIP/2.0 200 OK", &info(&data, rspauth))?;
        if !reply {
            let forged = info("", rspauth).replace("7200", "7201");
            let forged = message("SIP/2.0 200 OK", &forged)?;
            check(association.verify(&forged, now(), random).is_err(), "any text is taken")?;
            let (rest, last) = rspauth.split_at(rspauth.len() - 1);
            let damaged = format!("{rest}{}", if last == "0" { "1" } else { "0" });
            let damaged = message("SIP/2.0 200 OK", &info("", &damaged))?;
            check(association.verify(&damaged, now(), random).is_err(), "any signature is taken")?;
        }
        let verified = association.verify(&welcome, now(), random)?;
        check(verified == Protection::Verified, "its signature is not seen")?;
    }
    for _ in 0..3 {
        if sent.parameter("response").is_none() {
            let next = association.authorize(&register, random)?;
            sent = Challenge::read_all(next.value()).remove(0)?.apart();
        }
        let parameter = |name| sent.parameter(name).ok_or(name);
        let signature = parameter("response")?;
        let text = text(version, parameter("crand")?, parameter("cnum")?, &register)?;
        let verified = acceptor.ask(&format!("VERIFY {signature} {text}"))?;
        check(verified == "GOOD", format!("our signature: {verified}"))?;
        let forged = acceptor.ask(&format!("VERIFY {signature} {text}x"))?;
        check(forged.starts_with("BAD"), "the judge takes any signature")?;
        let next = association.authorize(&register, random)?;
        sent = Challenge::read_all(next.value()).remove(0)?.apart();
    }
    // The scene has tickets of an hour; five minutes before its end a new association is due.
    let left = association.expires_at().ok_or("no end")?.duration_since(now().instant);
    let due = Duration::from_secs(50 * 60)..=Duration::from_secs(55 * 60);
    check(due.contains(&left), format!("due in {left:?}"))
}

// ---- the lab's registrars, over TLS

/// A Director that sends home to the pool.
fn deployment(offers: &[Offer]) -> LabBuilder {
    let server = |host: &str| Server::tls(host).offers(offers.iter().copied());
    Lab::builder()
        .domain("contoso.test")
        .internal(server("sip.contoso.test").home([POOL]))
        .server(server(POOL))
        .account(r"CONTOSO\jeremy", "Passw0rd!", "sip:jeremy@contoso.test")
        .account(r"CONTOSO\vadim", "Passw0rd!", "sip:vadim@contoso.test")
}

fn tickets() -> Mechanisms {
    Mechanisms::none().then(Kerberos::new())
}

async fn sign_in(
    lab: &Lab,
    mechanisms: Mechanisms,
) -> std::result::Result<SignedIn, SignInFailure> {
    let client = lab.client().mechanisms(mechanisms);
    // What the caller allows is nothing to a server that was shown a ticket.
    let client = client.allow_unsigned(true).allow_unauthenticated(true).build();
    client.sign_in(&"jeremy@contoso.test".parse().expect("an address"), &NoCredentials).await
}

/// Nobody is asked; a ticket for the Director, another one for the pool; every message signed.
async fn home() -> Result<()> {
    for version in VERSIONS {
        for provider in [Kerberos::new(), Kerberos::new().with_reply()] {
            let lab = deployment(&[Offer::Kerberos(version)]).start().await?;
            let mut signed_in = sign_in(&lab, Mechanisms::none().then(provider)).await?;
            check(signed_in.endpoint.to_string() == format!("tls {POOL}:5061"), "not at home")?;
            let registration = &signed_in.registration;
            check(registration.scheme == Some(Scheme::Kerberos), "another scheme")?;
            check(registration.protection == Protection::Verified, "not verified")?;
            let session = &mut signed_in.session;
            check(session.version() == Some(version), "another version")?;
            let before = session.expires_at();
            session.sender().refresh();
            while session.expires_at() == before {
                // An answer to the refresh that is not signed rightly would end the session.
                if let Ok(over) = timeout(Duration::from_millis(50), session.receive()).await {
                    over?;
                }
            }
            let verified = session.registration().protection == Protection::Verified;
            check(verified, "the refresh is not signed")?;
            println!("at home: version {}, {provider:?}", version.number());
        }
    }
    Ok(())
}

/// Kerberos comes first, with nothing said.
async fn default() -> Result<()> {
    let lab = deployment(&[Offer::Ntlm(Version::V4), Offer::Kerberos(Version::V4)]).start().await?;
    let client = lab.client().build();
    let signed_in = client.sign_in(&"jeremy@contoso.test".parse()?, &NoCredentials).await?;
    check(signed_in.registration.scheme == Some(Scheme::Kerberos), "another scheme")?;
    println!("by default: {:?}", Mechanisms::default());
    Ok(())
}

/// The tool signs in with the ticket, and asks nobody: its standard input is empty.
async fn tool(program: &str) -> Result<()> {
    let server = |host| Server::tls(host).port(0).address(Ipv4Addr::LOCALHOST);
    let pool = server(POOL).offers([Offer::Ntlm(Version::V4), Offer::Kerberos(Version::V4)]);
    let lab = Lab::builder().domain("contoso.test").internal(pool);
    let lab = lab.account(r"CONTOSO\jeremy", "Passw0rd!", "sip:jeremy@contoso.test");
    let lab = lab.in_place().start().await?;
    let roots = std::env::temp_dir().join(format!("sip-signin-{}.pem", std::process::id()));
    std::fs::write(&roots, lab.roots_pem())?;
    for more in [&["--mechanism", "kerberos"][..], &[]] {
        let mut command = tokio::process::Command::new(program);
        command.args(["sign-in", "jeremy@contoso.test", "--dns", &lab.dns().to_string(), "--ca"]);
        let output = command.arg(&roots).args(more).stdin(Stdio::null()).output().await?;
        let said = String::from_utf8(output.stdout)?;
        let signed = ["by Kerberos", "its signature is right"].iter().all(|s| said.contains(s));
        check(output.status.code() == Some(0) && signed, said)?;
        println!("the tool: {more:?}");
    }
    Ok(std::fs::remove_file(roots)?)
}

/// Where there is no ticket, the next mechanism signs in.
async fn fallback() -> Result<()> {
    let lab = deployment(&[Offer::Kerberos(Version::V4), Offer::Ntlm(Version::V4)]).start().await?;
    let credentials = Credentials::new(r"CONTOSO\jeremy".parse()?, "Passw0rd!");
    let source = FixedCredentials::new(credentials);
    let client = lab.client().build();
    let signed_in = client.sign_in(&"jeremy@contoso.test".parse()?, &source).await?;
    check(signed_in.registration.scheme == Some(Scheme::Ntlm), "another scheme")?;
    println!("without a ticket: NTLM");
    Ok(())
}

fn error(outcome: std::result::Result<SignedIn, SignInFailure>) -> Result<(SignInError, String)> {
    let failure = outcome.err().ok_or("signed in")?;
    match failure.kind() {
        SignInFailureKind::SignIn(_, error) => Ok((error.clone(), failure.to_string())),
        other => Err(format!("{other}").into()),
    }
}

/// A server that cannot prove itself is refused, whatever else is allowed.
async fn faults() -> Result<()> {
    for version in VERSIONS {
        for provider in [Kerberos::new(), Kerberos::new().with_reply()] {
            for (fault, absent) in
                [(SipFault::NoSignature, true), (SipFault::WrongSignature, false)]
            {
                let server = Server::tls(POOL).offers([Offer::Kerberos(version)]).fault(fault);
                let lab = Lab::builder().domain("contoso.test").internal(server);
                let lab = lab.account(r"CONTOSO\jeremy", "Passw0rd!", "sip:jeremy@contoso.test");
                let lab = lab.start().await?;
                let (error, said) = error(sign_in(&lab, Mechanisms::none().then(provider)).await)?;
                let right = match error {
                    SignInError::SignatureAbsent => absent,
                    SignInError::SignatureWrong(_) => !absent,
                    _ => false,
                };
                check(right, format!("{fault}: {said}"))?;
            }
            println!(
                "refused: no and wrong signatures, version {}, {provider:?}",
                version.number()
            );
        }
    }
    Ok(())
}

/// A server that wants a ticket for something else gets none, and a password is not asked for.
async fn rogue(target: &str) -> Result<()> {
    let challenge =
        format!("WWW-Authenticate: Kerberos realm=\"{REALM}\", targetname=\"{target}\", version=4");
    let answer = Answer::status(401, "Unauthorized").header(challenge);
    let lab = Lab::builder().domain("contoso.test").internal(Server::tls(POOL).answer(answer));
    let lab = lab.start().await?;
    let (_, said) = error(sign_in(&lab, tickets()).await)?;
    check(said.contains("is not shown to this server"), &*said)?;
    let sip: Vec<u8> = lab.seen().into_iter().flat_map(|seen| seen.sip).collect();
    check(sip.starts_with(b"REGISTER "), "nothing was seen")?;
    check(!String::from_utf8_lossy(&sip).contains("gssapi-data"), "a ticket was shown")?;
    println!("refused: {target}");
    Ok(())
}

/// A sign-in at `host`, which takes tickets only, fails and says so.
async fn fails(host: &str, says: &str) -> Result<()> {
    let server = Server::tls(host).offers([Offer::Kerberos(Version::V4)]);
    let lab = Lab::builder().domain("contoso.test").internal(server);
    let lab = lab.account(r"CONTOSO\jeremy", "Passw0rd!", "sip:jeremy@contoso.test");
    let lab = lab.account(r"CONTOSO\vadim", "Passw0rd!", "sip:vadim@contoso.test").start().await?;
    let (_, said) = error(sign_in(&lab, tickets()).await)?;
    check(said.contains(says), format!("`{says}` was to be said, not: {said}"))?;
    println!("it says: {said}");
    Ok(())
}
