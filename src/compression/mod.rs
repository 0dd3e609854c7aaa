//! Compression of what is sent over TLS, as [MS-SIPCOMP] has it: the question ([`Negotiation`]), the
//! packets ([`PacketWriter`], [`PacketReader`]), and the codec inside them ([`Compressor`],
//! [`Decompressor`]).
//!
//! The codec is MPPC with 8 KB of history, one in each direction of a connection. [RFC 2118]
//!
//! # It is off unless it is asked for
//!
//! What is compressed before it is encrypted tells by its length what it holds: somebody who can make
//! one side send text of his choice, and can see how long the packets are, may guess what else is in
//! them, byte by byte, as CRIME did with TLS compression. Here messages of others (an invitation, a
//! note) and the proofs of a sign-in share one history. On a slow link that may be worth it; that is
//! for the caller to say.
//!
//! # What is not proven
//!
//! The layout of the packet header could not be read in any public source, nor the values of two of
//! its three flags; [`HeaderLayout`] has the details. **That this works with an original server is
//! unproven.** What is proven is the codec: FreeRDP and ironrdp-bulk read what it writes, and it reads
//! what they write.
//!
//! The history is a ring, so that data at its front may refer to what the lap before left behind it.
//! The encoders and decoders of remote desktops and of PPP do so, and so do both levels here.
//!
//! # What protects against damage
//!
//! MPPC has no checksum, so damage may well decode to other data. TLS is what keeps a stream from
//! being damaged on its way. Behind that stand three fences: a packet that cannot be, or that yields
//! another length than its header says, ends the connection; what comes out of sound packets has to be
//! SIP; and once a sign-in has keys, a message whose signature is wrong is not accepted. A damaged
//! answer *before* there are keys that still is SIP, and still answers our request, is believed like
//! any other answer at that point.

mod form;

mod header;

mod window;

mod tokens;

mod best;

mod compress;

mod decompress;

mod packets;

mod negotiation;

pub use compress::{Compressor, Level, NoRoom};
pub use decompress::{Corrupt, Decompressor};
pub use form::{FlagsError, Form};
pub use header::{HEADER_LIMIT, HeaderLayout, PacketHeader, SixBytes};
pub use negotiation::{Compression, Declined, Negotiation, Step};
pub use packets::{PacketError, PacketReader, PacketWriter};
