-- What a decision knows beside status, plan and quota: bindings, hours, planned changes, and what a tenant does with those
-- who are in a condition other than active.
--
-- A planned change has effect at its instant, whether or not anybody looks: nodes hold what is planned. Upkeep then
-- writes it into the subscriber's row and sets applied_at. A termination takes what is planned after it away.

ALTER TABLE tenants ADD COLUMN interim_jitter_percent INTEGER NOT NULL DEFAULT 0
    CHECK (interim_jitter_percent BETWEEN 0 AND 50);

-- "restrict" lets in under the terms of a plan, which cannot be deleted meanwhile.
CREATE TABLE tenant_conditions (
    tenant_id TEXT NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    condition TEXT NOT NULL CHECK (condition IN ('pending', 'suspended', 'disconnected', 'terminated', 'quarantined',
        'expired', 'outside_hours', 'quota_exhausted')),
    action    TEXT NOT NULL CHECK (action IN ('accept', 'reject', 'restrict')),
    plan_id   TEXT,
    PRIMARY KEY (tenant_id, condition),
    CHECK ((action = 'restrict') = (plan_id IS NOT NULL)),
    FOREIGN KEY (tenant_id, plan_id) REFERENCES radius_bandwidth_profiles (tenant_id, id)
) STRICT;
CREATE INDEX tenant_conditions_plan_idx ON tenant_conditions (plan_id) WHERE plan_id IS NOT NULL;

ALTER TABLE subscriber_network_profiles
    ADD COLUMN nas_policy TEXT NOT NULL DEFAULT 'ignore' CHECK (nas_policy IN ('enforce', 'log', 'ignore'));
ALTER TABLE subscriber_network_profiles ADD COLUMN nas_port_id TEXT;
ALTER TABLE subscriber_network_profiles
    ADD COLUMN port_policy TEXT NOT NULL DEFAULT 'ignore' CHECK (port_policy IN ('enforce', 'log', 'ignore'));
ALTER TABLE subscriber_network_profiles ADD COLUMN mac_addresses TEXT;
ALTER TABLE subscriber_network_profiles
    ADD COLUMN mac_policy TEXT NOT NULL DEFAULT 'ignore' CHECK (mac_policy IN ('enforce', 'log', 'ignore'));
ALTER TABLE subscriber_network_profiles
    ADD COLUMN vlan_policy TEXT NOT NULL DEFAULT 'ignore' CHECK (vlan_policy IN ('enforce', 'log', 'ignore'));
ALTER TABLE subscriber_network_profiles ADD COLUMN login_time TEXT CHECK (login_time <> '');

CREATE TABLE subscriber_schedule (
    id            TEXT NOT NULL PRIMARY KEY CHECK (id <> ''),
    tenant_id     TEXT NOT NULL,
    subscriber_id TEXT NOT NULL REFERENCES subscribers (id) ON DELETE CASCADE,
    at            TEXT NOT NULL CHECK (unixepoch(at) IS NOT NULL),
    status        TEXT CHECK (status IN ('pending', 'active', 'suspended', 'disconnected', 'terminated', 'quarantined')),
    plan_id       TEXT,
    note          TEXT,
    created_at    TEXT NOT NULL DEFAULT (datetime('now')),
    created_by    TEXT,
    applied_at    TEXT,
    CHECK ((status IS NULL) <> (plan_id IS NULL)),
    FOREIGN KEY (tenant_id, plan_id) REFERENCES radius_bandwidth_profiles (tenant_id, id)
) STRICT;
CREATE INDEX subscriber_schedule_subscriber_idx ON subscriber_schedule (subscriber_id, at);
CREATE INDEX subscriber_schedule_due_idx ON subscriber_schedule (at) WHERE applied_at IS NULL;
CREATE INDEX subscriber_schedule_plan_idx ON subscriber_schedule (plan_id) WHERE plan_id IS NOT NULL;

CREATE TRIGGER subscribers_unschedule AFTER UPDATE OF status, deleted_at ON subscribers
    WHEN (NEW.status = 'terminated' AND OLD.status <> 'terminated')
        OR (NEW.deleted_at IS NOT NULL AND OLD.deleted_at IS NULL)
BEGIN
    DELETE FROM subscriber_schedule WHERE subscriber_id = NEW.id AND applied_at IS NULL;
END;

DROP TRIGGER tenants_feed_update;
CREATE TRIGGER tenants_feed_update AFTER UPDATE OF
    id, name, enabled, username_case, username_realm, timezone, interim_jitter_percent
    ON tenants
    WHEN (NEW.id, NEW.name, NEW.enabled, NEW.username_case, NEW.username_realm, NEW.timezone, NEW.interim_jitter_percent)
        IS NOT (OLD.id, OLD.name, OLD.enabled, OLD.username_case, OLD.username_realm, OLD.timezone,
        OLD.interim_jitter_percent)
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id) VALUES ('tenant', NEW.id, NEW.id);
    INSERT INTO change_feed (kind, tenant_id, entity_id) SELECT 'tenant', OLD.id, OLD.id
        WHERE OLD.id <> NEW.id;
END;

CREATE TRIGGER tenant_conditions_feed_insert AFTER INSERT ON tenant_conditions
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id) VALUES ('tenant', NEW.tenant_id, NEW.tenant_id);
END;
CREATE TRIGGER tenant_conditions_feed_update AFTER UPDATE ON tenant_conditions
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id)
        SELECT 'tenant', NEW.tenant_id, NEW.tenant_id UNION SELECT 'tenant', OLD.tenant_id, OLD.tenant_id;
END;
CREATE TRIGGER tenant_conditions_feed_delete AFTER DELETE ON tenant_conditions
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id) VALUES ('tenant', OLD.tenant_id, OLD.tenant_id);
END;

CREATE TRIGGER subscriber_schedule_feed_insert AFTER INSERT ON subscriber_schedule
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id) VALUES ('subscriber', NEW.tenant_id, NEW.subscriber_id);
END;
CREATE TRIGGER subscriber_schedule_feed_update AFTER UPDATE ON subscriber_schedule
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id)
        SELECT 'subscriber', NEW.tenant_id, NEW.subscriber_id
        UNION SELECT 'subscriber', OLD.tenant_id, OLD.subscriber_id;
END;
CREATE TRIGGER subscriber_schedule_feed_delete AFTER DELETE ON subscriber_schedule
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id) VALUES ('subscriber', OLD.tenant_id, OLD.subscriber_id);
END;

DROP TRIGGER subscriber_network_profiles_feed_update;
CREATE TRIGGER subscriber_network_profiles_feed_update AFTER UPDATE OF
    tenant_id, subscriber_id, circuit_id, remote_id, service_vlan, inner_vlan, qinq_enabled, static_ipv4, static_ipv6,
    delegated_ipv6_prefix, option82_policy, nas_policy, nas_port_id, port_policy, mac_addresses, mac_policy, vlan_policy,
    login_time
    ON subscriber_network_profiles
    WHEN (NEW.tenant_id, NEW.subscriber_id, NEW.circuit_id, NEW.remote_id, NEW.service_vlan, NEW.inner_vlan,
        NEW.qinq_enabled, NEW.static_ipv4, NEW.static_ipv6, NEW.delegated_ipv6_prefix, NEW.option82_policy,
        NEW.nas_policy, NEW.nas_port_id, NEW.port_policy, NEW.mac_addresses, NEW.mac_policy, NEW.vlan_policy,
        NEW.login_time)
        IS NOT (OLD.tenant_id, OLD.subscriber_id, OLD.circuit_id, OLD.remote_id, OLD.service_vlan,
        OLD.inner_vlan, OLD.qinq_enabled, OLD.static_ipv4, OLD.static_ipv6, OLD.delegated_ipv6_prefix,
        OLD.option82_policy, OLD.nas_policy, OLD.nas_port_id, OLD.port_policy, OLD.mac_addresses, OLD.mac_policy,
        OLD.vlan_policy, OLD.login_time)
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id) VALUES ('subscriber', NEW.tenant_id, NEW.subscriber_id);
    INSERT INTO change_feed (kind, tenant_id, entity_id) SELECT 'subscriber', OLD.tenant_id, OLD.subscriber_id
        WHERE (OLD.tenant_id, OLD.subscriber_id) <> (NEW.tenant_id, NEW.subscriber_id);
END;

-- What the subscriber's row says of it is compared only where its profile has a policy for it.
CREATE TRIGGER subscribers_feed_bound AFTER UPDATE OF nas_identifier, cpe_mac_address ON subscribers
    WHEN (NEW.nas_identifier, NEW.cpe_mac_address) IS NOT (OLD.nas_identifier, OLD.cpe_mac_address)
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id) VALUES ('subscriber', NEW.tenant_id, NEW.id);
END;
