//! Addresses from NetBox.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use ipnet::IpNet;
use isp_core::addressing::Kind;
use isp_core::netbox::{Sync, SyncError, Synced};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{Routes, subscribers};
use crate::api::App;
use crate::api::access::Caller;
use crate::api::change::Change;
use crate::api::input::Json;
use crate::api::problem::{Problem, Result};
use crate::netbox;

pub(super) fn routes() -> Routes {
    Routes::new().routes(routes!(health)).routes(routes!(sync_subscriber))
}

/// Whether the tenant's NetBox answers.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NetboxHealth)]
struct Health {
    healthy: bool,
    version: Option<String>,
    /// What is wrong and what to do.
    problem: Option<String>,
}

/// Whose addresses are to be the same here and in NetBox.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = SyncSubscriber)]
struct Wanted {
    /// Id or username.
    #[schema(min_length = 1, max_length = 255)]
    subscriber_id: String,
    /// What NetBox is told, where it is other than what is known here.
    subscriber_data: Option<Data>,
    /// NetBox's id of the tenant, to be sure that the right one is meant: it is set once, with the tenant's settings.
    #[schema(minimum = 1, maximum = 2147483647)]
    tenant_netbox_id: Option<u64>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = SyncSubscriberData)]
struct Data {
    /// Only to be sure: it is that of the subscriber.
    username: Option<String>,
    #[schema(max_length = 255)]
    service_address: Option<serde_json::Value>,
    /// NetBox's id of the site whose prefixes addresses are taken from.
    #[schema(max_length = 50)]
    site_id: Option<serde_json::Value>,
    /// Slug of a tag, such as ftth.
    #[schema(min_length = 1, max_length = 50, pattern = "^[a-z0-9-]+$")]
    connection_type: Option<String>,
}

/// What the subscriber has now, here and in NetBox.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SyncedSubscriber)]
struct Done {
    subscriber_id: String,
    username: String,
    /// The IPv4 address with its length, as NetBox has it.
    #[schema(value_type = Option<String>)]
    address: Option<IpNet>,
    /// NetBox's id of it.
    id: Option<u64>,
    #[schema(value_type = Vec<std::collections::HashMap<String, serde_json::Value>>)]
    addresses: Vec<Synced>,
}

/// Whether the tenant's NetBox answers, with its version.
#[utoipa::path(
    get, path = "/netbox/health", tag = "netbox",
    security(("bearer" = ["isp.ipam.read"])), responses((status = OK, body = Health))
)]
async fn health(State(app): State<Arc<App>>, caller: Caller) -> Result<impl IntoResponse> {
    let asked = async {
        let table = netbox::settings(&app.context, &app.store, caller.tenant()).await?;
        Ok::<_, crate::error::Error>(table.client()?.version().await?)
    };
    Ok(axum::Json(match asked.await {
        Ok(version) => Health {
            healthy: true,
            version: Some(version),
            problem: None,
        },
        Err(why) => Health {
            healthy: false,
            version: None,
            problem: Some(why.to_string()),
        },
    }))
}

/// Give a subscriber its addresses: those it has, or new ones from NetBox, once. They are in its login from then on.
#[utoipa::path(
    post, path = "/netbox/sync-subscriber", tag = "netbox", request_body = Wanted,
    security(("bearer" = ["isp.ipam.write"])), responses((status = OK, body = Done))
)]
async fn sync_subscriber(
    State(app): State<Arc<App>>,
    caller: Caller,
    Json(body): Json<Wanted>,
) -> Result<impl IntoResponse> {
    let mut subscriber = subscribers::find(&app, &caller, &body.subscriber_id).await?;
    let (allocator, table) = netbox::allocator(&app.context, &app.store, caller.tenant()).await?;
    if body.tenant_netbox_id.is_some_and(|id| table.tenant != Some(id)) {
        return Err(Problem::conflict(
            "tenant_netbox_id is another than the tenant's settings say",
        ));
    }
    let mut connection_type = None;
    if let Some(data) = body.subscriber_data {
        if data
            .username
            .is_some_and(|name| caller.tenant().normalize(&name) != subscriber.username)
        {
            return Err(Problem::conflict(
                "subscriber_data.username is another than the subscriber has",
            ));
        }
        let site = data
            .site_id
            .map(|site| site.as_str().map_or_else(|| site.to_string(), str::to_owned));
        let address = data.service_address.map(|address| address.to_string());
        let before = subscriber.clone();
        subscriber.site_id = site.or(subscriber.site_id);
        subscriber.service_address = address.or(subscriber.service_address);
        if subscriber != before {
            subscriber.updated_by = Some(caller.actor().to_owned());
            app.store.subscriber_set(&subscriber).await?;
        }
        connection_type = data.connection_type;
    }
    let sync = Sync::new(
        &app.store,
        allocator,
        caller.tenant_id(),
        Some(caller.actor().to_owned()),
    )
    .connection_type(connection_type);
    let addresses = sync.subscriber(&subscriber.id, &table.kinds()).await?;
    let first = addresses
        .iter()
        .find(|synced| synced.kind == Kind::Ipv4)
        .or(addresses.first());
    let done = Done {
        address: first.map(|synced| synced.net),
        id: first.map(|synced| synced.netbox_id),
        subscriber_id: subscriber.id,
        username: subscriber.username,
        addresses,
    };
    let change = Change {
        action: "sync",
        kind: "address",
        subject: &done.subscriber_id,
    };
    change.record(&app, &caller, None::<&()>, Some(&done)).await?;
    Ok(axum::Json(done))
}

impl From<SyncError> for Problem {
    fn from(error: SyncError) -> Self {
        match error {
            SyncError::Store(error) => error.into(),
            SyncError::Gone(_) | SyncError::Differs { .. } => Self::conflict(error.to_string()),
            SyncError::Allocation(error) => error.into(),
        }
    }
}
