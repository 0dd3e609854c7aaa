//! Carries out the steps of a search, up to the next connection.

use std::time::Instant;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::time::timeout_at;

use super::Settings;
use crate::clock::now;
use crate::discovery::{Cause, Connected, DiscoveryPlan, Outcome, Step};
use crate::transport::Connection;

/// A search under way.
pub(super) struct Walk<'a> {
    settings: &'a Settings,
    pub(super) plan: DiscoveryPlan<Box<dyn Connection>>,
    in_flight: InFlight<'a>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(settings: &'a Settings, plan: DiscoveryPlan<Box<dyn Connection>>) -> Self {
        Self { settings, plan, in_flight: InFlight::default() }
    }

    /// The next connection to knock at; the search is over when there is none.
    pub(super) async fn connection(&mut self) -> Result<Connected<Box<dyn Connection>>, Cause> {
        let settings = self.settings;
        loop {
            match self.plan.poll_step(now()) {
                Step::LookupSrv(step) => self.in_flight.carry_out(step.until(), async move {
                    let learned = settings.resolver.srv(step.name()).await;
                    step.answer(learned)
                }),
                Step::LookupHost(step) => self.in_flight.carry_out(step.until(), async move {
                    let learned = settings.resolver.addresses(step.host(), step.family()).await;
                    step.answer(learned)
                }),
                Step::Connect(step) => self.in_flight.carry_out(step.until(), async move {
                    match settings.transport.connect(step.endpoint(), step.address()).await {
                        Ok(connection) => step.established(connection),
                        Err(failure) => step.failed(failure),
                    }
                }),
                Step::Wait { until } => {
                    if let Some(outcome) = self.in_flight.next(until).await {
                        self.plan.handle(outcome, now());
                    }
                }
                Step::Connected(connected) => {
                    self.in_flight.steps.clear();
                    return Ok(connected);
                }
                // An idle plan is owed its token, which was handed in or dropped with the search;
                // either way there is nothing left to wait for.
                Step::Idle => return Err(self.plan.trace().cause()),
                Step::Exhausted(cause) => return Err(cause),
            }
        }
    }
}

/// What a step brought.
type Brought = Outcome<Box<dyn Connection>>;

/// The lookups and connects that are under way. Dropping it drops them all.
#[derive(Default)]
struct InFlight<'a> {
    steps: FuturesUnordered<BoxFuture<'a, Option<Brought>>>,
}

impl<'a> InFlight<'a> {
    /// Carries out a step, and frees what it holds when its time is over: the plan has given it up
    /// by then.
    fn carry_out(&mut self, until: Instant, step: impl Future<Output = Brought> + Send + 'a) {
        self.steps.push(Box::pin(async move { timeout_at(until.into(), step).await.ok() }));
    }

    /// The next outcome, if one comes before `until`.
    async fn next(&mut self, until: Instant) -> Option<Brought> {
        if self.steps.is_empty() {
            tokio::time::sleep_until(until.into()).await;
            return None;
        }
        timeout_at(until.into(), self.steps.next()).await.ok()??
    }
}
