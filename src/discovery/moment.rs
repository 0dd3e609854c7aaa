//! The time of a search, counted from its beginning.

use std::num::NonZeroU64;
use std::time::Duration;

use super::pace::Timeouts;
use super::search::Search;

/// A moment of a search, in nanoseconds, of which there are enough for five centuries; a later moment
/// is the last. Never zero, so that an optional one is no larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(NonZeroU64);

impl Moment {
    /// When the search began.
    pub(super) const START: Self = Self(NonZeroU64::MIN);

    #[inline]
    pub(super) fn later(self, wait: Duration) -> Self {
        let whole = wait.as_secs().saturating_mul(1_000_000_000);
        let nanos = whole.saturating_add(wait.subsec_nanos().into());
        Self(self.0.saturating_add(nanos))
    }

    /// The number that it is.
    #[inline]
    pub(super) fn nanos(self) -> u64 {
        self.0.get()
    }

    /// The moment of this number.
    pub(super) fn of_nanos(nanos: u64) -> Option<Self> {
        NonZeroU64::new(nanos).map(Self)
    }

    #[inline]
    pub(super) fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.get().saturating_sub(earlier.0.get()))
    }
}

/// How long what is open stays open: what is known of it is when it began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits<'a> {
    pub(super) timeouts: &'a Timeouts,
    /// Of the whole search.
    pub(super) deadline: Moment,
}

impl<'a> Limits<'a> {
    #[inline]
    pub(super) fn of(search: &'a Search, deadline: Moment) -> Self {
        Self { timeouts: &search.settings().timeouts, deadline }
    }

    /// When a lookup is given up that began then.
    #[inline]
    pub(super) fn lookup(self, since: Moment) -> Moment {
        since.later(self.timeouts.lookup).min(self.deadline)
    }

    /// When a connect is.
    #[inline]
    pub(super) fn connect(self, since: Moment) -> Moment {
        since.later(self.timeouts.connect).min(self.deadline)
    }
}
