//! What subscribers used.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use isp_core::store::{TopUsers, Usage, UsageBy, UsageQuery};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::{Routes, subscribers};
use crate::api::App;
use crate::api::access::Caller;
use crate::api::input::{Json, Path, Query};
use crate::api::problem::{Problem, Result};
use crate::period::now;

pub(super) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(total))
        .routes(routes!(of_subscriber))
        .routes(routes!(of_tenant))
        .routes(routes!(top))
}

const DAY: i64 = 86_400;

/// Whose usage, and of when.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = UsageQuestion)]
struct Question {
    #[schema(min_length = 1, max_length = 255)]
    subscriber_id: Option<String>,
    #[schema(min_length = 1, max_length = 253)]
    username: Option<String>,
    /// 30 days ago where it is not said.
    #[schema(value_type = Option<String>, format = DateTime)]
    start_date: Option<Timestamp>,
    /// Now where it is not said.
    #[schema(value_type = Option<String>, format = DateTime)]
    end_date: Option<Timestamp>,
}

/// What a subscriber, or all of the tenant, used.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UsageTotal)]
struct Total {
    subscriber_id: Option<String>,
    username: Option<String>,
    /// What the answer covers: the period asked for, widened to whole hours, or days where hours are kept no longer.
    #[schema(value_type = String, format = DateTime)]
    start_date: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    end_date: Timestamp,
    /// Seconds.
    total_session_time: u64,
    total_download_bytes: u64,
    total_upload_bytes: u64,
    total_bytes: u64,
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
struct Fine {
    /// Not before 30 days ago where it is not said
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// Until before this time; now where it is not said
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
    /// How finely to tell: hour, day (of the tenant's calendar) or total
    #[param(value_type = Option<String>, pattern = "^(hour|day|total)$")]
    by: By,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum By {
    Hour,
    #[default]
    Day,
    Total,
}

impl From<By> for UsageBy {
    fn from(by: By) -> Self {
        match by {
            By::Hour => Self::Hour,
            By::Day => Self::Day,
            By::Total => Self::Total,
        }
    }
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
struct Top {
    /// Not before 30 days ago where it is not said
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// Until before this time; now where it is not said
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 10)]
    count: Option<u32>,
}

/// Both ends, where they make a period that has begun.
fn ends(from: Option<Timestamp>, to: Option<Timestamp>) -> Result<(i64, i64)> {
    let now = now();
    let from = from.map(Timestamp::as_second);
    let to = to.map_or(now.max(from.unwrap_or(0) + 1), Timestamp::as_second);
    let from = from.unwrap_or((to - 30 * DAY).max(0));
    let checked = crate::period::begun(from, now).and_then(|()| crate::period::half_open(from, to));
    checked.map_err(|why| Problem::conflict(why.to_string()))?;
    Ok((from, to))
}

/// What a subscriber used in a period; all of the tenant together where none is named.
#[utoipa::path(
    post, path = "/radius/accounting/usage", tag = "usage", request_body = Question,
    security(("bearer" = ["isp.radius.read"])), responses((status = OK, body = Total))
)]
async fn total(State(app): State<Arc<App>>, caller: Caller, Json(body): Json<Question>) -> Result<impl IntoResponse> {
    let subscriber = match body.subscriber_id.as_ref().or(body.username.as_ref()) {
        Some(name) => Some(subscribers::find(&app, &caller, name).await?),
        None => None,
    };
    let (from, to) = ends(body.start_date, body.end_date)?;
    let query = UsageQuery {
        tenant_id: caller.tenant_id().to_owned(),
        subscriber_id: subscriber.as_ref().map(|subscriber| subscriber.id.clone()),
        from,
        to,
        by: UsageBy::Total,
    };
    let usage = app.store.usage(&query).await?;
    let time = |at| Timestamp::from_second(at).unwrap_or_default();
    Ok(axum::Json(Total {
        subscriber_id: subscriber.as_ref().map(|subscriber| subscriber.id.clone()),
        username: subscriber.map(|subscriber| subscriber.username),
        start_date: time(usage.from),
        end_date: time(usage.to),
        total_session_time: usage.total.seconds,
        total_download_bytes: usage.total.download_octets,
        total_upload_bytes: usage.total.upload_octets,
        total_bytes: usage.total.download_octets.saturating_add(usage.total.upload_octets),
    }))
}

async fn told(app: &App, caller: &Caller, subscriber_id: Option<String>, fine: &Fine) -> Result<axum::Json<Usage>> {
    let (from, to) = ends(fine.from, fine.to)?;
    let query = UsageQuery {
        tenant_id: caller.tenant_id().to_owned(),
        subscriber_id,
        from,
        to,
        by: fine.by.into(),
    };
    Ok(axum::Json(app.store.usage(&query).await?))
}

/// What a subscriber used, by hour or day. Times are Unix seconds, octets upload (from the subscriber) and download.
#[utoipa::path(
    get, path = "/radius/analytics/subscriber/{subscriber}/usage", tag = "usage",
    params(("subscriber" = String, Path, description = "Username or id"), Fine),
    security(("bearer" = ["isp.radius.read"])), responses((status = OK, body = serde_json::Value))
)]
async fn of_subscriber(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
    Query(fine): Query<Fine>,
) -> Result<impl IntoResponse> {
    let subscriber = subscribers::find(&app, &caller, &name).await?;
    told(&app, &caller, Some(subscriber.id), &fine).await
}

/// What all of the tenant used together, by hour or day.
#[utoipa::path(
    get, path = "/radius/analytics/tenant/usage", tag = "usage", params(Fine),
    security(("bearer" = ["isp.radius.read"])), responses((status = OK, body = serde_json::Value))
)]
async fn of_tenant(State(app): State<Arc<App>>, caller: Caller, Query(fine): Query<Fine>) -> Result<impl IntoResponse> {
    told(&app, &caller, None, &fine).await
}

/// Who used most.
#[utoipa::path(
    get, path = "/radius/analytics/top-subscribers", tag = "usage", params(Top),
    security(("bearer" = ["isp.radius.read"])), responses((status = OK, body = serde_json::Value))
)]
async fn top(State(app): State<Arc<App>>, caller: Caller, Query(top): Query<Top>) -> Result<impl IntoResponse> {
    let count = top.count.unwrap_or(10);
    if !(1..=1_000).contains(&count) {
        return Err(Problem::bad_request(format!(
            "count: {count} is not between 1 and 1000"
        )));
    }
    let (from, to) = ends(top.from, top.to)?;
    let users: TopUsers = app.store.usage_top(caller.tenant_id(), from, to, count).await?;
    Ok(axum::Json(users))
}
