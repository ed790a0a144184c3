-- When a session was last heard of by the server's own clock: acctupdatetime is what the NAS takes the time to be, and a NAS
-- may be hours wrong. Sessions from before, and those that another program writes, have none; acctupdatetime stands in.
--
-- stopped: the server reported for the last time, and may be away for good.

ALTER TABLE radacct ADD COLUMN heard_at TEXT;
ALTER TABLE node_status ADD COLUMN stopped INTEGER NOT NULL DEFAULT 0 CHECK (stopped IN (0, 1));
