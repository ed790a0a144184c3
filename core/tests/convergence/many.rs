//! Two workers race for 20,000 orders. `make chaos` runs it; in a release build it gives the figure.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use isp_core::convergence::{Worker, nas_only};
use isp_core::order::{Cause, NewOrder, OrderKind, OrderState};
use isp_core::radius::Code;
use isp_core::store::{OrderFilter, Store};
use tokio::sync::{Notify, watch};

use crate::lab::{self, Kind, Lab};

const MANY: i64 = 20_000;

#[test]
#[ignore = "takes a minute: make chaos"]
fn twenty_thousand_sessions_on_sqlite() {
    lab::run(Kind::Sqlite, race);
}

#[test]
#[ignore = "takes a minute: make chaos"]
fn twenty_thousand_sessions_on_postgres() {
    lab::run(Kind::Postgres, race);
}

async fn race(lab: &Lab) {
    lab.execute("UPDATE nas SET coa_timeout = 5000").await;
    lab.execute(&format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {MANY})
         INSERT INTO radacct (radacctid, acctsessionid, acctuniqueid, username, nasipaddress, tenant_id, subscriber_id)
         SELECT i, 's' || i, 'u' || i, 'alice', '127.0.0.1', 't', 'alice' FROM n"
    ))
    .await;
    let order = |session_id| NewOrder {
        session_id,
        kind: OrderKind::Disconnect,
        cause: Cause::Manual,
        actor: None,
        plan_id: None,
        set: Vec::new(),
        unset: Vec::new(),
        wanted: None,
    };
    let orders: Vec<NewOrder> = (1..=MANY).map(order).collect();
    for some in orders.chunks(2_000) {
        assert_eq!(lab.store.place_orders(some).await.unwrap().len(), some.len());
    }
    let other = Store::connect(&lab.url, 4, false).await.unwrap();
    let (stop, stopped) = watch::channel(false);
    let began = Instant::now();
    let mut workers = Vec::new();
    for (owner, store) in [("one", lab.store.clone()), ("two", other.clone())] {
        let config = lab.config(owner);
        let mut settings = config.worker;
        settings.lease = Duration::from_secs(30);
        let snapshot = nas_only(&store, config.vendors).await.unwrap();
        let worker = Worker::new(store, snapshot, None, settings);
        workers.push(tokio::spawn(worker.run(Arc::new(Notify::new()), stopped.clone())));
    }
    let waits = OrderFilter {
        limit: Some(1),
        state: Some(OrderState::Pending),
        ..OrderFilter::default()
    };
    let sends = OrderFilter {
        state: Some(OrderState::Sending),
        ..waits.clone()
    };
    let left = async |filter: &OrderFilter| lab.store.order_list(filter).await.unwrap().len();
    while left(&waits).await + left(&sends).await > 0 {
        assert!(began.elapsed() < Duration::from_secs(300));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let took = began.elapsed();
    stop.send_replace(true);
    for worker in workers {
        worker.await.unwrap();
    }
    other.close().await;
    let mut told: HashMap<String, Vec<Vec<u8>>> = HashMap::new();
    for heard in lab.nas.heard() {
        assert_eq!(heard.code, Code::DISCONNECT_REQUEST);
        told.entry(heard.session).or_default().push(heard.packet);
    }
    assert_eq!(told.len(), usize::try_from(MANY).unwrap());
    assert!(
        told.values()
            .all(|packets| packets.iter().all(|packet| *packet == packets[0]))
    );
    let orders = lab.orders().await;
    assert!(
        orders
            .iter()
            .all(|order| order.state == OrderState::Done && order.attempts == 1)
    );
    let rate = f64::from(u32::try_from(MANY).unwrap()) / took.as_secs_f64();
    println!("{MANY} orders, every result durable, in {took:.1?}: {rate:.0}/s");
}
