//! A server that sends whatever it likes, as much as it likes, and a network that leads to it.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use async_trait::async_trait;
use sip_signin::discovery::{
    Absence, Answer as Lookup, ConnectFailure, Endpoint, Family, LookupFailure, SrvAnswer,
    SrvRecord,
};
use sip_signin::{Connection, ConnectionFacts, HostName, Resolver, SrvName, Transport};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What a server sends, prepared before the counting begins: a beginning, and what follows again and
/// again; then it closes, or goes on for ever.
#[derive(Clone)]
pub struct Flood {
    pub begin: Arc<[u8]>,
    pub again: Arc<[u8]>,
    pub at: usize,
    /// How many bytes come at a time.
    pub piece: usize,
}

impl Flood {
    pub fn new(begin: impl AsRef<[u8]>, again: impl AsRef<[u8]>) -> Self {
        Self { begin: begin.as_ref().into(), again: again.as_ref().into(), at: 0, piece: 65536 }
    }
}

impl AsyncRead for Flood {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let rest = match self.begin.get(self.at..) {
            Some(rest) if !rest.is_empty() => rest,
            _ if self.again.is_empty() => &[],
            _ => &self.again[(self.at - self.begin.len()) % self.again.len()..],
        };
        let count = rest.len().min(into.remaining()).min(self.piece);
        into.put_slice(&rest[..count]);
        self.at += count;
        Poll::Ready(Ok(()))
    }
}

/// The server and the network in front of it.
#[derive(Clone)]
pub struct Hostile {
    pub flood: Flood,
    pub facts: Arc<ConnectionFacts>,
    /// The next answers, ready to be handed over: what DNS holds of them is not counted.
    pub records: Arc<Mutex<Vec<Vec<SrvRecord>>>>,
    pub addresses: Arc<Vec<IpAddr>>,
}

impl AsyncRead for Hostile {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.flood).poll_read(cx, into)
    }
}

impl AsyncWrite for Hostile {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Connection for Hostile {
    fn facts(&self) -> &ConnectionFacts {
        &self.facts
    }
}

#[async_trait]
impl Transport for Hostile {
    async fn connect(
        &self,
        _: &Endpoint,
        _: SocketAddr,
    ) -> Result<Box<dyn Connection>, ConnectFailure> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Resolver for Hostile {
    async fn srv(&self, _: &SrvName) -> Result<Lookup<SrvAnswer>, LookupFailure> {
        Ok(match self.records.lock().unwrap().pop() {
            Some(records) => Lookup::Found(SrvAnswer { records, additional: Vec::new() }),
            None => Lookup::Absent(Absence::NoSuchName),
        })
    }

    async fn addresses(
        &self,
        _: &HostName,
        family: Family,
    ) -> Result<Lookup<Vec<IpAddr>>, LookupFailure> {
        Ok(match family {
            Family::V4 => Lookup::Found(self.addresses.to_vec()),
            Family::V6 => Lookup::Absent(Absence::NoData),
        })
    }
}

impl Hostile {
    pub fn sending(flood: Flood) -> Self {
        let peer = "192.0.2.1:5061".parse().unwrap();
        let local = "192.0.2.7:49152".parse().unwrap();
        Self {
            flood,
            facts: Arc::new(ConnectionFacts { local, peer, tls: None }),
            records: Arc::new(Mutex::new(vec![vec![SrvRecord::new(
                0,
                0,
                5061,
                "sip.contoso.com",
            )]])),
            addresses: Arc::new(vec![[192, 0, 2, 1].into()]),
        }
    }
}
