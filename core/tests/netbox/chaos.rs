//! Fifty workers of two hosts give every subscriber exactly one address, whatever fails meanwhile.
//!
//! The short forms run with all tests. The long ones (`make chaos-netbox`) want a server of their own, which they kill:
//! `ISP_TEST_NETBOX_DIR` is its directory. `ISP_CHAOS_SUBSCRIBERS` says how many there are (2,000).

use std::collections::{HashMap, VecDeque};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use isp_core::netbox::{Kind, Sync};
use isp_core::store::Store;
use isp_core::subscriber::{Status, Subscriber};
use tokio::sync::Mutex;

use crate::bench::{Bench, on};
use crate::lab::{octets, settings};
use crate::proxy::{Fault, Proxy};

/// Of each host.
const WORKERS: usize = 25;

#[tokio::test(flavor = "multi_thread")]
async fn workers_of_two_hosts_take_one_each() {
    let test = async |bench: &Bench| run(bench, 60, &bench.lab.api.url, async |_| {}).await;
    on(false, "short", test).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_of_two_hosts_take_one_each_through_faults() {
    let test = async |bench: &Bench| {
        let proxy = Proxy::start(&bench.lab.api.url, faults).await;
        run(bench, 60, &proxy.url, async |_| {}).await;
    };
    on(true, "faulty", test).await;
}

/// Every kind of fault, on six in twenty POSTs.
fn faults(post: usize) -> Option<Fault> {
    match post % 20 {
        1 => Some(Fault::AnswerLost),
        4 => Some(Fault::AnswerCut),
        7 => Some(Fault::FailureAfter(502)),
        10 => Some(Fault::FailureInstead(500)),
        13 => Some(Fault::FailureInstead(502)),
        16 => Some(Fault::FailureInstead(429)),
        _ => None,
    }
}

fn subscribers() -> usize {
    let set = std::env::var("ISP_CHAOS_SUBSCRIBERS").ok();
    set.map_or(2_000, |count| count.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: make chaos-netbox"]
async fn long() {
    let test = async |bench: &Bench| run(bench, subscribers(), &bench.lab.api.url, async |_| {}).await;
    on(true, "long", test).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: make chaos-netbox"]
async fn long_with_netbox_killed() {
    let count = subscribers();
    let test = async |bench: &Bench| {
        run(bench, count, &bench.lab.api.url, async |done: &AtomicUsize| {
            let directory = std::env::var("ISP_TEST_NETBOX_DIR").unwrap();
            for part in [1, 2] {
                while done.load(Ordering::SeqCst) < count * 2 * part / 3 {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                for word in ["halt", "resume"] {
                    let directory = directory.clone();
                    let script = tokio::task::spawn_blocking(move || {
                        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
                        Command::new("scripts/netbox")
                            .args([word, &directory])
                            .current_dir(root)
                            .status()
                    });
                    assert!(script.await.unwrap().unwrap().success(), "scripts/netbox {word}");
                }
                eprintln!(
                    "NetBox was killed and started again after {} calls",
                    done.load(Ordering::SeqCst)
                );
            }
        })
        .await;
    };
    on(true, "killed", test).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: make chaos-netbox"]
async fn long_with_faults() {
    let test = async |bench: &Bench| {
        let proxy = Proxy::start(&bench.lab.api.url, faults).await;
        run(bench, subscribers(), &proxy.url, async |_| {}).await;
        eprintln!("{} POSTs came through the proxy", proxy.posts.load(Ordering::SeqCst));
    };
    on(true, "faults", test).await;
}

/// What a host's workers share.
struct Host {
    store: Store,
    url: String,
    queue: Mutex<VecDeque<String>>,
}

/// Both hosts ask for an address for each of `count` subscribers; `meanwhile` sees how many calls are done.
async fn run(bench: &Bench, count: usize, netbox: &str, meanwhile: impl AsyncFnOnce(&AtomicUsize)) {
    // The first prefixes run out on the way.
    let (a, _) = octets();
    let (size, step) = if count > 100 { (22, 4) } else { (27, 1) };
    let pools = count.div_ceil((1 << (32 - size)) - 2) + 1;
    for pool in 0..pools {
        let net = format!("10.{a}.{}.0/{size}", pool * step);
        bench.lab.pool(Kind::Ipv4, &net).await;
    }
    let ids: Vec<String> = (0..count).map(|number| bench.lab.id(number)).collect();
    for (number, id) in ids.iter().enumerate() {
        let subscriber = Subscriber {
            id: id.clone(),
            tenant_id: "t1".to_owned(),
            username: format!("user-{number}"),
            status: Status::Active,
            site_id: Some(bench.lab.site.to_string()),
            ..Subscriber::default()
        };
        bench.store.subscriber_add(&subscriber).await.unwrap();
    }
    let began = Instant::now();
    let (done, failed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..2 {
        let mut own = ids.clone();
        fastrand::shuffle(&mut own);
        let host = Arc::new(Host {
            store: Store::connect(&bench.url, 8, false).await.unwrap(),
            url: netbox.to_owned(),
            queue: Mutex::new(own.into()),
        });
        // One client and one knowledge of prefixes for all workers of a host.
        let allocator = bench.lab.allocator_with(&settings(&host.url), bench.lab.rules.clone());
        for _ in 0..WORKERS {
            let (host, allocator) = (host.clone(), allocator.clone());
            let (done, failed) = (done.clone(), failed.clone());
            workers.spawn(async move {
                let sync = Sync::new(&host.store, allocator, "t1", None);
                let deadline = Instant::now() + Duration::from_secs(1_800);
                loop {
                    let next = host.queue.lock().await.pop_front();
                    let Some(id) = next else { return };
                    match sync.subscriber(&id, &[Kind::Ipv4]).await {
                        Ok(_) => {
                            done.fetch_add(1, Ordering::SeqCst);
                        }
                        // As whoever ordered it would: later, again.
                        Err(error) => {
                            assert!(Instant::now() < deadline, "{id}: {error}");
                            failed.fetch_add(1, Ordering::SeqCst);
                            host.queue.lock().await.push_back(id);
                            tokio::time::sleep(Duration::from_millis(200)).await;
                        }
                    }
                }
            });
        }
    }
    let all = async {
        while let Some(worker) = workers.join_next().await {
            worker.unwrap();
        }
    };
    tokio::join!(all, meanwhile(&done));
    let taken = began.elapsed();
    assert_eq!(done.load(Ordering::SeqCst), 2 * count);
    check(bench, &ids).await;
    eprintln!(
        "{count} subscribers, 2 x {WORKERS} workers, {} calls of which {} failed and were repeated: {:.1} s, {:.1} addresses a second",
        2 * count,
        failed.load(Ordering::SeqCst),
        taken.as_secs_f64(),
        count as f64 / taken.as_secs_f64()
    );
}

/// Every subscriber has exactly one address, none is there twice, and both say the same.
async fn check(bench: &Bench, ids: &[String]) {
    let mut there: HashMap<String, Vec<(u64, String)>> = HashMap::new();
    let mut nets = HashMap::new();
    let mut start = 0;
    loop {
        let tenant = bench.lab.rules.tenant;
        let path = format!("ipam/ip-addresses/?tenant_id={tenant}&limit=1000&start={start}");
        let page = bench.lab.api.get(&path).await;
        let rows = page["results"].as_array().unwrap();
        for row in rows {
            let (id, net) = (row["id"].as_u64().unwrap(), row["address"].as_str().unwrap().to_owned());
            let owner = row["custom_fields"]["subscriber_id"].as_str().unwrap().to_owned();
            let before = nets.insert(net.clone(), owner.clone());
            assert_eq!(before, None, "{net} is there twice");
            there.entry(owner).or_default().push((id, net));
            start = start.max(id + 1);
        }
        if page["next"].is_null() || rows.is_empty() {
            break;
        }
    }
    assert_eq!(there.len(), ids.len());
    for ids in ids.chunks(500) {
        let asked: Vec<&str> = ids.iter().map(String::as_str).collect();
        let given = bench.store.assignments("t1", &asked).await.unwrap();
        assert_eq!(given.len(), ids.len());
        for given in given {
            let theirs = &there[&given.subscriber_id];
            assert_eq!(
                theirs,
                &[(given.netbox_id.unwrap(), given.net.to_string())],
                "{}",
                given.subscriber_id
            );
        }
        for one in bench.store.addressed_of("t1", &asked).await.unwrap() {
            let (id, net) = &there[&one.subscriber_id][0];
            let address = one.static_ipv4.map(|address| address.to_string());
            assert_eq!(address.as_deref(), net.split('/').next());
            assert_eq!(one.netbox_ip_id, Some(*id));
        }
    }
}
