//! Subscribers as RADIUS sees them: name, password, plan and addresses of a line.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use ipnet::Ipv6Net;
use isp_core::network_profile::NetworkProfile;
use isp_core::password::{self, PasswordError};
use isp_core::store::SubscriberFilter;
use isp_core::subscriber::{Status, Subscriber};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;
use zeroize::Zeroize as _;

use super::Routes;
use crate::api::App;
use crate::api::access::Caller;
use crate::api::change::Change;
use crate::api::etag::{IfMatch, Tagged};
use crate::api::input::{Json, Path, Query, Set, set};
use crate::api::page::{Limit, Page};
use crate::api::problem::{Problem, Result};
use crate::field::Record as _;

pub(super) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list, create))
        .routes(routes!(show, update, delete))
        .routes(routes!(enable))
        .routes(routes!(disable))
}

/// Who may log in, with what it gets.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RadiusSubscriber)]
struct Shown {
    id: String,
    tenant_id: String,
    subscriber_id: String,
    username: String,
    bandwidth_profile_id: Option<String>,
    #[schema(value_type = Option<String>)]
    framed_ipv4_address: Option<Ipv4Addr>,
    #[schema(value_type = Option<String>)]
    framed_ipv6_address: Option<Ipv6Addr>,
    #[schema(value_type = Option<String>)]
    framed_ipv6_prefix: Option<Ipv6Net>,
    #[schema(value_type = Option<String>)]
    delegated_ipv6_prefix: Option<Ipv6Net>,
    /// Seconds.
    session_timeout: Option<u32>,
    /// Seconds.
    idle_timeout: Option<u32>,
    /// pending, active, suspended, disconnected, terminated or quarantined
    #[schema(value_type = String)]
    status: Status,
    /// It is active: the others are not let in, or only to what the tenant gives them.
    enabled: bool,
    password_configured: bool,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl Shown {
    fn new(subscriber: Subscriber, network: Option<&NetworkProfile>) -> Self {
        let time = |at| Timestamp::from_second(at).unwrap_or_default();
        Self {
            subscriber_id: subscriber.id.clone(),
            id: subscriber.id,
            tenant_id: subscriber.tenant_id,
            username: subscriber.username,
            bandwidth_profile_id: subscriber.bandwidth_profile_id,
            framed_ipv4_address: subscriber.static_ipv4,
            framed_ipv6_address: network.and_then(|network| network.static_ipv6),
            framed_ipv6_prefix: subscriber.ipv6_prefix,
            delegated_ipv6_prefix: network.and_then(|network| network.delegated_ipv6_prefix),
            session_timeout: subscriber.session_timeout,
            idle_timeout: subscriber.idle_timeout,
            status: subscriber.status,
            enabled: subscriber.status == Status::Active,
            password_configured: subscriber.password.is_some(),
            created_at: time(subscriber.created_at),
            updated_at: time(subscriber.updated_at),
        }
    }
}

#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NewRadiusSubscriber)]
struct Create {
    /// Of a subscriber that is there and has no password yet, or for a new one; a new one is chosen where there is none.
    #[schema(min_length = 1, max_length = 255, pattern = "^[A-Za-z0-9_.:@-]+$")]
    subscriber_id: Option<String>,
    /// Kept as the tenant's rules write it.
    #[schema(min_length = 3, max_length = 64, pattern = "^[A-Za-z0-9_.@-]+$")]
    username: String,
    /// Stored sealed or hashed, and never shown.
    #[schema(min_length = 8, max_length = 128, pattern = "^[ -~]+$", format = Password)]
    password: String,
    /// Let in from now on, or pending.
    #[serde(default = "yes")]
    #[schema(default = true)]
    enabled: bool,
    #[serde(flatten)]
    service: Service,
}

const fn yes() -> bool {
    true
}

/// What a subscriber gets; null clears, what is not named stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
struct Service {
    /// A plan's id or name.
    #[serde(default, deserialize_with = "set")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 255)]
    bandwidth_profile_id: Set<String>,
    #[serde(default, deserialize_with = "set")]
    #[schema(value_type = Option<String>, format = "ipv4")]
    framed_ipv4_address: Set<Ipv4Addr>,
    /// The original's name of framed_ipv4_address.
    #[serde(default, deserialize_with = "set")]
    #[schema(value_type = Option<String>, format = "ipv4", deprecated)]
    framed_ip_address: Set<Ipv4Addr>,
    #[serde(default, deserialize_with = "set")]
    #[schema(value_type = Option<String>, format = "ipv6")]
    framed_ipv6_address: Set<Ipv6Addr>,
    #[serde(default, deserialize_with = "set")]
    #[schema(value_type = Option<String>, format = "ipv6-prefix")]
    framed_ipv6_prefix: Set<Ipv6Net>,
    #[serde(default, deserialize_with = "set")]
    #[schema(value_type = Option<String>, format = "ipv6-prefix")]
    delegated_ipv6_prefix: Set<Ipv6Net>,
    /// Seconds.
    #[serde(default, deserialize_with = "set")]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 2147483647)]
    session_timeout: Set<u32>,
    /// Seconds.
    #[serde(default, deserialize_with = "set")]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 2147483647)]
    idle_timeout: Set<u32>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = RadiusSubscriberChange)]
struct Update {
    #[schema(min_length = 3, max_length = 64, pattern = "^[A-Za-z0-9_.@-]+$")]
    username: Option<String>,
    #[schema(min_length = 8, max_length = 128, pattern = "^[ -~]+$", format = Password)]
    password: Option<String>,
    enabled: Option<bool>,
    #[serde(flatten)]
    service: Service,
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
struct Filter {
    /// pending, active, suspended, disconnected, terminated or quarantined
    #[param(value_type = Option<String>, pattern = "^(pending|active|suspended|disconnected|terminated|quarantined)$")]
    status: Option<Status>,
    /// Id of the plan
    bandwidth_profile_id: Option<String>,
    /// Part of the username
    username: Option<String>,
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 50)]
    limit: Limit,
    /// `next` of the page before
    after: Option<String>,
}

/// Subscribers, by username.
#[utoipa::path(
    get, path = "/radius/subscribers", tag = "subscribers", params(Filter),
    security(("bearer" = ["isp.radius.read"])),
    responses((status = OK, body = Page<Shown>))
)]
async fn list(State(app): State<Arc<App>>, caller: Caller, Query(filter): Query<Filter>) -> Result<impl IntoResponse> {
    let wanted = SubscriberFilter {
        tenant_id: Some(caller.tenant_id().to_owned()),
        status: filter.status,
        plan_id: filter.bandwidth_profile_id,
        username: filter.username,
        after: filter.after,
        limit: Some(filter.limit.and_one()),
        ..SubscriberFilter::default()
    };
    let subscribers = app.store.subscriber_list(&wanted).await?;
    let ids: Vec<&str> = subscribers.iter().map(|subscriber| subscriber.id.as_str()).collect();
    let networks = app.store.network_profiles_of(caller.tenant_id(), &ids).await?;
    let show = |subscriber: Subscriber| {
        let network = networks.iter().find(|network| network.subscriber_id == subscriber.id);
        Shown::new(subscriber, network)
    };
    let cursor = |subscriber: &Subscriber| subscriber.username.clone();
    Ok(axum::Json(Page::cut(subscribers, filter.limit, cursor, show)))
}

/// A subscriber, by its username or id.
#[utoipa::path(
    get, path = "/radius/subscribers/{username}", tag = "subscribers",
    params(("username" = String, Path, description = "Username or id")),
    security(("bearer" = ["isp.radius.read"])),
    responses((status = OK, body = Shown))
)]
async fn show(State(app): State<Arc<App>>, caller: Caller, Path(name): Path<String>) -> Result<impl IntoResponse> {
    let subscriber = find(&app, &caller, &name).await?;
    Ok(Tagged::new(shown(&app, subscriber).await?))
}

/// Let a new subscriber log in, or give one that is there its name and password.
#[utoipa::path(
    post, path = "/radius/subscribers", tag = "subscribers", request_body = Create,
    security(("bearer" = ["isp.radius.write"])),
    responses((status = CREATED, body = Shown))
)]
async fn create(State(app): State<Arc<App>>, caller: Caller, Json(body): Json<Create>) -> Result<impl IntoResponse> {
    let there = match &body.subscriber_id {
        Some(id) => app
            .store
            .subscriber_get(caller.tenant_id(), id)
            .await?
            .filter(|found| found.id == *id),
        None => None,
    };
    if there.as_ref().is_some_and(|there| there.password.is_some()) {
        return Err(Problem::conflict(
            "the subscriber has a name and a password already: change them by PATCH",
        ));
    }
    let new = there.is_none();
    let mut subscriber = there.unwrap_or_else(|| Subscriber {
        id: body.subscriber_id.unwrap_or_else(crate::cmd::new_id),
        tenant_id: caller.tenant_id().to_owned(),
        created_by: Some(caller.actor().to_owned()),
        ..Subscriber::blank()
    });
    let before = if new {
        None
    } else {
        Some(shown(&app, subscriber.clone()).await?)
    };
    rename(&caller, &mut subscriber, &body.username)?;
    set_password(&app, &mut subscriber, body.password)?;
    enable_or_not(&mut subscriber, body.enabled, Status::Pending);
    subscriber.updated_by = Some(caller.actor().to_owned());
    let network = body.service.apply(&app, &caller, &mut subscriber).await?;
    if new {
        app.store.subscriber_add(&subscriber).await?;
    } else {
        app.store.subscriber_set(&subscriber).await?;
    }
    if let Some(network) = &network {
        app.store.network_profile_set(network).await?;
    }
    let after = reread(&app, &caller, &subscriber.id).await?;
    let change = Change {
        action: "create",
        kind: "subscriber",
        subject: &subscriber.id,
    };
    change.record(&app, &caller, before.as_ref(), Some(&after)).await?;
    let location = format!("{}/radius/subscribers/{}", crate::api::PREFIX, after.id);
    Ok(Tagged::created(after, location))
}

/// Change what is named.
#[utoipa::path(
    patch, path = "/radius/subscribers/{username}", tag = "subscribers", request_body = Update,
    params(("username" = String, Path, description = "Username or id"), ("If-Match" = Option<String>, Header, description = "ETag of what is to be changed")),
    security(("bearer" = ["isp.radius.write"])),
    responses((status = OK, body = Shown))
)]
async fn update(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
    if_match: IfMatch,
    Json(body): Json<Update>,
) -> Result<impl IntoResponse> {
    let mut subscriber = find(&app, &caller, &name).await?;
    let before = shown(&app, subscriber.clone()).await?;
    if_match.check(&before)?;
    if let Some(username) = &body.username {
        rename(&caller, &mut subscriber, username)?;
    }
    if let Some(password) = body.password {
        set_password(&app, &mut subscriber, password)?;
    }
    if let Some(enabled) = body.enabled {
        enable_or_not(&mut subscriber, enabled, Status::Suspended);
    }
    let network = body.service.apply(&app, &caller, &mut subscriber).await?;
    let after = save(&app, &caller, subscriber, network, &before, "update").await?;
    Ok(Tagged::new(after))
}

/// Delete a subscriber: its name is free again, its accounting stays.
#[utoipa::path(
    delete, path = "/radius/subscribers/{username}", tag = "subscribers",
    params(("username" = String, Path, description = "Username or id"), ("If-Match" = Option<String>, Header, description = "ETag of what is to be deleted")),
    security(("bearer" = ["isp.radius.write"])),
    responses((status = NO_CONTENT))
)]
async fn delete(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
    if_match: IfMatch,
) -> Result<impl IntoResponse> {
    let subscriber = find(&app, &caller, &name).await?;
    let before = shown(&app, subscriber.clone()).await?;
    if_match.check(&before)?;
    app.store
        .subscriber_delete(caller.tenant_id(), &subscriber.id, Some(caller.actor()))
        .await?;
    let change = Change {
        action: "delete",
        kind: "subscriber",
        subject: &subscriber.id,
    };
    change.record(&app, &caller, Some(&before), None::<&()>).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Let a subscriber log in.
#[utoipa::path(
    post, path = "/radius/subscribers/{username}/enable", tag = "subscribers",
    params(("username" = String, Path, description = "Username or id")),
    security(("bearer" = ["isp.radius.write"])),
    responses((status = OK, body = Shown))
)]
async fn enable(State(app): State<Arc<App>>, caller: Caller, Path(name): Path<String>) -> Result<impl IntoResponse> {
    switch(&app, &caller, &name, true).await
}

/// Suspend a subscriber: it is let in no more, or only to what the tenant gives those who are suspended; its live sessions
/// are told.
#[utoipa::path(
    post, path = "/radius/subscribers/{username}/disable", tag = "subscribers",
    params(("username" = String, Path, description = "Username or id")),
    security(("bearer" = ["isp.radius.write"])),
    responses((status = OK, body = Shown))
)]
async fn disable(State(app): State<Arc<App>>, caller: Caller, Path(name): Path<String>) -> Result<impl IntoResponse> {
    switch(&app, &caller, &name, false).await
}

async fn switch(app: &App, caller: &Caller, name: &str, enabled: bool) -> Result<Tagged<Shown>> {
    let mut subscriber = find(app, caller, name).await?;
    let before = shown(app, subscriber.clone()).await?;
    enable_or_not(&mut subscriber, enabled, Status::Suspended);
    let action = if enabled { "enable" } else { "disable" };
    Ok(Tagged::new(save(app, caller, subscriber, None, &before, action).await?))
}

async fn save(
    app: &App,
    caller: &Caller,
    mut subscriber: Subscriber,
    network: Option<NetworkProfile>,
    before: &Shown,
    action: &'static str,
) -> Result<Shown> {
    subscriber.updated_by = Some(caller.actor().to_owned());
    app.store.subscriber_set(&subscriber).await?;
    if let Some(network) = &network {
        app.store.network_profile_set(network).await?;
    }
    let after = reread(app, caller, &subscriber.id).await?;
    let change = Change {
        action,
        kind: "subscriber",
        subject: &subscriber.id,
    };
    change.record(app, caller, Some(before), Some(&after)).await?;
    Ok(after)
}

/// By username, as given or as the tenant's rules write it, or by id.
pub(super) async fn find(app: &App, caller: &Caller, name: &str) -> Result<Subscriber> {
    let found = crate::cmd::subscriber::find(&app.store, caller.tenant(), name).await?;
    // One that is deleted has its id still.
    let found = Some(found).filter(|subscriber| subscriber.deleted_at.is_none());
    found.ok_or_else(|| Problem::not_found("subscriber", name))
}

async fn shown(app: &App, subscriber: Subscriber) -> Result<Shown> {
    let network = app
        .store
        .network_profile_get(&subscriber.tenant_id, &subscriber.id)
        .await?;
    Ok(Shown::new(subscriber, network.as_ref()))
}

/// The database has its say in some fields.
async fn reread(app: &App, caller: &Caller, id: &str) -> Result<Shown> {
    let subscriber = app.store.subscriber_get(caller.tenant_id(), id).await?;
    shown(app, subscriber.ok_or_else(|| Problem::not_found("subscriber", id))?).await
}

pub(super) fn rename(caller: &Caller, subscriber: &mut Subscriber, username: &str) -> Result<()> {
    let name = crate::cmd::subscriber::normalized(caller.tenant(), username);
    subscriber.username = name.map_err(|why| Problem::field("username", why.to_string()))?;
    Ok(())
}

fn set_password(app: &App, subscriber: &mut Subscriber, mut password: String) -> Result<()> {
    let encoded = password::encode(app.scheme, password.as_bytes(), app.keys.as_ref(), &subscriber.id);
    password.zeroize();
    let encoded = encoded.map_err(|why| match why {
        PasswordError::Unsuitable { .. } => Problem::field("password", why.to_string()),
        why => Problem::internal(&why),
    })?;
    subscriber.password = Some(encoded.password);
    subscriber.password_hash_method = Some(encoded.method.to_owned());
    Ok(())
}

/// What is not active is left as it is where it is not to be enabled.
fn enable_or_not(subscriber: &mut Subscriber, enabled: bool, otherwise: Status) {
    if enabled {
        subscriber.status = Status::Active;
    } else if subscriber.status == Status::Active {
        subscriber.status = otherwise;
    }
}

impl Service {
    /// Changes the subscriber, and gives its network profile where that changes, too.
    async fn apply(self, app: &App, caller: &Caller, subscriber: &mut Subscriber) -> Result<Option<NetworkProfile>> {
        match self.bandwidth_profile_id {
            Some(Some(name)) => {
                let plan = app.store.plan_get(caller.tenant_id(), &name).await?;
                let plan = plan.ok_or_else(|| Problem::not_found("bandwidth profile", &name))?;
                subscriber.bandwidth_profile_id = Some(plan.id);
            }
            Some(None) => subscriber.bandwidth_profile_id = None,
            None => {}
        }
        if let Some(address) = self.framed_ipv4_address.or(self.framed_ip_address) {
            subscriber.static_ipv4 = address;
        }
        if let Some(prefix) = self.framed_ipv6_prefix {
            subscriber.ipv6_prefix = prefix.map(|prefix| prefix.trunc());
        }
        if let Some(seconds) = self.session_timeout {
            subscriber.session_timeout = seconds;
        }
        if let Some(seconds) = self.idle_timeout {
            subscriber.idle_timeout = seconds;
        }
        if self.framed_ipv6_address.is_none() && self.delegated_ipv6_prefix.is_none() {
            return Ok(None);
        }
        let there = app
            .store
            .network_profile_get(caller.tenant_id(), &subscriber.id)
            .await?;
        let mut network = there.unwrap_or_else(|| {
            NetworkProfile::blank(
                crate::cmd::new_id(),
                subscriber.tenant_id.clone(),
                subscriber.id.clone(),
            )
        });
        if let Some(address) = self.framed_ipv6_address {
            network.static_ipv6 = address;
        }
        if let Some(prefix) = self.delegated_ipv6_prefix {
            network.delegated_ipv6_prefix = prefix.map(|prefix| prefix.trunc());
        }
        Ok(Some(network))
    }
}
