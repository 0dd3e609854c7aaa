//! Carries out the steps of a search, up to the next connection.

use std::future::poll_fn;
use std::ops::ControlFlow;
use std::task::Poll;
use std::time::Instant;

use futures_util::future::BoxFuture;
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
        loop {
            let until = match self.begin() {
                ControlFlow::Continue(until) => until,
                ControlFlow::Break(end) => return end,
            };
            if let Some(outcome) = self.in_flight.next(until).await {
                self.plan.handle(outcome, now());
            }
        }
    }

    /// Begins all that the plan wants begun: until when to wait then, or how it ends. Not part of
    /// `connection`: who waits keeps no room for a step.
    fn begin(&mut self) -> ControlFlow<Result<Connected<Box<dyn Connection>>, Cause>, Instant> {
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
                Step::Wait { until } => return ControlFlow::Continue(until),
                Step::Connected(connected) => {
                    self.in_flight = InFlight::default();
                    return ControlFlow::Break(Ok(connected));
                }
                // An idle plan is owed its token, which was handed in or dropped with the search;
                // either way there is nothing left to wait for.
                Step::Idle => return ControlFlow::Break(Err(self.plan.trace().cause())),
                Step::Exhausted(cause) => return ControlFlow::Break(Err(cause)),
            }
        }
    }
}

/// What a step brought.
type Brought = Outcome<Box<dyn Connection>>;

/// The lookups and connects that are under way, in the order in which they began: so few that each is
/// looked at whenever something happens. Dropping it drops them all.
#[derive(Default)]
struct InFlight<'a>(Vec<Begun<'a>>);

struct Begun<'a> {
    until: Instant,
    step: BoxFuture<'a, Brought>,
}

impl<'a> InFlight<'a> {
    fn carry_out(&mut self, until: Instant, step: impl Future<Output = Brought> + Send + 'a) {
        self.0.push(Begun { until, step: Box::pin(step) });
    }

    /// The next outcome, if one comes before `until` and before the time of any step is over. A step
    /// whose time is over is dropped, with what it holds: the plan has given it up.
    async fn next(&mut self, until: Instant) -> Option<Brought> {
        let now = now();
        self.0.retain(|begun| now < begun.until);
        let until = self.0.iter().map(|begun| begun.until).fold(until, Instant::min);
        let came = poll_fn(|cx| {
            let mut steps = self.0.iter_mut().enumerate();
            let ready = steps.find_map(|(at, begun)| match begun.step.as_mut().poll(cx) {
                Poll::Ready(outcome) => Some((at, outcome)),
                Poll::Pending => None,
            });
            let Some((at, outcome)) = ready else { return Poll::Pending };
            self.0.remove(at);
            Poll::Ready(outcome)
        });
        timeout_at(until.into(), came).await.ok()
    }
}
