//! What time it is, as the caller says.

use std::time::{Instant, SystemTime};

/// The same moment on two clocks.
///
/// Deadlines are counted on the one that never goes back. What is written on the wire, or compared
/// with what a server wrote (the time stamp of NTLM, the end of a Kerberos ticket), is read from the
/// calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The clock that never goes back.
    pub instant: Instant,
    /// The calendar.
    pub wall: SystemTime,
}
