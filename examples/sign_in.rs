//! Shows a whole sign-in: from the address to the challenge, then with NTLM through the Director to
//! the home pool, and a message to oneself through the session. Leaves out what comes after: a program
//! that goes on receiving is refreshed and kept alive.
//!
//! Without arguments it starts the lab, a Communicator deployment on loopback. With an address and
//! `--live` it uses this machine's DNS and trust, and stops at the challenge, for want of a password:
//! `sign_in jeremy@contoso.com --live`. With `--compress` everything after TLS goes in packets.

use std::error::Error;
use std::time::{Duration, SystemTime};

use sip_signin::auth::{Credentials, Protection};
use sip_signin::compression::Compression;
use sip_signin::lab::{Compresses, Lab, LabBuilder, Server};
use sip_signin::sip::{Answer, Message, Scheme};
use sip_signin::{
    Challenged, Client, FixedCredentials, Session, SignInFailure, SignedIn, SipAddress,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let live = arguments.iter().any(|argument| argument == "--live");
    let compression = match arguments.iter().any(|argument| argument == "--compress") {
        true => Compression::Always,
        false => Compression::Never,
    };
    let address = arguments.iter().find(|argument| !argument.starts_with("--"));
    let address: SipAddress = address.map_or("jeremy@contoso.com", |a| a.as_str()).parse()?;

    // The lab ends when it is dropped, so it is kept until the end.
    let lab = deployment(&address).start().await?;
    let client = if live {
        println!("Asking this machine's DNS servers.\n");
        live_client()?
    } else {
        println!("A Communicator deployment for {} runs on loopback.\n", address.domain());
        lab.client().compression(compression).build()
    };

    match client.challenge(&address).await {
        Ok(challenged) => report(&address, &challenged),
        Err(failure) => {
            explain(&address, &failure);
            return Ok(());
        }
    }
    if live {
        return Ok(());
    }
    println!("\nNow with a password.\n");
    let credentials = Credentials::new(ACCOUNT.parse()?, PASSWORD);
    match client.sign_in(&address, &FixedCredentials::new(credentials)).await {
        Ok(signed_in) => {
            celebrate(&address, &signed_in);
            talk(&address, signed_in.session).await?;
        }
        Err(failure) => explain(&address, &failure),
    }
    Ok(())
}

const ACCOUNT: &str = r"CONTOSO\jeremy";
const PASSWORD: &str = "Passw0rd!";

/// A Director that everybody finds, and the pool where this user is at home.
fn deployment(address: &SipAddress) -> LabBuilder {
    let (director, pool) =
        (format!("sip.{}", address.domain()), format!("pool01.{}", address.domain()));
    Lab::builder()
        .domain(address.domain().as_str())
        .internal(Server::tls(director).home([&pool]).compresses(Compresses::Yes))
        .server(Server::tls(&pool).compresses(Compresses::Yes))
        .account(ACCOUNT, PASSWORD, address.to_string())
}

fn explain(address: &SipAddress, failure: &SignInFailure) {
    println!("{:#}", failure.trace());
    println!("Nobody can sign in as {address}.");
    println!("  what    {}", failure.kind());
    println!("  fault   {}", failure.fault());
    println!("  advice  {}", failure.advice());
}

fn celebrate(address: &SipAddress, signed_in: &SignedIn) {
    println!("How the Director is found:\n\n{:#}", signed_in.trace);
    for trace in &signed_in.redirects {
        println!("Where it sends us:\n\n{trace:#}");
    }
    let registration = &signed_in.registration;
    let scheme = registration.scheme.as_ref().map_or("nothing".into(), ToString::to_string);
    println!("{address} is signed in at {}.", signed_in.endpoint);
    let version = signed_in.session.version().map_or(0, |version| version.number());
    println!("  proved with {scheme} in version {version}, as {ACCOUNT}");
    println!(
        "  the server  {}",
        match registration.protection {
            Protection::Verified => "proved itself too: its signature is right",
            _ => "did not prove itself",
        }
    );
    if let Some(expires) = registration.expires {
        println!("  until       {} UTC, in {} min", clock(expires), expires.as_secs() / 60);
    }
    if let Some(server) = &registration.server {
        println!("  it is       {server}");
    }
}

/// What a clock shows by then.
#[expect(clippy::disallowed_methods, reason = "an example keeps real time")]
fn clock(from_now: Duration) -> String {
    let then = (SystemTime::now() + from_now).duration_since(SystemTime::UNIX_EPOCH);
    let minutes = then.unwrap_or_default().as_secs() / 60;
    format!("{:02}:{:02}", minutes / 60 % 24, minutes % 60)
}

/// Says something to oneself, hears it, and leaves.
async fn talk(address: &SipAddress, mut session: Session) -> Result<(), Box<dyn Error>> {
    let text = "Hello, is this Communicator?";
    let message = format!(
        "MESSAGE {address} SIP/2.0\r\nVia: SIP/2.0/TLS {};branch=z9hG4bKm1\r\nMax-Forwards: 70\r\n\
         From: <{address}>;tag=m1\r\nTo: <{address}>\r\nCall-ID: m1\r\nCSeq: 1 MESSAGE\r\n\
         Content-Type: text/plain\r\nContent-Length: {}\r\n\r\n{text}",
        session.facts().local,
        text.len()
    );
    session.send(message.into()).await?;
    println!("  said        {text:?}");
    for _ in 0..2 {
        let Some(received) = session.receive().await? else { break };
        let what = match &received.message {
            Message::Request(request) => format!("{} to us", request.method()),
            Message::Response(response) => format!("{} {}", response.status(), response.reason()),
        };
        println!("  heard       {what}, signature {:?}", received.protection);
    }
    session.sign_out().await?;
    println!("  signed out  the server let us go");
    Ok(())
}

fn report(address: &SipAddress, challenged: &Challenged) {
    println!("{:#}", challenged.trace);
    println!("{address} signs in at {} ({}).", challenged.endpoint, challenged.peer);
    println!("  found by    {}", how_found(challenged));
    if let Some(tls) = &challenged.channel.facts().tls {
        let names: Vec<_> = tls.names.iter().map(ToString::to_string).collect();
        println!("  secured by  {}, {}", tls.version, tls.cipher_suite);
        println!("  proved by   a certificate for {}", names.join(", "));
    }
    match &challenged.answer {
        Answer::Challenged { challenges, .. } => {
            println!("  it accepts");
            for challenge in challenges {
                let target = challenge.target_name().unwrap_or("-");
                let version = match challenge.scheme() {
                    Scheme::Kerberos | Scheme::Ntlm | Scheme::TlsDsk => {
                        format!(", version {}", challenge.version())
                    }
                    _ => String::new(),
                };
                println!("    {} for {target}{version}", challenge.scheme());
            }
        }
        other => println!("  it answered {other:?}"),
    }
}

/// The last word of DNS on the host that was connected to.
fn how_found(challenged: &Challenged) -> String {
    use sip_signin::discovery::{Answer, Entry, SrvTarget};
    let host = challenged.endpoint.host.name();
    let mut named = challenged.trace.events().filter_map(|event| match event.entry {
        Entry::AnsweredSrv(name, Ok(Answer::Found(answer))) => answer
            .records
            .iter()
            .any(|r| matches!(&r.target, SrvTarget::Host(target) if Some(target) == host))
            .then(|| format!("the SRV record of {name}")),
        _ => None,
    });
    named.next().unwrap_or("its host name".into())
}

#[cfg(feature = "platform-verifier")]
fn live_client() -> Result<Client, Box<dyn Error>> {
    Ok(Client::system()?)
}

#[cfg(not(feature = "platform-verifier"))]
fn live_client() -> Result<Client, Box<dyn Error>> {
    Err("--live needs the feature `net`".into())
}
