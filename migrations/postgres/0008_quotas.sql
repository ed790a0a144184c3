-- Quotas of plans, and the tier that use of one has put a subscriber into.
--
-- A quota counts octets or seconds over a period; each of its tiers begins at a threshold and either puts another plan
-- in the place of the subscriber's own or refuses. A top-up raises the thresholds of the quotas of its metric and
-- period while it is valid.
--
-- subscriber_tiers has a row only for those who are in a tier, and it is written only when that changes: what is used
-- up to now is in the roll-ups. A tier ends at "until", whether or not anybody looks.
--
-- quota_reviews is who is to be looked at, and when, without a record of theirs coming in: whoever changes quotas,
-- top-ups, billing days or time zones, by whatever program, leaves a mark. A mark on a plan stands for all its
-- subscribers; done_to is how far that has come. The epoch means at once. Marks are never shared, so that nobody waits for whoever works them
-- off.

ALTER TABLE subscribers ADD COLUMN billing_day integer CHECK (billing_day BETWEEN 1 AND 31);
DROP INDEX subscribers_plan_idx;
CREATE INDEX subscribers_plan_idx ON subscribers (bandwidth_profile_id, id) WHERE bandwidth_profile_id IS NOT NULL;

CREATE TABLE plan_quotas (
    id           text PRIMARY KEY CHECK (id <> ''),
    tenant_id    text NOT NULL,
    plan_id      text NOT NULL,
    metric       text NOT NULL CHECK (metric IN ('upload', 'download', 'total', 'time')),
    period       text NOT NULL CHECK (period IN ('day', 'week', 'month', 'billing_day', 'rolling')),
    period_hours bigint CHECK (period_hours BETWEEN 1 AND 8784),
    created_at   timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, id),
    CHECK ((period = 'rolling') = (period_hours IS NOT NULL)),
    CONSTRAINT plan_quotas_plan_fkey FOREIGN KEY (tenant_id, plan_id)
        REFERENCES radius_bandwidth_profiles (tenant_id, id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX plan_quotas_key ON plan_quotas (plan_id, metric, period, coalesce(period_hours, 0));

-- The threshold is in octets, or in seconds. A plan that a tier relies on cannot be deleted: its subscribers would be
-- without a limit.
CREATE TABLE plan_quota_tiers (
    quota_id         text NOT NULL,
    threshold        bigint NOT NULL CHECK (threshold > 0),
    tenant_id        text NOT NULL,
    override_plan_id text,
    restriction      text CHECK (restriction IN ('refuse')),
    PRIMARY KEY (quota_id, threshold),
    CHECK ((override_plan_id IS NULL) <> (restriction IS NULL)),
    FOREIGN KEY (tenant_id, quota_id) REFERENCES plan_quotas (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT plan_quota_tiers_plan_fkey FOREIGN KEY (tenant_id, override_plan_id)
        REFERENCES radius_bandwidth_profiles (tenant_id, id)
);
CREATE INDEX plan_quota_tiers_plan_idx ON plan_quota_tiers (override_plan_id) WHERE override_plan_id IS NOT NULL;

CREATE TABLE quota_topups (
    id            text PRIMARY KEY CHECK (id <> ''),
    subscriber_id text NOT NULL REFERENCES subscribers (id) ON DELETE CASCADE,
    metric        text NOT NULL CHECK (metric IN ('upload', 'download', 'total', 'time')),
    period        text NOT NULL CHECK (period IN ('day', 'week', 'month', 'billing_day', 'rolling')),
    amount        bigint NOT NULL CHECK (amount > 0),
    valid_from    timestamptz NOT NULL DEFAULT now() CHECK (isfinite(valid_from)),
    valid_until   timestamptz NOT NULL CHECK (isfinite(valid_until)),
    note          text,
    created_at    timestamptz NOT NULL DEFAULT now(),
    created_by    text,
    CHECK (valid_from < valid_until)
);
CREATE INDEX quota_topups_subscriber_idx ON quota_topups (subscriber_id, valid_until);

CREATE TABLE subscriber_tiers (
    subscriber_id text PRIMARY KEY REFERENCES subscribers (id) ON DELETE CASCADE,
    tenant_id     text NOT NULL,
    quota_id      text NOT NULL,
    metric        text NOT NULL CHECK (metric IN ('upload', 'download', 'total', 'time')),
    threshold     bigint NOT NULL CHECK (threshold > 0),
    plan_id       text,
    restriction   text CHECK (restriction IN ('refuse')),
    used          bigint NOT NULL CHECK (used >= 0),
    since         timestamptz NOT NULL CHECK (isfinite(since)),
    until         timestamptz NOT NULL CHECK (isfinite(until)),
    CHECK ((plan_id IS NULL) <> (restriction IS NULL))
);
CREATE INDEX subscriber_tiers_until_idx ON subscriber_tiers (until);

CREATE TABLE quota_reviews (
    id            bigserial PRIMARY KEY,
    at            timestamptz NOT NULL DEFAULT 'epoch' CHECK (isfinite(at)),
    subscriber_id text,
    plan_id       text,
    done_to       text NOT NULL DEFAULT '',
    CHECK ((subscriber_id IS NULL) <> (plan_id IS NULL))
);
CREATE INDEX quota_reviews_at_idx ON quota_reviews (at);

CREATE FUNCTION plan_quotas_review() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO quota_reviews (plan_id)
        SELECT DISTINCT p FROM (VALUES (OLD.plan_id), (NEW.plan_id)) AS v (p) WHERE p IS NOT NULL;
    RETURN NULL;
END
$$;
CREATE TRIGGER plan_quotas_review AFTER INSERT OR UPDATE OR DELETE ON plan_quotas
    FOR EACH ROW EXECUTE FUNCTION plan_quotas_review();
CREATE TRIGGER plan_quotas_feed AFTER INSERT OR UPDATE OR DELETE ON plan_quotas
    FOR EACH ROW EXECUTE FUNCTION change_feed_entity('plan', 'tenant_id', 'plan_id');

-- Where the quota itself goes, it says so itself.
CREATE FUNCTION plan_quota_tiers_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO quota_reviews (plan_id)
        SELECT DISTINCT plan_id FROM plan_quotas WHERE id IN (OLD.quota_id, NEW.quota_id);
    INSERT INTO change_feed (kind, tenant_id, entity_id)
        SELECT DISTINCT 'plan', tenant_id, plan_id FROM plan_quotas WHERE id IN (OLD.quota_id, NEW.quota_id);
    RETURN NULL;
END
$$;
CREATE TRIGGER plan_quota_tiers_changed AFTER INSERT OR UPDATE OR DELETE ON plan_quota_tiers
    FOR EACH ROW EXECUTE FUNCTION plan_quota_tiers_changed();

CREATE FUNCTION quota_topups_review() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO quota_reviews (subscriber_id, at)
        SELECT DISTINCT s, at FROM (VALUES
            (OLD.subscriber_id, 'epoch'::timestamptz), (NEW.subscriber_id, 'epoch'),
            (NEW.subscriber_id, NEW.valid_from), (NEW.subscriber_id, NEW.valid_until)) AS v (s, at)
        WHERE s IS NOT NULL;
    RETURN NULL;
END
$$;
CREATE TRIGGER quota_topups_review AFTER INSERT OR UPDATE OR DELETE ON quota_topups
    FOR EACH ROW EXECUTE FUNCTION quota_topups_review();

-- Another plan has other quotas: the tier of the old one must not outlive it.
CREATE FUNCTION subscribers_review() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.bandwidth_profile_id IS DISTINCT FROM OLD.bandwidth_profile_id THEN
        DELETE FROM subscriber_tiers WHERE subscriber_id = NEW.id;
    END IF;
    INSERT INTO quota_reviews (subscriber_id)
        SELECT NEW.id WHERE EXISTS (SELECT FROM plan_quotas WHERE plan_id = NEW.bandwidth_profile_id);
    RETURN NULL;
END
$$;
CREATE TRIGGER subscribers_review AFTER UPDATE OF bandwidth_profile_id, billing_day ON subscribers FOR EACH ROW
    WHEN ((NEW.bandwidth_profile_id, NEW.billing_day) IS DISTINCT FROM (OLD.bandwidth_profile_id, OLD.billing_day))
    EXECUTE FUNCTION subscribers_review();

CREATE FUNCTION tenants_review() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO quota_reviews (plan_id) SELECT DISTINCT plan_id FROM plan_quotas WHERE tenant_id = NEW.id;
    RETURN NULL;
END
$$;
CREATE TRIGGER tenants_review AFTER UPDATE OF timezone ON tenants FOR EACH ROW
    WHEN (NEW.timezone <> OLD.timezone) EXECUTE FUNCTION tenants_review();

DROP TRIGGER tenants_feed_update ON tenants;
CREATE TRIGGER tenants_feed_update AFTER UPDATE OF
    id, name, enabled, username_case, username_realm, timezone
    ON tenants FOR EACH ROW
    WHEN ((NEW.id, NEW.name, NEW.enabled, NEW.username_case, NEW.username_realm, NEW.timezone)
        IS DISTINCT FROM (OLD.id, OLD.name, OLD.enabled, OLD.username_case, OLD.username_realm, OLD.timezone))
    EXECUTE FUNCTION change_feed_entity('tenant', 'id', 'id');

CREATE TRIGGER subscriber_tiers_feed_insert_delete AFTER INSERT OR DELETE ON subscriber_tiers
    FOR EACH ROW EXECUTE FUNCTION change_feed_entity('subscriber', 'tenant_id', 'subscriber_id');
CREATE TRIGGER subscriber_tiers_feed_update AFTER UPDATE OF
    subscriber_id, tenant_id, metric, plan_id, restriction, until
    ON subscriber_tiers FOR EACH ROW
    WHEN ((NEW.subscriber_id, NEW.tenant_id, NEW.metric, NEW.plan_id, NEW.restriction, NEW.until)
        IS DISTINCT FROM (OLD.subscriber_id, OLD.tenant_id, OLD.metric, OLD.plan_id, OLD.restriction, OLD.until))
    EXECUTE FUNCTION change_feed_entity('subscriber', 'tenant_id', 'subscriber_id');
CREATE TRIGGER subscriber_tiers_feed_truncate AFTER TRUNCATE ON subscriber_tiers
    FOR EACH STATEMENT EXECUTE FUNCTION change_feed_truncated();
