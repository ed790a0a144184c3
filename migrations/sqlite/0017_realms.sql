-- What becomes of user@realm that comes by a tenant's NAS: '' is a name without a realm, '*' any other realm. Realms are
-- kept in small letters, since they are the same in any (RFC 7542 section 2.4).

CREATE TABLE tenant_realms (
    tenant_id    TEXT NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    realm        TEXT NOT NULL CHECK (realm = lower(realm) AND instr(realm, '@') = 0),
    action       TEXT NOT NULL CHECK (action IN ('accept', 'strip', 'refuse', 'tenant')),
    to_tenant_id TEXT REFERENCES tenants (id),
    PRIMARY KEY (tenant_id, realm),
    CHECK ((action = 'tenant') = (to_tenant_id IS NOT NULL)),
    CHECK (action IN ('accept', 'refuse') OR realm <> '')
) STRICT;
CREATE INDEX tenant_realms_to_idx ON tenant_realms (to_tenant_id) WHERE to_tenant_id IS NOT NULL;

CREATE TRIGGER tenant_realms_feed_insert AFTER INSERT ON tenant_realms
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id) VALUES ('tenant', NEW.tenant_id, NEW.tenant_id);
END;
CREATE TRIGGER tenant_realms_feed_update AFTER UPDATE ON tenant_realms
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id)
        SELECT 'tenant', NEW.tenant_id, NEW.tenant_id UNION SELECT 'tenant', OLD.tenant_id, OLD.tenant_id;
END;
CREATE TRIGGER tenant_realms_feed_delete AFTER DELETE ON tenant_realms
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id) VALUES ('tenant', OLD.tenant_id, OLD.tenant_id);
END;
