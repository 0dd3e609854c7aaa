//! The time of a search, counted from its beginning.

use std::num::NonZeroU64;
use std::time::Duration;

/// A moment of a search, in nanoseconds, of which there are enough for five centuries; a later moment
/// is the last. Never zero, so that an optional one is no larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(NonZeroU64);

impl Moment {
    /// When the search began.
    pub(super) const START: Self = Self(NonZeroU64::MIN);

    pub(super) fn later(self, wait: Duration) -> Self {
        let whole = wait.as_secs().saturating_mul(1_000_000_000);
        let nanos = whole.saturating_add(wait.subsec_nanos().into());
        Self(self.0.saturating_add(nanos))
    }

    /// The number that it is.
    pub(super) fn nanos(self) -> u64 {
        self.0.get()
    }

    /// The moment of this number.
    pub(super) fn of_nanos(nanos: u64) -> Option<Self> {
        NonZeroU64::new(nanos).map(Self)
    }

    pub(super) fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.get().saturating_sub(earlier.0.get()))
    }
}
