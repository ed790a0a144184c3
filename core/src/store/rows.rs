//! Raw attribute rows of a subscriber (radcheck, radreply).

use super::error::Attempt as _;
use super::sql::{Columns, Row, Sql, params, statements};
use super::{Result, Store, must_hit};
use crate::dictionary::RowList;
use crate::subscriber::{AttributeRow, Subscriber};

macro_rules! list {
    ($table:literal) => {
        concat!(
            "SELECT id, attribute, op, value FROM ",
            $table,
            " WHERE tenant_id = $1 AND subscriber_id = $2 ORDER BY id"
        )
    };
}
macro_rules! add {
    ($table:literal) => {
        concat!(
            "INSERT INTO ",
            $table,
            " (tenant_id, subscriber_id, username, attribute, op, value) VALUES ($1, $2, $3, $4, $5, $6) RETURNING id"
        )
    };
}
macro_rules! delete {
    ($table:literal) => {
        concat!("DELETE FROM ", $table, " WHERE tenant_id = $1 AND id = $2")
    };
}

statements! {
    LIST_CHECK { both: list!("radcheck") }
    LIST_REPLY { both: list!("radreply") }
    ADD_CHECK { both: add!("radcheck") }
    ADD_REPLY { both: add!("radreply") }
    DELETE_CHECK { both: delete!("radcheck") }
    DELETE_REPLY { both: delete!("radreply") }
}

const fn of(list: RowList, check: Sql, reply: Sql) -> Sql {
    match list {
        RowList::Check => check,
        RowList::Reply => reply,
    }
}

const fn table(list: RowList) -> &'static str {
    match list {
        RowList::Check => "radcheck",
        RowList::Reply => "radreply",
    }
}

fn attribute_row(row: &Row) -> std::result::Result<AttributeRow, sqlx::Error> {
    let mut columns = Columns::of(row);
    Ok(AttributeRow {
        id: columns.number()?,
        attribute: columns.text()?,
        op: columns.text()?,
        value: columns.text()?,
    })
}

impl Store {
    /// The subscriber's rows, in the order the server evaluates them.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn rows(&self, list: RowList, tenant_id: &str, subscriber_id: &str) -> Result<Vec<AttributeRow>> {
        let attempt = || format!("list {} of subscriber {subscriber_id:?}", table(list));
        let mut connection = self.reader().await.attempt(attempt)?;
        let statement = of(list, LIST_CHECK, LIST_REPLY);
        let rows = connection
            .link()
            .all(statement, params![tenant_id, subscriber_id])
            .await;
        let rows = rows.attempt(attempt)?;
        rows.iter()
            .map(attribute_row)
            .collect::<std::result::Result<_, _>>()
            .attempt(attempt)
    }

    /// Append a row; returns its id.
    ///
    /// # Errors
    /// There is no such subscriber, or the operator is longer than two characters.
    pub async fn row_add(
        &self,
        list: RowList,
        subscriber: &Subscriber,
        attribute: &str,
        op: &str,
        value: &str,
    ) -> Result<i64> {
        // The value may be a password: it stays out of the error.
        let attempt = || format!("add {attribute} to {} of {:?}", table(list), subscriber.username);
        let mut connection = self.writer().await.attempt(attempt)?;
        let statement = of(list, ADD_CHECK, ADD_REPLY);
        let params = params![
            &subscriber.tenant_id,
            &subscriber.id,
            &subscriber.username,
            attribute,
            op,
            value,
        ];
        let row = connection.link().one(statement, params).await.attempt(attempt)?;
        Columns::of(&row).number().attempt(attempt)
    }

    /// # Errors
    /// The tenant has no such row.
    pub async fn row_delete(&self, list: RowList, tenant_id: &str, id: i64) -> Result<()> {
        let attempt = || format!("delete row {id} of {}", table(list));
        let mut connection = self.writer().await.attempt(attempt)?;
        let statement = of(list, DELETE_CHECK, DELETE_REPLY);
        let hit = connection
            .link()
            .execute(statement, params![tenant_id, id])
            .await
            .attempt(attempt)?;
        must_hit(hit, attempt)
    }
}
