//! What changes while a server runs.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::fault::SipFault;

/// The switches of one host, for all its connections.
#[derive(Clone, Debug, Default)]
pub(super) struct Control(Arc<Switches>);

#[derive(Debug, Default)]
struct Switches {
    fault: Mutex<Option<SipFault>>,
    /// How often all bindings were forgotten.
    bindings: AtomicUsize,
    /// How often all security associations were forgotten.
    associations: AtomicUsize,
}

impl Control {
    pub(super) fn new(fault: Option<SipFault>) -> Self {
        let control = Self::default();
        control.befall(fault);
        control
    }

    pub(super) fn fault(&self) -> Option<SipFault> {
        *self.0.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn befall(&self, fault: Option<SipFault>) {
        *self.0.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    pub(super) fn bindings(&self) -> usize {
        self.0.bindings.load(Ordering::SeqCst)
    }

    pub(super) fn forget_bindings(&self) {
        self.0.bindings.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn associations(&self) -> usize {
        self.0.associations.load(Ordering::SeqCst)
    }

    pub(super) fn forget_associations(&self) {
        self.0.associations.fetch_add(1, Ordering::SeqCst);
    }
}
