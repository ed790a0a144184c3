//! A subscriber made and ended as one operation.

use isp_core::dictionary::RowList;
use isp_core::netbox::{Kind, Released, Sync};
use isp_core::order::{OrderKind, OrderState};
use isp_core::plan::Plan;
use isp_core::provisioning::{
    Cause, Left, Order, Provisioned, ProvisioningError, Step, deprovision, id_for, provision,
};
use isp_core::store::OrderFilter;
use isp_core::subscriber::{Status, Subscriber};

use crate::bench::{Bench, on_both};
use crate::lab::{octets, settings};
use crate::proxy::{Fault, Proxy};

on_both!(
    an_order_is_carried_out_once,
    a_failed_step_leaves_nothing,
    what_was_cut_off_is_gone_on_with,
    another_order_for_the_same_name_is_refused,
    the_end_takes_everything_back,
    without_netbox_there_is_no_address,
);

impl Bench {
    /// For a subscriber at the lab's site, with a plan that delegates prefixes.
    async fn order(&self, number: usize) -> Order {
        if self.store.plan_get("t1", "fibre").await.unwrap().is_none() {
            let plan = Plan {
                id: "fibre".to_owned(),
                tenant_id: "t1".to_owned(),
                name: "Fibre".to_owned(),
                download_rate_kbps: 100_000,
                upload_rate_kbps: 20_000,
                ipv6_pd_size: Some(60),
                ..Plan::default()
            };
            self.store.plan_add(&plan).await.unwrap();
        }
        Order {
            subscriber: Subscriber {
                id: self.lab.id(number),
                tenant_id: "t1".to_owned(),
                username: format!("user-{number}"),
                bandwidth_profile_id: Some("fibre".to_owned()),
                site_id: Some(self.lab.site.to_string()),
                ..Subscriber::default()
            },
            replies: vec![("Filter-Id".to_owned(), ":=".to_owned(), "gold".to_owned())],
            kinds: None,
        }
    }

    async fn pools(&self) {
        let (a, b) = octets();
        self.lab.pool(Kind::Ipv4, &format!("10.{a}.{b}.0/29")).await;
        let delegated = format!("fd{a:02x}:{b:x}:c000::/48");
        self.lab.pool(Kind::Ipv6Prefix, &delegated).await;
    }

    async fn carry_out(&self, sync: &Sync<'_>, order: &Order) -> Result<Provisioned, ProvisioningError> {
        provision(&self.store, Some(sync), &[Kind::Ipv4], order).await
    }

    /// Of a subscriber, in NetBox and in the database.
    async fn traces(&self, id: &str) -> usize {
        let addresses = self.lab.addresses().await;
        let prefixes = self.lab.listed("ipam/prefixes/", "prefix").await;
        let theirs = addresses
            .iter()
            .chain(&prefixes)
            .filter(|(_, owner)| owner == id)
            .count();
        let rows = self.store.rows(RowList::Reply, "t1", id).await.unwrap().len();
        let given = self.store.assignments("t1", &[id]).await.unwrap().len();
        let there = self.store.subscriber_get("t1", id).await.unwrap().is_some();
        theirs + rows + given + usize::from(there)
    }
}

async fn an_order_is_carried_out_once(bench: &Bench) {
    bench.pools().await;
    let order = bench.order(1).await;
    let made = bench.carry_out(&bench.sync(), &order).await.unwrap();
    assert!(!made.already);
    assert_eq!(made.subscriber.status, Status::Active);
    assert!(made.subscriber.activation_date.is_some());
    // The tenant's usual kind, and the one the plan asks for, at the plan's length.
    let kinds: Vec<Kind> = made.addresses.iter().map(|one| one.kind).collect();
    assert_eq!(kinds, [Kind::Ipv4, Kind::Ipv6Prefix]);
    assert_eq!(made.addresses[1].net.prefix_len(), 60);
    assert_eq!(
        made.subscriber.static_ipv4.map(Into::into),
        Some(made.addresses[0].net.addr())
    );

    let again = bench.carry_out(&bench.sync(), &order).await.unwrap();
    assert!(again.already);
    assert_eq!(again.subscriber, made.subscriber);
    let nets = |made: &Provisioned| made.addresses.iter().map(|one| one.net).collect::<Vec<_>>();
    assert_eq!(nets(&again), nets(&made));
    let rows = bench
        .store
        .rows(RowList::Reply, "t1", &order.subscriber.id)
        .await
        .unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(bench.lab.addresses().await.len(), 1);
}

async fn a_failed_step_leaves_nothing(bench: &Bench) {
    bench.pools().await;
    let mut order = bench.order(1).await;
    let id = order.subscriber.id.clone();

    // The first kind is had, the second is not: there is no prefix for IPv6 addresses.
    order.kinds = Some(vec![Kind::Ipv4, Kind::Ipv6]);
    let failed = bench.carry_out(&bench.sync(), &order).await.unwrap_err();
    assert_eq!(
        (failed.step, &failed.left),
        (Step::Allocate, &Left::Nothing),
        "{failed}"
    );
    assert!(
        failed
            .to_string()
            .starts_with("step allocate: NetBox has no active prefix"),
        "{failed}"
    );
    assert_eq!(bench.traces(&id).await, 0);

    order.kinds = Some(vec![Kind::Ipv4]);
    order
        .replies
        .push(("Filter-Id".to_owned(), "much too long".to_owned(), "x".to_owned()));
    let failed = bench.carry_out(&bench.sync(), &order).await.unwrap_err();
    assert_eq!((failed.step, &failed.left), (Step::Replies, &Left::Nothing), "{failed}");
    assert_eq!(bench.traces(&id).await, 0);
    order.replies.pop();

    // Taken in NetBox, and neither that nor anything after it is answered.
    let proxy = Proxy::start(&bench.lab.api.url, |post| {
        (post < 5).then_some(Fault::FailureAfter(502))
    })
    .await;
    let allocator = bench.lab.allocator_with(&settings(&proxy.url), bench.lab.rules.clone());
    let sync = Sync::new(&bench.store, allocator, "t1", None);
    let made = bench.carry_out(&sync, &order).await.unwrap();
    assert_eq!(made.addresses.len(), 1);

    let mut wrong = bench.order(2).await;
    wrong.subscriber.bandwidth_profile_id = Some("none".to_owned());
    let failed = bench.carry_out(&bench.sync(), &wrong).await.unwrap_err();
    assert_eq!((failed.step, &failed.left), (Step::Create, &Left::Nothing), "{failed}");
    assert_eq!(bench.traces(&wrong.subscriber.id).await, 0);
}

async fn what_was_cut_off_is_gone_on_with(bench: &Bench) {
    bench.pools().await;
    let order = bench.order(1).await;
    // Killed after the row was made, and again after the address was taken there and not written down here.
    let pending = Subscriber {
        status: Status::Pending,
        ..order.subscriber.clone()
    };
    bench.store.subscriber_add(&pending).await.unwrap();
    let id = id_for(&bench.store, "t1", "user-1").await.unwrap();
    assert_eq!(id, order.subscriber.id);
    let wanted = bench.lab.wanted(&id, Kind::Ipv4);
    let taken = bench.lab.allocator().allocate(&wanted).await.unwrap();

    let made = bench.carry_out(&bench.sync(), &order).await.unwrap();
    assert_eq!(made.addresses[0].net, taken.net);
    assert_eq!(made.subscriber.status, Status::Active);
    assert!(!made.already);
    assert_eq!(bench.lab.addresses().await.len(), 1);
}

async fn another_order_for_the_same_name_is_refused(bench: &Bench) {
    bench.pools().await;
    let order = bench.order(1).await;
    let made = bench.carry_out(&bench.sync(), &order).await.unwrap();

    let mut other = order.clone();
    other.subscriber.vlan_id = Some(100);
    let failed = bench.carry_out(&bench.sync(), &other).await.unwrap_err();
    assert!(failed.is_conflict() && failed.step == Step::Create, "{failed}");
    assert!(failed.to_string().contains("vlan_id"), "{failed}");

    let mut stranger = order.clone();
    stranger.subscriber.id = bench.lab.id(2);
    let failed = bench.carry_out(&bench.sync(), &stranger).await.unwrap_err();
    assert!(failed.is_conflict(), "{failed}");
    assert_eq!(bench.get(&order.subscriber.id).await, made.subscriber);

    bench.sql("UPDATE subscribers SET status = 'suspended'").await;
    let failed = bench.carry_out(&bench.sync(), &order).await.unwrap_err();
    assert!(matches!(failed.cause, Cause::Status { .. }), "{failed}");
}

async fn the_end_takes_everything_back(bench: &Bench) {
    bench.pools().await;
    let order = bench.order(1).await;
    let id = order.subscriber.id.as_str();
    bench.carry_out(&bench.sync(), &order).await.unwrap();
    bench
        .sql(&format!(
            "INSERT INTO radacct (acctsessionid, acctuniqueid, username, tenant_id, subscriber_id, nasipaddress,
                acctstarttime) VALUES ('s1', 'u1', 'user-1', 't1', '{id}', '192.0.2.1', '2026-01-01 00:00:00')"
        ))
        .await;

    // NetBox is away: the subscriber is let in no more all the same, and keeps its address until the rest is done.
    let proxy = Proxy::start("http://127.0.0.1:1", |_| None).await;
    let mut away = settings(&proxy.url);
    away.retries = 0;
    let sync = Sync::new(
        &bench.store,
        bench.lab.allocator_with(&away, bench.lab.rules.clone()),
        "t1",
        None,
    );
    let failed = deprovision(&bench.store, Some(&sync), "t1", id, None)
        .await
        .unwrap_err();
    assert_eq!((failed.step, &failed.left), (Step::Release, &Left::Rest), "{failed}");
    assert_eq!(bench.get(id).await.status, Status::Disconnected);

    let ended = deprovision(&bench.store, Some(&bench.sync()), "t1", id, Some("test"))
        .await
        .unwrap();
    assert_eq!(ended.subscriber.status, Status::Terminated);
    assert!(ended.subscriber.termination_date.is_some() && !ended.already);
    assert_eq!(ended.subscriber.static_ipv4, None);
    let kinds: Vec<_> = ended.released.iter().map(|(kind, how)| (*kind, *how)).collect();
    assert_eq!(
        kinds,
        [
            (Kind::Ipv4, Released::Deprecated),
            (Kind::Ipv6Prefix, Released::Deprecated)
        ]
    );
    let orders = bench.store.order_list(&OrderFilter::default()).await.unwrap();
    let placed: Vec<_> = orders.iter().map(|order| (order.kind, order.state)).collect();
    // Once, although it was asked for twice.
    assert_eq!(placed, [(OrderKind::Disconnect, OrderState::Pending)]);

    let again = deprovision(&bench.store, Some(&bench.sync()), "t1", id, Some("test"))
        .await
        .unwrap();
    assert!(again.already && again.orders.is_empty(), "{again:?}");
    assert_eq!(again.subscriber.termination_date, ended.subscriber.termination_date);
}

async fn without_netbox_there_is_no_address(bench: &Bench) {
    let mut order = bench.order(1).await;
    order.kinds = Some(vec![Kind::Ipv4]);
    let failed = provision(&bench.store, None, &[], &order).await.unwrap_err();
    assert_eq!(
        (failed.step, &failed.left),
        (Step::Allocate, &Left::Nothing),
        "{failed}"
    );
    assert_eq!(bench.traces(&order.subscriber.id).await, 0);
    order.kinds = None;
    order.subscriber.static_ipv4 = Some([192, 0, 2, 9].into());
    let made = provision(&bench.store, None, &[Kind::Ipv4], &order).await.unwrap();
    assert_eq!(made.subscriber.static_ipv4, Some([192, 0, 2, 9].into()));
    let ended = deprovision(&bench.store, None, "t1", &order.subscriber.id, None)
        .await
        .unwrap();
    assert_eq!(ended.subscriber.static_ipv4, None);
}
