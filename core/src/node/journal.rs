//! The journal of this node, as it is set.

use std::time::Duration;

use tracing::{error, warn};

use super::{AccountingMode, NodeConfig};
use crate::accounting::journal::{Journal, JournalConfig, JournalError, Reader};

/// Nothing is being written to a journal that is only read.
const CLOSE: Duration = Duration::from_secs(1);

/// The journal that records go to; `None` where they go to the database.
pub(super) fn open(config: &NodeConfig) -> Result<Option<(Journal, Reader)>, JournalError> {
    if config.accounting_mode == AccountingMode::Database {
        return Ok(None);
    }
    let limits = JournalConfig {
        max_size: config.journal_max_size,
        ..JournalConfig::default()
    };
    Journal::open(&config.journal, limits).map(Some)
}

/// What an earlier run left in the journal, where nothing is written to it now; `None` if there is nothing.
///
/// Accounting does not need it, so that one that cannot be read is no reason not to start; and one that another node has
/// open is that node's to apply.
pub(super) fn leftover(config: &NodeConfig) -> Option<Reader> {
    if !Journal::holds_records(&config.journal) {
        return None;
    }
    let directory = config.journal.display();
    match Journal::open(&config.journal, JournalConfig::default()) {
        Ok((journal, reader)) => {
            journal.close(CLOSE);
            warn!("accounting records that are left in the journal {directory} are applied now");
            Some(reader)
        }
        Err(JournalError::InUse { .. }) => None,
        Err(why) => {
            error!("accounting records that are left in the journal {directory} cannot be applied: {why}");
            None
        }
    }
}
