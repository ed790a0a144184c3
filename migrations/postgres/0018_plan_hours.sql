-- When those who have a plan may be online, unless their network profile says so itself.

ALTER TABLE radius_bandwidth_profiles ADD COLUMN login_time text CHECK (login_time <> '');

CREATE TRIGGER radius_bandwidth_profiles_feed_hours AFTER UPDATE OF login_time
    ON radius_bandwidth_profiles FOR EACH ROW
    WHEN (NEW.login_time IS DISTINCT FROM OLD.login_time)
    EXECUTE FUNCTION change_feed_entity('plan', 'tenant_id', 'id');
