-- Address pools and the reservations made from them. Unique (tenant, address): an address is never given twice.

CREATE TABLE ip_pools (
    id                       TEXT NOT NULL PRIMARY KEY CHECK (id <> ''),
    tenant_id                TEXT NOT NULL REFERENCES tenants (id),
    pool_name                TEXT NOT NULL CHECK (pool_name <> ''),
    pool_type                TEXT NOT NULL
        CHECK (pool_type IN ('ipv4_public', 'ipv4_private', 'ipv6_global', 'ipv6_ula', 'ipv6_pd')),
    network_cidr             TEXT NOT NULL,
    gateway                  TEXT,
    dns_servers              TEXT,
    vlan_id                  INTEGER CHECK (vlan_id BETWEEN 1 AND 4094),
    status                   TEXT NOT NULL DEFAULT 'active'
        CHECK (status IN ('active', 'reserved', 'depleted', 'maintenance')),
    total_addresses          INTEGER NOT NULL DEFAULT 0 CHECK (total_addresses >= 0),
    reserved_count           INTEGER NOT NULL DEFAULT 0 CHECK (reserved_count >= 0),
    assigned_count           INTEGER NOT NULL DEFAULT 0 CHECK (assigned_count >= 0),
    available_count          INTEGER NOT NULL DEFAULT 0 CHECK (available_count >= 0),
    netbox_prefix_id         INTEGER,
    netbox_synced_at         TEXT,
    auto_assign_enabled      INTEGER NOT NULL DEFAULT 1 CHECK (auto_assign_enabled IN (0, 1)),
    allow_manual_reservation INTEGER NOT NULL DEFAULT 1 CHECK (allow_manual_reservation IN (0, 1)),
    description              TEXT,
    created_at               TEXT NOT NULL DEFAULT (datetime('now')),
    updated_at               TEXT NOT NULL DEFAULT (datetime('now')),
    UNIQUE (tenant_id, pool_name)
) STRICT;

CREATE TABLE ip_reservations (
    id                TEXT NOT NULL PRIMARY KEY CHECK (id <> ''),
    tenant_id         TEXT NOT NULL REFERENCES tenants (id),
    pool_id           TEXT NOT NULL REFERENCES ip_pools (id) ON DELETE CASCADE,
    subscriber_id     TEXT NOT NULL REFERENCES subscribers (id) ON DELETE CASCADE,
    ip_address        TEXT NOT NULL,
    ip_type           TEXT NOT NULL CHECK (ip_type IN ('ipv4', 'ipv6', 'ipv6_prefix')),
    prefix_length     INTEGER NOT NULL CHECK (prefix_length BETWEEN 0 AND 128),
    status            TEXT NOT NULL DEFAULT 'reserved'
        CHECK (status IN ('reserved', 'assigned', 'released', 'expired')),
    reserved_at       TEXT NOT NULL DEFAULT (datetime('now')),
    assigned_at       TEXT,
    released_at       TEXT,
    expires_at        TEXT,
    netbox_ip_id      INTEGER,
    netbox_synced     INTEGER NOT NULL DEFAULT 0 CHECK (netbox_synced IN (0, 1)),
    assigned_by       TEXT,
    assignment_reason TEXT,
    notes             TEXT,
    created_at        TEXT NOT NULL DEFAULT (datetime('now')),
    updated_at        TEXT NOT NULL DEFAULT (datetime('now')),
    UNIQUE (tenant_id, ip_address),
    UNIQUE (tenant_id, subscriber_id, ip_type)
) STRICT;
CREATE INDEX ip_reservations_pool_idx ON ip_reservations (pool_id, status);
CREATE INDEX ip_reservations_subscriber_idx ON ip_reservations (subscriber_id);
CREATE INDEX ip_reservations_expires_idx ON ip_reservations (expires_at) WHERE expires_at IS NOT NULL;
