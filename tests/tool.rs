//! The tool `sip-signin`, as its users run it: what it prints, what it ends with, what it promises.

#[path = "tool/live.rs"]
mod live;
#[path = "tool/offline.rs"]
mod offline;
#[path = "tool/page.rs"]
mod page;
#[path = "tool/worlds.rs"]
mod worlds;

#[path = "common/in_hand.rs"]
mod in_hand;
#[allow(dead_code, reason = "the player of transcripts uses the rest")]
#[path = "common/player.rs"]
mod player;
#[allow(dead_code, reason = "the player of transcripts uses the rest")]
#[path = "common/transcript.rs"]
mod transcript;
#[path = "common/words.rs"]
mod words;

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

/// What a run of the tool left behind.
#[derive(Debug)]
pub struct Run {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Run {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

pub fn tool() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sip-signin"));
    command.env_remove("COLUMNS").stdin(Stdio::null());
    command
}

pub fn run(arguments: &[&str]) -> Run {
    finish(tool().args(arguments))
}

pub fn finish(command: &mut Command) -> Run {
    let output = command.output().expect("the tool starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the tool prints UTF-8");
    Run {
        code: output.status.code().unwrap_or(-1),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

/// With this on standard input.
pub fn feed(arguments: &[&str], input: &str) -> Run {
    let mut child = tool()
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the tool starts");
    // A tool that reads nothing closes its end.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().expect("the tool ends");
    Run {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A file that only this test knows.
pub fn file(name: &str, text: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).unwrap();
    path
}
