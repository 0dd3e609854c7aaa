//! The DNS server: hickory-server with the lab's zones, a log of what it was asked, and the faults.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hickory_proto::op::{Header, HeaderCounts, Message, Metadata, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{CNAME, NULL, SOA, SRV};
use hickory_proto::rr::{LowerName, Name, RData, Record, RecordType};
use hickory_proto::serialize::binary::BinEncoder;
use hickory_server::Server;
use hickory_server::net::NetError;
use hickory_server::net::runtime::{Time, TokioTime};
use hickory_server::net::xfer::Protocol;
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::store::in_memory::InMemoryZoneHandler;
use hickory_server::zone_handler::{
    AxfrPolicy, Catalog, MessageResponse, MessageResponseBuilder, ZoneType,
};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::mpsc;

use super::LabError;
use super::fault::DnsFault;
use super::seen::Log;

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
    zones: BTreeMap<Name, InMemoryZoneHandler>,
    catalog: Catalog,
    faults: Vec<(Name, Option<RecordType>, DnsFault)>,
    pub(super) additional: bool,
    pub(super) delay: Duration,
    pub(super) asked: Log<Question>,
    /// Gone when the last task of the server is.
    pub(super) alive: Option<mpsc::Sender<()>>,
}

impl Zone {
    /// The time to live of every record and of every absence, in seconds.
    const TTL: u32 = 60;
    /// How long a connection may be idle.
    const IDLE: Duration = Duration::from_secs(30);
    /// How many answers may wait on one connection.
    const WAITING: usize = 16;

    pub(super) fn new(domain: &str) -> Result<Self, LabError> {
        let mut zone = Self {
            apex: name(domain)?,
            zones: BTreeMap::new(),
            catalog: Catalog::new(),
            faults: Vec::new(),
            additional: true,
            delay: Duration::from_millis(500),
            asked: Log::default(),
            alive: None,
        };
        zone.of(zone.apex.clone());
        Ok(zone)
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
        self.add(host, RData::from(address))
    }

    pub(super) fn cname(&mut self, owner: &str, target: &str) -> Result<(), LabError> {
        let target = CNAME(name(target)?);
        self.add(owner, RData::CNAME(target))
    }

    /// Adds one record; the same one twice is once.
    fn add(&mut self, owner: &str, data: RData) -> Result<(), LabError> {
        let record = record(&name(owner)?, data);
        let zone = self.of(record.name.clone());
        let known = |zone: &mut InMemoryZoneHandler| {
            let mut sets = zone.records_get_mut().values();
            sets.any(|set| set.records_without_rrsigs().any(|known| *known == record))
        };
        if zone.upsert_mut(record.clone(), 0) || known(zone) {
            Ok(())
        } else {
            Err(LabError::Alias(owner.into()))
        }
    }

    /// The zone that holds `owner`. Names outside of the domain are zones of their own.
    fn of(&mut self, owner: Name) -> &mut InMemoryZoneHandler {
        let origin = if self.apex.zone_of(&owner) { self.apex.clone() } else { owner };
        self.zones.entry(origin).or_insert_with_key(|origin| {
            let (kind, transfers) = (ZoneType::Primary, AxfrPolicy::Deny);
            let mut zone = InMemoryZoneHandler::empty(origin.clone(), kind, transfers);
            zone.upsert_mut(soa(origin), 0);
            zone
        })
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

    /// Answers until the server is dropped.
    pub(super) fn serve(mut self, udp: UdpSocket, tcp: TcpListener) -> Server<Self> {
        for (origin, zone) in std::mem::take(&mut self.zones) {
            self.catalog.upsert(origin.into(), vec![Arc::new(zone)]);
        }
        let mut server = Server::new(self);
        server.register_socket(udp);
        server.register_listener(tcp, Self::IDLE, Self::WAITING);
        server
    }

    /// What hickory answers.
    async fn ask(&self, question: &Request) -> Option<Message> {
        let taken = Taken::default();
        self.catalog.handle_request::<_, TokioTime>(question, taken.clone()).await;
        taken.0.all().pop()
    }

    /// The same for a question of our own.
    async fn look_up(&self, name: &Name, kind: RecordType) -> Option<Message> {
        let mut query = Message::query();
        query.add_query(Query::query(name.clone(), kind));
        let nobody = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
        let question = Request::from_bytes(query.to_vec().ok()?, nobody, Protocol::Tcp).ok()?;
        self.ask(&question).await
    }

    /// The good answer: hickory's, which follows no alias out of its zone or to a name that is not
    /// there, and adds the addresses of no target but the first.
    async fn answer(&self, question: &Request, kind: RecordType) -> Option<Message> {
        let mut reply = self.ask(question).await?;
        while let Some(RData::CNAME(CNAME(target))) = reply.answers.last().map(|last| &last.data)
            && kind != RecordType::CNAME
        {
            let target = target.clone();
            if reply.answers.iter().any(|answer| answer.name == target) {
                reply.metadata.response_code = ResponseCode::ServFail;
                break;
            }
            let rest = self.look_up(&target, kind).await?;
            if !rest.metadata.authoritative {
                // An alias that leads out of the zones is all that this server knows.
                break;
            }
            // The code of a chain is that of its end. [RFC 6604]
            reply.metadata.response_code = rest.metadata.response_code;
            reply.authorities.extend(rest.authorities);
            if rest.answers.is_empty() {
                break;
            }
            reply.answers.extend(rest.answers);
        }
        // RFC 2782, "The additional data".
        reply.additionals.clear();
        let target = |answer: &Record| match &answer.data {
            RData::SRV(srv) if self.additional => Some(srv.target.clone()),
            _ => None,
        };
        for target in reply.answers.iter().filter_map(target).collect::<BTreeSet<_>>() {
            for kind in [RecordType::A, RecordType::AAAA] {
                let found = self.look_up(&target, kind).await?.answers.into_iter();
                reply
                    .additionals
                    .extend(found.filter(|f| f.name == target && f.record_type() == kind));
            }
        }
        Some(reply)
    }

    /// Turns a good answer into the one that `fault` is.
    fn spoil(&self, reply: &mut Message, name: &LowerName, kind: RecordType, fault: DnsFault) {
        let absence = || {
            let zone = self.catalog.find(name).and_then(|zones| zones.first());
            Some(soa(&zone.map_or_else(|| self.apex.clone(), |zone| zone.origin().into())))
        };
        let (code, answer, authority) = match fault {
            DnsFault::NoData => (ResponseCode::NoError, None, absence()),
            DnsFault::NoSuchName => (ResponseCode::NXDomain, None, absence()),
            DnsFault::Refused => (ResponseCode::Refused, None, None),
            DnsFault::ServerFailure => (ResponseCode::ServFail, None, None),
            DnsFault::Garbage => {
                let bad = RData::Unknown { code: kind, rdata: NULL::with(vec![0xff]) };
                (ResponseCode::NoError, Some(record(name, bad)), None)
            }
            DnsFault::OtherOwner => {
                let other = Name::from_labels(["attacker", "example"]).unwrap_or_default();
                reply.answers.iter_mut().for_each(|answer| answer.name.clone_from(&other));
                return;
            }
            DnsFault::Silent | DnsFault::Slow | DnsFault::Truncated => return,
        };
        reply.metadata.response_code = code;
        reply.metadata.authoritative |= authority.is_some();
        reply.answers = answer.into_iter().collect();
        reply.authorities = authority.into_iter().collect();
        reply.additionals.clear();
    }
}

#[async_trait]
impl RequestHandler for Zone {
    async fn handle_request<R: ResponseHandler, T: Time>(
        &self,
        request: &Request,
        mut response: R,
    ) -> ResponseInfo {
        let metadata = Metadata::response_from_request(&request.metadata);
        let silence = || Header { metadata, counts: HeaderCounts::default() }.into();
        let (OpCode::Query, Ok(info)) = (metadata.op_code, request.request_info()) else {
            return self.catalog.handle_request::<R, T>(request, response).await;
        };
        let (name, kind) = (info.query.name(), info.query.query_type());
        let tcp = info.protocol != Protocol::Udp;
        self.asked.push(Question { kind: kind.to_string(), name: shown(name), tcp });
        let here = |(owner, of, fault): &(Name, Option<RecordType>, DnsFault)| {
            (owner == &**name && of.is_none_or(|of| of == kind)).then_some(*fault)
        };
        // The last one said counts, as with servers.
        let fault = self.faults.iter().rev().find_map(here);
        match fault {
            Some(DnsFault::Silent) => return silence(),
            Some(DnsFault::Slow) => tokio::time::sleep(self.delay).await,
            _ => {}
        }
        let Some(mut reply) = self.answer(request, kind).await else { return silence() };
        if let Some(fault) = fault {
            self.spoil(&mut reply, name, kind, fault);
        }
        // Hickory would send as many records as there is room for. Nobody may use those.
        let large = reply.to_vec().is_ok_and(|all| all.len() > request.max_payload().into());
        if !tcp && (large || fault == Some(DnsFault::Truncated)) {
            reply = reply.truncate();
        }
        let message = MessageResponseBuilder::new(&request.queries, reply.edns.as_ref()).build(
            reply.metadata,
            &reply.answers,
            &reply.authorities,
            [],
            &reply.additionals,
        );
        // A client that is gone needs no answer.
        response.send_response(message).await.unwrap_or_else(|_| silence())
    }
}

/// Where hickory sends an answer that is not yet what the client gets.
#[derive(Clone, Default)]
struct Taken(Log<Message>);

#[async_trait]
impl ResponseHandler for Taken {
    async fn send_response<'a>(
        &mut self,
        response: MessageResponse<
            '_,
            'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
        >,
    ) -> Result<ResponseInfo, NetError> {
        let mut bytes = Vec::new();
        let info = response.destructive_emit(&mut BinEncoder::new(&mut bytes))?;
        self.0.push(Message::from_vec(&bytes)?);
        Ok(info)
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
    let name = match text.contains('\\') {
        true => labels(text).and_then(|labels| Name::from_labels(labels).ok()),
        false => Name::from_ascii(text).ok(),
    };
    let mut name = name.ok_or_else(|| LabError::Name(text.into()))?;
    name.set_fqdn(true);
    Ok(name.to_lowercase())
}

/// Labels of any bytes: `\000` is the byte of that number, and `\.` a dot inside a label.
/// [RFC 1035 section 5.1]
fn labels(text: &str) -> Option<Vec<Vec<u8>>> {
    let (mut labels, mut label) = (Vec::new(), Vec::new());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'.' => labels.push(std::mem::take(&mut label)),
            b'\\' => label.push(match bytes.next()? {
                first if first.is_ascii_digit() => {
                    let number = [first, bytes.next()?, bytes.next()?];
                    std::str::from_utf8(&number).ok()?.parse().ok()?
                }
                escaped => escaped,
            }),
            byte => label.push(byte),
        }
    }
    labels.push(label);
    Some(labels)
}

/// A name as it is shown: in lower case, without the final dot.
fn shown(name: &Name) -> String {
    name.to_lowercase().to_ascii().trim_end_matches('.').into()
}
