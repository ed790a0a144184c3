-- What a server did not manage: accounting records that its journal lost, packets that it left unanswered since it started,
-- and records that the database refused and that lie beside the journal until somebody hands them on again.

ALTER TABLE node_status ADD COLUMN records_lost bigint NOT NULL DEFAULT 0;
ALTER TABLE node_status ADD COLUMN records_unanswered bigint NOT NULL DEFAULT 0;
ALTER TABLE node_status ADD COLUMN records_aside bigint NOT NULL DEFAULT 0;

-- A partition takes the owner of radacct, and the servers need not be that: the function acts for the owner, in this schema.
-- Whoever reads all of radacct for long makes it wait, and behind it all accounting: not for longer than this.
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION radacct_create_month(timestamptz) SECURITY DEFINER SET search_path = %I, pg_temp',
        current_schema());
END
$$;
ALTER FUNCTION radacct_create_month(timestamptz) SET lock_timeout = '2s';
REVOKE EXECUTE ON FUNCTION radacct_create_month(timestamptz) FROM PUBLIC;
