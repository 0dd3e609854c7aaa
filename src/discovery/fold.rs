//! A plan that waits for its adopted server, kept as what it heard.
//!
//! The trace of a search holds every input, and the same inputs make the same plan. So a plan that
//! has nothing to do for a while need not be kept: its trace is, and a plan that is wanted again
//! lives through it once more.

use std::time::Instant;

use super::candidate::Candidate;
use super::facts::Facts;
use super::line::Line;
use super::lines::Lines;
use super::moment::Moment;
use super::plan::DiscoveryPlan;
use super::search::Search;
use super::srv::Seed;
use super::step::{Outcome, PlanId, What};
use super::trace::Trace;
use crate::address::SipAddress;
use crate::now::later;

/// A [`DiscoveryPlan`] folded into the lines of its trace: a fraction of its size, and the same plan
/// again once it is [unfolded](Self::unfold), which takes about as long as all its steps took so far.
///
/// Whoever has thousands of searches at once folds each while its server is talked to.
///
/// ```
/// # use sip_signin::discovery::{DiscoveryPlan, Search, Seed};
/// # let (address, now) = ("sip:jeremy@contoso.com".parse()?, std::time::Instant::now());
/// let mut plan = DiscoveryPlan::<()>::new(&address, &Search::default(), Seed(0), now);
/// let step = plan.poll_step(now); // What is under way stays under way.
/// let plan = plan.fold().unfold();
/// assert_eq!(plan.trace().events().count(), 1);
/// # drop(step);
/// # Ok::<(), sip_signin::AddressError>(())
/// ```
#[derive(Debug)]
#[must_use = "with the folded plan the search is gone"]
pub struct FoldedPlan<C> {
    address: SipAddress,
    search: Search,
    seed: Seed,
    lines: Lines,
    id: PlanId,
    seen: Instant,
    latest: Moment,
    /// Connections that wait for better ones, of the best candidate first. None once one is adopted.
    ready: Box<[C]>,
}

impl<C> DiscoveryPlan<C> {
    /// Folds the plan. Its steps, tokens and outcomes stay good for what it is unfolded to.
    pub fn fold(self) -> FoldedPlan<C> {
        let Self { trace, id, seen, latest, facts, .. } = self;
        let Trace { address, search, seed, mut lines, .. } = trace;
        lines.shrink();
        let ready = facts.candidates.into_iter().filter_map(Candidate::into_connection);
        FoldedPlan { address, search, seed, lines, id, seen, latest, ready: ready.collect() }
    }
}

impl<C> FoldedPlan<C> {
    /// The plan, as it was when it was folded.
    pub fn unfold(self) -> DiscoveryPlan<C> {
        let Self { address, search, seed, lines, id, seen, latest, ready } = self;
        let start = seen.checked_sub(latest.since(Moment::START)).unwrap_or(seen);
        let mut again = DiscoveryPlan::<()>::new(&address, &search, seed, start);
        // As much as it has written it has lived through.
        while let Some((at, line)) = lines.from(again.trace.end()).next() {
            let before = again.trace.end();
            again.live_through(line, at, later(start, at.since(Moment::START)));
            if again.trace.end() == before {
                break;
            }
        }
        again.advance(seen);
        again.with_connections(id, ready.into_iter())
    }
}

impl DiscoveryPlan<()> {
    /// Has again what made the plan write `line` at that time, by its own clock and by the caller's.
    fn live_through(&mut self, line: Line, at: Moment, now: Instant) {
        let (place, what) = match line {
            // They are as they were drawn; to draw again takes long where they are many.
            Line::AnsweredSrv(row, learned) => {
                self.advance(now);
                return self.hear_ordered_srv(row, learned, at);
            }
            Line::AnsweredHost(place, family, learned) => (place, What::Host(family, learned)),
            Line::ConnectEnded(server, address, result) => {
                let its = |candidate: &&Candidate<()>| candidate.server() == server;
                let number = self.facts.candidates.iter().find(its).map(|c| c.number);
                (number.unwrap_or_default(), What::Connect(address, result))
            }
            Line::Useless(why) => (0, What::Useless { why, search_on: true }),
            Line::FinalAnswer(why) => (0, What::Useless { why, search_on: false }),
            Line::Noted(what) => return self.note(what, now),
            Line::AskedHost(..)
            | Line::AskedSrv(_)
            | Line::Dialled(..)
            | Line::Connected(..)
            | Line::Exhausted
            | Line::Concluded(_) => return drop(self.poll_step(now)),
        };
        self.handle(Outcome { ticket: self.ticket(place), what }, now);
    }

    fn with_connections<C>(
        self,
        id: PlanId,
        mut ready: impl Iterator<Item = C>,
    ) -> DiscoveryPlan<C> {
        let Facts { questions, hosts, candidates, unaskable, no_clear_text } = self.facts;
        let candidates = candidates.into_iter().map(|c| c.with_connection(&mut ready)).collect();
        let facts = Facts { questions, hosts, candidates, unaskable, no_clear_text };
        let Self { epoch, steps, seen, latest, deadline, first_due, state, trace, .. } = self;
        DiscoveryPlan { id, epoch, steps, seen, latest, deadline, first_due, state, facts, trace }
    }
}
