//! What can go wrong at the database, in the words of what was attempted.

use std::time::Duration;

use sqlx::error::{DatabaseError, ErrorKind};

/// A database fault. `attempt` says what was being done ("add subscriber \"alice\"").
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("database URL: {0}")]
    Url(String),
    /// No connection could be made. `database` names it without credentials.
    #[error("cannot open the database {database}: {reason}")]
    Connect { database: String, reason: String },
    /// A connection was lost, refused or did not answer in time.
    #[error("{attempt}: the database does not answer: {reason}")]
    Unreachable { attempt: String, reason: String },
    #[error("PostgreSQL {found} is too old: version 15 or newer is needed")]
    ServerTooOld { found: String },
    #[error("the database is empty: run `ispctl migrate`")]
    SchemaMissing,
    #[error("the database schema is at version {found}, this build needs {wanted}: run `ispctl migrate`")]
    SchemaOld { found: i64, wanted: i64 },
    #[error(
        "the database schema is at version {found}, this build knows {wanted} at most: \
         install the version that ran `ispctl migrate`"
    )]
    SchemaNew { found: i64, wanted: i64 },
    #[error("schema version {version} was not made by this build's migration of that number")]
    SchemaForeign { version: i64 },
    #[error("schema version {version}: {reason}")]
    Migration { version: i64, reason: String },
    #[error("{attempt}: the {what} is taken already")]
    Duplicate { attempt: String, what: &'static str },
    #[error("{attempt}: no such {what}")]
    MissingReference { attempt: String, what: String },
    #[error("{attempt}: other rows still refer to it ({by})")]
    InUse { attempt: String, by: &'static str },
    #[error("{attempt}: not found")]
    NotFound { attempt: String },
    /// A value the schema does not allow.
    #[error("{attempt}: {reason}")]
    Refused { attempt: String, reason: String },
    /// A value the database holds and this build cannot read.
    #[error("{attempt}: column {column}: {reason}")]
    Unreadable {
        attempt: String,
        column: String,
        reason: String,
    },
    #[error("{attempt}: {source}")]
    Database {
        attempt: String,
        #[source]
        source: sqlx::Error,
    },
}

impl StoreError {
    /// The database did not answer `what` (a present participle: "reading the change feed") in time.
    #[must_use]
    pub fn timeout(what: &'static str, limit: Duration) -> Self {
        Self::Unreachable {
            attempt: what.to_owned(),
            reason: format!("no answer within {limit:?}"),
        }
    }

    /// The database is away, busy or slow: trying the same again later may work (not so for a refused row).
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Connect { .. } | Self::Unreachable { .. })
    }

    pub(super) fn from_sqlx(attempt: String, error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(fault) => Self::from_fault(attempt, fault),
            sqlx::Error::ColumnDecode { index, source } => Self::Unreadable {
                attempt,
                column: index,
                reason: source.to_string(),
            },
            sqlx::Error::PoolTimedOut => Self::Unreachable {
                attempt,
                reason: "no connection became available in time".to_owned(),
            },
            sqlx::Error::Io(source) => Self::Unreachable {
                attempt,
                reason: source.to_string(),
            },
            error @ (sqlx::Error::Tls(_) | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed) => Self::Unreachable {
                attempt,
                reason: error.to_string(),
            },
            source => Self::Database { attempt, source },
        }
    }

    fn from_fault(attempt: String, fault: Box<dyn DatabaseError>) -> Self {
        let code = fault.code().unwrap_or_default().into_owned();
        match fault.kind() {
            ErrorKind::UniqueViolation => Self::Duplicate {
                attempt,
                what: unique_key(fault.as_ref()),
            },
            ErrorKind::ForeignKeyViolation => Self::MissingReference {
                attempt,
                what: reference(fault.as_ref()).to_owned(),
            },
            ErrorKind::NotNullViolation | ErrorKind::CheckViolation => Self::Refused {
                attempt,
                reason: fault.message().to_owned(),
            },
            _ if is_refusal(&code) => Self::Refused {
                attempt,
                reason: fault.message().to_owned(),
            },
            _ if is_outage(&code) => Self::Unreachable {
                attempt,
                reason: fault.message().to_owned(),
            },
            _ => Self::Database {
                attempt,
                source: sqlx::Error::Database(fault),
            },
        }
    }
}

/// Whether the fault is the database's as a whole and may pass: what makes a [`StoreError`] transient.
pub(super) fn is_away(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(fault) => is_outage(&fault.code().unwrap_or_default()),
        sqlx::Error::PoolTimedOut
        | sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        _ => false,
    }
}

/// SQLite result codes are numbers, SQLSTATEs five characters: one table serves both.
fn is_refusal(code: &str) -> bool {
    // RAISE in a trigger, wrong type in a STRICT table; PostgreSQL: the same, class 22, data exception, and 54, a value too
    // long for an index and the like.
    matches!(code, "1811" | "3091" | "P0001") || (code.len() == 5 && (code.starts_with("22") || code.starts_with("54")))
}

fn is_outage(code: &str) -> bool {
    if code.len() == 5 {
        // Connection exception, a transaction that is read-only (a standby) or sat idle for too long, authorization,
        // deadlock, insufficient resources, a lock not to be had, operator intervention (shutdown, statement_timeout),
        // a fault of the system.
        return ["08", "25", "28", "40", "53", "55P03", "57", "58"]
            .iter()
            .any(|class| code.starts_with(class));
    }
    // SQLITE_BUSY, LOCKED, NOMEM, READONLY, IOERR, CORRUPT, FULL, CANTOPEN, NOTADB and their extended forms.
    code.parse::<i32>()
        .is_ok_and(|code| matches!(code & 0xff, 5 | 6 | 7 | 8 | 10 | 11 | 13 | 14 | 26))
}

/// PostgreSQL names the constraint, SQLite lists the columns.
fn unique_key(fault: &dyn DatabaseError) -> &'static str {
    const KEYS: [(&str, &str, &str); 10] = [
        ("tenants_name_key", "tenants.name", "tenant name"),
        (
            "radius_bandwidth_profiles_name_key",
            "radius_bandwidth_profiles.tenant_id, radius_bandwidth_profiles.name",
            "plan name",
        ),
        ("nas_nasname", "nas.nasname", "NAS address (nasname)"),
        (
            "subscribers_username_key",
            "subscribers.tenant_id, subscribers.username",
            "username",
        ),
        (
            "subscribers_number_key",
            "subscribers.tenant_id, subscribers.subscriber_number",
            "subscriber number",
        ),
        (
            "plan_quotas_key",
            "index 'plan_quotas_key'",
            "quota of this metric and period",
        ),
        (
            "plan_quota_tiers_pkey",
            "plan_quota_tiers.quota_id, plan_quota_tiers.threshold",
            "threshold of a tier",
        ),
        ("subscribers_pkey", "subscribers.id", "subscriber id"),
        ("tenants_pkey", "tenants.id", "tenant id"),
        (
            "radius_bandwidth_profiles_pkey",
            "radius_bandwidth_profiles.id",
            "plan id",
        ),
    ];
    let columns = fault
        .message()
        .strip_prefix("UNIQUE constraint failed: ")
        .unwrap_or_default();
    KEYS.iter()
        .find(|(name, listed, _)| fault.constraint() == Some(name) || columns == *listed)
        .map_or("key", |(_, _, what)| what)
}

fn reference(fault: &dyn DatabaseError) -> &'static str {
    match fault.constraint().unwrap_or_default() {
        "subscribers_plan_fkey" | "plan_quotas_plan_fkey" | "plan_quota_tiers_plan_fkey" => "plan of this tenant",
        name if name.ends_with("_tenant_id_fkey") => "tenant",
        name if name.ends_with("_customer_id_fkey") => "customer",
        name if name.ends_with("_user_id_fkey") => "user",
        name if name.ends_with("_subscriber_id_fkey") => "subscriber",
        // SQLite does not say which.
        _ => "tenant, plan, customer, user or subscriber it refers to",
    }
}

/// Adds what was attempted to a driver's error.
pub(super) trait Attempt<T> {
    fn attempt(self, what: impl FnOnce() -> String) -> Result<T, StoreError>;
}

impl<T> Attempt<T> for Result<T, sqlx::Error> {
    fn attempt(self, what: impl FnOnce() -> String) -> Result<T, StoreError> {
        self.map_err(|error| StoreError::from_sqlx(what(), error))
    }
}
