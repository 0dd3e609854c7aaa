//! When a pool fails, its clients spread over time and over the servers that are left.

#![expect(clippy::disallowed_methods, reason = "virtual time needs a moment to begin at")]

#[path = "../examples/failover/simulation.rs"]
mod simulation;

use std::time::Instant;

use simulation::{Failover, LEFT, ROUND_TRIP, SPREAD};

const USERS: u64 = 20_000;

/// The chances that RFC 2782 gives: a draw from 0 to the sum of the weights, inclusive, and the
/// first record whose running sum reaches it; of the 101 draws the first record has one more than
/// its weight.
#[test]
fn the_servers_that_are_left_get_their_shares_of_the_draw() {
    let story = Failover::of(USERS, Instant::now());
    let sum: u16 = LEFT.iter().map(|(_, weight)| weight).sum();
    let mut lucky = 1;
    for (name, weight) in LEFT {
        let chance = f64::from(weight + lucky) / f64::from(sum + 1);
        lucky = 0;
        let share = story.reached[&name.parse().unwrap()] as f64 / USERS as f64;
        assert!((share - chance).abs() < 0.01, "{name}: {share:.4}, not {chance:.4}");
    }
    assert_eq!(story.reached.values().sum::<u64>(), USERS, "everybody came back");
    assert_eq!(story.reached.len(), LEFT.len(), "and nobody to the pool that failed");
}

#[test]
fn no_second_has_more_than_one_and_a_half_times_its_share() {
    let story = Failover::of(USERS, Instant::now());
    assert!(story.peak() as f64 <= 1.5 * story.mean(), "{} of {}", story.peak(), story.mean());
    let seconds = SPREAD.as_secs() as usize;
    let full = story.curve.iter().filter(|count| **count as f64 > story.mean() / 1.5).count();
    assert!(full >= seconds - 1, "only {full} seconds are used");
    // The question, the refusal of the failed pool, the connect to the next.
    assert!(story.last < SPREAD + 4 * ROUND_TRIP, "{:?}", story.last);
}

#[test]
fn the_same_clients_fail_over_the_same_way() {
    let origin = Instant::now();
    assert_eq!(Failover::of(500, origin), Failover::of(500, origin));
}
