//! `sslmode` against a real server, with certificates made on the spot.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use crate::dsn::{Dsn, Host, SslMode};
use crate::tests::{PASSWORD, dsn, open, options};
use crate::{Pin, PinError};

/// Writes `ca.crt`, `other-ca.crt`, and a server certificate for the name `localhost` alone. The key must be its
/// owner's only.
pub fn write_certificates(dir: &Path) {
    let (ca, ca_key) = authority();
    let server_key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(["localhost".into()]).unwrap();
    let server = server.signed_by(&server_key, &Issuer::from_params(&ca, &ca_key)).unwrap();
    write_pem(&dir.join("ca.crt"), &ca.self_signed(&ca_key).unwrap().pem());
    let (other, other_key) = authority();
    write_pem(&dir.join("other-ca.crt"), &other.self_signed(&other_key).unwrap().pem());
    write_pem(&dir.join("server.crt"), &server.pem());
    write_pem(&dir.join("server.key"), &server_key.serialize_pem());
}

/// A CA; self-signed, it is also what `openssl req -x509` makes for a server.
pub fn authority() -> (CertificateParams, KeyPair) {
    let mut ca = CertificateParams::new(["localhost".into()]).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    (ca, KeyPair::generate().unwrap())
}

pub fn write_pem(path: &Path, pem: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, pem).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

fn certificate(name: &str) -> PathBuf {
    crate::tests::server::shared().dir.join("data").join(name)
}

fn over_tls(mode: SslMode, host: Host) -> Dsn {
    Dsn { sslmode: mode, host, ..dsn("app_tls") }
}

fn by_name() -> Host {
    Host::Name("localhost".into())
}

fn by_address() -> Host {
    Host::Ip("127.0.0.1".parse().unwrap())
}

fn with_ca(dsn: &Dsn, ca: &str) -> Result<Pin, PinError> {
    Pin::open(dsn, crate::tests::Options { ca_file: Some(certificate(ca)), ..options() })
}

#[test]
fn modes_that_may_encrypt_reach_a_server_that_wants_it() {
    for mode in [SslMode::Allow, SslMode::Prefer, SslMode::Require] {
        let pin = open(&over_tls(mode, by_address())).unwrap();
        let lease = pin.token("test");
        let mut client = crate::tests::client(&lease.url());
        let row = client.query_one("select ssl from pg_stat_ssl where pid = pg_backend_pid()", &[]).unwrap();
        assert!(row.get::<_, bool>(0), "{mode:?}");
    }
}

/// Whoever stands between may ask for the password in another way, or for none.
#[test]
fn a_login_that_has_to_be_bound_to_the_session_is_made_in_no_other_way() {
    let bound = |user: &str| {
        let parameters = [("channel_binding".to_owned(), "require".to_owned())].into();
        Dsn { user: user.into(), parameters, ..over_tls(SslMode::Require, by_name()) }
    };
    let pin = open(&bound("app_tls")).unwrap();
    let lease = pin.token("test");
    assert!(crate::tests::client(&lease.url()).query_one("select 1", &[]).is_ok());
    for user in ["app_md5", "app_clear", "app_trust"] {
        assert!(open(&Dsn { parameters: [].into(), ..bound(user) }).is_ok(), "{user}");
        assert!(matches!(open(&bound(user)), Err(PinError::BindingMissing)), "{user}");
    }
    let plain = Dsn { sslmode: SslMode::Disable, ..bound("app") };
    assert!(matches!(open(&plain), Err(PinError::BindingMissing)));
}

#[test]
fn modes_that_may_not_encrypt_reach_a_server_that_forbids_it() {
    for mode in [SslMode::Disable, SslMode::Allow, SslMode::Prefer] {
        let pin = open(&Dsn { sslmode: mode, ..dsn("app_plain") }).unwrap();
        let lease = pin.token("test");
        let mut client = crate::tests::client(&lease.url());
        let row = client.query_one("select ssl from pg_stat_ssl where pid = pg_backend_pid()", &[]).unwrap();
        assert!(!row.get::<_, bool>(0), "{mode:?}");
    }
    let require = open(&Dsn { sslmode: SslMode::Require, ..dsn("app_plain") });
    assert!(matches!(require, Err(PinError::RoleDenied { .. })), "{:?}", require.err());
}

#[test]
fn disable_is_refused_by_a_server_that_wants_tls() {
    let refused = open(&over_tls(SslMode::Disable, by_address()));
    assert!(matches!(refused, Err(PinError::TlsRequiredByServer { .. })), "{:?}", refused.err());
}

#[test]
fn the_right_ca_and_the_right_name_are_accepted() {
    with_ca(&over_tls(SslMode::VerifyFull, by_name()), "ca.crt").unwrap();
}

#[test]
fn verify_full_refuses_another_name_and_verify_ca_does_not_look_at_it() {
    let refused = with_ca(&over_tls(SslMode::VerifyFull, by_address()), "ca.crt");
    assert!(matches!(refused, Err(PinError::CertificateRejected { .. })), "{:?}", refused.err());
    with_ca(&over_tls(SslMode::VerifyCa, by_address()), "ca.crt").unwrap();
}

#[test]
fn another_ca_is_refused_by_every_mode_that_verifies() {
    for mode in [SslMode::VerifyFull, SslMode::VerifyCa, SslMode::Require] {
        let refused = with_ca(&over_tls(mode, by_name()), "other-ca.crt");
        assert!(matches!(refused, Err(PinError::CertificateRejected { .. })), "{mode:?} {:?}", refused.err());
    }
}

#[test]
fn the_systems_roots_do_not_vouch_for_a_private_ca() {
    let refused = open(&over_tls(SslMode::VerifyFull, by_name()));
    assert!(matches!(refused, Err(PinError::CertificateRejected { .. })), "{:?}", refused.err());
}

#[test]
fn a_self_signed_server_certificate_given_as_ca_file_is_trusted_for_its_name_alone() {
    let (params, key) = authority();
    let settings = ["ssl=on", "ssl_cert_file='own.crt'", "ssl_key_file='own.key'"];
    let server = crate::tests::Server::prepare("self-signed", "", &settings, |data| {
        write_pem(&data.join("own.crt"), &params.self_signed(&key).unwrap().pem());
        write_pem(&data.join("own.key"), &key.serialize_pem());
    });
    let target = |host| Dsn {
        sslmode: SslMode::VerifyFull,
        host,
        port: server.port,
        database: "postgres".into(),
        password: Some(redact::Secret::new(crate::tests::server::SUPERUSER_PASSWORD)),
        ..dsn("postgres")
    };
    let with = |host| {
        let ca_file = Some(server.dir.join("data/own.crt"));
        Pin::open(&target(host), crate::tests::Options { ca_file, ..options() })
    };
    with(by_name()).unwrap();
    let refused = with(by_address());
    assert!(matches!(refused, Err(PinError::CertificateRejected { .. })), "{:?}", refused.err());
    assert_ne!(PASSWORD, crate::tests::server::SUPERUSER_PASSWORD);
}
