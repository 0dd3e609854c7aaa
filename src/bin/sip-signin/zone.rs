//! A zone file as the world's DNS: what clients would find if it were published.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use hickory_proto::rr::{Name, RData, RecordSet, RecordType, RrKey};
use hickory_proto::serialize::txt::Parser;
use sip_signin::HostName;
use sip_signin::discovery::{Absence, Answer, Family, LookupFailure, SrvAnswer, SrvRecord};

use crate::complaint::Complaint;
use crate::words::Learned;

/// The records of one zone.
#[derive(Debug)]
pub struct Zone {
    origin: Name,
    records: BTreeMap<RrKey, RecordSet>,
}

/// How many aliases are followed, as the resolver does.
const ALIASES: usize = 8;

impl Zone {
    /// Reads a zone file in the form of RFC 1035 section 5; relative names belong to `domain` where
    /// the file has no `$ORIGIN`.
    pub fn read(path: &Path, text: &str, domain: &HostName) -> Result<Self, Complaint> {
        let complain = |what: String| {
            Complaint::input(
                format!("{}: {what}", path.display()),
                "give a zone file in the form that BIND reads, `named-checkzone` tells more",
            )
        };
        let own = Name::from_ascii(format!("{domain}."));
        let own = own.map_err(|error| complain(error.to_string()))?;
        let parser = Parser::new(text, Some(path.to_owned()), Some(own.clone()));
        if let Some(at) = text.lines().position(|line| line.starts_with("$GENERATE")) {
            let line = at.saturating_add(1);
            return Err(complain(format!(
                "line {line}: $GENERATE is not read; write the records out"
            )));
        }
        let (_, records) = parser.parse().map_err(|error| complain(error.to_string()))?;
        // What the parser returns is the last $ORIGIN; the zone begins at its SOA.
        let apex = records.keys().find(|key| key.record_type == RecordType::SOA);
        let origin = apex.map_or(own, |key| key.name().clone().into());
        Ok(Self { origin, records })
    }

    /// The SRV records of a name.
    pub fn srv(&self, name: &str) -> Learned<SrvAnswer> {
        let record = |data: &RData| match data {
            RData::SRV(srv) => {
                let target = srv.target.to_ascii();
                let target = target.strip_suffix('.').filter(|t| !t.is_empty()).unwrap_or(".");
                Some(SrvRecord::new(srv.priority, srv.weight, srv.port, target))
            }
            _ => None,
        };
        Ok(match self.look(name, RecordType::SRV)? {
            Answer::Absent(absence) => Answer::Absent(absence),
            Answer::Found(data) => {
                let records = data.iter().filter_map(record).collect();
                Answer::Found(SrvAnswer { records, additional: Vec::new() })
            }
        })
    }

    /// The addresses of a host, of one family.
    pub fn addresses(&self, host: &str, family: Family) -> Learned<Vec<IpAddr>> {
        let kind = match family {
            Family::V4 => RecordType::A,
            Family::V6 => RecordType::AAAA,
        };
        Ok(match self.look(host, kind)? {
            Answer::Absent(absence) => Answer::Absent(absence),
            Answer::Found(data) => Answer::Found(data.iter().filter_map(RData::ip_addr).collect()),
        })
    }

    /// The data of a name, or of what its aliases lead to.
    fn look(&self, name: &str, kind: RecordType) -> Learned<Vec<RData>> {
        let mut name = absolute(name)?;
        for _ in 0..=ALIASES {
            if !self.origin.zone_of(&name) {
                let what = format!("{} is not in this zone", name.to_ascii().trim_end_matches('.'));
                return Err(LookupFailure::Other(what.as_str().into()));
            }
            if let Some(cut) = self.delegated(&name) {
                let cut = cut.to_ascii();
                let what = format!("{} is delegated to other servers", cut.trim_end_matches('.'));
                return Err(LookupFailure::Other(what.as_str().into()));
            }
            let owner = self.owner(&name);
            let data = |kind| -> Vec<RData> {
                let set = self.records.get(&RrKey::new(owner.clone().into(), kind));
                let records = set.into_iter().flat_map(RecordSet::records_without_rrsigs);
                records.map(|record| record.data.clone()).collect()
            };
            let found = data(kind);
            if !found.is_empty() {
                return Ok(Answer::Found(found));
            }
            match data(RecordType::CNAME).as_slice() {
                [RData::CNAME(alias)] => name = alias.0.to_lowercase(),
                _ if self.exists(&owner) => return Ok(Answer::Absent(Absence::NoData)),
                _ => return Ok(Answer::Absent(Absence::NoSuchName)),
            }
        }
        Err(LookupFailure::Malformed)
    }

    /// The name itself, or the wildcard that answers for it. [RFC 4592 section 3.3.1]
    fn owner(&self, name: &Name) -> Name {
        if self.exists(name) {
            return name.clone();
        }
        let mut closest = name.base_name();
        while !self.exists(&closest) && self.origin.zone_of(&closest) && !closest.is_root() {
            closest = closest.base_name();
        }
        let wildcard = closest.prepend_label("*").ok().filter(|wildcard| self.exists(wildcard));
        wildcard.unwrap_or_else(|| name.clone())
    }

    /// Whether the name has records or stands above one that has.
    fn exists(&self, name: &Name) -> bool {
        self.records.keys().any(|key| name.zone_of(key.name()))
    }

    /// The name above or at `name` from which on other servers answer.
    fn delegated(&self, name: &Name) -> Option<Name> {
        let mut above = name.clone();
        while above != self.origin && self.origin.zone_of(&above) && !above.is_root() {
            if self.records.contains_key(&RrKey::new(above.clone().into(), RecordType::NS)) {
                return Some(above);
            }
            above = above.base_name();
        }
        None
    }
}

fn absolute(name: &str) -> Result<Name, LookupFailure> {
    let name = Name::from_ascii(format!("{}.", name.trim_end_matches('.')));
    name.map(|name| name.to_lowercase()).map_err(|_| LookupFailure::TooLong)
}
