//! The keys of the module's configuration section, and what they make of a node.
//!
//! The server hands every value over as text and this module parses it: the server's own parser takes `-1` and `abc` for
//! numbers.

use std::ffi::CStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use isp_core::accounting::silence::Silence;
use isp_core::node::{AccountingMode, DatabaseDown, LockoutConfig, NodeConfig, NodeError, SimultaneousUse};
use isp_core::secret::Secret;

use crate::suggest;

/// A key of the configuration section.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Subsection it is in; empty for the top.
    pub section: &'static CStr,
    pub name: &'static CStr,
    pub default: Option<&'static CStr>,
    pub required: bool,
    /// The server shows the value at debug level 3 only.
    pub secret: bool,
}

impl Key {
    const fn new(section: &'static CStr, name: &'static CStr, default: Option<&'static CStr>) -> Self {
        Self {
            section,
            name,
            default,
            required: false,
            secret: false,
        }
    }

    /// `section.name`, or the bare name at the top.
    pub fn path(&self) -> String {
        let (section, name) = (self.section.to_string_lossy(), self.name.to_string_lossy());
        if section.is_empty() {
            name.into_owned()
        } else {
            format!("{section}.{name}")
        }
    }
}

/// Subsections, in the order they are shown.
pub const SECTIONS: [&CStr; 6] = [
    c"database",
    c"snapshot",
    c"accounting",
    c"sessions",
    c"post_auth",
    c"lockout",
];

/// All keys. Those of one section stand together.
pub const KEYS: [Key; 30] = [
    Key::new(c"", c"key_file", None),
    Key::new(c"", c"poll_interval", Some(c"0.2")),
    Key::new(c"", c"default_tenant", None),
    // The server expands its variables in a default as it does in the file.
    Key::new(c"", c"vendors", Some(c"${modconfdir}/rust/vendors.toml")),
    Key::new(c"", c"vendors_local", None),
    Key::new(c"", c"verify_cache", Some(c"100000")),
    Key {
        required: true,
        secret: true,
        ..Key::new(c"database", c"url", None)
    },
    Key::new(c"database", c"connections", Some(c"4")),
    Key::new(c"snapshot", c"file", None),
    Key::new(c"snapshot", c"interval", Some(c"30")),
    Key::new(c"snapshot", c"max_age", Some(c"0")),
    Key::new(c"accounting", c"mode", Some(c"journal")),
    Key::new(c"accounting", c"timeout", Some(c"2.0")),
    Key::new(c"accounting", c"journal", Some(c"${db_dir}/accounting")),
    Key::new(c"accounting", c"journal_max_size", Some(c"4G")),
    Key::new(c"sessions", c"interim", Some(c"600")),
    Key::new(c"sessions", c"silent_intervals", Some(c"3")),
    Key::new(c"sessions", c"simultaneous_use", Some(c"node")),
    Key::new(c"sessions", c"claim", Some(c"60")),
    Key::new(c"sessions", c"timeout", Some(c"0.5")),
    Key::new(c"sessions", c"database_down", Some(c"allow")),
    Key::new(c"sessions", c"class", Some(c"yes")),
    Key::new(c"post_auth", c"queue", Some(c"65536")),
    Key::new(c"lockout", c"threshold", Some(c"0")),
    Key::new(c"lockout", c"source_threshold", Some(c"0")),
    Key::new(c"lockout", c"window", Some(c"300")),
    Key::new(c"lockout", c"duration", Some(c"300")),
    Key::new(c"lockout", c"delay", Some(c"0")),
    Key::new(c"lockout", c"max_delay", Some(c"4")),
    Key::new(c"lockout", c"remembered", Some(c"100000")),
];

/// What is wrong with the configuration, and at which key (dotted) it is to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub key: String,
    pub message: String,
}

impl Fault {
    pub fn new(key: &str, message: impl Into<String>) -> Self {
        Self {
            key: key.to_owned(),
            message: message.into(),
        }
    }
}

impl Fault {
    /// A fault of no key in particular.
    pub fn of_section(message: String) -> Self {
        Self {
            key: String::new(),
            message,
        }
    }
}

impl From<&NodeError> for Fault {
    fn from(error: &NodeError) -> Self {
        match error {
            NodeError::Config(fault) => Self::new(fault.key, error.to_string()),
            NodeError::Keys { .. } => Self::new("key_file", error.to_string()),
            NodeError::Journal(_) => Self::new("accounting.journal", error.to_string()),
            _ => Self::of_section(error.to_string()),
        }
    }
}

/// The values of [`KEYS`], in that order; `None` where the key is not set and has no default.
pub type Values<'a> = [Option<&'a str>; KEYS.len()];

/// What the configuration says.
#[derive(Debug, Clone)]
pub struct Settings {
    /// But for its vendors: those are read with the server's dictionary.
    pub node: NodeConfig,
    /// The files of vendors, each with its key.
    pub vendors: Vec<(&'static str, PathBuf)>,
    /// Name the decision in Class.
    pub class: bool,
}

/// Make settings of the values.
///
/// # Errors
/// The first key with a value it cannot have.
pub fn settings(values: &Values<'_>) -> Result<Settings, Fault> {
    let [
        key_file,
        poll_interval,
        default_tenant,
        vendors,
        vendors_local,
        verify_cache,
        url,
        connections,
        file,
        interval,
        max_age,
        mode,
        timeout,
        journal,
        journal_max_size,
        interim,
        silent_intervals,
        simultaneous_use,
        claim,
        claim_timeout,
        database_down,
        class,
        queue,
        threshold,
        source_threshold,
        window,
        duration,
        delay,
        max_delay,
        remembered,
    ] = *values;
    let snapshot_max_age = seconds("snapshot.max_age", max_age)?;
    let config = NodeConfig {
        database_url: Secret::new(url.unwrap_or_default().to_owned()),
        database_connections: number("database.connections", connections)?,
        key_file: path("key_file", key_file)?,
        snapshot_file: path("snapshot.file", file)?,
        snapshot_interval: seconds("snapshot.interval", interval)?,
        snapshot_max_age: Some(snapshot_max_age).filter(|age| !age.is_zero()),
        poll_interval: seconds("poll_interval", poll_interval)?,
        default_tenant: filled("default_tenant", default_tenant)?.map(str::to_owned),
        accounting_mode: accounting_mode(mode)?,
        accounting_timeout: seconds("accounting.timeout", timeout)?,
        journal: path("accounting.journal", journal)?.unwrap_or_default(),
        journal_max_size: bytes("accounting.journal_max_size", journal_max_size)?,
        silence: Silence {
            interim: seconds("sessions.interim", interim)?,
            intervals: number("sessions.silent_intervals", silent_intervals)?,
        },
        simultaneous_use: parse(
            "sessions.simultaneous_use",
            simultaneous_use,
            "must be off, node or strict",
            |text| match text {
                "off" => Some(SimultaneousUse::Off),
                "node" => Some(SimultaneousUse::Node),
                "strict" => Some(SimultaneousUse::Strict),
                _ => None,
            },
        )?,
        claim_lifetime: seconds("sessions.claim", claim)?,
        claim_timeout: seconds("sessions.timeout", claim_timeout)?,
        database_down: parse(
            "sessions.database_down",
            database_down,
            "must be allow or refuse",
            |text| match text {
                "allow" => Some(DatabaseDown::Allow),
                "refuse" => Some(DatabaseDown::Refuse),
                _ => None,
            },
        )?,
        post_auth_queue: number("post_auth.queue", queue)?,
        verify_cache: number("verify_cache", verify_cache)?,
        lockout: LockoutConfig {
            threshold: number("lockout.threshold", threshold)?,
            source_threshold: number("lockout.source_threshold", source_threshold)?,
            window: seconds("lockout.window", window)?,
            duration: seconds("lockout.duration", duration)?,
            delay: seconds("lockout.delay", delay)?,
            max_delay: seconds("lockout.max_delay", max_delay)?,
            remembered: number("lockout.remembered", remembered)?,
        },
        ..NodeConfig::default()
    };
    let vendors = [("vendors", vendors), ("vendors_local", vendors_local)];
    let vendors = vendors
        .into_iter()
        .filter_map(|(key, value)| Some(path(key, value).transpose()?.map(|path| (key, path))))
        .collect::<Result<_, _>>()?;
    config
        .validate()
        .map_err(|fault| Fault::new(fault.key, fault.to_string()))?;
    if let Some(file) = &config.snapshot_file {
        has_directory("snapshot.file", file)?;
        if file.is_dir() {
            let message = format!("snapshot.file = {}: is a directory", file.display());
            return Err(Fault::new("snapshot.file", message));
        }
    }
    if config.accounting_mode == AccountingMode::Journal {
        has_directory("accounting.journal", &config.journal)?;
        if config.journal.exists() && !config.journal.is_dir() {
            let message = format!("accounting.journal = {}: is not a directory", config.journal.display());
            return Err(Fault::new("accounting.journal", message));
        }
    }
    let class = parse("sessions.class", class, "must be yes or no", |text| match text {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    })?;
    Ok(Settings {
        node: config,
        vendors,
        class,
    })
}

/// What is to be made at `path` needs a directory to be made in.
fn has_directory(key: &str, path: &Path) -> Result<(), Fault> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if parent.is_some_and(Path::is_dir) {
        return Ok(());
    }
    let message = format!("{key} = {}: its directory does not exist", path.display());
    Err(Fault::new(key, message))
}

fn accounting_mode(value: Option<&str>) -> Result<AccountingMode, Fault> {
    parse(
        "accounting.mode",
        value,
        "must be journal or database",
        |text| match text {
            "journal" => Some(AccountingMode::Journal),
            "database" => Some(AccountingMode::Database),
            _ => None,
        },
    )
}

/// `4G`: bytes, or with K, M, G or T so many times 1024 of them.
fn bytes(key: &str, value: Option<&str>) -> Result<u64, Fault> {
    let rule = "must be a number of bytes, or one with K, M, G or T behind it";
    parse(key, value, rule, |text| {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let shift = match &text[digits.len()..] {
            "" => 0,
            "K" => 10,
            "M" => 20,
            "G" => 30,
            "T" => 40,
            _ => return None,
        };
        digits.parse::<u64>().ok()?.checked_mul(1 << shift)
    })
}

fn number<T: FromStr>(key: &str, value: Option<&str>) -> Result<T, Fault> {
    parse(
        key,
        value,
        "must be a whole number, not negative and not beyond 4294967295",
        |text| text.parse().ok(),
    )
}

fn seconds(key: &str, value: Option<&str>) -> Result<Duration, Fault> {
    parse(key, value, "must be a number of seconds, not negative", |text| {
        Duration::try_from_secs_f64(text.parse().ok()?).ok()
    })
}

fn path(key: &str, value: Option<&str>) -> Result<Option<PathBuf>, Fault> {
    Ok(filled(key, value)?.map(PathBuf::from))
}

fn filled<'a>(key: &str, value: Option<&'a str>) -> Result<Option<&'a str>, Fault> {
    match value {
        Some("") => Err(Fault::new(
            key,
            format!("{key}: must not be empty; leave the key out instead"),
        )),
        other => Ok(other),
    }
}

fn parse<T>(
    key: &str,
    value: Option<&str>,
    rule: impl fmt::Display,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, Fault> {
    let text = value.unwrap_or_default().trim();
    parse(text).ok_or_else(|| Fault::new(key, format!("{key} = {text}: {rule}")))
}

/// What to say of an item of the section that is no key of ours, if it is none. `section` is empty at the top.
pub fn unknown(section: &str, name: &str, is_section: bool) -> Option<String> {
    let (kind, hint) = if is_section {
        let mut sections = SECTIONS.iter().filter_map(|section| section.to_str().ok());
        if section.is_empty() && sections.clone().any(|known| known == name) {
            return None;
        }
        ("section", suggest::hint(name, sections.by_ref()))
    } else {
        let of_section = KEYS.iter().filter(|key| key.section.to_str() == Ok(section));
        let mut names = of_section.filter_map(|key| key.name.to_str().ok());
        if names.clone().any(|known| known == name) {
            return None;
        }
        ("key", suggest::hint(name, names.by_ref()))
    };
    let place = if section.is_empty() {
        "this module".to_owned()
    } else {
        format!("section {section}")
    };
    Some(format!("{place} has no {kind} \"{name}\"{hint}"))
}

#[cfg(test)]
mod tests;
