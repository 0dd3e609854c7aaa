//! The waits are those of RFC 5626, whatever the seed.

use std::ops::RangeInclusive;

use super::*;

const SEEDS: std::ops::Range<u64> = 0..500;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// How long to wait after each of `count` failures in a row.
fn waits(seed: u64, count: usize, retry_after: Option<Duration>) -> Vec<Duration> {
    let mut back_off = BackOff::new(Seed(seed));
    (0..count).map(|_| back_off.failed(Retry::Later, retry_after).unwrap()).collect()
}

/// That every wait lies there, and that some of them come near both ends.
fn assert_fills(waits: &[Duration], range: RangeInclusive<Duration>) {
    assert!(waits.iter().all(|wait| range.contains(wait)), "{range:?}: {waits:?}");
    let near = (*range.end() - *range.start()) / 20;
    assert!(waits.iter().any(|wait| *wait < *range.start() + near), "{range:?}");
    assert!(waits.iter().any(|wait| *wait > *range.end() - near), "{range:?}");
}

/// "If this fails […] the first retry happens somewhere between 30 and 60 seconds after", "if there
/// were three failures, then the upper-bound wait time is […] 240 seconds", "a random time of 15 to
/// 30 minutes between each attempt".
#[test]
fn the_waits_are_those_of_rfc_5626() {
    let all: Vec<_> = SEEDS.map(|seed| waits(seed, 40, None)).collect();
    let nth = |nth: usize| all.iter().map(|waits| waits[nth]).collect::<Vec<_>>();
    for (failures, w) in [(1, 60), (2, 120), (3, 240), (4, 480), (5, 960), (6, 1800), (40, 1800)] {
        assert_fills(&nth(failures - 1), seconds(w / 2)..=seconds(w));
    }
}

#[test]
fn failures_without_end_never_overflow() {
    let mut back_off = BackOff::new(Seed(1)).base(Duration::MAX).longest(Duration::MAX);
    back_off.failures = u32::MAX;
    assert!(back_off.failed(Retry::Later, Some(Duration::MAX)) >= Some(Duration::MAX / 2));
    assert_eq!(back_off.failures(), u32::MAX);
}

#[test]
fn the_same_seed_gives_the_same_waits_and_another_one_others() {
    assert_eq!(waits(7, 20, None), waits(7, 20, None));
    assert_ne!(waits(7, 20, None), waits(8, 20, None));
    let of = |epid: &str| {
        let mut back_off = BackOff::of(&epid.parse().unwrap());
        back_off.failed(Retry::Later, None)
    };
    assert_eq!(of("8248ca9ebb"), of("8248ca9ebb"));
    assert_ne!(of("8248ca9ebb"), of("8248ca9ebc"));
}

#[test]
fn a_retry_after_lengthens_a_wait_and_keeps_it_spread() {
    let first = |asked| {
        let first = |seed| waits(seed, 1, Some(seconds(asked)))[0];
        SEEDS.map(first).collect::<Vec<_>>()
    };
    assert_fills(&first(0), seconds(30)..=seconds(60));
    assert_fills(&first(20), seconds(30)..=seconds(60));
    assert_fills(&first(120), seconds(120)..=seconds(150));
    assert_fills(&first(86_400), seconds(86_400)..=seconds(86_430));
    assert_fills(&first(u64::MAX), seconds(86_400)..=seconds(86_430));
}

#[test]
fn what_waiting_does_not_mend_is_not_waited_for() {
    for retry in [Retry::AfterChange, Retry::Never, Retry::WithCredentials] {
        let mut back_off = BackOff::new(Seed(0));
        assert_eq!(back_off.failed(retry, Some(seconds(1))), None);
        assert_eq!(back_off.lost(seconds(9999), retry, None), None);
    }
}

#[test]
fn a_session_that_lived_is_a_success_and_one_that_did_not_a_failure() {
    let after = |lived, retry| {
        move |seed| {
            let mut back_off = BackOff::new(Seed(seed));
            for _ in 0..3 {
                back_off.failed(Retry::Later, None);
            }
            let wait = back_off.lost(seconds(lived), retry, None).unwrap();
            (wait, back_off.failures())
        }
    };
    let (settled, failures): (Vec<_>, Vec<_>) = SEEDS.map(after(120, Retry::Later)).unzip();
    assert_fills(&settled, seconds(0)..=seconds(30));
    assert!(failures.iter().all(|failures| *failures == 0));
    assert!(SEEDS.map(after(120, Retry::Now)).all(|after| after == (Duration::ZERO, 0)));
    for retry in [Retry::Later, Retry::Now] {
        let (short, failures): (Vec<_>, Vec<_>) = SEEDS.map(after(119, retry)).unzip();
        assert_fills(&short, seconds(240)..=seconds(480));
        assert!(failures.iter().all(|failures| *failures == 4));
    }
}

/// Whatever a server does: lets in and hangs up, forgets, refuses, or asks for no time at all.
#[test]
fn no_two_attempts_are_closer_than_30_seconds() {
    for seed in SEEDS {
        let mut back_off = BackOff::new(Seed(seed));
        let mut happens = Seed(!seed).draws(0);
        for _ in 0..50 {
            let retry = [Retry::Later, Retry::Now][happens(1) as usize];
            let retry_after = [None, Some(Duration::ZERO)][happens(1) as usize];
            let lived = seconds([0, 1, 119, 120, 121, 9999][happens(5) as usize]);
            let gap = match happens(1) {
                0 => back_off.failed(retry, retry_after).unwrap(),
                _ => lived + back_off.lost(lived, retry, retry_after).unwrap(),
            };
            assert!(gap >= seconds(30), "{gap:?} after {back_off:?}");
        }
    }
}

#[test]
fn no_setting_makes_a_tight_loop() {
    let mut back_off = BackOff::new(Seed(3)).base(Duration::ZERO).longest(Duration::ZERO);
    for _ in 0..20 {
        let wait = back_off.failed(Retry::Later, None).unwrap();
        assert!((seconds(1) / 2..=seconds(1)).contains(&wait), "{wait:?}");
    }
}
