//! Subscribers in bulk.

use std::borrow::Cow;
use std::time::{SystemTime, UNIX_EPOCH};

#[cfg(feature = "sqlite")]
use sqlx::Arguments as _;
#[cfg(feature = "sqlite")]
use sqlx::query::Query;
#[cfg(feature = "sqlite")]
use sqlx::sqlite::{Sqlite, SqliteArguments};

use super::error::{Attempt as _, StoreError};
use super::link::{Link, Tx};
use super::sql::Param;
#[cfg(feature = "postgres")]
use super::subscribers::POSTGRES_INSERT;
#[cfg(feature = "sqlite")]
use super::subscribers::{COLUMNS, SQLITE_TIMES, insert_columns};
use super::subscribers::{missing_reference, values};
use super::{Result, Store};
use crate::subscriber::Subscriber;

/// An import in one transaction: all rows or none. Dropped without [`SubscriberImport::commit`], none.
pub struct SubscriberImport {
    tx: Tx,
    rows: u64,
    refused: bool,
}

/// An import was refused. Nothing of it is kept.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// `index` counts from 0 within the batch.
    #[error("row {index}: {reason}")]
    Row { index: usize, reason: String },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Rows per statement on SQLite, which takes 32,766 parameters at most. Fewer keep the driver's thread waiting for its next
/// statement.
#[cfg(feature = "sqlite")]
const SQLITE_ROWS: usize = 256;

/// The insertion of `rows` rows with these columns alone.
#[cfg(feature = "sqlite")]
fn sqlite_insert(filled: &[bool; COLUMNS], rows: usize) -> String {
    let names = insert_columns!().split(", ").zip(filled);
    let names: Vec<&str> = names.filter_map(|(name, filled)| filled.then_some(name)).collect();
    let placeholders: Vec<&str> = names
        .iter()
        .map(|name| match SQLITE_TIMES.contains(name) {
            true => "datetime(?, 'unixepoch')",
            false => "?",
        })
        .collect();
    let tuple = format!("({})", placeholders.join(", "));
    format!(
        "INSERT INTO subscribers ({}) VALUES {}",
        names.join(", "),
        vec![tuple; rows].join(", ")
    )
}

/// Most columns of most files are empty: one that is NULL in all rows so far is left out, and is NULL all the same.
/// `filled` are the others; it only grows, so that a batch needs few different statements.
#[cfg(feature = "sqlite")]
fn sqlite_statement(
    rows: &[Subscriber],
    now: i64,
    filled: &mut [bool; COLUMNS],
) -> std::result::Result<Query<'static, Sqlite, SqliteArguments>, sqlx::Error> {
    let rows: Vec<_> = rows.iter().map(|row| values(row, now)).collect();
    for row in &rows {
        for (filled, value) in filled.iter_mut().zip(row) {
            *filled |= !value.is_null();
        }
    }
    let text = sqlite_insert(filled, rows.len());
    let whole = rows.len() == SQLITE_ROWS;
    let mut arguments = SqliteArguments::default();
    for row in rows {
        for (value, _) in row.into_iter().zip(&*filled).filter(|(_, filled)| **filled) {
            match value {
                Param::Text(text) => arguments.add(text.map(Cow::into_owned)),
                Param::Int(number) => arguments.add(number),
                Param::Bool(flag) => arguments.add(flag),
            }
            .map_err(sqlx::Error::Encode)?;
        }
    }
    // The text is made of constants alone.
    Ok(sqlx::query_with(sqlx::AssertSqlSafe(text), arguments).persistent(whole))
}

/// Insert all of `subscribers`, or fail with some of them inserted.
pub(super) async fn insert(link: Link<'_>, subscribers: &[Subscriber]) -> std::result::Result<(), sqlx::Error> {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(since_epoch.as_secs()).unwrap_or_default();
    match link {
        #[cfg(feature = "sqlite")]
        Link::Sqlite(connection) => {
            let mut filled = [false; COLUMNS];
            let mut chunks = subscribers
                .chunks(SQLITE_ROWS)
                .map(|rows| sqlite_statement(rows, now, &mut filled));
            let mut next = chunks.next().transpose()?;
            while let Some(statement) = next {
                // The driver runs statements on a thread of its own: bind the next one meanwhile.
                let (outcome, following) = tokio::join!(statement.execute(&mut *connection), async { chunks.next() });
                outcome?;
                next = following.transpose()?;
            }
        }
        #[cfg(feature = "postgres")]
        Link::Postgres(connection) => {
            let mut columns: Vec<Column<'_>> = Vec::new();
            for subscriber in subscribers {
                let row = values(subscriber, now);
                if columns.is_empty() {
                    columns = row.iter().map(Column::for_values_like).collect();
                }
                for (column, value) in columns.iter_mut().zip(row) {
                    column.push(value);
                }
            }
            if columns.is_empty() {
                return Ok(());
            }
            let mut query = sqlx::query(POSTGRES_INSERT);
            for column in columns {
                query = match column {
                    Column::Text(texts) => query.bind(texts),
                    Column::Int(numbers) => query.bind(numbers),
                };
            }
            query.execute(connection).await?;
        }
    }
    Ok(())
}

/// The values of one column, to be bound as an array.
#[cfg(feature = "postgres")]
enum Column<'a> {
    Text(Vec<Option<Cow<'a, str>>>),
    Int(Vec<Option<i64>>),
}

#[cfg(feature = "postgres")]
impl<'a> Column<'a> {
    fn for_values_like(value: &Param<'_>) -> Self {
        match value {
            Param::Text(_) => Self::Text(Vec::new()),
            Param::Int(_) | Param::Bool(_) => Self::Int(Vec::new()),
        }
    }

    fn push(&mut self, value: Param<'a>) {
        match (self, value) {
            (Self::Text(texts), Param::Text(text)) => texts.push(text),
            (Self::Int(numbers), Param::Int(number)) => numbers.push(number),
            (Self::Int(numbers), Param::Bool(flag)) => numbers.push(Some(flag.into())),
            // A column has one type; a value of another becomes NULL rather than shift the rows.
            (Self::Text(texts), _) => texts.push(None),
            (Self::Int(numbers), Param::Text(_)) => numbers.push(None),
        }
    }
}

fn attempt() -> String {
    "import subscribers".to_owned()
}

impl Store {
    /// Start an import. SQLite: other writers wait until it ends.
    ///
    /// # Errors
    /// The database does not answer, or another writer holds it.
    pub async fn subscriber_import(&self) -> Result<SubscriberImport> {
        let tx = self.begin_long().await.attempt(attempt)?;
        Ok(SubscriberImport {
            tx,
            rows: 0,
            refused: false,
        })
    }
}

impl SubscriberImport {
    /// Add a batch; a few thousand rows make a good one.
    ///
    /// # Errors
    /// The first row the database refuses, and why. The import cannot be committed any more.
    pub async fn push(&mut self, batch: &[Subscriber]) -> std::result::Result<(), ImportError> {
        let outcome = self.insert_or_undo(batch).await;
        self.refused |= outcome.is_err();
        match outcome {
            Ok(()) => {
                self.rows += batch.len() as u64;
                Ok(())
            }
            Err(error) if error.as_database_error().is_some() => Err(self.find_refused(batch, error).await),
            Err(error) => Err(StoreError::from_sqlx(attempt(), error).into()),
        }
    }

    /// Returns the number of rows imported, once they are durable.
    ///
    /// # Errors
    /// The database did not take them, or a batch was refused before; none is kept.
    pub async fn commit(self) -> Result<u64> {
        if self.refused {
            return Err(StoreError::Refused {
                attempt: attempt(),
                reason: "a batch was refused, and an import is all or nothing".to_owned(),
            });
        }
        self.tx.commit().await.attempt(attempt)?;
        Ok(self.rows)
    }

    /// For what else the transaction is to hold.
    pub(super) fn link(&mut self) -> Link<'_> {
        self.tx.link()
    }

    /// All rows of the batch, or (the transaction intact) none.
    async fn insert_or_undo(&mut self, batch: &[Subscriber]) -> std::result::Result<(), sqlx::Error> {
        self.tx.savepoint().await?;
        match insert(self.tx.link(), batch).await {
            Ok(()) => self.tx.release_savepoint().await,
            Err(error) => {
                self.tx.rollback_to_savepoint().await?;
                Err(error)
            }
        }
    }

    /// A statement of many rows does not say which one was refused: one by one does.
    async fn find_refused(&mut self, batch: &[Subscriber], error: sqlx::Error) -> ImportError {
        for (index, subscriber) in batch.iter().enumerate() {
            let Err(error) = self.insert_or_undo(std::slice::from_ref(subscriber)).await else {
                continue;
            };
            let reason = match StoreError::from_sqlx(attempt(), error) {
                StoreError::Duplicate { what, .. } => match what {
                    "username" => format!("the username {:?} is taken already", subscriber.username),
                    "subscriber number" => {
                        format!(
                            "the subscriber number {:?} is taken already",
                            subscriber.subscriber_number
                        )
                    }
                    what => format!("the {what} is taken already"),
                },
                StoreError::MissingReference { what, .. } => {
                    let exact = missing_reference(self.tx.link(), subscriber).await;
                    format!("no such {}", exact.ok().flatten().unwrap_or(what))
                }
                StoreError::Refused { reason, .. } => reason,
                error => return ImportError::Store(error),
            };
            return ImportError::Row { index, reason };
        }
        // Refused together, accepted one by one: nothing a row could be blamed for.
        ImportError::Store(StoreError::from_sqlx(attempt(), error))
    }
}
