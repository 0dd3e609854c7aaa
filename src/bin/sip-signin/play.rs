//! A whole search in virtual time: the plan asks, the world answers, nobody waits.

use std::time::{Duration, Instant};

use sip_signin::SipAddress;
use sip_signin::discovery::{
    ConnectFailure, DiscoveryPlan, Endpoint, LookupFailure, Outcome, Search, Seed, Step, Trace,
};

use crate::world::{Ended, World};

/// What came of it.
pub struct Played {
    pub trace: Trace,
    /// The server that asks for a proof, if one does.
    pub connected: Option<Endpoint>,
}

/// The plan's connection: what the server is good for.
type Handed = Ended;

/// Plays the search for the server of `address` in `world`.
pub fn play(address: &SipAddress, search: &Search, seed: Seed, world: &World) -> Played {
    let start = start();
    let mut now = start;
    let mut plan = DiscoveryPlan::<Handed>::new(address, search, seed, now);
    let mut coming: Vec<(Instant, Outcome<Handed>)> = Vec::new();
    loop {
        match plan.poll_step(now) {
            Step::LookupSrv(step) => {
                let (learned, delay) = (world.srv(step.name()), world.srv_delay(step.name()));
                if let Some(due) = due(now, delay, silent(&learned)) {
                    coming.push((due, step.answer(learned)));
                }
            }
            Step::LookupHost(step) => {
                let learned = world.addresses(step.host(), step.family());
                let delay = world.host_delay(step.host(), step.family());
                if let Some(due) = due(now, delay, silent(&learned)) {
                    coming.push((due, step.answer(learned)));
                }
            }
            Step::Connect(step) => {
                let ended = world.connect(step.endpoint(), step.address());
                let delay = world.connect_delay(step.endpoint(), step.address());
                let silent = matches!(ended, Ended::Failed(ConnectFailure::TimedOut));
                if let Some(due) = due(now, delay, silent) {
                    let outcome = match ended {
                        Ended::Failed(failure) => step.failed(failure),
                        stands => step.established(stands),
                    };
                    coming.push((due, outcome));
                }
            }
            Step::Wait { until } => {
                let first = coming.iter().enumerate().min_by_key(|(at, (due, _))| (*due, *at));
                match first.map(|(at, (due, _))| (at, *due)) {
                    Some((at, due)) if due <= until => {
                        now = now.max(due);
                        let (_, outcome) = coming.remove(at);
                        plan.handle(outcome, now);
                    }
                    _ => now = until,
                }
            }
            Step::Connected(connected) => match connected.connection {
                Ended::Useless(why) => plan.handle(connected.token.useless(why), now),
                Ended::Final(why) => plan.handle(connected.token.final_answer(why), now),
                _ => {
                    let connected = Some(connected.endpoint);
                    return Played { trace: plan.trace().clone(), connected };
                }
            },
            Step::Idle | Step::Exhausted(_) => {
                return Played { trace: plan.trace().clone(), connected: None };
            }
        }
    }
}

fn silent<T>(learned: &Result<T, LookupFailure>) -> bool {
    matches!(learned, Err(LookupFailure::TimedOut))
}

/// When an answer comes; silence never ends, unless the world says when.
fn due(now: Instant, delay: Option<Duration>, silent: bool) -> Option<Instant> {
    match delay {
        None if silent => None,
        delay => now.checked_add(delay.unwrap_or_default()),
    }
}

#[expect(clippy::disallowed_methods, reason = "any instant to count from: time is virtual")]
fn start() -> Instant {
    Instant::now()
}
