//! Subscribers.

use super::error::{Attempt as _, StoreError};
use super::import;
use super::link::Link;
use super::sql::{Columns, Param, Row, params, statements};
use super::{Result, Store, SubscriberFilter, must_hit};
use crate::subscriber::{Status, Subscriber};

/// What [`subscriber`] reads, in its order.
macro_rules! sqlite_columns {
    () => {
        "id, tenant_id, customer_id, user_id, username, password, password_hash_method, subscriber_number, \
         full_name, email, phone_number, status, service_type, bandwidth_profile_id, download_speed_kbps, \
         upload_speed_kbps, static_ipv4, ipv6_prefix, vlan_id, nas_identifier, onu_serial, cpe_mac_address, \
         device_metadata, service_address, service_coordinates, site_id, unixepoch(activation_date), \
         unixepoch(suspension_date), unixepoch(termination_date), unixepoch(expiration_date), session_timeout, \
         idle_timeout, simultaneous_use, unixepoch(last_online), total_sessions, total_upload_bytes, \
         total_download_bytes, netbox_ip_id, voltha_onu_id, genieacs_device_id, metadata, notes, \
         unixepoch(created_at), unixepoch(updated_at), unixepoch(deleted_at), created_by, updated_by, billing_day"
    };
}
macro_rules! postgres_columns {
    () => {
        "id, tenant_id, customer_id, user_id, username, password, password_hash_method, subscriber_number, \
         full_name, email, phone_number, status, service_type, bandwidth_profile_id, download_speed_kbps, \
         upload_speed_kbps, host(static_ipv4), ipv6_prefix::text, vlan_id::bigint, nas_identifier, onu_serial, \
         cpe_mac_address, device_metadata::text, service_address, service_coordinates::text, site_id, \
         extract(epoch FROM activation_date)::bigint, extract(epoch FROM suspension_date)::bigint, \
         extract(epoch FROM termination_date)::bigint, extract(epoch FROM expiration_date)::bigint, \
         session_timeout, idle_timeout, simultaneous_use, extract(epoch FROM last_online)::bigint, \
         total_sessions, total_upload_bytes, total_download_bytes, netbox_ip_id, voltha_onu_id, \
         genieacs_device_id, metadata::text, notes, extract(epoch FROM created_at)::bigint, \
         extract(epoch FROM updated_at)::bigint, extract(epoch FROM deleted_at)::bigint, created_by, updated_by, billing_day::bigint"
    };
}

/// What [`values`] gives, in its order.
macro_rules! insert_columns {
    () => {
        "id, tenant_id, customer_id, user_id, username, password, password_hash_method, subscriber_number, \
         full_name, email, phone_number, status, service_type, bandwidth_profile_id, download_speed_kbps, \
         upload_speed_kbps, static_ipv4, ipv6_prefix, vlan_id, nas_identifier, onu_serial, cpe_mac_address, \
         device_metadata, service_address, service_coordinates, site_id, activation_date, suspension_date, \
         termination_date, expiration_date, session_timeout, idle_timeout, simultaneous_use, last_online, \
         total_sessions, total_upload_bytes, total_download_bytes, netbox_ip_id, voltha_onu_id, \
         genieacs_device_id, metadata, notes, created_at, updated_at, deleted_at, created_by, updated_by, billing_day"
    };
}
#[cfg(feature = "sqlite")]
pub(super) use insert_columns;
pub(super) const COLUMNS: usize = 48;

/// Which of [`insert_columns`] are bound as Unix seconds and kept as text.
#[cfg(feature = "sqlite")]
pub(super) const SQLITE_TIMES: [&str; 8] = [
    "activation_date",
    "suspension_date",
    "termination_date",
    "expiration_date",
    "last_online",
    "created_at",
    "updated_at",
    "deleted_at",
];

/// One array per column: one statement whatever the number of rows.
#[cfg(feature = "postgres")]
pub(super) const POSTGRES_INSERT: &str = concat!(
    "INSERT INTO subscribers (",
    insert_columns!(),
    ")
     SELECT id, tenant_id, customer_id, user_id, username, password, password_hash_method, subscriber_number,
        full_name, email, phone_number, status, service_type,
        bandwidth_profile_id, download_speed_kbps, upload_speed_kbps, static_ipv4::inet, ipv6_prefix::inet,
        vlan_id, nas_identifier, onu_serial, cpe_mac_address, device_metadata::json, service_address,
        service_coordinates::json, site_id, to_timestamp(activation_date), to_timestamp(suspension_date),
        to_timestamp(termination_date), to_timestamp(expiration_date), session_timeout, idle_timeout,
        simultaneous_use, to_timestamp(last_online), total_sessions, total_upload_bytes, total_download_bytes,
        netbox_ip_id, voltha_onu_id, genieacs_device_id, metadata::json, notes,
        to_timestamp(created_at), to_timestamp(updated_at), to_timestamp(deleted_at), created_by, updated_by, billing_day
     FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
        $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::bigint[],
        $16::bigint[], $17::text[], $18::text[], $19::bigint[], $20::text[], $21::text[], $22::text[],
        $23::text[], $24::text[], $25::text[], $26::text[], $27::bigint[], $28::bigint[], $29::bigint[],
        $30::bigint[], $31::bigint[], $32::bigint[], $33::bigint[], $34::bigint[], $35::bigint[],
        $36::bigint[], $37::bigint[], $38::bigint[], $39::text[], $40::text[], $41::text[], $42::text[],
        $43::bigint[], $44::bigint[], $45::bigint[], $46::text[], $47::text[], $48::bigint[])
         AS r (",
    insert_columns!(),
    ")"
);

// Totals, last_online, creation and deletion are not the administrator's to set.
statements! {
    GET {
        sqlite: concat!("SELECT ", sqlite_columns!(), " FROM subscribers
            WHERE tenant_id = $1 AND ((username = $2 AND deleted_at IS NULL) OR id = $2)
            ORDER BY username = $2 AND deleted_at IS NULL DESC LIMIT 1"),
        postgres: concat!("SELECT ", postgres_columns!(), " FROM subscribers
            WHERE tenant_id = $1 AND ((username = $2 AND deleted_at IS NULL) OR id = $2)
            ORDER BY (username = $2 AND deleted_at IS NULL) DESC LIMIT 1"),
    }
    LIST {
        sqlite: concat!("SELECT ", sqlite_columns!(), " FROM subscribers
            WHERE ($1 IS NULL OR tenant_id = $1) AND ($2 IS NULL OR status = $2)
                AND ($3 IS NULL OR bandwidth_profile_id = $3) AND ($4 IS NULL OR instr(username, $4) > 0)
                AND ($5 OR deleted_at IS NULL) AND ($8 IS NULL OR username > $8)
            ORDER BY username, tenant_id, id LIMIT coalesce($6, -1) OFFSET $7"),
        postgres: concat!("SELECT ", postgres_columns!(), " FROM subscribers
            WHERE ($1::text IS NULL OR tenant_id = $1) AND ($2::text IS NULL OR status = $2)
                AND ($3::text IS NULL OR bandwidth_profile_id = $3) AND ($4::text IS NULL OR strpos(username, $4) > 0)
                AND ($5 OR deleted_at IS NULL) AND ($8::text IS NULL OR username COLLATE \"C\" > $8 COLLATE \"C\")
            ORDER BY username COLLATE \"C\", tenant_id COLLATE \"C\", id COLLATE \"C\" LIMIT $6 OFFSET $7"),
    }
    /// The same of one tenant, without those that are deleted: as an index has them, so that a page costs the same wherever it
    /// is.
    PAGE {
        sqlite: concat!("SELECT ", sqlite_columns!(), " FROM subscribers
            WHERE tenant_id = $1 AND ($2 IS NULL OR status = $2)
                AND ($3 IS NULL OR bandwidth_profile_id = $3) AND ($4 IS NULL OR instr(username, $4) > 0)
                AND $5 IS NOT NULL AND deleted_at IS NULL AND username > coalesce($8, '')
            ORDER BY username LIMIT coalesce($6, -1) OFFSET $7"),
        postgres: concat!("SELECT ", postgres_columns!(), " FROM subscribers
            WHERE tenant_id = $1 AND ($2::text IS NULL OR status = $2)
                AND ($3::text IS NULL OR bandwidth_profile_id = $3) AND ($4::text IS NULL OR strpos(username, $4) > 0)
                AND $5::boolean IS NOT NULL AND deleted_at IS NULL AND username COLLATE \"C\" > coalesce($8, '') COLLATE \"C\"
            ORDER BY username COLLATE \"C\" LIMIT $6 OFFSET $7"),
    }
    SET {
        sqlite: "UPDATE subscribers SET
            customer_id = $3, user_id = $4, username = $5, password = $6, password_hash_method = $7,
            subscriber_number = $8, full_name = $9, email = $10, phone_number = $11, status = $12,
            service_type = $13, bandwidth_profile_id = $14,
            download_speed_kbps = $15, upload_speed_kbps = $16, static_ipv4 = $17, ipv6_prefix = $18,
            vlan_id = $19, nas_identifier = $20, onu_serial = $21, cpe_mac_address = $22,
            device_metadata = $23, service_address = $24, service_coordinates = $25, site_id = $26,
            activation_date = datetime($27, 'unixepoch'), suspension_date = datetime($28, 'unixepoch'),
            termination_date = datetime($29, 'unixepoch'), expiration_date = datetime($30, 'unixepoch'),
            session_timeout = $31, idle_timeout = $32, simultaneous_use = $33, netbox_ip_id = $34,
            voltha_onu_id = $35, genieacs_device_id = $36, metadata = $37, notes = $38, updated_by = $39,
            billing_day = $40,
            updated_at = datetime('now')
            WHERE id = $1 AND tenant_id = $2 AND deleted_at IS NULL",
        postgres: "UPDATE subscribers SET
            customer_id = $3, user_id = $4, username = $5, password = $6, password_hash_method = $7,
            subscriber_number = $8, full_name = $9, email = $10, phone_number = $11, status = $12,
            service_type = $13, bandwidth_profile_id = $14,
            download_speed_kbps = $15, upload_speed_kbps = $16, static_ipv4 = $17::inet,
            ipv6_prefix = $18::inet, vlan_id = $19, nas_identifier = $20, onu_serial = $21,
            cpe_mac_address = $22, device_metadata = $23::json, service_address = $24,
            service_coordinates = $25::json, site_id = $26, activation_date = to_timestamp($27),
            suspension_date = to_timestamp($28), termination_date = to_timestamp($29),
            expiration_date = to_timestamp($30), session_timeout = $31, idle_timeout = $32,
            simultaneous_use = $33, netbox_ip_id = $34, voltha_onu_id = $35, genieacs_device_id = $36,
            metadata = $37::json, notes = $38, updated_by = $39, billing_day = $40, updated_at = now()
            WHERE id = $1 AND tenant_id = $2 AND deleted_at IS NULL",
    }
    DELETE {
        sqlite: "UPDATE subscribers SET deleted_at = datetime('now'), updated_at = datetime('now'), updated_by = $3
            WHERE tenant_id = $1 AND id = $2 AND deleted_at IS NULL",
        postgres: "UPDATE subscribers SET deleted_at = now(), updated_at = now(), updated_by = $3
            WHERE tenant_id = $1 AND id = $2 AND deleted_at IS NULL",
    }
    /// SQLite does not say which foreign key failed.
    REFERENCES {
        both: "SELECT
            EXISTS (SELECT 1 FROM tenants WHERE id = $1),
            CAST($2 AS TEXT) IS NULL OR EXISTS (SELECT 1 FROM radius_bandwidth_profiles WHERE id = $2 AND tenant_id = $1),
            CAST($3 AS TEXT) IS NULL OR EXISTS (SELECT 1 FROM customers WHERE id = $3),
            CAST($4 AS TEXT) IS NULL OR EXISTS (SELECT 1 FROM users WHERE id = $4)",
    }
}

/// The schema's default, for a subscriber without one.
const DEFAULT_SERVICE_TYPE: &str = "fiber_internet";

fn subscriber(row: &Row) -> std::result::Result<Subscriber, sqlx::Error> {
    let mut columns = Columns::of(row);
    Ok(Subscriber {
        id: columns.text()?,
        tenant_id: columns.text()?,
        customer_id: columns.opt_text()?,
        user_id: columns.opt_text()?,
        username: columns.text()?,
        password: columns.opt_text()?,
        password_hash_method: columns.opt_text()?,
        subscriber_number: columns.text()?,
        full_name: columns.opt_text()?,
        email: columns.opt_text()?,
        phone_number: columns.opt_text()?,
        status: columns.parsed()?,
        service_type: columns.text()?,
        bandwidth_profile_id: columns.opt_text()?,
        download_speed_kbps: columns.opt_number()?,
        upload_speed_kbps: columns.opt_number()?,
        static_ipv4: columns.opt_parsed()?,
        ipv6_prefix: columns.opt_parsed()?,
        vlan_id: columns.opt_number()?,
        nas_identifier: columns.opt_text()?,
        onu_serial: columns.opt_text()?,
        cpe_mac_address: columns.opt_text()?,
        device_metadata: columns.opt_text()?,
        service_address: columns.opt_text()?,
        service_coordinates: columns.opt_text()?,
        site_id: columns.opt_text()?,
        activation_date: columns.opt_number()?,
        suspension_date: columns.opt_number()?,
        termination_date: columns.opt_number()?,
        expiration_date: columns.opt_number()?,
        session_timeout: columns.opt_number()?,
        idle_timeout: columns.opt_number()?,
        simultaneous_use: columns.number()?,
        last_online: columns.opt_number()?,
        total_sessions: columns.number()?,
        total_upload_bytes: columns.number()?,
        total_download_bytes: columns.number()?,
        netbox_ip_id: columns.opt_number()?,
        voltha_onu_id: columns.opt_text()?,
        genieacs_device_id: columns.opt_text()?,
        metadata: columns.opt_text()?,
        notes: columns.opt_text()?,
        created_at: columns.number()?,
        updated_at: columns.number()?,
        deleted_at: columns.opt_number()?,
        created_by: columns.opt_text()?,
        updated_by: columns.opt_text()?,
        billing_day: columns.opt_number()?,
    })
}

fn service_type(subscriber: &Subscriber) -> &str {
    match subscriber.service_type.as_str() {
        "" => DEFAULT_SERVICE_TYPE,
        word => word,
    }
}

const fn or_now(time: i64, now: i64) -> i64 {
    if time == 0 { now } else { time }
}

/// The values of a new row, in the order of `insert_columns`. `now`: Unix seconds, for times that are not given.
pub(super) fn values(s: &Subscriber, now: i64) -> [Param<'_>; COLUMNS] {
    [
        Param::from(&s.id),
        Param::from(&s.tenant_id),
        Param::from(&s.customer_id),
        Param::from(&s.user_id),
        Param::from(&s.username),
        Param::from(&s.password),
        Param::from(&s.password_hash_method),
        Param::from(&s.subscriber_number),
        Param::from(&s.full_name),
        Param::from(&s.email),
        Param::from(&s.phone_number),
        Param::from(s.status.as_str()),
        Param::from(service_type(s)),
        Param::from(&s.bandwidth_profile_id),
        Param::from(s.download_speed_kbps),
        Param::from(s.upload_speed_kbps),
        Param::from(s.static_ipv4),
        Param::from(s.ipv6_prefix),
        Param::from(s.vlan_id),
        Param::from(&s.nas_identifier),
        Param::from(&s.onu_serial),
        Param::from(&s.cpe_mac_address),
        Param::from(&s.device_metadata),
        Param::from(&s.service_address),
        Param::from(&s.service_coordinates),
        Param::from(&s.site_id),
        Param::from(s.activation_date),
        Param::from(s.suspension_date),
        Param::from(s.termination_date),
        Param::from(s.expiration_date),
        Param::from(s.session_timeout),
        Param::from(s.idle_timeout),
        Param::from(s.simultaneous_use),
        Param::from(s.last_online),
        Param::from(s.total_sessions),
        Param::from(s.total_upload_bytes),
        Param::from(s.total_download_bytes),
        Param::from(s.netbox_ip_id),
        Param::from(&s.voltha_onu_id),
        Param::from(&s.genieacs_device_id),
        Param::from(&s.metadata),
        Param::from(&s.notes),
        Param::from(or_now(s.created_at, now)),
        Param::from(or_now(s.updated_at, now)),
        Param::from(s.deleted_at),
        Param::from(&s.created_by),
        Param::from(&s.updated_by),
        Param::from(s.billing_day),
    ]
}

/// Which row that `subscriber` refers to is missing.
pub(super) async fn missing_reference(
    link: Link<'_>,
    subscriber: &Subscriber,
) -> std::result::Result<Option<String>, sqlx::Error> {
    let params = params![
        &subscriber.tenant_id,
        &subscriber.bandwidth_profile_id,
        &subscriber.customer_id,
        &subscriber.user_id,
    ];
    let row = link.one(REFERENCES, params).await?;
    let mut columns = Columns::of(&row);
    let named = |kind: &str, id: &Option<String>| format!("{kind} {:?}", id.as_deref().unwrap_or_default());
    Ok(if !columns.flag()? {
        Some(format!("tenant {:?}", subscriber.tenant_id))
    } else if !columns.flag()? {
        Some(named("plan of this tenant:", &subscriber.bandwidth_profile_id))
    } else if !columns.flag()? {
        Some(named("customer", &subscriber.customer_id))
    } else if !columns.flag()? {
        Some(named("user", &subscriber.user_id))
    } else {
        None
    })
}

/// Write what an administrator may set; returns the number of rows hit.
pub(super) async fn set(link: Link<'_>, s: &Subscriber) -> std::result::Result<u64, sqlx::Error> {
    let params = params![
        &s.id,
        &s.tenant_id,
        &s.customer_id,
        &s.user_id,
        &s.username,
        &s.password,
        &s.password_hash_method,
        &s.subscriber_number,
        &s.full_name,
        &s.email,
        &s.phone_number,
        s.status.as_str(),
        service_type(s),
        &s.bandwidth_profile_id,
        s.download_speed_kbps,
        s.upload_speed_kbps,
        s.static_ipv4,
        s.ipv6_prefix,
        s.vlan_id,
        &s.nas_identifier,
        &s.onu_serial,
        &s.cpe_mac_address,
        &s.device_metadata,
        &s.service_address,
        &s.service_coordinates,
        &s.site_id,
        s.activation_date,
        s.suspension_date,
        s.termination_date,
        s.expiration_date,
        s.session_timeout,
        s.idle_timeout,
        s.simultaneous_use,
        s.netbox_ip_id,
        &s.voltha_onu_id,
        &s.genieacs_device_id,
        &s.metadata,
        &s.notes,
        &s.updated_by,
        s.billing_day,
    ];
    link.execute(SET, params).await
}

impl Store {
    /// Add a subscriber as given. `created_at` 0 means now, an empty service type the default one.
    ///
    /// # Errors
    /// The id, or the username or number within the tenant, is taken, or there is no such tenant, plan, customer or
    /// user.
    pub async fn subscriber_add(&self, subscriber: &Subscriber) -> Result<()> {
        let attempt = || format!("add subscriber {:?}", subscriber.username);
        let mut connection = self.writer().await.attempt(attempt)?;
        let added = import::insert(connection.link(), std::slice::from_ref(subscriber)).await;
        match added.attempt(attempt) {
            Err(StoreError::MissingReference { attempt, what }) => {
                let exact = missing_reference(connection.link(), subscriber).await;
                let what = exact.ok().flatten().unwrap_or(what);
                Err(StoreError::MissingReference { attempt, what })
            }
            outcome => outcome,
        }
    }

    /// # Errors
    /// The database does not answer.
    pub async fn subscriber_list(&self, filter: &SubscriberFilter) -> Result<Vec<Subscriber>> {
        let attempt = || "list subscribers".to_owned();
        let mut connection = self.reader().await.attempt(attempt)?;
        let params = params![
            &filter.tenant_id,
            filter.status.map(Status::as_str),
            &filter.plan_id,
            &filter.username,
            filter.include_deleted,
            filter.limit,
            filter.offset,
            &filter.after,
        ];
        let statement = match filter.tenant_id {
            Some(_) if !filter.include_deleted => PAGE,
            _ => LIST,
        };
        let mut subscribers = Vec::new();
        let listed = connection.link().each(statement, params, |row| {
            subscribers.push(subscriber(row)?);
            Ok(())
        });
        listed.await.attempt(attempt)?;
        Ok(subscribers)
    }

    /// By username (not deleted) or id.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn subscriber_get(&self, tenant_id: &str, username_or_id: &str) -> Result<Option<Subscriber>> {
        let attempt = || format!("look up subscriber {username_or_id:?}");
        let mut connection = self.reader().await.attempt(attempt)?;
        let params = params![tenant_id, username_or_id];
        let row = connection.link().optional(GET, params).await.attempt(attempt)?;
        row.as_ref().map(subscriber).transpose().attempt(attempt)
    }

    /// Write what an administrator may set: all but totals, `last_online`, creation and deletion.
    ///
    /// # Errors
    /// There is no such subscriber (or it is deleted), its new username or number is taken, or what it refers to is
    /// not there.
    pub async fn subscriber_set(&self, subscriber: &Subscriber) -> Result<()> {
        let attempt = || format!("change subscriber {:?}", subscriber.username);
        let mut connection = self.writer().await.attempt(attempt)?;
        match set(connection.link(), subscriber).await.attempt(attempt) {
            Err(StoreError::MissingReference { attempt, what }) => {
                let exact = missing_reference(connection.link(), subscriber).await;
                let what = exact.ok().flatten().unwrap_or(what);
                Err(StoreError::MissingReference { attempt, what })
            }
            outcome => must_hit(outcome?, attempt),
        }
    }

    /// Soft: sets `deleted_at`; the username is free again, accounting keeps its subscriber.
    ///
    /// # Errors
    /// There is no such subscriber, or it is deleted already.
    pub async fn subscriber_delete(&self, tenant_id: &str, id: &str, by: Option<&str>) -> Result<()> {
        let attempt = || format!("delete subscriber {id:?}");
        let mut connection = self.writer().await.attempt(attempt)?;
        let hit = connection
            .link()
            .execute(DELETE, params![tenant_id, id, by])
            .await
            .attempt(attempt)?;
        must_hit(hit, attempt)
    }
}
