//! A connection in memory: the test holds its other end, or its script.

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use sip_signin::{Connection, ConnectionFacts};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

pub struct Pipe<S = DuplexStream> {
    near: S,
    facts: ConnectionFacts,
}

impl<S> Pipe<S> {
    pub fn new(near: S, peer: SocketAddr) -> Self {
        let facts = ConnectionFacts { local: "192.0.2.7:49152".parse().unwrap(), peer, tls: None };
        Self { near, facts }
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> Connection for Pipe<S> {
    fn facts(&self) -> &ConnectionFacts {
        &self.facts
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Pipe<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.near).poll_read(cx, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Pipe<S> {
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
