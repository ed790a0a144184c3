//! What an import brings beside subscribers: raw rows, memberships, plans and NAS, in the same transaction.
//!
//! A batch is one parameter, a JSON array. What is there already, equal in every column, is not added again: an import may be
//! run twice. Rows of a batch that are equal to one another are all added, so rows of one name belong into one batch.

use serde::Serialize;

use super::error::{Attempt as _, StoreError};
use super::import::SubscriberImport;
use super::sql::{Sql, params, statements};
use super::{Result, must_hit, nas, plans, subscribers};
use crate::nas::Nas;
use crate::plan::Plan;
use crate::subscriber::Subscriber;

/// A table of raw rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RawTable {
    Check,
    Reply,
    GroupCheck,
    GroupReply,
}

/// A raw row. `name` is a username, or the name of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RawRow {
    pub name: String,
    pub attribute: String,
    /// Two characters at most.
    pub op: String,
    pub value: String,
}

/// A row of `radusergroup`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Membership {
    pub username: String,
    pub groupname: String,
    /// Groups with lower ones come first.
    pub priority: i64,
}

macro_rules! rows_sqlite {
    ($table:literal, $name:literal) => {
        concat!(
            "INSERT INTO ", $table, " (tenant_id, ", $name, ", attribute, op, value)
             SELECT $1, r.name, r.attribute, r.op, r.value
             FROM (SELECT key AS n, value ->> 'name' AS name, value ->> 'attribute' AS attribute, value ->> 'op' AS op,
                 value ->> 'value' AS value FROM json_each($2)) r
             WHERE NOT EXISTS (SELECT 1 FROM ", $table, " t WHERE t.tenant_id = $1 AND t.", $name, " = r.name
                 AND t.attribute = r.attribute AND t.op = r.op AND t.value = r.value)
             ORDER BY r.n"
        )
    };
}
macro_rules! rows_postgres {
    ($table:literal, $name:literal) => {
        concat!(
            "INSERT INTO ",
            $table,
            " (tenant_id, ",
            $name,
            ", attribute, op, value)
             SELECT $1, r.name, r.attribute, r.op, r.value
             FROM ROWS FROM (json_to_recordset($2::json) AS (name text, attribute text, op text, value text))
                 WITH ORDINALITY AS r (name, attribute, op, value, n)
             WHERE NOT EXISTS (SELECT 1 FROM ",
            $table,
            " t WHERE t.tenant_id = $1 AND t.",
            $name,
            " = r.name
                 AND t.attribute = r.attribute AND t.op = r.op AND t.value = r.value)
             ORDER BY r.n"
        )
    };
}

statements! {
    ADD_CHECK {
        sqlite: rows_sqlite!("radcheck", "username"),
        postgres: rows_postgres!("radcheck", "username"),
    }
    ADD_REPLY {
        sqlite: rows_sqlite!("radreply", "username"),
        postgres: rows_postgres!("radreply", "username"),
    }
    ADD_GROUP_CHECK {
        sqlite: rows_sqlite!("radgroupcheck", "groupname"),
        postgres: rows_postgres!("radgroupcheck", "groupname"),
    }
    ADD_GROUP_REPLY {
        sqlite: rows_sqlite!("radgroupreply", "groupname"),
        postgres: rows_postgres!("radgroupreply", "groupname"),
    }
    // SQLite would go through all members of the group for each of them: a plus keeps it to those of the name.
    ADD_MEMBERSHIPS {
        sqlite: "INSERT INTO radusergroup (tenant_id, username, groupname, priority)
             SELECT $1, r.username, r.groupname, r.priority
             FROM (SELECT key AS n, value ->> 'username' AS username, value ->> 'groupname' AS groupname,
                 value ->> 'priority' AS priority FROM json_each($2)) r
             WHERE NOT EXISTS (SELECT 1 FROM radusergroup t WHERE +t.tenant_id = $1 AND t.username = r.username
                 AND +t.groupname = r.groupname)
             ORDER BY r.n",
        postgres: "INSERT INTO radusergroup (tenant_id, username, groupname, priority)
             SELECT $1, r.username, r.groupname, r.priority
             FROM ROWS FROM (json_to_recordset($2::json) AS (username text, groupname text, priority bigint))
                 WITH ORDINALITY AS r (username, groupname, priority, n)
             WHERE NOT EXISTS (SELECT 1 FROM radusergroup t WHERE t.tenant_id = $1 AND t.username = r.username
                 AND t.groupname = r.groupname)
             ORDER BY r.n",
    }
    CLEAR_CHECK { both: "DELETE FROM radcheck WHERE tenant_id = $1 AND subscriber_id = $2" }
    CLEAR_REPLY { both: "DELETE FROM radreply WHERE tenant_id = $1 AND subscriber_id = $2" }
    CLEAR_MEMBERSHIPS { both: "DELETE FROM radusergroup WHERE tenant_id = $1 AND username = $2" }
}

const fn of(table: RawTable) -> Sql {
    match table {
        RawTable::Check => ADD_CHECK,
        RawTable::Reply => ADD_REPLY,
        RawTable::GroupCheck => ADD_GROUP_CHECK,
        RawTable::GroupReply => ADD_GROUP_REPLY,
    }
}

impl RawTable {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Check => "radcheck",
            Self::Reply => "radreply",
            Self::GroupCheck => "radgroupcheck",
            Self::GroupReply => "radgroupreply",
        }
    }
}

/// Rows of a batch.
const BATCH: usize = 2_000;

/// Batches of about [`BATCH`] rows in which no name is torn apart; rows of one name stand together.
fn batches<T>(rows: &[T], name: impl Fn(&T) -> &str) -> impl Iterator<Item = &[T]> {
    let mut rest = rows;
    std::iter::from_fn(move || {
        let mut end = rest.len().min(BATCH);
        while let (Some(last), Some(next)) = (end.checked_sub(1).and_then(|i| rest.get(i)), rest.get(end))
            && name(last) == name(next)
        {
            end += 1;
        }
        let (batch, others) = rest.split_at(end);
        rest = others;
        (!batch.is_empty()).then_some(batch)
    })
}

fn json<T: Serialize>(rows: &[T], attempt: impl FnOnce() -> String) -> Result<String> {
    serde_json::to_string(rows).map_err(|e| StoreError::Refused {
        attempt: attempt(),
        reason: e.to_string(),
    })
}

impl SubscriberImport {
    /// Add raw rows; those of one name stand together, in the order the server is to evaluate them. Returns how many were
    /// not there yet.
    ///
    /// # Errors
    /// The database does not take them.
    pub async fn push_rows(&mut self, table: RawTable, tenant_id: &str, rows: &[RawRow]) -> Result<u64> {
        let attempt = || format!("import rows of {}", table.name());
        let mut added = 0;
        for batch in batches(rows, |row| &row.name) {
            let text = json(batch, attempt)?;
            let link = self.link();
            added += link
                .execute(of(table), params![tenant_id, &text])
                .await
                .attempt(attempt)?;
        }
        Ok(added)
    }

    /// Put users into groups; returns how many were not in theirs yet.
    ///
    /// # Errors
    /// The database does not take them.
    pub async fn push_memberships(&mut self, tenant_id: &str, memberships: &[Membership]) -> Result<u64> {
        let attempt = || "import radusergroup".to_owned();
        let mut added = 0;
        for batch in batches(memberships, |row| &row.username) {
            let text = json(batch, attempt)?;
            let link = self.link();
            added += link
                .execute(ADD_MEMBERSHIPS, params![tenant_id, &text])
                .await
                .attempt(attempt)?;
        }
        Ok(added)
    }

    /// Take the raw rows and memberships of a subscriber away.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn clear_rows(&mut self, subscriber: &Subscriber) -> Result<()> {
        let attempt = || format!("delete the rows of {:?}", subscriber.username);
        for (statement, whose) in [
            (CLEAR_CHECK, &subscriber.id),
            (CLEAR_REPLY, &subscriber.id),
            (CLEAR_MEMBERSHIPS, &subscriber.username),
        ] {
            let params = params![&subscriber.tenant_id, whose];
            self.link().execute(statement, params).await.attempt(attempt)?;
        }
        Ok(())
    }

    /// Write all columns of a subscriber that is there, as [`super::Store::subscriber_set`] does.
    ///
    /// # Errors
    /// There is no such subscriber, or the database refuses what it is to be.
    pub async fn set(&mut self, subscriber: &Subscriber) -> Result<()> {
        let attempt = || format!("change subscriber {:?}", subscriber.username);
        let hit = subscribers::set(self.link(), subscriber).await.attempt(attempt)?;
        must_hit(hit, attempt)
    }

    /// # Errors
    /// Its name is taken, or the database refuses it.
    pub async fn push_plan(&mut self, plan: &Plan) -> Result<()> {
        let attempt = || format!("add plan {:?}", plan.name);
        plans::add(self.link(), plan).await.attempt(attempt)
    }

    /// # Errors
    /// Its address is taken or is none.
    pub async fn push_nas(&mut self, nas: &Nas) -> Result<()> {
        let attempt = || format!("add NAS {:?}", nas.nasname);
        nas::check(nas, attempt)?;
        nas::add(self.link(), nas).await.attempt(attempt).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::{BATCH, batches};

    #[test]
    fn no_name_is_torn_apart() {
        let names: Vec<String> = (0..BATCH + 10).map(|n| (n / 7).to_string()).collect();
        let cut: Vec<&[String]> = batches(&names, |name| name).collect();
        assert_eq!(cut.concat(), names);
        assert_eq!(cut.len(), 2);
        assert_ne!(cut[0].last(), cut[1].first());
        assert_eq!(batches(&names[..0], |name| name).count(), 0);
    }
}
