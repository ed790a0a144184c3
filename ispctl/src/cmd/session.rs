use std::net::IpAddr;

use clap::Subcommand;
use isp_core::store::{Session, SessionAddress, SessionFilter};

use super::order;
use super::subscriber::find;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::{field, output, period};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List sessions, the latest first, of the tenant named or of all
    List(ListArgs),
    /// Tell the NAS to end open sessions
    Disconnect(order::DisconnectArgs),
    /// Tell the NAS to change open sessions
    Coa(order::ChangeArgs),
    /// Show all of one session
    Show {
        /// Its id, or its Acct-Unique-Session-Id for the latest of that
        session: String,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    /// Open ones only
    #[arg(long)]
    open: bool,
    /// NAS-IP-Address
    #[arg(long, value_name = "ADDRESS")]
    nas: Option<IpAddr>,
    /// Of a subscriber: username or id
    #[arg(long, value_name = "USER")]
    subscriber: Option<String>,
    /// User-Name as the NAS sent it
    #[arg(long, value_name = "NAME")]
    username: Option<String>,
    /// IPv4 address, IPv6 address or prefix, or MAC address
    #[arg(long)]
    address: Option<SessionAddress>,
    /// Ran at or after this time: 2026-01-31, 2026-01-31T18:00:00Z, or with an offset (+02:00)
    #[arg(long, value_name = "TIME", value_parser = field::parse::moment)]
    from: Option<i64>,
    /// Ran at or before this time
    #[arg(long, value_name = "TIME", value_parser = field::parse::moment)]
    to: Option<i64>,
    /// At most so many: all are held in memory. For more go on with --after
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// Go on after the session with this id
    #[arg(long, value_name = "ID")]
    after: Option<i64>,
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<()> {
    match command {
        Command::List(args) => list(context, args).await,
        Command::Disconnect(args) => order::disconnect(context, args).await,
        Command::Coa(args) => order::change(context, args).await,
        Command::Show { session } => show(context, &session).await,
    }
}

async fn list(context: &Context, args: ListArgs) -> Result<()> {
    let store = context.store().await?;
    let tenant = context.named_tenant(store).await?;
    let subscriber_id = match &args.subscriber {
        Some(user) => Some(find(store, &context.tenant(store).await?, user).await?.id),
        None => None,
    };
    let period = match (args.from, args.to) {
        (None, None) => None,
        (from, to) => Some(period::closed(from.unwrap_or(0), to.unwrap_or(i64::MAX))?),
    };
    let filter = SessionFilter {
        tenant_id: tenant.map(|tenant| tenant.id),
        nas: args.nas.map(|nas| nas.to_canonical()),
        username: args.username,
        subscriber_id,
        acct_unique_id: None,
        address: args.address,
        open: args.open,
        period,
        after: args.after,
        // One more tells whether there are more.
        limit: Some(args.limit + 1),
        ..SessionFilter::default()
    };
    let mut sessions = store.session_list(&filter).await?;
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let more = sessions.len() > limit;
    if more {
        sessions.truncate(limit);
    }
    context.output.list(
        &sessions,
        &[
            "id",
            "username",
            "nas_ip_address",
            "calling_station_id",
            "framed_ip_address",
            "started_at",
            "stopped_at",
            "session_time",
            "upload_octets",
            "download_octets",
        ],
    )?;
    if let (true, Some(last)) = (more, sessions.last()) {
        output::warning(&format!(
            "only {limit} are listed, there are more: go on with --after {}",
            last.id
        ));
    }
    Ok(())
}

async fn show(context: &Context, name: &str) -> Result<()> {
    let store = context.store().await?;
    let tenant = context.named_tenant(store).await?.map(|tenant| tenant.id);
    let session: Option<Session> = match name.parse() {
        // 32 digits may all be decimal ones, but then are too many for an id.
        Ok(id) => store.session_get(tenant.as_deref(), id).await?,
        Err(_) => {
            let filter = SessionFilter {
                tenant_id: tenant,
                acct_unique_id: Some(name.to_owned()),
                limit: Some(1),
                ..SessionFilter::default()
            };
            // A site may make keys of its own; those of the server are lower-case digits.
            let lower = SessionFilter {
                acct_unique_id: Some(name.to_ascii_lowercase()),
                ..filter.clone()
            };
            match store.session_list(&filter).await?.into_iter().next() {
                Some(session) => Some(session),
                None => store.session_list(&lower).await?.into_iter().next(),
            }
        }
    };
    let session = session.ok_or_else(|| Error::NotFound {
        kind: "session",
        name: name.to_owned(),
        place: "the accounting that is kept".to_owned(),
    })?;
    context.output.record(&session)
}
