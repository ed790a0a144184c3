//! What subscribers used in a period, open sessions included: their records are in the roll-ups as they come.

use jiff::Timestamp;
use serde::Serialize;

use super::error::Attempt as _;
use super::link::Tx;
use super::sql::{Columns, Param, Row, params, statements};
use super::usage_plan::{Calendar, HOUR, Plan, TIMES, plan};
use super::{Result, Store, StoreError};

/// How finely to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageBy {
    /// Hours of UTC.
    Hour,
    /// Days of the tenant's calendar.
    Day,
    Total,
}

/// Usage of one subscriber, or of a tenant's subscribers together.
#[derive(Debug, Clone)]
pub struct UsageQuery {
    pub tenant_id: String,
    pub subscriber_id: Option<String>,
    /// Unix seconds; the period ends before `to`.
    pub from: i64,
    pub to: i64,
    pub by: UsageBy,
}

/// Octets from (upload) and towards (download) subscribers, and time online.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct UsageAmount {
    pub upload_octets: u64,
    pub download_octets: u64,
    pub seconds: u64,
}

impl UsageAmount {
    const fn exceeds(&self, other: &Self) -> bool {
        self.upload_octets > other.upload_octets
            || self.download_octets > other.download_octets
            || self.seconds > other.seconds
    }
}

/// What was used in one hour or on one day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UsageRow {
    /// Unix seconds, the end not included.
    pub from: i64,
    pub to: i64,
    #[serde(flatten)]
    pub amount: UsageAmount,
}

/// The answer to a [`UsageQuery`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// What the answer covers, Unix seconds: the period asked for, widened to whole hours, or to whole days of the
    /// tenant's calendar where it is told by day or its hours are kept no longer.
    pub from: i64,
    pub to: i64,
    /// Of the tenant's calendar, as the tz database names it.
    pub timezone: String,
    #[serde(flatten)]
    pub total: UsageAmount,
    /// Hours or days in which something was used; none for a total.
    pub rows: Vec<UsageRow>,
}

/// The subscribers who used most in a period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TopUsers {
    /// What the answer covers, as for [`Usage`].
    pub from: i64,
    pub to: i64,
    pub users: Vec<TopUser>,
}

/// A subscriber among those who used most.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TopUser {
    pub subscriber_id: String,
    /// `None` where the subscriber is gone for good. Likewise the following two.
    pub username: Option<String>,
    pub subscriber_number: Option<String>,
    pub full_name: Option<String>,
    #[serde(flatten)]
    pub amount: UsageAmount,
}

/// $1: tenant, $2: subscriber or NULL, each statement for one of the two.
macro_rules! scope {
    (subscriber) => {
        "tenant_id = $1 AND subscriber_id = $2"
    };
    (tenant) => {
        "tenant_id = $1 AND $2 IS NULL"
    };
    (tenant, postgres) => {
        "tenant_id = $1 AND $2::text IS NULL"
    };
}

/// All rows of a [`Plan`]. $3 to $6: hours from, to, from, to; $7, $8: days from, to.
macro_rules! used {
    ($columns:literal, $scope:expr, $time:literal, $end:literal, $date:literal) => {
        concat!(
            "SELECT ",
            $columns,
            " FROM usage_hourly WHERE ",
            $scope,
            " AND hour >= ",
            $time,
            "$3",
            $end,
            " AND hour < ",
            $time,
            "$4",
            $end,
            " UNION ALL SELECT ",
            $columns,
            " FROM usage_hourly WHERE ",
            $scope,
            " AND hour >= ",
            $time,
            "$5",
            $end,
            " AND hour < ",
            $time,
            "$6",
            $end,
            " UNION ALL SELECT ",
            $columns,
            " FROM usage_daily WHERE ",
            $scope,
            " AND day >= $7",
            $date,
            " AND day < $8",
            $date
        )
    };
}
macro_rules! total {
    (sqlite, $scope:expr) => {
        concat!(
            "SELECT coalesce(sum(upload_octets), 0), coalesce(sum(download_octets), 0), coalesce(sum(seconds), 0) FROM (",
            used!("upload_octets, download_octets, seconds", $scope, "datetime(", ", 'unixepoch')", ""),
            ")"
        )
    };
    (postgres, $scope:expr) => {
        concat!(
            "SELECT coalesce(sum(upload_octets), 0)::bigint, coalesce(sum(download_octets), 0)::bigint,
                coalesce(sum(seconds), 0)::bigint FROM (",
            used!("upload_octets, download_octets, seconds", $scope, "to_timestamp(", ")", "::date"),
            ") AS used"
        )
    };
}
macro_rules! by_hour {
    (sqlite, $scope:expr) => {
        concat!(
            "SELECT unixepoch(hour), sum(upload_octets), sum(download_octets), sum(seconds) FROM usage_hourly WHERE ",
            $scope,
            " AND hour >= datetime($3, 'unixepoch') AND hour < datetime($4, 'unixepoch') GROUP BY hour ORDER BY hour"
        )
    };
    (postgres, $scope:expr) => {
        concat!(
            "SELECT extract(epoch FROM hour)::bigint, sum(upload_octets)::bigint, sum(download_octets)::bigint,
                sum(seconds)::bigint FROM usage_hourly WHERE ",
            $scope,
            " AND hour >= to_timestamp($3) AND hour < to_timestamp($4) GROUP BY hour ORDER BY hour"
        )
    };
}
macro_rules! by_day {
    (sqlite, $scope:expr) => {
        concat!(
            "SELECT day, sum(upload_octets), sum(download_octets), sum(seconds) FROM usage_daily WHERE ",
            $scope,
            " AND day >= $3 AND day < $4 GROUP BY day ORDER BY day"
        )
    };
    (postgres, $scope:expr) => {
        concat!(
            "SELECT day::text, sum(upload_octets)::bigint, sum(download_octets)::bigint, sum(seconds)::bigint
                FROM usage_daily WHERE ",
            $scope,
            " AND day >= $3::date AND day < $4::date GROUP BY day ORDER BY day"
        )
    };
}

statements! {
    TIMEZONE { both: "SELECT timezone FROM tenants WHERE id = $1" }
    FIRST_HOUR {
        sqlite: "SELECT unixepoch(min(hour)) FROM usage_hourly WHERE hour >= datetime($1, 'unixepoch')",
        postgres: "SELECT extract(epoch FROM min(hour))::bigint FROM usage_hourly WHERE hour >= to_timestamp($1)",
    }
    TOTAL_OF_SUBSCRIBER {
        sqlite: total!(sqlite, scope!(subscriber)),
        postgres: total!(postgres, scope!(subscriber)),
    }
    TOTAL_OF_TENANT {
        sqlite: total!(sqlite, scope!(tenant)),
        postgres: total!(postgres, scope!(tenant, postgres)),
    }
    HOURS_OF_SUBSCRIBER {
        sqlite: by_hour!(sqlite, scope!(subscriber)),
        postgres: by_hour!(postgres, scope!(subscriber)),
    }
    HOURS_OF_TENANT {
        sqlite: by_hour!(sqlite, scope!(tenant)),
        postgres: by_hour!(postgres, scope!(tenant, postgres)),
    }
    DAYS_OF_SUBSCRIBER {
        sqlite: by_day!(sqlite, scope!(subscriber)),
        postgres: by_day!(postgres, scope!(subscriber)),
    }
    DAYS_OF_TENANT {
        sqlite: by_day!(sqlite, scope!(tenant)),
        postgres: by_day!(postgres, scope!(tenant, postgres)),
    }
    /// $9: how many.
    TOP {
        sqlite: concat!("SELECT u.subscriber_id, s.username, s.subscriber_number, s.full_name, up, down, online FROM (
                SELECT subscriber_id, sum(upload_octets) AS up, sum(download_octets) AS down, sum(seconds) AS online FROM (",
            used!("subscriber_id, upload_octets, download_octets, seconds", scope!(tenant), "datetime(", ", 'unixepoch')", ""),
            ") GROUP BY subscriber_id ORDER BY up + down DESC, subscriber_id LIMIT $9) u
            LEFT JOIN subscribers s ON s.id = u.subscriber_id ORDER BY up + down DESC, u.subscriber_id"),
        postgres: concat!("SELECT u.subscriber_id, s.username, s.subscriber_number, s.full_name, up, down, online FROM (
                SELECT subscriber_id, sum(upload_octets)::bigint AS up, sum(download_octets)::bigint AS down,
                    sum(seconds)::bigint AS online FROM (",
            used!("subscriber_id, upload_octets, download_octets, seconds", scope!(tenant, postgres), "to_timestamp(", ")",
                "::date"),
            ") AS used GROUP BY subscriber_id
                ORDER BY sum(upload_octets) + sum(download_octets) DESC, subscriber_id COLLATE \"C\" LIMIT $9) u
            LEFT JOIN subscribers s ON s.id = u.subscriber_id ORDER BY up + down DESC, u.subscriber_id COLLATE \"C\""),
    }
}

type Sqlx<T> = std::result::Result<T, sqlx::Error>;

fn amount(columns: &mut Columns<'_>) -> Sqlx<UsageAmount> {
    Ok(UsageAmount {
        upload_octets: columns.number()?,
        download_octets: columns.number()?,
        seconds: columns.number()?,
    })
}

fn top_user(row: &Row) -> Sqlx<TopUser> {
    let mut columns = Columns::of(row);
    Ok(TopUser {
        subscriber_id: columns.text()?,
        username: columns.opt_text()?,
        subscriber_number: columns.opt_text()?,
        full_name: columns.opt_text()?,
        amount: amount(&mut columns)?,
    })
}

/// Whose usage, as the statements' first two parameters.
struct Scope<'a> {
    tenant: &'a str,
    subscriber: Option<&'a str>,
}

impl<'a> Scope<'a> {
    const fn choose<T>(&self, of_subscriber: T, of_tenant: T) -> T
    where
        T: Copy,
    {
        if self.subscriber.is_some() {
            of_subscriber
        } else {
            of_tenant
        }
    }

    fn params(&self, plan: &Plan) -> Vec<Param<'a>> {
        let [(a, b), (c, d)] = plan.hours;
        let (first, end) = plan.days;
        let mut params = params![self.tenant, self.subscriber, a, b, c, d].to_vec();
        params.extend([first.to_string(), end.to_string()].map(Param::from));
        params
    }

    async fn total(&self, tx: &mut Tx, plan: &Plan) -> Sqlx<UsageAmount> {
        let statement = self.choose(TOTAL_OF_SUBSCRIBER, TOTAL_OF_TENANT);
        let row = tx.link().one(statement, &self.params(plan)).await?;
        amount(&mut Columns::of(&row))
    }

    async fn rows(&self, tx: &mut Tx, plan: &Plan, calendar: &Calendar) -> Sqlx<Vec<UsageRow>> {
        let mut rows = Vec::new();
        let (first, end) = plan.days;
        if first < end {
            let params = params![self.tenant, self.subscriber, first.to_string(), end.to_string()];
            for row in tx
                .link()
                .all(self.choose(DAYS_OF_SUBSCRIBER, DAYS_OF_TENANT), params)
                .await?
            {
                let mut columns = Columns::of(&row);
                let day = columns.parsed()?;
                rows.push(UsageRow {
                    from: calendar.midnight(day),
                    to: calendar.midnight(calendar.next(day)),
                    amount: amount(&mut columns)?,
                });
            }
        }
        for (from, to) in plan.hours.into_iter().filter(|(from, to)| from < to) {
            let params = params![self.tenant, self.subscriber, from, to];
            for row in tx
                .link()
                .all(self.choose(HOURS_OF_SUBSCRIBER, HOURS_OF_TENANT), params)
                .await?
            {
                let mut columns = Columns::of(&row);
                let hour: i64 = columns.number()?;
                rows.push(UsageRow {
                    from: hour,
                    to: hour + HOUR,
                    amount: amount(&mut columns)?,
                });
            }
        }
        Ok(rows)
    }

    /// From when on the hours are all there: retention takes them from the oldest on. `None` where no usage since `from`
    /// is without its hours.
    async fn hours_since(&self, tx: &mut Tx, from: i64, calendar: &Calendar) -> Sqlx<Option<i64>> {
        let from = from - from % HOUR;
        let row = tx.link().one(FIRST_HOUR, params![from]).await?;
        let first: Option<i64> = Columns::of(&row).opt_number()?;
        let first = first.unwrap_or(i64::MAX);
        if first == from {
            return Ok(None);
        }
        // Nothing is missing where these days have no more than their hours: at both ends the hours that are partly theirs.
        let days = (calendar.date(from), calendar.next(calendar.date(first)));
        let (begin, end) = (calendar.midnight(days.0), calendar.midnight(days.1));
        let by_day = Plan {
            days,
            ..Plan::default()
        };
        let by_hour = Plan {
            hours: [(0, 0), (begin - begin % HOUR, end + (HOUR - end % HOUR) % HOUR)],
            ..Plan::default()
        };
        let missing = self.total(tx, &by_day).await?.exceeds(&self.total(tx, &by_hour).await?);
        Ok(missing.then_some(first))
    }
}

impl Store {
    /// What was used in a period. Octets count for the hour in which the NAS told of them, spread where it told late.
    ///
    /// # Errors
    /// There is no such tenant, its timezone is unknown here, or the database does not answer.
    pub async fn usage(&self, query: &UsageQuery) -> Result<Usage> {
        let attempt = || "sum up usage".to_owned();
        let scope = Scope {
            tenant: &query.tenant_id,
            subscriber: query.subscriber_id.as_deref(),
        };
        let mut tx = self.begin_snapshot().await.attempt(attempt)?;
        let (calendar, plan) = prepare(&mut tx, &scope, query.by, query.from, query.to).await?;
        let total = scope.total(&mut tx, &plan).await.attempt(attempt)?;
        let rows = match query.by {
            UsageBy::Total => Vec::new(),
            UsageBy::Hour | UsageBy::Day => scope.rows(&mut tx, &plan, &calendar).await.attempt(attempt)?,
        };
        let (from, to) = plan.bounds(&calendar);
        Ok(Usage {
            from,
            to,
            timezone: calendar.name().to_owned(),
            total,
            rows,
        })
    }

    /// The `count` subscribers of a tenant who used most octets in a period, both directions together, the heaviest
    /// first. The period is widened as for [`UsageBy::Total`].
    ///
    /// # Errors
    /// As for [`Self::usage`].
    pub async fn usage_top(&self, tenant_id: &str, from: i64, to: i64, count: u32) -> Result<TopUsers> {
        let attempt = || "find who used most".to_owned();
        let scope = Scope {
            tenant: tenant_id,
            subscriber: None,
        };
        let mut tx = self.begin_snapshot().await.attempt(attempt)?;
        let (calendar, plan) = prepare(&mut tx, &scope, UsageBy::Total, from, to).await?;
        let mut params = scope.params(&plan);
        params.push(count.into());
        let rows = tx.link().all(TOP, &params).await.attempt(attempt)?;
        let users = rows.iter().map(top_user).collect::<Sqlx<_>>().attempt(attempt)?;
        let (from, to) = plan.bounds(&calendar);
        Ok(TopUsers { from, to, users })
    }
}

async fn prepare(tx: &mut Tx, scope: &Scope<'_>, by: UsageBy, from: i64, to: i64) -> Result<(Calendar, Plan)> {
    let attempt = || "look up the tenant's timezone".to_owned();
    let row = tx
        .link()
        .optional(TIMEZONE, params![scope.tenant])
        .await
        .attempt(attempt)?;
    let Some(row) = row else {
        return Err(StoreError::NotFound {
            attempt: format!("tenant {:?}", scope.tenant),
        });
    };
    let calendar: Calendar = Columns::of(&row).parsed().attempt(attempt)?;
    let attempt = || "find the hours that are kept".to_owned();
    let from = from.clamp(TIMES.0, TIMES.1);
    let since = match by {
        UsageBy::Day => None,
        UsageBy::Hour | UsageBy::Total => scope.hours_since(tx, from, &calendar).await.attempt(attempt)?,
    };
    let plan = plan(by, from, to, since, &calendar, Timestamp::now().as_second());
    Ok((calendar, plan))
}
