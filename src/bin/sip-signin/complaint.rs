//! Why the tool cannot do what it was asked: whose fault, what, what to do.

use std::fmt;
use std::io;

use sip_signin::discovery::Fault;

/// The end of a command that was carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Exit code 0.
    Yes,
    /// Exit code 1.
    No,
    /// Ctrl-C, and what was under way: exit code 130, as shells have it.
    Interrupted(Option<String>),
}

impl End {
    pub fn when(good: bool) -> Self {
        if good { Self::Yes } else { Self::No }
    }
}

/// Bad usage or input: exit code 2.
#[derive(Debug)]
pub struct Complaint {
    fault: Fault,
    what: String,
    advice: String,
}

pub type Outcome = Result<End, Complaint>;

impl Complaint {
    /// What was typed, or what a file says, is wrong.
    pub fn input(what: impl fmt::Display, advice: impl Into<String>) -> Self {
        Self { fault: Fault::Input, what: what.to_string(), advice: advice.into() }
    }

    /// This machine does not do its part.
    pub fn machine(what: impl fmt::Display, advice: impl Into<String>) -> Self {
        Self { fault: Fault::Machine, what: what.to_string(), advice: advice.into() }
    }

    /// A file cannot be read.
    pub fn file(path: &std::path::Path, error: impl fmt::Display) -> Self {
        let what = format!("{} cannot be read: {error}", path.display());
        Self::input(what, "check the name of the file and who may read it")
    }
}

/// One line, or several where the input itself is quoted.
impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whose = match self.fault {
            Fault::Machine => "this machine",
            _ => "the command or its input",
        };
        write!(f, "{whose}: {}", self.what.trim_end())?;
        let separator = if self.what.contains('\n') { "\n" } else { "; " };
        write!(f, "{separator}{}", self.advice)
    }
}

/// Standard output is closed or full.
impl From<io::Error> for Complaint {
    fn from(error: io::Error) -> Self {
        Self::machine(format!("the output cannot be written: {error}"), "see where it goes")
    }
}
