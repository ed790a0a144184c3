//! NetBox and the database, compared every now and then.

use std::collections::HashMap;
use std::time::Duration;

use isp_core::netbox::{Report, Sync};
use isp_core::store::Store;
use isp_core::tenant::Tenant;
use tokio::time::Instant;
use tracing::{error, info, warn};

use crate::context::Context;
use crate::error::Result;
use crate::netbox;

/// How often it is looked whether a tenant's turn has come, and whether its settings are others.
const LOOK: Duration = Duration::from_secs(2);

/// After a fault, so that a log says it now and then.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whoever is recorded as the author of repairs.
const AUTHOR: &str = "reconcile";

/// Until it is dropped. A fault is logged and tried again at the next turn.
pub(super) async fn upkeep(context: &Context, store: &Store) {
    let began = Instant::now();
    let mut turns: HashMap<String, Turn> = HashMap::new();
    loop {
        match store.tenant_list().await {
            Ok(tenants) => {
                for tenant in tenants.iter().filter(|tenant| tenant.enabled) {
                    let last = turns.get(&tenant.id);
                    if last.is_some_and(|last| last.failed && last.at.elapsed() < PATIENCE) {
                        continue;
                    }
                    let outcome = turn(context, store, tenant, last.map_or(began, |last| last.at)).await;
                    if let Err(error) = &outcome {
                        error!(tenant = tenant.name, %error, "NetBox and the database were not compared");
                    }
                    if !matches!(outcome, Ok(false)) {
                        let turn = Turn {
                            at: Instant::now(),
                            failed: outcome.is_err(),
                        };
                        turns.insert(tenant.id.clone(), turn);
                    }
                }
            }
            Err(error) => warn!(%error, "tenants could not be listed"),
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// A tenant's last one.
struct Turn {
    at: Instant,
    failed: bool,
}

/// Whether it was the tenant's turn, and all was done.
async fn turn(context: &Context, store: &Store, tenant: &Tenant, last: Instant) -> Result<bool> {
    // Nothing is opened before it is the tenant's turn.
    let (own, sealed) = netbox::own(store, tenant).await?;
    let table = own.over_usual(&context.settings.netbox);
    let every = table.reconcile_every().filter(|_| table.is_set_up(sealed.is_some()));
    let Some(every) = every else {
        return Ok(false);
    };
    if last.elapsed() < every {
        return Ok(false);
    }
    let (allocator, table) = netbox::allocator(context, store, tenant).await?;
    let sync = Sync::new(store, allocator, &tenant.id, Some(AUTHOR.to_owned()));
    let report = sync
        .reconcile(&table.kinds(), table.reconcile_repair.unwrap_or(false))
        .await?;
    told(tenant, &report);
    let swept = sync
        .allocator()
        .sweep(netbox::quarantine_ended(sync.allocator().rules()))
        .await?;
    if swept > 0 {
        info!(tenant = tenant.name, swept, "deleted in NetBox what was given back");
    }
    Ok(true)
}

/// Each difference, in the log.
pub(super) fn told(tenant: &Tenant, report: &Report) {
    for drift in &report.drift {
        let address = drift.address.map(|address| address.to_string()).unwrap_or_default();
        let what = serde_json::to_value(drift.kind).unwrap_or_default();
        let what = what.as_str().unwrap_or_default();
        match (drift.repaired, &drift.failure) {
            (Some(true), _) => info!(tenant = tenant.name, "repaired: {what} {address}: {}", drift.detail),
            (_, Some(why)) => error!(
                tenant = tenant.name,
                "{what} {address}: {}; not repaired: {why}", drift.detail
            ),
            _ => warn!(tenant = tenant.name, "{what} {address}: {}", drift.detail),
        }
    }
}
