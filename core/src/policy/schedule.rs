//! Changes that are planned for an instant: a suspension and its end, a termination, another plan.

use serde::{Deserialize, Serialize};

use crate::subscriber::Status;

/// What changes, and when. `P` names a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scheduled<P> {
    /// Unix seconds.
    pub at: i64,
    pub change: Change<P>,
}

/// What changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change<P> {
    Status(Status),
    Plan(P),
}

/// Where a subscriber stands at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing<P> {
    pub status: Status,
    pub plan: Option<P>,
    /// When the status changes next, Unix seconds.
    pub next_status: Option<i64>,
}

/// Where a subscriber that has `status` and `plan` stands at `now` by what is planned, in the order of time.
///
/// Who is terminated stays so: what was planned before must not bring it back.
pub fn standing<P: Copy>(status: Status, plan: Option<P>, planned: &[Scheduled<P>], now: i64) -> Standing<P> {
    let mut standing = Standing {
        status,
        plan,
        next_status: None,
    };
    for scheduled in planned {
        if standing.status == Status::Terminated {
            break;
        }
        match scheduled.change {
            Change::Status(status) if scheduled.at <= now => standing.status = status,
            Change::Status(status) => {
                if status != standing.status && standing.next_status.is_none() {
                    standing.next_status = Some(scheduled.at);
                }
            }
            Change::Plan(plan) if scheduled.at <= now => standing.plan = Some(plan),
            Change::Plan(_) => {}
        }
    }
    standing
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn to(at: i64, status: Status) -> Scheduled<u32> {
        Scheduled {
            at,
            change: Change::Status(status),
        }
    }

    const fn plan(at: i64, plan: u32) -> Scheduled<u32> {
        Scheduled {
            at,
            change: Change::Plan(plan),
        }
    }

    #[test]
    fn what_has_come_holds_and_the_next_is_known() {
        use Status::{Active, Suspended, Terminated};
        let planned = [
            to(10, Suspended),
            plan(15, 2),
            to(20, Active),
            to(30, Terminated),
            to(40, Active),
        ];
        for (now, expected) in [
            (9, (Active, 1, Some(10))),
            (10, (Suspended, 1, Some(20))),
            (15, (Suspended, 2, Some(20))),
            (20, (Active, 2, Some(30))),
            (30, (Terminated, 2, None)),
            (50, (Terminated, 2, None)),
        ] {
            let standing = standing(Active, Some(1), &planned, now);
            let got = (standing.status, standing.plan.unwrap_or_default(), standing.next_status);
            assert_eq!(got, expected, "at {now}");
        }
        assert_eq!(standing(Terminated, Some(1), &planned, 20).status, Terminated);
    }
}
