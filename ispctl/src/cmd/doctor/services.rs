//! The systems beside this one, as each tenant has them set up.

use isp_core::store::Store;

use super::finding::Findings;
use crate::context::Context;
use crate::error::Result;
use crate::netbox;

pub(super) async fn check(context: &Context, store: &Store, findings: &mut Findings) -> Result<()> {
    for tenant in store.tenant_list().await?.iter().filter(|tenant| tenant.enabled) {
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
