//! NAS.

use std::net::IpAddr;

use ipnet::IpNet;

use super::error::{Attempt as _, StoreError};
use super::link::Link;
use super::sql::{Columns, Row, params, statements};
use super::{Result, Store, must_hit};
use crate::nas::{CoaSettings, Nas};

/// The columns of [`coa`].
macro_rules! coa_columns {
    () => {
        "CAST(coa_port AS bigint), CAST(coa_timeout AS bigint), CAST(coa_attempts AS bigint), \
         CAST(coa_rate AS bigint), coa_strict, coa_transport"
    };
}
pub(super) use coa_columns;

macro_rules! columns {
    () => {
        concat!(
            "id, tenant_id, nasname, shortname, type, vendor, model, firmware_version, CAST(ports AS bigint), secret, \
             server, community, description, require_message_authenticator, ",
            coa_columns!()
        )
    };
}

statements! {
    ADD {
        both: "INSERT INTO nas (tenant_id, nasname, shortname, type, vendor, model, firmware_version, ports, secret,
                server, community, description, require_message_authenticator, coa_port, coa_timeout, coa_attempts,
                coa_rate, coa_strict, coa_transport)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19) RETURNING id",
    }
    LIST {
        sqlite: concat!("SELECT ", columns!(), " FROM nas WHERE $1 IS NULL OR tenant_id = $1 ORDER BY id"),
        postgres: concat!("SELECT ", columns!(), " FROM nas WHERE $1::text IS NULL OR tenant_id = $1 ORDER BY id"),
    }
    GET {
        sqlite: concat!("SELECT ", columns!(), " FROM nas
            WHERE tenant_id = $1 AND (CAST(id AS TEXT) = $2 OR nasname = $2 OR shortname = $2)
            ORDER BY CAST(id AS TEXT) = $2 DESC, nasname = $2 DESC, id LIMIT 1"),
        postgres: concat!("SELECT ", columns!(), " FROM nas
            WHERE tenant_id = $1 AND (id::text = $2 OR nasname = $2 OR shortname = $2)
            ORDER BY id::text = $2 DESC, nasname = $2 DESC, id LIMIT 1"),
    }
    SET {
        sqlite: "UPDATE nas SET nasname = $2, shortname = $3, type = $4, vendor = $5, model = $6, firmware_version = $7,
                ports = $8, secret = $9, server = $10, community = $11, description = $12,
                require_message_authenticator = $13, coa_port = $14, coa_timeout = $15, coa_attempts = $16,
                coa_rate = $17, coa_strict = $18, coa_transport = $19, updated_at = datetime('now')
            WHERE tenant_id = $1 AND id = $20",
        postgres: "UPDATE nas SET nasname = $2, shortname = $3, type = $4, vendor = $5, model = $6,
                firmware_version = $7, ports = $8, secret = $9, server = $10, community = $11, description = $12,
                require_message_authenticator = $13, coa_port = $14, coa_timeout = $15, coa_attempts = $16,
                coa_rate = $17, coa_strict = $18, coa_transport = $19, updated_at = now()
            WHERE tenant_id = $1 AND id = $20",
    }
    DELETE {
        both: "DELETE FROM nas WHERE tenant_id = $1 AND id = $2",
    }
}

fn nas(row: &Row) -> std::result::Result<Nas, sqlx::Error> {
    let mut columns = Columns::of(row);
    Ok(Nas {
        id: columns.number()?,
        tenant_id: columns.text()?,
        nasname: columns.text()?,
        shortname: columns.text()?,
        kind: columns.text()?,
        vendor: columns.text()?,
        model: columns.opt_text()?,
        firmware_version: columns.opt_text()?,
        ports: columns.opt_number()?,
        secret: columns.text()?,
        server: columns.opt_text()?,
        community: columns.opt_text()?,
        description: columns.opt_text()?,
        require_message_authenticator: columns.flag()?,
        coa: coa(&mut columns)?,
    })
}

pub(super) fn coa(columns: &mut Columns<'_>) -> std::result::Result<CoaSettings, sqlx::Error> {
    Ok(CoaSettings {
        coa_port: columns.opt_number()?,
        coa_timeout: columns.opt_number()?,
        coa_attempts: columns.opt_number()?,
        coa_rate: columns.opt_number()?,
        coa_strict: columns.flag()?,
        coa_transport: columns.parsed()?,
    })
}

/// The network a `nasname` stands for; a host name stands for none.
pub(super) fn network(nasname: &str) -> Option<IpNet> {
    let nasname = nasname.trim();
    nasname
        .parse::<IpNet>()
        .or_else(|_| nasname.parse::<IpAddr>().map(IpNet::from))
        .ok()
}

pub(super) fn check(nas: &Nas, attempt: impl FnOnce() -> String) -> Result<()> {
    if network(&nas.nasname).is_none() {
        return Err(StoreError::Refused {
            attempt: attempt(),
            reason: "a nasname is an address (192.0.2.1) or a network (192.0.2.0/24, 2001:db8::/64)".to_owned(),
        });
    }
    Ok(())
}

macro_rules! nas_params {
    ($nas:expr $(, $more:expr)*) => {
        params![
            &$nas.tenant_id,
            &$nas.nasname,
            &$nas.shortname,
            &$nas.kind,
            &$nas.vendor,
            &$nas.model,
            &$nas.firmware_version,
            $nas.ports,
            &$nas.secret,
            &$nas.server,
            &$nas.community,
            &$nas.description,
            $nas.require_message_authenticator,
            $nas.coa.coa_port,
            $nas.coa.coa_timeout,
            $nas.coa.coa_attempts,
            $nas.coa.coa_rate,
            $nas.coa.coa_strict,
            $nas.coa.coa_transport.as_str(),
            $($more),*
        ]
    };
}

/// Returns the id the database gave.
pub(super) async fn add(link: Link<'_>, nas: &Nas) -> std::result::Result<i64, sqlx::Error> {
    let row = link.one(ADD, nas_params!(nas)).await?;
    Columns::of(&row).number()
}

impl Store {
    /// Returns the id the database gave; the one in `nas` is not looked at.
    ///
    /// # Errors
    /// The address is taken (by whichever tenant: it tells tenants apart) or is none, or there is no such tenant.
    pub async fn nas_add(&self, nas: &Nas) -> Result<i64> {
        let attempt = || format!("add NAS {:?}", nas.nasname);
        check(nas, attempt)?;
        let mut connection = self.writer().await.attempt(attempt)?;
        add(connection.link(), nas).await.attempt(attempt)
    }

    /// The NAS of a tenant, or of all.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn nas_list(&self, tenant_id: Option<&str>) -> Result<Vec<Nas>> {
        let attempt = || "list NAS".to_owned();
        let mut connection = self.reader().await.attempt(attempt)?;
        let rows = connection.link().all(LIST, params![tenant_id]).await.attempt(attempt)?;
        rows.iter()
            .map(nas)
            .collect::<std::result::Result<_, _>>()
            .attempt(attempt)
    }

    /// By id, nasname or shortname, in this order.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn nas_get(&self, tenant_id: &str, id_nasname_or_shortname: &str) -> Result<Option<Nas>> {
        let attempt = || format!("look up NAS {id_nasname_or_shortname:?}");
        let mut connection = self.reader().await.attempt(attempt)?;
        let params = params![tenant_id, id_nasname_or_shortname];
        let row = connection.link().optional(GET, params).await.attempt(attempt)?;
        row.as_ref().map(nas).transpose().attempt(attempt)
    }

    /// Write all columns of the tenant's NAS with this id.
    ///
    /// # Errors
    /// There is no such NAS, or its new address is taken or is none.
    pub async fn nas_set(&self, nas: &Nas) -> Result<()> {
        let attempt = || format!("change NAS {:?}", nas.nasname);
        check(nas, attempt)?;
        let mut connection = self.writer().await.attempt(attempt)?;
        let hit = connection
            .link()
            .execute(SET, nas_params!(nas, nas.id))
            .await
            .attempt(attempt)?;
        must_hit(hit, attempt)
    }

    /// # Errors
    /// The tenant has no such NAS.
    pub async fn nas_delete(&self, tenant_id: &str, id: i64) -> Result<()> {
        let attempt = || format!("delete NAS {id}");
        let mut connection = self.writer().await.attempt(attempt)?;
        let hit = connection
            .link()
            .execute(DELETE, params![tenant_id, id])
            .await
            .attempt(attempt)?;
        must_hit(hit, attempt)
    }
}
