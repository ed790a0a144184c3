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
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant_id     TEXT,
    session_id    INTEGER NOT NULL,
    acctuniqueid  TEXT NOT NULL,
    acctsessionid TEXT NOT NULL,
    username      TEXT,
    subscriber_id TEXT,
    plan_id       TEXT,
    nasipaddress  TEXT NOT NULL,
    kind          TEXT NOT NULL CHECK (kind IN ('change', 'disconnect')),
    cause         TEXT NOT NULL CHECK (cause IN ('status', 'plan', 'tier', 'hours', 'expiry', 'address', 'rows', 'nas',
        'restore', 'manual')),
    actor         TEXT,
    set_items     TEXT NOT NULL DEFAULT '[]',
    unset_items   TEXT NOT NULL DEFAULT '[]',
    wanted        TEXT,
    wanted_items  TEXT,
    verdict       TEXT CHECK (verdict IN ('accept', 'restricted', 'reject')),
    state         TEXT NOT NULL DEFAULT 'pending'
        CHECK (state IN ('pending', 'sending', 'done', 'failed', 'cancelled', 'superseded')),
    attempts      INTEGER NOT NULL DEFAULT 0,
    not_before    TEXT NOT NULL DEFAULT (datetime('now')),
    lease_owner   TEXT,
    lease_until   TEXT,
    rtt           INTEGER,
    result        TEXT,
    error_cause   INTEGER,
    reason        TEXT,
    created_at    TEXT NOT NULL DEFAULT (datetime('now')),
    sent_at       TEXT,
    finished_at   TEXT
) STRICT;
CREATE UNIQUE INDEX coa_orders_pending_key ON coa_orders (session_id) WHERE state = 'pending';
CREATE UNIQUE INDEX coa_orders_sending_key ON coa_orders (session_id) WHERE state = 'sending';
CREATE INDEX coa_orders_due_idx ON coa_orders (not_before, id) WHERE state = 'pending';
CREATE INDEX coa_orders_lease_idx ON coa_orders (lease_until) WHERE state = 'sending';
CREATE INDEX coa_orders_session_idx ON coa_orders (session_id, id);
CREATE INDEX coa_orders_tenant_idx ON coa_orders (tenant_id, id);

CREATE TABLE session_applied (
    session_id    INTEGER PRIMARY KEY,
    tenant_id     TEXT,
    subscriber_id TEXT,
    fingerprint   TEXT NOT NULL,
    items         TEXT NOT NULL,
    verdict       TEXT NOT NULL CHECK (verdict IN ('accept', 'restricted', 'reject')),
    settled       TEXT,
    recheck_at    TEXT,
    updated_at    TEXT NOT NULL DEFAULT (datetime('now'))
) STRICT;
CREATE INDEX session_applied_recheck_idx ON session_applied (recheck_at) WHERE recheck_at IS NOT NULL;

CREATE TABLE coa_lead (
    only_row INTEGER PRIMARY KEY DEFAULT 1 CHECK (only_row = 1),
    owner    TEXT NOT NULL DEFAULT '',
    until    TEXT NOT NULL DEFAULT '1970-01-01 00:00:00'
) STRICT;
INSERT INTO coa_lead DEFAULT VALUES;

-- How a NAS takes its orders; what is NULL is its vendor's or the usual. coa_timeout: milliseconds. coa_rate: orders per
-- second. coa_strict: an answer without Message-Authenticator does not count.
ALTER TABLE nas ADD COLUMN coa_port INTEGER CHECK (coa_port BETWEEN 1 AND 65535);
ALTER TABLE nas ADD COLUMN coa_timeout INTEGER CHECK (coa_timeout BETWEEN 10 AND 60000);
ALTER TABLE nas ADD COLUMN coa_attempts INTEGER CHECK (coa_attempts BETWEEN 1 AND 20);
ALTER TABLE nas ADD COLUMN coa_rate INTEGER CHECK (coa_rate BETWEEN 1 AND 100000);
ALTER TABLE nas ADD COLUMN coa_strict INTEGER NOT NULL DEFAULT 0 CHECK (coa_strict IN (0, 1));
ALTER TABLE nas ADD COLUMN coa_transport TEXT NOT NULL DEFAULT 'udp' CHECK (coa_transport IN ('udp', 'radclient', 'http', 'radsec', 'none'));

DROP TRIGGER nas_feed_update;
CREATE TRIGGER nas_feed_update AFTER UPDATE OF
    id, tenant_id, nasname, shortname, vendor, type, server, secret, require_message_authenticator,
    coa_port, coa_timeout, coa_attempts, coa_rate, coa_strict, coa_transport
    ON nas
    WHEN (NEW.id, NEW.tenant_id, NEW.nasname, NEW.shortname, NEW.vendor, NEW.type, NEW.server, NEW.secret,
        NEW.require_message_authenticator, NEW.coa_port, NEW.coa_timeout, NEW.coa_attempts, NEW.coa_rate, NEW.coa_strict,
        NEW.coa_transport)
        IS NOT (OLD.id, OLD.tenant_id, OLD.nasname, OLD.shortname, OLD.vendor, OLD.type, OLD.server, OLD.secret,
        OLD.require_message_authenticator, OLD.coa_port, OLD.coa_timeout, OLD.coa_attempts, OLD.coa_rate, OLD.coa_strict,
        OLD.coa_transport)
BEGIN
    INSERT INTO change_feed (kind, tenant_id, entity_id) VALUES ('nas', NEW.tenant_id, NEW.id);
    INSERT INTO change_feed (kind, tenant_id, entity_id) SELECT 'nas', OLD.tenant_id, OLD.id
        WHERE (OLD.tenant_id, OLD.id) <> (NEW.tenant_id, NEW.id);
END;
