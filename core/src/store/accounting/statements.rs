//! The statements that read and write sessions and roll-ups. Rows come as one JSON array, named as the columns are.

use crate::store::sql::statements;

/// All that a session determines, in the order of [`super::row::Row`]; `$of` goes before each.
macro_rules! stored {
    ($of:literal) => {
        stored!(@ $of;
            "acctsessionid" "acctuniqueid" "tenant_id" "subscriber_id" "nasipaddress" "acctstarttime" "start_reported"
            "acctupdatetime" "heard_at" "acctinterval" "acctstoptime" "stop_inferred" "acctterminatecause" "acctsessiontime"
            "acctinputoctets" "acctoutputoctets" "gigawords" "octet_trail" "connectinfo_start" "connectinfo_stop"
            "username" "realm" "nasportid" "nasporttype" "acctauthentic" "calledstationid" "callingstationid"
            "calling_mac" "servicetype" "framedprotocol" "framedipaddress" "framedipv6address" "framedipv6prefix"
            "framedinterfaceid" "delegatedipv6prefix" "class" "acctmultisessionid")
    };
    (@ $of:literal; $first:literal $($next:literal)*) => { concat!($of, $first $(, ", ", $of, $next)*) };
}

/// What every report of an open session changes.
macro_rules! progress {
    ($of:literal) => {
        stored!(@ $of;
            "acctupdatetime" "heard_at" "acctinterval" "acctsessiontime" "acctinputoctets" "acctoutputoctets" "gigawords"
            "octet_trail")
    };
}

/// What a Stop changes beyond that.
macro_rules! close {
    ($of:literal) => {
        stored!(@ $of;
            "acctupdatetime" "heard_at" "acctinterval" "acctsessiontime" "acctinputoctets" "acctoutputoctets" "gigawords"
            "octet_trail" "acctstoptime" "stop_inferred" "acctterminatecause" "connectinfo_stop")
    };
}

macro_rules! sqlite_rows {
    (plain: $($plain:literal)+, times: $($time:literal)*) => {
        concat!("(SELECT NULL"
            $(, ", value ->> '", $plain, "' AS ", $plain)+ $(, ", datetime(value ->> '", $time, "') AS ", $time)*,
            " FROM json_each($1)) AS r ")
    };
    (radacct) => {
        sqlite_rows!(
            plain: "radacctid" "acctsessionid" "acctuniqueid" "tenant_id" "subscriber_id" "nasipaddress"
                "start_reported" "acctinterval" "stop_inferred" "acctterminatecause" "acctsessiontime"
                "acctinputoctets" "acctoutputoctets" "gigawords" "octet_trail" "connectinfo_start" "connectinfo_stop"
                "username" "realm" "nasportid" "nasporttype" "acctauthentic" "calledstationid" "callingstationid"
                "calling_mac" "servicetype" "framedprotocol" "framedipaddress" "framedipv6address" "framedipv6prefix"
                "framedinterfaceid" "delegatedipv6prefix" "class" "acctmultisessionid",
            times: "acctstarttime" "acctupdatetime" "heard_at" "acctstoptime")
    };
}

macro_rules! update {
    ($columns:expr, $values:expr, $rows:expr, $which:literal) => {
        concat!(
            "UPDATE radacct SET (",
            $columns,
            ") = (",
            $values,
            ") FROM ",
            $rows,
            " WHERE radacct.radacctid = r.radacctid AND ",
            $which
        )
    };
}

macro_rules! add_usage {
    ($table:literal, $period:literal, $rows:expr) => {
        concat!(
            "INSERT INTO ",
            $table,
            " (subscriber_id, ",
            $period,
            ", tenant_id, upload_octets, download_octets, seconds)
            SELECT r.subscriber_id, r.",
            $period,
            ", r.tenant_id, r.upload_octets, r.download_octets, r.seconds
            FROM ",
            $rows,
            " WHERE true
            ON CONFLICT (subscriber_id, ",
            $period,
            ") DO UPDATE SET
                upload_octets = ",
            $table,
            ".upload_octets + excluded.upload_octets,
                download_octets = ",
            $table,
            ".download_octets + excluded.download_octets,
                seconds = ",
            $table,
            ".seconds + excluded.seconds"
        )
    };
}

macro_rules! postgres_rows {
    ($table:literal) => {
        concat!("json_populate_recordset(NULL::", $table, ", $1::json) AS r ")
    };
}

statements! {
    /// One writer of sessions at a time: what a batch reads is so until it is written, and nobody waits in a circle. A
    /// node that hangs with its turn taken loses it.
    ///
    /// Plans are kept for as long as the connection. One made while the tables were empty would read all of them ever after.
    TURN {
        postgres: "SELECT set_config('idle_in_transaction_session_timeout', '10s', true),
            set_config('enable_seqscan', 'off', true), pg_advisory_xact_lock(hashtext('radacct'))",
    }
    /// `$1`: keys; `$2`: how far back a session that has ended is looked for.
    READ {
        sqlite: "SELECT radacctid, acctsessionid, acctuniqueid, tenant_id, subscriber_id, nasipaddress,
                unixepoch(coalesce(acctstarttime, acctupdatetime, acctstoptime, created_at)), start_reported,
                unixepoch(coalesce(acctupdatetime, acctstoptime, acctstarttime, created_at)),
                unixepoch(coalesce(heard_at, acctupdatetime, acctstarttime, created_at)), acctinterval,
                unixepoch(acctstoptime), stop_inferred, acctterminatecause, coalesce(acctsessiontime, 0),
                coalesce(acctinputoctets, 0), coalesce(acctoutputoctets, 0), gigawords, octet_trail,
                connectinfo_start, connectinfo_stop, username, realm, nasportid, nasporttype, acctauthentic,
                calledstationid, callingstationid, servicetype, framedprotocol, framedipaddress, framedipv6address,
                framedipv6prefix, framedinterfaceid, delegatedipv6prefix, class, acctmultisessionid
            FROM radacct WHERE acctuniqueid IN (SELECT value FROM json_each($1))
                AND (acctstoptime IS NULL OR acctstoptime >= datetime($2, 'unixepoch'))",
        postgres: "SELECT radacctid, acctsessionid, acctuniqueid, tenant_id, subscriber_id, host(nasipaddress),
                extract(epoch FROM coalesce(acctstarttime, acctupdatetime, acctstoptime, created_at))::bigint,
                start_reported,
                extract(epoch FROM coalesce(acctupdatetime, acctstoptime, acctstarttime, created_at))::bigint,
                extract(epoch FROM coalesce(heard_at, acctupdatetime, acctstarttime, created_at))::bigint, acctinterval, extract(epoch FROM acctstoptime)::bigint, stop_inferred, acctterminatecause,
                coalesce(acctsessiontime, 0), coalesce(acctinputoctets, 0), coalesce(acctoutputoctets, 0), gigawords,
                octet_trail, connectinfo_start, connectinfo_stop, username, realm, nasportid, nasporttype,
                acctauthentic, calledstationid, callingstationid, servicetype, framedprotocol, host(framedipaddress),
                host(framedipv6address), framedipv6prefix::text, framedinterfaceid, delegatedipv6prefix::text, class,
                acctmultisessionid
            FROM radacct WHERE acctuniqueid = ANY (ARRAY(SELECT json_array_elements_text($1::json)))
                AND (acctstoptime IS NULL OR acctstoptime >= to_timestamp($2))",
    }
    PROGRESS {
        sqlite: update!(progress!(""), progress!("r."), sqlite_rows!(
            plain: "radacctid" "acctinterval" "acctsessiontime" "acctinputoctets" "acctoutputoctets" "gigawords"
                "octet_trail",
            times: "acctupdatetime" "heard_at"), "radacct.acctstoptime IS NULL"),
        postgres: update!(progress!(""), progress!("r."), postgres_rows!("radacct"), "radacct.acctstoptime IS NULL"),
    }
    /// Not [`WRITE_OPEN`]: SQLite writes every index anew that has a column in the list.
    CLOSE {
        sqlite: update!(close!(""), close!("r."), sqlite_rows!(
            plain: "radacctid" "acctinterval" "acctsessiontime" "acctinputoctets" "acctoutputoctets" "gigawords"
                "octet_trail" "stop_inferred" "acctterminatecause" "connectinfo_stop",
            times: "acctupdatetime" "heard_at" "acctstoptime"), "radacct.acctstoptime IS NULL"),
        postgres: update!(close!(""), close!("r."), postgres_rows!("radacct"), "radacct.acctstoptime IS NULL"),
    }
    WRITE_OPEN {
        sqlite: update!(stored!(""), stored!("r."), sqlite_rows!(radacct), "radacct.acctstoptime IS NULL"),
        postgres: update!(stored!(""), stored!("r."), postgres_rows!("radacct"), "radacct.acctstoptime IS NULL"),
    }
    /// `$2`: as of [`READ`], so that only the months in question are looked at.
    WRITE_CLOSED {
        sqlite: update!(stored!(""), stored!("r."), sqlite_rows!(radacct),
            "radacct.acctstoptime >= datetime($2, 'unixepoch')"),
        postgres: update!(stored!(""), stored!("r."), postgres_rows!("radacct"),
            "radacct.acctstoptime >= to_timestamp($2)"),
    }
    INSERT {
        sqlite: concat!("INSERT INTO radacct (", stored!(""), ") SELECT ", stored!("r."), " FROM ", sqlite_rows!(radacct)),
        postgres: concat!("INSERT INTO radacct (", stored!(""), ") SELECT ", stored!("r."), " FROM ",
            postgres_rows!("radacct")),
    }
    /// The months that the stop times are in.
    MONTHS {
        postgres: "SELECT count(radacct_create_month(to_timestamp(month::bigint)))
            FROM json_array_elements_text($1::json) AS month",
    }
    ADD_HOURLY {
        sqlite: add_usage!("usage_hourly", "hour", sqlite_rows!(
            plain: "subscriber_id" "tenant_id" "upload_octets" "download_octets" "seconds", times: "hour")),
        postgres: add_usage!("usage_hourly", "hour", postgres_rows!("usage_hourly")),
    }
    ADD_DAILY {
        sqlite: add_usage!("usage_daily", "day", sqlite_rows!(
            plain: "subscriber_id" "tenant_id" "day" "upload_octets" "download_octets" "seconds", times:)),
        postgres: add_usage!("usage_daily", "day", postgres_rows!("usage_daily")),
    }
    ADD_TOTALS {
        sqlite: concat!("UPDATE subscribers SET total_sessions = total_sessions + r.sessions,
                total_upload_bytes = total_upload_bytes + r.upload_octets,
                total_download_bytes = total_download_bytes + r.download_octets,
                last_online = max(coalesce(last_online, r.last), r.last)
            FROM ", sqlite_rows!(
                plain: "subscriber_id" "sessions" "upload_octets" "download_octets", times: "last"),
            "WHERE subscribers.id = r.subscriber_id"),
        postgres: "UPDATE subscribers SET total_sessions = total_sessions + r.sessions,
                total_upload_bytes = total_upload_bytes + r.upload_octets,
                total_download_bytes = total_download_bytes + r.download_octets,
                last_online = greatest(last_online, r.last)
            FROM json_to_recordset($1::json) AS r (subscriber_id text, sessions bigint, upload_octets bigint,
                download_octets bigint, last timestamptz)
            WHERE subscribers.id = r.subscriber_id",
    }
    TENANTS {
        both: "SELECT id, timezone, EXISTS (SELECT 1 FROM plan_quotas q WHERE q.tenant_id = tenants.id) FROM tenants",
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
    /// When the NAS of a batch last restarted.
    RELOADS {
        sqlite: "SELECT nasipaddress, tenant_id, unixepoch(reloadtime) FROM nasreload
            WHERE nasipaddress IN (SELECT value FROM json_each($1))",
        postgres: "SELECT host(nasipaddress), tenant_id, extract(epoch FROM reloadtime)::bigint FROM nasreload
            WHERE nasipaddress IN (SELECT json_array_elements_text($1::json)::inet)",
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
