//! A DNS server on loopback, UDP and TCP, that says what a test tells it to say; and the one
//! question that most tests ask it.
#![allow(dead_code, reason = "each test file uses its part")]
#![expect(clippy::disallowed_methods, reason = "a server listens")]

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hickory_proto::op::{Header, HeaderCounts, MessageType, Metadata, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{CNAME, NS, SOA, SRV};
use hickory_proto::rr::{Name, RData, Record};
use hickory_server::Server;
use hickory_server::net::runtime::Time;
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::MessageResponseBuilder;
use sip_signin::discovery::{Absence, Answer, LookupFailure, SrvAnswer};
use sip_signin::net::HickoryResolver;
use sip_signin::{HostName, Resolver};
use tokio::net::{TcpListener, UdpSocket};

/// What the server says to one question.
#[derive(Clone)]
pub struct Reply {
    pub code: ResponseCode,
    pub authoritative: bool,
    pub answers: Vec<Record>,
    pub authorities: Vec<Record>,
    pub additionals: Vec<Record>,
}

impl Reply {
    pub fn code(code: ResponseCode) -> Self {
        let none = Vec::new;
        Self {
            code,
            authoritative: true,
            answers: none(),
            authorities: none(),
            additionals: none(),
        }
    }

    pub fn answers(answers: impl IntoIterator<Item = Record>) -> Self {
        Self { answers: answers.into_iter().collect(), ..Self::code(ResponseCode::NoError) }
    }

    /// NODATA as an authoritative server says it: with the SOA. [RFC 2308 section 2.2]
    pub fn no_data() -> Self {
        Self { authorities: vec![soa("contoso.com.", 60)], ..Self::answers([]) }
    }

    pub fn no_such_name() -> Self {
        Self { code: ResponseCode::NXDomain, ..Self::no_data() }
    }

    pub fn with_authority(self, record: Record) -> Self {
        Self { authorities: vec![record], ..self }
    }

    pub fn with_additional(self, records: impl IntoIterator<Item = Record>) -> Self {
        Self { additionals: records.into_iter().collect(), ..self }
    }
}

pub struct DnsServer {
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    _server: Server<Handler>,
}

impl DnsServer {
    /// `say` is given `SRV _sip._tls.contoso.com.` and so on; none means silence.
    pub async fn new(say: impl Fn(&str) -> Option<Reply> + Send + Sync + 'static) -> Self {
        let (udp, tcp) = loop {
            let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
                break (udp, tcp);
            }
        };
        let address = udp.local_addr().unwrap();
        let asked = Arc::default();
        let handler = Handler { say: Box::new(say), asked: Arc::clone(&asked) };
        let mut server = Server::new(handler);
        server.register_socket(udp);
        server.register_listener(tcp, Duration::from_secs(5), 16);
        Self { address, asked, _server: server }
    }

    /// A server that says the same to every question.
    pub async fn always(reply: Reply) -> Self {
        Self::new(move |_| Some(reply.clone())).await
    }

    /// What was asked since the last call: `udp SRV _sip._tls.contoso.com.`
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

type Say = dyn Fn(&str) -> Option<Reply> + Send + Sync;

struct Handler {
    say: Box<Say>,
    asked: Arc<Mutex<Vec<String>>>,
}

#[async_trait::async_trait]
impl RequestHandler for Handler {
    async fn handle_request<R: ResponseHandler, T: Time>(
        &self,
        request: &Request,
        mut response: R,
    ) -> ResponseInfo {
        let query = request.request_info().unwrap().query.original().clone();
        let question = format!("{} {}", query.query_type, query.name);
        self.asked.lock().unwrap().push(format!("{} {question}", request.protocol()));
        let Some(reply) = (self.say)(&question) else {
            let metadata = Metadata::new(0, MessageType::Response, OpCode::Query);
            return Header { metadata, counts: HeaderCounts::default() }.into();
        };
        let mut metadata = Metadata::response_from_request(&request.metadata);
        metadata.authoritative = reply.authoritative;
        metadata.response_code = reply.code;
        let message = MessageResponseBuilder::from_message_request(request).build(
            metadata,
            &reply.answers,
            &reply.authorities,
            [],
            &reply.additionals,
        );
        response.send_response(message).await.unwrap()
    }
}

/// How long the records of these tests live, in seconds.
pub const TTL: u32 = 60;

pub fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

pub fn record(owner: &str, data: RData) -> Record {
    Record::from_rdata(name(owner), TTL, data)
}

pub fn srv(owner: &str, priority: u16, weight: u16, port: u16, target: &str) -> Record {
    srv_to(owner, priority, weight, port, name(target))
}

pub fn srv_to(owner: &str, priority: u16, weight: u16, port: u16, target: Name) -> Record {
    record(owner, RData::SRV(SRV::new(priority, weight, port, target)))
}

pub fn address(owner: &str, address: &str) -> Record {
    record(owner, RData::from(address.parse::<IpAddr>().unwrap()))
}

pub fn cname(owner: &str, target: &str) -> Record {
    record(owner, RData::CNAME(CNAME(name(target))))
}

pub fn ns(owner: &str, server: &str) -> Record {
    record(owner, RData::NS(NS(name(server))))
}

pub fn soa(zone: &str, minimum: u32) -> Record {
    let mail = name("hostmaster.contoso.com.");
    record(zone, RData::SOA(SOA::new(name("ns.contoso.com."), mail, 1, 2, 3, 4, minimum)))
}

pub type Srv = Result<Answer<SrvAnswer>, LookupFailure>;

pub const INTERNAL: &str = "_sipinternaltls._tcp.contoso.com.";
pub const NO_DATA: Srv = Ok(Answer::Absent(Absence::NoData));
pub const NO_SUCH_NAME: Srv = Ok(Answer::Absent(Absence::NoSuchName));

pub fn resolver(servers: &[&DnsServer]) -> HickoryResolver {
    HickoryResolver::with_servers(servers.iter().map(|server| server.address))
}

pub async fn ask(resolver: &HickoryResolver) -> Srv {
    resolver.srv(&"_sipinternaltls._tcp.contoso.com".parse().unwrap()).await
}

pub async fn ask_for(reply: Reply) -> Srv {
    let server = DnsServer::always(reply).await;
    ask(&resolver(&[&server])).await
}

#[track_caller]
pub fn found(answer: Srv) -> SrvAnswer {
    match answer {
        Ok(Answer::Found(answer)) => answer,
        other => panic!("not found: {other:?}"),
    }
}

pub fn host(text: &str) -> HostName {
    HostName::parse(text).unwrap()
}
