//! Pace: how soon the next server is tried beside one that has not answered, and what bounds time.

use std::fmt;
use std::time::Duration;

/// How eagerly a search tries servers beside each other.
///
/// Only the adopted connection ever carries SIP; what a faster pace costs is spare handshakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Pace {
    /// How long a better candidate is alone before the next one starts beside it; `None`: until it
    /// failed.
    pub head_start: Option<Duration>,
    /// How long a better candidate or question may have been open before a connection that is ready
    /// is adopted in its place.
    pub patience: Duration,
    /// The same in connect times of the ready connection; the longer of the two counts.
    pub patience_in_connects: u32,
    /// How long after an address of a host the next one is dialled; `None`: after it failed. RFC
    /// 8305 section 5 (connection attempt delay), no shorter than its minimum unless eager.
    pub address_delay: Option<Duration>,
    /// How long IPv4 addresses wait for an unanswered AAAA question. [RFC 8305 section 3]
    pub resolution_delay: Duration,
}

impl Pace {
    /// 100 ms head start, 300 ms patience, 100 ms between addresses; [`Pace::default`].
    pub const DEFAULT: Self = Self {
        head_start: Some(Duration::from_millis(100)),
        patience: Duration::from_millis(300),
        patience_in_connects: 2,
        address_delay: Some(Duration::from_millis(100)),
        resolution_delay: Duration::from_millis(50),
    };

    /// Every permitted TLS candidate at once; patience is one connect time. The fastest, and the
    /// dearest for the servers.
    pub const EAGER: Self = Self {
        head_start: Some(Duration::ZERO),
        patience: Duration::ZERO,
        patience_in_connects: 1,
        address_delay: Some(Duration::ZERO),
        resolution_delay: Duration::from_millis(50),
    };

    /// The next candidate only after the one before it failed: no spare handshake, and the order of
    /// answers never matters.
    pub const ONE_AT_A_TIME: Self = Self {
        head_start: None,
        patience: Duration::ZERO,
        patience_in_connects: 0,
        address_delay: None,
        resolution_delay: Duration::from_millis(50),
    };

    /// The named paces: `default`, `eager`, `one-at-a-time`.
    pub const NAMED: [(&'static str, Self); 3] = [
        ("default", Self::DEFAULT),
        ("eager", Self::EAGER),
        ("one-at-a-time", Self::ONE_AT_A_TIME),
    ];

    /// The pace of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMED.into_iter().find(|(known, _)| *known == name).map(|(_, pace)| pace)
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// What bounds the time of a search. Everything unanswered by then has failed as timed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Timeouts {
    /// For one lookup; 5 s by default.
    pub lookup: Duration,
    /// For one connect, TCP and TLS together; 8 s by default.
    pub connect: Duration,
    /// For the whole search; 30 s by default. It stands still while a connection is adopted.
    pub search: Duration,
}

impl Timeouts {
    /// The defaults.
    pub const DEFAULT: Self = Self {
        lookup: Duration::from_secs(5),
        connect: Duration::from_secs(8),
        search: Duration::from_secs(30),
    };
}

impl Default for Timeouts {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// A duration in milliseconds, exact to the nanosecond: `120ms`, `0.5ms`.
pub(super) struct Millis(pub(super) Duration);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.as_millis())?;
        let rest = self.0.subsec_nanos() % 1_000_000;
        if rest != 0 {
            write!(f, ".{}", format!("{rest:06}").trim_end_matches('0'))?;
        }
        f.write_str("ms")
    }
}

struct OrNone(Option<Duration>);

impl fmt::Display for OrNone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(duration) => Millis(duration).fmt(f),
            None => f.write_str("none"),
        }
    }
}

/// Its name, or its parts.
impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((name, _)) = Self::NAMED.iter().find(|(_, pace)| pace == self) {
            return f.write_str(name);
        }
        write!(
            f,
            "head start {}, patience {} or {} connects, address delay {}, resolution delay {}",
            OrNone(self.head_start),
            Millis(self.patience),
            self.patience_in_connects,
            OrNone(self.address_delay),
            Millis(self.resolution_delay),
        )
    }
}

impl fmt::Display for Timeouts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [lookup, connect, search] = [self.lookup, self.connect, self.search].map(Millis);
        write!(f, "lookup {lookup}, connect {connect}, search {search}")
    }
}
