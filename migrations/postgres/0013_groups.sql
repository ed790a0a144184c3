-- Groups take part in the decision: radgroupcheck, radgroupreply and radusergroup follow the rules that 0004 has for
-- radcheck and radreply, and are watched by the change feed.
--
-- A row without a tenant gets the only one there is, and is refused where there are several. Rows from before that can be
-- given to no tenant stay as they are: nodes leave them out and say so. A membership belongs to the subscriber of its
-- tenant and username, now or once there is one, and goes along when the subscriber is renamed.
--
-- The rows of a group are many subscribers': a change of one is noted as a change of the tenant.

ALTER TABLE radusergroup ADD COLUMN subscriber_id text REFERENCES subscribers (id) ON DELETE CASCADE;
CREATE INDEX radusergroup_subscriber_idx ON radusergroup (subscriber_id) WHERE subscriber_id IS NOT NULL;
CREATE INDEX radusergroup_orphan_idx ON radusergroup (tenant_id, username) WHERE subscriber_id IS NULL;
CREATE INDEX radusergroup_groupname_idx ON radusergroup (tenant_id, groupname);

UPDATE radgroupcheck SET tenant_id = (SELECT min(id) FROM tenants HAVING count(*) = 1) WHERE tenant_id IS NULL;
UPDATE radgroupreply SET tenant_id = (SELECT min(id) FROM tenants HAVING count(*) = 1) WHERE tenant_id IS NULL;
UPDATE radusergroup SET tenant_id = (SELECT min(id) FROM tenants HAVING count(*) = 1) WHERE tenant_id IS NULL;
UPDATE radusergroup u SET subscriber_id = s.id FROM subscribers s
    WHERE s.tenant_id = u.tenant_id AND s.username = u.username AND s.deleted_at IS NULL;

CREATE TRIGGER radusergroup_fill BEFORE INSERT OR UPDATE OF username, tenant_id, subscriber_id ON radusergroup
    FOR EACH ROW EXECUTE FUNCTION radius_rows_fill();

CREATE FUNCTION radius_group_rows_fill() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT min(id) INTO NEW.tenant_id FROM tenants HAVING count(*) = 1;
    IF NEW.tenant_id IS NULL THEN
        RAISE EXCEPTION '%.tenant_id is missing and there is not exactly one tenant', TG_TABLE_NAME
            USING ERRCODE = 'not_null_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER radgroupcheck_fill BEFORE INSERT OR UPDATE OF tenant_id ON radgroupcheck
    FOR EACH ROW WHEN (NEW.tenant_id IS NULL) EXECUTE FUNCTION radius_group_rows_fill();
CREATE TRIGGER radgroupreply_fill BEFORE INSERT OR UPDATE OF tenant_id ON radgroupreply
    FOR EACH ROW WHEN (NEW.tenant_id IS NULL) EXECUTE FUNCTION radius_group_rows_fill();

-- Beside the triggers of 0004, which do the same for radcheck and radreply.
CREATE FUNCTION subscribers_adopt_groups() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE radusergroup g SET subscriber_id = n.id FROM new_rows n
        WHERE g.subscriber_id IS NULL AND g.tenant_id = n.tenant_id AND g.username = n.username AND n.deleted_at IS NULL;
    RETURN NULL;
END
$$;
CREATE TRIGGER subscribers_adopt_groups_insert AFTER INSERT ON subscribers
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION subscribers_adopt_groups();

CREATE FUNCTION subscribers_carry_groups() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE radusergroup SET username = NEW.username, tenant_id = NEW.tenant_id, subscriber_id = NEW.id
        WHERE subscriber_id = NEW.id OR (subscriber_id IS NULL AND tenant_id = NEW.tenant_id AND username = NEW.username);
    RETURN NULL;
END
$$;
CREATE TRIGGER subscribers_adopt_groups_update AFTER UPDATE OF username, tenant_id, deleted_at ON subscribers
    FOR EACH ROW WHEN (NEW.deleted_at IS NULL AND
        (NEW.username, NEW.tenant_id, NEW.deleted_at) IS DISTINCT FROM (OLD.username, OLD.tenant_id, OLD.deleted_at))
    EXECUTE FUNCTION subscribers_carry_groups();

CREATE TRIGGER radusergroup_feed_insert AFTER INSERT ON radusergroup
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION change_feed_rows_inserted();
CREATE TRIGGER radusergroup_feed_delete AFTER DELETE ON radusergroup
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION change_feed_rows_deleted();
CREATE TRIGGER radusergroup_feed_update AFTER UPDATE ON radusergroup FOR EACH ROW
    WHEN ((NEW.subscriber_id, NEW.groupname, NEW.priority) IS DISTINCT FROM (OLD.subscriber_id, OLD.groupname, OLD.priority))
    EXECUTE FUNCTION change_feed_row_updated();

CREATE FUNCTION change_feed_group_rows_inserted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id)
        SELECT DISTINCT 'tenant', tenant_id, tenant_id FROM new_rows WHERE tenant_id IS NOT NULL;
    RETURN NULL;
END
$$;
CREATE FUNCTION change_feed_group_rows_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id)
        SELECT DISTINCT 'tenant', tenant_id, tenant_id FROM old_rows WHERE tenant_id IS NOT NULL;
    RETURN NULL;
END
$$;
CREATE FUNCTION change_feed_group_rows_updated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id)
        SELECT 'tenant', t, t FROM (
            SELECT tenant_id FROM old_rows UNION SELECT tenant_id FROM new_rows) AS v (t) WHERE t IS NOT NULL;
    RETURN NULL;
END
$$;

CREATE TRIGGER radgroupcheck_feed_insert AFTER INSERT ON radgroupcheck
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION change_feed_group_rows_inserted();
CREATE TRIGGER radgroupcheck_feed_delete AFTER DELETE ON radgroupcheck
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION change_feed_group_rows_deleted();
CREATE TRIGGER radgroupcheck_feed_update AFTER UPDATE ON radgroupcheck
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION change_feed_group_rows_updated();

CREATE TRIGGER radgroupreply_feed_insert AFTER INSERT ON radgroupreply
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION change_feed_group_rows_inserted();
CREATE TRIGGER radgroupreply_feed_delete AFTER DELETE ON radgroupreply
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION change_feed_group_rows_deleted();
CREATE TRIGGER radgroupreply_feed_update AFTER UPDATE ON radgroupreply
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION change_feed_group_rows_updated();

CREATE TRIGGER radgroupcheck_feed_truncate AFTER TRUNCATE ON radgroupcheck
    FOR EACH STATEMENT EXECUTE FUNCTION change_feed_truncated();
CREATE TRIGGER radgroupreply_feed_truncate AFTER TRUNCATE ON radgroupreply
    FOR EACH STATEMENT EXECUTE FUNCTION change_feed_truncated();
CREATE TRIGGER radusergroup_feed_truncate AFTER TRUNCATE ON radusergroup
    FOR EACH STATEMENT EXECUTE FUNCTION change_feed_truncated();
