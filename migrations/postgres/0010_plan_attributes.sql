-- What else a plan says: how long and from where on it bursts, what it is guaranteed, and the names of what the NAS holds
-- for it (lists, pools, profiles). How a NAS is told is its vendor's: mods-config/rust/vendors.toml.
--
-- Priority 1 is the highest, as RouterOS counts. The names fit into one attribute (RFC 2865 section 5: 253 octets).

ALTER TABLE radius_bandwidth_profiles ADD COLUMN download_burst_threshold_kbps bigint CHECK (download_burst_threshold_kbps BETWEEN 1 AND 4294967295);
ALTER TABLE radius_bandwidth_profiles ADD COLUMN upload_burst_threshold_kbps bigint CHECK (upload_burst_threshold_kbps BETWEEN 1 AND 4294967295);
ALTER TABLE radius_bandwidth_profiles ADD COLUMN download_burst_seconds bigint CHECK (download_burst_seconds BETWEEN 1 AND 86400);
ALTER TABLE radius_bandwidth_profiles ADD COLUMN upload_burst_seconds bigint CHECK (upload_burst_seconds BETWEEN 1 AND 86400);
ALTER TABLE radius_bandwidth_profiles ADD COLUMN priority bigint CHECK (priority BETWEEN 1 AND 8);
ALTER TABLE radius_bandwidth_profiles ADD COLUMN download_min_kbps bigint CHECK (download_min_kbps BETWEEN 1 AND 4294967295);
ALTER TABLE radius_bandwidth_profiles ADD COLUMN upload_min_kbps bigint CHECK (upload_min_kbps BETWEEN 1 AND 4294967295);
ALTER TABLE radius_bandwidth_profiles ADD COLUMN address_list text CHECK (octet_length(address_list) BETWEEN 1 AND 253);
ALTER TABLE radius_bandwidth_profiles ADD COLUMN ipv4_pool text CHECK (octet_length(ipv4_pool) BETWEEN 1 AND 253);
ALTER TABLE radius_bandwidth_profiles ADD COLUMN ipv6_pool text CHECK (octet_length(ipv6_pool) BETWEEN 1 AND 253);
ALTER TABLE radius_bandwidth_profiles ADD COLUMN delegated_ipv6_pool text CHECK (octet_length(delegated_ipv6_pool) BETWEEN 1 AND 253);
ALTER TABLE radius_bandwidth_profiles ADD COLUMN qos_profile_download text CHECK (octet_length(qos_profile_download) BETWEEN 1 AND 253);
ALTER TABLE radius_bandwidth_profiles ADD COLUMN qos_profile_upload text CHECK (octet_length(qos_profile_upload) BETWEEN 1 AND 253);
ALTER TABLE radius_bandwidth_profiles ADD COLUMN filter_id text CHECK (octet_length(filter_id) BETWEEN 1 AND 253);
ALTER TABLE radius_bandwidth_profiles ADD COLUMN redirect_url text CHECK (octet_length(redirect_url) BETWEEN 1 AND 253);

DROP TRIGGER radius_bandwidth_profiles_feed_update ON radius_bandwidth_profiles;
CREATE TRIGGER radius_bandwidth_profiles_feed_update AFTER UPDATE OF
    id, tenant_id, name, download_rate_kbps, upload_rate_kbps, download_burst_kbps, upload_burst_kbps,
    session_timeout, idle_timeout, acct_interim_interval, download_burst_threshold_kbps,
    upload_burst_threshold_kbps, download_burst_seconds, upload_burst_seconds, priority, download_min_kbps,
    upload_min_kbps, address_list, ipv4_pool, ipv6_pool, delegated_ipv6_pool, qos_profile_download,
    qos_profile_upload, filter_id, redirect_url
    ON radius_bandwidth_profiles FOR EACH ROW
    WHEN ((NEW.id, NEW.tenant_id, NEW.name, NEW.download_rate_kbps, NEW.upload_rate_kbps, NEW.download_burst_kbps,
        NEW.upload_burst_kbps, NEW.session_timeout, NEW.idle_timeout, NEW.acct_interim_interval,
        NEW.download_burst_threshold_kbps, NEW.upload_burst_threshold_kbps, NEW.download_burst_seconds,
        NEW.upload_burst_seconds, NEW.priority, NEW.download_min_kbps, NEW.upload_min_kbps, NEW.address_list,
        NEW.ipv4_pool, NEW.ipv6_pool, NEW.delegated_ipv6_pool, NEW.qos_profile_download, NEW.qos_profile_upload,
        NEW.filter_id, NEW.redirect_url)
        IS DISTINCT FROM (OLD.id, OLD.tenant_id, OLD.name, OLD.download_rate_kbps, OLD.upload_rate_kbps, OLD.download_burst_kbps,
        OLD.upload_burst_kbps, OLD.session_timeout, OLD.idle_timeout, OLD.acct_interim_interval,
        OLD.download_burst_threshold_kbps, OLD.upload_burst_threshold_kbps, OLD.download_burst_seconds,
        OLD.upload_burst_seconds, OLD.priority, OLD.download_min_kbps, OLD.upload_min_kbps, OLD.address_list,
        OLD.ipv4_pool, OLD.ipv6_pool, OLD.delegated_ipv6_pool, OLD.qos_profile_download, OLD.qos_profile_upload,
        OLD.filter_id, OLD.redirect_url))
    EXECUTE FUNCTION change_feed_entity('plan', 'tenant_id', 'id');
