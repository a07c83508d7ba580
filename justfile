# One line each: the logic is in `cargo xtask`. No dotenv here: the drill reads the env file itself.
set positional-arguments

[private]
default:
    @just --list --unsorted

# Generate the client, apply pending migrations to staging, verify
migrate-staging *args:
    cargo xtask forward "$@"

# The same on the embedded Postgres
migrate-sandbox *args:
    cargo xtask forward --sandbox "$@"

# Take the last migration back, verify; --steps, --to, --failed
rollback-staging *args:
    cargo xtask backward "$@"

# Forward, backward, forward, mirror, parity on staging as one run; --accept-data-loss, --steps, --resume, --plan
drill-staging *args:
    cargo xtask drill "$@"

# Rehearse only the migrations that this branch adds to the main one, as a pull request needs it
drill-pr *args:
    cargo xtask drill --branch "$@"

# The same on the embedded Postgres, which it fills first: start here
drill-sandbox *args:
    cargo xtask drill --sandbox "$@"

# Snapshot every row, drop the schema, apply every migration, verify; needs --confirm
reset-staging *args:
    cargo xtask reset "$@"

# Put the rows of a snapshot back, verify; needs --confirm, and --list shows what there is
restore-staging *args:
    cargo xtask restore "$@"

# Apply the mirror's script through the Supabase CLI, verify
mirror-staging *args:
    cargo xtask mirror "$@"

# Compare the mirror with Prisma's tables, and say where they differ
parity-staging *args:
    cargo xtask parity "$@"

# What keeps staging from being used, with the fix of each; changes nothing
doctor *args:
    cargo xtask doctor "$@"

# What is pending, failed, drifted, claimed and locked; reads only, and exits 5 where something is not well
status *args:
    cargo xtask status "$@"

# Is the env file complete, and is it staging? No network
check-staging *args:
    cargo xtask env check "$@"

# All tests, against the real CLIs and a real Postgres
test *args:
    cargo test "$@"

# What CI runs
ci:
    .ci/run

# The tables of tests that CI has no time for
ci-long:
    cargo chore ci-long
