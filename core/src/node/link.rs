//! The node's one connection pool: made when first needed, made anew after a fault.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use tokio::sync::Mutex;

use super::NodeConfig;
use crate::secret::Secret;
use crate::store::{Store, StoreError};

#[derive(Debug)]
pub(super) struct Link {
    url: Secret<String>,
    connections: u32,
    store: ArcSwapOption<Store>,
    connecting: Mutex<()>,
}

impl Link {
    pub(super) fn new(config: &NodeConfig) -> Self {
        Self {
            url: config.database_url.clone(),
            connections: config.database_connections,
            store: ArcSwapOption::empty(),
            connecting: Mutex::new(()),
        }
    }

    /// The store, its schema checked. Never makes a database: an empty one would log everybody out.
    pub(super) async fn store(&self) -> Result<Arc<Store>, StoreError> {
        if let Some(store) = self.store.load_full() {
            return Ok(store);
        }
        let _one_at_a_time = self.connecting.lock().await;
        if let Some(store) = self.store.load_full() {
            return Ok(store);
        }
        let store = Store::connect(self.url.expose(), self.connections, false).await?;
        store.check_schema().await?;
        let store = Arc::new(store);
        self.store.store(Some(Arc::clone(&store)));
        Ok(store)
    }

    /// Forget the pool after a fault. A pool to an SQLite file that was replaced would go on writing into the old one.
    pub(super) async fn reset(&self) {
        if let Some(store) = self.store.swap(None) {
            store.close().await;
        }
    }
}
