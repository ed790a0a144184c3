//! What can be asked.

#![allow(unused_qualifications, reason = "utoipa writes them")]

mod authorize;
mod contracts;
mod health;
mod nas;
mod netbox;
mod network;
mod oss;
mod plans;
mod sessions;
mod subscribers;
mod usage;

use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;

use super::{App, PREFIX};

/// Routes of one kind of thing, and what the document says of them.
type Routes = OpenApiRouter<Arc<App>>;

pub(super) fn all() -> Routes {
    let routes = [
        subscribers::routes(),
        contracts::routes(),
        sessions::routes(),
        nas::routes(),
        plans::routes(),
        network::routes(),
        usage::routes(),
        authorize::routes(),
        netbox::routes(),
        oss::routes(),
        health::routes(),
    ]
    .into_iter()
    .fold(Routes::new(), Routes::merge);
    Routes::new().nest(PREFIX, routes)
}
