//! The DNS server: one zone, answered with authority over UDP and TCP, and what was asked of it.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{CNAME, SOA, SRV};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use super::LabError;
use super::fault::DnsFault;
use super::seen::Log;
use super::server::attend;

/// A question that the DNS server was asked.
///
/// `Display` prints it as `SRV _sip._tls.contoso.com`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Question {
    /// The kind of record, as a zone file has it: `SRV`, `A`, `AAAA`.
    pub kind: String,
    /// The name, in lower case, without the final dot.
    pub name: String,
    /// Whether it came over TCP.
    pub tcp: bool,
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// What is published, and how badly it is answered.
pub(super) struct Zone {
    apex: Name,
    records: BTreeMap<Name, Vec<RData>>,
    faults: Vec<(Name, Option<RecordType>, DnsFault)>,
    pub(super) additional: bool,
    pub(super) delay: Duration,
    pub(super) asked: Log<Question>,
}

impl Zone {
    /// The time to live of every record and of every absence, in seconds.
    const TTL: u32 = 60;
    /// The longest chain of CNAMEs that is followed.
    const CHAIN: usize = 8;
    /// The largest UDP answer to a client that names no size. [RFC 1035 section 2.3.4]
    const DATAGRAM: u16 = 512;

    pub(super) fn new(domain: &str) -> Result<Self, LabError> {
        let (additional, delay) = (true, Duration::from_millis(500));
        let (records, faults, asked) = (BTreeMap::new(), Vec::new(), Log::default());
        Ok(Self { apex: name(domain)?, records, faults, additional, delay, asked })
    }

    pub(super) fn srv(
        &mut self,
        owner: &str,
        (priority, weight, port): (u16, u16, u16),
        target: &str,
    ) -> Result<(), LabError> {
        let record = SRV::new(priority, weight, port, name(target)?);
        self.add(owner, RData::SRV(record))
    }

    pub(super) fn address(&mut self, host: &str, address: IpAddr) -> Result<(), LabError> {
        let record = match address {
            IpAddr::V4(address) => RData::A(address.into()),
            IpAddr::V6(address) => RData::AAAA(address.into()),
        };
        self.add(host, record)
    }

    pub(super) fn cname(&mut self, owner: &str, target: &str) -> Result<(), LabError> {
        let target = CNAME(name(target)?);
        self.add(owner, RData::CNAME(target))
    }

    /// Adds one record; the same one twice is once.
    fn add(&mut self, owner: &str, record: RData) -> Result<(), LabError> {
        let records = self.records.entry(name(owner)?).or_default();
        if !records.contains(&record) {
            records.push(record);
        }
        Ok(())
    }

    /// Spoils the answers about `owner`, of one kind or of all.
    pub(super) fn fault(
        &mut self,
        owner: &str,
        kind: Option<&str>,
        fault: DnsFault,
    ) -> Result<(), LabError> {
        let unknown = |kind: &str| LabError::Name(format!("record kind {kind}"));
        let kind = kind.map(|k| k.parse().map_err(|_| unknown(k))).transpose()?;
        self.faults.push((name(owner)?, kind, fault));
        Ok(())
    }

    /// Answers datagrams until it is dropped.
    pub(super) async fn run_udp(&self, socket: &UdpSocket) {
        let arrive = || async {
            let mut packet = vec![0; usize::from(u16::MAX)];
            let (length, from) = socket.recv_from(&mut packet).await?;
            packet.truncate(length);
            Ok((packet, from))
        };
        attend(arrive, |(packet, from): (Vec<u8>, SocketAddr)| async move {
            if let Some(reply) = self.reply(&packet, false).await {
                // A client that is gone needs no answer.
                let _ = socket.send_to(&reply, from).await;
            }
        })
        .await;
    }

    /// Answers connections until it is dropped.
    pub(super) async fn run_tcp(&self, listener: &TcpListener) {
        attend(
            || listener.accept(),
            |(stream, _)| async move {
                // A connection that breaks is over.
                let _ = self.converse(stream).await;
            },
        )
        .await;
    }

    async fn converse(&self, mut stream: TcpStream) -> io::Result<()> {
        loop {
            let mut packet = vec![0; usize::from(stream.read_u16().await?)];
            stream.read_exact(&mut packet).await?;
            if let Some(mut reply) = self.reply(&packet, true).await {
                let length = u16::try_from(reply.len()).map_err(io::Error::other)?;
                reply.splice(..0, length.to_be_bytes());
                stream.write_all(&reply).await?;
            }
        }
    }

    /// The reply to one packet; `None` is silence.
    async fn reply(&self, packet: &[u8], tcp: bool) -> Option<Vec<u8>> {
        let query = Message::from_vec(packet).ok()?;
        if query.metadata.message_type != MessageType::Query {
            return None;
        }
        let mut reply = Message::response(query.metadata.id, query.metadata.op_code);
        reply.metadata.recursion_desired = query.metadata.recursion_desired;
        reply.queries.clone_from(&query.queries);
        if query.edns.is_some() {
            let mut edns = Edns::new();
            edns.set_max_payload(1232);
            reply.edns = Some(edns);
        }
        let ([question], OpCode::Query) = (&*query.queries, query.metadata.op_code) else {
            reply.metadata.response_code = ResponseCode::NotImp;
            return reply.to_vec().ok();
        };
        let (asked, kind) = (question.name(), question.query_type());
        self.asked.push(Question { kind: kind.to_string(), name: shown(asked), tcp });
        let here = |(name, of, fault): &(Name, Option<RecordType>, DnsFault)| {
            (name == asked && of.is_none_or(|of| of == kind)).then_some(*fault)
        };
        // The last one said counts, as with servers.
        let fault = self.faults.iter().rev().find_map(here);
        if question.query_class() == DNSClass::IN {
            self.answer(asked, kind, &mut reply);
        } else {
            reply.metadata.response_code = ResponseCode::Refused;
        }
        match fault {
            Some(DnsFault::Silent) => return None,
            Some(DnsFault::Slow) => tokio::time::sleep(self.delay).await,
            Some(DnsFault::Truncated) if !tcp => reply = reply.truncate(),
            Some(DnsFault::Garbage) => {
                let mut bytes = reply.to_vec().ok()?;
                // The count of answers, bytes 6 and 7 [RFC 1035 section 4.1.1]: far more than come.
                bytes.splice(6..8, [0xff, 0xff]);
                return Some(bytes);
            }
            Some(fault) => self.spoil(&mut reply, fault),
            None => {}
        }
        let room = if tcp { u16::MAX } else { query.max_payload().max(Self::DATAGRAM) };
        let bytes = reply.to_vec().ok()?;
        if bytes.len() > usize::from(room) { reply.truncate().to_vec().ok() } else { Some(bytes) }
    }

    /// The good answer: the records, following CNAMEs, or the proof that there are none.
    fn answer(&self, asked: &Name, kind: RecordType, reply: &mut Message) {
        let mut owner = asked.clone();
        for _ in 0..Self::CHAIN {
            let Some(apex) = self.apex_of(&owner) else {
                // An alias that leads out of the zone is all that this server knows.
                if reply.answers.is_empty() {
                    reply.metadata.response_code = ResponseCode::Refused;
                }
                return;
            };
            reply.metadata.authoritative = true;
            let here = self.records.get(&owner).map_or(&[][..], |records| records);
            let of_kind = |record: &&RData| record.record_type() == kind;
            let found: Vec<_> = here.iter().filter(of_kind).cloned().collect();
            if !found.is_empty() {
                self.add_additional(&found, reply);
                reply.add_answers(found.into_iter().map(|data| record(&owner, data)));
                return;
            }
            let alias = here.iter().find_map(|data| match data {
                RData::CNAME(CNAME(target)) => Some(target.clone()),
                _ => None,
            });
            let Some(target) = alias else {
                if kind == RecordType::SOA && owner == apex {
                    reply.add_answer(soa(&apex));
                    return;
                }
                // A name exists as soon as there is one below it. [RFC 8020]
                let exists = owner == apex || self.records.keys().any(|below| owner.zone_of(below));
                if !exists {
                    reply.metadata.response_code = ResponseCode::NXDomain;
                }
                reply.add_authority(soa(&apex));
                return;
            };
            reply.add_answer(record(&owner, RData::CNAME(CNAME(target.clone()))));
            owner = target;
        }
        reply.metadata.response_code = ResponseCode::ServFail;
    }

    /// The zone that `owner` lies in. Names elsewhere that have records are zones of their own.
    fn apex_of(&self, owner: &Name) -> Option<Name> {
        if self.apex.zone_of(owner) {
            return Some(self.apex.clone());
        }
        self.records.get_key_value(owner).map(|(owner, _)| owner.clone())
    }

    /// The addresses of the targets of SRV records. [RFC 2782, "The additional data"]
    fn add_additional(&self, answers: &[RData], reply: &mut Message) {
        for data in answers {
            let RData::SRV(srv) = data else { continue };
            let Some(records) = self.records.get(&srv.target).filter(|_| self.additional) else {
                continue;
            };
            for data in records.iter().filter(|r| matches!(r, RData::A(_) | RData::AAAA(_))) {
                let additional = record(&srv.target, data.clone());
                if !reply.additionals.contains(&additional) {
                    reply.add_additional(additional);
                }
            }
        }
    }

    /// Turns a good answer into the one that `fault` is.
    fn spoil(&self, reply: &mut Message, fault: DnsFault) {
        let empty = |reply: &mut Message, code| {
            reply.metadata.response_code = code;
            reply.answers.clear();
            reply.authorities.clear();
            reply.additionals.clear();
        };
        match fault {
            DnsFault::NoData | DnsFault::NoSuchName => {
                let code = match fault {
                    DnsFault::NoData => ResponseCode::NoError,
                    _ => ResponseCode::NXDomain,
                };
                empty(reply, code);
                reply.metadata.authoritative = true;
                let asked = reply.queries.first().map(|query| query.name().clone());
                let apex = asked.and_then(|asked| self.apex_of(&asked));
                reply.add_authority(soa(&apex.unwrap_or_else(|| self.apex.clone())));
            }
            DnsFault::OtherOwner => {
                if let Ok(other) = name("attacker.example") {
                    reply.answers.iter_mut().for_each(|answer| answer.name = other.clone());
                }
            }
            DnsFault::Refused => empty(reply, ResponseCode::Refused),
            DnsFault::ServerFailure => empty(reply, ResponseCode::ServFail),
            DnsFault::Garbage | DnsFault::Silent | DnsFault::Slow | DnsFault::Truncated => {}
        }
    }
}

fn record(owner: &Name, data: RData) -> Record {
    Record::from_rdata(owner.clone(), Zone::TTL, data)
}

/// The start of authority of a zone: what makes an absence last. [RFC 2308 section 3]
fn soa(apex: &Name) -> Record {
    let (refresh, retry, expire) = (3600, 600, 86_400);
    let data = SOA::new(apex.clone(), apex.clone(), 1, refresh, retry, expire, Zone::TTL);
    record(apex, RData::SOA(data))
}

/// Reads a name as a zone file has it, always as an absolute one.
fn name(text: &str) -> Result<Name, LabError> {
    let mut name = Name::from_ascii(text).map_err(|_| LabError::Name(text.into()))?;
    name.set_fqdn(true);
    Ok(name.to_lowercase())
}

/// A name as it is shown: in lower case, without the final dot.
fn shown(name: &Name) -> String {
    name.to_lowercase().to_ascii().trim_end_matches('.').into()
}
