-- Logins that a server has refused as locked since it started.

ALTER TABLE node_status ADD COLUMN logins_locked_out INTEGER NOT NULL DEFAULT 0;
