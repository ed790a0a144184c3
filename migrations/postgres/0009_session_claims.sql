-- Accepted logins whose sessions are not known yet, for servers that count a subscriber's sessions together.
--
-- station (Calling-Station-Id), nas and port are what the packet told; device is the most of it, for the key. A device has
-- one claim at most. It counts until it expires or its session is known, whichever is first, and is a
-- matter of a minute: a crash of the database may lose it.

CREATE UNLOGGED TABLE session_claims (
    subscriber_id text NOT NULL,
    device        text NOT NULL,
    station       text,
    nas           text,
    port          text,
    made_at       timestamptz NOT NULL,
    expires_at    timestamptz NOT NULL,
    PRIMARY KEY (subscriber_id, device)
);
CREATE INDEX session_claims_expires_idx ON session_claims (expires_at);
