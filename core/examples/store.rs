//! Keep subscribers in a store from another program.
//!
//! ```sh
//! cargo run -p isp-core --example store -- sqlite:///tmp/example.db
//! ```

use isp_core::store::{Store, SubscriberFilter};
use isp_core::subscriber::{Status, Subscriber};
use isp_core::tenant::{Tenant, UsernameCase, UsernameRealm};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args()
        .nth(1)
        .ok_or("usage: store sqlite:///PATH | postgres://...")?;
    let store = Store::connect(&url, 2, true).await?;
    for migration in store.migrate().await? {
        println!("applied {migration}");
    }

    if store.tenant_get("example").await?.is_none() {
        let tenant = Tenant {
            id: "example".into(),
            name: "Example Fibre".into(),
            enabled: true,
            username_case: UsernameCase::Lower,
            username_realm: UsernameRealm::Keep,
            timezone: "UTC".to_owned(),
            interim_jitter_percent: 0,
            lookup_by: isp_core::tenant::LookupBy::Username,
        };
        store.tenant_add(&tenant).await?;
    }
    if store.subscriber_get("example", "alice").await?.is_none() {
        let alice = Subscriber {
            id: "alice-1".into(),
            tenant_id: "example".into(),
            username: "alice".into(),
            status: Status::Active,
            service_type: "fiber_internet".into(),
            static_ipv4: Some([192, 0, 2, 7].into()),
            simultaneous_use: 1,
            ..Subscriber::default()
        };
        store.subscriber_add(&alice).await?;
    }

    let filter = SubscriberFilter {
        tenant_id: Some("example".into()),
        ..SubscriberFilter::default()
    };
    for subscriber in store.subscriber_list(&filter).await? {
        println!(
            "{}\t{}\t{:?}",
            subscriber.username, subscriber.status, subscriber.static_ipv4
        );
    }
    store.close().await;
    Ok(())
}
