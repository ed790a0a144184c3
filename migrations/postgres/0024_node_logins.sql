-- Logins that a server has answered since it started, as a JSON object: accepted ones, and refused ones by reason.

ALTER TABLE node_status ADD COLUMN logins text NOT NULL DEFAULT '{}';
