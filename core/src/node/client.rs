//! NAS as clients of the server.

use std::net::IpAddr;

use super::Node;
use crate::policy::{Reason, Refusal};
use crate::secret::Secret;
use crate::snapshot::Missing;

/// A NAS as a client of the server.
#[derive(Debug)]
pub struct Client {
    pub shortname: String,
    /// Stock `type`.
    pub kind: String,
    /// Virtual server its packets go to, where it is not the usual one.
    pub server: Option<String>,
    pub secret: Secret<Vec<u8>>,
    pub require_message_authenticator: bool,
}

impl Node {
    /// What the server needs to know of the NAS at `source` to talk to it.
    ///
    /// # Errors
    /// It is no NAS of any tenant, or its secret cannot be had.
    pub fn client(&self, source: IpAddr) -> Result<Client, Refusal> {
        let snapshot = self.state.snapshot();
        let catalog = snapshot.catalog();
        let nas = catalog.nas(source).and_then(|nas| catalog.nas_record(nas));
        let nas = nas.ok_or_else(|| Missing::Nas.refusal(Some(source)))?;
        let secret = nas
            .open_secret(self.keys.as_ref())
            .map_err(|why| Refusal::new(Reason::InternalError, format!("NAS {}: {why}", nas.shortname)))?;
        Ok(Client {
            // The server wants a name; another tool's row need not have one.
            shortname: if nas.shortname.is_empty() {
                nas.nasname.clone()
            } else {
                nas.shortname.clone()
            },
            kind: nas.kind.clone(),
            server: nas.server.clone(),
            secret,
            require_message_authenticator: nas.require_message_authenticator,
        })
    }
}
