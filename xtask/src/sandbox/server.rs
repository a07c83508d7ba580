//! A running sandbox: where it is, and as whom one comes in.

/// As scripts around the drill know it: a name that stays, whatever the project.
pub const DATABASE: &str = "hotdash_sandbox";
/// Owns the database, may create others (for replays and shadow databases) and roles, and is not a superuser: as on a hosted Postgres.
/// It needs no password on loopback, since it can reach nothing but made-up rows; so the sandbox's URL holds no secret.
pub const USER: &str = "hotdash";
pub const SUPERUSER: &str = "postgres";

/// A running sandbox.
#[derive(Debug, Clone)]
pub struct Sandbox {
    pub port: u16,
    pub pid: u32,
    /// Whether this call started it.
    pub started: bool,
}

impl Sandbox {
    /// Without a password: see [`USER`].
    pub fn url(&self) -> String {
        format!("{}?schema=public", self.url_of(DATABASE))
    }

    pub fn url_of(&self, database: &str) -> String {
        format!("postgresql://{USER}@127.0.0.1:{}/{database}", self.port)
    }
}
