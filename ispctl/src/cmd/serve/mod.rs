//! The side service: live sessions follow the database, and the database NetBox.

mod answers;
mod follow;
mod metrics;
mod netbox;
mod notify;
mod webhook;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use isp_core::coa::{self, GatewaySettings, RadSecSettings, Retry};
use isp_core::convergence::{Convergence, ConvergenceConfig, WorkerConfig};
use isp_core::radius::Dictionary;
use isp_core::secret::Secret;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::api;
use crate::config::CoaDefaults;
use crate::context::Context;
use crate::error::{Error, Result};

/// How often the change feed is polled where it cannot be waited on.
const POLL: Duration = Duration::from_millis(200);

/// How long requests that were begun may take after the end is asked for.
const LAST_ANSWERS: Duration = Duration::from_secs(35);

/// Run until SIGTERM or SIGINT.
pub(crate) async fn run(context: &Arc<Context>) -> Result<()> {
    let store = context.store().await?;
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Runtime)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Runtime)?;
    let (bell, rung) = follow::bell();
    let listening = webhook::listen(context, store, bell).await?;
    let (stop, stopping) = watch::channel(false);
    let mut api = tokio::spawn(api::listen(context, store, stopping).await?);
    // A port that is taken is told before anything is begun.
    let metrics = match context.settings.metrics_listen {
        Some(address) => Some(metrics::Endpoint::bind(address).await?),
        None => None,
    };
    let served = metrics.map(|endpoint| {
        let told = format!("metrics are at http://{}/metrics", endpoint.address);
        context.output.done(&told);
        tokio::spawn(endpoint.serve(store.clone()))
    });
    let mut convergence = Convergence::start(store, config(context)?);
    let stopped = tokio::select! {
        () = convergence.loaded() => false,
        _ = terminate.recv() => true,
        _ = interrupt.recv() => true,
    };
    if !stopped {
        context.output.done("live sessions follow the database");
        notify::tell("READY=1");
        tokio::select! {
            () = netbox::upkeep(context, store) => {}
            () = answers::upkeep(store) => {}
            () = follow::follow(context, store, rung) => {}
            done = listening => done?,
            done = &mut api => done.map_err(|_| Error::Thread("API"))??,
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
    notify::tell("STOPPING=1");
    stop.send_replace(true);
    if !api.is_finished() {
        // Who has asked is answered: a disconnect waits for its NAS, which the workers tell.
        let served = tokio::time::timeout(LAST_ANSWERS, &mut api).await;
        if served.is_err() {
            api.abort();
        }
    }
    convergence.stop().await;
    if let Some(served) = served {
        served.abort();
    }
    Ok(())
}

fn config(context: &Context) -> Result<ConvergenceConfig> {
    Ok(ConvergenceConfig {
        worker: worker(context)?,
        vendors: Arc::new(context.vendors()?),
        keys: context.keys()?.map(Arc::new),
        poll: POLL,
    })
}

/// Where the server's dictionaries are.
const DICTIONARY: &str = "/usr/share/freeradius/dictionary";

/// How this process tells NAS.
pub(super) fn worker(context: &Context) -> Result<WorkerConfig> {
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
    let settings = ways(coa)?;
    worker.via = settings.via;
    worker.client = settings.client().map_err(|error| Error::Refused(error.to_string()))?;
    if let Some(dictionary) = dictionary(coa)? {
        worker.dictionary = Arc::new(dictionary);
    }
    Ok(worker)
}

/// Ways to NAS besides UDP; the environment goes before the file.
fn ways(coa: &CoaDefaults) -> Result<coa::Settings> {
    let read = |path: &Path| {
        std::fs::read(path).map_err(|source| Error::File {
            path: path.to_owned(),
            source,
        })
    };
    let mut settings = coa::Settings::default();
    if let Some(url) = &coa.gateway {
        settings.gateway = Some(GatewaySettings {
            url: url.clone(),
            ..GatewaySettings::default()
        });
    }
    if let Some([certificate, key, authorities]) = &coa.radsec {
        settings.radsec = Some(RadSecSettings {
            certificate: read(certificate)?,
            key: Secret::new(read(key)?),
            authorities: read(authorities)?,
        });
    }
    let environment = |name: &str| std::env::var(name).ok();
    settings
        .read(&environment)
        .map_err(|error| Error::Refused(error.to_string()))?;
    Ok(settings)
}

fn dictionary(coa: &CoaDefaults) -> Result<Option<Dictionary>> {
    let path = match &coa.dictionary {
        Some(path) => path,
        None if Path::new(DICTIONARY).exists() => Path::new(DICTIONARY),
        None => return Ok(None),
    };
    // A directory is that of the file.
    let path = if path.is_dir() { &path.join("dictionary") } else { path };
    let dictionary = Dictionary::load(path).map_err(|error| Error::Refused(error.to_string()))?;
    Ok(Some(dictionary))
}
