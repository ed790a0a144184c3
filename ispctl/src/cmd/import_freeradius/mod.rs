//! `import freeradius-sql`: a database of stock FreeRADIUS or daloRADIUS, all of it or nothing.
//!
//! The source is read as one state of it, mapped in memory and written in one transaction. Without `--apply` that transaction
//! is taken back: what is told is what the database itself said to it.

mod effect;
mod groups;
mod report;
mod sessions;
mod source;
mod users;
mod value;
mod vendors;
mod write;

use std::path::PathBuf;
use std::time::Instant;

use isp_core::secret::Secret;
use jiff::tz::TimeZone;

use self::report::Report;
use self::source::Source;
use self::vendors::Vendors;
use self::write::Writer;
use crate::config;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::secret_input::{self, Wanted};

/// Further than any URL, and read where secrets are: it may hold a password.
const URL: Wanted = Wanted {
    what: "database URL",
    variable: "ISP_IMPORT_URL",
    length: 0,
    max: 2_048,
};

const HELP: &str = "\
Nothing is written without --apply: the report tells what would be. A URL with a password is refused as an argument, where
every user of the machine sees it: put it into ISP_IMPORT_URL or into a file (--from-file). The source is only ever read.

A row becomes a field where it means exactly the same, its operator included; all others are kept as raw rows, in the tables
of the same names. A group is a plan for users that are in no other one, where it gives rates, does not depend on the
packet, and every NAS's vendor is told by a plan just what the group tells it. What is there already is left as it is (see --update), so a second run adds what is new.

Sessions are known by their acctuniqueid: a second run adds those that are new, and continues those that were open. One that
is open in the source and was not heard of for long is taken for ended (Stale-Session). The servers may run meanwhile.";

#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    /// sqlite:///path/radius.db, postgres://user@host/radius or mysql://user@host/radius (MariaDB, too)
    #[arg(
        long,
        value_name = "URL",
        required_unless_present = "from_file",
        env = "ISP_IMPORT_URL",
        hide_env_values = true
    )]
    from: Option<String>,
    /// Read the URL from a file's first line; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "from")]
    from_file: Option<PathBuf>,
    /// Write, instead of telling what would be written
    #[arg(long, conflicts_with = "dry_run")]
    apply: bool,
    /// Write nothing; so it is without --apply
    #[arg(long)]
    dry_run: bool,
    /// Give subscribers that are there already what the source has
    #[arg(long)]
    update: bool,
    /// Time zone of the dates in Expiration [default: the tenant's]
    #[arg(long, value_name = "ZONE")]
    timezone: Option<String>,
    /// Bring the sessions of radacct, too, with the usage of their subscribers; afterwards, some thousands at a time
    #[arg(long, value_enum, value_name = "WHICH")]
    sessions: Option<sessions::Which>,
    /// Vendor of NAS whose type tells none [default: mikrotik or wispr where rows speak so, else generic]
    #[arg(long, value_name = "NAME")]
    nas_vendor: Option<String>,
}

pub(crate) async fn run(context: &Context, args: &Args) -> Result<()> {
    let started = Instant::now();
    let url = url(args)?;
    let (store, tenant) = context.store_and_tenant().await?;
    let keys = context.required_keys()?;
    let zone = args.timezone.as_deref().unwrap_or(&tenant.timezone);
    let zone = TimeZone::get(zone).map_err(|_| Error::Usage(format!("there is no time zone {zone:?}")))?;

    let mut source = Source::open(url.expose()).await?;
    let content = source.content().await;
    let content = content?;
    let mut report = Report::new(context.settings.import_max_errors);
    if content.case_blind {
        report
            .notes
            .push("MySQL takes Alice and alice for one user, as a tenant does whose username_case is lower".to_owned());
    }
    for cell in &content.unreadable {
        report.unreadable(cell, cell.is_name());
    }
    let (vendor_set, nas_there) = (context.vendors()?, store.nas_list(None).await?);
    let vendors = Vendors::new(&vendor_set, args.nas_vendor.as_deref(), &tenant, &content, &nas_there);
    let vendors = vendors.map_err(Error::Usage)?;
    let mapped = users::map(&content, &tenant, &zone, &vendors, &mut report).map_err(Error::Refused)?;
    let writer = Writer {
        store,
        tenant: &tenant,
        keys: &keys,
        operator: context.operator().map(str::to_owned),
        update: args.update,
        batch: context.settings.import_batch,
        vendors: &vendors,
        nas_there: &nas_there,
    };
    let (import, written, ids) = writer.write(mapped, &content.nas, &mut report).await?;
    if args.apply {
        import.commit().await?;
    } else {
        drop(import);
    }
    let sessions = match args.sessions {
        Some(which) => {
            let importer = sessions::Importer {
                store,
                tenant: &tenant,
                ids: &ids,
                which,
                batch: context.settings.import_batch,
                apply: args.apply,
            };
            Some(importer.run(&mut source, &mut report).await?)
        }
        None => None,
    };
    source.close().await;
    let summary = report.summary(written, sessions, args.apply, started.elapsed().as_secs_f64());
    context.output.record(&summary)?;
    context.output.done(if args.apply {
        "imported"
    } else {
        "nothing was written: this is what --apply would do"
    });
    Ok(())
}

/// Where to read from. Never shown: there is no telling what of a URL is a password.
fn url(args: &Args) -> Result<Secret<String>> {
    let url = match (&args.from_file, &args.from) {
        (Some(path), _) => secret_input::Source::file(path).read(URL)?,
        (None, Some(url)) => {
            let from_environment = std::env::var(URL.variable).is_ok_and(|value| value == *url);
            if !from_environment && config::holds_password(url) {
                return Err(Error::Usage(format!(
                    "--from holds a password, which every user of this machine can see: put the URL into {} or into a file \
                     (--from-file)",
                    URL.variable
                )));
            }
            Secret::new(url.clone())
        }
        (None, None) => return Err(Error::Usage("--from names the database to import from".to_owned())),
    };
    if !source::is_source_url(url.expose()) {
        return Err(Error::Usage(
            "the URL of a database to import from begins with sqlite:, postgres://, mysql:// or mariadb:// (the one that is \
             given is not shown: it may hold a password)"
                .to_owned(),
        ));
    }
    Ok(url)
}
