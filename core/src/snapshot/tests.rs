#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;

use super::*;
use crate::accounting::quota::{Effect, Metric};
use crate::dictionary::{AnyAttribute, Dictionary, RowList};
use crate::group::GroupRow;
use crate::nas::NasRecord;
use crate::plan::Plan;
use crate::policy::vendor::VendorSet;
use crate::subscriber::{AttributeRow, Status, SubscriberRecord, SubscriberTier};
use crate::tenant::{LookupBy, UsernameCase, UsernameRealm};

fn tenant(id: &str, username_case: UsernameCase, username_realm: UsernameRealm) -> Tenant {
    Tenant {
        id: id.into(),
        name: id.to_uppercase(),
        enabled: true,
        username_case,
        username_realm,
        timezone: "UTC".into(),
        interim_jitter_percent: 0,
        lookup_by: LookupBy::Username,
    }
}

fn vendors() -> Arc<VendorSet> {
    Arc::new(VendorSet::shipped().unwrap())
}

fn nas(id: i64, tenant_id: &str, network: &str) -> NasRecord {
    NasRecord {
        nasname: network.to_owned(),
        kind: "other".to_owned(),
        server: None,
        secret: String::new().into(),
        require_message_authenticator: false,
        coa: crate::nas::CoaSettings::default(),
        id,
        tenant_id: tenant_id.into(),
        network: network.parse().unwrap(),
        shortname: format!("nas{id}"),
        vendor: "mikrotik".into(),
    }
}

pub(super) fn subscriber(tenant_id: &str, id: &str, username: &str) -> SubscriberRecord {
    SubscriberRecord {
        id: id.into(),
        tenant_id: tenant_id.into(),
        username: username.into(),
        status: Status::Active,
        plan_id: Some("gold".into()),
        ..SubscriberRecord::default()
    }
}

/// Tenant `a` behind 192.0.2.0/24 but for 192.0.2.9, which is `b`'s; `b` lowers names and strips realms.
pub(super) fn builder() -> SnapshotBuilder {
    let mut builder = SnapshotBuilder::new(Arc::new(AnyAttribute), vendors());
    builder.tenant(tenant("a", UsernameCase::Preserve, UsernameRealm::Keep));
    builder.tenant(tenant("b", UsernameCase::Lower, UsernameRealm::Strip));
    builder.plan(Plan {
        id: "gold".into(),
        download_rate_kbps: 9,
        upload_rate_kbps: 3,
        ..Plan::default()
    });
    builder.nas(nas(1, "a", "192.0.2.0/24"));
    builder.nas(nas(2, "b", "192.0.2.9/32"));
    builder.nas(nas(3, "b", "192.0.0.0/8"));
    builder.nas(nas(4, "b", "2001:db8::/32"));
    builder
}

/// Tenant `a`, which finds lines by this.
pub(super) fn builder_of(lookup_by: LookupBy) -> SnapshotBuilder {
    let mut builder = SnapshotBuilder::new(Arc::new(AnyAttribute), vendors());
    builder.tenant(Tenant {
        lookup_by,
        ..tenant("a", UsernameCase::Lower, UsernameRealm::Keep)
    });
    builder
}

pub(super) fn sample() -> Snapshot {
    let mut builder = builder();
    builder.subscriber(&subscriber("a", "0b4b4cf8-68b0-4aa5-9d26-2b6f2f8b1ef0", "alice"));
    builder.subscriber(&subscriber("b", "second", "Alice@example.net"));
    builder.finish().0
}

fn who(snapshot: &Snapshot, source: &str, name: &str) -> Result<String, Missing> {
    let view = snapshot.view();
    view.find(Some(source.parse().unwrap()), None, &Sender::named(name.as_bytes()))
        .map(|found| found.entry().unwrap().id())
}

#[test]
fn the_nas_decides_the_tenant_and_the_tenant_the_rules() {
    let snapshot = sample();
    let (of_a, of_b) = ("0b4b4cf8-68b0-4aa5-9d26-2b6f2f8b1ef0", "second");
    assert_eq!(who(&snapshot, "192.0.2.1", "alice").unwrap(), of_a);
    assert_eq!(who(&snapshot, "192.0.2.1", "Alice"), Err(Missing::Subscriber));
    assert_eq!(
        who(&snapshot, "192.0.2.9", "ALICE@other.example").unwrap(),
        of_b,
        "the exact row beats the network"
    );
    assert_eq!(
        who(&snapshot, "192.0.3.1", "alice").unwrap(),
        of_b,
        "the longer prefix beats the shorter"
    );
    assert_eq!(who(&snapshot, "2001:db8::1", "alice").unwrap(), of_b);
    assert_eq!(
        who(&snapshot, "::ffff:192.0.2.9", "alice").unwrap(),
        of_b,
        "a mapped address is the IPv4 address"
    );
    assert_eq!(who(&snapshot, "198.51.100.1", "alice"), Err(Missing::Nas));
    assert!(
        snapshot.view().find(None, Some("A"), &Sender::named(b"alice")).is_ok(),
        "the default tenant serves unlisted sources"
    );
}

/// Only as text are two spellings of an address two: of one tenant's NAS nobody makes another's.
#[test]
fn a_nas_that_is_written_twice_stays_whose_it_was() {
    for network in ["192.0.2.7/32", "192.0.2.0/24"] {
        let mut builder = builder();
        builder.tenant(tenant("a", UsernameCase::Preserve, UsernameRealm::Keep));
        builder.tenant(tenant("b", UsernameCase::Preserve, UsernameRealm::Keep));
        builder.nas(nas(1, "a", network));
        builder.nas(nas(2, "b", network));
        builder.subscriber(&subscriber("a", "of-a", "alice"));
        builder.subscriber(&subscriber("b", "of-b", "alice"));
        let snapshot = builder.finish().0;
        assert_eq!(who(&snapshot, "192.0.2.7", "alice").unwrap(), "of-a", "{network}");
    }
}

#[test]
fn a_record_gives_back_what_went_in() {
    let mut builder = builder();
    let row = |id, attribute: &str| AttributeRow {
        id,
        attribute: attribute.into(),
        op: "+=".into(),
        value: "x".into(),
    };
    let rich = SubscriberRecord {
        static_ipv4: Some("192.0.2.77".parse().unwrap()),
        delegated_ipv6_prefix: Some("2001:db8:7::/56".parse().unwrap()),
        vlan_id: Some(4094),
        expiration_date: Some(i64::MAX),
        tier: Some(SubscriberTier {
            effect: Effect::Plan("gold".into()),
            metric: Metric::Time,
            until: 1 << 40,
        }),
        checks: vec![row(1, "NAS-Port-Type")],
        replies: vec![row(2, "Cisco-AVPair"), row(3, "Cisco-AVPair")],
        ..subscriber("a", "not-a-uuid", "rich")
    };
    builder.subscriber(&rich);
    let snapshot = builder.finish().0;
    let view = snapshot.view();
    let found = view
        .find(Some("192.0.2.1".parse().unwrap()), None, &Sender::named(b"rich"))
        .unwrap();
    let entry = found.entry().unwrap();
    assert_eq!(entry.id(), "not-a-uuid");
    assert_eq!(entry.facts.static_ipv4, rich.static_ipv4);
    assert_eq!(entry.facts.delegated_ipv6_prefix, rich.delegated_ipv6_prefix);
    assert_eq!(entry.facts.vlan_id, rich.vlan_id);
    assert_eq!(entry.facts.expiration_date, rich.expiration_date);
    assert!(entry.facts.has_checks);
    assert_eq!(
        entry
            .replies
            .iter()
            .map(|row| (row.id, row.attribute))
            .collect::<Vec<_>>(),
        [(2, "Cisco-AVPair"), (3, "Cisco-AVPair")]
    );
    assert_eq!(found.plan(entry.plan.unwrap()).unwrap().plan.id, "gold");
    let tier = found.tier(entry.tier.unwrap()).unwrap();
    assert!(matches!(tier.effect, TierEffect::Plan(plan) if plan.plan.id == "gold"));
    assert_eq!((tier.of_time, tier.until), (true, 1 << 40));
}

#[test]
fn of_two_subscribers_with_one_normalized_name_the_first_is_served() {
    let mut builder = builder();
    builder.subscriber(&subscriber("b", "first", "bob"));
    builder.subscriber(&subscriber("b", "later", "BOB@realm"));
    let (snapshot, left_out) = builder.finish();
    assert_eq!(
        left_out.iter().map(|out| out.id.as_str()).collect::<Vec<_>>(),
        ["later"]
    );
    assert_eq!(snapshot.len(), 1);
    assert_eq!(who(&snapshot, "192.0.2.9", "Bob").unwrap(), "first");
}

#[test]
fn only_the_subscriber_itself_is_removed() {
    let snapshot = sample();
    assert!(!snapshot.remove(1, "alice", "somebody else"));
    assert!(snapshot.remove(1, "alice", "second"));
    assert!(!snapshot.remove(1, "alice", "second"));
    assert_eq!(snapshot.len(), 1);
}

#[test]
fn a_row_the_server_cannot_build_marks_the_subscriber() {
    struct Strict;
    impl Dictionary for Strict {
        fn check_row(&self, _: RowList, row: &AttributeRow) -> Result<(), String> {
            if row.attribute == "Framed-Pool" {
                Ok(())
            } else {
                Err("unknown attribute".into())
            }
        }
    }
    let row = AttributeRow {
        id: 17,
        attribute: "Framed-Poool".into(),
        op: "=".into(),
        value: "x".into(),
    };
    let mut builder = SnapshotBuilder::new(Arc::new(Strict), vendors());
    builder.tenant(tenant("a", UsernameCase::Preserve, UsernameRealm::Keep));
    builder.subscriber(&SubscriberRecord {
        replies: vec![row],
        ..subscriber("a", "s", "alice")
    });
    let snapshot = builder.finish().0;
    let view = snapshot.view();
    let found = view.find(None, Some("a"), &Sender::named(b"alice")).unwrap();
    assert_eq!(
        found.entry().unwrap().fault,
        Some("radreply row 17, attribute Framed-Poool: unknown attribute")
    );
}

#[test]
fn a_successor_catalog_keeps_indices() {
    let snapshot = sample();
    let before = snapshot.catalog();
    let mut after = before.successor();
    assert_eq!(after.tenant_index("b"), None, "a tenant that is gone serves nobody");
    after.add_tenant(tenant("c", UsernameCase::Preserve, UsernameRealm::Keep));
    after.add_tenant(tenant("b", UsernameCase::Preserve, UsernameRealm::Strip));
    assert_eq!(after.tenant_index("b"), before.tenant_index("b"));
    assert!(after.rules_differ(&before), "b keeps the case of names now");
    assert_eq!(after.known_plan_index("gold"), before.known_plan_index("gold"));
}

#[test]
fn the_copy_on_disk_comes_back_whole() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("snapshot");
    sample().save(&path, "position 7", 1_234).unwrap();
    let stored = Snapshot::load(&path, vendors()).unwrap();
    assert_eq!((stored.position.as_str(), stored.confirmed_at), ("position 7", 1_234));
    assert_eq!(stored.snapshot.len(), 2);
    assert_eq!(who(&stored.snapshot, "192.0.2.9", "alice").unwrap(), "second");
    let view = stored.snapshot.view();
    let found = view
        .find(Some("192.0.2.9".parse().unwrap()), None, &Sender::named(b"alice"))
        .unwrap();
    assert_eq!(
        found
            .plan(found.entry().unwrap().plan.unwrap())
            .unwrap()
            .plan
            .download_rate_kbps,
        9
    );
}

#[test]
fn the_copy_on_disk_is_readable_by_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("snapshot");
    sample().save(&path, "", 0).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_damaged_copy_is_never_taken() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("snapshot");
    sample().save(&path, "position", 1).unwrap();
    let whole = std::fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        std::fs::write(&path, &damaged).unwrap();
        assert!(Snapshot::load(&path, vendors()).is_err(), "byte {at} flipped");
        std::fs::write(&path, &whole[..at]).unwrap();
        assert!(Snapshot::load(&path, vendors()).is_err(), "cut at {at}");
    }
}

#[test]
fn a_subscriber_being_replaced_is_never_absent() {
    let snapshot = sample();
    let record = snapshot.get(0, "alice").unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut looked = 0_u32;
            while !done.load(Ordering::Relaxed) || looked == 0 {
                assert!(who(&snapshot, "192.0.2.1", "alice").is_ok());
                looked += 1;
            }
        });
        for _ in 0..20_000 {
            snapshot.insert(record.clone());
        }
        done.store(true, Ordering::Relaxed);
        reader.join().unwrap();
    });
    assert_eq!(snapshot.len(), 2);
}

proptest! {
    #[test]
    fn any_name_that_fits_is_found_again(names in proptest::collection::hash_set("\\PC{0,40}", 1..50)) {
        let mut builder = builder();
        for name in &names {
            builder.subscriber(&subscriber("a", name, name));
        }
        let snapshot = builder.finish().0;
        for name in &names {
            prop_assert_eq!(who(&snapshot, "192.0.2.1", name), Ok(name.clone()));
        }
        prop_assert_eq!(snapshot.len(), names.len());
    }

    #[test]
    fn no_bytes_make_a_copy_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("snapshot");
        let mut file = b"ISPSNAP\x02".to_vec();
        file.extend(bytes);
        std::fs::write(&path, file).unwrap();
        prop_assert!(Snapshot::load(&path, vendors()).is_err());
    }
}

fn group_row(tenant_id: &str, group: &str, list: RowList, attribute: &str) -> GroupRow {
    GroupRow {
        tenant_id: tenant_id.into(),
        group: group.into(),
        list,
        row: AttributeRow {
            id: 7,
            attribute: attribute.into(),
            op: ":=".into(),
            value: "x".into(),
        },
    }
}

/// Knows no attribute that is named Bad.
struct NoBad;

impl Dictionary for NoBad {
    fn check_row(&self, _: RowList, row: &AttributeRow) -> Result<(), String> {
        if row.attribute == "Bad" {
            Err("no such attribute".into())
        } else {
            Ok(())
        }
    }
}

/// Attributes of the replies and the fault of each group of a subscriber, in order.
fn groups_of(snapshot: &Snapshot, source: &str, name: &str) -> Vec<(Vec<String>, Option<String>)> {
    let view = snapshot.view();
    let found = view
        .find(Some(source.parse().unwrap()), None, &Sender::named(name.as_bytes()))
        .unwrap();
    let entry = found.entry().unwrap();
    let groups = entry.groups.iter().map(|&index| found.group(index));
    groups
        .map(|group| {
            let attributes = group.replies.iter().map(|row| row.attribute.clone()).collect();
            (attributes, group.fault.clone())
        })
        .collect()
}

#[test]
fn groups_are_shared_by_their_members_and_keep_their_order() {
    let mut builder = SnapshotBuilder::new(Arc::new(NoBad), vendors());
    builder.tenant(tenant("a", UsernameCase::Preserve, UsernameRealm::Keep));
    builder.tenant(tenant("b", UsernameCase::Preserve, UsernameRealm::Keep));
    builder.nas(nas(1, "a", "192.0.2.0/24"));
    builder.nas(nas(2, "b", "192.0.2.9/32"));
    builder.group_row(group_row("a", "gold", RowList::Reply, "Class"));
    builder.group_row(group_row("b", "gold", RowList::Reply, "Filter-Id"));
    builder.group_row(group_row("a", "broken", RowList::Reply, "Bad"));
    builder.group_row(group_row("a", "profile", RowList::Check, "User-Profile"));
    builder.group_row(group_row("a", "program", RowList::Reply, "exec-program-wait"));
    for (tenant, id, groups) in [
        ("a", "one", vec!["none yet", "gold", "gold"]),
        ("a", "two", vec!["broken", "profile", "program"]),
        ("b", "one", vec!["gold"]),
    ] {
        builder.subscriber(&SubscriberRecord {
            groups: groups.into_iter().map(str::to_owned).collect(),
            ..subscriber(tenant, &format!("{tenant}-{id}"), id)
        });
    }
    let snapshot = builder.finish().0;
    let directory = tempfile::tempdir().unwrap();
    snapshot.save(&directory.path().join("copy"), "1", 2).unwrap();
    let copy = Snapshot::load(&directory.path().join("copy"), vendors())
        .unwrap()
        .snapshot;
    for snapshot in [&snapshot, &copy] {
        let gold = (vec!["Class".to_owned()], None);
        assert_eq!(
            groups_of(snapshot, "192.0.2.1", "one"),
            [(vec![], None), gold.clone(), gold]
        );
        assert_eq!(
            groups_of(snapshot, "192.0.2.9", "one"),
            [(vec!["Filter-Id".to_owned()], None)]
        );
        let faults: Vec<_> = groups_of(snapshot, "192.0.2.1", "two")
            .into_iter()
            .filter_map(|g| g.1)
            .collect();
        assert_eq!(
            faults[0],
            "group \"broken\": radgroupreply row 7, attribute Bad: no such attribute"
        );
        assert!(
            faults[1].contains("radgroupcheck row 7, attribute User-Profile"),
            "{faults:?}"
        );
        assert!(faults[2].contains("a row runs no program"), "{faults:?}");
    }

    // Rows arrive, and go, without the members being read again.
    let before = snapshot.catalog();
    let mut after = before.successor();
    after.add_tenant(tenant("a", UsernameCase::Preserve, UsernameRealm::Keep));
    after.add_nas(nas(1, "a", "192.0.2.0/24"));
    after.add_group_row(group_row("a", "none yet", RowList::Reply, "Session-Timeout"));
    after.judge_groups(&NoBad, &before);
    snapshot.replace_catalog(after);
    assert_eq!(
        groups_of(&snapshot, "192.0.2.1", "one"),
        [
            (vec!["Session-Timeout".to_owned()], None),
            (vec![], None),
            (vec![], None)
        ]
    );
}
