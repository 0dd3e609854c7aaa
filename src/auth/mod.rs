//! The proof that a server asks for, and the signatures of every message after it. [MS-SIPAE]
//!
//! A server that answers 401 or 407 names the schemes it takes. Kerberos and NTLM lead to an
//! [`Association`]: tokens go to and fro until both sides hold keys, and from then on every message
//! is signed. Digest (feature `digest`) hashes each request and signs nothing. Basic is not there.
//!
//! | round | client | server |
//! |---|---|---|
//! | 1 | REGISTER | 401, `NTLM realm, targetname, version` |
//! | 2 | REGISTER, `gssapi-data=""` | 401, `opaque`, `gssapi-data` with the challenge |
//! | 3 | REGISTER, `gssapi-data` with the answer; `response` from version 4 on | 200, `rspauth` |
//! | 4 | every message, `response` | every message, `rspauth` |
//!
//! Nothing here has a clock, a source of chance or a socket: [`Now`](crate::Now) and
//! [`Random`](crate::Random) come from the caller, and messages are values.

pub(crate) mod base64;

pub(crate) mod hex;

mod secret;

mod mechanism;

#[cfg(feature = "ntlm")]
mod ntlm;

mod signature;

mod authorization;

mod window;

mod association;

#[cfg(feature = "digest")]
mod digest;

#[cfg(feature = "lab")]
pub(crate) use ntlm::{Acceptor, ServerKeys};

pub use association::{Association, AssociationError, Protection};
pub use authorization::{Authorization, Unwritable};
#[cfg(feature = "digest")]
pub use digest::{Digest, DigestAlgorithm, DigestError};
pub use mechanism::{
    Identity, Mechanism, MechanismError, MechanismErrorKind, MechanismProvider, MechanismStep,
};
#[cfg(feature = "ntlm")]
pub use ntlm::{Ntlm, NtlmError, NtlmFlags};
pub use secret::{Account, AccountError, AccountErrorKind, Credentials, Password};
pub use signature::{Ambiguous, Salt, Version, signature_buffer};
