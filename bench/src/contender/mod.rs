//! The modules compared, each given the same base in its own form.

pub(crate) mod files;
pub(crate) mod rust;
pub(crate) mod sql;
pub(crate) mod stock_sql;

use serde::Serialize;

use crate::population::{BenchPlan, Member};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Contender {
    /// Stock `files`: the base in a generated authorize file.
    Files,
    /// Stock `sql` on PostgreSQL.
    Sql,
    /// `rlm_rust` on PostgreSQL.
    Rust,
}

impl Contender {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Sql => "sql",
            Self::Rust => "rust",
        }
    }
}

/// A subscriber's reply as stock modules write it: attribute and value, in the server's syntax.
fn reply_rows(member: Member) -> [(&'static str, String); 4] {
    let BenchPlan {
        rate_limit,
        session_timeout,
        interim_interval,
        ..
    } = member.plan();
    [
        ("Framed-IP-Address", member.framed_ip().to_string()),
        ("Mikrotik-Rate-Limit", (*rate_limit).to_owned()),
        ("Session-Timeout", session_timeout.to_string()),
        ("Acct-Interim-Interval", interim_interval.to_string()),
    ]
}
