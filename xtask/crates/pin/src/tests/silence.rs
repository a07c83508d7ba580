//! Servers and networks that stop without a word, and users who do not want to wait.

use std::io::{Read, Write};

use chores::faults::{Network, Stopped};

use crate::silence::How;
use crate::tests::*;

const SILENCE: Duration = Duration::from_millis(900);

fn patient(urgency: &Urgency) -> Options {
    Options { silence: SILENCE, connect_timeout: Duration::from_secs(20), urgency: urgency.clone(), ..options() }
}

/// A pin to the shared server through a network that can stop.
fn through(network: &Network, urgency: &Urgency) -> Pin {
    Pin::open(&Dsn { port: network.port, ..dsn("app") }, patient(urgency)).unwrap()
}

fn network() -> Network {
    Network::to(shared().port).unwrap()
}

/// What waits for the server, each in a session of its own: it is under way when the answer comes on `begun`, and ends with an error.
type Wait = fn(Client, &mut dyn FnMut()) -> Result<(), String>;

const WAITS: [(&str, Wait); 3] = [("query", query), ("COPY out", copy_out), ("COPY in", copy_in)];

fn said(error: &postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), |error| error.message().to_owned())
}

fn query(mut client: Client, begun: &mut dyn FnMut()) -> Result<(), String> {
    begun();
    client.batch_execute("select pg_sleep(30)").map_err(|error| said(&error))
}

fn copy_out(mut client: Client, begun: &mut dyn FnMut()) -> Result<(), String> {
    let mut rows = client.copy_out("copy (select repeat('x', 999) from generate_series(1, 300000)) to stdout").unwrap();
    let mut buffer = vec![0; 1 << 20];
    rows.read_exact(&mut buffer).unwrap();
    begun();
    while rows.read(&mut buffer).map_err(|error| error.to_string())? > 0 {}
    Ok(())
}

fn copy_in(mut client: Client, begun: &mut dyn FnMut()) -> Result<(), String> {
    client.batch_execute("create temp table filled (line text)").unwrap();
    let mut rows = client.copy_in("copy filled from stdin").unwrap();
    let line = [&[b'x'; 999][..], b"\n"].concat();
    (0..1000).for_each(|_| rows.write_all(&line).unwrap());
    begun();
    for _ in 0..30_000 {
        rows.write_all(&line).map_err(|error| error.to_string())?;
    }
    rows.finish().map(|_| ()).map_err(|error| said(&error))
}

/// How a wait of `lease` ended, and how long after `stop` was called in the middle of it.
fn ended(lease: &crate::Lease, wait: Wait, stop: &mut dyn FnMut()) -> (Result<(), String>, Duration) {
    let mut stopped = Instant::now();
    let result = wait(client(&lease.url()), &mut || {
        stop();
        stopped = Instant::now();
    });
    (result, stopped.elapsed())
}

#[test]
fn a_network_that_stops_ends_every_kind_of_wait() {
    for (name, wait) in WAITS {
        let (network, urgency) = (network(), Urgency::default());
        let pin = through(&network, &urgency);
        let (result, took) = ended(&pin.token(name), wait, &mut || network.stalls());
        let error = result.unwrap_err();
        let lost = pin.lost().unwrap();
        assert_eq!((lost.purpose.as_str(), lost.how), (name, How::NoAnswer), "{error}");
        assert!(lost.silent >= SILENCE && took < SILENCE * 3, "{name}: {lost:?} {took:?}");
        let (sqlstate, message) = refusal(try_client(&pin.token("after").url()));
        assert_eq!(sqlstate, "08006", "{message}");
    }
}

/// The kernel keeps the connections of stopped processes and takes new ones.
#[test]
fn a_server_whose_processes_are_stopped_counts_as_gone_and_one_that_goes_on_does_not() {
    let server = Server::start("stopped", "", &[]);
    let target = Dsn {
        password: Some(Secret::new(server::SUPERUSER_PASSWORD)),
        port: server.port,
        database: "postgres".into(),
        ..dsn("postgres")
    };
    let pin = Pin::open(&target, patient(&Urgency::default())).unwrap();
    let lease = pin.token("query");
    let resumed = std::thread::scope(|scope| {
        let busy = scope.spawn(|| client(&lease.url()).batch_execute("select pg_sleep(1)"));
        let stopped = stop(&server);
        std::thread::sleep(SILENCE / 2);
        drop(stopped);
        busy.join().unwrap()
    });
    assert_eq!((resumed.map_err(|error| said(&error)), pin.lost()), (Ok(()), None));
    let mut stopped = None;
    let (result, took) = ended(&lease, query, &mut || stopped = Some(stop(&server)));
    let error = result.unwrap_err();
    assert!(error.starts_with("the server does not answer: no byte for "), "{error} {:?}", pin.lost());
    assert!(took < SILENCE * 3, "{took:?}");
    let opened =
        Pin::open(&target, Options { connect_timeout: Duration::from_millis(200), ..patient(&Urgency::default()) });
    let error = opened.err().unwrap().to_string();
    assert_eq!(error, format!("127.0.0.1:{} did not answer the login within 0.2 s", server.port));
}

fn stop(server: &Server) -> Stopped {
    let pid = std::fs::read_to_string(server.dir.join("data/postmaster.pid")).unwrap();
    Stopped::with_children(pid.lines().next().unwrap().parse().unwrap())
}

/// As a firewall that forgot a connection which was silent for too long.
#[test]
fn a_connection_that_the_network_forgot_is_lost_although_the_server_answers() {
    let (network, urgency) = (network(), Urgency::default());
    let pin = through(&network, &urgency);
    let lease = pin.token("query");
    let mut client = client(&lease.url());
    network.forgets();
    let error = client.batch_execute("select 1").unwrap_err();
    assert_eq!(pin.lost().map(|lost| lost.how), Some(How::Stuck), "{error}");
    assert!(said(&error).ends_with("and the server waits for what was sent to it"), "{error}");
}

#[test]
fn a_session_that_the_server_ended_unheard_is_lost() {
    let (network, urgency) = (network(), Urgency::default());
    let pin = through(&network, &urgency);
    let lease = pin.token("query");
    let mut client = client(&lease.url());
    network.forgets();
    shared().admin().execute("select pg_terminate_backend($1)", &[&pin.backends()[0].pid]).unwrap();
    let error = client.batch_execute("select 1").unwrap_err();
    assert_eq!(pin.lost().map(|lost| lost.how), Some(How::NoSession), "{error}");
}

/// Its last words and the end of the connection come at once.
#[test]
fn why_the_server_ended_a_session_reaches_its_client() {
    let pin = pin();
    let lease = pin.token("query");
    let mut client = client(&lease.url());
    let pid = pin.backends()[0].pid;
    let ended = std::thread::spawn(move || client.batch_execute("select pg_sleep(30)").unwrap_err());
    let mut admin = shared().admin();
    wait_until(
        &mut admin,
        &format!("select exists (select from pg_stat_activity where wait_event = 'PgSleep' and pid = {pid})"),
    );
    admin.execute("select pg_terminate_backend($1)", &[&pid]).unwrap();
    let error = ended.join().unwrap();
    assert_eq!(error.code().map(|code| code.code()), Some("57P01"), "{error}");
}

/// Three times as long as a silent server has, in three ways: at work, behind a lock with rows that it does not take, and with no place for
/// another session.
#[test]
fn a_server_that_works_is_waited_for() {
    let mut admin = shared().admin();
    admin.batch_execute("create role app_busy login password 'one-Secret' connection limit 1").unwrap();
    admin = Client::connect(
        &format!("postgresql://postgres:{}@127.0.0.1:{}/shop_staging", server::SUPERUSER_PASSWORD, shared().port),
        NoTls,
    )
    .unwrap();
    admin.batch_execute("create table slowly (line text); grant all on slowly to app").unwrap();
    let target = Dsn { password: Some(Secret::new("one-Secret")), ..dsn("app_busy") };
    let full = Pin::open(&target, patient(&Urgency::default())).unwrap();
    let pin = Pin::open(&dsn("app"), patient(&Urgency::default())).unwrap();
    let (work, copy, only) = (pin.token("work"), pin.token("copy"), full.token("only"));
    let sleep = format!("select pg_sleep({})", (SILENCE * 3).as_secs_f32());
    let waits = |lease: &crate::Lease| client(&lease.url()).batch_execute(&sleep).map_err(|error| said(&error));
    let copies = || {
        let mut client = client(&copy.url());
        let locker = pin.token("lock");
        let mut other = crate::tests::client(&locker.url());
        other.batch_execute("begin; lock table slowly").unwrap();
        let free = std::thread::spawn(move || {
            std::thread::sleep(SILENCE * 3);
            drop((other, locker));
        });
        let sent = client.copy_in("copy slowly from stdin").and_then(|mut rows| {
            (0..20_000).for_each(|_| rows.write_all(&[&[b'x'; 999][..], b"\n"].concat()).unwrap());
            rows.finish()
        });
        free.join().unwrap();
        sent.map_err(|error| said(&error))
    };
    std::thread::scope(|scope| {
        let all = [scope.spawn(|| waits(&work)), scope.spawn(|| waits(&only)), scope.spawn(|| copies().map(|_| ()))];
        all.into_iter().for_each(|each| assert_eq!(each.join().unwrap(), Ok(())));
    });
    assert_eq!((pin.lost(), full.lost()), (None, None));
    admin.batch_execute("drop table slowly").unwrap();
}

/// A client that thinks for long is no silent server: between two requests, in a COPY, with an answer that it does not read.
#[test]
fn who_takes_his_time_is_not_cut_off() {
    let pin = Pin::open(&dsn("app"), patient(&Urgency::default())).unwrap();
    let lease = pin.token("slow");
    let mut client = client(&lease.url());
    let thinks = || std::thread::sleep(SILENCE * 2);
    client.batch_execute("create temp table filled (line text)").unwrap();
    let mut rows = client.copy_in("copy filled from stdin").unwrap();
    rows.write_all(b"one\n").unwrap();
    rows.flush().unwrap();
    thinks();
    assert_eq!(rows.finish().unwrap(), 1);
    let mut answer =
        client.copy_out("copy (select repeat('x', 999) from generate_series(1, 30000)) to stdout").unwrap();
    thinks();
    assert_eq!(std::io::copy(&mut answer, &mut std::io::sink()).unwrap(), 30_000_000);
    assert_eq!(pin.lost(), None);
}

/// How long a wait on a stalled network goes on after the user has asked to stop `times`, with the patience of a real run.
fn after_asking(wait: Wait, times: usize) -> (Duration, Pin) {
    let (network, urgency) = (network(), Urgency::default());
    let pin = Pin::open(&Dsn { port: network.port, ..dsn("app") }, Options { urgency: urgency.clone(), ..options() })
        .unwrap();
    let mut stall = || {
        network.stalls();
        let urgency = urgency.clone();
        std::thread::spawn(move || {
            for asked in 1..=times {
                std::thread::sleep(Duration::from_millis(100));
                urgency.raise(asked);
            }
        });
    };
    let (result, took) = ended(&pin.own_token("ours"), wait, &mut stall);
    result.unwrap_err();
    (took, pin)
}

#[test]
fn who_asks_to_stop_waits_no_longer_for_a_silent_server() {
    std::thread::scope(|scope| {
        for (name, wait) in WAITS {
            scope.spawn(move || {
                let (took, pin) = after_asking(wait, 1);
                assert!(took < Duration::from_secs(2), "{name}: {took:?}");
                let begun = Instant::now();
                assert_eq!(refusal(try_client(&pin.own_token("after").url())).0, "08006");
                assert!(begun.elapsed() < Duration::from_millis(700), "a new session: {:?}", begun.elapsed());
                let (took, _) = after_asking(wait, 2);
                assert!(took < Duration::from_millis(500), "{name}, asked twice: {took:?}");
            });
        }
    });
}

#[test]
fn who_asks_to_stop_waits_for_no_login() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let full = TcpListener::bind("127.0.0.1:0").unwrap();
    // Fault injection: a queue of one, and it is taken.
    socket2::SockRef::from(&full).listen(0).unwrap();
    let _queued = std::net::TcpStream::connect(full.local_addr().unwrap()).unwrap();
    let tls = network();
    tls.stalls_after(1);
    let asked = network();
    // Enough for a login without a password, and not for an answer after it.
    asked.stalls_after(greeting());
    let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
    let places = [
        (port(&full), SslMode::Disable, "the connection request"),
        (tls.port, SslMode::Require, "the TLS handshake"),
        (port(&silent), SslMode::Disable, "the login"),
        (asked.port, SslMode::Disable, "the question who it is"),
    ];
    std::thread::scope(|scope| {
        for (port, sslmode, what) in places {
            scope.spawn(move || {
                let target =
                    Dsn { port, sslmode, ..dsn(if sslmode == SslMode::Require { "app_tls" } else { "app_trust" }) };
                let error = |options| Pin::open(&target, options).err().unwrap().to_string();
                let urgency = Urgency::default();
                let raise = urgency.clone();
                let (begun, patience) = (Instant::now(), Duration::from_millis(300));
                let said = error(Options { connect_timeout: patience, ..options() });
                assert_eq!(said, format!("127.0.0.1:{port} did not answer {what} within 0.3 s"));
                assert!(begun.elapsed() < patience * 4, "{what}: {:?}", begun.elapsed());
                std::thread::spawn(move || raise.raise(1));
                let begun = Instant::now();
                assert_eq!(error(Options { urgency, ..options() }), "it was not waited for");
                assert!(begun.elapsed() < Duration::from_secs(1), "{what}: {:?}", begun.elapsed());
            });
        }
    });
}

/// How many bytes the server sends until it is ready for a query.
fn greeting() -> i64 {
    let mut socket = std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, shared().port)).unwrap();
    let parameters = b"\0\x03\0\0user\0app_trust\0database\0shop_staging\0client_encoding\0UTF8\0application_name\0staging drill\0\0";
    let length = u32::try_from(parameters.len() + 4).unwrap();
    socket.write_all(&[&length.to_be_bytes(), &parameters[..]].concat()).unwrap();
    let mut greeting = Vec::new();
    while !greeting.ends_with(b"Z\0\0\0\x05I") {
        let mut byte = [0];
        socket.read_exact(&mut byte).unwrap();
        greeting.push(byte[0]);
    }
    i64::try_from(greeting.len()).unwrap()
}

/// What nobody else ends: a child is ended by its run, and the server finishes what it was sent.
#[test]
fn who_asks_to_stop_has_our_own_work_cancelled_and_a_childs_finished() {
    let urgency = Urgency::default();
    let pin = Pin::open(&dsn("app"), Options { urgency: urgency.clone(), ..options() }).unwrap();
    let (ours, childs) = (pin.own_token("ours"), pin.token("child"));
    std::thread::scope(|scope| {
        let begun = Instant::now();
        let child = scope.spawn(|| client(&childs.url()).batch_execute("select pg_sleep(3)"));
        let own = scope.spawn(|| client(&ours.url()).batch_execute("select pg_sleep(30)"));
        wait_until(
            &mut shared().admin(),
            "select count(*) = 2 from pg_stat_activity where query ~ '^select pg_sleep.(3|30).$'",
        );
        urgency.raise(1);
        assert_eq!(own.join().unwrap().unwrap_err().code().unwrap().code(), "57014");
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
        child.join().unwrap().unwrap();
    });
    assert_eq!((pin.cancelled(), pin.lost()), (true, None));
    client(&ours.url()).batch_execute("select pg_sleep(2.5)").expect("what comes later was asked for since");
}
