//! Who changed what through the API and the command line.

use super::error::Attempt as _;
use super::sql::{Columns, Row, params, statements};
use super::{Result, Store};
use crate::access::AuditEntry;

/// Which entries to list, the latest first; all conditions must hold.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    pub tenant_id: String,
    pub kind: Option<String>,
    pub subject: Option<String>,
    pub actor: Option<String>,
    /// Go on with those before the entry of this id.
    pub before: Option<i64>,
    pub limit: u32,
}

statements! {
    ADD {
        sqlite: "INSERT INTO audit_log (at, tenant_id, actor, action, kind, subject, before, after, request_id)
            VALUES (datetime($1, 'unixepoch'), $2, $3, $4, $5, $6, $7, $8, $9)",
        postgres: "INSERT INTO audit_log (at, tenant_id, actor, action, kind, subject, before, after, request_id)
            VALUES (to_timestamp($1), $2, $3, $4, $5, $6, $7::json, $8::json, $9)",
    }
    LIST {
        sqlite: "SELECT id, unixepoch(at), tenant_id, actor, action, kind, subject, before, after, request_id FROM audit_log
            WHERE tenant_id = $1 AND ($2 IS NULL OR kind = $2) AND ($3 IS NULL OR subject = $3)
                AND ($4 IS NULL OR actor = $4) AND id < coalesce($5, 9223372036854775807)
            ORDER BY id DESC LIMIT $6",
        postgres: "SELECT id, extract(epoch FROM at)::bigint, tenant_id, actor, action, kind, subject, before::text,
                after::text, request_id FROM audit_log
            WHERE tenant_id = $1 AND ($2::text IS NULL OR kind = $2) AND ($3::text IS NULL OR subject = $3)
                AND ($4::text IS NULL OR actor = $4) AND id < coalesce($5::bigint, 9223372036854775807)
            ORDER BY id DESC LIMIT $6",
    }
}

fn entry(row: &Row) -> std::result::Result<AuditEntry, sqlx::Error> {
    let mut columns = Columns::of(row);
    Ok(AuditEntry {
        id: columns.number()?,
        at: columns.number()?,
        tenant_id: columns.text()?,
        actor: columns.text()?,
        action: columns.text()?,
        kind: columns.text()?,
        subject: columns.text()?,
        before: columns.opt_text()?,
        after: columns.opt_text()?,
        request_id: columns.opt_text()?,
    })
}

impl Store {
    /// Write down a change; the entry's id is the database's to choose.
    ///
    /// # Errors
    /// The database did not take it.
    pub async fn audit_add(&self, entry: &AuditEntry) -> Result<()> {
        let attempt = || format!("write down the {} of {} {:?}", entry.action, entry.kind, entry.subject);
        let mut connection = self.writer().await.attempt(attempt)?;
        let params = params![
            entry.at,
            &entry.tenant_id,
            &entry.actor,
            &entry.action,
            &entry.kind,
            &entry.subject,
            &entry.before,
            &entry.after,
            &entry.request_id,
        ];
        connection.link().execute(ADD, params).await.attempt(attempt)?;
        Ok(())
    }

    /// # Errors
    /// The database does not answer.
    pub async fn audit_list(&self, filter: &AuditFilter) -> Result<Vec<AuditEntry>> {
        let attempt = || "read the audit log".to_owned();
        let mut connection = self.reader().await.attempt(attempt)?;
        let params = params![
            &filter.tenant_id,
            &filter.kind,
            &filter.subject,
            &filter.actor,
            filter.before,
            filter.limit,
        ];
        let rows = connection.link().all(LIST, params).await.attempt(attempt)?;
        rows.iter()
            .map(entry)
            .collect::<std::result::Result<_, _>>()
            .attempt(attempt)
    }
}
