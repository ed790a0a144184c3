//! Requests that are sent twice and done once: Idempotency-Key.

use std::sync::Arc;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use isp_core::store::Replay;
use sha2::{Digest as _, Sha256};

use super::access::Caller;
use super::problem::{MEDIA_TYPE, Problem, Result};
use super::{App, LONGEST_BODY};
use crate::period::now;

const KEY: &str = "idempotency-key";
/// On an answer that was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
const LONGEST_KEY: usize = 255;
const LONGEST_ANSWER: usize = 4 << 20;

/// Answers a creating request that was answered before as it was then. Inside of the guard: keys are a tenant's.
pub(super) async fn once(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let key = request.headers().get(KEY).cloned();
    match key {
        Some(key) if request.method() == Method::POST => answered(&app, &key, request, next)
            .await
            .unwrap_or_else(|problem| problem.into_response()),
        _ => next.run(request).await,
    }
}

async fn answered(app: &App, key: &HeaderValue, request: Request, next: Next) -> Result<Response> {
    let key = key
        .to_str()
        .ok()
        .filter(|key| !key.is_empty() && key.len() <= LONGEST_KEY);
    let Some(key) = key.map(str::to_owned) else {
        return Err(Problem::bad_request("Idempotency-Key: 1 to 255 visible characters"));
    };
    let Some(caller) = request.extensions().get::<Caller>().cloned() else {
        return Err(Problem::internal(&"a key is looked at before the guard"));
    };
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, LONGEST_BODY).await.map_err(|_| {
        let detail = format!("the body is longer than {LONGEST_BODY} bytes");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
    })?;
    let fingerprint = fingerprint(&[caller.actor().as_bytes(), parts.uri.to_string().as_bytes(), &body]);
    let tenant = caller.tenant_id();
    match app.store.idempotency_begin(tenant, &key, &fingerprint, now()).await? {
        Replay::Done { status, body } => return Ok(replayed(status, body)),
        Replay::Running => {
            return Err(Problem::conflict(
                "the request of this Idempotency-Key is being served: wait for it",
            ));
        }
        Replay::Different => {
            let detail = "this Idempotency-Key was sent with another request: take a new one";
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail.to_owned()));
        }
        Replay::New => {}
    }
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, LONGEST_ANSWER).await.unwrap_or_default();
    // A fault of the moment may be over the next time.
    let kept = if parts.status.is_server_error() || parts.status == StatusCode::TOO_MANY_REQUESTS {
        app.store.idempotency_forget(tenant, &key).await
    } else {
        let text = String::from_utf8_lossy(&body);
        app.store
            .idempotency_end(tenant, &key, parts.status.as_u16(), &text)
            .await
    };
    if let Err(why) = kept {
        tracing::error!(%why, "an answer could not be kept for its Idempotency-Key");
    }
    Ok(Response::from_parts(parts, Body::from(body)))
}

fn replayed(status: u16, body: String) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let kind = if status.is_client_error() {
        MEDIA_TYPE
    } else {
        "application/json"
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (REPLAYED, HeaderValue::from_static("true")),
    ];
    (status, headers, Bytes::from(body)).into_response()
}

fn fingerprint(parts: &[&[u8]]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    digest.finalize().iter().map(|octet| format!("{octet:02x}")).collect()
}
