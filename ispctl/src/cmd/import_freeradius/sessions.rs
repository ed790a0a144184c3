//! Sessions of the source's radacct, open and ended, and what was used in them.
//!
//! They are read and taken over some thousands at a time, each time in a transaction of its own: years of them are too many for
//! one, and live accounting goes on in between. A run that was cut short goes on where the next one finds nothing yet.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use clap::ValueEnum;
use ipnet::Ipv6Net;
use isp_core::accounting::octets::Octets;
use isp_core::accounting::session::{Details, STALE, Session, Stop};
use isp_core::accounting::silence::Silence;
use isp_core::store::Store;
use isp_core::tenant::Tenant;
use serde::Serialize;

use super::report::{Problem, Report};
use super::source::{Source, Texts, filled, text};
use crate::error::Result;
use crate::period;

/// Usage by the hour of sessions from before is not worth its room: as `retention` keeps it.
const HOURLY_DAYS: i64 = 400;
/// The years 1970 to 9998.
const TIMES: std::ops::Range<i64> = 0..253_370_764_800;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Which {
    /// Those that have not ended
    Open,
    /// Ended ones, too
    All,
}

/// What became of them.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Counts {
    read: u64,
    added: u64,
    /// Open here since an earlier run, and gone on or ended over there.
    continued: u64,
    there: u64,
    left_out: u64,
    /// Of users that are no subscribers: found by `whohad`, part of nobody's usage.
    of_nobody: u64,
    /// Open over there, and not heard of for so long that they are taken for ended.
    ended_silently: u64,
}

pub(super) struct Importer<'a> {
    pub(super) store: &'a Store,
    pub(super) tenant: &'a Tenant,
    /// Ids of subscribers by their usernames.
    pub(super) ids: &'a HashMap<String, String>,
    pub(super) which: Which,
    pub(super) batch: usize,
    pub(super) apply: bool,
}

const TEXTS: [&str; 23] = [
    "radacctid",
    "acctsessionid",
    "acctuniqueid",
    "username",
    "realm",
    "nasipaddress",
    "nasportid",
    "nasporttype",
    "acctsessiontime",
    "acctauthentic",
    "connectinfo_start",
    "connectinfo_stop",
    "acctinputoctets",
    "acctoutputoctets",
    "calledstationid",
    "callingstationid",
    "acctterminatecause",
    "servicetype",
    "framedprotocol",
    "framedipaddress",
    "acctinterval",
    "framedinterfaceid",
    "class",
];
/// Missing in old schemas.
const IPV6: [&str; 3] = ["framedipv6address", "framedipv6prefix", "delegatedipv6prefix"];
const MOMENTS: [&str; 3] = ["acctstarttime", "acctupdatetime", "acctstoptime"];

impl Importer<'_> {
    pub(super) async fn run(&self, source: &mut Source, report: &mut Report) -> Result<Counts> {
        let mut counts = Counts::default();
        let there = source.columns("radacct").await?;
        if there.is_empty() {
            report
                .notes
                .push("the source has no table radacct, and so no sessions".to_owned());
            return Ok(counts);
        }
        let now = period::now();
        let select = select(source, &there, self.which);
        let columns: Vec<&str> = TEXTS.into_iter().chain(IPV6).chain(MOMENTS).collect();
        let mut after: i64 = -1;
        loop {
            // Qualified, for the name alone is that of its text.
            let sql = format!(
                "{select} AND radacct.radacctid > {after} ORDER BY radacct.radacctid LIMIT {}",
                self.batch
            );
            let mut rows = Vec::with_capacity(self.batch);
            for cell in source.each("radacct", sql, &columns, |row, _| rows.push(row)).await? {
                report.unreadable(&cell, false);
            }
            let Some(last) = rows.last().and_then(|row| row.first()?.as_deref()?.parse().ok()) else {
                break;
            };
            after = last;
            counts.read += rows.len() as u64;
            let mut sessions = Vec::with_capacity(rows.len());
            for row in rows {
                match self.session(row, now, &mut counts) {
                    Ok(session) => sessions.push(session),
                    Err(problem) => {
                        counts.left_out += 1;
                        report.left_out(problem);
                    }
                }
            }
            let hours_from = (now - HOURLY_DAYS * 86_400).max(0);
            let adopted = self.store.adopt_sessions(sessions, hours_from, self.apply).await?;
            counts.added += adopted.added;
            counts.continued += adopted.continued;
            counts.there += adopted.known;
        }
        if counts.added > 0 {
            report.notes.push(format!(
                "what was used in a session counts evenly for the time it ran (31 days at most), by the day, and by the hour in \
                 the last {HOURLY_DAYS} days"
            ));
        }
        Ok(counts)
    }

    fn session(&self, row: Texts, now: i64, counts: &mut Counts) -> std::result::Result<Session, Problem> {
        let mut row = row.into_iter();
        let id: i64 = parsed(row.next()).unwrap_or_default();
        let [acct_session_id, unique, user_name] = [(); 3].map(|()| text(row.next()));
        let realm = filled(row.next());
        let nas = text(row.next());
        let [nas_port_id, nas_port_type] = [(); 2].map(|()| filled(row.next()));
        let seconds: Option<i64> = parsed(row.next());
        let [authentic, connect_info_start, connect_info_stop] = [(); 3].map(|()| filled(row.next()));
        let [input, output] = [(); 2].map(|()| parsed(row.next()).unwrap_or_default());
        let [
            called_station_id,
            calling_station_id,
            cause,
            service_type,
            framed_protocol,
        ] = [(); 5].map(|()| filled(row.next()));
        let framed_ip_address = address(row.next());
        let interval: Option<i64> = parsed(row.next());
        let [framed_interface_id, class] = [(); 2].map(|()| filled(row.next()));
        let framed_ipv6_address = address(row.next());
        let [framed_ipv6_prefix, delegated_ipv6_prefix] = [(); 2].map(|()| prefix(filled(row.next())));
        let [started, updated, stopped] = [(); 3].map(|()| parsed(row.next()).filter(|at: &i64| TIMES.contains(at)));

        let problem = |attribute: &str, why: String| Problem {
            table: "radacct",
            id,
            name: user_name.clone(),
            attribute: attribute.to_owned(),
            why,
        };
        let Some(nas_ip_address) = address::<IpAddr>(Some(Some(nas.clone()))) else {
            return Err(problem("nasipaddress", format!("{nas:?} is no address")));
        };
        let seconds = seconds.unwrap_or_default().clamp(0, TIMES.end);
        let Some(last) = stopped.or(updated).or(started.map(|started| started + seconds)) else {
            return Err(problem("acctstarttime", "nothing tells when it was".to_owned()));
        };
        let start = started.unwrap_or((last - seconds).max(0));
        let update = stopped.into_iter().chain(updated).fold(start.max(last), i64::max);
        let mut stop = stopped.map(|at| Stop {
            at: at.max(start),
            inferred: false,
            cause,
        });
        if stop.is_none() && update < now - Silence::default().longest_patience() {
            counts.ended_silently += 1;
            stop = Some(Stop {
                at: update,
                inferred: true,
                cause: Some(STALE.to_owned()),
            });
        }
        let subscriber_id = self.ids.get(&*self.tenant.normalize(&user_name)).cloned();
        counts.of_nobody += u64::from(subscriber_id.is_none());
        Ok(Session {
            id: None,
            acct_session_id,
            // Very old schemas have none: it is the source's own key then.
            acct_unique_id: if unique.is_empty() {
                format!("radacct-{id}")
            } else {
                unique
            },
            tenant_id: Some(self.tenant.id.clone()),
            subscriber_id,
            nas_ip_address,
            start,
            start_reported: started.is_some(),
            update,
            heard: update,
            interval: interval.filter(|interval| *interval > 0),
            stop,
            seconds,
            octets: Octets::counted(input, output),
            connect_info_start,
            connect_info_stop,
            details: Details {
                user_name: Some(user_name).filter(|name| !name.is_empty()),
                realm,
                nas_port_id,
                nas_port_type,
                authentic,
                called_station_id,
                calling_station_id,
                service_type,
                framed_protocol,
                framed_ip_address,
                framed_ipv6_address,
                framed_ipv6_prefix,
                framed_interface_id,
                delegated_ipv6_prefix,
                class,
                multi_session_id: None,
            },
        })
    }
}

fn select(source: &Source, there: &HashSet<String>, which: Which) -> String {
    let kind = source.text_type();
    let missing = || format!("CAST(NULL AS {kind})");
    let texts = TEXTS.iter().chain(&IPV6).map(|column| match there.contains(*column) {
        true => format!("CAST({column} AS {kind})"),
        false => missing(),
    });
    let moments = MOMENTS.iter().map(|column| match there.contains(*column) {
        true => source.seconds(column),
        false => missing(),
    });
    let columns: Vec<_> = texts.chain(moments).collect();
    let condition = match which {
        Which::Open => format!("{} IS NULL", source.seconds("acctstoptime")),
        Which::All => "1 = 1".to_owned(),
    };
    format!("SELECT {} FROM radacct WHERE {condition}", columns.join(", "))
}

fn parsed<T: FromStr>(cell: super::source::Cell) -> Option<T> {
    filled(cell)?.parse().ok()
}

/// PostgreSQL writes an address as a network of one.
fn address<T: FromStr>(cell: super::source::Cell) -> Option<T> {
    filled(cell)?.split('/').next()?.parse().ok()
}

fn prefix(text: Option<String>) -> Option<Ipv6Net> {
    let text = text?;
    text.parse()
        .ok()
        .or_else(|| text.parse::<Ipv6Addr>().ok().map(Ipv6Net::from))
}
