//! Signs in to an NTLM acceptor that nobody here wrote: gss-ntlmssp, behind `ntlmd.c`.
//!
//! Arguments: the acceptor, and a file to which everything that was exchanged is written for the
//! second judge. `tests/judges/ntlm.sh` runs both.

#[path = "../acceptor.rs"]
mod acceptor;

use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::process::Command;
use std::time::{Instant, SystemTime};

use acceptor::Acceptor;
use sip_signin::auth::{
    Association, Credentials, Identity, Ntlm, Protection, Salt, Version, signature_buffer,
};
use sip_signin::sip::{Challenge, Challenger, Message};
use sip_signin::{Now, Random, SystemRandom};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[expect(clippy::disallowed_methods, reason = "the acceptor keeps real time")]
fn now() -> Now {
    Now { instant: Instant::now(), wall: SystemTime::now() }
}

const COMMON: &str = "From: <sip:jeremy@contoso.test>;tag=3e49177a52;epid=c8ca638a15\r\n\
    Call-ID: 4037df9284354df39065195bd57a4b14\r\nCSeq: 3 REGISTER\r\n";

fn message(start: &str, more: &str) -> Result<Message> {
    let text = format!("{start}\r\n{COMMON}{more}To: <sip:jeremy@contoso.test>\r\nl: 0\r\n\r\n");
    Ok(Message::parse(text.into())?)
}

const HEAD: &str = r#"NTLM realm="SIP Communications Service", targetname="pool01.contoso.test""#;

fn salt<'a>(rand: &'a str, num: &'a str) -> Salt<'a> {
    let (realm, target) = ("SIP Communications Service", "pool01.contoso.test");
    Salt { scheme: "NTLM", rand, num, realm, target }
}

fn start(program: &str) -> Result<Acceptor> {
    Acceptor::start(Command::new(program).arg("sip@pool01.contoso.test"))
}

/// What the client would send to `acceptor`, after a challenge of it.
fn answer(
    acceptor: &mut Acceptor,
    (account, password): (&str, &str),
    version: Version,
    random: &dyn Random,
) -> Result<(Association, Challenge<'static>, String)> {
    let credentials = Credentials::new(account.parse()?, password);
    let first = format!("{HEAD}, version={}", version.number());
    let first = Challenge::read_all(&first).remove(0)?;
    let ntlm = Ntlm::new().with_workstation("CLIENT");
    let identity = Identity::Supplied(&credentials);
    let by = Challenger::Registrar;
    let mut association = Association::start(&first, by, &ntlm, identity, now(), random)?;
    let register = message("REGISTER sip:contoso.test SIP/2.0", "")?;
    association.authorize(&register, random)?;
    let token = acceptor.ask("CHALLENGE")?;
    let token = token.strip_prefix("CHALLENGE ").ok_or("no challenge")?;
    let second = format!(
        r#"{HEAD}, version={}, opaque="2BDBAC9D", gssapi-data="{token}""#,
        version.number()
    );
    association.challenged(&Challenge::read_all(&second).remove(0)?, now(), random)?;
    let authorization = association.authorize(&register, random)?;
    let sent = Challenge::read_all(authorization.value()).remove(0)?.apart();
    Ok((association, sent, token.to_owned()))
}

/// One exchange that must succeed, with signatures both ways.
fn succeeds(program: &str, who: (&str, &str), version: Version, record: &mut File) -> Result<()> {
    let random = &SystemRandom;
    let mut acceptor = start(program)?;
    let (mut association, mut sent, challenge) = answer(&mut acceptor, who, version, random)?;
    let token = sent.gssapi_data().ok_or("no token")?.to_owned();
    let accepted = acceptor.ask(&format!("AUTH {token}"))?;
    if !accepted.starts_with("OK ") {
        return Err(format!("not accepted: {accepted}").into());
    }
    let register = message("REGISTER sip:contoso.test SIP/2.0", "")?;
    for _ in 0..3 {
        if sent.parameter("response").is_none() {
            let authorization = association.authorize(&register, random)?;
            sent = Challenge::read_all(authorization.value()).remove(0)?.apart();
        }
        let parameter = |name| sent.parameter(name).ok_or(name);
        let (rand, num) = (parameter("crand")?, parameter("cnum")?);
        let (signature, text) =
            (parameter("response")?, signature_buffer(version, salt(rand, num), &register)?);
        let verified = acceptor.ask(&format!("VERIFY 100 {signature} {text}"))?;
        if verified != "GOOD" {
            return Err(format!("our signature: {verified}").into());
        }
        let forged = acceptor.ask(&format!("VERIFY 100 {signature} {text}x"))?;
        if !forged.starts_with("BAD") {
            return Err("the judge takes any signature".into());
        }
        writeln!(record, "{challenge}\t{token}\t{}\t{signature}\t{text}", who.1)?;
        let authorization = association.authorize(&register, random)?;
        sent = Challenge::read_all(authorization.value()).remove(0)?.apart();
    }
    for num in ["1", "2"] {
        let bare = message("SIP/2.0 200 OK", "Expires: 7200\r\n")?;
        let text = signature_buffer(version, salt("9616454F", num), &bare)?;
        let signed = acceptor.ask(&format!("SIGN 100 {text}"))?;
        let rspauth = signed.strip_prefix("MIC ").ok_or("no signature")?;
        let info = format!(
            "Expires: 7200\r\nAuthentication-Info: {HEAD}, opaque=\"2BDBAC9D\", \
             srand=\"9616454F\", snum=\"{num}\", rspauth=\"{rspauth}\"\r\n"
        );
        let forged = message("SIP/2.0 200 OK", &info.replace("7200", "7201"))?;
        if association.verify(&forged, now(), random).is_ok() {
            return Err("we take any signature".into());
        }
        let welcome = message("SIP/2.0 200 OK", &info)?;
        if association.verify(&welcome, now(), random)? != Protection::Verified {
            return Err("its signature is absent".into());
        }
    }
    Ok(())
}

/// One exchange that must fail at the acceptor.
fn fails(program: &str, who: (&str, &str), spoil: fn(&str) -> String) -> Result<()> {
    let mut acceptor = start(program)?;
    let (_, sent, _) = answer(&mut acceptor, who, Version::V4, &SystemRandom)?;
    let token = spoil(sent.gssapi_data().ok_or("no token")?);
    let answer = acceptor.ask(&format!("AUTH {token}"))?;
    if answer.starts_with("FAIL ") { Ok(()) } else { Err(format!("accepted: {answer}").into()) }
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let program = arguments.next().ok_or("which acceptor?")?;
    let mut record = File::create(arguments.next().ok_or("record to which file?")?)?;
    let long = "0123456789".repeat(10);
    let accounts = [
        (r"CONTOSO\jeremy", "Passw0rd!"),
        ("jeremy@contoso.test", "Passw0rd!"),
        (r"CONTOSO\toni", &long),
        (r"CONTOSO\zoe", "pässwörd €"),
        (r"CONTOSO\jérémie", "Passw0rd!"),
        (r"CONTOSO\Владимир", "пароль"),
        ("jérémie@contoso.test", "Passw0rd!"),
    ];
    for who in accounts {
        for version in [Version::V2, Version::V3, Version::V4] {
            succeeds(&program, who, version, &mut record)
                .map_err(|error| format!("{} in version {version:?}: {error}", who.0))?;
            println!("accepted: {} in version {}", who.0, version.number());
        }
    }
    fails(&program, (r"CONTOSO\jeremy", "Passw0rd"), str::to_owned)?;
    println!("refused: a wrong password");
    fails(&program, (r"CONTOSO\nobody", "Passw0rd!"), str::to_owned)?;
    println!("refused: an unknown user");
    // The digits 96 to 116 hold bytes 72 to 87: the MIC.
    fails(&program, (r"CONTOSO\jeremy", "Passw0rd!"), |token| {
        let other = if token.as_bytes().get(100) == Some(&b'A') { "B" } else { "A" };
        token
            .chars()
            .enumerate()
            .map(|(n, c)| if n == 100 { other.into() } else { c.to_string() })
            .collect()
    })?;
    println!("refused: a wrong mic");
    Ok(())
}
