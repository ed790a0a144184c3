//! What a batch adds to the roll-ups and to the totals of subscribers.

use serde::Serialize;

use super::row::{int, text, time};
use super::{Database, statements, write};
use crate::accounting::usage::{Book, Used};
use crate::store::link::{Column, Rows, Tx};

#[derive(Serialize)]
struct Usage<'a> {
    subscriber_id: &'a str,
    tenant_id: Option<&'a str>,
    upload_octets: i64,
    download_octets: i64,
    seconds: i64,
}

#[derive(Serialize)]
struct Hour<'a> {
    #[serde(flatten)]
    usage: Usage<'a>,
    hour: Option<i64>,
}

#[derive(Serialize)]
struct Day<'a> {
    #[serde(flatten)]
    usage: Usage<'a>,
    day: &'a str,
}

#[derive(Serialize)]
struct Total<'a> {
    subscriber_id: &'a str,
    sessions: u32,
    upload_octets: i64,
    download_octets: i64,
    last: Option<i64>,
}

/// SQL has no unsigned 64-bit integer.
fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn columns<'a, T>(rows: &'a [T], usage: impl Fn(&'a T) -> &'a Usage<'a>, period: Column<'a>) -> Vec<Column<'a>> {
    vec![
        text(rows, |row| Some(usage(row).subscriber_id)),
        text(rows, |row| usage(row).tenant_id),
        period,
        int(rows, |row| Some(usage(row).upload_octets)),
        int(rows, |row| Some(usage(row).download_octets)),
        int(rows, |row| Some(usage(row).seconds)),
    ]
}

impl Rows for Hour<'_> {
    fn columns(rows: &[Self]) -> Vec<Column<'_>> {
        columns(rows, |row| &row.usage, int(rows, |row| row.hour))
    }
}

impl Rows for Day<'_> {
    fn columns(rows: &[Self]) -> Vec<Column<'_>> {
        columns(rows, |row| &row.usage, text(rows, |row| Some(row.day)))
    }
}

impl Rows for Total<'_> {
    fn columns(rows: &[Self]) -> Vec<Column<'_>> {
        vec![
            text(rows, |row| Some(row.subscriber_id)),
            int(rows, |row| Some(row.sessions.into())),
            int(rows, |row| Some(row.upload_octets)),
            int(rows, |row| Some(row.download_octets)),
            int(rows, |row| row.last),
        ]
    }
}

/// Add a book to what is stored.
pub(super) async fn enter(tx: &mut Tx, book: &Book) -> Database<()> {
    let usage = |subscriber_id, used: &Used| Usage {
        subscriber_id,
        tenant_id: book
            .totals
            .get(subscriber_id)
            .and_then(|total| total.tenant_id.as_deref()),
        upload_octets: signed(used.upload_octets),
        download_octets: signed(used.download_octets),
        seconds: signed(used.seconds),
    };
    let hours: Vec<_> = book
        .hourly
        .iter()
        .map(|((subscriber_id, hour), used)| Hour {
            usage: usage(subscriber_id.as_str(), used),
            hour: time(*hour),
        })
        .collect();
    write(tx, statements::ADD_HOURLY, &hours, None).await?;
    let days: Vec<_> = book
        .daily
        .iter()
        .map(|((subscriber_id, day), used)| Day {
            usage: usage(subscriber_id.as_str(), used),
            day,
        })
        .collect();
    write(tx, statements::ADD_DAILY, &days, None).await?;
    let totals: Vec<_> = book
        .totals
        .iter()
        .map(|(subscriber_id, total)| Total {
            subscriber_id,
            sessions: total.sessions,
            upload_octets: signed(total.used.upload_octets),
            download_octets: signed(total.used.download_octets),
            last: time(total.last_online),
        })
        .collect();
    if totals.is_empty() {
        return Ok(());
    }
    // A subscriber that is gone has no row to add to.
    tx.link().write(statements::ADD_TOTALS, &totals, None).await.map(drop)
}
