-- Every session has a beginning: whoever writes a row without one gets it reckoned, so that what asks by time (who had this
-- address) finds the row by the same indexes as all others.

UPDATE radacct SET acctstarttime = coalesce(
        acctstoptime - CASE WHEN acctsessiontime IS NOT NULL THEN greatest(acctsessiontime, 0) * interval '1 second' END,
        acctupdatetime, acctstoptime, created_at)
    WHERE acctstarttime IS NULL;

CREATE FUNCTION radacct_begin() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.acctstarttime := coalesce(
        NEW.acctstoptime - CASE WHEN NEW.acctsessiontime IS NOT NULL
            THEN greatest(NEW.acctsessiontime, 0) * interval '1 second' END,
        NEW.acctupdatetime, NEW.acctstoptime, NEW.created_at);
    RETURN NEW;
END
$$;

CREATE TRIGGER radacct_begin BEFORE INSERT OR UPDATE OF acctstarttime ON radacct
    FOR EACH ROW WHEN (NEW.acctstarttime IS NULL) EXECUTE FUNCTION radacct_begin();
