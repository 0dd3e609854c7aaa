//! What the fuzz target `plan` asserts, shared with the stable tests: a transcript is read, and
//! whatever can be read is driven to its end; the answers go to any step that asked for them.

use std::time::Instant;

use sip_signin::discovery::{
    ClearText, Connect, DiscoveryPlan, Endpoint, Protocol, Row, STEP_LIMIT, Search, Step, Token,
};
use sip_signin::{Host, HostName, Origin};

use super::in_hand::InHand;
use super::transcript::{Kind, Reply, Transcript};

/// More polls than any plan needs: each is a step, or a wait that ends something.
const POLL_LIMIT: usize = 8 * STEP_LIMIT;

/// Drives the plan of a transcript, its mismatches forgiven.
pub fn plan(data: &[u8]) {
    let Ok(transcript) = String::from_utf8_lossy(data).parse::<Transcript>() else { return };
    let Transcript { address, search, seed, lines, .. } = &transcript;
    #[allow(clippy::disallowed_methods, reason = "any instant to count from")]
    let start = Instant::now();
    let mut drive = Drive {
        search,
        domain: address.domain(),
        plan: DiscoveryPlan::new(address, search, *seed, start),
        hand: Vec::new(),
        token: None,
        steps: 0,
        over: false,
    };
    let mut now = start;
    for line in lines {
        now = start + line.at;
        match &line.kind {
            Kind::Answered(reply) => drive.answer(reply, now),
            Kind::Asked | Kind::Concluded => {
                drive.poll(now);
            }
        }
    }
    drive.end(now);
    assert!(drive.steps <= STEP_LIMIT, "{} steps", drive.steps);
    let trace = drive.plan.trace().clone();
    assert_eq!(*drive.plan.fold().unfold().trace(), trace, "it folds into another");
}

struct Drive<'a> {
    search: &'a Search,
    domain: &'a HostName,
    plan: DiscoveryPlan<()>,
    hand: Vec<InHand>,
    token: Option<Token>,
    steps: usize,
    over: bool,
}

impl Drive<'_> {
    /// Polls once; returns when to poll next, if the plan has nothing to do before.
    fn poll(&mut self, now: Instant) -> Option<Instant> {
        let step = self.plan.poll_step(now);
        assert!(!self.over || matches!(step, Step::Exhausted(_)), "it is over for good");
        let (in_hand, until) = match step {
            Step::LookupSrv(step) => {
                self.check_question(step.name().service());
                let until = step.until();
                (InHand::Srv(step), until)
            }
            Step::LookupHost(step) => {
                let until = step.until();
                (InHand::Host(step), until)
            }
            Step::Connect(step) => {
                self.check_connect(&step);
                let until = step.until();
                (InHand::Connect(step), until)
            }
            Step::Wait { until } => {
                assert!(until > now, "a wait that is over keeps a driver spinning");
                return Some(until);
            }
            Step::Connected(connected) => {
                assert!(self.token.is_none(), "adopted twice");
                self.check_endpoint(&connected.endpoint);
                self.hand.clear();
                self.token = Some(connected.token);
                return None;
            }
            Step::Idle => return None,
            Step::Exhausted(_) => {
                self.over = true;
                return None;
            }
        };
        assert!(until >= now, "a step whose time is over");
        self.steps += 1;
        self.hand.push(in_hand);
        None
    }

    fn answer(&mut self, reply: &Reply, now: Instant) {
        if let Reply::Noted(what) = reply {
            return self.plan.note(what.clone(), now);
        }
        let (Reply::Srv(question, _) | Reply::Host(question, _) | Reply::Connect(question, _)) =
            reply
        else {
            if let (Some(token), Reply::Useless(why) | Reply::Final(why)) =
                (self.token.take(), reply)
            {
                let is_final = matches!(reply, Reply::Final(_));
                let why = why.clone();
                let outcome = if is_final { token.final_answer(why) } else { token.useless(why) };
                self.plan.handle(outcome, now);
            }
            return;
        };
        let Some(at) = self.hand.iter().position(|step| step.question() == *question) else {
            return;
        };
        if let Some(outcome) = self.hand.remove(at).answer(reply.clone()) {
            self.plan.handle(outcome, now);
        }
    }

    /// From here on nobody answers, and every adopted server is useless.
    fn end(&mut self, mut now: Instant) {
        for _ in 0..POLL_LIMIT {
            let until = self.poll(now);
            if self.over {
                return;
            }
            if let Some(token) = self.token.take() {
                self.plan.handle(token.useless("fuzzed"), now);
            }
            now = until.unwrap_or(now);
        }
        panic!("no end\n{}", self.plan.trace());
    }

    fn check_question(&self, service: &str) {
        let order = self.search.order().expect("manual servers ask no srv question");
        let row = order.rows().iter().find(|row| match row {
            Row::Srv { service: known, .. } => known.as_ref() == service,
            Row::Host { .. } => false,
        });
        let protocol = row.expect("a question of the order").protocol();
        assert!(protocol == Protocol::Tls || self.search.clear_text() == ClearText::Allow);
    }

    fn check_connect(&self, step: &Connect) {
        self.check_endpoint(step.endpoint());
        assert_eq!(step.address().port(), step.endpoint().port);
        assert_ne!(step.endpoint().port, 0);
    }

    fn check_endpoint(&self, Endpoint { protocol, host, port }: &Endpoint) {
        assert!(*protocol == Protocol::Tls || self.search.clear_text() == ClearText::Allow);
        match (host.origin(), host.name()) {
            (Origin::Rule, Some(name)) => {
                assert!(self.search.names().admit(name, self.domain).is_ok(), "{name} is refused");
            }
            (Origin::Built, Some(name)) => {
                let order = self.search.order().expect("no host rows with manual servers");
                // The port of a server that is remembered is its own.
                let last = self.search.last().map(|last| (&last.host, last.port));
                let remembered = *protocol == Protocol::Tls && last == Some((name, *port));
                let own = |row: &Row| match row {
                    Row::Srv { .. } => false,
                    Row::Host { label, protocol: by, port: at } => {
                        let built = HostName::parse(&format!("{label}.{}", self.domain));
                        built.as_ref() == Ok(name) && (remembered || (by, at) == (protocol, port))
                    }
                };
                assert!(order.rows().iter().any(own), "{name} is nobody's row");
            }
            (Origin::Administrator, _) => {
                let servers = self.search.manual().expect("nobody entered a server");
                let named = [&servers.internal, &servers.external].into_iter().flatten();
                let hosts: Vec<&Host> = named.map(|server| &server.host).collect();
                assert!(hosts.contains(&host.host()), "{host} was not entered");
            }
            (origin, _) => panic!("{host}: {origin:?}"),
        }
    }
}
