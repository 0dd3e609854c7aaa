//! A stream of packets: what is sent once compression was agreed on.

use std::fmt;
use std::sync::Arc;

use super::compress::{Compressor, Level, NoRoom};
use super::decompress::{Corrupt, Decompressor};
use super::form::{FlagsError, Form};
use super::header::{HEADER_LIMIT, HeaderLayout, PacketHeader};

/// Writes packets: data in, bytes for the connection out.
///
/// ```
/// use std::sync::Arc;
/// use sip_signin::compression::{Level, PacketReader, PacketWriter, SixBytes};
/// let mut writer = PacketWriter::new(Level::Fast, Arc::new(SixBytes));
/// let mut reader = PacketReader::new(Arc::new(SixBytes));
/// let mut stream = Vec::new();
/// writer.write(b"for whom the bell tolls, the bell tolls for thee.", &mut stream)?;
/// let mut input = &stream[..];
/// let plain = reader.read(&mut input)?.expect("it is whole");
/// assert_eq!(plain, b"for whom the bell tolls, the bell tolls for thee.");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct PacketWriter {
    compressor: Compressor,
    layout: Arc<dyn HeaderLayout>,
}

impl PacketWriter {
    /// Begins a stream.
    pub fn new(level: Level, layout: Arc<dyn HeaderLayout>) -> Self {
        Self { compressor: Compressor::new(level), layout }
    }

    /// Appends `data` to `stream`, in as few packets as take it.
    ///
    /// `stream` grows by no more than the data and a header for each
    /// [`Compressor::PACKET_LIMIT`] bytes of it, and [`Compressor::ROOM`] bytes that are given back.
    ///
    /// # Errors
    /// [`NoRoom`] when the layout's header is longer than [`HEADER_LIMIT`].
    pub fn write(&mut self, data: &[u8], stream: &mut Vec<u8>) -> Result<(), NoRoom> {
        let size = self.layout.size();
        if size > HEADER_LIMIT {
            return Err(NoRoom);
        }
        for data in data.chunks(Compressor::PACKET_LIMIT) {
            let begin = stream.len();
            let room = size.saturating_add(data.len()).saturating_add(Compressor::ROOM);
            stream.resize(begin.saturating_add(room), 0);
            let packet = stream.get_mut(begin..).unwrap_or_default();
            let (header, out) = packet.split_at_mut_checked(size).ok_or(NoRoom)?;
            let (form, payload) = self.compressor.compress(data, out)?;
            self.layout.write(PacketHeader { form, payload, data: Some(data.len()) }, header);
            stream.truncate(begin.saturating_add(size).saturating_add(payload));
        }
        Ok(())
    }
}

/// Reads packets: bytes off the connection in, however they are cut, data out.
///
/// It holds one packet at most, and after an error it gives the same error for ever: the history is
/// lost, so that nothing which follows could be understood. [MS-SIPCOMP] has the connection torn
/// down.
pub struct PacketReader {
    decompressor: Decompressor,
    layout: Arc<dyn HeaderLayout>,
    /// The beginning of an unfinished packet.
    held: Vec<u8>,
    failed: Option<PacketError>,
}

impl PacketReader {
    /// The most bytes of payload that a packet may have. Compressed they yield
    /// [`Decompressor::PACKET_LIMIT`] bytes at most, and flushed they are the data.
    pub const PAYLOAD_LIMIT: usize = Decompressor::PACKET_LIMIT;

    /// Begins a stream.
    pub fn new(layout: Arc<dyn HeaderLayout>) -> Self {
        let held = Vec::with_capacity(HEADER_LIMIT.saturating_add(Self::PAYLOAD_LIMIT));
        Self { decompressor: Decompressor::new(), layout, held, failed: None }
    }

    /// Takes bytes off `input` until a packet is whole, and says what data it carries; `None` when
    /// all are taken and none is.
    ///
    /// # Errors
    /// [`PacketError`] says what the peer did wrong; the connection has to end.
    pub fn read(&mut self, input: &mut &[u8]) -> Result<Option<&[u8]>, PacketError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        match self.whole(input) {
            Ok(None) => Ok(None),
            Ok(Some(header)) => {
                let payload = self.held.get(self.layout.size()..).unwrap_or_default();
                let limit = header.data.unwrap_or(Decompressor::PACKET_LIMIT);
                let data = self.decompressor.decompress(header.form, payload, limit);
                let data = data.map_err(PacketError::Corrupt).and_then(|data| match header.data {
                    Some(said) if said != data.len() => Err(PacketError::Length),
                    _ => Ok(data),
                });
                // The data may stand in `held`, which is emptied when the next packet begins.
                self.failed = data.as_ref().err().copied();
                data.map(Some)
            }
            Err(error) => {
                self.failed = Some(error);
                Err(error)
            }
        }
    }

    /// Takes bytes until a packet is held whole: its header.
    fn whole(&mut self, input: &mut &[u8]) -> Result<Option<PacketHeader>, PacketError> {
        let size = self.layout.size();
        if size > HEADER_LIMIT {
            return Err(PacketError::Header);
        }
        if self.finished() {
            self.held.clear();
        }
        if !self.take(size, input) {
            return Ok(None);
        }
        let header = self.layout.read(self.held.get(..size).unwrap_or_default())?;
        if header.payload > Self::PAYLOAD_LIMIT {
            return Err(PacketError::TooLong);
        }
        if header.payload == 0 && header.form != Form::Flushed {
            return Err(PacketError::Empty);
        }
        Ok(self.take(size.saturating_add(header.payload), input).then_some(header))
    }

    /// Whether what is held was a whole packet, which was handed out.
    fn finished(&self) -> bool {
        let header = self.held.get(..self.layout.size()).map(|header| self.layout.read(header));
        let Some(Ok(header)) = header else { return false };
        self.held.len() == self.layout.size().saturating_add(header.payload)
    }

    /// Takes bytes until `size` are held; whether they are.
    fn take(&mut self, size: usize, input: &mut &[u8]) -> bool {
        let wanted = size.saturating_sub(self.held.len());
        let (taken, rest) = input.split_at_checked(wanted).unwrap_or((input, &[]));
        self.held.extend_from_slice(taken);
        *input = rest;
        self.held.len() >= size
    }
}

/// Without the data, which may hold credentials.
impl fmt::Debug for PacketReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { decompressor, layout, held, failed } = self;
        f.debug_struct("PacketReader")
            .field("decompressor", decompressor)
            .field("layout", layout)
            .field("held", &held.len())
            .field("failed", failed)
            .finish()
    }
}

/// What is wrong with a stream of packets. The fault is the peer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PacketError {
    /// Its tokens are not sound.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    /// A packet without payload, which says nothing.
    #[error("it is empty")]
    Empty,
    /// Its flags say nothing.
    #[error(transparent)]
    Flags(#[from] FlagsError),
    /// The layout's header is longer than [`HEADER_LIMIT`]; the fault is the caller's.
    #[error("its header is longer than {HEADER_LIMIT} bytes")]
    Header,
    /// It carries more or less data than its header says.
    #[error("it holds less data than its header says")]
    Length,
    /// It has more payload than [`PacketReader::PAYLOAD_LIMIT`].
    #[error("it is longer than {} bytes", PacketReader::PAYLOAD_LIMIT)]
    TooLong,
}
