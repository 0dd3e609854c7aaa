//! Our compression beside FreeRDP's and ironrdp-bulk's.
//!
//! - `check CORPUS JUDGE FOLDER`: each reads what the others write. FreeRDP is the program JUDGE, which
//!   `mppcj.c` makes; FOLDER takes the files that go to and fro.
//! - `bench CORPUS SECONDS`: all of them over the same messages, in one run, by turns.

mod bench;
mod check;
mod freerdp;
mod packets;

use std::fs;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["check", corpus, judge, folder] => {
            check::run(&messages(corpus), judge.as_ref(), folder.as_ref());
        }
        ["bench", corpus, seconds] => {
            bench::run(&messages(corpus), seconds.parse().expect("a number of seconds"));
        }
        _ => panic!("check CORPUS JUDGE FOLDER, or bench CORPUS SECONDS"),
    }
}

/// What the generator writes: each message behind its length.
fn messages(corpus: &str) -> Vec<Vec<u8>> {
    let bytes = fs::read(corpus).expect("the corpus can be read");
    let mut bytes = &bytes[..];
    let mut messages = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let (message, rest) = rest.split_at(u32::from_le_bytes(*length) as usize);
        messages.push(message.to_vec());
        bytes = rest;
    }
    messages
}
