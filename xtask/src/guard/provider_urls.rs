//! The URLs that providers give their customers, as their consoles and pages show them: each goes through once its host and its database are
//! allowed, or is refused with what to write instead. Passwords, refs and hosts are made up.

use super::corpus::{ask_with, told};
use super::{Policy, policy};

struct Given {
    who: &'static str,
    url: &'static str,
    /// What `allow_hosts` and `allow_databases` say.
    hosts: &'static [&'static str],
    database: &'static str,
}

const fn given(who: &'static str, url: &'static str, hosts: &'static [&'static str], database: &'static str) -> Given {
    Given { who, url, hosts, database }
}

const TENANT: &str = "2f9881cc7eef46f094ac913df34c1fb441502fe66cbe28cc48998d4e6b20336b";

const URLS: [Given; 44] = [
    given(
        "Neon",
        "postgresql://neondb_owner:npg_s3cret@ep-cool-darkness-a1b2c3d4.us-east-2.aws.neon.tech/neondb?sslmode=require&channel_binding=require",
        &["ep-cool-darkness-a1b2c3d4.us-east-2.aws.neon.tech"],
        "neondb",
    ),
    given(
        "Neon, pooled",
        "postgresql://neondb_owner:npg_s3cret@ep-cool-darkness-a1b2c3d4-pooler.us-east-2.aws.neon.tech/neondb?sslmode=require&channel_binding=require",
        &["ep-cool-darkness-a1b2c3d4-pooler.us-east-2.aws.neon.tech"],
        "neondb",
    ),
    given(
        "Neon, for clients without SNI",
        "postgresql://u:npg_s3cret@ep-cool-darkness-a1b2c3d4-pooler.us-east-2.aws.neon.tech/neondb?sslmode=require&options=endpoint%3Dep-cool-darkness-a1b2c3d4",
        &["ep-cool-darkness-a1b2c3d4-pooler.us-east-2.aws.neon.tech"],
        "neondb",
    ),
    given(
        "Neon, options of another endpoint",
        "postgresql://u:npg_s3cret@ep-cool-darkness-a1b2c3d4.us-east-2.aws.neon.tech/neondb?options=endpoint%3Dep-main-prod-1234",
        &["ep-cool-darkness-a1b2c3d4.us-east-2.aws.neon.tech"],
        "neondb",
    ),
    given(
        "options of Neon elsewhere",
        "postgresql://u:s3cret@db.staging.hotdash.app/a_test?options=endpoint%3Ddb",
        &["db.staging.hotdash.app"],
        "a_test",
    ),
    given(
        "channel binding without TLS",
        "postgresql://u:s3cret@db.staging.hotdash.app/a_test?channel_binding=require",
        &["db.staging.hotdash.app"],
        "a_test",
    ),
    given(
        "Prisma Postgres",
        "postgres://2f9881cc7eef46f094ac913df34c1fb441502fe66cbe28cc48998d4e6b20336b:sk_s3cret@db.prisma.io:5432/postgres?sslmode=require",
        &["2f9881cc7eef46f094ac913df34c1fb441502fe66cbe28cc48998d4e6b20336b@db.prisma.io"],
        "postgres",
    ),
    given(
        "Prisma Postgres, another tenant",
        "postgres://0000000000000000000000000000000000000000000000000000000000000000:sk_s3cret@db.prisma.io:5432/postgres?sslmode=require",
        &["2f9881cc7eef46f094ac913df34c1fb441502fe66cbe28cc48998d4e6b20336b@db.prisma.io"],
        "postgres",
    ),
    given(
        "Prisma Postgres, as its page has it",
        "postgres://2f9881cc7eef46f094ac913df34c1fb441502fe66cbe28cc48998d4e6b20336b:sk_s3cret@db.prisma.io:5432/?sslmode=require",
        &["2f9881cc7eef46f094ac913df34c1fb441502fe66cbe28cc48998d4e6b20336b@db.prisma.io"],
        "postgres",
    ),
    given(
        "Prisma Accelerate",
        "prisma+postgres://accelerate.prisma-data.net/?api_key=s3cret",
        &["db.prisma.io"],
        "postgres",
    ),
    given(
        "RDS",
        "postgresql://postgres:s3cret@shop-staging.c9abcdefghij.us-east-1.rds.amazonaws.com:5432/shop_staging?sslmode=require",
        &["shop-staging.c9abcdefghij.us-east-1.rds.amazonaws.com"],
        "shop_staging",
    ),
    given(
        "RDS with its bundle of roots",
        "postgresql://postgres:s3cret@shop-staging.c9abcdefghij.us-east-1.rds.amazonaws.com:5432/shop_staging?sslmode=verify-full&sslrootcert=./global-bundle.pem",
        &["shop-staging.c9abcdefghij.us-east-1.rds.amazonaws.com"],
        "shop_staging",
    ),
    given(
        "Aurora",
        "postgresql://app:s3cret@shop.cluster-c9abcdefghij.eu-west-1.rds.amazonaws.com:5432/shop_staging?target_session_attrs=read-write",
        &["shop.cluster-c9abcdefghij.eu-west-1.rds.amazonaws.com"],
        "shop_staging",
    ),
    given(
        "a standby is asked for",
        "postgresql://app:s3cret@db.staging.hotdash.app/a_test?target_session_attrs=standby",
        &["db.staging.hotdash.app"],
        "a_test",
    ),
    given(
        "Azure",
        "postgresql://pgadmin:s3cret@shop-staging.postgres.database.azure.com:5432/postgres?sslmode=require",
        &["shop-staging.postgres.database.azure.com"],
        "postgres",
    ),
    given(
        "Azure, single server",
        "postgresql://pgadmin%40shop-staging:s3cret@shop-staging.postgres.database.azure.com:5432/shop_staging?sslmode=require",
        &["shop-staging.postgres.database.azure.com"],
        "shop_staging",
    ),
    given(
        "Cloud SQL by address",
        "postgresql://postgres:s3cret@34.76.12.9:5432/shop_staging?sslmode=require",
        &["34.76.12.9"],
        "shop_staging",
    ),
    given(
        "Cloud SQL by its socket",
        "postgresql://postgres:s3cret@localhost/shop_staging?host=/cloudsql/shop:europe-west1:staging",
        &["localhost"],
        "shop_staging",
    ),
    given("a socket", "postgresql:///shop_staging?host=/var/run/postgresql", &["localhost"], "shop_staging"),
    given(
        "a socket in the host's place",
        "postgresql://postgres@%2Fvar%2Frun%2Fpostgresql/shop_staging",
        &["localhost"],
        "shop_staging",
    ),
    given(
        "Aiven",
        "postgres://avnadmin:AVNS_s3cret@pg-1a2b3c-shop.a.aivencloud.com:21699/defaultdb?sslmode=require",
        &["pg-1a2b3c-shop.a.aivencloud.com"],
        "defaultdb",
    ),
    given(
        "DigitalOcean",
        "postgresql://doadmin:AVNS_s3cret@db-postgresql-nyc3-12345-do-user-1234567-0.b.db.ondigitalocean.com:25060/defaultdb?sslmode=require",
        &["db-postgresql-nyc3-12345-do-user-1234567-0.b.db.ondigitalocean.com"],
        "defaultdb",
    ),
    given(
        "Crunchy Bridge",
        "postgres://application:s3cret@p.abcdefghijklmnopqrstuvwxyz.db.postgresbridge.com:5432/postgres",
        &["p.abcdefghijklmnopqrstuvwxyz.db.postgresbridge.com"],
        "postgres",
    ),
    given(
        "PlanetScale",
        "postgresql://postgres.abc123def456:pscale_pw_s3cret@us-east-2.pg.psdb.cloud:5432/postgres?sslmode=verify-full&sslrootcert=system&sslnegotiation=direct",
        &["postgres.abc123def456@us-east-2.pg.psdb.cloud"],
        "postgres",
    ),
    given(
        "the system's roots and less than verify-full",
        "postgresql://u:s3cret@db.staging.hotdash.app/a_test?sslmode=require&sslrootcert=system",
        &["db.staging.hotdash.app"],
        "a_test",
    ),
    given(
        "the system's roots alone",
        "postgresql://u:s3cret@db.staging.hotdash.app/a_test?sslrootcert=system",
        &["db.staging.hotdash.app"],
        "a_test",
    ),
    given(
        "Tiger Cloud",
        "postgres://tsdbadmin:s3cret@a1b2c3d4e5.f6g7h8i9j0.tsdb.cloud.timescale.com:31316/tsdb?sslmode=require",
        &["a1b2c3d4e5.f6g7h8i9j0.tsdb.cloud.timescale.com"],
        "tsdb",
    ),
    given(
        "Render",
        "postgresql://shop_user:s3cret@dpg-abc123def456-a.frankfurt-postgres.render.com/shop_staging",
        &["dpg-abc123def456-a.frankfurt-postgres.render.com"],
        "shop_staging",
    ),
    given(
        "Render, from within",
        "postgresql://shop_user:s3cret@dpg-abc123def456-a/shop_staging",
        &["dpg-abc123def456-a"],
        "shop_staging",
    ),
    given(
        "Railway",
        "postgresql://postgres:s3cret@shuttle.proxy.rlwy.net:54321/railway",
        &["shuttle.proxy.rlwy.net:54321"],
        "railway",
    ),
    given(
        "Railway, another port",
        "postgresql://postgres:s3cret@shuttle.proxy.rlwy.net:11111/railway",
        &["shuttle.proxy.rlwy.net:54321"],
        "railway",
    ),
    given(
        "Railway, from within",
        "postgresql://postgres:s3cret@postgres.railway.internal:5432/railway",
        &["postgres.railway.internal"],
        "railway",
    ),
    given(
        "Fly, managed",
        "postgresql://fly-user:s3cret@direct.abc123.flympg.net/fly-db",
        &["direct.abc123.flympg.net"],
        "fly-db",
    ),
    given(
        "Fly",
        "postgres://shop:s3cret@shop-db.flycast:5432/shop_staging?sslmode=disable",
        &["shop-db.flycast"],
        "shop_staging",
    ),
    given(
        "Heroku",
        "postgres://u1a2b3c:p0s3cret@ec2-54-1-2-3.compute-1.amazonaws.com:5432/d8abc123def456",
        &["ec2-54-1-2-3.compute-1.amazonaws.com"],
        "d8abc123def456",
    ),
    given(
        "Heroku with node's word",
        "postgres://u1a2b3c:p0s3cret@ec2-54-1-2-3.compute-1.amazonaws.com:5432/d8abc123def456?ssl=true",
        &["ec2-54-1-2-3.compute-1.amazonaws.com"],
        "d8abc123def456",
    ),
    given(
        "node's other word",
        "postgres://u:s3cret@db.staging.hotdash.app:5432/a_test?uselibpqcompat=true&sslmode=require",
        &["db.staging.hotdash.app"],
        "a_test",
    ),
    given("compose", "postgresql://postgres:s3cret@shop_db_1:5432/shop_test", &["shop_db_1"], "shop_test"),
    given(
        "an address of version 6",
        "postgresql://postgres:s3cret@[2001:db8::5]:5432/shop_test",
        &["2001:db8::5"],
        "shop_test",
    ),
    given(
        "the same, spelled at length",
        "postgresql://postgres:s3cret@[2001:db8:0:0:0:0:0:5]:5432/shop_test",
        &["2001:db8::5"],
        "shop_test",
    ),
    given(
        "`postgres` under a whole domain",
        "postgresql://postgres:s3cret@db.staging.hotdash.app/postgres",
        &["*.staging.hotdash.app"],
        "postgres",
    ),
    given(
        "`postgres` of any loopback port",
        "postgresql://postgres:s3cret@127.0.0.1:5432/postgres",
        &["127.0.0.1"],
        "postgres",
    ),
    given(
        "`postgres` of one loopback port",
        "postgresql://postgres:s3cret@127.0.0.1:54322/postgres",
        &["127.0.0.1:54322"],
        "postgres",
    ),
    given(
        "Vercel's Supabase",
        "postgres://postgres.stagingrefabcdefghij:s3cret@aws-0-us-east-1.pooler.supabase.com:5432/postgres?sslmode=require&supa=base-pooler.x",
        &[],
        "postgres",
    ),
];

fn policy_of(given: &Given) -> Policy {
    let owned = |list: &[&str]| list.iter().map(ToString::to_string).collect();
    Policy {
        allow_hosts: owned(given.hosts),
        allow_projects: vec!["stagingrefabcdefghij".into()],
        allow_databases: owned(&[given.database]),
        ..Policy::new("staging")
    }
}

#[test]
fn each_provider_s_own_url_goes_through_or_is_refused_with_what_to_write() {
    let mut told_of_all = String::new();
    for given in &URLS {
        let line = match ask_with(&policy_of(given), None, &[("DATABASE_URL", given.url)], &[]) {
            Ok(candidate) => {
                let dsn = candidate.dsn();
                let pooler = policy::is_transaction_pooler(dsn).then_some(", a pooler of transactions");
                let without = match candidate.without_effect() {
                    [] => String::new(),
                    names => format!(", without effect: {}", names.join(", ")),
                };
                let bound = if dsn.parameters.contains_key("channel_binding") { ", bound" } else { "" };
                format!("{} {}{bound}{}{without}", dsn.identity(), dsn.sslmode.word(), pooler.unwrap_or_default())
            }
            Err(refusals) => told(&refusals).trim_end().to_owned(),
        };
        assert!(!line.contains("s3cret"), "{line}");
        told_of_all += &format!("{}\n  {}\n", given.who, line.replace('\n', "\n  "));
    }
    insta::assert_snapshot!(told_of_all);
}

/// One proxy, two tenants: the second is another database, whatever else is alike.
#[test]
fn where_a_proxy_answers_for_many_the_direct_url_has_to_be_of_the_same_tenant() {
    let url = |user: &str, host: &str| format!("postgres://{user}:sk_s3cret@{host}:5432/postgres?sslmode=require");
    let other = TENANT.replace('2', "3");
    let mut policy = policy_of(&URLS[6]);
    policy.allow_hosts = [TENANT, &other]
        .iter()
        .flat_map(|user| [format!("{user}@db.prisma.io"), format!("{user}@pooled.db.prisma.io")])
        .collect();
    let asked = |direct: &str| {
        let pooled = url(TENANT, "pooled.db.prisma.io");
        ask_with(&policy, None, &[("DATABASE_URL", &pooled), ("DIRECT_URL", direct)], &[])
            .map(|candidate| candidate.dsn().host.to_string())
            .map_err(|refusals| told(&refusals))
    };
    assert_eq!(asked(&url(TENANT, "db.prisma.io")).as_deref(), Ok("db.prisma.io"));
    assert!(asked(&url(&other, "db.prisma.io")).unwrap_err().starts_with("direct-url: "));
}

/// Its key in the place of the user is one that others could read in the refusal.
#[test]
fn a_password_in_the_users_place_is_not_told() {
    let url = "postgres://sk_s3cret@db.prisma.io:5432/postgres?sslmode=require";
    let said = told(&ask_with(&policy_of(&URLS[6]), None, &[("DATABASE_URL", url)], &[]).unwrap_err());
    assert!(said.contains("`<user>@db.prisma.io`") && !said.contains("s3cret"), "{said}");
}

/// The line that a refusal says to write is one that the guard then takes.
#[test]
fn what_a_refusal_says_to_add_lets_the_url_through() {
    for given in &URLS {
        let mut policy = Policy { allow_hosts: Vec::new(), ..policy_of(given) };
        let asked = |policy: &Policy| ask_with(policy, None, &[("DATABASE_URL", given.url)], &[]);
        let Err(refusals) = asked(&policy) else { continue };
        let named = |refusal: &crate::error::Refusal| {
            let (_, rest) = refusal.hint.split_once("add \"")?;
            rest.split_once("\" to `allow_hosts`")
                .map(|(entry, _)| entry.rsplit('"').next().unwrap_or(entry).to_owned())
        };
        let Some(entry) = refusals.iter().find_map(named) else { continue };
        policy.allow_hosts = vec![entry.clone()];
        assert_eq!(policy.mistakes(), [], "{}: {entry}", given.who);
        let left = asked(&policy).err().unwrap_or_default();
        assert!(
            left.iter().all(|refusal| refusal.check != "host" && refusal.check != "database"),
            "{}: {left:?}",
            given.who
        );
    }
}

/// A database that every server has is the target's only together with what names the server: its host, or at a proxy the tenant.
#[test]
fn a_production_file_that_names_the_target_is_found_where_its_database_is_on_every_server() {
    let azure = "postgresql://pgadmin:s3cret@shop.postgres.database.azure.com:5432/postgres";
    let other = "postgresql://pgadmin:s3cret@other.postgres.database.azure.com:5432/postgres";
    let prisma = |user: &str| format!("postgres://{user}:sk_s3cret@db.prisma.io:5432/postgres");
    let railway = |port: u16| format!("postgresql://postgres:s3cret@shuttle.proxy.rlwy.net:{port}/railway");
    let (mine, theirs) = (prisma(TENANT), prisma(&TENANT.replace('2', "3")));
    let (own, foreign) = (railway(54321), railway(11111));
    let pooled = mine.replace("db.prisma.io", "pooled.db.prisma.io");
    let prisma_host = format!("{TENANT}@db.prisma.io");
    let azure_host = "shop.postgres.database.azure.com";
    let asked = |host: &str, database: &str, url: &str, production: &str| {
        let mut policy = Policy::new("staging");
        (policy.allow_hosts, policy.allow_databases) = (vec![host.into()], vec![database.into()]);
        let file = format!("DATABASE_URL={production}");
        ask_with(&policy, None, &[("DATABASE_URL", url)], &[(".env.production", &file)])
            .map(|candidate| candidate.production_names().to_vec())
            .map_err(|refusals| refusals.into_iter().map(|refusal| refusal.check).collect::<Vec<_>>())
    };
    let refused = Err(vec!["production-file".into()]);
    for (host, database, url, production) in [
        (azure_host, "postgres", azure, azure),
        (&prisma_host, "postgres", &mine, &mine),
        (&prisma_host, "postgres", &mine, &pooled),
        ("shuttle.proxy.rlwy.net:54321", "railway", &own, &own),
    ] {
        assert_eq!(asked(host, database, url, production), refused, "{host}");
    }
    let to_ask = asked(azure_host, "postgres", azure, other).unwrap();
    assert!(to_ask.contains(&"other.postgres.database.azure.com".to_owned()), "{to_ask:?}");
    assert_eq!(asked(&prisma_host, "postgres", &mine, &theirs), Ok(Vec::new()), "one address, two tenants");
    assert_eq!(asked("shuttle.proxy.rlwy.net:54321", "railway", &own, &foreign), Ok(Vec::new()));
}
