//! What comes on standard input.

use std::io::{self, BufRead, Read};

use crate::complaint::Complaint;

/// The longest line or text that is read, in bytes.
pub const LIMIT: u64 = 1024 * 1024;

/// Hands over the text of each line, which is one JSON string.
pub fn each_line(mut take: impl FnMut(String) -> io::Result<()>) -> Result<(), Complaint> {
    let mut input = io::stdin().lock();
    let mut number = 0usize;
    loop {
        let mut line = Vec::new();
        number = number.saturating_add(1);
        let read = input.by_ref().take(LIMIT).read_until(b'\n', &mut line);
        if read.map_err(unreadable)? == 0 {
            return Ok(());
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let text: String = serde_json::from_slice(&line).map_err(|error| {
            Complaint::input(
                format!("line {number} of standard input is no JSON string: {error}"),
                "give one JSON string per line, such as \"sip.contoso.com\", quotes included",
            )
        })?;
        take(text)?;
    }
}

/// Everything there is, up to the limit.
pub fn all() -> Result<Vec<u8>, Complaint> {
    let mut text = Vec::new();
    io::stdin().lock().take(LIMIT).read_to_end(&mut text).map_err(unreadable)?;
    Ok(text)
}

fn unreadable(error: io::Error) -> Complaint {
    Complaint::machine(format!("standard input cannot be read: {error}"), "see where it comes from")
}
