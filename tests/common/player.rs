//! Plays a transcript against the plan, line by line: every `>` must come when it stands, every `<`
//! is handed in, and in the end the plan must have written the very same story.

use std::fmt;
use std::time::{Duration, Instant};

use sip_signin::discovery::{DiscoveryPlan, Entry, Step, Token};

use super::in_hand::InHand;
use super::transcript::{Kind, Line, Reply, Transcript, collapse};

/// Who polls the plan between the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// One that polls at every instant at which the plan may have something to do. Then a line that
    /// stands later than the plan is due is refused.
    Prompt,
    /// One that was late, as every real one is: it polled when the lines say so.
    Late,
}

/// Where the plan and the transcript part.
#[derive(Debug)]
pub struct Mismatch {
    pub line: usize,
    pub expected: String,
    pub came: String,
    /// What the plan had written by then.
    pub trace: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "line {}\n  expected  {}\n  came      {}",
            self.line, self.expected, self.came
        )?;
        writeln!(f, "  the trace so far:")?;
        self.trace.lines().try_for_each(|line| writeln!(f, "    {line}"))
    }
}

/// Plays a transcript; returns what the plan printed.
pub fn play(transcript: &Transcript, driver: Driver) -> Result<String, Mismatch> {
    #[allow(clippy::disallowed_methods, reason = "any instant to count from")]
    let start = Instant::now();
    let Transcript { address, search, seed, lines, .. } = transcript;
    let plan = DiscoveryPlan::new(address, search, *seed, start);
    let mut player = Player {
        transcript,
        plan,
        start,
        now: Duration::ZERO,
        hand: Vec::new(),
        token: None,
        over: false,
    };
    player.check_header()?;
    for (at, line) in lines.iter().enumerate() {
        if driver == Driver::Prompt && line.at > player.now {
            player.pass_time(line)?;
        }
        player.now = line.at;
        match &line.kind {
            Kind::Asked => player.ask(line)?,
            Kind::Answered(reply) => player.answer(line, reply.clone())?,
            Kind::Concluded => player.conclude(at, line)?,
        }
        player.check_story(line.number)?;
    }
    player.finish(driver)
}

struct Player<'a> {
    transcript: &'a Transcript,
    plan: DiscoveryPlan<()>,
    start: Instant,
    now: Duration,
    /// The steps not answered yet.
    hand: Vec<InHand>,
    token: Option<Token>,
    over: bool,
}

impl Player<'_> {
    fn fail(&self, line: usize, expected: impl Into<String>, came: impl Into<String>) -> Mismatch {
        Mismatch {
            line,
            expected: expected.into(),
            came: came.into(),
            trace: self.plan.trace().to_string(),
        }
    }

    /// Each header line is one that the plan prints too, or states a default.
    fn check_header(&self) -> Result<(), Mismatch> {
        const DEFAULTS: [&str; 4] = [
            "order communicator",
            "pace default",
            "timeouts lookup 5000ms, connect 8000ms, search 30000ms",
            "seed 0",
        ];
        let printed: Vec<String> = self.plan.trace().to_string().lines().map(collapse).collect();
        for (number, line) in &self.transcript.header {
            if !printed.contains(line) && !DEFAULTS.contains(&line.as_str()) {
                return Err(self.fail(*number, line, "this header line is not printed so"));
            }
        }
        Ok(())
    }

    fn poll(&mut self) -> Step<()> {
        self.plan.poll_step(self.start + self.now)
    }

    /// Polls whenever the plan wants to be polled; it must have nothing to say before `line`.
    fn pass_time(&mut self, line: &Line) -> Result<(), Mismatch> {
        loop {
            let written = self.plan.trace().events().count();
            let step = self.poll();
            let until = match &step {
                Step::Wait { until } => until.saturating_duration_since(self.start),
                Step::Idle => return Ok(()),
                _ => Duration::ZERO,
            };
            if until <= self.now || self.plan.trace().events().count() != written {
                let step = self.take(step);
                let came = format!("by +{:?} already: {step}", self.now);
                return Err(self.fail(line.number, stated(line), came));
            }
            if until >= line.at {
                return Ok(());
            }
            self.now = until;
        }
    }

    /// Keeps what must be answered; returns the step as a transcript writes it.
    fn take(&mut self, step: Step<()>) -> String {
        let in_hand = match step {
            Step::LookupSrv(step) => InHand::Srv(step),
            Step::LookupHost(step) => InHand::Host(step),
            Step::Connect(step) => InHand::Connect(step),
            Step::Wait { until } => {
                return format!("waits until +{:?}", until.saturating_duration_since(self.start));
            }
            Step::Connected(connected) => {
                self.hand.clear();
                self.token = Some(connected.token);
                let (endpoint, address) = (connected.endpoint, connected.address.ip());
                return format!("> connected {endpoint} {address}");
            }
            Step::Idle => return "nothing: it is idle".into(),
            Step::Exhausted(_) => {
                self.over = true;
                return "> exhausted".into();
            }
        };
        let asked = format!("> {}", in_hand.question());
        self.hand.push(in_hand);
        asked
    }

    fn ask(&mut self, line: &Line) -> Result<(), Mismatch> {
        let step = self.poll();
        let came = self.take(step);
        if came != line.text {
            return Err(self.fail(line.number, &line.text, came));
        }
        Ok(())
    }

    fn answer(&mut self, line: &Line, reply: Reply) -> Result<(), Mismatch> {
        let question = match &reply {
            Reply::Srv(question, _) | Reply::Host(question, _) | Reply::Connect(question, _) => {
                question
            }
            Reply::Noted(what) => {
                if self.token.is_none() {
                    return Err(self.fail(line.number, &line.text, "no adoption"));
                }
                self.plan.note(what.clone(), self.start + self.now);
                return Ok(());
            }
            Reply::Useless(_) | Reply::Final(_) => {
                let token = self.token.take();
                let token =
                    token.ok_or_else(|| self.fail(line.number, &line.text, "no adoption"))?;
                let outcome = match reply {
                    Reply::Useless(why) => token.useless(why),
                    Reply::Final(why) => token.final_answer(why),
                    _ => return Ok(()),
                };
                self.plan.handle(outcome, self.start + self.now);
                return Ok(());
            }
        };
        let at = self.hand.iter().position(|step| step.question() == *question);
        let at = at.ok_or_else(|| self.fail(line.number, &line.text, "nobody asked that"))?;
        if let Some(outcome) = self.hand.remove(at).answer(reply) {
            self.plan.handle(outcome, self.start + self.now);
        }
        Ok(())
    }

    /// A conclusion was written by the call before it, or will be by the `>` after it; else the plan
    /// draws it when it is polled.
    fn conclude(&mut self, at: usize, line: &Line) -> Result<(), Mismatch> {
        if at < self.plan.trace().events().count() || self.over {
            return Ok(());
        }
        let rest = self.transcript.lines.iter().skip(at);
        let mut later = rest.skip_while(|l| matches!(l.kind, Kind::Concluded));
        if later.next().is_some_and(|l| matches!(l.kind, Kind::Asked) && l.at == line.at) {
            return Ok(());
        }
        match self.poll() {
            Step::Wait { .. } => Ok(()),
            step => {
                let came = self.take(step);
                Err(self.fail(line.number, &line.text, came))
            }
        }
    }

    /// What the plan has written so far is how the transcript begins.
    fn check_story(&self, number: usize) -> Result<(), Mismatch> {
        let lines = &self.transcript.lines;
        for (at, event) in self.plan.trace().events().enumerate() {
            let written = collapse(&event.entry.to_string());
            let same = lines.get(at).is_some_and(|l| l.at == event.at && l.text == written);
            if !same {
                let number = lines.get(at).map_or(number, |line| line.number);
                let expected = lines.get(at).map_or("the end".into(), stated);
                return Err(self.fail(number, expected, format!("+{:?} {written}", event.at)));
            }
        }
        Ok(())
    }

    /// Nothing may be left: no line that the plan did not write, nor a step that no line names.
    fn finish(mut self, driver: Driver) -> Result<String, Mismatch> {
        let end = self.transcript.lines.last().map_or(0, |line| line.number);
        if driver == Driver::Prompt && !self.over {
            match self.poll() {
                Step::Wait { .. } | Step::Idle => {}
                step => {
                    let came = self.take(step);
                    return Err(self.fail(end, "the end", came));
                }
            }
        }
        self.check_story(end)?;
        let printed = self.plan.trace().to_string();
        let written = self.plan.trace().events().count();
        let exhausted = self
            .plan
            .trace()
            .events()
            .next_back()
            .is_some_and(|event| event.entry == Entry::Exhausted);
        let last = printed.lines().last().map(collapse).filter(|_| exhausted);
        let because: Vec<String> = last.into_iter().collect();
        let rest = self.transcript.lines.get(written..).unwrap_or_default();
        let same = rest.iter().map(|line| &line.text).eq(because.iter());
        if !same {
            let number = rest.first().map_or(end, |line| line.number);
            let expected = rest.first().map_or("the end".into(), stated);
            return Err(self.fail(number, expected, because.join("\n")));
        }
        Ok(printed)
    }
}

fn stated(line: &Line) -> String {
    format!("+{:?} {}", line.at, line.text)
}
