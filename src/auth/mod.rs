//! The proof that a server asks for, and the signatures of every message after it. [MS-SIPAE]

mod base64;

mod hex;

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
