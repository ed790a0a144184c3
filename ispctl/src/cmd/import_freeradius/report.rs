//! What became of what, in numbers, and every row that deserves a look.

use std::collections::BTreeMap;

use serde::Serialize;

use super::sessions::Counts;
use super::source::{Attribute, Unreadable};

/// Rows of one kind that met the same fate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Kind {
    table: &'static str,
    attribute: String,
    op: String,
    /// The field it becomes, or why it stays a row.
    outcome: String,
}

/// A row that is not what it should be, or cannot be taken as what it looks like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Problem {
    pub(super) table: &'static str,
    pub(super) id: i64,
    /// Username, group or address.
    pub(super) name: String,
    pub(super) attribute: String,
    pub(super) why: String,
}

#[derive(Debug, Default)]
pub(super) struct Report {
    mapped: BTreeMap<Kind, u64>,
    raw: BTreeMap<Kind, u64>,
    pub(super) problems: Vec<Problem>,
    pub(super) problem_count: u64,
    pub(super) left_out: u64,
    max_problems: usize,
    pub(super) notes: Vec<String>,
}

/// Where something was written, and what was there before.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) subscribers: u64,
    pub(super) updated: u64,
    pub(super) subscribers_there: u64,
    pub(super) plans: u64,
    pub(super) plans_there: u64,
    pub(super) rows: u64,
    pub(super) memberships: u64,
    pub(super) nas: u64,
    pub(super) nas_there: u64,
}

#[derive(Serialize)]
struct Counted<'a> {
    #[serde(flatten)]
    kind: &'a Kind,
    rows: u64,
}

#[derive(Serialize)]
struct Note<'a> {
    note: &'a str,
}

#[derive(Serialize)]
pub(super) struct Summary<'a> {
    applied: bool,
    seconds: f64,
    subscribers_added: u64,
    subscribers_updated: u64,
    subscribers_there: u64,
    plans_added: u64,
    plans_there: u64,
    raw_rows_added: u64,
    memberships_added: u64,
    nas_added: u64,
    nas_there: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    sessions: Option<Counts>,
    /// Rows that are of no use here.
    left_out: u64,
    problem_count: u64,
    mapped: Vec<Counted<'a>>,
    stays_raw: Vec<Counted<'a>>,
    problems: &'a [Problem],
    notes: Vec<Note<'a>>,
}

impl Report {
    pub(super) fn new(max_problems: usize) -> Self {
        Self {
            max_problems,
            ..Self::default()
        }
    }

    pub(super) fn mapped(&mut self, table: &'static str, row: &Attribute, field: &str) {
        *self.mapped.entry(Kind::of(table, row, field)).or_default() += 1;
    }

    pub(super) fn raw(&mut self, table: &'static str, row: &Attribute, why: &str) {
        *self.raw.entry(Kind::of(table, row, why)).or_default() += 1;
    }

    /// Rows of radusergroup have no attribute: the group's name stands in its place.
    pub(super) fn membership(&mut self, mapped: bool, group: &str, outcome: &str) {
        let kind = Kind {
            table: "radusergroup",
            attribute: group.to_owned(),
            op: String::new(),
            outcome: outcome.to_owned(),
        };
        let counts = if mapped { &mut self.mapped } else { &mut self.raw };
        *counts.entry(kind).or_default() += 1;
    }

    /// It stays a raw row although it looks as if it were a field's.
    pub(super) fn problem(&mut self, table: &'static str, row: &Attribute, why: &str) {
        self.tell(Problem {
            table,
            id: row.id,
            name: row.name.clone(),
            attribute: row.attribute.clone(),
            why: why.to_owned(),
        });
    }

    pub(super) fn tell(&mut self, problem: Problem) {
        self.problem_count += 1;
        if self.problems.len() < self.max_problems {
            self.problems.push(problem);
        }
    }

    /// A cell that was taken as far as it could be read, or whose row was not taken at all.
    pub(super) fn unreadable(&mut self, cell: &Unreadable, left_out: bool) {
        let fate = match left_out {
            true => "nobody can tell whose row it is",
            false => "U+FFFD stands for what cannot be read",
        };
        self.left_out += u64::from(left_out);
        self.tell(Problem {
            table: cell.table,
            id: cell.id,
            name: String::new(),
            attribute: cell.column.to_owned(),
            why: format!("{}: {fate}", cell.why),
        });
    }

    pub(super) fn left_out(&mut self, problem: Problem) {
        self.left_out += 1;
        self.tell(problem);
    }

    pub(super) fn summary(
        &self,
        written: Written,
        sessions: Option<Counts>,
        applied: bool,
        seconds: f64,
    ) -> Summary<'_> {
        Summary {
            applied,
            seconds,
            subscribers_added: written.subscribers,
            subscribers_updated: written.updated,
            subscribers_there: written.subscribers_there,
            plans_added: written.plans,
            plans_there: written.plans_there,
            raw_rows_added: written.rows,
            memberships_added: written.memberships,
            nas_added: written.nas,
            nas_there: written.nas_there,
            sessions,
            left_out: self.left_out,
            problem_count: self.problem_count,
            mapped: self.mapped.iter().map(|(kind, &rows)| Counted { kind, rows }).collect(),
            stays_raw: self.raw.iter().map(|(kind, &rows)| Counted { kind, rows }).collect(),
            problems: &self.problems,
            notes: self.notes.iter().map(|note| Note { note }).collect(),
        }
    }
}

impl Kind {
    fn of(table: &'static str, row: &Attribute, outcome: &str) -> Self {
        Self {
            table,
            attribute: row.attribute.clone(),
            op: row.op.clone(),
            outcome: outcome.to_owned(),
        }
    }
}
