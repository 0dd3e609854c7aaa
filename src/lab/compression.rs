//! How a server of the lab answers who asks it to compress. [MS-SIPCOMP]

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::registrar::{Request, read_request};
use super::seen::Note;
use crate::compression::{Level, Negotiation, SixBytes};
use crate::packed::Packed;

/// What a server does that is asked to compress.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Compresses {
    /// Closes the connection.
    Close,
    /// Says yes, then sends a packet that refers to what was never sent.
    Corrupt,
    /// Says yes, then sends a packet whose flags say flushed and compressed.
    FlushedAndCompressed,
    /// Bytes that are no SIP.
    Garbage,
    /// Says yes after this time, when nobody waits for it any more.
    Late(Duration),
    /// 405, as every server does that does not know the question.
    #[default]
    No,
    /// 200 to another kind of compression.
    Other,
    /// Says nothing, and goes on without.
    Silent,
    /// 200, and all that follows is compressed both ways.
    Yes,
}

/// How a connection goes on.
pub(super) enum Negotiated<'a, S> {
    /// As it was.
    Plain(&'a mut S, Vec<u8>),
    /// In packets.
    Packed(Box<Packed<&'a mut S>>),
    /// It does not.
    Over,
}

impl Compresses {
    /// Answers the question, if that is what comes first on `stream`.
    pub(super) async fn negotiate<'a, S>(
        self,
        stream: &'a mut S,
        note: &Note,
    ) -> io::Result<Negotiated<'a, S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut unread = Vec::new();
        let Some(request) = read_request(stream, &mut unread, note).await? else {
            return Ok(Negotiated::Over);
        };
        if self == Self::No || request.method() != "NEGOTIATE" {
            let unread = [&request.bytes[..], &unread].concat();
            return Ok(Negotiated::Plain(stream, unread));
        }
        match self {
            Self::Close => return Ok(Negotiated::Over),
            Self::Silent | Self::No => {}
            Self::Garbage => say(stream, b"\xa5\x5a no SIP at all\r\n\r\n").await?,
            Self::Other => say(stream, answer(&request, "None").as_bytes()).await?,
            Self::Late(delay) => {
                tokio::time::sleep(delay).await;
                say(stream, answer(&request, Negotiation::NAME).as_bytes()).await?;
            }
            Self::Yes | Self::Corrupt | Self::FlushedAndCompressed => {
                say(stream, answer(&request, Negotiation::NAME).as_bytes()).await?;
                match self {
                    // Offset 64, where nothing was sent.
                    Self::Corrupt => say(stream, b"\x06\0\0\x03\0\x02\xe0\x00").await?,
                    Self::FlushedAndCompressed => say(stream, b"\x0a\0\0\x03\0\x03abc").await?,
                    _ => {}
                }
                let came = BytesMut::from(&unread[..]);
                let packed = Packed::new(stream, Level::Fast, Arc::new(SixBytes), came);
                return Ok(Negotiated::Packed(Box::new(packed)));
            }
        }
        Ok(Negotiated::Plain(stream, unread))
    }
}

async fn say<S: AsyncWrite + Unpin>(stream: &mut S, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}

/// The 200 to a NEGOTIATE.
fn answer(request: &Request, name: &str) -> String {
    let echo = request.echo(true, false);
    format!("SIP/2.0 200 OK\r\nCompression: {name}\r\n{echo}Content-Length: 0\r\n\r\n")
}
