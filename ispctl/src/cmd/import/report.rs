//! What is wrong with a file: bounded, by line.

use std::collections::HashSet;
use std::fmt;

use serde::Serialize;

/// One thing wrong with one row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct RowError {
    /// Line of the file the row starts on; the header is line 1.
    pub(super) line: u64,
    pub(super) column: Option<String>,
    pub(super) message: String,
}

impl RowError {
    pub(super) fn row(line: u64, message: String) -> Self {
        Self {
            line,
            column: None,
            message,
        }
    }

    pub(super) fn cell(line: u64, column: &str, message: String) -> Self {
        Self {
            line,
            column: Some(column.to_owned()),
            message,
        }
    }
}

/// `LINE: COLUMN: what is wrong`
impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.line)?;
        if let Some(column) = &self.column {
            write!(f, "{column}: ")?;
        }
        f.write_str(&self.message)
    }
}

/// Keeps the first errors and counts the others.
#[derive(Debug)]
pub(super) struct Errors {
    kept: Vec<RowError>,
    count: u64,
    max: usize,
    lines: HashSet<u64>,
}

impl Errors {
    pub(super) fn new(max: usize) -> Self {
        Self {
            kept: Vec::new(),
            count: 0,
            max,
            lines: HashSet::new(),
        }
    }

    pub(super) fn push(&mut self, error: RowError) {
        self.count += 1;
        self.lines.insert(error.line);
        if self.kept.len() < self.max {
            self.kept.push(error);
        }
    }

    /// Will further errors only be counted?
    pub(super) const fn is_full(&self) -> bool {
        self.kept.len() >= self.max
    }

    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn on_line(&self, line: u64) -> bool {
        self.lines.contains(&line)
    }

    pub(super) fn into_sorted(mut self) -> Vec<RowError> {
        self.kept.sort_by_key(|error| error.line);
        self.kept
    }
}
