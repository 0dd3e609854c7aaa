//! When to sign in again, after it failed or was lost: RFC 5626 section 4.5.

use std::time::Duration;

use crate::discovery::Seed;
use crate::sign_in::Retry;
use crate::sip::Epid;

/// How long to wait before the next sign-in: a pure machine, to which the only chance is its seed.
///
/// | what happened | failures in a row | wait |
/// |---|---|---|
/// | nothing yet | 0 | none |
/// | a sign-in failed | one more | 50 to 100 % of W |
/// | a session ended before [`SETTLED_AFTER`](Self::SETTLED_AFTER) | one more | 50 to 100 % of W |
/// | a session ended later than that | 0 | 0 to 100 % of the base time |
/// | the same, because the server only forgot us or sent us elsewhere | 0 | none |
/// | a failure that waiting does not mend | | for ever |
///
/// W is the base time, doubled for each failure in a row, and at most the longest time. A server's
/// Retry-After lengthens the least of a wait and never shortens it; what chance adds stays on top,
/// so that clients which one server sent away together do not come back together.
///
/// The formula and its times are those of [RFC 5626 section 4.5]. This client has one flow, so that
/// a failed one means that all failed: base time 30 s, never 90 s. Two things are our own. That RFC
/// takes a session for a success once a keep-alive was answered, which need not have been sent; here
/// it must have lived for as long as the longest default time between two of them. And it signs in
/// again at once after such a session; but if a server restarts, all its sessions end together, so
/// here the first attempts spread over the base time.
///
/// ```
/// use sip_signin::BackOff;
/// use sip_signin::sign_in::Retry;
/// use std::time::Duration;
///
/// let mut back_off = BackOff::of(&"8248ca9ebb".parse()?);
/// let wait = back_off.failed(Retry::Later, None).expect("time may mend it");
/// assert!((Duration::from_secs(30)..=Duration::from_secs(60)).contains(&wait));
/// let wait = back_off.failed(Retry::Later, Some(Duration::from_secs(120)));
/// assert!(wait >= Some(Duration::from_secs(120)));
/// assert_eq!(back_off.failed(Retry::WithCredentials, None), None);
/// # Ok::<(), sip_signin::sip::EpidError>(())
/// ```
#[derive(Clone, Debug)]
pub struct BackOff {
    seed: Seed,
    base: Duration,
    longest: Duration,
    settled_after: Duration,
    failures: u32,
    waits: usize,
}

impl BackOff {
    /// The base time: 30 s. [RFC 5626 section 4.5, base-time-all-failed]
    pub const BASE: Duration = Duration::from_secs(30);

    /// The least base time; a shorter one would ask a dead server without end.
    pub const LEAST_BASE: Duration = Duration::from_secs(1);

    /// The longest time between two attempts that no server asked for: 30 minutes. [RFC 5626
    /// section 4.5, max-time]
    pub const LONGEST: Duration = Duration::from_secs(1800);

    /// The most of a Retry-After that is obeyed: a day.
    pub const RETRY_AFTER_LIMIT: Duration = Duration::from_secs(86_400);

    /// How long a session must have lived for a success: 120 s. [RFC 5626 section 4.4.1: 95 to 120 s
    /// between two keep-alives where the server does not say]
    pub const SETTLED_AFTER: Duration = Duration::from_secs(120);

    /// Nothing has failed yet; chance comes from `seed`.
    pub fn new(seed: Seed) -> Self {
        Self {
            seed,
            base: Self::BASE,
            longest: Self::LONGEST,
            settled_after: Self::SETTLED_AFTER,
            failures: 0,
            waits: 0,
        }
    }

    /// The same with the seed of a device: the devices of a site differ, and each repeats itself.
    pub fn of(epid: &Epid) -> Self {
        Self::new(Seed(epid.spread()))
    }

    /// Another base time than [`BASE`](Self::BASE), [`LEAST_BASE`](Self::LEAST_BASE) at least.
    #[must_use]
    pub fn base(self, base: Duration) -> Self {
        Self { base: base.max(Self::LEAST_BASE), ..self }
    }

    /// Another longest time than [`LONGEST`](Self::LONGEST); it is never shorter than the base time.
    #[must_use]
    pub fn longest(self, longest: Duration) -> Self {
        Self { longest, ..self }
    }

    /// Another time for a session to live than [`SETTLED_AFTER`](Self::SETTLED_AFTER).
    #[must_use]
    pub fn settled_after(self, settled_after: Duration) -> Self {
        Self { settled_after, ..self }
    }

    /// How many attempts failed since the last session that lived.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// A sign-in failed: how long to wait from now, or `None` where waiting does not mend it. A
    /// password that was rejected is never sent again.
    pub fn failed(&mut self, retry: Retry, retry_after: Option<Duration>) -> Option<Duration> {
        match retry {
            Retry::Later | Retry::Now => {
                self.failures = self.failures.saturating_add(1);
                let half = self.upper_bound().checked_div(2).unwrap_or_default();
                Some(self.wait(half, half, retry_after))
            }
            Retry::AfterChange | Retry::Never | Retry::WithCredentials => None,
        }
    }

    /// A session ended that had lived for `lived`: how long to wait from now, or `None` where
    /// waiting does not mend it.
    pub fn lost(
        &mut self,
        lived: Duration,
        retry: Retry,
        retry_after: Option<Duration>,
    ) -> Option<Duration> {
        let spread = match retry {
            Retry::Later if lived >= self.settled_after => self.base,
            Retry::Now if lived >= self.settled_after => Duration::ZERO,
            _ => return self.failed(retry, retry_after),
        };
        self.failures = 0;
        Some(self.wait(Duration::ZERO, spread, retry_after))
    }

    /// W of [RFC 5626 section 4.5].
    fn upper_bound(&self) -> Duration {
        let doubled = self.base.saturating_mul(2u32.saturating_pow(self.failures));
        doubled.min(self.longest.max(self.base))
    }

    /// At least `least`, or what the server asked for if that is more; and up to `spread` on top.
    fn wait(
        &mut self,
        least: Duration,
        spread: Duration,
        retry_after: Option<Duration>,
    ) -> Duration {
        self.waits = self.waits.saturating_add(1);
        let asked = retry_after.unwrap_or_default().min(Self::RETRY_AFTER_LIMIT);
        let most = u32::try_from(spread.as_millis()).unwrap_or(u32::MAX);
        let drawn = self.seed.draws(self.waits)(most);
        least.max(asked).saturating_add(Duration::from_millis(drawn.into()))
    }
}

#[cfg(test)]
mod tests;
