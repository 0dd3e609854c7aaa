//! Shows a supervisor at work against the lab: the server goes away, and when it is back, so is the
//! user. Leaves out messages, and patience: it waits for a second where a real client waits for 30.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use sip_signin::auth::Credentials;
use sip_signin::discovery::{ConnectFailure, Endpoint};
use sip_signin::lab::{Lab, LabBuilder, LabTransport, Server, TcpFault};
use sip_signin::net::RustlsTransport;
use sip_signin::sip::Epid;
use sip_signin::{
    BackOff, Client, Connection, FixedCredentials, Supervisor, SupervisorEvent, Transport,
};
use tokio::time::Instant;

const ADDRESS: &str = "sip:jeremy@contoso.com";
const ACCOUNT: &str = r"CONTOSO\jeremy";
const PASSWORD: &str = "Passw0rd!";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    // One and the same deployment, while it is down and while it is up.
    let down = deployment(Server::tls("pool01.contoso.com").fault(TcpFault::Refused)).start();
    let down = down.await?;
    let up = || deployment(Server::tls("pool01.contoso.com")).start();
    let first = up().await?;
    let road = Road(Arc::new(Mutex::new(first.tls())));
    let (mut running, mut failures) = (Some(first), 0);

    let epid: Epid = "8248ca9ebb".parse()?;
    let back_off = BackOff::of(&epid).base(Duration::from_secs(1)).settled_after(Duration::ZERO);
    let client = Client::builder(down.resolver(), road.clone()).epid(epid).build();
    let source = FixedCredentials::new(Credentials::new(ACCOUNT.parse()?, PASSWORD));
    let mut supervisor = Supervisor::new(&client, ADDRESS.parse()?, source)?.back_off(back_off);

    let began = Instant::now();
    let at = |again: Option<std::time::Instant>| match again {
        Some(again) => {
            format!("again at {:.1} s", (Instant::from_std(again) - began).as_secs_f32())
        }
        None => "never again by itself".into(),
    };
    while let Some(event) = supervisor.next().await {
        print!("{:>4.1} s  ", began.elapsed().as_secs_f32());
        match event {
            SupervisorEvent::SignedIn { sender, .. } => {
                println!("{ADDRESS} is signed in at {}", sender.endpoint());
                if failures > 0 {
                    return Ok(());
                }
                println!("        (the server goes away)");
                road.lead_to(&down);
                if let Some(lab) = running.take() {
                    lab.stop().await;
                }
            }
            SupervisorEvent::Lost { why, again } => println!("lost: {why}; {}", at(again)),
            SupervisorEvent::Failed { why, again } => {
                println!("failed: {}; {}", why.kind(), at(again));
                failures += 1;
                if failures == 2 {
                    println!("        (the server is back)");
                    let lab = up().await?;
                    road.lead_to(&lab);
                    running = Some(lab);
                }
            }
            other => println!("{other:?}"),
        }
    }
    Err("nothing that waiting mends".into())
}

fn deployment(pool: Server) -> LabBuilder {
    Lab::builder().domain("contoso.com").internal(pool).account(ACCOUNT, PASSWORD, ADDRESS)
}

/// The way to whichever of the two deployments is there.
#[derive(Clone)]
struct Road(Arc<Mutex<LabTransport<RustlsTransport>>>);

impl Road {
    fn lead_to(&self, lab: &Lab) {
        *self.0.lock().expect("nobody panics on the road") = lab.tls();
    }
}

#[async_trait]
impl Transport for Road {
    async fn connect(
        &self,
        endpoint: &Endpoint,
        address: SocketAddr,
    ) -> Result<Box<dyn Connection>, ConnectFailure> {
        let transport = self.0.lock().expect("nobody panics on the road").clone();
        transport.connect(endpoint, address).await
    }
}
