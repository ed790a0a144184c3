//! Where NetBox's webhooks come in.

use std::future::Future;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use isp_core::netbox::push::{self, WebhookError};
use isp_core::secret::KeyRing;
use isp_core::store::Store;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tracing::{error, warn};

use super::follow::Told;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::netbox;

/// What a webhook needs.
struct Door {
    store: Store,
    keys: Option<KeyRing>,
    bell: mpsc::Sender<Told>,
}

/// Bind where that is configured; the future serves until it is dropped, and where nothing is configured forever does
/// nothing.
pub(super) async fn listen(
    context: &Context,
    store: &Store,
    bell: mpsc::Sender<Told>,
) -> Result<impl Future<Output = Result<()>> + use<>> {
    let bound = match context.settings.netbox.listen {
        None => None,
        Some(address) => {
            let bound = TcpListener::bind(address).await;
            let bound = bound.map_err(|source| Error::Listen { address, source })?;
            let at = bound.local_addr().map_err(|source| Error::Listen { address, source })?;
            context
                .output
                .done(&format!("NetBox's webhooks are taken at http://{at}"));
            Some(bound)
        }
    };
    let door = Door {
        store: store.clone(),
        keys: context.keys()?,
        bell,
    };
    Ok(async move {
        match bound {
            Some(bound) => axum::serve(bound, router(door)).await.map_err(Error::Runtime),
            // The bell stays as long as this does.
            None => {
                let _door = door;
                std::future::pending().await
            }
        }
    })
}

fn router(door: Door) -> Router {
    Router::new()
        .route("/api/v1/netbox/webhook/{tenant}", post(take))
        .layer(DefaultBodyLimit::max(push::LONGEST))
        .with_state(Arc::new(door))
}

/// One webhook. Nothing is done here but to note who is to be looked at, so that NetBox's worker does not wait.
async fn take(
    State(door): State<Arc<Door>>,
    Path(tenant): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    match door.take(&tenant, &headers, &body).await {
        Ok(status) => status,
        Err(error) => {
            error!(%error, "a webhook was not looked at");
            StatusCode::SERVICE_UNAVAILABLE
        }
    }
}

impl Door {
    async fn take(&self, tenant: &str, headers: &HeaderMap, body: &[u8]) -> Result<StatusCode> {
        // Whether a tenant is there or has a secret is nobody's business who has none: the answer is the same.
        let Some(tenant) = self.store.tenant_get(tenant).await?.filter(|tenant| tenant.enabled) else {
            return Ok(StatusCode::UNAUTHORIZED);
        };
        let secret = match &self.keys {
            Some(keys) => netbox::webhook_secret(keys, &self.store, &tenant).await?,
            None => None,
        };
        let Some(secret) = secret else {
            return Ok(StatusCode::UNAUTHORIZED);
        };
        let signature = headers.get(push::SIGNATURE).and_then(|value| value.to_str().ok());
        let touched = match push::read_webhook(&secret, signature, body) {
            Ok(touched) => touched,
            Err(error) => {
                warn!(tenant = tenant.name, %error, "a webhook was not taken");
                return Ok(match error {
                    WebhookError::TooLong(_) => StatusCode::PAYLOAD_TOO_LARGE,
                    WebhookError::Unsigned | WebhookError::Forged => StatusCode::UNAUTHORIZED,
                    WebhookError::Malformed(_) => StatusCode::BAD_REQUEST,
                });
            }
        };
        if touched.is_empty() {
            return Ok(StatusCode::NO_CONTENT);
        }
        Ok(match self.bell.try_send((tenant.id, touched)) {
            Ok(()) => StatusCode::ACCEPTED,
            // The change log has it.
            Err(_) => StatusCode::SERVICE_UNAVAILABLE,
        })
    }
}
