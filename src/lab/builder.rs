//! How a deployment is described, and how it comes to life.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::net::{TcpListener, TcpSocket, UdpSocket};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::accounts::Resident;
use super::authority::Authority;
use super::control::Control;
use super::dns::Zone;
use super::fault::{DnsFault, Fault, TcpFault};
use super::seen::Log;
use super::server::{Server, Site};
use super::transport::Routes;
use super::{Lab, LabError};
use crate::auth::{Credentials, Password};
use crate::discovery::Protocol;
use crate::net::RustlsTransport;

/// Describes a deployment; [`LabBuilder::start`] brings it to life. Made by
/// [`Lab::builder`] and [`Lab::ordinary`].
#[derive(Clone, Debug)]
#[must_use]
pub struct LabBuilder {
    domain: String,
    servers: Vec<(Server, Option<Side>)>,
    records: Vec<(String, Data)>,
    faults: Vec<(String, Option<String>, DnsFault)>,
    first_fault: Option<Fault>,
    additional: bool,
    dns_delay: Option<Duration>,
    date: Option<SystemTime>,
    accounts: Vec<(String, Password, String)>,
    in_place: bool,
    dns: SocketAddr,
}

/// On which side of the firewall a server is published.
#[derive(Clone, Copy, Debug)]
enum Side {
    Internal,
    External,
}

#[derive(Clone, Debug)]
enum Data {
    Address(IpAddr),
    Cname(String),
    Srv((u16, u16, u16), String),
}

impl LabBuilder {
    /// The addresses that are given to hosts without one. [RFC 5737: for documentation]
    const FIRST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
    const LAST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 254);

    pub(super) fn new() -> Self {
        Self {
            domain: "contoso.com".into(),
            servers: Vec::new(),
            records: Vec::new(),
            faults: Vec::new(),
            first_fault: None,
            additional: true,
            dns_delay: None,
            date: None,
            accounts: Vec::new(),
            in_place: false,
            dns: LOOPBACK,
        }
    }

    /// The domain of the users, `contoso.com` where it is not said.
    pub fn domain(self, domain: impl Into<String>) -> Self {
        Self { domain: domain.into(), ..self }
    }

    /// Adds a server with its addresses and an SRV record: `_sipinternaltls._tcp` for TLS,
    /// `_sipinternal._tcp` for clear text.
    pub fn internal(self, server: Server) -> Self {
        self.add(server, Some(Side::Internal))
    }

    /// Adds a server with its addresses and an SRV record: `_sip._tls`, or `_sip._tcp` for clear
    /// text.
    pub fn external(self, server: Server) -> Self {
        self.add(server, Some(Side::External))
    }

    /// Adds a server with its addresses, but no SRV record: a host like `sipinternal.contoso.com`,
    /// the target of a redirect, or of records added with [`LabBuilder::srv`].
    pub fn server(self, server: Server) -> Self {
        self.add(server, None)
    }

    fn add(mut self, server: Server, side: Option<Side>) -> Self {
        self.servers.push((server, side));
        self
    }

    /// Adds an SRV record to what the servers brought along. Its target may be what no host can be
    /// called: `\000` stands for that byte, `\.` for a dot inside a label.
    pub fn srv(
        self,
        name: impl Into<String>,
        priority: u16,
        weight: u16,
        port: u16,
        target: impl Into<String>,
    ) -> Self {
        self.record(name, Data::Srv((priority, weight, port), target.into()))
    }

    /// Adds an A or AAAA record to what the servers brought along.
    pub fn address(self, host: impl Into<String>, address: impl Into<IpAddr>) -> Self {
        self.record(host, Data::Address(address.into()))
    }

    /// Adds an alias.
    pub fn cname(self, name: impl Into<String>, target: impl Into<String>) -> Self {
        self.record(name, Data::Cname(target.into()))
    }

    fn record(mut self, owner: impl Into<String>, data: Data) -> Self {
        self.records.push((owner.into(), data));
        self
    }

    /// Leaves the addresses of the targets out of SRV answers, so that clients must ask for them.
    pub fn without_additional(self) -> Self {
        Self { additional: false, ..self }
    }

    /// Makes every question about `name` go wrong.
    pub fn dns_fault(mut self, name: impl Into<String>, fault: DnsFault) -> Self {
        self.faults.push((name.into(), None, fault));
        self
    }

    /// Makes the questions about `name` of one kind (`SRV`, `A`, `AAAA`) go wrong.
    pub fn dns_fault_of(
        mut self,
        kind: impl Into<String>,
        name: impl Into<String>,
        fault: DnsFault,
    ) -> Self {
        self.faults.push((name.into(), Some(kind.into()), fault));
        self
    }

    /// How long a [`DnsFault::Slow`] answer takes; 500 ms where it is not said.
    pub fn dns_delay(self, delay: Duration) -> Self {
        Self { dns_delay: Some(delay), ..self }
    }

    /// Makes go wrong what a client meets first: the question for `_sipinternaltls._tcp`, or the
    /// first server that was added.
    pub fn fault(self, fault: impl Into<Fault>) -> Self {
        Self { first_fault: Some(fault.into()), ..self }
    }

    /// What the servers' `Date` says; the time of each answer where it is not said.
    pub fn date(self, date: SystemTime) -> Self {
        Self { date: Some(date), ..self }
    }

    /// Adds an account that may sign in with an address, such as `CONTOSO\jeremy` with
    /// `sip:jeremy@contoso.com`. It may also call itself `jeremy`, or by its address without `sip:`.
    ///
    /// Where there is an account, every server asks for a proof and checks it, as an Office
    /// Communications Server 2007 R2 does: NTLM and Digest lead to a signed 200 with a binding or to
    /// a redirect ([`Server::home`]), a proof that is wrong to another 401, another's address to
    /// 403, an address of nobody to 404.
    ///
    /// ```
    /// use sip_signin::lab::Lab;
    /// let lab = Lab::ordinary("contoso.com").account(
    ///     r"CONTOSO\jeremy",
    ///     "Passw0rd!",
    ///     "sip:jeremy@contoso.com",
    /// );
    /// ```
    pub fn account(
        mut self,
        account: impl Into<String>,
        password: impl Into<Password>,
        address: impl Into<String>,
    ) -> Self {
        self.accounts.push((account.into(), password.into(), address.into()));
        self
    }

    /// Lets the servers listen where they are published, for programs that know nothing of
    /// [`Lab::dial`]: a client that nobody here wrote, a person with a shell.
    ///
    /// The addresses must be this machine's own ([`Server::address`]), best those of a network
    /// namespace; ports below 1024 need a privilege. A black hole is one to [`Lab::transport`] only:
    /// others are refused there.
    ///
    /// ```
    /// use std::net::Ipv4Addr;
    /// use sip_signin::lab::{Lab, Server};
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    /// # runtime.block_on(async {
    /// # let free = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    /// # let port = free.port();
    /// let here = Server::tls("pool01.contoso.com").address(Ipv4Addr::LOCALHOST).port(port);
    /// let lab = Lab::builder().internal(here).in_place().start().await?;
    /// let published = (Ipv4Addr::LOCALHOST, port).into();
    /// assert_eq!(lab.dial(published), Some(published));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn in_place(self) -> Self {
        Self { in_place: true, ..self }
    }

    /// Where the DNS server listens, over UDP and TCP; on a free port of 127.0.0.1 where it is not
    /// said. Port 53 is the only one that a `resolv.conf` can name, and needs a privilege.
    pub fn dns_at(self, address: SocketAddr) -> Self {
        Self { dns: address, ..self }
    }

    fn residents(&self) -> Result<Vec<Resident>, LabError> {
        let read = |(account, password, address): &(String, Password, String)| {
            let credentials = Credentials::new(account.parse()?, password.clone());
            Ok(Resident { credentials, address: address.parse()? })
        };
        self.accounts.iter().map(read).collect()
    }

    /// Brings it to life.
    ///
    /// # Errors
    /// [`LabError`] when the description contradicts itself or the system gives no sockets.
    ///
    /// # Panics
    /// Outside a tokio runtime with input and output and time enabled, as all of tokio's sockets.
    pub async fn start(mut self) -> Result<Lab, LabError> {
        self.place_first_fault();
        self.give_addresses()?;
        let mut zone = self.zone()?;
        let (authority, residents) = (Authority::new()?, self.residents()?);
        let closed = TcpSocket::new_v4()?;
        closed.bind(LOOPBACK)?;
        let mut routes = Routes { table: BTreeMap::new(), closed: closed.local_addr()? };
        let (mut tasks, seen) = (JoinSet::new(), Log::default());
        let mut controls = Vec::new();
        for (server, _) in &self.servers {
            let control = Control::new(match server.fault {
                Some(Fault::Sip(fault)) => Some(fault),
                _ => None,
            });
            controls.push((server.host.clone(), control.clone()));
            for &address in &server.addresses {
                let published = SocketAddr::new(address, server.port);
                let (date, users) = (self.date, &residents);
                let site = Site::new(server, published, &authority, users, date, &seen, &control)?;
                let real = match server.fault {
                    Some(Fault::Tcp(TcpFault::BlackHole)) => None,
                    Some(Fault::Tcp(TcpFault::Refused)) => Some(routes.closed),
                    _ => {
                        let at = if self.in_place { published } else { LOOPBACK };
                        let listener = TcpListener::bind(at).await?;
                        let real = listener.local_addr()?;
                        tasks.spawn(site.run(listener));
                        Some(real)
                    }
                };
                if routes.table.insert(published, real).is_some() {
                    return Err(LabError::Taken(published));
                }
            }
        }
        let (udp, tcp) = same_port(self.dns).await?;
        let (dns, questions) = (udp.local_addr()?, zone.asked.clone());
        let (alive, dns_gone) = mpsc::channel(1);
        zone.alive = Some(alive);
        Ok(Lab {
            dns,
            routes: Arc::new(routes),
            root: authority.der(),
            root_pem: authority.pem(),
            questions,
            seen,
            controls,
            tls: RustlsTransport::with_roots([authority.der().to_vec().into()])?,
            dns_server: zone.serve(udp, tcp),
            dns_gone,
            tasks,
            _closed: closed,
        })
    }

    fn place_first_fault(&mut self) {
        match self.first_fault {
            Some(Fault::Dns(fault)) => {
                let first = format!("_sipinternaltls._tcp.{}", self.domain);
                self.faults.push((first, None, fault));
            }
            Some(fault) => {
                if let Some((server, _)) = self.servers.first_mut() {
                    server.fault = Some(fault);
                }
            }
            None => {}
        }
    }

    /// Gives each server without an address those of its host, or else one of its own.
    fn give_addresses(&mut self) -> Result<(), LabError> {
        for (server, _) in self.servers.iter_mut().filter(|(s, _)| s.addresses.is_empty()) {
            // A host that is an address has that one.
            server.addresses.extend(server.host.parse::<IpAddr>());
        }
        let mut of_host: BTreeMap<String, BTreeSet<IpAddr>> = BTreeMap::new();
        for (server, _) in self.servers.iter().filter(|(server, _)| !server.addresses.is_empty()) {
            of_host.entry(server.host.to_ascii_lowercase()).or_default().extend(&server.addresses);
        }
        let taken: BTreeSet<IpAddr> = of_host.values().flatten().copied().collect();
        let mut free = (u32::from(Self::FIRST)..=u32::from(Self::LAST))
            .map(|bits| IpAddr::V4(bits.into()))
            .filter(|address| !taken.contains(address));
        for (server, _) in self.servers.iter_mut().filter(|(s, _)| s.addresses.is_empty()) {
            let addresses = of_host.entry(server.host.to_ascii_lowercase()).or_default();
            if addresses.is_empty() {
                addresses.insert(free.next().ok_or(LabError::TooManyHosts)?);
            }
            server.addresses.extend(&*addresses);
        }
        Ok(())
    }

    fn zone(&self) -> Result<Zone, LabError> {
        let mut zone = Zone::new(&self.domain)?;
        zone.additional = self.additional;
        zone.delay = self.dns_delay.unwrap_or(zone.delay);
        for (server, side) in &self.servers {
            // A server on an address literal has no name to publish.
            if server.host.parse::<IpAddr>().is_ok() {
                continue;
            }
            for &address in &server.addresses {
                zone.address(&server.host, address)?;
            }
            let service = match (side, server.protocol) {
                (Some(Side::Internal), Protocol::Tls) => "_sipinternaltls._tcp",
                (Some(Side::Internal), Protocol::Tcp) => "_sipinternal._tcp",
                (Some(Side::External), Protocol::Tls) => "_sip._tls",
                (Some(Side::External), Protocol::Tcp) => "_sip._tcp",
                (None, _) => continue,
            };
            let owner = format!("{service}.{}", self.domain);
            zone.srv(&owner, (0, 0, server.port), &server.host)?;
        }
        for (owner, data) in &self.records {
            match data {
                Data::Address(address) => zone.address(owner, *address)?,
                Data::Cname(target) => zone.cname(owner, target)?,
                Data::Srv(numbers, target) => zone.srv(owner, *numbers, target)?,
            }
        }
        for (name, kind, fault) in &self.faults {
            zone.fault(name, kind.as_deref(), *fault)?;
        }
        Ok(zone)
    }
}

/// Any free port of the loopback interface. Only 127.0.0.1: not every system has the rest of
/// 127.0.0.0/8.
const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A UDP and a TCP socket on one port, as a DNS server has them.
async fn same_port(at: SocketAddr) -> Result<(UdpSocket, TcpListener), LabError> {
    let mut attempts = 16_u32;
    loop {
        let tcp = TcpListener::bind(at).await?;
        attempts = attempts.saturating_sub(1);
        match UdpSocket::bind(tcp.local_addr()?).await {
            Ok(udp) => return Ok((udp, tcp)),
            Err(error) if attempts == 0 => return Err(error.into()),
            // Somebody else has that port over UDP; the next one is another.
            Err(_) => {}
        }
    }
}
