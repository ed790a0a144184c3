//! The systems beside this one, as each tenant has them set up.

use isp_core::oss::{OssError, OssService};
use isp_core::store::Store;
use isp_core::tenant::Tenant;

use super::finding::Findings;
use crate::cmd::oss;
use crate::context::Context;
use crate::error::Result;
use crate::netbox;

pub(super) async fn check(context: &Context, store: &Store, findings: &mut Findings) -> Result<()> {
    for tenant in store.tenant_list().await?.iter().filter(|tenant| tenant.enabled) {
        others(context, store, tenant, findings).await?;
        let place = format!("NetBox of tenant {}", tenant.name);
        let remedy = format!(
            "ispctl --tenant {} netbox set, or netbox check for all of it",
            tenant.name
        );
        let table = match netbox::settings(context, store, tenant).await {
            Ok(table) => table,
            Err(error) => {
                findings.error("netbox_settings", &place, &error.to_string(), &remedy);
                continue;
            }
        };
        if !table.is_set_up(false) {
            continue;
        }
        let found = match netbox::allocator(context, store, tenant).await {
            Ok((allocator, _)) => allocator.check().await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match found {
            Ok(faults) => {
                for fault in faults {
                    let remedy = if fault.mendable {
                        format!("ispctl --tenant {} netbox bootstrap", tenant.name)
                    } else {
                        remedy.clone()
                    };
                    findings.error(
                        "netbox_prerequisite",
                        &format!("{place}, {}", fault.subject),
                        &fault.problem,
                        &remedy,
                    );
                }
            }
            Err(why) => findings.error("netbox_unreachable", &place, &why, &remedy),
        }
    }
    Ok(())
}

/// All but NetBox, of which more is asked.
async fn others(context: &Context, store: &Store, tenant: &Tenant, findings: &mut Findings) -> Result<()> {
    let oss = match oss::oss(context, store) {
        Ok(oss) => oss,
        Err(error) => {
            findings.error(
                "oss_settings",
                "settings",
                &error.to_string(),
                "mend the setting, or the key file",
            );
            return Ok(());
        }
    };
    for service in OssService::ALL
        .into_iter()
        .filter(|service| *service != OssService::Netbox)
    {
        let place = format!("{service} of tenant {}", tenant.name);
        let remedy = format!(
            "ispctl --tenant {} oss set {service}, then oss test {service}",
            tenant.name
        );
        match oss.test(&tenant.id, service).await {
            Err(OssError::NoUrl { .. }) => {}
            Err(error) => findings.error("oss_settings", &place, &error.to_string(), &remedy),
            Ok(report) => {
                if let Some(problem) = &report.problem {
                    let code = if report.authenticated == Some(false) {
                        "oss_credentials"
                    } else {
                        "oss_unreachable"
                    };
                    findings.error(code, &place, problem, &remedy);
                }
            }
        }
    }
    Ok(())
}
