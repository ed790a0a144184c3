-- The id of a row is its place among the others, and UPDATE OR REPLACE takes the row that had it before without a delete
-- trigger: both owners are noted.
CREATE TRIGGER radcheck_feed_update_moves BEFORE UPDATE OF id ON radcheck WHEN NEW.id IS NOT OLD.id
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id)
        SELECT DISTINCT 'subscriber', s.tenant_id, s.id FROM radcheck r JOIN subscribers s ON s.id = r.subscriber_id
        WHERE r.id IN (OLD.id, NEW.id);
END;
CREATE TRIGGER radreply_feed_update_moves BEFORE UPDATE OF id ON radreply WHEN NEW.id IS NOT OLD.id
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id)
        SELECT DISTINCT 'subscriber', s.tenant_id, s.id FROM radreply r JOIN subscribers s ON s.id = r.subscriber_id
        WHERE r.id IN (OLD.id, NEW.id);
END;
CREATE TRIGGER radusergroup_feed_update_moves BEFORE UPDATE OF id ON radusergroup WHEN NEW.id IS NOT OLD.id
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id)
        SELECT DISTINCT 'subscriber', s.tenant_id, s.id FROM radusergroup r JOIN subscribers s ON s.id = r.subscriber_id
        WHERE r.id IN (OLD.id, NEW.id);
END;
CREATE TRIGGER radgroupcheck_feed_update_moves BEFORE UPDATE OF id ON radgroupcheck WHEN NEW.id IS NOT OLD.id
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id)
        SELECT DISTINCT 'tenant', r.tenant_id, r.tenant_id FROM radgroupcheck r
        WHERE r.id IN (OLD.id, NEW.id) AND r.tenant_id IS NOT NULL;
END;
CREATE TRIGGER radgroupreply_feed_update_moves BEFORE UPDATE OF id ON radgroupreply WHEN NEW.id IS NOT OLD.id
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id)
        SELECT DISTINCT 'tenant', r.tenant_id, r.tenant_id FROM radgroupreply r
        WHERE r.id IN (OLD.id, NEW.id) AND r.tenant_id IS NOT NULL;
END;
CREATE TRIGGER subscriber_network_profiles_feed_update_moves BEFORE UPDATE OF id ON subscriber_network_profiles WHEN NEW.id IS NOT OLD.id
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id)
        SELECT 'subscriber', r.tenant_id, r.subscriber_id FROM subscriber_network_profiles r WHERE r.id IN (OLD.id, NEW.id);
END;
CREATE TRIGGER subscriber_schedule_feed_update_moves BEFORE UPDATE OF id ON subscriber_schedule WHEN NEW.id IS NOT OLD.id
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id)
        SELECT 'subscriber', r.tenant_id, r.subscriber_id FROM subscriber_schedule r WHERE r.id IN (OLD.id, NEW.id);
END;
