-- Subscribers and their network profiles.
--
-- Usernames and subscriber numbers are unique per tenant among the subscribers that are not deleted: a deleted
-- subscriber is kept for its accounting and gives its name free. service_type is an open set. Indexes over columns that
-- are mostly empty are partial, which keeps bulk loads fast.
--
-- The plan must be of the subscriber's own tenant, hence the two-column key. SQLite would clear both columns on
-- ON DELETE SET NULL, so a trigger takes the plan away when it is deleted.

CREATE TABLE subscribers (
    id                   TEXT NOT NULL PRIMARY KEY CHECK (id <> ''),
    tenant_id            TEXT NOT NULL REFERENCES tenants (id),
    customer_id          TEXT REFERENCES customers (id) ON DELETE SET NULL,
    user_id              TEXT REFERENCES users (id) ON DELETE SET NULL,
    username             TEXT NOT NULL CHECK (length(username) BETWEEN 1 AND 253),
    password             TEXT,
    password_hash_method TEXT,
    subscriber_number    TEXT NOT NULL DEFAULT '',
    full_name            TEXT,
    email                TEXT,
    phone_number         TEXT,
    status               TEXT NOT NULL DEFAULT 'pending'
        CHECK (status IN ('pending', 'active', 'suspended', 'disconnected', 'terminated', 'quarantined')),
    service_type         TEXT NOT NULL DEFAULT 'fiber_internet' CHECK (service_type <> ''),
    bandwidth_profile_id TEXT,
    download_speed_kbps  INTEGER CHECK (download_speed_kbps BETWEEN 1 AND 4294967295),
    upload_speed_kbps    INTEGER CHECK (upload_speed_kbps BETWEEN 1 AND 4294967295),
    static_ipv4          TEXT CHECK (static_ipv4 <> ''),
    ipv6_prefix          TEXT CHECK (ipv6_prefix LIKE '%/%'),
    vlan_id              INTEGER CHECK (vlan_id BETWEEN 1 AND 4094),
    nas_identifier       TEXT,
    onu_serial           TEXT,
    cpe_mac_address      TEXT,
    device_metadata      TEXT CHECK (device_metadata IS NULL OR json_valid(device_metadata)),
    service_address      TEXT,
    service_coordinates  TEXT CHECK (service_coordinates IS NULL OR json_valid(service_coordinates)),
    site_id              TEXT,
    activation_date      TEXT CHECK (activation_date IS NULL OR unixepoch(activation_date) IS NOT NULL),
    suspension_date      TEXT CHECK (suspension_date IS NULL OR unixepoch(suspension_date) IS NOT NULL),
    termination_date     TEXT CHECK (termination_date IS NULL OR unixepoch(termination_date) IS NOT NULL),
    expiration_date      TEXT CHECK (expiration_date IS NULL OR unixepoch(expiration_date) IS NOT NULL),
    session_timeout      INTEGER CHECK (session_timeout BETWEEN 0 AND 4294967295),
    idle_timeout         INTEGER CHECK (idle_timeout BETWEEN 0 AND 4294967295),
    simultaneous_use     INTEGER NOT NULL DEFAULT 1 CHECK (simultaneous_use BETWEEN 0 AND 4294967295),
    last_online          TEXT,
    total_sessions       INTEGER NOT NULL DEFAULT 0 CHECK (total_sessions >= 0),
    total_upload_bytes   INTEGER NOT NULL DEFAULT 0 CHECK (total_upload_bytes >= 0),
    total_download_bytes INTEGER NOT NULL DEFAULT 0 CHECK (total_download_bytes >= 0),
    netbox_ip_id         INTEGER,
    voltha_onu_id        TEXT,
    genieacs_device_id   TEXT,
    metadata             TEXT CHECK (metadata IS NULL OR json_valid(metadata)),
    notes                TEXT,
    created_at           TEXT NOT NULL DEFAULT (datetime('now')) CHECK (unixepoch(created_at) IS NOT NULL),
    updated_at           TEXT NOT NULL DEFAULT (datetime('now')) CHECK (unixepoch(updated_at) IS NOT NULL),
    deleted_at           TEXT,
    is_active            INTEGER GENERATED ALWAYS AS (deleted_at IS NULL) VIRTUAL,
    created_by           TEXT,
    updated_by           TEXT,
    FOREIGN KEY (tenant_id, bandwidth_profile_id) REFERENCES radius_bandwidth_profiles (tenant_id, id)
) STRICT;

CREATE UNIQUE INDEX subscribers_username_key ON subscribers (tenant_id, username) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX subscribers_number_key ON subscribers (tenant_id, subscriber_number)
    WHERE deleted_at IS NULL AND subscriber_number <> '';
CREATE INDEX subscribers_status_idx ON subscribers (tenant_id, status);
CREATE INDEX subscribers_service_type_idx ON subscribers (tenant_id, service_type);
CREATE INDEX subscribers_plan_idx ON subscribers (bandwidth_profile_id) WHERE bandwidth_profile_id IS NOT NULL;
CREATE INDEX subscribers_customer_idx ON subscribers (customer_id) WHERE customer_id IS NOT NULL;
CREATE INDEX subscribers_user_idx ON subscribers (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX subscribers_nas_idx ON subscribers (nas_identifier) WHERE nas_identifier IS NOT NULL;
CREATE INDEX subscribers_onu_idx ON subscribers (onu_serial) WHERE onu_serial IS NOT NULL;
CREATE INDEX subscribers_cpe_idx ON subscribers (cpe_mac_address) WHERE cpe_mac_address IS NOT NULL;
CREATE INDEX subscribers_site_idx ON subscribers (site_id) WHERE site_id IS NOT NULL;
CREATE INDEX subscribers_deleted_idx ON subscribers (deleted_at) WHERE deleted_at IS NOT NULL;

CREATE TRIGGER radius_bandwidth_profiles_leave BEFORE DELETE ON radius_bandwidth_profiles
BEGIN
    UPDATE subscribers SET bandwidth_profile_id = NULL WHERE bandwidth_profile_id = OLD.id;
END;

CREATE TABLE subscriber_network_profiles (
    id                    TEXT NOT NULL PRIMARY KEY CHECK (id <> ''),
    tenant_id             TEXT NOT NULL REFERENCES tenants (id),
    subscriber_id         TEXT NOT NULL REFERENCES subscribers (id) ON DELETE CASCADE,
    circuit_id            TEXT,
    remote_id             TEXT,
    service_vlan          INTEGER CHECK (service_vlan BETWEEN 1 AND 4094),
    inner_vlan            INTEGER CHECK (inner_vlan BETWEEN 1 AND 4094),
    vlan_pool             TEXT,
    qinq_enabled          INTEGER NOT NULL DEFAULT 0 CHECK (qinq_enabled IN (0, 1)),
    static_ipv4           TEXT CHECK (static_ipv4 <> ''),
    static_ipv6           TEXT CHECK (static_ipv6 <> ''),
    delegated_ipv6_prefix TEXT CHECK (delegated_ipv6_prefix LIKE '%/%'),
    ipv6_pd_size          INTEGER CHECK (ipv6_pd_size BETWEEN 0 AND 128),
    ipv6_assignment_mode  TEXT NOT NULL DEFAULT 'none'
        CHECK (ipv6_assignment_mode IN ('none', 'slaac', 'stateful', 'pd', 'dual_stack')),
    ipv6_state            TEXT NOT NULL DEFAULT 'pending'
        CHECK (ipv6_state IN ('pending', 'allocated', 'active', 'suspended', 'revoking', 'revoked', 'failed')),
    ipv6_allocated_at     TEXT,
    ipv6_activated_at     TEXT,
    ipv6_revoked_at       TEXT,
    ipv6_netbox_prefix_id INTEGER,
    option82_policy       TEXT NOT NULL DEFAULT 'log' CHECK (option82_policy IN ('enforce', 'log', 'ignore')),
    metadata              TEXT CHECK (metadata IS NULL OR json_valid(metadata)),
    created_at            TEXT NOT NULL DEFAULT (datetime('now')),
    updated_at            TEXT NOT NULL DEFAULT (datetime('now')),
    UNIQUE (subscriber_id, tenant_id)
) STRICT;
CREATE INDEX subscriber_network_profiles_circuit_idx ON subscriber_network_profiles (tenant_id, circuit_id)
    WHERE circuit_id IS NOT NULL;
