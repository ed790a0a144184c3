//! Plans (bandwidth profiles).

use super::error::Attempt as _;
use super::link::Link;
use super::sql::{Columns, Row, params, statements};
use super::{Result, Store, must_hit, quotas};
use crate::plan::Plan;

/// Shared with the snapshot load. `insert` names them; else they are as they are read.
macro_rules! plan_columns {
    () => {
        $crate::store::plans::plan_columns!("CAST(ipv6_pd_size AS bigint)")
    };
    (insert) => {
        $crate::store::plans::plan_columns!("ipv6_pd_size")
    };
    ($length:literal) => {
        concat!(
            "id, tenant_id, name, description, download_rate_kbps, upload_rate_kbps, download_burst_kbps, \
             upload_burst_kbps, session_timeout, idle_timeout, acct_interim_interval, download_burst_threshold_kbps, \
             upload_burst_threshold_kbps, download_burst_seconds, upload_burst_seconds, priority, download_min_kbps, \
             upload_min_kbps, address_list, ipv4_pool, ipv6_pool, delegated_ipv6_pool, qos_profile_download, \
             qos_profile_upload, filter_id, redirect_url, login_time, ",
            $length
        )
    };
}
pub(super) use plan_columns;

/// The columns after the id and the tenant, numbered as `plan_params` has them.
macro_rules! set_columns {
    () => {
        "name = $3, description = $4, download_rate_kbps = $5, upload_rate_kbps = $6, \
         download_burst_kbps = $7, upload_burst_kbps = $8, session_timeout = $9, idle_timeout = $10, \
         acct_interim_interval = $11, download_burst_threshold_kbps = $12, upload_burst_threshold_kbps = $13, \
         download_burst_seconds = $14, upload_burst_seconds = $15, priority = $16, download_min_kbps = $17, \
         upload_min_kbps = $18, address_list = $19, ipv4_pool = $20, ipv6_pool = $21, \
         delegated_ipv6_pool = $22, qos_profile_download = $23, qos_profile_upload = $24, filter_id = $25, \
         redirect_url = $26, login_time = $27, ipv6_pd_size = $28"
    };
}

statements! {
    ADD {
        both: concat!(
            "INSERT INTO radius_bandwidth_profiles (", plan_columns!(insert), ")
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22,
                    $23, $24, $25, $26, $27, $28)"),
    }
    LIST {
        sqlite: concat!(
            "SELECT ", plan_columns!(), " FROM radius_bandwidth_profiles WHERE tenant_id = $1 ORDER BY name"),
        postgres: concat!(
            "SELECT ", plan_columns!(), " FROM radius_bandwidth_profiles WHERE tenant_id = $1 ORDER BY name COLLATE \"C\""),
    }
    GET {
        both: concat!(
            "SELECT ", plan_columns!(), " FROM radius_bandwidth_profiles
                WHERE tenant_id = $1 AND (id = $2 OR name = $2) ORDER BY id = $2 DESC LIMIT 1"),
    }
    SET {
        sqlite: concat!("UPDATE radius_bandwidth_profiles SET ", set_columns!(), ", updated_at = datetime('now')
            WHERE id = $1 AND tenant_id = $2"),
        postgres: concat!("UPDATE radius_bandwidth_profiles SET ", set_columns!(), ", updated_at = now()
            WHERE id = $1 AND tenant_id = $2"),
    }
    DELETE {
        both: "DELETE FROM radius_bandwidth_profiles WHERE tenant_id = $1 AND id = $2",
    }
}

pub(super) fn plan(row: &Row) -> std::result::Result<Plan, sqlx::Error> {
    let mut columns = Columns::of(row);
    Ok(Plan {
        id: columns.text()?,
        tenant_id: columns.text()?,
        name: columns.text()?,
        description: columns.opt_text()?,
        download_rate_kbps: columns.number()?,
        upload_rate_kbps: columns.number()?,
        download_burst_kbps: columns.opt_number()?,
        upload_burst_kbps: columns.opt_number()?,
        session_timeout: columns.opt_number()?,
        idle_timeout: columns.opt_number()?,
        acct_interim_interval: columns.opt_number()?,
        download_burst_threshold_kbps: columns.opt_number()?,
        upload_burst_threshold_kbps: columns.opt_number()?,
        download_burst_seconds: columns.opt_number()?,
        upload_burst_seconds: columns.opt_number()?,
        priority: columns.opt_number()?,
        download_min_kbps: columns.opt_number()?,
        upload_min_kbps: columns.opt_number()?,
        address_list: columns.opt_text()?,
        ipv4_pool: columns.opt_text()?,
        ipv6_pool: columns.opt_text()?,
        delegated_ipv6_pool: columns.opt_text()?,
        qos_profile_download: columns.opt_text()?,
        qos_profile_upload: columns.opt_text()?,
        filter_id: columns.opt_text()?,
        redirect_url: columns.opt_text()?,
        login_time: columns.opt_text()?,
        ipv6_pd_size: columns.opt_number()?,
    })
}

macro_rules! plan_params {
    ($plan:expr) => {
        params![
            &$plan.id,
            &$plan.tenant_id,
            &$plan.name,
            &$plan.description,
            $plan.download_rate_kbps,
            $plan.upload_rate_kbps,
            $plan.download_burst_kbps,
            $plan.upload_burst_kbps,
            $plan.session_timeout,
            $plan.idle_timeout,
            $plan.acct_interim_interval,
            $plan.download_burst_threshold_kbps,
            $plan.upload_burst_threshold_kbps,
            $plan.download_burst_seconds,
            $plan.upload_burst_seconds,
            $plan.priority,
            $plan.download_min_kbps,
            $plan.upload_min_kbps,
            &$plan.address_list,
            &$plan.ipv4_pool,
            &$plan.ipv6_pool,
            &$plan.delegated_ipv6_pool,
            &$plan.qos_profile_download,
            &$plan.qos_profile_upload,
            &$plan.filter_id,
            &$plan.redirect_url,
            &$plan.login_time,
            $plan.ipv6_pd_size,
        ]
    };
}

pub(super) async fn add(link: Link<'_>, plan: &Plan) -> std::result::Result<(), sqlx::Error> {
    link.execute(ADD, plan_params!(plan)).await.map(drop)
}

impl Store {
    /// # Errors
    /// The id, or the name within the tenant, is taken, or there is no such tenant.
    pub async fn plan_add(&self, plan: &Plan) -> Result<()> {
        let attempt = || format!("add plan {:?}", plan.name);
        let mut connection = self.writer().await.attempt(attempt)?;
        add(connection.link(), plan).await.attempt(attempt)
    }

    /// The tenant's plans, by name.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn plan_list(&self, tenant_id: &str) -> Result<Vec<Plan>> {
        let attempt = || "list plans".to_owned();
        let mut connection = self.reader().await.attempt(attempt)?;
        let rows = connection.link().all(LIST, params![tenant_id]).await.attempt(attempt)?;
        rows.iter()
            .map(plan)
            .collect::<std::result::Result<_, _>>()
            .attempt(attempt)
    }

    /// By id or by name.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn plan_get(&self, tenant_id: &str, id_or_name: &str) -> Result<Option<Plan>> {
        let attempt = || format!("look up plan {id_or_name:?}");
        let mut connection = self.reader().await.attempt(attempt)?;
        let row = connection.link().optional(GET, params![tenant_id, id_or_name]).await;
        row.attempt(attempt)?.as_ref().map(plan).transpose().attempt(attempt)
    }

    /// Write all columns of the tenant's plan with this id.
    ///
    /// # Errors
    /// There is no such plan, or its new name is taken.
    pub async fn plan_set(&self, plan: &Plan) -> Result<()> {
        let attempt = || format!("change plan {:?}", plan.name);
        let mut connection = self.writer().await.attempt(attempt)?;
        let hit = connection
            .link()
            .execute(SET, plan_params!(plan))
            .await
            .attempt(attempt)?;
        must_hit(hit, attempt)
    }

    /// Delete a plan. Subscribers that had it have none afterwards.
    ///
    /// # Errors
    /// There is no such plan, or a tier of a quota puts it in the place of others.
    pub async fn plan_delete(&self, tenant_id: &str, id: &str) -> Result<()> {
        let attempt = || format!("delete plan {id:?}");
        let mut connection = self.writer().await.attempt(attempt)?;
        let hit = connection
            .link()
            .execute(DELETE, params![tenant_id, id])
            .await
            .attempt(attempt)
            .map_err(quotas::in_use)?;
        must_hit(hit, attempt)
    }
}
