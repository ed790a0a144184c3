-- The change feed: what a node must read anew, noted by triggers so that a change made by any writer counts.
--
-- A row names the entity, not the change: readers load its present state. Only columns a decision depends on are
-- watched, so that bookkeeping (last_online, totals, notes) stays silent. old_username is what the subscriber was
-- called before, for readers that index by name.
--
-- A sequence is not commit order: a transaction that drew its number early may commit late. So a row carries its
-- transaction id and a reader's position is a pg_snapshot; what it has not seen is exactly what that snapshot could not
-- see. Pruning follows the same rule: a checkpoint is a snapshot with its time, and rows visible in an old enough one,
-- the horizon, go. A reader that cannot see what the horizon could, up to the newest transaction pruned, missed rows.
--
-- identity tells this database from another one; TRUNCATE changes it, which makes every reader load anew.

CREATE TABLE change_feed (
    seq          bigserial PRIMARY KEY,
    txid         xid8 NOT NULL DEFAULT pg_current_xact_id(),
    kind         text NOT NULL CHECK (kind IN ('tenant', 'plan', 'nas', 'subscriber')),
    tenant_id    text NOT NULL,
    entity_id    text NOT NULL,
    old_username text,
    at           timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX change_feed_txid_idx ON change_feed (txid);

CREATE TABLE change_feed_state (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    identity uuid NOT NULL DEFAULT gen_random_uuid(),
    horizon  pg_snapshot,
    pruned   xid8
);
INSERT INTO change_feed_state DEFAULT VALUES;

CREATE TABLE change_feed_checkpoint (
    at       timestamptz PRIMARY KEY DEFAULT clock_timestamp(),
    position pg_snapshot NOT NULL DEFAULT pg_current_snapshot()
);

-- Equal notifications of one transaction are sent once.
CREATE FUNCTION change_feed_notify() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('isp_change_feed', '');
    RETURN NULL;
END
$$;
CREATE TRIGGER change_feed_notify AFTER INSERT ON change_feed
    FOR EACH STATEMENT EXECUTE FUNCTION change_feed_notify();

CREATE FUNCTION change_feed_truncated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE change_feed_state SET identity = gen_random_uuid();
    PERFORM pg_notify('isp_change_feed', '');
    RETURN NULL;
END
$$;

-- Tables of few rows: one function, told the kind and the columns that hold the tenant and the entity.
CREATE FUNCTION change_feed_entity() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    old_row jsonb;
    new_row jsonb;
BEGIN
    IF TG_OP <> 'INSERT' THEN old_row := to_jsonb(OLD); END IF;
    IF TG_OP <> 'DELETE' THEN new_row := to_jsonb(NEW); END IF;
    INSERT INTO change_feed (kind, tenant_id, entity_id)
        SELECT DISTINCT TG_ARGV[0], r ->> TG_ARGV[1], r ->> TG_ARGV[2] FROM unnest(ARRAY[old_row, new_row]) r WHERE r IS NOT NULL;
    RETURN NULL;
END
$$;

CREATE TRIGGER tenants_feed_insert_delete AFTER INSERT OR DELETE ON tenants
    FOR EACH ROW EXECUTE FUNCTION change_feed_entity('tenant', 'id', 'id');
CREATE TRIGGER tenants_feed_update AFTER UPDATE OF
    id, name, enabled, username_case, username_realm
    ON tenants FOR EACH ROW
    WHEN ((NEW.id, NEW.name, NEW.enabled, NEW.username_case, NEW.username_realm)
        IS DISTINCT FROM (OLD.id, OLD.name, OLD.enabled, OLD.username_case, OLD.username_realm))
    EXECUTE FUNCTION change_feed_entity('tenant', 'id', 'id');

CREATE TRIGGER radius_bandwidth_profiles_feed_insert_delete AFTER INSERT OR DELETE ON radius_bandwidth_profiles
    FOR EACH ROW EXECUTE FUNCTION change_feed_entity('plan', 'tenant_id', 'id');
CREATE TRIGGER radius_bandwidth_profiles_feed_update AFTER UPDATE OF
    id, tenant_id, name, download_rate_kbps, upload_rate_kbps, download_burst_kbps, upload_burst_kbps,
    session_timeout, idle_timeout, acct_interim_interval
    ON radius_bandwidth_profiles FOR EACH ROW
    WHEN ((NEW.id, NEW.tenant_id, NEW.name, NEW.download_rate_kbps, NEW.upload_rate_kbps,
        NEW.download_burst_kbps, NEW.upload_burst_kbps, NEW.session_timeout, NEW.idle_timeout,
        NEW.acct_interim_interval)
        IS DISTINCT FROM (OLD.id, OLD.tenant_id, OLD.name, OLD.download_rate_kbps, OLD.upload_rate_kbps,
        OLD.download_burst_kbps, OLD.upload_burst_kbps, OLD.session_timeout, OLD.idle_timeout,
        OLD.acct_interim_interval))
    EXECUTE FUNCTION change_feed_entity('plan', 'tenant_id', 'id');

CREATE TRIGGER nas_feed_insert_delete AFTER INSERT OR DELETE ON nas
    FOR EACH ROW EXECUTE FUNCTION change_feed_entity('nas', 'tenant_id', 'id');
CREATE TRIGGER nas_feed_update AFTER UPDATE OF
    id, tenant_id, nasname, shortname, vendor
    ON nas FOR EACH ROW
    WHEN ((NEW.id, NEW.tenant_id, NEW.nasname, NEW.shortname, NEW.vendor)
        IS DISTINCT FROM (OLD.id, OLD.tenant_id, OLD.nasname, OLD.shortname, OLD.vendor))
    EXECUTE FUNCTION change_feed_entity('nas', 'tenant_id', 'id');

CREATE TRIGGER subscriber_network_profiles_feed_insert_delete AFTER INSERT OR DELETE ON subscriber_network_profiles
    FOR EACH ROW EXECUTE FUNCTION change_feed_entity('subscriber', 'tenant_id', 'subscriber_id');
CREATE TRIGGER subscriber_network_profiles_feed_update AFTER UPDATE OF
    tenant_id, subscriber_id, service_vlan, inner_vlan, qinq_enabled, static_ipv4, static_ipv6,
    delegated_ipv6_prefix
    ON subscriber_network_profiles FOR EACH ROW
    WHEN ((NEW.tenant_id, NEW.subscriber_id, NEW.service_vlan, NEW.inner_vlan, NEW.qinq_enabled,
        NEW.static_ipv4, NEW.static_ipv6, NEW.delegated_ipv6_prefix)
        IS DISTINCT FROM (OLD.tenant_id, OLD.subscriber_id, OLD.service_vlan, OLD.inner_vlan, OLD.qinq_enabled,
        OLD.static_ipv4, OLD.static_ipv6, OLD.delegated_ipv6_prefix))
    EXECUTE FUNCTION change_feed_entity('subscriber', 'tenant_id', 'subscriber_id');

-- Tables of many rows: inserts and deletes are noted once per statement, so that a bulk load stays cheap. Updates are
-- noted per row, because only then can a column list keep bookkeeping updates free of charge.
CREATE FUNCTION change_feed_subscribers_inserted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id) SELECT 'subscriber', tenant_id, id FROM new_rows;
    RETURN NULL;
END
$$;
CREATE FUNCTION change_feed_subscribers_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id, old_username)
        SELECT 'subscriber', tenant_id, id, username FROM old_rows;
    RETURN NULL;
END
$$;
CREATE FUNCTION change_feed_subscriber_updated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id, old_username)
        SELECT DISTINCT 'subscriber', t, i, OLD.username
        FROM (VALUES (OLD.tenant_id, OLD.id), (NEW.tenant_id, NEW.id)) AS v (t, i);
    RETURN NULL;
END
$$;
CREATE TRIGGER subscribers_feed_insert AFTER INSERT ON subscribers
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION change_feed_subscribers_inserted();
CREATE TRIGGER subscribers_feed_delete AFTER DELETE ON subscribers
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION change_feed_subscribers_deleted();
CREATE TRIGGER subscribers_feed_update AFTER UPDATE OF
    id, tenant_id, username, status, password, password_hash_method, bandwidth_profile_id,
    download_speed_kbps, upload_speed_kbps, static_ipv4, ipv6_prefix, vlan_id, session_timeout,
    idle_timeout, simultaneous_use, activation_date, expiration_date, deleted_at
    ON subscribers FOR EACH ROW
    WHEN ((NEW.id, NEW.tenant_id, NEW.username, NEW.status, NEW.password, NEW.password_hash_method,
        NEW.bandwidth_profile_id, NEW.download_speed_kbps, NEW.upload_speed_kbps, NEW.static_ipv4,
        NEW.ipv6_prefix, NEW.vlan_id, NEW.session_timeout, NEW.idle_timeout, NEW.simultaneous_use,
        NEW.activation_date, NEW.expiration_date, NEW.deleted_at)
        IS DISTINCT FROM (OLD.id, OLD.tenant_id, OLD.username, OLD.status, OLD.password, OLD.password_hash_method,
        OLD.bandwidth_profile_id, OLD.download_speed_kbps, OLD.upload_speed_kbps, OLD.static_ipv4,
        OLD.ipv6_prefix, OLD.vlan_id, OLD.session_timeout, OLD.idle_timeout, OLD.simultaneous_use,
        OLD.activation_date, OLD.expiration_date, OLD.deleted_at))
    EXECUTE FUNCTION change_feed_subscriber_updated();

CREATE FUNCTION change_feed_rows_inserted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id)
        SELECT DISTINCT 'subscriber', tenant_id, subscriber_id FROM new_rows WHERE subscriber_id IS NOT NULL;
    RETURN NULL;
END
$$;
CREATE FUNCTION change_feed_rows_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id)
        SELECT DISTINCT 'subscriber', tenant_id, subscriber_id FROM old_rows WHERE subscriber_id IS NOT NULL;
    RETURN NULL;
END
$$;
CREATE FUNCTION change_feed_row_updated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id)
        SELECT DISTINCT 'subscriber', t, i
        FROM (VALUES (OLD.tenant_id, OLD.subscriber_id), (NEW.tenant_id, NEW.subscriber_id)) AS v (t, i)
        WHERE i IS NOT NULL;
    RETURN NULL;
END
$$;
CREATE TRIGGER radcheck_feed_insert AFTER INSERT ON radcheck
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION change_feed_rows_inserted();
CREATE TRIGGER radcheck_feed_delete AFTER DELETE ON radcheck
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION change_feed_rows_deleted();
CREATE TRIGGER radcheck_feed_update AFTER UPDATE ON radcheck FOR EACH ROW
    WHEN ((NEW.subscriber_id, NEW.attribute, NEW.op, NEW.value) IS DISTINCT FROM (OLD.subscriber_id, OLD.attribute, OLD.op, OLD.value))
    EXECUTE FUNCTION change_feed_row_updated();
CREATE TRIGGER radreply_feed_insert AFTER INSERT ON radreply
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION change_feed_rows_inserted();
CREATE TRIGGER radreply_feed_delete AFTER DELETE ON radreply
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION change_feed_rows_deleted();
CREATE TRIGGER radreply_feed_update AFTER UPDATE ON radreply FOR EACH ROW
    WHEN ((NEW.subscriber_id, NEW.attribute, NEW.op, NEW.value) IS DISTINCT FROM (OLD.subscriber_id, OLD.attribute, OLD.op, OLD.value))
    EXECUTE FUNCTION change_feed_row_updated();

CREATE TRIGGER tenants_feed_truncate AFTER TRUNCATE ON tenants
    FOR EACH STATEMENT EXECUTE FUNCTION change_feed_truncated();
CREATE TRIGGER radius_bandwidth_profiles_feed_truncate AFTER TRUNCATE ON radius_bandwidth_profiles
    FOR EACH STATEMENT EXECUTE FUNCTION change_feed_truncated();
CREATE TRIGGER nas_feed_truncate AFTER TRUNCATE ON nas
    FOR EACH STATEMENT EXECUTE FUNCTION change_feed_truncated();
CREATE TRIGGER subscribers_feed_truncate AFTER TRUNCATE ON subscribers
    FOR EACH STATEMENT EXECUTE FUNCTION change_feed_truncated();
CREATE TRIGGER subscriber_network_profiles_feed_truncate AFTER TRUNCATE ON subscriber_network_profiles
    FOR EACH STATEMENT EXECUTE FUNCTION change_feed_truncated();
CREATE TRIGGER radcheck_feed_truncate AFTER TRUNCATE ON radcheck
    FOR EACH STATEMENT EXECUTE FUNCTION change_feed_truncated();
CREATE TRIGGER radreply_feed_truncate AFTER TRUNCATE ON radreply
    FOR EACH STATEMENT EXECUTE FUNCTION change_feed_truncated();
