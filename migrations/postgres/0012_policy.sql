-- What a decision knows beside status, plan and quota: bindings, hours, planned changes, and what a tenant does with those
-- who are in a condition other than active.
--
-- A planned change has effect at its instant, whether or not anybody looks: nodes hold what is planned. Upkeep then
-- writes it into the subscriber's row and sets applied_at. A termination takes what is planned after it away.

ALTER TABLE tenants ADD COLUMN interim_jitter_percent bigint NOT NULL DEFAULT 0
    CHECK (interim_jitter_percent BETWEEN 0 AND 50);

-- "restrict" lets in under the terms of a plan, which cannot be deleted meanwhile.
CREATE TABLE tenant_conditions (
    tenant_id text NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    condition text NOT NULL CHECK (condition IN ('pending', 'suspended', 'disconnected', 'terminated', 'quarantined',
        'expired', 'outside_hours', 'quota_exhausted')),
    action    text NOT NULL CHECK (action IN ('accept', 'reject', 'restrict')),
    plan_id   text,
    PRIMARY KEY (tenant_id, condition),
    CHECK ((action = 'restrict') = (plan_id IS NOT NULL)),
    CONSTRAINT tenant_conditions_plan_fkey FOREIGN KEY (tenant_id, plan_id)
        REFERENCES radius_bandwidth_profiles (tenant_id, id)
);
CREATE INDEX tenant_conditions_plan_idx ON tenant_conditions (plan_id) WHERE plan_id IS NOT NULL;

ALTER TABLE subscriber_network_profiles
    ADD COLUMN nas_policy    text NOT NULL DEFAULT 'ignore' CHECK (nas_policy IN ('enforce', 'log', 'ignore')),
    ADD COLUMN nas_port_id   text,
    ADD COLUMN port_policy   text NOT NULL DEFAULT 'ignore' CHECK (port_policy IN ('enforce', 'log', 'ignore')),
    ADD COLUMN mac_addresses text,
    ADD COLUMN mac_policy    text NOT NULL DEFAULT 'ignore' CHECK (mac_policy IN ('enforce', 'log', 'ignore')),
    ADD COLUMN vlan_policy   text NOT NULL DEFAULT 'ignore' CHECK (vlan_policy IN ('enforce', 'log', 'ignore')),
    ADD COLUMN login_time    text CHECK (login_time <> '');

CREATE TABLE subscriber_schedule (
    id            text PRIMARY KEY CHECK (id <> ''),
    tenant_id     text NOT NULL,
    subscriber_id text NOT NULL REFERENCES subscribers (id) ON DELETE CASCADE,
    at            timestamptz NOT NULL CHECK (isfinite(at)),
    status        text CHECK (status IN ('pending', 'active', 'suspended', 'disconnected', 'terminated', 'quarantined')),
    plan_id       text,
    note          text,
    created_at    timestamptz NOT NULL DEFAULT now(),
    created_by    text,
    applied_at    timestamptz,
    CHECK ((status IS NULL) <> (plan_id IS NULL)),
    CONSTRAINT subscriber_schedule_plan_fkey FOREIGN KEY (tenant_id, plan_id)
        REFERENCES radius_bandwidth_profiles (tenant_id, id)
);
CREATE INDEX subscriber_schedule_subscriber_idx ON subscriber_schedule (subscriber_id, at);
CREATE INDEX subscriber_schedule_due_idx ON subscriber_schedule (at) WHERE applied_at IS NULL;
CREATE INDEX subscriber_schedule_plan_idx ON subscriber_schedule (plan_id) WHERE plan_id IS NOT NULL;

CREATE FUNCTION subscribers_unschedule() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM subscriber_schedule WHERE subscriber_id = NEW.id AND applied_at IS NULL;
    RETURN NULL;
END
$$;
CREATE TRIGGER subscribers_unschedule AFTER UPDATE OF status, deleted_at ON subscribers FOR EACH ROW
    WHEN ((NEW.status = 'terminated' AND OLD.status <> 'terminated') OR (NEW.deleted_at IS NOT NULL AND OLD.deleted_at IS NULL))
    EXECUTE FUNCTION subscribers_unschedule();

DROP TRIGGER tenants_feed_update ON tenants;
CREATE TRIGGER tenants_feed_update AFTER UPDATE OF
    id, name, enabled, username_case, username_realm, timezone, interim_jitter_percent
    ON tenants FOR EACH ROW
    WHEN ((NEW.id, NEW.name, NEW.enabled, NEW.username_case, NEW.username_realm, NEW.timezone, NEW.interim_jitter_percent)
        IS DISTINCT FROM (OLD.id, OLD.name, OLD.enabled, OLD.username_case, OLD.username_realm, OLD.timezone,
        OLD.interim_jitter_percent))
    EXECUTE FUNCTION change_feed_entity('tenant', 'id', 'id');

CREATE TRIGGER tenant_conditions_feed AFTER INSERT OR UPDATE OR DELETE ON tenant_conditions
    FOR EACH ROW EXECUTE FUNCTION change_feed_entity('tenant', 'tenant_id', 'tenant_id');
CREATE TRIGGER tenant_conditions_feed_truncate AFTER TRUNCATE ON tenant_conditions
    FOR EACH STATEMENT EXECUTE FUNCTION change_feed_truncated();

CREATE TRIGGER subscriber_schedule_feed AFTER INSERT OR UPDATE OR DELETE ON subscriber_schedule
    FOR EACH ROW EXECUTE FUNCTION change_feed_entity('subscriber', 'tenant_id', 'subscriber_id');
CREATE TRIGGER subscriber_schedule_feed_truncate AFTER TRUNCATE ON subscriber_schedule
    FOR EACH STATEMENT EXECUTE FUNCTION change_feed_truncated();

DROP TRIGGER subscriber_network_profiles_feed_update ON subscriber_network_profiles;
CREATE TRIGGER subscriber_network_profiles_feed_update AFTER UPDATE OF
    tenant_id, subscriber_id, circuit_id, remote_id, service_vlan, inner_vlan, qinq_enabled, static_ipv4, static_ipv6,
    delegated_ipv6_prefix, option82_policy, nas_policy, nas_port_id, port_policy, mac_addresses, mac_policy, vlan_policy,
    login_time
    ON subscriber_network_profiles FOR EACH ROW
    WHEN ((NEW.tenant_id, NEW.subscriber_id, NEW.circuit_id, NEW.remote_id, NEW.service_vlan, NEW.inner_vlan,
        NEW.qinq_enabled, NEW.static_ipv4, NEW.static_ipv6, NEW.delegated_ipv6_prefix, NEW.option82_policy,
        NEW.nas_policy, NEW.nas_port_id, NEW.port_policy, NEW.mac_addresses, NEW.mac_policy, NEW.vlan_policy,
        NEW.login_time)
        IS DISTINCT FROM (OLD.tenant_id, OLD.subscriber_id, OLD.circuit_id, OLD.remote_id, OLD.service_vlan,
        OLD.inner_vlan, OLD.qinq_enabled, OLD.static_ipv4, OLD.static_ipv6, OLD.delegated_ipv6_prefix,
        OLD.option82_policy, OLD.nas_policy, OLD.nas_port_id, OLD.port_policy, OLD.mac_addresses, OLD.mac_policy,
        OLD.vlan_policy, OLD.login_time))
    EXECUTE FUNCTION change_feed_entity('subscriber', 'tenant_id', 'subscriber_id');

-- What the subscriber's row says of it is compared only where its profile has a policy for it.
CREATE TRIGGER subscribers_feed_bound AFTER UPDATE OF nas_identifier, cpe_mac_address ON subscribers FOR EACH ROW
    WHEN ((NEW.nas_identifier, NEW.cpe_mac_address) IS DISTINCT FROM (OLD.nas_identifier, OLD.cpe_mac_address))
    EXECUTE FUNCTION change_feed_entity('subscriber', 'tenant_id', 'id');
