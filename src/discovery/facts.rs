//! What a plan knows: facts, never phases.
//!
//! Everything here is either an answer that came or a step that is open; what to do next is derived
//! from it. So late, unordered and missing answers need no case of their own.

use smallvec::SmallVec;

use super::TARGET_LIMIT;
use super::candidate::{Candidate, Rank};
use super::line::Server;
use super::lookup::{KnownHost, Question};
use super::moment::{Limits, Moment};
use super::order::Protocol;

/// A candidate with its host.
type Runner<'a, C> = (&'a Candidate<C>, &'a KnownHost);

/// The books of a plan.
#[derive(Debug)]
pub(super) struct Facts<C> {
    pub(super) questions: SmallVec<[Question; 2]>,
    /// Of each host of the trace, in its place.
    pub(super) hosts: Vec<KnownHost>,
    /// The best first.
    pub(super) candidates: Vec<Candidate<C>>,
    /// A question of the order could not be put, its name being too long.
    pub(super) unaskable: bool,
    /// A TLS server has shown itself.
    pub(super) no_clear_text: bool,
}

impl<C> Facts<C> {
    /// Room for an ordinary search, so that nothing is allocated on its way.
    pub(super) fn new() -> Self {
        Self {
            questions: SmallVec::new(),
            hosts: Vec::with_capacity(1),
            candidates: Vec::with_capacity(1),
            unaskable: false,
            no_clear_text: false,
        }
    }

    /// Adds a candidate, or finds it, then under the better of its two ranks; what was only remembered
    /// takes its place among what is found. Returns it if `rank` is the one it now has.
    pub(super) fn add_candidate(
        &mut self,
        server: Server,
        rank: Rank,
        from_srv: bool,
    ) -> Option<&mut Candidate<C>> {
        let known = self.candidates.iter().position(|c| c.server() == server);
        let place = |candidates: &[Candidate<C>]| candidates.partition_point(|c| c.rank < rank);
        if let Some(known) = known {
            if self.candidates.get(known)?.is_no_worse_than(rank) {
                return None;
            }
            let mut candidate = self.candidates.remove(known);
            (candidate.rank, candidate.from_srv) = (rank, from_srv);
            let place = place(&self.candidates);
            self.candidates.insert(place, candidate);
            return self.candidates.get_mut(place);
        }
        // The limits of the search keep the number small.
        let number = u16::try_from(self.candidates.len()).unwrap_or(u16::MAX);
        let place = place(&self.candidates);
        self.candidates.insert(place, Candidate::new(number, server, rank, from_srv));
        self.candidates.get_mut(place)
    }

    /// Leaves out the candidates beyond the limit of targets, refused targets counting too.
    pub(super) fn crowd_out(&mut self) {
        for candidate in &mut self.candidates {
            let rank = candidate.rank;
            let better = self.questions.iter().filter(|q| rank.is_behind(q));
            let before: usize = better.map(|q| usize::from(q.listed)).sum();
            candidate.crowded_out =
                candidate.from_srv && before.saturating_add(rank.place.into()) >= TARGET_LIMIT;
        }
    }

    pub(super) fn question_mut(&mut self, row: u16) -> Option<&mut Question> {
        self.questions.iter_mut().find(|question| question.row == row)
    }

    pub(super) fn host_mut(&mut self, place: u16) -> Option<&mut KnownHost> {
        self.hosts.get_mut(usize::from(place))
    }

    pub(super) fn candidate_mut(&mut self, number: u16) -> Option<&mut Candidate<C>> {
        self.candidates.iter_mut().find(|candidate| candidate.number == number)
    }

    /// Not beyond the limit of targets, and not in clear text that is no longer tried.
    fn is_ranked(&self, candidate: &Candidate<C>) -> bool {
        let barred = candidate.rank.protocol == Protocol::Tcp && self.no_clear_text;
        !candidate.crowded_out && !barred
    }

    /// Nor adopted before, nor one that was remembered and has failed.
    fn is_in_the_race(&self, candidate: &Candidate<C>) -> bool {
        let failed = || !candidate.rank.found && candidate.dials_failed();
        self.is_ranked(candidate) && !candidate.spent && !failed()
    }

    /// All candidates, the best first.
    fn with_hosts(&self) -> impl Iterator<Item = Runner<'_, C>> {
        let host = |candidate: &Candidate<C>| self.hosts.get(usize::from(candidate.host));
        self.candidates.iter().filter_map(move |candidate| Some((candidate, host(candidate)?)))
    }

    /// The same without those that cannot win any more.
    pub(super) fn in_the_race(&self) -> impl Iterator<Item = Runner<'_, C>> {
        self.with_hosts().filter(|(candidate, _)| self.is_in_the_race(candidate))
    }

    /// The one that is only remembered, if it is in the race. There is none before it.
    pub(super) fn remembered(&self) -> Option<Runner<'_, C>> {
        self.candidates.first().filter(|first| !first.rank.found)?;
        self.in_the_race().next().filter(|(first, _)| !first.rank.found)
    }

    /// How many connects are under way.
    pub(super) fn open_dials(&self) -> usize {
        let dials = self.candidates.iter().flat_map(|candidate| &candidate.dials);
        dials.filter(|dial| dial.is_open()).count()
    }

    /// SRV questions that can still change which candidate comes next, and since when each is open.
    pub(super) fn open_questions(&self) -> impl Iterator<Item = (&Question, Moment)> {
        let matters = |q: &&Question| q.protocol == Protocol::Tls || !self.no_clear_text;
        self.questions.iter().filter(matters).filter_map(Question::open)
    }

    /// When each open lookup and connect is given up.
    pub(super) fn dues(&self, limits: Limits<'_>) -> impl Iterator<Item = Moment> {
        let questions = self.questions.iter().filter_map(move |q| q.lookup.open_until(limits));
        let hosts = self.hosts.iter().flat_map(move |host| host.dues(limits));
        let connects = self.candidates.iter().flat_map(move |candidate| candidate.dues(limits));
        questions.chain(hosts).chain(connects)
    }

    /// The best record's server, once it is certain which is best and it failed.
    pub(super) fn first_record(&self) -> Option<Server> {
        let mut ranked = self.with_hosts().filter(|(candidate, _)| self.is_ranked(candidate));
        let (first, host) = ranked.find(|(candidate, _)| candidate.from_srv)?;
        let key = (first.rank.protocol, first.rank.row);
        let certain = self.open_questions().all(|(q, _)| (q.protocol, q.row) > key);
        (certain && (first.spent || first.has_failed(host))).then_some(first.server())
    }

    /// Forgets what is open, as an adoption demands: it counts as never offered. Answers that came,
    /// and failures, are kept.
    pub(super) fn forget_open(&mut self) {
        self.questions.iter_mut().for_each(|question| question.lookup.forget());
        self.hosts.iter_mut().for_each(KnownHost::forget_open);
        self.candidates.iter_mut().for_each(Candidate::forget_open);
    }
}
