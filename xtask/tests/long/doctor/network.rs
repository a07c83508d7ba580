//! Causes between this machine and the server.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::fd::AsFd;

use super::patient::{Patient, Row};
use crate::project::DRILL_TOML;
use crate::server::free_port;

/// A URL with another port.
fn at_port(patient: &Patient, port: u16) -> String {
    patient.url().replace(&format!(":{}/", patient.database.port), &format!(":{port}/"))
}

/// The env file is corrected as the fix says, which the test knows how.
fn corrects(words: &'static str) -> impl Fn(&mut Patient, &Row) {
    move |patient, row| {
        assert!(row.hint.contains(words), "{row:?}");
        patient.project.drill_toml(DRILL_TOML);
        patient.env_file(&patient.url());
    }
}

/// Fault injection: says `greeting` to who connects, hears something, and says `answer`.
fn server(greeting: &'static [u8], answer: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            let _ = client.write_all(greeting);
            if client.read(&mut [0; 4096]).is_ok() {
                let _ = client.write_all(answer);
            }
        }
    });
    port
}

/// A refusal as a server sends it.
fn refusal(sqlstate: &str, message: &str) -> Vec<u8> {
    let fields = format!("SFATAL\0VFATAL\0C{sqlstate}\0M{message}\0\0");
    [b"E", &u32::try_from(fields.len() + 4).unwrap().to_be_bytes()[..], fields.as_bytes()].concat()
}

#[test]
fn of_the_way_to_the_server() {
    let mut patient = Patient::new("network");
    let with = |patient: &Patient, more: &str| format!("{}?{more}", patient.url());
    patient.case(
        "host-unresolved",
        |patient| {
            patient.project.drill_toml(&DRILL_TOML.replace("127.0.0.1", "*.staging.invalid"));
            patient.env_file("postgresql://app:pw-1234567@db.staging.invalid:5432/a_test");
        },
        corrects("correct the host in `DATABASE_URL` of `.env.staging`"),
    );
    let free = free_port("127.0.0.1");
    patient.case("port-refused", |patient| patient.env_file(&at_port(patient, free)), corrects("correct port"));
    let http = server(b"", b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    patient.case(
        "not-postgres",
        |patient| patient.env_file(&at_port(patient, http)),
        corrects("correct host and port"),
    );
    let ssh = server(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", b"");
    patient.case("not-postgres", |patient| patient.env_file(&at_port(patient, ssh)), corrects("correct host and port"));
    let hangs = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = hangs.local_addr().unwrap().port();
    patient.case("server-hangs", |patient| patient.env_file(&at_port(patient, port)), corrects("still works"));
    let full = Full::new();
    patient.case(
        "port-silent",
        |patient| patient.env_file(&at_port(patient, full.port)),
        corrects("a VPN or an allow-list"),
    );
    patient.case(
        "tls-not-offered",
        |patient| patient.env_file(&with(patient, "sslmode=require")),
        |patient, row| {
            assert!(row.hint.starts_with("set `sslmode=disable` in `DATABASE_URL`"), "{row:?}");
            patient.env_file(&format!("{}?sslmode=disable", patient.url()));
        },
    );
    patient.case(
        "ca-file-unreadable",
        |patient| {
            patient.project.drill_toml(&format!("{DRILL_TOML}ca_file = \"no.pem\"\n"));
            patient.env_file(&with(patient, "sslmode=verify-full"));
        },
        corrects("a file of PEM certificates"),
    );
    insta::assert_snapshot!(patient.said);
}

#[test]
fn of_servers_that_say_no() {
    let mut patient = Patient::new("no");
    let with = |patient: &Patient, more: &str| format!("{}?{more}", patient.url());
    let plain: &[u8] =
        refusal("28000", "no pg_hba.conf entry for host \"127.0.0.1\", user \"u\", no encryption").leak();
    let hostssl = server(b"", plain);
    patient.case(
        "tls-required",
        |patient| patient.env_file(&format!("{}?sslmode=disable", at_port(patient, hostssl))),
        corrects("sslmode=require"),
    );
    let pooler = server(b"", refusal("XX000", "Tenant or user not found").leak());
    patient.case(
        "tenant-not-found",
        |patient| patient.env_file(&format!("{}?sslmode=disable", at_port(patient, pooler))),
        corrects("postgres.<ref>"),
    );
    let hangs_up = server(b"", b"");
    patient.case(
        "connection-lost",
        |patient| patient.env_file(&format!("{}?sslmode=disable", at_port(patient, hangs_up))),
        |patient, row| {
            assert!(row.command.as_deref().is_some_and(|command| command.starts_with("cargo xtask doctor")), "{row:?}");
            patient.env_file(&patient.url());
        },
    );
    let kerberos = server(b"", b"R\0\0\0\x08\0\0\0\x07");
    patient.case(
        "login-unsupported",
        |patient| patient.env_file(&format!("{}?sslmode=disable", at_port(patient, kerberos))),
        corrects("scram-sha-256"),
    );
    patient.case(
        "pooler-transaction-mode",
        |patient| patient.env_file(&with(patient, "pgbouncer=true")),
        corrects("without `pgbouncer=true`"),
    );
    insta::assert_snapshot!(patient.said);
}

/// Fault injection: a name server that says that there is no such name, or nothing. Only root may listen on its port.
#[test]
fn of_a_name_that_nobody_knows_or_answers_for() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let patient = Patient::new("dns");
    patient.project.drill_toml(&DRILL_TOML.replace("127.0.0.1", "*.staging.hotdash.app"));
    patient.env_file("postgresql://app:pw-1234567@db.staging.hotdash.app:5432/a_test");
    for (address, answers) in [("127.0.0.9", true), ("127.0.0.10", false)] {
        let stub = std::net::UdpSocket::bind((address, 53)).unwrap();
        std::thread::spawn(move || {
            let mut question = [0; 512];
            while let Ok((length, from)) = stub.recv_from(&mut question) {
                if answers {
                    // NXDOMAIN: the question, as an answer (RFC 1035, 4.1.1).
                    (question[2], question[3]) = (0x81, 0x83);
                    let _ = stub.send_to(&question[..length], from);
                }
            }
        });
        patient.project.write("resolv.conf", &format!("nameserver {address}\n"));
        let inner = patient.project.command(&["doctor", "--json"]);
        let mut command = std::process::Command::new("unshare");
        command.args(["--mount", "sh", "-c", r#"mount --bind "$0" /etc/resolv.conf && exec "$@""#]);
        command.arg(patient.project.path("resolv.conf")).arg(inner.get_program()).args(inner.get_args());
        command.current_dir(patient.project.path("")).env_clear();
        command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let begun = std::time::Instant::now();
        let json = crate::project::Project::answer(&mut command).expect(4).json();
        assert!(begun.elapsed() < std::time::Duration::from_millis(5_500), "{:?}", begun.elapsed());
        let failed: Vec<_> = json["checks"].as_array().unwrap().iter().filter(|row| row["status"] == "fail").collect();
        let named: Vec<_> = failed.iter().map(|row| row["cause"].as_str().unwrap()).collect();
        assert_eq!(named, ["host-unresolved"], "{json:#}");
        let said = failed[0]["message"].as_str().unwrap();
        assert_eq!(said.contains("did not answer in time"), !answers, "{said}");
    }
}

#[test]
fn of_the_login() {
    let mut patient = Patient::new("login");
    let (url, user) = (patient.url(), patient.database.user.clone());
    let password = crate::server::PASSWORD_IN_URL;
    patient.case(
        "wrong-password",
        |patient| patient.env_file(&url.replace(password, "another-Secret-1")),
        corrects("percent-encoded"),
    );
    patient.case(
        "password-missing",
        |patient| patient.env_file(&url.replace(&format!(":{password}"), "")),
        corrects("`user:password@`"),
    );
    let name = patient.database.name.clone();
    patient.case(
        "database-missing",
        |patient| patient.env_file(&format!("{}nothing_test", url.strip_suffix(&name).unwrap())),
        corrects("the drill never creates one"),
    );
    patient.case(
        "role-denied",
        |patient| patient.sql(&format!("alter role {user} nologin")),
        |patient, row| {
            let statement = format!("alter role {user} login");
            assert!(row.hint.contains(&statement), "{row:?}");
            patient.sql(&statement);
        },
    );
    insta::assert_snapshot!(patient.said);
}

/// A pooler in transaction mode is known by its address: nothing is dialled.
#[test]
fn of_a_pooler() {
    let patient = Patient::new("pooler");
    let policy = DRILL_TOML.replace("allow_databases", "allow_projects = [\"stagingrefabcdefghij\"]\nallow_databases");
    patient.project.drill_toml(&policy);
    let host = "aws-0-eu-west-1.pooler.supabase.com";
    patient.env_file(&format!("postgresql://postgres.stagingrefabcdefghij:pw-1234567@{host}:6543/postgres"));
    let rows = patient.ails();
    let named: Vec<&str> = rows.iter().map(|row| row.cause.as_str()).collect();
    assert_eq!(named, ["pooler-transaction-mode"], "{rows:#?}");
    assert!(
        rows[0].hint.starts_with("in `DATABASE_URL` of `.env.staging`, name port 5432 of the same host"),
        "{rows:?}"
    );
    patient.env_file(&format!("postgresql://postgres.stagingrefabcdefghij:pw-1234567@{host}:5432/postgres"));
    assert!(patient.ails().iter().all(|row| row.cause != "pooler-transaction-mode"));
}

/// In a network of its own, without a route, where `/etc/hosts` stands in for DNS: a host with IPv6 addresses alone.
#[test]
fn of_a_host_with_ipv6_alone() {
    let patient = Patient::new("six");
    let policy = DRILL_TOML.replace("allow_databases", "allow_projects = [\"stagingrefabcdefghij\"]\nallow_databases");
    patient.project.drill_toml(&policy);
    patient.env_file("postgresql://postgres:pw-1234567@db.stagingrefabcdefghij.supabase.co:5432/postgres");
    patient.project.write("hosts", "2001:db8::1 db.stagingrefabcdefghij.supabase.co\n");
    let inner = patient.project.command(&["doctor", "--json"]);
    let mut command = std::process::Command::new("unshare");
    let mount = r#"mount --bind "$0" /etc/hosts && exec "$@""#;
    command.args(["--user", "--map-root-user", "--mount", "--net", "sh", "-c", mount]);
    command.arg(patient.project.path("hosts")).arg(inner.get_program()).args(inner.get_args());
    command.current_dir(patient.project.path("")).env_clear();
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let json = crate::project::Project::answer(&mut command).expect(4).json();
    let failed: Vec<_> = json["checks"].as_array().unwrap().iter().filter(|row| row["status"] == "fail").collect();
    assert_eq!(failed.len(), 1, "{json:#}");
    assert_eq!(failed[0]["cause"], "ipv6-only");
    let fix = failed[0]["hint"].as_str().unwrap();
    assert!(
        fix.contains("user `postgres.stagingrefabcdefghij`, host `aws-<n>-<region>.pooler.supabase.com`, port 5432"),
        "{fix}"
    );
}

/// A port whose queue of connections is full: requests to connect are not answered.
struct Full {
    port: u16,
    _kept: Vec<rustix::fd::OwnedFd>,
}

impl Full {
    fn new() -> Full {
        use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, listen, socket_with};
        let any: std::net::SocketAddrV4 = "127.0.0.1:0".parse().unwrap();
        let open = || socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::NONBLOCK, None).unwrap();
        let listener = open();
        bind(&listener, &any).unwrap();
        listen(&listener, 0).unwrap();
        let address = rustix::net::getsockname(listener.as_fd()).unwrap();
        let address = std::net::SocketAddr::try_from(address).unwrap();
        let waiting = (0..4).map(|_| {
            let client = open();
            let _ = connect(&client, &address);
            client
        });
        let kept: Vec<_> = waiting.collect();
        Full { port: address.port(), _kept: kept.into_iter().chain([listener]).collect() }
    }
}
