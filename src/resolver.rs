//! The door to DNS.

use std::net::IpAddr;

use async_trait::async_trait;

use crate::discovery::{Answer, Family, LookupFailure, SrvAnswer};
use crate::name::{HostName, SrvName};

/// Answers the lookups of a search.
///
/// The contract:
/// - **Every name is absolute.** No search suffix is ever appended.
/// - **Absence is proof.** [`Answer::Absent`] only when DNS said NXDOMAIN or NODATA for the very
///   name that was asked, or for what its CNAMEs lead to. Whatever else happened (SERVFAIL,
///   REFUSED, a time-out, an answer that makes no sense) is a [`LookupFailure`]: the search falls
///   back to host names only on absence.
/// - **The owner decides.** Records of the asked name, or of the end of its CNAME chain, and of the
///   asked type; nothing else from the message, but for addresses in [`SrvAnswer::additional`].
/// - **The caller bounds time.** A lookup may take as long as it likes; the driver drops the future
///   when its step is over, and dropping it must free everything it holds.
#[async_trait]
pub trait Resolver: Send + Sync {
    /// The SRV records of `name`.
    ///
    /// # Errors
    /// [`LookupFailure`] when it could not be learned whether there are any.
    async fn srv(&self, name: &SrvName) -> Result<Answer<SrvAnswer>, LookupFailure>;

    /// The addresses of `host` of one family.
    ///
    /// # Errors
    /// [`LookupFailure`] when it could not be learned whether there are any.
    async fn addresses(
        &self,
        host: &HostName,
        family: Family,
    ) -> Result<Answer<Vec<IpAddr>>, LookupFailure>;
}
