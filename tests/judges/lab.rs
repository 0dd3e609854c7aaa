//! The lab as a program: a deployment of contoso.test on addresses and ports of its own, for clients
//! that nobody here wrote. `tests/judges/pidgin-sipe.sh` runs it inside a network namespace.
//!
//! Arguments: a file for the certificate of the authority. It serves until its input ends. Tickets
//! are taken with the feature `kerberos` and the keytab that `KRB5_KTNAME` names.

use std::error::Error;
use std::io::Read;
use std::net::Ipv4Addr;

use sip_signin::auth::Version;
use sip_signin::lab::{Lab, Offer, Server, SipFault};

fn server(host: &str, last: u8) -> Server {
    Server::tls(format!("{host}.contoso.test")).address(Ipv4Addr::new(10, 77, 0, last))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let root = std::env::args().nth(1).ok_or("the certificate to which file?")?;
    let (ntlm, ticket) = (|version| [Offer::Ntlm(version)], |version| [Offer::Kerberos(version)]);
    let lab = Lab::builder()
        .domain("contoso.test")
        .account(r"CONTOSO\jeremy", "Passw0rd!", "sip:jeremy@contoso.test")
        .internal(server("director", 1).home(["pool04.contoso.test:5061"]))
        .server(server("pool02", 2).offers(ntlm(Version::V2)))
        .server(server("pool03", 3).offers(ntlm(Version::V3)))
        .server(server("pool04", 4).offers(ntlm(Version::V4)))
        .server(server("ticket02", 12).offers(ticket(Version::V2)))
        .server(server("ticket03", 13).offers(ticket(Version::V3)))
        .server(server("ticket04", 14).offers(ticket(Version::V4)))
        .server(server("damaged", 5).fault(SipFault::WrongSignature))
        .in_place()
        .dns_at((Ipv4Addr::new(10, 77, 0, 53), 53).into())
        .start()
        .await?;
    std::fs::write(root, lab.roots_pem())?;
    println!("ready");
    // The servers run on other threads.
    std::io::stdin().read_to_end(&mut Vec::new())?;
    lab.stop().await;
    Ok(())
}
