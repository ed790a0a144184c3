-- Accounting that grows old, and what subscribers used.
--
-- An open session has no stop time; partial indexes over those keep looking them up cheap however long the history is.
--
-- A NAS may use an Acct-Session-Id again after the session ended: acctuniqueid is unique among the open sessions only.
--
-- Accounting is history. It names its tenant and subscriber for good, deleted or not, hence no foreign keys.
--
-- gigawords: the NAS counts in 64 bits. octet_trail: the latest raw 32-bit counts of one that does not, from which
-- wraps are told. calling_mac: Calling-Station-Id as twelve lower-case hex digits, where it is a MAC address.

ALTER TABLE tenants ADD COLUMN timezone TEXT NOT NULL DEFAULT 'UTC' CHECK (timezone <> '');

CREATE TABLE radacct_0007 (
    radacctid           INTEGER PRIMARY KEY AUTOINCREMENT,
    acctsessionid       TEXT NOT NULL,
    acctuniqueid        TEXT NOT NULL,
    username            TEXT,
    groupname           TEXT,
    realm               TEXT,
    nasipaddress        TEXT NOT NULL,
    nasportid           TEXT,
    nasporttype         TEXT,
    acctstarttime       TEXT,
    acctupdatetime      TEXT,
    acctstoptime        TEXT,
    acctinterval        INTEGER,
    acctsessiontime     INTEGER,
    acctauthentic       TEXT,
    connectinfo_start   TEXT,
    connectinfo_stop    TEXT,
    acctinputoctets     INTEGER,
    acctoutputoctets    INTEGER,
    calledstationid     TEXT,
    callingstationid    TEXT,
    acctterminatecause  TEXT,
    servicetype         TEXT,
    framedprotocol      TEXT,
    framedipaddress     TEXT,
    framedipv6address   TEXT,
    framedipv6prefix    TEXT,
    framedinterfaceid   TEXT,
    delegatedipv6prefix TEXT,
    class               TEXT,
    tenant_id           TEXT,
    subscriber_id       TEXT,
    start_reported      INTEGER NOT NULL DEFAULT 0 CHECK (start_reported IN (0, 1)),
    stop_inferred       INTEGER NOT NULL DEFAULT 0 CHECK (stop_inferred IN (0, 1)),
    created_at          TEXT NOT NULL DEFAULT (datetime('now')),
    acctmultisessionid  TEXT,
    calling_mac         TEXT,
    gigawords           INTEGER NOT NULL DEFAULT 0 CHECK (gigawords IN (0, 1)),
    octet_trail         TEXT
) STRICT;
INSERT INTO radacct_0007
    SELECT o.*, NULL,
        CASE WHEN length(replace(replace(replace(callingstationid, '-', ''), ':', ''), '.', '')) = 12
            AND replace(replace(replace(callingstationid, '-', ''), ':', ''), '.', '') NOT GLOB '*[^0-9A-Fa-f]*'
            THEN lower(replace(replace(replace(callingstationid, '-', ''), ':', ''), '.', '')) END,
        0, NULL
    FROM radacct o;
DROP TABLE radacct;
ALTER TABLE radacct_0007 RENAME TO radacct;

CREATE UNIQUE INDEX radacct_open_key ON radacct (acctuniqueid, coalesce(tenant_id, '')) WHERE acctstoptime IS NULL;
CREATE INDEX radacct_open_nas_idx ON radacct (nasipaddress, acctstarttime) WHERE acctstoptime IS NULL;
CREATE INDEX radacct_uniqueid_idx ON radacct (acctuniqueid);
CREATE INDEX radacct_stop_idx ON radacct (acctstoptime) WHERE acctstoptime IS NOT NULL;
CREATE INDEX radacct_username_idx ON radacct (username, acctstarttime);
CREATE INDEX radacct_subscriber_idx ON radacct (subscriber_id, acctstarttime) WHERE subscriber_id IS NOT NULL;
CREATE INDEX radacct_ipv4_idx ON radacct (framedipaddress, acctstarttime) WHERE framedipaddress IS NOT NULL;
CREATE INDEX radacct_ipv6_idx ON radacct (framedipv6address, acctstarttime) WHERE framedipv6address IS NOT NULL;
CREATE INDEX radacct_ipv6_prefix_idx ON radacct (framedipv6prefix, acctstarttime) WHERE framedipv6prefix IS NOT NULL;
CREATE INDEX radacct_delegated_idx ON radacct (delegatedipv6prefix, acctstarttime) WHERE delegatedipv6prefix IS NOT NULL;
CREATE INDEX radacct_mac_idx ON radacct (calling_mac, acctstarttime) WHERE calling_mac IS NOT NULL;

CREATE TABLE radpostauth_0007 (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    username         TEXT NOT NULL,
    pass             TEXT NOT NULL DEFAULT '' CHECK (pass = ''),
    reply            TEXT,
    calledstationid  TEXT,
    callingstationid TEXT,
    authdate         TEXT NOT NULL DEFAULT (datetime('now')),
    class            TEXT,
    tenant_id        TEXT,
    subscriber_id    TEXT,
    nasipaddress     TEXT,
    reason           TEXT
) STRICT;
INSERT INTO radpostauth_0007 SELECT * FROM radpostauth;
DROP TABLE radpostauth;
ALTER TABLE radpostauth_0007 RENAME TO radpostauth;
CREATE INDEX radpostauth_username_idx ON radpostauth (username);
CREATE INDEX radpostauth_authdate_idx ON radpostauth (authdate);
CREATE INDEX radpostauth_subscriber_idx ON radpostauth (subscriber_id) WHERE subscriber_id IS NOT NULL;
CREATE INDEX radpostauth_class_idx ON radpostauth (class) WHERE class IS NOT NULL;

-- What a subscriber used in an hour (UTC) and on a day (the tenant's own calendar). Their sums are the sums of the
-- sessions' counters: both are written in the transaction that raises those.
CREATE TABLE usage_hourly (
    subscriber_id   TEXT NOT NULL,
    hour            TEXT NOT NULL,
    tenant_id       TEXT,
    upload_octets   INTEGER NOT NULL,
    download_octets INTEGER NOT NULL,
    seconds         INTEGER NOT NULL,
    PRIMARY KEY (subscriber_id, hour)
) STRICT, WITHOUT ROWID;
CREATE INDEX usage_hourly_hour_idx ON usage_hourly (hour);

CREATE TABLE usage_daily (
    subscriber_id   TEXT NOT NULL,
    day             TEXT NOT NULL,
    tenant_id       TEXT,
    upload_octets   INTEGER NOT NULL,
    download_octets INTEGER NOT NULL,
    seconds         INTEGER NOT NULL,
    PRIMARY KEY (subscriber_id, day)
) STRICT, WITHOUT ROWID;
CREATE INDEX usage_daily_day_idx ON usage_daily (day, tenant_id);

-- What each server reports of itself.
CREATE TABLE node_status (
    node_id            TEXT PRIMARY KEY CHECK (node_id <> ''),
    host               TEXT NOT NULL,
    version            TEXT NOT NULL,
    reported_at        TEXT NOT NULL DEFAULT (datetime('now')),
    journal_records    INTEGER NOT NULL DEFAULT 0,
    journal_bytes      INTEGER NOT NULL DEFAULT 0,
    journal_oldest     TEXT,
    applied_total      INTEGER NOT NULL DEFAULT 0,
    applied_per_second INTEGER NOT NULL DEFAULT 0,
    snapshot_age       INTEGER NOT NULL DEFAULT 0,
    subscribers        INTEGER NOT NULL DEFAULT 0
) STRICT;
