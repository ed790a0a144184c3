use std::path::{Path, PathBuf};

use clap::Subcommand;
use isp_core::accounting::aside::{Aside, Line, Refused};
use isp_core::store::Store;
use serde::Serialize;

use crate::context::Context;
use crate::error::{Error, Result};
use crate::period;

/// Records handed to the database at a time.
const BATCH: usize = 1_000;
/// Refusals told one by one.
const MOST_TOLD: usize = 20;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Hand records on again that the database refused
    #[command(
        after_help = "A server puts a record that the database refuses for what it holds into refused.jsonl beside its journal, \
                      with the reason. What is taken now leaves the file; what is still refused stays, with the reason of \
                      now, and the command ends with code 5. A record that the database has already changes nothing. A \
                      server that puts something aside meanwhile waits for the end."
    )]
    Retry {
        /// The file, beside the files of the journal
        file: PathBuf,
        /// Say what is in the file, change nothing
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Serialize, Default)]
struct Report {
    file: PathBuf,
    records: u64,
    stored: u64,
    refused: u64,
    /// Lines that are no records; they stay.
    unreadable: u64,
    /// The first ones.
    refusals: Vec<Refusal>,
}

#[derive(Serialize)]
struct Refusal {
    username: String,
    acct_session_id: String,
    nas_ip_address: String,
    refused_at: i64,
    error: String,
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<()> {
    let Command::Retry { file, dry_run } = command;
    let mut aside = Aside::open(&file).map_err(|error| Error::file(&file, error))?;
    let mut report = Report {
        file: file.clone(),
        ..Report::default()
    };
    let outcome = if dry_run {
        list(&mut aside, &file, &mut report)
    } else {
        retry(context.store().await?, &mut aside, &file, &mut report).await
    };
    if dry_run || outcome.is_err() {
        // What was stored before the database went away changes nothing the next time.
        aside.leave();
    } else {
        aside.finish().map_err(|error| Error::file(&file, error))?;
    }
    outcome?;
    context.output.record(&report)?;
    match report.refused + report.unreadable {
        _ if dry_run => context.output.done("nothing was changed"),
        0 => context.output.done("all of them are stored, the file is gone"),
        left => return Err(Error::StillRefused(left)),
    }
    Ok(())
}

fn list(aside: &mut Aside, file: &Path, report: &mut Report) -> Result<()> {
    while let Some(refused) = next(aside, file, report)? {
        let error = refused.error.clone();
        report.refuse(&refused, error);
    }
    Ok(())
}

async fn retry(store: &Store, aside: &mut Aside, file: &Path, report: &mut Report) -> Result<()> {
    loop {
        let mut batch = Vec::with_capacity(BATCH);
        while batch.len() < BATCH
            && let Some(refused) = next(aside, file, report)?
        {
            batch.push(refused);
        }
        if batch.is_empty() {
            return Ok(());
        }
        let records: Vec<_> = batch.into_iter().map(|refused| refused.record).collect();
        let still = store.sift_accounting(&records).await?;
        report.stored += (records.len() - still.len()) as u64;
        for (record, why) in still {
            let refused = Refused {
                refused_at: period::now(),
                error: why.to_string(),
                record: record.clone(),
            };
            aside.keep(&refused).map_err(|error| Error::file(file, error))?;
            report.refuse(&refused, refused.error.clone());
        }
    }
}

/// The next record; lines that are none are counted.
fn next(aside: &mut Aside, file: &Path, report: &mut Report) -> Result<Option<Refused>> {
    loop {
        match aside.read().map_err(|error| Error::file(file, error))? {
            None => return Ok(None),
            Some(Line::Refused(refused)) => {
                report.records += 1;
                return Ok(Some(*refused));
            }
            Some(Line::Unreadable { line, error }) => {
                report.unreadable += 1;
                crate::output::warning(&format!("{}:{line}: {error}", file.display()));
            }
        }
    }
}

impl Report {
    fn refuse(&mut self, refused: &Refused, error: String) {
        self.refused += 1;
        if self.refusals.len() < MOST_TOLD {
            self.refusals.push(Refusal {
                username: refused.record.user_name.clone(),
                acct_session_id: refused.record.acct_session_id.clone(),
                nas_ip_address: refused.record.nas_ip_address.to_string(),
                refused_at: refused.refused_at,
                error,
            });
        }
    }
}
