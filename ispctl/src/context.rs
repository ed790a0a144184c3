//! What commands share: the settings, the database, the tenant, the keys.

use std::path::PathBuf;

use isp_core::dictionary::AnyAttribute;
use isp_core::policy::vendor::{self, Source, VendorSet};
use isp_core::secret::KeyRing;
use isp_core::store::Store;
use isp_core::tenant::Tenant;
use tokio::sync::OnceCell;

use crate::config::{ConfigError, Settings};
use crate::error::{Error, Result};
use crate::output::Output;

#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) settings: Settings,
    pub(crate) output: Output,
    store: OnceCell<Store>,
}

impl Context {
    pub(crate) fn new(settings: Settings, output: Output) -> Self {
        Self {
            settings,
            output,
            store: OnceCell::new(),
        }
    }

    /// Open the database whatever its schema is.
    pub(crate) async fn open(&self, create: bool) -> Result<&Store> {
        let connect = async || {
            let url = self.settings.database_url.as_ref().ok_or(ConfigError::NoDatabase)?;
            // The store needs the URL in clear to log in.
            Ok(Store::connect(url.expose(), self.settings.database_connections, create).await?)
        };
        self.store.get_or_try_init(connect).await
    }

    /// Open the database, its schema up to date.
    pub(crate) async fn store(&self) -> Result<&Store> {
        let store = self.open(false).await?;
        store.check_schema().await?;
        Ok(store)
    }

    /// Let go of the database, so that SQLite tidies its log away.
    pub(crate) async fn close(&self) {
        if let Some(store) = self.store.get() {
            store.close().await;
        }
    }

    /// The tenant that is configured, or the only one.
    pub(crate) async fn tenant(&self, store: &Store) -> Result<Tenant> {
        if let Some(name) = &self.settings.tenant {
            return find_tenant(store, name).await;
        }
        let mut tenants = store.tenant_list().await?;
        match (tenants.pop(), tenants.as_slice()) {
            (Some(only), []) => Ok(only),
            (None, _) => Err(Error::Usage(
                "there is no tenant yet: make one with ispctl tenant add NAME".to_owned(),
            )),
            (Some(last), others) => {
                let names: Vec<&str> = others.iter().chain([&last]).map(|t| t.name.as_str()).collect();
                Err(Error::Usage(format!(
                    "there are {} tenants: name one with --tenant or ISP_TENANT ({})",
                    names.len(),
                    names.join(", ")
                )))
            }
        }
    }

    /// The tenant that is configured; `None` means all of them.
    pub(crate) async fn named_tenant(&self, store: &Store) -> Result<Option<Tenant>> {
        match &self.settings.tenant {
            Some(name) => find_tenant(store, name).await.map(Some),
            None => Ok(None),
        }
    }

    pub(crate) async fn store_and_tenant(&self) -> Result<(&Store, Tenant)> {
        let store = self.store().await?;
        Ok((store, self.tenant(store).await?))
    }

    /// The vendors of NAS: of the files that are configured, or those that come with this version. No dictionary is asked.
    pub(crate) fn vendors(&self) -> Result<VendorSet> {
        let read = |path: &PathBuf| match std::fs::read_to_string(path) {
            Ok(text) => Ok(Source {
                path: path.clone(),
                text,
            }),
            Err(source) => Err(Error::file(path, source)),
        };
        let first = match &self.settings.vendors {
            Some(path) => read(path)?,
            None => Source {
                path: "vendors.toml".into(),
                text: vendor::SHIPPED.to_owned(),
            },
        };
        let mut sources = vec![first];
        sources.extend(self.settings.vendors_local.as_ref().map(read).transpose()?);
        VendorSet::read(&sources, &AnyAttribute).map_err(Error::Vendors)
    }

    /// The keys, where a key file is configured.
    pub(crate) fn keys(&self) -> Result<Option<KeyRing>> {
        let path = self.settings.key_file.as_deref();
        Ok(path.map(KeyRing::load).transpose()?)
    }

    pub(crate) fn required_keys(&self) -> Result<KeyRing> {
        Ok(self.keys()?.ok_or(ConfigError::NoKeyFile)?)
    }

    /// Who makes the changes.
    pub(crate) fn operator(&self) -> Option<&str> {
        self.settings.operator.as_deref()
    }
}

pub(crate) async fn find_tenant(store: &Store, name: &str) -> Result<Tenant> {
    store.tenant_get(name).await?.ok_or_else(|| Error::NotFound {
        kind: "tenant",
        name: name.to_owned(),
        place: "the database".to_owned(),
    })
}
