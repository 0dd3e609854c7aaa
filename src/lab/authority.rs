//! A certificate authority, and the good and bad certificates it gives to the servers.

use std::sync::Arc;

use bytes::Bytes;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;

use super::LabError;
use super::fault::TlsFault;

/// Two authorities: the one that clients of the lab trust, and another that nobody does.
pub(super) struct Authority {
    trusted: CertifiedIssuer<'static, KeyPair>,
    rogue: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub(super) fn new() -> Result<Self, LabError> {
        Ok(Self { trusted: issuer("Contoso Root CA")?, rogue: issuer("Rogue Root CA")? })
    }

    /// The trusted authority's own certificate, in DER.
    pub(super) fn der(&self) -> Bytes {
        Bytes::copy_from_slice(self.trusted.der())
    }

    /// The same in PEM.
    pub(super) fn pem(&self) -> String {
        self.trusted.pem()
    }

    /// What a TLS server for `host` shows: a new key and a certificate for `names`, spoilt by
    /// `fault`.
    pub(super) fn server(
        &self,
        host: &str,
        names: &[String],
        fault: Option<TlsFault>,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> Result<Arc<ServerConfig>, LabError> {
        let names = match fault {
            Some(TlsFault::CertificateWrongName) => vec!["other.example".into()],
            Some(TlsFault::CertificateWithoutNames) => Vec::new(),
            _ => names.to_vec(),
        };
        let mut certificate = CertificateParams::new(names)?;
        certificate.distinguished_name = common_name(host);
        certificate.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        certificate.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        (certificate.not_before, certificate.not_after) = match fault {
            Some(TlsFault::CertificateExpired) => {
                (date_time_ymd(2007, 10, 16), date_time_ymd(2018, 1, 9))
            }
            Some(TlsFault::CertificateNotYetValid) => {
                (date_time_ymd(2098, 1, 1), date_time_ymd(2099, 1, 1))
            }
            _ => (date_time_ymd(2007, 10, 16), date_time_ymd(2099, 1, 1)),
        };
        let by = match fault {
            Some(TlsFault::CertificateUntrusted) => &self.rogue,
            _ => &self.trusted,
        };
        let key = KeyPair::generate()?;
        let certificate = certificate.signed_by(&key, by)?;
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        // The provider is passed along, never installed: the process belongs to the caller.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key.into())?;
        Ok(Arc::new(config))
    }
}

fn issuer(name: &str) -> Result<CertifiedIssuer<'static, KeyPair>, LabError> {
    let mut root = CertificateParams::default();
    root.distinguished_name = common_name(name);
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    root.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (root.not_before, root.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(2100, 1, 1));
    Ok(CertifiedIssuer::self_signed(root, KeyPair::generate()?)?)
}

fn common_name(name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    subject
}
