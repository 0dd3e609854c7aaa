//! stub

mod text;

mod name;

mod address;

mod policy;

pub mod discovery;

#[cfg(feature = "driver")]
mod resolver;

#[cfg(feature = "driver")]
mod transport;

#[cfg(feature = "lab")]
pub mod lab;

pub use address::{AddressError, AddressErrorKind, SipAddress};
pub use name::{Host, HostName, NameError, NameErrorKind, SrvName};
pub use policy::{HostNamePolicy, NameRule, Origin, Refusal, TrustedHost};
#[cfg(feature = "driver")]
pub use resolver::Resolver;
pub use text::WireText;
#[cfg(feature = "driver")]
pub use transport::{Connection, ConnectionFacts, TlsFacts, Transport};
