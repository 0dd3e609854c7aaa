//! `explain`: what a search would do, as a table, and as a story in a world that is written down.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use sip_signin::SipAddress;
use sip_signin::discovery::{ClearText, Protocol, Row, Search, Seed};

use crate::complaint::{Complaint, End, Outcome};
use crate::input;
use crate::play::play;
use crate::screen::{self, BAD, GOOD, LOUD, PLAIN, Page, QUIET};
use crate::settings::SearchOptions;
use crate::story::{Story, Verdict};
use crate::tell;
use crate::world::World;
use crate::zone::Zone;

/// Show how the server of an address would be searched for, without asking anybody.
///
/// Without --world and --zone: the search as a table; what is asked, in which order, and what each
/// answer would mean.
///
/// With --world: plays the whole search, in virtual time, against a deployment that a TOML file
/// describes. With --zone: takes the records from a zone file, to see what clients would do if it
/// were published; every server in it answers, unless a world file says otherwise.
///
/// Ends with 0, or with 1 if the search that was played finds no server.
#[derive(Args, Debug)]
#[command(after_help = "A world file:
  [srv]             # a list of \"priority weight port target\", or nxdomain,
                    # nodata, servfail, timeout, refused, malformed, unreachable;
                    # names that are not listed: nxdomain
  \"_sipinternaltls._tcp.contoso.com\" = [\"0 0 5061 sip.contoso.com\"]
  \"_sip._tls.contoso.com\" = \"servfail\"
  [host]            # addresses, or one of these words
  \"sip.contoso.com\" = [\"192.0.2.1\", \"2001:db8::1\"]
  [connect]         # by host or by address: ok, refused, timeout, unreachable,
                    # certificate_expired, certificate_name_mismatch, ...
  \"tls sip.contoso.com:5061\" = \"ok\"
  default = \"refused\"
  [delay]           # milliseconds, by the same keys
  \"tls sip.contoso.com:5061\" = 120

Examples:
  sip-signin explain jeremy@contoso.com
  sip-signin explain jeremy@contoso.com --order skype-for-business --names strict
  sip-signin explain jeremy@contoso.com --zone db.contoso.com --world servers.toml")]
pub struct Options {
    /// The sign-in address, sip:user@domain or user@domain
    #[arg(value_name = "ADDRESS")]
    address: SipAddress,
    /// Play the search in the deployment that this file describes
    #[arg(long, value_name = "FILE")]
    world: Option<PathBuf>,
    /// Take the DNS records from this zone file
    #[arg(long, value_name = "FILE")]
    zone: Option<PathBuf>,
    #[command(flatten)]
    search: SearchOptions,
}

pub fn run(options: &Options, json: bool) -> Outcome {
    let settings = options.search.settings()?;
    let address = &options.address;
    if options.world.is_none() && options.zone.is_none() {
        if json {
            screen::show_json(&Table::of(address, &settings.search))?;
        } else {
            table(address, &settings.search).show()?;
        }
        return Ok(End::Yes);
    }
    let world = world(options)?;
    let played = play(address, &settings.search, settings.seed.unwrap_or(Seed(0)), &world);
    let outcome = match &played.connected {
        Some(endpoint) => Verdict::connected(endpoint),
        None => {
            let cause = played.trace.cause();
            Verdict::failed(cause.endpoint(), &cause)
        }
    };
    if json {
        screen::show_json(&Story::of(&played.trace, outcome))?;
    } else {
        let mut page = Page::new();
        tell::trace(&mut page, &played.trace);
        page.blank();
        match &played.connected {
            Some(endpoint) => {
                let text = format!("{address} would sign in at {endpoint}.");
                page.item("connected", GOOD, 11, PLAIN, &text);
            }
            None => {
                let cause = played.trace.cause();
                let text = format!("Nobody could sign in as {address}.");
                page.item("failed", BAD, 11, PLAIN, &text);
                tell::problem(&mut page, &cause, cause.fault(), cause.advice());
            }
        }
        page.show()?;
    }
    Ok(End::when(played.connected.is_some()))
}

fn world(options: &Options) -> Result<World, Complaint> {
    let zone = match &options.zone {
        Some(path) => Some(Zone::read(path, &input::text(path)?, options.address.domain())?),
        None => None,
    };
    match &options.world {
        Some(path) => World::read(path, &input::text(path)?, zone),
        None => Ok(World::new(zone)),
    }
}

/// The JSON of `explain` without a world.
#[derive(Serialize)]
struct Table {
    address: String,
    domain: String,
    order: Option<String>,
    rows: Vec<Asked>,
}

/// One line of the search.
#[derive(Serialize)]
struct Asked {
    kind: &'static str,
    protocol: String,
    name: String,
    port: Option<u16>,
    /// Whether it is done at all.
    used: bool,
    means: String,
}

impl Table {
    fn of(address: &SipAddress, search: &Search) -> Self {
        let domain = address.domain();
        let clear = search.clear_text() == ClearText::Allow;
        let rows = match (search.order(), search.manual()) {
            (Some(order), _) => {
                order.rows().iter().map(|row| Asked::of(row, domain, clear)).collect()
            }
            (None, Some(servers)) => {
                let both = [(&servers.internal, INTERNAL), (&servers.external, EXTERNAL)];
                let both = both.into_iter().filter_map(|(server, m)| Some((server.as_ref()?, m)));
                both.map(|(server, means)| Asked {
                    kind: "server",
                    protocol: servers.protocol.to_string(),
                    name: server.host.to_string(),
                    port: Some(server.port.unwrap_or(servers.protocol.default_port())),
                    used: true,
                    means: means.into(),
                })
                .collect()
            }
            (None, None) => Vec::new(),
        };
        Self {
            address: address.to_string(),
            domain: domain.to_string(),
            order: search.order().map(|order| order.name().to_owned()),
            rows,
        }
    }
}

const INTERNAL: &str = "the internal server, set by hand: tried first";
const EXTERNAL: &str = "the external server, set by hand: tried when the internal one failed";

impl Asked {
    fn of(row: &Row, domain: &sip_signin::HostName, clear: bool) -> Self {
        let used = row.protocol() == Protocol::Tls || clear;
        let (kind, name, port, means) = match row {
            Row::Srv { service, .. } => {
                ("srv", format!("{service}.{domain}"), None, sense_of_service(service))
            }
            Row::Host { label, port, .. } => {
                ("host", format!("{label}.{domain}"), Some(*port), sense_of_label(label))
            }
        };
        let means = if used { means } else { "left out: clear text is not allowed" };
        Self { kind, protocol: row.protocol().to_string(), name, port, used, means: means.into() }
    }
}

fn sense_of_service(service: &str) -> &'static str {
    match service {
        "_sipinternaltls._tcp" => "servers inside, over TLS",
        "_sipinternal._tcp" => "servers inside, in clear text",
        "_sip._tls" => "the Edge outside, over TLS",
        "_sip._tcp" => "a server outside, in clear text",
        _ => "servers",
    }
}

fn sense_of_label(label: &str) -> &'static str {
    match label {
        "sipinternal" => "a server inside, by its usual name",
        "sipexternal" => "the Edge, by its usual name",
        "sip" => "a server, by its usual name",
        _ => "a server",
    }
}

fn table(address: &SipAddress, search: &Search) -> Page {
    let table = Table::of(address, search);
    let mut page = Page::new();
    page.paragraph(LOUD, 0, &format!("{address} begins at {}.", table.domain));
    tell::rules(&mut page, search);
    if let Some(last) = search.last() {
        let first = format!(
            "First {last}, if the rules still admit it; and nothing is asked unless it fails or dawdles."
        );
        page.paragraph(PLAIN, 0, &first);
    }
    let row = |at: usize, asked: &Asked| {
        let place = if asked.used { format!("{at}.") } else { "-".into() };
        let name = match asked.port {
            Some(port) => format!("{}:{port}", asked.name),
            None => asked.name.clone(),
        };
        let style = if asked.used { PLAIN } else { QUIET };
        (style, vec![place, asked.protocol.clone(), name, asked.means.clone()])
    };
    let of = |kinds: &[&str], first: usize| {
        let mut at = first;
        let rows = table.rows.iter().filter(|asked| kinds.contains(&asked.kind));
        let rows = rows.map(|asked| {
            at = at.saturating_add(usize::from(asked.used));
            row(at, asked)
        });
        rows.collect::<Vec<_>>()
    };
    let (by_hand, asked, guessed) = (of(&["server"], 0), of(&["srv"], 0), of(&["host"], 0));
    if !by_hand.is_empty() {
        page.title("Servers set by hand; no SRV question, no name rule");
        page.table(2, &by_hand);
        return page;
    }
    page.title("SRV records, all asked for at once, used in this order");
    page.table(2, &asked);
    page.title("Host names, only if every SRV record is proved absent");
    page.table(2, &guessed);
    page.title("What an answer means");
    for (answer, means) in [
        (
            "records",
            "each target must pass the name rule; it is dialled by priority and weight, every TLS server before any in clear text",
        ),
        ("absent", "nothing is published there; if all are absent, the host names are tried"),
        ("failed", "servfail, a time-out, a refusal: nothing is known, so no host name is tried"),
        (".", "the service is decidedly not offered there"),
    ] {
        page.item(&format!("  {answer}"), PLAIN, 12, PLAIN, means);
    }
    page
}
