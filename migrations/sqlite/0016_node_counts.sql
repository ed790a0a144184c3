-- What a server did not manage: accounting records that its journal lost, packets that it left unanswered since it started,
-- and records that the database refused and that lie beside the journal until somebody hands them on again.

ALTER TABLE node_status ADD COLUMN records_lost INTEGER NOT NULL DEFAULT 0;
ALTER TABLE node_status ADD COLUMN records_unanswered INTEGER NOT NULL DEFAULT 0;
ALTER TABLE node_status ADD COLUMN records_aside INTEGER NOT NULL DEFAULT 0;
