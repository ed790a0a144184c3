//! The migrations of both databases, embedded, and the check that they have been run.

use std::borrow::Cow;

use sqlx::SqlSafeStr as _;
use sqlx::migrate::{Migration, MigrationType, Migrator};

use super::error::{Attempt as _, StoreError};
use super::sql::{Columns, statements};
use super::{Backend, Result, Store};

/// Embeds `migrations/<database>/<name>.sql`. Names start with their number, and are the same for both databases.
macro_rules! migrations {
    ($database:literal: $($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../../../migrations/", $database, "/", $name, ".sql")))),+]
    };
}

type Embedded = &'static [(&'static str, &'static str)];

#[cfg(any(feature = "sqlite", test))]
const SQLITE: Embedded = migrations!("sqlite":
    "0001_tenants",
    "0002_plans_nas",
    "0003_subscribers",
    "0004_radius",
    "0005_addressing",
    "0006_change_feed",
    "0007_accounting",
    "0008_quotas",
    "0009_session_claims",
    "0010_plan_attributes",
    "0011_session_liveness",
    "0012_policy",
    "0013_groups",
    "0014_nas_clients",
    "0015_lookup",
    "0016_node_counts",
    "0017_realms",
    "0018_plan_hours",
    "0019_services",
    "0020_coa_orders",
    "0021_session_begin",
    "0022_locked_out",
    "0023_replaced_rows",
    "0024_node_logins",
    "0025_api",
    "0026_moved_rows",
    "0027_username_order",
);

#[cfg(any(feature = "postgres", test))]
const POSTGRES: Embedded = migrations!("postgres":
    "0001_tenants",
    "0002_plans_nas",
    "0003_subscribers",
    "0004_radius",
    "0005_addressing",
    "0006_change_feed",
    "0007_accounting",
    "0008_quotas",
    "0009_session_claims",
    "0010_plan_attributes",
    "0011_session_liveness",
    "0012_policy",
    "0013_groups",
    "0014_nas_clients",
    "0015_lookup",
    "0016_node_counts",
    "0017_realms",
    "0018_plan_hours",
    "0019_services",
    "0020_coa_orders",
    "0021_session_begin",
    "0022_locked_out",
    "0023_replaced_rows",
    "0024_node_logins",
    "0025_api",
    "0026_moved_rows",
    "0027_username_order",
);

statements! {
    HAS_MIGRATIONS {
        sqlite: "SELECT count(*) > 0 FROM sqlite_master WHERE type = 'table' AND name = '_sqlx_migrations'",
        postgres: "SELECT to_regclass('_sqlx_migrations') IS NOT NULL",
    }
}

/// Not a `statements!`: sqlx makes this table, and it may not be there.
const APPLIED: super::sql::Sql = super::sql::sql! {
    sqlite: "SELECT version, lower(hex(checksum)) FROM _sqlx_migrations WHERE success ORDER BY version",
    postgres: "SELECT version, encode(checksum, 'hex') FROM _sqlx_migrations WHERE success ORDER BY version",
};

/// The number a migration's name starts with.
fn number(name: &str) -> i64 {
    name.split('_')
        .next()
        .and_then(|digits| digits.parse().ok())
        .unwrap_or_default()
}

fn migrator(embedded: Embedded) -> Migrator {
    let migrations = embedded.iter().map(|(name, sql)| {
        let description = name.split_once('_').map_or(*name, |(_, words)| words);
        Migration::new(
            number(name),
            Cow::Borrowed(description),
            MigrationType::Simple,
            sql.into_sql_str(),
            false,
        )
    });
    Migrator::with_migrations(migrations.collect())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Store {
    const fn embedded(&self) -> Embedded {
        match self.backend {
            #[cfg(feature = "sqlite")]
            Backend::Sqlite(_) => SQLITE,
            #[cfg(feature = "postgres")]
            Backend::Postgres(_) => POSTGRES,
        }
    }

    /// The text of every migration of this database, in order.
    pub(super) fn migrations(&self) -> impl Iterator<Item = &'static str> {
        self.embedded().iter().map(|(_, sql)| *sql)
    }

    /// Bring the schema to the version of this build. Returns the names of the migrations it ran.
    ///
    /// # Errors
    /// The database is newer than this build, was migrated by something else, or refused a migration (which then left
    /// no trace).
    pub async fn migrate(&self) -> Result<Vec<String>> {
        let before = self.applied().await?;
        self.compare(&before, true)?;
        let migrator = migrator(self.embedded());
        let outcome = match &self.backend {
            #[cfg(feature = "sqlite")]
            Backend::Sqlite(store) => {
                let mut connection = store.writer().await.attempt(|| "migrate".to_owned())?;
                migrator.run(&mut *connection).await
            }
            #[cfg(feature = "postgres")]
            Backend::Postgres(store) => {
                // A connection of its own: an error leaves the migration lock held until the connection ends.
                let mut connection = store.connect_long().await.attempt(|| "migrate".to_owned())?;
                migrator.run(&mut connection).await
            }
        };
        outcome.map_err(|error| match error {
            sqlx::migrate::MigrateError::ExecuteMigration(source, version) => StoreError::Migration {
                version,
                reason: source.to_string(),
            },
            error => StoreError::from_sqlx("migrate".to_owned(), error.into()),
        })?;
        Ok(self
            .embedded()
            .iter()
            .filter(|(name, _)| !before.iter().any(|(version, _)| *version == number(name)))
            .map(|(name, _)| (*name).to_owned())
            .collect())
    }

    /// Make sure the schema is at the version of this build.
    ///
    /// # Errors
    /// It is not; the error says what to run.
    pub async fn check_schema(&self) -> Result<()> {
        let applied = self.applied().await?;
        self.compare(&applied, false)
    }

    /// Number of the newest migration that was run; 0 = none.
    pub(super) async fn schema_version(&self) -> Result<i64> {
        let applied = self.applied().await?;
        Ok(applied.iter().map(|(version, _)| *version).max().unwrap_or_default())
    }

    /// Version and checksum of every migration that was run.
    async fn applied(&self) -> Result<Vec<(i64, String)>> {
        let attempt = || "read the schema version".to_owned();
        let mut connection = self.reader().await.attempt(attempt)?;
        let present = connection.link().one(HAS_MIGRATIONS, &[]).await.attempt(attempt)?;
        if !Columns::of(&present).flag().attempt(attempt)? {
            return Ok(Vec::new());
        }
        let rows = connection.link().all(APPLIED, &[]).await.attempt(attempt)?;
        rows.iter()
            .map(|row| {
                let mut columns = Columns::of(row);
                Ok((columns.number()?, columns.text()?))
            })
            .collect::<std::result::Result<_, _>>()
            .attempt(attempt)
    }

    fn compare(&self, applied: &[(i64, String)], may_be_old: bool) -> Result<()> {
        let migrator = migrator(self.embedded());
        let wanted = migrator.iter().map(|m| m.version).max().unwrap_or_default();
        let found = applied.iter().map(|(version, _)| *version).max().unwrap_or_default();
        if found > wanted {
            return Err(StoreError::SchemaNew { found, wanted });
        }
        for (version, checksum) in applied {
            let ours = migrator.iter().find(|m| m.version == *version);
            if ours.is_none_or(|m| hex(&m.checksum) != *checksum) {
                return Err(StoreError::SchemaForeign { version: *version });
            }
        }
        match found {
            _ if may_be_old || applied.len() == migrator.iter().count() => Ok(()),
            0 => Err(StoreError::SchemaMissing),
            found => Err(StoreError::SchemaOld { found, wanted }),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used)]

    use super::{POSTGRES, SQLITE, number};

    #[test]
    fn both_databases_have_the_same_migrations_numbered_from_one() {
        let names = |list: super::Embedded| list.iter().map(|(name, _)| *name).collect::<Vec<_>>();
        assert_eq!(names(SQLITE), names(POSTGRES));
        let numbers: Vec<i64> = SQLITE.iter().map(|(name, _)| number(name)).collect();
        assert_eq!(numbers, (1..=numbers.len() as i64).collect::<Vec<_>>());
    }

    #[test]
    fn no_migration_file_is_left_out() {
        for (database, list) in [("sqlite", SQLITE), ("postgres", POSTGRES)] {
            let directory = format!("{}/../migrations/{database}", env!("CARGO_MANIFEST_DIR"));
            let mut files: Vec<String> = std::fs::read_dir(directory)
                .expect("migrations are beside the crate")
                .map(|file| file.expect("readable").file_name().to_string_lossy().into_owned())
                .collect();
            files.sort();
            let embedded: Vec<String> = list.iter().map(|(name, _)| format!("{name}.sql")).collect();
            assert_eq!(files, embedded);
        }
    }

    #[test]
    fn every_migration_says_why() {
        for (name, sql) in SQLITE.iter().chain(POSTGRES) {
            assert!(sql.starts_with("-- "), "{name} has no comment at its top");
        }
    }
}
