//! SIGKILL within `reset` and `restore`, and what is typed then, to the letter as each run prints it; with a query that sees all that was there.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::project::{Answer, Project, claim, stop};
use crate::server::{self, Database, fingerprint};

/// Fault injection: the server stops at a statement that the gate is set for, until the session is ended; or it refuses it.
const GATE: &str = "
    create schema gates; create table gates.gate (tag text, pattern text, fails boolean default false);
    create function gates.wait() returns event_trigger language plpgsql security definer as $$ begin
      if exists (select from gates.gate where tag = tg_tag and pg_catalog.current_query() ~* pattern) then
        if (select fails from gates.gate) then raise 'the gate is closed'; end if;
        perform pg_catalog.pg_sleep(300);
      end if;
    end $$;
    create event trigger gate on ddl_command_start execute function gates.wait()";

/// What hangs on `public` from another schema, grants, an owner that is another, sequences that have moved, and the mirror with rows.
const CONTENT: &str = r#"
    insert into "Session" (id, shop, state, "accessToken") select i::text, 's', 's', 't' from generate_series(1, 5) i;
    insert into "DecisionLog" (scope, actor, action) select 's', 'a', i::text from generate_series(1, 7) i; select setval('"DecisionLog_id_seq"', 77);
    insert into facts (project, topic, key, value) values ('p', 't', 'k', '{}');
    create schema people; create table people.users (id int, session text references "Session"); insert into people.users values (1, '3'), (2, null);
    create trigger greet_new after insert on people.users for each row execute function greet();
    create view people.shops as select shop from "Session"; grant select on people.shops to killed_anon"#;

/// Everything but the rows, in words.
const STATE: &str = r#"
    with ours as (select c.* from pg_class c where relnamespace in ('public'::regnamespace, 'people'::regnamespace))
    select string_agg(x, e'\n' order by x) from (
      select concat_ws(' ', 'grant', o.oid::regclass, a.grantee::regrole, a.privilege_type, a.is_grantable) from ours o,
             aclexplode(coalesce(relacl, acldefault(case relkind when 'S' then 's' else 'r' end::"char", relowner))) a where relkind in ('r', 'v', 'S')
      union all select concat_ws(' ', 'schema', nspname, nspowner::regrole, a.grantee::regrole, a.privilege_type) from pg_namespace, aclexplode(nspacl) a where nspname = 'public'
      union all select concat_ws(' ', 'default', defaclrole::regrole, defaclobjtype, a.grantee::regrole, a.privilege_type) from pg_default_acl, aclexplode(defaclacl) a
      union all select concat_ws(' ', 'owner', oid::regclass, relowner::regrole, relrowsecurity) from ours where relkind in ('r', 'v', 'S')
      union all select concat_ws(' ', 'sequence', sequencename, last_value) from pg_sequences
      union all select concat_ws(' ', 'trigger', pg_get_triggerdef(t.oid), tgenabled) from pg_trigger t join ours on ours.oid = tgrelid where not tgisinternal
      union all select concat_ws(' ', 'constraint', conrelid::regclass, conname, pg_get_constraintdef(k.oid), convalidated) from pg_constraint k join ours on ours.oid = conrelid
      union all select concat_ws(' ', 'index', pg_get_indexdef(i.indexrelid)) from pg_index i join ours on ours.oid = i.indrelid
      union all select concat_ws(' ', 'view', viewname, definition) from pg_views where schemaname in ('public', 'people')
      union all select concat_ws(' ', 'policy', tablename, policyname, roles, qual) from pg_policies
      union all select concat_ws(' ', 'published', pubname, tablename) from pg_publication_tables
      union all select concat_ws(' ', 'routine', p.oid::regprocedure, proowner::regrole) from pg_proc p where pronamespace = 'public'::regnamespace
      union all select concat_ws(' ', 'applied', migration_name) from _prisma_migrations where finished_at is not null and rolled_back_at is null
      union all select concat_ws(' ', 'user', id, session) from people.users) t(x)"#;

/// A claimed database with all that a reset has to give back.
pub struct Staging {
    pub project: Project,
    pub database: Database,
    before: String,
}

impl Staging {
    pub fn new(name: &str) -> Staging {
        let (project, database) = Project::on_staging(name);
        let greet = "create function greet() returns trigger language plpgsql as $$ begin return new; end $$;";
        project.migration("20260101000000_greet", greet);
        project.run(&["forward"]).expect(0);
        claim(&project, &database);
        database.grant_supabase_roles();
        let mirror = fs::read_to_string(server::workspace().join("supabase/sql/analytics_facts_table.sql")).unwrap();
        project.write("supabase/sql/analytics_facts_table.sql", &mirror);
        database.execute(&mirror);
        let mut server = server::shared().superuser(&database.name);
        for role in ["killed_anon", "killed_owner"] {
            // Another test may have been first.
            let _ = server.batch_execute(&format!("create role {role}"));
        }
        database.execute(CONTENT);
        let user = &database.user;
        let grants = format!(
            "grant killed_owner to {user}; grant create on schema public to killed_owner; alter table \"DecisionLog\" owner to killed_owner; grant usage on schema public to killed_anon;
             grant select on \"Session\" to killed_anon; grant update (scope) on \"DecisionLog\" to killed_anon;
             alter default privileges for role {user} in schema public grant select on tables to killed_anon"
        );
        server.batch_execute(&grants).unwrap();
        server.batch_execute(GATE).unwrap();
        let mut staging = Staging { project, database, before: String::new() };
        staging.before = staging.state();
        staging
    }

    /// Another one, for killing alone.
    #[allow(dead_code, reason = "not all of CI's tests")]
    pub fn of(project: Project, database: Database) -> Staging {
        Staging { project, database, before: String::new() }
    }

    /// The same, where rows are kept as `way`. A key from another schema would keep a copy from taking the name.
    #[allow(dead_code, reason = "not all of CI's tests")]
    pub fn kept_as(mut self, way: &str) -> Staging {
        let toml = self.project.read("drill.toml");
        self.project.write("drill.toml", &format!("{toml}\n[snapshots]\nkeep_as = \"{way}\"\n"));
        if way == "database" {
            let key = "alter table people.users drop constraint users_session_fkey";
            server::shared().superuser(&self.database.name).batch_execute(key).unwrap();
        }
        self.before = self.state();
        self
    }

    /// Runs it to its end; the steps that its record names.
    #[allow(dead_code, reason = "not all of CI's tests")]
    pub fn steps_of(&self, command: &str) -> Vec<String> {
        let record = self.project.run(&[command, "--confirm", "--json"]).expect(0).json();
        let steps = record["stages"][0]["steps"].as_array().unwrap().iter();
        steps.map(|step| step["name"].as_str().unwrap().to_owned()).collect()
    }

    fn state(&self) -> String {
        let mut server = server::shared().superuser(&self.database.name);
        let state: String = server.query_one(STATE, &[]).unwrap().get(0);
        format!("{}\n{state}", fingerprint(&self.database))
    }

    /// Runs `args` up to the first statement of that kind with that text, and kills it there.
    pub fn kill(&self, args: &[&str], (tag, pattern): (&str, &str)) {
        let mut server = server::shared().superuser(&self.database.name);
        server.execute("insert into gates.gate (tag, pattern) values ($1, $2)", &[&tag, &pattern]).unwrap();
        let mut child = self.project.start(args);
        let begun = Instant::now();
        let waits =
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'";
        while server.query_one(waits, &[]).unwrap().get::<_, i64>(0) == 0 {
            if child.try_wait().unwrap().is_some() || begun.elapsed() > Duration::from_secs(60) {
                let _ = child.kill();
                let said = String::from_utf8(child.wait_with_output().unwrap().stderr).unwrap();
                panic!("{args:?} never came to {tag} {pattern}:\n{said}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(stop(child, Signal::KILL).code, -1);
        end_sessions(&self.database);
        server.batch_execute("delete from gates.gate").unwrap();
    }

    /// Kills it as soon as its record names `step`, which it does when that begins: where nothing is changed, no statement marks the place. False
    /// where it has ended by then.
    pub fn kill_in_step(&self, command: &str, step: &str) -> bool {
        let seen = self.runs();
        let child = self.project.start(&[command, "--confirm"]);
        let begun = Instant::now();
        let is_there = || {
            let run = self.runs().into_iter().find(|run| !seen.contains(run))?;
            let record: Value = serde_json::from_str(&fs::read_to_string(run.join("run.json")).ok()?).ok()?;
            record["stages"][0]["steps"].as_array()?.iter().find(|it| it["name"] == step)?;
            Some(())
        };
        while is_there().is_none() {
            assert!(begun.elapsed() < Duration::from_secs(60), "never in {step}");
            std::thread::sleep(Duration::from_millis(1));
        }
        let was_killed = stop(child, Signal::KILL).code == -1;
        end_sessions(&self.database);
        was_killed
    }

    /// Kills it as soon as something is so, which the server is asked for or the project; false where it has ended by then.
    #[allow(dead_code, reason = "not all of CI's tests")]
    pub fn kill_when(&self, command: &str, mut is_so: impl FnMut(&mut postgres::Client) -> bool) -> bool {
        let mut server = server::shared().superuser("postgres");
        let mut child = self.project.start(&[command, "--confirm"]);
        let begun = Instant::now();
        while !is_so(&mut server) {
            if child.try_wait().unwrap().is_some() {
                return false;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "it is never so");
            std::thread::sleep(Duration::from_millis(1));
        }
        let was_killed = stop(child, Signal::KILL).code == -1;
        end_sessions(&self.database);
        was_killed
    }

    fn runs(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.project.path("feedback/evidence")).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    /// The commands that each run asks for, to the letter, until one has nothing more to ask.
    fn follow(&self, first: &str) -> Vec<String> {
        let mut command = first.to_owned();
        let mut typed: Vec<String> = Vec::new();
        for _ in 0..12 {
            typed.push(command.clone());
            let words: Vec<&str> = command.split(' ').chain(["--json"]).collect();
            let answer = self.project.run(&words);
            let json = answer.json();
            // A failure has a hint; a run that ended well may note what is still to be done.
            let noted = |note: &Value| note.as_str().unwrap().split_once(": cargo xtask ").map(|(_, it)| it.to_owned());
            let noted = json["notes"].as_array().into_iter().flatten().find_map(noted);
            let hinted = json["hint_command"].as_str().map(|hint| hint.trim_start_matches("cargo xtask ").to_owned());
            // A migration that was settled as not applied is pending again.
            let again = (command == "backward --failed").then(|| "forward".to_owned());
            let Some(next) = hinted.or(noted).or(again) else {
                assert_eq!(answer.code, 0, "{typed:?}\n{}", answer.stderr);
                return typed;
            };
            command = next;
        }
        let last = self.project.run(&command.split(' ').collect::<Vec<_>>());
        panic!("the hints lead nowhere: {typed:#?}\n{}", last.stderr);
    }

    /// Fault injection: an engine that dies without a word makes Prisma exit with 0.
    pub fn reset_without_an_engine(&self) -> Answer {
        self.project.write("dead-engine", "#!/bin/sh\nexit 0\n");
        let dead = self.project.path("dead-engine");
        fs::set_permissions(&dead, fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = self.project.command(&["reset", "--confirm"]);
        Project::answer(command.env("PRISMA_SCHEMA_ENGINE_BINARY", &dead)).expect(5)
    }

    /// What was typed after each kill, or what is not as it was.
    pub fn killed_at(&self, gates: &[(&str, &str)]) -> Vec<String> {
        let each = |&gate: &(&str, &str)| {
            self.kill(&["reset", "--confirm"], gate);
            format!("{} {}: {}", gate.0, gate.1, self.came_back("restore --confirm"))
        };
        gates.iter().map(each).collect()
    }

    pub fn came_back(&self, first: &str) -> String {
        self.named(&self.follow(first).join(", ")) + &self.changes()
    }

    /// Has the server refuse that statement, and types the whole way back that the failed run prints.
    pub fn refused_at(&self, (tag, pattern): (&str, &str)) -> String {
        let mut server = server::shared().superuser(&self.database.name);
        server.execute("insert into gates.gate values ($1, $2, true)", &[&tag, &pattern]).unwrap();
        let failed = self.project.run(&["reset", "--confirm"]);
        server.batch_execute("delete from gates.gate").unwrap();
        let way = failed.stderr.lines().find_map(|it| it.strip_prefix("note: the whole way back: "));
        let command = way.unwrap_or_else(|| panic!("{}", failed.stderr)).replace("cargo xtask ", "");
        self.project.run(&command.split(' ').collect::<Vec<_>>()).expect(0);
        format!("{tag} {pattern}, exit {}: {}{}", failed.code, self.named(&command), self.changes())
    }

    /// Snapshots have another name each time.
    fn named(&self, commands: &str) -> String {
        let name = regex::Regex::new(r"\d{8}T\d{6}Z-[0-9a-f]{6}").unwrap();
        name.replace_all(commands, "NAME").into_owned()
    }

    /// What is not as it was.
    pub fn changes(&self) -> String {
        let now = self.state();
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let (before, now) = (lines(&self.before), lines(&now));
        let gone = before.iter().filter(|line| !now.contains(line)).map(|line| format!("\n  gone: {line}"));
        let new = now.iter().filter(|line| !before.contains(line)).map(|line| format!("\n  new: {line}"));
        let digest = regex::Regex::new("[0-9a-f]{32}").unwrap();
        digest.replace_all(&gone.chain(new).collect::<String>(), "").into_owned()
    }
}

/// What the killed run and its children left at work on the server.
pub fn end_sessions(database: &Database) {
    let mut server = server::shared().superuser("postgres");
    let left = "select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = $1 and usename = $2";
    let begun = Instant::now();
    while server.query_one(left, &[&database.name, &database.user]).unwrap().get::<_, i64>(0) > 0 {
        assert!(begun.elapsed() < Duration::from_secs(20), "sessions stay");
        std::thread::sleep(Duration::from_millis(20));
    }
}
