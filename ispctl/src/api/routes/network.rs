//! Network profiles: where a subscriber's line ends, what it is bound to, and when it may be online.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use isp_core::network_profile::NetworkProfile;
use utoipa_axum::routes;

use super::{Routes, subscribers};
use crate::api::App;
use crate::api::access::Caller;
use crate::api::change::Change;
use crate::api::etag::{IfMatch, Tagged};
use crate::api::fields::{Changed, Resource, Shown};
use crate::api::input::{Json, Path};
use crate::api::problem::{Problem, Result};
use crate::cmd::new_id;

pub(super) fn routes() -> Routes {
    Routes::new().routes(routes!(show, set, delete))
}

// The document knows types by one name.
type ChangedNetworkProfile = Changed<NetworkProfile>;
type ShownNetworkProfile = Shown<NetworkProfile>;

impl Resource for NetworkProfile {
    const NAME: &'static str = "NetworkProfile";
}

const KIND: &str = "network_profile";

/// A subscriber's network profile.
#[utoipa::path(
    get, path = "/network/subscribers/{subscriber}/profile", tag = "network profiles",
    params(("subscriber" = String, Path, description = "Username or id")),
    security(("bearer" = ["isp.network.access.read"])), responses((status = OK, body = ShownNetworkProfile))
)]
async fn show(State(app): State<Arc<App>>, caller: Caller, Path(name): Path<String>) -> Result<impl IntoResponse> {
    let subscriber = subscribers::find(&app, &caller, &name).await?;
    let profile = app
        .store
        .network_profile_get(caller.tenant_id(), &subscriber.id)
        .await?;
    let profile = profile.ok_or_else(|| Problem::not_found("network profile of subscriber", &name))?;
    Ok(Tagged::new(Shown(profile)))
}

/// Change a subscriber's network profile, or make it where there is none: null clears, what is not named stays.
#[utoipa::path(
    put, path = "/network/subscribers/{subscriber}/profile", tag = "network profiles", request_body = ChangedNetworkProfile,
    params(("subscriber" = String, Path, description = "Username or id"), ("If-Match" = Option<String>, Header, description = "ETag of what is to be changed")),
    security(("bearer" = ["isp.network.access.write"])), responses((status = OK, body = ShownNetworkProfile))
)]
async fn set(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
    if_match: IfMatch,
    Json(body): Json<Changed<NetworkProfile>>,
) -> Result<impl IntoResponse> {
    let subscriber = subscribers::find(&app, &caller, &name).await?;
    let before = app
        .store
        .network_profile_get(caller.tenant_id(), &subscriber.id)
        .await?
        .map(Shown);
    if_match.check(&before)?;
    let mut profile = before.as_ref().map_or_else(
        || NetworkProfile::blank(new_id(), subscriber.tenant_id.clone(), subscriber.id.clone()),
        |before| before.0.clone(),
    );
    body.write(&mut profile)?;
    app.store.network_profile_set(&profile).await?;
    let after = Shown(profile);
    let change = Change {
        action: "update",
        kind: KIND,
        subject: &subscriber.id,
    };
    change.record(&app, &caller, before.as_ref(), Some(&after)).await?;
    Ok(Tagged::new(after))
}

/// Take a subscriber's network profile away: it is bound to nothing then.
#[utoipa::path(
    delete, path = "/network/subscribers/{subscriber}/profile", tag = "network profiles",
    params(("subscriber" = String, Path, description = "Username or id"), ("If-Match" = Option<String>, Header, description = "ETag of what is to be deleted")),
    security(("bearer" = ["isp.network.access.write"])), responses((status = NO_CONTENT))
)]
async fn delete(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
    if_match: IfMatch,
) -> Result<impl IntoResponse> {
    let subscriber = subscribers::find(&app, &caller, &name).await?;
    let before = app
        .store
        .network_profile_get(caller.tenant_id(), &subscriber.id)
        .await?
        .map(Shown);
    if_match.check(&before)?;
    app.store
        .network_profile_delete(caller.tenant_id(), &subscriber.id)
        .await?;
    let change = Change {
        action: "delete",
        kind: KIND,
        subject: &subscriber.id,
    };
    change.record(&app, &caller, before.as_ref(), None::<&()>).await?;
    Ok(StatusCode::NO_CONTENT)
}
