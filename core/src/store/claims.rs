//! Simultaneous use where several nodes share a database: open sessions and accepted logins, counted together.

use super::error::Attempt as _;
use super::link::Tx;
use super::records::storable;
use super::sql::{Columns, params, statements};
use super::{Result, Store};
use crate::accounting::presence::{Crowded, OpenSession, Patience, device};
use crate::accounting::session::event_time;
use crate::accounting::{AccountingRecord, AcctStatusType};

/// Where a session comes from, as [`device`] has it.
macro_rules! device_of {
    ($host:literal, $close:literal) => {
        concat!(
            "coalesce(calling_mac, nullif(callingstationid, ''), ",
            $host,
            "nasipaddress",
            $close,
            " || coalesce(' ' || nasportid, ''))"
        )
    };
}

/// The devices that take a place of the subscriber: `$1`, other than `$2`, as of `$3`, heard of within `$4` seconds.
macro_rules! others {
    ($device:expr, $heard:literal, $epoch:literal, $close:literal) => {
        concat!(
            "SELECT ",
            $device,
            " AS device, ",
            $epoch,
            "acctupdatetime",
            $close,
            " AS heard
            FROM radacct
            WHERE subscriber_id = $1 AND acctstoptime IS NULL AND ",
            $heard,
            " AND ",
            $device,
            " <> $2
            UNION ALL
            SELECT device, $3 AS heard FROM session_claims
            WHERE subscriber_id = $1 AND device <> $2 AND ",
            $epoch,
            "expires_at",
            $close,
            " >= $3"
        )
    };
}

statements! {
    /// Two logins of one subscriber are looked at one after the other, whatever nodes they reach. A claim need not
    /// outlive a crash of the database.
    TURN {
        postgres: "SELECT set_config('synchronous_commit', 'off', true),
            pg_advisory_xact_lock(hashtext('session_claims'), hashtext($1))",
    }
    OTHERS {
        sqlite: concat!("SELECT count(DISTINCT device), coalesce(min(heard), $3) FROM (",
            others!(device_of!("", ""), "unixepoch(acctupdatetime) >= $3 - $4", "unixepoch(", ")"), ")"),
        postgres: concat!("SELECT count(DISTINCT device), coalesce(min(heard)::bigint, $3) FROM (",
            others!(device_of!("host(", ")"), "acctupdatetime >= to_timestamp($3::bigint - $4::bigint)",
                "extract(epoch FROM ", ")"), ") AS others"),
    }
    CLAIM {
        sqlite: "INSERT INTO session_claims (subscriber_id, device, made_at, expires_at)
            VALUES ($1, $2, datetime($3, 'unixepoch'), datetime($4, 'unixepoch'))
            ON CONFLICT (subscriber_id, device) DO UPDATE
                SET made_at = excluded.made_at, expires_at = excluded.expires_at",
        postgres: "INSERT INTO session_claims (subscriber_id, device, made_at, expires_at)
            VALUES ($1, $2, to_timestamp($3), to_timestamp($4))
            ON CONFLICT (subscriber_id, device) DO UPDATE
                SET made_at = excluded.made_at, expires_at = excluded.expires_at",
    }
    /// Sessions that began or ended, each as `[subscriber, device, when]`: the claim from before is done with.
    SETTLE {
        sqlite: "DELETE FROM session_claims WHERE EXISTS (SELECT 1 FROM json_each($1) r
            WHERE session_claims.subscriber_id = r.value ->> 0 AND session_claims.device = r.value ->> 1
                AND session_claims.made_at <= datetime(r.value ->> 2, 'unixepoch'))",
        postgres: "DELETE FROM session_claims c USING json_array_elements($1::json) r
            WHERE c.subscriber_id = r ->> 0 AND c.device = r ->> 1 AND c.made_at <= to_timestamp((r ->> 2)::bigint)",
    }
    EXPIRE {
        sqlite: "DELETE FROM session_claims WHERE expires_at < datetime($1, 'unixepoch')",
        postgres: "DELETE FROM session_claims WHERE expires_at < to_timestamp($1)",
    }
    OPEN_SINCE {
        sqlite: "SELECT subscriber_id, acctuniqueid, callingstationid, nasipaddress, nasportid,
                unixepoch(acctupdatetime)
            FROM radacct
            WHERE acctstoptime IS NULL AND subscriber_id IS NOT NULL AND acctupdatetime >= datetime($1, 'unixepoch')",
        postgres: "SELECT subscriber_id, acctuniqueid, callingstationid, host(nasipaddress), nasportid,
                extract(epoch FROM acctupdatetime)::bigint
            FROM radacct
            WHERE acctstoptime IS NULL AND subscriber_id IS NOT NULL AND acctupdatetime >= to_timestamp($1)",
    }
}

/// A login that was accepted but for the number of sessions.
#[derive(Debug, Clone, Copy)]
pub struct SessionClaim<'a> {
    pub subscriber_id: &'a str,
    /// As [`device`] gives it; `None` is like no other.
    pub device: Option<&'a str>,
    /// Sessions the subscriber may have; not zero.
    pub limit: u32,
    /// Unix seconds.
    pub now: i64,
}

/// Sessions that are known count by themselves: let go of the claims they began with.
pub(super) async fn settle(tx: &mut Tx, records: &[AccountingRecord]) -> std::result::Result<(), sqlx::Error> {
    let known: Vec<(&str, String, i64)> = records
        .iter()
        .filter(|record| matches!(record.status, AcctStatusType::Start | AcctStatusType::Stop))
        .filter_map(|record| {
            let station = record.calling_station_id.as_deref();
            let device = device(station, Some(record.nas_ip_address), record.nas_port_id.as_deref())?;
            Some((record.subscriber_id.as_deref()?, storable(&device), event_time(record)))
        })
        .collect();
    if known.is_empty() {
        return Ok(());
    }
    let json = serde_json::to_string(&known).map_err(|error| sqlx::Error::Encode(error.into()))?;
    tx.link().execute(SETTLE, params![&json]).await.map(drop)
}

impl Store {
    /// Let a login in if there is a place for it, and hold that: for all nodes on this database.
    ///
    /// # Errors
    /// The database is not usable. The inner error: `limit` others have a place.
    pub async fn claim_session(
        &self,
        claim: SessionClaim<'_>,
        patience: &Patience,
    ) -> Result<std::result::Result<(), Crowded>> {
        let attempt = || format!("count the sessions of subscriber {}", claim.subscriber_id);
        let seconds = |time: std::time::Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX >> 1);
        let anonymous;
        let device = match claim.device {
            Some(device) => device,
            None => {
                anonymous = format!("unknown {}", uuid::Uuid::new_v4());
                &anonymous
            }
        };
        let mut tx = self.begin().await.attempt(attempt)?;
        let subscriber = claim.subscriber_id;
        tx.link().execute(TURN, params![subscriber]).await.attempt(attempt)?;
        let counted = params![subscriber, device, claim.now, seconds(patience.session)];
        let row = tx.link().one(OTHERS, counted).await.attempt(attempt)?;
        let mut column = Columns::of(&row);
        let sessions: u32 = column.number().attempt(attempt)?;
        if sessions >= claim.limit {
            let oldest = column.number().attempt(attempt)?;
            return Ok(Err(Crowded { sessions, oldest }));
        }
        let expires = claim.now.saturating_add(seconds(patience.claim));
        let claimed = params![subscriber, device, claim.now, expires];
        tx.link().execute(CLAIM, claimed).await.attempt(attempt)?;
        tx.commit().await.attempt(attempt)?;
        Ok(Ok(()))
    }

    /// Remove claims that count no more.
    ///
    /// # Errors
    /// The database is not usable.
    pub async fn expire_claims(&self, now: i64) -> Result<u64> {
        let attempt = || "remove expired claims of sessions".to_owned();
        let mut connection = self.writer().await.attempt(attempt)?;
        connection.link().execute(EXPIRE, params![now]).await.attempt(attempt)
    }

    /// Open sessions of known subscribers that were heard of since then (Unix seconds).
    ///
    /// # Errors
    /// The database is not usable, or a row is unreadable.
    pub async fn sessions_heard_since(&self, since: i64) -> Result<Vec<OpenSession>> {
        let attempt = || "read who is online".to_owned();
        let mut connection = self.reader().await.attempt(attempt)?;
        let mut sessions = Vec::new();
        let since = params![since];
        let read = connection.link().each(OPEN_SINCE, since, |row| {
            let mut column = Columns::of(row);
            let (subscriber_id, acct_unique_id) = (column.text()?, column.text()?);
            let station = column.opt_text()?;
            let nas_ip_address = column.parsed()?;
            let port = column.opt_text()?;
            sessions.push(OpenSession {
                subscriber_id,
                acct_unique_id,
                device: device(station.as_deref(), Some(nas_ip_address), port.as_deref()),
                nas_ip_address,
                heard: column.number()?,
            });
            Ok(())
        });
        read.await.attempt(attempt)?;
        Ok(sessions)
    }
}
