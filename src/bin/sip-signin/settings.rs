//! How to search, from the command line and a policy file: the former has the last word.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde::Deserialize;
use sip_signin::discovery::{
    ClearText, LastServer, ManualServer, ManualServers, Pace, Protocol, Search, SearchOrder, Seed,
    Timeouts,
};
use sip_signin::{HostName, HostNamePolicy};

use crate::complaint::Complaint;
use crate::input;

/// How to search, and whom to ask.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "How to search")]
pub struct SearchOptions {
    /// Which client's search order to follow [default: communicator]
    #[arg(long, value_name = "ORDER", value_parser = orders())]
    order: Option<String>,
    /// Allow clear text over TCP, after every TLS server failed without a trace of TLS
    #[arg(long)]
    allow_tcp: bool,
    /// How close the name of a server must be to the domain of the address [default: relaxed]
    #[arg(long, value_name = "RULE", value_parser = ["strict", "relaxed", "any-subdomain"])]
    names: Option<String>,
    /// Trust servers of this domain too, at any depth (may be given several times)
    #[arg(long, value_name = "DOMAIN", value_parser = HostName::from_typed)]
    trust: Vec<HostName>,
    /// Do not search: use this server (ServerAddressInternal)
    #[arg(long, value_name = "HOST[:PORT]")]
    internal: Option<ManualServer>,
    /// Do not search: use this server, after the internal one failed (ServerAddressExternal)
    #[arg(long, value_name = "HOST[:PORT]")]
    external: Option<ManualServer>,
    /// How the servers given by hand are spoken to [default: tls]
    #[arg(long, value_name = "PROTOCOL", value_parser = ["tls", "tcp"])]
    transport: Option<String>,
    /// How soon the next server is tried beside one that has not answered [default: default; in
    /// `check`, one-at-a-time]
    #[arg(long, value_name = "PACE", value_parser = ["default", "eager", "one-at-a-time"])]
    pace: Option<String>,
    /// Try the host names also when SRV lookups failed, not only when the records are absent
    #[arg(long)]
    hosts_after_failed_lookups: bool,
    /// Try the best SRV record and no other, one server at a time, as Microsoft documents its client
    #[arg(long)]
    first_record_only: bool,
    /// Try this server first, which let the user in before, as `host:port address`
    #[arg(long, value_name = "SERVER")]
    last: Option<LastServer>,
    /// The seed of the draws among servers of one priority, so that a search can be run again
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Ask this DNS server instead of the system's (may be given several times); `explain` asks
    /// nobody
    #[arg(long, value_name = "ADDR", value_parser = dns_server)]
    dns: Vec<SocketAddr>,
    /// Trust the certificates in this PEM file, instead of the system's
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Give up after so many seconds: the search as a whole, and each answer [default: 30]
    #[arg(long, value_name = "S", value_parser = seconds)]
    timeout: Option<Duration>,
    /// Read these settings, under the names of the group policies, from a TOML file
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
}

/// Everything that a policy file may say; `docs/tool.md` has the table.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Policy {
    #[serde(rename = "ConfigurationMode")]
    configuration_mode: Option<Switch>,
    #[serde(rename = "ServerAddressInternal")]
    internal: Option<String>,
    #[serde(rename = "ServerAddressExternal")]
    external: Option<String>,
    #[serde(rename = "Transport")]
    transport: Option<TransportValue>,
    #[serde(rename = "EnableStrictDNSNaming")]
    strict: Option<Switch>,
    #[serde(rename = "DisableStrictDNSNaming")]
    not_strict: Option<Switch>,
    #[serde(rename = "EnableSIPHighSecurityMode")]
    high_security: Option<Switch>,
    #[serde(rename = "TrustModelData")]
    trust: Option<Domains>,
    #[serde(rename = "DisableNTCredentials")]
    no_current_user: Option<Switch>,
    order: Option<String>,
    #[serde(rename = "allow-tcp")]
    allow_tcp: Option<bool>,
    names: Option<String>,
    pace: Option<String>,
    #[serde(rename = "hosts-after-failed-lookups")]
    hosts_after_failed_lookups: Option<bool>,
    #[serde(rename = "first-record-only")]
    first_record_only: Option<bool>,
    seed: Option<u64>,
    dns: Option<Vec<String>>,
    ca: Option<PathBuf>,
    timeout: Option<f64>,
}

/// A registry value of one bit: `true`, `false`, 1 or 0.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged, expecting = "true, false, 1 or 0")]
enum Switch {
    Bool(bool),
    Number(u8),
}

impl Switch {
    fn on(self) -> Result<bool, String> {
        match self {
            Self::Bool(on) => Ok(on),
            Self::Number(0) => Ok(false),
            Self::Number(1) => Ok(true),
            Self::Number(other) => Err(format!("{other} is neither 1 (on) nor 0 (off)")),
        }
    }
}

/// `"TLS"`, `"TCP"`, or the numbers of the registry.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "\"TLS\", \"TCP\", 4 (TLS) or 2 (TCP)")]
enum TransportValue {
    Number(u8),
    Word(String),
}

/// `"a.example, b.example"` as the registry has it, or a list.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "domains, as one text with commas or as a list")]
enum Domains {
    One(String),
    List(Vec<String>),
}

/// What the command line and the policy file say together.
#[derive(Clone, Debug)]
pub struct Settings {
    pub search: Search,
    pub seed: Option<Seed>,
    pub dns: Vec<SocketAddr>,
    pub ca: Option<PathBuf>,
    pub timeout: Option<Duration>,
    /// Whether somebody chose the pace.
    pub paced: bool,
    /// Whether the user who is logged on may be signed in (`DisableNTCredentials` forbids it).
    pub current_user: bool,
}

impl SearchOptions {
    /// Puts everything together.
    pub fn settings(&self) -> Result<Settings, Complaint> {
        let policy = match &self.policy {
            None => Policy::default(),
            Some(path) => toml::from_str(&input::text(path)?).map_err(|e| in_policy(path, e))?,
        };
        let path = self.policy.as_deref().unwrap_or(Path::new("the policy file"));
        self.over(policy).map_err(|problem| match problem {
            Problem::Policy(what) => in_policy(path, what),
            Problem::Together(what) => {
                Complaint::input(what, "leave one of the two out; see `sip-signin help`")
            }
        })
    }

    fn over(&self, policy: Policy) -> Result<Settings, Problem> {
        let on = |switch: Option<Switch>| switch.map(Switch::on).transpose();
        let by_hand = self.manual(&policy)?;
        let strict = match (on(policy.strict)?, on(policy.not_strict)?) {
            (Some(one), Some(other)) if one == other => {
                let what = "EnableStrictDNSNaming and DisableStrictDNSNaming contradict each other";
                return Err(Problem::Policy(what.into()));
            }
            (Some(strict), _) => Some(strict),
            (None, not_strict) => not_strict.map(|not| !not),
        };
        let strict = strict.map(|strict| if strict { "strict" } else { "relaxed" });
        if strict.is_some() && policy.names.is_some() {
            let what = "`names` says the same as EnableStrictDNSNaming: keep one of them";
            return Err(Problem::Policy(what.into()));
        }
        let names = self.names.as_deref().or(strict).or(policy.names.as_deref());
        let names = named_rule(names.unwrap_or("relaxed"))?;
        let allow_tcp = self.allow_tcp || policy.allow_tcp.unwrap_or_default();
        if allow_tcp && on(policy.high_security)?.unwrap_or_default() {
            let what = "clear text is allowed, but EnableSIPHighSecurityMode forbids it";
            return Err(Problem::Together(what.into()));
        }
        let trust = match (&self.trust[..], &policy.trust) {
            ([], Some(domains)) => domains.read()?,
            (typed, _) => typed.to_vec(),
        };
        let pace = self.pace.as_ref().or(policy.pace.as_ref());
        let paced = pace.map(|name| Pace::named(name).ok_or_else(|| unknown("pace", name)));
        let timeout = match (self.timeout, policy.timeout) {
            (None, Some(limit)) => Some(seconds(&limit.to_string()).map_err(Problem::Policy)?),
            (limit, _) => limit,
        };
        let mut search = Search::builder()
            .names(names)
            .trust(trust)
            .clear_text(if allow_tcp { ClearText::Allow } else { ClearText::Forbid })
            .hosts_after_failed_lookups(
                self.hosts_after_failed_lookups
                    || policy.hosts_after_failed_lookups.unwrap_or_default(),
            )
            .first_srv_record_only(
                self.first_record_only || policy.first_record_only.unwrap_or_default(),
            )
            .timeouts(within(timeout));
        let paced = paced.transpose()?;
        search = search.pace(paced.unwrap_or_default());
        if let Some(name) = self.order.as_ref().or(policy.order.as_ref()) {
            let order = SearchOrder::preset(name).ok_or_else(|| unknown("search order", name))?;
            search = search.order(order);
        }
        if let Some(servers) = by_hand {
            search = search.manual(servers);
        }
        let search = search.build().map_err(|error| Problem::Together(error.to_string()))?;
        let dns = policy.dns.unwrap_or_default();
        let dns: Result<Vec<_>, _> = dns.iter().map(|server| dns_server(server)).collect();
        let dns = dns.map_err(Problem::Policy)?;
        Ok(Settings {
            search: match &self.last {
                Some(last) => search.remembering(last.clone()),
                None => search,
            },
            seed: self.seed.or(policy.seed).map(Seed),
            dns: if self.dns.is_empty() { dns } else { self.dns.clone() },
            ca: self.ca.clone().or(policy.ca),
            timeout,
            paced: paced.is_some(),
            current_user: !on(policy.no_current_user)?.unwrap_or_default(),
        })
    }

    /// Servers set by hand, unless the policy says that the search is automatic.
    fn manual(&self, policy: &Policy) -> Result<Option<ManualServers>, Problem> {
        let mode = policy.configuration_mode.map(Switch::on).transpose()?;
        let typed = self.internal.is_some() || self.external.is_some();
        let read = |text: &Option<String>| -> Result<Option<ManualServer>, Problem> {
            let text = text.as_ref().filter(|_| mode != Some(false) && !typed);
            text.map(|text| text.parse().map_err(|error| Problem::Policy(format!("{error}"))))
                .transpose()
        };
        let internal = self.internal.clone().or(read(&policy.internal)?);
        let external = self.external.clone().or(read(&policy.external)?);
        if internal.is_none() && external.is_none() {
            if mode == Some(true) {
                let what = "ConfigurationMode is manual, but no server is named";
                return Err(Problem::Policy(what.into()));
            }
            if self.transport.is_some() {
                let what = "--transport is for servers given by hand; there is none";
                return Err(Problem::Together(what.into()));
            }
            return Ok(None);
        }
        let word = match &policy.transport {
            Some(TransportValue::Word(word)) => Some(word.to_ascii_lowercase()),
            Some(TransportValue::Number(4)) => Some("tls".into()),
            Some(TransportValue::Number(2)) => Some("tcp".into()),
            Some(TransportValue::Number(other)) => Some(other.to_string()),
            None => None,
        };
        let protocol = match self.transport.clone().or(word).as_deref() {
            None | Some("tls") => Protocol::Tls,
            Some("tcp") => Protocol::Tcp,
            Some(other) => return Err(Problem::Policy(format!("Transport is not `{other}`"))),
        };
        Ok(Some(ManualServers { internal, external, protocol }))
    }
}

impl Domains {
    fn read(&self) -> Result<Vec<HostName>, Problem> {
        let texts: Vec<&str> = match self {
            Self::One(text) => text.split(',').map(str::trim).collect(),
            Self::List(texts) => texts.iter().map(String::as_str).collect(),
        };
        let texts = texts.into_iter().filter(|text| !text.is_empty());
        let read = |text| HostName::from_typed(text).map_err(|e| Problem::Policy(e.to_string()));
        texts.map(read).collect()
    }
}

/// What is wrong with settings.
enum Problem {
    /// A value of the policy file.
    Policy(String),
    /// Two settings contradict each other.
    Together(String),
}

impl From<String> for Problem {
    fn from(what: String) -> Self {
        Self::Policy(what)
    }
}

fn in_policy(path: &Path, what: impl std::fmt::Display) -> Complaint {
    let what = format!("{}: {what}", path.display());
    Complaint::input(what, "correct the file; docs/tool.md lists every name and its values")
}

fn unknown(what: &str, name: &str) -> Problem {
    Problem::Policy(format!("there is no {what} `{name}`"))
}

fn named_rule(name: &str) -> Result<HostNamePolicy, Problem> {
    match name {
        "strict" => Ok(HostNamePolicy::Strict),
        "relaxed" => Ok(HostNamePolicy::Relaxed),
        "any-subdomain" => Ok(HostNamePolicy::AnySubdomain),
        _ => Err(unknown("naming rule", name)),
    }
}

/// The options of a rule alone, for `name`.
pub fn rule(names: &str, trust: &[HostName]) -> Option<sip_signin::NameRule> {
    let policy = named_rule(names).ok()?;
    Some(sip_signin::NameRule::new(policy).trusting(trust.iter().cloned()))
}

/// The usual bounds, none of them longer than `limit`.
fn within(limit: Option<Duration>) -> Timeouts {
    let Some(limit) = limit else { return Timeouts::DEFAULT };
    Timeouts {
        lookup: Timeouts::DEFAULT.lookup.min(limit),
        connect: Timeouts::DEFAULT.connect.min(limit),
        search: limit,
    }
}

fn orders() -> clap::builder::PossibleValuesParser {
    let names = SearchOrder::PRESETS.into_iter().map(|order| order.name().to_owned());
    clap::builder::PossibleValuesParser::new(names)
}

/// `192.0.2.53`, `192.0.2.53:5353`, `[2001:db8::53]:53`.
fn dns_server(text: &str) -> Result<SocketAddr, String> {
    let bare = text.parse::<IpAddr>().map(|address| SocketAddr::new(address, 53));
    bare.or_else(|_| text.parse())
        .map_err(|_| format!("`{text}` is no IP address, with or without a port"))
}

/// More than nothing, at most an hour.
pub fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|s| Duration::try_from_secs_f64(s).ok());
    let usable = |limit: &Duration| !limit.is_zero() && *limit <= Duration::from_secs(3600);
    seconds.filter(usable).ok_or_else(|| format!("`{text}` is no number of seconds up to 3600"))
}
