//! `sip-signin`: why can this person not sign in?
//!
//! A tool for administrators and developers. It has no rule of its own: everything it says comes
//! from the library's trace and failures. Its modules keep the library's order: each uses only those
//! above it. What it prints as JSON is promised in `docs/tool.md`.

#![cfg_attr(
    not(test),
    warn(
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::string_slice,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

mod complaint;

mod screen;

mod input;

mod words;

mod zone;

mod world;

mod play;

mod story;

mod settings;

mod tell;

mod name;

mod address;

mod answer;

mod explain;

mod watch;

mod doors;

mod certificate;

mod check;

mod report;

mod sign_in;

mod scenario;

mod demo;

mod lab;

mod manual;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use complaint::{Complaint, End, Outcome};

/// Why can this person not sign in?
///
/// Finds the server of a SIP address as Office Communicator, Lync and Skype for Business do, and
/// explains every step: what was asked, what DNS said, which names were refused, which server was
/// reached, whose fault it is and what to do.
#[derive(Parser, Debug)]
#[command(
    name = "sip-signin",
    version,
    max_term_width = 100,
    after_help = "Exit codes:
  0    yes: it works, it is admitted, it could be read
  1    the answer is no
  2    the command or its input is wrong
  130  Ctrl-C

Colour is used on terminals only, and never where NO_COLOR is set."
)]
struct CommandLine {
    /// Print JSON, for programs (see docs/tool.md)
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Explain(Box<explain::Options>),
    Check(Box<check::Options>),
    SignIn(Box<sign_in::Options>),
    Name(name::Options),
    Address(address::Options),
    Answer(answer::Options),
    Demo(demo::Options),
    Lab(Box<lab::Options>),
    Man(manual::Man),
    Completions(manual::Completions),
}

fn main() -> ExitCode {
    let CommandLine { json, command } = CommandLine::parse();
    match run(&command, json) {
        Ok(End::Yes) => ExitCode::SUCCESS,
        Ok(End::No) => ExitCode::from(1),
        Ok(End::Interrupted(what)) => {
            let what = what.unwrap_or("nothing was awaited".into());
            eprintln!("sip-signin: interrupted; under way was: {what}");
            ExitCode::from(130)
        }
        Err(complaint) => {
            complain(&complaint);
            ExitCode::from(2)
        }
    }
}

fn run(command: &Command, json: bool) -> Outcome {
    match command {
        Command::Explain(options) => explain::run(options, json),
        Command::Check(options) => check::run(options, json),
        Command::Name(options) => name::run(options, json),
        Command::Address(options) => address::run(options, json),
        Command::Answer(options) => answer::run(options, json),
        Command::SignIn(options) => sign_in::run(options, json),
        Command::Demo(options) => demo::run(options, json),
        Command::Lab(options) => lab::run(options, json),
        Command::Man(options) => manual::man(options, CommandLine::command()),
        Command::Completions(options) => manual::completions(options, CommandLine::command()),
    }
}

fn complain(complaint: &Complaint) {
    use std::io::Write;
    let (bad, end) = (screen::BAD, format!("{:#}", screen::BAD));
    // Where even this cannot be written, the exit code says it.
    let _ = writeln!(anstream::stderr(), "{bad}sip-signin{end}: {complaint}");
}
