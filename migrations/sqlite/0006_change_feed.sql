-- The change feed: what a node must read anew, noted by triggers so that a change made by any writer counts.
--
-- A row names the entity, not the change: readers load its present state. Only columns a decision depends on are
-- watched, so that bookkeeping (last_online, totals, notes) stays silent. old_username is what the subscriber was
-- called before, for readers that index by name.
--
-- SQLite has one writer at a time, so seq is commit order and a reader's position is the seq it has read up to. The
-- newest row is never pruned: SQLite goes on counting from it, so that no seq is used twice (AUTOINCREMENT would see to
-- that too, at a price for every row of a bulk load). horizon is the highest seq pruned away: a reader behind it has
-- missed rows. identity tells this database from another one.

CREATE TABLE change_feed (
    seq          INTEGER PRIMARY KEY,
    kind         TEXT NOT NULL CHECK (kind IN ('tenant', 'plan', 'nas', 'subscriber')),
    tenant_id    TEXT NOT NULL,
    entity_id    TEXT NOT NULL,
    old_username TEXT,
    at           INTEGER NOT NULL DEFAULT (unixepoch())
) STRICT;

CREATE TABLE change_feed_state (
    only     INTEGER PRIMARY KEY CHECK (only = 1),
    identity TEXT NOT NULL,
    horizon  INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO change_feed_state (only, identity) VALUES (1, lower(hex(randomblob(16))));

CREATE TRIGGER tenants_feed_insert AFTER INSERT ON tenants
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id) VALUES ('tenant', NEW.id, NEW.id);
END;
CREATE TRIGGER tenants_feed_update AFTER UPDATE OF
    id, name, enabled, username_case, username_realm
    ON tenants
    WHEN (NEW.id, NEW.name, NEW.enabled, NEW.username_case, NEW.username_realm)
        IS NOT (OLD.id, OLD.name, OLD.enabled, OLD.username_case, OLD.username_realm)
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id) VALUES ('tenant', NEW.id, NEW.id);
    INSERT INTO change_feed (kind, tenant_id, entity_id) SELECT 'tenant', OLD.id, OLD.id
        WHERE OLD.id <> NEW.id;
END;
CREATE TRIGGER tenants_feed_delete AFTER DELETE ON tenants
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id) VALUES ('tenant', OLD.id, OLD.id);
END;

CREATE TRIGGER radius_bandwidth_profiles_feed_insert AFTER INSERT ON radius_bandwidth_profiles
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id) VALUES ('plan', NEW.tenant_id, NEW.id);
END;
CREATE TRIGGER radius_bandwidth_profiles_feed_update AFTER UPDATE OF
    id, tenant_id, name, download_rate_kbps, upload_rate_kbps, download_burst_kbps, upload_burst_kbps,
    session_timeout, idle_timeout, acct_interim_interval
    ON radius_bandwidth_profiles
    WHEN (NEW.id, NEW.tenant_id, NEW.name, NEW.download_rate_kbps, NEW.upload_rate_kbps,
        NEW.download_burst_kbps, NEW.upload_burst_kbps, NEW.session_timeout, NEW.idle_timeout,
        NEW.acct_interim_interval)
        IS NOT (OLD.id, OLD.tenant_id, OLD.name, OLD.download_rate_kbps, OLD.upload_rate_kbps,
        OLD.download_burst_kbps, OLD.upload_burst_kbps, OLD.session_timeout, OLD.idle_timeout,
        OLD.acct_interim_interval)
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id) VALUES ('plan', NEW.tenant_id, NEW.id);
    INSERT INTO change_feed (kind, tenant_id, entity_id) SELECT 'plan', OLD.tenant_id, OLD.id
        WHERE (OLD.tenant_id, OLD.id) <> (NEW.tenant_id, NEW.id);
END;
CREATE TRIGGER radius_bandwidth_profiles_feed_delete AFTER DELETE ON radius_bandwidth_profiles
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id) VALUES ('plan', OLD.tenant_id, OLD.id);
END;

CREATE TRIGGER nas_feed_insert AFTER INSERT ON nas WHEN NEW.tenant_id IS NOT NULL
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id) VALUES ('nas', NEW.tenant_id, NEW.id);
END;
CREATE TRIGGER nas_feed_update AFTER UPDATE OF
    id, tenant_id, nasname, shortname, vendor
    ON nas
    WHEN (NEW.id, NEW.tenant_id, NEW.nasname, NEW.shortname, NEW.vendor)
        IS NOT (OLD.id, OLD.tenant_id, OLD.nasname, OLD.shortname, OLD.vendor)
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id) VALUES ('nas', NEW.tenant_id, NEW.id);
    INSERT INTO change_feed (kind, tenant_id, entity_id) SELECT 'nas', OLD.tenant_id, OLD.id
        WHERE (OLD.tenant_id, OLD.id) <> (NEW.tenant_id, NEW.id);
END;
CREATE TRIGGER nas_feed_delete AFTER DELETE ON nas
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id) VALUES ('nas', OLD.tenant_id, OLD.id);
END;

CREATE TRIGGER subscribers_feed_insert AFTER INSERT ON subscribers
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id) VALUES ('subscriber', NEW.tenant_id, NEW.id);
END;
CREATE TRIGGER subscribers_feed_update AFTER UPDATE OF
    id, tenant_id, username, status, password, password_hash_method, bandwidth_profile_id,
    download_speed_kbps, upload_speed_kbps, static_ipv4, ipv6_prefix, vlan_id, session_timeout,
    idle_timeout, simultaneous_use, activation_date, expiration_date, deleted_at
    ON subscribers
    WHEN (NEW.id, NEW.tenant_id, NEW.username, NEW.status, NEW.password, NEW.password_hash_method,
        NEW.bandwidth_profile_id, NEW.download_speed_kbps, NEW.upload_speed_kbps, NEW.static_ipv4,
        NEW.ipv6_prefix, NEW.vlan_id, NEW.session_timeout, NEW.idle_timeout, NEW.simultaneous_use,
        NEW.activation_date, NEW.expiration_date, NEW.deleted_at)
        IS NOT (OLD.id, OLD.tenant_id, OLD.username, OLD.status, OLD.password, OLD.password_hash_method,
        OLD.bandwidth_profile_id, OLD.download_speed_kbps, OLD.upload_speed_kbps, OLD.static_ipv4,
        OLD.ipv6_prefix, OLD.vlan_id, OLD.session_timeout, OLD.idle_timeout, OLD.simultaneous_use,
        OLD.activation_date, OLD.expiration_date, OLD.deleted_at)
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id, old_username)
        VALUES ('subscriber', NEW.tenant_id, NEW.id, OLD.username);
    INSERT INTO change_feed (kind, tenant_id, entity_id, old_username)
        SELECT 'subscriber', OLD.tenant_id, OLD.id, OLD.username
        WHERE (OLD.tenant_id, OLD.id) <> (NEW.tenant_id, NEW.id);
END;
CREATE TRIGGER subscribers_feed_delete AFTER DELETE ON subscribers
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id, old_username)
        VALUES ('subscriber', OLD.tenant_id, OLD.id, OLD.username);
END;

-- INSERT OR REPLACE and UPDATE OR REPLACE take rows away without a delete trigger. Without OR REPLACE such a row makes
-- the statement fail, and what is noted here goes with it.
CREATE TRIGGER subscribers_feed_insert_replaces BEFORE INSERT ON subscribers
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id, old_username)
        SELECT 'subscriber', s.tenant_id, s.id, s.username FROM subscribers s WHERE s.id = NEW.id
        UNION ALL
        SELECT 'subscriber', s.tenant_id, s.id, s.username FROM subscribers s
        WHERE s.tenant_id = NEW.tenant_id AND s.username = NEW.username AND s.deleted_at IS NULL
            AND NEW.deleted_at IS NULL
        UNION ALL
        SELECT 'subscriber', s.tenant_id, s.id, s.username FROM subscribers s
        WHERE s.tenant_id = NEW.tenant_id AND s.subscriber_number = NEW.subscriber_number
            AND s.deleted_at IS NULL AND s.subscriber_number <> '' AND NEW.deleted_at IS NULL;
END;
CREATE TRIGGER subscribers_feed_update_replaces BEFORE UPDATE OF id, tenant_id, username, subscriber_number, deleted_at
    ON subscribers
    WHEN (NEW.id, NEW.tenant_id, NEW.username, NEW.subscriber_number, NEW.deleted_at)
        IS NOT (OLD.id, OLD.tenant_id, OLD.username, OLD.subscriber_number, OLD.deleted_at)
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id, old_username)
        SELECT 'subscriber', s.tenant_id, s.id, s.username FROM subscribers s WHERE s.id = NEW.id AND s.id <> OLD.id
        UNION ALL
        SELECT 'subscriber', s.tenant_id, s.id, s.username FROM subscribers s
        WHERE s.tenant_id = NEW.tenant_id AND s.username = NEW.username AND s.deleted_at IS NULL
            AND NEW.deleted_at IS NULL AND s.id <> OLD.id
        UNION ALL
        SELECT 'subscriber', s.tenant_id, s.id, s.username FROM subscribers s
        WHERE s.tenant_id = NEW.tenant_id AND s.subscriber_number = NEW.subscriber_number
            AND s.deleted_at IS NULL AND s.subscriber_number <> '' AND NEW.deleted_at IS NULL AND s.id <> OLD.id;
END;

CREATE TRIGGER subscriber_network_profiles_feed_insert AFTER INSERT ON subscriber_network_profiles
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id) VALUES ('subscriber', NEW.tenant_id, NEW.subscriber_id);
END;
CREATE TRIGGER subscriber_network_profiles_feed_update AFTER UPDATE OF
    tenant_id, subscriber_id, service_vlan, inner_vlan, qinq_enabled, static_ipv4, static_ipv6,
    delegated_ipv6_prefix
    ON subscriber_network_profiles
    WHEN (NEW.tenant_id, NEW.subscriber_id, NEW.service_vlan, NEW.inner_vlan, NEW.qinq_enabled,
        NEW.static_ipv4, NEW.static_ipv6, NEW.delegated_ipv6_prefix)
        IS NOT (OLD.tenant_id, OLD.subscriber_id, OLD.service_vlan, OLD.inner_vlan, OLD.qinq_enabled,
        OLD.static_ipv4, OLD.static_ipv6, OLD.delegated_ipv6_prefix)
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id) VALUES ('subscriber', NEW.tenant_id, NEW.subscriber_id);
    INSERT INTO change_feed (kind, tenant_id, entity_id) SELECT 'subscriber', OLD.tenant_id, OLD.subscriber_id
        WHERE (OLD.tenant_id, OLD.subscriber_id) <> (NEW.tenant_id, NEW.subscriber_id);
END;
CREATE TRIGGER subscriber_network_profiles_feed_delete AFTER DELETE ON subscriber_network_profiles
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id) VALUES ('subscriber', OLD.tenant_id, OLD.subscriber_id);
END;

CREATE TRIGGER radcheck_feed_insert AFTER INSERT ON radcheck WHEN NEW.subscriber_id IS NOT NULL
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id)
        SELECT 'subscriber', s.tenant_id, s.id FROM subscribers s WHERE s.id = NEW.subscriber_id;
END;
CREATE TRIGGER radcheck_feed_update AFTER UPDATE OF subscriber_id, attribute, op, value ON radcheck
    WHEN (NEW.subscriber_id, NEW.attribute, NEW.op, NEW.value) IS NOT (OLD.subscriber_id, OLD.attribute, OLD.op, OLD.value)
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id)
        SELECT 'subscriber', s.tenant_id, s.id FROM subscribers s WHERE s.id IN (OLD.subscriber_id, NEW.subscriber_id);
END;
CREATE TRIGGER radcheck_feed_delete AFTER DELETE ON radcheck WHEN OLD.subscriber_id IS NOT NULL
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id)
        SELECT 'subscriber', s.tenant_id, s.id FROM subscribers s WHERE s.id = OLD.subscriber_id;
END;

CREATE TRIGGER radreply_feed_insert AFTER INSERT ON radreply WHEN NEW.subscriber_id IS NOT NULL
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id)
        SELECT 'subscriber', s.tenant_id, s.id FROM subscribers s WHERE s.id = NEW.subscriber_id;
END;
CREATE TRIGGER radreply_feed_update AFTER UPDATE OF subscriber_id, attribute, op, value ON radreply
    WHEN (NEW.subscriber_id, NEW.attribute, NEW.op, NEW.value) IS NOT (OLD.subscriber_id, OLD.attribute, OLD.op, OLD.value)
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id)
        SELECT 'subscriber', s.tenant_id, s.id FROM subscribers s WHERE s.id IN (OLD.subscriber_id, NEW.subscriber_id);
END;
CREATE TRIGGER radreply_feed_delete AFTER DELETE ON radreply WHEN OLD.subscriber_id IS NOT NULL
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id)
        SELECT 'subscriber', s.tenant_id, s.id FROM subscribers s WHERE s.id = OLD.subscriber_id;
END;
