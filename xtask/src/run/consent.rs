//! The user's own word, given for one database and one command, after what is at stake was shown.
//!
//! It comes from a flag or from a person at a terminal; never from a file, an environment variable or an earlier run.

use crate::error::{Failure, Refusal, Result};
use crate::hint::Hint;
use crate::run::console::Console;

/// What was asked for and how it may be given.
pub struct Question<'a> {
    /// The target's name in drill.toml.
    pub target: &'a str,
    pub database: &'a str,
    /// What will happen, as the end of "to …".
    pub deed: &'a str,
    /// The command that gives consent.
    pub command: Hint,
}

impl Question<'_> {
    /// `given` is what the flag named: consent to one database by its name.
    ///
    /// # Errors
    /// `refused` when there is no consent; nothing was changed then.
    pub fn by_name(&self, given: Option<&str>, console: &Console) -> Result<()> {
        match given {
            Some(name) if name == self.database => Ok(()),
            Some(name) => {
                Err(self
                    .refused(format!("`--confirm` names `{name}`, and the target's database is `{}`", self.database)))
            }
            None => self.at_the_terminal(console),
        }
    }

    /// `given` is a bare flag.
    ///
    /// # Errors
    /// As `by_name`.
    pub fn by_flag(&self, given: bool, console: &Console) -> Result<()> {
        if given { Ok(()) } else { self.at_the_terminal(console) }
    }

    fn at_the_terminal(&self, console: &Console) -> Result<()> {
        let question = format!("Type the database's name (`{}`) to {}: ", self.database, self.deed);
        match console.ask(&question) {
            Some(answer) if answer == self.database => Ok(()),
            Some(_) => Err(self.refused("the answer was not the database's name".to_owned())),
            None => {
                Err(self.refused(format!("it takes your consent to {}, and there is no terminal to ask at", self.deed)))
            }
        }
    }

    fn refused(&self, message: String) -> Failure {
        Failure::refused(
            self.target,
            vec![Refusal::new("consent", message, "give it with `--confirm`, as the hint does")],
        )
        .message(format!("there is no consent to {}", self.deed))
        .hint(self.command.clone())
    }
}
