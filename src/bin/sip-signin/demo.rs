//! `demo`: a deployment on loopback, signed in to and narrated; and everything that can go wrong.

use std::time::Duration;

use clap::Args;
use sip_signin::auth::Credentials;
use sip_signin::discovery::Search;
use sip_signin::lab::{Lab, Server};
use sip_signin::{
    CredentialSource, FixedCredentials, NoCredentials, Random, RandomError, SipAddress,
};

use crate::check::Checked;
use crate::complaint::{Complaint, End, Outcome};
use crate::doors::Doors;
use crate::report::{Report, tell_failure, tell_signed_in};
use crate::scenario::{ACCOUNT, ADDRESS, Deed, PASSWORD, Scenario};
use crate::screen::{self, GOOD, LOUD, PLAIN, Page};
use crate::settings::{Settings, seconds};
use crate::watch::{Awaited, live};

/// Sign in to a deployment that runs on this machine alone, and tell the story.
///
/// Without options: a Director that everybody finds, and the pool where the user is at home; real
/// DNS packets, real TLS, real NTLM, all on the loopback interface. With --fault: the same with
/// something wrong, to see what each failure looks like. With --check: what `check` says of it.
///
/// Ends with 0 if the user is signed in (or the check is good), else with 1.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  sip-signin demo
  sip-signin demo --list
  sip-signin demo --fault certificate-expired
  sip-signin demo --fault name-refused --check")]
pub struct Options {
    /// What is to go wrong; --list names everything
    #[arg(long, value_name = "NAME", conflicts_with = "list")]
    fault: Option<String>,
    /// List everything that can go wrong
    #[arg(long)]
    list: bool,
    /// Check instead of signing in
    #[arg(long)]
    check: bool,
    /// Give up after so many seconds
    #[arg(long, value_name = "S", value_parser = seconds, default_value = "4")]
    timeout: Duration,
}

pub fn run(options: &Options, json: bool) -> Outcome {
    if options.list {
        list(json)?;
        return Ok(End::Yes);
    }
    let scenario = match &options.fault {
        None => None,
        Some(name) => Some(Scenario::named(name).ok_or_else(|| {
            let what = format!("there is no fault `{}`", name.escape_debug());
            Complaint::input(what, "`sip-signin demo --list` names them all")
        })?),
    };
    let address: SipAddress = ADDRESS.parse().map_err(|e| Complaint::machine(e, "report this"))?;
    let awaited = Awaited::default();
    live(&awaited, async {
        let builder = scenario.as_ref().map_or_else(good, Scenario::lab);
        let lab = builder.start().await.map_err(|error| {
            Complaint::machine(
                format!("the deployment does not start: {error}"),
                "see to its ports",
            )
        })?;
        let settings = settings(options.timeout);
        let doors = Doors::of_lab(&lab, &settings, &awaited)?;
        if !json {
            narrate(scenario.as_ref()).show()?;
        }
        if options.check {
            let checked = Checked::of(&address, settings, &doors).await?;
            if json {
                let report = match checked.survey.verdict() {
                    Ok(visit) => Report::good(&address, "check", &visit.endpoint),
                    Err(kind) => Report::bad(&address, "check", &kind),
                };
                screen::show_json(&report)?;
            } else {
                checked.show(false)?;
            }
            return Ok(End::when(checked.survey.verdict().is_ok()));
        }
        let deed = scenario.as_ref().map_or(Deed::SignIn, |scenario| scenario.deed);
        perform(deed, &address, &settings, &doors, json).await
    })
}

/// A Director that everybody finds, and the pool where the user is at home.
fn good() -> sip_signin::lab::LabBuilder {
    Lab::builder()
        .internal(Server::tls("sip.contoso.com").home(["pool01.contoso.com"]))
        .server(Server::tls("pool01.contoso.com"))
        .account(ACCOUNT, PASSWORD, ADDRESS)
}

fn settings(limit: Duration) -> Settings {
    let mut timeouts = Search::default().timeouts();
    timeouts.lookup = timeouts.lookup.min(limit);
    timeouts.connect = timeouts.connect.min(limit);
    timeouts.search = timeouts.search.min(limit.saturating_mul(2));
    let search = Search::builder().timeouts(timeouts).build().unwrap_or_default();
    Settings {
        search,
        seed: None,
        dns: Vec::new(),
        ca: None,
        timeout: Some(limit),
        paced: false,
        current_user: false,
    }
}

async fn perform(
    deed: Deed,
    address: &SipAddress,
    settings: &Settings,
    doors: &Doors,
    json: bool,
) -> Outcome {
    let mut client = doors.client(settings);
    if deed == Deed::NoRandom {
        client = client.random(NoChance);
    }
    if deed == Deed::BadName {
        client = client.user_agent("\u{7}");
    }
    let client = client.build();
    let mut page = Page::new();
    let report = if deed == Deed::Challenge {
        match client.challenge(address).await {
            Ok(challenged) => Report::good(address, "challenge", &challenged.endpoint),
            Err(failure) => {
                tell_failure(&mut page, address, &failure);
                Report::failed(address, "challenge", &failure)
            }
        }
    } else {
        let _mark = doors.awaited.mark_vaguely("the answer of a server");
        let source = source(deed)?;
        match client.sign_in(address, &*source).await {
            Ok(signed_in) => {
                tell_signed_in(&mut page, address, &signed_in);
                Report::signed_in(address, &signed_in)
            }
            Err(failure) => {
                tell_failure(&mut page, address, &failure);
                Report::failed(address, "sign-in", &failure)
            }
        }
    };
    if json {
        screen::show_json(&report)?;
    } else {
        page.show()?;
    }
    Ok(End::when(report.good))
}

fn source(deed: Deed) -> Result<Box<dyn CredentialSource>, Complaint> {
    let password = match deed {
        Deed::NoPassword => return Ok(Box::new(NoCredentials)),
        Deed::WrongPassword => "not this one",
        _ => PASSWORD,
    };
    let account = ACCOUNT.parse().map_err(|error| Complaint::machine(error, "report this"))?;
    Ok(Box::new(FixedCredentials::new(Credentials::new(account, password))))
}

/// A machine without chance.
#[derive(Debug)]
struct NoChance;

impl Random for NoChance {
    fn fill(&self, _: &mut [u8]) -> Result<(), RandomError> {
        Err(RandomError)
    }
}

fn narrate(scenario: Option<&Scenario>) -> Page {
    let mut page = Page::new();
    let text = match scenario {
        None => "A Director and a pool of contoso.com run on loopback; jeremy signs in.".into(),
        Some(scenario) => format!("{}: {}.", scenario.name, scenario.what),
    };
    page.paragraph(LOUD, 0, &text);
    page.blank();
    page
}

#[derive(serde::Serialize)]
struct Listed<'a> {
    name: &'a str,
    what: &'a str,
    failure: Option<&'a str>,
    check: Option<&'a str>,
}

fn list(json: bool) -> std::io::Result<()> {
    let all = Scenario::all();
    if json {
        let listed = all.iter().map(|scenario| Listed {
            name: &scenario.name,
            what: scenario.what,
            failure: scenario.failure,
            check: scenario.check,
        });
        return screen::show_json(&listed.collect::<Vec<_>>());
    }
    let mut page = Page::new();
    let rows = all.iter().map(|scenario| {
        let (style, failure) = match scenario.failure {
            Some(failure) => (PLAIN, failure),
            None => (GOOD, "clients cope"),
        };
        (style, vec![scenario.name.clone(), failure.to_owned(), scenario.what.to_owned()])
    });
    let mut table = vec![(LOUD, ["name", "failure", "what is wrong"].map(str::to_owned).to_vec())];
    table.extend(rows);
    page.table(0, &table);
    page.show()
}
