//! Ready-made doors: DNS over hickory, TCP over tokio, TLS over rustls.
//!
//! A caller that has its own resolver or its own TLS implements [`Resolver`](crate::Resolver) or
//! [`Transport`](crate::Transport) and leaves these out (features `hickory` and `rustls`).

#[cfg(feature = "hickory")]
#[expect(clippy::disallowed_methods, reason = "this is what stands behind the `Resolver` door")]
mod dns;

#[cfg(feature = "rustls")]
#[expect(clippy::disallowed_methods, reason = "this is what stands behind the `Transport` door")]
mod tls;

#[cfg(feature = "hickory")]
pub use dns::HickoryResolver;
#[cfg(feature = "rustls")]
pub use tls::RustlsTransport;

#[cfg(all(
    feature = "hickory",
    feature = "platform-verifier",
    any(feature = "ring", feature = "aws-lc-rs")
))]
mod system;

#[cfg(all(
    feature = "hickory",
    feature = "platform-verifier",
    any(feature = "ring", feature = "aws-lc-rs")
))]
pub use system::SystemError;
