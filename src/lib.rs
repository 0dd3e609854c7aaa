//! stub
mod text;

mod name;

mod address;

mod policy;

pub use address::{AddressError, AddressErrorKind, SipAddress};
pub use name::{Host, HostName, NameError, NameErrorKind, SrvName};
pub use policy::{HostNamePolicy, NameRule, Origin, Refusal, TrustedHost};
pub use text::WireText;
