//! The ports of a lab: those that are free, and those that were asked for.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tokio::net::{TcpListener, UdpSocket};

use super::LabError;
use super::server::Server;

/// Any free port of the loopback interface. Only 127.0.0.1: not every system has the rest of
/// 127.0.0.0/8.
pub(super) const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A UDP and a TCP socket on one port, as a DNS server has them.
pub(super) async fn same_port(at: SocketAddr) -> Result<(UdpSocket, TcpListener), LabError> {
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

/// Gives each server without a port one that is free, and keeps it.
pub(super) async fn pick_ports(
    servers: impl Iterator<Item = &mut Server>,
) -> Result<BTreeMap<SocketAddr, TcpListener>, LabError> {
    let mut picked = BTreeMap::new();
    for server in servers.filter(|server| server.port == 0) {
        let Some(&first) = server.addresses.first() else { continue };
        let listener = TcpListener::bind(SocketAddr::new(first, 0)).await?;
        let published = listener.local_addr()?;
        server.port = published.port();
        picked.insert(published, listener);
    }
    Ok(picked)
}
