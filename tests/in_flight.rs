//! How much memory a sign-in under way holds, wherever it waits for somebody. A program of its own: the
//! allocator counts for all tests of one, and for the threads that ended tests leave.
#![cfg(feature = "ntlm")]

#[path = "common/sevens.rs"]
mod sevens;

use std::future::pending;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use peak_alloc::PeakAlloc;
use sevens::Sevens;
use sip_signin::auth::Credentials;
use sip_signin::discovery::{
    Absence, Answer, ConnectFailure, Endpoint, Family, LookupFailure, SrvAnswer, SrvRecord,
};
use sip_signin::sign_in::CredentialRequest;
use sip_signin::{
    Client, Connection, ConnectionFacts, CredentialSource, HostName, Resolver, SipAddress, SrvName,
    Transport,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

const CHALLENGE: &str = "SIP/2.0 401 No\r\n\
     From: <sip:jeremy@contoso.com>;tag=0707070707;epid=01\r\n\
     To: <sip:jeremy@contoso.com>;tag=t\r\n\
     Call-ID: 07070707070707070707070707070707\r\n\
     CSeq: 1 REGISTER\r\n\
     WWW-Authenticate: NTLM realm=\"SIP Communications Service\", targetname=\"sip.contoso.com\", \
     version=4\r\n\
     Content-Length: 0\r\n\r\n";

static FACTS: LazyLock<ConnectionFacts> = LazyLock::new(|| ConnectionFacts {
    local: "192.0.2.7:49152".parse().unwrap(),
    peer: "192.0.2.1:5061".parse().unwrap(),
    tls: None,
});

/// Where a sign-in rests.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Rest {
    Lookup,
    Connect,
    Answer,
    Password,
    /// The answer to the first message with a proof in it.
    Proof,
}

/// Everybody it meets: they answer at once, but one of them never.
#[derive(Clone, Copy)]
struct World(Rest);

impl World {
    async fn reach(self, rest: Rest) {
        if self.0 == rest {
            pending().await
        }
    }
}

#[async_trait]
impl Resolver for World {
    async fn srv(&self, name: &SrvName) -> Result<Answer<SrvAnswer>, LookupFailure> {
        self.reach(Rest::Lookup).await;
        if !name.to_string().starts_with("_sip._tls.") {
            return Ok(Answer::Absent(Absence::NoSuchName));
        }
        let records = vec![SrvRecord::new(0, 0, 5061, "sip.contoso.com")];
        Ok(Answer::Found(SrvAnswer { records, additional: Vec::new() }))
    }

    async fn addresses(
        &self,
        _: &HostName,
        family: Family,
    ) -> Result<Answer<Vec<IpAddr>>, LookupFailure> {
        Ok(match family {
            Family::V4 => Answer::Found(vec![[192, 0, 2, 1].into()]),
            Family::V6 => Answer::Absent(Absence::NoData),
        })
    }
}

#[async_trait]
impl Transport for World {
    async fn connect(
        &self,
        _: &Endpoint,
        _: SocketAddr,
    ) -> Result<Box<dyn Connection>, ConnectFailure> {
        self.reach(Rest::Connect).await;
        Ok(Box::new(Line { silent: self.0 == Rest::Answer }))
    }
}

#[async_trait]
impl CredentialSource for World {
    async fn credentials(&self, _: &CredentialRequest) -> Option<Credentials> {
        self.reach(Rest::Password).await;
        Some(Credentials::new(r"CONTOSO\jeremy".parse().unwrap(), "Passw0rd!"))
    }
}

/// A connection that is next to nothing, so that it is not what is counted.
struct Line {
    silent: bool,
}

impl Connection for Line {
    fn facts(&self) -> &ConnectionFacts {
        &FACTS
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if std::mem::replace(&mut self.silent, true) {
            return Poll::Pending;
        }
        into.put_slice(CHALLENGE.as_bytes());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What a sign-in holds that has come to rest.
fn held(rest: Rest) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _entered = runtime.enter();
    let address: SipAddress = "sip:jeremy@contoso.com".parse().unwrap();
    let world = World(rest);
    let client =
        Client::builder(world, world).random(Sevens).epid("0123456789".parse().unwrap()).build();
    let mut held = 0;
    // The first time warms up what is made once.
    for _ in 0..2 {
        let before = HEAP.current_usage();
        let mut sign_in = pin!(client.sign_in(&address, &world));
        assert!(size_of_val(&*sign_in) <= 192, "{} bytes", size_of_val(&*sign_in));
        assert!(sign_in.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        held = HEAP.current_usage() - before;
    }
    held
}

#[test]
fn a_sign_in_that_waits_holds_no_more_than_is_told() {
    // As `docs/performance.md` has it, rounded up. The connection is not counted.
    for (rest, told) in [
        (Rest::Lookup, 2304),
        (Rest::Connect, 2304),
        (Rest::Answer, 2432),
        (Rest::Password, 2688),
        (Rest::Proof, 3136),
    ] {
        let held = held(rest);
        println!("{rest:?}: {held} bytes");
        assert!(held <= told, "{rest:?}: {held} bytes");
    }
}
