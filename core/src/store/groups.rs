//! Groups: their rows (radgroupcheck, radgroupreply) and who is a member (radusergroup).

use super::error::Attempt as _;
use super::link::Tx;
use super::load::{Driver, readable};
use super::sql::{Columns, Row, Sql, params, statements};
use super::{Result, SnapshotSink, Store, must_hit};
use crate::dictionary::RowList;
use crate::group::{Group, GroupRow, GroupSize, Membership};
use crate::subscriber::{AttributeRow, Subscriber};

macro_rules! all {
    ($table:literal) => {
        concat!(
            "SELECT id, tenant_id, groupname, attribute, op, value FROM ",
            $table,
            " ORDER BY id"
        )
    };
}
macro_rules! list {
    ($table:literal) => {
        concat!(
            "SELECT id, attribute, op, value FROM ",
            $table,
            " WHERE tenant_id = $1 AND groupname = $2 ORDER BY id"
        )
    };
}
macro_rules! add {
    ($table:literal) => {
        concat!(
            "INSERT INTO ",
            $table,
            " (tenant_id, groupname, attribute, op, value) VALUES ($1, $2, $3, $4, $5) RETURNING id"
        )
    };
}
macro_rules! delete {
    ($table:literal) => {
        concat!(
            "DELETE FROM ",
            $table,
            " WHERE tenant_id = $1 AND groupname = $2 AND id = $3"
        )
    };
}

statements! {
    ALL_CHECK { both: all!("radgroupcheck") }
    ALL_REPLY { both: all!("radgroupreply") }
    LIST_CHECK { both: list!("radgroupcheck") }
    LIST_REPLY { both: list!("radgroupreply") }
    ADD_CHECK { both: add!("radgroupcheck") }
    ADD_REPLY { both: add!("radgroupreply") }
    DELETE_CHECK { both: delete!("radgroupcheck") }
    DELETE_REPLY { both: delete!("radgroupreply") }
    /// A group is what has rows or members.
    SIZES {
        both: "SELECT groupname, sum(c), sum(r), sum(m) FROM (
                SELECT groupname, 1 AS c, 0 AS r, 0 AS m FROM radgroupcheck WHERE tenant_id = $1
                UNION ALL SELECT groupname, 0, 1, 0 FROM radgroupreply WHERE tenant_id = $1
                UNION ALL SELECT groupname, 0, 0, 1 FROM radusergroup WHERE tenant_id = $1) parts
            GROUP BY groupname ORDER BY groupname",
    }
    MEMBERS {
        both: "SELECT username, CAST(priority AS bigint) FROM radusergroup WHERE tenant_id = $1 AND groupname = $2
            ORDER BY username, id LIMIT $3",
    }
    MEMBERSHIPS {
        both: "SELECT id, groupname, CAST(priority AS bigint) FROM radusergroup WHERE tenant_id = $1 AND subscriber_id = $2
            ORDER BY priority, id",
    }
    JOIN {
        both: "INSERT INTO radusergroup (tenant_id, subscriber_id, username, groupname, priority)
            VALUES ($1, $2, $3, $4, $5) RETURNING id",
    }
    LEAVE {
        both: "DELETE FROM radusergroup WHERE tenant_id = $1 AND subscriber_id = $2 AND groupname = $3",
    }
}

const fn of(list: RowList, check: Sql, reply: Sql) -> Sql {
    match list {
        RowList::Check => check,
        RowList::Reply => reply,
    }
}

const fn table(list: RowList) -> &'static str {
    match list {
        RowList::Check => "radgroupcheck",
        RowList::Reply => "radgroupreply",
    }
}

/// Hand all rows of all groups on.
pub(super) async fn load(tx: &mut Tx, sink: &mut dyn SnapshotSink) -> Driver<()> {
    for list in [RowList::Check, RowList::Reply] {
        for row in tx.link().all(of(list, ALL_CHECK, ALL_REPLY), &[]).await? {
            if let Some(row) = readable(table(list), &row, |row| group_row(list, row))?.flatten() {
                sink.group_row(row);
            }
        }
    }
    Ok(())
}

/// `None` for one from before rows got a tenant, of which nobody can tell whose it is.
fn group_row(list: RowList, row: &Row) -> Driver<Option<GroupRow>> {
    let mut columns = Columns::of(row);
    let id = columns.number()?;
    let Some(tenant_id) = columns.opt_text()? else {
        tracing::error!(
            table = table(list),
            id,
            "row left out: it has no tenant; set its tenant_id"
        );
        return Ok(None);
    };
    Ok(Some(GroupRow {
        tenant_id,
        group: columns.text()?,
        list,
        row: attributes(id, &mut columns)?,
    }))
}

fn attributes(id: i64, columns: &mut Columns<'_>) -> Driver<AttributeRow> {
    Ok(AttributeRow {
        id,
        attribute: columns.text()?,
        op: columns.text()?,
        value: columns.text()?,
    })
}

impl Store {
    /// The tenant's groups, by name.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn groups(&self, tenant_id: &str) -> Result<Vec<GroupSize>> {
        let attempt = || "list groups".to_owned();
        let mut connection = self.reader().await.attempt(attempt)?;
        let rows = connection
            .link()
            .all(SIZES, params![tenant_id])
            .await
            .attempt(attempt)?;
        let size = |row: &Row| -> Driver<GroupSize> {
            let mut columns = Columns::of(row);
            Ok(GroupSize {
                group: columns.text()?,
                checks: columns.number()?,
                replies: columns.number()?,
                members: columns.number()?,
            })
        };
        rows.iter().map(size).collect::<Driver<_>>().attempt(attempt)
    }

    /// The rows of a group, in the order the server evaluates them; a group that is not there has none.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn group(&self, tenant_id: &str, group: &str) -> Result<Group> {
        let attempt = || format!("read group {group:?}");
        let mut connection = self.reader().await.attempt(attempt)?;
        let mut read = Group::default();
        for (list, into) in [(RowList::Check, &mut read.checks), (RowList::Reply, &mut read.replies)] {
            let statement = of(list, LIST_CHECK, LIST_REPLY);
            for row in connection
                .link()
                .all(statement, params![tenant_id, group])
                .await
                .attempt(attempt)?
            {
                let mut columns = Columns::of(&row);
                let id = columns.number().attempt(attempt)?;
                into.push(attributes(id, &mut columns).attempt(attempt)?);
            }
        }
        Ok(read)
    }

    /// Append a row to a group; returns its id.
    ///
    /// # Errors
    /// There is no such tenant, or the operator is longer than two characters.
    pub async fn group_row_add(
        &self,
        list: RowList,
        tenant_id: &str,
        group: &str,
        attribute: &str,
        op: &str,
        value: &str,
    ) -> Result<i64> {
        // The value may be a secret: it stays out of the error.
        let attempt = || format!("add {attribute} to {} of group {group:?}", table(list));
        let mut connection = self.writer().await.attempt(attempt)?;
        let statement = of(list, ADD_CHECK, ADD_REPLY);
        let params = params![tenant_id, group, attribute, op, value];
        let row = connection.link().one(statement, params).await.attempt(attempt)?;
        Columns::of(&row).number().attempt(attempt)
    }

    /// # Errors
    /// The group has no such row.
    pub async fn group_row_delete(&self, list: RowList, tenant_id: &str, group: &str, id: i64) -> Result<()> {
        let attempt = || format!("delete row {id} of {}, group {group:?}", table(list));
        let mut connection = self.writer().await.attempt(attempt)?;
        let statement = of(list, DELETE_CHECK, DELETE_REPLY);
        let hit = connection
            .link()
            .execute(statement, params![tenant_id, group, id])
            .await
            .attempt(attempt)?;
        must_hit(hit, attempt)
    }

    /// The first `limit` members of a group with their priorities, by username; a name that no subscriber has yet is
    /// among them.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn group_members(&self, tenant_id: &str, group: &str, limit: u32) -> Result<Vec<(String, i32)>> {
        let attempt = || format!("list members of group {group:?}");
        let mut connection = self.reader().await.attempt(attempt)?;
        let rows = connection
            .link()
            .all(MEMBERS, params![tenant_id, group, limit])
            .await
            .attempt(attempt)?;
        let member = |row: &Row| -> Driver<(String, i32)> {
            let mut columns = Columns::of(row);
            Ok((columns.text()?, columns.number()?))
        };
        rows.iter().map(member).collect::<Driver<_>>().attempt(attempt)
    }

    /// The subscriber's groups, in the order they are looked at.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn memberships(&self, tenant_id: &str, subscriber_id: &str) -> Result<Vec<Membership>> {
        let attempt = || format!("list groups of subscriber {subscriber_id:?}");
        let mut connection = self.reader().await.attempt(attempt)?;
        let rows = connection
            .link()
            .all(MEMBERSHIPS, params![tenant_id, subscriber_id])
            .await
            .attempt(attempt)?;
        let membership = |row: &Row| -> Driver<Membership> {
            let mut columns = Columns::of(row);
            Ok(Membership {
                id: columns.number()?,
                group: columns.text()?,
                priority: columns.number()?,
            })
        };
        rows.iter().map(membership).collect::<Driver<_>>().attempt(attempt)
    }

    /// Make a subscriber a member of a group, which need not have rows; returns the membership's id.
    ///
    /// # Errors
    /// There is no such subscriber.
    pub async fn group_join(&self, subscriber: &Subscriber, group: &str, priority: i32) -> Result<i64> {
        let attempt = || format!("add {:?} to group {group:?}", subscriber.username);
        let mut connection = self.writer().await.attempt(attempt)?;
        let params = params![
            &subscriber.tenant_id,
            &subscriber.id,
            &subscriber.username,
            group,
            priority
        ];
        let row = connection.link().one(JOIN, params).await.attempt(attempt)?;
        Columns::of(&row).number().attempt(attempt)
    }

    /// # Errors
    /// The subscriber is no member of the group.
    pub async fn group_leave(&self, subscriber: &Subscriber, group: &str) -> Result<()> {
        let attempt = || format!("remove {:?} from group {group:?}", subscriber.username);
        let mut connection = self.writer().await.attempt(attempt)?;
        let hit = connection
            .link()
            .execute(LEAVE, params![&subscriber.tenant_id, &subscriber.id, group])
            .await
            .attempt(attempt)?;
        must_hit(hit, attempt)
    }
}
