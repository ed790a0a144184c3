//! The database that is imported from: tables as text, whichever of the three kinds it is.

use std::collections::HashSet;
use std::str::FromStr as _;

use futures_util::TryStreamExt as _;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, Row as _};

use crate::error::{Error, Result};

/// A row of radcheck, radreply, radgroupcheck or radgroupreply. Its value may be a password: no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Attribute {
    pub(super) id: i64,
    /// Of the user or the group.
    pub(super) name: String,
    pub(super) attribute: String,
    pub(super) op: String,
    pub(super) value: String,
}

/// A row of radusergroup. Old schemas give it no id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) id: i64,
    pub(super) username: String,
    pub(super) groupname: String,
    pub(super) priority: i64,
}

/// A row of nas.
pub(super) struct NasRow {
    pub(super) id: i64,
    pub(super) nasname: String,
    pub(super) shortname: String,
    pub(super) kind: String,
    pub(super) ports: Option<i32>,
    pub(super) secret: String,
    pub(super) server: Option<String>,
    pub(super) community: Option<String>,
    pub(super) description: Option<String>,
}

/// What daloRADIUS knows of a user (userinfo, userbillinfo).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Person {
    pub(super) username: String,
    pub(super) full_name: Option<String>,
    pub(super) email: Option<String>,
    pub(super) phone: Option<String>,
    pub(super) address: Option<String>,
    pub(super) notes: Option<String>,
}

#[derive(Default)]
pub(super) struct Content {
    pub(super) check: Vec<Attribute>,
    pub(super) reply: Vec<Attribute>,
    pub(super) group_check: Vec<Attribute>,
    pub(super) group_reply: Vec<Attribute>,
    pub(super) members: Vec<Member>,
    pub(super) nas: Vec<NasRow>,
    pub(super) people: Vec<Person>,
    /// The database took `Alice` and `alice` for one user.
    pub(super) case_blind: bool,
    pub(super) unreadable: Vec<Unreadable>,
}

/// A cell that holds no text. It is taken with U+FFFD in place of what cannot be read, so that what it is compared with, or
/// is a password of, lets nobody in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unreadable {
    pub(super) table: &'static str,
    pub(super) id: i64,
    pub(super) column: &'static str,
    pub(super) why: &'static str,
}

impl Unreadable {
    /// Two names that cannot be read may look the same, and are not.
    pub(super) fn is_name(&self) -> bool {
        matches!(self.column, "username" | "groupname")
    }
}

pub(super) enum Source {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
    Mysql(MySqlConnection),
}

/// Columns of one row, as text.
pub(super) type Texts = Vec<Option<String>>;

/// Does it name a database of a kind that can be read?
pub(super) fn is_source_url(url: &str) -> bool {
    ["sqlite:", "postgres://", "postgresql://", "mysql://", "mariadb://"]
        .iter()
        .any(|scheme| url.starts_with(scheme))
}

fn failed(doing: &str, error: &sqlx::Error) -> Error {
    // What a driver says of a URL it cannot read may repeat it, password and all.
    match error {
        sqlx::Error::Configuration(_) => {
            Error::Usage("the URL of the database to import from cannot be read (it is not shown)".to_owned())
        }
        error => Error::Refused(format!("database to import from: {doing}: {error}")),
    }
}

/// Runs `$body` with `$connection` of whichever kind.
macro_rules! on {
    ($source:expr, $connection:ident => $body:expr) => {
        match $source {
            Source::Sqlite($connection) => $body,
            Source::Postgres($connection) => $body,
            Source::Mysql($connection) => $body,
        }
    };
}

impl Source {
    /// Connect, and see one state of the database until the end. Nothing is ever written to it.
    pub(super) async fn open(url: &str) -> Result<Self> {
        let error = |e| failed("connect", &e);
        // A table that is read whole takes its time: nothing to warn of.
        let (mut source, begin): (Self, &'static [&'static str]) = if url.starts_with("sqlite:") {
            let options = SqliteConnectOptions::from_str(url).map_err(error)?;
            let options = options.read_only(true).disable_statement_logging();
            let connection = options.connect().await.map_err(error)?;
            (Self::Sqlite(connection), &["BEGIN"])
        } else if url.starts_with("postgres") {
            let options = PgConnectOptions::from_str(url)
                .map_err(error)?
                .disable_statement_logging();
            let connection = options.connect().await.map_err(error)?;
            (
                Self::Postgres(connection),
                &[
                    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
                    "SET LOCAL TIME ZONE 'UTC'",
                ],
            )
        } else {
            // The driver knows MariaDB by the name of MySQL.
            let url = url.replacen("mariadb://", "mysql://", 1);
            let options = MySqlConnectOptions::from_str(&url)
                .map_err(error)?
                .disable_statement_logging();
            let connection = options.connect().await.map_err(error)?;
            (
                Self::Mysql(connection),
                &[
                    // Times stand in it as its users took them to be, and the driver makes the session one of UTC.
                    "SET time_zone = @@GLOBAL.time_zone",
                    "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
                    "START TRANSACTION WITH CONSISTENT SNAPSHOT",
                ],
            )
        };
        for &statement in begin {
            on!(&mut source, connection => connection.execute(statement).await.map(drop)).map_err(error)?;
        }
        Ok(source)
    }

    pub(super) async fn close(self) {
        // It was only read from: nothing depends on how it ends.
        let _ = on!(self, connection => connection.close().await);
    }

    pub(super) const fn text_type(&self) -> &'static str {
        match self {
            Self::Mysql(_) => "CHAR",
            Self::Sqlite(_) | Self::Postgres(_) => "TEXT",
        }
    }

    /// The names of a table's columns; none where there is no such table.
    pub(super) async fn columns(&mut self, table: &str) -> Result<HashSet<String>> {
        let sql = match self {
            Self::Sqlite(_) => format!("SELECT name FROM pragma_table_info('{table}')"),
            Self::Postgres(_) => format!(
                "SELECT CAST(column_name AS TEXT) FROM information_schema.columns
                 WHERE table_name = '{table}' AND table_schema = ANY(current_schemas(false))"
            ),
            Self::Mysql(_) => format!(
                "SELECT CAST(column_name AS CHAR) FROM information_schema.columns
                 WHERE table_name = '{table}' AND table_schema = database()"
            ),
        };
        let mut names = HashSet::new();
        self.each("columns", sql, &["name"], |mut row, _| {
            names.extend(row.pop().flatten().map(|name| name.to_lowercase()));
        })
        .await?;
        Ok(names)
    }

    /// Hand every row of `table` to `take`; nothing where there is no such table. A column that is missing is NULL.
    pub(super) async fn rows(
        &mut self,
        table: &'static str,
        columns: &[&'static str],
        order: &str,
        mut take: impl FnMut(Texts),
    ) -> Result<Vec<Unreadable>> {
        let there = self.columns(table).await?;
        if there.is_empty() {
            return Ok(Vec::new());
        }
        let sql = self.select(table, columns, &there);
        let order: Vec<&str> = order.split(", ").filter(|name| there.contains(*name)).collect();
        let sql = if order.is_empty() {
            sql
        } else {
            format!("{sql} ORDER BY {}", order.join(", "))
        };
        self.each(table, sql, columns, |row, unreadable| {
            if !unreadable.iter().any(Unreadable::is_name) {
                take(row);
            }
        })
        .await
    }

    /// Made of names that this program holds, never of what somebody gave.
    pub(super) fn select(&self, table: &str, columns: &[&str], there: &HashSet<String>) -> String {
        let text = self.text_type();
        let list: Vec<String> = columns
            .iter()
            .map(|column| {
                if there.contains(*column) {
                    format!("CAST({column} AS {text})")
                } else {
                    format!("CAST(NULL AS {text})")
                }
            })
            .collect();
        format!("SELECT {} FROM {table}", list.join(", "))
    }

    /// A column of times as the text of Unix seconds. One without a time zone is taken for UTC, in MySQL for the server's.
    pub(super) fn seconds(&self, column: &str) -> String {
        match self {
            // Stock queries write numbers there.
            Self::Sqlite(_) => format!(
                "CAST(CASE typeof({column}) WHEN 'text' THEN unixepoch({column}) ELSE CAST({column} AS INTEGER) END AS TEXT)"
            ),
            Self::Postgres(_) => format!(
                "CAST(CASE WHEN isfinite({column}) THEN floor(extract(epoch FROM {column}))::bigint END AS TEXT)"
            ),
            // Zero stands for no date.
            Self::Mysql(_) => format!("CAST(NULLIF(FLOOR(UNIX_TIMESTAMP({column})), 0) AS CHAR)"),
        }
    }

    /// Hand every row of a query to `take`, and tell of the cells that are no text. The first of `columns` is the row's id.
    pub(super) async fn each(
        &mut self,
        table: &'static str,
        sql: String,
        columns: &[&'static str],
        mut take: impl FnMut(Texts, &[Unreadable]),
    ) -> Result<Vec<Unreadable>> {
        let error = |e: sqlx::Error| failed(&format!("read {table}"), &e);
        let sql = AssertSqlSafe(sql);
        let mut unreadable = Vec::new();
        on!(self, connection => {
            let mut rows = sqlx::query(sql).fetch(connection);
            while let Some(row) = rows.try_next().await.map_err(error)? {
                let mut texts = Texts::with_capacity(columns.len());
                let before = unreadable.len();
                for (index, column) in columns.iter().enumerate() {
                    // As bytes: SQLite keeps what is no UTF-8, and so does PostgreSQL in a database of SQL_ASCII.
                    let cell: Option<Vec<u8>> = row.try_get_unchecked(index).map_err(error)?;
                    let (text, why) = cell.map(readable).unzip();
                    if let Some(why) = why.flatten() {
                        let id = number(texts.first().cloned());
                        unreadable.push(Unreadable { table, id, column, why });
                    }
                    texts.push(text);
                }
                take(texts, unreadable.get(before..).unwrap_or_default());
            }
        });
        Ok(unreadable)
    }

    /// All that becomes subscribers, rows, groups and NAS; but for rows of which nobody can tell whose they are.
    pub(super) async fn content(&mut self) -> Result<Content> {
        if self.columns("radcheck").await?.is_empty() {
            return Err(Error::Refused(
                "the database to import from has no table radcheck: is it FreeRADIUS's?".to_owned(),
            ));
        }
        let mut content = Content {
            case_blind: matches!(self, Self::Mysql(_)),
            ..Content::default()
        };
        let mut unreadable = self.attributes("radcheck", "username", &mut content.check).await?;
        unreadable.extend(self.attributes("radreply", "username", &mut content.reply).await?);
        unreadable.extend(
            self.attributes("radgroupcheck", "groupname", &mut content.group_check)
                .await?,
        );
        unreadable.extend(
            self.attributes("radgroupreply", "groupname", &mut content.group_reply)
                .await?,
        );
        let columns = ["id", "username", "groupname", "priority"];
        let members = self.rows("radusergroup", &columns, "username, priority, id", |row| {
            let mut row = row.into_iter();
            content.members.push(Member {
                id: number(row.next()),
                username: text(row.next()),
                groupname: text(row.next()),
                priority: number(row.next()),
            });
        });
        unreadable.extend(members.await?);
        unreadable.extend(self.nas(&mut content.nas).await?);
        unreadable.extend(self.people(&mut content.people).await?);
        content.unreadable = unreadable;
        Ok(content)
    }

    async fn attributes(
        &mut self,
        table: &'static str,
        name: &'static str,
        attributes: &mut Vec<Attribute>,
    ) -> Result<Vec<Unreadable>> {
        self.rows(table, &["id", name, "attribute", "op", "value"], "id", |row| {
            let mut row = row.into_iter();
            attributes.push(Attribute {
                id: number(row.next()),
                name: text(row.next()),
                attribute: text(row.next()).trim().to_owned(),
                op: text(row.next()).trim().to_owned(),
                value: text(row.next()),
            });
        })
        .await
    }

    async fn nas(&mut self, nas: &mut Vec<NasRow>) -> Result<Vec<Unreadable>> {
        let columns = [
            "id",
            "nasname",
            "shortname",
            "type",
            "ports",
            "secret",
            "server",
            "community",
            "description",
        ];
        self.rows("nas", &columns, "id", |row| {
            let mut row = row.into_iter();
            nas.push(NasRow {
                id: number(row.next()),
                nasname: text(row.next()),
                shortname: text(row.next()),
                kind: text(row.next()),
                ports: row.next().flatten().and_then(|ports| ports.parse().ok()),
                secret: text(row.next()),
                server: filled(row.next()),
                community: filled(row.next()),
                description: filled(row.next()),
            });
        })
        .await
    }

    async fn people(&mut self, people: &mut Vec<Person>) -> Result<Vec<Unreadable>> {
        let columns = [
            "id",
            "username",
            "firstname",
            "lastname",
            "email",
            "mobilephone",
            "homephone",
            "address",
            "city",
            "zip",
            "notes",
        ];
        let mut unreadable = self
            .rows("userinfo", &columns, "id", |row| {
                let mut row = row.into_iter().skip(1);
                let username = text(row.next());
                let full_name = joined([row.next(), row.next()], " ");
                let email = filled(row.next());
                let phones = [filled(row.next()), filled(row.next())];
                people.push(Person {
                    username,
                    full_name,
                    email,
                    phone: phones.into_iter().flatten().next(),
                    address: joined([row.next(), row.next(), row.next()], ", "),
                    notes: filled(row.next()),
                });
            })
            .await?;
        let columns = [
            "id",
            "username",
            "contactperson",
            "email",
            "phone",
            "address",
            "city",
            "zip",
            "notes",
        ];
        let billing = self
            .rows("userbillinfo", &columns, "id", |row| {
                let mut row = row.into_iter().skip(1);
                people.push(Person {
                    username: text(row.next()),
                    full_name: filled(row.next()),
                    email: filled(row.next()),
                    phone: filled(row.next()),
                    address: joined([row.next(), row.next(), row.next()], ", "),
                    notes: filled(row.next()),
                });
            })
            .await?;
        unreadable.extend(billing);
        Ok(unreadable)
    }
}

/// The text of a cell, and what is wrong with it. No database of ours keeps NUL in a text.
fn readable(cell: Vec<u8>) -> (String, Option<&'static str>) {
    match String::from_utf8(cell) {
        Ok(text) if text.contains('\0') => (text.replace('\0', "\u{fffd}"), Some("the cell holds a NUL")),
        Ok(text) => (text, None),
        Err(why) => {
            let text = String::from_utf8_lossy(why.as_bytes()).replace('\0', "\u{fffd}");
            (text, Some("the cell is no UTF-8"))
        }
    }
}

pub(super) type Cell = Option<Option<String>>;

pub(super) fn text(cell: Cell) -> String {
    cell.flatten().unwrap_or_default()
}

fn number(cell: Cell) -> i64 {
    cell.flatten().and_then(|text| text.parse().ok()).unwrap_or_default()
}

pub(super) fn filled(cell: Cell) -> Option<String> {
    cell.flatten()
        .map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty())
}

fn joined<const N: usize>(cells: [Cell; N], between: &str) -> Option<String> {
    let parts: Vec<String> = cells.into_iter().filter_map(filled).collect();
    (!parts.is_empty()).then(|| parts.join(between))
}
