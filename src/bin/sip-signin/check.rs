//! `check`: everything that a sign-in would meet, and everything that is wrong beside it.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use clap::Args;
use sip_signin::discovery::{ConnectFailure, Pace, Search};
use sip_signin::sip::{Challenge, Scheme};
use sip_signin::{SignInFailureKind, SipAddress, Survey, Visit, WireText};
use tokio::time::timeout;

use crate::certificate::Facts;
use crate::complaint::{Complaint, End, Outcome};
use crate::doors::Doors;
use crate::screen::{self, BAD, GOOD, LOUD, PLAIN, Page};
use crate::settings::{SearchOptions, Settings};
use crate::story::{Connect, Lookup, Said, Story, Verdict};
use crate::tell;
use crate::watch::{Awaited, live};

/// Check everything that a sign-in with an address would meet, without signing in.
///
/// Looks up, judges names, connects to every server that the search leads to, also those behind the
/// first good one, and to every address of theirs; shows certificates and the proofs that each
/// server asks for. Then a list of everything that is wrong, with whose fault it is and what to do.
/// Each server gets one REGISTER without credentials; nobody is signed in.
///
/// Ends with 0 if a client would find a server that lets it try, although there may be problems
/// beside it; else with 1.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  sip-signin check jeremy@contoso.com
  sip-signin check jeremy@contoso.com --dns 192.0.2.53 --ca contoso-root.pem
  sip-signin check jeremy@contoso.com --internal pool01.contoso.com --json")]
pub struct Options {
    /// The sign-in address, sip:user@domain or user@domain
    #[arg(value_name = "ADDRESS")]
    address: SipAddress,
    #[command(flatten)]
    search: SearchOptions,
}

pub fn run(options: &Options, json: bool) -> Outcome {
    let settings = options.search.settings()?;
    let awaited = Awaited::default();
    let doors = Doors::of(&settings, &awaited)?;
    live(&awaited, async {
        let checked = Checked::of(&options.address, settings, &doors).await?;
        checked.show(json)?;
        Ok(End::when(checked.survey.verdict().is_ok()))
    })
}

/// A survey, with the certificates that were not accepted.
pub struct Checked {
    address: SipAddress,
    search: Search,
    pub survey: Survey,
    refused: BTreeMap<(String, SocketAddr), Facts>,
}

impl Checked {
    pub async fn of(
        address: &SipAddress,
        mut settings: Settings,
        doors: &Doors,
    ) -> Result<Self, Complaint> {
        if !settings.paced {
            // Every server is visited anyway; one after the other, the story is easier to read.
            settings.search = settings.search.with_pace(Pace::ONE_AT_A_TIME);
        }
        let _mark = doors.awaited.mark_vaguely("the answer of a server");
        let survey = doors.client(&settings).build().survey(address).await;
        let survey =
            survey.map_err(|failure| Complaint::machine(failure.kind(), failure.advice()))?;
        let mut refused = BTreeMap::new();
        for visit in &survey.visits {
            if let Err(ConnectFailure::Certificate(_)) = visit.result {
                let limit = settings.search.timeouts().connect;
                let _mark = doors.awaited.mark(format!("the certificate of {}", visit.endpoint));
                let look = doors.looking.connect(&visit.endpoint, visit.address);
                let seen = timeout(limit, look).await.ok().and_then(Result::ok);
                let chain = seen.and_then(|seen| Some(seen.facts().tls.as_ref()?.chain.clone()));
                let facts = chain.and_then(|chain| Facts::of(&chain));
                let key = (visit.endpoint.to_string(), visit.address);
                refused.extend(facts.map(|facts| (key, facts)));
            }
        }
        Ok(Self { address: address.clone(), search: settings.search, survey, refused })
    }

    pub fn show(&self, json: bool) -> std::io::Result<()> {
        if json { screen::show_json(&self.story()) } else { self.page().show() }
    }

    fn story(&self) -> Story {
        let outcome = match self.survey.verdict() {
            Ok(visit) => Verdict::connected(&visit.endpoint),
            Err(kind) => Verdict::failed(kind.endpoint(), &*kind),
        };
        let mut story = Story::of(&self.survey.trace, outcome);
        let spare = self.survey.visits.iter().filter(|visit| visit.spare);
        story.connects.extend(spare.map(|visit| {
            let result = visit.result.as_ref().map(|_| ());
            Connect::new(&visit.endpoint, visit.address.ip(), visit.at, result)
        }));
        story
    }

    fn page(&self) -> Page {
        let mut page = Page::new();
        let (address, story) = (&self.address, self.story());
        page.paragraph(LOUD, 0, &format!("{address} begins at {}.", address.domain()));
        tell::rules(&mut page, &self.search);
        if !story.lookups.is_empty() {
            page.title("Lookups");
            // What was asked again is shown once, with its answer.
            let again = |at: usize, lookup: &Lookup| {
                let rest = story.lookups.iter().skip(at.saturating_add(1));
                rest.clone().any(|other| (other.kind, &other.name) == (lookup.kind, &lookup.name))
            };
            let last = story.lookups.iter().enumerate().filter(|(at, lookup)| !again(*at, lookup));
            let rows = last.map(|(_, lookup)| {
                let (style, answer) = match &lookup.answer {
                    Said::Records(records) => (PLAIN, records.join(", ")),
                    Said::Word(word) if ["nxdomain", "nodata"].contains(&word.as_str()) => {
                        (PLAIN, word.clone())
                    }
                    Said::Word(word) => (BAD, word.clone()),
                };
                (style, vec![lookup.kind.to_owned(), lookup.name.clone(), answer])
            });
            page.table(2, &rows.collect::<Vec<_>>());
        }
        if !story.refusals.is_empty() {
            page.title("Names that DNS gave and the rule refuses");
            let rows = story.refusals.iter().map(|r| (BAD, vec![r.host.clone(), r.reason.clone()]));
            page.table(2, &rows.collect::<Vec<_>>());
        }
        if !self.survey.visits.is_empty() {
            page.title("Servers");
            let visits = &self.survey.visits;
            let first = |visit: &&Visit| visits.iter().position(|v| v.endpoint == visit.endpoint);
            let mut ordered: Vec<&Visit> = visits.iter().collect();
            ordered.sort_by_key(first);
            ordered.into_iter().for_each(|visit| self.server(&mut page, visit));
        }
        let problems = self.survey.problems();
        if !problems.is_empty() {
            page.title(&format!("Problems: {}", problems.len()));
            for (at, problem) in problems.iter().enumerate() {
                if at > 0 {
                    page.blank();
                }
                self.problem(&mut page, problem);
            }
        }
        page.title("Verdict");
        match self.survey.verdict() {
            Ok(visit) => {
                let text = format!("{address} would sign in at {}.", visit.endpoint);
                page.item("  good", GOOD, 8, PLAIN, &text);
            }
            Err(kind) => {
                let text = format!("Nobody can sign in as {address}: {kind}.");
                page.item("  bad", BAD, 8, PLAIN, &text);
            }
        }
        page
    }

    fn server(&self, page: &mut Page, visit: &Visit) {
        const HANG: usize = 8;
        let Visit { endpoint, address, result, .. } = visit;
        let (word, style) = if visit.is_good() { ("good", GOOD) } else { ("bad", BAD) };
        let text = format!("{endpoint}  {}", address.ip());
        page.item(&format!("  {word}"), style, HANG, LOUD, &text);
        let say = |page: &mut Page, head: &str, style, text: &str| {
            page.item(&format!("{:HANG$}{head}", ""), PLAIN, HANG + 13, style, text);
        };
        let visited = match result {
            Ok(visited) => visited,
            Err(failure) => {
                say(page, "connect", BAD, &failure.to_string());
                if let Some(facts) = self.refused.get(&(endpoint.to_string(), *address)) {
                    facts.tell(page, HANG);
                }
                return;
            }
        };
        match &visited.facts.tls {
            Some(tls) => {
                say(page, "secured by", PLAIN, &format!("{}, {}", tls.version, tls.cipher_suite));
                if let Some(facts) = Facts::of(&tls.chain) {
                    facts.tell(page, HANG);
                }
            }
            None => say(page, "secured by", BAD, "nothing: clear text"),
        }
        match &visited.challenges {
            Ok(challenges) => {
                let offers: Vec<String> = challenges.iter().map(offer).collect();
                say(page, "asks for", PLAIN, &offers.join(", "));
            }
            Err(kind) => say(page, "answers", BAD, &kind.to_string()),
        }
        match &visited.compresses {
            Some(Ok(())) => say(page, "compresses", PLAIN, "yes, where it is asked to"),
            Some(Err(why)) => say(page, "compresses", PLAIN, &format!("no: {why}")),
            None => {}
        }
    }

    fn problem(&self, page: &mut Page, problem: &SignInFailureKind) {
        let mut what = problem.to_string();
        // An endpoint may have many addresses; the dead ones are named.
        if let Some(endpoint) = problem.endpoint() {
            let (mut bad, mut good) = (Vec::new(), false);
            for visit in self.survey.visits.iter().filter(|v| v.endpoint == *endpoint) {
                good |= visit.is_good();
                if !visit.is_good() {
                    bad.push(visit.address.ip().to_string());
                }
            }
            if good && !bad.is_empty() {
                what.push_str(&format!(" (at {}; its other addresses are well)", bad.join(", ")));
            }
        }
        tell::problem(page, what, problem.fault(), problem.advice());
    }
}

/// A proof that a server asks for: `NTLM version 4 for sip/pool01.contoso.com`.
fn offer(challenge: &Challenge) -> String {
    let mut text = challenge.scheme().to_string();
    if let Scheme::Kerberos | Scheme::Ntlm | Scheme::TlsDsk = challenge.scheme() {
        text.push_str(&format!(" version {}", challenge.version()));
    }
    if let Some(target) = challenge.target_name() {
        text.push_str(&format!(" for {}", WireText::new(target)));
    }
    text
}
