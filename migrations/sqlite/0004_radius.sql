-- The tables stock FreeRADIUS tools read and write: raw attribute rows, groups, sessions, authentication outcomes.
-- Stock column names, with tenant_id and subscriber_id beside them.
--
-- Other tools write radcheck and radreply with a username alone. Such a row gets the only tenant there is (it is
-- refused where there are several: a row of no tenant would never have effect), and the subscriber of that tenant and
-- username: now, or once that subscriber is added or renamed to it. Where subscriber_id is given it decides, and a
-- renamed subscriber takes its rows along.
--
-- radacct: what one tenant's NAS sends never touches a session of another tenant, whatever Acct-Session-Id it uses.
-- start_reported tells a session start the NAS reported from one reckoned from Acct-Session-Time, stop_inferred a stop
-- taken from a restart of the NAS from one it reported.
-- radpostauth.pass is there for tools that select it and can hold nothing: no password is ever written down.
-- nasreload remembers when a NAS last restarted, so that a late packet cannot reopen what the restart ended.
-- The group tables and radusergroup are for other tools; the decision does not read them.

CREATE TABLE radcheck (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    username      TEXT NOT NULL DEFAULT '',
    attribute     TEXT NOT NULL DEFAULT '',
    op            TEXT NOT NULL DEFAULT '==' CHECK (length(op) <= 2),
    value         TEXT NOT NULL DEFAULT '',
    tenant_id     TEXT REFERENCES tenants (id),
    subscriber_id TEXT REFERENCES subscribers (id) ON DELETE CASCADE,
    created_at    TEXT NOT NULL DEFAULT (datetime('now')),
    updated_at    TEXT NOT NULL DEFAULT (datetime('now'))
) STRICT;
CREATE INDEX radcheck_username ON radcheck (username, attribute);
CREATE INDEX radcheck_subscriber_idx ON radcheck (subscriber_id) WHERE subscriber_id IS NOT NULL;
CREATE INDEX radcheck_orphan_idx ON radcheck (tenant_id, username) WHERE subscriber_id IS NULL;

CREATE TRIGGER radcheck_fill_insert AFTER INSERT ON radcheck
BEGIN
    UPDATE radcheck SET
        tenant_id = coalesce(
            (SELECT tenant_id FROM subscribers WHERE id = NEW.subscriber_id),
            NEW.tenant_id,
            (SELECT min(id) FROM tenants HAVING count(*) = 1)),
        username = coalesce((SELECT username FROM subscribers WHERE id = NEW.subscriber_id), NEW.username)
        WHERE id = NEW.id;
    UPDATE radcheck SET subscriber_id = (
            SELECT s.id FROM subscribers s
            WHERE s.tenant_id = radcheck.tenant_id AND s.username = radcheck.username AND s.deleted_at IS NULL)
        WHERE id = NEW.id AND NEW.subscriber_id IS NULL;
    SELECT RAISE(ABORT, 'radcheck.tenant_id is missing and there is not exactly one tenant')
        WHERE (SELECT tenant_id FROM radcheck WHERE id = NEW.id) IS NULL;
END;
CREATE TRIGGER radcheck_fill_update AFTER UPDATE OF username, tenant_id ON radcheck
    WHEN (NEW.username, NEW.tenant_id) IS NOT (OLD.username, OLD.tenant_id) AND NEW.subscriber_id IS OLD.subscriber_id
BEGIN
    UPDATE radcheck SET subscriber_id = (
            SELECT s.id FROM subscribers s
            WHERE s.tenant_id = radcheck.tenant_id AND s.username = radcheck.username AND s.deleted_at IS NULL)
        WHERE id = NEW.id;
END;

CREATE TABLE radreply (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    username      TEXT NOT NULL DEFAULT '',
    attribute     TEXT NOT NULL DEFAULT '',
    op            TEXT NOT NULL DEFAULT '=' CHECK (length(op) <= 2),
    value         TEXT NOT NULL DEFAULT '',
    tenant_id     TEXT REFERENCES tenants (id),
    subscriber_id TEXT REFERENCES subscribers (id) ON DELETE CASCADE,
    created_at    TEXT NOT NULL DEFAULT (datetime('now')),
    updated_at    TEXT NOT NULL DEFAULT (datetime('now'))
) STRICT;
CREATE INDEX radreply_username ON radreply (username, attribute);
CREATE INDEX radreply_subscriber_idx ON radreply (subscriber_id) WHERE subscriber_id IS NOT NULL;
CREATE INDEX radreply_orphan_idx ON radreply (tenant_id, username) WHERE subscriber_id IS NULL;

CREATE TRIGGER radreply_fill_insert AFTER INSERT ON radreply
BEGIN
    UPDATE radreply SET
        tenant_id = coalesce(
            (SELECT tenant_id FROM subscribers WHERE id = NEW.subscriber_id),
            NEW.tenant_id,
            (SELECT min(id) FROM tenants HAVING count(*) = 1)),
        username = coalesce((SELECT username FROM subscribers WHERE id = NEW.subscriber_id), NEW.username)
        WHERE id = NEW.id;
    UPDATE radreply SET subscriber_id = (
            SELECT s.id FROM subscribers s
            WHERE s.tenant_id = radreply.tenant_id AND s.username = radreply.username AND s.deleted_at IS NULL)
        WHERE id = NEW.id AND NEW.subscriber_id IS NULL;
    SELECT RAISE(ABORT, 'radreply.tenant_id is missing and there is not exactly one tenant')
        WHERE (SELECT tenant_id FROM radreply WHERE id = NEW.id) IS NULL;
END;
CREATE TRIGGER radreply_fill_update AFTER UPDATE OF username, tenant_id ON radreply
    WHEN (NEW.username, NEW.tenant_id) IS NOT (OLD.username, OLD.tenant_id) AND NEW.subscriber_id IS OLD.subscriber_id
BEGIN
    UPDATE radreply SET subscriber_id = (
            SELECT s.id FROM subscribers s
            WHERE s.tenant_id = radreply.tenant_id AND s.username = radreply.username AND s.deleted_at IS NULL)
        WHERE id = NEW.id;
END;

-- The condition is there for bulk loads: looking is much cheaper than updating nothing.
CREATE TRIGGER subscribers_adopt_rows_insert AFTER INSERT ON subscribers
    WHEN NEW.deleted_at IS NULL AND (
        EXISTS (SELECT 1 FROM radcheck
            WHERE subscriber_id IS NULL AND tenant_id = NEW.tenant_id AND username = NEW.username)
        OR EXISTS (SELECT 1 FROM radreply
            WHERE subscriber_id IS NULL AND tenant_id = NEW.tenant_id AND username = NEW.username))
BEGIN
    UPDATE radcheck SET subscriber_id = NEW.id
        WHERE subscriber_id IS NULL AND tenant_id = NEW.tenant_id AND username = NEW.username;
    UPDATE radreply SET subscriber_id = NEW.id
        WHERE subscriber_id IS NULL AND tenant_id = NEW.tenant_id AND username = NEW.username;
END;
CREATE TRIGGER subscribers_adopt_rows_update AFTER UPDATE OF username, tenant_id, deleted_at ON subscribers
    WHEN NEW.deleted_at IS NULL
        AND (NEW.username, NEW.tenant_id, NEW.deleted_at) IS NOT (OLD.username, OLD.tenant_id, OLD.deleted_at)
BEGIN
    UPDATE radcheck SET username = NEW.username, tenant_id = NEW.tenant_id WHERE subscriber_id = NEW.id;
    UPDATE radreply SET username = NEW.username, tenant_id = NEW.tenant_id WHERE subscriber_id = NEW.id;
    UPDATE radcheck SET subscriber_id = NEW.id
        WHERE subscriber_id IS NULL AND tenant_id = NEW.tenant_id AND username = NEW.username;
    UPDATE radreply SET subscriber_id = NEW.id
        WHERE subscriber_id IS NULL AND tenant_id = NEW.tenant_id AND username = NEW.username;
END;

CREATE TABLE radacct (
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
    tenant_id           TEXT REFERENCES tenants (id) ON DELETE SET NULL,
    subscriber_id       TEXT REFERENCES subscribers (id) ON DELETE SET NULL,
    start_reported      INTEGER NOT NULL DEFAULT 0 CHECK (start_reported IN (0, 1)),
    stop_inferred       INTEGER NOT NULL DEFAULT 0 CHECK (stop_inferred IN (0, 1)),
    created_at          TEXT NOT NULL DEFAULT (datetime('now'))
) STRICT;
CREATE UNIQUE INDEX radacct_acctuniqueid_key ON radacct (acctuniqueid, coalesce(tenant_id, ''));
CREATE INDEX radacct_bulk_close ON radacct (nasipaddress, acctstarttime) WHERE acctstoptime IS NULL;
CREATE INDEX radacct_open_username_idx ON radacct (username) WHERE acctstoptime IS NULL;
CREATE INDEX radacct_start_user_idx ON radacct (acctstarttime, username);
CREATE INDEX radacct_subscriber_idx ON radacct (subscriber_id, acctstarttime) WHERE subscriber_id IS NOT NULL;
CREATE INDEX radacct_framedipaddress_idx ON radacct (framedipaddress) WHERE framedipaddress IS NOT NULL;
CREATE INDEX radacct_class_idx ON radacct (class) WHERE class IS NOT NULL;

CREATE TABLE radpostauth (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    username         TEXT NOT NULL,
    pass             TEXT NOT NULL DEFAULT '' CHECK (pass = ''),
    reply            TEXT,
    calledstationid  TEXT,
    callingstationid TEXT,
    authdate         TEXT NOT NULL DEFAULT (datetime('now')),
    class            TEXT,
    tenant_id        TEXT REFERENCES tenants (id) ON DELETE SET NULL,
    subscriber_id    TEXT REFERENCES subscribers (id) ON DELETE SET NULL,
    nasipaddress     TEXT,
    reason           TEXT
) STRICT;
CREATE INDEX radpostauth_username_idx ON radpostauth (username);
CREATE INDEX radpostauth_authdate_idx ON radpostauth (authdate);
CREATE INDEX radpostauth_subscriber_idx ON radpostauth (subscriber_id) WHERE subscriber_id IS NOT NULL;
CREATE INDEX radpostauth_class_idx ON radpostauth (class) WHERE class IS NOT NULL;

CREATE TABLE radgroupcheck (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    groupname TEXT NOT NULL DEFAULT '',
    attribute TEXT NOT NULL DEFAULT '',
    op        TEXT NOT NULL DEFAULT '==' CHECK (length(op) <= 2),
    value     TEXT NOT NULL DEFAULT '',
    tenant_id TEXT REFERENCES tenants (id)
) STRICT;
CREATE INDEX radgroupcheck_groupname ON radgroupcheck (groupname, attribute);

CREATE TABLE radgroupreply (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    groupname TEXT NOT NULL DEFAULT '',
    attribute TEXT NOT NULL DEFAULT '',
    op        TEXT NOT NULL DEFAULT '=' CHECK (length(op) <= 2),
    value     TEXT NOT NULL DEFAULT '',
    tenant_id TEXT REFERENCES tenants (id)
) STRICT;
CREATE INDEX radgroupreply_groupname ON radgroupreply (groupname, attribute);

CREATE TABLE radusergroup (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    username  TEXT NOT NULL DEFAULT '',
    groupname TEXT NOT NULL DEFAULT '',
    priority  INTEGER NOT NULL DEFAULT 0,
    tenant_id TEXT REFERENCES tenants (id)
) STRICT;
CREATE INDEX radusergroup_username ON radusergroup (username);

CREATE TABLE nasreload (
    nasipaddress TEXT NOT NULL,
    reloadtime   TEXT NOT NULL,
    tenant_id    TEXT
) STRICT;
CREATE UNIQUE INDEX nasreload_key ON nasreload (nasipaddress, coalesce(tenant_id, ''));
