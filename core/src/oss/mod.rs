//! The systems beside this one: what holds for all tenants, what a tenant set in its place, and whether they answer.
//!
//! A tenant's settings are a row of `tenant_services`; passwords and tokens in it are sealed, and nothing here gives them
//! back but to the service itself.

mod patch;
mod probe;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

pub use patch::Patch;
pub use probe::ProbeReport;

use crate::secret::{KeyRing, Sealed, Secret, SecretError};
use crate::store::{Store, StoreError, TenantService};

/// A system that tenants have settings of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OssService {
    Voltha,
    Genieacs,
    Netbox,
    /// AWX, under the name the original system gave it.
    Ansible,
    Prometheus,
}

impl OssService {
    pub const ALL: [Self; 5] = [
        Self::Voltha,
        Self::Genieacs,
        Self::Netbox,
        Self::Ansible,
        Self::Prometheus,
    ];

    /// The word of the database and of paths.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Voltha => "voltha",
            Self::Genieacs => "genieacs",
            Self::Netbox => "netbox",
            Self::Ansible => "ansible",
            Self::Prometheus => "prometheus",
        }
    }

    /// What environment variables begin with.
    const fn prefix(self) -> &'static str {
        match self {
            Self::Voltha => "VOLTHA",
            Self::Genieacs => "GENIEACS",
            Self::Netbox => "NETBOX",
            Self::Ansible => "AWX",
            Self::Prometheus => "PROMETHEUS",
        }
    }
}

impl fmt::Display for OssService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that is no [`OssService`].
#[derive(Debug, thiserror::Error)]
#[error("unknown service {0:?}: expected voltha, genieacs, netbox, ansible (or awx), prometheus")]
pub struct UnknownService(String);

impl FromStr for OssService {
    type Err = UnknownService;

    fn from_str(word: &str) -> Result<Self, UnknownService> {
        if word == "awx" {
            return Ok(Self::Ansible);
        }
        let known = Self::ALL.into_iter().find(|service| service.as_str() == word);
        known.ok_or_else(|| UnknownService(word.to_owned()))
    }
}

/// How a service is reached; what is `None` is not set.
#[derive(Debug, Clone, Default)]
pub struct ServiceConfig {
    pub url: Option<String>,
    pub username: Option<String>,
    pub password: Option<Secret<String>>,
    pub api_token: Option<Secret<String>>,
    pub verify_ssl: Option<bool>,
    /// For one request, at least 1.
    pub timeout_seconds: Option<u32>,
    /// Times a request that is safe to repeat is repeated.
    pub max_retries: Option<u32>,
    /// The service's own.
    pub extras: Map<String, Value>,
}

/// Seconds where nothing is set.
const TIMEOUT: u32 = 30;
const RETRIES: u32 = 2;

/// What holds for a tenant, as it may be shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct View {
    pub service: OssService,
    pub config: Shown,
    /// The names of what the tenant set itself.
    pub overrides: Map<String, Value>,
}

/// A [`ServiceConfig`] without its secrets.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shown {
    pub url: Option<String>,
    pub username: Option<String>,
    pub password_set: bool,
    pub api_token_set: bool,
    pub verify_ssl: bool,
    pub timeout_seconds: u32,
    pub max_retries: u32,
    pub extras: Map<String, Value>,
}

/// Why settings could not be read, written or tried.
#[derive(Debug, thiserror::Error)]
pub enum OssError {
    #[error("{field}: {problem}")]
    Field { field: String, problem: String },
    #[error("{service} has no URL: set one for the tenant, or for all by {prefix}_URL", prefix = service.prefix())]
    NoUrl { service: OssService },
    #[error("a password or token is stored sealed, and there is no key file: set key_file")]
    NoKeys,
    #[error("the settings of {service} in the database are damaged: delete them and set them anew")]
    Damaged { service: OssService },
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Settings of all services, for all tenants.
#[derive(Debug, Clone)]
pub struct Oss {
    store: Store,
    keys: Option<KeyRing>,
    defaults: BTreeMap<OssService, ServiceConfig>,
}

/// What a tenant set: settings as stored, and its secrets opened.
#[derive(Default)]
struct Own {
    settings: Map<String, Value>,
    secrets: Secrets,
}

/// Sealed as one, since they are set and lost together.
#[derive(Default, Serialize, Deserialize)]
struct Secrets {
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_token: Option<String>,
}

impl Oss {
    /// `keys` opens and seals; without it only tenants without secrets of their own are served.
    #[must_use]
    pub fn new(store: &Store, keys: Option<KeyRing>) -> Self {
        Self {
            store: store.clone(),
            keys,
            defaults: BTreeMap::new(),
        }
    }

    /// What holds where a tenant says nothing.
    #[must_use]
    pub fn with_defaults(mut self, service: OssService, defaults: ServiceConfig) -> Self {
        self.defaults.insert(service, defaults);
        self
    }

    /// What holds for a tenant, and what of it the tenant set.
    ///
    /// # Errors
    /// The database does not answer, or the tenant's secrets cannot be opened.
    pub async fn get(&self, tenant_id: &str, service: OssService) -> Result<View, OssError> {
        Ok(self.view(service, self.own(tenant_id, service).await?))
    }

    /// Change what a tenant set: what is null is forgotten, what is not named stays.
    ///
    /// # Errors
    /// As [`Self::get`], or there is no key to seal a secret with.
    pub async fn patch(
        &self,
        tenant_id: &str,
        service: OssService,
        patch: &Patch,
        by: Option<&str>,
    ) -> Result<View, OssError> {
        let mut own = self.own(tenant_id, service).await?;
        patch.apply(service, &mut own);
        let secret = self.sealed(tenant_id, service, &own.secrets)?;
        let row = TenantService {
            settings: Value::Object(own.settings.clone()).to_string(),
            secret,
        };
        let by = by.map(str::to_owned);
        self.store.service_set(tenant_id, service.as_str(), &row, &by).await?;
        Ok(self.view(service, own))
    }

    /// Back to what holds for all.
    ///
    /// # Errors
    /// The tenant set nothing, or the database does not answer.
    pub async fn delete(&self, tenant_id: &str, service: OssService) -> Result<(), OssError> {
        Ok(self.store.service_delete(tenant_id, service.as_str()).await?)
    }

    /// Whether the service answers, and takes the credentials.
    ///
    /// # Errors
    /// As [`Self::get`], or no URL is set. A service that does not answer is no error but what the report says.
    pub async fn test(&self, tenant_id: &str, service: OssService) -> Result<ProbeReport, OssError> {
        let own = self.own(tenant_id, service).await?;
        probe::probe(service, &self.effective(service, own)).await
    }

    fn view(&self, service: OssService, own: Own) -> View {
        let mut overrides = patch::shown(service, &own.settings);
        for (name, set) in [
            ("password_set", own.secrets.password.is_some()),
            ("api_token_set", own.secrets.api_token.is_some()),
        ] {
            if set {
                overrides.insert(name.to_owned(), Value::Bool(true));
            }
        }
        let config = self.effective(service, own);
        View {
            service,
            config: Shown {
                password_set: config.password.is_some(),
                api_token_set: config.api_token.is_some(),
                verify_ssl: config.verify_ssl.unwrap_or(true),
                timeout_seconds: config.timeout_seconds.unwrap_or(TIMEOUT),
                max_retries: config.max_retries.unwrap_or(RETRIES),
                url: config.url,
                username: config.username,
                extras: config.extras,
            },
            overrides,
        }
    }

    fn effective(&self, service: OssService, own: Own) -> ServiceConfig {
        let mut config = self.defaults.get(&service).cloned().unwrap_or_default();
        let elsewhere = own.settings.get("url").and_then(Value::as_str);
        if elsewhere.is_some_and(|url| config.url.as_deref() != Some(url)) {
            // Credentials of all tenants are not for where one of them sends them.
            config.username = None;
            config.password = None;
            config.api_token = None;
        }
        patch::overlay(service, &own.settings, &mut config);
        config.password = own.secrets.password.map(Secret::new).or(config.password);
        config.api_token = own.secrets.api_token.map(Secret::new).or(config.api_token);
        config
    }

    async fn own(&self, tenant_id: &str, service: OssService) -> Result<Own, OssError> {
        let Some(row) = self.store.service_get(tenant_id, service.as_str()).await? else {
            return Ok(Own::default());
        };
        let damaged = || OssError::Damaged { service };
        let settings = serde_json::from_str(&row.settings).map_err(|_| damaged())?;
        let secrets = match row.secret {
            None => Secrets::default(),
            Some(text) => {
                let sealed = Sealed::parse(&text)?.ok_or_else(damaged)?;
                let keys = self.keys.as_ref().ok_or(OssError::NoKeys)?;
                let opened = keys.open(&context(tenant_id, service), &sealed)?;
                match service {
                    // It has a token alone, and `ispctl netbox` keeps it as it is.
                    OssService::Netbox => Secrets {
                        password: None,
                        api_token: Some(String::from_utf8(opened.expose().clone()).map_err(|_| damaged())?),
                    },
                    _ => serde_json::from_slice(opened.expose()).map_err(|_| damaged())?,
                }
            }
        };
        Ok(Own { settings, secrets })
    }

    fn sealed(&self, tenant_id: &str, service: OssService, secrets: &Secrets) -> Result<Option<String>, OssError> {
        if secrets.password.is_none() && secrets.api_token.is_none() {
            return Ok(None);
        }
        let plain = Zeroizing::new(match (service, &secrets.api_token) {
            (OssService::Netbox, Some(token)) => token.clone().into_bytes(),
            // Two texts: nothing in it can fail.
            _ => serde_json::to_vec(secrets).unwrap_or_default(),
        });
        let keys = self.keys.as_ref().ok_or(OssError::NoKeys)?;
        Ok(Some(keys.seal(&context(tenant_id, service), &plain)?))
    }
}

/// What binds a sealed secret to its row.
fn context(tenant_id: &str, service: OssService) -> String {
    format!("tenant {tenant_id} service {service}")
}

impl ServiceConfig {
    /// `PREFIX_URL`, `_USERNAME`, `_PASSWORD`, `_API_TOKEN` or `_TOKEN`, `_VERIFY_SSL`, `_TIMEOUT_SECONDS`, `_MAX_RETRIES`, with
    /// the prefix VOLTHA, GENIEACS, NETBOX, AWX or PROMETHEUS. `variable` reads one; one that is set but empty is not set.
    ///
    /// # Errors
    /// A value is not what it should be; the error names the variable.
    pub fn of_environment(service: OssService, variable: impl Fn(&str) -> Option<String>) -> Result<Self, OssError> {
        let named = |suffix: &str| format!("{}_{suffix}", service.prefix());
        let text = |suffix: &str| variable(&named(suffix)).filter(|value| !value.is_empty());
        let number = |suffix: &str, least: u32| {
            let bad = |problem: &str| OssError::Field {
                field: named(suffix),
                problem: problem.to_owned(),
            };
            let parsed = text(suffix).map(|value| value.parse::<u32>().map_err(|_| bad("it is no number")));
            match parsed.transpose()? {
                Some(number) if number < least => Err(bad("it is too small")),
                number => Ok(number),
            }
        };
        let verify_ssl = match text("VERIFY_SSL").map(|value| value.to_ascii_lowercase()).as_deref() {
            None => None,
            Some("true" | "1" | "yes" | "on") => Some(true),
            Some("false" | "0" | "no" | "off") => Some(false),
            Some(_) => {
                return Err(OssError::Field {
                    field: named("VERIFY_SSL"),
                    problem: "it is neither true nor false".to_owned(),
                });
            }
        };
        let url = text("URL");
        if let Some(problem) = url.as_deref().and_then(patch::url_fault) {
            return Err(OssError::Field {
                field: named("URL"),
                problem: problem.to_owned(),
            });
        }
        Ok(Self {
            url,
            username: text("USERNAME"),
            password: text("PASSWORD").map(Secret::new),
            api_token: text("API_TOKEN").or_else(|| text("TOKEN")).map(Secret::new),
            verify_ssl,
            timeout_seconds: number("TIMEOUT_SECONDS", 1)?,
            max_retries: number("MAX_RETRIES", 0)?,
            extras: Map::new(),
        })
    }
}
