//! A stream inside packets: compression over any connection.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::compression::{HeaderLayout, Level, PacketReader, PacketWriter};
use crate::transport::{Connection, ConnectionFacts};

/// What is written goes out in packets, what comes in packets is read. Each write is a packet of its
/// own, so that a message that is written at once is one as long as it fits.
pub(crate) struct Packed<S> {
    stream: S,
    writer: PacketWriter,
    reader: PacketReader,
    /// What came and was not looked at yet.
    came: BytesMut,
    /// What came out of packets and was not read yet.
    plain: BytesMut,
    /// Packets that are not written yet, and how much of them is.
    packets: Vec<u8>,
    written: usize,
}

/// How many bytes are read at once.
const READ_SIZE: usize = 4096;

/// How many bytes of data are taken at once.
const WRITE_SIZE: usize = 64 * 1024;

impl<S> Packed<S> {
    /// Begins on `stream`, of which `came` was read already.
    pub(crate) fn new(
        stream: S,
        level: Level,
        layout: Arc<dyn HeaderLayout>,
        came: BytesMut,
    ) -> Self {
        let writer = PacketWriter::new(level, Arc::clone(&layout));
        let (plain, packets) = (BytesMut::new(), Vec::new());
        let reader = PacketReader::new(layout);
        Self { stream, writer, reader, came, plain, packets, written: 0 }
    }
}

impl<S: AsyncWrite + Unpin> Packed<S> {
    /// Writes the packets that are not written yet.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.packets.get(self.written..).filter(|rest| !rest.is_empty()) {
            let count = ready!(Pin::new(&mut self.stream).poll_write(cx, rest))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written = self.written.saturating_add(count);
        }
        self.packets.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Packed<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if !this.plain.is_empty() {
                let count = this.plain.len().min(buffer.remaining());
                buffer.put_slice(&this.plain.split_to(count));
                return Poll::Ready(Ok(()));
            }
            let mut input = &this.came[..];
            let data = this.reader.read(&mut input);
            let data = data.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            let taken = this.came.len().saturating_sub(input.len());
            if let Some(data) = data {
                this.plain.extend_from_slice(data);
                this.came.advance(taken);
                continue;
            }
            this.came.advance(taken);
            let mut chunk = [0; READ_SIZE];
            let mut chunk = ReadBuf::new(&mut chunk);
            ready!(Pin::new(&mut this.stream).poll_read(cx, &mut chunk))?;
            if chunk.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            this.came.extend_from_slice(chunk.filled());
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Packed<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_drain(cx))?;
        let data = data.get(..WRITE_SIZE).unwrap_or(data);
        this.writer.write(data, &mut this.packets).map_err(io::Error::other)?;
        // What is not written now is with the next write, or the flush.
        match this.poll_drain(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(data.len())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_drain(cx))?;
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_drain(cx))?;
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}

impl Connection for Packed<Box<dyn Connection>> {
    fn facts(&self) -> &ConnectionFacts {
        self.stream.facts()
    }
}
