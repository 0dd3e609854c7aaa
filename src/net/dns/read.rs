//! Reading an answer: what it says about the very name that was asked, and nothing else.

use std::net::IpAddr;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::SRV;
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

use super::HickoryResolver;
use crate::discovery::{Absence, LookupFailure, SrvAnswer, SrvRecord, SrvTarget};
use crate::name::HostName;
use crate::text::WireText;

/// The longest time that records are believed, in seconds.
const LONGEST: u32 = 24 * 60 * 60;

/// The longest time that absence is believed: "values of one to three hours have been found to work
/// well". [RFC 2308 section 5]
const LONGEST_ABSENCE: u32 = 3 * 60 * 60;

/// What a message says about a name.
#[derive(Debug)]
pub(super) enum Reading<'m> {
    Records(Vec<&'m Record>),
    Absent(Absence),
    /// The name is an alias of this one, about which the message says nothing.
    Alias(Name),
}

/// Reads what `message` says about the records of `kind` of `asked`; also for how many seconds.
///
/// `hops` counts the CNAMEs of the whole lookup.
pub(super) fn read<'m>(
    message: &'m Message,
    asked: &Name,
    kind: RecordType,
    hops: &mut usize,
) -> Result<(Reading<'m>, u32), LookupFailure> {
    let of = |owner: &Name, kind: RecordType| {
        let owner = owner.clone();
        let relevant = move |r: &&Record| {
            r.name == owner && r.record_type() == kind && r.dns_class == DNSClass::IN
        };
        message.answers.iter().filter(relevant)
    };
    let no_such_name = message.metadata.response_code == ResponseCode::NXDomain;
    let (mut name, mut ttl) = (asked.clone(), LONGEST);
    loop {
        let records: Vec<_> = of(&name, kind).collect();
        if !records.is_empty() {
            if no_such_name {
                return Err(LookupFailure::Malformed);
            }
            ttl = records.iter().map(|r| r.ttl).fold(ttl, u32::min);
            return Ok((Reading::Records(records), ttl));
        }
        let alias = of(&name, RecordType::CNAME).find_map(|r| match &r.data {
            RData::CNAME(of) => Some((r.ttl, &of.0)),
            _ => None,
        });
        let Some((time, target)) = alias else { break };
        *hops = hops.saturating_add(1);
        if *hops > HickoryResolver::CNAME_LIMIT {
            return Err(LookupFailure::Malformed);
        }
        ttl = ttl.min(time);
        name = target.clone();
    }
    if message.answers.iter().any(|r| r.record_type() == kind) {
        // Records of others, in an answer about this name: not to be used, and no proof of absence.
        return Err(LookupFailure::Malformed);
    }
    let soa = message.authorities.iter().find_map(|r| match &r.data {
        RData::SOA(soa) if r.name.zone_of(&name) => Some(r.ttl.min(soa.minimum)),
        _ => None,
    });
    // "the TTL of this record is set from the minimum of the MINIMUM field of the SOA record and
    // the TTL of the SOA itself"; without one, "negative answers … SHOULD NOT be cached".
    // [RFC 2308 sections 3 and 5]
    let absent_for = ttl.min(soa.unwrap_or(0)).min(LONGEST_ABSENCE);
    if no_such_name {
        // With a chain of CNAMEs, the code is about its end. [RFC 6604 section 3]
        return Ok((Reading::Absent(Absence::NoSuchName), absent_for));
    }
    if soa.is_some() {
        return Ok((Reading::Absent(Absence::NoData), absent_for));
    }
    if name != *asked {
        return Ok((Reading::Alias(name), ttl));
    }
    let refers = message.authorities.iter().any(|r| r.record_type() == RecordType::NS);
    let knows = message.metadata.authoritative || message.metadata.recursion_available;
    if refers || !knows {
        // NS without SOA sends the asker elsewhere [RFC 2308 section 2.2], and a server that neither
        // is the authority nor asks it cannot know: neither says anything about the name.
        return Err(LookupFailure::Other("dns server gave no answer, only a referral".into()));
    }
    Ok((Reading::Absent(Absence::NoData), absent_for))
}

/// The SRV records, with the addresses that the additional section gives their targets; and for how
/// many seconds those hold.
pub(super) fn srv_answer(message: &Message, records: &[&Record]) -> (SrvAnswer, u32) {
    let records: Vec<SrvRecord> = records
        .iter()
        .filter_map(|r| match &r.data {
            RData::SRV(srv) => Some(srv_record(srv)),
            _ => None,
        })
        .collect();
    let names_a_target = |host: &HostName| {
        records.iter().any(|r| matches!(&r.target, SrvTarget::Host(target) if target == host))
    };
    let mut ttl = u32::MAX;
    let mut additional = Vec::new();
    for record in message.additionals.iter().filter(|r| r.dns_class == DNSClass::IN) {
        let owner = host_name(&record.name).filter(names_a_target);
        if let (Some(host), Some(address)) = (owner, record.data.ip_addr()) {
            ttl = ttl.min(record.ttl);
            additional.push((host, address));
        }
    }
    (SrvAnswer { records, additional }, ttl)
}

pub(super) fn addresses(_: &Message, records: &[&Record]) -> (Vec<IpAddr>, u32) {
    (records.iter().filter_map(|r| r.data.ip_addr()).collect(), u32::MAX)
}

fn srv_record(srv: &SRV) -> SrvRecord {
    let target = if srv.target.is_root() {
        SrvTarget::NotOffered
    } else {
        match host_name(&srv.target) {
            Some(host) => SrvTarget::Host(host),
            None => {
                let text = srv.target.to_ascii();
                SrvTarget::Invalid(WireText::new(text.strip_suffix('.').unwrap_or(&text)))
            }
        }
    };
    SrvRecord { priority: srv.priority, weight: srv.weight, port: srv.port, target }
}

/// The host name that `name` is, if it is one.
///
/// Label by label: a label from the wire may hold any octet, even a dot, and must not become two.
fn host_name(name: &Name) -> Option<HostName> {
    let mut text = String::new();
    for label in name.iter() {
        if !label.iter().all(|&b| b.is_ascii_alphanumeric() || b == b'-') {
            return None;
        }
        if !text.is_empty() {
            text.push('.');
        }
        text.push_str(str::from_utf8(label).ok()?);
    }
    HostName::parse(&text).ok()
}
