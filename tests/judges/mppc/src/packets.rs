//! Packets, as all of them understand them.

use sip_signin::compression::{Compressor, Form, Level};

use crate::freerdp::Library;

/// A packet with the flags of remote desktops: ours, four bits higher.
pub struct Packet {
    pub flags: u32,
    pub payload: Vec<u8>,
}

/// What our compression calls these flags.
pub fn form(flags: u32) -> Form {
    Form::from_flags((flags >> 4) as u8).expect("flags that compression has")
}

impl Packet {
    pub fn by_freerdp(library: Library, messages: &[Vec<u8>]) -> Vec<Self> {
        let (mut context, mut out) = (library.context(true), vec![0; 1 << 16]);
        let packet = |message: &Vec<u8>| {
            let (flags, payload) = context.compress(message, &mut out);
            Self { flags, payload: payload.to_vec() }
        };
        messages.iter().map(packet).collect()
    }

    pub fn by_us(level: Level, messages: &[Vec<u8>]) -> Vec<Self> {
        let (mut compressor, mut out) = (Compressor::new(level), vec![0; 1 << 16]);
        let packet = |message: &Vec<u8>| {
            let (form, length) = compressor.compress(message, &mut out).expect("there is room");
            Self { flags: u32::from(form.flags()) << 4, payload: out[..length].to_vec() }
        };
        messages.iter().map(packet).collect()
    }
}
