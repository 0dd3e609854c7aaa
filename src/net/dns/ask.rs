//! One question, put to the DNS servers until one of them gives a usable answer.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use hickory_proto::op::{Edns, Message, OpCode, Query, ResponseCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant, timeout, timeout_at};

use crate::discovery::LookupFailure;
use crate::text::WireText;

/// How long a server may be silent before the next one is asked beside it.
const HEAD_START: Duration = Duration::from_millis(300);

/// How long each datagram waits for its answer. A lost one costs a quarter of a second; together
/// they stay below the five seconds that a plan grants a lookup.
const PATIENCE: [Duration; 4] = [
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
];

/// How long an answer over TCP may take.
const TCP_PATIENCE: Duration = Duration::from_secs(3);

/// The size of answer that passes through nearly every network in one piece. [RFC 9715 section 3]
const UDP_PAYLOAD: u16 = 1232;

/// Room for servers that do not heed what was announced.
const UDP_BUFFER: usize = 4096;

/// The first usable answer (NOERROR or NXDOMAIN) of any server, or else the most telling failure.
pub(super) async fn ask(servers: &[SocketAddr], query: &Query) -> Result<Message, LookupFailure> {
    let mut rest = servers.iter();
    let mut asked = FuturesUnordered::new();
    let mut failure = LookupFailure::Unreachable;
    loop {
        if let Some(&server) = rest.next() {
            asked.push(ask_server(server, query));
        }
        match timeout(HEAD_START, asked.next()).await {
            Ok(Some(Ok(message))) => return Ok(message),
            Ok(Some(Err(other))) if tells(&other) > tells(&failure) => failure = other,
            Ok(Some(Err(_))) | Err(_) => {}
            Ok(None) => return Err(failure),
        }
    }
}

/// How much a failure tells: what a server said, then what became of its answer, then silence.
fn tells(failure: &LookupFailure) -> u8 {
    match failure {
        LookupFailure::Unreachable => 0,
        LookupFailure::TimedOut => 1,
        LookupFailure::Malformed => 2,
        LookupFailure::Refused => 4,
        LookupFailure::ServerFailure => 5,
        _ => 3,
    }
}

async fn ask_server(server: SocketAddr, query: &Query) -> Result<Message, LookupFailure> {
    use ResponseCode::{BADVERS, FormErr, NXDomain, NoError, NotImp, Refused, ServFail};
    let mut answer = exchange(server, query, true).await?;
    if let FormErr | NotImp | BADVERS = answer.metadata.response_code {
        // "responders that choose not to implement the protocol extensions … MUST respond with a
        // return code (RCODE) of FORMERR". [RFC 6891 section 7]
        answer = exchange(server, query, false).await?;
    }
    match answer.metadata.response_code {
        NoError | NXDomain => Ok(answer),
        ServFail => Err(LookupFailure::ServerFailure),
        Refused => Err(LookupFailure::Refused),
        code => Err(LookupFailure::Other(WireText::new(format!("dns server said: {code}")))),
    }
}

async fn exchange(server: SocketAddr, query: &Query, edns: bool) -> Result<Message, LookupFailure> {
    let mut question = Message::query();
    question.metadata.recursion_desired = true;
    question.add_query(query.clone());
    if edns {
        question.edns.get_or_insert_with(Edns::new).set_max_payload(UDP_PAYLOAD);
    }
    let bytes = question.to_vec().map_err(|_| LookupFailure::TooLong)?;
    match over_udp(server, &question, &bytes).await? {
        Some(answer) => Ok(answer),
        None => over_tcp(server, &question, &bytes).await,
    }
}

/// The answer, or none when it does not fit into a datagram.
///
/// The socket is connected, so that only this server is heard, and that its "port unreachable"
/// is. Each question has a socket, thus a port, of its own. [RFC 5452 section 9.2]
async fn over_udp(
    server: SocketAddr,
    question: &Message,
    bytes: &[u8],
) -> Result<Option<Message>, LookupFailure> {
    let any = match server {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let unreachable = |_: io::Error| LookupFailure::Unreachable;
    let socket = UdpSocket::bind((any, 0)).await.map_err(unreachable)?;
    socket.connect(server).await.map_err(unreachable)?;
    let mut buffer = vec![0; UDP_BUFFER];
    for patience in PATIENCE {
        socket.send(bytes).await.map_err(unreachable)?;
        let Some(until) = Instant::now().checked_add(patience) else { break };
        while let Ok(received) = timeout_at(until, socket.recv(&mut buffer)).await {
            let length = received.map_err(unreachable)?;
            match hear(question, buffer.get(..length).unwrap_or_default()) {
                Heard::Answer(answer) => return Ok(Some(answer)),
                Heard::Foreign => {}
                Heard::Malformed => return Err(LookupFailure::Malformed),
                Heard::Truncated => return Ok(None),
            }
        }
    }
    Err(LookupFailure::TimedOut)
}

async fn over_tcp(
    server: SocketAddr,
    question: &Message,
    bytes: &[u8],
) -> Result<Message, LookupFailure> {
    let framed = async {
        let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
        let mut stream = TcpStream::connect(server).await?;
        stream.set_nodelay(true)?;
        stream.write_all(&[&length.to_be_bytes(), bytes].concat()).await?;
        let mut answer = vec![0; stream.read_u16().await?.into()];
        stream.read_exact(&mut answer).await?;
        Ok::<_, io::Error>(answer)
    };
    let failed = |why: &dyn std::fmt::Display| {
        let text = format!("the answer was truncated, and over tcp: {why}");
        LookupFailure::Other(WireText::new(text))
    };
    let answer = match timeout(TCP_PATIENCE, framed).await {
        Ok(answer) => answer.map_err(|error| failed(&error))?,
        Err(_) => return Err(failed(&"timed out")),
    };
    match hear(question, &answer) {
        Heard::Answer(answer) => Ok(answer),
        Heard::Foreign | Heard::Malformed | Heard::Truncated => Err(LookupFailure::Malformed),
    }
}

/// What a message is to a question.
enum Heard {
    Answer(Message),
    /// Not the answer to this question: as if nothing had come. [RFC 5452 section 9.1]
    Foreign,
    Malformed,
    Truncated,
}

/// The third and fourth octet hold QR and TC in these bits. [RFC 1035 section 4.1.1]
const QR: u8 = 0b1000_0000;
const TC: u8 = 0b0000_0010;

fn hear(question: &Message, bytes: &[u8]) -> Heard {
    let &[high, low, flags, ..] = bytes else { return Heard::Foreign };
    if u16::from_be_bytes([high, low]) != question.metadata.id || flags & QR == 0 {
        return Heard::Foreign;
    }
    if flags & TC != 0 {
        // The rest may break off anywhere.
        return Heard::Truncated;
    }
    let Ok(message) = Message::from_vec(bytes) else { return Heard::Malformed };
    let meta = &message.metadata;
    // A server that could not read the question may leave it out, of an error only.
    let failed = !matches!(meta.response_code, ResponseCode::NoError | ResponseCode::NXDomain);
    let same = message.queries == question.queries || (failed && message.queries.is_empty());
    if meta.op_code == OpCode::Query && same { Heard::Answer(message) } else { Heard::Foreign }
}
