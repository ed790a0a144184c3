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
-- subscribers; done_to is how far that has come. The epoch means at once.

ALTER TABLE subscribers ADD COLUMN billing_day INTEGER CHECK (billing_day BETWEEN 1 AND 31);
DROP INDEX subscribers_plan_idx;
CREATE INDEX subscribers_plan_idx ON subscribers (bandwidth_profile_id, id) WHERE bandwidth_profile_id IS NOT NULL;

CREATE TABLE plan_quotas (
    id           TEXT NOT NULL PRIMARY KEY CHECK (id <> ''),
    tenant_id    TEXT NOT NULL,
    plan_id      TEXT NOT NULL,
    metric       TEXT NOT NULL CHECK (metric IN ('upload', 'download', 'total', 'time')),
    period       TEXT NOT NULL CHECK (period IN ('day', 'week', 'month', 'billing_day', 'rolling')),
    period_hours INTEGER CHECK (period_hours BETWEEN 1 AND 8784),
    created_at   TEXT NOT NULL DEFAULT (datetime('now')),
    UNIQUE (tenant_id, id),
    CHECK ((period = 'rolling') = (period_hours IS NOT NULL)),
    FOREIGN KEY (tenant_id, plan_id) REFERENCES radius_bandwidth_profiles (tenant_id, id) ON DELETE CASCADE
) STRICT;
CREATE UNIQUE INDEX plan_quotas_key ON plan_quotas (plan_id, metric, period, coalesce(period_hours, 0));

-- The threshold is in octets, or in seconds. A plan that a tier relies on cannot be deleted: its subscribers would be
-- without a limit.
CREATE TABLE plan_quota_tiers (
    quota_id         TEXT NOT NULL,
    threshold        INTEGER NOT NULL CHECK (threshold > 0),
    tenant_id        TEXT NOT NULL,
    override_plan_id TEXT,
    restriction      TEXT CHECK (restriction IN ('refuse')),
    PRIMARY KEY (quota_id, threshold),
    CHECK ((override_plan_id IS NULL) <> (restriction IS NULL)),
    FOREIGN KEY (tenant_id, quota_id) REFERENCES plan_quotas (tenant_id, id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, override_plan_id) REFERENCES radius_bandwidth_profiles (tenant_id, id)
) STRICT;
CREATE INDEX plan_quota_tiers_plan_idx ON plan_quota_tiers (override_plan_id) WHERE override_plan_id IS NOT NULL;

CREATE TABLE quota_topups (
    id            TEXT NOT NULL PRIMARY KEY CHECK (id <> ''),
    subscriber_id TEXT NOT NULL REFERENCES subscribers (id) ON DELETE CASCADE,
    metric        TEXT NOT NULL CHECK (metric IN ('upload', 'download', 'total', 'time')),
    period        TEXT NOT NULL CHECK (period IN ('day', 'week', 'month', 'billing_day', 'rolling')),
    amount        INTEGER NOT NULL CHECK (amount > 0),
    valid_from    TEXT NOT NULL DEFAULT (datetime('now')) CHECK (unixepoch(valid_from) IS NOT NULL),
    valid_until   TEXT NOT NULL CHECK (unixepoch(valid_until) IS NOT NULL),
    note          TEXT,
    created_at    TEXT NOT NULL DEFAULT (datetime('now')),
    created_by    TEXT,
    CHECK (valid_from < valid_until)
) STRICT;
CREATE INDEX quota_topups_subscriber_idx ON quota_topups (subscriber_id, valid_until);

CREATE TABLE subscriber_tiers (
    subscriber_id TEXT NOT NULL PRIMARY KEY REFERENCES subscribers (id) ON DELETE CASCADE,
    tenant_id     TEXT NOT NULL,
    quota_id      TEXT NOT NULL,
    metric        TEXT NOT NULL CHECK (metric IN ('upload', 'download', 'total', 'time')),
    threshold     INTEGER NOT NULL CHECK (threshold > 0),
    plan_id       TEXT,
    restriction   TEXT CHECK (restriction IN ('refuse')),
    used          INTEGER NOT NULL CHECK (used >= 0),
    since         TEXT NOT NULL CHECK (unixepoch(since) IS NOT NULL),
    until         TEXT NOT NULL CHECK (unixepoch(until) IS NOT NULL),
    CHECK ((plan_id IS NULL) <> (restriction IS NULL))
) STRICT;
CREATE INDEX subscriber_tiers_until_idx ON subscriber_tiers (until);

CREATE TABLE quota_reviews (
    id            INTEGER PRIMARY KEY,
    at            TEXT NOT NULL DEFAULT '1970-01-01 00:00:00' CHECK (unixepoch(at) IS NOT NULL),
    subscriber_id TEXT,
    plan_id       TEXT,
    done_to       TEXT NOT NULL DEFAULT '',
    CHECK ((subscriber_id IS NULL) <> (plan_id IS NULL))
) STRICT;
CREATE INDEX quota_reviews_at_idx ON quota_reviews (at);

CREATE TRIGGER plan_quotas_insert AFTER INSERT ON plan_quotas
BEGIN
    INSERT INTO quota_reviews (plan_id) VALUES (NEW.plan_id);
    INSERT INTO change_feed (kind, tenant_id, entity_id) VALUES ('plan', NEW.tenant_id, NEW.plan_id);
END;
CREATE TRIGGER plan_quotas_update AFTER UPDATE ON plan_quotas
BEGIN
    INSERT INTO quota_reviews (plan_id) VALUES (OLD.plan_id), (NEW.plan_id);
    INSERT INTO change_feed (kind, tenant_id, entity_id)
        SELECT 'plan', NEW.tenant_id, NEW.plan_id UNION SELECT 'plan', OLD.tenant_id, OLD.plan_id;
END;
CREATE TRIGGER plan_quotas_delete AFTER DELETE ON plan_quotas
BEGIN
    INSERT INTO quota_reviews (plan_id) VALUES (OLD.plan_id);
    INSERT INTO change_feed (kind, tenant_id, entity_id) VALUES ('plan', OLD.tenant_id, OLD.plan_id);
END;

-- Where the quota itself goes, it says so itself.
CREATE TRIGGER plan_quota_tiers_insert AFTER INSERT ON plan_quota_tiers
BEGIN
    INSERT INTO quota_reviews (plan_id) SELECT plan_id FROM plan_quotas WHERE id = NEW.quota_id;
    INSERT INTO change_feed (kind, tenant_id, entity_id)
        SELECT 'plan', tenant_id, plan_id FROM plan_quotas WHERE id = NEW.quota_id;
END;
CREATE TRIGGER plan_quota_tiers_update AFTER UPDATE ON plan_quota_tiers
BEGIN
    INSERT INTO quota_reviews (plan_id)
        SELECT DISTINCT plan_id FROM plan_quotas WHERE id IN (OLD.quota_id, NEW.quota_id);
    INSERT INTO change_feed (kind, tenant_id, entity_id)
        SELECT DISTINCT 'plan', tenant_id, plan_id FROM plan_quotas WHERE id IN (OLD.quota_id, NEW.quota_id);
END;
CREATE TRIGGER plan_quota_tiers_delete AFTER DELETE ON plan_quota_tiers
BEGIN
    INSERT INTO quota_reviews (plan_id) SELECT plan_id FROM plan_quotas WHERE id = OLD.quota_id;
    INSERT INTO change_feed (kind, tenant_id, entity_id)
        SELECT 'plan', tenant_id, plan_id FROM plan_quotas WHERE id = OLD.quota_id;
END;

CREATE TRIGGER quota_topups_insert AFTER INSERT ON quota_topups
BEGIN
    INSERT INTO quota_reviews (subscriber_id, at)
        SELECT NEW.subscriber_id, datetime(0, 'unixepoch')
        UNION SELECT NEW.subscriber_id, NEW.valid_from UNION SELECT NEW.subscriber_id, NEW.valid_until;
END;
CREATE TRIGGER quota_topups_update AFTER UPDATE ON quota_topups
BEGIN
    INSERT INTO quota_reviews (subscriber_id, at)
        SELECT OLD.subscriber_id, datetime(0, 'unixepoch') UNION SELECT NEW.subscriber_id, datetime(0, 'unixepoch')
        UNION SELECT NEW.subscriber_id, NEW.valid_from UNION SELECT NEW.subscriber_id, NEW.valid_until;
END;
CREATE TRIGGER quota_topups_delete AFTER DELETE ON quota_topups
BEGIN
    INSERT INTO quota_reviews (subscriber_id) VALUES (OLD.subscriber_id);
END;

-- Another plan has other quotas: the tier of the old one must not outlive it.
CREATE TRIGGER subscribers_review_plan AFTER UPDATE OF bandwidth_profile_id ON subscribers
    WHEN NEW.bandwidth_profile_id IS NOT OLD.bandwidth_profile_id
BEGIN
    DELETE FROM subscriber_tiers WHERE subscriber_id = NEW.id;
    INSERT INTO quota_reviews (subscriber_id)
        SELECT NEW.id WHERE EXISTS (SELECT 1 FROM plan_quotas WHERE plan_id = NEW.bandwidth_profile_id);
END;
CREATE TRIGGER subscribers_review_billing_day AFTER UPDATE OF billing_day ON subscribers
    WHEN NEW.billing_day IS NOT OLD.billing_day
BEGIN
    INSERT INTO quota_reviews (subscriber_id)
        SELECT NEW.id WHERE EXISTS (SELECT 1 FROM plan_quotas WHERE plan_id = NEW.bandwidth_profile_id);
END;
CREATE TRIGGER tenants_review AFTER UPDATE OF timezone ON tenants WHEN NEW.timezone <> OLD.timezone
BEGIN
    INSERT INTO quota_reviews (plan_id) SELECT DISTINCT plan_id FROM plan_quotas WHERE tenant_id = NEW.id;
END;

DROP TRIGGER tenants_feed_update;
CREATE TRIGGER tenants_feed_update AFTER UPDATE OF
    id, name, enabled, username_case, username_realm, timezone
    ON tenants
    WHEN (NEW.id, NEW.name, NEW.enabled, NEW.username_case, NEW.username_realm, NEW.timezone)
        IS NOT (OLD.id, OLD.name, OLD.enabled, OLD.username_case, OLD.username_realm, OLD.timezone)
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id) VALUES ('tenant', NEW.id, NEW.id);
    INSERT INTO change_feed (kind, tenant_id, entity_id) SELECT 'tenant', OLD.id, OLD.id
        WHERE OLD.id <> NEW.id;
END;

CREATE TRIGGER subscriber_tiers_feed_insert AFTER INSERT ON subscriber_tiers
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id) VALUES ('subscriber', NEW.tenant_id, NEW.subscriber_id);
END;
CREATE TRIGGER subscriber_tiers_feed_update AFTER UPDATE OF
    subscriber_id, tenant_id, metric, plan_id, restriction, until
    ON subscriber_tiers
    WHEN (NEW.subscriber_id, NEW.tenant_id, NEW.metric, NEW.plan_id, NEW.restriction, NEW.until)
        IS NOT (OLD.subscriber_id, OLD.tenant_id, OLD.metric, OLD.plan_id, OLD.restriction, OLD.until)
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id)
        SELECT 'subscriber', NEW.tenant_id, NEW.subscriber_id UNION SELECT 'subscriber', OLD.tenant_id, OLD.subscriber_id;
END;
CREATE TRIGGER subscriber_tiers_feed_delete AFTER DELETE ON subscriber_tiers
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id) VALUES ('subscriber', OLD.tenant_id, OLD.subscriber_id);
END;
