-- Plans (bandwidth profiles) and NAS.
--
-- nas keeps the stock FreeRADIUS columns, so that tools that manage clients keep working. They know no tenant: a row
-- that names none goes to the only tenant there is, and is refused where there are several, because a NAS of no tenant
-- could let nobody in. nasname is unique: the source address of a packet is what tells its tenant.

CREATE TABLE radius_bandwidth_profiles (
    id                    text PRIMARY KEY CHECK (id <> ''),
    tenant_id             text NOT NULL REFERENCES tenants (id),
    name                  text NOT NULL CHECK (name <> ''),
    description           text,
    download_rate_kbps    bigint NOT NULL CHECK (download_rate_kbps BETWEEN 1 AND 4294967295),
    upload_rate_kbps      bigint NOT NULL CHECK (upload_rate_kbps BETWEEN 1 AND 4294967295),
    download_burst_kbps   bigint CHECK (download_burst_kbps BETWEEN 1 AND 4294967295),
    upload_burst_kbps     bigint CHECK (upload_burst_kbps BETWEEN 1 AND 4294967295),
    session_timeout       bigint CHECK (session_timeout BETWEEN 0 AND 4294967295),
    idle_timeout          bigint CHECK (idle_timeout BETWEEN 0 AND 4294967295),
    acct_interim_interval bigint CHECK (acct_interim_interval BETWEEN 0 AND 4294967295),
    created_at            timestamptz NOT NULL DEFAULT now(),
    updated_at            timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT radius_bandwidth_profiles_name_key UNIQUE (tenant_id, name),
    UNIQUE (tenant_id, id)
);

CREATE TABLE nas (
    id               bigserial PRIMARY KEY,
    nasname          text NOT NULL CHECK (nasname <> ''),
    shortname        text NOT NULL DEFAULT '',
    type             text NOT NULL DEFAULT 'other',
    ports            integer,
    secret           text NOT NULL,
    server           text,
    community        text,
    description      text,
    tenant_id        text NOT NULL REFERENCES tenants (id),
    vendor           text NOT NULL DEFAULT 'mikrotik' CHECK (vendor <> ''),
    model            text,
    firmware_version text,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX nas_nasname ON nas (nasname);
CREATE INDEX nas_tenant_idx ON nas (tenant_id);

CREATE FUNCTION nas_fill_tenant() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT min(id) INTO NEW.tenant_id FROM tenants HAVING count(*) = 1;
    IF NEW.tenant_id IS NULL THEN
        RAISE EXCEPTION 'nas.tenant_id is missing and there is not exactly one tenant' USING ERRCODE = 'not_null_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER nas_fill_tenant BEFORE INSERT ON nas
    FOR EACH ROW WHEN (NEW.tenant_id IS NULL) EXECUTE FUNCTION nas_fill_tenant();
