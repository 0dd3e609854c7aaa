//! The steps that a plan offered and nobody answered yet.

use sip_signin::discovery::{Connect, LookupHost, LookupSrv, Outcome};

use super::transcript::Reply;

/// A step that waits for its answer.
pub enum InHand {
    Srv(LookupSrv),
    Host(LookupHost),
    Connect(Connect),
}

impl InHand {
    /// Its question, as transcripts write it behind the `>` and the `<`.
    pub fn question(&self) -> String {
        match self {
            Self::Srv(step) => format!("srv {}", step.name()),
            Self::Host(step) => format!("{} {}", step.family(), step.host()),
            Self::Connect(step) => format!("connect {} {}", step.endpoint(), step.address().ip()),
        }
    }

    /// Answers it, if the reply is one to its question.
    pub fn answer(self, reply: Reply) -> Option<Outcome<()>> {
        Some(match (self, reply) {
            (Self::Srv(step), Reply::Srv(_, learned)) => step.answer(learned),
            (Self::Host(step), Reply::Host(_, learned)) => step.answer(learned),
            (Self::Connect(step), Reply::Connect(_, Ok(()))) => step.established(()),
            (Self::Connect(step), Reply::Connect(_, Err(failure))) => step.failed(failure),
            _ => return None,
        })
    }
}
