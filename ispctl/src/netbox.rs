//! Settings of NetBox: a tenant's own over the environment's and the configuration file's.

use std::path::PathBuf;
use std::time::Duration;

use isp_core::netbox::{Allocator, Client, Kind, Release, Rules, Settings};
use isp_core::secret::{KeyRing, Sealed, Secret};
use isp_core::store::{Store, StoreError, TenantService};
use isp_core::tenant::Tenant;
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::error::{Error, Result};

/// Name of the service in the database, and of the table in the configuration file.
pub(crate) const SERVICE: &str = "netbox";

/// What may be set: in the file's table `[netbox]`, and by each tenant (`ispctl netbox set`). What is not set is another's
/// to say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields)]
pub(crate) struct Table {
    /// https://netbox.example.net, with the path it is served under
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long)]
    pub(crate) url: Option<String>,
    // Of the file alone; a tenant's is sealed and beside this.
    #[serde(skip_serializing, default)]
    #[arg(skip)]
    pub(crate) token: Option<Token>,
    /// Whether the server's certificate must hold
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long, value_name = "true|false")]
    pub(crate) verify_tls: Option<bool>,
    /// Authorities trusted besides the system's, PEM
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// For one request
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long = "timeout", value_name = "SECONDS")]
    pub(crate) timeout_seconds: Option<u64>,
    /// Times a request that is safe to repeat is repeated
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long, value_name = "N")]
    pub(crate) max_retries: Option<u32>,
    /// NetBox's id of the tenant
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long = "netbox-tenant", id = "netbox_tenant", value_name = "ID")]
    pub(crate) tenant: Option<u64>,
    /// Slug of the role of prefixes that addresses are taken from
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long, value_name = "SLUG")]
    pub(crate) role: Option<String>,
    /// Slug of the role of prefixes that are cut into delegated ones
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long, value_name = "SLUG")]
    pub(crate) prefix_role: Option<String>,
    /// Of delegated prefixes, where plan and subscriber say nothing
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long, value_name = "LENGTH")]
    pub(crate) prefix_length: Option<u8>,
    /// Slugs of the tags on what is taken, with commas between
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long, value_name = "SLUGS", value_delimiter = ',')]
    pub(crate) tags: Option<Vec<String>>,
    /// Custom field that is unique and says what was taken for whom; empty for none
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long, value_name = "NAME")]
    pub(crate) key_field: Option<String>,
    /// Whether to look for rows without a key before anything is taken
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long, value_name = "true|false")]
    pub(crate) look_first: Option<bool>,
    /// What becomes of what is given back: deprecate or delete
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long, value_parser = release)]
    pub(crate) release: Option<Release>,
    /// Days before what was given back is deleted
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long, value_name = "DAYS")]
    pub(crate) quarantine_days: Option<u32>,
    /// What every subscriber is to have: ipv4, ipv6, ipv6_prefix, with commas between
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long, value_delimiter = ',')]
    pub(crate) kinds: Option<Vec<Kind>>,
    /// How often "ispctl serve" reconciles; 0 is never
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) reconcile_seconds: Option<u64>,
    /// How often "ispctl serve" reads NetBox's change log; 0 is never
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) poll_seconds: Option<u64>,
    // Of the process, not of a tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(skip)]
    pub(crate) listen: Option<std::net::SocketAddr>,
    /// Whether "ispctl serve" repairs what it finds
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long, value_name = "true|false")]
    pub(crate) reconcile_repair: Option<bool>,
}

fn release(word: &str) -> std::result::Result<Release, String> {
    match word {
        "deprecate" => Ok(Release::Deprecate),
        "delete" => Ok(Release::Delete),
        _ => Err("expected deprecate or delete".to_owned()),
    }
}

/// A token as the file has it.
#[derive(Clone)]
pub(crate) struct Token(pub(crate) Secret<String>);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        self.0.expose() == other.0.expose()
    }
}

impl Eq for Token {}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Secret::new(text)))
    }
}

impl Table {
    /// This, and where it says nothing, `other`.
    #[must_use]
    pub(crate) fn over(self, other: Self) -> Self {
        Self {
            url: self.url.or(other.url),
            token: self.token.or(other.token),
            verify_tls: self.verify_tls.or(other.verify_tls),
            ca_file: self.ca_file.or(other.ca_file),
            timeout_seconds: self.timeout_seconds.or(other.timeout_seconds),
            max_retries: self.max_retries.or(other.max_retries),
            tenant: self.tenant.or(other.tenant),
            role: self.role.or(other.role),
            prefix_role: self.prefix_role.or(other.prefix_role),
            prefix_length: self.prefix_length.or(other.prefix_length),
            tags: self.tags.or(other.tags),
            key_field: self.key_field.or(other.key_field),
            look_first: self.look_first.or(other.look_first),
            release: self.release.or(other.release),
            quarantine_days: self.quarantine_days.or(other.quarantine_days),
            kinds: self.kinds.or(other.kinds),
            reconcile_seconds: self.reconcile_seconds.or(other.reconcile_seconds),
            poll_seconds: self.poll_seconds.or(other.poll_seconds),
            listen: self.listen.or(other.listen),
            reconcile_repair: self.reconcile_repair.or(other.reconcile_repair),
        }
    }

    /// This, a tenant's, and where it says nothing, what holds for all. A token of all tenants is not for where one of them
    /// sends it.
    #[must_use]
    pub(crate) fn over_usual(self, usual: &Self) -> Self {
        let mut usual = usual.clone();
        if self.url.is_some() && self.url != usual.url {
            usual.token = None;
        }
        self.over(usual)
    }

    /// `NETBOX_URL`, `NETBOX_API_TOKEN` or `NETBOX_TOKEN`, `NETBOX_VERIFY_SSL`, `NETBOX_TIMEOUT_SECONDS`,
    /// `NETBOX_MAX_RETRIES`. `variable` reads one; one that is set but empty is not set.
    pub(crate) fn of_environment(variable: impl Fn(&str) -> Option<String>) -> std::result::Result<Self, String> {
        let text = |name: &str| variable(name).filter(|value| !value.is_empty());
        let number = |name: &str| {
            let value = text(name).map(|value| (value.parse::<u32>().ok(), value));
            match value {
                Some((None, value)) => Err(format!("{name}: {value:?} is no number")),
                Some((number, _)) => Ok(number),
                None => Ok(None),
            }
        };
        let verify_tls = match text("NETBOX_VERIFY_SSL")
            .as_deref()
            .map(str::to_ascii_lowercase)
            .as_deref()
        {
            None => None,
            Some("true" | "yes" | "on" | "1") => Some(true),
            Some("false" | "no" | "off" | "0") => Some(false),
            Some(other) => return Err(format!("NETBOX_VERIFY_SSL: {other:?} is neither true nor false")),
        };
        Ok(Self {
            url: text("NETBOX_URL"),
            token: text("NETBOX_API_TOKEN")
                .or_else(|| text("NETBOX_TOKEN"))
                .map(|token| Token(Secret::new(token))),
            verify_tls,
            timeout_seconds: number("NETBOX_TIMEOUT_SECONDS")?.map(u64::from),
            max_retries: number("NETBOX_MAX_RETRIES")?,
            ..Self::default()
        })
    }

    /// The kinds every subscriber is to have.
    pub(crate) fn kinds(&self) -> Vec<Kind> {
        self.kinds.clone().unwrap_or_else(|| vec![Kind::Ipv4])
    }

    /// How often this is reconciled, where it is.
    pub(crate) fn reconcile_every(&self) -> Option<Duration> {
        let seconds = self.reconcile_seconds.unwrap_or(3_600);
        (seconds > 0).then(|| Duration::from_secs(seconds))
    }

    /// How often the change log is read, where it is; `pushed`: NetBox sends webhooks, some of which get lost.
    pub(crate) fn poll_every(&self, pushed: bool) -> Option<Duration> {
        let seconds = self.poll_seconds.unwrap_or(if pushed { 60 } else { 0 });
        (seconds > 0).then(|| Duration::from_secs(seconds))
    }

    /// Whether enough is set to speak to a NetBox; `sealed`: the tenant has a token of its own.
    pub(crate) const fn is_set_up(&self, sealed: bool) -> bool {
        self.url.is_some() && (sealed || self.token.is_some()) && self.tenant.is_some()
    }

    pub(crate) fn rules(&self) -> Result<Rules> {
        let usual = Rules::default();
        let tenant = self.tenant.ok_or_else(|| {
            Error::Usage("NetBox's id of the tenant is not set: ispctl netbox set --netbox-tenant ID".to_owned())
        })?;
        let prefix_length = self.prefix_length.unwrap_or(usual.prefix_length);
        if !(1..=128).contains(&prefix_length) {
            return Err(Error::Refused(format!(
                "prefix_length: {prefix_length} is not between 1 and 128"
            )));
        }
        Ok(Rules {
            tenant,
            role: self.role.clone().unwrap_or(usual.role),
            prefix_role: self.prefix_role.clone().unwrap_or(usual.prefix_role),
            prefix_length,
            tags: self.tags.clone().unwrap_or(usual.tags),
            key_field: self
                .key_field
                .clone()
                .or(usual.key_field)
                .filter(|field| !field.is_empty()),
            look_first: self.look_first.unwrap_or(usual.look_first),
            release: self.release.unwrap_or(usual.release),
            quarantine_days: self.quarantine_days.unwrap_or(usual.quarantine_days),
        })
    }

    pub(crate) fn client(&self) -> Result<Client> {
        let unset = |what: &str, how: &str| Error::Usage(format!("NetBox's {what} is not set: {how}"));
        let url = self.url.clone().ok_or_else(|| {
            unset(
                "URL",
                "url in [netbox] of the configuration, NETBOX_URL or ispctl netbox set --url",
            )
        })?;
        let token = self
            .token
            .clone()
            .ok_or_else(|| unset(
                "token",
                "NETBOX_API_TOKEN, or, as it must be for a tenant with a URL of its own, ispctl netbox set --token-file FILE",
            ))?;
        let mut settings = Settings::new(url, token.0);
        if let Some(seconds) = self.timeout_seconds {
            settings.timeout = Duration::from_secs(seconds.max(1));
        }
        settings.retries = self.max_retries.unwrap_or(settings.retries);
        settings.verify_tls = self.verify_tls.unwrap_or(true);
        if let Some(path) = &self.ca_file {
            settings.ca = Some(std::fs::read(path).map_err(|source| Error::file(path, source))?);
        }
        Ok(Client::new(&settings)?)
    }
}

/// What binds a sealed token to its tenant.
pub(crate) fn token_context(tenant: &Tenant) -> String {
    format!("tenant {} service {SERVICE}", tenant.id)
}

/// Name of the secret that a tenant's NetBox signs its webhooks with.
const WEBHOOK: &str = "netbox_webhook";

fn webhook_context(tenant: &Tenant) -> String {
    format!("tenant {} service {WEBHOOK}", tenant.id)
}

/// Keep the secret of a tenant's webhooks, sealed.
pub(crate) async fn set_webhook_secret(
    context: &Context,
    store: &Store,
    tenant: &Tenant,
    secret: &Secret<String>,
) -> Result<()> {
    let keys = context.required_keys()?;
    let sealed = keys.seal(&webhook_context(tenant), secret.expose().trim().as_bytes())?;
    let service = TenantService {
        settings: "{}".to_owned(),
        secret: Some(sealed),
    };
    let by = context.operator().map(str::to_owned);
    Ok(store.service_set(&tenant.id, WEBHOOK, &service, &by).await?)
}

/// Take no webhooks for a tenant any more.
pub(crate) async fn unset_webhook_secret(store: &Store, tenant: &Tenant) -> Result<()> {
    match store.service_delete(&tenant.id, WEBHOOK).await {
        Ok(()) | Err(StoreError::NotFound { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The sealed secret of a tenant's webhooks.
pub(crate) async fn webhook_sealed(store: &Store, tenant: &Tenant) -> Result<Option<String>> {
    let service = store.service_get(&tenant.id, WEBHOOK).await?;
    Ok(service.and_then(|service| service.secret))
}

/// The secret of a tenant's webhooks, where it has one.
pub(crate) async fn webhook_secret(keys: &KeyRing, store: &Store, tenant: &Tenant) -> Result<Option<Secret<String>>> {
    match webhook_sealed(store, tenant).await? {
        None => Ok(None),
        Some(sealed) => open(keys, &webhook_context(tenant), &sealed, "webhook secret").map(Some),
    }
}

/// How often the change log of a tenant's NetBox is read, where it is set up and that is wanted.
pub(crate) async fn poll_every(context: &Context, store: &Store, tenant: &Tenant) -> Result<Option<Duration>> {
    let (own, sealed) = own(store, tenant).await?;
    let table = own.over_usual(&context.settings.netbox);
    if !table.is_set_up(sealed.is_some()) {
        return Ok(None);
    }
    let pushed = webhook_sealed(store, tenant).await?.is_some();
    Ok(table.poll_every(pushed))
}

fn open(keys: &KeyRing, context: &str, sealed: &str, what: &str) -> Result<Secret<String>> {
    let damaged = || {
        Error::Refused(format!(
            "the tenant's NetBox {what} in the database is damaged: set it anew"
        ))
    };
    let opened = match Sealed::parse(sealed)? {
        Some(sealed) => keys.open(context, &sealed)?,
        None => return Err(damaged()),
    };
    let text = String::from_utf8(opened.expose().to_vec()).map_err(|_| damaged())?;
    Ok(Secret::new(text))
}

/// What the tenant has set itself, and its sealed token.
pub(crate) async fn own(store: &Store, tenant: &Tenant) -> Result<(Table, Option<String>)> {
    match store.service_get(&tenant.id, SERVICE).await? {
        None => Ok((Table::default(), None)),
        Some(TenantService { settings, secret }) => {
            let table = serde_json::from_str(&settings)
                .map_err(|error| Error::Refused(format!("the tenant's NetBox settings in the database: {error}")))?;
            Ok((table, secret))
        }
    }
}

/// All that holds for a tenant.
pub(crate) async fn settings(context: &Context, store: &Store, tenant: &Tenant) -> Result<Table> {
    let (mut own, sealed) = own(store, tenant).await?;
    if let Some(sealed) = sealed {
        let token = open(&context.required_keys()?, &token_context(tenant), &sealed, "token")?;
        own.token = Some(Token(token));
    }
    Ok(own.over_usual(&context.settings.netbox))
}

/// What was given back before this instant has waited long enough.
pub(crate) fn quarantine_ended(rules: &Rules) -> jiff::Timestamp {
    let days = i64::from(rules.quarantine_days);
    jiff::Timestamp::now() - jiff::SignedDuration::from_hours(24 * days)
}

/// What takes addresses for a tenant.
pub(crate) async fn allocator(context: &Context, store: &Store, tenant: &Tenant) -> Result<(Allocator, Table)> {
    let table = settings(context, store, tenant).await?;
    Ok((Allocator::new(table.client()?, table.rules()?), table))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> std::result::Result<Table, String> {
        Table::of_environment(|name| {
            let found = pairs.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_environment_is_read_as_ever() {
        let table = environment(&[
            ("NETBOX_URL", "https://netbox.example.net"),
            ("NETBOX_TOKEN", "old"),
            ("NETBOX_API_TOKEN", "new"),
            ("NETBOX_VERIFY_SSL", "False"),
            ("NETBOX_TIMEOUT_SECONDS", "12"),
            ("NETBOX_MAX_RETRIES", "0"),
        ])
        .unwrap();
        assert_eq!(table.url.as_deref(), Some("https://netbox.example.net"));
        assert_eq!(table.token.as_ref().unwrap().0.expose(), "new");
        assert_eq!(
            (table.verify_tls, table.timeout_seconds, table.max_retries),
            (Some(false), Some(12), Some(0))
        );
        assert!(!format!("{table:?}").contains("new"));
        assert_eq!(environment(&[("NETBOX_URL", "")]).unwrap(), Table::default());
        assert!(
            environment(&[("NETBOX_VERIFY_SSL", "perhaps")])
                .unwrap_err()
                .contains("NETBOX_VERIFY_SSL")
        );
        assert!(
            environment(&[("NETBOX_MAX_RETRIES", "-1")])
                .unwrap_err()
                .contains("NETBOX_MAX_RETRIES")
        );
    }

    #[test]
    fn what_is_nearer_wins_and_a_token_is_never_written() {
        let tenant: Table =
            serde_json::from_str(r#"{"url": "https://own", "kinds": ["ipv4", "ipv6_prefix"]}"#).unwrap();
        let usual = environment(&[("NETBOX_URL", "https://usual"), ("NETBOX_TOKEN", "word")]).unwrap();
        let both = tenant.over(usual);
        assert_eq!(both.url.as_deref(), Some("https://own"));
        assert_eq!(both.kinds(), [Kind::Ipv4, Kind::Ipv6Prefix]);
        assert!(both.token.is_some());
        assert!(!serde_json::to_string(&both).unwrap().contains("word"));
    }

    #[test]
    fn a_token_of_all_does_not_follow_a_tenant_elsewhere() {
        let usual = environment(&[("NETBOX_URL", "https://usual"), ("NETBOX_TOKEN", "word")]).unwrap();
        let own = |text| serde_json::from_str::<Table>(text).unwrap().over_usual(&usual);
        assert!(own(r#"{"url": "https://own"}"#).token.is_none());
        assert!(own(r#"{"url": "https://usual"}"#).token.is_some());
        assert!(own(r#"{"tenant": 7}"#).token.is_some());
        let mut sealed: Table = serde_json::from_str(r#"{"url": "https://own"}"#).unwrap();
        sealed.token = Some(Token(Secret::new("its own".to_owned())));
        assert_eq!(sealed.over_usual(&usual).token.unwrap().0.expose(), "its own");
    }

    #[test]
    fn no_key_is_an_empty_name() {
        let table: Table = serde_json::from_str(r#"{"tenant": 3, "key_field": ""}"#).unwrap();
        assert_eq!(table.rules().unwrap().key_field, None);
        assert!(
            Table::default()
                .rules()
                .unwrap_err()
                .to_string()
                .contains("--netbox-tenant")
        );
    }
}
