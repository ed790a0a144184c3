//! The client as an installation sets it up, and the environment variables that say so.

use std::time::Duration;

use super::{
    Client, Gateway, GatewayError, GatewaySettings, RadSec, RadSecError, RadSecSettings, Radclient, Retry, Via,
};
use crate::secret::Secret;

/// What is usual for NAS that say nothing of their own, and what transports need.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where a NAS is told when no row says.
    pub host: Option<String>,
    pub port: Option<u16>,
    /// For a NAS that is in no row of the database.
    pub secret: Option<Secret<String>>,
    pub retry: Retry,
    pub via: Via,
    pub gateway: Option<GatewaySettings>,
    pub radsec: Option<RadSecSettings>,
    pub radclient: Radclient,
    /// What a NAS is taken for whose vendor is not known.
    pub vendor: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            host: None,
            port: None,
            secret: None,
            retry: Retry::default(),
            via: Via::Udp,
            gateway: None,
            radsec: None,
            radclient: Radclient::default(),
            vendor: None,
        }
    }
}

/// What is wrong with a setting.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("{variable} is {value:?}: it takes {takes}")]
    Value {
        variable: &'static str,
        value: String,
        takes: &'static str,
    },
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    #[error(transparent)]
    RadSec(#[from] RadSecError),
}

impl Settings {
    /// What the variables say; `get` gives their values. `RADIUS_SERVER_HOST`, `RADIUS_COA_PORT`, `RADIUS_SECRET`,
    /// `RADIUS_TIMEOUT` (seconds), `RADIUS_MAX_RETRIES`, `RADIUS_COA_USE_HTTP` or `RADIUS_USE_HTTP_API`,
    /// `RADIUS_COA_HTTP_URL`, `RADIUS_HTTP_API_URL` or `RADIUS_COA_API_URL`, `RADIUS_HTTP_API_KEY` and
    /// `RADIUS_DEFAULT_VENDOR`, which `RADIUS_VENDOR_AWARE` may turn off. One that is empty says nothing.
    ///
    /// # Errors
    /// A variable has a value that it cannot have.
    pub fn from_variables(get: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let mut settings = Self::default();
        settings.read(&get)?;
        Ok(settings)
    }

    /// Let variables stand above what is set.
    ///
    /// # Errors
    /// As [`Self::from_variables`].
    pub fn read(&mut self, get: &impl Fn(&str) -> Option<String>) -> Result<(), SettingsError> {
        let text = |name: &'static str| {
            get(name)
                .map(|value| value.trim().to_owned())
                .filter(|value| !value.is_empty())
        };
        let first = |names: &[&'static str]| names.iter().find_map(|name| text(name));
        if let Some(host) = text("RADIUS_SERVER_HOST") {
            self.host = Some(host);
        }
        if let Some(port) = parsed("RADIUS_COA_PORT", text("RADIUS_COA_PORT"), "a port", |port: &u16| {
            *port > 0
        })? {
            self.port = Some(port);
        }
        if let Some(secret) = text("RADIUS_SECRET") {
            self.secret = Some(Secret::new(secret));
        }
        let timeout = text("RADIUS_TIMEOUT");
        let timeout = parsed("RADIUS_TIMEOUT", timeout, "seconds, up to 600", |wait: &f64| {
            (0.001..=600.0).contains(wait)
        })?;
        let timeout = timeout.map(Duration::from_secs_f64);
        if let Some(wait) = timeout {
            self.retry.first_wait = wait;
            self.retry.longest_wait = self.retry.longest_wait.max(wait);
        }
        let retries = text("RADIUS_MAX_RETRIES");
        if let Some(retries) = parsed("RADIUS_MAX_RETRIES", retries, "a number up to 20", |retries: &u32| {
            *retries <= 20
        })? {
            self.retry.attempts = retries + 1;
        }
        if let Some(url) = first(&["RADIUS_COA_HTTP_URL", "RADIUS_HTTP_API_URL", "RADIUS_COA_API_URL"]) {
            let gateway = self.gateway.get_or_insert_with(GatewaySettings::default);
            gateway.url = url;
        }
        if let Some(gateway) = &mut self.gateway {
            gateway.key = text("RADIUS_HTTP_API_KEY")
                .map(Secret::new)
                .or_else(|| gateway.key.take());
            gateway.timeout = timeout.unwrap_or(gateway.timeout);
        }
        for name in ["RADIUS_COA_USE_HTTP", "RADIUS_USE_HTTP_API"] {
            if let Some(http) = truth(name, text(name))? {
                self.via = if http { Via::Http } else { Via::Udp };
                break;
            }
        }
        if truth("RADIUS_VENDOR_AWARE", text("RADIUS_VENDOR_AWARE"))? == Some(false) {
            self.vendor = None;
        } else if let Some(vendor) = text("RADIUS_DEFAULT_VENDOR") {
            self.vendor = Some(vendor);
        }
        Ok(())
    }

    /// A client with these transports.
    ///
    /// # Errors
    /// What a transport needs is not what it should be.
    pub fn client(&self) -> Result<Client, SettingsError> {
        let mut client = Client::builder().radclient(self.radclient.clone());
        if let Some(gateway) = &self.gateway {
            client = client.http(Gateway::new(gateway)?);
        }
        if let Some(radsec) = &self.radsec {
            client = client.radsec(RadSec::new(radsec)?);
        }
        Ok(client.build())
    }
}

fn parsed<T: std::str::FromStr>(
    variable: &'static str,
    value: Option<String>,
    takes: &'static str,
    fits: impl Fn(&T) -> bool,
) -> Result<Option<T>, SettingsError> {
    let Some(value) = value else { return Ok(None) };
    match value.parse().ok().filter(fits) {
        Some(parsed) => Ok(Some(parsed)),
        None => Err(SettingsError::Value { variable, value, takes }),
    }
}

fn truth(variable: &'static str, value: Option<String>) -> Result<Option<bool>, SettingsError> {
    let Some(value) = value else { return Ok(None) };
    match value.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(Some(true)),
        "false" | "0" | "no" | "off" => Ok(Some(false)),
        _ => Err(SettingsError::Value {
            variable,
            value,
            takes: "true or false",
        }),
    }
}
