//! The search for the server, as a pure machine.
//!
//! [`DiscoveryPlan`] has two verbs. [`poll_step`](DiscoveryPlan::poll_step) says what to do next,
//! [`handle`](DiscoveryPlan::handle) takes what came of it. The caller does the lookups and the
//! connects, by whatever means, and keeps the clock; the plan holds the rules: what to ask, whom to
//! trust, in which order and how soon to try, and when to give up. Same inputs, same steps.
//!
//! ```
//! use sip_signin::discovery::{Absence, Answer, DiscoveryPlan, Search, Seed, Step};
//! use std::time::Instant;
//!
//! let mut now = Instant::now();
//! let address = "sip:jeremy@contoso.com".parse()?;
//! let mut plan = DiscoveryPlan::<()>::new(&address, &Search::default(), Seed(0), now);
//! // A world in which DNS knows nothing:
//! let cause = loop {
//!     match plan.poll_step(now) {
//!         Step::LookupSrv(step) => plan.handle(step.answer(Ok(Answer::Absent(Absence::NoSuchName))), now),
//!         Step::LookupHost(step) => plan.handle(step.answer(Ok(Answer::Absent(Absence::NoSuchName))), now),
//!         Step::Wait { until } => now = until,
//!         Step::Exhausted(cause) => break cause,
//!         Step::Connect(_) | Step::Connected(_) | Step::Idle => unreachable!("nothing to connect to"),
//!     }
//! };
//! assert_eq!(cause.to_string(), "dns has no record of a sign-in server for contoso.com");
//! println!("{}", plan.trace());
//! # Ok::<(), sip_signin::AddressError>(())
//! ```

mod srv;

mod answer;

mod order;

mod pace;

mod manual;

mod endpoint;

mod last;

mod search;

mod moment;

mod entry;

mod line;

mod packing;

mod lines;

mod trace;

mod cause;

mod step;

mod lookup;

mod candidate;

mod facts;

mod race;

mod plan;

mod rows;

mod learn;

mod fold;

pub use answer::{Absence, Answer, CertificateFault, ConnectFailure, LookupFailure, SrvAnswer};
pub use cause::{Cause, Fault};
pub use endpoint::{Endpoint, Family};
pub use entry::{Conclusion, Entry, Event, LimitedThing, Overdue};
pub use fold::FoldedPlan;
pub use last::{LastServer, LastServerError};
pub use manual::{ManualServer, ManualServerError, ManualServerErrorKind, ManualServers};
pub use order::{OrderError, Protocol, Row, SearchOrder};
pub use pace::{Pace, Timeouts};
pub use plan::DiscoveryPlan;
pub use search::{ClearText, Search, SearchBuilder, SearchError};
pub use srv::{Seed, SrvRecord, SrvTarget, order_srv};
pub use step::{Connect, Connected, LookupHost, LookupSrv, Outcome, Step, Token};
pub use trace::Trace;

/// The most records of one SRV answer that are used; the order is drawn first.
pub const RECORD_LIMIT: usize = 32;
/// The most addresses of one host that are dialled for one candidate.
pub const ADDRESS_LIMIT: usize = 16;
/// The most SRV targets of one search that are used, refused ones included.
pub const TARGET_LIMIT: usize = 64;
/// The most lookups and connects that one search takes.
pub const STEP_LIMIT: usize = 512;
/// The most connects that are under way at once.
pub const CONNECT_LIMIT: usize = 8;

/// 8 bits hold the place of a record; 16 hold those of rows, hosts and servers, of which there is one for
/// each record of each row, two that an administrator set, and one that is remembered; and each step.
const _: () = assert!(RECORD_LIMIT <= u8::MAX as usize);
const _: () = assert!(SearchOrder::LIMIT * RECORD_LIMIT + 3 <= u16::MAX as usize);
const _: () = assert!(STEP_LIMIT <= u16::MAX as usize);
