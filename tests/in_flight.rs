//! How much memory a sign-in under way holds. A program of its own: the allocator counts for all
//! tests of one, and for the threads that ended tests leave.
#![cfg(feature = "ntlm")]

#[path = "common/hostile.rs"]
mod hostile;
#[path = "common/sevens.rs"]
mod sevens;

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use hostile::{Flood, Hostile};
use peak_alloc::PeakAlloc;
use sevens::Sevens;
use sip_signin::auth::Credentials;
use sip_signin::sign_in::CredentialRequest;
use sip_signin::{Client, CredentialSource, SipAddress};

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

const CHALLENGE: &str = "SIP/2.0 401 No\r\n\
     From: <sip:jeremy@contoso.com>;tag=0707070707;epid=01\r\n\
     To: <sip:jeremy@contoso.com>;tag=t\r\n\
     Call-ID: 07070707070707070707070707070707\r\n\
     CSeq: 1 REGISTER\r\n\
     WWW-Authenticate: NTLM realm=\"r\", targetname=\"t\", version=4\r\n\
     Content-Length: 0\r\n\r\n";

/// What `docs/performance.md` says of a sign-in under way, rounded up; the connection is not counted.
const IN_FLIGHT: usize = 6 * 1024;

/// Notes what is held at the moment when somebody is asked, and knows nothing.
struct Noting(AtomicUsize);

#[async_trait]
impl CredentialSource for Noting {
    async fn credentials(&self, _: &CredentialRequest) -> Option<Credentials> {
        self.0.store(HEAP.current_usage(), Ordering::Relaxed);
        None
    }
}

#[test]
fn a_sign_in_that_waits_for_a_password_holds_no_more_than_is_told() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let address: SipAddress = "sip:jeremy@contoso.com".parse().unwrap();
    let hostile = Hostile::sending(Flood::new(CHALLENGE, ""));
    let records = hostile.records.lock().unwrap().clone();
    let client = Client::builder(hostile.clone(), hostile.clone())
        .random(Sevens)
        .epid("01".parse().unwrap())
        .build();
    let source = Noting(AtomicUsize::new(0));
    let mut held = 0;
    // The first time warms up what is made once.
    for _ in 0..2 {
        *hostile.records.lock().unwrap() = records.clone();
        let before = HEAP.current_usage();
        let sign_in = client.sign_in(&address, &source);
        assert!(size_of_val(&sign_in) <= 192, "{} bytes", size_of_val(&sign_in));
        let failure = runtime.block_on(sign_in).unwrap_err();
        assert_eq!(failure.kind().name(), "credentials needed");
        held = source.0.load(Ordering::Relaxed) - before;
    }
    println!("{held} bytes");
    assert!(held <= IN_FLIGHT, "{held} bytes");
}
