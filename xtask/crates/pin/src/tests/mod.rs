//! The pin against real servers and with real clients.

#![allow(clippy::disallowed_methods, reason = "these tests are the clients and the children that the pin is for")]

mod children;
mod interposer;
mod server;
mod silence;
mod tls;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use postgres::{Client, NoTls};
use server::{Server, shared};

use crate::dsn::{Dsn, Host, SslMode};
use crate::pinned_url::Use;
use crate::{Options, Pin, PinError, Urgency};
use redact::Secret;

/// Of every role of the shared server.
const PASSWORD: &str = "real-Secret-7fa1";

fn dsn(user: &str) -> Dsn {
    Dsn {
        user: user.into(),
        password: Some(Secret::new(PASSWORD)),
        host: Host::Ip(Ipv4Addr::LOCALHOST.into()),
        port: shared().port,
        database: "shop_staging".into(),
        sslmode: SslMode::Disable,
        schema: "public".into(),
        parameters: BTreeMap::new(),
    }
}

fn options() -> Options {
    let (connect_timeout, silence) = (Duration::from_secs(30), Duration::from_secs(60));
    Options { ca_file: None, connect_timeout, elsewhere: Vec::new(), silence, urgency: Urgency::default() }
}

fn open(dsn: &Dsn) -> Result<Pin, PinError> {
    Pin::open(dsn, options())
}

fn pin() -> Pin {
    open(&dsn("app")).unwrap()
}

/// libpq-style drivers know no `schema`, so the query of the URL is cut off.
fn try_client(url: &Secret) -> Result<Client, postgres::Error> {
    Client::connect(url.expose().split('?').next().unwrap(), NoTls)
}

fn client(url: &Secret) -> Client {
    try_client(url).unwrap()
}

/// What a refused client is told: SQLSTATE and message.
fn refusal(result: Result<Client, postgres::Error>) -> (String, String) {
    let error = result.err().expect("it was let in");
    let error = error.as_db_error().unwrap_or_else(|| panic!("no Postgres error: {error}"));
    (error.code().code().to_owned(), error.message().to_owned())
}

/// Asks `admin` until `sql` is true.
fn wait_until(admin: &mut Client, sql: &str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !admin.query_one(sql, &[]).unwrap().get::<_, bool>(0) {
        assert!(Instant::now() < deadline, "never true: {sql}");
        std::thread::yield_now();
    }
}

#[test]
fn every_kind_of_password_login_works() {
    for role in ["app", "app_md5", "app_clear", "app_trust"] {
        let pin = open(&dsn(role)).unwrap();
        let lease = pin.token("test");
        let row = client(&lease.url()).query_one("select current_user::text", &[]).unwrap();
        assert_eq!(row.get::<_, String>(0), role);
    }
}

#[test]
fn who_comes_before_its_turn_waits_at_the_pin_and_the_server_hears_nothing() {
    let pin = pin();
    let lease = pin.token("early");
    let hold = lease.hold();
    let (url, other) = (lease.url(), pin.token("other"));
    let early = std::thread::spawn(move || try_client(&url).map(|mut client| client.execute("select 1", &[])));
    let seen = "select count(*) from pg_stat_activity where application_name = 'staging drill: early'";
    let mut watch = client(&other.url());
    for _ in 0..20 {
        assert_eq!(watch.query_one(seen, &[]).unwrap().get::<_, i64>(0), 0);
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(!early.is_finished() && !pin.backends().iter().any(|backend| backend.purpose == "early"));
    drop(hold);
    early.join().unwrap().unwrap().unwrap();
    let lease = pin.token("never");
    let (hold, url) = (lease.hold(), lease.url());
    let never = std::thread::spawn(move || try_client(&url).is_err());
    std::thread::sleep(Duration::from_millis(50));
    drop(lease);
    assert!(never.join().unwrap(), "its lease is gone");
    drop(hold);
    assert!(!pin.backends().iter().any(|backend| backend.purpose == "never"));
}

#[test]
fn the_causes_of_a_failed_login_are_told_apart() {
    let failed = |dsn: Dsn| open(&dsn).err().expect("it worked");
    let wrong = Some(Secret::new("wrong-Secret"));
    assert!(matches!(failed(Dsn { password: wrong, ..dsn("app") }), PinError::PasswordRejected { .. }));
    assert!(matches!(failed(Dsn { password: None, ..dsn("app") }), PinError::PasswordMissing));
    assert!(matches!(failed(Dsn { database: "nope_staging".into(), ..dsn("app") }), PinError::DatabaseMissing { .. }));
    assert!(matches!(failed(dsn("app_nologin")), PinError::RoleDenied { .. }));
    assert!(matches!(failed(Dsn { port: server::free_port(), ..dsn("app") }), PinError::Refused { .. }));
    let host = Host::Name("nowhere.invalid".into());
    assert!(matches!(failed(Dsn { host, ..dsn("app") }), PinError::Unresolvable { .. }));
}

#[test]
fn a_server_with_another_name_that_must_lead_elsewhere_is_not_dialled() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let target = Dsn { port: listener.local_addr().unwrap().port(), ..dsn("app") };
    let elsewhere = ["nowhere.invalid", "localhost"].map(String::from).to_vec();
    let refused = Pin::open(&target, Options { elsewhere, ..options() }).err().unwrap();
    assert_eq!(refused.to_string(), "`localhost` leads to 127.0.0.1 as well, and must not");
    assert!(listener.accept().is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock));
    Pin::open(&dsn("app"), Options { elsewhere: vec!["nowhere.invalid".into()], ..options() }).unwrap();
}

#[test]
fn a_server_without_a_place_left_is_named_as_such() {
    shared().admin().batch_execute("CREATE ROLE app_one LOGIN PASSWORD 'one-Secret' CONNECTION LIMIT 1").unwrap();
    let target = Dsn { password: Some(Secret::new("one-Secret")), ..dsn("app_one") };
    let pin = open(&target).unwrap();
    let lease = pin.token("test");
    let _only = client(&lease.url());
    assert!(matches!(open(&target), Err(PinError::TooManyConnections { .. })));
    assert_eq!(refusal(try_client(&lease.url())).0, "53300", "the child sees the server's own error");
}

#[test]
fn a_server_that_says_nothing_times_out() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = Dsn { port: silent.local_addr().unwrap().port(), ..dsn("app") };
    let impatient = Options { connect_timeout: Duration::from_millis(200), ..options() };
    assert!(matches!(Pin::open(&target, impatient), Err(PinError::TimedOut { .. })));
}

/// Fault injection: what else may stand on a port, each as its first words are.
#[test]
fn what_answers_and_is_no_postgres_is_named_by_its_words() {
    use std::io::{Read, Write};
    let cases: [(&str, &str, &str); 5] = [
        ("", "HTTP/1.1 400 Bad Request\r\nServer: nginx\r\n\r\n", "HTTP/1.1 400 Bad Request"),
        ("SSH-2.0-OpenSSH_9.2p1\r\n", "", "SSH-2.0-OpenSSH_9.2p1"),
        ("J\0\0\0\n8.0.39\0", "", "8.0.39"),
        ("", "-ERR unknown command\r\n", "-ERR unknown command"),
        ("", "", ""),
    ];
    for (greeting, answer, named) in cases {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let mut client = client.unwrap();
                let _ = client.write_all(greeting.as_bytes());
                if client.read(&mut [0; 1024]).is_ok() {
                    let _ = client.write_all(answer.as_bytes());
                }
            }
        });
        for sslmode in [SslMode::Disable, SslMode::Prefer, SslMode::Require] {
            let impatient = Options { connect_timeout: Duration::from_millis(800), ..options() };
            let error = Pin::open(&Dsn { port, sslmode, ..dsn("app") }, impatient).err().unwrap();
            match &error {
                PinError::NotPostgres { said, .. } => assert_eq!(said, named, "{sslmode:?}"),
                error => assert_eq!(named, "", "{sslmode:?}: {error}"),
            }
        }
    }
}

/// Fault injection: servers that let a client in and then talk, each in another kind of message.
#[test]
fn a_server_that_talks_without_end_is_cut() {
    use std::io::{Read, Write};
    let frame =
        |tag: u8, body: &[u8]| [&[tag][..], &u32::try_from(body.len() + 4).unwrap().to_be_bytes(), body].concat();
    let notice = |text: &str| frame(b'N', format!("SNOTICE\0C00000\0M{text}\0\0").as_bytes());
    let admitted = frame(b'R', &[0; 4]);
    let ready = frame(b'Z', b"I");
    let asked = [admitted.clone(), ready].concat();
    for (name, begin, again) in [
        ("short notices", vec![], notice("x")),
        ("long notices", vec![], notice(&"x".repeat(100_000))),
        ("parameters", admitted.clone(), frame(b'S', b"a\0b\0")),
        ("admissions", vec![], admitted),
        ("rows", asked.clone(), frame(b'D', &[0, 1, 255, 255, 255, 255])),
        ("notices for an answer", asked, notice("x")),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let mut client = listener.accept().unwrap().0;
            let _ = client.read(&mut [0; 1024]);
            let mut sent = client.write_all(&begin);
            while sent.is_ok() {
                sent = client.write_all(&again);
            }
        });
        let begun = Instant::now();
        let refused = open(&Dsn { port, ..dsn("app") }).err().expect("it was believed").to_string();
        assert!(begun.elapsed() < Duration::from_secs(10), "{name}");
        server.join().unwrap();
        let expected = match name {
            "rows" => "connection to the server lost: an answer to the identity query that cannot be read",
            _ => "connection to the server lost: the server does not stop talking before it is asked anything",
        };
        assert_eq!(refused, expected, "{name}");
    }
}

#[test]
fn tls_that_is_not_offered_is_named_as_such() {
    let server = Server::start("no-tls", "", &[]);
    let target = Dsn {
        password: Some(Secret::new(server::SUPERUSER_PASSWORD)),
        port: server.port,
        database: "postgres".into(),
        sslmode: SslMode::Require,
        ..dsn("postgres")
    };
    assert!(matches!(open(&target), Err(PinError::TlsRequiredButNotOffered)));
    open(&Dsn { sslmode: SslMode::Prefer, ..target }).unwrap();
}

#[test]
fn without_the_right_token_nobody_comes_in() {
    let pin = pin();
    let lease = pin.token("test");
    let url =
        |password: &str| Secret::new(format!("postgresql://app:{password}@127.0.0.1:{}/shop_staging", lease.port()));
    let token = lease.password().expose().to_owned();
    client(&url(&token));
    for wrong in ["x", &token[1..], &token.to_lowercase(), &format!("{token}A"), PASSWORD] {
        assert_eq!(refusal(try_client(&url(wrong))).0, "28P01");
    }
}

#[test]
fn tokens_are_fresh_and_long_enough() {
    let pin = pin();
    let (one, other) = (pin.token("test").password(), pin.token("test").password());
    assert_ne!(one.expose(), other.expose());
    assert_eq!(one.expose().len(), 32, "24 bytes in base64");
}

#[test]
fn another_database_or_user_is_refused_by_name() {
    let pin = pin();
    let lease = pin.token("test");
    let token = lease.password();
    let url =
        |place: &str| Secret::new(place.replace("TOKEN", token.expose()).replace("PORT", &lease.port().to_string()));
    for other in ["shop", "postgres", "template1", "shop_shadow", "SHOP_STAGING", "app"] {
        let (sqlstate, message) = refusal(try_client(&url(&format!("postgresql://app:TOKEN@127.0.0.1:PORT/{other}"))));
        assert_eq!(sqlstate, "28000");
        assert_eq!(message, format!("this run is pinned to database \"shop_staging\", not \"{other}\""));
    }
    let (sqlstate, message) = refusal(try_client(&url("postgresql://postgres:TOKEN@127.0.0.1:PORT/shop_staging")));
    assert_eq!(
        (sqlstate.as_str(), message.as_str()),
        ("28000", "this run is pinned to user \"app\", not \"postgres\"")
    );
}

#[test]
fn the_shadow_database_opens_for_its_own_lease_alone() {
    let pin = pin();
    let (with, without) = (pin.token("with"), pin.token("without"));
    with.allow_database("shop_shadow");
    let row = client(&with.url_of("shop_shadow")).query_one("select current_database()::text", &[]).unwrap();
    assert_eq!(row.get::<_, String>(0), "shop_shadow");
    assert_eq!(refusal(try_client(&without.url_of("shop_shadow"))).0, "28000");
}

#[test]
fn options_are_refused_and_limits_pass() {
    let pin = pin();
    let lease = pin.token("test");
    let with = |options: &str| {
        let mut config: postgres::Config = lease.url().expose().split('?').next().unwrap().parse().unwrap();
        config.options(options).connect(NoTls)
    };
    let (sqlstate, message) = refusal(with("-c search_path=evil"));
    assert_eq!(sqlstate, "28000");
    assert!(message.contains("\"options\""), "{message}");
    with("").unwrap();
}

#[test]
fn a_session_is_named_after_its_lease_and_its_backend_is_known() {
    let pin = pin();
    let lease = pin.token("prisma migrate deploy");
    let mut client = client(&lease.url());
    let row = client
        .query_one("select pid, application_name from pg_stat_activity where pid = pg_backend_pid()", &[])
        .unwrap();
    assert_eq!(row.get::<_, String>(1), "staging drill: prisma migrate deploy");
    let backends = pin.backends();
    assert_eq!(backends.len(), 1);
    assert_eq!((backends[0].pid, backends[0].connected), (row.get::<_, i32>(0), true));
    assert_eq!(backends[0].purpose, "prisma migrate deploy");
}

#[test]
fn a_cancel_request_cancels_what_the_server_does_with_and_without_tls() {
    for target in [dsn("app"), Dsn { sslmode: SslMode::Require, ..dsn("app_tls") }] {
        let pin = open(&target).unwrap();
        let lease = pin.token("test");
        let mut client = client(&lease.url());
        let cancel = client.cancel_token();
        let pid = pin.backends()[0].pid;
        let asleep = std::thread::spawn(move || client.batch_execute("select pg_sleep(60)"));
        let sleeps =
            format!("select exists (select from pg_stat_activity where wait_event = 'PgSleep' and pid = {pid})");
        wait_until(&mut shared().admin(), &sleeps);
        cancel.cancel_query(NoTls).unwrap();
        let error = asleep.join().unwrap().unwrap_err();
        assert_eq!(error.code().unwrap().code(), "57014");
    }
}

#[test]
fn the_urls_of_a_lease_are_what_the_interposer_expects() {
    let parameters = BTreeMap::from([("connection_limit".into(), "1".into()), ("sslrootcert".into(), "/x".into())]);
    let pin = open(&Dsn { schema: "app".into(), parameters, ..dsn("app") }).unwrap();
    let lease = pin.token("prisma");
    let expected = lease.expected(Some("shop_shadow"));
    assert_eq!(expected.admit(lease.url().expose(), Use::Target), Ok(()));
    assert_eq!(expected.admit(lease.url_of("shop_shadow").expose(), Use::Shadow), Ok(()));
    assert!(lease.url().expose().ends_with("/shop_staging?sslmode=disable&schema=app&connection_limit=1"));
}

#[test]
fn twenty_connections_at_once_are_served() {
    let pin = pin();
    let lease = pin.token("test");
    let clients: Vec<Client> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..20).map(|_| scope.spawn(|| client(&lease.url()))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(pin.backends().iter().filter(|backend| backend.connected).count(), 20);
    for mut client in clients {
        client.batch_execute("select 1").unwrap();
    }
}

#[test]
fn a_dropped_lease_closes_its_connections_and_no_others() {
    let pin = pin();
    let (going, staying) = (pin.token("going"), pin.token("staying"));
    let mut gone = client(&going.url());
    let mut stays = client(&staying.url());
    let url = going.url();
    let pid = pin.backends()[0].pid;
    drop(going);
    wait_until(&mut shared().admin(), &format!("select not exists (select from pg_stat_activity where pid = {pid})"));
    assert!(gone.batch_execute("select 1").is_err());
    stays.batch_execute("select 1").unwrap();
    assert_eq!(refusal(try_client(&url)).0, "28P01");
}

#[test]
fn a_dropped_pin_closes_everything() {
    let pin = pin();
    let lease = pin.token("test");
    let mut client = client(&lease.url());
    let url = lease.url();
    drop(pin);
    assert!(client.batch_execute("select 1").is_err());
    assert!(try_client(&url).is_err());
}

#[test]
fn a_child_that_is_gone_is_gone_for_the_server_too() {
    let pin = pin();
    let lease = pin.token("test");
    drop(client(&lease.url()));
    let pid = pin.backends()[0].pid;
    wait_until(&mut shared().admin(), &format!("select not exists (select from pg_stat_activity where pid = {pid})"));
    assert!(!pin.backends()[0].connected);
}

#[test]
fn another_server_behind_the_same_address_is_refused_for_good() {
    let first = Server::start("first", "", &[]);
    let mut second = Server::start("second", "", &[]);
    let target = Dsn {
        password: Some(Secret::new(server::SUPERUSER_PASSWORD)),
        port: first.port,
        database: "postgres".into(),
        ..dsn("postgres")
    };
    let pin = open(&target).unwrap();
    let lease = pin.token("test");
    client(&lease.url()).batch_execute("select 1").unwrap();
    assert_eq!(pin.violation(), None);
    let port = first.port;
    drop(first);
    second.restart_on(port);
    let (sqlstate, message) = refusal(try_client(&lease.url()));
    assert_eq!(sqlstate, "28000");
    assert!(message.contains("no longer the one that was verified"), "{message}");
    let violation = pin.violation().expect("it was reported");
    assert_ne!(violation.expected.system_identifier, violation.found.system_identifier);
    assert_eq!(refusal(try_client(&lease.url())).0, "28000");
}

/// Two fresh servers hand out the same OIDs, so where the system identifier is hidden, their own start tells them apart.
#[test]
fn another_server_is_refused_where_the_system_identifier_is_hidden_and_so_is_another_database_of_its_name() {
    let begin = |name: &str| {
        let server = Server::start(name, "", &[]);
        let mut admin = server.admin();
        admin.batch_execute(&format!("create role clerk login createdb password '{PASSWORD}'")).unwrap();
        // Rights on functions are a database's: this is the template of all that follow.
        let mut template = server.admin_of("template1");
        template.batch_execute("revoke execute on function pg_control_system() from public").unwrap();
        drop(template);
        wait_until(&mut admin, "select not exists (select from pg_stat_activity where datname = 'template1')");
        admin.batch_execute("create database shop_staging owner clerk").unwrap();
        server
    };
    let (first, mut second) = (begin("hidden"), begin("hidden-too"));
    let oid = |server: &Server| -> u32 {
        server.admin().query_one("select oid from pg_database where datname = 'shop_staging'", &[]).unwrap().get(0)
    };
    assert_eq!(oid(&first), oid(&second));
    let target = Dsn { port: first.port, ..dsn("clerk") };
    let pin = open(&target).unwrap();
    assert_eq!(pin.identity().system_identifier, None);
    let lease = pin.token("test");
    lease.allow_database("shop_shadow");
    first.admin().batch_execute("create database shop_shadow owner clerk").unwrap();
    for _ in 0..3 {
        client(&lease.url()).batch_execute("select 1").unwrap();
        client(&lease.url_of("shop_shadow")).batch_execute("select 1").unwrap();
    }

    let again = open(&target).unwrap();
    first.admin().batch_execute("drop database shop_staging with (force)").unwrap();
    first.admin().batch_execute("create database shop_staging owner clerk").unwrap();
    assert_eq!(refusal(try_client(&again.token("test").url())).0, "28000");
    assert_ne!(again.violation().unwrap().found.database_oid, again.violation().unwrap().expected.database_oid);

    let port = first.port;
    drop(first);
    second.restart_on(port);
    let (sqlstate, message) = refusal(try_client(&lease.url()));
    assert_eq!(sqlstate, "28000");
    assert!(message.contains("of a system that may not be named (started "), "{message}");
    assert_eq!(refusal(try_client(&lease.url())).0, "28000");
}

/// A limit of a millisecond is met by every query of the pin that runs under it, sooner or later; a child's own limits are its own.
#[test]
fn a_roles_limit_on_statements_does_not_stop_the_identity_from_being_asked() {
    let role = format!(
        "create role app_hasty login password '{PASSWORD}'; alter role app_hasty set statement_timeout = 77;
        alter role app_hasty set client_min_messages = debug5"
    );
    shared().admin().batch_execute(&role).unwrap();
    let pin = open(&dsn("app_hasty")).unwrap();
    let lease = pin.token("test");
    let shown: String = client(&lease.url()).query_one("show statement_timeout", &[]).unwrap().get(0);
    assert_eq!(shown, "77ms");
    let limited = pin.token("test");
    limited.limit_statements(Duration::from_secs(5));
    limited.limit_locks(Duration::from_millis(1_500));
    for (setting, limit) in [("statement_timeout", "5s"), ("lock_timeout", "1500ms")] {
        let shown: String = client(&limited.url()).query_one(&format!("show {setting}"), &[]).unwrap().get(0);
        assert_eq!(shown, limit);
    }
    let shown: String = client(&lease.url()).query_one("show lock_timeout", &[]).unwrap().get(0);
    assert_eq!(shown, "0", "a limit is its lease's own");
    shared().admin().batch_execute("alter role app_hasty set statement_timeout = 1").unwrap();
    for _ in 0..20 {
        open(&dsn("app_hasty")).unwrap();
    }
}

#[test]
fn a_copy_that_nobody_reads_stops_at_the_server_and_not_in_our_memory() {
    use std::io::Read;
    let pin = pin();
    let lease = pin.token("test");
    let mut client = client(&lease.url());
    let pid = pin.backends()[0].pid;
    let before = resident_kib();
    let mut rows = client.copy_out("copy (select repeat('x', 999) from generate_series(1, 300000)) to stdout").unwrap();
    wait_until(
        &mut shared().admin(),
        &format!("select exists (select from pg_stat_activity where wait_event = 'ClientWrite' and pid = {pid})"),
    );
    let mut bytes = 0;
    let mut buffer = vec![0; 1 << 20];
    while let count @ 1.. = rows.read(&mut buffer).unwrap() {
        bytes += count;
    }
    assert_eq!(bytes, 300_000_000);
    let grown = resident_kib().saturating_sub(before);
    assert!(grown < 48 << 10, "{grown} KiB more, with other tests in the same process");
}

fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a_client_of_a_newer_protocol_is_told_which_one_is_spoken() {
    use std::io::{Read, Write};
    let pin = pin();
    let lease = pin.token("test");
    let mut socket = std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, lease.port())).unwrap();
    let parameters = b"user\0app\0_pq_.new\0on\0\0";
    let length = u32::try_from(parameters.len() + 8).unwrap();
    socket.write_all(&[&length.to_be_bytes(), &[0, 3, 0, 2][..], parameters].concat()).unwrap();
    let mut answer = [0; 30];
    socket.read_exact(&mut answer).unwrap();
    let spoken = b"v\0\0\0\x15\0\x03\0\0\0\0\0\x01_pq_.new\0";
    assert_eq!(answer, *[&spoken[..], b"R\0\0\0\x08\0\0\0"].concat());
}

#[test]
fn nothing_that_can_be_printed_holds_the_password() {
    let pin = pin();
    let lease = pin.token("test");
    let printed = format!(
        "{} {:?} {:?} {} {}",
        pin.identity(),
        pin.backends(),
        pin.violation(),
        lease.url_without_password(),
        lease.url().expose()
    );
    assert!(!printed.contains(PASSWORD));
    assert!(!lease.url_without_password().contains(lease.password().expose()));
}
