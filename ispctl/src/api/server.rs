//! The API's port: bound, served, and let go of when its last request is over.

use std::any::Any;
use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use axum::body::to_bytes;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use isp_core::store::Store;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tracing::{error, info, warn};

use super::problem::{MEDIA_TYPE, Problem};
use super::{App, REQUEST_ID};
use crate::context::Context;
use crate::error::{Error, Result};

/// Bind where that is configured; the future serves until it is told to stop and has answered who had asked before, and where
/// nothing is configured does nothing until then.
pub(crate) async fn listen(
    context: &Arc<Context>,
    store: &Store,
    mut stop: watch::Receiver<bool>,
) -> Result<impl Future<Output = Result<()>> + use<>> {
    let bound = match context.settings.api.listen {
        None => None,
        Some(address) => {
            let bound = TcpListener::bind(address).await;
            let bound = bound.map_err(|source| Error::Listen { address, source })?;
            let at = bound.local_addr().map_err(|source| Error::Listen { address, source })?;
            let router = super::router(context, store)?;
            context
                .output
                .done(&format!("the API is at http://{at}{}", super::PREFIX));
            Some((bound, router))
        }
    };
    Ok(async move {
        let stopped = async move { _ = stop.wait_for(|stop| *stop).await };
        match bound {
            Some((bound, router)) => axum::serve(bound, router)
                .with_graceful_shutdown(stopped)
                .await
                .map_err(Error::Runtime),
            None => {
                stopped.await;
                Ok(())
            }
        }
    })
}

/// Whether work can be done: the database answers and has this version's schema. Why not is in the log alone.
pub(super) async fn ready(State(app): State<Arc<App>>) -> StatusCode {
    match app.store.check_schema().await {
        Ok(()) => StatusCode::NO_CONTENT,
        Err(error) => {
            warn!(%error, "not ready");
            StatusCode::SERVICE_UNAVAILABLE
        }
    }
}

/// What the framework refuses by itself, in the words of [`Problem`].
pub(super) async fn tell_problems(request: Request, next: Next) -> Response {
    const LONGEST: usize = 4_096;
    let response = next.run(request).await;
    let status = response.status();
    let told = response.headers().get(header::CONTENT_TYPE);
    let is_problem = told.is_some_and(|kind| kind.as_bytes() == MEDIA_TYPE.as_bytes());
    if is_problem || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let (parts, body) = response.into_parts();
    let text = to_bytes(body, LONGEST).await.unwrap_or_default();
    let detail = String::from_utf8_lossy(&text).trim().to_owned();
    let mut response = Problem::new(status, Some(detail).filter(|detail| !detail.is_empty())).into_response();
    for name in [header::ALLOW, header::RETRY_AFTER] {
        if let Some(value) = parts.headers.get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}

#[allow(clippy::needless_pass_by_value, reason = "the shape the layer calls")]
pub(super) fn panicked(payload: Box<dyn Any + Send>) -> Response {
    let why = payload.downcast_ref::<&str>().copied();
    let why = why.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    Problem::internal(&format!("a handler panicked: {}", why.unwrap_or("without a word"))).into_response()
}

/// A line for each request; neither its parameters nor its body, in which a secret may be.
pub(super) async fn log(request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let id = request.headers().get(REQUEST_ID).cloned();
    let response = next.run(request).await;
    let id = id.as_ref().and_then(|id| id.to_str().ok()).unwrap_or_default();
    let route = route.as_ref().map_or("-", MatchedPath::as_str);
    let (status, milliseconds) = (response.status().as_u16(), began.elapsed().as_millis());
    if response.status().is_server_error() {
        error!(id, %method, route, status, milliseconds, "answered");
    } else {
        info!(id, %method, route, status, milliseconds, "answered");
    }
    response
}
