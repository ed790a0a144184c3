//! The HTTP API, under `/api/v1`.
//!
//! | module | what it holds |
//! |--------|---------------|
//! | `routes` | what can be asked: one file for each kind of thing, its shapes and its handlers |
//! | `document` | the OpenAPI document, made from the routes, and the page that shows it |
//! | `access` | who asks, and whether they may: each route names its scopes, the guard reads them from the document |
//! | `input`, `fields`, `page`, `etag`, `repeat`, `change` | bodies and parameters, records by their fields, lists, conditional changes, requests sent twice, the audit log |
//! | `problem` | errors (RFC 9457) |
//! | `limits`, `server` | how much one may ask; ports, time limits, ending |
//!
//! To add a route: a handler with `#[utoipa::path]` that names its scope, in `routes!` of its module. Its tests go with those
//! of its kind in `tests/cli/api`; the walk over the document proves its permissions.

mod access;
mod change;
mod document;
mod etag;
mod fields;
mod input;
mod limits;
mod page;
mod problem;
mod repeat;
mod routes;
mod server;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, StatusCode, Uri};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::{Router, routing};
use isp_core::oss::Oss;
use isp_core::password::Scheme;
use isp_core::policy::vendor::VendorSet;
use isp_core::secret::KeyRing;
use isp_core::store::Store;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::timeout::TimeoutLayer;

use crate::context::Context;
use crate::error::{Error, Result};
use access::Guard;
use input::Schemas;
use limits::Limits;
use problem::Problem;

pub(crate) use server::listen;

/// What everything is under.
const PREFIX: &str = "/api/v1";
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const LONGEST_BODY: usize = 1 << 20;
/// For one request, waiting for NAS and NetBox included.
const PATIENCE: Duration = Duration::from_secs(60);

/// What handlers work with.
pub(crate) struct App {
    context: Arc<Context>,
    store: Store,
    keys: Option<KeyRing>,
    vendors: Arc<VendorSet>,
    /// How new passwords are stored.
    scheme: Scheme,
    guard: Guard,
    schemas: Schemas,
    limits: Limits,
}

impl App {
    fn new(context: &Arc<Context>, store: &Store, document: &serde_json::Value) -> Result<Self> {
        let fault = |why| Error::Refused(format!("the API's document: {why}"));
        Ok(Self {
            context: Arc::clone(context),
            store: store.clone(),
            keys: context.keys()?,
            vendors: Arc::new(context.vendors()?),
            scheme: context.settings.password_scheme,
            guard: Guard::read(document).map_err(fault)?,
            schemas: Schemas::read(document).map_err(fault)?,
            limits: Limits::new(context.settings.api.requests_per_second),
        })
    }

    /// Settings of the systems beside this one.
    fn oss(&self) -> problem::Result<Oss> {
        Ok(crate::cmd::oss::oss(&self.context, &self.store)?)
    }
}

fn router(context: &Arc<Context>, store: &Store) -> Result<Router> {
    let (routes, document) = routes::all().split_for_parts();
    let document = document::complete(document).map_err(|why| Error::Refused(format!("the API's document: {why}")))?;
    let app = Arc::new(App::new(context, store, &document)?);
    let guarded = routes
        .route_layer(from_fn_with_state(Arc::clone(&app), repeat::once))
        .route_layer(from_fn_with_state(Arc::clone(&app), access::guard))
        .method_not_allowed_fallback(async || {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "the Allow header says what may be done here".to_owned(),
            )
        });
    let router = guarded
        .merge(document::router(&document))
        .route("/health", routing::get(StatusCode::NO_CONTENT))
        .route("/ready", routing::get(server::ready))
        .fallback(async |uri: Uri| Problem::not_found("route", uri.path()))
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
        .layer(from_fn(server::tell_problems))
        .layer(CatchPanicLayer::custom(server::panicked))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::SERVICE_UNAVAILABLE,
            PATIENCE,
        ))
        .layer(from_fn(server::log))
        .layer(PropagateRequestIdLayer::new(REQUEST_ID))
        .layer(SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid))
        .with_state(app);
    Ok(router)
}
