-- Lists of a tenant's subscribers are in the order of the octets of their names, as SQLite's are.
CREATE INDEX subscribers_order_idx ON subscribers (tenant_id, username COLLATE "C") WHERE deleted_at IS NULL;
