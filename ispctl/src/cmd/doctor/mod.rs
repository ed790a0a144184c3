//! Checks of the whole installation: what is wrong, where, and what to do about it.

mod database;
mod dictionaries;
mod finding;
mod keys;
mod local;
mod nas;
mod nodes;
mod raddb;
mod server;
mod services;
mod wiring;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use finding::Findings;
use isp_core::store::Store;
use raddb::Raddb;

use crate::context::Context;
use crate::error::{Error, Result};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 nothing found, 6 warnings, 7 errors; others as of every command.\n\
        Nothing is changed, and nothing is sent without --probe but what NetBox and other services are asked."
)]
pub(crate) struct Args {
    /// The RADIUS server's configuration [default: /etc/freeradius/3.0 or /etc/raddb, if there]
    #[arg(long, value_name = "DIRECTORY")]
    raddb: Option<PathBuf>,
    /// Where rlm_rust.so is [default: FR_LIBRARY_PATH, then the server's libdir]
    #[arg(long, value_name = "DIRECTORY")]
    modules: Option<PathBuf>,
    /// The RADIUS server's program [default: freeradius or radiusd]
    #[arg(long, value_name = "PROGRAM")]
    server: Option<PathBuf>,
    /// Send each NAS a Disconnect-Request for a session that does not exist, to see whether it answers
    #[arg(long)]
    probe: bool,
}

pub(crate) async fn run(context: &Context, args: Args) -> Result<()> {
    let mut findings = Findings::default();
    for exposed in context
        .settings
        .warnings
        .iter()
        .filter(|exposed| open_to_all(&exposed.path))
    {
        let place = exposed.path.display().to_string();
        let problem = format!("every user of this machine can read {} in it", exposed.secret);
        findings.error("secrets_exposed", &place, &problem, &format!("chmod o-rwx {place}"));
    }
    let raddb = server_configuration(&args, &mut findings);
    let instance = raddb.as_ref().and_then(Raddb::instance);
    if let Some(raddb) = &raddb {
        wiring::check(raddb, instance, &mut findings);
        server::check(raddb, args.modules.as_deref(), args.server.as_deref(), &mut findings);
    }
    dictionaries::check(context, raddb.as_ref().zip(instance), &mut findings);
    if let Some((raddb, instance)) = raddb.as_ref().zip(instance) {
        local::check(raddb, instance, &mut findings);
        keys::compare(context, raddb, instance, &mut findings);
        database::compare(context, raddb, instance, &mut findings);
    }
    let keys = keys::load(context, &mut findings);
    if let Some(store) = database::open(context, &mut findings).await {
        in_database(context, store, raddb.as_ref(), keys.as_ref(), args.probe, &mut findings).await?;
    }
    let (errors, warnings) = findings.print(context.output)?;
    match (errors, warnings) {
        (0, 0) => Ok(()),
        _ => Err(Error::Findings { errors, warnings }),
    }
}

/// Whether every user of the machine can read the file, and gets to it.
fn open_to_all(path: &Path) -> bool {
    let allows = |path: &Path, bit: u32| std::fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & bit != 0);
    let whole = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    allows(&whole, 0o004) && whole.ancestors().skip(1).all(|directory| allows(directory, 0o001))
}

fn server_configuration(args: &Args, findings: &mut Findings) -> Option<Raddb> {
    let usual = || {
        let directories = ["/etc/freeradius/3.0", "/etc/raddb"].map(PathBuf::from);
        directories
            .into_iter()
            .find(|directory| directory.join("radiusd.conf").exists())
    };
    // A host of the side service alone has no server.
    let directory = args.raddb.clone().or_else(usual)?;
    match Raddb::read(&directory) {
        Ok(raddb) => Some(raddb),
        Err((place, problem)) => {
            findings.error(
                "raddb_unreadable",
                &place,
                &problem,
                "mend the file, or name another directory with --raddb",
            );
            None
        }
    }
}

/// What can be told only with a schema that is this build's.
async fn in_database(
    context: &Context,
    store: &Store,
    raddb: Option<&Raddb>,
    keys: Option<&isp_core::secret::KeyRing>,
    probe: bool,
    findings: &mut Findings,
) -> Result<()> {
    if !database::check(context, store, findings).await? {
        return Ok(());
    }
    keys::check_sealed(context, store, keys, findings).await?;
    nodes::check(store, findings).await?;
    nas::check(context, store, raddb, keys, findings).await?;
    if probe {
        nas::probe(context, store, keys, findings).await?;
    }
    services::check(context, store, findings).await
}
