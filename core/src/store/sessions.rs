//! Reading sessions back from `radacct`.
//!
//! On PostgreSQL every statement bounds the stop time, so that whole months are left out, and each has one condition
//! that an index of each remaining month answers. SQLite does not look into parameters when it plans: there is a
//! statement for each way in.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use ipnet::Ipv6Net;
use serde::Serialize;

use super::address::{SessionAddress, mac_column, overlaps, surroundings};
use super::error::Attempt as _;
use super::sql::{Columns, Param, Row, Sql, sql};
use super::{Result, Store};
use crate::accounting::silence::Silence;

/// The latest second the databases' calendars know: 9999-12-31T23:59:59Z.
const END_OF_TIME: i64 = 253_402_300_799;

/// A row of `radacct`, and whose it is. Times are Unix seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Session {
    /// `radacctid`: rises in the order in which sessions became known.
    pub id: i64,
    pub acct_session_id: String,
    /// 32 hex digits. A NAS may use it again after the session ended.
    pub acct_unique_id: String,
    pub acct_multi_session_id: Option<String>,
    pub tenant_id: Option<String>,
    pub subscriber_id: Option<String>,
    /// Of the subscriber, deleted or not; `None` where it is unknown or gone for good. Likewise the following two.
    pub subscriber_number: Option<String>,
    pub full_name: Option<String>,
    pub subscriber_deleted_at: Option<i64>,
    /// User-Name as the NAS sent it.
    pub username: Option<String>,
    pub realm: Option<String>,
    pub nas_ip_address: IpAddr,
    pub nas_port_id: Option<String>,
    pub nas_port_type: Option<String>,
    pub started_at: Option<i64>,
    /// The time of the latest record.
    pub last_heard_at: Option<i64>,
    /// `None` while the session is open.
    pub stopped_at: Option<i64>,
    /// A Start came. Else the start is counted back from the first record's Acct-Session-Time.
    pub start_reported: bool,
    /// No Stop came: a restart of the NAS or its silence ended the session.
    pub stop_inferred: bool,
    pub terminate_cause: Option<String>,
    /// Seconds.
    pub session_time: u64,
    /// From the subscriber: Acct-Input-Octets.
    pub upload_octets: u64,
    /// Towards the subscriber: Acct-Output-Octets.
    pub download_octets: u64,
    pub calling_station_id: Option<String>,
    pub called_station_id: Option<String>,
    /// Addresses are those the session had last.
    pub framed_ip_address: Option<Ipv4Addr>,
    pub framed_ipv6_address: Option<Ipv6Addr>,
    pub framed_ipv6_prefix: Option<Ipv6Net>,
    pub framed_interface_id: Option<String>,
    pub delegated_ipv6_prefix: Option<Ipv6Net>,
    pub service_type: Option<String>,
    pub framed_protocol: Option<String>,
    pub authentic: Option<String>,
    pub connect_info_start: Option<String>,
    pub connect_info_stop: Option<String>,
    pub class: Option<String>,
}

/// Which sessions to list; all conditions must hold.
#[derive(Debug, Clone, Default)]
pub struct SessionFilter {
    pub tenant_id: Option<String>,
    pub nas: Option<IpAddr>,
    /// User-Name as the NAS sent it.
    pub username: Option<String>,
    pub subscriber_id: Option<String>,
    pub acct_unique_id: Option<String>,
    pub address: Option<SessionAddress>,
    pub open: bool,
    /// One that was closed because its NAS fell silent may have gone on: count it for as long as it was waited for, too.
    pub presumed: bool,
    /// Ran at some time of these Unix seconds, both ends included. A row that another program wrote without a start has it
    /// reckoned by a trigger.
    pub period: Option<RangeInclusive<i64>>,
    /// Go on after the session with this [`Session::id`].
    pub after: Option<i64>,
    pub limit: Option<u32>,
}

macro_rules! columns {
    ($address:literal, $prefix:literal, $seconds:literal, $end:literal) => {
        concat!(
            "SELECT a.radacctid, a.acctsessionid, a.acctuniqueid, a.acctmultisessionid, a.tenant_id, a.subscriber_id,
                s.subscriber_number, s.full_name, ",
            $seconds,
            "s.deleted_at",
            $end,
            ", a.username, a.realm, ",
            $address,
            "(a.nasipaddress), a.nasportid, a.nasporttype, ",
            $seconds,
            "a.acctstarttime",
            $end,
            ", ",
            $seconds,
            "a.acctupdatetime",
            $end,
            ", ",
            $seconds,
            "a.acctstoptime",
            $end,
            ", a.start_reported,
                a.stop_inferred, a.acctterminatecause, a.acctsessiontime, a.acctinputoctets, a.acctoutputoctets,
                a.callingstationid, a.calledstationid, ",
            $address,
            "(a.framedipaddress), ",
            $address,
            "(a.framedipv6address), a.framedipv6prefix",
            $prefix,
            ", a.framedinterfaceid,
                a.delegatedipv6prefix",
            $prefix,
            ", a.servicetype, a.framedprotocol, a.acctauthentic,
                a.connectinfo_start, a.connectinfo_stop, a.class "
        )
    };
}

/// Nobody said that it ended.
macro_rules! fell_silent {
    () => {
        "stop_inferred AND acctterminatecause = 'Stale-Session'"
    };
}
/// Seconds without a report after which it counted as ended, by the defaults of [`crate::accounting::silence::Silence`].
macro_rules! patience {
    ($min:literal, $max:literal) => {
        concat!("(3 * ", $max, "(600, ", $min, "(coalesce(acctinterval, 0), 21600)))")
    };
}

/// A statement for one way in. Parameters 1 to 9 are those of [`SessionFilter::params`], the way's own follow.
macro_rules! sessions {
    (sqlite: $sqlite:expr, postgres: $postgres:expr $(,)?) => {
        sessions!(sqlite: $sqlite, limit: "coalesce($8, -1)", postgres: $postgres)
    };
    (sqlite: $sqlite:expr, limit: $limit:expr, postgres: $postgres:expr $(,)?) => {
        sql!(
            sqlite: concat!(
                columns!("", "", "unixepoch(", ")"),
                "FROM (SELECT * FROM radacct WHERE ", $sqlite, "
                    AND ($1 IS NULL OR tenant_id = $1) AND ($2 IS NULL OR nasipaddress = $2)
                    AND ($3 IS NULL OR username = $3) AND ($4 IS NULL OR subscriber_id = $4)
                    AND acctstarttime <= datetime($6, 'unixepoch')
                    AND (acctstoptime IS NULL OR acctstoptime >= datetime($5, 'unixepoch')
                        OR acctstoptime >= datetime($9, 'unixepoch') AND ", fell_silent!(), "
                            AND datetime(acctstoptime, '+' || ", patience!("min", "max"), " || ' seconds')
                                >= datetime($5, 'unixepoch'))
                    AND radacctid < coalesce($7, 9223372036854775807)
                ORDER BY radacctid DESC LIMIT ", $limit, ") a
                LEFT JOIN subscribers s ON s.id = a.subscriber_id ORDER BY a.radacctid DESC"
            ),
            postgres: concat!(
                columns!("host", "::text", "extract(epoch FROM ", ")::bigint"),
                "FROM (SELECT * FROM radacct WHERE ", $postgres, "
                    AND ($1::text IS NULL OR tenant_id = $1) AND ($2::text IS NULL OR nasipaddress = $2::inet)
                    AND ($3::text IS NULL OR username = $3) AND ($4::text IS NULL OR subscriber_id = $4)
                    AND acctstarttime <= to_timestamp($6)
                    AND (acctstoptime IS NULL OR acctstoptime >= to_timestamp($9))
                    AND (acctstoptime IS NULL OR acctstoptime >= to_timestamp($5) OR ", fell_silent!(), "
                        AND acctstoptime + ", patience!("least", "greatest"), " * interval '1 second'
                            >= to_timestamp($5))
                    AND radacctid < coalesce($7::bigint, 9223372036854775807)
                ORDER BY radacctid DESC LIMIT $8) a
                LEFT JOIN subscribers s ON s.id = a.subscriber_id ORDER BY a.radacctid DESC"
            ),
        )
    };
}

/// What is inside the network of $10. PostgreSQL sorts a network before its parts; SQLite has texts, with others in
/// between.
macro_rules! postgres_inside {
    ($column:literal) => {
        concat!(
            $column,
            " BETWEEN ($10::json ->> 'first')::inet AND ($10::json ->> 'last')::inet"
        )
    };
}
macro_rules! sqlite_inside {
    ($column:literal) => {
        concat!(
            "SELECT radacctid FROM radacct WHERE ",
            $column,
            " >= $10 ->> 'start' AND ",
            $column,
            " < $10 ->> 'end'"
        )
    };
}
/// Prefixes that hold the network of $10. To the planner the list is one value: its members would cost it more time than
/// looking them up takes.
macro_rules! postgres_around {
    () => {
        "framedipv6prefix = ANY (ARRAY(SELECT json_array_elements_text($10::json -> 'around'))::inet[])
                OR delegatedipv6prefix = ANY (ARRAY(SELECT json_array_elements_text($10::json -> 'around'))::inet[])"
    };
}
macro_rules! sqlite_around {
    () => {
        "SELECT radacctid FROM radacct WHERE framedipv6prefix IN (SELECT value FROM json_each($10, '$.around'))
                UNION ALL
                SELECT radacctid FROM radacct WHERE delegatedipv6prefix IN (SELECT value FROM json_each($10, '$.around'))"
    };
}

/// Planning for years of months takes longer than looking an address up in them. The index is the same whichever
/// address it is, and months are left out when the plan is run: one plan for a connection's life will do.
const PLAN_ONCE: Sql = sql!(postgres: "SET LOCAL plan_cache_mode = force_generic_plan");

/// Declares ways in as `statements!` declares statements.
macro_rules! ways {
    ($($(#[$meta:meta])* $name:ident { $($dialects:tt)+ })+) => {
        $($(#[$meta])* const $name: Sql = sessions!($($dialects)+);)+

        #[cfg(test)]
        pub(super) const STATEMENTS: &[(&str, Sql)] = &[
            (concat!(module_path!(), "::PLAN_ONCE"), PLAN_ONCE),
            $((concat!(module_path!(), "::", stringify!($name)), $name)),+
        ];
    };
}

ways! {
    ALL { sqlite: "true", postgres: "true" }
    ID { sqlite: "radacctid = $10", postgres: "radacctid = $10" }
    UNIQUE_ID { sqlite: "acctuniqueid = $10", postgres: "acctuniqueid = $10" }
    USERNAME { sqlite: "username = $10", postgres: "username = $10" }
    SUBSCRIBER { sqlite: "subscriber_id = $10", postgres: "subscriber_id = $10" }
    IPV4 { sqlite: "framedipaddress = $10", postgres: "framedipaddress = $10::inet" }
    MAC { sqlite: "calling_mac = $10", postgres: "calling_mac = $10" }
    /// $10: what [`surroundings`] gives.
    IPV6_ADDRESS {
        sqlite: concat!("radacctid IN (SELECT radacctid FROM radacct WHERE framedipv6address = $10 ->> 'first'
                UNION ALL ", sqlite_around!(), ")"),
        postgres: concat!("(framedipv6address = ($10::json ->> 'first')::inet OR ", postgres_around!(), ")"),
    }
    /// The same. What SQLite finds by text is more than what is inside, so that the limit is not its to keep.
    IPV6_NETWORK {
        sqlite: concat!("radacctid IN (", sqlite_inside!("framedipv6address"), "
                UNION ALL ", sqlite_inside!("framedipv6prefix"), "
                UNION ALL ", sqlite_inside!("delegatedipv6prefix"), "
                UNION ALL ", sqlite_around!(), ")"),
        limit: "-1",
        postgres: concat!("(", postgres_inside!("framedipv6address"), " OR ", postgres_inside!("framedipv6prefix"),
            " OR ", postgres_inside!("delegatedipv6prefix"), " OR ", postgres_around!(), ")"),
    }
    OPEN { sqlite: "acctstoptime IS NULL", postgres: "acctstoptime IS NULL" }
    OPEN_ON_NAS {
        sqlite: "acctstoptime IS NULL AND nasipaddress = $2",
        postgres: "acctstoptime IS NULL AND nasipaddress = $2::inet",
    }
}

fn session(row: &Row) -> std::result::Result<Session, sqlx::Error> {
    let mut columns = Columns::of(row);
    Ok(Session {
        id: columns.number()?,
        acct_session_id: columns.text()?,
        acct_unique_id: columns.text()?,
        acct_multi_session_id: columns.opt_text()?,
        tenant_id: columns.opt_text()?,
        subscriber_id: columns.opt_text()?,
        subscriber_number: columns.opt_text()?,
        full_name: columns.opt_text()?,
        subscriber_deleted_at: columns.opt_number()?,
        username: columns.opt_text()?,
        realm: columns.opt_text()?,
        nas_ip_address: columns.parsed()?,
        nas_port_id: columns.opt_text()?,
        nas_port_type: columns.opt_text()?,
        started_at: columns.opt_number()?,
        last_heard_at: columns.opt_number()?,
        stopped_at: columns.opt_number()?,
        start_reported: columns.flag()?,
        stop_inferred: columns.flag()?,
        terminate_cause: columns.opt_text()?,
        session_time: columns.opt_number()?.unwrap_or_default(),
        upload_octets: columns.opt_number()?.unwrap_or_default(),
        download_octets: columns.opt_number()?.unwrap_or_default(),
        calling_station_id: columns.opt_text()?,
        called_station_id: columns.opt_text()?,
        framed_ip_address: columns.opt_parsed()?,
        framed_ipv6_address: columns.opt_parsed()?,
        framed_ipv6_prefix: columns.opt_parsed()?,
        framed_interface_id: columns.opt_text()?,
        delegated_ipv6_prefix: columns.opt_parsed()?,
        service_type: columns.opt_text()?,
        framed_protocol: columns.opt_text()?,
        authentic: columns.opt_text()?,
        connect_info_start: columns.opt_text()?,
        connect_info_stop: columns.opt_text()?,
        class: columns.opt_text()?,
    })
}

impl SessionFilter {
    /// The statement whose index leads to the fewest rows, and its parameters.
    fn way(&self) -> (Sql, Vec<Param<'_>>) {
        let mut params = self.params().to_vec();
        let sql = match (&self.address, &self.acct_unique_id, &self.subscriber_id, &self.username) {
            (Some(SessionAddress::Ipv4(address)), ..) => {
                params.push(Param::from(Some(*address)));
                IPV4
            }
            (Some(SessionAddress::Mac(bytes)), ..) => {
                params.push(Param::from(mac_column(*bytes)));
                MAC
            }
            (Some(SessionAddress::Ipv6(network)), ..) => {
                params.push(Param::from(surroundings(*network)));
                match network.prefix_len() {
                    128 => IPV6_ADDRESS,
                    _ => IPV6_NETWORK,
                }
            }
            (_, Some(unique_id), ..) => {
                params.push(Param::from(unique_id));
                UNIQUE_ID
            }
            (_, _, Some(subscriber), _) => {
                params.push(Param::from(subscriber));
                SUBSCRIBER
            }
            (.., Some(username)) => {
                params.push(Param::from(username));
                USERNAME
            }
            _ if self.open && self.nas.is_some() => OPEN_ON_NAS,
            _ if self.open => OPEN,
            _ => ALL,
        };
        (sql, params)
    }

    fn params(&self) -> [Param<'_>; 9] {
        let (from, to) = match &self.period {
            // No month of closed sessions reaches the end of time: none is looked at.
            _ if self.open => (END_OF_TIME, self.period.as_ref().map_or(END_OF_TIME, |p| *p.end())),
            Some(period) => (*period.start(), *period.end()),
            None => (0, END_OF_TIME),
        };
        let waited = if self.presumed {
            Silence::default().longest_patience()
        } else {
            0
        };
        [
            Param::from(&self.tenant_id),
            Param::from(self.nas),
            Param::from(&self.username),
            Param::from(&self.subscriber_id),
            Param::from(from.clamp(0, END_OF_TIME)),
            Param::from(to.clamp(0, END_OF_TIME)),
            Param::from(self.after),
            Param::from(self.limit),
            Param::from((from - waited).clamp(0, END_OF_TIME)),
        ]
    }

    /// What the statement may give beyond the filter.
    fn admits(&self, session: &Session) -> bool {
        let address = match self.address {
            Some(SessionAddress::Ipv6(network)) => overlaps(
                network,
                session.framed_ipv6_address,
                [session.framed_ipv6_prefix, session.delegated_ipv6_prefix],
            ),
            _ => true,
        };
        address
            && self
                .acct_unique_id
                .as_ref()
                .is_none_or(|id| *id == session.acct_unique_id)
    }
}

impl Store {
    /// Sessions, the one that became known last first. A session counts for its first and for its last second; an open one has
    /// no last.
    ///
    /// With an address, a unique id, a subscriber, a username or `open` an index is used. Otherwise the months the period
    /// leaves are read from their end until the limit is reached.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn session_list(&self, filter: &SessionFilter) -> Result<Vec<Session>> {
        let attempt = || "list sessions".to_owned();
        let limit = filter
            .limit
            .map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let (sql, params) = filter.way();
        let mut tx = self.begin_snapshot().await.attempt(attempt)?;
        if filter.address.is_some() {
            tx.link().execute(PLAN_ONCE, &[]).await.attempt(attempt)?;
        }
        let mut sessions = Vec::new();
        let listed = tx.link().each(sql, &params, |row| {
            if sessions.len() < limit {
                let session = session(row)?;
                if filter.admits(&session) {
                    sessions.push(session);
                }
            }
            Ok(())
        });
        listed.await.attempt(attempt)?;
        Ok(sessions)
    }

    /// By [`Session::id`].
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn session_get(&self, tenant_id: Option<&str>, id: i64) -> Result<Option<Session>> {
        let attempt = || format!("look up session {id}");
        let filter = SessionFilter {
            tenant_id: tenant_id.map(str::to_owned),
            ..SessionFilter::default()
        };
        let mut params = filter.params().to_vec();
        params.push(Param::from(id));
        let mut connection = self.reader().await.attempt(attempt)?;
        let row = connection.link().optional(ID, &params).await.attempt(attempt)?;
        row.as_ref().map(session).transpose().attempt(attempt)
    }
}
