//! The doors to DNS and to servers: the system's, those of the settings, or a lab's.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use sip_signin::lab::Lab;
use sip_signin::net::{HickoryResolver, RustlsTransport};
use sip_signin::{Client, ClientBuilder, Resolver, Transport};

use crate::complaint::Complaint;
use crate::settings::Settings;
use crate::watch::{Awaited, Watched};

/// How DNS and servers are reached.
#[derive(Clone)]
pub struct Doors {
    resolver: Arc<dyn Resolver>,
    transport: Arc<dyn Transport>,
    /// Takes any certificate: to look at one that was not accepted, and for nothing else.
    pub looking: Arc<dyn Transport>,
    pub awaited: Awaited,
}

impl Doors {
    /// As the settings say; the system's where they say nothing.
    pub fn of(settings: &Settings, awaited: &Awaited) -> Result<Self, Complaint> {
        let resolver = if settings.dns.is_empty() {
            HickoryResolver::system().map_err(|error| {
                let what = format!("the dns configuration cannot be read: {error}");
                Complaint::machine(what, "name a dns server with --dns")
            })?
        } else {
            HickoryResolver::with_servers(settings.dns.iter().copied())
        };
        let transport = match &settings.ca {
            Some(path) => RustlsTransport::with_roots(certificates(path)?)
                .map_err(|error| Complaint::file(path, error))?,
            None => RustlsTransport::with_platform_verifier().map_err(|error| {
                let what = format!("the trusted certificates cannot be read: {error}");
                Complaint::machine(what, "name a file with certificates with --ca")
            })?,
        };
        Ok(Self {
            resolver: Arc::new(resolver),
            transport: Arc::new(patient(transport, settings)),
            looking: Arc::new(looking()?),
            awaited: awaited.clone(),
        })
    }

    /// Those of a lab.
    pub fn of_lab(lab: &Lab, settings: &Settings, awaited: &Awaited) -> Result<Self, Complaint> {
        let report = |error| Complaint::machine(error, "report this");
        let root = CertificateDer::from(lab.roots().to_vec());
        let transport = patient(RustlsTransport::with_roots([root]).map_err(report)?, settings);
        Ok(Self {
            resolver: Arc::new(lab.resolver()),
            transport: Arc::new(lab.transport(transport)),
            looking: Arc::new(lab.transport(looking()?)),
            awaited: awaited.clone(),
        })
    }

    /// A client behind these doors.
    pub fn client(&self, settings: &Settings) -> ClientBuilder {
        let awaited = &self.awaited;
        let resolver = Watched { door: self.resolver.clone(), awaited: awaited.clone() };
        let transport = Watched { door: self.transport.clone(), awaited: awaited.clone() };
        let answer = settings.timeout.unwrap_or(Client::ANSWER_WITHIN).min(Client::ANSWER_WITHIN);
        let client = Client::builder(resolver, transport)
            .search(settings.search.clone())
            .answer_within(answer)
            .current_user(settings.current_user);
        match settings.seed {
            Some(seed) => client.seed(seed),
            None => client,
        }
    }
}

/// A handshake takes less than a connect may, so that a server that falls silent in the middle of
/// one is told from one that never spoke.
fn patient(transport: RustlsTransport, settings: &Settings) -> RustlsTransport {
    let most = settings.search.timeouts().connect.mul_f32(0.6);
    transport.handshake_within(RustlsTransport::HANDSHAKE_WITHIN.min(most))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Complaint> {
    let unreadable = |error: rustls::pki_types::pem::Error| Complaint::file(path, error);
    let read = CertificateDer::pem_file_iter(path).map_err(unreadable)?;
    let certificates = read.collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
    if certificates.is_empty() {
        return Err(Complaint::file(path, "it holds no certificate in PEM"));
    }
    Ok(certificates)
}

fn looking() -> Result<RustlsTransport, Complaint> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| Complaint::machine(error, "report this"))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_no_client_auth();
    Ok(RustlsTransport::with_config(Arc::new(config)))
}

/// Accepts every certificate. What is said over such a connection could be said to anybody, so
/// nothing is said: it is closed as soon as the certificate is here.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
