//! Subscribers with all their fields, as who keeps contracts has them. What they log in with is among those of RADIUS.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use isp_core::store::SubscriberFilter;
use isp_core::subscriber::{Status, Subscriber};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::routes;

use super::{Routes, subscribers};
use crate::api::access::Caller;
use crate::api::change::Change;
use crate::api::etag::{IfMatch, Tagged};
use crate::api::fields::{Changed, New, Resource, Shown};
use crate::api::input::{Json, Path, Query};
use crate::api::page::{Limit, Page};
use crate::api::problem::Result;
use crate::api::{App, PREFIX};
use crate::cmd::new_id;
use crate::field::Record as _;

pub(super) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list, create))
        .routes(routes!(show, update, delete))
}

// The document knows types by one name.
type NewSubscriber = New<Subscriber>;
type ChangedSubscriber = Changed<Subscriber>;
type ShownSubscriber = Shown<Subscriber>;

impl Resource for Subscriber {
    const NAME: &'static str = "Subscriber";
    const GIVEN: &'static [&'static str] = &["id"];
}

const KIND: &str = "subscriber";

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
struct Filter {
    /// pending, active, suspended, disconnected, terminated or quarantined
    #[param(value_type = Option<String>, pattern = "^(pending|active|suspended|disconnected|terminated|quarantined)$")]
    status: Option<Status>,
    /// Part of the username
    username: Option<String>,
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 50)]
    limit: Limit,
    /// `next` of the page before
    after: Option<String>,
}

/// Subscribers with all their fields, by username.
#[utoipa::path(
    get, path = "/subscribers", tag = "contracts", params(Filter),
    security(("bearer" = ["subscribers.read"])), responses((status = OK, body = Page<ShownSubscriber>))
)]
async fn list(State(app): State<Arc<App>>, caller: Caller, Query(filter): Query<Filter>) -> Result<impl IntoResponse> {
    let wanted = SubscriberFilter {
        tenant_id: Some(caller.tenant_id().to_owned()),
        status: filter.status,
        username: filter.username,
        after: filter.after,
        limit: Some(filter.limit.and_one()),
        ..SubscriberFilter::default()
    };
    let subscribers = app.store.subscriber_list(&wanted).await?;
    let cursor = |subscriber: &Subscriber| subscriber.username.clone();
    Ok(axum::Json(Page::cut(subscribers, filter.limit, cursor, Shown)))
}

/// A subscriber with all its fields, by its id or username.
#[utoipa::path(
    get, path = "/subscribers/{id}", tag = "contracts",
    params(("id" = String, Path, description = "Id or username")),
    security(("bearer" = ["subscribers.read"])), responses((status = OK, body = ShownSubscriber))
)]
async fn show(State(app): State<Arc<App>>, caller: Caller, Path(id): Path<String>) -> Result<impl IntoResponse> {
    Ok(Tagged::new(Shown(subscribers::find(&app, &caller, &id).await?)))
}

/// Make a subscriber. It has neither a password nor a bandwidth profile: POST /radius/subscribers with its id gives both.
#[utoipa::path(
    post, path = "/subscribers", tag = "contracts", request_body = NewSubscriber,
    security(("bearer" = ["subscribers.create"])), responses((status = CREATED, body = ShownSubscriber))
)]
async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    Json(body): Json<New<Subscriber>>,
) -> Result<impl IntoResponse> {
    let mut subscriber = Subscriber {
        id: body.given("id").unwrap_or_else(new_id),
        tenant_id: caller.tenant_id().to_owned(),
        created_by: Some(caller.actor().to_owned()),
        updated_by: Some(caller.actor().to_owned()),
        ..Subscriber::blank()
    };
    body.write(&mut subscriber)?;
    normalize(&caller, &mut subscriber)?;
    app.store.subscriber_add(&subscriber).await?;
    let shown = reread(&app, &caller, &subscriber.id).await?;
    let change = Change {
        action: "create",
        kind: KIND,
        subject: &subscriber.id,
    };
    change.record(&app, &caller, None::<&()>, Some(&shown)).await?;
    let location = format!("{PREFIX}/subscribers/{}", subscriber.id);
    Ok(Tagged::created(shown, location))
}

/// Change what is named; null clears. Live sessions are told what it changes for them.
#[utoipa::path(
    put, path = "/subscribers/{id}", tag = "contracts", request_body = ChangedSubscriber,
    params(("id" = String, Path, description = "Id or username"), ("If-Match" = Option<String>, Header, description = "ETag of what is to be changed")),
    security(("bearer" = ["subscribers.update"])), responses((status = OK, body = ShownSubscriber))
)]
async fn update(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    if_match: IfMatch,
    Json(body): Json<Changed<Subscriber>>,
) -> Result<impl IntoResponse> {
    let before = Shown(subscribers::find(&app, &caller, &id).await?);
    if_match.check(&before)?;
    let mut subscriber = before.0.clone();
    body.write(&mut subscriber)?;
    normalize(&caller, &mut subscriber)?;
    subscriber.updated_by = Some(caller.actor().to_owned());
    app.store.subscriber_set(&subscriber).await?;
    let after = reread(&app, &caller, &subscriber.id).await?;
    let change = Change {
        action: "update",
        kind: KIND,
        subject: &subscriber.id,
    };
    change.record(&app, &caller, Some(&before), Some(&after)).await?;
    Ok(Tagged::new(after))
}

/// Delete a subscriber: its name is free again, its accounting stays.
#[utoipa::path(
    delete, path = "/subscribers/{id}", tag = "contracts",
    params(("id" = String, Path, description = "Id or username"), ("If-Match" = Option<String>, Header, description = "ETag of what is to be deleted")),
    security(("bearer" = ["subscribers.delete"])), responses((status = NO_CONTENT))
)]
async fn delete(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    if_match: IfMatch,
) -> Result<impl IntoResponse> {
    let before = Shown(subscribers::find(&app, &caller, &id).await?);
    if_match.check(&before)?;
    app.store
        .subscriber_delete(caller.tenant_id(), &before.0.id, Some(caller.actor()))
        .await?;
    let change = Change {
        action: "delete",
        kind: KIND,
        subject: &before.0.id,
    };
    change.record(&app, &caller, Some(&before), None::<&()>).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// As the tenant's rules write it.
fn normalize(caller: &Caller, subscriber: &mut Subscriber) -> Result<()> {
    let name = subscriber.username.clone();
    subscribers::rename(caller, subscriber, &name)
}

/// The database has its say in some fields.
async fn reread(app: &App, caller: &Caller, id: &str) -> Result<Shown<Subscriber>> {
    subscribers::find(app, caller, id).await.map(Shown)
}
