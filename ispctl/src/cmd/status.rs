use isp_core::store::{NodeStatus, Overview};
use serde::Serialize;

use crate::config::shown_url;
use crate::context::Context;
use crate::error::Result;

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
}

pub(crate) async fn run(context: &Context) -> Result<()> {
    let store = context.store().await?;
    let database = context
        .settings
        .database_url
        .as_ref()
        .map(|url| shown_url(url.expose()));
    context.output.record(&Report {
        database: database.unwrap_or_default(),
        primary_key: context.keys()?.map(|keys| keys.primary()),
        overview: store.overview().await?,
        nodes: store.nodes().await?,
    })
}
