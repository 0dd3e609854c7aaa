//! Our client as a program, for the judges: signs `sip:jeremy@contoso.test` in and prints what came
//! of it, one fact a line. Then it does what its input says, line by line: `refresh`, `sign out`.
//!
//! Arguments, each `name=value`: `root`, the file with the certificate of the authority; `account`
//! and `password`; `server`, instead of a search; `srv`, a port of 127.0.0.1 to which a search leads,
//! instead of this machine's DNS; `mechanisms`, instead of the default ones, of `kerberos`, `ntlm`,
//! `sha-256` and `md5`; `seconds`, which the user takes to find the password.

use std::collections::BTreeMap;
use std::error::Error;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sip_signin::auth::{Credentials, DigestAlgorithm, Ntlm};
use sip_signin::discovery::{ManualServers, Protocol, Search};
use sip_signin::lab::Lab;
use sip_signin::net::{HickoryResolver, RustlsTransport};
use sip_signin::sign_in::{AskReason, CredentialRequest, Mechanisms};
use sip_signin::sip::InstanceId;
use sip_signin::{Client, CredentialSource, Session, SignedIn};
use tokio::time::timeout;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A user who takes some time to find the password, and is asked as often as it takes.
struct User {
    credentials: Credentials,
    takes: Duration,
    asked: AtomicU32,
}

#[async_trait]
impl CredentialSource for User {
    async fn credentials(&self, request: &CredentialRequest) -> Option<Credentials> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(self.takes).await;
        (request.reason == AskReason::FirstTime).then(|| self.credentials.clone())
    }
}

fn mechanisms(names: &str) -> Result<Mechanisms> {
    names.split(',').try_fold(Mechanisms::none(), |known, name| match name {
        #[cfg(all(unix, feature = "kerberos"))]
        "kerberos" => Ok(known.then(sip_signin::Kerberos::new())),
        "ntlm" => Ok(known.then(Ntlm::new())),
        "sha-256" => Ok(known.then_digest(DigestAlgorithm::Sha256)),
        "md5" => Ok(known.then_digest(DigestAlgorithm::Md5)),
        _ => Err(format!("no mechanism {name}").into()),
    })
}

fn report(signed_in: &SignedIn) {
    let registration = &signed_in.registration;
    println!("signed in at {}", signed_in.endpoint);
    if let Some(scheme) = &registration.scheme {
        println!("scheme {scheme}");
    }
    if let Some(version) = signed_in.session.version() {
        println!("version {}", version.number());
    }
    println!("the server is {:?}", registration.protection);
    if let Some(contact) = &registration.contact {
        println!("contact {}", contact.raw());
    }
    if let Some(expires) = registration.expires {
        println!("expires {}", expires.as_secs());
    }
}

/// Does what each line of the input says.
async fn obey(mut session: Session) -> Result<()> {
    for line in std::io::stdin().lines() {
        match &*line? {
            "refresh" => {
                let before = session.expires_at();
                session.sender().refresh();
                while session.expires_at() == before {
                    // It is refreshed while it is received from.
                    if let Ok(over) = timeout(Duration::from_millis(50), session.receive()).await {
                        over?;
                    }
                }
                println!("refreshed");
            }
            "sign out" => {
                session.sign_out().await?;
                println!("signed out");
                return Ok(());
            }
            other => return Err(format!("what is {other}?").into()),
        }
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let said: BTreeMap<&str, &str> = arguments.iter().filter_map(|a| a.split_once('=')).collect();
    let get = |name: &str, default| said.get(name).copied().unwrap_or(default);

    let root = CertificateDer::from_pem_file(get("root", "ca.pem"))?;
    let transport = RustlsTransport::with_roots([root])?;
    let lab = match said.get("srv") {
        Some(port) => Lab::builder()
            .domain("contoso.test")
            .srv("_sipinternaltls._tcp.contoso.test", 0, 0, port.parse()?, "pool01.contoso.test")
            .address("pool01.contoso.test", Ipv4Addr::LOCALHOST)
            .start()
            .await
            .map(Some)?,
        None => None,
    };
    let resolver = match &lab {
        Some(lab) => lab.resolver(),
        None => HickoryResolver::system()?,
    };
    let epid = "8248ca9ebb".parse()?;
    println!("instance <urn:uuid:{}>", InstanceId::of(&epid));
    let mut client = Client::builder(resolver, transport).epid(epid);
    if let Some(server) = said.get("server") {
        let servers = ManualServers {
            internal: Some(server.parse()?),
            external: None,
            protocol: Protocol::Tls,
        };
        client = client.search(Search::builder().manual(servers).build()?);
    }
    if let Some(names) = said.get("mechanisms") {
        client = client.mechanisms(mechanisms(names)?);
    }
    let user = User {
        credentials: Credentials::new(
            get("account", r"CONTOSO\jeremy").parse()?,
            get("password", "Passw0rd!"),
        ),
        takes: Duration::from_secs(get("seconds", "0").parse()?),
        asked: AtomicU32::new(0),
    };
    let signed_in = client.build().sign_in(&"sip:jeremy@contoso.test".parse()?, &user).await;
    match &signed_in {
        Ok(signed_in) => report(signed_in),
        Err(failure) => println!("failed: {failure}"),
    }
    println!("asked {}", user.asked.load(Ordering::Relaxed));
    match signed_in {
        Ok(signed_in) => obey(signed_in.session).await,
        Err(_) => Ok(()),
    }
}
