-- Accounting by the month, and what subscribers used.
--
-- radacct is partitioned by the stop time. A session that is open has none and lives in radacct_open, which stays small
-- however long the history is; closing moves it to the month of its stop. So a month can be dropped when nothing that
-- ended in it is to be kept any longer. A partition must exist before a row can go there: radacct_create_month makes it,
-- for whoever loads old rows by hand too.
--
-- A NAS may use an Acct-Session-Id again after the session ended: acctuniqueid is unique among the open sessions only.
--
-- Accounting is history. It names its tenant and subscriber for good, deleted or not, hence no foreign keys.
--
-- gigawords: the NAS counts in 64 bits. octet_trail: the latest raw 32-bit counts of one that does not, from which
-- wraps are told. calling_mac: Calling-Station-Id as twelve lower-case hex digits, where it is a MAC address.

ALTER TABLE tenants ADD COLUMN timezone text NOT NULL DEFAULT 'UTC' CHECK (timezone <> '');

ALTER TABLE radacct RENAME TO radacct_0004;
DROP INDEX radacct_acctuniqueid_key, radacct_bulk_close, radacct_open_username_idx, radacct_start_user_idx,
    radacct_subscriber_idx, radacct_framedipaddress_idx, radacct_class_idx;
ALTER SEQUENCE radacct_radacctid_seq OWNED BY NONE;

CREATE TABLE radacct (
    radacctid           bigint NOT NULL DEFAULT nextval('radacct_radacctid_seq'),
    acctsessionid       text NOT NULL,
    acctuniqueid        text NOT NULL,
    username            text,
    groupname           text,
    realm               text,
    nasipaddress        inet NOT NULL,
    nasportid           text,
    nasporttype         text,
    acctstarttime       timestamptz CHECK (isfinite(acctstarttime)),
    acctupdatetime      timestamptz CHECK (isfinite(acctupdatetime)),
    acctstoptime        timestamptz CHECK (isfinite(acctstoptime)),
    acctinterval        bigint,
    acctsessiontime     bigint,
    acctauthentic       text,
    connectinfo_start   text,
    connectinfo_stop    text,
    acctinputoctets     bigint,
    acctoutputoctets    bigint,
    calledstationid     text,
    callingstationid    text,
    acctterminatecause  text,
    servicetype         text,
    framedprotocol      text,
    framedipaddress     inet,
    framedipv6address   inet,
    framedipv6prefix    inet,
    framedinterfaceid   text,
    delegatedipv6prefix inet,
    class               text,
    tenant_id           text,
    subscriber_id       text,
    start_reported      boolean NOT NULL DEFAULT false,
    stop_inferred       boolean NOT NULL DEFAULT false,
    created_at          timestamptz NOT NULL DEFAULT now(),
    acctmultisessionid  text,
    calling_mac         text,
    gigawords           boolean NOT NULL DEFAULT false,
    octet_trail         text
) PARTITION BY RANGE (acctstoptime);
ALTER SEQUENCE radacct_radacctid_seq OWNED BY radacct.radacctid;

CREATE INDEX radacct_id_idx ON radacct (radacctid);
CREATE INDEX radacct_uniqueid_idx ON radacct (acctuniqueid);
CREATE INDEX radacct_username_idx ON radacct (username, acctstarttime);
CREATE INDEX radacct_subscriber_idx ON radacct (subscriber_id, acctstarttime) WHERE subscriber_id IS NOT NULL;
CREATE INDEX radacct_ipv4_idx ON radacct (framedipaddress, acctstarttime) WHERE framedipaddress IS NOT NULL;
CREATE INDEX radacct_ipv6_idx ON radacct (framedipv6address, acctstarttime) WHERE framedipv6address IS NOT NULL;
CREATE INDEX radacct_ipv6_prefix_idx ON radacct (framedipv6prefix, acctstarttime) WHERE framedipv6prefix IS NOT NULL;
CREATE INDEX radacct_delegated_idx ON radacct (delegatedipv6prefix, acctstarttime) WHERE delegatedipv6prefix IS NOT NULL;
CREATE INDEX radacct_mac_idx ON radacct (calling_mac, acctstarttime) WHERE calling_mac IS NOT NULL;

-- Rows of open sessions change all the time: room in the page keeps the indexes out of it. The check spares a look at
-- every open session whenever a month is made.
CREATE TABLE radacct_open PARTITION OF radacct (CHECK (acctstoptime IS NULL)) DEFAULT WITH (fillfactor = 50);
CREATE UNIQUE INDEX radacct_open_key ON radacct_open (acctuniqueid, coalesce(tenant_id, ''));
CREATE INDEX radacct_open_nas_idx ON radacct_open (nasipaddress, acctstarttime);

-- Months are those of UTC. True where it was made now.
CREATE FUNCTION radacct_create_month(at timestamptz) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    first timestamp := date_trunc('month', at AT TIME ZONE 'UTC');
    name  text := 'radacct_' || to_char(first, 'YYYY_MM');
BEGIN
    IF to_regclass(name) IS NOT NULL THEN
        RETURN false;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('radacct_create_month'));
    IF to_regclass(name) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE %I PARTITION OF radacct FOR VALUES FROM (%L) TO (%L)',
        name, first AT TIME ZONE 'UTC', (first + interval '1 month') AT TIME ZONE 'UTC');
    RETURN true;
END
$$;

SELECT radacct_create_month(month) FROM (
    SELECT DISTINCT date_trunc('month', acctstoptime AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' AS month FROM radacct_0004 WHERE acctstoptime IS NOT NULL
    UNION SELECT generate_series(now(), now() + interval '2 months', interval '1 month')) AS months;

INSERT INTO radacct
    SELECT o.*, NULL, CASE WHEN mac ~ '^[0-9a-f]{12}$' THEN mac END
    FROM radacct_0004 o, lower(regexp_replace(o.callingstationid, '[-:.]', '', 'g')) AS mac;
DROP TABLE radacct_0004;

ALTER TABLE radpostauth DROP CONSTRAINT radpostauth_tenant_id_fkey, DROP CONSTRAINT radpostauth_subscriber_id_fkey;

-- Totals and last_online change with every report: with room in the page, none of the many indexes is touched.
ALTER TABLE subscribers SET (fillfactor = 80);

-- What a subscriber used in an hour (UTC) and on a day (the tenant's own calendar). Their sums are the sums of the
-- sessions' counters: both are written in the transaction that raises those.
CREATE TABLE usage_hourly (
    subscriber_id   text NOT NULL,
    hour            timestamptz NOT NULL,
    tenant_id       text,
    upload_octets   bigint NOT NULL,
    download_octets bigint NOT NULL,
    seconds         bigint NOT NULL,
    PRIMARY KEY (subscriber_id, hour)
) WITH (fillfactor = 70);
CREATE INDEX usage_hourly_hour_idx ON usage_hourly (hour);

CREATE TABLE usage_daily (
    subscriber_id   text NOT NULL,
    day             date NOT NULL,
    tenant_id       text,
    upload_octets   bigint NOT NULL,
    download_octets bigint NOT NULL,
    seconds         bigint NOT NULL,
    PRIMARY KEY (subscriber_id, day)
) WITH (fillfactor = 70);
CREATE INDEX usage_daily_day_idx ON usage_daily (day, tenant_id);

-- What each server reports of itself.
CREATE TABLE node_status (
    node_id            text PRIMARY KEY CHECK (node_id <> ''),
    host               text NOT NULL,
    version            text NOT NULL,
    reported_at        timestamptz NOT NULL DEFAULT now(),
    journal_records    bigint NOT NULL DEFAULT 0,
    journal_bytes      bigint NOT NULL DEFAULT 0,
    journal_oldest     timestamptz,
    applied_total      bigint NOT NULL DEFAULT 0,
    applied_per_second bigint NOT NULL DEFAULT 0,
    snapshot_age       bigint NOT NULL DEFAULT 0,
    subscribers        bigint NOT NULL DEFAULT 0
);
