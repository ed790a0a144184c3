-- What becomes of user@realm that comes by a tenant's NAS: '' is a name without a realm, '*' any other realm. Realms are
-- kept in small letters, since they are the same in any (RFC 7542 section 2.4).

CREATE TABLE tenant_realms (
    tenant_id    text NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    realm        text NOT NULL CHECK (realm = lower(realm) AND strpos(realm, '@') = 0),
    action       text NOT NULL CHECK (action IN ('accept', 'strip', 'refuse', 'tenant')),
    to_tenant_id text REFERENCES tenants (id),
    PRIMARY KEY (tenant_id, realm),
    CHECK ((action = 'tenant') = (to_tenant_id IS NOT NULL)),
    CHECK (action IN ('accept', 'refuse') OR realm <> '')
);
CREATE INDEX tenant_realms_to_idx ON tenant_realms (to_tenant_id) WHERE to_tenant_id IS NOT NULL;

CREATE TRIGGER tenant_realms_feed AFTER INSERT OR UPDATE OR DELETE ON tenant_realms
    FOR EACH ROW EXECUTE FUNCTION change_feed_entity('tenant', 'tenant_id', 'tenant_id');
CREATE TRIGGER tenant_realms_feed_truncate AFTER TRUNCATE ON tenant_realms
    FOR EACH STATEMENT EXECUTE FUNCTION change_feed_truncated();
