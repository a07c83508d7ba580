//! A child before it is one: a value that a plan can print and a test can compare.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use duct::{Expression, Handle};

use crate::error::{OrFail, Result};
use crate::hint::quoted;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    pub program: PathBuf,
    pub args: Vec<OsString>,
    pub dir: PathBuf,
    /// The whole environment of the child, nothing is inherited.
    pub env: BTreeMap<OsString, OsString>,
    /// Run as this user and group instead of as root.
    pub user: Option<u32>,
    /// The file that it reads as its stdin; None for a closed one.
    pub stdin: Option<PathBuf>,
}

impl Invocation {
    pub fn new(program: impl Into<PathBuf>, dir: &Path) -> Self {
        let (program, dir) = (program.into(), dir.to_path_buf());
        Invocation { program, args: Vec::new(), dir, env: BTreeMap::new(), user: None, stdin: None }
    }

    pub fn user(mut self, user: u32) -> Self {
        self.user = Some(user);
        self
    }

    pub fn stdin(mut self, file: impl Into<PathBuf>) -> Self {
        self.stdin = Some(file.into());
        self
    }

    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    pub fn args<I: IntoIterator<Item: AsRef<OsStr>>>(mut self, args: I) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.insert(name.as_ref().to_owned(), value.as_ref().to_owned());
        self
    }

    pub fn envs<K: AsRef<OsStr>, V: AsRef<OsStr>>(mut self, pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        self.env.extend(pairs.into_iter().map(|(name, value)| (name.as_ref().to_owned(), value.as_ref().to_owned())));
        self
    }

    /// The program and its arguments for people: no environment, so no secret.
    pub fn shown(&self) -> String {
        let name = self.program.file_name().unwrap_or(self.program.as_os_str()).to_string_lossy().into_owned();
        let args = self.args.iter().map(|arg| quoted(&arg.to_string_lossy()));
        std::iter::once(name).chain(args).collect::<Vec<_>>().join(" ")
    }

    /// Unchecked: a checked expression's error would print the arguments.
    fn expression(&self) -> Expression {
        let user = self.user;
        // As text: duct takes a path without a folder for a file of ours, and `unshare` is to be found on PATH.
        let program = self.program.as_os_str();
        let expression = duct::cmd(program, &self.args).dir(&self.dir).full_env(&self.env).unchecked();
        let expression = match &self.stdin {
            Some(file) => expression.stdin_path(file),
            None => expression.stdin_null(),
        };
        expression.before_spawn(move |command| {
            command.process_group(0);
            if let Some(user) = user {
                command.gid(user).uid(user);
            }
            Ok(())
        })
    }

    /// Starts it in a process group of its own; `connect` says where its output goes.
    pub fn start(&self, connect: impl FnOnce(Expression) -> io::Result<Expression>) -> Result<Handle> {
        // The expression holds our ends of the pipes: it is gone with this call, so that the child's end is the end of its output.
        connect(self.expression())
            .and_then(|expression| expression.start())
            .blocked(|| format!("cannot start `{}`", self.program.display()))
    }
}
