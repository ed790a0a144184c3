-- Subscribers and their network profiles.
--
-- Usernames and subscriber numbers are unique per tenant among the subscribers that are not deleted: a deleted
-- subscriber is kept for its accounting and gives its name free. service_type is an open set. Indexes over columns that
-- are mostly empty are partial, which keeps bulk loads fast.
--
-- The plan must be of the subscriber's own tenant, hence the two-column key; deleting a plan clears only the plan.

CREATE TABLE subscribers (
    id                   text PRIMARY KEY CHECK (id <> ''),
    tenant_id            text NOT NULL REFERENCES tenants (id),
    customer_id          text REFERENCES customers (id) ON DELETE SET NULL,
    user_id              text REFERENCES users (id) ON DELETE SET NULL,
    username             text NOT NULL CHECK (length(username) BETWEEN 1 AND 253),
    password             text,
    password_hash_method text,
    subscriber_number    text NOT NULL DEFAULT '',
    full_name            text,
    email                text,
    phone_number         text,
    status               text NOT NULL DEFAULT 'pending'
        CHECK (status IN ('pending', 'active', 'suspended', 'disconnected', 'terminated', 'quarantined')),
    service_type         text NOT NULL DEFAULT 'fiber_internet' CHECK (service_type <> ''),
    bandwidth_profile_id text,
    download_speed_kbps  bigint CHECK (download_speed_kbps BETWEEN 1 AND 4294967295),
    upload_speed_kbps    bigint CHECK (upload_speed_kbps BETWEEN 1 AND 4294967295),
    static_ipv4          inet CHECK (family(static_ipv4) = 4 AND masklen(static_ipv4) = 32),
    ipv6_prefix          inet CHECK (family(ipv6_prefix) = 6),
    vlan_id              integer CHECK (vlan_id BETWEEN 1 AND 4094),
    nas_identifier       text,
    onu_serial           text,
    cpe_mac_address      text,
    device_metadata      json,
    service_address      text,
    service_coordinates  json,
    site_id              text,
    activation_date      timestamptz CHECK (isfinite(activation_date)),
    suspension_date      timestamptz CHECK (isfinite(suspension_date)),
    termination_date     timestamptz CHECK (isfinite(termination_date)),
    expiration_date      timestamptz CHECK (isfinite(expiration_date)),
    session_timeout      bigint CHECK (session_timeout BETWEEN 0 AND 4294967295),
    idle_timeout         bigint CHECK (idle_timeout BETWEEN 0 AND 4294967295),
    simultaneous_use     bigint NOT NULL DEFAULT 1 CHECK (simultaneous_use BETWEEN 0 AND 4294967295),
    last_online          timestamptz CHECK (isfinite(last_online)),
    total_sessions       bigint NOT NULL DEFAULT 0 CHECK (total_sessions >= 0),
    total_upload_bytes   bigint NOT NULL DEFAULT 0 CHECK (total_upload_bytes >= 0),
    total_download_bytes bigint NOT NULL DEFAULT 0 CHECK (total_download_bytes >= 0),
    netbox_ip_id         bigint,
    voltha_onu_id        text,
    genieacs_device_id   text,
    metadata             json,
    notes                text,
    created_at           timestamptz NOT NULL DEFAULT now() CHECK (isfinite(created_at)),
    updated_at           timestamptz NOT NULL DEFAULT now() CHECK (isfinite(updated_at)),
    deleted_at           timestamptz CHECK (isfinite(deleted_at)),
    is_active            boolean GENERATED ALWAYS AS (deleted_at IS NULL) STORED,
    created_by           text,
    updated_by           text,
    CONSTRAINT subscribers_plan_fkey FOREIGN KEY (tenant_id, bandwidth_profile_id)
        REFERENCES radius_bandwidth_profiles (tenant_id, id) ON DELETE SET NULL (bandwidth_profile_id)
);

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

CREATE TABLE subscriber_network_profiles (
    id                    text PRIMARY KEY CHECK (id <> ''),
    tenant_id             text NOT NULL REFERENCES tenants (id),
    subscriber_id         text NOT NULL REFERENCES subscribers (id) ON DELETE CASCADE,
    circuit_id            text,
    remote_id             text,
    service_vlan          integer CHECK (service_vlan BETWEEN 1 AND 4094),
    inner_vlan            integer CHECK (inner_vlan BETWEEN 1 AND 4094),
    vlan_pool             text,
    qinq_enabled          boolean NOT NULL DEFAULT false,
    static_ipv4           inet CHECK (family(static_ipv4) = 4 AND masklen(static_ipv4) = 32),
    static_ipv6           inet CHECK (family(static_ipv6) = 6 AND masklen(static_ipv6) = 128),
    delegated_ipv6_prefix inet CHECK (family(delegated_ipv6_prefix) = 6),
    ipv6_pd_size          integer CHECK (ipv6_pd_size BETWEEN 0 AND 128),
    ipv6_assignment_mode  text NOT NULL DEFAULT 'none'
        CHECK (ipv6_assignment_mode IN ('none', 'slaac', 'stateful', 'pd', 'dual_stack')),
    ipv6_state            text NOT NULL DEFAULT 'pending'
        CHECK (ipv6_state IN ('pending', 'allocated', 'active', 'suspended', 'revoking', 'revoked', 'failed')),
    ipv6_allocated_at     timestamptz,
    ipv6_activated_at     timestamptz,
    ipv6_revoked_at       timestamptz,
    ipv6_netbox_prefix_id bigint,
    option82_policy       text NOT NULL DEFAULT 'log' CHECK (option82_policy IN ('enforce', 'log', 'ignore')),
    metadata              json,
    created_at            timestamptz NOT NULL DEFAULT now(),
    updated_at            timestamptz NOT NULL DEFAULT now(),
    UNIQUE (subscriber_id, tenant_id)
);
CREATE INDEX subscriber_network_profiles_circuit_idx ON subscriber_network_profiles (tenant_id, circuit_id)
    WHERE circuit_id IS NOT NULL;
