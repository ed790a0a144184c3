//! Reads, checks and seals the rows of an import file.

use std::collections::HashMap;
use std::io::{self, Read};
use std::num::NonZeroUsize;

use csv::ByteRecord;
use indicatif::{HumanCount, ProgressBar};
use isp_core::subscriber::Subscriber;
use isp_core::tenant::Tenant;
use tokio::sync::mpsc;

use super::lines::Lines;
use super::password::{Encoder, Given};
use super::report::{Errors, RowError};
use crate::cmd::new_id;
use crate::field::subscriber::COUNTERS;
use crate::field::{self, Field, Record as _, parse};
use crate::output;

/// Rows between two looks of the progress bar.
const PROGRESS_ROWS: u64 = 1_000;

/// Rows on their way to the database, each with the line it came from.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) lines: Vec<u64>,
    pub(super) subscribers: Vec<Subscriber>,
}

pub(super) struct Reader {
    pub(super) delimiter: u8,
    /// Rows of a batch.
    pub(super) batch: usize,
    pub(super) max_errors: usize,
    pub(super) tenant: Tenant,
    /// Plan ids by name and by id.
    pub(super) plans: HashMap<String, String>,
    /// What a row's empty cells leave as it is.
    pub(super) template: Subscriber,
    pub(super) encoder: Encoder,
    pub(super) progress: ProgressBar,
}

/// What the file is about, once it has been read.
pub(super) struct Findings {
    pub(super) rows: u64,
    pub(super) errors: Errors,
    /// Not everything was looked at.
    pub(super) cut: bool,
    /// Lines by what must be unique.
    usernames: HashMap<String, u64>,
    numbers: HashMap<String, u64>,
}

/// What a column holds.
#[derive(Clone, Copy)]
enum Column {
    Username,
    Id,
    Password,
    PasswordHashMethod,
    Plan,
    Field(&'static Field<Subscriber>),
}

const SPECIAL: [(&str, Column); 6] = [
    ("username", Column::Username),
    ("id", Column::Id),
    ("password", Column::Password),
    ("password_hash_method", Column::PasswordHashMethod),
    ("plan", Column::Plan),
    ("bandwidth_profile_id", Column::Plan),
];

/// A row that is good as far as the file can tell.
struct Row {
    line: u64,
    subscriber: Subscriber,
    password: Option<Given>,
}

impl Reader {
    /// Read all of `source`. Batches go to `batches` until the first error, or until nobody takes them any more.
    ///
    /// # Errors
    /// `source` cannot be read.
    pub(super) fn run(self, source: impl Read, batches: &mpsc::Sender<Batch>) -> io::Result<Findings> {
        let mut csv = csv::ReaderBuilder::new()
            .delimiter(self.delimiter)
            .has_headers(false)
            // A row that is too short or too long is told like any other error.
            .flexible(true)
            .buffer_capacity(256 * 1024)
            .from_reader(Lines::new(source));
        let mut findings = Findings::new(self.max_errors);
        let mut record = ByteRecord::new();
        if !csv.read_byte_record(&mut record)? {
            findings.errors.push(RowError::row(
                1,
                "the file is empty: the first line names the columns".to_owned(),
            ));
            return Ok(findings);
        }
        let Some(columns) = header(&record, &mut findings.errors) else {
            return Ok(findings);
        };
        let hash_later =
            self.encoder.scheme.is_slow() && columns.iter().any(|(_, column)| matches!(column, Column::Password));
        let mut waiting = Vec::new();
        let mut outlet = Outlet::new(batches, self.batch);
        while csv.read_byte_record(&mut record)? {
            findings.rows += 1;
            if findings.rows.is_multiple_of(PROGRESS_ROWS) {
                self.progress.set_position(csv.position().byte());
                self.progress.set_message(format!("{} rows", HumanCount(findings.rows)));
            }
            let end = csv.position().byte();
            let line = csv.get_mut().start_of(&record, end);
            let Some(mut row) = self.row(&columns, &record, line, &mut findings) else {
                outlet.close();
                continue;
            };
            if hash_later {
                waiting.push(row);
            } else if outlet.is_open() {
                match self.encode(&mut row) {
                    Ok(()) => outlet.put(row),
                    Err(error) => {
                        findings.errors.push(error);
                        outlet.close();
                    }
                }
            }
        }
        if findings.errors.count() == 0 && !waiting.is_empty() {
            match self.hash(&mut waiting) {
                Ok(()) => waiting.into_iter().for_each(|row| outlet.put(row)),
                Err(error) => {
                    findings.errors.push(error);
                    outlet.close();
                }
            }
        }
        outlet.flush();
        Ok(findings)
    }

    fn encode(&self, row: &mut Row) -> Result<(), RowError> {
        match &row.password {
            Some(given) => self
                .encoder
                .encode(given, &mut row.subscriber)
                .map_err(|e| RowError::cell(row.line, "password", e.to_string())),
            None => Ok(()),
        }
    }

    /// Hash the passwords on every processor. Nothing is in the database yet, and the file is known to be good.
    fn hash(&self, rows: &mut [Row]) -> Result<(), RowError> {
        let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        self.progress.suspend(|| {
            output::warning(&format!(
                "hashing the passwords of {} rows with {} on {threads} processor(s): it is slow on purpose",
                rows.len(),
                self.encoder.scheme
            ));
        });
        self.progress.set_length(rows.len() as u64);
        self.progress.set_position(0);
        self.progress.set_message("passwords");
        let share = rows.len().div_ceil(threads).max(1);
        std::thread::scope(|scope| {
            let workers: Vec<_> = rows
                .chunks_mut(share)
                .map(|share| {
                    scope.spawn(|| {
                        share.iter_mut().try_for_each(|row| {
                            self.progress.inc(1);
                            self.encode(row)
                        })
                    })
                })
                .collect();
            workers.into_iter().try_for_each(|worker| {
                worker
                    .join()
                    .unwrap_or_else(|_| Err(RowError::row(0, "hashing failed".to_owned())))
            })
        })
    }

    fn row(
        &self,
        columns: &[(String, Column)],
        record: &ByteRecord,
        line: u64,
        findings: &mut Findings,
    ) -> Option<Row> {
        let errors_before = findings.errors.count();
        let errors = &mut findings.errors;
        if record.len() != columns.len() {
            let message = format!("has {} cells, the header {}", record.len(), columns.len());
            errors.push(RowError::row(line, message));
            return None;
        }
        let mut subscriber = self.template.clone();
        let (mut password, mut method) = ("", "");
        for ((name, column), cell) in columns.iter().zip(record) {
            let Ok(cell) = std::str::from_utf8(cell) else {
                errors.push(RowError::cell(line, name, "is not UTF-8".to_owned()));
                continue;
            };
            if cell.is_empty() {
                continue;
            }
            let outcome = match column {
                Column::Username => self.username(cell).map(|username| subscriber.username = username),
                Column::Id => field::id(cell).map(|id| subscriber.id = id),
                Column::Password => {
                    password = cell;
                    Ok(())
                }
                Column::PasswordHashMethod => {
                    method = cell.trim();
                    Ok(())
                }
                Column::Plan => match self.plans.get(cell.trim()) {
                    Some(id) => {
                        subscriber.bandwidth_profile_id = Some(id.clone());
                        Ok(())
                    }
                    None => Err(format!("there is no plan {:?}", cell.trim())),
                },
                Column::Field(field) => (field.set)(&mut subscriber, cell),
            };
            if let Err(message) = outcome {
                errors.push(RowError::cell(line, name, message));
            }
        }
        if subscriber.id.is_empty() {
            subscriber.id = new_id();
        }
        let password = match self.encoder.understand(password, method) {
            Ok(password) => password,
            Err(message) => {
                errors.push(RowError::cell(line, "password", message));
                None
            }
        };
        findings.note(&subscriber, line);
        (findings.errors.count() == errors_before).then_some(Row {
            line,
            subscriber,
            password,
        })
    }

    /// The username as packets will look it up.
    fn username(&self, cell: &str) -> Result<String, String> {
        parse::username(&self.tenant.normalize(cell))
    }
}

/// Columns by the header's names, or the header's errors.
fn header(record: &ByteRecord, errors: &mut Errors) -> Option<Vec<(String, Column)>> {
    let before = errors.count();
    let mut columns: Vec<(String, Column)> = Vec::with_capacity(record.len());
    for cell in record {
        let name = String::from_utf8_lossy(cell).trim().to_ascii_lowercase();
        let Some(column) = column(&name) else {
            errors.push(RowError::row(1, unknown_column(&name)));
            continue;
        };
        if columns.iter().any(|(other, _)| *other == name) {
            errors.push(RowError::row(1, format!("column {name:?} is there twice")));
        }
        columns.push((name, column));
    }
    if !columns.iter().any(|(_, column)| matches!(column, Column::Username)) {
        errors.push(RowError::row(1, "there is no column \"username\"".to_owned()));
    }
    (errors.count() == before).then_some(columns)
}

fn column(name: &str) -> Option<Column> {
    let special = SPECIAL
        .iter()
        .find(|(special, _)| *special == name)
        .map(|&(_, column)| column);
    special.or_else(|| fields().find(|field| field.name == name).map(Column::Field))
}

fn fields() -> impl Iterator<Item = &'static Field<Subscriber>> {
    Subscriber::FIELDS.iter().chain(COUNTERS)
}

fn unknown_column(name: &str) -> String {
    let known = SPECIAL
        .iter()
        .map(|&(name, _)| name)
        .chain(fields().map(|field| field.name));
    match crate::config::nearest(name, known) {
        Some(nearest) => format!("unknown column {name:?}: did you mean {nearest:?}?"),
        None => format!("unknown column {name:?}: ispctl subscriber import --help tells which there are"),
    }
}

impl Findings {
    fn new(max_errors: usize) -> Self {
        Self {
            rows: 0,
            errors: Errors::new(max_errors),
            cut: false,
            usernames: HashMap::new(),
            numbers: HashMap::new(),
        }
    }

    /// Remember what must be unique, and tell what is not.
    fn note(&mut self, subscriber: &Subscriber, line: u64) {
        if subscriber.username.is_empty() {
            if !self.errors.on_line(line) {
                self.errors
                    .push(RowError::cell(line, "username", "is empty".to_owned()));
            }
        } else {
            first_seen(
                &mut self.usernames,
                &mut self.errors,
                "username",
                &subscriber.username,
                line,
            );
        }
        if !subscriber.subscriber_number.is_empty() {
            first_seen(
                &mut self.numbers,
                &mut self.errors,
                "subscriber_number",
                &subscriber.subscriber_number,
                line,
            );
        }
    }

    /// Tell the lines that claim what an existing subscriber has.
    pub(super) fn clash(&mut self, existing: &Subscriber) {
        for (column, lines, value) in [
            ("username", &self.usernames, &existing.username),
            ("subscriber_number", &self.numbers, &existing.subscriber_number),
        ] {
            if let Some(&line) = lines.get(value) {
                let message = format!("{value:?} is taken already");
                self.errors.push(RowError::cell(line, column, message));
            }
        }
    }
}

fn first_seen(seen: &mut HashMap<String, u64>, errors: &mut Errors, column: &str, value: &str, line: u64) {
    match seen.get(value) {
        Some(first) => errors.push(RowError::cell(
            line,
            column,
            format!("{value:?} is on line {first} already"),
        )),
        None => {
            seen.insert(value.to_owned(), line);
        }
    }
}

/// Collects rows and hands them on by the batch.
struct Outlet<'a> {
    batches: Option<&'a mpsc::Sender<Batch>>,
    batch: Batch,
    size: usize,
}

impl<'a> Outlet<'a> {
    fn new(batches: &'a mpsc::Sender<Batch>, size: usize) -> Self {
        Self {
            batches: Some(batches),
            batch: Batch::default(),
            size,
        }
    }

    /// Does anyone want further rows?
    const fn is_open(&self) -> bool {
        self.batches.is_some()
    }

    fn close(&mut self) {
        self.batches = None;
        self.batch = Batch::default();
    }

    fn put(&mut self, row: Row) {
        self.batch.lines.push(row.line);
        self.batch.subscribers.push(row.subscriber);
        if self.batch.lines.len() >= self.size {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        if batch.lines.is_empty() {
            return;
        }
        if let Some(batches) = self.batches
            && batches.blocking_send(batch).is_err()
        {
            self.close();
        }
    }
}
