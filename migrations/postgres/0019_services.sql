-- What tenants set of the systems beside this one, and what is remembered of them.

-- Settings of one tenant for one service (netbox ...), over those of the configuration file. The secret (a token, a
-- password) is sealed under a key kept outside the database.
CREATE TABLE tenant_services (
    tenant_id  text NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    service    text NOT NULL CHECK (service <> ''),
    settings   json NOT NULL DEFAULT '{}',
    secret     text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    updated_by text,
    PRIMARY KEY (tenant_id, service)
);

-- Which prefixes give addresses at a site, in their order, as NetBox last said: spares the question for a while.
CREATE TABLE netbox_pools (
    tenant_id text NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    -- As subscribers name it; empty is any.
    site      text NOT NULL,
    kind      text NOT NULL CHECK (kind IN ('ipv4', 'ipv6', 'ipv6_prefix')),
    position  integer NOT NULL,
    prefix_id bigint NOT NULL,
    network   cidr NOT NULL,
    read_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, site, kind, position)
);

-- Length of the prefixes delegated to subscribers of a plan.
ALTER TABLE radius_bandwidth_profiles ADD COLUMN ipv6_pd_size integer CHECK (ipv6_pd_size BETWEEN 1 AND 128);
