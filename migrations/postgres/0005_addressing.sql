-- Address pools and the reservations made from them. Unique (tenant, address): an address is never given twice.

CREATE TABLE ip_pools (
    id                       text PRIMARY KEY CHECK (id <> ''),
    tenant_id                text NOT NULL REFERENCES tenants (id),
    pool_name                text NOT NULL CHECK (pool_name <> ''),
    pool_type                text NOT NULL
        CHECK (pool_type IN ('ipv4_public', 'ipv4_private', 'ipv6_global', 'ipv6_ula', 'ipv6_pd')),
    network_cidr             cidr NOT NULL,
    gateway                  inet,
    dns_servers              text,
    vlan_id                  integer CHECK (vlan_id BETWEEN 1 AND 4094),
    status                   text NOT NULL DEFAULT 'active'
        CHECK (status IN ('active', 'reserved', 'depleted', 'maintenance')),
    total_addresses          bigint NOT NULL DEFAULT 0 CHECK (total_addresses >= 0),
    reserved_count           bigint NOT NULL DEFAULT 0 CHECK (reserved_count >= 0),
    assigned_count           bigint NOT NULL DEFAULT 0 CHECK (assigned_count >= 0),
    available_count          bigint NOT NULL DEFAULT 0 CHECK (available_count >= 0),
    netbox_prefix_id         bigint,
    netbox_synced_at         timestamptz,
    auto_assign_enabled      boolean NOT NULL DEFAULT true,
    allow_manual_reservation boolean NOT NULL DEFAULT true,
    description              text,
    created_at               timestamptz NOT NULL DEFAULT now(),
    updated_at               timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, pool_name)
);

CREATE TABLE ip_reservations (
    id                text PRIMARY KEY CHECK (id <> ''),
    tenant_id         text NOT NULL REFERENCES tenants (id),
    pool_id           text NOT NULL REFERENCES ip_pools (id) ON DELETE CASCADE,
    subscriber_id     text NOT NULL REFERENCES subscribers (id) ON DELETE CASCADE,
    ip_address        inet NOT NULL,
    ip_type           text NOT NULL CHECK (ip_type IN ('ipv4', 'ipv6', 'ipv6_prefix')),
    prefix_length     integer NOT NULL CHECK (prefix_length BETWEEN 0 AND 128),
    status            text NOT NULL DEFAULT 'reserved'
        CHECK (status IN ('reserved', 'assigned', 'released', 'expired')),
    reserved_at       timestamptz NOT NULL DEFAULT now(),
    assigned_at       timestamptz,
    released_at       timestamptz,
    expires_at        timestamptz,
    netbox_ip_id      bigint,
    netbox_synced     boolean NOT NULL DEFAULT false,
    assigned_by       text,
    assignment_reason text,
    notes             text,
    created_at        timestamptz NOT NULL DEFAULT now(),
    updated_at        timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, ip_address),
    UNIQUE (tenant_id, subscriber_id, ip_type)
);
CREATE INDEX ip_reservations_pool_idx ON ip_reservations (pool_id, status);
CREATE INDEX ip_reservations_subscriber_idx ON ip_reservations (subscriber_id);
CREATE INDEX ip_reservations_expires_idx ON ip_reservations (expires_at) WHERE expires_at IS NOT NULL;
