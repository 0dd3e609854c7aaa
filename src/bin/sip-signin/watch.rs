//! What is under way: for the line on a terminal while something is awaited, and for Ctrl-C.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use sip_signin::discovery::{Answer, ConnectFailure, Endpoint, Family, LookupFailure, SrvAnswer};
use sip_signin::{Connection, HostName, Resolver, SrvName, Transport};
use tokio::sync::Notify;

use crate::complaint::{Complaint, End, Outcome};
use crate::screen;

/// Nothing is said of what takes no longer than that.
const PATIENCE: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(200);

/// What is awaited right now, in the order in which it began.
#[derive(Clone, Debug, Default)]
pub struct Awaited {
    list: Arc<Mutex<Vec<Marked>>>,
    /// Whether the next Ctrl-C is somebody else's, and how they learn of it.
    passing: Arc<AtomicBool>,
    passed: Arc<Notify>,
}

#[derive(Debug)]
struct Marked {
    number: usize,
    what: String,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Exact,
    /// Said only where nothing more exact is.
    Vague,
    /// The user is awaited, at a prompt that nothing may write over.
    Prompt,
}

impl Awaited {
    /// Notes that `what` is awaited, until the mark is dropped.
    pub fn mark(&self, what: impl Into<String>) -> Mark {
        self.add(what.into(), Kind::Exact)
    }

    /// The same, where nothing more exact is awaited meanwhile.
    pub fn mark_vaguely(&self, what: impl Into<String>) -> Mark {
        self.add(what.into(), Kind::Vague)
    }

    /// Notes that the user is asked for `what`.
    pub fn mark_prompt(&self, what: impl Into<String>) -> Mark {
        self.add(what.into(), Kind::Prompt)
    }

    /// Waits for a Ctrl-C that ends something other than everything; the one after it ends all.
    pub async fn pass_ctrl_c(&self) {
        self.passing.store(true, Relaxed);
        self.passed.notified().await;
    }

    fn add(&self, what: String, kind: Kind) -> Mark {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        let number = list.last().map_or(0, |last| last.number.wrapping_add(1));
        list.push(Marked { number, what, kind });
        Mark { awaited: self.clone(), number }
    }

    /// All of it, in a line.
    fn line(&self) -> Option<String> {
        let list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        let exact = list.iter().any(|marked| marked.kind != Kind::Vague);
        let whats = list.iter().filter(|marked| marked.kind != Kind::Vague || !exact);
        let whats: Vec<&str> = whats.map(|marked| marked.what.as_str()).collect();
        (!whats.is_empty()).then(|| whats.join(", "))
    }

    fn prompts(&self) -> bool {
        let list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        list.iter().any(|marked| marked.kind == Kind::Prompt)
    }
}

/// Something is awaited as long as this lives.
#[derive(Debug)]
pub struct Mark {
    awaited: Awaited,
    number: usize,
}

impl Drop for Mark {
    fn drop(&mut self) {
        let mut list = self.awaited.list.lock().unwrap_or_else(PoisonError::into_inner);
        list.retain(|marked| marked.number != self.number);
    }
}

/// A door that notes what it is asked.
#[derive(Clone)]
pub struct Watched<D: ?Sized> {
    pub door: Arc<D>,
    pub awaited: Awaited,
}

#[async_trait]
impl Resolver for Watched<dyn Resolver> {
    async fn srv(&self, name: &SrvName) -> Result<Answer<SrvAnswer>, LookupFailure> {
        let _mark = self.awaited.mark(format!("srv {name}"));
        self.door.srv(name).await
    }

    async fn addresses(
        &self,
        host: &HostName,
        family: Family,
    ) -> Result<Answer<Vec<IpAddr>>, LookupFailure> {
        let _mark = self.awaited.mark(format!("{family} {host}"));
        self.door.addresses(host, family).await
    }
}

#[async_trait]
impl Transport for Watched<dyn Transport> {
    async fn connect(
        &self,
        endpoint: &Endpoint,
        address: SocketAddr,
    ) -> Result<Box<dyn Connection>, ConnectFailure> {
        let _mark = self.awaited.mark(format!("connect {endpoint} {}", address.ip()));
        self.door.connect(endpoint, address).await
    }
}

/// Runs what waits for the network; Ctrl-C ends it at once.
pub fn live(awaited: &Awaited, task: impl Future<Output = Outcome>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| {
        Complaint::machine(format!("no runtime: {error}"), "see to the limits of this machine")
    })?;
    let outcome = runtime.block_on(async {
        tokio::select! {
            biased;
            what = interrupted(awaited) => Ok(End::Interrupted(what)),
            outcome = task => outcome,
            never = progress(awaited) => match never {},
        }
    });
    screen::erase_meanwhile();
    // A prompt that nobody answers must not keep the process.
    runtime.shutdown_background();
    outcome
}

/// Waits for the Ctrl-C that ends everything; what was awaited then.
async fn interrupted(awaited: &Awaited) -> Option<String> {
    loop {
        if tokio::signal::ctrl_c().await.is_err() {
            // Without a handler the system ends the process, as it does anyway.
            std::future::pending::<()>().await;
        }
        if !awaited.passing.swap(false, Relaxed) {
            return awaited.line();
        }
        awaited.passed.notify_one();
    }
}

enum Never {}

/// Says on a terminal what is awaited, as long as that takes.
async fn progress(awaited: &Awaited) -> Never {
    let mut waited = Duration::ZERO;
    loop {
        tokio::time::sleep(TICK).await;
        match awaited.line().filter(|_| !awaited.prompts()) {
            Some(line) => {
                waited = waited.saturating_add(TICK);
                if waited >= PATIENCE {
                    screen::say_meanwhile(&format!("waiting {} s: {line}", waited.as_secs()));
                }
            }
            None => {
                waited = Duration::ZERO;
                screen::erase_meanwhile();
            }
        }
    }
}
