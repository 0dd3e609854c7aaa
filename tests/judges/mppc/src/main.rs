//! Our compression beside FreeRDP's and ironrdp-bulk's.
//!
//! `mppc-peers bench CORPUS`: all of them over the same messages, in one run.

mod bench;
mod freerdp;
mod packets;

use std::fs;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["bench", corpus] => {
            bench::run(&messages(&fs::read(corpus).expect("the corpus can be read")), 3);
        },
        _ => panic!("bench CORPUS"),
    }
}

/// What the generator writes: each message behind its length.
fn messages(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let (message, rest) = rest.split_at(u32::from_le_bytes(*length) as usize);
        messages.push(message.to_vec());
        bytes = rest;
    }
    messages
}
