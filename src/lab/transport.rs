//! The way from published addresses to the loopback addresses where the servers really are.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;

use crate::discovery::{ConnectFailure, Endpoint};
use crate::transport::{Connection, Transport};

/// Where each published address leads.
#[derive(Debug)]
pub(super) struct Routes {
    /// `None` is a black hole.
    pub(super) table: BTreeMap<SocketAddr, Option<SocketAddr>>,
    /// An address of ours where nothing listens: where everything else leads.
    pub(super) closed: SocketAddr,
}

impl Routes {
    pub(super) fn dial(&self, published: SocketAddr) -> Option<SocketAddr> {
        self.table.get(&published).copied().unwrap_or(Some(self.closed))
    }
}

/// A transport that finds the lab's servers behind their published addresses.
///
/// It changes the address and nothing else: the endpoint, and with it the name that the certificate
/// must be for, goes to the caller's transport as it came. An address that the lab did not publish
/// is refused, so that nothing ever leaves the loopback interface. Made by
/// [`Lab::transport`](super::Lab::transport).
#[derive(Clone, Debug)]
pub struct LabTransport<T> {
    pub(super) inner: T,
    pub(super) routes: Arc<Routes>,
}

#[async_trait]
impl<T: Transport> Transport for LabTransport<T> {
    async fn connect(
        &self,
        endpoint: &Endpoint,
        address: SocketAddr,
    ) -> Result<Box<dyn Connection>, ConnectFailure> {
        match self.routes.dial(address) {
            Some(address) => self.inner.connect(endpoint, address).await,
            None => std::future::pending().await,
        }
    }
}
