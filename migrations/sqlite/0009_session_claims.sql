-- Accepted logins whose sessions are not known yet, for servers that count a subscriber's sessions together.
--
-- station (Calling-Station-Id), nas and port are what the packet told; device is the most of it, for the key. A device has
-- one claim at most. It counts until it expires or its session is known, whichever is first.

CREATE TABLE session_claims (
    subscriber_id TEXT NOT NULL,
    device        TEXT NOT NULL,
    station       TEXT,
    nas           TEXT,
    port          TEXT,
    made_at       TEXT NOT NULL,
    expires_at    TEXT NOT NULL,
    PRIMARY KEY (subscriber_id, device)
) STRICT, WITHOUT ROWID;
CREATE INDEX session_claims_expires_idx ON session_claims (expires_at);
