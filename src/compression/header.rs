//! What stands in front of each packet.

use std::fmt;

use super::form::{FlagsError, Form};

/// What a packet's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PacketHeader {
    /// How the payload carries the data.
    pub form: Form,
    /// How many bytes of payload follow.
    pub payload: usize,
    /// How many bytes of data they are, where the layout says so: a packet that yields more or less
    /// is corrupt.
    pub data: Option<usize>,
}

/// How a header is laid out in bytes.
///
/// **Unproven.** [MS-SIPCOMP] gives the header a field of flags; where in it, how wide, in which
/// order of bytes and beside what, could not be read in any public source. So the layout is this one
/// small trait: whoever knows better, or has seen a trace, implements it, and nothing else changes.
/// [`SixBytes`] is a layout of our own. It works between two sides that both use it, and that it works
/// with an original server is not known.
pub trait HeaderLayout: fmt::Debug + Send + Sync {
    /// How many bytes a header has, at most [`HEADER_LIMIT`]; always the same.
    fn size(&self) -> usize;

    /// Writes a header into `bytes`, which are [`size`](Self::size) zeros.
    fn write(&self, header: PacketHeader, bytes: &mut [u8]);

    /// Reads the header that `bytes`, [`size`](Self::size) of them, are.
    ///
    /// # Errors
    /// [`FlagsError`] when its flags say nothing.
    fn read(&self, bytes: &[u8]) -> Result<PacketHeader, FlagsError>;
}

/// The most bytes of a header.
pub const HEADER_LIMIT: usize = 32;

/// Our own layout: the flags, a zero, the length of the data and the length of the payload, both in
/// 16 bits with the higher byte first. See [`HeaderLayout`] for what it is worth.
///
/// ```
/// use sip_signin::compression::{Form, HeaderLayout, PacketHeader, SixBytes};
/// let form = Form::Compressed { at_front: true };
/// let header = PacketHeader { form, payload: 162, data: Some(270) };
/// let mut bytes = [0; 6];
/// SixBytes.write(header, &mut bytes);
/// assert_eq!(bytes, [0x6, 0, 0x01, 0x0e, 0, 0xa2]);
/// assert_eq!(SixBytes.read(&bytes), Ok(header));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SixBytes;

impl HeaderLayout for SixBytes {
    fn size(&self) -> usize {
        6
    }

    fn write(&self, header: PacketHeader, bytes: &mut [u8]) {
        let data = header.data.unwrap_or(header.payload) as u16;
        let (data, payload) = (data.to_be_bytes(), (header.payload as u16).to_be_bytes());
        let [flags, _, data_0, data_1, payload_0, payload_1] = bytes else { return };
        *flags = header.form.flags();
        [*data_0, *data_1] = data;
        [*payload_0, *payload_1] = payload;
    }

    fn read(&self, bytes: &[u8]) -> Result<PacketHeader, FlagsError> {
        let &[flags, zero, data_0, data_1, payload_0, payload_1] = bytes else {
            return Err(FlagsError::Unknown(0));
        };
        if zero != 0 {
            return Err(FlagsError::Unknown(zero));
        }
        let payload = u16::from_be_bytes([payload_0, payload_1]).into();
        let data = Some(u16::from_be_bytes([data_0, data_1]).into());
        Ok(PacketHeader { form: Form::from_flags(flags)?, payload, data })
    }
}
