//! The client that the network lab times: finds the server and hears its challenge, then ends.
//!
//! `network_client ADDRESS --ca FILE [--pace default|eager|one-at-a-time] [--last FILE] [--again]`
//!
//! `--last` keeps the last server in a file. `--again` signs in a second time after a second's
//! pause, with the server and the TLS session of the first remembered.

use std::error::Error;
use std::fs;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sip_signin::discovery::{LastServer, Pace, Search};
use sip_signin::net::{HickoryResolver, RustlsTransport};
use sip_signin::{Client, SipAddress};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name| {
        let at = arguments.iter().position(|argument| argument == name);
        at.and_then(|at| arguments.get(at + 1)).map(String::as_str)
    };
    let address: SipAddress = arguments.first().ok_or("no address")?.parse()?;
    let pace = Pace::named(value("--pace").unwrap_or("default")).ok_or("no such pace")?;
    let roots = CertificateDer::pem_file_iter(value("--ca").ok_or("no --ca")?)?;
    let transport = RustlsTransport::with_roots(roots.collect::<Result<Vec<_>, _>>()?)?;
    let search = Search::builder().pace(pace).build()?;
    let client = Client::builder(HickoryResolver::system()?, transport).search(search).build();

    let file = value("--last");
    let text = file.and_then(|file| fs::read_to_string(file).ok());
    let mut last = knock(&client, &address, text.and_then(|text| text.parse().ok())).await;
    if arguments.iter().any(|argument| argument == "--again") {
        tokio::time::sleep(Duration::from_secs(1)).await;
        last = knock(&client, &address, last).await;
    }
    match (file, last) {
        (Some(file), Some(last)) => fs::write(file, last.to_string())?,
        (Some(file), None) => fs::remove_file(file)?,
        (None, _) => {}
    }
    Ok(())
}

/// Says how the server was found, and which one to remember.
async fn knock(
    client: &Client,
    address: &SipAddress,
    last: Option<LastServer>,
) -> Option<LastServer> {
    match client.remembering(last).challenge(address).await {
        Ok(challenged) => {
            print!("{}", challenged.trace);
            challenged.last_server()
        }
        Err(failure) => {
            println!("{}{failure}", failure.trace());
            None
        }
    }
}
