//! A network in memory: a zone of a few hosts, and connections without sockets.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use async_trait::async_trait;
use sip_signin::discovery::{
    Absence, Answer as Lookup, Family, LookupFailure, SrvAnswer, SrvRecord,
};
use sip_signin::{Connection, ConnectionFacts, HostName, Resolver, SrvName};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

/// These hosts offer TLS inside, in this order; every host has an address.
pub struct Zone(pub Vec<&'static str>);

#[async_trait]
impl Resolver for Zone {
    async fn srv(&self, name: &SrvName) -> Result<Lookup<SrvAnswer>, LookupFailure> {
        let record = |(at, host): (usize, &&str)| SrvRecord::new(at as u16, 0, 5061, host);
        Ok(match name.service() {
            "_sipinternaltls._tcp" => Lookup::Found(SrvAnswer {
                records: self.0.iter().enumerate().map(record).collect(),
                additional: vec![],
            }),
            _ => Lookup::Absent(Absence::NoSuchName),
        })
    }

    async fn addresses(
        &self,
        _: &HostName,
        family: Family,
    ) -> Result<Lookup<Vec<IpAddr>>, LookupFailure> {
        Ok(match family {
            Family::V4 => Lookup::Found(vec![[192, 0, 2, 1].into()]),
            Family::V6 => Lookup::Absent(Absence::NoData),
        })
    }
}

/// A connection in memory.
pub struct Pipe {
    near: DuplexStream,
    facts: ConnectionFacts,
}

impl Pipe {
    pub fn new(near: DuplexStream, peer: SocketAddr) -> Self {
        let facts = ConnectionFacts { local: "192.0.2.7:49152".parse().unwrap(), peer, tls: None };
        Self { near, facts }
    }
}

impl Connection for Pipe {
    fn facts(&self) -> &ConnectionFacts {
        &self.facts
    }
}

impl AsyncRead for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.near).poll_read(cx, into)
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.near).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.near).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.near).poll_shutdown(cx)
    }
}
