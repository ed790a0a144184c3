//! How the servers stand, and who changed what.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use isp_core::access::AuditEntry;
use isp_core::store::{AuditFilter, NodeState};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::Routes;
use crate::api::App;
use crate::api::access::Caller;
use crate::api::input::Query;
use crate::api::page::{Limit, Page};
use crate::api::problem::Result;

pub(super) fn routes() -> Routes {
    Routes::new().routes(routes!(health)).routes(routes!(audit))
}

/// How RADIUS is served.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RadiusHealth)]
struct Health {
    /// `healthy`; `degraded`: a server is silent, or its accounting or subscribers lag behind; `down`: no server reports.
    status: &'static str,
    /// The tenant's.
    nas_count: usize,
    servers: Vec<Server>,
}

/// One FreeRADIUS server, as it last said.
#[derive(Debug, Serialize, ToSchema)]
struct Server {
    node_id: String,
    host: String,
    version: String,
    /// running, stopped, silent or gone
    state: &'static str,
    /// Seconds since the database last confirmed its subscribers, when it reported.
    snapshot_age: u64,
    /// Accounting records that wait in its journal.
    journal_records: u64,
    records_lost: u64,
    #[schema(value_type = String, format = DateTime)]
    reported_at: Timestamp,
}

const fn word(state: NodeState) -> &'static str {
    match state {
        NodeState::Running => "running",
        NodeState::Stopped => "stopped",
        NodeState::Silent => "silent",
        NodeState::Gone => "gone",
    }
}

/// Seconds; a server whose subscribers are older than this has lost the database.
const OLD: u64 = 60;

/// How RADIUS is served.
#[utoipa::path(
    get, path = "/radius/health", tag = "health",
    security(("bearer" = ["isp.radius.read"])), responses((status = OK, body = Health))
)]
async fn health(State(app): State<Arc<App>>, caller: Caller) -> Result<impl IntoResponse> {
    let nodes = app.store.nodes().await?;
    let nas_count = app.store.nas_list(Some(caller.tenant_id())).await?.len();
    let live = nodes.iter().filter(|node| node.state != NodeState::Gone);
    let running = live.clone().any(|node| node.state == NodeState::Running);
    let lagging = live
        .clone()
        .any(|node| node.state != NodeState::Running || node.report.snapshot_age > OLD || node.report.records_lost > 0);
    let status = match (running, lagging) {
        (false, _) => "down",
        (true, true) => "degraded",
        (true, false) => "healthy",
    };
    let servers = live.map(|node| Server {
        node_id: node.report.node_id.clone(),
        host: node.report.host.clone(),
        version: node.report.version.clone(),
        state: word(node.state),
        snapshot_age: node.report.snapshot_age,
        journal_records: node.report.journal_records,
        records_lost: node.report.records_lost,
        reported_at: Timestamp::from_second(node.reported_at).unwrap_or_default(),
    });
    Ok(axum::Json(Health {
        status,
        nas_count,
        servers: servers.collect(),
    }))
}

/// A change that somebody made.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditEntry)]
struct Entry {
    id: i64,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    actor: String,
    action: String,
    kind: String,
    subject: String,
    before: Value,
    after: Value,
    request_id: Option<String>,
}

impl From<AuditEntry> for Entry {
    fn from(entry: AuditEntry) -> Self {
        let value = |text: Option<String>| {
            text.and_then(|text| serde_json::from_str(&text).ok())
                .unwrap_or(Value::Null)
        };
        Self {
            id: entry.id,
            at: Timestamp::from_second(entry.at).unwrap_or_default(),
            actor: entry.actor,
            action: entry.action,
            kind: entry.kind,
            subject: entry.subject,
            before: value(entry.before),
            after: value(entry.after),
            request_id: entry.request_id,
        }
    }
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
struct Filter {
    /// What was changed: subscriber, nas, bandwidth_profile, session, token, ...
    kind: Option<String>,
    /// Its id
    subject: Option<String>,
    /// By whom
    actor: Option<String>,
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 50)]
    limit: Limit,
    /// `next` of the page before
    after: Option<i64>,
}

/// Who changed what, the latest first.
#[utoipa::path(
    get, path = "/audit", tag = "audit", params(Filter),
    security(("bearer" = ["isp.audit.read"])), responses((status = OK, body = Page<Entry>))
)]
async fn audit(State(app): State<Arc<App>>, caller: Caller, Query(filter): Query<Filter>) -> Result<impl IntoResponse> {
    let wanted = AuditFilter {
        tenant_id: caller.tenant_id().to_owned(),
        kind: filter.kind,
        subject: filter.subject,
        actor: filter.actor,
        before: filter.after,
        limit: filter.limit.and_one(),
    };
    let entries = app.store.audit_list(&wanted).await?;
    Ok(axum::Json(Page::cut(
        entries,
        filter.limit,
        |entry| entry.id.to_string(),
        Entry::from,
    )))
}
