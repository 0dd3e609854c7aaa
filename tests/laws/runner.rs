//! Runs a law over many cases and insists that they were worth running.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Debug;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// Counts how often something happened.
#[derive(Default)]
pub struct Tally(RefCell<BTreeMap<&'static str, u32>>);

impl Tally {
    /// Notes that this case was one in which `what` happened, if it was.
    pub fn note(&self, what: &'static str, happened: bool) {
        *self.0.borrow_mut().entry(what).or_default() += u32::from(happened);
    }
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// Checks `body` on arbitrary cases, then that each thing of `alive` happened in at least so many
/// of a hundred.
#[track_caller]
pub fn law<S>(cases: S, alive: &[(&'static str, u32)], body: impl Fn(S::Value, &Tally))
where
    S: Strategy<Value: Debug>,
{
    let number = variable("SIGNIN_CASES").unwrap_or(300) as u32;
    let config = Config { cases: number, failure_persistence: None, ..Config::default() };
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&variable("SIGNIN_SEED").unwrap_or_default().to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let tally = Tally::default();
    let outcome = TestRunner::new_with_rng(config, rng).run(&cases, |case| {
        body(case, &tally);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    for (what, percent) in alive {
        let count = tally.0.borrow().get(what).copied().unwrap_or_default();
        let enough = u64::from(count) * 100 >= u64::from(*percent) * u64::from(number);
        assert!(enough, "only {count} of {number} cases: {what}");
    }
}
