//! What a node writes of sessions: in batches, each of them whole or not at all, and the same again changes nothing.
//!
//! How records add up to sessions is [`crate::accounting::session`]; here the sessions of a batch are read, and what
//! became of them is written together with what their subscribers used.

mod adopt;
mod rollup;
mod row;
mod sift;
mod statements;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use tracing::warn;

use super::error::Attempt as _;
use super::link::{Rows, Tx};
use super::records::storable;
use super::sql::{Columns, Sql, params};
use super::{Result, Store, claims, quotas};
use crate::accounting::session::{Session, Sessions, event_time};
use crate::accounting::usage::{Book, Delta, Used};
use crate::accounting::{AccountingRecord, AcctStatusType};
pub use adopt::AdoptedSessions;
use row::{Close, Progress, Row};
#[cfg(test)]
pub(super) use statements::STATEMENTS;

/// How long after its end a session may still be heard of (seconds).
const LOOK_BACK: i64 = 31 * 86_400;

type Database<T> = std::result::Result<T, sqlx::Error>;

/// Acct-Unique-Session-Id and tenant.
type Key = (String, Option<String>);

/// NAS and tenant.
type NasKey = (IpAddr, Option<String>);

impl Store {
    /// Merge accounting records into `radacct`, in their order, and add up what subscribers used: all or none, durable
    /// when this returns. The same records again change nothing.
    ///
    /// # Errors
    /// The database did not take them.
    pub async fn record_accounting(&self, records: &[AccountingRecord]) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        let attempt = || "record accounting".to_owned();
        let mut tx = self.begin().await.attempt(attempt)?;
        record(&mut tx, records).await.attempt(attempt)?;
        tx.commit().await.attempt(attempt)
    }
}

const fn is_restart(record: &AccountingRecord) -> bool {
    matches!(
        record.status,
        AcctStatusType::AccountingOn | AcctStatusType::AccountingOff
    )
}

/// Be the only writer of sessions until the transaction ends.
pub(super) async fn take_turn(tx: &mut Tx) -> Database<()> {
    tx.link().execute(statements::TURN, &[]).await.map(drop)
}

async fn record(tx: &mut Tx, records: &[AccountingRecord]) -> Database<()> {
    take_turn(tx).await?;
    // A restart ends what came before it, and nothing that came after.
    for life in records.chunk_by(|_, next| !is_restart(next)) {
        if let Some(restart) = life.first().filter(|record| is_restart(record)) {
            reload(tx, restart).await?;
        }
        let sessions = life.iter().filter(|record| !is_restart(record));
        let Some(oldest) = sessions.clone().map(event_time).min() else {
            continue;
        };
        let since = (oldest - LOOK_BACK).max(0);
        let (keys, nas) = sessions
            .clone()
            .map(|record| (storable(&record.acct_unique_id), record.nas_ip_address))
            .unzip();
        let mut batch = Batch::read(tx, &keys, &nas, since).await?;
        sessions.for_each(|record| batch.take(record));
        batch.write(tx, since).await?;
    }
    claims::settle(tx, records).await
}

/// The sessions that the records of a batch are of.
struct Batch {
    sessions: HashMap<Key, Sessions>,
    /// As they are stored, by `radacctid`.
    stored: HashMap<i64, Session>,
    restarts: HashMap<NasKey, i64>,
    tenants: HashMap<String, Rules>,
    book: Book,
}

impl Batch {
    /// The sessions of these keys, but for those that ended before `since`, and when these NAS restarted.
    async fn read(tx: &mut Tx, keys: &BTreeSet<String>, nas: &BTreeSet<IpAddr>, since: i64) -> Database<Self> {
        let mut known: HashMap<Key, Vec<Session>> = HashMap::new();
        let mut stored = HashMap::new();
        for row in tx.link().all(statements::READ, params![&json(keys)?, since]).await? {
            let session = row::read(&row)?;
            if let Some(id) = session.id {
                stored.insert(id, session.clone());
            }
            let key = (session.acct_unique_id.clone(), session.tenant_id.clone());
            known.entry(key).or_default().push(session);
        }
        let mut restarts = HashMap::new();
        for row in tx.link().all(statements::RELOADS, params![&json(nas)?]).await? {
            let mut column = Columns::of(&row);
            restarts.insert((column.parsed()?, column.opt_text()?), column.number()?);
        }
        Ok(Self {
            sessions: known
                .into_iter()
                .map(|(key, known)| (key, Sessions::new(known)))
                .collect(),
            stored,
            restarts,
            tenants: rules(tx).await?,
            book: Book::default(),
        })
    }

    fn take(&mut self, record: &AccountingRecord) {
        let nas = (record.nas_ip_address, record.tenant_id.clone());
        let restarted = self.restarts.get(&nas).copied();
        let key = (storable(&record.acct_unique_id), record.tenant_id.clone());
        if let Some(delta) = self.sessions.entry(key).or_default().take(record, restarted) {
            self.enter(delta);
        }
    }

    fn enter(&mut self, delta: Delta) {
        let rules = delta.tenant_id.as_ref().and_then(|tenant| self.tenants.get(tenant));
        self.book
            .enter(delta, rules.map_or(&TimeZone::UTC, |rules| &rules.zone));
    }

    async fn write(self, tx: &mut Tx, since: i64) -> Database<()> {
        let Self {
            sessions,
            stored,
            tenants,
            book,
            ..
        } = self;
        let mut sessions: Vec<Session> = sessions.into_values().flat_map(Sessions::into_inner).collect();
        // In the order of the key: neighbours in the index are neighbours in time.
        sessions.sort_by(|a, b| a.acct_unique_id.cmp(&b.acct_unique_id));
        let (mut progress, mut close) = (Vec::new(), Vec::new());
        let (mut open, mut closed, mut new) = (Vec::new(), Vec::new(), Vec::new());
        for session in &sessions {
            match session.id.and_then(|id| stored.get(&id)) {
                Some(before) if before == session => {}
                Some(before) if counted(before, session) && session.is_open() => progress.push(Progress::from(session)),
                Some(before) if counted(before, session) => close.push(Close::from(session)),
                Some(before) if before.is_open() => open.push(Row::from(session)),
                Some(_) => closed.push(Row::from(session)),
                None => new.push(Row::from(session)),
            }
        }
        let months: BTreeSet<i64> = sessions
            .iter()
            .filter_map(|session| session.stop.as_ref())
            .map(|stop| stop.at)
            .collect();
        make_months(tx, &months).await?;
        write(tx, statements::PROGRESS, &progress, None).await?;
        write(tx, statements::CLOSE, &close, None).await?;
        // What ends makes room for what begins under the same key.
        write(tx, statements::WRITE_OPEN, &open, None).await?;
        write(tx, statements::WRITE_CLOSED, &closed, Some(since)).await?;
        write(tx, statements::INSERT, &new, None).await?;
        rollup::enter(tx, &book).await?;
        let metered = metered(&book, &tenants);
        quotas::assess_use(tx, Timestamp::now().as_second(), &metered).await
    }
}

/// Whether nothing changed but what the reports of an open session count, and its end.
fn counted(before: &Session, after: &Session) -> bool {
    before.is_open()
        && before.start == after.start
        && before.start_reported == after.start_reported
        && before.subscriber_id == after.subscriber_id
        && before.details == after.details
        && before.connect_info_start == after.connect_info_start
}

/// Every row is there: it was read in this transaction, in its turn. Unless another program wrote meanwhile, and then
/// all is to be read anew.
async fn write<T: Rows>(tx: &mut Tx, statement: Sql, rows: &[T], since: Option<i64>) -> Database<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let written = tx.link().write(statement, rows, since).await?;
    if usize::try_from(written).is_ok_and(|written| written == rows.len()) {
        return Ok(());
    }
    Err(sqlx::Error::Io(std::io::Error::other(
        "another program changed sessions of this batch at the same moment",
    )))
}

async fn make_months(tx: &mut Tx, stops: &BTreeSet<i64>) -> Database<()> {
    let months: BTreeMap<String, i64> = stops
        .iter()
        .filter_map(|at| Some((Timestamp::from_second(*at).ok()?.strftime("%Y-%m").to_string(), *at)))
        .collect();
    if months.is_empty() {
        return Ok(());
    }
    let stops: Vec<i64> = months.into_values().collect();
    tx.link()
        .execute(statements::MONTHS, params![&json(&stops)?])
        .await
        .map(drop)
}

async fn reload(tx: &mut Tx, record: &AccountingRecord) -> Database<()> {
    let nas = record.nas_ip_address.to_string();
    let at = event_time(record);
    if tx
        .link()
        .execute(statements::RELOAD, params![&nas, &record.tenant_id, at])
        .await?
        > 0
    {
        make_months(tx, &BTreeSet::from([at.min(Timestamp::now().as_second())])).await?;
        tx.link()
            .execute(statements::CLOSE_ALL, params![&nas, &record.tenant_id])
            .await?;
    }
    Ok(())
}

/// What of a tenant matters here.
struct Rules {
    zone: TimeZone,
    /// Some of its plans have quotas.
    has_quotas: bool,
}

async fn rules(tx: &mut Tx) -> Database<HashMap<String, Rules>> {
    let mut tenants = HashMap::new();
    for row in tx.link().all(statements::TENANTS, &[]).await? {
        let mut column = Columns::of(&row);
        let (tenant, name, has_quotas) = (column.text()?, column.text()?, column.flag()?);
        let zone = TimeZone::get(&name).unwrap_or_else(|error| {
            warn!(tenant, "the tenant's days are taken for days of UTC: {error}");
            TimeZone::UTC
        });
        tenants.insert(tenant, Rules { zone, has_quotas });
    }
    Ok(tenants)
}

/// Those who used something and may have a quota.
fn metered<'a>(book: &'a Book, tenants: &HashMap<String, Rules>) -> Vec<&'a str> {
    let has_quotas = |tenant: &String| tenants.get(tenant).is_some_and(|rules| rules.has_quotas);
    book.totals
        .iter()
        .filter(|(_, total)| total.used != Used::default() && total.tenant_id.as_ref().is_some_and(has_quotas))
        .map(|(subscriber, _)| subscriber.as_str())
        .collect()
}

fn json<T: Serialize>(rows: &T) -> Database<String> {
    serde_json::to_string(rows).map_err(|error| sqlx::Error::Encode(error.into()))
}
