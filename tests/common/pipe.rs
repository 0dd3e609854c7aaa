//! A connection in memory: the test holds its other end.

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use sip_signin::{Connection, ConnectionFacts};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

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
