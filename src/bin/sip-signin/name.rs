//! `name`: what the name rule says of a host.

use clap::Args;
use serde::Serialize;
use sip_signin::HostName;

use crate::complaint::{Complaint, End, Outcome};
use crate::screen::{self, BAD, GOOD, PLAIN, Page};
use crate::{input, settings};

/// Say whether a server that DNS names may serve the users of a domain, and why.
///
/// The sign-in address is all that a client is given, and whoever answers its DNS questions can
/// name any host. So a host that DNS named is trusted only if its name is tied to the user's domain.
///
/// Ends with 0 if every host is admitted, else with 1.
#[derive(Args, Debug)]
#[command(after_help = "The rules, for a user of contoso.com:
  strict         contoso.com and sip.contoso.com (EnableStrictDNSNaming)
  relaxed        contoso.com and exactly one label in front of it
  any-subdomain  contoso.com and any number of labels in front of it

Examples:
  sip-signin name --domain contoso.com sip.contoso.com sip.eng.contoso.com
  sip-signin name --domain contoso.com --names strict --json pool01.contoso.com
  echo '\"sip.contoso.net\"' | sip-signin name --domain contoso.com")]
pub struct Options {
    /// The domain of the sign-in address
    #[arg(long, value_name = "DOMAIN", value_parser = HostName::from_typed)]
    domain: HostName,
    /// How close the name must be
    #[arg(long, value_name = "RULE", default_value = "relaxed", value_parser = ["strict", "relaxed", "any-subdomain"])]
    names: String,
    /// Trust servers of this domain too, at any depth (may be given several times)
    #[arg(long, value_name = "DOMAIN", value_parser = HostName::from_typed)]
    trust: Vec<HostName>,
    /// The hosts; without any, one JSON string per line is read from standard input, and answered
    /// with one JSON object per line
    #[arg(value_name = "HOST")]
    hosts: Vec<String>,
}

#[derive(Serialize)]
struct Verdict<'a> {
    host: &'a str,
    verdict: &'static str,
    reason: String,
}

pub fn run(options: &Options, json: bool) -> Outcome {
    let rule = settings::rule(&options.names, &options.trust);
    let rule =
        rule.ok_or_else(|| Complaint::input("no such rule", "see `sip-signin help name`"))?;
    let judge = |host: &str| {
        let (verdict, reason) = match HostName::from_typed(host) {
            Err(error) => ("invalid", error.kind.to_string()),
            Ok(name) => match rule.tie(&name, &options.domain) {
                Ok(tie) => ("admitted", tie.to_string()),
                Err(refusal) => ("refused", refusal.to_string()),
            },
        };
        (verdict, reason)
    };
    let mut good = true;
    if options.hosts.is_empty() {
        input::each_line(|host| {
            let (verdict, reason) = judge(&host);
            good &= verdict == "admitted";
            screen::show_json_line(&Verdict { host: &host, verdict, reason })
        })?;
        return Ok(End::when(good));
    }
    let mut rows = Vec::new();
    for host in &options.hosts {
        let (verdict, reason) = judge(host);
        good &= verdict == "admitted";
        if json {
            screen::show_json_line(&Verdict { host, verdict, reason })?;
        } else {
            let style = if verdict == "admitted" { GOOD } else { BAD };
            let shown = sip_signin::WireText::new(host).to_string();
            rows.push((style, verdict.to_owned(), shown, reason));
        }
    }
    let mut page = Page::new();
    let widest = rows.iter().map(|(_, _, host, _)| host.chars().count()).max().unwrap_or_default();
    for (style, verdict, host, reason) in rows {
        let text = format!("{host:<width$}  {reason}", width = widest.min(36));
        page.item(&verdict, style, 10, PLAIN, &text);
    }
    page.show()?;
    Ok(End::when(good))
}
