//! The statements of quotas. Lists come as one JSON array.

use crate::store::sql::statements;

macro_rules! quotas {
    (sqlite: $which:literal) => {
        concat!(
            "SELECT q.id, q.tenant_id, q.plan_id, q.metric, q.period, q.period_hours,
                (SELECT json_group_array(json_array(t.threshold, t.override_plan_id,
                        p.download_rate_kbps + p.upload_rate_kbps) ORDER BY t.threshold)
                    FROM plan_quota_tiers t LEFT JOIN radius_bandwidth_profiles p ON p.id = t.override_plan_id
                    WHERE t.quota_id = q.id)
            FROM plan_quotas q WHERE ",
            $which,
            " ORDER BY q.metric, q.period, q.period_hours, q.id"
        )
    };
    (postgres: $which:literal) => {
        concat!(
            "SELECT q.id, q.tenant_id, q.plan_id, q.metric, q.period, q.period_hours,
                (SELECT json_agg(json_build_array(t.threshold, t.override_plan_id,
                        p.download_rate_kbps + p.upload_rate_kbps) ORDER BY t.threshold)::text
                    FROM plan_quota_tiers t LEFT JOIN radius_bandwidth_profiles p ON p.id = t.override_plan_id
                    WHERE t.quota_id = q.id)
            FROM plan_quotas q WHERE ",
            $which,
            " ORDER BY q.metric COLLATE \"C\", q.period COLLATE \"C\", q.period_hours NULLS FIRST, q.id COLLATE \"C\""
        )
    };
}

/// What a metric counts. Both directions together may be more than a column holds.
macro_rules! counted {
    (postgres: $metric:literal) => {
        concat!(
            "CASE ",
            $metric,
            " WHEN 'upload' THEN u.upload_octets WHEN 'download' THEN u.download_octets
                WHEN 'time' THEN u.seconds ELSE u.upload_octets::numeric + u.download_octets END"
        )
    };
    (sqlite: $metric:literal) => {
        concat!(
            "CASE ",
            $metric,
            " WHEN 'upload' THEN u.upload_octets WHEN 'download' THEN u.download_octets
                WHEN 'time' THEN u.seconds ELSE u.upload_octets + u.download_octets END"
        )
    };
}

statements! {
    LONGEST_ROLLING {
        both: "SELECT coalesce(max(period_hours), 0) FROM plan_quotas",
    }
    ADD_QUOTA {
        both: "INSERT INTO plan_quotas (id, tenant_id, plan_id, metric, period, period_hours)
            VALUES ($1, $2, $3, $4, $5, $6)",
    }
    ADD_TIER {
        both: "INSERT INTO plan_quota_tiers (quota_id, tenant_id, threshold, override_plan_id, restriction)
            VALUES ($1, $2, $3, $4, $5)",
    }
    DELETE_QUOTA { both: "DELETE FROM plan_quotas WHERE tenant_id = $1 AND id = $2" }
    LIST {
        sqlite: quotas!(sqlite: "q.tenant_id = $1 AND q.plan_id = $2"),
        postgres: quotas!(postgres: "q.tenant_id = $1 AND q.plan_id = $2"),
    }
    /// `$1`: ids of plans.
    OF_PLANS {
        sqlite: quotas!(sqlite: "q.plan_id IN (SELECT value FROM json_each($1))"),
        postgres: quotas!(postgres: "q.plan_id = ANY (ARRAY(SELECT json_array_elements_text($1::json)))"),
    }
    ADD_TOPUP {
        sqlite: "INSERT INTO quota_topups (id, subscriber_id, metric, period, amount, valid_from, valid_until, note,
                created_at, created_by)
            SELECT $1, id, $4, $5, $6, datetime($7, 'unixepoch'), datetime($8, 'unixepoch'), $9,
                datetime($10, 'unixepoch'), $11
            FROM subscribers WHERE tenant_id = $2 AND id = $3 AND deleted_at IS NULL",
        postgres: "INSERT INTO quota_topups (id, subscriber_id, metric, period, amount, valid_from, valid_until, note,
                created_at, created_by)
            SELECT $1, id, $4, $5, $6::bigint, to_timestamp($7), to_timestamp($8), $9, to_timestamp($10), $11
            FROM subscribers WHERE tenant_id = $2 AND id = $3 AND deleted_at IS NULL",
    }
    TOPUPS {
        sqlite: "SELECT u.id, u.subscriber_id, u.metric, u.period, u.amount, unixepoch(u.valid_from),
                unixepoch(u.valid_until), u.note, unixepoch(u.created_at), u.created_by
            FROM quota_topups u JOIN subscribers s ON s.id = u.subscriber_id
            WHERE s.tenant_id = $1 AND s.id = $2 ORDER BY u.valid_from, u.id",
        postgres: "SELECT u.id, u.subscriber_id, u.metric, u.period, u.amount, extract(epoch FROM u.valid_from)::bigint,
                extract(epoch FROM u.valid_until)::bigint, u.note, extract(epoch FROM u.created_at)::bigint, u.created_by
            FROM quota_topups u JOIN subscribers s ON s.id = u.subscriber_id
            WHERE s.tenant_id = $1 AND s.id = $2 ORDER BY u.valid_from, u.id COLLATE \"C\"",
    }
    DELETE_TOPUP {
        both: "DELETE FROM quota_topups WHERE id = $3
            AND subscriber_id IN (SELECT id FROM subscribers WHERE tenant_id = $1 AND id = $2)",
    }
    /// Those of `$1` who have quotas, or a tier from when they had.
    CASES {
        sqlite: "SELECT s.id, s.tenant_id, n.timezone, CASE WHEN s.deleted_at IS NULL THEN s.bandwidth_profile_id END,
                s.billing_day, t.quota_id, t.metric, t.threshold, t.plan_id, t.used, unixepoch(t.since),
                unixepoch(t.until),
                (SELECT json_group_array(json_array(u.metric, u.period, u.amount)) FROM quota_topups u
                    WHERE u.subscriber_id = s.id AND u.valid_from <= datetime($2, 'unixepoch')
                        AND u.valid_until > datetime($2, 'unixepoch'))
            FROM subscribers s JOIN tenants n ON n.id = s.tenant_id LEFT JOIN subscriber_tiers t ON t.subscriber_id = s.id
            WHERE s.id IN (SELECT value FROM json_each($1)) AND (t.subscriber_id IS NOT NULL
                OR EXISTS (SELECT 1 FROM plan_quotas q WHERE q.plan_id = s.bandwidth_profile_id))",
        postgres: "SELECT s.id, s.tenant_id, n.timezone, CASE WHEN s.deleted_at IS NULL THEN s.bandwidth_profile_id END,
                s.billing_day::bigint, t.quota_id, t.metric, t.threshold, t.plan_id, t.used,
                extract(epoch FROM t.since)::bigint, extract(epoch FROM t.until)::bigint,
                (SELECT json_agg(json_build_array(u.metric, u.period, u.amount))::text FROM quota_topups u
                    WHERE u.subscriber_id = s.id AND u.valid_from <= to_timestamp($2)
                        AND u.valid_until > to_timestamp($2))
            FROM subscribers s JOIN tenants n ON n.id = s.tenant_id LEFT JOIN subscriber_tiers t ON t.subscriber_id = s.id
            WHERE s.id = ANY (ARRAY(SELECT json_array_elements_text($1::json))) AND (t.subscriber_id IS NOT NULL
                OR EXISTS (SELECT 1 FROM plan_quotas q WHERE q.plan_id = s.bandwidth_profile_id))",
    }
    /// Use in calendar periods (`$1`) and rolling ones (`$2`). A sum past what the column holds is cut: it is past every
    /// threshold.
    USED {
        sqlite: concat!("SELECT r.value ->> 'place', (SELECT CAST(total(", counted!(sqlite: "r.value ->> 'metric'"), ") AS INTEGER)
                FROM usage_daily u WHERE u.subscriber_id = r.value ->> 'subscriber'
                    AND u.day >= r.value ->> 'first' AND u.day < r.value ->> 'end')
            FROM json_each($1) r
            UNION ALL
            SELECT r.value ->> 'place', (SELECT CAST(total(", counted!(sqlite: "r.value ->> 'metric'"), ") AS INTEGER)
                FROM usage_hourly u WHERE u.subscriber_id = r.value ->> 'subscriber'
                    AND u.hour >= datetime(r.value ->> 'first', 'unixepoch')
                    AND u.hour <= datetime(r.value ->> 'last', 'unixepoch'))
            FROM json_each($2) r"),
        postgres: concat!("SELECT r.place, (SELECT least(coalesce(sum(", counted!(postgres: "r.metric"), "), 0), 9223372036854775807)::bigint
                FROM usage_daily u WHERE u.subscriber_id = r.subscriber AND u.day >= r.first AND u.day < r.end)
            FROM json_to_recordset($1::json) AS r (place bigint, subscriber text, metric text, first date, \"end\" date)
            UNION ALL
            SELECT r.place, (SELECT least(coalesce(sum(", counted!(postgres: "r.metric"), "), 0), 9223372036854775807)::bigint
                FROM usage_hourly u WHERE u.subscriber_id = r.subscriber
                    AND u.hour >= to_timestamp(r.first) AND u.hour <= to_timestamp(r.last))
            FROM json_to_recordset($2::json) AS r (place bigint, subscriber text, metric text, first bigint, last bigint)"),
    }
    /// Use in rolling periods, hour by hour.
    BY_HOUR {
        sqlite: "SELECT r.value ->> 'place', unixepoch(u.hour), u.upload_octets, u.download_octets, u.seconds
            FROM json_each($1) r JOIN usage_hourly u ON u.subscriber_id = r.value ->> 'subscriber'
                AND u.hour >= datetime(r.value ->> 'first', 'unixepoch')
                AND u.hour <= datetime(r.value ->> 'last', 'unixepoch')",
        postgres: "SELECT r.place, extract(epoch FROM u.hour)::bigint, u.upload_octets, u.download_octets, u.seconds
            FROM json_to_recordset($1::json) AS r (place bigint, subscriber text, first bigint, last bigint)
            JOIN usage_hourly u ON u.subscriber_id = r.subscriber
                AND u.hour >= to_timestamp(r.first) AND u.hour <= to_timestamp(r.last)",
    }
    ENTER_TIERS {
        sqlite: "INSERT INTO subscriber_tiers (subscriber_id, tenant_id, quota_id, metric, threshold, plan_id, restriction,
                used, since, until)
            SELECT r.value ->> 'subscriber_id', r.value ->> 'tenant_id', r.value ->> 'quota_id', r.value ->> 'metric',
                r.value ->> 'threshold', r.value ->> 'plan_id', r.value ->> 'restriction', r.value ->> 'used',
                datetime(r.value ->> 'since', 'unixepoch'), datetime(r.value ->> 'until', 'unixepoch')
            FROM json_each($1) r WHERE true
            ON CONFLICT (subscriber_id) DO UPDATE SET tenant_id = excluded.tenant_id, quota_id = excluded.quota_id,
                metric = excluded.metric, threshold = excluded.threshold, plan_id = excluded.plan_id,
                restriction = excluded.restriction, used = excluded.used, since = excluded.since, until = excluded.until",
        postgres: "INSERT INTO subscriber_tiers (subscriber_id, tenant_id, quota_id, metric, threshold, plan_id, restriction,
                used, since, until)
            SELECT r.subscriber_id, r.tenant_id, r.quota_id, r.metric, r.threshold, r.plan_id, r.restriction, r.used,
                to_timestamp(r.since), to_timestamp(r.until)
            FROM json_to_recordset($1::json) AS r (subscriber_id text, tenant_id text, quota_id text, metric text,
                threshold bigint, plan_id text, restriction text, used bigint, since bigint, until bigint)
            ON CONFLICT (subscriber_id) DO UPDATE SET tenant_id = excluded.tenant_id, quota_id = excluded.quota_id,
                metric = excluded.metric, threshold = excluded.threshold, plan_id = excluded.plan_id,
                restriction = excluded.restriction, used = excluded.used, since = excluded.since, until = excluded.until",
    }
    LEAVE_TIERS {
        sqlite: "DELETE FROM subscriber_tiers WHERE subscriber_id IN (SELECT value FROM json_each($1))",
        postgres: "DELETE FROM subscriber_tiers
            WHERE subscriber_id = ANY (ARRAY(SELECT json_array_elements_text($1::json)))",
    }
    /// Of `$1` those whose tier has ended.
    LEAVE_OVER {
        sqlite: "DELETE FROM subscriber_tiers
            WHERE subscriber_id IN (SELECT value FROM json_each($1)) AND until <= datetime($2, 'unixepoch')",
        postgres: "DELETE FROM subscriber_tiers
            WHERE subscriber_id = ANY (ARRAY(SELECT json_array_elements_text($1::json))) AND until <= to_timestamp($2)",
    }
    IS_DUE {
        sqlite: "SELECT EXISTS (SELECT 1 FROM subscriber_tiers WHERE until <= datetime($1, 'unixepoch'))
            OR EXISTS (SELECT 1 FROM quota_reviews WHERE at <= datetime($1, 'unixepoch'))",
        postgres: "SELECT EXISTS (SELECT FROM subscriber_tiers WHERE until <= to_timestamp($1))
            OR EXISTS (SELECT FROM quota_reviews WHERE at <= to_timestamp($1))",
    }
    OVER {
        sqlite: "SELECT subscriber_id FROM subscriber_tiers WHERE until <= datetime($1, 'unixepoch') LIMIT $2",
        postgres: "SELECT subscriber_id FROM subscriber_tiers WHERE until <= to_timestamp($1) LIMIT $2",
    }
    MARKED_SUBSCRIBERS {
        sqlite: "SELECT id, subscriber_id FROM quota_reviews
            WHERE at <= datetime($1, 'unixepoch') AND subscriber_id IS NOT NULL ORDER BY at, id LIMIT $2",
        postgres: "SELECT id, subscriber_id FROM quota_reviews
            WHERE at <= to_timestamp($1) AND subscriber_id IS NOT NULL ORDER BY at, id LIMIT $2",
    }
    MARKED_PLAN {
        sqlite: "SELECT id, plan_id, done_to FROM quota_reviews
            WHERE at <= datetime($1, 'unixepoch') AND plan_id IS NOT NULL ORDER BY at, id LIMIT 1",
        postgres: "SELECT id, plan_id, done_to FROM quota_reviews
            WHERE at <= to_timestamp($1) AND plan_id IS NOT NULL ORDER BY at, id LIMIT 1",
    }
    /// What they stand for is committed: the pass that begins sees it.
    JOIN_MARKS { both: "DELETE FROM quota_reviews WHERE plan_id = $1 AND id <> $2 AND done_to = ''" }
    PLAN_SUBSCRIBERS {
        both: "SELECT id FROM subscribers WHERE bandwidth_profile_id = $1 AND id > $2 ORDER BY id LIMIT $3",
    }
    MOVE_MARK { both: "UPDATE quota_reviews SET done_to = $2 WHERE id = $1" }
    UNMARK {
        sqlite: "DELETE FROM quota_reviews WHERE id IN (SELECT value FROM json_each($1))",
        postgres: "DELETE FROM quota_reviews WHERE id IN (SELECT json_array_elements_text($1::json)::bigint)",
    }
}
