//! What is found, and how it is told.

use console::{Style, Term};
use serde::Serialize;

use crate::error::Result;
use crate::output::{Output, printable};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    /// Works, and will not for long, or not as safely as it should.
    Warning,
    /// Something does not work.
    Error,
}

#[derive(Debug, Serialize)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    /// Stays the same from version to version.
    pub(super) code: &'static str,
    /// A file and line, a table, a NAS, ...
    pub(super) place: String,
    pub(super) problem: String,
    pub(super) remedy: String,
}

#[derive(Debug, Default)]
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    pub(super) fn error(&mut self, code: &'static str, place: &str, problem: &str, remedy: &str) {
        self.add(Severity::Error, code, place, problem, remedy);
    }

    pub(super) fn warning(&mut self, code: &'static str, place: &str, problem: &str, remedy: &str) {
        self.add(Severity::Warning, code, place, problem, remedy);
    }

    pub(super) fn add(&mut self, severity: Severity, code: &'static str, place: &str, problem: &str, remedy: &str) {
        self.0.push(Finding {
            severity,
            code,
            place: place.to_owned(),
            problem: problem.to_owned(),
            remedy: remedy.to_owned(),
        });
    }

    /// The worst first. Returns how many errors and warnings there are.
    pub(super) fn print(mut self, output: Output) -> Result<(usize, usize)> {
        self.0.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        let errors = self.0.iter().filter(|one| one.severity == Severity::Error).count();
        let warnings = self.0.len() - errors;
        if output.json {
            output.list(&self.0, &[])?;
            return Ok((errors, warnings));
        }
        for finding in &self.0 {
            let (word, style) = match finding.severity {
                Severity::Error => ("error", Style::new().red().bold()),
                Severity::Warning => ("warning", Style::new().yellow().bold()),
            };
            let style = if Term::stdout().is_term() {
                style
            } else {
                style.force_styling(false)
            };
            output.line(&format!(
                "{}  {}  [{}]\n    {}\n    to do: {}",
                style.apply_to(format!("{word:<7}")),
                printable(&finding.place),
                finding.code,
                printable(&finding.problem),
                printable(&finding.remedy)
            ))?;
        }
        if self.0.is_empty() {
            output.done("nothing is wrong");
        }
        Ok((errors, warnings))
    }
}
