//! `subscriber import`: a CSV file, all of it or none.
//!
//! One thread reads, checks and seals while the database writes what came before, all in one transaction. Every error of
//! the file is told with its line; after the first one the rest is only checked.

mod lines;
mod password;
mod reader;
mod report;

use std::fs::File;
use std::io::{self, IsTerminal as _, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use isp_core::password::Scheme;
use isp_core::store::{ImportError, Store, SubscriberFilter, SubscriberImport};
use isp_core::subscriber::Subscriber;
use isp_core::tenant::Tenant;
use serde::Serialize;
use tokio::sync::mpsc;

use self::password::Encoder;
use self::reader::{Batch, Findings, Reader};
use self::report::RowError;
use super::plan::find_plan;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::field::{FieldArgs, Record as _};

/// Batches that may wait for the database: enough to keep it busy, not enough to fill the memory.
const BATCHES_AHEAD: usize = 4;

/// Subscribers read at a time when looking for names that are taken.
const LOOKUP_PAGE: u32 = 20_000;

const HELP: &str = "\
The first line names the columns, in any order: username (needed), id, password, password_hash_method, plan (name or id), and
any field that `subscriber add` has as an option, with underscores (static_ipv4, expiration_date ...). An empty cell leaves the
field as the options given here set it, or as a new subscriber has it.

Passwords are taken as cleartext and stored under --scheme. Where password_hash_method is filled in (bcrypt, argon2id, crypt,
ssha, sha256, md5, nt), or with --hashed for the whole file, the cell holds what is to be stored: a hash, with or without the
scheme in front (bcrypt:$2b$...). Reversible ones (cleartext, nt) are sealed.

Errors are told as FILE:LINE: COLUMN: what is wrong. Nothing is imported unless every row is good. On SQLite other writers wait
while the transaction is open.";

#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    /// CSV file with a header line, UTF-8; - is standard input
    file: PathBuf,
    /// How cleartext passwords are stored: cleartext or nt (sealed), argon2id, bcrypt, crypt, ssha, sha256 or md5
    /// [default: password_scheme]
    #[arg(long)]
    scheme: Option<Scheme>,
    /// The password column holds hashes as they are to be stored
    #[arg(long, conflicts_with = "scheme")]
    hashed: bool,
    /// Plan of rows that name none, by name or id
    #[arg(long)]
    plan: Option<String>,
    /// Character between the cells
    #[arg(long, value_name = "CHAR", default_value = ",", value_parser = delimiter)]
    delimiter: u8,
    /// Check everything, the database's opinion included, and import nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    defaults: FieldArgs<Subscriber>,
}

fn delimiter(text: &str) -> std::result::Result<u8, String> {
    match text {
        "tab" | "\\t" => Ok(b'\t'),
        _ => match text.as_bytes() {
            [one] if one.is_ascii_punctuation() && *one != b'"' => Ok(*one),
            _ => Err("one of , ; | or tab".to_owned()),
        },
    }
}

#[derive(Serialize)]
struct Summary {
    imported: u64,
    dry_run: bool,
    seconds: f64,
    rows_per_second: f64,
    errors: Vec<RowError>,
    /// All that were found, told or not.
    error_count: u64,
    /// There may be more, which were not looked for.
    cut: bool,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<()> {
    let started = Instant::now();
    let (store, tenant) = context.store_and_tenant().await?;
    let (source, size) = open(&args.file)?;
    let progress = progress_bar(context, size);
    let reader = reader(context, args, store, &tenant, progress.clone()).await?;

    let (sender, mut receiver) = mpsc::channel(BATCHES_AHEAD);
    let reading = tokio::task::spawn_blocking(move || reader.run(source, &sender));
    let outcome = write(store, &mut receiver).await;
    // Without a receiver the reader checks the rest of the file and ends.
    drop(receiver);
    let findings = reading.await.map_err(|_| Error::Thread("import"))?;
    progress.finish_and_clear();
    let mut findings = findings.map_err(|e| Error::file(&args.file, e))?;

    let Written { import, refused } = outcome?;
    if let Some(refusal) = refused {
        let line = refusal.line;
        find_taken(store, &tenant, &mut findings).await?;
        if !findings.errors.on_line(line) {
            findings.errors.push(refusal);
        }
    }
    let refused = findings.errors.count() > 0;
    match import {
        Some(import) if !refused && !args.dry_run => {
            import.commit().await?;
        }
        // Dropped, nothing of it stays.
        _ => {}
    }
    finish(context, args, findings, started.elapsed())
}

async fn reader(
    context: &Context,
    args: &Args,
    store: &Store,
    tenant: &Tenant,
    progress: ProgressBar,
) -> Result<Reader> {
    let settings = &context.settings;
    let mut template = Subscriber {
        tenant_id: tenant.id.clone(),
        created_by: context.operator().map(str::to_owned),
        updated_by: context.operator().map(str::to_owned),
        ..Subscriber::blank()
    };
    args.defaults.apply(&mut template).map_err(Error::Refused)?;
    if let Some(plan) = &args.plan {
        template.bandwidth_profile_id = Some(find_plan(store, tenant, plan).await?.id);
    }
    let plans = store.plan_list(&tenant.id).await?;
    let names = plans.iter().map(|plan| (plan.name.clone(), plan.id.clone()));
    let ids = plans.iter().map(|plan| (plan.id.clone(), plan.id.clone()));
    Ok(Reader {
        delimiter: args.delimiter,
        batch: settings.import_batch,
        max_errors: settings.import_max_errors,
        tenant: tenant.clone(),
        // A plan's name wins over another one's id.
        plans: ids.chain(names).collect(),
        template,
        encoder: Encoder {
            scheme: args.scheme.unwrap_or(settings.password_scheme),
            hashed: args.hashed,
            keys: context.keys()?,
        },
        progress,
    })
}

fn open(path: &Path) -> Result<(Box<dyn Read + Send>, Option<u64>)> {
    if path.as_os_str() == "-" {
        return Ok((Box::new(io::stdin()), None));
    }
    let file = File::open(path).map_err(|e| Error::file(path, e))?;
    let size = file
        .metadata()
        .ok()
        .filter(|meta| meta.is_file())
        .map(|meta| meta.len());
    Ok((Box::new(file), size))
}

/// Shown on a terminal only: a log wants no bars.
fn progress_bar(context: &Context, size: Option<u64>) -> ProgressBar {
    if context.output.json || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(size, ProgressDrawTarget::stderr_with_hz(10));
    let look = "{wide_bar} {percent:>3} %  {msg}  {eta} left";
    bar.set_style(ProgressStyle::with_template(look).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

/// The open transaction, and the first row the database would not take.
struct Written {
    import: Option<SubscriberImport>,
    refused: Option<RowError>,
}

async fn write(store: &Store, batches: &mut mpsc::Receiver<Batch>) -> Result<Written> {
    // The transaction begins with the first batch: slow hashes are all made before it, and nobody waits for them.
    let mut import = None;
    while let Some(batch) = batches.recv().await {
        let open = match &mut import {
            Some(open) => open,
            none => none.insert(store.subscriber_import().await?),
        };
        match open.push(&batch.subscribers).await {
            Ok(()) => {}
            Err(ImportError::Row { index, reason }) => {
                let line = batch.lines.get(index).copied().unwrap_or_default();
                return Ok(Written {
                    import: None,
                    refused: Some(RowError::row(line, reason)),
                });
            }
            Err(ImportError::Store(error)) => return Err(error.into()),
        }
    }
    Ok(Written { import, refused: None })
}

/// The database names the first row it refuses. Where the reason is a name that is taken, there may be many more:
/// look through what the tenant has, until there are as many as will be told.
async fn find_taken(store: &Store, tenant: &Tenant, findings: &mut Findings) -> Result<()> {
    let mut filter = SubscriberFilter {
        tenant_id: Some(tenant.id.clone()),
        limit: Some(LOOKUP_PAGE),
        ..SubscriberFilter::default()
    };
    while !findings.errors.is_full() {
        let page = store.subscriber_list(&filter).await?;
        for subscriber in &page {
            findings.clash(subscriber);
        }
        if page.is_empty() {
            return Ok(());
        }
        filter.offset = filter.offset.saturating_add(LOOKUP_PAGE);
    }
    findings.cut = true;
    Ok(())
}

fn finish(context: &Context, args: &Args, findings: Findings, took: Duration) -> Result<()> {
    let file = if args.file.as_os_str() == "-" {
        "standard input".to_owned()
    } else {
        args.file.display().to_string()
    };
    let error_count = findings.errors.count();
    let errors = findings.errors.into_sorted();
    let imported = if error_count == 0 && !args.dry_run {
        findings.rows
    } else {
        0
    };
    let seconds = took.as_secs_f64();
    if context.output.json {
        context.output.record(&Summary {
            imported,
            dry_run: args.dry_run,
            seconds,
            rows_per_second: if imported == 0 { 0.0 } else { rate(imported, took) },
            errors,
            error_count,
            cut: findings.cut,
        })?;
    } else {
        for error in &errors {
            context.output.done(&format!("{file}:{error}"));
        }
        let untold = error_count.saturating_sub(errors.len() as u64);
        if untold > 0 || findings.cut {
            let at_least = if findings.cut { "at least " } else { "" };
            context.output.done(&format!("{file}: and {at_least}{untold} more"));
        }
    }
    if error_count > 0 {
        return Err(Error::ImportRefused {
            file,
            errors: error_count,
        });
    }
    context.output.done(&if args.dry_run {
        format!("{} subscribers would be imported", findings.rows)
    } else {
        format!(
            "{imported} subscribers imported in {seconds:.1} s ({:.0} rows/s)",
            rate(imported, took)
        )
    });
    Ok(())
}

#[allow(clippy::cast_precision_loss, reason = "a figure for people")]
fn rate(rows: u64, took: Duration) -> f64 {
    rows as f64 / took.as_secs_f64().max(0.001)
}
