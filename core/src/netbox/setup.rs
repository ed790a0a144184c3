//! What NetBox must have before it can give addresses: checked, and made where it is missing.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::allocate::{Allocator, Object, collection};
use super::client::{Client, NetboxError, Query, Result};
use super::model::{IpAddress, Prefix, Reference};
use super::pool;
use super::settings::Rules;
use crate::addressing::Kind;

/// Something that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// `custom field "lease_key"`, `permission`.
    pub subject: String,
    pub problem: String,
    /// Whether [`Allocator::bootstrap`] mends it.
    pub mendable: bool,
}

/// Something that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Made {
    pub subject: String,
    pub id: u64,
}

/// What [`Allocator::adopt`] did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Adoption {
    /// Given a key.
    pub adopted: u64,
    /// Had theirs.
    pub known: u64,
    /// Not given one, each with the reason: a second one of a subscriber's.
    pub left: Vec<String>,
}

#[derive(Deserialize)]
struct CustomField {
    id: u64,
    #[serde(default)]
    object_types: Vec<String>,
    #[serde(rename = "type")]
    kind: super::model::Choice<String>,
    #[serde(default)]
    unique: bool,
    #[serde(default)]
    filter_logic: Option<super::model::Choice<String>>,
}

/// Models that carry our fields.
const MODELS: [&str; 2] = ["ipam.ipaddress", "ipam.prefix"];

/// A status that no installation has, so that a permitted request is refused for it instead of making anything.
const NO_STATUS: &str = "isp-core-permission-check";

/// What is named by a slug: where it is, what a person calls it.
#[derive(Clone, Copy)]
struct Named<'a> {
    path: &'static str,
    noun: &'static str,
    slug: &'a str,
}

fn named(rules: &Rules) -> Vec<Named<'_>> {
    let role = |slug| Named {
        path: "ipam/roles/",
        noun: "role",
        slug,
    };
    let mut named = vec![role(rules.role.as_str()), role(rules.prefix_role.as_str())];
    named.dedup_by_key(|named| named.slug);
    named.extend(rules.tags.iter().map(|slug| tag(slug)));
    named
}

const fn tag(slug: &str) -> Named<'_> {
    Named {
        path: "extras/tags/",
        noun: "tag",
        slug,
    }
}

/// Names of the custom fields, and whether each is to be unique.
fn fields(rules: &Rules) -> Vec<(&str, bool)> {
    let mut fields = vec![
        ("subscriber_id", false),
        ("subscriber_username", false),
        ("service_address", false),
    ];
    fields.extend(rules.key_field.as_deref().map(|field| (field, true)));
    fields
}

impl Client {
    /// Make a tenant in NetBox; its id belongs into the settings.
    ///
    /// # Errors
    /// There is one of that name, or NetBox does not answer or does not allow it.
    pub async fn make_tenant(&self, name: &str, slug: &str) -> Result<u64> {
        let body = json!({ "name": name, "slug": slug });
        let tenant: Reference = self.create("make the tenant", "tenancy/tenants/", &body).await?;
        Ok(tenant.id)
    }
}

impl Allocator {
    /// Everything that keeps addresses from being taken, as far as NetBox shows it to this token.
    ///
    /// # Errors
    /// NetBox cannot be reached or does not take the token: then nothing else can be known.
    pub async fn check(&self) -> Result<Vec<Finding>> {
        self.client.version().await?;
        let rules = &*self.rules;
        let mut findings = Vec::new();
        let mut find = |subject: String, problem: String, mendable| {
            findings.push(Finding {
                subject,
                problem,
                mendable,
            });
        };

        let tenant = format!("tenancy/tenants/{}/", rules.tenant);
        match self
            .client
            .get::<Reference>("read the tenant", &tenant, &Query::new())
            .await
        {
            Ok(_) => {}
            Err(error) => find(format!("tenant {}", rules.tenant), needed(error)?, false),
        }
        for named in named(rules) {
            let subject = format!("{} {:?}", named.noun, named.slug);
            match self.by_slug(named).await {
                Ok(Some(_)) => {}
                Ok(None) => find(subject, "does not exist".to_owned(), true),
                Err(error) => find(subject, needed(error)?, false),
            }
        }
        for (name, unique) in fields(rules) {
            let subject = format!("custom field {name:?}");
            match self.field(name).await {
                Ok(None) => find(subject, "does not exist".to_owned(), true),
                Ok(Some(field)) => {
                    for (problem, mendable) in field.problems(unique) {
                        find(subject.clone(), problem, mendable);
                    }
                }
                Err(error) => find(subject, needed(error)?, false),
            }
        }
        let mut source = None;
        for kind in Kind::ALL {
            match pool::of(&self.client, rules, None, kind).await {
                Ok(pools) => {
                    if pools.is_empty() && kind == Kind::Ipv4 {
                        let role = rules.role_of(kind);
                        let problem = format!("tenant {} has no active IPv4 prefix with role {role:?}", rules.tenant);
                        find("prefixes".to_owned(), problem, false);
                    }
                    source = source.or_else(|| pools.into_iter().next().map(|pool| (kind, pool)));
                }
                // The role or the tenant is missing, which is said already.
                Err(NetboxError::Rejected { .. }) => {}
                Err(error) => {
                    find("prefixes".to_owned(), needed(error)?, false);
                    break;
                }
            }
        }
        for (subject, missing) in self.permissions(source.map(|(_, pool)| pool.id)).await? {
            find(subject.to_owned(), missing, false);
        }
        Ok(findings)
    }

    /// Asks for what nobody can be given, to see whether it is refused for that or for want of a permission.
    async fn permissions(&self, prefix: Option<u64>) -> Result<Vec<(&'static str, String)>> {
        let mut missing = Vec::new();
        let mut judge = |subject, outcome: Result<Value>| match outcome {
            Err(NetboxError::Permission { detail, .. }) => {
                missing.push((subject, format!("the token may not: {detail}")));
                Ok(())
            }
            Err(error @ (NetboxError::Authentication(_) | NetboxError::Unreachable { .. })) => Err(error),
            _ => Ok(()),
        };
        let refused = json!({ "status": NO_STATUS, "prefix_length": "none" });
        if let Some(prefix) = prefix {
            for (subject, of) in [
                ("permission to add addresses", "available-ips"),
                ("permission to add prefixes", "available-prefixes"),
            ] {
                let path = format!("ipam/prefixes/{prefix}/{of}/");
                judge(subject, self.client.create("add", &path, &refused).await)?;
            }
        }
        // No object has the id 0: whoever may change is told that, and who may not is not.
        for (subject, path) in [
            ("permission to change addresses", "ipam/ip-addresses/0/"),
            ("permission to change prefixes", "ipam/prefixes/0/"),
        ] {
            judge(subject, self.client.change("change", path, None, &json!({})).await)?;
        }
        for (subject, path) in [
            ("permission to delete addresses", "ipam/ip-addresses/0/"),
            ("permission to delete prefixes", "ipam/prefixes/0/"),
        ] {
            judge(
                subject,
                self.client.delete("delete", path, None).await.map(|()| Value::Null),
            )?;
        }
        Ok(missing)
    }

    /// Make the roles, tags and custom fields that are missing, and a tag for each of these connection types. Never a tenant,
    /// never a prefix; nothing that is there is changed.
    ///
    /// # Errors
    /// NetBox does not answer or does not allow it; what was made until then stays.
    pub async fn bootstrap(&self, connection_types: &[String]) -> Result<Vec<Made>> {
        let mut made = Vec::new();
        let tags = connection_types.iter().map(|slug| tag(slug));
        for one in named(&self.rules).into_iter().chain(tags) {
            if self.by_slug(one).await?.is_some() {
                continue;
            }
            let what = format!("make the {} {:?}", one.noun, one.slug);
            let body = json!({ "name": one.slug, "slug": one.slug });
            match self.client.create::<Reference>(&what, one.path, &body).await {
                Ok(created) => made.push(Made {
                    subject: format!("{} {:?}", one.noun, one.slug),
                    id: created.id,
                }),
                // Made by another at the same moment, or by this request although it failed.
                Err(_) if self.by_slug(one).await?.is_some() => {}
                Err(error) => return Err(error),
            }
        }
        for (name, unique) in fields(&self.rules) {
            if self.field(name).await?.is_some() {
                continue;
            }
            let what = format!("make the custom field {name:?}");
            let body = json!({
                "name": name,
                "type": "text",
                "object_types": MODELS,
                // The default finds every value that contains the one asked for.
                "filter_logic": "exact",
                "unique": unique,
            });
            match self
                .client
                .create::<CustomField>(&what, "extras/custom-fields/", &body)
                .await
            {
                Ok(created) => made.push(Made {
                    subject: format!("custom field {name:?}"),
                    id: created.id,
                }),
                Err(_) if self.field(name).await?.is_some() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(made)
    }

    /// Make a prefix that addresses of `kind` are taken from.
    ///
    /// # Errors
    /// It is there already, or NetBox does not answer or does not allow it.
    pub async fn make_pool(&self, kind: Kind, net: ipnet::IpNet, site: Option<u64>) -> Result<u64> {
        let body = json!({
            "prefix": net,
            "tenant": self.rules.tenant,
            "role": { "slug": self.rules.role_of(kind) },
            "status": if kind == Kind::Ipv6Prefix { "container" } else { "active" },
            "scope_type": site.map(|_| "dcim.site"),
            "scope_id": site,
        });
        let prefix: Prefix = self.client.create("make the prefix", "ipam/prefixes/", &body).await?;
        Ok(prefix.id)
    }

    /// Give keys to what is described as a subscriber's and has none, so that nothing need be looked for any more before
    /// an address is taken.
    ///
    /// # Errors
    /// No key is set, or NetBox does not answer or does not allow it; what was done until then stays.
    pub async fn adopt(&self) -> Result<Adoption> {
        let Some(field) = self.rules.key_field.clone() else {
            return Err(NetboxError::Settings(
                "no key_field is set to write keys into".to_owned(),
            ));
        };
        let mut adoption = Adoption::default();
        let what = "list what subscribers have";
        let query = || Query::new().with("tenant_id", self.rules.tenant);
        let mut pages = self.client.all::<IpAddress>(what, collection(Kind::Ipv4), query());
        while let Some(page) = pages.next().await? {
            for address in page {
                let etag = address.etag();
                self.adopt_one(&field, address.into(), etag, &mut adoption).await?;
            }
        }
        let mut pages = self.client.all::<Prefix>(what, collection(Kind::Ipv6Prefix), query());
        while let Some(page) = pages.next().await? {
            for prefix in page {
                let etag = prefix.etag();
                self.adopt_one(&field, prefix.into(), etag, &mut adoption).await?;
            }
        }
        Ok(adoption)
    }

    async fn adopt_one(
        &self,
        field: &str,
        object: Object,
        etag: Option<String>,
        adoption: &mut Adoption,
    ) -> Result<()> {
        let Some(subscriber) = object.subscriber_id.clone().filter(|_| !object.deprecated) else {
            return Ok(());
        };
        if object.key(&self.rules).is_some() {
            adoption.known += 1;
            return Ok(());
        }
        let Some(kind) = object.kind else { return Ok(()) };
        let what = format!("give {} its key", object.net);
        let path = format!("{}{}/", collection(kind), object.id);
        let body = json!({ "custom_fields": { "subscriber_id": subscriber, field: format!("{subscriber}:{kind}") } });
        match self.client.change::<Value>(&what, &path, etag.as_deref(), &body).await {
            Ok(_) => adoption.adopted += 1,
            Err(error) if error.is_taken(field) => {
                adoption.left.push(format!(
                    "{}: subscriber {subscriber} has another {kind} already",
                    object.net
                ));
            }
            Err(NetboxError::Changed { .. }) => adoption.left.push(format!("{}: changed meanwhile", object.net)),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn by_slug(&self, named: Named<'_>) -> Result<Option<Reference>> {
        let what = format!("look for the {} {:?}", named.noun, named.slug);
        let query = Query::new().with("slug", named.slug);
        let page = self.client.page::<Reference>(&what, named.path, query, 2).await?;
        let found = page.results.into_iter();
        Ok(found.into_iter().find(|one| one.slug.as_deref() == Some(named.slug)))
    }

    async fn field(&self, name: &str) -> Result<Option<CustomField>> {
        #[derive(Deserialize)]
        struct Listed {
            name: String,
            #[serde(flatten)]
            field: CustomField,
        }
        let what = format!("look for the custom field {name:?}");
        let query = Query::new().with("name", name);
        let page = self
            .client
            .page::<Listed>(&what, "extras/custom-fields/", query, 2)
            .await?;
        Ok(page
            .results
            .into_iter()
            .find(|one| one.name == name)
            .map(|one| one.field))
    }
}

impl CustomField {
    /// What is wrong with it. None of it is mended: others may rely on it as it is.
    fn problems(&self, unique: bool) -> Vec<(String, bool)> {
        let mut problems = Vec::new();
        for model in MODELS {
            if !self.object_types.iter().any(|one| one == model) {
                problems.push((format!("is not on {model}: add it to the field's object types"), false));
            }
        }
        if self.kind.value != "text" {
            problems.push((format!("is of type {}, not text", self.kind.value), false));
        }
        if self.filter_logic.as_ref().is_some_and(|logic| logic.value != "exact") {
            let problem = "is filtered loosely, so that looking for 12 finds 123 too: set its filter logic to exact";
            problems.push((problem.to_owned(), false));
        }
        if unique && !self.unique {
            let problem = "is not unique, so that two requests at once may take two addresses: set it to unique";
            problems.push((problem.to_owned(), false));
        }
        problems
    }
}

/// What to say of something that could not be read. Faults that let nothing be read are not said of each thing.
fn needed(error: NetboxError) -> Result<String> {
    match error {
        NetboxError::NotFound { .. } => Ok("does not exist".to_owned()),
        NetboxError::Permission { detail, .. } => Ok(format!("the token may not see it: {detail}")),
        NetboxError::Rejected { problems, .. } => Ok(problems),
        error => Err(error),
    }
}
