//! The file that says where the target is, and what somebody left in it.

use crate::causes::Fix::{Advice, Shell};

causes! {
    MISSING {
        name: "env-file-missing",
        title: "The target's env file is not there",
        codes: &[],
        fix: Shell("cp .env.staging.example {file}"),
        more: "Copy the example and fill it in. In CI there is no such file: there the variables are injected as secrets, and the process environment \
               stands in for `.env.staging` alone.",
    }
    UNREADABLE {
        name: "env-file-unreadable",
        title: "The target's env file is there and cannot be read",
        codes: &[],
        fix: Shell("chmod u+r {file}"),
        more: "It has to be a plain file of at most 1 MiB that this user may read: a folder, a pipe or a link to nowhere is none.",
    }
    FORM {
        name: "env-file-form",
        title: "The env file has a line that two programs would read differently",
        codes: &["guard: env-file"],
        fix: Advice("write that line as `NAME=value`, or `NAME='value'` where the value has special characters"),
        more: "There is no standard for these files: dotenv, dotenvy, Node and a shell give different values for a repeated name, `pa$word`, `pa#ss` or a \
               lone CR. What is checked has to be what is used, so only lines that all of them read alike are accepted ([safety](../safety.md)).",
    }
    PLACEHOLDER {
        name: "placeholder",
        title: "A variable of the env file still holds a placeholder",
        codes: &[],
        fix: Advice("in `{file}`, give `{variable}` its real value, or remove its line"),
        more: "`changeme`, `...`, `<password>`, `[YOUR-PASSWORD]` and the like are what an example has in the place of a value. A program that gets one \
               fails late, and says something else.",
    }
    NOT_IGNORED {
        name: "env-file-not-ignored",
        title: "Git does not ignore the env file",
        codes: &[],
        fix: Shell("echo {file} >> .gitignore"),
        more: "It holds a password, and `git add .` would commit it.",
    }
    STAGED {
        name: "env-file-staged",
        title: "The env file is in git's index, so the next commit would have it",
        codes: &[],
        fix: Shell("git rm --cached {file}"),
        more: "It was added by name, or before it was ignored. The file itself stays.",
    }
    COMMITTED {
        name: "env-file-committed",
        title: "The env file is in git's history",
        codes: &[],
        fix: Advice("change every password and key that {file} ever held; then, in a fresh clone: git filter-branch --force --index-filter 'git rm --cached --ignore-unmatch {file}' -- --branches --tags"),
        more: "Whoever has a clone has the secrets, and ignoring the file now does not take them back: so the passwords come first. Rewriting the history changes \
               every commit since; git's own page recommends git-filter-repo for it.",
    }
    READABLE_BY_OTHERS {
        name: "env-file-open",
        title: "Other users of this machine can read the env file",
        codes: &[],
        fix: Shell("chmod 600 {file}"),
        more: "It holds a password.",
    }
    OWNER {
        name: "env-file-owner",
        title: "The env file belongs to another user",
        codes: &[],
        fix: Shell("sudo chown {user} {file}"),
        more: "Whoever owns it can point the drill elsewhere. As a rule it was written by a container or with sudo.",
    }
}
