-- What tenants set of the systems beside this one, and what is remembered of them.

-- Settings of one tenant for one service (netbox ...), over those of the configuration file. The secret (a token, a
-- password) is sealed under a key kept outside the database.
CREATE TABLE tenant_services (
    tenant_id  TEXT NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    service    TEXT NOT NULL CHECK (service <> ''),
    settings   TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(settings)),
    secret     TEXT,
    created_at TEXT NOT NULL DEFAULT (datetime('now')),
    updated_at TEXT NOT NULL DEFAULT (datetime('now')),
    updated_by TEXT,
    PRIMARY KEY (tenant_id, service)
) STRICT;

-- Which prefixes give addresses at a site, in their order, as NetBox last said: spares the question for a while.
CREATE TABLE netbox_pools (
    tenant_id TEXT NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    -- As subscribers name it; empty is any.
    site      TEXT NOT NULL,
    kind      TEXT NOT NULL CHECK (kind IN ('ipv4', 'ipv6', 'ipv6_prefix')),
    position  INTEGER NOT NULL,
    prefix_id INTEGER NOT NULL,
    network   TEXT NOT NULL,
    read_at   TEXT NOT NULL DEFAULT (datetime('now')),
    PRIMARY KEY (tenant_id, site, kind, position)
) STRICT;

-- Length of the prefixes delegated to subscribers of a plan.
ALTER TABLE radius_bandwidth_profiles ADD COLUMN ipv6_pd_size INTEGER CHECK (ipv6_pd_size BETWEEN 1 AND 128);
