-- REPLACE takes rows away without a delete trigger, so who had the row before is noted here, as 0006 does for subscribers:
-- without REPLACE such a row makes the statement fail, and the note goes with it. The id that SQLite is still to choose is
-- nobody's.
CREATE TRIGGER radcheck_feed_insert_replaces BEFORE INSERT ON radcheck
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id)
        SELECT 'subscriber', s.tenant_id, s.id FROM radcheck r JOIN subscribers s ON s.id = r.subscriber_id WHERE r.id = NEW.id;
END;
CREATE TRIGGER radreply_feed_insert_replaces BEFORE INSERT ON radreply
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id)
        SELECT 'subscriber', s.tenant_id, s.id FROM radreply r JOIN subscribers s ON s.id = r.subscriber_id WHERE r.id = NEW.id;
END;
CREATE TRIGGER radusergroup_feed_insert_replaces BEFORE INSERT ON radusergroup
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id)
        SELECT 'subscriber', s.tenant_id, s.id FROM radusergroup r JOIN subscribers s ON s.id = r.subscriber_id WHERE r.id = NEW.id;
END;
CREATE TRIGGER radgroupcheck_feed_insert_replaces BEFORE INSERT ON radgroupcheck
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id)
        SELECT 'tenant', r.tenant_id, r.tenant_id FROM radgroupcheck r WHERE r.id = NEW.id AND r.tenant_id IS NOT NULL;
END;
CREATE TRIGGER radgroupreply_feed_insert_replaces BEFORE INSERT ON radgroupreply
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id)
        SELECT 'tenant', r.tenant_id, r.tenant_id FROM radgroupreply r WHERE r.id = NEW.id AND r.tenant_id IS NOT NULL;
END;
CREATE TRIGGER subscriber_network_profiles_feed_insert_replaces BEFORE INSERT ON subscriber_network_profiles
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id)
        SELECT 'subscriber', r.tenant_id, r.subscriber_id FROM subscriber_network_profiles r WHERE r.id = NEW.id;
END;
CREATE TRIGGER subscriber_schedule_feed_insert_replaces BEFORE INSERT ON subscriber_schedule
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id)
        SELECT 'subscriber', r.tenant_id, r.subscriber_id FROM subscriber_schedule r WHERE r.id = NEW.id;
END;
CREATE TRIGGER nas_feed_insert_replaces BEFORE INSERT ON nas
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id)
        SELECT 'nas', n.tenant_id, n.id FROM nas n WHERE n.id = NEW.id OR n.nasname = NEW.nasname;
END;
CREATE TRIGGER nas_feed_update_replaces BEFORE UPDATE OF id, nasname ON nas
    WHEN (NEW.id, NEW.nasname) IS NOT (OLD.id, OLD.nasname)
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id)
        SELECT 'nas', n.tenant_id, n.id FROM nas n WHERE n.id <> OLD.id AND (n.id = NEW.id OR n.nasname = NEW.nasname);
END;
