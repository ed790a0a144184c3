//! The side service: live sessions follow the database, and the database NetBox.

mod netbox;

use std::sync::Arc;
use std::time::Duration;

use isp_core::coa::Retry;
use isp_core::convergence::{Convergence, ConvergenceConfig, WorkerConfig};
use tokio::signal::unix::{SignalKind, signal};

use crate::context::Context;
use crate::error::{Error, Result};

/// How often the change feed is polled where it cannot be waited on.
const POLL: Duration = Duration::from_millis(200);

/// Run until SIGTERM or SIGINT.
pub(crate) async fn run(context: &Context) -> Result<()> {
    let store = context.store().await?;
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Runtime)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Runtime)?;
    let mut convergence = Convergence::start(store, config(context)?);
    let stopped = tokio::select! {
        () = convergence.loaded() => false,
        _ = terminate.recv() => true,
        _ = interrupt.recv() => true,
    };
    if !stopped {
        context.output.done("live sessions follow the database");
        tokio::select! {
            () = netbox::upkeep(context, store) => {}
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
    convergence.stop().await;
    Ok(())
}

fn config(context: &Context) -> Result<ConvergenceConfig> {
    Ok(ConvergenceConfig {
        worker: worker(context),
        vendors: Arc::new(context.vendors()?),
        keys: context.keys()?.map(Arc::new),
        poll: POLL,
    })
}

/// How this process tells NAS.
pub(super) fn worker(context: &Context) -> WorkerConfig {
    let coa = &context.settings.coa;
    let mut worker = WorkerConfig::new(uuid::Uuid::now_v7().to_string());
    worker.port = coa.port;
    worker.give_up = coa.give_up;
    worker.secret.clone_from(&coa.secret);
    worker.retry = Retry {
        attempts: coa.retries + 1,
        first_wait: coa.timeout,
        longest_wait: coa.timeout.max(Retry::default().longest_wait),
    };
    worker
}
