//! Whether the database still is as its migrations made it: what others dropped or switched off, and what time it has.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::error::Attempt as _;
use super::sql::{Columns, statements};
use super::{Result, Store};

/// A table, an index or a trigger.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct SchemaObject {
    /// `table`, `index` or `trigger`.
    pub kind: &'static str,
    pub name: String,
}

/// What a look at the database found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// What migrations made and is not there, or is there and does nothing (a disabled trigger, an invalid index).
    pub missing: Vec<SchemaObject>,
    /// Months from the present one on, `2026-01`, for whose closed sessions there is no table (PostgreSQL).
    pub months_missing: Vec<String>,
    /// Sessions that ended and lie among the open ones (PostgreSQL), as their month had no table.
    pub sessions_astray: u64,
    /// Unix seconds, by the database's clock.
    pub clock: i64,
}

statements! {
    OBJECTS {
        sqlite: "SELECT type, name FROM sqlite_master WHERE type IN ('table', 'index', 'trigger')",
        postgres: "SELECT CASE WHEN relkind IN ('r', 'p') THEN 'table' ELSE 'index' END, relname::text
            FROM pg_class LEFT JOIN pg_index ON indexrelid = pg_class.oid
            WHERE relkind IN ('r', 'p', 'i', 'I') AND indisvalid IS NOT false AND pg_table_is_visible(pg_class.oid)
            UNION ALL SELECT 'trigger', tgname::text FROM pg_trigger
            WHERE NOT tgisinternal AND tgenabled <> 'D' AND pg_table_is_visible(tgrelid)",
    }
    MONTHS_MISSING {
        sqlite: "SELECT '' WHERE false",
        postgres: "SELECT to_char(month, 'YYYY-MM') FROM generate_series(0, 1) AS ahead, LATERAL (SELECT
                date_trunc('month', now() AT TIME ZONE 'UTC') + ahead * interval '1 month') AS m (month)
            WHERE to_regclass('radacct_' || to_char(month, 'YYYY_MM')) IS NULL ORDER BY 1",
    }
    ASTRAY {
        sqlite: "SELECT 0",
        postgres: "SELECT count(*) FROM radacct_open WHERE acctstoptime IS NOT NULL",
    }
    CLOCK {
        sqlite: "SELECT unixepoch('now')",
        postgres: "SELECT extract(epoch FROM clock_timestamp())::bigint",
    }
}

impl Store {
    /// Look for what is missing.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn inspect(&self) -> Result<Inspection> {
        let attempt = || "look at the database's schema".to_owned();
        let mut connection = self.reader().await.attempt(attempt)?;
        let rows = connection.link().all(OBJECTS, &[]).await.attempt(attempt)?;
        let mut present = BTreeSet::new();
        for row in &rows {
            let mut columns = Columns::of(row);
            let kind = columns.text().attempt(attempt)?;
            present.insert((kind, columns.text().attempt(attempt)?));
        }
        let missing: Vec<SchemaObject> = made_by(self.migrations())
            .into_iter()
            .filter(|object| !present.contains(&(object.kind.to_owned(), object.name.clone())))
            .collect();
        let rows = connection.link().all(MONTHS_MISSING, &[]).await.attempt(attempt)?;
        let months = rows.iter().map(|row| Columns::of(row).text());
        let months_missing = months.collect::<std::result::Result<_, _>>().attempt(attempt)?;
        let sessions_astray = if missing.iter().any(|object| object.name == "radacct_open") {
            0
        } else {
            let row = connection.link().one(ASTRAY, &[]).await.attempt(attempt)?;
            Columns::of(&row).number().attempt(attempt)?
        };
        let row = connection.link().one(CLOCK, &[]).await.attempt(attempt)?;
        let clock = Columns::of(&row).number().attempt(attempt)?;
        Ok(Inspection {
            missing,
            months_missing,
            sessions_astray,
            clock,
        })
    }
}

/// What there is after these migrations, in the words of their statements; bodies of functions are no statements.
fn made_by<'m>(migrations: impl Iterator<Item = &'m str>) -> BTreeSet<SchemaObject> {
    let mut made = Made::new();
    for statement in migrations.flat_map(statements_of) {
        apply(&statement, &mut made);
    }
    made.into_keys().collect()
}

/// Each with the table that it goes with.
type Made = BTreeMap<SchemaObject, String>;

fn apply(statement: &str, made: &mut Made) {
    let words: Vec<&str> = statement.split_whitespace().collect();
    let lower: Vec<String> = words.iter().map(|word| word.to_ascii_lowercase()).collect();
    let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
    let name_at = |at: usize| {
        let word = words.get(at).copied().unwrap_or_default();
        let word = word.split('(').next().unwrap_or_default();
        word.trim_matches(['"', ',']).to_owned()
    };
    let owner = || match lower.iter().position(|word| *word == "on") {
        Some(on) => name_at(on + 1),
        None => String::new(),
    };
    match lower.as_slice() {
        ["create", "unique", "index", ..] => _ = made.insert(object("index", name_at(3)), owner()),
        ["create", "table", "if", "not", "exists", ..] => _ = made.insert(object("table", name_at(5)), String::new()),
        ["create", "table", ..] => _ = made.insert(object("table", name_at(2)), String::new()),
        ["create", kind @ ("index" | "trigger"), "if", "not", "exists", ..] => {
            _ = made.insert(object(known(kind), name_at(5)), owner());
        }
        ["create", kind @ ("index" | "trigger"), ..] => _ = made.insert(object(known(kind), name_at(2)), owner()),
        ["drop", kind @ ("index" | "trigger" | "table"), rest @ ..] => {
            let skipped = if rest.starts_with(&["if", "exists"]) { 4 } else { 2 };
            for at in (skipped..words.len()).take_while(|at| lower.get(*at) != Some(&"on")) {
                let gone = name_at(at);
                made.remove(&object(known(kind), gone.clone()));
                // With a table goes what is on it.
                if *kind == "table" {
                    made.retain(|_, owner| *owner != gone);
                }
            }
        }
        ["alter", "table", _, "rename", "to", ..] => {
            let (old, new) = (name_at(2), name_at(5));
            if made.remove(&object("table", old.clone())).is_some() {
                made.insert(object("table", new.clone()), String::new());
            }
            for owner in made.values_mut().filter(|owner| **owner == old) {
                owner.clone_from(&new);
            }
        }
        _ => {}
    }
}

fn known(kind: &str) -> &'static str {
    match kind {
        "index" => "index",
        "trigger" => "trigger",
        _ => "table",
    }
}

const fn object(kind: &'static str, name: String) -> SchemaObject {
    SchemaObject { kind, name }
}

/// The statements of a file, without comments and without what stands between `$$` or `BEGIN` and `END`.
fn statements_of(text: &str) -> Vec<String> {
    let bare: Vec<&str> = text
        .lines()
        .map(|line| line.split("--").next().unwrap_or_default())
        .collect();
    let text = bare.join("\n");
    // Every other part is the body of a function.
    let outside: Vec<&str> = text.split("$$").step_by(2).collect();
    outside
        .join(" ")
        .split(';')
        .map(|statement| statement.trim().to_owned())
        .filter(|statement| !statement.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_dropped_and_renamed_is_followed() {
        let text = "
            CREATE TABLE a (x integer); -- CREATE TABLE no (x);
            CREATE UNIQUE INDEX a_key ON a (x);
            CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN CREATE TABLE inner_one (x); END $$;
            CREATE TRIGGER t AFTER INSERT ON a FOR EACH ROW EXECUTE FUNCTION f();
            CREATE TRIGGER u AFTER INSERT ON a FOR EACH ROW EXECUTE FUNCTION f();
            DROP TRIGGER u ON a;
            ALTER TABLE a RENAME TO b;
            DROP INDEX a_key, other;
            CREATE INDEX IF NOT EXISTS b_key ON b (x);
            CREATE TABLE c (x integer);
            CREATE INDEX c_key ON c (x);
            ALTER TABLE c RENAME TO d;
            DROP TABLE d;";
        let made: Vec<String> = made_by([text].into_iter())
            .into_iter()
            .map(|object| format!("{} {}", object.kind, object.name))
            .collect();
        assert_eq!(made, ["index b_key", "table b", "trigger t"]);
    }
}
