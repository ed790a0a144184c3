//! The statements that read and write sessions and roll-ups. What is written comes as [`crate::store::link::Rows`].

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
            $(, ", value ->> '", $plain, "' AS ", $plain)+ $(, ", datetime(value ->> '", $time, "', 'unixepoch') AS ", $time)*,
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

/// A column of [`postgres_rows`]: the type of its array, and its value.
macro_rules! postgres_column {
    (type int) => {
        "::bigint[]"
    };
    (type time) => {
        "::bigint[]"
    };
    (type flag) => {
        "::boolean[]"
    };
    (type $text:ident) => {
        "::text[]"
    };
    (value time, $column:literal) => {
        concat!("to_timestamp(a.", $column, ")")
    };
    (value inet, $column:literal) => {
        concat!("a.", $column, "::inet")
    };
    (value date, $column:literal) => {
        concat!("a.", $column, "::date")
    };
    (value $plain:ident, $column:literal) => {
        concat!("a.", $column)
    };
}

/// Columns, each with its type and parameter.
macro_rules! postgres_rows {
    ($first:literal $first_type:ident $first_param:literal $($column:literal $type:ident $param:literal)+) => {
        concat!("(SELECT ", postgres_column!(value $first_type, $first), " AS ", $first,
            $(", ", postgres_column!(value $type, $column), " AS ", $column,)+
            " FROM unnest(", $first_param, postgres_column!(type $first_type),
            $(", ", $param, postgres_column!(type $type),)+
            ") AS a (", $first $(, ", ", $column)+, ")) AS r ")
    };
    (progress) => {
        postgres_rows!("radacctid" int "$1" "acctupdatetime" time "$2" "heard_at" time "$3" "acctinterval" int "$4"
            "acctsessiontime" int "$5" "acctinputoctets" int "$6" "acctoutputoctets" int "$7" "gigawords" flag "$8"
            "octet_trail" text "$9")
    };
    (close) => {
        postgres_rows!("radacctid" int "$1" "acctupdatetime" time "$2" "heard_at" time "$3" "acctinterval" int "$4"
            "acctsessiontime" int "$5" "acctinputoctets" int "$6" "acctoutputoctets" int "$7" "gigawords" flag "$8"
            "octet_trail" text "$9" "acctstoptime" time "$10" "stop_inferred" flag "$11"
            "acctterminatecause" text "$12" "connectinfo_stop" text "$13")
    };
    (radacct) => {
        postgres_rows!("radacctid" int "$1" "acctupdatetime" time "$2" "heard_at" time "$3" "acctinterval" int "$4"
            "acctsessiontime" int "$5" "acctinputoctets" int "$6" "acctoutputoctets" int "$7" "gigawords" flag "$8"
            "octet_trail" text "$9" "acctstoptime" time "$10" "stop_inferred" flag "$11"
            "acctterminatecause" text "$12" "connectinfo_stop" text "$13" "acctsessionid" text "$14"
            "acctuniqueid" text "$15" "tenant_id" text "$16" "subscriber_id" text "$17" "nasipaddress" inet "$18"
            "acctstarttime" time "$19" "start_reported" flag "$20" "connectinfo_start" text "$21" "username" text "$22"
            "realm" text "$23" "nasportid" text "$24" "nasporttype" text "$25" "acctauthentic" text "$26"
            "calledstationid" text "$27" "callingstationid" text "$28" "calling_mac" text "$29" "servicetype" text "$30"
            "framedprotocol" text "$31" "framedipaddress" inet "$32" "framedipv6address" inet "$33"
            "framedipv6prefix" inet "$34" "framedinterfaceid" text "$35" "delegatedipv6prefix" inet "$36"
            "class" text "$37" "acctmultisessionid" text "$38")
    };
    (usage: $period:literal $type:ident) => {
        postgres_rows!("subscriber_id" text "$1" "tenant_id" text "$2" $period $type "$3" "upload_octets" int "$4"
            "download_octets" int "$5" "seconds" int "$6")
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
        postgres: update!(progress!(""), progress!("r."), postgres_rows!(progress), "radacct.acctstoptime IS NULL"),
    }
    /// Not [`WRITE_OPEN`]: SQLite writes every index anew that has a column in the list.
    CLOSE {
        sqlite: update!(close!(""), close!("r."), sqlite_rows!(
            plain: "radacctid" "acctinterval" "acctsessiontime" "acctinputoctets" "acctoutputoctets" "gigawords"
                "octet_trail" "stop_inferred" "acctterminatecause" "connectinfo_stop",
            times: "acctupdatetime" "heard_at" "acctstoptime"), "radacct.acctstoptime IS NULL"),
        postgres: update!(close!(""), close!("r."), postgres_rows!(close), "radacct.acctstoptime IS NULL"),
    }
    WRITE_OPEN {
        sqlite: update!(stored!(""), stored!("r."), sqlite_rows!(radacct), "radacct.acctstoptime IS NULL"),
        postgres: update!(stored!(""), stored!("r."), postgres_rows!(radacct), "radacct.acctstoptime IS NULL"),
    }
    /// The last parameter: as of [`READ`], so that only the months in question are looked at.
    WRITE_CLOSED {
        sqlite: update!(stored!(""), stored!("r."), sqlite_rows!(radacct),
            "radacct.acctstoptime >= datetime($2, 'unixepoch')"),
        postgres: update!(stored!(""), stored!("r."), postgres_rows!(radacct),
            "radacct.acctstoptime >= to_timestamp($39)"),
    }
    INSERT {
        sqlite: concat!("INSERT INTO radacct (", stored!(""), ") SELECT ", stored!("r."), " FROM ", sqlite_rows!(radacct)),
        postgres: concat!("INSERT INTO radacct (", stored!(""), ") SELECT ", stored!("r."), " FROM ",
            postgres_rows!(radacct)),
    }
    /// The months that the stop times are in.
    MONTHS {
        postgres: "SELECT count(radacct_create_month(to_timestamp(month::bigint)))
            FROM json_array_elements_text($1::json) AS month",
    }
    ADD_HOURLY {
        sqlite: add_usage!("usage_hourly", "hour", sqlite_rows!(
            plain: "subscriber_id" "tenant_id" "upload_octets" "download_octets" "seconds", times: "hour")),
        postgres: add_usage!("usage_hourly", "hour", postgres_rows!(usage: "hour" time)),
    }
    ADD_DAILY {
        sqlite: add_usage!("usage_daily", "day", sqlite_rows!(
            plain: "subscriber_id" "tenant_id" "day" "upload_octets" "download_octets" "seconds", times:)),
        postgres: add_usage!("usage_daily", "day", postgres_rows!(usage: "day" date)),
    }
    ADD_TOTALS {
        sqlite: concat!("UPDATE subscribers SET total_sessions = total_sessions + r.sessions,
                total_upload_bytes = total_upload_bytes + r.upload_octets,
                total_download_bytes = total_download_bytes + r.download_octets,
                last_online = max(coalesce(last_online, r.last), r.last)
            FROM ", sqlite_rows!(
                plain: "subscriber_id" "sessions" "upload_octets" "download_octets", times: "last"),
            "WHERE subscribers.id = r.subscriber_id"),
        postgres: concat!("UPDATE subscribers SET total_sessions = total_sessions + r.sessions,
                total_upload_bytes = total_upload_bytes + r.upload_octets,
                total_download_bytes = total_download_bytes + r.download_octets,
                last_online = greatest(last_online, r.last)
            FROM ", postgres_rows!("subscriber_id" text "$1" "sessions" int "$2" "upload_octets" int "$3"
                "download_octets" int "$4" "last" time "$5"),
            "WHERE subscribers.id = r.subscriber_id"),
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
                AND coalesce(acctstarttime, created_at) <= n.reloadtime
                AND coalesce(acctupdatetime, acctstarttime, created_at) <= n.reloadtime",
        postgres: "UPDATE radacct SET acctstoptime = n.reloadtime, acctterminatecause = 'NAS-Reboot',
                stop_inferred = true
            FROM nasreload n
            WHERE n.nasipaddress = $1::inet AND n.tenant_id IS NOT DISTINCT FROM $2
                AND radacct.nasipaddress = $1::inet AND radacct.tenant_id IS NOT DISTINCT FROM $2
                AND acctstoptime IS NULL
                AND coalesce(acctstarttime, created_at) <= n.reloadtime
                AND coalesce(acctupdatetime, acctstarttime, created_at) <= n.reloadtime",
    }
}
