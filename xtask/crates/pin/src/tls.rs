//! TLS to the server, with libpq's meaning of `sslmode` (PostgreSQL documentation, "SSL Mode Descriptions") on rustls.
//!
//! Two differences, both towards caution: TLS 1.2 is the oldest version spoken, and a certificate is matched by its
//! subject alternative names only. `verify-ca` and `verify-full` use the CA file where one is given, else the system's
//! roots.

use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use sha2::{Digest, Sha256, Sha384, Sha512};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::dsn::{Host, SslMode};
use crate::error::PinError;
use crate::file;

/// What a TLS connection to the server needs; made once, used for every connection.
#[derive(Clone)]
pub struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Tls {
    /// Errors: `CaFile` where the file holds no certificate; `CertificateRejected` where there is nothing to verify
    /// against.
    pub fn new(mode: SslMode, host: &Host, ca_file: Option<&Path>) -> Result<Tls, PinError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = Verifier::new(mode, ca_file, &provider)?;
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(handshake_error)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        Ok(Tls { connector: TlsConnector::from(Arc::new(config)), name: server_name(host)? })
    }

    /// Errors: `CertificateRejected`, `TlsFailed`.
    pub async fn handshake(&self, stream: TcpStream) -> Result<TlsStream<TcpStream>, PinError> {
        self.connector.connect(self.name.clone(), stream).await.map_err(|error| {
            let reason = error.to_string();
            match error.into_inner().and_then(|inner| inner.downcast::<rustls::Error>().ok()) {
                Some(inner) => handshake_error(*inner),
                None => PinError::TlsFailed { reason },
            }
        })
    }
}

fn server_name(host: &Host) -> Result<ServerName<'static>, PinError> {
    match host {
        Host::Ip(ip) => Ok(ServerName::from(*ip)),
        Host::Name(name) => ServerName::try_from(name.clone()).map_err(|_| PinError::TlsFailed {
            reason: format!("`{name}` is not a name that a certificate can carry"),
        }),
    }
}

fn handshake_error(error: rustls::Error) -> PinError {
    match error {
        rustls::Error::InvalidCertificate(reason) => PinError::CertificateRejected { reason: reason.to_string() },
        error => PinError::TlsFailed { reason: error.to_string() },
    }
}

/// How much of a server's certificate must be right. Its key must sign the handshake in every mode: channel binding
/// relies on that.
#[derive(Debug)]
struct Verifier {
    trust: Option<Trust>,
    check_name: bool,
    provider: Arc<CryptoProvider>,
}

#[derive(Debug)]
struct Trust {
    chain: Arc<WebPkiServerVerifier>,
    /// The certificates of the CA file themselves: one of them may be the server's own.
    own: Vec<CertificateDer<'static>>,
}

impl Verifier {
    fn new(mode: SslMode, ca_file: Option<&Path>, provider: &Arc<CryptoProvider>) -> Result<Self, PinError> {
        let trust = match (mode, ca_file) {
            (SslMode::Disable | SslMode::Allow | SslMode::Prefer, _) | (SslMode::Require, None) => None,
            // libpq: with a root file present, `require` verifies as `verify-ca` does.
            (SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull, ca_file) => {
                Some(Trust::new(ca_file, provider)?)
            }
        };
        Ok(Verifier { trust, check_name: mode == SslMode::VerifyFull, provider: provider.clone() })
    }
}

impl Trust {
    fn new(ca_file: Option<&Path>, provider: &Arc<CryptoProvider>) -> Result<Self, PinError> {
        let own = ca_file.map(certificates).transpose()?.unwrap_or_default();
        let system = if ca_file.is_none() { rustls_native_certs::load_native_certs().certs } else { Vec::new() };
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(own.iter().cloned().chain(system));
        let chain = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
            .build()
            .map_err(|error| PinError::CertificateRejected { reason: error.to_string() })?;
        Ok(Trust { chain, own })
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, PinError> {
    let failed = |reason: String| PinError::CaFile { path: path.to_owned(), reason };
    let pem = file::read(path, file::LONGEST).map_err(|error| failed(error.to_string()))?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let found = read.map_err(|error| failed(error.to_string()))?;
    if found.is_empty() { Err(failed("it holds no PEM certificate".into())) } else { Ok(found) }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        server: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(trust) = &self.trust else { return Ok(ServerCertVerified::assertion()) };
        match trust.chain.verify_server_cert(server, intermediates, name, ocsp, now) {
            // The name is looked at last: the chain was found good.
            Err(rustls::Error::InvalidCertificate(reason)) if !self.check_name && is_about_the_name(&reason) => {
                Ok(ServerCertVerified::assertion())
            }
            // A self-signed server certificate, as the PostgreSQL documentation makes one (19.9.5), is its own CA.
            // webpki objects to that after it checked the dates; given as the CA file, it is exactly what the user
            // trusts.
            Err(error) if is_ca_used_as_server(&error) && trust.own.iter().any(|own| own == server) => {
                if self.check_name {
                    let certificate = rustls::server::ParsedCertificate::try_from(server)?;
                    rustls::client::verify_server_name(&certificate, name)?;
                }
                Ok(ServerCertVerified::assertion())
            }
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn is_about_the_name(reason: &CertificateError) -> bool {
    matches!(reason, CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. })
}

fn is_ca_used_as_server(error: &rustls::Error) -> bool {
    let rustls::Error::InvalidCertificate(CertificateError::Other(other)) = error else { return false };
    matches!(other.0.downcast_ref::<webpki::Error>(), Some(webpki::Error::CaUsedAsEndEntity))
}

/// The `tls-server-end-point` channel binding of a connection (RFC 5929, section 4): the digest of the server's
/// certificate, by the hash of its signature but at least SHA-256. `None` where the RFC defines none (Ed25519,
/// RSA-PSS).
pub fn channel_binding(stream: &TlsStream<TcpStream>) -> Option<Vec<u8>> {
    let certificate = stream.get_ref().1.peer_certificates()?.first()?;
    match signature_algorithm(certificate)? {
        // sha1WithRSA, sha256WithRSA, ecdsa-with-SHA256
        RSA_SHA1 | RSA_SHA256 | ECDSA_SHA256 => Some(Sha256::digest(certificate).to_vec()),
        RSA_SHA384 | ECDSA_SHA384 => Some(Sha384::digest(certificate).to_vec()),
        RSA_SHA512 | ECDSA_SHA512 => Some(Sha512::digest(certificate).to_vec()),
        _ => None,
    }
}

// Object identifiers of RFC 8017 (1.2.840.113549.1.1.*) and RFC 5758 (1.2.840.10045.4.3.*), as DER holds them.
const RSA_SHA1: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 5];
const RSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11];
const RSA_SHA384: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 12];
const RSA_SHA512: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 13];
const ECDSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
const ECDSA_SHA384: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3];
const ECDSA_SHA512: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 4];

/// The object identifier of a certificate's signature: `SEQUENCE { tbsCertificate, SEQUENCE { OID, … }, … }` (RFC
/// 5280, 4.1).
fn signature_algorithm(certificate: &[u8]) -> Option<&[u8]> {
    let (certificate, _) = element(certificate)?;
    let (_, after_tbs) = element(certificate)?;
    let (algorithm, _) = element(after_tbs)?;
    element(algorithm).map(|(oid, _)| oid)
}

/// Splits one DER element into its content and what follows it.
fn element(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_tag, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match usize::from(*first) {
        short @ 0..=0x7f => (short, rest),
        long => {
            let (bytes, rest) = rest.split_at_checked(long & 0x7f)?;
            if bytes.len() > 4 {
                return None;
            }
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificates_signature_algorithm_is_found() {
        for (algorithm, oid) in
            [(&rcgen::PKCS_ECDSA_P256_SHA256, ECDSA_SHA256), (&rcgen::PKCS_ECDSA_P384_SHA384, ECDSA_SHA384)]
        {
            let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
            let certificate = rcgen::CertificateParams::new(["db.test".into()]).unwrap().self_signed(&key).unwrap();
            assert_eq!(signature_algorithm(certificate.der()), Some(oid));
        }
    }

    #[test]
    fn broken_der_is_no_panic() {
        for der in [&b""[..], &[0x30], &[0x30, 0x84, 1], &[0x30, 0xff], &[0x30, 2, 0x30, 0x7f]] {
            assert_eq!(signature_algorithm(der), None);
        }
    }

    #[test]
    fn a_ca_file_without_certificates_is_refused() {
        let host = Host::Name("db.test".into());
        let missing = Tls::new(SslMode::VerifyFull, &host, Some(Path::new("no-such-file.pem")));
        assert!(matches!(missing, Err(PinError::CaFile { .. })));
        let not_pem = Tls::new(SslMode::VerifyFull, &host, Some(Path::new(file!()).file_name().unwrap().as_ref()));
        assert!(matches!(not_pem, Err(PinError::CaFile { .. })));
    }
}
