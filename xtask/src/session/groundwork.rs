//! What is there before the first migration of a replay: the platform's work, which the migrations only refer to.

use postgres_protocol::escape::escape_literal;

use crate::digest::sha256;
use crate::error::{Failure, Result};
use crate::postgres::connection::{Connection, server_words};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Groundwork {
    /// Prisma's own answer, `migrations.initShadowDb`. It has to run.
    pub init_shadow_db: Option<String>,
    /// Roles that the history refers to, which are of the whole server.
    pub roles: Vec<String>,
    /// What the target has and the history refers to, one object a statement. What the project's own script made before, or what this
    /// role may not make, is left as it is: a migration that needs it says so.
    pub skeleton: Vec<String>,
    /// Of the migrations' own schemas, those that they make: not there before them.
    pub made: Vec<String>,
    pub external: External,
    /// Names and values that are set for the sessions of the role in the target's database.
    pub settings: Vec<(String, String)>,
}

/// What the Prisma config leaves to others: `tables.external` and `enums.external`, each of a schema and a name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct External {
    tables: Vec<(String, String)>,
    enums: Vec<(String, String)>,
}

impl External {
    pub const NONE: External = External { tables: Vec::new(), enums: Vec::new() };

    /// Of names as Prisma wants them: `auth.users`. One without a schema is none to Prisma either (measured on 7.10).
    pub fn new(tables: &[String], enums: &[String]) -> External {
        let parts = |name: &String| name.split_once('.').map(|(schema, name)| (schema.to_owned(), name.to_owned()));
        External { tables: tables.iter().filter_map(parts).collect(), enums: enums.iter().filter_map(parts).collect() }
    }

    pub fn is_empty(&self) -> bool {
        self.tables.is_empty() && self.enums.is_empty()
    }

    pub fn has_table(&self, schema: &str, table: &str) -> bool {
        self.tables.iter().any(|(of, name)| of == schema && name == table)
    }

    pub fn has_enum(&self, schema: &str, name: &str) -> bool {
        self.enums.iter().any(|(of, other)| of == schema && other == name)
    }

    /// The tables in one of `schemas`, as SQL names them.
    pub fn tables_in(&self, schemas: &[&str]) -> Vec<String> {
        let inside = self.tables.iter().filter(|(schema, _)| schemas.contains(&schema.as_str()));
        inside.map(|(schema, table)| format!("{schema}.{table}")).collect()
    }
}

impl Groundwork {
    pub const NONE: &'static Groundwork = &Groundwork {
        init_shadow_db: None,
        roles: Vec::new(),
        skeleton: Vec::new(),
        made: Vec::new(),
        external: External::NONE,
        settings: Vec::new(),
    };

    /// Names all of it, for whoever keeps the result of a replay. Empty where there is none.
    pub fn digest(&self) -> String {
        if self == Groundwork::NONE {
            return String::new();
        }
        let Groundwork { init_shadow_db, roles, skeleton, made, external, settings } = self;
        let (roles, skeleton) = (roles.join("\n"), skeleton.join("\n"));
        sha256(format!("{init_shadow_db:?}\n{roles}\n{skeleton}\n{made:?}\n{external:?}\n{settings:?}"))
    }

    /// As one script for a Prisma that empties the schemas before; empty where there is nothing to make.
    pub fn script(&self) -> String {
        let init = self.init_shadow_db.iter().cloned();
        let likenesses = self.skeleton.iter().map(|statement| {
            let statement = escape_literal(statement);
            format!("do $likeness$ begin execute {statement}; exception when others then null; end $likeness$")
        });
        let script: Vec<String> = init.chain(likenesses).collect();
        script.join(";\n")
    }

    /// Makes the roles on the server of `connection`, where they are missing and it may.
    ///
    /// # Errors
    /// `failed` when the server cannot be reached any more.
    pub fn lay_roles(&self, connection: &mut Connection) -> Result<()> {
        attempt(connection, &self.roles)
    }

    /// Makes it in the database of `connection`, whose migrations search `schema` alone.
    ///
    /// # Errors
    /// `failed` when `initShadowDb` does not run.
    pub fn lay(&self, connection: &mut Connection, schema: &str) -> Result<()> {
        if self == Groundwork::NONE {
            return Ok(());
        }
        connection.impersonate_prisma(schema).map_err(cannot)?;
        if let Some(sql) = &self.init_shadow_db {
            let failed = "`migrations.initShadowDb` of the Prisma config does not run in an empty database";
            connection.client().batch_execute(sql).map_err(|error| unusable(failed, error))?;
        }
        connection
            .client()
            .batch_execute("set check_function_bodies = off; set client_min_messages = error")
            .map_err(cannot)?;
        attempt(connection, &self.skeleton)?;
        connection.client().batch_execute("discard all").map_err(cannot)
    }
}

fn attempt(connection: &mut Connection, statements: &[String]) -> Result<()> {
    for statement in statements {
        match connection.client().batch_execute(statement) {
            Err(error) if error.as_db_error().is_none() => return Err(cannot(error)),
            _ => {}
        }
    }
    Ok(())
}

fn cannot(error: postgres::Error) -> Failure {
    unusable("cannot prepare a throw-away database", error)
}

fn unusable(what: &str, error: postgres::Error) -> Failure {
    let failure = Failure::failed(what);
    match error.as_db_error() {
        Some(answer) => failure.because(server_words(answer)).hint("correct it: Prisma itself runs it before a replay"),
        None => failure.caused_by(error),
    }
}
