//! From a SIP address to a verified connection to the right server, the way Office Communicator
//! does it, with every step explained.
//!
//! Sign-in is a story of four questions; the modules below tell it in that order, and each uses
//! only those above it.
//!
//! - *Who?* [`SipAddress`]: the only thing the user must tell us.
//! - *Where?* [`HostNamePolicy`] says whom to trust; [`discovery`] holds the plan, a pure machine
//!   that says what to look up and whom to connect to, and why.
//! - *May I come in?* [`compression`], if both sides want it; [`sip`]: the first REGISTER, and the
//!   challenge that answers it; [`auth`]: the proof that answers the challenge, and the signatures of
//!   every message after it; [`sign_in`]: the second machine, from an open connection to a
//!   registration; [`upkeep`]: the third, which keeps it.
//! - *By what road?* [`Resolver`], [`Transport`] and [`CredentialSource`] are the doors that a caller
//!   may replace; [`net`] has doors ready made. [`Client`] drives the machines through them, and comes
//!   back with a [`Session`], into which whole SIP messages go and out of which they come, signed and
//!   verified. [`Supervisor`] signs in again when a session is lost, and [`BackOff`] says when.
//!
//! Passwords come from a [`CredentialSource`], which is asked after the challenge, and only if the
//! ticket of who is logged on does not do (feature `kerberos`): [`FixedCredentials`],
//! [`SavedCredentials`], a prompt of your own, or one behind the other.
//!
//! A sign-in in a few lines:
//!
//! ```no_run
//! # #[cfg(feature = "net")]
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use sip_signin::auth::Credentials;
//! use sip_signin::{Client, FixedCredentials};
//!
//! let source = FixedCredentials::new(Credentials::new(r"CONTOSO\jeremy".parse()?, "Passw0rd!"));
//! let client = Client::system()?;
//! match client.sign_in(&"sip:jeremy@contoso.com".parse()?, &source).await {
//!     Ok(signed_in) => {
//!         println!("{}", signed_in.trace);
//!         let mut session = signed_in.session; // refreshed and kept alive while it is received from
//!         while let Some(received) = session.receive().await? {
//!             println!("{:?}", received.message);
//!         }
//!     }
//!     Err(failure) => println!("{}{failure}", failure.trace()),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Without the runtime: [`discovery::DiscoveryPlan`] needs neither async nor sockets nor a clock of
//! its own. The feature [`lab`] starts a whole deployment on loopback to test against.
//!
//! | feature | what it brings |
//! |---|---|
//! | none | the pure machines: names, policy, [`discovery`], [`sip`], [`compression`], [`auth`], [`sign_in`], [`upkeep`] |
//! | `driver` | the doors, the [`Client`], the [`Session`] and the [`Supervisor`]: async-trait, tokio's timers |
//! | `net` (default) | [`net`]: hickory for DNS, rustls for TLS with ring and the platform's verifier |
//! | `ntlm` (default) | NTLMv2 as [MS-SIPAE] runs it |
//! | `digest` (default) | Digest with SHA-256 and MD5 |
//! | `kerberos` | on Unix, the ticket of the user who is logged on, by the system's GSS-API |
//! | `idna` (default) | internationalised domains in what a person types |
//! | `hickory`, `rustls`, `ring`, `aws-lc-rs`, `platform-verifier` | the parts of `net` |
//! | `keyring` | saved credentials in the operating system's store, by keyring-core |
//! | `serde` | traces serialise |
//! | `lab` | a whole Communicator deployment on loopback |
//! | `cli` | the tool `sip-signin` |
#![cfg_attr(
    not(test),
    warn(
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::print_stderr,
        clippy::print_stdout,
        clippy::string_slice,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]
#![warn(missing_docs, unreachable_pub)]
#![cfg_attr(
    not(all(feature = "driver", feature = "hickory", feature = "rustls", feature = "lab")),
    allow(rustdoc::broken_intra_doc_links)
)]

mod text;

mod random;

mod now;

mod name;

mod address;

mod policy;

pub mod discovery;

pub mod sip;

pub mod compression;

pub mod auth;

#[cfg(all(unix, feature = "kerberos"))]
mod kerberos;

pub mod sign_in;

pub mod upkeep;

mod back_off;

#[cfg(feature = "driver")]
mod system_random;

#[cfg(feature = "driver")]
mod resolver;

#[cfg(feature = "driver")]
mod transport;

#[cfg(feature = "driver")]
mod credentials;

#[cfg(feature = "driver")]
mod clock;

#[cfg(feature = "driver")]
mod packed;

#[cfg(feature = "driver")]
mod channel;

#[cfg(feature = "driver")]
mod failure;

#[cfg(feature = "driver")]
mod session;

#[cfg(feature = "driver")]
mod client;

#[cfg(feature = "driver")]
mod supervisor;

#[cfg(any(feature = "hickory", feature = "rustls"))]
pub mod net;

#[cfg(feature = "lab")]
pub mod lab;

pub use address::{AddressError, AddressErrorKind, SipAddress};
pub use back_off::BackOff;
#[cfg(feature = "driver")]
pub use channel::{Channel, ChannelError};
#[cfg(feature = "driver")]
pub use client::{Challenged, Client, ClientBuilder, SignedIn, Survey, Visit, Visited};
#[cfg(feature = "keyring")]
pub use credentials::KeyringStore;
#[cfg(feature = "driver")]
pub use credentials::{
    CredentialSource, CredentialStore, FixedCredentials, InOrder, NoCredentials, SavePassword,
    SavedCredentials, StoreError, Verdict,
};
#[cfg(feature = "driver")]
pub use failure::{SignInFailure, SignInFailureKind};
#[cfg(all(unix, feature = "kerberos"))]
pub use kerberos::Kerberos;
pub use name::{Host, HostName, NameError, NameErrorKind, SrvName};
pub use now::Now;
pub use policy::{HostNamePolicy, NameRule, Origin, Refusal, Tie, TrustedHost};
pub use random::{Random, RandomError};
#[cfg(feature = "driver")]
pub use resolver::Resolver;
#[cfg(feature = "driver")]
pub use session::{Received, Session, SessionReceiver, SessionSender};
#[cfg(feature = "driver")]
pub use supervisor::{Supervisor, SupervisorEvent};
#[cfg(feature = "driver")]
pub use system_random::SystemRandom;
pub use text::WireText;
#[cfg(feature = "driver")]
pub use transport::{Connection, ConnectionFacts, TlsFacts, Transport};
pub use upkeep::{SendError, SessionError};

/// The README's example compiles.
#[cfg(all(doctest, feature = "net"))]
#[doc = include_str!("../README.md")]
struct Readme;
