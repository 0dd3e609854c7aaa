//! Shows a whole sign-in, from the address through the Director to the home pool.
//!
//! Without arguments it starts the lab, a Communicator deployment on loopback. With an address and
//! `--live` it uses this machine's DNS and trust, and stops at the challenge, for it knows no
//! password: `sign_in jeremy@contoso.com --live`.

use std::error::Error;

use sip_signin::auth::Credentials;
use sip_signin::lab::{Lab, Server};
use sip_signin::sip::{Answer, Scheme};
use sip_signin::{Challenged, Client, FixedCredentials, SignInFailure, SignedIn, SipAddress};

const ACCOUNT: &str = r"CONTOSO\jeremy";
const PASSWORD: &str = "Passw0rd!";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let live = arguments.iter().any(|argument| argument == "--live");
    let address = arguments.iter().find(|argument| !argument.starts_with("--"));
    let address: SipAddress = address.map_or("jeremy@contoso.com", |a| a.as_str()).parse()?;

    if live {
        println!("Asking this machine's DNS servers.\n");
        match live_client()?.challenge(&address).await {
            Ok(challenged) => report(&address, &challenged),
            Err(failure) => explain(&address, &failure),
        }
        return Ok(());
    }
    println!("A Communicator deployment for {} runs on loopback.\n", address.domain());
    let (director, pool) = (format!("sip.{}", address.domain()), "pool01");
    let pool = format!("{pool}.{}", address.domain());
    // The lab ends when it is dropped, so it is kept until the end.
    let lab = Lab::builder()
        .domain(address.domain().as_str())
        .internal(Server::tls(director).home([pool.as_str()]))
        .server(Server::tls(pool))
        .account(ACCOUNT, PASSWORD, address.to_string())
        .start()
        .await?;
    let source = FixedCredentials::new(Credentials::new(ACCOUNT.parse()?, PASSWORD));
    match lab.client().build().sign_in(&address, &source).await {
        Ok(signed_in) => welcome(&address, &signed_in),
        Err(failure) => explain(&address, &failure),
    }
    Ok(())
}

fn explain(address: &SipAddress, failure: &SignInFailure) {
    println!("{:#}", failure.trace());
    failure.redirects().iter().for_each(|trace| println!("{trace:#}"));
    println!("Nobody can sign in as {address}.");
    println!("  what    {}", failure.kind());
    println!("  fault   {}", failure.fault());
    println!("  advice  {}", failure.advice());
    println!("  again   {}", failure.retry());
}

fn welcome(address: &SipAddress, signed_in: &SignedIn) {
    let registration = &signed_in.registration;
    println!("{:#}", signed_in.trace);
    signed_in.redirects.iter().for_each(|trace| println!("{trace:#}"));
    println!("{address} is signed in at {} ({}).", signed_in.endpoint, signed_in.peer);
    if let Some(scheme) = &registration.scheme {
        println!("  proved by   {scheme}; the server's signature: {:?}", registration.protection);
    }
    if let Some(expires) = registration.expires {
        println!("  for         {} s", expires.as_secs());
    }
    if let Some(contact) = &registration.contact {
        println!("  reached at  {contact}");
    }
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
    let named = |entry: &Entry| match entry {
        Entry::AnsweredSrv(name, Ok(Answer::Found(answer))) => answer
            .records
            .iter()
            .any(|r| matches!(&r.target, SrvTarget::Host(target) if Some(target) == host))
            .then(|| format!("the SRV record of {name}")),
        _ => None,
    };
    let events = challenged.trace.events().iter();
    events.filter_map(|event| named(&event.entry)).next().unwrap_or("its host name".into())
}

#[cfg(feature = "platform-verifier")]
fn live_client() -> Result<Client, Box<dyn Error>> {
    Ok(Client::system()?)
}

#[cfg(not(feature = "platform-verifier"))]
fn live_client() -> Result<Client, Box<dyn Error>> {
    Err("--live needs the feature `net`".into())
}
