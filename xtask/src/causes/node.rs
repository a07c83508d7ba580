//! Node's own codes, as a program of the project prints them. Source of what they mean: Node's documentation, "Errors".

use crate::causes::Fix::{Advice, Shell};

causes! {
    MODULE_MISSING {
        name: "node-module-missing",
        title: "Node does not find a module",
        codes: &["MODULE_NOT_FOUND", "ERR_MODULE_NOT_FOUND"],
        fix: Shell("npm ci"),
        more: "The package is not installed, or only in another folder. A path that begins with `./` is a file of the project: it is missing, or its name lacks its ending, which an \
               `import` needs. A generated client is missing until `prisma generate` ran.",
    }
    REQUIRE_OF_ESM {
        name: "node-require-of-esm",
        title: "`require` is used for a module that knows only `import`",
        codes: &["ERR_REQUIRE_ESM"],
        fix: Advice("load it with `await import(…)`, or use Node 20.19 or newer, where `require` reads it"),
        more: "A module whose top level awaits something can be imported only, whatever Node it is.",
    }
    FILE_EXTENSION {
        name: "node-file-extension",
        title: "Node does not run files with this ending",
        codes: &["ERR_UNKNOWN_FILE_EXTENSION"],
        fix: Advice("name a `.js` or `.mjs` file, or use Node 22.18 or newer, which runs TypeScript"),
        more: "Prisma reads its own config by other means, and does not need that.",
    }
    NATIVE_ADDON {
        name: "node-native-addon",
        title: "A native module was built for another machine or another Node",
        codes: &["ERR_DLOPEN_FAILED"],
        fix: Shell("npm rebuild"),
        more: "`node_modules` that were copied from another system, or from before a change of Node's version, or of libc (Alpine has another).",
    }
    ACCESS_DENIED {
        name: "node-access-denied",
        title: "The user who runs this may not read or write a file",
        codes: &["EACCES", "EPERM"],
        fix: Advice("let the user who runs this read and write `{path}`"),
        more: "`ls -ld` of the file and of its folder says whose they are. A container or `sudo npm` leaves files of root behind: `sudo chown -R \"$(id -un)\" node_modules`.",
    }
    FILE_MISSING {
        name: "node-file-missing",
        title: "A program does not find a file",
        codes: &["ENOENT"],
        fix: Advice("make `{path}`, or correct the name that the program has for it"),
        more: "Programs of the project are started in its root. `spawn … ENOENT` is a command that is not installed, or not on PATH.",
    }
    DISK_FULL {
        name: "node-disk-full",
        title: "There is no room left on this machine's disk",
        codes: &["ENOSPC", "EDQUOT"],
        fix: Advice("make room on this machine's disk, then run this again"),
        more: "`df -h . /tmp` says which file system. A watcher that has no watches left says ENOSPC, too.",
    }
    TOO_MANY_FILES {
        name: "node-too-many-files",
        title: "A program may open no more files",
        codes: &["EMFILE"],
        fix: Shell("ulimit -n 8192"),
        more: "The limit holds for the shell in which it is raised; run the command there again.",
    }
    READ_ONLY_DISK {
        name: "node-read-only-disk",
        title: "The file system is read-only",
        codes: &["EROFS"],
        fix: Advice("run this where `{path}` can be written"),
        more: "A container's root, or a volume that is mounted `ro`.",
    }
    NOT_REACHED {
        name: "node-cannot-connect",
        title: "A program does not reach what it wants to connect to",
        codes: &["ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "EHOSTUNREACH", "ENETUNREACH"],
        fix: Advice("start what listens at `{address}`, or correct the address that the program has"),
        more: "A program of a run gets the database's URL from the drill and reaches it through loopback. What else it connects to is its own affair: a cache, a queue, an API.",
    }
    NAME_UNKNOWN {
        name: "node-host-unknown",
        title: "A program does not find the address of a host",
        codes: &["ENOTFOUND", "EAI_AGAIN"],
        fix: Advice("correct the host name `{address}`, or see whether this machine may ask DNS for it"),
        more: "A machine without a way to the internet finds no download either: an installation from a mirror needs none.",
    }
    OUT_OF_MEMORY {
        name: "node-out-of-memory",
        title: "Node had no memory left",
        codes: &["ERR_WORKER_OUT_OF_MEMORY"],
        fix: Advice("run this on a machine with more memory, or let the program hold less at once"),
        more: "`FATAL ERROR: … JavaScript heap out of memory`. Node takes its limit from the machine's memory; `NODE_OPTIONS` does not reach a program of a run.",
    }
    NOT_JAVASCRIPT {
        name: "node-syntax",
        title: "Node or Prisma cannot read a file as JavaScript or TypeScript",
        codes: &["SyntaxError", "ParseError"],
        fix: Advice("correct the file at the line that is named"),
        more: "TypeScript in a `.js` file, or before Node 22.18, is a syntax error, too; so is `import` in a file that Node takes for CommonJS (`\"type\": \"module\"` in package.json).",
    }
}
