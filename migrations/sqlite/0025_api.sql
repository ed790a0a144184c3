-- What the HTTP API keeps: who may use it, who changed what, and answers to requests that may be sent twice.

CREATE TABLE api_tokens (
    id           TEXT PRIMARY KEY,
    tenant_id    TEXT NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    name         TEXT NOT NULL CHECK (name <> ''),
    -- SHA-256 of the token, in hexadecimal.
    digest       TEXT NOT NULL UNIQUE CHECK (length(digest) = 64),
    role         TEXT,
    -- Words, apart by spaces.
    scopes       TEXT NOT NULL DEFAULT '',
    created_at   TEXT NOT NULL DEFAULT (datetime('now')),
    created_by   TEXT,
    expires_at   TEXT,
    revoked_at   TEXT,
    last_used_at TEXT
) STRICT;
CREATE INDEX api_tokens_tenant ON api_tokens (tenant_id, name);

-- Stays when what it tells of is gone, the tenant included.
CREATE TABLE audit_log (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    at         TEXT NOT NULL,
    tenant_id  TEXT NOT NULL,
    actor      TEXT NOT NULL,
    action     TEXT NOT NULL,
    kind       TEXT NOT NULL,
    subject    TEXT NOT NULL,
    before     TEXT CHECK (before IS NULL OR json_valid(before)),
    after      TEXT CHECK (after IS NULL OR json_valid(after)),
    request_id TEXT
) STRICT;
CREATE INDEX audit_log_tenant ON audit_log (tenant_id, id);
CREATE INDEX audit_log_subject ON audit_log (tenant_id, kind, subject, id);
CREATE INDEX audit_log_at ON audit_log (at);

CREATE TABLE api_idempotency (
    tenant_id   TEXT NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    key         TEXT NOT NULL CHECK (key <> ''),
    fingerprint TEXT NOT NULL,
    -- None while it is being served.
    status      INTEGER,
    body        TEXT,
    created_at  TEXT NOT NULL,
    PRIMARY KEY (tenant_id, key)
) STRICT;
CREATE INDEX api_idempotency_created ON api_idempotency (created_at);
