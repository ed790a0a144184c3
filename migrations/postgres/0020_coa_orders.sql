-- Live sessions follow what the database says of their subscribers.
--
-- coa_orders is outbox and audit in one: what a NAS is to be told of a session (radacct.radacctid), why, by whom, and
-- what came of it. At most one order of a session waits and at most one is on its way; a later one takes the place of
-- the one that waits. Whoever takes one has it until lease_until: when that has passed it is sent again, the same. Rows
-- are kept, and like accounting they name tenant, session and subscriber for good, hence no foreign keys.
--
-- set_items and unset_items: lists of {attribute, tag, value}. wanted, wanted_items and verdict: what the session will have
-- been told when the order is done, and its fingerprint; of a manual order there is none. rtt: microseconds.
--
-- session_applied is what each open session was told last, by login or order. settled is the fingerprint that is not to be
-- tried again by itself: it was given up, or somebody cancelled it. recheck_at is when the decision changes by the clock.
--
-- coa_lead says which process decides; the others stand by.

CREATE TABLE coa_orders (
    id            bigserial PRIMARY KEY,
    tenant_id     text,
    session_id    bigint NOT NULL,
    acctuniqueid  text NOT NULL,
    acctsessionid text NOT NULL,
    username      text,
    subscriber_id text,
    plan_id       text,
    nasipaddress  inet NOT NULL,
    kind          text NOT NULL CHECK (kind IN ('change', 'disconnect')),
    cause         text NOT NULL CHECK (cause IN ('status', 'plan', 'tier', 'hours', 'expiry', 'address', 'rows', 'nas',
        'restore', 'manual')),
    actor         text,
    set_items     text NOT NULL DEFAULT '[]',
    unset_items   text NOT NULL DEFAULT '[]',
    wanted        text,
    wanted_items  text,
    verdict       text CHECK (verdict IN ('accept', 'restricted', 'reject')),
    state         text NOT NULL DEFAULT 'pending'
        CHECK (state IN ('pending', 'sending', 'done', 'failed', 'cancelled', 'superseded')),
    attempts      integer NOT NULL DEFAULT 0,
    not_before    timestamptz NOT NULL DEFAULT now(),
    lease_owner   text,
    lease_until   timestamptz,
    rtt           bigint,
    result        text,
    error_cause   bigint,
    reason        text,
    created_at    timestamptz NOT NULL DEFAULT now(),
    sent_at       timestamptz,
    finished_at   timestamptz
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX coa_orders_pending_key ON coa_orders (session_id) WHERE state = 'pending';
CREATE UNIQUE INDEX coa_orders_sending_key ON coa_orders (session_id) WHERE state = 'sending';
CREATE INDEX coa_orders_due_idx ON coa_orders (not_before, id) WHERE state = 'pending';
CREATE INDEX coa_orders_lease_idx ON coa_orders (lease_until) WHERE state = 'sending';
CREATE INDEX coa_orders_session_idx ON coa_orders (session_id, id);
CREATE INDEX coa_orders_tenant_idx ON coa_orders (tenant_id, id);

CREATE TABLE session_applied (
    session_id    bigint PRIMARY KEY,
    tenant_id     text,
    subscriber_id text,
    fingerprint   text NOT NULL,
    items         text NOT NULL,
    verdict       text NOT NULL CHECK (verdict IN ('accept', 'restricted', 'reject')),
    settled       text,
    recheck_at    timestamptz,
    updated_at    timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70);
CREATE INDEX session_applied_recheck_idx ON session_applied (recheck_at) WHERE recheck_at IS NOT NULL;

CREATE TABLE coa_lead (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    owner    text NOT NULL DEFAULT '',
    until    timestamptz NOT NULL DEFAULT 'epoch'
);
INSERT INTO coa_lead DEFAULT VALUES;

-- How a NAS takes its orders; what is NULL is its vendor's or the usual. coa_timeout: milliseconds. coa_rate: orders per
-- second. coa_strict: an answer without Message-Authenticator does not count.
ALTER TABLE nas
    ADD COLUMN coa_port      integer CHECK (coa_port BETWEEN 1 AND 65535),
    ADD COLUMN coa_timeout   integer CHECK (coa_timeout BETWEEN 10 AND 60000),
    ADD COLUMN coa_attempts  integer CHECK (coa_attempts BETWEEN 1 AND 20),
    ADD COLUMN coa_rate      integer CHECK (coa_rate BETWEEN 1 AND 100000),
    ADD COLUMN coa_strict    boolean NOT NULL DEFAULT false,
    ADD COLUMN coa_transport text NOT NULL DEFAULT 'udp' CHECK (coa_transport IN ('udp', 'radclient', 'http', 'radsec', 'none'));

DROP TRIGGER nas_feed_update ON nas;
CREATE TRIGGER nas_feed_update AFTER UPDATE OF
    id, tenant_id, nasname, shortname, vendor, type, server, secret, require_message_authenticator,
    coa_port, coa_timeout, coa_attempts, coa_rate, coa_strict, coa_transport
    ON nas FOR EACH ROW
    WHEN ((NEW.id, NEW.tenant_id, NEW.nasname, NEW.shortname, NEW.vendor, NEW.type, NEW.server, NEW.secret,
        NEW.require_message_authenticator, NEW.coa_port, NEW.coa_timeout, NEW.coa_attempts, NEW.coa_rate, NEW.coa_strict,
        NEW.coa_transport)
        IS DISTINCT FROM (OLD.id, OLD.tenant_id, OLD.nasname, OLD.shortname, OLD.vendor, OLD.type, OLD.server, OLD.secret,
        OLD.require_message_authenticator, OLD.coa_port, OLD.coa_timeout, OLD.coa_attempts, OLD.coa_rate, OLD.coa_strict,
        OLD.coa_transport))
    EXECUTE FUNCTION change_feed_entity('nas', 'tenant_id', 'id');
