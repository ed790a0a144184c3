//! Answers that were kept for requests sent twice go when none is given any more.

use std::time::Duration;

use isp_core::store::{IDEMPOTENCY_KEPT, Store};
use tracing::warn;

use crate::period;

const EVERY: Duration = Duration::from_secs(60 * 60);

/// Until it is dropped. A fault is logged and tried again at the next turn.
pub(super) async fn upkeep(store: &Store) {
    loop {
        if let Err(error) = store.idempotency_prune(period::now() - IDEMPOTENCY_KEPT).await {
            warn!(%error, "old answers of the API were not removed");
        }
        tokio::time::sleep(EVERY).await;
    }
}
