//! `man` and `completions`: the manual and what shells need to complete commands.

use std::io;
use std::path::PathBuf;

use clap::{Args, Command};

use crate::complaint::{Complaint, End, Outcome};
use crate::screen;

/// Print the manual page, or write one for each command into a folder.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  sip-signin man | man -l -
  sip-signin man --into /usr/local/share/man/man1")]
pub struct Man {
    /// Write sip-signin.1 and a page for each command into this folder
    #[arg(long, value_name = "FOLDER")]
    into: Option<PathBuf>,
}

/// Print what a shell needs to complete commands.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  sip-signin completions bash > /etc/bash_completion.d/sip-signin
  sip-signin completions fish > ~/.config/fish/completions/sip-signin.fish")]
pub struct Completions {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: clap_complete::Shell,
}

pub fn man(options: &Man, mut command: Command) -> Outcome {
    command.build();
    let Some(folder) = &options.into else {
        screen::print(&page(command)?)?;
        return Ok(End::Yes);
    };
    let complain = |error: io::Error| {
        let what = format!("the pages cannot be written to {}: {error}", folder.display());
        Complaint::input(what, "name a folder that is there")
    };
    let own = command.get_subcommands().filter(|own| own.get_name() != "help");
    let own = own.map(|own| {
        let name = format!("sip-signin-{}", own.get_name());
        own.clone().name(name)
    });
    for command in own.chain([command.clone()]).collect::<Vec<_>>() {
        let path = folder.join(format!("{}.1", command.get_name()));
        let text = page(command)?;
        std::fs::write(path, text).map_err(complain)?;
    }
    Ok(End::Yes)
}

/// The page of a command, in the language of man.
fn page(command: Command) -> io::Result<String> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command).section("1").manual("").render(&mut page)?;
    let page = String::from_utf8_lossy(&page);
    let Some((before, extra)) = page.split_once(".SH EXTRA\n") else { return Ok(page.into()) };
    let (notes, behind) = match extra.split_once("\n.SH") {
        Some((notes, behind)) => (notes, format!(".SH{behind}")),
        None => (extra.trim_end(), String::new()),
    };
    // Examples stay as they are.
    Ok(format!("{before}.SH NOTES\n.nf\n{notes}\n.fi\n{behind}"))
}

pub fn completions(options: &Completions, mut command: Command) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut command, "sip-signin", &mut script);
    screen::print(&String::from_utf8_lossy(&script))?;
    Ok(End::Yes)
}
