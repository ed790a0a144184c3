//! Rows of the outbox, read.

use std::time::Duration;

use super::Read;
use super::types::{Applied, ClaimedOrder, LiveOrder, ReviewedSession};
use crate::order::{Cause, CoaOrder, LiveSession, OrderItem, OrderKind, Verdict, Wanted};
use crate::store::sql::{Columns, Row};

fn items(columns: &mut Columns<'_>) -> Read<Vec<OrderItem>> {
    let text = columns.text()?;
    serde_json::from_str(&text).map_err(|error| sqlx::Error::Decode(error.into()))
}

fn opt_items(columns: &mut Columns<'_>) -> Read<Vec<OrderItem>> {
    let text = columns.opt_text()?;
    let text = text.as_deref().unwrap_or("[]");
    serde_json::from_str(text).map_err(|error| sqlx::Error::Decode(error.into()))
}

pub(super) fn live(columns: &mut Columns<'_>) -> Read<LiveSession> {
    Ok(LiveSession {
        session_id: columns.number()?,
        tenant_id: columns.opt_text()?,
        subscriber_id: columns.opt_text()?,
        acct_unique_id: columns.text()?,
        acct_session_id: columns.text()?,
        username: columns.opt_text()?,
        nas_ip_address: columns.parsed()?,
        nas_port_id: columns.opt_text()?,
        calling_station_id: columns.opt_text()?,
        called_station_id: columns.opt_text()?,
        // Another tool may have written anything there.
        framed_ip_address: columns.opt_text()?.and_then(|address| address.parse().ok()),
        framed_ipv6_address: columns.opt_text()?.and_then(|address| address.parse().ok()),
        framed_ipv6_prefix: columns.opt_text()?.and_then(|prefix| prefix.parse().ok()),
        delegated_ipv6_prefix: columns.opt_text()?.and_then(|prefix| prefix.parse().ok()),
    })
}

fn live_order(columns: &mut Columns<'_>) -> Read<Option<LiveOrder>> {
    let kind: Option<OrderKind> = columns.opt_parsed()?;
    let cause: Option<Cause> = columns.opt_parsed()?;
    let wanted = columns.opt_text()?;
    let (set, unset) = (opt_items(columns)?, opt_items(columns)?);
    let attempts: Option<u32> = columns.opt_number()?;
    Ok(kind.zip(cause).map(|(kind, cause)| LiveOrder {
        kind,
        cause,
        wanted,
        set,
        unset,
        attempts: attempts.unwrap_or_default(),
    }))
}

pub(super) fn reviewed(row: &Row) -> Read<ReviewedSession> {
    let mut columns = Columns::of(row);
    let live = live(&mut columns)?;
    let (username, gone, plan_id, class) = (
        columns.opt_text()?,
        columns.flag()?,
        columns.opt_text()?,
        columns.opt_text()?,
    );
    let (fingerprint, items) = (columns.opt_text()?, opt_items(&mut columns)?);
    let verdict: Option<Verdict> = columns.opt_parsed()?;
    let (settled, recheck_at) = (columns.opt_text()?, columns.opt_number()?);
    let applied = fingerprint.zip(verdict).map(|(fingerprint, verdict)| Applied {
        wanted: Wanted {
            fingerprint,
            items,
            verdict,
        },
        settled,
        recheck_at,
    });
    Ok(ReviewedSession {
        live,
        username,
        gone,
        plan_id,
        class,
        applied,
        pending: live_order(&mut columns)?,
        sending: live_order(&mut columns)?,
    })
}

pub(super) fn claimed(row: &Row) -> Read<ClaimedOrder> {
    let mut columns = Columns::of(row);
    let kind = columns.parsed()?;
    let cause = columns.parsed()?;
    let (set, unset) = (items(&mut columns)?, items(&mut columns)?);
    let (attempts, id) = (columns.number()?, columns.number()?);
    let age: i64 = columns.number()?;
    Ok(ClaimedOrder {
        id,
        kind,
        cause,
        set,
        unset,
        attempts,
        age: Duration::from_secs(u64::try_from(age).unwrap_or_default()),
        open: columns.flag()?,
        session: live(&mut columns)?,
    })
}

pub(super) fn order(row: &Row) -> Read<CoaOrder> {
    let mut columns = Columns::of(row);
    Ok(CoaOrder {
        id: columns.number()?,
        tenant_id: columns.opt_text()?,
        session_id: columns.number()?,
        acct_unique_id: columns.text()?,
        acct_session_id: columns.text()?,
        username: columns.opt_text()?,
        subscriber_id: columns.opt_text()?,
        plan_id: columns.opt_text()?,
        nas_ip_address: columns.parsed()?,
        kind: columns.parsed()?,
        cause: columns.parsed()?,
        actor: columns.opt_text()?,
        set: items(&mut columns)?,
        unset: items(&mut columns)?,
        verdict: columns.opt_parsed()?,
        state: columns.parsed()?,
        attempts: columns.number()?,
        not_before: columns.number()?,
        rtt: columns.opt_number()?,
        result: columns.opt_text()?,
        error_cause: columns.opt_number()?,
        reason: columns.opt_text()?,
        created_at: columns.number()?,
        sent_at: columns.opt_number()?,
        finished_at: columns.opt_number()?,
    })
}
