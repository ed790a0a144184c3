-- Tenants own everything else. Customers and users belong to the business system; here they are only what a
-- subscriber points at, so that reports can join to them.
--
-- Times are UTC text 'YYYY-MM-DD HH:MM:SS' throughout, the form stock FreeRADIUS reports read. Tables are STRICT: a
-- number that is none is refused when it is written, by whichever tool, not when a packet needs it.

CREATE TABLE tenants (
    id             TEXT NOT NULL PRIMARY KEY CHECK (id <> ''),
    name           TEXT NOT NULL UNIQUE CHECK (name <> ''),
    enabled        INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1)),
    username_case  TEXT NOT NULL DEFAULT 'preserve' CHECK (username_case IN ('preserve', 'lower')),
    username_realm TEXT NOT NULL DEFAULT 'keep' CHECK (username_realm IN ('keep', 'strip')),
    created_at     TEXT NOT NULL DEFAULT (datetime('now')),
    updated_at     TEXT NOT NULL DEFAULT (datetime('now'))
) STRICT;

CREATE TABLE customers (
    id         TEXT NOT NULL PRIMARY KEY CHECK (id <> ''),
    tenant_id  TEXT NOT NULL REFERENCES tenants (id),
    name       TEXT NOT NULL DEFAULT '',
    email      TEXT,
    created_at TEXT NOT NULL DEFAULT (datetime('now')),
    updated_at TEXT NOT NULL DEFAULT (datetime('now'))
) STRICT;
CREATE INDEX customers_tenant_idx ON customers (tenant_id);

CREATE TABLE users (
    id         TEXT NOT NULL PRIMARY KEY CHECK (id <> ''),
    tenant_id  TEXT NOT NULL REFERENCES tenants (id),
    name       TEXT NOT NULL DEFAULT '',
    email      TEXT,
    created_at TEXT NOT NULL DEFAULT (datetime('now')),
    updated_at TEXT NOT NULL DEFAULT (datetime('now'))
) STRICT;
CREATE INDEX users_tenant_idx ON users (tenant_id);
