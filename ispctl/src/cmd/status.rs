use std::path::{Path, PathBuf};

use isp_core::accounting::aside;
use isp_core::accounting::journal::{Journal, Survey};
use isp_core::store::{NodeStatus, Overview};
use serde::Serialize;

use crate::config::shown_url;
use crate::context::Context;
use crate::error::{Error, Result};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "While the database is away, the status ends with code 1 and tells what the journals hold that are named: what \
                  waits there is in no table yet."
)]
pub(crate) struct Args {
    /// Look into the accounting journal of a server on this machine, too ("journal" of mods-available/rust); can be repeated
    #[arg(long, value_name = "DIRECTORY")]
    journal: Vec<PathBuf>,
}

#[derive(Serialize)]
struct Report {
    /// Without password.
    database: String,
    /// `None` where no key file is configured.
    primary_key: Option<u32>,
    #[serde(flatten)]
    overview: Overview,
    /// What each server last said of itself, and how much accounting waits in its journal.
    nodes: Vec<NodeStatus>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    journals: Vec<Look>,
}

/// What can be told while the database is away.
#[derive(Serialize)]
struct Outage {
    database: String,
    database_error: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    journals: Vec<Look>,
}

#[derive(Serialize)]
struct Look {
    #[serde(flatten)]
    survey: Survey,
    /// Records that the database refused.
    aside: u64,
}

fn look(directory: &Path) -> Result<Look> {
    let refused = directory.join(aside::NAME);
    Ok(Look {
        survey: Journal::survey(directory)?,
        aside: aside::count(&refused).map_err(|error| Error::file(&refused, error))?,
    })
}

pub(crate) async fn run(context: &Context, args: Args) -> Result<()> {
    let journals = args
        .journal
        .iter()
        .map(|directory| look(directory))
        .collect::<Result<Vec<_>>>()?;
    let database = context
        .settings
        .database_url
        .as_ref()
        .map(|url| shown_url(url.expose()))
        .unwrap_or_default();
    match ask(context).await {
        Ok((overview, nodes)) => context.output.record(&Report {
            database,
            primary_key: context.keys()?.map(|keys| keys.primary()),
            overview,
            nodes,
            journals,
        }),
        Err(Error::Store(why)) if why.is_transient() => {
            context.output.record(&Outage {
                database,
                database_error: why.to_string(),
                journals,
            })?;
            Err(why.into())
        }
        Err(why) => Err(why),
    }
}

async fn ask(context: &Context) -> Result<(Overview, Vec<NodeStatus>)> {
    let store = context.store().await?;
    Ok((store.overview().await?, store.nodes().await?))
}
