//! Answers that do not come, or say what is not so: no address is taken twice, and none is lost.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use isp_core::netbox::{AllocationError, Kind, NetboxError, Rules};

use crate::lab::{Lab, octets, settings};
use crate::proxy::{Fault, Proxy};

async fn lab(name: &str, size: u8) -> Option<Lab> {
    let lab = Lab::new(name).await?;
    let (a, b) = octets();
    lab.pool(Kind::Ipv4, &format!("10.{a}.{b}.0/{size}")).await;
    Some(lab)
}

#[tokio::test]
async fn an_answer_that_is_lost_after_the_commit_costs_no_address() {
    for fault in [
        Fault::AnswerLost,
        Fault::AnswerCut,
        Fault::FailureAfter(500),
        Fault::FailureAfter(502),
        Fault::FailureInstead(500),
        Fault::FailureInstead(503),
        Fault::FailureInstead(429),
    ] {
        let Some(lab) = lab("lost", 29).await else { return };
        let proxy = Proxy::start(&lab.api.url, move |post| (post == 0).then_some(fault)).await;
        let allocator = lab.allocator_with(&settings(&proxy.url), lab.rules.clone());
        let id = lab.id(1);
        let given = allocator.allocate(&lab.wanted(&id, Kind::Ipv4)).await;
        let given = given.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        assert_eq!(lab.addresses().await, [(given.net.to_string(), id)], "{fault:?}");
    }
}

/// Nothing says whether the first is still on its way: a second is for a later run, which looks first.
#[tokio::test]
async fn without_a_key_what_may_have_been_done_is_not_asked_for_again() {
    let Some(lab) = lab("keyless", 29).await else { return };
    let rules = Rules {
        key_field: None,
        ..lab.rules.clone()
    };
    for (number, fault) in [Fault::AnswerLost, Fault::FailureInstead(500)].into_iter().enumerate() {
        let proxy = Proxy::start(&lab.api.url, move |post| (post == 0).then_some(fault)).await;
        let allocator = lab.allocator_with(&settings(&proxy.url), rules.clone());
        let id = lab.id(number);
        let wanted = lab.wanted(&id, Kind::Ipv4);
        let first = allocator.allocate(&wanted).await;
        assert_eq!(proxy.posts.load(Ordering::SeqCst), 1);
        match fault {
            // It was done, and is found.
            Fault::AnswerLost => assert!(first.is_ok(), "{first:?}"),
            _ => {
                let error = first.unwrap_err();
                assert!(
                    matches!(error, AllocationError::Netbox(NetboxError::Failed { .. })),
                    "{error}"
                );
            }
        }
        allocator.allocate(&wanted).await.unwrap();
    }
    assert_eq!(lab.addresses().await.len(), 2);
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    let Some(lab) = lab("never", 29).await else { return };
    let proxy = Proxy::start(&lab.api.url, |_| Some(Fault::FailureInstead(500))).await;
    let allocator = lab.allocator_with(&settings(&proxy.url), lab.rules.clone());
    let id = lab.id(1);
    let error = allocator.allocate(&lab.wanted(&id, Kind::Ipv4)).await.unwrap_err();
    assert!(error.to_string().contains("fails to take ipv4"), "{error}");
    assert_eq!(proxy.posts.load(Ordering::SeqCst), 5);
}

#[tokio::test]
async fn a_timeout_is_followed_by_a_look() {
    let Some(lab) = lab("timeout", 29).await else { return };
    // Far below what NetBox needs: each request times out and is carried out all the same.
    let mut hasty = settings(&lab.api.url);
    hasty.timeout = Duration::from_millis(5);
    hasty.retries = 0;
    let id = lab.id(1);
    let wanted = lab.wanted(&id, Kind::Ipv4);
    let allocator = lab.allocator();
    // Which prefixes there are, it knows; the rest fails.
    let hasty = lab.allocator_with(&hasty, lab.rules.clone());
    let pool = allocator
        .allocate(&lab.wanted(&lab.id(9), Kind::Ipv4))
        .await
        .unwrap()
        .pool
        .unwrap();
    hasty.know(wanted.site.as_ref(), Kind::Ipv4, vec![pool]);
    hasty.allocate(&wanted).await.unwrap_err();
    // The patient one finds what that left behind, or takes the first.
    allocator.allocate(&wanted).await.unwrap();
    let of_it = lab
        .addresses()
        .await
        .into_iter()
        .filter(|(_, subscriber)| *subscriber == id);
    assert_eq!(of_it.count(), 1);
}

/// Lists, through a proxy that loses every third answer and refuses every fourth request, by two at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_through_faults_take_each_exactly_once() {
    let Some(lab) = lab("lists", 25).await else { return };
    let proxy = Proxy::start(&lab.api.url, |post| match post {
        post if post % 3 == 2 => Some(Fault::AnswerLost),
        post if post % 4 == 3 => Some(Fault::FailureInstead(502)),
        _ => None,
    })
    .await;
    let ids: Vec<String> = (0..60).map(|number| lab.id(number)).collect();
    let wanted: Vec<_> = ids.iter().map(|id| lab.wanted(id, Kind::Ipv4)).collect();
    let (one, two) = (
        lab.allocator_with(&settings(&proxy.url), lab.rules.clone()),
        lab.allocator_with(&settings(&proxy.url), lab.rules.clone()),
    );
    let backwards: Vec<_> = wanted.iter().rev().cloned().collect();
    let (forth, back) = tokio::join!(one.allocate_all(&wanted), two.allocate_all(&backwards));
    for (forth, back) in forth.iter().zip(back.iter().rev()) {
        assert_eq!(forth.as_ref().unwrap().id, back.as_ref().unwrap().id);
    }
    let rows = lab.addresses().await;
    let nets: HashSet<&String> = rows.iter().map(|(net, _)| net).collect();
    let subscribers: HashSet<&String> = rows.iter().map(|(_, subscriber)| subscriber).collect();
    assert_eq!((rows.len(), nets.len(), subscribers.len()), (60, 60, 60));
}
