-- Groups take part in the decision: radgroupcheck, radgroupreply and radusergroup follow the rules that 0004 has for
-- radcheck and radreply, and are watched by the change feed.
--
-- A row without a tenant gets the only one there is, and is refused where there are several. Rows from before that can be
-- given to no tenant stay as they are: nodes leave them out and say so. A membership belongs to the subscriber of its
-- tenant and username, now or once there is one, and goes along when the subscriber is renamed.
--
-- The rows of a group are many subscribers': a change of one is noted as a change of the tenant.

ALTER TABLE radusergroup ADD COLUMN subscriber_id TEXT REFERENCES subscribers (id) ON DELETE CASCADE;
CREATE INDEX radusergroup_subscriber_idx ON radusergroup (subscriber_id) WHERE subscriber_id IS NOT NULL;
CREATE INDEX radusergroup_orphan_idx ON radusergroup (tenant_id, username) WHERE subscriber_id IS NULL;
CREATE INDEX radusergroup_groupname_idx ON radusergroup (tenant_id, groupname);

UPDATE radgroupcheck SET tenant_id = (SELECT min(id) FROM tenants HAVING count(*) = 1) WHERE tenant_id IS NULL;
UPDATE radgroupreply SET tenant_id = (SELECT min(id) FROM tenants HAVING count(*) = 1) WHERE tenant_id IS NULL;
UPDATE radusergroup SET tenant_id = (SELECT min(id) FROM tenants HAVING count(*) = 1) WHERE tenant_id IS NULL;
UPDATE radusergroup SET subscriber_id = (
    SELECT s.id FROM subscribers s
    WHERE s.tenant_id = radusergroup.tenant_id AND s.username = radusergroup.username AND s.deleted_at IS NULL);

CREATE TRIGGER radusergroup_fill_insert AFTER INSERT ON radusergroup
BEGIN
    UPDATE radusergroup SET
        tenant_id = coalesce(
            (SELECT tenant_id FROM subscribers WHERE id = NEW.subscriber_id),
            NEW.tenant_id,
            (SELECT min(id) FROM tenants HAVING count(*) = 1)),
        username = coalesce((SELECT username FROM subscribers WHERE id = NEW.subscriber_id), NEW.username)
        WHERE id = NEW.id;
    UPDATE radusergroup SET subscriber_id = (
            SELECT s.id FROM subscribers s
            WHERE s.tenant_id = radusergroup.tenant_id AND s.username = radusergroup.username AND s.deleted_at IS NULL)
        WHERE id = NEW.id AND NEW.subscriber_id IS NULL;
    SELECT RAISE(ABORT, 'radusergroup.tenant_id is missing and there is not exactly one tenant')
        WHERE (SELECT tenant_id FROM radusergroup WHERE id = NEW.id) IS NULL;
END;
CREATE TRIGGER radusergroup_fill_update AFTER UPDATE OF username, tenant_id ON radusergroup
    WHEN (NEW.username, NEW.tenant_id) IS NOT (OLD.username, OLD.tenant_id) AND NEW.subscriber_id IS OLD.subscriber_id
BEGIN
    UPDATE radusergroup SET subscriber_id = (
            SELECT s.id FROM subscribers s
            WHERE s.tenant_id = radusergroup.tenant_id AND s.username = radusergroup.username AND s.deleted_at IS NULL)
        WHERE id = NEW.id;
END;

CREATE TRIGGER radgroupcheck_fill_insert AFTER INSERT ON radgroupcheck WHEN NEW.tenant_id IS NULL
BEGIN
    UPDATE radgroupcheck SET tenant_id = (SELECT min(id) FROM tenants HAVING count(*) = 1) WHERE id = NEW.id;
    SELECT RAISE(ABORT, 'radgroupcheck.tenant_id is missing and there is not exactly one tenant')
        WHERE (SELECT tenant_id FROM radgroupcheck WHERE id = NEW.id) IS NULL;
END;
CREATE TRIGGER radgroupreply_fill_insert AFTER INSERT ON radgroupreply WHEN NEW.tenant_id IS NULL
BEGIN
    UPDATE radgroupreply SET tenant_id = (SELECT min(id) FROM tenants HAVING count(*) = 1) WHERE id = NEW.id;
    SELECT RAISE(ABORT, 'radgroupreply.tenant_id is missing and there is not exactly one tenant')
        WHERE (SELECT tenant_id FROM radgroupreply WHERE id = NEW.id) IS NULL;
END;

-- Beside the triggers of 0004, which do the same for radcheck and radreply.
CREATE TRIGGER subscribers_adopt_groups_insert AFTER INSERT ON subscribers
    WHEN NEW.deleted_at IS NULL AND EXISTS (SELECT 1 FROM radusergroup
        WHERE subscriber_id IS NULL AND tenant_id = NEW.tenant_id AND username = NEW.username)
BEGIN
    UPDATE radusergroup SET subscriber_id = NEW.id
        WHERE subscriber_id IS NULL AND tenant_id = NEW.tenant_id AND username = NEW.username;
END;
CREATE TRIGGER subscribers_adopt_groups_update AFTER UPDATE OF username, tenant_id, deleted_at ON subscribers
    WHEN NEW.deleted_at IS NULL
        AND (NEW.username, NEW.tenant_id, NEW.deleted_at) IS NOT (OLD.username, OLD.tenant_id, OLD.deleted_at)
BEGIN
    UPDATE radusergroup SET username = NEW.username, tenant_id = NEW.tenant_id WHERE subscriber_id = NEW.id;
    UPDATE radusergroup SET subscriber_id = NEW.id
        WHERE subscriber_id IS NULL AND tenant_id = NEW.tenant_id AND username = NEW.username;
END;

CREATE TRIGGER radusergroup_feed_insert AFTER INSERT ON radusergroup WHEN NEW.subscriber_id IS NOT NULL
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id)
        SELECT 'subscriber', s.tenant_id, s.id FROM subscribers s WHERE s.id = NEW.subscriber_id;
END;
CREATE TRIGGER radusergroup_feed_update AFTER UPDATE OF subscriber_id, groupname, priority ON radusergroup
    WHEN (NEW.subscriber_id, NEW.groupname, NEW.priority) IS NOT (OLD.subscriber_id, OLD.groupname, OLD.priority)
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id)
        SELECT 'subscriber', s.tenant_id, s.id FROM subscribers s WHERE s.id IN (OLD.subscriber_id, NEW.subscriber_id);
END;
CREATE TRIGGER radusergroup_feed_delete AFTER DELETE ON radusergroup WHEN OLD.subscriber_id IS NOT NULL
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id)
        SELECT 'subscriber', s.tenant_id, s.id FROM subscribers s WHERE s.id = OLD.subscriber_id;
END;

CREATE TRIGGER radgroupcheck_feed_insert AFTER INSERT ON radgroupcheck WHEN NEW.tenant_id IS NOT NULL
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id) VALUES ('tenant', NEW.tenant_id, NEW.tenant_id);
END;
CREATE TRIGGER radgroupcheck_feed_update AFTER UPDATE ON radgroupcheck
    WHEN (NEW.tenant_id, NEW.groupname, NEW.attribute, NEW.op, NEW.value)
        IS NOT (OLD.tenant_id, OLD.groupname, OLD.attribute, OLD.op, OLD.value)
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id)
        SELECT 'tenant', t.id, t.id FROM tenants t WHERE t.id IN (OLD.tenant_id, NEW.tenant_id);
END;
CREATE TRIGGER radgroupcheck_feed_delete AFTER DELETE ON radgroupcheck WHEN OLD.tenant_id IS NOT NULL
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id) VALUES ('tenant', OLD.tenant_id, OLD.tenant_id);
END;

CREATE TRIGGER radgroupreply_feed_insert AFTER INSERT ON radgroupreply WHEN NEW.tenant_id IS NOT NULL
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id) VALUES ('tenant', NEW.tenant_id, NEW.tenant_id);
END;
CREATE TRIGGER radgroupreply_feed_update AFTER UPDATE ON radgroupreply
    WHEN (NEW.tenant_id, NEW.groupname, NEW.attribute, NEW.op, NEW.value)
        IS NOT (OLD.tenant_id, OLD.groupname, OLD.attribute, OLD.op, OLD.value)
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id)
        SELECT 'tenant', t.id, t.id FROM tenants t WHERE t.id IN (OLD.tenant_id, NEW.tenant_id);
END;
CREATE TRIGGER radgroupreply_feed_delete AFTER DELETE ON radgroupreply WHEN OLD.tenant_id IS NOT NULL
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id) VALUES ('tenant', OLD.tenant_id, OLD.tenant_id);
END;
