//! NAS: the access servers that send packets and hold sessions.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use isp_core::nas::Nas;
use isp_core::secret::Sealed;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;
use zeroize::Zeroizing;

use super::Routes;
use crate::api::access::Caller;
use crate::api::change::Change;
use crate::api::etag::{IfMatch, Tagged};
use crate::api::fields::{Changed, New, Resource};
use crate::api::input::{Json, Path};
use crate::api::page::Page;
use crate::api::problem::{Problem, Result};
use crate::api::{App, PREFIX};
use crate::cmd::nas::View;
use crate::field::Record as _;

pub(super) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list, create))
        .routes(routes!(show, update, delete))
        .routes(routes!(set_secret))
}

// The document knows types by one name.
type NewNas = New<Nas>;
type ChangedNas = Changed<Nas>;

impl Resource for Nas {
    const NAME: &'static str = "Nas";
    const GIVEN: &'static [&'static str] = &["secret"];
    const REQUIRED: &'static [&'static str] = &["secret"];
}

/// A NAS, and how its secret is kept: never what it is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Nas)]
struct Shown {
    #[serde(flatten)]
    #[schema(value_type = std::collections::HashMap<String, serde_json::Value>)]
    view: View,
}

impl From<Nas> for Shown {
    fn from(nas: Nas) -> Self {
        Self { view: View::from(nas) }
    }
}

/// A secret that the NAS has been given, too.
#[derive(Deserialize, ToSchema)]
#[schema(as = NasSecret)]
struct Secret {
    /// RFC 2865 section 3 asks for 16 octets at least.
    #[schema(min_length = 1, max_length = 60, pattern = "^[!-~]+$", format = Password)]
    secret: String,
}

const KIND: &str = "nas";

/// The tenant's NAS.
#[utoipa::path(
    get, path = "/radius/nas", tag = "nas",
    security(("bearer" = ["isp.radius.read"])), responses((status = OK, body = Page<Shown>))
)]
async fn list(State(app): State<Arc<App>>, caller: Caller) -> Result<impl IntoResponse> {
    let nas = app.store.nas_list(Some(caller.tenant_id())).await?;
    Ok(axum::Json(Page::whole(nas.into_iter().map(Shown::from).collect())))
}

/// A NAS, by its id, address or short name.
#[utoipa::path(
    get, path = "/radius/nas/{id}", tag = "nas",
    params(("id" = String, Path, description = "Id, address or short name")),
    security(("bearer" = ["isp.radius.read"])), responses((status = OK, body = Shown))
)]
async fn show(State(app): State<Arc<App>>, caller: Caller, Path(id): Path<String>) -> Result<impl IntoResponse> {
    Ok(Tagged::new(Shown::from(find(&app, &caller, &id).await?)))
}

/// Make a NAS. Its secret is sealed.
#[utoipa::path(
    post, path = "/radius/nas", tag = "nas", request_body = NewNas,
    security(("bearer" = ["isp.radius.write"])), responses((status = CREATED, body = Shown))
)]
async fn create(State(app): State<Arc<App>>, caller: Caller, Json(body): Json<New<Nas>>) -> Result<impl IntoResponse> {
    let mut nas = Nas {
        tenant_id: caller.tenant_id().to_owned(),
        ..Nas::blank()
    };
    body.write(&mut nas)?;
    refuse_everywhere(&nas)?;
    if nas.shortname.is_empty() {
        nas.shortname.clone_from(&nas.nasname);
    }
    let secret = body.given("secret").map(Zeroizing::new);
    let secret = secret.ok_or_else(|| Problem::field("secret", "a NAS needs one"))?;
    seal(&app, &mut nas, secret.as_bytes())?;
    nas.id = app.store.nas_add(&nas).await?;
    let shown = Shown::from(nas.clone());
    record(&app, &caller, "create", &nas, None, Some(&shown)).await?;
    let location = format!("{PREFIX}/radius/nas/{}", nas.id);
    Ok(Tagged::created(shown, location))
}

/// Change a NAS.
#[utoipa::path(
    patch, path = "/radius/nas/{id}", tag = "nas", request_body = ChangedNas,
    params(("id" = String, Path, description = "Id, address or short name"), ("If-Match" = Option<String>, Header, description = "ETag of what is to be changed")),
    security(("bearer" = ["isp.radius.write"])), responses((status = OK, body = Shown))
)]
async fn update(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    if_match: IfMatch,
    Json(body): Json<Changed<Nas>>,
) -> Result<impl IntoResponse> {
    let mut nas = find(&app, &caller, &id).await?;
    let before = Shown::from(nas.clone());
    if_match.check(&before)?;
    let (old, address) = (nas.secret_context(), nas.nasname.clone());
    body.write(&mut nas)?;
    refuse_everywhere(&nas)?;
    // A sealed secret is bound to the address.
    if nas.nasname != address
        && let Some(sealed) = Sealed::parse(&nas.secret.clone())?
    {
        let plain = keys(&app)?.open(&old, &sealed)?;
        seal(&app, &mut nas, plain.expose())?;
    }
    app.store.nas_set(&nas).await?;
    let after = Shown::from(nas.clone());
    record(&app, &caller, "update", &nas, Some(&before), Some(&after)).await?;
    Ok(Tagged::new(after))
}

/// Give a NAS another secret: what it was given, too.
#[utoipa::path(
    put, path = "/radius/nas/{id}/secret", tag = "nas", request_body = Secret,
    params(("id" = String, Path, description = "Id, address or short name")),
    security(("bearer" = ["isp.radius.write"])), responses((status = NO_CONTENT))
)]
async fn set_secret(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<Secret>,
) -> Result<impl IntoResponse> {
    let secret = Zeroizing::new(body.secret);
    let mut nas = find(&app, &caller, &id).await?;
    seal(&app, &mut nas, secret.as_bytes())?;
    app.store.nas_set(&nas).await?;
    record(&app, &caller, "secret", &nas, None, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Delete a NAS: its packets are not answered any more.
#[utoipa::path(
    delete, path = "/radius/nas/{id}", tag = "nas",
    params(("id" = String, Path, description = "Id, address or short name"), ("If-Match" = Option<String>, Header, description = "ETag of what is to be deleted")),
    security(("bearer" = ["isp.radius.write"])), responses((status = NO_CONTENT))
)]
async fn delete(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    if_match: IfMatch,
) -> Result<impl IntoResponse> {
    let nas = find(&app, &caller, &id).await?;
    let before = Shown::from(nas.clone());
    if_match.check(&before)?;
    app.store.nas_delete(caller.tenant_id(), nas.id).await?;
    record(&app, &caller, "delete", &nas, Some(&before), None).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn find(app: &App, caller: &Caller, id: &str) -> Result<Nas> {
    let nas = app.store.nas_get(caller.tenant_id(), id).await?;
    nas.ok_or_else(|| Problem::not_found("NAS", id))
}

async fn record(
    app: &App,
    caller: &Caller,
    action: &'static str,
    nas: &Nas,
    before: Option<&Shown>,
    after: Option<&Shown>,
) -> Result<()> {
    let subject = &nas.id.to_string();
    let kind = KIND;
    Change { action, kind, subject }
        .record(app, caller, before, after)
        .await
}

/// Whoever knows the secret would be this NAS, wherever its packets come from.
fn refuse_everywhere(nas: &Nas) -> Result<()> {
    if nas.nasname.ends_with("/0") {
        return Err(Problem::field(
            "nasname",
            "that is every address there is: name the network the packets come from",
        ));
    }
    Ok(())
}

fn keys(app: &App) -> Result<&isp_core::secret::KeyRing> {
    let keys = app.keys.as_ref();
    keys.ok_or_else(|| Problem::unavailable("a NAS's secret is stored sealed, and there is no key file: set key_file"))
}

fn seal(app: &App, nas: &mut Nas, secret: &[u8]) -> Result<()> {
    nas.secret = keys(app)?.seal(&nas.secret_context(), secret)?;
    Ok(())
}
