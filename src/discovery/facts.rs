//! What a plan knows: facts, never phases.
//!
//! Everything here is either an answer that came or a step that is open; what to do next is derived
//! from it. So late, unordered and missing answers need no case of their own.

use smallvec::SmallVec;

use super::TARGET_LIMIT;
use super::candidate::{Candidate, Rank};
use super::line::Server;
use super::lookup::{KnownHost, Question};
use super::moment::Moment;
use super::order::Protocol;

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
        let known = self.candidates.iter().position(|c| c.server == server);
        let place = |candidates: &[Candidate<C>]| candidates.partition_point(|c| c.rank < rank);
        if let Some(known) = known {
            if self.candidates.get(known)?.is_no_worse_than(rank) {
                return None;
            }
            let candidate = Candidate { rank, from_srv, ..self.candidates.remove(known) };
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

    /// The candidates, the best first, without those beyond the limit of targets and those in clear
    /// text that is no longer tried; each with its host.
    fn ranked(&self) -> impl Iterator<Item = (&Candidate<C>, &KnownHost)> {
        let barred = |c: &Candidate<C>| c.rank.protocol == Protocol::Tcp && self.no_clear_text;
        self.candidates
            .iter()
            .filter(move |c| !c.crowded_out && !barred(c))
            .filter_map(|c| Some((c, self.hosts.get(usize::from(c.server.host))?)))
    }

    /// The same without those that were adopted before, and one that was remembered and has failed.
    pub(super) fn in_the_race(&self) -> impl Iterator<Item = (&Candidate<C>, &KnownHost)> {
        self.ranked().filter(|(c, _)| !c.spent && (c.rank.found || !c.dials_failed()))
    }

    /// SRV questions that can still change which candidate comes next, and since when each is open.
    pub(super) fn open_questions(&self) -> impl Iterator<Item = (&Question, Moment)> {
        let matters = |q: &&Question| q.protocol == Protocol::Tls || !self.no_clear_text;
        self.questions.iter().filter(matters).filter_map(Question::open)
    }

    /// When each open lookup and connect is given up.
    pub(super) fn dues(&self) -> impl Iterator<Item = Moment> {
        let questions = self.questions.iter().filter_map(|question| question.lookup.open_until());
        let hosts = self.hosts.iter().flat_map(KnownHost::dues);
        questions.chain(hosts).chain(self.candidates.iter().flat_map(Candidate::dues))
    }

    /// The best record's server, once it is certain which is best and it failed.
    pub(super) fn first_record(&self) -> Option<Server> {
        let (first, host) = self.ranked().find(|(c, _)| c.from_srv)?;
        let key = (first.rank.protocol, first.rank.row);
        let certain = self.open_questions().all(|(q, _)| (q.protocol, q.row) > key);
        (certain && (first.spent || first.has_failed(host))).then_some(first.server)
    }

    /// Forgets what is open, as an adoption demands: it counts as never offered. Answers that came,
    /// and failures, are kept.
    pub(super) fn forget_open(&mut self) {
        self.questions.iter_mut().for_each(|question| question.lookup.forget());
        self.hosts.iter_mut().for_each(KnownHost::forget_open);
        self.candidates.iter_mut().for_each(Candidate::forget_open);
    }
}
