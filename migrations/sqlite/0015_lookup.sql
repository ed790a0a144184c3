-- By what a tenant finds the subscriber of a line that brings no credentials (IPoE).

ALTER TABLE tenants ADD COLUMN lookup_by TEXT NOT NULL DEFAULT 'username'
    CHECK (lookup_by IN ('username', 'mac', 'circuit_id'));

DROP TRIGGER tenants_feed_update;
CREATE TRIGGER tenants_feed_update AFTER UPDATE OF
    id, name, enabled, username_case, username_realm, timezone, interim_jitter_percent, lookup_by
    ON tenants
    WHEN (NEW.id, NEW.name, NEW.enabled, NEW.username_case, NEW.username_realm, NEW.timezone,
        NEW.interim_jitter_percent, NEW.lookup_by)
        IS NOT (OLD.id, OLD.name, OLD.enabled, OLD.username_case, OLD.username_realm, OLD.timezone,
        OLD.interim_jitter_percent, OLD.lookup_by)
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id) VALUES ('tenant', NEW.id, NEW.id);
    INSERT INTO change_feed (kind, tenant_id, entity_id) SELECT 'tenant', OLD.id, OLD.id
        WHERE OLD.id <> NEW.id;
END;
