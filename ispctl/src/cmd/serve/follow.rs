//! What changed in NetBox, brought here at once: told by its webhooks, and by its change log where those are lost.

use std::collections::HashMap;
use std::time::Duration;

use isp_core::netbox::push::Touched;
use isp_core::netbox::{Cursor, Sync};
use isp_core::store::Store;
use isp_core::tenant::Tenant;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{error, info, warn};

use super::netbox::told;
use crate::context::Context;
use crate::error::Result;
use crate::netbox;

/// Webhooks that wait. One that finds no room is told so, and the change log has it.
const WAITING: usize = 1_000;

/// How often it is looked whether a tenant's log is to be read.
const LOOK: Duration = Duration::from_secs(1);

/// After a fault.
const PATIENCE: Duration = Duration::from_secs(30);

/// Whoever is recorded as the author of what comes from NetBox.
const AUTHOR: &str = "netbox";

/// A tenant's id, and what of it is to be looked at.
pub(super) type Told = (String, Touched);

pub(super) fn bell() -> (mpsc::Sender<Told>, mpsc::Receiver<Told>) {
    mpsc::channel(WAITING)
}

/// What is known of a tenant between its turns.
#[derive(Default)]
struct Standing {
    /// Not looked at yet.
    touched: Touched,
    cursor: Option<Cursor>,
    read: Option<Instant>,
    failed: Option<Instant>,
}

/// Until it is dropped. What failed is tried again; what a crash loses is found by the change log or by reconciling.
pub(super) async fn follow(context: &Context, store: &Store, mut bell: mpsc::Receiver<Told>) {
    let mut standings: HashMap<String, Standing> = HashMap::new();
    loop {
        tokio::select! {
            told = bell.recv() => {
                let Some(told) = told else { return };
                let mut next = Some(told);
                // Those that came together are one look.
                while let Some((tenant, touched)) = next {
                    standings.entry(tenant).or_default().touched.merge(touched);
                    next = bell.try_recv().ok();
                }
            }
            () = tokio::time::sleep(LOOK) => {}
        }
        let tenants = match store.tenant_list().await {
            Ok(tenants) => tenants,
            Err(error) => {
                warn!(%error, "tenants could not be listed");
                continue;
            }
        };
        for tenant in tenants.iter().filter(|tenant| tenant.enabled) {
            let standing = standings.entry(tenant.id.clone()).or_default();
            if standing.failed.is_some_and(|at| at.elapsed() < PATIENCE) {
                continue;
            }
            let outcome = turn(context, store, tenant, standing).await;
            if let Err(error) = &outcome {
                error!(tenant = tenant.name, %error, "what changed in NetBox was not brought here");
            }
            standing.failed = outcome.is_err().then(Instant::now);
        }
    }
}

async fn turn(context: &Context, store: &Store, tenant: &Tenant, standing: &mut Standing) -> Result<()> {
    let every = netbox::poll_every(context, store, tenant).await?;
    let due = every.is_some_and(|every| standing.read.is_none_or(|read| read.elapsed() >= every));
    if !due && standing.touched.is_empty() {
        return Ok(());
    }
    let (allocator, _) = netbox::allocator(context, store, tenant).await?;
    let sync = Sync::new(store, allocator, &tenant.id, Some(AUTHOR.to_owned()));
    if due {
        let mut cursor = match standing.cursor.take() {
            Some(cursor) => cursor,
            None => sync.cursor().await?,
        };
        let touched = sync.changes(&mut cursor).await?;
        standing.touched.merge(touched);
        standing.cursor = Some(cursor);
        standing.read = Some(Instant::now());
    }
    if !standing.touched.is_empty() {
        let report = sync.refresh(&standing.touched).await?;
        info!(
            tenant = tenant.name,
            subscribers = standing.touched.subscribers.len(),
            "looked at what changed in NetBox"
        );
        told(tenant, &report);
        standing.touched = Touched::default();
    }
    // Only what was done is behind the place that another process begins at.
    if due && let Some(cursor) = &standing.cursor {
        sync.keep_cursor(cursor).await?;
    }
    Ok(())
}
