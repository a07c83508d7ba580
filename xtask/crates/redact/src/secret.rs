//! The one type that holds a secret: its `Debug` shows nothing and its memory is cleared when it goes.
//!
//! `expose()` is the only way to the value, so every place that handles a plain secret can be found by searching for it.

use secrecy::ExposeSecret;

#[derive(Clone)]
pub struct Secret(secrecy::SecretString);

impl Secret {
    pub fn new(value: impl Into<String>) -> Self {
        Secret(secrecy::SecretString::from(value.into()))
    }

    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}
