use isp_core::store::AgedTable;
use jiff::{Timestamp, ToSpan as _, tz::TimeZone};
use serde::Serialize;

use crate::context::Context;
use crate::error::{Error, Result};
use crate::period;

const DAY: i64 = 86_400;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "What is removed is gone for good: without --yes nothing is. Open sessions and usage by day always stay. \
                        Run it from a timer, with --yes."
)]
pub(crate) struct Args {
    /// Keep closed sessions that ended this month or in the N months before (UTC) [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1200))]
    accounting_months: Option<u32>,
    /// Keep authentication outcomes (radpostauth) of the last N days [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    postauth_days: Option<u32>,
    /// Keep usage by the hour of the last N days, and no less than rolling quotas count over; usage by day stays
    #[arg(long, value_name = "N", default_value_t = 400, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    hourly_days: u32,
    /// Keep what servers said of themselves (ispctl status) in the last N days; one that is gone goes with what it said waits
    /// in its journal
    #[arg(long, value_name = "N", default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    node_days: u32,
    /// Keep who changed what (ispctl audit) in the last N days [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    audit_days: Option<u32>,
    /// Say what would be removed, remove nothing
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    /// Remove it
    #[arg(long)]
    yes: bool,
}

/// Rows that are, or would be, removed.
#[derive(Serialize)]
struct Removed {
    table: &'static str,
    /// Of the stop, for accounting.
    month: Option<String>,
    /// Where rows go by their age.
    older_than: Option<i64>,
    rows: u64,
}

pub(crate) async fn run(context: &Context, args: Args) -> Result<()> {
    let store = context.store().await?;
    let now = period::now();
    let mut report = Vec::new();
    let rolling = store.quota_longest_rolling().await?;
    if rolling > args.hourly_days.saturating_mul(24) {
        return Err(Error::Usage(format!(
            "a rolling quota counts the last {rolling} hours: --hourly-days must be {} or more",
            rolling.div_ceil(24)
        )));
    }
    if let Some(months) = args.accounting_months {
        let keep_from = months_before(now, months)?;
        let removed = if args.yes {
            store.radacct_retain(keep_from).await?
        } else {
            store.radacct_months_before(keep_from).await?
        };
        report.extend(removed.into_iter().map(|month| Removed {
            table: "radacct",
            month: Some(month.month),
            older_than: None,
            rows: month.sessions,
        }));
    }
    let aged = [
        (AgedTable::UsageHourly, "usage_hourly", Some(args.hourly_days)),
        (AgedTable::PostAuth, "radpostauth", args.postauth_days),
        (AgedTable::Nodes, "node_status", Some(args.node_days)),
        (AgedTable::Audit, "audit_log", args.audit_days),
    ];
    for (table, name, days) in aged {
        let Some(days) = days else { continue };
        let keep_from = (now - i64::from(days) * DAY).max(0);
        let rows = if args.yes {
            store.aged_delete(table, keep_from).await?
        } else {
            store.aged_count(table, keep_from).await?
        };
        if rows > 0 {
            report.push(Removed {
                table: name,
                month: None,
                older_than: Some(keep_from),
                rows,
            });
        }
    }
    context
        .output
        .list(&report, &["table", "month", "older_than", "rows"])?;
    let rows: u64 = report.iter().map(|removed| removed.rows).sum();
    if report.is_empty() {
        context.output.done("nothing is old enough to go");
    } else if args.yes {
        context.output.done(&format!("removed {rows} rows"));
    } else if args.dry_run {
        context.output.done(&format!("would remove {rows} rows"));
    } else {
        return Err(Error::Usage(format!(
            "nothing was removed: {rows} rows would go for good, say --yes to remove them"
        )));
    }
    Ok(())
}

/// The first moment of the month (UTC) that is `months` before that of `now`.
fn months_before(now: i64, months: u32) -> Result<i64> {
    let first = || {
        let today = Timestamp::from_second(now)?.to_zoned(TimeZone::UTC).date();
        let month = today.first_of_month().checked_sub(i64::from(months).months())?;
        Ok(month.to_zoned(TimeZone::UTC)?.timestamp().as_second())
    };
    first().map_err(|e: jiff::Error| Error::Usage(format!("{months} months ago: {e}")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn months_are_those_of_the_calendar() {
        // 2026-03-31T12:00:00Z to 2026-02-01, 2025-03-01.
        let now = 1_774_958_400;
        assert_eq!(months_before(now, 1).unwrap(), 1_769_904_000);
        assert_eq!(months_before(now, 12).unwrap(), 1_740_787_200);
    }
}
