//! Settings of the systems beside this one, and whether they answer.

use std::path::PathBuf;

use clap::Subcommand;
use isp_core::oss::{Oss, OssError, OssService, Patch, ServiceConfig};
use isp_core::store::Store;
use serde_json::{Map, Value};

use crate::context::Context;
use crate::error::{Error, Result};
use crate::output;
use crate::secret_input::{SERVICE_SECRET, Source};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show what holds for the tenant, of one service or all: its own settings over those for all tenants
    Show {
        /// voltha, genieacs, netbox, ansible (or awx), prometheus
        service: Option<OssService>,
    },
    /// Set what holds for this tenant alone, leaving what is not named
    Set(Box<SetArgs>),
    /// Forget the tenant's own settings
    Unset { service: OssService },
    /// Ask the service something harmless: whether it answers, and takes the credentials
    Test {
        /// All that have a URL where none is named
        service: Option<OssService>,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct SetArgs {
    service: OssService,
    #[arg(long)]
    url: Option<String>,
    #[arg(long)]
    username: Option<String>,
    /// Read the password from a file's first line; - is standard input. It is stored sealed
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Read the token from a file's first line; - is standard input. It is stored sealed
    #[arg(long, value_name = "FILE", conflicts_with = "password_file")]
    token_file: Option<PathBuf>,
    /// Whether the server's certificate must hold
    #[arg(long, value_name = "true|false")]
    verify_ssl: Option<bool>,
    /// For one request
    #[arg(long = "timeout", value_name = "SECONDS")]
    timeout_seconds: Option<u32>,
    #[arg(long, value_name = "N")]
    max_retries: Option<u32>,
    /// A JSON object of settings that are the service's own
    #[arg(long, value_name = "JSON")]
    extras: Option<String>,
    /// Forget the tenant's own setting: url, username, password, api_token, verify_ssl, timeout_seconds, max_retries, extras
    #[arg(long, value_name = "FIELD", value_delimiter = ',')]
    clear: Vec<String>,
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<()> {
    let (store, tenant) = context.store_and_tenant().await?;
    let oss = oss(context, store)?;
    match command {
        Command::Show { service: Some(service) } => context.output.record(&oss.get(&tenant.id, service).await?),
        Command::Show { service: None } => {
            let mut views = Vec::new();
            for service in OssService::ALL {
                views.push(oss.get(&tenant.id, service).await?);
            }
            context.output.list(&views, &["service", "config", "overrides"])
        }
        Command::Set(args) => {
            let service = args.service;
            if args.verify_ssl == Some(false) {
                output::warning("the certificate is not verified: whoever is on the path can read the credentials");
            }
            let patch = Patch::new(service, fields(*args)?)?;
            let view = oss.patch(&tenant.id, service, &patch, context.operator()).await?;
            context.output.record(&view)
        }
        Command::Unset { service } => {
            oss.delete(&tenant.id, service).await?;
            let told = format!("{} has no settings of its own of {service} now", tenant.name);
            context.output.done(&told);
            Ok(())
        }
        Command::Test { service } => {
            let mut reports = Vec::new();
            for one in OssService::ALL
                .into_iter()
                .filter(|one| service.is_none_or(|service| service == *one))
            {
                match oss.test(&tenant.id, one).await {
                    Err(OssError::NoUrl { .. }) if service.is_none() => {}
                    report => reports.push(report?),
                }
            }
            let columns = [
                "service",
                "reachable",
                "authenticated",
                "status",
                "milliseconds",
                "problem",
            ];
            context.output.list(&reports, &columns)?;
            match reports.iter().filter(|report| !report.is_well()).count() {
                0 => Ok(()),
                failed => Err(Error::Refused(format!("{failed} service(s) cannot be used"))),
            }
        }
    }
}

fn fields(args: SetArgs) -> Result<Map<String, Value>> {
    let mut fields = Map::new();
    let secret =
        |path: &PathBuf| -> Result<Value> { Ok(Source::file(path).read(SERVICE_SECRET)?.expose().trim().into()) };
    let extras = match &args.extras {
        Some(text) => {
            let parsed = serde_json::from_str(text);
            Some(parsed.map_err(|error| Error::Usage(format!("--extras: {error}")))?)
        }
        None => None,
    };
    for (name, value) in [
        ("url", args.url.map(Value::from)),
        ("username", args.username.map(Value::from)),
        ("password", args.password_file.as_ref().map(secret).transpose()?),
        ("api_token", args.token_file.as_ref().map(secret).transpose()?),
        ("verify_ssl", args.verify_ssl.map(Value::from)),
        ("timeout_seconds", args.timeout_seconds.map(Value::from)),
        ("max_retries", args.max_retries.map(Value::from)),
        ("extras", extras),
    ] {
        if let Some(value) = value {
            fields.insert(name.to_owned(), value);
        }
    }
    for name in args.clear {
        if fields.contains_key(&name) {
            return Err(Error::Usage(format!("--clear {name}: it is set at the same time")));
        }
        fields.insert(name, Value::Null);
    }
    if fields.is_empty() {
        return Err(Error::Usage("name something to set, or to --clear".to_owned()));
    }
    Ok(fields)
}

/// Settings with the environment's, and the configuration file's of NetBox, below those of tenants.
pub(crate) fn oss(context: &Context, store: &Store) -> Result<Oss> {
    let mut oss = Oss::new(store, context.keys()?);
    for service in OssService::ALL {
        let defaults = match service {
            OssService::Netbox => of_netbox(context),
            _ => ServiceConfig::of_environment(service, |name| std::env::var(name).ok())?,
        };
        oss = oss.with_defaults(service, defaults);
    }
    Ok(oss)
}

/// The file's table and the environment, which the settings have put together.
fn of_netbox(context: &Context) -> ServiceConfig {
    let table = &context.settings.netbox;
    let number = |value: Option<u64>| value.and_then(|value| u32::try_from(value).ok());
    ServiceConfig {
        url: table.url.clone(),
        api_token: table.token.clone().map(|token| token.0),
        verify_ssl: table.verify_tls,
        timeout_seconds: number(table.timeout_seconds),
        max_retries: table.max_retries,
        ..ServiceConfig::default()
    }
}
