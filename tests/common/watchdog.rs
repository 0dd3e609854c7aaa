//! A test that hangs fails, whether it waits or turns round and round: of the second, virtual time
//! sees nothing.

use std::io::{Write, stderr};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

thread_local! {
    static ENDED: Sender<()> = watch();
}

/// Ends the program of tests if the test of this thread is there after a minute still: many times as
/// long as any of them takes.
pub fn watched() {
    ENDED.with(|_| ());
}

/// What it answers is dropped with the thread.
#[expect(clippy::disallowed_methods, reason = "nobody else is awake while a test hangs")]
fn watch() -> Sender<()> {
    let (sender, ended) = channel();
    let test = thread::current().name().unwrap_or("a test").to_owned();
    thread::spawn(move || {
        if ended.recv_timeout(Duration::from_secs(60)) == Err(RecvTimeoutError::Timeout) {
            // Not `eprintln!`, which is shown only when a test ends.
            let _ = writeln!(stderr(), "\nthis hangs: {test}");
            std::process::exit(101);
        }
    });
    sender
}
