//! `man` and `completions`: the manual and what shells need to complete commands.

use std::io;
use std::path::{Path, PathBuf};

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

pub fn man(options: &Man, command: Command) -> Outcome {
    match &options.into {
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(command).render(&mut page)?;
            screen::print(&String::from_utf8_lossy(&page))?;
        }
        Some(folder) => write(folder, command).map_err(|error| {
            let what = format!("the pages cannot be written to {}: {error}", folder.display());
            Complaint::input(what, "name a folder that is there")
        })?,
    }
    Ok(End::Yes)
}

fn write(folder: &Path, command: Command) -> io::Result<()> {
    clap_mangen::generate_to(command, folder)
}

pub fn completions(options: &Completions, mut command: Command) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut command, "sip-signin", &mut script);
    screen::print(&String::from_utf8_lossy(&script))?;
    Ok(End::Yes)
}
