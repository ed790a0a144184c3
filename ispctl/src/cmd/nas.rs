use std::path::PathBuf;

use clap::Subcommand;
use isp_core::nas::Nas;
use isp_core::secret::{KeyRing, Sealed, Secret};
use isp_core::store::Store;
use isp_core::tenant::Tenant;
use serde::Serialize;

use super::{DeleteArgs, NOTHING_TO_SET};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::field::{self, FieldArgs, Record as _};
use crate::output;
use crate::secret_input::{NAS_SECRET, Source};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a NAS
    Add {
        /// Address or network its packets come from: 192.0.2.1, 2001:db8::/48
        #[arg(value_name = "ADDRESS", value_parser = field::key::<Nas>)]
        nasname: String,
        #[command(flatten)]
        source: SourceArgs,
        #[command(flatten)]
        secret: SecretArgs,
        #[command(flatten)]
        fields: FieldArgs<Nas>,
    },
    /// List the tenant's NAS
    List {
        /// Of all tenants
        #[arg(long)]
        all_tenants: bool,
    },
    /// Show one NAS (never its secret)
    Show {
        /// Address, short name or id
        nas: String,
    },
    /// Change the fields named, leaving the others; an empty value clears a field
    Set {
        /// Address, short name or id
        nas: String,
        /// New address or network
        #[arg(long, value_name = "ADDRESS", value_parser = field::key::<Nas>)]
        rename: Option<String>,
        #[command(flatten)]
        source: SourceArgs,
        #[command(flatten)]
        fields: FieldArgs<Nas>,
    },
    /// Give a NAS a new shared secret
    Secret {
        /// Address, short name or id
        nas: String,
        #[command(flatten)]
        secret: SecretArgs,
    },
    /// Delete a NAS
    Delete {
        /// Address, short name or id
        nas: String,
        #[command(flatten)]
        how: DeleteArgs,
    },
}

/// How wide a NAS may be.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct SourceArgs {
    /// Accept 0.0.0.0/0 or ::/0 as the address: whoever knows the secret is this NAS then, wherever its packets come from
    #[arg(long)]
    any_source: bool,
}

impl SourceArgs {
    /// Every address there is takes more than a typing error.
    fn check(self, nas: &Nas) -> Result<()> {
        if nas.nasname.ends_with("/0") && !self.any_source {
            return Err(Error::Usage(format!(
                "{} is every address there is: name the network the packets come from, or say --any-source if that is meant",
                nas.nasname
            )));
        }
        Ok(())
    }
}

/// Where a NAS's secret comes from. Not said: ISP_NAS_SECRET, else a prompt, else the first line of standard input.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The secret is never an argument. Without an option it is read from ISP_NAS_SECRET, else asked for on a \
                        terminal, else it is the first line of standard input. It is stored sealed under the key file's primary key."
)]
pub(crate) struct SecretArgs {
    /// Read the secret from a file's first line; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "generate")]
    secret_file: Option<PathBuf>,
    /// Make a random secret and print it, once
    #[arg(long)]
    generate: bool,
}

impl SecretArgs {
    fn source(&self) -> Source {
        match &self.secret_file {
            Some(path) => Source::file(path),
            None if self.generate => Source::Generate,
            None => Source::unsaid(NAS_SECRET),
        }
    }

    /// Read the secret and seal it into `nas`.
    fn seal_into(&self, nas: &mut Nas, keys: &KeyRing) -> Result<Secret<String>> {
        let secret = self.source().read(NAS_SECRET)?;
        if secret.expose().len() < 16 {
            output::warning("the secret is shorter than the 16 octets that RFC 2865 section 3 asks for");
        }
        nas.secret = keys.seal(&nas.secret_context(), secret.expose().as_bytes())?;
        Ok(secret)
    }
}

/// A NAS as it may be shown: how its secret is kept, not what it is.
#[derive(Debug, Serialize)]
pub(crate) struct View {
    #[serde(flatten)]
    nas: Nas,
    secret_form: &'static str,
}

impl From<Nas> for View {
    fn from(nas: Nas) -> Self {
        let secret_form = match Sealed::parse(&nas.secret) {
            _ if nas.secret.is_empty() => "none",
            Ok(None) => "clear",
            Ok(Some(_)) => "sealed",
            Err(_) => "damaged",
        };
        // An SNMP community is a password by another name.
        let nas = Nas { community: None, ..nas };
        Self { nas, secret_form }
    }
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<()> {
    let store = context.store().await?;
    if let Command::List { all_tenants: true } = command {
        let rows: Vec<View> = store.nas_list(None).await?.into_iter().map(View::from).collect();
        return context.output.list(
            &rows,
            &[
                "id",
                "tenant_id",
                "nasname",
                "shortname",
                "kind",
                "vendor",
                "secret_form",
                "description",
            ],
        );
    }
    let tenant = context.tenant(store).await?;
    match command {
        Command::Add {
            nasname,
            source,
            secret,
            fields,
        } => {
            context.output.refuse_json_for(secret.generate)?;
            let mut nas = Nas {
                tenant_id: tenant.id.clone(),
                ..Nas::blank()
            };
            (Nas::KEY.set)(&mut nas, &nasname).map_err(Error::Refused)?;
            source.check(&nas)?;
            fields.apply(&mut nas).map_err(Error::Refused)?;
            if nas.shortname.is_empty() {
                nas.shortname.clone_from(&nas.nasname);
            }
            warn_of_unknown_vendor(context, &nas)?;
            let plain = secret.seal_into(&mut nas, &context.required_keys()?)?;
            nas.id = store.nas_add(&nas).await?;
            tell(context, nas, secret.generate.then_some(plain))?;
        }
        Command::List { .. } => {
            let rows: Vec<View> = store
                .nas_list(Some(&tenant.id))
                .await?
                .into_iter()
                .map(View::from)
                .collect();
            context.output.list(
                &rows,
                &[
                    "id",
                    "nasname",
                    "shortname",
                    "kind",
                    "vendor",
                    "secret_form",
                    "description",
                ],
            )?;
        }
        Command::Show { nas } => context
            .output
            .record(&View::from(find_nas(store, &tenant, &nas).await?))?,
        Command::Set {
            nas,
            rename,
            source,
            fields,
        } => {
            if fields.is_empty() && rename.is_none() {
                output::warning(NOTHING_TO_SET);
            }
            let before = find_nas(store, &tenant, &nas).await?;
            let mut nas = before.clone();
            fields.apply(&mut nas).map_err(Error::Refused)?;
            if let Some(nasname) = rename {
                move_to(context, &mut nas, &nasname)?;
                source.check(&nas)?;
            }
            if nas.vendor != before.vendor {
                warn_of_unknown_vendor(context, &nas)?;
            }
            if nas != before {
                store.nas_set(&nas).await?;
            }
            context.output.record(&View::from(nas))?;
        }
        Command::Secret { nas, secret } => {
            context.output.refuse_json_for(secret.generate)?;
            let mut nas = find_nas(store, &tenant, &nas).await?;
            let plain = secret.seal_into(&mut nas, &context.required_keys()?)?;
            store.nas_set(&nas).await?;
            tell(context, nas, secret.generate.then_some(plain))?;
        }
        Command::Delete { nas, how } => {
            let nas = find_nas(store, &tenant, &nas).await?;
            if !how.dry_run {
                store.nas_delete(&tenant.id, nas.id).await?;
            }
            context.output.done(&how.told("NAS", &nas.nasname));
        }
    }
    Ok(())
}

/// The servers may have a file that is not named here, so it is not refused.
fn warn_of_unknown_vendor(context: &Context, nas: &Nas) -> Result<()> {
    if context.vendors()?.get(&nas.vendor).is_none() {
        output::warning(&format!(
            "vendor {:?} is in no file of vendors known here (ispctl vendor list): a server that does not know it either takes \
             the NAS for generic",
            nas.vendor
        ));
    }
    Ok(())
}

/// Show the NAS, or the secret made for it alone, so that a script can take it from standard output.
fn tell(context: &Context, nas: Nas, generated: Option<Secret<String>>) -> Result<()> {
    match generated {
        Some(secret) => {
            context
                .output
                .done(&format!("NAS {:?} has this new secret, shown only now:", nas.nasname));
            // The operator asked for it: the NAS has to be given the same.
            context.output.line(secret.expose())
        }
        None => context.output.record(&View::from(nas)),
    }
}

/// Give the NAS another address. A sealed secret is bound to the address, so it is sealed anew.
fn move_to(context: &Context, nas: &mut Nas, nasname: &str) -> Result<()> {
    let sealed = Sealed::parse(&nas.secret)?;
    let old_context = nas.secret_context();
    (Nas::KEY.set)(nas, nasname).map_err(Error::Refused)?;
    if let Some(sealed) = sealed {
        let keys = context.required_keys()?;
        let plain = keys.open(&old_context, &sealed)?;
        nas.secret = keys.seal(&nas.secret_context(), plain.expose())?;
    }
    Ok(())
}

pub(super) async fn find_nas(store: &Store, tenant: &Tenant, name: &str) -> Result<Nas> {
    store
        .nas_get(&tenant.id, name)
        .await?
        .ok_or_else(|| Error::not_found("NAS", name, tenant))
}
