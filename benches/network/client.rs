//! The client that the network lab times: finds the server and hears its challenge, then ends.
//!
//! `client ADDRESS --ca FILE [--pace default|eager|one-at-a-time]`

use std::error::Error;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sip_signin::discovery::{Pace, Search};
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
    let pace = match value("--pace") {
        Some("eager") => Pace::EAGER,
        Some("one-at-a-time") => Pace::ONE_AT_A_TIME,
        _ => Pace::default(),
    };
    let roots = CertificateDer::pem_file_iter(value("--ca").ok_or("no --ca")?)?;
    let transport = RustlsTransport::with_roots(roots.collect::<Result<Vec<_>, _>>()?)?;
    let search = Search::builder().pace(pace).build()?;
    let client = Client::builder(HickoryResolver::system()?, transport).search(search).build();
    match client.challenge(&address).await {
        Ok(challenged) => print!("{}", challenged.trace),
        Err(failure) => print!("{}{failure}", failure.trace()),
    }
    Ok(())
}
