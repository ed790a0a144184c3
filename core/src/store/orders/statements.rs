//! Statements over orders and what was applied. Rows come and go as one JSON text.

use crate::store::sql::statements;

/// What names the session of an order, as [`live`](super::live) reads it.
macro_rules! sqlite_live {
    () => {
        "a.radacctid, a.tenant_id, a.subscriber_id, a.acctuniqueid, a.acctsessionid, a.username, a.nasipaddress,
            a.nasportid, a.callingstationid, a.calledstationid, a.framedipaddress, a.framedipv6address,
            a.framedipv6prefix, a.delegatedipv6prefix"
    };
}
macro_rules! postgres_live {
    () => {
        "a.radacctid, a.tenant_id, a.subscriber_id, a.acctuniqueid, a.acctsessionid, a.username, host(a.nasipaddress),
            a.nasportid, a.callingstationid, a.calledstationid, host(a.framedipaddress), host(a.framedipv6address),
            a.framedipv6prefix::text, a.delegatedipv6prefix::text"
    };
}

macro_rules! sqlite_order {
    () => {
        "o.id, o.tenant_id, o.session_id, o.acctuniqueid, o.acctsessionid, o.username, o.subscriber_id, o.plan_id,
            o.nasipaddress, o.kind, o.cause, o.actor, o.set_items, o.unset_items, o.verdict, o.state, o.attempts,
            unixepoch(o.not_before), o.rtt, o.result, o.error_cause, o.reason, unixepoch(o.created_at),
            unixepoch(o.sent_at), unixepoch(o.finished_at)"
    };
}
macro_rules! postgres_order {
    () => {
        "o.id, o.tenant_id, o.session_id, o.acctuniqueid, o.acctsessionid, o.username, o.subscriber_id, o.plan_id,
            host(o.nasipaddress), o.kind, o.cause, o.actor, o.set_items, o.unset_items, o.verdict, o.state,
            o.attempts::bigint, extract(epoch FROM o.not_before)::bigint, o.rtt, o.result, o.error_cause, o.reason,
            extract(epoch FROM o.created_at)::bigint, extract(epoch FROM o.sent_at)::bigint,
            extract(epoch FROM o.finished_at)::bigint"
    };
}

/// A session, what it was told last, and its orders that are not over.
macro_rules! sqlite_reviewed {
    ($where:expr) => {
        concat!(
            "SELECT ",
            sqlite_live!(),
            ", s.username, s.id IS NULL OR s.deleted_at IS NOT NULL, s.bandwidth_profile_id, a.class,
                p.fingerprint, p.items, p.verdict, p.settled, unixepoch(p.recheck_at),
                w.kind, w.cause, w.wanted, w.set_items, w.unset_items, w.attempts,
                o.kind, o.cause, o.wanted, o.set_items, o.unset_items, o.attempts
            FROM radacct a LEFT JOIN subscribers s ON s.id = a.subscriber_id
                LEFT JOIN session_applied p ON p.session_id = a.radacctid
                LEFT JOIN coa_orders w ON w.session_id = a.radacctid AND w.state = 'pending'
                LEFT JOIN coa_orders o ON o.session_id = a.radacctid AND o.state = 'sending'
            WHERE a.acctstoptime IS NULL AND a.subscriber_id IS NOT NULL AND ",
            $where
        )
    };
}
macro_rules! postgres_reviewed {
    ($where:expr) => {
        concat!(
            "SELECT ",
            postgres_live!(),
            ", s.username, s.id IS NULL OR s.deleted_at IS NOT NULL, s.bandwidth_profile_id, a.class,
                p.fingerprint, p.items, p.verdict, p.settled, extract(epoch FROM p.recheck_at)::bigint,
                w.kind, w.cause, w.wanted, w.set_items, w.unset_items, w.attempts::bigint,
                o.kind, o.cause, o.wanted, o.set_items, o.unset_items, o.attempts::bigint
            FROM radacct a LEFT JOIN subscribers s ON s.id = a.subscriber_id
                LEFT JOIN session_applied p ON p.session_id = a.radacctid
                LEFT JOIN coa_orders w ON w.session_id = a.radacctid AND w.state = 'pending'
                LEFT JOIN coa_orders o ON o.session_id = a.radacctid AND o.state = 'sending'
            WHERE a.acctstoptime IS NULL AND a.subscriber_id IS NOT NULL AND ",
            $where
        )
    };
}

/// Subscribers whose decision may name the plan `$3`.
macro_rules! of_plan {
    () => {
        "a.subscriber_id IN (
            SELECT id FROM subscribers WHERE bandwidth_profile_id = $3
            UNION SELECT subscriber_id FROM subscriber_tiers WHERE plan_id = $3
            UNION SELECT subscriber_id FROM subscriber_schedule WHERE plan_id = $3
            UNION SELECT s.id FROM subscribers s JOIN tenant_conditions c ON c.tenant_id = s.tenant_id WHERE c.plan_id = $3)"
    };
}

/// Which orders: `$1` tenant, `$2` id, `$3` state, `$4` NAS, `$5` User-Name, `$6` Acct-Session-Id, `$7` plan, `$8` cause.
macro_rules! sqlite_which {
    () => {
        "($1 IS NULL OR o.tenant_id = $1) AND ($2 IS NULL OR o.id = $2) AND ($3 IS NULL OR o.state = $3)
            AND ($4 IS NULL OR o.nasipaddress = $4) AND ($5 IS NULL OR o.username = $5)
            AND ($6 IS NULL OR o.acctsessionid = $6) AND ($7 IS NULL OR o.plan_id = $7) AND ($8 IS NULL OR o.cause = $8)"
    };
}
macro_rules! postgres_which {
    () => {
        "($1::text IS NULL OR o.tenant_id = $1) AND ($2::bigint IS NULL OR o.id = $2)
            AND ($3::text IS NULL OR o.state = $3) AND ($4::text IS NULL OR o.nasipaddress = $4::inet)
            AND ($5::text IS NULL OR o.username = $5) AND ($6::text IS NULL OR o.acctsessionid = $6)
            AND ($7::text IS NULL OR o.plan_id = $7) AND ($8::text IS NULL OR o.cause = $8)"
    };
}

statements! {
    /// `$1` keeps, or takes, the lead for `$2` seconds.
    LEAD {
        sqlite: "UPDATE coa_lead SET owner = $1, until = datetime('now', '+' || $2 || ' seconds')
            WHERE owner = $1 OR until < datetime('now')",
        postgres: "UPDATE coa_lead SET owner = $1, until = clock_timestamp() + $2 * interval '1 second'
            WHERE owner = $1 OR until < clock_timestamp()",
    }
    RESIGN {
        sqlite: "UPDATE coa_lead SET until = '1970-01-01 00:00:00' WHERE owner = $1",
        postgres: "UPDATE coa_lead SET until = 'epoch' WHERE owner = $1",
    }
    /// Whoever leads now leads until this transaction is over.
    LEADS {
        sqlite: "SELECT 1 FROM coa_lead WHERE owner = $1 AND until >= datetime('now')",
        postgres: "SELECT 1 FROM coa_lead WHERE owner = $1 AND until >= clock_timestamp() FOR SHARE",
    }

    REVIEW_SUBSCRIBERS {
        sqlite: sqlite_reviewed!("a.subscriber_id IN (SELECT value FROM json_each($1))"),
        postgres: postgres_reviewed!("a.subscriber_id = ANY (ARRAY(SELECT json_array_elements_text($1::json)))"),
    }
    /// After `$1`, at most `$2`.
    REVIEW_ALL {
        sqlite: sqlite_reviewed!("a.radacctid > $1 ORDER BY a.radacctid LIMIT $2"),
        postgres: postgres_reviewed!("a.radacctid > $1 ORDER BY a.radacctid LIMIT $2"),
    }
    REVIEW_TENANT {
        sqlite: sqlite_reviewed!("a.radacctid > $1 AND a.tenant_id = $3 ORDER BY a.radacctid LIMIT $2"),
        postgres: postgres_reviewed!("a.radacctid > $1 AND a.tenant_id = $3 ORDER BY a.radacctid LIMIT $2"),
    }
    REVIEW_PLAN {
        sqlite: sqlite_reviewed!(concat!("a.radacctid > $1 AND ", of_plan!(), " ORDER BY a.radacctid LIMIT $2")),
        postgres: postgres_reviewed!(concat!("a.radacctid > $1 AND ", of_plan!(), " ORDER BY a.radacctid LIMIT $2")),
    }
    /// Those that nothing is known of yet.
    REVIEW_NEW {
        sqlite: sqlite_reviewed!("a.radacctid > $1 AND p.session_id IS NULL ORDER BY a.radacctid LIMIT $2"),
        postgres: postgres_reviewed!("a.radacctid > $1 AND p.session_id IS NULL ORDER BY a.radacctid LIMIT $2"),
    }
    /// Those whose time has come.
    REVIEW_DUE {
        sqlite: sqlite_reviewed!("a.radacctid IN (SELECT session_id FROM session_applied
            WHERE recheck_at <= datetime('now') ORDER BY recheck_at LIMIT $1)"),
        postgres: postgres_reviewed!("a.radacctid IN (SELECT session_id FROM session_applied
            WHERE recheck_at <= clock_timestamp() ORDER BY recheck_at LIMIT $1)"),
    }
    /// `$1` tenant, `$2` User-Name or the subscriber's own, `$3` Acct-Session-Id, `$4` NAS, `$5` id.
    FIND {
        sqlite: concat!("SELECT ", sqlite_live!(), " FROM radacct a LEFT JOIN subscribers s ON s.id = a.subscriber_id
            WHERE a.acctstoptime IS NULL AND ($1 IS NULL OR a.tenant_id = $1)
                AND ($2 IS NULL OR a.username = $2 OR s.username = $2) AND ($3 IS NULL OR a.acctsessionid = $3)
                AND ($4 IS NULL OR a.nasipaddress = $4) AND ($5 IS NULL OR a.radacctid = $5) ORDER BY a.radacctid"),
        postgres: concat!("SELECT ", postgres_live!(), " FROM radacct a LEFT JOIN subscribers s ON s.id = a.subscriber_id
            WHERE a.acctstoptime IS NULL AND ($1::text IS NULL OR a.tenant_id = $1)
                AND ($2::text IS NULL OR a.username = $2 OR s.username = $2)
                AND ($3::text IS NULL OR a.acctsessionid = $3) AND ($4::text IS NULL OR a.nasipaddress = $4::inet)
                AND ($5::bigint IS NULL OR a.radacctid = $5) ORDER BY a.radacctid"),
    }
    /// What is known of sessions that are over.
    FORGET {
        sqlite: "DELETE FROM session_applied WHERE NOT EXISTS (
            SELECT 1 FROM radacct a WHERE a.radacctid = session_id AND a.acctstoptime IS NULL)",
        postgres: "DELETE FROM session_applied p WHERE NOT EXISTS (
            SELECT 1 FROM radacct a WHERE a.radacctid = p.session_id AND a.acctstoptime IS NULL)",
    }
    /// `$1`: a list of what sessions were told, when the decision changes by the clock, or both.
    APPLIED {
        sqlite: "INSERT INTO session_applied (session_id, tenant_id, subscriber_id, fingerprint, items, verdict, recheck_at)
            SELECT r.value ->> 'session_id', r.value ->> 'tenant_id', r.value ->> 'subscriber_id',
                r.value ->> 'fingerprint', r.value ->> 'items', r.value ->> 'verdict',
                datetime(r.value ->> 'recheck_at', 'unixepoch')
            FROM json_each($1) r WHERE true
            ON CONFLICT (session_id) DO UPDATE SET recheck_at = excluded.recheck_at",
        postgres: "INSERT INTO session_applied (session_id, tenant_id, subscriber_id, fingerprint, items, verdict, recheck_at)
            SELECT (r ->> 'session_id')::bigint, r ->> 'tenant_id', r ->> 'subscriber_id', r ->> 'fingerprint',
                r ->> 'items', r ->> 'verdict', to_timestamp((r ->> 'recheck_at')::bigint)
            FROM json_array_elements($1::json) r
            ON CONFLICT (session_id) DO UPDATE SET recheck_at = excluded.recheck_at",
    }
    /// `$1`: as for [`APPLIED`]; what was known before is not so any more.
    RETOLD {
        sqlite: "UPDATE session_applied SET fingerprint = r.value ->> 'fingerprint', items = r.value ->> 'items',
                verdict = r.value ->> 'verdict', updated_at = datetime('now')
            FROM json_each($1) r WHERE session_id = r.value ->> 'session_id'",
        postgres: "UPDATE session_applied p SET fingerprint = r ->> 'fingerprint', items = r ->> 'items',
                verdict = r ->> 'verdict', updated_at = now()
            FROM json_array_elements($1::json) r WHERE p.session_id = (r ->> 'session_id')::bigint",
    }
    /// Of the sessions in `$1`.
    SUPERSEDE {
        sqlite: "UPDATE coa_orders SET state = 'superseded', finished_at = datetime('now'),
                reason = 'the decision changed before it was sent'
            WHERE state = 'pending' AND session_id IN (SELECT value FROM json_each($1))",
        postgres: "UPDATE coa_orders SET state = 'superseded', finished_at = clock_timestamp(),
                reason = 'the decision changed before it was sent'
            WHERE state = 'pending'
                AND session_id = ANY (ARRAY(SELECT json_array_elements_text($1::json)::bigint))",
    }
    /// `$1`: orders. The session must be open, and none of its orders may wait.
    PLACE {
        sqlite: "INSERT INTO coa_orders (tenant_id, session_id, acctuniqueid, acctsessionid, username, subscriber_id, plan_id,
                nasipaddress, kind, cause, actor, set_items, unset_items, wanted, wanted_items, verdict)
            SELECT a.tenant_id, a.radacctid, a.acctuniqueid, a.acctsessionid, a.username, a.subscriber_id,
                r.value ->> 'plan_id', a.nasipaddress, r.value ->> 'kind', r.value ->> 'cause', r.value ->> 'actor',
                r.value ->> 'set', r.value ->> 'unset', r.value ->> 'wanted', r.value ->> 'wanted_items',
                r.value ->> 'verdict'
            FROM json_each($1) r JOIN radacct a ON a.radacctid = r.value ->> 'session_id' AND a.acctstoptime IS NULL
            WHERE true ON CONFLICT DO NOTHING RETURNING id, session_id",
        postgres: "INSERT INTO coa_orders (tenant_id, session_id, acctuniqueid, acctsessionid, username, subscriber_id, plan_id,
                nasipaddress, kind, cause, actor, set_items, unset_items, wanted, wanted_items, verdict)
            SELECT a.tenant_id, a.radacctid, a.acctuniqueid, a.acctsessionid, a.username, a.subscriber_id,
                r ->> 'plan_id', a.nasipaddress, r ->> 'kind', r ->> 'cause', r ->> 'actor', r ->> 'set', r ->> 'unset',
                r ->> 'wanted', r ->> 'wanted_items', r ->> 'verdict'
            FROM json_array_elements($1::json) r
                JOIN radacct a ON a.radacctid = (r ->> 'session_id')::bigint AND a.acctstoptime IS NULL
            ON CONFLICT DO NOTHING RETURNING id, session_id",
    }

    /// `$1` takes orders for `$2` seconds, at most `$3`, none for the NAS in `$4`; at most one of a session is in hand.
    /// With `$5`, of these orders only.
    CLAIM {
        sqlite: "UPDATE coa_orders SET state = 'sending', attempts = attempts + 1, lease_owner = $1,
                lease_until = datetime('now', '+' || $2 || ' seconds'), sent_at = coalesce(sent_at, datetime('now'))
            WHERE id IN (SELECT p.id FROM coa_orders p
                WHERE p.state = 'pending' AND p.not_before <= datetime('now')
                    AND p.nasipaddress NOT IN (SELECT value FROM json_each($4))
                    AND ($5 IS NULL OR p.id IN (SELECT value FROM json_each($5)))
                    AND NOT EXISTS (SELECT 1 FROM coa_orders s WHERE s.session_id = p.session_id AND s.state = 'sending')
                ORDER BY p.not_before, p.id LIMIT $3)
            RETURNING id",
        postgres: "UPDATE coa_orders SET state = 'sending', attempts = attempts + 1, lease_owner = $1,
                lease_until = clock_timestamp() + $2 * interval '1 second', sent_at = coalesce(sent_at, clock_timestamp())
            WHERE id = ANY (ARRAY(SELECT p.id FROM coa_orders p
                WHERE p.state = 'pending' AND p.not_before <= clock_timestamp()
                    AND host(p.nasipaddress) <> ALL (ARRAY(SELECT json_array_elements_text($4::json)))
                    AND ($5::text IS NULL OR p.id = ANY (ARRAY(SELECT json_array_elements_text($5::json)::bigint)))
                    AND NOT EXISTS (SELECT 1 FROM coa_orders s WHERE s.session_id = p.session_id AND s.state = 'sending')
                ORDER BY p.not_before, p.id LIMIT $3 FOR UPDATE OF p SKIP LOCKED))
            RETURNING id",
    }
    /// Those that were taken in hand by somebody who is not heard of any more; `$4` are in hand.
    RECLAIM {
        sqlite: "UPDATE coa_orders SET attempts = attempts + 1, lease_owner = $1,
                lease_until = datetime('now', '+' || $2 || ' seconds')
            WHERE id IN (SELECT id FROM coa_orders WHERE state = 'sending' AND lease_until < datetime('now')
                    AND id NOT IN (SELECT value FROM json_each($4))
                ORDER BY lease_until LIMIT $3)
            RETURNING id",
        postgres: "UPDATE coa_orders SET attempts = attempts + 1, lease_owner = $1,
                lease_until = clock_timestamp() + $2 * interval '1 second'
            WHERE id = ANY (ARRAY(SELECT id FROM coa_orders WHERE state = 'sending' AND lease_until < clock_timestamp()
                    AND id <> ALL (ARRAY(SELECT json_array_elements_text($4::json)::bigint))
                ORDER BY lease_until LIMIT $3 FOR UPDATE SKIP LOCKED))
            RETURNING id",
    }
    /// `$1` is still at those in `$3`.
    RENEW {
        sqlite: "UPDATE coa_orders SET lease_until = datetime('now', '+' || $2 || ' seconds')
            WHERE state = 'sending' AND lease_owner = $1 AND id IN (SELECT value FROM json_each($3))",
        postgres: "UPDATE coa_orders SET lease_until = clock_timestamp() + $2 * interval '1 second'
            WHERE id = ANY (ARRAY(SELECT json_array_elements_text($3::json)::bigint))
                AND CASE WHEN state = 'sending' THEN lease_owner = $1 ELSE false END",
    }
    /// The orders in `$1`, with what names their sessions, whether those are open, and the age of the orders.
    CLAIMED {
        sqlite: concat!("SELECT o.kind, o.cause, o.set_items, o.unset_items, o.attempts, o.id,
                unixepoch('now') - unixepoch(o.created_at), a.acctstoptime IS NULL, ", sqlite_live!(), "
            FROM coa_orders o JOIN radacct a ON a.radacctid = o.session_id
            WHERE o.id IN (SELECT value FROM json_each($1)) ORDER BY o.id"),
        postgres: concat!("SELECT o.kind, o.cause, o.set_items, o.unset_items, o.attempts::bigint, o.id,
                extract(epoch FROM clock_timestamp() - o.created_at)::bigint, a.acctstoptime IS NULL, ", postgres_live!(), "
            FROM coa_orders o JOIN radacct a ON a.radacctid = o.session_id
            WHERE o.id = ANY (ARRAY(SELECT json_array_elements_text($1::json)::bigint)) ORDER BY o.id"),
    }
    /// `$1`: what came of orders that `$2` has in hand. One that is to be tried again gives way to a later one that waits.
    FINISH {
        sqlite: "UPDATE coa_orders SET
                state = CASE WHEN r.state = 'pending' AND EXISTS (SELECT 1 FROM coa_orders w
                    WHERE w.session_id = coa_orders.session_id AND w.state = 'pending') THEN 'superseded' ELSE r.state END,
                not_before = datetime('now', '+' || r.wait || ' seconds'), lease_owner = NULL, lease_until = NULL,
                rtt = r.rtt, result = r.result, error_cause = r.error_cause, reason = r.reason,
                finished_at = CASE WHEN r.state <> 'pending' THEN datetime('now') END
            FROM (SELECT value ->> 'id' AS id, value ->> 'state' AS state, value ->> 'wait' AS wait, value ->> 'rtt' AS rtt,
                    value ->> 'result' AS result, value ->> 'error_cause' AS error_cause, value ->> 'reason' AS reason
                FROM json_each($1)) r
            WHERE coa_orders.id = r.id AND coa_orders.state = 'sending' AND coa_orders.lease_owner = $2
            RETURNING coa_orders.id",
        // What is behind the CASE is no reason to look through all that is in hand for each outcome, as the planner would, who
        // thinks that hardly anything is.
        postgres: "UPDATE coa_orders o SET
                state = CASE WHEN r.state = 'pending' AND EXISTS (SELECT 1 FROM coa_orders w
                    WHERE w.session_id = o.session_id AND w.state = 'pending') THEN 'superseded' ELSE r.state END,
                not_before = clock_timestamp() + r.wait * interval '1 second', lease_owner = NULL, lease_until = NULL,
                rtt = r.rtt, result = r.result, error_cause = r.error_cause, reason = r.reason,
                finished_at = CASE WHEN r.state <> 'pending' THEN clock_timestamp() END
            FROM json_to_recordset($1::json) AS r (id bigint, state text, wait bigint, rtt bigint, result text,
                error_cause bigint, reason text)
            WHERE o.id = r.id AND CASE WHEN o.state = 'sending' THEN o.lease_owner = $2 ELSE false END
            RETURNING o.id",
    }
    /// The sessions of the orders in `$1` that are done were told what their orders wanted.
    REACHED {
        sqlite: "INSERT INTO session_applied (session_id, tenant_id, subscriber_id, fingerprint, items, verdict)
            SELECT o.session_id, o.tenant_id, o.subscriber_id, o.wanted, o.wanted_items, o.verdict FROM coa_orders o
            WHERE o.id IN (SELECT value FROM json_each($1)) AND o.state = 'done' AND o.wanted IS NOT NULL
            ON CONFLICT (session_id) DO UPDATE SET fingerprint = excluded.fingerprint, items = excluded.items,
                verdict = excluded.verdict, settled = NULL, updated_at = datetime('now')",
        postgres: "INSERT INTO session_applied (session_id, tenant_id, subscriber_id, fingerprint, items, verdict)
            SELECT o.session_id, o.tenant_id, o.subscriber_id, o.wanted, o.wanted_items, o.verdict FROM coa_orders o
            WHERE o.id = ANY (ARRAY(SELECT json_array_elements_text($1::json)::bigint)) AND o.state = 'done'
                AND o.wanted IS NOT NULL
            ON CONFLICT (session_id) DO UPDATE SET fingerprint = excluded.fingerprint, items = excluded.items,
                verdict = excluded.verdict, settled = NULL, updated_at = now()",
    }
    /// What the orders in `$1` wanted is not to be ordered again by itself.
    SETTLE {
        sqlite: "UPDATE session_applied SET settled = o.wanted FROM coa_orders o
            WHERE o.id IN (SELECT value FROM json_each($1)) AND o.state IN ('failed', 'cancelled')
                AND o.session_id = session_applied.session_id AND o.wanted IS NOT NULL",
        postgres: "UPDATE session_applied p SET settled = o.wanted FROM coa_orders o
            WHERE o.id = ANY (ARRAY(SELECT json_array_elements_text($1::json)::bigint))
                AND o.state IN ('failed', 'cancelled') AND o.session_id = p.session_id AND o.wanted IS NOT NULL",
    }

    /// After `$9` (from the latest on), at most `$10`.
    LIST {
        sqlite: concat!("SELECT ", sqlite_order!(), " FROM coa_orders o WHERE ", sqlite_which!(), "
            AND ($9 IS NULL OR o.id < $9) ORDER BY o.id DESC LIMIT coalesce($10, -1)"),
        postgres: concat!("SELECT ", postgres_order!(), " FROM coa_orders o WHERE ", postgres_which!(), "
            AND ($9::bigint IS NULL OR o.id < $9) ORDER BY o.id DESC LIMIT $10"),
    }
    SUMMARY {
        sqlite: concat!("SELECT o.nasipaddress, o.cause, sum(o.state = 'pending'), sum(o.state = 'sending'),
                sum(o.state = 'done'), sum(o.state = 'failed'), sum(o.state = 'cancelled'), sum(o.state = 'superseded')
            FROM coa_orders o WHERE ", sqlite_which!(), " GROUP BY 1, 2 ORDER BY 1, 2"),
        postgres: concat!("SELECT host(o.nasipaddress), o.cause, count(*) FILTER (WHERE o.state = 'pending'),
                count(*) FILTER (WHERE o.state = 'sending'), count(*) FILTER (WHERE o.state = 'done'),
                count(*) FILTER (WHERE o.state = 'failed'), count(*) FILTER (WHERE o.state = 'cancelled'),
                count(*) FILTER (WHERE o.state = 'superseded')
            FROM coa_orders o WHERE ", postgres_which!(), " GROUP BY 1, 2 ORDER BY 1, 2"),
    }
    CANCEL {
        sqlite: concat!("UPDATE coa_orders AS o SET state = 'cancelled', finished_at = datetime('now'), reason = $9
            WHERE ", sqlite_which!(), " AND o.state = 'pending' RETURNING id"),
        postgres: concat!("UPDATE coa_orders o SET state = 'cancelled', finished_at = clock_timestamp(), reason = $9
            WHERE ", postgres_which!(), " AND o.state = 'pending' RETURNING o.id"),
    }
    /// The same once more, by `$9`, of those that failed or were cancelled and are their sessions' latest.
    RETRY {
        sqlite: concat!("INSERT INTO coa_orders (tenant_id, session_id, acctuniqueid, acctsessionid, username, subscriber_id,
                plan_id, nasipaddress, kind, cause, actor, set_items, unset_items, wanted, wanted_items, verdict)
            SELECT o.tenant_id, o.session_id, o.acctuniqueid, o.acctsessionid, o.username, o.subscriber_id, o.plan_id,
                o.nasipaddress, o.kind, o.cause, $9, o.set_items, o.unset_items, o.wanted, o.wanted_items, o.verdict
            FROM coa_orders o JOIN radacct a ON a.radacctid = o.session_id AND a.acctstoptime IS NULL
            WHERE ", sqlite_which!(), " AND o.state IN ('failed', 'cancelled')
                AND NOT EXISTS (SELECT 1 FROM coa_orders l WHERE l.session_id = o.session_id AND l.id > o.id)
            ON CONFLICT DO NOTHING RETURNING id"),
        postgres: concat!("INSERT INTO coa_orders (tenant_id, session_id, acctuniqueid, acctsessionid, username, subscriber_id,
                plan_id, nasipaddress, kind, cause, actor, set_items, unset_items, wanted, wanted_items, verdict)
            SELECT o.tenant_id, o.session_id, o.acctuniqueid, o.acctsessionid, o.username, o.subscriber_id, o.plan_id,
                o.nasipaddress, o.kind, o.cause, $9, o.set_items, o.unset_items, o.wanted, o.wanted_items, o.verdict
            FROM coa_orders o JOIN radacct a ON a.radacctid = o.session_id AND a.acctstoptime IS NULL
            WHERE ", postgres_which!(), " AND o.state IN ('failed', 'cancelled')
                AND NOT EXISTS (SELECT 1 FROM coa_orders l WHERE l.session_id = o.session_id AND l.id > o.id)
            ON CONFLICT DO NOTHING RETURNING id"),
    }
}
