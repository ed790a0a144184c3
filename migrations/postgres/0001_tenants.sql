-- Tenants own everything else. Customers and users belong to the business system; here they are only what a
-- subscriber points at, so that reports can join to them.

CREATE TABLE tenants (
    id             text PRIMARY KEY CHECK (id <> ''),
    name           text NOT NULL CONSTRAINT tenants_name_key UNIQUE CHECK (name <> ''),
    enabled        boolean NOT NULL DEFAULT true,
    username_case  text NOT NULL DEFAULT 'preserve' CHECK (username_case IN ('preserve', 'lower')),
    username_realm text NOT NULL DEFAULT 'keep' CHECK (username_realm IN ('keep', 'strip')),
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE customers (
    id         text PRIMARY KEY CHECK (id <> ''),
    tenant_id  text NOT NULL REFERENCES tenants (id),
    name       text NOT NULL DEFAULT '',
    email      text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX customers_tenant_idx ON customers (tenant_id);

CREATE TABLE users (
    id         text PRIMARY KEY CHECK (id <> ''),
    tenant_id  text NOT NULL REFERENCES tenants (id),
    name       text NOT NULL DEFAULT '',
    email      text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX users_tenant_idx ON users (tenant_id);
