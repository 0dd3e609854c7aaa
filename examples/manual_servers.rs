//! Shows servers set by hand, internal and external: the internal one is down, so the external one
//! is used. Leaves out automatic discovery, which manual servers replace.

use std::error::Error;

use sip_signin::SipAddress;
use sip_signin::discovery::{ManualServers, Protocol, Search};
use sip_signin::lab::{Lab, Server, TcpFault};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    // The user's domain is not the servers' domain: what manual servers are for.
    let address: SipAddress = "sip:kim.akers@fabrikam.com".parse()?;
    let lab = Lab::builder()
        .domain("corp.example")
        .server(Server::tls("ocs.corp.example").address([192, 0, 2, 10]).fault(TcpFault::Refused))
        .server(Server::tls("edge.corp.example").address([203, 0, 113, 10]).port(443))
        .start()
        .await?;

    let search = Search::builder()
        .manual(ManualServers {
            internal: Some("ocs.corp.example".parse()?),
            external: Some("edge.corp.example:443".parse()?),
            protocol: Protocol::Tls,
        })
        .build()?;
    let challenged = lab.client().search(search).build().challenge(&address).await?;
    println!("{:#}", challenged.trace);
    println!("The internal server is down; {} took the call.", challenged.endpoint);
    println!("No SRV question was asked, and no name rule applied: an administrator said so.");
    Ok(())
}
