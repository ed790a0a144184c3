//! Where a tenant has the systems beside this one: VOLTHA, GenieACS, NetBox, AWX and Prometheus.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use isp_core::oss::{OssService, Patch};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::Routes;
use crate::api::App;
use crate::api::access::Caller;
use crate::api::change::Change;
use crate::api::etag::{IfMatch, Tagged};
use crate::api::input::{Json, Path};
use crate::api::problem::{Problem, Result};

pub(super) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(show, update, delete))
        .routes(routes!(test))
}

/// What is to change; null clears, so that what holds for all tenants holds again. Passwords and tokens are sealed, and never
/// shown.
#[derive(Deserialize, ToSchema)]
#[schema(as = OssChange)]
struct Body {
    #[serde(flatten)]
    #[schema(value_type = Fields)]
    fields: Map<String, Value>,
}

/// The fields by themselves, for the document.
#[derive(ToSchema, Deserialize)]
#[schema(as = OssFields)]
#[allow(
    dead_code,
    reason = "only its schema is used: the core checks and stores what is given"
)]
struct Fields {
    #[schema(
        min_length = 8,
        max_length = 2048,
        pattern = "^https?://[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,4})?(/[A-Za-z0-9_.-]+)*$"
    )]
    url: Option<String>,
    #[schema(min_length = 1, max_length = 255, pattern = "^[A-Za-z0-9_.@-]+$")]
    username: Option<String>,
    #[schema(min_length = 1, max_length = 255, pattern = "^[!-~]+$", format = Password)]
    password: Option<String>,
    #[schema(min_length = 1, max_length = 2048, pattern = "^[!-~]+$", format = Password)]
    api_token: Option<String>,
    verify_ssl: Option<bool>,
    #[schema(minimum = 1, maximum = 600)]
    timeout_seconds: Option<u32>,
    #[schema(minimum = 0, maximum = 10)]
    max_retries: Option<u32>,
    /// The service's own.
    extras: Option<std::collections::HashMap<String, Value>>,
}

const KIND: &str = "oss";

fn service(name: &str) -> Result<OssService> {
    name.parse().map_err(|_| Problem::not_found("service", name))
}

/// What holds for the tenant, and what of it is its own.
#[utoipa::path(
    get, path = "/tenant/oss/{service}", tag = "oss",
    params(("service" = String, Path, description = "voltha, genieacs, netbox, ansible (or awx) or prometheus")),
    security(("bearer" = ["isp.oss.read"])), responses((status = OK, body = serde_json::Value))
)]
async fn show(State(app): State<Arc<App>>, caller: Caller, Path(name): Path<String>) -> Result<impl IntoResponse> {
    Ok(Tagged::new(app.oss()?.get(caller.tenant_id(), service(&name)?).await?))
}

/// Change what is the tenant's own.
#[utoipa::path(
    patch, path = "/tenant/oss/{service}", tag = "oss", request_body = Body,
    params(("service" = String, Path, description = "voltha, genieacs, netbox, ansible (or awx) or prometheus"), ("If-Match" = Option<String>, Header, description = "ETag of what is to be changed")),
    security(("bearer" = ["isp.oss.configure"])), responses((status = OK, body = serde_json::Value))
)]
async fn update(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
    if_match: IfMatch,
    Json(body): Json<Body>,
) -> Result<impl IntoResponse> {
    let service = service(&name)?;
    let oss = app.oss()?;
    let before = oss.get(caller.tenant_id(), service).await?;
    if_match.check(&before)?;
    let patch = Patch::new(service, body.fields)?;
    let after = oss
        .patch(caller.tenant_id(), service, &patch, Some(caller.actor()))
        .await?;
    let change = Change {
        action: "update",
        kind: KIND,
        subject: service.as_str(),
    };
    change.record(&app, &caller, Some(&before), Some(&after)).await?;
    Ok(Tagged::new(after))
}

/// Forget what is the tenant's own.
#[utoipa::path(
    delete, path = "/tenant/oss/{service}", tag = "oss",
    params(("service" = String, Path, description = "voltha, genieacs, netbox, ansible (or awx) or prometheus")),
    security(("bearer" = ["isp.oss.configure"])), responses((status = NO_CONTENT))
)]
async fn delete(State(app): State<Arc<App>>, caller: Caller, Path(name): Path<String>) -> Result<impl IntoResponse> {
    let service = service(&name)?;
    let oss = app.oss()?;
    let before = oss.get(caller.tenant_id(), service).await?;
    oss.delete(caller.tenant_id(), service).await?;
    let change = Change {
        action: "delete",
        kind: KIND,
        subject: service.as_str(),
    };
    change.record(&app, &caller, Some(&before), None::<&()>).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whether the service answers, and takes the credentials.
#[utoipa::path(
    post, path = "/tenant/oss/{service}/test", tag = "oss",
    params(("service" = String, Path, description = "voltha, genieacs, netbox, ansible (or awx) or prometheus")),
    security(("bearer" = ["isp.oss.configure"])), responses((status = OK, body = serde_json::Value))
)]
async fn test(State(app): State<Arc<App>>, caller: Caller, Path(name): Path<String>) -> Result<impl IntoResponse> {
    let report = app.oss()?.test(caller.tenant_id(), service(&name)?).await?;
    Ok(axum::Json(report))
}
