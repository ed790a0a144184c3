-- Every session has a beginning: whoever writes a row without one gets it reckoned, so that what asks by time (who had this
-- address) finds the row by the same indexes as all others.

UPDATE radacct SET acctstarttime = coalesce(
        datetime(acctstoptime, '-' || max(acctsessiontime, 0) || ' seconds'), acctupdatetime, acctstoptime, created_at)
    WHERE acctstarttime IS NULL;

CREATE TRIGGER radacct_begin_insert AFTER INSERT ON radacct WHEN NEW.acctstarttime IS NULL
BEGIN
    UPDATE radacct SET acctstarttime = coalesce(
            datetime(acctstoptime, '-' || max(acctsessiontime, 0) || ' seconds'), acctupdatetime, acctstoptime, created_at)
        WHERE radacctid = NEW.radacctid;
END;

CREATE TRIGGER radacct_begin_update AFTER UPDATE OF acctstarttime ON radacct WHEN NEW.acctstarttime IS NULL
BEGIN
    UPDATE radacct SET acctstarttime = coalesce(
            datetime(acctstoptime, '-' || max(acctsessiontime, 0) || ' seconds'), acctupdatetime, acctstoptime, created_at)
        WHERE radacctid = NEW.radacctid;
END;
