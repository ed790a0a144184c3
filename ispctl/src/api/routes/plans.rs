//! Bandwidth profiles: what subscribers buy.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use isp_core::plan::Plan;
use utoipa_axum::routes;

use super::Routes;
use crate::api::access::Caller;
use crate::api::change::Change;
use crate::api::etag::{IfMatch, Tagged};
use crate::api::fields::{Changed, New, Resource, Shown};
use crate::api::input::{Json, Path};
use crate::api::page::Page;
use crate::api::problem::{Problem, Result};
use crate::api::{App, PREFIX};
use crate::cmd::{new_id, plan};
use crate::field::Record as _;

pub(super) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list, create))
        .routes(routes!(show, update, delete))
}

// The document knows types by one name.
type NewPlan = New<Plan>;
type ChangedPlan = Changed<Plan>;
type ShownPlan = Shown<Plan>;

impl Resource for Plan {
    const NAME: &'static str = "BandwidthProfile";
    const GIVEN: &'static [&'static str] = &["id"];
    const REQUIRED: &'static [&'static str] = &["download_rate_kbps", "upload_rate_kbps"];
}

const KIND: &str = "bandwidth_profile";

/// The tenant's bandwidth profiles.
#[utoipa::path(
    get, path = "/radius/bandwidth-profiles", tag = "bandwidth profiles",
    security(("bearer" = ["isp.radius.read"])), responses((status = OK, body = Page<ShownPlan>))
)]
async fn list(State(app): State<Arc<App>>, caller: Caller) -> Result<impl IntoResponse> {
    let plans = app.store.plan_list(caller.tenant_id()).await?;
    Ok(axum::Json(Page::whole(plans.into_iter().map(Shown).collect())))
}

/// A bandwidth profile, by its id or name.
#[utoipa::path(
    get, path = "/radius/bandwidth-profiles/{id}", tag = "bandwidth profiles",
    params(("id" = String, Path, description = "Id or name")),
    security(("bearer" = ["isp.radius.read"])), responses((status = OK, body = ShownPlan))
)]
async fn show(State(app): State<Arc<App>>, caller: Caller, Path(id): Path<String>) -> Result<impl IntoResponse> {
    Ok(Tagged::new(Shown(find(&app, &caller, &id).await?)))
}

/// Make a bandwidth profile. Rates are in kbit/s.
#[utoipa::path(
    post, path = "/radius/bandwidth-profiles", tag = "bandwidth profiles", request_body = NewPlan,
    security(("bearer" = ["isp.radius.write"])), responses((status = CREATED, body = ShownPlan))
)]
async fn create(State(app): State<Arc<App>>, caller: Caller, Json(body): Json<New<Plan>>) -> Result<impl IntoResponse> {
    let mut plan = Plan {
        id: body.given("id").unwrap_or_else(new_id),
        tenant_id: caller.tenant_id().to_owned(),
        ..Plan::blank()
    };
    body.write(&mut plan)?;
    check(&plan)?;
    app.store.plan_add(&plan).await?;
    let shown = Shown(plan);
    let change = Change {
        action: "create",
        kind: KIND,
        subject: &shown.0.id,
    };
    change.record(&app, &caller, None::<&()>, Some(&shown)).await?;
    let location = format!("{PREFIX}/radius/bandwidth-profiles/{}", shown.0.id);
    Ok(Tagged::created(shown, location))
}

/// Change a bandwidth profile; live sessions of those who have it are told.
#[utoipa::path(
    patch, path = "/radius/bandwidth-profiles/{id}", tag = "bandwidth profiles", request_body = ChangedPlan,
    params(("id" = String, Path, description = "Id or name"), ("If-Match" = Option<String>, Header, description = "ETag of what is to be changed")),
    security(("bearer" = ["isp.radius.write"])), responses((status = OK, body = ShownPlan))
)]
async fn update(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    if_match: IfMatch,
    Json(body): Json<Changed<Plan>>,
) -> Result<impl IntoResponse> {
    let before = Shown(find(&app, &caller, &id).await?);
    if_match.check(&before)?;
    let mut plan = before.0.clone();
    body.write(&mut plan)?;
    check(&plan)?;
    app.store.plan_set(&plan).await?;
    let after = Shown(plan);
    let change = Change {
        action: "update",
        kind: KIND,
        subject: &after.0.id,
    };
    change.record(&app, &caller, Some(&before), Some(&after)).await?;
    Ok(Tagged::new(after))
}

/// Delete a bandwidth profile that no subscriber has.
#[utoipa::path(
    delete, path = "/radius/bandwidth-profiles/{id}", tag = "bandwidth profiles",
    params(("id" = String, Path, description = "Id or name"), ("If-Match" = Option<String>, Header, description = "ETag of what is to be deleted")),
    security(("bearer" = ["isp.radius.write"])), responses((status = NO_CONTENT))
)]
async fn delete(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    if_match: IfMatch,
) -> Result<impl IntoResponse> {
    let before = Shown(find(&app, &caller, &id).await?);
    if_match.check(&before)?;
    plan::refuse_if_sold(&app.store, caller.tenant(), &before.0).await?;
    app.store.plan_delete(caller.tenant_id(), &before.0.id).await?;
    let change = Change {
        action: "delete",
        kind: KIND,
        subject: &before.0.id,
    };
    change.record(&app, &caller, Some(&before), None::<&()>).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn find(app: &App, caller: &Caller, id: &str) -> Result<Plan> {
    let plan = app.store.plan_get(caller.tenant_id(), id).await?;
    plan.ok_or_else(|| Problem::not_found("bandwidth profile", id))
}

fn check(plan: &Plan) -> Result<()> {
    for (name, rate) in [
        ("download_rate_kbps", plan.download_rate_kbps),
        ("upload_rate_kbps", plan.upload_rate_kbps),
    ] {
        if rate == 0 {
            return Err(Problem::field(name, "a bandwidth profile needs a rate"));
        }
    }
    Ok(())
}
