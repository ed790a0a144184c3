use isp_core::store::{Certainty, Holder, Session, SessionAddress};

use crate::context::Context;
use crate::error::Result;
use crate::{field, output, period};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "An answer is reported where the NAS spoke of the session at that time or later, and presumed where it \
                        was last heard of it before and nothing says when the session ended: it is open, or was closed \
                        for its silence since. A session is known by the addresses it had last."
)]
pub(crate) struct Args {
    /// IPv4 address, IPv6 address or prefix, or MAC address
    address: SessionAddress,
    /// At this moment: 2026-01-31T18:00:00Z, or with an offset (+02:00) [default: now]
    #[arg(long, value_name = "TIME", value_parser = field::parse::moment, conflicts_with_all = ["from", "to"])]
    at: Option<i64>,
    /// At any time since
    #[arg(long, value_name = "TIME", value_parser = field::parse::moment)]
    from: Option<i64>,
    /// And until [default: now]
    #[arg(long, value_name = "TIME", value_parser = field::parse::moment, requires = "from")]
    to: Option<i64>,
    /// At most so many, the latest start first: all are held in memory. For more ask for shorter periods
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
}

pub(crate) async fn run(context: &Context, args: Args) -> Result<()> {
    let now = period::now();
    let asked = match (args.at, args.from) {
        (Some(at), _) => at..=at,
        (None, Some(from)) => period::closed(from, args.to.unwrap_or(now))?,
        (None, None) => now..=now,
    };
    period::begun(*asked.start(), now)?;
    let store = context.store().await?;
    let tenant = context.named_tenant(store).await?;
    let tenant_id = tenant.as_ref().map(|tenant| tenant.id.as_str());
    // One more tells whether there are more.
    let mut holders = store
        .whohad(tenant_id, args.address, asked.clone(), Some(args.limit + 1))
        .await?;
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let more = holders.len() > limit;
    if more {
        holders.truncate(limit);
    }
    context.output.list(&holders, &columns(&holders))?;
    if holders.is_empty() {
        let when = match (asked.start(), asked.end()) {
            (from, to) if from == to => format!("at {}", output::date(*from)),
            (from, to) => format!("from {} to {}", output::date(*from), output::date(*to)),
        };
        context.output.done(&format!("no session had {} {when}", args.address));
    }
    if holders.iter().any(|holder| holder.certainty == Certainty::Presumed) {
        output::warning("presumed: the NAS was last heard of the session before, nothing says when it ended");
    }
    if more {
        output::warning(&format!(
            "only {limit} are listed, there are more: ask for a shorter period, or raise --limit"
        ));
    }
    Ok(())
}

/// Of the addresses, those that some session had.
fn columns(holders: &[Holder]) -> Vec<&'static str> {
    let some = |has: fn(&Session) -> bool| holders.iter().any(|holder| has(&holder.session));
    let addresses = [
        ("framed_ip_address", some(|session| session.framed_ip_address.is_some())),
        (
            "framed_ipv6_address",
            some(|session| session.framed_ipv6_address.is_some()),
        ),
        (
            "framed_ipv6_prefix",
            some(|session| session.framed_ipv6_prefix.is_some()),
        ),
        (
            "delegated_ipv6_prefix",
            some(|session| session.delegated_ipv6_prefix.is_some()),
        ),
    ];
    let mut columns = vec!["certainty", "username", "subscriber_number", "full_name"];
    columns.extend(addresses.iter().filter(|(_, some)| *some).map(|(name, _)| *name));
    columns.extend([
        "calling_station_id",
        "nas_ip_address",
        "nas_port_id",
        "started_at",
        "stopped_at",
        "last_heard_at",
        "id",
    ]);
    columns
}
