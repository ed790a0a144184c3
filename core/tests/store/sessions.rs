//! Sessions read back. The rows are written here, as any writer may.

use isp_core::store::{Session, SessionFilter};

use crate::harness::{Database, subscriber, tenant};

on_both_databases!(
    a_session_comes_back_whole,
    a_session_of_nobody_comes_back,
    every_filter_filters,
    filters_join,
    the_period_counts_its_ends,
    pages_follow_each_other,
    a_deleted_subscriber_is_still_named,
    tenants_do_not_see_each_other,
);

/// 2026-11-01T00:00:00Z.
pub(crate) const T: i64 = 1_793_491_200;

/// A moment as the database's SQL writes it.
pub(crate) fn at(db: &Database, seconds: i64) -> String {
    if db.is_sqlite() {
        format!("datetime({seconds}, 'unixepoch')")
    } else {
        format!("to_timestamp({seconds})")
    }
}

/// A session of tenant `t1` on 192.0.2.1, with further columns as SQL. The number is its id.
pub(crate) async fn put(db: &Database, id: i64, start: i64, stop: Option<i64>, columns: &[(&str, &str)]) {
    if let (Some(stop), false) = (stop, db.is_sqlite()) {
        db.query(&format!("SELECT radacct_create_month(to_timestamp({stop}))::text"))
            .await;
    }
    let stop = stop.map_or("NULL".to_owned(), |stop| at(db, stop));
    let (id, start, unique) = (id.to_string(), at(db, start), format!("'{id:032x}'"));
    let mut all = vec![
        ("radacctid", id.as_str()),
        ("acctsessionid", "'s'"),
        ("acctuniqueid", unique.as_str()),
        ("nasipaddress", "'192.0.2.1'"),
        ("tenant_id", "'t1'"),
        ("acctstarttime", &start),
        ("acctupdatetime", &start),
        ("acctstoptime", &stop),
    ];
    for column in columns {
        all.retain(|(name, _)| *name != column.0);
        all.push(*column);
    }
    let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
    let values: Vec<&str> = all.iter().map(|(_, value)| *value).collect();
    db.raw(&format!(
        "INSERT INTO radacct ({}) VALUES ({})",
        names.join(", "),
        values.join(", ")
    ))
    .await;
}

fn ids(sessions: &[Session]) -> Vec<i64> {
    sessions.iter().map(|session| session.id).collect()
}

async fn listed(db: &Database, filter: SessionFilter) -> Vec<i64> {
    ids(&db.store.session_list(&filter).await.unwrap())
}

async fn a_session_comes_back_whole(db: &Database) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    db.store.subscriber_add(&subscriber("ada", "t1")).await.unwrap();
    let update = at(db, T + 50);
    put(
        db,
        7,
        T,
        Some(T + 60),
        &[
            ("acctsessionid", "'0001'"),
            ("acctmultisessionid", "'m1'"),
            ("subscriber_id", "'ada'"),
            ("username", "'ada@isp'"),
            ("realm", "'isp'"),
            ("nasipaddress", "'2001:db8::1'"),
            ("nasportid", "'ge-0/1'"),
            ("nasporttype", "'Ethernet'"),
            ("acctupdatetime", &update),
            ("start_reported", "true"),
            ("stop_inferred", "true"),
            ("acctterminatecause", "'NAS-Reboot'"),
            ("acctsessiontime", "60"),
            ("acctinputoctets", "5000000000"),
            ("acctoutputoctets", "9000000000000000000"),
            ("callingstationid", "'AA-BB-CC-DD-EE-FF'"),
            ("calling_mac", "'aabbccddeeff'"),
            ("calledstationid", "'pppoe1'"),
            ("framedipaddress", "'10.0.0.7'"),
            ("framedipv6address", "'2001:db8:1::7'"),
            ("framedipv6prefix", "'2001:db8:2::/64'"),
            ("framedinterfaceid", "'0:0:0:7'"),
            ("delegatedipv6prefix", "'2001:db8:300::/56'"),
            ("servicetype", "'Framed-User'"),
            ("framedprotocol", "'PPP'"),
            ("acctauthentic", "'RADIUS'"),
            ("connectinfo_start", "'1G'"),
            ("connectinfo_stop", "'bye'"),
            ("class", "'0x67'"),
        ],
    )
    .await;
    let text = |text: &str| Some(text.to_owned());
    let expected = Session {
        id: 7,
        acct_session_id: "0001".to_owned(),
        acct_unique_id: format!("{:032x}", 7),
        acct_multi_session_id: text("m1"),
        tenant_id: text("t1"),
        subscriber_id: text("ada"),
        subscriber_number: text("N-ada"),
        full_name: text("Ada L."),
        subscriber_deleted_at: None,
        username: text("ada@isp"),
        realm: text("isp"),
        nas_ip_address: "2001:db8::1".parse().unwrap(),
        nas_port_id: text("ge-0/1"),
        nas_port_type: text("Ethernet"),
        started_at: Some(T),
        last_heard_at: Some(T + 50),
        stopped_at: Some(T + 60),
        start_reported: true,
        stop_inferred: true,
        terminate_cause: text("NAS-Reboot"),
        session_time: 60,
        upload_octets: 5_000_000_000,
        download_octets: 9_000_000_000_000_000_000,
        calling_station_id: text("AA-BB-CC-DD-EE-FF"),
        called_station_id: text("pppoe1"),
        framed_ip_address: Some("10.0.0.7".parse().unwrap()),
        framed_ipv6_address: Some("2001:db8:1::7".parse().unwrap()),
        framed_ipv6_prefix: Some("2001:db8:2::/64".parse().unwrap()),
        framed_interface_id: text("0:0:0:7"),
        delegated_ipv6_prefix: Some("2001:db8:300::/56".parse().unwrap()),
        service_type: text("Framed-User"),
        framed_protocol: text("PPP"),
        authentic: text("RADIUS"),
        connect_info_start: text("1G"),
        connect_info_stop: text("bye"),
        class: text("0x67"),
    };
    assert_eq!(
        db.store.session_get(Some("t1"), 7).await.unwrap(),
        Some(expected.clone())
    );
    assert_eq!(db.store.session_get(None, 7).await.unwrap(), Some(expected.clone()));
    assert_eq!(db.store.session_get(Some("t2"), 7).await.unwrap(), None);
    assert_eq!(db.store.session_get(None, 8).await.unwrap(), None);
    assert_eq!(
        db.store.session_list(&SessionFilter::default()).await.unwrap(),
        [expected]
    );
}

async fn a_session_of_nobody_comes_back(db: &Database) {
    put(db, 1, T, None, &[("tenant_id", "NULL"), ("acctupdatetime", "NULL")]).await;
    let sessions = db.store.session_list(&SessionFilter::default()).await.unwrap();
    let [session] = sessions.as_slice() else {
        panic!("{sessions:?}")
    };
    assert_eq!((&session.tenant_id, &session.username), (&None, &None));
    assert_eq!((session.last_heard_at, session.stopped_at), (None, None));
    assert_eq!((session.session_time, session.upload_octets), (0, 0));
}

async fn every_filter_filters(db: &Database) {
    put(
        db,
        1,
        T,
        Some(T + 9),
        &[("username", "'ada'"), ("subscriber_id", "'s-ada'")],
    )
    .await;
    put(
        db,
        2,
        T,
        None,
        &[("username", "'ada'"), ("framedipaddress", "'10.0.0.1'")],
    )
    .await;
    put(
        db,
        3,
        T,
        None,
        &[("nasipaddress", "'192.0.2.3'"), ("calling_mac", "'0000ccddeeff'")],
    )
    .await;
    put(
        db,
        4,
        T,
        Some(T + 9),
        &[("nasipaddress", "'192.0.2.3'"), ("tenant_id", "'t2'")],
    )
    .await;
    put(db, 5, T, None, &[("framedipv6address", "'2001:db8::5'")]).await;
    let all = SessionFilter::default;
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(listed(db, all()).await, [5, 4, 3, 2, 1]);
    assert_eq!(
        listed(
            db,
            SessionFilter {
                tenant_id: text("t2"),
                ..all()
            }
        )
        .await,
        [4]
    );
    assert_eq!(
        listed(
            db,
            SessionFilter {
                username: text("ada"),
                ..all()
            }
        )
        .await,
        [2, 1]
    );
    assert_eq!(
        listed(
            db,
            SessionFilter {
                subscriber_id: text("s-ada"),
                ..all()
            }
        )
        .await,
        [1]
    );
    assert_eq!(
        listed(
            db,
            SessionFilter {
                acct_unique_id: Some(format!("{:032x}", 4)),
                ..all()
            }
        )
        .await,
        [4]
    );
    let nas = Some("192.0.2.3".parse().unwrap());
    assert_eq!(listed(db, SessionFilter { nas, ..all() }).await, [4, 3]);
    assert_eq!(
        listed(
            db,
            SessionFilter {
                nas,
                open: true,
                ..all()
            }
        )
        .await,
        [3]
    );
    assert_eq!(listed(db, SessionFilter { open: true, ..all() }).await, [5, 3, 2]);
    assert_eq!(
        listed(
            db,
            SessionFilter {
                limit: Some(2),
                ..all()
            }
        )
        .await,
        [5, 4]
    );
    for (address, id) in [
        ("10.0.0.1", 2),
        ("00:00:cc:dd:ee:ff", 3),
        ("2001:db8::5", 5),
        ("2001:db8::/64", 5),
    ] {
        let address = Some(address.parse().unwrap());
        assert_eq!(
            listed(db, SessionFilter { address, ..all() }).await,
            [id],
            "{address:?}"
        );
    }
}

async fn filters_join(db: &Database) {
    put(
        db,
        1,
        T,
        Some(T + 9),
        &[("username", "'ada'"), ("framedipaddress", "'10.0.0.1'")],
    )
    .await;
    put(
        db,
        2,
        T,
        None,
        &[("username", "'ada'"), ("framedipaddress", "'10.0.0.1'")],
    )
    .await;
    put(
        db,
        3,
        T,
        None,
        &[("username", "'bob'"), ("framedipaddress", "'10.0.0.1'")],
    )
    .await;
    put(
        db,
        4,
        T,
        None,
        &[("username", "'ada'"), ("nasipaddress", "'192.0.2.9'")],
    )
    .await;
    let filter = SessionFilter {
        username: Some("ada".to_owned()),
        address: Some("10.0.0.1".parse().unwrap()),
        open: true,
        nas: Some("192.0.2.1".parse().unwrap()),
        ..SessionFilter::default()
    };
    assert_eq!(listed(db, filter.clone()).await, [2]);
    let unique = SessionFilter {
        acct_unique_id: Some(format!("{:032x}", 1)),
        ..filter.clone()
    };
    assert_eq!(listed(db, unique).await, [0; 0]);
    let tomorrow = SessionFilter {
        period: Some(T - 9..=T - 1),
        ..filter
    };
    assert_eq!(listed(db, tomorrow).await, [0; 0], "it began later");
}

async fn the_period_counts_its_ends(db: &Database) {
    put(db, 1, T, Some(T + 100), &[]).await;
    put(db, 2, T + 100, None, &[]).await;
    for (from, to, expected) in [
        (T - 9, T - 1, vec![]),
        (T - 9, T, vec![1]),
        (T, T, vec![1]),
        (T + 99, T + 99, vec![1]),
        (T + 100, T + 100, vec![2, 1]),
        (T + 101, T + 101, vec![2]),
        (i64::MIN, i64::MAX, vec![2, 1]),
    ] {
        let filter = SessionFilter {
            period: Some(from..=to),
            ..SessionFilter::default()
        };
        assert_eq!(
            listed(db, filter).await,
            expected,
            "{} to {}",
            from.wrapping_sub(T),
            to.wrapping_sub(T)
        );
    }
}

async fn pages_follow_each_other(db: &Database) {
    for id in 1..=7 {
        let stop = (id % 2 == 0).then_some(T + id * 5_000_000);
        put(
            db,
            id,
            T,
            stop,
            &[("username", "'ada'"), ("framedipv6address", "'2001:db8::1'")],
        )
        .await;
    }
    for filter in [
        SessionFilter::default(),
        SessionFilter {
            username: Some("ada".to_owned()),
            ..SessionFilter::default()
        },
        SessionFilter {
            address: Some("2001:db8::/32".parse().unwrap()),
            ..SessionFilter::default()
        },
    ] {
        let mut page = SessionFilter {
            limit: Some(3),
            ..filter
        };
        let mut seen = Vec::new();
        loop {
            let sessions = listed(db, page.clone()).await;
            page.after = sessions.last().copied();
            seen.extend_from_slice(&sessions);
            if sessions.len() < 3 {
                break;
            }
        }
        assert_eq!(seen, [7, 6, 5, 4, 3, 2, 1]);
    }
}

async fn a_deleted_subscriber_is_still_named(db: &Database) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    db.store.subscriber_add(&subscriber("ada", "t1")).await.unwrap();
    put(db, 1, T, Some(T + 9), &[("subscriber_id", "'ada'")]).await;
    db.store.subscriber_delete("t1", "ada", None).await.unwrap();
    let session = db.store.session_get(None, 1).await.unwrap().unwrap();
    assert_eq!(session.subscriber_number.as_deref(), Some("N-ada"));
    assert!(session.subscriber_deleted_at.is_some());
    db.raw("DELETE FROM subscribers").await;
    let session = db.store.session_get(None, 1).await.unwrap().unwrap();
    assert_eq!(
        (session.subscriber_id.as_deref(), session.subscriber_number),
        (Some("ada"), None)
    );
}

async fn tenants_do_not_see_each_other(db: &Database) {
    let mine = [
        ("framedipaddress", "'10.0.0.1'"),
        ("calling_mac", "'0000ccddeeff'"),
        ("username", "'ada'"),
    ];
    put(db, 1, T, None, &mine).await;
    put(db, 2, T, None, &[&mine[..], &[("tenant_id", "'t2'")]].concat()).await;
    put(db, 3, T, None, &[&mine[..], &[("tenant_id", "NULL")]].concat()).await;
    for filter in [
        SessionFilter {
            address: Some("10.0.0.1".parse().unwrap()),
            ..SessionFilter::default()
        },
        SessionFilter {
            address: Some("00:00:cc:dd:ee:ff".parse().unwrap()),
            ..SessionFilter::default()
        },
        SessionFilter {
            username: Some("ada".to_owned()),
            ..SessionFilter::default()
        },
        SessionFilter {
            open: true,
            ..SessionFilter::default()
        },
        SessionFilter::default(),
    ] {
        let theirs = SessionFilter {
            tenant_id: Some("t2".to_owned()),
            ..filter
        };
        assert_eq!(listed(db, theirs).await, [2]);
    }
}
