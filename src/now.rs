//! What time it is, as the caller says.

use std::time::{Duration, Instant, SystemTime};

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

/// `time` and then `wait`, even where a clock would overflow: a wait of `Duration::MAX` is a long one,
/// and not none.
#[inline]
pub(crate) fn later(time: Instant, wait: Duration) -> Instant {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
    time.checked_add(wait).or_else(|| time.checked_add(YEAR)).unwrap_or(time)
}
