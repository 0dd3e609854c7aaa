//! The sign-in articles and the rulings on them as plain loops over a zone, with no notion of time:
//! what a client asks, whom it dials and where it ends if it goes one step at a time.
//!
//! It shares nothing with the library but its plain data types.

use std::collections::BTreeSet;
use std::net::IpAddr;

use sip_signin::discovery::{
    Answer, ConnectFailure, Family, ManualServer, Protocol, Row, SrvRecord, SrvTarget,
};
use sip_signin::{Host, HostName, HostNamePolicy, SrvName};

use super::world::{DOMAIN, Lead, SrvSays, World, host};
use super::zones::Settings;

/// What the oracle foresees.
#[derive(Clone, Debug, Default)]
pub struct Story {
    /// The SRV questions, in order.
    pub questions: Vec<String>,
    /// Hosts that cannot but be asked for, and those that may be.
    pub must_ask: BTreeSet<String>,
    pub may_ask: BTreeSet<String>,
    pub dials: Vec<(Lead, IpAddr)>,
    pub adopted: Vec<Lead>,
    /// The rank of the most telling thing that went wrong.
    pub ranks: BTreeSet<Rank>,
}

/// The ruling on what is said when nothing connected, the most telling first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    Certificate,
    Tls,
    Answer,
    Refused,
    LookupFailed,
    Unreachable,
    Unresolvable,
    Invalid,
    NotOffered,
    NoRecords,
}

/// One server that the search may lead to.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub lead: Lead,
    pub literal: Option<IpAddr>,
    /// Addresses that came with the SRV answer.
    pub additional: Vec<IpAddr>,
    /// Whether the client made the name itself.
    pub built: bool,
}

fn labels(name: &str) -> Vec<&str> {
    name.split('.').collect()
}

/// The name rule, label by label.
pub fn admits(settings: &Settings, name: &str) -> bool {
    let (name, domain) = (labels(name), labels(DOMAIN));
    let below =
        |domain: &[&str]| name.len().checked_sub(domain.len()).filter(|_| name.ends_with(domain));
    let own = match (below(&domain), settings.policy) {
        (Some(0), _) => true,
        (Some(1), HostNamePolicy::Strict) => name[0] == "sip",
        (Some(1), _) => true,
        (Some(_), policy) => policy == HostNamePolicy::AnySubdomain,
        (None, _) => false,
    };
    own || settings.trusted.iter().any(|d| below(&labels(d.as_str())).is_some())
}

/// What an SRV question comes to.
enum Heard {
    Absent,
    Failed,
    Records(Vec<SrvRecord>, Vec<(HostName, IpAddr)>),
}

fn ask(world: &World, service: &str) -> Heard {
    let name = SrvName::new(service.to_string(), &host(DOMAIN)).unwrap();
    let after = world.asked_srv(&name);
    if after.ms.is_none_or(|ms| ms > 5000) {
        return Heard::Failed;
    }
    match after.says {
        SrvSays::Err(_) => Heard::Failed,
        Ok(Answer::Absent(_)) => Heard::Absent,
        Ok(Answer::Found(answer)) if answer.records.is_empty() => Heard::Failed,
        Ok(Answer::Found(answer)) => Heard::Records(in_order(answer.records), answer.additional),
    }
}

/// By priority, then target, then port; only where weights leave nothing to chance.
fn in_order(mut records: Vec<SrvRecord>) -> Vec<SrvRecord> {
    assert!(records.iter().all(|r| r.weight == 0), "the oracle does not draw");
    records.sort_by_key(|r| (r.priority, r.target.clone(), r.port));
    records.dedup();
    records
}

/// The address to dial next: the families in turn, IPv6 first, each address once.
fn next(addresses: &[IpAddr], dialled: &[IpAddr]) -> Option<IpAddr> {
    let fresh: Vec<_> = addresses.iter().copied().filter(|a| !dialled.contains(a)).collect();
    let v4_turn = dialled.last().is_some_and(IpAddr::is_ipv6);
    fresh.iter().copied().find(|a| a.is_ipv4() == v4_turn).or(fresh.first().copied())
}

/// The addresses that DNS has for a host, and whether a failure hides some.
fn resolve(world: &World, name: &str) -> (Vec<IpAddr>, bool) {
    let (mut addresses, mut failed) = (Vec::new(), false);
    for family in [Family::V6, Family::V4] {
        let after = world.asked_host(&host(name), family);
        if after.ms.is_none_or(|ms| ms > 5000) {
            failed = true;
            continue;
        }
        match after.says {
            Ok(Answer::Absent(_)) => {}
            Ok(Answer::Found(found)) => {
                let mut right: Vec<_> =
                    found.into_iter().filter(|a| Family::of(*a) == family).collect();
                failed |= right.is_empty();
                addresses.append(&mut right);
            }
            Err(_) => failed = true,
        }
    }
    (addresses, failed)
}

/// What a dial comes to.
fn dial(world: &World, lead: &Lead, address: IpAddr) -> Result<(), ConnectFailure> {
    let after = world.dialled(lead, address);
    if after.ms.is_none_or(|ms| ms > 8000) {
        return Err(ConnectFailure::TimedOut);
    }
    after.says
}

/// Every candidate of the whole search, the best first, each once.
pub fn candidates(settings: &Settings, world: &World, story: &mut Story) -> Vec<Candidate> {
    let mut all = match &settings.manual {
        Some(_) => by_hand(settings),
        None => by_discovery(settings, world, story),
    };
    // Every TLS candidate before the first in clear text; else list order.
    all.sort_by_key(|c| c.lead.protocol);
    let mut seen = BTreeSet::new();
    all.retain(|c| seen.insert(c.lead.clone()));
    all
}

fn by_hand(settings: &Settings) -> Vec<Candidate> {
    let servers = settings.manual.as_ref().unwrap();
    let mut all = Vec::new();
    for ManualServer { host, port } in [&servers.internal, &servers.external].into_iter().flatten()
    {
        let protocol = servers.protocol;
        let usual = if protocol == Protocol::Tls { 5061 } else { 5060 };
        let literal = match host {
            Host::Ip(address) => Some(*address),
            Host::Name(_) => None,
        };
        let lead = Lead { protocol, host: host.to_string(), port: port.unwrap_or(usual) };
        all.push(Candidate { lead, literal, additional: Vec::new(), built: false });
    }
    all
}

fn by_discovery(settings: &Settings, world: &World, story: &mut Story) -> Vec<Candidate> {
    let mut all = Vec::new();
    let (mut every_absent, mut none_found) = (true, true);
    for row in settings.order.rows() {
        let Row::Srv { service, protocol } = row else { continue };
        if *protocol == Protocol::Tcp && !settings.tcp() {
            continue;
        }
        let question = format!("{service}.{DOMAIN}");
        if !story.questions.contains(&question) {
            story.questions.push(question);
        }
        match ask(world, service) {
            Heard::Absent => {}
            Heard::Failed => {
                every_absent = false;
                story.ranks.insert(Rank::LookupFailed);
            }
            Heard::Records(records, additional) => {
                (every_absent, none_found) = (false, false);
                for record in records {
                    all.extend(judge(settings, *protocol, &record, &additional, story));
                }
            }
        }
    }
    // A search that tries one record only may still ask for the hosts of the others.
    story.may_ask.extend(all.iter().map(|c| c.lead.host.clone()));
    if settings.first_only {
        all.sort_by_key(|c| c.lead.protocol);
        all.truncate(1);
    }
    let forgiving = settings.hosts_after_failed && none_found;
    if every_absent || forgiving {
        for row in settings.order.rows() {
            let Row::Host { label, protocol, port } = row else { continue };
            let tls = *protocol == Protocol::Tls;
            if tls || (every_absent && settings.tcp()) {
                let host = format!("{label}.{DOMAIN}");
                let lead = Lead { protocol: *protocol, host, port: *port };
                all.push(Candidate { lead, literal: None, additional: Vec::new(), built: true });
            }
        }
    }
    all
}

/// Whether a record leads anywhere.
fn judge(
    settings: &Settings,
    protocol: Protocol,
    record: &SrvRecord,
    additional: &[(HostName, IpAddr)],
    story: &mut Story,
) -> Option<Candidate> {
    let name = match &record.target {
        SrvTarget::NotOffered => {
            story.ranks.insert(Rank::NotOffered);
            return None;
        }
        SrvTarget::Invalid(_) => {
            story.ranks.insert(Rank::Invalid);
            return None;
        }
        SrvTarget::Host(name) => name,
    };
    if record.port == 0 {
        story.ranks.insert(Rank::Invalid);
        return None;
    }
    if !admits(settings, name.as_str()) {
        story.ranks.insert(Rank::Refused);
        return None;
    }
    let own = additional.iter().filter(|(owner, _)| owner == name).map(|(_, a)| *a).collect();
    let lead = Lead { protocol, host: name.as_str().into(), port: record.port };
    Some(Candidate { lead, literal: None, additional: own, built: false })
}

/// The whole story of a sign-in, one step at a time.
pub fn sign_in(settings: &Settings, world: &World) -> Story {
    let mut story = Story::default();
    story.ranks.insert(Rank::NoRecords);
    let candidates = candidates(settings, world, &mut story);
    for candidate in &candidates {
        if candidate.literal.is_none() {
            story.may_ask.insert(candidate.lead.host.clone());
        }
    }
    let (mut useless, mut clear_text) = (world.useless, true);
    for candidate in candidates {
        let lead = &candidate.lead;
        if lead.protocol == Protocol::Tcp && !clear_text {
            continue;
        }
        let mut dialled = Vec::new();
        let mut addresses = candidate.additional.clone();
        addresses.extend(candidate.literal);
        let mut asked = candidate.literal.is_some();
        let connected = loop {
            let mut connected = false;
            while let Some(address) = next(&addresses, &dialled) {
                dialled.push(address);
                story.dials.push((lead.clone(), address));
                let tls = lead.protocol == Protocol::Tls;
                match dial(world, lead, address) {
                    Ok(()) => {
                        clear_text &= !tls;
                        connected = true;
                        break;
                    }
                    Err(failure) => clear_text &= !(tells(&failure, &mut story.ranks) && tls),
                }
            }
            if connected || asked {
                break connected;
            }
            asked = true;
            story.must_ask.insert(lead.host.clone());
            let (found, failed) = resolve(world, &lead.host);
            if found.is_empty() && failed {
                story.ranks.insert(Rank::LookupFailed);
            } else if found.is_empty() && !candidate.built {
                story.ranks.insert(Rank::Unresolvable);
            }
            addresses = found;
        };
        if connected {
            story.adopted.push(lead.clone());
            story.ranks.insert(Rank::Answer);
            if useless == 0 {
                return story;
            }
            useless -= 1;
        }
    }
    story
}

/// Whether a failure shows that a TLS server is there; notes its rank.
fn tells(failure: &ConnectFailure, ranks: &mut BTreeSet<Rank>) -> bool {
    let (rank, tells) = match failure {
        ConnectFailure::Certificate(_) => (Rank::Certificate, true),
        ConnectFailure::Refused
        | ConnectFailure::Unreachable
        | ConnectFailure::TimedOut
        | ConnectFailure::ClosedBeforeTls => (Rank::Unreachable, false),
        _ => (Rank::Tls, true),
    };
    ranks.insert(rank);
    tells
}
