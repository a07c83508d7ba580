//! Between this machine and the server: names, ports, TLS, and who answers there.

use crate::causes::Fix::{Advice, Run};

causes! {
    HOST_UNRESOLVED {
        name: "host-unresolved",
        title: "The server's host name does not resolve",
        codes: &[],
        fix: Advice("correct the host in {source}, or this machine's DNS"),
        more: "The system's resolver was asked for A and AAAA, and gave no address, or no answer in time. A project of Supabase that is paused \
               has no address either: restore it in its dashboard.",
    }
    IPV6_ONLY {
        name: "ipv6-only",
        title: "The host has only IPv6 addresses, and this machine reaches none",
        codes: &[],
        fix: Advice("in {source}, name Supabase's session pooler: user `{user}`, host `aws-<n>-<region>.pooler.supabase.com`, port 5432"),
        more: "Supabase's direct host (`db.<ref>.supabase.co`) is IPv6-only unless the project has bought IPv4 (supabase.com/docs, \"Connect \
               to your database\"). The session pooler on port 5432 has IPv4 and gives each client a session, which migrations need; the dashboard \
               shows its host under Connect, Session pooler. Port 6543 of the same host does not do: [pooler-transaction-mode](pooler-transaction-mode.md).",
    }
    PORT_REFUSED {
        name: "port-refused",
        title: "Nothing listens on the server's port",
        codes: &[],
        fix: Advice("start the server, or correct port {port} in {source}"),
        more: "The machine answered, and refused the connection: Postgres is down, listens on another port, or only on another address \
               (`listen_addresses`).",
    }
    PORT_SILENT {
        name: "port-silent",
        title: "The server's address does not answer",
        codes: &[],
        fix: Advice("see whether a VPN or an allow-list of addresses is in the way of {address}"),
        more: "Packets go out and nothing comes back, not even a refusal. As a rule a firewall drops them: a security group, a provider's list of \
               allowed addresses, a VPN that is off. `[timeouts] connect` in drill.toml says how long is waited.",
    }
    UNREACHABLE {
        name: "network-unreachable",
        title: "There is no way to the server's address",
        codes: &[],
        fix: Advice("see whether a VPN or an allow-list of addresses is in the way of {address}"),
        more: "This machine's own routes, or a router on the way, say that the address cannot be reached.",
    }
    SERVER_HANGS {
        name: "server-hangs",
        title: "The server takes connections and does not answer",
        codes: &[],
        fix: Advice("see whether the server at {address} still works: it takes connections and does not answer"),
        more: "A stopped or overloaded server keeps its port open. So does a proxy or a load balancer whose server is gone.",
    }
    NOT_POSTGRES {
        name: "not-postgres",
        title: "What answers on the port is no Postgres",
        codes: &[],
        fix: Advice("correct host and port in {source}: Postgres listens on 5432 as a rule"),
        more: "Asked for TLS as Postgres is asked, it answered something else. The usual one is HTTP: the address of an API or of a dashboard \
               in the place of the database's.",
    }
    TLS_NOT_OFFERED {
        name: "tls-not-offered",
        title: "The URL asks for TLS, and the server offers none",
        codes: &[],
        fix: Advice("set `sslmode=disable` in {source}, or let the server offer TLS (`ssl = on`)"),
        more: "`sslmode=require`, `verify-ca` and `verify-full` mean TLS or nothing (PostgreSQL documentation, \"SSL Support\"). Over anything but \
               loopback, let the server offer it.",
    }
    TLS_REQUIRED {
        name: "tls-required",
        title: "The server takes only TLS connections, and the URL rules TLS out",
        codes: &[],
        fix: Advice("set `sslmode=require` in {source}"),
        more: "The server's `pg_hba.conf` has `hostssl` for this client, or the provider enforces TLS.",
    }
    CERTIFICATE_REJECTED {
        name: "certificate-rejected",
        title: "The server's certificate is not trusted",
        codes: &["DEPTH_ZERO_SELF_SIGNED_CERT", "SELF_SIGNED_CERT_IN_CHAIN", "UNABLE_TO_VERIFY_LEAF_SIGNATURE", "CERT_HAS_EXPIRED"],
        fix: Advice("name the authority's certificate as `ca_file` under `[targets.{target}]` in drill.toml"),
        more: "`sslmode` asks for a certificate that is verified, and its authority is not among the system's, or its name or time does not fit. \
               Providers offer theirs for download: Supabase under Database settings, SSL configuration.",
    }
    CA_FILE {
        name: "ca-file-unreadable",
        title: "The file of certificates that drill.toml names has none",
        codes: &[],
        fix: Advice("let `ca_file` under `[targets.{target}]` in drill.toml name a file of PEM certificates"),
        more: "`ca_file` is read before anything is dialled. It holds one or more blocks that begin with `-----BEGIN CERTIFICATE-----`.",
    }
    TLS_FAILED {
        name: "tls-failed",
        title: "The TLS handshake with the server fails",
        codes: &[],
        fix: Run("env check"),
        more: "The server and this program found no way to speak TLS: the server is older than TLS 1.2, or something between the two ends connections.",
    }
    WRONG_PASSWORD {
        name: "wrong-password",
        title: "The server rejects the user's password",
        codes: &["28P01"],
        fix: Advice("correct the password in {source}, with its special characters percent-encoded"),
        more: "Password and user do not belong together on this server. `/`, `@`, `:`, `#`, `%` and `?` in a password are written `%2F`, `%40`, \
               `%3A`, `%23`, `%25` and `%3F`. After a reset of the password in a provider's dashboard the old URL stays wrong.",
    }
    PASSWORD_MISSING {
        name: "password-missing",
        title: "The server asks for a password, and the URL has none",
        codes: &[],
        fix: Advice("put the password into {source}, behind the user: `user:password@`"),
        more: "No `.pgpass` and no `PGPASSWORD` is read: what one machine has there, another has not.",
    }
    CLEARTEXT_PASSWORD {
        name: "cleartext-password",
        title: "The server asks for the password in clear text over an unencrypted connection",
        codes: &[],
        fix: Advice("set `sslmode=require` in {source}"),
        more: "It was not sent. `pg_hba.conf` says `password` where it should say `scram-sha-256`.",
    }
    BINDING_MISSING {
        name: "channel-binding-missing",
        title: "The server does not bind its login to the TLS session, and `channel_binding=require` asks for it",
        codes: &[],
        fix: Advice("remove `channel_binding=require` from {source}, or let the server keep passwords as SCRAM-SHA-256 and offer TLS"),
        more: "No password was sent. A server offers the binding where TLS is on and the role's password is kept as SCRAM-SHA-256; a pooler in \
               between takes the offer away, and so does whoever listens in: ask the provider which of the two it is.",
    }
    ROLE_DENIED {
        name: "role-denied",
        title: "The user may not connect to this database",
        codes: &["28000"],
        fix: Advice("let the role connect: `create role {user} login`, `alter role {user} login`, `grant connect on database`, or a line of pg_hba.conf, as the server's words say"),
        more: "The password was not the question: the role may not log in, has no CONNECT on the database, or `pg_hba.conf` has no line for this \
               user, database and address.",
    }
    DATABASE_MISSING {
        name: "database-missing",
        title: "The database does not exist on this server",
        codes: &["3D000"],
        fix: Advice("correct the database's name in {source}: the drill never creates one"),
        more: "`prisma migrate deploy` would create it (a typo ends in a fresh empty database and a green run), so its existence is looked at first.",
    }
    TENANT_NOT_FOUND {
        name: "tenant-not-found",
        title: "The pooler knows no such project or user",
        codes: &[],
        fix: Advice("in {source}, write the user as `postgres.<ref>`, and the host of the project's own region"),
        more: "Supabase's pooler tells projects apart by the user's name. The same words come back for a paused project, and for one of another region.",
    }
    POOLER_TRANSACTION_MODE {
        name: "pooler-transaction-mode",
        title: "The URL leads to a pooler in transaction mode, and migrations need a session",
        codes: &[],
        fix: Advice("in {source}, name {session}"),
        more: "At a pooler in transaction mode each transaction may get another session: locks, prepared statements and settings do not hold, and Prisma hangs or fails \
               in ways that do not say so (prisma#22779, #24562). Supabase gives a session at port 5432 of the same host, \
               Neon at the host without `-pooler`. With the other URL as `DIRECT_URL`, this one may stay as it is. `pgbouncer=true` in a URL is for the application's client, not for migrations.",
    }
    OTHER_DATABASE {
        name: "other-database",
        title: "The server says that it is another database than the URL names",
        codes: &[],
        fix: Advice("find out which pooler or proxy answers at {address}, and name the database itself"),
        more: "A pooler can map names to other databases. What is asked for and what answers must be one.",
    }
    CONNECTION_LOST {
        name: "connection-lost",
        title: "The connection to the server ends in the middle of the login",
        codes: &[],
        fix: Run("doctor"),
        more: "Something ended it: the server as it restarts, a proxy with a limit, a network that is cut. `doctor` says how far a new one gets.",
    }
    UNSUPPORTED_LOGIN {
        name: "login-unsupported",
        title: "The server asks for a kind of login that the drill does not speak",
        codes: &[],
        fix: Advice("give the role a password, and let pg_hba.conf say `scram-sha-256` for it"),
        more: "Supported are `trust`, `md5` and `scram-sha-256`, and `password` over TLS. GSSAPI, SSPI and client certificates are not.",
    }
    SHARED_WITH_PRODUCTION {
        name: "shared-with-production",
        title: "Production's host name leads to the same address, with a database of the same name",
        codes: &[],
        fix: Advice("correct the target, or what the two names resolve to"),
        more: "A production env file of the project names another host, and both names resolve to one address now. The drill does not go there.",
    }
    NO_ANSWER {
        name: "no-answer",
        title: "A probe of `doctor` did not answer in time",
        codes: &[],
        fix: Run("doctor"),
        more: "Each probe has its time, and `doctor` ends after five seconds at most. What the row names hangs, or the machine is very busy: \
               ask again, and look there.",
    }
}
