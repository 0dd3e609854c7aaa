//! Shows the plan driven by hand with `std::net`, without async: one step after the other. Leaves
//! out TLS and SRV lookups, which `std` has not: two clear-text servers are set by hand.

#![expect(clippy::disallowed_methods, reason = "an example is a caller: the clock is its own")]

use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use sip_signin::SipAddress;
use sip_signin::discovery::{
    Answer, ClearText, ConnectFailure, DiscoveryPlan, Family, LookupFailure, ManualServers, Pace,
    Protocol, Search, Seed, Step,
};
use sip_signin::sip::{Message, MessageReader, Register, Tokens, UriTransport};

fn main() -> Result<(), Box<dyn Error>> {
    let address: SipAddress = "jeremy@contoso.com".parse()?;
    let (dead, alive) = two_servers()?;
    let search = Search::builder()
        .manual(ManualServers {
            internal: Some(format!("localhost:{dead}").parse()?),
            external: Some(format!("127.0.0.1:{alive}").parse()?),
            protocol: Protocol::Tcp,
        })
        .clear_text(ClearText::Allow)
        .pace(Pace::ONE_AT_A_TIME)
        .build()?;

    let mut plan = DiscoveryPlan::<TcpStream>::new(&address, &search, Seed(0), Instant::now());
    let stream = loop {
        let outcome = match plan.poll_step(Instant::now()) {
            Step::LookupHost(step) => {
                let learned = lookup(step.host().as_str(), step.family());
                step.answer(learned)
            }
            Step::LookupSrv(step) => step.answer(Err(LookupFailure::Refused)),
            Step::Connect(step) => {
                let left = step.until().saturating_duration_since(Instant::now());
                match TcpStream::connect_timeout(&step.address(), left) {
                    Ok(stream) => step.established(stream),
                    Err(error) => step.failed(failure_of(&error)),
                }
            }
            Step::Wait { until } => {
                std::thread::sleep(until.saturating_duration_since(Instant::now()));
                continue;
            }
            Step::Connected(connected) => break connected.connection,
            Step::Exhausted(cause) => return Err(cause.into()),
            Step::Idle => return Err("no connection was adopted".into()),
        };
        plan.handle(outcome, Instant::now());
    };
    println!("{:#}", plan.trace());
    println!("The server says: {}", knock(&address, stream)?);
    Ok(())
}

fn lookup(host: &str, family: Family) -> Result<Answer<Vec<IpAddr>>, LookupFailure> {
    // `getaddrinfo` does not say whether a name is absent or could not be looked up.
    let all = (host, 0).to_socket_addrs().map_err(|_| LookupFailure::ServerFailure)?;
    let own: Vec<IpAddr> = all.map(|a| a.ip()).filter(|a| Family::of(*a) == family).collect();
    if own.is_empty() { Err(LookupFailure::ServerFailure) } else { Ok(Answer::Found(own)) }
}

fn failure_of(error: &io::Error) -> ConnectFailure {
    match error.kind() {
        ErrorKind::ConnectionRefused => ConnectFailure::Refused,
        ErrorKind::TimedOut => ConnectFailure::TimedOut,
        _ => ConnectFailure::Other(error.to_string().into()),
    }
}

/// Sends the first REGISTER and reads the answer.
fn knock(address: &SipAddress, mut stream: TcpStream) -> Result<String, Box<dyn Error>> {
    // A real client draws these.
    let tokens = Tokens {
        call_id: "6f1c".into(),
        from_tag: "9a".into(),
        branch: "1".into(),
        contact: "7e".into(),
    };
    let local = stream.local_addr()?;
    let epid = "8248ca9ebb".parse()?;
    let register = Register::new(address, local, UriTransport::Tcp, tokens, epid, "blocking/1")?;
    stream.set_read_timeout(Some(Duration::from_secs(15)))?;
    stream.write_all(&register.write())?;

    let (mut reader, mut chunk) = (MessageReader::default(), [0; 4096]);
    loop {
        let count = stream.read(&mut chunk)?;
        if count == 0 {
            return Err("the server closed".into());
        }
        let mut input = chunk.get(..count).unwrap_or_default();
        while let Some(message) = reader.read(&mut input)? {
            match message {
                Message::Response(response) if response.answers(&register) => {
                    return Ok(format!("{} {}", response.status(), response.reason()));
                }
                _ => continue,
            }
        }
    }
}

/// A port that refuses, and a small server that answers every REGISTER with a challenge.
fn two_servers() -> io::Result<(u16, u16)> {
    let dead = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let alive = listener.local_addr()?.port();
    std::thread::spawn(move || -> io::Result<()> {
        let (mut stream, _) = listener.accept()?;
        let mut request = String::new();
        let mut chunk = [0; 4096];
        while !request.ends_with("\r\n\r\n") {
            let count = stream.read(&mut chunk)?;
            request.push_str(&String::from_utf8_lossy(&chunk[..count]));
        }
        let kept = ["Via:", "From:", "To:", "Call-ID:", "CSeq:"];
        let lines = request.lines().filter(|line| kept.iter().any(|name| line.starts_with(name)));
        let echoed: String = lines.map(|line| format!("{line}\r\n")).collect();
        let challenge = "WWW-Authenticate: NTLM realm=\"SIP Communications Service\", \
                         targetname=\"lab\", version=4";
        write!(
            stream,
            "SIP/2.0 401 Unauthorized\r\n{echoed}{challenge}\r\nContent-Length: 0\r\n\r\n"
        )
    });
    Ok((dead, alive))
}
