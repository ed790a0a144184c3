//! Sessions: those that are live, those that were, and ending them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use ipnet::Ipv6Net;
use isp_core::order::{Cause, NewOrder, OrderKind};
use isp_core::store::{LiveFilter, Session, SessionFilter};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::Routes;
use crate::api::App;
use crate::api::access::Caller;
use crate::api::change::Change;
use crate::api::input::{Json, Path, Query};
use crate::api::page::{Limit, Page};
use crate::api::problem::{Problem, Result};
use crate::cmd::order::{self, Told};

pub(super) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list))
        .routes(routes!(active))
        .routes(routes!(of_subscriber))
        .routes(routes!(disconnect))
}

/// A session, by the names of RADIUS accounting.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Session)]
struct Shown {
    /// Rises in the order in which sessions became known.
    radacctid: i64,
    tenant_id: Option<String>,
    subscriber_id: Option<String>,
    /// User-Name as the NAS sent it.
    username: Option<String>,
    acctsessionid: String,
    acctuniqueid: String,
    #[schema(value_type = String)]
    nasipaddress: IpAddr,
    nasportid: Option<String>,
    #[schema(value_type = Option<String>)]
    framedipaddress: Option<Ipv4Addr>,
    #[schema(value_type = Option<String>)]
    framedipv6address: Option<Ipv6Addr>,
    #[schema(value_type = Option<String>)]
    framedipv6prefix: Option<Ipv6Net>,
    #[schema(value_type = Option<String>)]
    delegatedipv6prefix: Option<Ipv6Net>,
    #[schema(value_type = Option<String>, format = DateTime)]
    acctstarttime: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    last_update: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    acct_stop_time: Option<Timestamp>,
    /// Seconds.
    acctsessiontime: u64,
    /// From the subscriber.
    acctinputoctets: u64,
    /// Towards the subscriber.
    acctoutputoctets: u64,
    total_bytes: u64,
    is_active: bool,
    callingstationid: Option<String>,
    acct_terminate_cause: Option<String>,
}

impl From<Session> for Shown {
    fn from(session: Session) -> Self {
        let time = |at: Option<i64>| at.and_then(|at| Timestamp::from_second(at).ok());
        Self {
            radacctid: session.id,
            tenant_id: session.tenant_id,
            subscriber_id: session.subscriber_id,
            username: session.username,
            acctsessionid: session.acct_session_id,
            acctuniqueid: session.acct_unique_id,
            nasipaddress: session.nas_ip_address,
            nasportid: session.nas_port_id,
            framedipaddress: session.framed_ip_address,
            framedipv6address: session.framed_ipv6_address,
            framedipv6prefix: session.framed_ipv6_prefix,
            delegatedipv6prefix: session.delegated_ipv6_prefix,
            acctstarttime: time(session.started_at),
            last_update: time(session.last_heard_at),
            acct_stop_time: time(session.stopped_at),
            acctsessiontime: session.session_time,
            acctinputoctets: session.upload_octets,
            acctoutputoctets: session.download_octets,
            total_bytes: session.upload_octets.saturating_add(session.download_octets),
            is_active: session.stopped_at.is_none(),
            callingstationid: session.calling_station_id,
            acct_terminate_cause: session.terminate_cause,
        }
    }
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
struct Filter {
    /// User-Name as the NAS sent it
    username: Option<String>,
    /// Id of the subscriber
    subscriber_id: Option<String>,
    /// NAS-IP-Address
    #[param(value_type = Option<String>, format = "ip")]
    nas_ip: Option<IpAddr>,
    /// Ran at or after this time
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// Ran at or before this time
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 50)]
    limit: Limit,
    /// `next` of the page before
    after: Option<i64>,
}

async fn page(app: &App, caller: &Caller, filter: Filter, open: bool) -> Result<axum::Json<Page<Shown>>> {
    let period = match (filter.from, filter.to) {
        (None, None) => None,
        (from, to) => {
            let from = from.map_or(0, Timestamp::as_second);
            let to = to.map_or(i64::MAX, Timestamp::as_second);
            Some(crate::period::closed(from, to)?)
        }
    };
    let wanted = SessionFilter {
        tenant_id: Some(caller.tenant_id().to_owned()),
        nas: filter.nas_ip.map(|nas| nas.to_canonical()),
        username: filter.username,
        subscriber_id: filter.subscriber_id,
        open,
        period,
        after: filter.after,
        limit: Some(filter.limit.and_one()),
        ..SessionFilter::default()
    };
    let sessions = app.store.session_list(&wanted).await?;
    let cursor = |session: &Session| session.id.to_string();
    Ok(axum::Json(Page::cut(sessions, filter.limit, cursor, Shown::from)))
}

/// Sessions, the latest first.
#[utoipa::path(
    get, path = "/radius/sessions", tag = "sessions", params(Filter),
    security(("bearer" = ["isp.radius.read"])),
    responses((status = OK, body = Page<Shown>))
)]
async fn list(State(app): State<Arc<App>>, caller: Caller, Query(filter): Query<Filter>) -> Result<impl IntoResponse> {
    page(&app, &caller, filter, false).await
}

/// Open sessions, the latest first.
#[utoipa::path(
    get, path = "/radius/sessions/active", tag = "sessions", params(Filter),
    security(("bearer" = ["isp.radius.read"])),
    responses((status = OK, body = Page<Shown>))
)]
async fn active(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(filter): Query<Filter>,
) -> Result<impl IntoResponse> {
    page(&app, &caller, filter, true).await
}

/// Sessions of one subscriber, by its username or id, the latest first.
#[utoipa::path(
    get, path = "/radius/sessions/{subscriber}", tag = "sessions",
    params(("subscriber" = String, Path, description = "Username or id"), Filter),
    security(("bearer" = ["isp.radius.read"])),
    responses((status = OK, body = Page<Shown>))
)]
async fn of_subscriber(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
    Query(filter): Query<Filter>,
) -> Result<impl IntoResponse> {
    let subscriber = super::subscribers::find(&app, &caller, &name).await?;
    let filter = Filter {
        subscriber_id: Some(subscriber.id),
        ..filter
    };
    page(&app, &caller, filter, false).await
}

/// Which session is to end: by what identifies it, alone or together.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = Disconnect)]
struct DisconnectBody {
    /// User-Name as the NAS sent it, or the subscriber's username.
    #[schema(min_length = 1, max_length = 253)]
    username: Option<String>,
    /// Acct-Session-Id.
    #[schema(min_length = 1, max_length = 253)]
    session_id: Option<String>,
    /// The original's other name of session_id.
    #[schema(min_length = 1, max_length = 253, deprecated)]
    acctsessionid: Option<String>,
    /// NAS-IP-Address, to tell sessions of one name apart.
    #[schema(value_type = Option<String>, format = "ip")]
    nas_ip: Option<IpAddr>,
    /// The original's other name of nas_ip.
    #[schema(value_type = Option<String>, format = "ip", deprecated)]
    nasipaddress: Option<IpAddr>,
    /// End all that match, where there are several.
    #[serde(default)]
    all: bool,
    /// Seconds to wait for the NAS's answer: 0 answers at once that the order is placed.
    #[schema(minimum = 0, maximum = 30, default = 10)]
    wait_seconds: Option<u64>,
}

/// What came of it; with several sessions the first that failed, or else the first.
#[derive(Debug, Serialize, ToSchema)]
struct Disconnected {
    success: bool,
    message: String,
    username: Option<String>,
    /// One entry for each session.
    details: Vec<Told>,
}

/// End a session: a Disconnect-Request (RFC 5176) to its own NAS.
///
/// The order is placed durably before anything is sent; `ispctl serve` sends it and goes on until the NAS answers.
#[utoipa::path(
    post, path = "/radius/sessions/disconnect", tag = "sessions", request_body = DisconnectBody,
    security(("bearer" = ["isp.radius.sessions.manage"])),
    responses((status = ACCEPTED, body = Disconnected))
)]
async fn disconnect(
    State(app): State<Arc<App>>,
    caller: Caller,
    Json(body): Json<DisconnectBody>,
) -> Result<impl IntoResponse> {
    let session_id = body.session_id.or(body.acctsessionid);
    if body.username.is_none() && session_id.is_none() {
        return Err(Problem::bad_request(
            "name the session by username or session_id; nas_ip alone would end all of a NAS",
        ));
    }
    let filter = LiveFilter {
        tenant_id: Some(caller.tenant_id().to_owned()),
        username: body.username.clone(),
        acct_session_id: session_id.clone(),
        nas: body.nas_ip.or(body.nasipaddress).map(|nas| nas.to_canonical()),
        session_id: None,
    };
    let sessions = app.store.live_sessions(&filter).await?;
    match sessions.as_slice() {
        [] => {
            let name = body.username.as_deref().or(session_id.as_deref());
            return Err(Problem::not_found("open session of", name.unwrap_or_default()));
        }
        [_] => {}
        several if !body.all => {
            let told: Vec<String> = several
                .iter()
                .map(|session| format!("{} at {}", session.acct_session_id, session.nas_ip_address))
                .collect();
            return Err(Problem::conflict(format!(
                "{} open sessions match ({}): name one more closely, or send \"all\": true",
                several.len(),
                told.join(", ")
            )));
        }
        _ => {}
    }
    let orders: Vec<NewOrder> = sessions
        .iter()
        .map(|session| NewOrder {
            session_id: session.session_id,
            kind: OrderKind::Disconnect,
            cause: Cause::Manual,
            actor: Some(caller.actor().to_owned()),
            plan_id: None,
            set: Vec::new(),
            unset: Vec::new(),
            wanted: None,
        })
        .collect();
    let placed: Vec<i64> = app
        .store
        .place_orders(&orders)
        .await?
        .into_iter()
        .map(|(id, _)| id)
        .collect();
    if placed.is_empty() {
        return Err(Problem::conflict("the session ended meanwhile"));
    }
    let wait = Duration::from_secs(body.wait_seconds.unwrap_or(10).min(30));
    let details = order::watch(&app.store, &placed, wait).await?;
    for told in &details {
        let change = Change {
            action: "disconnect",
            kind: "session",
            subject: told.session_id(),
        };
        change.record(&app, &caller, None::<&()>, Some(told)).await?;
    }
    let first = details.iter().find(|told| !told.success()).or(details.first());
    let (message, username) = first.map_or_else(
        || ("the session ended meanwhile".to_owned(), None),
        |told| (told.message().to_owned(), told.username().map(str::to_owned)),
    );
    let answer = Disconnected {
        success: details.iter().all(Told::success),
        message,
        username,
        details,
    };
    Ok((StatusCode::ACCEPTED, axum::Json(answer)))
}
