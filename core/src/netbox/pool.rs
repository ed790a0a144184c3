//! Prefixes that addresses are taken from.

use ipnet::IpNet;

use super::client::{Client, Numbered, PAGE, Query, Result};
use super::model::{IpAddress, Prefix, PrefixStatus};
use super::settings::{Rules, Site};
use crate::addressing::Kind;

/// A prefix of a tenant, by its role and its site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// NetBox's id of it.
    pub id: u64,
    pub net: IpNet,
}

impl Numbered for Prefix {
    fn id(&self) -> u64 {
        self.id
    }
}

impl Numbered for IpAddress {
    fn id(&self) -> u64 {
        self.id
    }
}

const PATH: &str = "ipam/prefixes/";

/// The prefixes that `kind` is given from at a site, in NetBox's order.
pub(super) async fn of(client: &Client, rules: &Rules, site: Option<&Site>, kind: Kind) -> Result<Vec<Pool>> {
    let what = "list the prefixes addresses come from";
    let mut query = Query::new()
        .with("tenant_id", rules.tenant)
        .with("role", rules.role_of(kind))
        .with("family", kind.family())
        .with("status", PrefixStatus::Active.as_str());
    if kind == Kind::Ipv6Prefix {
        // What is cut into smaller prefixes is a container by NetBox's own word for it.
        query = query.with("status", PrefixStatus::Container.as_str());
    }
    query = match site {
        Some(Site::Id(id)) => query.with("site_id", id),
        Some(Site::Slug(slug)) => query.with("site", slug),
        None => query,
    };
    let mut pools = Vec::new();
    let mut offset = 0;
    loop {
        let query = query.clone().with("offset", offset);
        let page = client.page::<Prefix>(what, PATH, query, PAGE).await?;
        offset += page.results.len();
        let last = page.next.is_none() || page.results.is_empty();
        pools.extend(
            page.results
                .into_iter()
                // A filter that NetBox does not know is ignored: its answer is looked at, not believed.
                .filter(|prefix| gives(prefix, rules, site, kind))
                .map(|prefix| Pool {
                    id: prefix.id,
                    net: prefix.prefix,
                }),
        );
        if last {
            return Ok(pools);
        }
    }
}

fn gives(prefix: &Prefix, rules: &Rules, site: Option<&Site>, kind: Kind) -> bool {
    let status = match prefix.status.value {
        PrefixStatus::Active => true,
        PrefixStatus::Container => kind == Kind::Ipv6Prefix,
        _ => false,
    };
    // A location of the site is found by the site too, and its scope is another object.
    let here = match (site, prefix.site_id()) {
        (Some(Site::Id(wanted)), Some(id)) => *wanted == id,
        (Some(_), None) => prefix.scope_id.is_some(),
        _ => true,
    };
    status
        && here
        && !prefix.mark_utilized
        && kind.is_of_family(&prefix.prefix)
        && prefix.tenant.as_ref().is_some_and(|tenant| tenant.id == rules.tenant)
        && prefix
            .role
            .as_ref()
            .is_some_and(|role| role.slug.as_deref() == Some(rules.role_of(kind)))
}
