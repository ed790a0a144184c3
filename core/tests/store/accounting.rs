//! Sessions and authentication outcomes, as nodes write them.

use std::net::IpAddr;

use isp_core::accounting::{AccountingRecord, AcctStatusType, PostAuthRecord};
use isp_core::policy::Reason;

use crate::harness::{Database, subscriber, tenant};

on_both_databases!(
    a_session_is_one_row,
    octets_are_64_bit,
    any_record_makes_the_row,
    a_start_decides_when_the_session_began,
    nothing_goes_down,
    a_closed_session_stays_closed,
    a_retransmission_changes_nothing,
    a_batch_keeps_the_order_of_a_session,
    history_names_who_is_gone,
    whatever_a_packet_holds_can_be_stored,
    a_refused_batch_leaves_nothing,
    authentications_are_recorded,
);

/// A moment to count from.
pub(crate) const T: i64 = 1_700_000_000;

pub(crate) fn record(status: AcctStatusType, unique: &str, at: i64) -> AccountingRecord {
    AccountingRecord {
        status,
        tenant_id: Some("t1".to_owned()),
        subscriber_id: Some("ada".to_owned()),
        acct_session_id: format!("id-{unique}"),
        acct_unique_id: format!("{unique:0>32}"),
        user_name: "ada".to_owned(),
        realm: String::new(),
        nas_ip_address: "192.0.2.1".parse().unwrap(),
        nas_port_id: Some("ge-0/0/1".to_owned()),
        nas_port_type: Some("Ethernet".to_owned()),
        event_time: T + at,
        session_time: None,
        authentic: Some("RADIUS".to_owned()),
        connect_info: None,
        input_octets: None,
        output_octets: None,
        called_station_id: Some("bras".to_owned()),
        calling_station_id: Some("00:11:22:33:44:55".to_owned()),
        terminate_cause: None,
        service_type: Some("Framed-User".to_owned()),
        framed_protocol: Some("PPP".to_owned()),
        framed_ip_address: Some("198.51.100.7".parse().unwrap()),
        framed_ipv6_address: Some("2001:db8::7".parse().unwrap()),
        framed_ipv6_prefix: Some("2001:db8:7::/64".parse().unwrap()),
        framed_interface_id: Some("::1".to_owned()),
        delegated_ipv6_prefix: Some("2001:db8:700::/56".parse().unwrap()),
        class: Some("gold".to_owned()),
        multi_session_id: Some("multi-7".to_owned()),
        gigawords: false,
        received: T + at,
        interim_interval: None,
    }
}

pub(crate) fn start(unique: &str, at: i64) -> AccountingRecord {
    record(AcctStatusType::Start, unique, at)
}

fn counted(status: AcctStatusType, unique: &str, at: i64, seconds: u32, input: u64, output: u64) -> AccountingRecord {
    AccountingRecord {
        session_time: Some(seconds),
        input_octets: Some(input),
        output_octets: Some(output),
        ..record(status, unique, at)
    }
}

pub(crate) fn interim(unique: &str, at: i64, seconds: u32, input: u64, output: u64) -> AccountingRecord {
    counted(AcctStatusType::InterimUpdate, unique, at, seconds, input, output)
}

pub(crate) fn stop(unique: &str, at: i64, seconds: u32, input: u64, output: u64) -> AccountingRecord {
    AccountingRecord {
        terminate_cause: Some("User-Request".to_owned()),
        ..counted(AcctStatusType::Stop, unique, at, seconds, input, output)
    }
}

pub(crate) fn on(at: i64) -> AccountingRecord {
    record(AcctStatusType::AccountingOn, "", at)
}

pub(crate) async fn prepare(db: &Database) {
    for id in ["t1", "t2"] {
        db.store.tenant_add(&tenant(id)).await.unwrap();
    }
    db.store.subscriber_add(&subscriber("ada", "t1")).await.unwrap();
}

pub(crate) async fn write(db: &Database, records: &[AccountingRecord]) {
    db.store.record_accounting(records).await.unwrap();
}

/// `start update stop time in out cause`, times in seconds after `T`, of one session.
pub(crate) async fn session(db: &Database, unique: &str) -> String {
    let columns = ["acctstarttime", "acctupdatetime", "acctstoptime"].map(|column| {
        if db.is_sqlite() {
            format!("coalesce(CAST(unixepoch({column}) - {T} AS TEXT), '-')")
        } else {
            format!("coalesce((extract(epoch FROM {column})::bigint - {T})::text, '-')")
        }
    });
    db.value(&format!(
        "SELECT {} || ' ' || {} || ' ' || {} || ' ' || acctsessiontime || ' ' || acctinputoctets || ' '
            || acctoutputoctets || ' ' || coalesce(acctterminatecause, '-')
         FROM radacct WHERE acctuniqueid = '{unique:0>32}'",
        columns[0], columns[1], columns[2]
    ))
    .await
    .unwrap()
}

async fn a_session_is_one_row(db: &Database) {
    prepare(db).await;
    let mut first = start("1", 0);
    first.connect_info = Some("1 Gbit/s".to_owned());
    let mut last = stop("1", 600, 600, 5_000, 90_000);
    last.connect_info = Some("lost carrier".to_owned());
    write(db, &[first]).await;
    assert_eq!(session(db, "1").await, "0 0 - 0 0 0 -");
    write(db, &[interim("1", 300, 300, 1_000, 20_000)]).await;
    assert_eq!(session(db, "1").await, "0 300 - 300 1000 20000 -");
    write(db, &[last]).await;
    assert_eq!(session(db, "1").await, "0 600 600 600 5000 90000 User-Request");
    let text = |column: &str| {
        if db.is_sqlite() {
            column.to_owned()
        } else {
            format!("{column}::text")
        }
    };
    let columns = [
        "acctsessionid",
        "username",
        "tenant_id",
        "subscriber_id",
        "nasportid",
        "nasporttype",
        "acctauthentic",
        "connectinfo_start",
        "connectinfo_stop",
        "calledstationid",
        "callingstationid",
        "servicetype",
        "framedprotocol",
        "framedinterfaceid",
        "class",
    ];
    let inet = ["framedipaddress", "framedipv6address"].map(|c| {
        if db.is_sqlite() {
            c.to_owned()
        } else {
            format!("host({c})")
        }
    });
    let nets = ["framedipv6prefix", "delegatedipv6prefix"].map(text);
    let all = [columns.map(str::to_owned).to_vec(), inet.to_vec(), nets.to_vec()]
        .concat()
        .join(", ");
    let row = db.query(&format!("SELECT {all} FROM radacct")).await.remove(0);
    let row: Vec<_> = row.iter().map(|v| v.as_deref().unwrap_or("NULL")).collect();
    let expected = [
        "id-1",
        "ada",
        "t1",
        "ada",
        "ge-0/0/1",
        "Ethernet",
        "RADIUS",
        "1 Gbit/s",
        "lost carrier",
        "bras",
        "00:11:22:33:44:55",
        "Framed-User",
        "PPP",
        "::1",
        "gold",
        "198.51.100.7",
        "2001:db8::7",
        "2001:db8:7::/64",
        "2001:db8:700::/56",
    ];
    assert_eq!(row, expected);
    let interval = db
        .value(&format!(
            "SELECT {} FROM radacct",
            if db.is_sqlite() {
                "CAST(acctinterval AS TEXT)"
            } else {
                "acctinterval::text"
            }
        ))
        .await;
    assert_eq!(
        interval.as_deref(),
        Some("300"),
        "between the last two reports of the open session"
    );
}

async fn octets_are_64_bit(db: &Database) {
    prepare(db).await;
    write(db, &[interim("1", 10, 10, 3 << 32, (5 << 32) + 7)]).await;
    assert_eq!(
        session(db, "1").await,
        format!("0 10 - 10 {} {} -", 3_u64 << 32, (5_u64 << 32) + 7)
    );
}

async fn any_record_makes_the_row(db: &Database) {
    prepare(db).await;
    write(
        db,
        &[
            interim("1", 300, 200, 1, 2),
            stop("2", 300, 100, 1, 2),
            record(AcctStatusType::InterimUpdate, "3", 5),
        ],
    )
    .await;
    assert_eq!(session(db, "1").await, "100 300 - 200 1 2 -");
    assert_eq!(session(db, "2").await, "200 300 300 100 1 2 User-Request");
    assert_eq!(session(db, "3").await, "5 5 - 0 0 0 -");
}

async fn a_start_decides_when_the_session_began(db: &Database) {
    prepare(db).await;
    // Reckoned: the earliest holds. Reported: that holds, however it compares.
    write(db, &[interim("1", 300, 290, 0, 0)]).await;
    write(db, &[interim("1", 600, 595, 0, 0)]).await;
    assert!(session(db, "1").await.starts_with("5 600 "));
    write(db, &[start("1", 8)]).await;
    assert!(session(db, "1").await.starts_with("8 600 "));
    write(db, &[interim("1", 900, 900, 0, 0)]).await;
    assert!(session(db, "1").await.starts_with("8 900 "));
    write(db, &[start("1", 7)]).await;
    assert!(
        session(db, "1").await.starts_with("7 900 "),
        "a retransmission that was delayed less"
    );
}

async fn nothing_goes_down(db: &Database) {
    prepare(db).await;
    write(db, &[interim("1", 600, 600, 9_000, 9_000)]).await;
    write(db, &[interim("1", 300, 300, 10_000, 10)]).await;
    write(db, &[record(AcctStatusType::InterimUpdate, "1", 400)]).await;
    assert_eq!(session(db, "1").await, "0 600 - 600 10000 9000 -");
}

async fn a_closed_session_stays_closed(db: &Database) {
    prepare(db).await;
    write(db, &[start("1", 0), stop("1", 600, 600, 5_000, 5_000)]).await;
    let closed = session(db, "1").await;
    write(db, &[start("1", 0)]).await;
    write(db, &[interim("1", 300, 300, 1_000, 1_000)]).await;
    assert_eq!(session(db, "1").await, closed);
    // A report from after the Stop: counted, not reopened.
    write(db, &[interim("1", 700, 700, 6_000, 5_000)]).await;
    assert_eq!(session(db, "1").await, "0 700 600 700 6000 5000 User-Request");
}

async fn a_retransmission_changes_nothing(db: &Database) {
    prepare(db).await;
    let all = [start("1", 0), interim("1", 300, 300, 1, 1), stop("1", 600, 600, 2, 2)];
    for records in all.chunks(1).chain([&all[..]]) {
        write(db, records).await;
        let once = db
            .query("SELECT * FROM (SELECT CAST(acctsessiontime AS TEXT), CAST(acctstoptime AS TEXT) FROM radacct) x")
            .await;
        write(db, records).await;
        assert_eq!(
            db.query("SELECT * FROM (SELECT CAST(acctsessiontime AS TEXT), CAST(acctstoptime AS TEXT) FROM radacct) x")
                .await,
            once
        );
    }
    assert_eq!(session(db, "1").await, "0 600 600 600 2 2 User-Request");
}

async fn a_batch_keeps_the_order_of_a_session(db: &Database) {
    prepare(db).await;
    let mut late = interim("1", 300, 300, 1, 1);
    late.framed_ip_address = Some("198.51.100.99".parse().unwrap());
    write(
        db,
        &[
            start("1", 0),
            start("2", 1),
            late,
            interim("2", 301, 300, 2, 2),
            stop("2", 400, 399, 3, 3),
            start("2", 1),
        ],
    )
    .await;
    assert_eq!(session(db, "1").await, "0 300 - 300 1 1 -");
    assert_eq!(session(db, "2").await, "1 400 400 399 3 3 User-Request");
    let ip = if db.is_sqlite() {
        "framedipaddress"
    } else {
        "host(framedipaddress)"
    };
    let of_one = format!("SELECT {ip} FROM radacct WHERE acctsessionid = 'id-1'");
    assert_eq!(
        db.value(&of_one).await.as_deref(),
        Some("198.51.100.99"),
        "the newest address"
    );
    write(db, &[interim("1", 200, 200, 0, 0)]).await;
    assert_eq!(
        db.value(&of_one).await.as_deref(),
        Some("198.51.100.99"),
        "an older report does not bring it back"
    );
}

async fn history_names_who_is_gone(db: &Database) {
    prepare(db).await;
    let mut gone = start("1", 0);
    gone.tenant_id = Some("t9".to_owned());
    gone.subscriber_id = Some("nobody".to_owned());
    let mut unknown = start("2", 0);
    (unknown.tenant_id, unknown.subscriber_id) = (None, None);
    write(db, &[gone, unknown, start("3", 0)]).await;
    db.raw("DELETE FROM subscribers").await;
    let links = db
        .query("SELECT tenant_id, subscriber_id, username FROM radacct ORDER BY acctuniqueid")
        .await;
    let ada = Some("ada".to_owned());
    assert_eq!(
        links,
        [
            vec![Some("t9".to_owned()), Some("nobody".to_owned()), ada.clone()],
            vec![None, None, ada.clone()],
            vec![Some("t1".to_owned()), ada.clone(), ada]
        ]
    );
}

async fn whatever_a_packet_holds_can_be_stored(db: &Database) {
    prepare(db).await;
    let hard = "\0'; DROP TABLE radacct;-- \"%s\\u0000\n\u{1f980}";
    let kept = hard.replace('\0', "\u{fffd}");
    let mut record = stop("1", 0, 0, 0, 0);
    for field in [&mut record.user_name, &mut record.realm, &mut record.acct_session_id] {
        *field = hard.to_owned();
    }
    for field in [
        &mut record.nas_port_id,
        &mut record.connect_info,
        &mut record.called_station_id,
        &mut record.calling_station_id,
        &mut record.terminate_cause,
        &mut record.class,
        &mut record.framed_interface_id,
    ] {
        *field = Some(hard.to_owned());
    }
    let mut early = start("2", 0);
    (early.event_time, early.session_time) = (i64::MIN, Some(u32::MAX));
    let mut late = interim("3", 0, u32::MAX, 0, 0);
    late.event_time = i64::MAX;
    write(db, &[record, early, late]).await;
    let rows = db
        .query("SELECT username, realm, acctsessionid, class, acctterminatecause FROM radacct ORDER BY acctuniqueid")
        .await;
    assert_eq!(rows[0], vec![Some(kept.clone()); 5]);
    assert_eq!(rows.len(), 3);
    let mut auth = post_auth("x");
    auth.user_name = hard.to_owned();
    auth.calling_station_id = Some(hard.to_owned());
    db.store.record_post_auth(&[auth]).await.unwrap();
    let rows = db.query("SELECT username, callingstationid FROM radpostauth").await;
    assert_eq!(rows, [vec![Some(kept); 2]]);
}

async fn a_refused_batch_leaves_nothing(db: &Database) {
    prepare(db).await;
    let limit = if db.is_sqlite() {
        "CREATE TRIGGER refuse BEFORE INSERT ON radacct WHEN NEW.username = 'bad' BEGIN SELECT RAISE(ABORT, 'no'); END"
    } else {
        "ALTER TABLE radacct ADD CONSTRAINT refuse CHECK (username <> 'bad')"
    };
    db.raw(limit).await;
    let mut bad = start("2", 0);
    bad.user_name = "bad".to_owned();
    // The second of session 1 makes a statement of its own, before the one that fails.
    let error = db
        .store
        .record_accounting(&[start("1", 0), start("1", 0), bad])
        .await
        .unwrap_err();
    assert!(!error.is_transient(), "{error:?}");
    assert_eq!(db.query("SELECT username FROM radacct").await.len(), 0);
}

pub(crate) fn post_auth(user_name: &str) -> PostAuthRecord {
    PostAuthRecord {
        tenant_id: Some("t1".to_owned()),
        subscriber_id: Some("ada".to_owned()),
        user_name: user_name.to_owned(),
        reply: "Access-Reject",
        reason: Some(Reason::BadPassword),
        nas_ip_address: Some(IpAddr::from([192, 0, 2, 1])),
        called_station_id: Some("bras".to_owned()),
        calling_station_id: None,
        class: Some("gold".to_owned()),
        authdate: T,
    }
}

async fn authentications_are_recorded(db: &Database) {
    prepare(db).await;
    let accepted = PostAuthRecord {
        tenant_id: Some("t9".to_owned()),
        subscriber_id: None,
        reply: "Access-Accept",
        reason: None,
        nas_ip_address: None,
        ..post_auth("bob")
    };
    db.store.record_post_auth(&[]).await.unwrap();
    db.store.record_post_auth(&[post_auth("ada"), accepted]).await.unwrap();
    let (nas, date) = if db.is_sqlite() {
        ("nasipaddress", format!("CAST(unixepoch(authdate) - {T} AS TEXT)"))
    } else {
        (
            "host(nasipaddress)",
            format!("(extract(epoch FROM authdate)::bigint - {T})::text"),
        )
    };
    let rows = db
        .query(&format!(
            "SELECT username, pass, reply, reason, tenant_id, subscriber_id, {nas}, calledstationid, callingstationid,
                class, {date}
             FROM radpostauth ORDER BY username"
        ))
        .await;
    let words = |row: &[Option<String>]| {
        row.iter()
            .map(|v| v.clone().unwrap_or("NULL".to_owned()))
            .collect::<Vec<_>>()
            .join("|")
    };
    assert_eq!(
        words(&rows[0]),
        "ada||Access-Reject|bad_password|t1|ada|192.0.2.1|bras|NULL|gold|0"
    );
    assert_eq!(
        words(&rows[1]),
        "bob||Access-Accept|NULL|NULL|NULL|NULL|bras|NULL|gold|0"
    );
    assert_eq!(rows.len(), 2);
}
