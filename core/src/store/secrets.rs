//! Stored passwords and NAS secrets, for sealing them anew.
//!
//! A value is replaced only where it is still the one that was read, so that a password changed meanwhile stays.

use super::error::Attempt as _;
use super::sql::{Columns, Row, Sql, params, statements};
use super::{Result, Store};

/// A subscriber's password as stored. Of all tenants, deleted subscribers included: what is kept is sealed.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredSecret {
    pub id: String,
    pub username: String,
    pub password: String,
    pub password_hash_method: Option<String>,
}

impl std::fmt::Debug for StoredSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredSecret")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// `new` in the place of `old`.
#[derive(Clone, PartialEq, Eq)]
pub struct Replacement {
    /// Subscriber's, or NAS's as text.
    pub id: String,
    pub old: String,
    pub new: String,
    /// Passwords only: what the method column is to say.
    pub method: Option<&'static str>,
}

impl std::fmt::Debug for Replacement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replacement")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

statements! {
    PASSWORDS {
        sqlite: "SELECT id, username, password, password_hash_method FROM subscribers
            WHERE id > $1 AND password IS NOT NULL ORDER BY id LIMIT $2",
        postgres: "SELECT id, username, password, password_hash_method FROM subscribers
            WHERE id > $1 COLLATE \"C\" AND password IS NOT NULL ORDER BY id COLLATE \"C\" LIMIT $2",
    }
    REPLACE_PASSWORD {
        sqlite: "UPDATE subscribers SET password = $3, password_hash_method = $4, updated_at = datetime('now')
            WHERE id = $1 AND password = $2",
        postgres: "UPDATE subscribers SET password = $3, password_hash_method = $4, updated_at = now()
            WHERE id = $1 AND password = $2",
    }
    REPLACE_NAS_SECRET {
        sqlite: "UPDATE nas SET secret = $3, updated_at = datetime('now') WHERE id = CAST($1 AS INTEGER) AND secret = $2",
        postgres: "UPDATE nas SET secret = $3, updated_at = now() WHERE id::text = $1 AND secret = $2",
    }
}

fn stored(row: &Row) -> std::result::Result<StoredSecret, sqlx::Error> {
    let mut columns = Columns::of(row);
    Ok(StoredSecret {
        id: columns.text()?,
        username: columns.text()?,
        password: columns.text()?,
        password_hash_method: columns.opt_text()?,
    })
}

impl Store {
    /// At most `limit` stored passwords, by subscriber id, beginning after the id `after` (empty: at the start).
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn stored_passwords(&self, after: &str, limit: u32) -> Result<Vec<StoredSecret>> {
        let attempt = || "read stored passwords".to_owned();
        let mut connection = self.reader().await.attempt(attempt)?;
        let rows = connection
            .link()
            .all(PASSWORDS, params![after, limit])
            .await
            .attempt(attempt)?;
        rows.iter()
            .map(stored)
            .collect::<std::result::Result<_, _>>()
            .attempt(attempt)
    }

    /// Replace subscribers' passwords in one transaction. Returns how many were still the ones read.
    ///
    /// # Errors
    /// The database does not answer; none is replaced.
    pub async fn replace_passwords(&self, replacements: &[Replacement]) -> Result<u64> {
        self.replace(REPLACE_PASSWORD, replacements, "replace stored passwords")
            .await
    }

    /// Replace NAS secrets in one transaction. Returns how many were still the ones read.
    ///
    /// # Errors
    /// The database does not answer; none is replaced.
    pub async fn replace_nas_secrets(&self, replacements: &[Replacement]) -> Result<u64> {
        self.replace(REPLACE_NAS_SECRET, replacements, "replace NAS secrets")
            .await
    }

    async fn replace(&self, sql: Sql, replacements: &[Replacement], what: &str) -> Result<u64> {
        let attempt = || what.to_owned();
        if replacements.is_empty() {
            return Ok(0);
        }
        let mut tx = self.begin().await.attempt(attempt)?;
        let mut replaced = 0;
        for one in replacements {
            let mut params = params![&one.id, &one.old, &one.new].to_vec();
            params.extend(one.method.map(|method| method.into()));
            replaced += tx.link().execute(sql, &params).await.attempt(attempt)?;
        }
        tx.commit().await.attempt(attempt)?;
        Ok(replaced)
    }
}
