//! A statement in both dialects, its parameters and the rows it yields.
//!
//! Conversions (times to Unix seconds, addresses to text, flags) are done in SQL, so that Rust sees three types on
//! both databases: text, 64-bit integers and booleans.

use std::borrow::Cow;
use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::Ipv6Net;
#[cfg(feature = "postgres")]
use sqlx::postgres::PgRow;
#[cfg(feature = "sqlite")]
use sqlx::sqlite::SqliteRow;
use sqlx::{ColumnIndex, Row as _};

/// One statement, once per dialect. Placeholders are `$1`, `$2`, ... in both.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sql {
    #[cfg(feature = "sqlite")]
    pub(super) sqlite: &'static str,
    #[cfg(feature = "postgres")]
    pub(super) postgres: &'static str,
}

impl Sql {
    pub(super) const fn new(sqlite: &'static str, postgres: &'static str) -> Self {
        #[cfg(not(feature = "sqlite"))]
        let _ = sqlite;
        #[cfg(not(feature = "postgres"))]
        let _ = postgres;
        Self {
            #[cfg(feature = "sqlite")]
            sqlite,
            #[cfg(feature = "postgres")]
            postgres,
        }
    }
}

/// Declares the statements of a module as constants and, for the test that prepares every one, lists them.
macro_rules! statements {
    ($($(#[$meta:meta])* $name:ident { $($dialects:tt)+ })+) => {
        $($(#[$meta])* pub(in crate::store) const $name: $crate::store::sql::Sql = $crate::store::sql::sql!($($dialects)+);)+

        #[cfg(test)]
        pub(in crate::store) const STATEMENTS: &[(&str, $crate::store::sql::Sql)] =
            &[$((concat!(module_path!(), "::", stringify!($name)), $name)),+];
    };
}
pub(super) use statements;

macro_rules! sql {
    (both: $both:expr $(,)?) => {
        $crate::store::sql::Sql::new($both, $both)
    };
    // Nothing to do on SQLite: an empty statement runs and does nothing.
    (postgres: $postgres:expr $(,)?) => {
        $crate::store::sql::Sql::new("", $postgres)
    };
    (sqlite: $sqlite:expr, postgres: $postgres:expr $(,)?) => {
        $crate::store::sql::Sql::new($sqlite, $postgres)
    };
}
pub(super) use sql;

/// A value to bind.
#[derive(Debug, Clone)]
pub(super) enum Param<'a> {
    Text(Option<Cow<'a, str>>),
    Int(Option<i64>),
    Bool(bool),
}

#[cfg(feature = "sqlite")]
impl Param<'_> {
    pub(super) const fn is_null(&self) -> bool {
        matches!(self, Self::Text(None) | Self::Int(None))
    }
}

macro_rules! params {
    ($($value:expr),* $(,)?) => { &[$($crate::store::sql::Param::from($value)),*] };
}
pub(super) use params;

impl<'a> From<&'a str> for Param<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Some(Cow::Borrowed(text)))
    }
}

impl<'a> From<&'a String> for Param<'a> {
    fn from(text: &'a String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<String> for Param<'_> {
    fn from(text: String) -> Self {
        Self::Text(Some(Cow::Owned(text)))
    }
}

impl<'a> From<Option<&'a str>> for Param<'a> {
    fn from(text: Option<&'a str>) -> Self {
        Self::Text(text.map(Cow::Borrowed))
    }
}

impl<'a> From<&'a Option<String>> for Param<'a> {
    fn from(text: &'a Option<String>) -> Self {
        Self::from(text.as_deref())
    }
}

impl From<bool> for Param<'_> {
    fn from(flag: bool) -> Self {
        Self::Bool(flag)
    }
}

macro_rules! param_from_integer {
    ($($integer:ty),+) => {
        $(
            impl From<$integer> for Param<'_> {
                fn from(number: $integer) -> Self {
                    Self::Int(Some(number.into()))
                }
            }
            impl From<Option<$integer>> for Param<'_> {
                fn from(number: Option<$integer>) -> Self {
                    Self::Int(number.map(Into::into))
                }
            }
        )+
    };
}
param_from_integer!(i64, i32, u32, u16, u8);

/// SQL has no unsigned 64-bit integer; a counter that large has long been nonsense.
impl From<u64> for Param<'_> {
    fn from(number: u64) -> Self {
        Self::Int(Some(i64::try_from(number).unwrap_or(i64::MAX)))
    }
}

macro_rules! param_from_display {
    ($($address:ty),+) => {
        $(
            impl From<Option<$address>> for Param<'_> {
                fn from(address: Option<$address>) -> Self {
                    Self::Text(address.map(|a| Cow::Owned(a.to_string())))
                }
            }
        )+
    };
}
param_from_display!(Ipv4Addr, Ipv6Addr, IpAddr, Ipv6Net);

/// A row of either database.
#[derive(Debug)]
pub(super) enum Row {
    #[cfg(feature = "sqlite")]
    Sqlite(SqliteRow),
    #[cfg(feature = "postgres")]
    Postgres(PgRow),
}

/// Reads the columns of a row from left to right.
#[derive(Debug)]
pub(super) struct Columns<'r> {
    row: &'r Row,
    next: usize,
}

type Result<T> = std::result::Result<T, sqlx::Error>;

macro_rules! get {
    ($self:ident, $type:ty) => {{
        let index = $self.next;
        $self.next += 1;
        match $self.row {
            #[cfg(feature = "sqlite")]
            Row::Sqlite(row) => row.try_get::<$type, _>(index),
            #[cfg(feature = "postgres")]
            Row::Postgres(row) => row.try_get::<$type, _>(index),
        }
    }};
}

impl<'r> Columns<'r> {
    pub(super) const fn of(row: &'r Row) -> Self {
        Self { row, next: 0 }
    }

    pub(super) fn text(&mut self) -> Result<String> {
        get!(self, String)
    }

    /// The first column, for a message about a row: text or number, empty if unreadable.
    pub(super) fn id(mut self) -> String {
        self.text().unwrap_or_else(|_| {
            self.next = 0;
            self.number::<i64>().map_or_else(|_| String::new(), |id| id.to_string())
        })
    }

    pub(super) fn opt_text(&mut self) -> Result<Option<String>> {
        get!(self, Option<String>)
    }

    pub(super) fn opt_str(&mut self) -> Result<Option<&'r str>> {
        get!(self, Option<&'r str>)
    }

    /// Text, whatever bytes another tool wrote there (SQLite does not look).
    #[cfg(feature = "sqlite")]
    pub(super) fn lossy(&mut self) -> Result<Cow<'r, str>> {
        get!(self, &'r [u8]).map(String::from_utf8_lossy)
    }

    pub(super) fn flag(&mut self) -> Result<bool> {
        get!(self, bool)
    }

    pub(super) fn number<T: TryFrom<i64, Error: Display>>(&mut self) -> Result<T> {
        let value = get!(self, i64)?;
        T::try_from(value).map_err(|e| self.unreadable(&value, &e))
    }

    pub(super) fn opt_number<T: TryFrom<i64, Error: Display>>(&mut self) -> Result<Option<T>> {
        get!(self, Option<i64>)?
            .map(|value| T::try_from(value).map_err(|e| self.unreadable(&value, &e)))
            .transpose()
    }

    pub(super) fn parsed<T: FromStr<Err: Display>>(&mut self) -> Result<T> {
        let text = get!(self, &str)?;
        text.parse().map_err(|e| self.unreadable(&text, &e))
    }

    pub(super) fn opt_parsed<T: FromStr<Err: Display>>(&mut self) -> Result<Option<T>> {
        get!(self, Option<&str>)?
            .map(|text| text.parse().map_err(|e| self.unreadable(&text, &e)))
            .transpose()
    }

    /// A text that is JSON.
    pub(super) fn json<T: serde::de::DeserializeOwned>(&mut self) -> Result<T> {
        let text = get!(self, &str)?;
        serde_json::from_str(text).map_err(|e| self.unreadable(&text, &e))
    }

    /// The error for the column just read.
    fn unreadable(&self, value: &dyn std::fmt::Debug, reason: &dyn Display) -> sqlx::Error {
        let index = self.next.saturating_sub(1);
        let name = match self.row {
            #[cfg(feature = "sqlite")]
            Row::Sqlite(row) => column_name(row, index),
            #[cfg(feature = "postgres")]
            Row::Postgres(row) => column_name(row, index),
        };
        sqlx::Error::ColumnDecode {
            index: name,
            source: format!("{value:?}: {reason}").into(),
        }
    }
}

fn column_name<R: sqlx::Row>(row: &R, index: usize) -> String
where
    usize: ColumnIndex<R>,
{
    use sqlx::Column as _;
    row.try_column(index)
        .map_or_else(|_| index.to_string(), |column| column.name().to_owned())
}
