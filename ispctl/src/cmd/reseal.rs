//! `key reseal`: everything reversible under the primary key.
//!
//! Works through the records in batches and writes only where the stored value is still the one that was read: a password
//! changed meanwhile stays as it is, and a second run takes up what an interrupted one left.

use isp_core::password::StoredPassword;
use isp_core::secret::{KeyRing, Sealed, SecretError};
use isp_core::store::{Replacement, Store};
use serde::Serialize;

use crate::context::Context;
use crate::error::{Error, Result};
use crate::output;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Say how much would be sealed, change nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Default, Serialize)]
struct Counts {
    /// Sealed under another key before, or in clear.
    resealed: u64,
    /// Under the primary key already, or one-way.
    unchanged: u64,
    /// Changed by someone else meanwhile.
    overtaken: u64,
    /// Cannot be opened: the key is not in the file, or the value is damaged.
    unreadable: u64,
}

#[derive(Serialize)]
struct Report {
    dry_run: bool,
    primary_key: u32,
    passwords: Counts,
    nas_secrets: Counts,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<()> {
    let keys = context.required_keys()?;
    let store = context.store().await?;
    let report = Report {
        dry_run: args.dry_run,
        primary_key: keys.primary(),
        passwords: passwords(context, store, &keys, args.dry_run).await?,
        nas_secrets: nas_secrets(store, &keys, args.dry_run).await?,
    };
    let unreadable = report.passwords.unreadable + report.nas_secrets.unreadable;
    if context.output.json {
        context.output.record(&report)?;
    } else {
        let would = if args.dry_run { "to be sealed" } else { "sealed" };
        for (what, counts) in [("passwords", &report.passwords), ("NAS secrets", &report.nas_secrets)] {
            context.output.line(&format!(
                "{what}: {} {would} under key {}, {} left as they are, {} changed by others meanwhile, {} unreadable",
                counts.resealed, report.primary_key, counts.unchanged, counts.overtaken, counts.unreadable
            ))?;
        }
    }
    if unreadable > 0 {
        return Err(Error::Unreadable(unreadable));
    }
    Ok(())
}

async fn passwords(context: &Context, store: &Store, keys: &KeyRing, dry_run: bool) -> Result<Counts> {
    let mut counts = Counts::default();
    let mut after = String::new();
    loop {
        let page = store.stored_passwords(&after, context.settings.reseal_batch).await?;
        let Some(last) = page.last() else {
            return Ok(counts);
        };
        after.clone_from(&last.id);
        let mut changes = Vec::new();
        for stored in &page {
            let parsed = StoredPassword::parse(stored.password_hash_method.as_deref(), &stored.password);
            let encoded = parsed.and_then(|password| {
                if needs_sealing(&password, keys) {
                    password.encode(Some(keys), &stored.id).map(Some)
                } else {
                    Ok(None)
                }
            });
            match encoded {
                Ok(Some(encoded)) => changes.push(Replacement {
                    id: stored.id.clone(),
                    old: stored.password.clone(),
                    new: encoded.password,
                    method: Some(encoded.method),
                }),
                Ok(None) => counts.unchanged += 1,
                Err(error) => {
                    counts.unreadable += 1;
                    output::warning(&format!("subscriber {:?} ({}): {error}", stored.username, stored.id));
                }
            }
        }
        counts.add(
            &changes,
            if dry_run {
                None
            } else {
                Some(store.replace_passwords(&changes).await?)
            },
        );
    }
}

fn needs_sealing(password: &StoredPassword<'_>, keys: &KeyRing) -> bool {
    match password {
        StoredPassword::Sealed { sealed, .. } => sealed.key_id != keys.primary(),
        StoredPassword::Cleartext(_) | StoredPassword::Nt(_) => true,
        StoredPassword::OneWay { .. } => false,
    }
}

/// A provider has few NAS beside its subscribers: one batch.
async fn nas_secrets(store: &Store, keys: &KeyRing, dry_run: bool) -> Result<Counts> {
    let mut counts = Counts::default();
    let mut changes = Vec::new();
    for nas in store.nas_list(None).await? {
        let context = nas.secret_context();
        let sealed: std::result::Result<Option<String>, SecretError> = match Sealed::parse(&nas.secret) {
            Ok(Some(sealed)) if sealed.key_id == keys.primary() => Ok(None),
            Ok(Some(sealed)) => keys
                .open(&context, &sealed)
                .and_then(|plain| keys.seal(&context, plain.expose()).map(Some)),
            Ok(None) if nas.secret.is_empty() => Ok(None),
            Ok(None) => keys.seal(&context, nas.secret.as_bytes()).map(Some),
            Err(error) => Err(error),
        };
        match sealed {
            Ok(Some(new)) => changes.push(Replacement {
                id: nas.id.to_string(),
                old: nas.secret,
                new,
                method: None,
            }),
            Ok(None) => counts.unchanged += 1,
            Err(error) => {
                counts.unreadable += 1;
                output::warning(&format!("NAS {}: {error}", nas.nasname));
            }
        }
    }
    counts.add(
        &changes,
        if dry_run {
            None
        } else {
            Some(store.replace_nas_secrets(&changes).await?)
        },
    );
    Ok(counts)
}

impl Counts {
    /// `written`: how many the database took; `None` in a dry run.
    fn add(&mut self, changes: &[Replacement], written: Option<u64>) {
        let wanted = changes.len() as u64;
        let written = written.unwrap_or(wanted);
        self.resealed += written;
        self.overtaken += wanted - written;
    }
}
