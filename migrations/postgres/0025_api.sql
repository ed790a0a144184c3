-- What the HTTP API keeps: who may use it, who changed what, and answers to requests that may be sent twice.

CREATE TABLE api_tokens (
    id           text PRIMARY KEY,
    tenant_id    text NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    name         text NOT NULL CHECK (name <> ''),
    -- SHA-256 of the token, in hexadecimal.
    digest       text NOT NULL UNIQUE CHECK (length(digest) = 64),
    role         text,
    -- Words, apart by spaces.
    scopes       text NOT NULL DEFAULT '',
    created_at   timestamptz NOT NULL DEFAULT now(),
    created_by   text,
    expires_at   timestamptz,
    revoked_at   timestamptz,
    last_used_at timestamptz
);
CREATE INDEX api_tokens_tenant ON api_tokens (tenant_id, name);

-- Stays when what it tells of is gone, the tenant included.
CREATE TABLE audit_log (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL,
    tenant_id  text NOT NULL,
    actor      text NOT NULL,
    action     text NOT NULL,
    kind       text NOT NULL,
    subject    text NOT NULL,
    before     json,
    after      json,
    request_id text
);
CREATE INDEX audit_log_tenant ON audit_log (tenant_id, id);
CREATE INDEX audit_log_subject ON audit_log (tenant_id, kind, subject, id);
CREATE INDEX audit_log_at ON audit_log (at);

CREATE TABLE api_idempotency (
    tenant_id   text NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    key         text NOT NULL CHECK (key <> ''),
    fingerprint text NOT NULL,
    -- None while it is being served.
    status      integer,
    body        text,
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, key)
);
CREATE INDEX api_idempotency_created ON api_idempotency (created_at);
