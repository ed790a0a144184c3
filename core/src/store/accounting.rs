//! What a node writes of sessions: idempotent, monotone, in batches.
//!
//! A batch may hold retransmissions, records out of order and records of sessions that were never started here. The
//! row of a session comes out the same in whatever order its records arrive: counters take the maximum, the start is
//! the one a Start reported (else the earliest that can be reckoned), a Stop closes for good. Accounting-On and -Off
//! close what the NAS had open and was not heard of since; a Stop the NAS did send still corrects time and cause of
//! such a closure, and an Interim-Update from after it shows that the session went on.

use std::collections::HashSet;

use serde::Serialize;

use super::error::Attempt as _;
use super::link::Tx;
use super::records::{opt_storable, storable};
use super::sql::{params, statements};
use super::{Result, Store};
use crate::accounting::{AccountingRecord, AcctStatusType};

/// Last second SQLite can write as a date.
const END_OF_TIME: i64 = 253_402_300_799;

/// 4 EiB: a century at 10 Gbit/s, a year at a terabit.
const MOST_OCTETS: i64 = 1 << 62;

macro_rules! columns {
    () => {
        "acctsessionid, acctuniqueid, username, realm, nasipaddress, nasportid, nasporttype, acctstarttime, \
         acctupdatetime, acctstoptime, acctsessiontime, acctauthentic, connectinfo_start, connectinfo_stop, \
         acctinputoctets, acctoutputoctets, calledstationid, callingstationid, acctterminatecause, servicetype, \
         framedprotocol, framedipaddress, framedipv6address, framedipv6prefix, framedinterfaceid, \
         delegatedipv6prefix, class, tenant_id, subscriber_id, start_reported"
    };
}

/// The value of the later record, unless only the other one has any.
macro_rules! latest {
    ($($column:literal),+) => {
        concat!($(
            ", ", $column, " = CASE WHEN excluded.acctupdatetime >= radacct.acctupdatetime
                THEN coalesce(excluded.", $column, ", radacct.", $column, ")
                ELSE coalesce(radacct.", $column, ", excluded.", $column, ") END"
        ),+)
    };
}

macro_rules! first {
    ($($column:literal),+) => {
        concat!($(", ", $column, " = coalesce(radacct.", $column, ", excluded.", $column, ")"),+)
    };
}

/// A closure by Accounting-On or -Off is our inference, which a later word of the same session proves wrong. A Start, or
/// what counts from after the closure, is of another session.
macro_rules! goes_on {
    () => {
        "(radacct.stop_inferred AND excluded.acctstoptime IS NULL AND NOT excluded.start_reported
            AND excluded.acctupdatetime > radacct.acctstoptime AND excluded.acctstarttime <= radacct.acctstoptime)"
    };
}

/// `$least`, `$greatest`: the functions' names; `$or`: of two flags; `$interval`: seconds between two times.
macro_rules! merge {
    ($least:literal, $greatest:literal, $or:literal, $interval:literal) => {
        concat!(
            "
            ON CONFLICT (acctuniqueid, coalesce(tenant_id, '')) DO UPDATE SET
            acctstarttime = CASE
                WHEN radacct.acctstarttime IS NULL THEN excluded.acctstarttime
                WHEN radacct.start_reported = excluded.start_reported
                    THEN ",
            $least,
            "(radacct.acctstarttime, excluded.acctstarttime)
                WHEN excluded.start_reported THEN excluded.acctstarttime
                ELSE radacct.acctstarttime END,
            start_reported = ",
            $or,
            ",
            acctinterval = CASE
                WHEN excluded.acctupdatetime > radacct.acctupdatetime AND excluded.acctstoptime IS NULL
                    AND radacct.acctstoptime IS NULL
                THEN ",
            $interval,
            "
                ELSE radacct.acctinterval END,
            acctupdatetime = ",
            $greatest,
            "(coalesce(radacct.acctupdatetime, excluded.acctupdatetime), excluded.acctupdatetime),
            acctstoptime = CASE
                WHEN ",
            goes_on!(),
            " THEN NULL
                WHEN excluded.acctstoptime IS NULL THEN radacct.acctstoptime
                WHEN radacct.acctstoptime IS NULL OR radacct.stop_inferred THEN excluded.acctstoptime
                ELSE ",
            $least,
            "(radacct.acctstoptime, excluded.acctstoptime) END,
            acctterminatecause = CASE
                WHEN ",
            goes_on!(),
            " THEN NULL
                WHEN excluded.acctstoptime IS NULL THEN radacct.acctterminatecause
                WHEN radacct.acctstoptime IS NULL OR radacct.stop_inferred
                    OR excluded.acctstoptime < radacct.acctstoptime THEN excluded.acctterminatecause
                ELSE coalesce(radacct.acctterminatecause, excluded.acctterminatecause) END,
            stop_inferred = radacct.stop_inferred AND excluded.acctstoptime IS NULL AND NOT ",
            goes_on!(),
            ",
            acctsessiontime = ",
            $greatest,
            "(coalesce(radacct.acctsessiontime, 0), excluded.acctsessiontime),
            acctinputoctets = ",
            $greatest,
            "(coalesce(radacct.acctinputoctets, 0), excluded.acctinputoctets),
            acctoutputoctets = ",
            $greatest,
            "(coalesce(radacct.acctoutputoctets, 0), excluded.acctoutputoctets)",
            first!("connectinfo_start", "connectinfo_stop", "subscriber_id"),
            latest!(
                "username",
                "realm",
                "nasportid",
                "nasporttype",
                "acctauthentic",
                "calledstationid",
                "callingstationid",
                "servicetype",
                "framedprotocol",
                "framedipaddress",
                "framedipv6address",
                "framedipv6prefix",
                "framedinterfaceid",
                "delegatedipv6prefix",
                "class"
            )
        )
    };
}

statements! {
    /// A tenant or subscriber deleted since the node last looked must not keep the record from being written. Rows are
    /// taken in the order of their key, so that two nodes cannot wait for each other.
    MERGE {
        sqlite: concat!("INSERT INTO radacct (", columns!(), ")
            SELECT r.value ->> 'session', r.value ->> 'unique_id', r.value ->> 'username', r.value ->> 'realm',
                r.value ->> 'nas', r.value ->> 'port', r.value ->> 'port_type',
                datetime(r.value ->> 'start', 'unixepoch'), datetime(r.value ->> 'event', 'unixepoch'),
                datetime(r.value ->> 'stop', 'unixepoch'), r.value ->> 'session_time', r.value ->> 'authentic',
                r.value ->> 'connect_start', r.value ->> 'connect_stop', r.value ->> 'input', r.value ->> 'output',
                r.value ->> 'called', r.value ->> 'calling', r.value ->> 'cause', r.value ->> 'service',
                r.value ->> 'protocol', r.value ->> 'ipv4', r.value ->> 'ipv6', r.value ->> 'ipv6_prefix',
                r.value ->> 'interface_id', r.value ->> 'delegated', r.value ->> 'class',
                (SELECT id FROM tenants WHERE id = r.value ->> 'tenant'),
                (SELECT id FROM subscribers WHERE id = r.value ->> 'subscriber'),
                r.value ->> 'start_reported'
            FROM json_each($1) r WHERE true",
            merge!("min", "max", "max(radacct.start_reported, excluded.start_reported)",
                "unixepoch(excluded.acctupdatetime) - unixepoch(radacct.acctupdatetime)")),
        postgres: concat!("INSERT INTO radacct (", columns!(), ")
            SELECT r.session, r.unique_id, r.username, r.realm, r.nas::inet, r.port, r.port_type, to_timestamp(r.start),
                to_timestamp(r.event), to_timestamp(r.stop), r.session_time, r.authentic, r.connect_start,
                r.connect_stop, r.input, r.output, r.called, r.calling, r.cause, r.service, r.protocol, r.ipv4::inet,
                r.ipv6::inet, r.ipv6_prefix::inet, r.interface_id, r.delegated::inet, r.class,
                (SELECT id FROM tenants WHERE id = r.tenant), (SELECT id FROM subscribers WHERE id = r.subscriber),
                r.start_reported
            FROM json_to_recordset($1::json) AS r (session text, unique_id text, username text, realm text, nas text,
                port text, port_type text, start bigint, event bigint, stop bigint, session_time bigint, authentic text,
                connect_start text, connect_stop text, input bigint, output bigint, called text, calling text,
                cause text, service text, protocol text, ipv4 text, ipv6 text, ipv6_prefix text, interface_id text,
                delegated text, class text, tenant text, subscriber text, start_reported boolean)
            ORDER BY r.unique_id",
            merge!("least", "greatest", "radacct.start_reported OR excluded.start_reported",
                "extract(epoch FROM excluded.acctupdatetime - radacct.acctupdatetime)::bigint")),
    }
    /// A record that comes after the restart that ended its session must not leave the session open.
    CLOSE_LATE {
        sqlite: "UPDATE radacct SET acctstoptime = n.reloadtime, acctterminatecause = 'NAS-Reboot', stop_inferred = 1
            FROM json_each($1) r, nasreload n
            WHERE acctuniqueid = r.value ->> 'unique_id'
                AND coalesce(radacct.tenant_id, '') = coalesce((SELECT id FROM tenants WHERE id = r.value ->> 'tenant'), '')
                AND acctstoptime IS NULL
                AND n.nasipaddress = radacct.nasipaddress AND n.tenant_id IS NOT DISTINCT FROM radacct.tenant_id
                AND acctstarttime < n.reloadtime AND acctupdatetime <= n.reloadtime",
        postgres: "UPDATE radacct SET acctstoptime = n.reloadtime, acctterminatecause = 'NAS-Reboot',
                stop_inferred = true
            FROM json_to_recordset($1::json) AS r (unique_id text, tenant text), nasreload n
            WHERE acctuniqueid = r.unique_id
                AND coalesce(radacct.tenant_id, '') = coalesce((SELECT id FROM tenants WHERE id = r.tenant), '')
                AND acctstoptime IS NULL
                AND n.nasipaddress = radacct.nasipaddress AND n.tenant_id IS NOT DISTINCT FROM radacct.tenant_id
                AND acctstarttime < n.reloadtime AND acctupdatetime <= n.reloadtime",
    }
    /// Hits no row if this restart, or a later one, is known. A restart is over when it is reported: a clock that is
    /// ahead must not end what is yet to begin.
    RELOAD {
        sqlite: "INSERT INTO nasreload (nasipaddress, tenant_id, reloadtime)
            VALUES ($1, $2, datetime(min($3, unixepoch()), 'unixepoch'))
            ON CONFLICT (nasipaddress, coalesce(tenant_id, '')) DO UPDATE SET reloadtime = excluded.reloadtime
            WHERE nasreload.reloadtime < excluded.reloadtime",
        postgres: "INSERT INTO nasreload (nasipaddress, tenant_id, reloadtime)
            VALUES ($1::inet, $2, least(to_timestamp($3), date_trunc('second', now())))
            ON CONFLICT (nasipaddress, coalesce(tenant_id, '')) DO UPDATE SET reloadtime = excluded.reloadtime
            WHERE nasreload.reloadtime < excluded.reloadtime",
    }
    CLOSE_ALL {
        sqlite: "UPDATE radacct SET acctstoptime = n.reloadtime, acctterminatecause = 'NAS-Reboot', stop_inferred = 1
            FROM nasreload n
            WHERE n.nasipaddress = $1 AND n.tenant_id IS NOT DISTINCT FROM $2
                AND radacct.nasipaddress = $1 AND radacct.tenant_id IS NOT DISTINCT FROM $2 AND acctstoptime IS NULL
                AND acctstarttime <= n.reloadtime AND acctupdatetime <= n.reloadtime",
        postgres: "UPDATE radacct SET acctstoptime = n.reloadtime, acctterminatecause = 'NAS-Reboot',
                stop_inferred = true
            FROM nasreload n
            WHERE n.nasipaddress = $1::inet AND n.tenant_id IS NOT DISTINCT FROM $2
                AND radacct.nasipaddress = $1::inet AND radacct.tenant_id IS NOT DISTINCT FROM $2
                AND acctstoptime IS NULL
                AND acctstarttime <= n.reloadtime AND acctupdatetime <= n.reloadtime",
    }
}

/// One record of a session, as both databases take it.
#[derive(Serialize)]
struct Row<'a> {
    session: String,
    unique_id: &'a str,
    username: String,
    realm: String,
    nas: std::net::IpAddr,
    port: Option<String>,
    port_type: Option<String>,
    start: i64,
    event: i64,
    stop: Option<i64>,
    session_time: u32,
    authentic: Option<String>,
    connect_start: Option<String>,
    connect_stop: Option<String>,
    input: i64,
    output: i64,
    called: Option<String>,
    calling: Option<String>,
    cause: Option<String>,
    service: Option<String>,
    protocol: Option<String>,
    ipv4: Option<std::net::Ipv4Addr>,
    ipv6: Option<std::net::Ipv6Addr>,
    ipv6_prefix: Option<ipnet::Ipv6Net>,
    interface_id: Option<String>,
    delegated: Option<ipnet::Ipv6Net>,
    class: Option<String>,
    tenant: Option<&'a str>,
    subscriber: Option<&'a str>,
    start_reported: bool,
}

impl<'a> From<&'a AccountingRecord> for Row<'a> {
    fn from(r: &'a AccountingRecord) -> Self {
        let event = event_time(r);
        let started = r.status == AcctStatusType::Start;
        let stopped = r.status == AcctStatusType::Stop;
        let since_start = if started { 0 } else { r.session_time.unwrap_or_default() };
        let connect_info = opt_storable(r.connect_info.as_deref());
        let (input, output) = octets(r);
        Self {
            session: storable(&r.acct_session_id),
            unique_id: &r.acct_unique_id,
            username: storable(&r.user_name),
            realm: storable(&r.realm),
            nas: r.nas_ip_address,
            port: opt_storable(r.nas_port_id.as_deref()),
            port_type: opt_storable(r.nas_port_type.as_deref()),
            start: (event - i64::from(since_start)).max(0),
            event,
            stop: stopped.then_some(event),
            session_time: r.session_time.unwrap_or_default(),
            authentic: opt_storable(r.authentic.as_deref()),
            connect_start: connect_info.clone().filter(|_| started),
            connect_stop: connect_info.filter(|_| stopped),
            input,
            output,
            called: opt_storable(r.called_station_id.as_deref()),
            calling: opt_storable(r.calling_station_id.as_deref()),
            cause: opt_storable(r.terminate_cause.as_deref()).filter(|_| stopped),
            service: opt_storable(r.service_type.as_deref()),
            protocol: opt_storable(r.framed_protocol.as_deref()),
            ipv4: r.framed_ip_address,
            ipv6: r.framed_ipv6_address,
            ipv6_prefix: r.framed_ipv6_prefix,
            interface_id: opt_storable(r.framed_interface_id.as_deref()),
            delegated: r.delegated_ipv6_prefix,
            class: opt_storable(r.class.as_deref()),
            tenant: r.tenant_id.as_deref(),
            subscriber: r.subscriber_id.as_deref(),
            start_reported: started,
        }
    }
}

fn event_time(record: &AccountingRecord) -> i64 {
    record.event_time.clamp(0, END_OF_TIME)
}

/// Counters no line can reach come from a broken gigaword. Taken, they would stay: counters never go down.
fn octets(r: &AccountingRecord) -> (i64, i64) {
    let believable = |count: Option<u64>| {
        i64::try_from(count.unwrap_or_default())
            .ok()
            .filter(|n| *n <= MOST_OCTETS)
    };
    if let (Some(input), Some(output)) = (believable(r.input_octets), believable(r.output_octets)) {
        return (input, output);
    }
    tracing::warn!(
        nas = %r.nas_ip_address,
        acct_unique_id = r.acct_unique_id,
        input_octets = r.input_octets,
        output_octets = r.output_octets,
        "octet counts of an accounting record ignored: no line carries that much"
    );
    (0, 0)
}

/// A part of a batch that one statement can take.
enum Step<'a> {
    /// At most one record per session: a statement may touch a row once.
    Sessions(Vec<&'a AccountingRecord>),
    /// Accounting-On or Accounting-Off.
    Reload(&'a AccountingRecord),
}

fn steps(records: &[AccountingRecord]) -> Vec<Step<'_>> {
    let mut steps = Vec::new();
    let mut sessions = Vec::new();
    let mut seen = HashSet::new();
    for record in records {
        let reload = matches!(
            record.status,
            AcctStatusType::AccountingOn | AcctStatusType::AccountingOff
        );
        if (reload || seen.contains(record.acct_unique_id.as_str())) && !sessions.is_empty() {
            steps.push(Step::Sessions(std::mem::take(&mut sessions)));
            seen.clear();
        }
        if reload {
            steps.push(Step::Reload(record));
        } else {
            seen.insert(record.acct_unique_id.as_str());
            sessions.push(record);
        }
    }
    if !sessions.is_empty() {
        steps.push(Step::Sessions(sessions));
    }
    steps
}

impl Store {
    /// Merge accounting records into `radacct`, in their order: all or none, durable when this returns. The same
    /// record again changes nothing.
    ///
    /// # Errors
    /// The database did not take them.
    pub async fn record_accounting(&self, rows: &[AccountingRecord]) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let attempt = || "record accounting".to_owned();
        let mut tx = self.begin().await.attempt(attempt)?;
        for step in steps(rows) {
            match step {
                Step::Sessions(records) => merge(&mut tx, &records).await,
                Step::Reload(record) => reload(&mut tx, record).await,
            }
            .attempt(attempt)?;
        }
        tx.commit().await.attempt(attempt)
    }
}

async fn merge(tx: &mut Tx, records: &[&AccountingRecord]) -> std::result::Result<(), sqlx::Error> {
    let rows: Vec<Row<'_>> = records.iter().copied().map(Row::from).collect();
    let json = serde_json::to_string(&rows).map_err(|error| sqlx::Error::Encode(error.into()))?;
    tx.link().execute(MERGE, params![&json]).await?;
    tx.link().execute(CLOSE_LATE, params![&json]).await.map(drop)
}

async fn reload(tx: &mut Tx, record: &AccountingRecord) -> std::result::Result<(), sqlx::Error> {
    let nas = record.nas_ip_address.to_string();
    let reload = params![&nas, &record.tenant_id, event_time(record)];
    if tx.link().execute(RELOAD, reload).await? > 0 {
        tx.link().execute(CLOSE_ALL, params![&nas, &record.tenant_id]).await?;
    }
    Ok(())
}
