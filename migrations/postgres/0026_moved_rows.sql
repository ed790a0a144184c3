-- The id of a row is its place among the others. (Of groups' rows every update is noted already.)
CREATE TRIGGER radcheck_feed_update_moves AFTER UPDATE OF id ON radcheck FOR EACH ROW WHEN (NEW.id IS DISTINCT FROM OLD.id)
    EXECUTE FUNCTION change_feed_row_updated();
CREATE TRIGGER radreply_feed_update_moves AFTER UPDATE OF id ON radreply FOR EACH ROW WHEN (NEW.id IS DISTINCT FROM OLD.id)
    EXECUTE FUNCTION change_feed_row_updated();
CREATE TRIGGER radusergroup_feed_update_moves AFTER UPDATE OF id ON radusergroup FOR EACH ROW WHEN (NEW.id IS DISTINCT FROM OLD.id)
    EXECUTE FUNCTION change_feed_row_updated();
