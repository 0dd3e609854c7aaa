//! Shows that clients which lose their server together do not come back together. Leaves out the
//! network: it is a simulation of the back-off alone, without sockets and in no time.
//!
//! Its output stands in `docs/reconnecting.md`, and `tests/reconnecting.rs` holds the page to it.

use std::time::Duration;

use sip_signin::BackOff;
use sip_signin::sign_in::Retry;

fn main() {
    for storm in STORMS {
        println!("{}", storm.report());
    }
}

/// How many clients there are.
pub const CLIENTS: u32 = 10_000;

/// How long the server is away.
pub const AWAY: Duration = Duration::from_secs(300);

/// The two ways in which many clients are at the door at once.
pub const STORMS: [Storm; 2] = [
    Storm {
        title: "10,000 sessions end together: their server restarts, for five minutes.",
        lived: Some(Duration::from_secs(3600)),
    },
    Storm {
        title: "10,000 clients start together, while their server is away for five minutes.",
        lived: None,
    },
];

/// Many clients, one moment.
pub struct Storm {
    title: &'static str,
    /// How long their sessions lived that end at second 0; `None` if they only start then.
    lived: Option<Duration>,
}

impl Storm {
    /// When one client tries to sign in, up to the time that it succeeds.
    fn attempts(&self, client: u32) -> Vec<Duration> {
        let epid = format!("{client:010x}").parse().expect("ten hexadecimal digits");
        let mut back_off = BackOff::of(&epid);
        let later = "time may mend it";
        let mut at = match self.lived {
            Some(lived) => back_off.lost(lived, Retry::Later, None).expect(later),
            None => Duration::ZERO,
        };
        let mut attempts = vec![at];
        while at < AWAY {
            at += back_off.failed(Retry::Later, None).expect(later);
            attempts.push(at);
        }
        attempts
    }

    /// How many attempts there are in each second.
    pub fn seconds(&self) -> Vec<u32> {
        let mut seconds = Vec::new();
        for at in (0..CLIENTS).flat_map(|client| self.attempts(client)) {
            let second = at.as_secs() as usize;
            if seconds.len() <= second {
                seconds.resize(second + 1, 0);
            }
            seconds[second] += 1;
        }
        seconds
    }

    /// The histogram.
    pub fn report(&self) -> String {
        const BIN: usize = 30;
        let seconds = self.seconds();
        let mut report = format!("{}\n\n  seconds   attempts, a second on average\n", self.title);
        for (bin, counts) in seconds.chunks(BIN).enumerate() {
            let mean = counts.iter().sum::<u32>() / BIN as u32;
            let bar = "#".repeat(mean as usize / 8);
            let row = format!("  {:>3}-{:<3} {mean:>7} {bar}", bin * BIN, (bin + 1) * BIN);
            report += &format!("{}\n", row.trim_end());
        }
        let mut fullest: Vec<_> = seconds.iter().enumerate().collect();
        fullest.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let fullest: Vec<_> =
            fullest[..2].iter().map(|(at, n)| format!("{n} in second {at}")).collect();
        let (attempts, last) = (seconds.iter().sum::<u32>(), seconds.len());
        report += &format!("\n{attempts} attempts, at most {}; ", fullest.join(", then "));
        report + &format!("all are back within {last} s.\n")
    }
}
