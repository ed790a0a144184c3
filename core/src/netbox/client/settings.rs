//! Where a NetBox is, and how it is spoken to.

use std::time::Duration;

use crate::secret::Secret;

/// How to reach one NetBox.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `https://netbox.example.net`, with the path it is served under, without `/api`.
    pub url: String,
    /// Either kind: `nbt_KEY.SECRET` (version 2) or 40 characters (version 1).
    pub token: Secret<String>,
    /// For one request. NetBox makes allocations wait for one another: well over two seconds.
    pub timeout: Duration,
    /// Times a request that is safe to repeat is repeated.
    pub retries: u32,
    /// Whether the certificate must hold. Off, whoever is on the path can read the token.
    pub verify_tls: bool,
    /// PEM of authorities trusted besides the system's.
    pub ca: Option<Vec<u8>>,
}

impl Settings {
    /// With the defaults of the rest: 30 s, three retries, certificates verified.
    #[must_use]
    pub fn new(url: impl Into<String>, token: Secret<String>) -> Self {
        Self {
            url: url.into(),
            token,
            timeout: Duration::from_secs(30),
            retries: 3,
            verify_tls: true,
            ca: None,
        }
    }
}
