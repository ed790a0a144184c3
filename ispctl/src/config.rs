//! Settings: command line over environment over file over default.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::ops::Range;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use isp_core::password::{Scheme, UnknownScheme};
use isp_core::secret::Secret;
use serde::Deserialize;
use serde::de::{self, DeserializeOwned, Visitor, value};
use tracing::level_filters::LevelFilter;

use crate::netbox;

/// Read where `--config` and `ISP_CONFIG` name no other; may be missing.
pub(crate) const DEFAULT_FILE: &str = "/etc/ispctl/ispctl.toml";

/// Said of a URL without showing any of it: there is no telling what of it is a password.
const NO_DATABASE_URL: &str = "a database URL begins with sqlite:, postgres:// or postgresql:// (the one that is set is not shown: it may hold a password)";

/// The settings that hold for every command, as the command line and the environment give them.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Settings (also in the configuration file)")]
pub(crate) struct Flags {
    /// Configuration file [default: /etc/ispctl/ispctl.toml, if there]
    #[arg(long, global = true, env = "ISP_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<OsString>,
    /// sqlite:///path/isp.db or postgres://user@host/database. A URL with a password is refused here, where every user of
    /// the machine sees it: put it into the file, the environment or ~/.pgpass
    #[arg(
        long,
        global = true,
        env = "ISP_DATABASE_URL",
        value_name = "URL",
        hide_env_values = true
    )]
    pub(crate) database_url: Option<String>,
    /// Keys that seal passwords and NAS secrets
    #[arg(long, global = true, env = "ISP_KEY_FILE", value_name = "FILE")]
    pub(crate) key_file: Option<OsString>,
    /// Vendors of NAS, the file the RADIUS servers read [default: those that come with ispctl]
    #[arg(long, global = true, env = "ISP_VENDORS", value_name = "FILE")]
    pub(crate) vendors: Option<OsString>,
    /// A second such file, with vendors of your own
    #[arg(long, global = true, env = "ISP_VENDORS_LOCAL", value_name = "FILE")]
    pub(crate) vendors_local: Option<OsString>,
    /// Tenant, by name or id; not needed while there is only one
    #[arg(long, global = true, env = "ISP_TENANT", value_name = "NAME|ID")]
    pub(crate) tenant: Option<String>,
    /// Who is recorded as the author of changes [default: $SUDO_USER or $USER]
    #[arg(long, global = true, env = "ISP_OPERATOR", value_name = "NAME")]
    pub(crate) operator: Option<String>,
    /// Log on standard error: off, error, warn, info, debug or trace [default: warn]
    #[arg(long, global = true, env = "ISP_LOG", value_name = "LEVEL")]
    pub(crate) log: Option<String>,
}

/// The configuration file. `ispctl.toml` beside this crate's manifest explains every key.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    database_url: Option<SecretText>,
    database_connections: Option<u32>,
    key_file: Option<PathBuf>,
    vendors: Option<PathBuf>,
    vendors_local: Option<PathBuf>,
    tenant: Option<String>,
    operator: Option<String>,
    log: Option<String>,
    password_scheme: Option<String>,
    import_batch: Option<usize>,
    import_max_errors: Option<usize>,
    reseal_batch: Option<u32>,
    coa_port: Option<u16>,
    coa_timeout: Option<f64>,
    coa_retries: Option<u32>,
    coa_give_up: Option<u64>,
    coa_gateway: Option<String>,
    coa_certificate: Option<PathBuf>,
    coa_key: Option<PathBuf>,
    coa_authorities: Option<PathBuf>,
    dictionary: Option<PathBuf>,
    metrics_listen: Option<SocketAddr>,
    api: Option<ApiTable>,
    netbox: Option<netbox::Table>,
}

/// The table `[api]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ApiTable {
    listen: Option<SocketAddr>,
    requests_per_second: Option<NonZeroU32>,
}

/// How `ispctl serve` serves the HTTP API.
#[derive(Debug)]
pub(crate) struct ApiSettings {
    /// None = not at all.
    pub(crate) listen: Option<SocketAddr>,
    /// Of one token.
    pub(crate) requests_per_second: NonZeroU32,
}

impl From<ApiTable> for ApiSettings {
    fn from(table: ApiTable) -> Self {
        const USUAL: NonZeroU32 = NonZeroU32::MIN.saturating_add(99);
        Self {
            listen: table.listen,
            requests_per_second: table.requests_per_second.unwrap_or(USUAL),
        }
    }
}

#[derive(Debug)]
struct SecretText(Secret<String>);

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Secret::new(text)))
    }
}

/// What the commands work with.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) database_url: Option<Secret<String>>,
    pub(crate) database_connections: u32,
    pub(crate) key_file: Option<PathBuf>,
    /// None = those that come with this version.
    pub(crate) vendors: Option<PathBuf>,
    pub(crate) vendors_local: Option<PathBuf>,
    pub(crate) tenant: Option<String>,
    pub(crate) operator: Option<String>,
    pub(crate) log: LevelFilter,
    pub(crate) password_scheme: Scheme,
    /// Rows handed to the database at a time.
    pub(crate) import_batch: usize,
    pub(crate) import_max_errors: usize,
    /// Records read and written at a time.
    pub(crate) reseal_batch: u32,
    pub(crate) coa: CoaDefaults,
    /// Where `ispctl serve` tells Prometheus; None = nowhere.
    pub(crate) metrics_listen: Option<SocketAddr>,
    pub(crate) api: ApiSettings,
    /// Of the environment over the file's; a tenant's own come over both.
    pub(crate) netbox: netbox::Table,
    /// Worth telling the operator, not worth stopping for.
    pub(crate) warnings: Vec<Exposed>,
}

/// A file whose mode lets every user read what is secret.
#[derive(Debug, thiserror::Error)]
#[error("{path} holds {secret} and every user can read it: chmod o-rwx {path}", path = path.display())]
pub(crate) struct Exposed {
    pub(crate) path: PathBuf,
    pub(crate) secret: &'static str,
}

impl Exposed {
    fn new(path: &Path, secret: &'static str) -> Self {
        Self {
            path: path.to_owned(),
            secret,
        }
    }
}

/// How NAS are told of sessions where neither they nor their vendors say. The environment is that of the original system.
#[derive(Debug)]
pub(crate) struct CoaDefaults {
    pub(crate) port: Option<u16>,
    pub(crate) timeout: Duration,
    /// Times a packet is sent after the first.
    pub(crate) retries: u32,
    pub(crate) give_up: Duration,
    /// For NAS that are in no row of the database.
    pub(crate) secret: Option<Secret<String>>,
    /// URL of what takes orders by HTTP.
    pub(crate) gateway: Option<String>,
    /// Certificate, key and authorities for RADIUS over TLS.
    pub(crate) radsec: Option<[PathBuf; 3]>,
    /// None = the server's, where it is there.
    pub(crate) dictionary: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("{path}: {source}", path = path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path}:{line}: {problem}", path = path.display())]
    File {
        path: PathBuf,
        line: usize,
        problem: String,
    },
    #[error(
        "--database-url holds a password, which every user of this machine can see: put the URL into the configuration \
         file, into ISP_DATABASE_URL, or the password into ~/.pgpass"
    )]
    PasswordInArguments,
    #[error("--database-url or ISP_DATABASE_URL: {NO_DATABASE_URL}")]
    DatabaseUrl,
    #[error("{name}: {value:?} is {rule}")]
    Environment {
        name: &'static str,
        value: String,
        rule: &'static str,
    },
    #[error("{0}")]
    Netbox(String),
    #[error("--log or ISP_LOG: {0}")]
    Log(String),
    #[error(
        "no database is configured: set database_url in {DEFAULT_FILE}, ISP_DATABASE_URL or --database-url \
         (sqlite:///path/isp.db or postgres://user@host/database)"
    )]
    NoDatabase,
    #[error(
        "no key file is configured: set key_file in {DEFAULT_FILE}, ISP_KEY_FILE or --key-file (ispctl key create makes one)"
    )]
    NoKeyFile,
}

impl Settings {
    /// `url_in_arguments`: whether the URL in `flags` came from the command line itself rather than from the environment.
    pub(crate) fn resolve(flags: &Flags, url_in_arguments: bool) -> Result<Self, ConfigError> {
        // A variable that is set but empty is not set.
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let given_path = |path: &Option<OsString>| path.clone().filter(|path| !path.is_empty()).map(PathBuf::from);
        let url = given(&flags.database_url).map(Secret::new);
        if url.as_ref().is_some_and(|url| !is_database_url(url.expose())) {
            return Err(ConfigError::DatabaseUrl);
        }
        if url_in_arguments && url.as_ref().is_some_and(|url| holds_password(url.expose())) {
            return Err(ConfigError::PasswordInArguments);
        }
        let explicit = given_path(&flags.config);
        let path = explicit.as_deref().unwrap_or(Path::new(DEFAULT_FILE));
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == ErrorKind::NotFound && explicit.is_none() => String::new(),
            Err(source) => {
                return Err(ConfigError::Read {
                    path: path.to_owned(),
                    source,
                });
            }
        };
        let file: File = parse(path, &text)?;
        let mut warnings = Vec::new();
        if let Some(SecretText(url)) = &file.database_url
            && holds_password(url.expose())
            && readable_by_all(path)
        {
            warnings.push(Exposed::new(path, "the database's password"));
        }
        let bad = |key: &str, problem: String| ConfigError::File {
            path: path.to_owned(),
            line: line_of_key(&text, key),
            problem: format!("{key}: {problem}"),
        };
        if let Some(SecretText(url)) = &file.database_url
            && !is_database_url(url.expose())
        {
            return Err(bad("database_url", NO_DATABASE_URL.to_owned()));
        }
        let url = url.or(file.database_url.map(|SecretText(url)| url));
        if let Some(database) = url.as_ref().and_then(|url| sqlite_file(url.expose()))
            && readable_by_all(database)
        {
            warnings.push(Exposed::new(database, "the subscribers' passwords"));
        }
        if file.netbox.as_ref().is_some_and(|netbox| netbox.token.is_some()) && readable_by_all(path) {
            warnings.push(Exposed::new(path, "NetBox's token"));
        }
        let netbox = netbox::Table::of_environment(|name| std::env::var(name).ok()).map_err(ConfigError::Netbox)?;
        let log = given(&flags.log).map_or_else(
            || {
                given(&file.log)
                    .map(|name| level(&name).map_err(|e| bad("log", e)))
                    .transpose()
            },
            |name| level(&name).map(Some).map_err(ConfigError::Log),
        )?;
        let password_scheme = match &file.password_scheme {
            Some(scheme) => scheme
                .parse()
                .map_err(|e: UnknownScheme| bad("password_scheme", format!("{scheme:?} is {e}")))?,
            None => Scheme::Cleartext,
        };
        let bounded = |key: &str, value: Option<usize>, default: usize, max: usize| match value {
            Some(n) if n == 0 || n > max => Err(bad(key, format!("{n} is not between 1 and {max}"))),
            n => Ok(n.unwrap_or(default)),
        };
        let import_batch = bounded("import_batch", file.import_batch, 2_048, 100_000)?;
        let import_max_errors = bounded("import_max_errors", file.import_max_errors, 100, 1_000_000)?;
        let reseal_batch = bounded("reseal_batch", file.reseal_batch.map(|n| n as usize), 1_000, 100_000)?;
        let connections = bounded(
            "database_connections",
            file.database_connections.map(|n| n as usize),
            2,
            100,
        )?;
        let coa_timeout = environment("RADIUS_TIMEOUT", "no number of seconds from 0.01 to 60", |text| {
            text.parse().ok().filter(|seconds| COA_TIMEOUTS.contains(seconds))
        })?;
        if let Some(seconds) = file.coa_timeout.filter(|seconds| !COA_TIMEOUTS.contains(seconds)) {
            return Err(bad("coa_timeout", format!("{seconds} is not between 0.01 and 60")));
        }
        let coa_retries = environment("RADIUS_MAX_RETRIES", "no number from 0 to 19", |text| {
            text.parse().ok().filter(|retries| *retries < 20)
        })?;
        if let Some(retries) = file.coa_retries.filter(|retries| *retries >= 20) {
            return Err(bad("coa_retries", format!("{retries} is not between 0 and 19")));
        }
        let port = environment("RADIUS_COA_PORT", "no port", |text| {
            text.parse().ok().filter(|port| *port > 0)
        })?;
        let radsec = match (file.coa_certificate, file.coa_key, file.coa_authorities) {
            (Some(certificate), Some(key), Some(authorities)) => Some([certificate, key, authorities]),
            (None, None, None) => None,
            _ => {
                return Err(bad(
                    "coa_certificate",
                    "RADIUS over TLS takes coa_certificate, coa_key and coa_authorities".to_owned(),
                ));
            }
        };
        let dictionary = environment("RADIUS_DICTIONARY_PATH", "no path", |text| Some(PathBuf::from(text)))?;
        let coa = CoaDefaults {
            port: port.or(file.coa_port),
            timeout: Duration::from_secs_f64(coa_timeout.or(file.coa_timeout).unwrap_or(1.0)),
            retries: coa_retries.or(file.coa_retries).unwrap_or(2),
            give_up: Duration::from_secs(file.coa_give_up.unwrap_or(3_600)),
            secret: environment("RADIUS_SECRET", "no secret", |text| Some(Secret::new(text.to_owned())))?,
            gateway: file.coa_gateway,
            radsec,
            dictionary: dictionary.or(file.dictionary),
        };
        Ok(Self {
            coa,
            database_url: url,
            database_connections: u32::try_from(connections).unwrap_or(u32::MAX),
            key_file: given_path(&flags.key_file).or(file.key_file),
            vendors: given_path(&flags.vendors).or(file.vendors),
            vendors_local: given_path(&flags.vendors_local).or(file.vendors_local),
            tenant: given(&flags.tenant).or(given(&file.tenant)),
            operator: given(&flags.operator).or(given(&file.operator)).or_else(login_name),
            log: log.unwrap_or(LevelFilter::WARN),
            password_scheme,
            import_batch,
            import_max_errors,
            reseal_batch: u32::try_from(reseal_batch).unwrap_or(u32::MAX),
            metrics_listen: file.metrics_listen,
            api: file.api.unwrap_or_default().into(),
            netbox: netbox.over(file.netbox.unwrap_or_default()),
            warnings,
        })
    }
}

fn level(name: &str) -> Result<LevelFilter, String> {
    name.parse()
        .map_err(|_| format!("{name:?} is none of off, error, warn, info, debug, trace"))
}

/// Seconds that a NAS may take to answer.
const COA_TIMEOUTS: std::ops::RangeInclusive<f64> = 0.01..=60.0;

/// A variable that is set but empty is not set. Its value is in the error unless it is a secret, which any text can be.
fn environment<T>(
    name: &'static str,
    rule: &'static str,
    read: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, ConfigError> {
    let Some(value) = std::env::var(name).ok().filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    match read(value.trim()) {
        Some(read) => Ok(Some(read)),
        None => Err(ConfigError::Environment { name, value, rule }),
    }
}

fn login_name() -> Option<String> {
    ["SUDO_USER", "USER", "LOGNAME"]
        .into_iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|name| !name.is_empty())
}

fn readable_by_all(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o004 != 0)
}

fn is_database_url(url: &str) -> bool {
    ["sqlite:", "postgres://", "postgresql://"]
        .iter()
        .any(|scheme| url.starts_with(scheme))
}

/// The file of an SQLite URL.
fn sqlite_file(url: &str) -> Option<&Path> {
    let rest = url.strip_prefix("sqlite:")?;
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    Some(Path::new(rest.split('?').next().unwrap_or_default()))
}

/// Does a database URL carry a password, in its authority or among its parameters?
pub(crate) fn holds_password(url: &str) -> bool {
    let (_, rest) = url.split_once("://").unwrap_or(("", url));
    let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = address.split('/').next().unwrap_or_default();
    // A password with an unescaped '/' makes a wrong URL, which must not be shown either.
    let user = address
        .rsplit_once('@')
        .or(authority.rsplit_once('@'))
        .map_or("", |(user, _)| user);
    let is_password = |pair: &str| {
        let name = pair.split('=').next().unwrap_or_default();
        // A name may be escaped, too: the driver reads it all the same.
        name.contains('%') || name.eq_ignore_ascii_case("password")
    };
    user.contains(':') || query.split('&').any(is_password)
}

/// A database URL as it may be shown: without password and parameters.
pub(crate) fn shown_url(url: &str) -> String {
    let address = url.split('?').next().unwrap_or_default();
    let (scheme, rest) = address.split_once("://").unwrap_or(("", address));
    match rest.rsplit_once('@') {
        Some((user, host)) => {
            let user = user.split(':').next().unwrap_or_default();
            format!("{scheme}://{user}@{host}")
        }
        None => address.to_owned(),
    }
}

/// Parse the file. Problems are told by line, never with the line itself: it may hold a password.
fn parse(path: &Path, text: &str) -> Result<File, ConfigError> {
    let problem = |span: Option<Range<usize>>, problem: String| ConfigError::File {
        path: path.to_owned(),
        line: line_at(text, span.map_or(0, |span| span.start)),
        problem,
    };
    let document = toml::de::DeTable::parse(text).map_err(|e| problem(e.span(), e.message().to_owned()))?;
    let known = field_names::<File>();
    for key in document.get_ref().keys() {
        let name = key.get_ref().as_ref();
        if !known.contains(&name) {
            return Err(problem(Some(key.span()), unknown_key(name, known)));
        }
    }
    toml::from_str(text).map_err(|e| problem(e.span(), e.message().to_owned()))
}

fn unknown_key(name: &str, known: &[&'static str]) -> String {
    match nearest(name, known.iter().copied()) {
        Some(nearest) => format!("unknown key {name:?}: did you mean {nearest:?}?"),
        None => format!("unknown key {name:?}: the keys are {}", known.join(", ")),
    }
}

/// The known name that `name` is most likely a misspelling of.
pub(crate) fn nearest(name: &str, known: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    known
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .min()
        .filter(|(distance, candidate)| *distance <= candidate.len().div_ceil(3))
        .map(|(_, candidate)| candidate)
}

fn line_at(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|&b| b == b'\n').count() + 1
}

/// Line of a top-level key that is known to be in `text`.
fn line_of_key(text: &str, key: &str) -> usize {
    toml::de::DeTable::parse(text)
        .ok()
        .and_then(|table| {
            let offset = table
                .get_ref()
                .keys()
                .find(|k| k.get_ref().as_ref() == key)?
                .span()
                .start;
            Some(line_at(text, offset))
        })
        .unwrap_or(1)
}

/// The field names serde knows `T` by, so that no second list can drift from the struct.
fn field_names<T: DeserializeOwned>() -> &'static [&'static str] {
    let mut names: &'static [&'static str] = &[];
    // The recorder always answers with an error: only the question matters.
    let _ = T::deserialize(FieldRecorder(&mut names));
    names
}

struct FieldRecorder<'a>(&'a mut &'static [&'static str]);

impl<'de> de::Deserializer<'de> for FieldRecorder<'_> {
    type Error = value::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        *self.0 = fields;
        self.deserialize_any(visitor)
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(de::Error::custom("no value"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests;
