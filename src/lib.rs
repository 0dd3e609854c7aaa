//! stub
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::arithmetic_side_effects,
        clippy::unreachable
    )
)]
#![warn(missing_docs, unreachable_pub)]

mod text;

mod name;

mod address;

mod policy;

pub mod discovery;

pub mod sip;

#[cfg(feature = "driver")]
mod random;

#[cfg(feature = "driver")]
mod resolver;

#[cfg(feature = "driver")]
mod transport;

#[cfg(feature = "driver")]
mod channel;

#[cfg(feature = "driver")]
mod failure;

#[cfg(feature = "driver")]
mod client;

pub use address::{AddressError, AddressErrorKind, SipAddress};
#[cfg(feature = "driver")]
pub use channel::{Channel, ChannelError};
#[cfg(feature = "driver")]
pub use client::{Challenged, Client, ClientBuilder};
#[cfg(feature = "driver")]
pub use failure::{SignInFailure, SignInFailureKind};
pub use name::{Host, HostName, NameError, NameErrorKind, SrvName};
pub use policy::{HostNamePolicy, NameRule, Origin, Refusal, TrustedHost};
#[cfg(feature = "driver")]
pub use random::{Random, RandomError, SystemRandom};
#[cfg(feature = "driver")]
pub use resolver::Resolver;
pub use text::WireText;
#[cfg(feature = "driver")]
pub use transport::{Connection, ConnectionFacts, TlsFacts, Transport};
