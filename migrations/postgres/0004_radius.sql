-- The tables stock FreeRADIUS tools read and write: raw attribute rows, groups, sessions, authentication outcomes.
-- Stock column names, with tenant_id and subscriber_id beside them.
--
-- Other tools write radcheck and radreply with a username alone. Such a row gets the only tenant there is (it is
-- refused where there are several: a row of no tenant would never have effect), and the subscriber of that tenant and
-- username: now, or once that subscriber is added or renamed to it. Where subscriber_id is given it decides, and a
-- renamed subscriber takes its rows along.
--
-- radacct: what one tenant's NAS sends never touches a session of another tenant, whatever Acct-Session-Id it uses.
-- start_reported tells a session start the NAS reported from one reckoned from Acct-Session-Time, stop_inferred a stop
-- taken from a restart of the NAS from one it reported.
-- radpostauth.pass is there for tools that select it and can hold nothing: no password is ever written down.
-- nasreload remembers when a NAS last restarted, so that a late packet cannot reopen what the restart ended.
-- The group tables and radusergroup are for other tools; the decision does not read them.

CREATE TABLE radcheck (
    id            bigserial PRIMARY KEY,
    username      text NOT NULL DEFAULT '',
    attribute     text NOT NULL DEFAULT '',
    op            varchar(2) NOT NULL DEFAULT '==',
    value         text NOT NULL DEFAULT '',
    tenant_id     text NOT NULL REFERENCES tenants (id),
    subscriber_id text REFERENCES subscribers (id) ON DELETE CASCADE,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX radcheck_username ON radcheck (username, attribute);
CREATE INDEX radcheck_subscriber_idx ON radcheck (subscriber_id) WHERE subscriber_id IS NOT NULL;
CREATE INDEX radcheck_orphan_idx ON radcheck (tenant_id, username) WHERE subscriber_id IS NULL;

CREATE TABLE radreply (
    id            bigserial PRIMARY KEY,
    username      text NOT NULL DEFAULT '',
    attribute     text NOT NULL DEFAULT '',
    op            varchar(2) NOT NULL DEFAULT '=',
    value         text NOT NULL DEFAULT '',
    tenant_id     text NOT NULL REFERENCES tenants (id),
    subscriber_id text REFERENCES subscribers (id) ON DELETE CASCADE,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX radreply_username ON radreply (username, attribute);
CREATE INDEX radreply_subscriber_idx ON radreply (subscriber_id) WHERE subscriber_id IS NOT NULL;
CREATE INDEX radreply_orphan_idx ON radreply (tenant_id, username) WHERE subscriber_id IS NULL;

CREATE FUNCTION radius_rows_fill() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.subscriber_id IS NOT NULL
        AND (TG_OP = 'INSERT' OR NEW.subscriber_id IS DISTINCT FROM OLD.subscriber_id OR NEW.username = OLD.username)
    THEN
        SELECT s.tenant_id, s.username INTO NEW.tenant_id, NEW.username FROM subscribers s WHERE s.id = NEW.subscriber_id;
        IF NOT FOUND THEN
            RAISE EXCEPTION '%.subscriber_id names no subscriber', TG_TABLE_NAME USING ERRCODE = 'foreign_key_violation';
        END IF;
        RETURN NEW;
    END IF;
    IF NEW.tenant_id IS NULL THEN
        SELECT min(id) INTO NEW.tenant_id FROM tenants HAVING count(*) = 1;
        IF NEW.tenant_id IS NULL THEN
            RAISE EXCEPTION '%.tenant_id is missing and there is not exactly one tenant', TG_TABLE_NAME
                USING ERRCODE = 'not_null_violation';
        END IF;
    END IF;
    NEW.subscriber_id := (
        SELECT s.id FROM subscribers s
        WHERE s.tenant_id = NEW.tenant_id AND s.username = NEW.username AND s.deleted_at IS NULL);
    RETURN NEW;
END
$$;
CREATE TRIGGER radcheck_fill BEFORE INSERT OR UPDATE OF username, tenant_id, subscriber_id ON radcheck
    FOR EACH ROW EXECUTE FUNCTION radius_rows_fill();
CREATE TRIGGER radreply_fill BEFORE INSERT OR UPDATE OF username, tenant_id, subscriber_id ON radreply
    FOR EACH ROW EXECUTE FUNCTION radius_rows_fill();

-- One statement for all rows of a bulk load.
CREATE FUNCTION subscribers_adopt_rows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE radcheck c SET subscriber_id = n.id FROM new_rows n
        WHERE c.subscriber_id IS NULL AND c.tenant_id = n.tenant_id AND c.username = n.username AND n.deleted_at IS NULL;
    UPDATE radreply r SET subscriber_id = n.id FROM new_rows n
        WHERE r.subscriber_id IS NULL AND r.tenant_id = n.tenant_id AND r.username = n.username AND n.deleted_at IS NULL;
    RETURN NULL;
END
$$;
CREATE TRIGGER subscribers_adopt_rows_insert AFTER INSERT ON subscribers
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION subscribers_adopt_rows();

CREATE FUNCTION subscribers_carry_rows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE radcheck SET username = NEW.username, tenant_id = NEW.tenant_id, subscriber_id = NEW.id
        WHERE subscriber_id = NEW.id OR (subscriber_id IS NULL AND tenant_id = NEW.tenant_id AND username = NEW.username);
    UPDATE radreply SET username = NEW.username, tenant_id = NEW.tenant_id, subscriber_id = NEW.id
        WHERE subscriber_id = NEW.id OR (subscriber_id IS NULL AND tenant_id = NEW.tenant_id AND username = NEW.username);
    RETURN NULL;
END
$$;
CREATE TRIGGER subscribers_adopt_rows_update AFTER UPDATE OF username, tenant_id, deleted_at ON subscribers
    FOR EACH ROW WHEN (NEW.deleted_at IS NULL AND
        (NEW.username, NEW.tenant_id, NEW.deleted_at) IS DISTINCT FROM (OLD.username, OLD.tenant_id, OLD.deleted_at))
    EXECUTE FUNCTION subscribers_carry_rows();

CREATE TABLE radacct (
    radacctid           bigserial PRIMARY KEY,
    acctsessionid       text NOT NULL,
    acctuniqueid        text NOT NULL,
    username            text,
    groupname           text,
    realm               text,
    nasipaddress        inet NOT NULL,
    nasportid           text,
    nasporttype         text,
    acctstarttime       timestamptz CHECK (isfinite(acctstarttime)),
    acctupdatetime      timestamptz CHECK (isfinite(acctupdatetime)),
    acctstoptime        timestamptz CHECK (isfinite(acctstoptime)),
    acctinterval        bigint,
    acctsessiontime     bigint,
    acctauthentic       text,
    connectinfo_start   text,
    connectinfo_stop    text,
    acctinputoctets     bigint,
    acctoutputoctets    bigint,
    calledstationid     text,
    callingstationid    text,
    acctterminatecause  text,
    servicetype         text,
    framedprotocol      text,
    framedipaddress     inet,
    framedipv6address   inet,
    framedipv6prefix    inet,
    framedinterfaceid   text,
    delegatedipv6prefix inet,
    class               text,
    tenant_id           text REFERENCES tenants (id) ON DELETE SET NULL,
    subscriber_id       text REFERENCES subscribers (id) ON DELETE SET NULL,
    start_reported      boolean NOT NULL DEFAULT false,
    stop_inferred       boolean NOT NULL DEFAULT false,
    created_at          timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX radacct_acctuniqueid_key ON radacct (acctuniqueid, coalesce(tenant_id, ''));
CREATE INDEX radacct_bulk_close ON radacct (nasipaddress, acctstarttime) WHERE acctstoptime IS NULL;
CREATE INDEX radacct_open_username_idx ON radacct (username) WHERE acctstoptime IS NULL;
CREATE INDEX radacct_start_user_idx ON radacct (acctstarttime, username);
CREATE INDEX radacct_subscriber_idx ON radacct (subscriber_id, acctstarttime) WHERE subscriber_id IS NOT NULL;
CREATE INDEX radacct_framedipaddress_idx ON radacct (framedipaddress) WHERE framedipaddress IS NOT NULL;
CREATE INDEX radacct_class_idx ON radacct (class) WHERE class IS NOT NULL;

CREATE TABLE radpostauth (
    id               bigserial PRIMARY KEY,
    username         text NOT NULL,
    pass             text NOT NULL DEFAULT '' CHECK (pass = ''),
    reply            text,
    calledstationid  text,
    callingstationid text,
    authdate         timestamptz NOT NULL DEFAULT now(),
    class            text,
    tenant_id        text REFERENCES tenants (id) ON DELETE SET NULL,
    subscriber_id    text REFERENCES subscribers (id) ON DELETE SET NULL,
    nasipaddress     inet,
    reason           text
);
CREATE INDEX radpostauth_username_idx ON radpostauth (username);
CREATE INDEX radpostauth_authdate_idx ON radpostauth (authdate);
CREATE INDEX radpostauth_subscriber_idx ON radpostauth (subscriber_id) WHERE subscriber_id IS NOT NULL;
CREATE INDEX radpostauth_class_idx ON radpostauth (class) WHERE class IS NOT NULL;

CREATE TABLE radgroupcheck (
    id        bigserial PRIMARY KEY,
    groupname text NOT NULL DEFAULT '',
    attribute text NOT NULL DEFAULT '',
    op        varchar(2) NOT NULL DEFAULT '==',
    value     text NOT NULL DEFAULT '',
    tenant_id text REFERENCES tenants (id)
);
CREATE INDEX radgroupcheck_groupname ON radgroupcheck (groupname, attribute);

CREATE TABLE radgroupreply (
    id        bigserial PRIMARY KEY,
    groupname text NOT NULL DEFAULT '',
    attribute text NOT NULL DEFAULT '',
    op        varchar(2) NOT NULL DEFAULT '=',
    value     text NOT NULL DEFAULT '',
    tenant_id text REFERENCES tenants (id)
);
CREATE INDEX radgroupreply_groupname ON radgroupreply (groupname, attribute);

CREATE TABLE radusergroup (
    id        bigserial PRIMARY KEY,
    username  text NOT NULL DEFAULT '',
    groupname text NOT NULL DEFAULT '',
    priority  integer NOT NULL DEFAULT 0,
    tenant_id text REFERENCES tenants (id)
);
CREATE INDEX radusergroup_username ON radusergroup (username);

CREATE TABLE nasreload (
    nasipaddress inet NOT NULL,
    reloadtime   timestamptz NOT NULL CHECK (isfinite(reloadtime)),
    tenant_id    text
);
CREATE UNIQUE INDEX nasreload_key ON nasreload (nasipaddress, coalesce(tenant_id, ''));
