//! Whether the database answers, is as its migrations made it, and agrees with the servers on the time.

use isp_core::store::{Store, StoreError};

use super::finding::Findings;
use super::open_to_all;
use super::raddb::{Entry, Raddb};
use crate::config::{holds_password, shown_url};
use crate::context::Context;
use crate::error::Result;

/// Seconds that clocks may be apart: periods of quotas and claims of sessions are counted by both.
const APART: i64 = 2;

/// The server's database against ispctl's: they meet there.
pub(super) fn compare(context: &Context, raddb: &Raddb, instance: &Entry, findings: &mut Findings) {
    let Some(section) = instance.section("database") else {
        let remedy = "set url in its subsection \"database\"";
        return findings.error(
            "server_database_unset",
            &instance.place(),
            "the module has no database",
            remedy,
        );
    };
    let Some(url) = raddb.value(section, "url").filter(|url| !url.contains("$ENV{")) else {
        return;
    };
    if holds_password(&url) && open_to_all(instance.file()) {
        let place = instance.file().display().to_string();
        let remedy = format!("chmod o-rwx {place}");
        findings.error(
            "server_password_exposed",
            &place,
            "every user can read the database's password in it",
            &remedy,
        );
    }
    let ours = context
        .settings
        .database_url
        .as_ref()
        .map(|url| shown_url(url.expose()));
    let theirs = shown_url(&url);
    // Users may differ; the database may not.
    let place_of = |url: &str| match url.split_once("://") {
        Some(("sqlite", path)) => {
            std::fs::canonicalize(path).map_or_else(|_| path.to_owned(), |path| path.display().to_string())
        }
        Some((_, rest)) => rest
            .rsplit('@')
            .next()
            .unwrap_or_default()
            .replace("localhost", "127.0.0.1")
            .replace(":5432", ""),
        None => url.to_owned(),
    };
    if let Some(ours) = ours.filter(|ours| place_of(ours) != place_of(&theirs)) {
        findings.error(
            "databases_differ",
            &section.place(),
            &format!("the server works on {theirs}, ispctl on {ours}: changes made here do not reach it"),
            "set url there and database_url of ispctl to the same database",
        );
    }
}

/// The database, whatever its schema is.
pub(super) async fn open<'c>(context: &'c Context, findings: &mut Findings) -> Option<&'c Store> {
    let url = context.settings.database_url.as_ref();
    let shown = url.map_or_else(|| "settings".to_owned(), |url| shown_url(url.expose()));
    match context.open(false).await {
        Ok(store) => Some(store),
        Err(error) => {
            findings.error(
                "database_unreachable",
                &shown,
                &error.to_string(),
                "start the database, or mend database_url",
            );
            None
        }
    }
}

/// Whether the rest of the database can be looked at.
pub(super) async fn check(context: &Context, store: &Store, findings: &mut Findings) -> Result<bool> {
    let url = context.settings.database_url.as_ref();
    let shown = url.map_or_else(String::new, |url| shown_url(url.expose()));
    if let Err(error) = store.check_schema().await {
        let remedy = match &error {
            StoreError::SchemaMissing | StoreError::SchemaOld { .. } => "ispctl migrate",
            StoreError::SchemaNew { .. } => "install the version that migrated it",
            StoreError::SchemaForeign { .. } => "restore the database, or migrate an empty one and import",
            _ => "see what the database's log says",
        };
        findings.error("schema", &shown, &error.to_string(), remedy);
        return Ok(false);
    }
    let inspection = match store.inspect().await {
        Ok(inspection) => inspection,
        Err(error) => {
            findings.error(
                "schema",
                &shown,
                &error.to_string(),
                "restore what is missing from a backup",
            );
            return Ok(false);
        }
    };
    let whole = inspection.missing.iter().all(|object| object.kind != "table");
    for object in &inspection.missing {
        let (code, harm) = match object.kind {
            "table" => ("table_missing", "what needs it fails"),
            "trigger" => (
                "trigger_missing",
                "is gone or switched off: changes do not reach servers, or rows are not completed",
            ),
            _ => (
                "index_missing",
                "is gone or invalid: questions take far too long, or what must be unique is not",
            ),
        };
        let remedy = format!(
            "make it again as migrations/ of this version do, or enable it; search there for {}",
            object.name
        );
        findings.error(
            code,
            &format!("{} {}", object.kind, object.name),
            &format!("the {} {harm}", object.kind),
            &remedy,
        );
    }
    for month in &inspection.months_missing {
        findings.error(
            "partition_missing",
            "radacct",
            &format!("there is no table for sessions that end in {month}: their accounting is refused"),
            "start a server or ispctl serve, which make it within a minute",
        );
    }
    if inspection.sessions_astray > 0 {
        findings.error(
            "sessions_astray",
            "radacct_open",
            &format!(
                "{} session(s) that ended lie among the open ones",
                inspection.sessions_astray
            ),
            "give them no stop, or move them to the partition of their month",
        );
    }
    let ahead = jiff::Timestamp::now().as_second() - inspection.clock;
    if let Some(problem) = apart(ahead) {
        findings.warning("clock", &shown, &problem, "keep both clocks by NTP");
    }
    if whole && store.tenant_list().await?.is_empty() {
        findings.error(
            "no_tenant",
            "tenants",
            "there is no tenant: every packet is refused",
            "ispctl tenant add NAME",
        );
    }
    Ok(whole)
}

fn apart(ahead: i64) -> Option<String> {
    let way = if ahead > 0 { "ahead of" } else { "behind" };
    (ahead.abs() > APART).then(|| format!("the clock here is {} s {way} the database's", ahead.abs()))
}

#[cfg(test)]
mod tests {
    use super::apart;

    #[test]
    fn clocks_may_be_a_little_apart() {
        assert_eq!(apart(2), None);
        assert_eq!(
            apart(90).as_deref(),
            Some("the clock here is 90 s ahead of the database's")
        );
        assert_eq!(
            apart(-3).as_deref(),
            Some("the clock here is 3 s behind the database's")
        );
    }
}
