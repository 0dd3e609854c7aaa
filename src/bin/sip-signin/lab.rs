//! `lab`: a deployment that other clients can be tried against.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use sip_signin::lab::{Fault, Lab, LabBuilder, Server};
use sip_signin::{HostName, SipAddress};

use crate::complaint::{Complaint, End, Outcome};
use crate::screen::{self, GOOD, PLAIN, Page};
use crate::watch::{Awaited, live};

/// Keep a whole deployment running on loopback, to try other clients against it.
///
/// DNS with SRV records, a pool inside (TLS, and clear text), an Edge outside; registrars that
/// challenge, check passwords and sign. Prints where DNS is, the file with the certificate to trust
/// and the account. Runs until Ctrl-C.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  sip-signin lab
  sip-signin lab --dns-port 5300 --tls-port 15061 --fault certificate-expired
  sip-signin check jeremy@contoso.com --dns 127.0.0.1:5300 --ca sip-signin-lab.pem")]
pub struct Options {
    /// The domain of the users
    #[arg(long, value_name = "DOMAIN", default_value = "contoso.com", value_parser = HostName::from_typed)]
    domain: HostName,
    /// The address to listen at; it must be this machine's
    #[arg(long, value_name = "ADDR", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    address: IpAddr,
    /// The port of the DNS server, UDP and TCP; 0 is any that is free, here and below
    #[arg(long, value_name = "PORT", default_value = "5300")]
    dns_port: u16,
    /// The port of the pool over TLS
    #[arg(long, value_name = "PORT", default_value = "5061")]
    tls_port: u16,
    /// The port of the pool in clear text
    #[arg(long, value_name = "PORT", default_value = "5060")]
    tcp_port: u16,
    /// The port of the Edge
    #[arg(long, value_name = "PORT", default_value = "5443")]
    edge_port: u16,
    /// Where to write the certificate that clients must trust
    #[arg(long, value_name = "FILE", default_value = "sip-signin-lab.pem")]
    ca: PathBuf,
    /// The account
    #[arg(long, value_name = "ACCOUNT", default_value = r"CONTOSO\jeremy")]
    user: String,
    /// Its password; this is no secret
    #[arg(long, value_name = "PASSWORD", default_value = "Passw0rd!")]
    password: String,
    /// Its address [default: sip:jeremy@DOMAIN]
    #[arg(long, value_name = "ADDRESS")]
    sign_in_address: Option<SipAddress>,
    /// Make the first thing go wrong that a client meets: one of the faults of `demo --list` whose
    /// name begins with dns-, tcp-, certificate-, tls- or sip-
    #[arg(long, value_name = "NAME")]
    fault: Option<Fault>,
}

/// What a client must know. Its form is promised in `docs/tool.md`.
#[derive(Serialize)]
struct Running {
    dns: SocketAddr,
    ca: PathBuf,
    servers: Vec<String>,
    accounts: Vec<Account>,
}

#[derive(Serialize)]
struct Account {
    address: String,
    account: String,
    password: String,
}

pub fn run(options: &Options, json: bool) -> Outcome {
    let awaited = Awaited::default();
    let user = match &options.sign_in_address {
        Some(address) => address.to_string(),
        None => format!("sip:jeremy@{}", options.domain),
    };
    live(&awaited, async {
        let lab = builder(options, &user).start().await.map_err(|error| {
            let advice = "choose other ports (--dns-port, --tls-port, --tcp-port, --edge-port)";
            Complaint::input(format!("the lab does not start: {error}"), advice)
        })?;
        std::fs::write(&options.ca, lab.roots_pem()).map_err(|error| {
            let what = format!("{} cannot be written: {error}", options.ca.display());
            Complaint::input(what, "name another file with --ca")
        })?;
        let running = Running {
            dns: lab.dns(),
            ca: options.ca.clone(),
            servers: lab.servers().to_vec(),
            accounts: vec![Account {
                address: user.clone(),
                account: options.user.clone(),
                password: options.password.clone(),
            }],
        };
        if json {
            screen::show_json(&running)?
        } else {
            page(&running).show()?
        }
        let _mark = awaited.mark("the lab");
        std::future::pending::<()>().await;
        drop(lab);
        Ok(End::Yes)
    })
    .map(|end| match end {
        // Ctrl-C is how a lab ends.
        End::Interrupted(_) => End::Yes,
        end => end,
    })
}

fn builder(options: &Options, user: &str) -> LabBuilder {
    let (pool, edge) = (format!("pool01.{}", options.domain), format!("sip.{}", options.domain));
    let builder = Lab::builder()
        .domain(options.domain.as_str())
        .internal(Server::tls(&*pool).address(options.address).port(options.tls_port))
        .internal(Server::tcp(pool).address(options.address).port(options.tcp_port))
        .external(Server::tls(edge).address(options.address).port(options.edge_port))
        .account(&*options.user, &*options.password, user)
        .dns_at(SocketAddr::new(options.address, options.dns_port))
        .in_place();
    match options.fault {
        Some(fault) => builder.fault(fault),
        None => builder,
    }
}

fn page(running: &Running) -> Page {
    let mut page = Page::new();
    page.item("running", GOOD, 10, PLAIN, "until Ctrl-C");
    page.item("dns", PLAIN, 10, PLAIN, &running.dns.to_string());
    page.item("trust", PLAIN, 10, PLAIN, &running.ca.display().to_string());
    running.servers.iter().for_each(|server| page.item("server", PLAIN, 10, PLAIN, server));
    for Account { address, account, password } in &running.accounts {
        let text = format!("{address} as {account}, password {password}");
        page.item("account", PLAIN, 10, PLAIN, &text);
        let (dns, ca) = (running.dns, running.ca.display());
        let text = format!("sip-signin sign-in {address} --user '{account}' --dns {dns} --ca {ca}");
        page.item("try", PLAIN, 10, PLAIN, &text);
    }
    page
}
