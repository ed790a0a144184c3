//! A NAS: the access server that sends packets and holds sessions. It decides which tenant a packet belongs to.

use std::fmt;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::secret::{KeyRing, Sealed, Secret, SecretError};

/// A row of `nas`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nas {
    pub id: i64,
    pub tenant_id: String,
    /// Address or network (`192.0.2.1`, `2001:db8::/64`), as stock FreeRADIUS keeps it.
    pub nasname: String,
    pub shortname: String,
    /// Stock `type` column (`cisco`, `mikrotik`, `other`, ...).
    pub kind: String,
    /// Chooses the reply attributes (`mikrotik`, `generic`, ...).
    pub vendor: String,
    pub model: Option<String>,
    pub firmware_version: Option<String>,
    pub ports: Option<i32>,
    /// The shared secret as stored: sealed, or clear where another tool wrote it. Never shown.
    #[serde(skip_serializing, default)]
    pub secret: String,
    pub server: Option<String>,
    pub community: Option<String>,
    pub description: Option<String>,
    /// An Access-Request without Message-Authenticator is refused.
    pub require_message_authenticator: bool,
    #[serde(flatten)]
    pub coa: CoaSettings,
}

/// Without its secret, which another tool may have written as it is.
impl fmt::Debug for Nas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nas")
            .field("id", &self.id)
            .field("tenant_id", &self.tenant_id)
            .field("nasname", &self.nasname)
            .field("vendor", &self.vendor)
            .finish_non_exhaustive()
    }
}

/// How a NAS takes orders about its sessions; what is `None` is its vendor's or the usual.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CoaSettings {
    pub coa_port: Option<u16>,
    /// Milliseconds to wait for the answer to a packet.
    pub coa_timeout: Option<u32>,
    /// Times a packet is sent.
    pub coa_attempts: Option<u32>,
    /// Orders per second.
    pub coa_rate: Option<u32>,
    /// An answer without Message-Authenticator does not count.
    pub coa_strict: bool,
    pub coa_transport: CoaTransport,
}

/// How orders get to a NAS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CoaTransport {
    #[default]
    Udp,
    /// The server's own client program.
    Radclient,
    /// A gateway that takes orders by HTTP.
    Http,
    /// RADIUS over TLS (RFC 6614).
    Radsec,
    /// It takes none.
    None,
}

impl CoaTransport {
    pub const ALL: [Self; 5] = [Self::Udp, Self::Radclient, Self::Http, Self::Radsec, Self::None];

    /// The word the database uses.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Radclient => "radclient",
            Self::Http => "http",
            Self::Radsec => "radsec",
            Self::None => "none",
        }
    }
}

/// A word that is no [`CoaTransport`].
#[derive(Debug, thiserror::Error)]
#[error("unknown transport {0:?}: expected udp, radclient, http, radsec or none")]
pub struct UnknownTransport(String);

impl std::str::FromStr for CoaTransport {
    type Err = UnknownTransport;

    fn from_str(word: &str) -> Result<Self, UnknownTransport> {
        Self::ALL
            .into_iter()
            .find(|transport| transport.as_str() == word)
            .ok_or_else(|| UnknownTransport(word.to_owned()))
    }
}

impl Nas {
    /// What a sealed shared secret is bound to: moved to another row, it does not open.
    #[must_use]
    pub fn secret_context(&self) -> String {
        secret_context(&self.tenant_id, &self.nasname)
    }
}

fn secret_context(tenant_id: &str, nasname: &str) -> String {
    format!("nas:{tenant_id}:{nasname}")
}

/// What a server needs to know of a NAS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NasRecord {
    pub id: i64,
    pub tenant_id: String,
    pub nasname: String,
    pub network: IpNet,
    pub shortname: String,
    pub kind: String,
    pub vendor: String,
    /// The virtual server its packets go to, where it is not the usual one.
    pub server: Option<String>,
    pub secret: SharedSecret,
    pub require_message_authenticator: bool,
    pub coa: CoaSettings,
}

impl NasRecord {
    /// The shared secret, opened.
    ///
    /// # Errors
    /// It is sealed under a key that is not at hand, or damaged, or there is none.
    pub fn open_secret(&self, keys: Option<&KeyRing>) -> Result<Secret<Vec<u8>>, ClientError> {
        if self.secret.0.is_empty() {
            return Err(ClientError::NoSecret);
        }
        match Sealed::parse(&self.secret.0)? {
            None => Ok(Secret::new(self.secret.0.clone().into_bytes())),
            Some(sealed) => {
                let keys = keys.ok_or(ClientError::NoKeys)?;
                Ok(keys.open(&secret_context(&self.tenant_id, &self.nasname), &sealed)?)
            }
        }
    }
}

/// A shared secret as stored: sealed, or clear where another tool wrote it. Shows itself to nobody.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SharedSecret(String);

impl From<String> for SharedSecret {
    fn from(stored: String) -> Self {
        Self(stored)
    }
}

impl fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Why a NAS cannot be a client of the server.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("it has no shared secret: give it one with ispctl nas secret")]
    NoSecret,
    #[error("its shared secret is sealed, and key_file is not set")]
    NoKeys,
    #[error("its shared secret cannot be opened: {0}")]
    Sealed(#[from] SecretError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nas_is_shown_without_its_secret() {
        let nas = Nas {
            id: 1,
            tenant_id: "t".to_owned(),
            nasname: "192.0.2.1".to_owned(),
            shortname: String::new(),
            kind: "other".to_owned(),
            vendor: "generic".to_owned(),
            model: None,
            firmware_version: None,
            ports: None,
            secret: "open-secret".to_owned(),
            server: None,
            community: None,
            description: None,
            require_message_authenticator: false,
            coa: CoaSettings::default(),
        };
        let shown = format!("{nas:?}");
        assert!(shown.contains("192.0.2.1") && !shown.contains("open-secret"), "{shown}");
    }
}
