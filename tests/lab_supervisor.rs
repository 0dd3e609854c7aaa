//! A supervisor against the lab: real sockets, real TLS, NTLM, and a back-off of seconds.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use sip_signin::auth::Credentials;
use sip_signin::discovery::{ConnectFailure, Endpoint};
use sip_signin::lab::{Lab, LabBuilder, LabTransport, Server, SipFault, TcpFault};
use sip_signin::net::RustlsTransport;
use sip_signin::{
    BackOff, Client, Connection, FixedCredentials, SessionError, Supervisor, SupervisorEvent,
    Transport,
};

const ADDRESS: &str = "sip:jeremy@contoso.com";

fn deployment(pool: Server) -> LabBuilder {
    let builder = Lab::builder().domain("contoso.com").internal(pool);
    builder.account(r"CONTOSO\jeremy", "Passw0rd!", ADDRESS)
}

fn pool() -> Server {
    Server::tls("pool01.contoso.com")
}

fn supervisor(client: &Client, password: &str) -> Supervisor {
    let credentials = Credentials::new(r"CONTOSO\jeremy".parse().unwrap(), password);
    let source = FixedCredentials::new(credentials);
    let supervisor = Supervisor::new(client, ADDRESS.parse().unwrap(), source).unwrap();
    let back_off = BackOff::of(&"8248ca9ebb".parse().unwrap()).base(Duration::from_secs(1));
    supervisor.back_off(back_off)
}

/// The way to whichever deployment is there.
#[derive(Clone)]
struct Road(Arc<Mutex<LabTransport<RustlsTransport>>>);

#[async_trait]
impl Transport for Road {
    async fn connect(
        &self,
        endpoint: &Endpoint,
        address: SocketAddr,
    ) -> Result<Box<dyn Connection>, ConnectFailure> {
        let transport = self.0.lock().unwrap().clone();
        transport.connect(endpoint, address).await
    }
}

#[tokio::test]
async fn a_wrong_password_makes_one_attempt_on_one_connection() {
    let lab = deployment(pool()).start().await.unwrap();
    let mut supervisor = supervisor(&lab.client().build(), "wrong");
    let event = supervisor.next().await;
    let Some(SupervisorEvent::Failed { why, again: None }) = event else { panic!("{event:?}") };
    assert!(why.to_string().contains("the credentials were rejected (NTLM)"), "{why}");
    assert!(supervisor.next().await.is_none());
    assert_eq!(lab.seen().len(), 1, "{:?}", lab.seen());
}

/// Virtual time passes the two hours of the binding.
#[tokio::test]
async fn a_pool_that_forgets_or_hangs_up_is_signed_in_to_again() {
    let lab = deployment(pool()).start().await.unwrap();
    let mut supervisor = supervisor(&lab.client().build(), "Passw0rd!");
    let event = supervisor.next().await;
    assert!(matches!(event, Some(SupervisorEvent::SignedIn { .. })), "{event:?}");

    tokio::time::pause();
    lab.forget_bindings("pool01.contoso.com");
    let event = supervisor.next().await;
    let Some(SupervisorEvent::Lost { why, again: Some(_) }) = event else { panic!("{event:?}") };
    assert_eq!(why, SessionError::Forgotten);
    tokio::time::resume();
    let event = supervisor.next().await;
    assert!(matches!(event, Some(SupervisorEvent::SignedIn { .. })), "{event:?}");

    tokio::time::pause();
    lab.befall("pool01.contoso.com", Some(SipFault::Close));
    let event = supervisor.next().await;
    assert!(matches!(event, Some(SupervisorEvent::Lost { again: Some(_), .. })), "{event:?}");
    lab.befall("pool01.contoso.com", None);
    tokio::time::resume();
    let event = supervisor.next().await;
    assert!(matches!(event, Some(SupervisorEvent::SignedIn { .. })), "{event:?}");
    assert_eq!(lab.seen().len(), 3, "one connection for each session");
}

/// DNS does not name the home pool: the Director does.
#[tokio::test]
async fn the_server_that_had_the_user_is_tried_first_unless_it_would_not_have_him() {
    let director = Server::tls("sip.contoso.com").home(["pool01.contoso.com"]);
    let lab = deployment(director).server(pool()).start().await.unwrap();
    let mut supervisor = supervisor(&lab.client().build(), "Passw0rd!");
    for (fault, searches) in [(None, 2), (Some(SipFault::Close), 1), (Some(SipFault::Silent), 2)] {
        if fault.is_some() {
            tokio::time::pause();
            lab.befall("pool01.contoso.com", fault);
            let event = supervisor.next().await;
            assert!(matches!(event, Some(SupervisorEvent::Lost { again: Some(_), .. })));
            lab.befall("pool01.contoso.com", None);
            tokio::time::resume();
        }
        let event = supervisor.next().await;
        let Some(SupervisorEvent::SignedIn { sender, traces, last_server }) = event else {
            panic!("{event:?}")
        };
        assert_eq!(last_server.unwrap().to_string(), "pool01.contoso.com:5061 192.0.2.11");
        assert_eq!(sender.endpoint().to_string(), "tls pool01.contoso.com:5061");
        assert_eq!(traces.len(), searches, "{fault:?}: {traces:?}");
    }
}

#[tokio::test]
async fn a_pool_that_restarts_finds_its_user_again() {
    let down = deployment(pool().fault(TcpFault::Refused)).start().await.unwrap();
    let first = deployment(pool()).start().await.unwrap();
    let road = Road(Arc::new(Mutex::new(first.tls())));
    let client = Client::builder(down.resolver(), road.clone()).build();
    let mut supervisor = supervisor(&client, "Passw0rd!");

    let event = supervisor.next().await;
    assert!(matches!(event, Some(SupervisorEvent::SignedIn { .. })), "{event:?}");
    *road.0.lock().unwrap() = down.tls();
    first.stop().await;
    let event = supervisor.next().await;
    assert!(matches!(event, Some(SupervisorEvent::Lost { again: Some(_), .. })), "{event:?}");
    let event = supervisor.next().await;
    assert!(matches!(event, Some(SupervisorEvent::Failed { again: Some(_), .. })), "{event:?}");

    let second = deployment(pool()).start().await.unwrap();
    *road.0.lock().unwrap() = second.tls();
    let event = supervisor.next().await;
    assert!(matches!(event, Some(SupervisorEvent::SignedIn { .. })), "{event:?}");
    supervisor.sign_out();
    let event = supervisor.next().await;
    assert!(matches!(event, Some(SupervisorEvent::SignedOut)), "{event:?}");
}
