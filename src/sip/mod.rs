//! The slice of SIP (RFC 3261) that a sign-in needs: messages off a stream, the first REGISTER, and
//! what the answer to it means.
//!
//! Bytes in, values out; no clock, no chance, no socket. Whatever a server sends is either read by
//! one strict grammar or refused with a typed error, and every buffer and list has a named limit.

mod scan;

pub(crate) mod parameters;

mod endpoint_id;

mod limits;

mod fields;

mod head;

mod message;

mod framing;

mod contact;

mod scheme;

mod challenge;

mod diagnostics;

mod writing;

mod register;

mod answer;

pub use answer::{Answer, Challenger, Remedy, ServerRefusal};
pub use challenge::{Challenge, ChallengeError, ChallengeErrorKind, Parameter};
pub use contact::{Contact, Target, UriTransport};
pub use diagnostics::Diagnostics;
pub use endpoint_id::{Epid, EpidError, InstanceId};
pub use framing::MessageReader;
pub use limits::{FramingError, FramingErrorKind, Limits};
pub use message::{CSeq, Header, Headers, Message, Request, Response};
pub use register::{Register, RegisterError, RegisterPart, Tokens};
pub use scheme::Scheme;
