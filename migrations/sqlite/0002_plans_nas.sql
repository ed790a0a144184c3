-- Plans (bandwidth profiles) and NAS.
--
-- nas keeps the stock FreeRADIUS columns, so that tools that manage clients keep working. They know no tenant: a row
-- that names none goes to the only tenant there is, and is refused where there are several, because a NAS of no tenant
-- could let nobody in. nasname is unique: the source address of a packet is what tells its tenant.

CREATE TABLE radius_bandwidth_profiles (
    id                    TEXT NOT NULL PRIMARY KEY CHECK (id <> ''),
    tenant_id             TEXT NOT NULL REFERENCES tenants (id),
    name                  TEXT NOT NULL CHECK (name <> ''),
    description           TEXT,
    download_rate_kbps    INTEGER NOT NULL CHECK (download_rate_kbps BETWEEN 1 AND 4294967295),
    upload_rate_kbps      INTEGER NOT NULL CHECK (upload_rate_kbps BETWEEN 1 AND 4294967295),
    download_burst_kbps   INTEGER CHECK (download_burst_kbps BETWEEN 1 AND 4294967295),
    upload_burst_kbps     INTEGER CHECK (upload_burst_kbps BETWEEN 1 AND 4294967295),
    session_timeout       INTEGER CHECK (session_timeout BETWEEN 0 AND 4294967295),
    idle_timeout          INTEGER CHECK (idle_timeout BETWEEN 0 AND 4294967295),
    acct_interim_interval INTEGER CHECK (acct_interim_interval BETWEEN 0 AND 4294967295),
    created_at            TEXT NOT NULL DEFAULT (datetime('now')),
    updated_at            TEXT NOT NULL DEFAULT (datetime('now')),
    UNIQUE (tenant_id, name),
    UNIQUE (tenant_id, id)
) STRICT;

CREATE TABLE nas (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    nasname          TEXT NOT NULL CHECK (nasname <> ''),
    shortname        TEXT NOT NULL DEFAULT '',
    type             TEXT NOT NULL DEFAULT 'other',
    ports            INTEGER,
    secret           TEXT NOT NULL,
    server           TEXT,
    community        TEXT,
    description      TEXT,
    tenant_id        TEXT REFERENCES tenants (id),
    vendor           TEXT NOT NULL DEFAULT 'mikrotik' CHECK (vendor <> ''),
    model            TEXT,
    firmware_version TEXT,
    created_at       TEXT NOT NULL DEFAULT (datetime('now')),
    updated_at       TEXT NOT NULL DEFAULT (datetime('now'))
) STRICT;
CREATE UNIQUE INDEX nas_nasname ON nas (nasname);
CREATE INDEX nas_tenant_idx ON nas (tenant_id);

CREATE TRIGGER nas_fill_tenant AFTER INSERT ON nas WHEN NEW.tenant_id IS NULL
BEGIN
    UPDATE nas SET tenant_id = (SELECT min(id) FROM tenants HAVING count(*) = 1) WHERE id = NEW.id;
    SELECT RAISE(ABORT, 'nas.tenant_id is missing and there is not exactly one tenant')
        WHERE (SELECT tenant_id FROM nas WHERE id = NEW.id) IS NULL;
END;
CREATE TRIGGER nas_keep_tenant BEFORE UPDATE OF tenant_id ON nas WHEN NEW.tenant_id IS NULL AND OLD.tenant_id IS NOT NULL
BEGIN
    SELECT RAISE(ABORT, 'nas.tenant_id cannot be taken away');
END;
