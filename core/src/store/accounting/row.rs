//! A session as the database takes and gives it.

use jiff::Timestamp;
use serde::Serialize;

use crate::accounting::device::mac;
use crate::accounting::octets::{Octets, Trail};
use crate::accounting::session::{Details, Session, Stop};
use crate::store::link::{Column, Rows};
use crate::store::records::{opt_storable, storable};
use crate::store::sql::{Columns, Row as DatabaseRow};

/// Unix seconds, as far as both databases have a date for them.
pub(super) fn time(at: i64) -> Option<i64> {
    Timestamp::from_second(at).ok().map(Timestamp::as_second)
}

/// SQL has no unsigned 64-bit integer.
fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn trail(octets: &Octets) -> Option<String> {
    (!octets.trail.is_empty())
        .then(|| serde_json::to_string(&octets.trail).ok())
        .flatten()
}

/// What a report of an open session changes.
#[derive(Serialize)]
pub(super) struct Progress {
    radacctid: Option<i64>,
    acctupdatetime: Option<i64>,
    heard_at: Option<i64>,
    acctinterval: Option<i64>,
    acctsessiontime: i64,
    acctinputoctets: i64,
    acctoutputoctets: i64,
    gigawords: bool,
    octet_trail: Option<String>,
}

impl From<&Session> for Progress {
    fn from(session: &Session) -> Self {
        Self {
            radacctid: session.id,
            acctupdatetime: time(session.update),
            heard_at: time(session.heard),
            acctinterval: session.interval,
            acctsessiontime: session.seconds,
            acctinputoctets: signed(session.octets.input),
            acctoutputoctets: signed(session.octets.output),
            gigawords: session.octets.gigawords,
            octet_trail: trail(&session.octets),
        }
    }
}

/// What a Stop changes.
#[derive(Serialize)]
pub(super) struct Close {
    #[serde(flatten)]
    progress: Progress,
    acctstoptime: Option<i64>,
    stop_inferred: bool,
    acctterminatecause: Option<String>,
    connectinfo_stop: Option<String>,
}

impl From<&Session> for Close {
    fn from(session: &Session) -> Self {
        let stop = session.stop.as_ref();
        Self {
            progress: Progress::from(session),
            acctstoptime: stop.and_then(|stop| time(stop.at)),
            stop_inferred: stop.is_some_and(|stop| stop.inferred),
            acctterminatecause: stop.and_then(|stop| opt_storable(stop.cause.as_deref())),
            connectinfo_stop: opt_storable(session.connect_info_stop.as_deref()),
        }
    }
}

/// All of a session.
#[derive(Serialize)]
pub(super) struct Row<'a> {
    #[serde(flatten)]
    close: Close,
    acctsessionid: String,
    acctuniqueid: String,
    tenant_id: Option<&'a str>,
    subscriber_id: Option<&'a str>,
    nasipaddress: String,
    acctstarttime: Option<i64>,
    start_reported: bool,
    connectinfo_start: Option<String>,
    username: Option<String>,
    realm: Option<String>,
    nasportid: Option<String>,
    nasporttype: Option<String>,
    acctauthentic: Option<String>,
    calledstationid: Option<String>,
    callingstationid: Option<String>,
    calling_mac: Option<String>,
    servicetype: Option<String>,
    framedprotocol: Option<String>,
    framedipaddress: Option<String>,
    framedipv6address: Option<String>,
    framedipv6prefix: Option<String>,
    framedinterfaceid: Option<String>,
    delegatedipv6prefix: Option<String>,
    class: Option<String>,
    acctmultisessionid: Option<String>,
}

impl<'a> From<&'a Session> for Row<'a> {
    fn from(session: &'a Session) -> Self {
        let details = &session.details;
        let text = |value: &Option<String>| opt_storable(value.as_deref());
        Self {
            close: Close::from(session),
            acctsessionid: storable(&session.acct_session_id),
            acctuniqueid: storable(&session.acct_unique_id),
            tenant_id: session.tenant_id.as_deref(),
            subscriber_id: session.subscriber_id.as_deref(),
            nasipaddress: session.nas_ip_address.to_string(),
            acctstarttime: time(session.start),
            start_reported: session.start_reported,
            connectinfo_start: text(&session.connect_info_start),
            username: text(&details.user_name),
            realm: text(&details.realm),
            nasportid: text(&details.nas_port_id),
            nasporttype: text(&details.nas_port_type),
            acctauthentic: text(&details.authentic),
            calledstationid: text(&details.called_station_id),
            callingstationid: text(&details.calling_station_id),
            calling_mac: details.calling_station_id.as_deref().and_then(mac),
            servicetype: text(&details.service_type),
            framedprotocol: text(&details.framed_protocol),
            framedipaddress: details.framed_ip_address.as_ref().map(ToString::to_string),
            framedipv6address: details.framed_ipv6_address.as_ref().map(ToString::to_string),
            framedipv6prefix: details.framed_ipv6_prefix.as_ref().map(ToString::to_string),
            framedinterfaceid: text(&details.framed_interface_id),
            delegatedipv6prefix: details.delegated_ipv6_prefix.as_ref().map(ToString::to_string),
            class: text(&details.class),
            acctmultisessionid: text(&details.multi_session_id),
        }
    }
}

/// A column of rows.
pub(super) fn text<'a, T>(rows: &'a [T], of: impl Fn(&'a T) -> Option<&'a str>) -> Column<'a> {
    Column::Text(rows.iter().map(of).collect())
}

pub(super) fn int<'a, T>(rows: &'a [T], of: impl Fn(&'a T) -> Option<i64>) -> Column<'a> {
    Column::Int(rows.iter().map(of).collect())
}

fn flag<'a, T>(rows: &'a [T], of: impl Fn(&'a T) -> bool) -> Column<'a> {
    Column::Flag(rows.iter().map(of).collect())
}

fn progress<T>(rows: &[T], of: impl Fn(&T) -> &Progress) -> Vec<Column<'_>> {
    vec![
        int(rows, |row| of(row).radacctid),
        int(rows, |row| of(row).acctupdatetime),
        int(rows, |row| of(row).heard_at),
        int(rows, |row| of(row).acctinterval),
        int(rows, |row| Some(of(row).acctsessiontime)),
        int(rows, |row| Some(of(row).acctinputoctets)),
        int(rows, |row| Some(of(row).acctoutputoctets)),
        flag(rows, |row| of(row).gigawords),
        text(rows, |row| of(row).octet_trail.as_deref()),
    ]
}

fn close<T>(rows: &[T], of: impl Fn(&T) -> &Close) -> Vec<Column<'_>> {
    let mut columns = progress(rows, |row| &of(row).progress);
    columns.extend([
        int(rows, |row| of(row).acctstoptime),
        flag(rows, |row| of(row).stop_inferred),
        text(rows, |row| of(row).acctterminatecause.as_deref()),
        text(rows, |row| of(row).connectinfo_stop.as_deref()),
    ]);
    columns
}

impl Rows for Progress {
    fn columns(rows: &[Self]) -> Vec<Column<'_>> {
        progress(rows, |row| row)
    }
}

impl Rows for Close {
    fn columns(rows: &[Self]) -> Vec<Column<'_>> {
        close(rows, |row| row)
    }
}

impl Rows for Row<'_> {
    fn columns(rows: &[Self]) -> Vec<Column<'_>> {
        let mut columns = close(rows, |row| &row.close);
        columns.extend([
            text(rows, |row| Some(&row.acctsessionid)),
            text(rows, |row| Some(&row.acctuniqueid)),
            text(rows, |row| row.tenant_id),
            text(rows, |row| row.subscriber_id),
            text(rows, |row| Some(&row.nasipaddress)),
            int(rows, |row| row.acctstarttime),
            flag(rows, |row| row.start_reported),
        ]);
        let rest: [fn(&Self) -> &Option<String>; 18] = [
            |row| &row.connectinfo_start,
            |row| &row.username,
            |row| &row.realm,
            |row| &row.nasportid,
            |row| &row.nasporttype,
            |row| &row.acctauthentic,
            |row| &row.calledstationid,
            |row| &row.callingstationid,
            |row| &row.calling_mac,
            |row| &row.servicetype,
            |row| &row.framedprotocol,
            |row| &row.framedipaddress,
            |row| &row.framedipv6address,
            |row| &row.framedipv6prefix,
            |row| &row.framedinterfaceid,
            |row| &row.delegatedipv6prefix,
            |row| &row.class,
            |row| &row.acctmultisessionid,
        ];
        columns.extend(rest.into_iter().map(|of| text(rows, move |row| of(row).as_deref())));
        columns
    }
}

/// A row of [`super::statements::READ`].
pub(super) fn read(row: &DatabaseRow) -> Result<Session, sqlx::Error> {
    let mut column = Columns::of(row);
    let id = Some(column.number()?);
    let acct_session_id = column.text()?;
    let acct_unique_id = column.text()?;
    let tenant_id = column.opt_text()?;
    let subscriber_id = column.opt_text()?;
    let nas_ip_address = column.parsed()?;
    let start = column.number()?;
    let start_reported = column.flag()?;
    let update = column.number()?;
    let heard = column.number()?;
    let interval = column.opt_number()?;
    let stop: Option<i64> = column.opt_number()?;
    let inferred = column.flag()?;
    let cause = column.opt_text()?;
    let seconds = column.number::<i64>()?.max(0);
    // Another program may have written what no counter can be.
    let octets = Octets {
        input: u64::try_from(column.number::<i64>()?).unwrap_or(0),
        output: u64::try_from(column.number::<i64>()?).unwrap_or(0),
        gigawords: column.flag()?,
        trail: column
            .opt_str()?
            .and_then(|text| serde_json::from_str::<Trail>(text).ok())
            .unwrap_or_default(),
    };
    Ok(Session {
        id,
        acct_session_id,
        acct_unique_id,
        tenant_id,
        subscriber_id,
        nas_ip_address,
        start,
        start_reported,
        update,
        heard,
        interval,
        stop: stop.map(|at| Stop { at, inferred, cause }),
        seconds,
        octets,
        connect_info_start: column.opt_text()?,
        connect_info_stop: column.opt_text()?,
        details: Details {
            user_name: column.opt_text()?,
            realm: column.opt_text()?,
            nas_port_id: column.opt_text()?,
            nas_port_type: column.opt_text()?,
            authentic: column.opt_text()?,
            called_station_id: column.opt_text()?,
            calling_station_id: column.opt_text()?,
            service_type: column.opt_text()?,
            framed_protocol: column.opt_text()?,
            framed_ip_address: column.opt_parsed()?,
            framed_ipv6_address: column.opt_parsed()?,
            framed_ipv6_prefix: column.opt_parsed()?,
            framed_interface_id: column.opt_text()?,
            delegated_ipv6_prefix: column.opt_parsed()?,
            class: column.opt_text()?,
            multi_session_id: column.opt_text()?,
        },
    })
}
