//! What an address costs beside a bare POST to the same NetBox, at the same time.
//!
//! The short forms run with all tests and count requests; times are held to only in the long one (`make netbox-cost`).

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use isp_core::netbox::{Kind, Sync};
use serde_json::{Value, json};

use crate::bench::{Bench, on, on_both};
use crate::lab::{TOKEN, octets, settings};
use crate::proxy::Proxy;

/// A bare loop's POSTs, and syncs of one subscriber, taken in turn so that both meet the same server.
const SINGLES: usize = 40;
/// New subscribers of the run over all.
const ALL: usize = 400;
/// The first of them: none before it has a subscriber yet.
const FIRST: usize = 1_000;

on_both!(requests_of_one_and_of_all);

async fn pool(bench: &Bench) -> u64 {
    let (a, b) = octets();
    let net = format!("10.{a}.{}.0/22", b & 0xfc);
    bench.lab.pool(Kind::Ipv4, &net).await
}

async fn requests_of_one_and_of_all(bench: &Bench) {
    pool(bench).await;
    let proxy = Proxy::start(&bench.lab.api.url, |_| None).await;
    let allocator = bench.lab.allocator_with(&settings(&proxy.url), bench.lab.rules.clone());
    let sync = Sync::new(&bench.store, allocator, "t1", None);
    // The first asks for the tenant's prefixes, too.
    sync.subscriber(&bench.subscriber(0).await, &[Kind::Ipv4])
        .await
        .unwrap();
    let asked = || proxy.requests.swap(0, Ordering::SeqCst);
    asked();

    let one = bench.subscriber(1).await;
    sync.subscriber(&one, &[Kind::Ipv4]).await.unwrap();
    assert_eq!(asked(), 1, "one POST for one address");
    sync.subscriber(&one, &[Kind::Ipv4]).await.unwrap();
    assert_eq!(asked(), 0, "what is known is not asked for");

    let many = 60;
    for number in FIRST..FIRST + many {
        bench.subscriber(number).await;
    }
    let progress = sync.all(None, &[Kind::Ipv4], |_, _| {}).await.unwrap();
    assert_eq!((progress.allocated, progress.failed), (60, 0));
    let requests = asked();
    assert!(requests * 5 <= many, "{requests} requests for {many} addresses");
}

/// What the allocator sends, without the allocator.
async fn bare(bench: &Bench, http: &reqwest::Client, pool: u64, number: usize) -> Duration {
    let id = format!("bare-{}", bench.lab.id(number));
    let body: Value = json!({
        "tenant": bench.lab.rules.tenant, "status": "active", "description": format!("Subscriber:{id}"),
        "dns_name": format!("bare-{number}"), "tags": [{ "slug": "subscriber" }, { "slug": "auto-assigned" }],
        "custom_fields": { "subscriber_id": id, "subscriber_username": id, "lease_key": format!("{id}:ipv4") },
    });
    let url = format!("{}/api/ipam/prefixes/{pool}/available-ips/", bench.lab.api.url);
    let at = Instant::now();
    let answer = http.post(url).bearer_auth(TOKEN).json(&body).send().await.unwrap();
    let status = answer.status();
    let text = answer.text().await.unwrap();
    assert!(status.is_success(), "{status} {text}");
    at.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long, and of times: make netbox-cost"]
async fn cost() {
    on(true, "cost", async |bench: &Bench| {
        let pool = pool(bench).await;
        let sync = bench.sync();
        let http = reqwest::Client::new();
        sync.subscriber(&bench.subscriber(SINGLES).await, &[Kind::Ipv4])
            .await
            .unwrap();
        bare(bench, &http, pool, SINGLES).await;
        let (mut posts, mut syncs) = (Duration::ZERO, Duration::ZERO);
        for number in 0..SINGLES {
            let id = bench.subscriber(number).await;
            posts += bare(bench, &http, pool, number).await;
            let at = Instant::now();
            sync.subscriber(&id, &[Kind::Ipv4]).await.unwrap();
            syncs += at.elapsed();
        }
        for number in FIRST..FIRST + ALL {
            bench.subscriber(number).await;
        }
        let at = Instant::now();
        let progress = sync.all(None, &[Kind::Ipv4], |_, _| {}).await.unwrap();
        let all = at.elapsed();
        assert_eq!((progress.allocated, progress.failed), (ALL as u64, 0));

        let each = |time: Duration, of: usize| time.as_secs_f64() * 1e3 / of as f64;
        let (post, single, listed) = (each(posts, SINGLES), each(syncs, SINGLES), each(all, ALL));
        eprintln!("bare POST        {post:6.1} ms an address");
        eprintln!(
            "sync of one      {single:6.1} ms, {:.2} x the time of a bare POST (wanted <= 1.3)",
            single / post
        );
        eprintln!(
            "sync --all       {listed:6.1} ms, {:.2} x the rate of bare POSTs (wanted >= 3)",
            post / listed
        );
        assert!(single <= post * 1.3, "a sync of one costs {:.2} x", single / post);
        assert!(listed * 2.0 <= post, "sync --all is {:.2} x as fast", post / listed);
    })
    .await;
}
