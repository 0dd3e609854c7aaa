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

#[cfg(feature = "driver")]
mod resolver;

#[cfg(feature = "driver")]
mod transport;

pub use address::{AddressError, AddressErrorKind, SipAddress};
pub use name::{Host, HostName, NameError, NameErrorKind, SrvName};
pub use policy::{HostNamePolicy, NameRule, Origin, Refusal, TrustedHost};
#[cfg(feature = "driver")]
pub use resolver::Resolver;
pub use text::WireText;
#[cfg(feature = "driver")]
pub use transport::{Connection, ConnectionFacts, TlsFacts, Transport};
