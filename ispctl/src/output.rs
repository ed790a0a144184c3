//! Standard output: aligned tables for people, JSON for programs. Standard error: everything else.
//!
//! Both forms are made from the same serialized records, so that a field cannot be in one and not in the other, and what
//! serde skips (passwords, secrets) is in neither.

use std::io::{self, Write as _};
use std::time::{Duration, SystemTime};

use comfy_table::{Cell, CellAlignment, Table, presets};
use serde::Serialize;
use serde_json::Value;

use crate::error::{Error, Result};

/// Fields that hold Unix seconds: people see a date.
const TIMES: [&str; 33] = [
    "at",
    "applied_at",
    "activation_date",
    "suspension_date",
    "termination_date",
    "expiration_date",
    "last_online",
    "created_at",
    "updated_at",
    "deleted_at",
    "oldest_change",
    "journal_oldest",
    "oldest",
    "refused_at",
    "reported_at",
    "started_at",
    "last_heard_at",
    "stopped_at",
    "subscriber_deleted_at",
    "from",
    "to",
    "older_than",
    "valid_from",
    "valid_until",
    "until",
    "tier_since",
    "tier_until",
    "not_before",
    "sent_at",
    "finished_at",
    "expires_at",
    "revoked_at",
    "last_used_at",
];

/// Fields that hold octets, and such that hold seconds of duration: people see larger units, programs the numbers.
const OCTETS: [&str; 2] = ["upload_octets", "download_octets"];
const DURATIONS: [&str; 2] = ["session_time", "seconds"];

/// A field of a table that holds long texts to choose from: people see one in a line.
const CHOICES: &str = "value";

#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    pub(crate) json: bool,
}

impl Output {
    /// A list: a JSON array, or a table of the named fields.
    pub(crate) fn list<T: Serialize>(self, items: &[T], columns: &[&str]) -> Result<()> {
        if self.json {
            return print_json(&items);
        }
        let rows = items.iter().map(to_value).collect::<Result<Vec<_>>>()?;
        print(&table(&rows, columns))
    }

    /// One record: a JSON object, or a line for each field that has a value. Lists inside become tables.
    pub(crate) fn record<T: Serialize>(self, record: &T) -> Result<()> {
        if self.json {
            return print_json(record);
        }
        let value = to_value(record)?;
        let Value::Object(fields) = &value else {
            return print(&format!("{value}\n"));
        };
        let width = fields.keys().map(String::len).max().unwrap_or(0);
        let mut text = String::new();
        for (name, value) in fields {
            match value {
                Value::Array(rows) if rows.is_empty() => {}
                Value::Array(rows) if rows.iter().any(Value::is_object) => {
                    let columns: Vec<&str> = rows
                        .first()
                        .and_then(Value::as_object)
                        .map(|row| row.keys().map(String::as_str).collect())
                        .unwrap_or_default();
                    text.push_str(&format!("{name}:\n"));
                    for line in table(rows, &columns).lines() {
                        text.push_str(&format!("  {line}\n"));
                    }
                }
                value => {
                    let shown = cell(name, value);
                    if !shown.is_empty() {
                        text.push_str(&format!("{name:<width$}  {shown}\n"));
                    }
                }
            }
        }
        print(&text)
    }

    /// One line of plain text on standard output, for what has no JSON form.
    pub(crate) fn line(self, text: &str) -> Result<()> {
        print(&format!("{text}\n"))
    }

    /// A generated password is printed bare; JSON output never holds one.
    pub(crate) fn refuse_json_for(self, generated: bool) -> Result<()> {
        if self.json && generated {
            return Err(Error::Usage(
                "--generate prints what it made, and JSON output never holds passwords or secrets: leave out --json"
                    .to_owned(),
            ));
        }
        Ok(())
    }

    /// Tell what was done; quiet where a program reads.
    pub(crate) fn done(self, text: &str) {
        if !self.json {
            eprintln!("{}", printable(text));
        }
    }
}

/// A line on standard error, `level: text`.
pub(crate) fn message(level: &str, text: &str) {
    eprintln!("{level}: {}", printable(text));
}

pub(crate) fn warning(text: &str) {
    message("warning", text);
}

fn to_value<T: Serialize>(record: &T) -> Result<Value> {
    serde_json::to_value(record).map_err(|e| Error::Stdout(e.into()))
}

fn print_json<T: Serialize>(value: &T) -> Result<()> {
    let mut text = serde_json::to_string_pretty(value).map_err(|e| Error::Stdout(e.into()))?;
    text.push('\n');
    print(&text)
}

fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(Error::Stdout)
}

fn table(rows: &[Value], columns: &[&str]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(columns.iter().map(|c| c.to_uppercase()));
    for row in rows {
        table.add_row(columns.iter().map(|name| {
            let value = row.get(name).unwrap_or(&Value::Null);
            let alignment = if value.is_number() && !TIMES.contains(name) {
                CellAlignment::Right
            } else {
                CellAlignment::Left
            };
            Cell::new(cell(name, value)).set_alignment(alignment)
        }));
    }
    if let Some(first) = table.column_mut(0) {
        first.set_padding((0, 1));
    }
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn cell(name: &str, value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => printable(text),
        Value::Bool(flag) => (if *flag { "yes" } else { "no" }).to_owned(),
        Value::Number(number) => match number.as_i64() {
            Some(seconds) if TIMES.contains(&name) => date(seconds),
            Some(octets) if OCTETS.contains(&name) => volume(octets.unsigned_abs()),
            Some(seconds) if DURATIONS.contains(&name) => duration(seconds.unsigned_abs()),
            _ => number.to_string(),
        },
        // A list of lists is one of choices, each with all that is in it.
        Value::Array(values) if values.iter().any(Value::is_array) => joined(values, " | "),
        Value::Array(values) if name == CHOICES => joined(values, "\n"),
        Value::Array(values) => joined(values, ", "),
        value => printable(&value.to_string()),
    }
}

fn joined(values: &[Value], by: &str) -> String {
    let values: Vec<String> = values.iter().map(|value| cell("", value)).collect();
    values.join(by)
}

/// Unix seconds as RFC 3339 UTC; the bare number where the calendar does not reach.
pub(crate) fn date(seconds: i64) -> String {
    let year_9999 = 253_402_300_800;
    match u64::try_from(seconds) {
        Ok(after) if after < year_9999 => {
            humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + Duration::from_secs(after)).to_string()
        }
        _ => seconds.to_string(),
    }
}

/// In the decimal units that lines are sold in.
fn volume(octets: u64) -> String {
    let mut unit = "B";
    let (mut whole, mut hundredths) = (octets, 0);
    for larger in ["kB", "MB", "GB", "TB", "PB", "EB"] {
        if whole < 1_000 {
            break;
        }
        (whole, hundredths) = (whole / 1_000, whole % 1_000 / 10);
        unit = larger;
    }
    match unit {
        "B" => format!("{whole} B"),
        unit => format!("{whole}.{hundredths:02} {unit}"),
    }
}

fn duration(seconds: u64) -> String {
    humantime::format_duration(Duration::from_secs(seconds)).to_string()
}

/// Any writer may have put control characters into the database; a terminal must not obey them.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\n' {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_is_aligned_and_has_no_trailing_blanks() {
        let rows = [
            json!({"name": "a", "rate": 5, "last_online": null}),
            json!({"name": "longer", "rate": 1000, "last_online": 0}),
        ];
        assert_eq!(
            table(&rows, &["name", "rate", "last_online"]),
            "NAME    RATE  LAST_ONLINE\n\
             a          5\n\
             longer  1000  1970-01-01T00:00:00Z\n"
        );
    }

    #[test]
    fn lists_inside_a_record_are_short() {
        assert_eq!(cell("x", &json!(["a", 1])), "a, 1");
        assert_eq!(cell("value", &json!(["a", "b"])), "a\nb");
        assert_eq!(cell("x", &json!([["a", "b"], ["c"]])), "a, b | c");
        assert_eq!(cell("x", &json!({"a": 1})), "{\"a\":1}");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(printable("a\u{1b}[31mb\tc"), "a\\u{1b}[31mb\\tc");
    }

    #[test]
    fn octets_are_shown_in_units() {
        for (octets, shown) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.00 kB"),
            (5_999_999_999, "5.99 GB"),
            (u64::MAX, "18.44 EB"),
        ] {
            assert_eq!(volume(octets), shown);
        }
        assert_eq!(duration(90_061), "1day 1h 1m 1s");
    }

    #[test]
    fn dates_out_of_range_stay_numbers() {
        assert_eq!(date(-1), "-1");
        assert_eq!(date(i64::MAX), i64::MAX.to_string());
        assert_eq!(date(1_700_000_000), "2023-11-14T22:13:20Z");
    }
}
