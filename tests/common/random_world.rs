//! A world made of choices, for law 12: it says whatever can be said, at odd times, and its driver
//! may be late. The shorter the choices, the duller the world.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use sip_signin::discovery::{
    Absence, Answer, CertificateFault, ClearText, ConnectFailure, DiscoveryPlan, Endpoint,
    LookupFailure, ManualServers, Pace, Protocol, Row, Search, SearchOrder, Seed, SrvAnswer,
    SrvRecord, Step, Timeouts, Token,
};
use sip_signin::{HostName, HostNamePolicy, NameRule, SipAddress, WireText};

use super::in_hand::InHand;
use super::transcript::Reply;

/// A search from its first step to its last.
pub struct Run {
    pub printed: String,
    /// Whether its driver polled later than it should.
    pub late: bool,
    /// Whether it went for the target of a redirect.
    pub redirected: bool,
}

struct Choices {
    rest: std::vec::IntoIter<u16>,
    domain: &'static str,
}

impl Choices {
    fn number(&mut self) -> u16 {
        self.rest.next().unwrap_or_default()
    }

    fn of<T: Clone>(&mut self, all: &[T]) -> T {
        all[usize::from(self.number()) % all.len()].clone()
    }

    /// One in `n`.
    fn rarely(&mut self, n: u16) -> bool {
        self.number() % n == n - 1
    }

    fn time(&mut self) -> Duration {
        let nanos = self.of(&[0, 1, 20_000_000, 500_000, 99_999_999, 130_000_000, 300_000_001]);
        let millis = self.of(&[0u64, 0, 7, 40, 130, 600, 8_500]);
        Duration::from_nanos(nanos) + Duration::from_millis(millis)
    }

    fn text(&mut self) -> WireText {
        let long = "so it goes on, ".repeat(40);
        let tricks = "\u{7}\u{202e}".repeat(80);
        let texts = [
            "503 Service Unavailable",
            "",
            " ",
            " a  b ",
            "with a.b 10.0.0.1",
            "a\\b, \"c\"",
            "na\u{ef}ve\r\n\u{1b}[2J",
            "absent",
            "> exhausted",
            "# none",
            long.as_str(),
            tricks.as_str(),
        ];
        WireText::new(self.of(&texts))
    }

    fn host(&mut self) -> String {
        let domain = self.domain;
        let labels = ["sip.", "pool.", "sip.", "", "sip.eng.", "sip-"];
        format!("{}{domain}", self.of(&labels))
    }

    fn target(&mut self) -> String {
        if !self.rarely(8) {
            return self.host();
        }
        let long = "x.".repeat(200);
        let odd = [
            "pool.cpandl.com",
            ".",
            "a b",
            "a,b",
            "m\u{fc}nchen",
            "",
            "_sip.x",
            "192.0.2.1",
            "a\\b",
            " with ",
            "sip\u{0}",
            long.as_str(),
        ];
        self.of(&odd).to_owned()
    }

    fn address(&mut self) -> IpAddr {
        let last = self.number() % 24;
        let text =
            if self.rarely(2) { format!("2001:db8::{last:x}") } else { format!("10.0.0.{last}") };
        text.parse().unwrap()
    }

    fn failure(&mut self) -> LookupFailure {
        use LookupFailure as F;
        let text = self.text();
        let all =
            [F::ServerFailure, F::TimedOut, F::Malformed, F::Refused, F::TooLong, F::Unreachable];
        if self.rarely(4) { F::Other(text) } else { self.of(&all) }
    }

    fn learned<T>(&mut self, found: impl Fn(&mut Self) -> T) -> Result<Answer<T>, LookupFailure> {
        match self.number() % 9 {
            0 | 1 => Ok(Answer::Absent(Absence::NoSuchName)),
            2 => Ok(Answer::Absent(Absence::NoData)),
            3 => Err(self.failure()),
            _ => Ok(Answer::Found(found(self))),
        }
    }

    fn records(&mut self) -> SrvAnswer {
        let record = |c: &mut Self| {
            let (priority, weight) = (c.of(&[0, 0, 7]), c.of(&[0, 0, 1, 50, 65535]));
            SrvRecord::new(priority, weight, c.of(&[5061, 443, 5061, 5060, 0]), &c.target())
        };
        let count = self.of(&[1, 1, 2, 3, 0, 12, 40]);
        let records: Vec<SrvRecord> = (0..count).map(|_| record(self)).collect();
        let own = |c: &mut Self| (HostName::parse(&c.host()).unwrap(), c.address());
        let additional = (0..self.of(&[0, 0, 1, 4])).map(|_| own(self)).collect();
        SrvAnswer { records, additional }
    }

    fn addresses(&mut self) -> Vec<IpAddr> {
        (0..self.of(&[1, 2, 3, 0, 30])).map(|_| self.address()).collect()
    }

    fn end(&mut self) -> Result<(), ConnectFailure> {
        use CertificateFault as Fault;
        use ConnectFailure as F;
        let (text, other) = (self.text(), self.text());
        let names = self.of(&[vec![], vec![text.clone()], vec![text.clone(), other]]);
        let faults = [
            Fault::Untrusted,
            Fault::Expired,
            Fault::NotYetValid,
            Fault::Revoked,
            Fault::NoSubjectAlternativeName,
            Fault::Other(text.clone()),
            Fault::WrongName(names),
        ];
        let fault = self.of(&faults);
        let plain = [F::Refused, F::TimedOut, F::ClosedBeforeTls, F::Unreachable, F::PeerTooOld];
        match self.number() % 10 {
            0..=4 => Ok(()),
            5 => Err(F::Certificate(fault)),
            6 => Err(self.of(&[F::Handshake(text.clone()), F::Other(text)])),
            _ => Err(self.of(&plain)),
        }
    }

    fn reply(&mut self, step: &InHand) -> Reply {
        match step {
            InHand::Srv(_) => Reply::Srv(String::new(), self.learned(Self::records)),
            InHand::Host(_) => Reply::Host(String::new(), self.learned(Self::addresses)),
            InHand::Connect(_) => Reply::Connect(String::new(), self.end()),
        }
    }

    fn search(&mut self) -> Search {
        let policies =
            [HostNamePolicy::Relaxed, HostNamePolicy::Strict, HostNamePolicy::AnySubdomain];
        let clear_text = self.of(&[ClearText::Allow, ClearText::Forbid]);
        let head_start = self.rarely(2).then(|| self.time());
        let address_delay = self.rarely(2).then(|| self.time());
        let own = Pace {
            head_start,
            patience: self.time(),
            patience_in_connects: u32::from(self.number() % 4),
            address_delay,
            resolution_delay: self.time(),
        };
        let brief = Timeouts {
            lookup: self.time() + Duration::from_nanos(1),
            connect: self.time() + Duration::from_micros(1),
            search: self.time() + Duration::from_millis(900),
        };
        let trusted = self.of(&[vec![], vec!["cpandl.com"], vec!["lync.com", "cpandl.com"]]);
        let builder = Search::builder()
            .names(self.of(&policies))
            .trust(trusted.into_iter().map(|name| HostName::parse(name).unwrap()))
            .clear_text(clear_text)
            .first_srv_record_only(self.rarely(8))
            .hosts_after_failed_lookups(self.rarely(3))
            .pace(self.of(&[Pace::DEFAULT, Pace::EAGER, Pace::ONE_AT_A_TIME, own]))
            .timeouts(self.of(&[Timeouts::DEFAULT, Timeouts::DEFAULT, brief]));
        let builder = if self.rarely(6) {
            let servers =
                ["pool.corp.example", "10.0.0.1:443", "[2001:db8::1]:5061", "sip.contoso.com"];
            let server = |c: &mut Self| c.of(&servers).parse().ok();
            let protocol =
                if clear_text == ClearText::Allow { Protocol::Tcp } else { Protocol::Tls };
            let protocol = self.of(&[Protocol::Tls, protocol]);
            let (internal, external) = (server(self), server(self));
            let external = external.filter(|_| self.rarely(2));
            builder.manual(ManualServers { internal, external, protocol })
        } else {
            builder.order(self.order())
        };
        let search = builder.build().unwrap();
        if self.rarely(6) { self.redirected(&search, clear_text) } else { search }
    }

    /// The search for the target of a redirect.
    fn redirected(&mut self, search: &Search, clear_text: ClearText) -> Search {
        let domain = HostName::parse(self.domain).unwrap();
        let host = HostName::parse(&self.host()).unwrap();
        let names = NameRule::default().trusting([domain.clone(), host.clone()]);
        let host = names.admit(&host, &domain).unwrap();
        let clear = if clear_text == ClearText::Allow { Protocol::Tcp } else { Protocol::Tls };
        let protocol = self.of(&[Protocol::Tls, clear]);
        let port = self.of(&[5061, 443, 5060, 65535]);
        search.redirected_to(Endpoint { protocol, host, port })
    }

    fn order(&mut self) -> SearchOrder {
        if !self.rarely(4) {
            return self.of(&SearchOrder::PRESETS);
        }
        let rows = [
            Row::Srv { service: "_SIP._tls".into(), protocol: Protocol::Tls },
            Row::Host { label: "Lab".into(), protocol: Protocol::Tls, port: 443 },
            Row::Srv { service: "_lab._tcp".into(), protocol: Protocol::Tcp },
            Row::Host { label: "lab".into(), protocol: Protocol::Tcp, port: 5060 },
        ];
        let first = self.of(&[0, 1, 2, 3]);
        SearchOrder::new("mine", rows[first..].to_vec()).unwrap()
    }
}

struct Pending {
    step: InHand,
    due: Duration,
    reply: Reply,
}

/// Walks a plan through the world of these choices.
pub fn run(choices: Vec<u16>) -> Run {
    let mut choices = Choices { rest: choices.into_iter(), domain: "contoso.com" };
    choices.domain = choices.of(&["contoso.com", "contoso", "a.very.deep.domain.example"]);
    let lateness = Duration::from_nanos(choices.of(&[0, 0, 1, 3_000_123]));
    let seed = Seed(choices.of(&[0, 1, u64::MAX]));
    let search = choices.search();
    let address: SipAddress = format!("jeremy@{}", choices.domain).parse().unwrap();
    #[allow(clippy::disallowed_methods, reason = "any instant to count from")]
    let start = Instant::now();
    let mut plan = DiscoveryPlan::<()>::new(&address, &search, seed, start);
    let mut now = Duration::ZERO;
    let mut pending: Vec<Pending> = Vec::new();
    let mut adopted: Option<(Token, Duration)> = None;
    loop {
        let step = match plan.poll_step(start + now) {
            Step::LookupSrv(step) => InHand::Srv(step),
            Step::LookupHost(step) => InHand::Host(step),
            Step::Connect(step) => InHand::Connect(step),
            Step::Connected(connected) => {
                adopted = Some((connected.token, now + choices.time()));
                continue;
            }
            Step::Exhausted(_) => break,
            Step::Wait { until } => {
                let due = pending.iter().map(|p| p.due).min();
                let until = until.duration_since(start) + lateness;
                match due.filter(|due| *due <= until) {
                    Some(due) => {
                        now = now.max(due);
                        let at = pending.iter().position(|p| p.due == due).unwrap();
                        let Pending { step, reply, .. } = pending.remove(at);
                        plan.handle(step.answer(reply).unwrap(), start + now);
                        now += lateness;
                    }
                    None => now = now.max(until),
                }
                continue;
            }
            Step::Idle => {
                // An adopted connection that serves, or one that turns out not to.
                let Some((token, back)) = adopted.take() else { break };
                if choices.rarely(2) {
                    break;
                }
                now = back;
                let why = choices.text();
                let is_final = choices.rarely(4);
                let outcome = if is_final { token.final_answer(why) } else { token.useless(why) };
                plan.handle(outcome, start + now);
                continue;
            }
        };
        let due = now + choices.time();
        let reply = choices.reply(&step);
        if !choices.rarely(9) {
            pending.push(Pending { step, due, reply });
        }
    }
    let redirected = search.order().is_none() && search.manual().is_none();
    Run { printed: plan.trace().to_string(), late: lateness > Duration::ZERO, redirected }
}
