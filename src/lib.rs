//! stub
mod text;

mod name;

mod address;

mod policy;

pub mod sip;

pub use address::{AddressError, AddressErrorKind, SipAddress};
pub use name::{Host, HostName, NameError, NameErrorKind, SrvName};
pub use policy::{HostNamePolicy, NameRule, Origin, Refusal, TrustedHost};
pub use text::WireText;
