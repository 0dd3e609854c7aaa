//! Ten thousand clients at one door, on paper: the page, the example and the bound agree.

use std::time::Duration;

#[expect(dead_code, reason = "the example's `main`, which prints what is read here")]
#[path = "../examples/reconnect_storm.rs"]
mod storm;

use sip_signin::BackOff;
use storm::{AWAY, CLIENTS, STORMS};

#[test]
fn the_page_shows_what_the_example_prints() {
    let reports: Vec<_> = STORMS.iter().map(|storm| storm.report()).collect();
    let block = format!("```text\n{}```\n", reports.join("\n"));
    assert!(include_str!("../docs/reconnecting.md").contains(&block), "\n{block}");
}

/// One in thirty each second, because the narrowest spread is as wide as the base time and no round
/// overlaps with the next; and five standard deviations for chance.
#[test]
fn no_second_sees_more_than_its_share() {
    let expected = f64::from(CLIENTS) / BackOff::BASE.as_secs_f64();
    let most = expected + 5.0 * expected.sqrt();
    let [lost, started] = STORMS.map(|storm| storm.seconds());
    assert_eq!(started[0], CLIENTS, "who starts does not wait");
    for (at, count) in lost.iter().enumerate().chain(started.iter().enumerate().skip(1)) {
        assert!(f64::from(*count) <= most, "{count} in second {at}");
    }
    assert_eq!(started[1..30].iter().sum::<u32>(), 0, "who failed waits");
}

/// Alive: it is not by never coming back that they spread.
#[test]
fn everybody_comes_back_and_soon() {
    for seconds in STORMS.map(|storm| storm.seconds()) {
        let away = AWAY.as_secs() as usize;
        assert_eq!(seconds[away..].iter().sum::<u32>(), CLIENTS, "each succeeds once");
        let last = Duration::from_secs(seconds.len() as u64);
        // Whose last attempt before the return was the fourth waits for 480 s at most.
        assert!(last <= AWAY + Duration::from_secs(480), "{last:?}");
    }
}
