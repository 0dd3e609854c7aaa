//! The clocks that the drivers keep for the machines.

use std::time::Instant;

use crate::now::Now;

/// The same moment on both clocks.
#[expect(clippy::disallowed_methods, reason = "the drivers keep the calendar for the machines")]
pub(crate) fn moment() -> Now {
    Now { instant: now(), wall: std::time::SystemTime::now() }
}

/// The runtime's clock, so that a paused one is obeyed.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
