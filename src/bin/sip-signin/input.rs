//! What comes on standard input, or from a file that was named.

use std::fs::File;
use std::io::{self, BufRead, ErrorKind, Read};
use std::path::Path;

use crate::complaint::Complaint;

/// The longest line or text that is read from standard input, in bytes.
pub const LIMIT: u64 = 1024 * 1024;
/// The longest file that is read, in bytes: zones are long.
const FILE_LIMIT: u64 = 64 * LIMIT;

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

/// Everything there is.
pub fn all() -> Result<Vec<u8>, Complaint> {
    whole(io::stdin().lock(), LIMIT).map_err(unreadable)
}

/// What a file holds.
pub fn file(path: &Path) -> Result<Vec<u8>, Complaint> {
    File::open(path)
        .and_then(|file| whole(file, FILE_LIMIT))
        .map_err(|error| Complaint::file(path, error))
}

/// The same, where it must be text.
pub fn text(path: &Path) -> Result<String, Complaint> {
    String::from_utf8(file(path)?).map_err(|error| Complaint::file(path, error))
}

fn whole(input: impl Read, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match input.take(limit.saturating_add(1)).read_to_end(&mut bytes)? {
        read if read as u64 > limit => Err(too_long()),
        _ => Ok(bytes),
    }
}

fn too_long() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, "it is too long")
}

/// The first line, without its end: a password, so that no copy of it is left behind in a buffer that
/// grew.
pub fn first_line(input: impl BufRead) -> io::Result<String> {
    let mut line = String::with_capacity(LINE_LIMIT);
    input.take(LINE_LIMIT as u64).read_line(&mut line)?;
    if line.len() >= LINE_LIMIT {
        return Err(too_long());
    }
    line.truncate(line.trim_end_matches(['\r', '\n']).len());
    Ok(line)
}

/// The longest password that is read from standard input, with the end of its line, in bytes.
const LINE_LIMIT: usize = 4096;

fn unreadable(error: io::Error) -> Complaint {
    let what = format!("standard input cannot be read: {error}");
    match error.kind() {
        ErrorKind::InvalidData => Complaint::input(what, "give only what is asked for"),
        _ => Complaint::machine(what, "see where it comes from"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, repeat};

    use super::*;

    #[test]
    fn what_never_ends_is_not_read_to_its_end() {
        assert!(first_line(BufReader::new(repeat(b'x'))).is_err());
        assert!(whole(repeat(b'x'), LIMIT).is_err());
        assert_eq!(whole(&b"all"[..], 3).unwrap(), b"all");
        for (text, line) in
            [("Passw0rd!\r\nmore", "Passw0rd!"), ("Passw0rd!", "Passw0rd!"), ("", "")]
        {
            assert_eq!(first_line(text.as_bytes()).unwrap(), line);
        }
    }
}
