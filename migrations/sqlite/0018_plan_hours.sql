-- When those who have a plan may be online, unless their network profile says so itself.

ALTER TABLE radius_bandwidth_profiles ADD COLUMN login_time TEXT CHECK (login_time <> '');

CREATE TRIGGER radius_bandwidth_profiles_feed_hours AFTER UPDATE OF login_time ON radius_bandwidth_profiles
    WHEN NEW.login_time IS NOT OLD.login_time
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id) VALUES ('plan', NEW.tenant_id, NEW.id);
END;
