//! Node, and what a package manager installs.

use crate::causes::Fix::{Advice, Shell};

causes! {
    NODE_MISSING {
        name: "node-missing",
        title: "Node is not on PATH",
        codes: &[],
        fix: Advice("install Node 20 or newer, and put it on PATH"),
        more: "Prisma's CLI is a program of Node. A shell that a CI server or an editor starts has often another PATH than yours.",
    }
    NODE_TOO_OLD {
        name: "node-too-old",
        title: "The first Node on PATH is too old",
        codes: &[],
        fix: Advice("install Node 20 or newer, and put it first on PATH: now it is `{node}`"),
        more: "Prisma 7 runs on Node 20.19 and newer.",
    }
    NODE_BROKEN {
        name: "node-broken",
        title: "Node does not start",
        codes: &[],
        fix: Advice("install Node anew: `{node} --version` does not work"),
        more: "It is for another processor or C library, or half of it is missing.",
    }
    NOT_INSTALLED {
        name: "packages-missing",
        title: "The project's packages are not installed",
        codes: &[],
        fix: Shell("npm ci"),
        more: "`node_modules` has no Prisma CLI. The hint names the package manager that the project's lock file is of.",
    }
    HALF_INSTALLED {
        name: "packages-in-part",
        title: "The project's packages are installed in part",
        codes: &[],
        fix: Shell("npm ci"),
        more: "An install was broken off, or a package that Prisma's CLI needs was removed.",
    }
    TWO_VERSIONS {
        name: "two-prismas",
        title: "Two versions of Prisma are installed",
        codes: &[],
        fix: Advice("let one version of `prisma` and `@prisma/client` be installed"),
        more: "Which of the two reads the history decides what is sent to the server. CLI and client have to be of one major.",
    }
    PRISMA_UNSUPPORTED {
        name: "prisma-unsupported",
        title: "This release of Prisma is not supported",
        codes: &[],
        fix: Advice("install a release of Prisma 5, 6 or 7"),
        more: "Prisma 8 has no reset, resolve, diff and lock, which a drill is made of.",
    }
    MODULES_OWNER {
        name: "packages-owner",
        title: "`node_modules` belongs to another user",
        codes: &[],
        fix: Shell("sudo chown -R {user} {folder}"),
        more: "As a rule it was installed by a container, or with sudo. What has to be written there then ends with EACCES.",
    }
    CLIENT_NOT_WRITABLE {
        name: "client-not-writable",
        title: "The generated client belongs to another user, so `generate` cannot write it",
        codes: &[],
        fix: Shell("sudo chown -R {user} {folder}"),
        more: "Prisma's `generate` ends with EACCES. As a rule it was generated once in a container, or with sudo.",
    }
    SUPABASE_MISSING {
        name: "supabase-cli-missing",
        title: "The Supabase CLI is not installed",
        codes: &[],
        fix: Shell("npm install --save-dev supabase@3"),
        more: "`mirror` runs the mirror's script through it. A project without Supabase drills with `--no-mirror`.",
    }
    SUPABASE_UNSUPPORTED {
        name: "supabase-cli-unsupported",
        title: "This release of the Supabase CLI is not supported",
        codes: &[],
        fix: Shell("npm install --save-dev supabase@3"),
        more: "The drill knows the behaviour of 2 and 3: they write and ask for consent in different ways.",
    }
}
