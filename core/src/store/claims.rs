//! Simultaneous use where several nodes share a database: open sessions and accepted logins, counted together.

use super::error::Attempt as _;
use super::link::Tx;
use super::records::opt_storable;
use super::sql::{Columns, params, statements};
use super::{Result, Store};
use crate::accounting::presence::{Crowded, Device, OpenSession, Patience};
use crate::accounting::session::event_time;
use crate::accounting::{AccountingRecord, AcctStatusType};

/// Whether what `$one` tells of a device is not what `$station`, `$nas` and `$port` tell, as [`Device`] has it.
macro_rules! differs {
    ($one:literal, $station:expr, $nas:expr, $port:expr) => {
        concat!(
            "NOT CASE WHEN ",
            $one,
            "station IS NOT NULL AND ",
            $station,
            " IS NOT NULL THEN ",
            $one,
            "station = ",
            $station,
            " WHEN ",
            $one,
            "port IS NOT NULL AND ",
            $port,
            " IS NOT NULL AND ",
            $nas,
            " IS NOT NULL
                THEN coalesce(",
            $one,
            "nas = ",
            $nas,
            " AND ",
            $one,
            "port = ",
            $port,
            ", false)
            ELSE coalesce(",
            $one,
            "nas, '') = coalesce(",
            $nas,
            ", '') END"
        )
    };
}

/// The devices that take a place of subscriber `$1`, other than station `$2`, NAS `$3`, port `$4`, as of `$5`, heard of
/// within `$6` seconds.
macro_rules! others {
    ($host:literal, $close_host:literal, $since:literal, $epoch:literal, $close:literal, $text:literal) => {
        concat!(
            "SELECT coalesce(station, nas || coalesce(' ' || port, '')) AS device, heard FROM (
                SELECT coalesce(calling_mac, nullif(callingstationid, '')) AS station,
                    ",
            $host,
            "nasipaddress",
            $close_host,
            " AS nas, nullif(nasportid, '') AS port,
                    ",
            $epoch,
            "acctupdatetime",
            $close,
            " AS heard
                FROM radacct WHERE subscriber_id = $1 AND acctstoptime IS NULL AND acctupdatetime >= ",
            $since,
            "
                UNION ALL
                SELECT station, nas, port, $5 FROM session_claims
                WHERE subscriber_id = $1 AND ",
            $epoch,
            "expires_at",
            $close,
            " >= $5) AS places
            WHERE ",
            differs!(
                "places.",
                concat!("$2", $text),
                concat!("$3", $text),
                concat!("$4", $text)
            )
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
        sqlite: concat!("SELECT count(DISTINCT device), coalesce(min(heard), $5) FROM (",
            others!("", "", "datetime($5 - $6, 'unixepoch')", "unixepoch(", ")", ""), ")"),
        postgres: concat!("SELECT count(DISTINCT device), coalesce(min(heard)::bigint, $5) FROM (",
            others!("host(", ")", "to_timestamp($5::bigint - $6::bigint)", "extract(epoch FROM ", ")", "::text"),
            ") AS others"),
    }
    CLAIM {
        sqlite: "INSERT INTO session_claims (subscriber_id, device, station, nas, port, made_at, expires_at)
            VALUES ($1, $2, $3, $4, $5, datetime($6, 'unixepoch'), datetime($7, 'unixepoch'))
            ON CONFLICT (subscriber_id, device) DO UPDATE SET
                nas = excluded.nas, port = excluded.port, made_at = excluded.made_at, expires_at = excluded.expires_at",
        postgres: "INSERT INTO session_claims (subscriber_id, device, station, nas, port, made_at, expires_at)
            VALUES ($1, $2, $3, $4, $5, to_timestamp($6), to_timestamp($7))
            ON CONFLICT (subscriber_id, device) DO UPDATE SET
                nas = excluded.nas, port = excluded.port, made_at = excluded.made_at, expires_at = excluded.expires_at",
    }
    /// Sessions that began or ended, each as `[subscriber, when, station, nas, port]`: the claim from before is done with.
    SETTLE {
        sqlite: concat!("DELETE FROM session_claims WHERE EXISTS (SELECT 1 FROM json_each($1) r
            WHERE session_claims.subscriber_id = r.value ->> 0
                AND session_claims.made_at <= datetime(r.value ->> 1, 'unixepoch')
                AND NOT (", differs!("session_claims.", "(r.value ->> 2)", "(r.value ->> 3)", "(r.value ->> 4)"), "))"),
        postgres: concat!("DELETE FROM session_claims c USING json_array_elements($1::json) r
            WHERE c.subscriber_id = r ->> 0 AND c.made_at <= to_timestamp((r ->> 1)::bigint)
                AND NOT (", differs!("c.", "(r ->> 2)", "(r ->> 3)", "(r ->> 4)"), ")"),
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
    pub device: &'a Device,
    /// Sessions the subscriber may have; not zero.
    pub limit: u32,
    /// Unix seconds.
    pub now: i64,
}

fn storable_device(device: &Device) -> Device {
    Device {
        station: opt_storable(device.station.as_deref()),
        nas: device.nas.clone(),
        port: opt_storable(device.port.as_deref()),
    }
}

/// Sessions that are known count by themselves: let go of the claims they began with.
pub(super) async fn settle(tx: &mut Tx, records: &[AccountingRecord]) -> std::result::Result<(), sqlx::Error> {
    let known: Vec<_> = records
        .iter()
        .filter(|record| matches!(record.status, AcctStatusType::Start | AcctStatusType::Stop))
        .filter_map(|record| {
            let Device { station, nas, port } = storable_device(&Device::of(record));
            Some((record.subscriber_id.as_deref()?, event_time(record), station, nas, port))
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
        let device = storable_device(claim.device);
        let (name, Device { station, nas, port }) = (device.name(), &device);
        let mut tx = self.begin().await.attempt(attempt)?;
        let subscriber = claim.subscriber_id;
        tx.link().execute(TURN, params![subscriber]).await.attempt(attempt)?;
        let counted = params![subscriber, station, nas, port, claim.now, seconds(patience.session)];
        let row = tx.link().one(OTHERS, counted).await.attempt(attempt)?;
        let mut column = Columns::of(&row);
        let sessions: u32 = column.number().attempt(attempt)?;
        if sessions >= claim.limit {
            let oldest = column.number().attempt(attempt)?;
            return Ok(Err(Crowded { sessions, oldest }));
        }
        let expires = claim.now.saturating_add(seconds(patience.claim));
        let claimed = params![subscriber, &name, station, nas, port, claim.now, expires];
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
            let (station, nas, port) = (column.opt_text()?, column.parsed()?, column.opt_text()?);
            sessions.push(OpenSession {
                subscriber_id,
                acct_unique_id,
                device: Device::new(station.as_deref(), Some(nas), port.as_deref()),
                heard: column.number()?,
            });
            Ok(())
        });
        read.await.attempt(attempt)?;
        Ok(sessions)
    }
}
