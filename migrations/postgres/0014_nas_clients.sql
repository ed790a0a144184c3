-- NAS as the server's clients: what the server needs of one is followed like everything else.
--
-- require_message_authenticator: an Access-Request of this NAS without Message-Authenticator is refused
-- (RFC 2869 section 5.14; draft-ietf-radext-deprecating-radius asks for it everywhere).

ALTER TABLE nas ADD COLUMN require_message_authenticator boolean NOT NULL DEFAULT false;

DROP TRIGGER nas_feed_update ON nas;
CREATE TRIGGER nas_feed_update AFTER UPDATE OF
    id, tenant_id, nasname, shortname, vendor, type, server, secret, require_message_authenticator
    ON nas FOR EACH ROW
    WHEN ((NEW.id, NEW.tenant_id, NEW.nasname, NEW.shortname, NEW.vendor, NEW.type, NEW.server, NEW.secret,
        NEW.require_message_authenticator)
        IS DISTINCT FROM (OLD.id, OLD.tenant_id, OLD.nasname, OLD.shortname, OLD.vendor, OLD.type, OLD.server, OLD.secret,
        OLD.require_message_authenticator))
    EXECUTE FUNCTION change_feed_entity('nas', 'tenant_id', 'id');
