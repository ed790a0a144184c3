//! Tokens of the HTTP API, by their digests.

use super::error::Attempt as _;
use super::sql::{Columns, Row, params, statements};
use super::{Result, Store, must_hit};
use crate::access::ApiToken;

/// What [`token`] reads, in its order.
macro_rules! columns {
    ($seconds:literal, $end:literal) => {
        concat!(
            "SELECT t.id, t.tenant_id, t.name, t.role, t.scopes, ",
            $seconds,
            "t.created_at",
            $end,
            ", t.created_by, ",
            $seconds,
            "t.expires_at",
            $end,
            ", ",
            $seconds,
            "t.revoked_at",
            $end,
            ", ",
            $seconds,
            "t.last_used_at",
            $end,
            " FROM api_tokens t "
        )
    };
    (sqlite) => {
        columns!("unixepoch(", ")")
    };
    (postgres) => {
        columns!("extract(epoch FROM ", ")::bigint")
    };
}

statements! {
    ADD {
        sqlite: "INSERT INTO api_tokens (id, tenant_id, name, digest, role, scopes, created_at, created_by, expires_at)
            VALUES ($1, $2, $3, $4, $5, $6, datetime($7, 'unixepoch'), $8, datetime($9, 'unixepoch'))",
        postgres: "INSERT INTO api_tokens (id, tenant_id, name, digest, role, scopes, created_at, created_by, expires_at)
            VALUES ($1, $2, $3, $4, $5, $6, to_timestamp($7), $8, to_timestamp($9))",
    }
    LIST {
        sqlite: concat!(columns!(sqlite), "WHERE t.tenant_id = $1 ORDER BY t.created_at, t.id"),
        postgres: concat!(columns!(postgres), "WHERE t.tenant_id = $1 ORDER BY t.created_at, t.id COLLATE \"C\""),
    }
    REVOKE {
        sqlite: "UPDATE api_tokens SET revoked_at = coalesce(revoked_at, datetime($3, 'unixepoch'))
            WHERE tenant_id = $1 AND id = $2",
        postgres: "UPDATE api_tokens SET revoked_at = coalesce(revoked_at, to_timestamp($3))
            WHERE tenant_id = $1 AND id = $2",
    }
    BY_DIGEST {
        sqlite: concat!(columns!(sqlite), "JOIN tenants o ON o.id = t.tenant_id WHERE t.digest = $1 AND o.enabled"),
        postgres: concat!(columns!(postgres), "JOIN tenants o ON o.id = t.tenant_id WHERE t.digest = $1 AND o.enabled"),
    }
    USED {
        sqlite: "UPDATE api_tokens SET last_used_at = datetime($2, 'unixepoch')
            WHERE id = $1 AND (last_used_at IS NULL OR last_used_at <= datetime($2 - 60, 'unixepoch'))",
        postgres: "UPDATE api_tokens SET last_used_at = to_timestamp($2)
            WHERE id = $1 AND (last_used_at IS NULL OR last_used_at <= to_timestamp($2) - interval '60 seconds')",
    }
}

fn token(row: &Row) -> std::result::Result<ApiToken, sqlx::Error> {
    let mut columns = Columns::of(row);
    Ok(ApiToken {
        id: columns.text()?,
        tenant_id: columns.text()?,
        name: columns.text()?,
        role: columns.opt_parsed()?,
        scopes: columns.text()?.split_whitespace().map(str::to_owned).collect(),
        created_at: columns.number()?,
        created_by: columns.opt_text()?,
        expires_at: columns.opt_number()?,
        revoked_at: columns.opt_number()?,
        last_used_at: columns.opt_number()?,
    })
}

impl Store {
    /// Keep a new token by its digest ([`crate::access::Bearer::digest`]).
    ///
    /// # Errors
    /// There is no such tenant, or the id is taken.
    pub async fn token_add(&self, token: &ApiToken, digest: &str) -> Result<()> {
        let attempt = || format!("add token {:?}", token.name);
        let mut connection = self.writer().await.attempt(attempt)?;
        let params = params![
            &token.id,
            &token.tenant_id,
            &token.name,
            digest,
            token.role.map(crate::access::Role::as_str),
            token.scopes.join(" "),
            token.created_at,
            &token.created_by,
            token.expires_at,
        ];
        connection.link().execute(ADD, params).await.attempt(attempt)?;
        Ok(())
    }

    /// All of a tenant, the revoked and expired included, the oldest first.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn token_list(&self, tenant_id: &str) -> Result<Vec<ApiToken>> {
        let attempt = || "list tokens".to_owned();
        let mut connection = self.reader().await.attempt(attempt)?;
        let rows = connection.link().all(LIST, params![tenant_id]).await.attempt(attempt)?;
        rows.iter()
            .map(token)
            .collect::<std::result::Result<_, _>>()
            .attempt(attempt)
    }

    /// Serve a token no more. One that was revoked before stays as it is.
    ///
    /// # Errors
    /// The tenant has no such token.
    pub async fn token_revoke(&self, tenant_id: &str, id: &str, now: i64) -> Result<()> {
        let attempt = || format!("revoke token {id:?}");
        let mut connection = self.writer().await.attempt(attempt)?;
        let hit = connection.link().execute(REVOKE, params![tenant_id, id, now]).await;
        must_hit(hit.attempt(attempt)?, attempt)
    }

    /// One of an enabled tenant. Whether it is valid is for the caller to see ([`ApiToken::is_valid`]).
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn token_by_digest(&self, digest: &str) -> Result<Option<ApiToken>> {
        let attempt = || "look up a token".to_owned();
        let mut connection = self.reader().await.attempt(attempt)?;
        let row = connection
            .link()
            .optional(BY_DIGEST, params![digest])
            .await
            .attempt(attempt)?;
        row.as_ref().map(token).transpose().attempt(attempt)
    }

    /// Note that a token was used; written once a minute at most, since every request says so.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn token_used(&self, id: &str, now: i64) -> Result<()> {
        let attempt = || format!("note the use of token {id:?}");
        let mut connection = self.writer().await.attempt(attempt)?;
        connection
            .link()
            .execute(USED, params![id, now])
            .await
            .attempt(attempt)?;
        Ok(())
    }
}
