//! One order and its NAS: what is sent, and what an answer means.

use super::{Destination, WorkerConfig};
use crate::clock::unix_now;
use crate::coa::{CoaError, ErrorCause, Outcome, Report};
use crate::convergence::wire;
use crate::order::{Cause, OrderKind, OrderState};
use crate::policy::vendor::coa::Request;
use crate::store::{ClaimedOrder, OrderOutcome};

pub(super) fn failed(id: i64, reason: String) -> OrderOutcome {
    OrderOutcome {
        id,
        state: OrderState::Failed,
        wait: 0,
        rtt: None,
        result: None,
        error_cause: None,
        reason: Some(reason),
    }
}

/// Why a packet was not sent.
enum Unsent {
    /// It cannot be made.
    Packet(String),
    /// It may get there later.
    Later(String),
    /// Somebody has to change something first.
    Never(String),
}

/// One request and its answer.
async fn ask(
    kind: OrderKind,
    order: &ClaimedOrder,
    target: &Destination,
    config: &WorkerConfig,
) -> Result<Report, Unsent> {
    let items = order.set.iter().chain(&order.unset);
    let packet = wire::order(&config.dictionary, kind, &target.coa, &order.session, items, unix_now())
        .map_err(|why| Unsent::Packet(why.to_string()))?;
    config
        .client
        .deliver(&target.to, &packet)
        .await
        .map_err(|why| match why {
            CoaError::Order(why) => Unsent::Packet(why.to_string()),
            why if why.is_temporary() => Unsent::Later(why.to_string()),
            why => Unsent::Never(why.to_string()),
        })
}

/// Tell the NAS; where a change cannot be made, end the session instead.
pub(super) async fn tell(order: &ClaimedOrder, target: &Destination, config: &WorkerConfig) -> OrderOutcome {
    let kind = match target.coa.request {
        Request::Disconnect if order.cause != Cause::Manual => OrderKind::Disconnect,
        _ => order.kind,
    };
    let asked = ask(kind, order, target, config).await;
    // Who orders a change by hand asked for nothing else.
    let or_end = kind == OrderKind::Change && order.cause != Cause::Manual;
    let (why, cause) = match &asked {
        Ok(report) => match report.outcome {
            Outcome::Nak(cause) if or_end && !stands(cause) => {
                (format!("the NAS refused the change ({})", told(cause)), cause)
            }
            _ => return judge(kind, order, report, config),
        },
        Err(Unsent::Packet(why)) if or_end => (why.clone(), None),
        Err(Unsent::Packet(why) | Unsent::Never(why)) => return failed(order.id, why.clone()),
        Err(Unsent::Later(why)) => return again(order, config, why.clone()),
    };
    let mut outcome = match ask(OrderKind::Disconnect, order, target, config).await {
        Ok(second) => judge(OrderKind::Disconnect, order, &second, config),
        Err(Unsent::Packet(why) | Unsent::Never(why)) => failed(order.id, why),
        Err(Unsent::Later(why)) => again(order, config, why),
    };
    if outcome.result == Some("ack") {
        outcome.result = Some("disconnected");
    }
    outcome.error_cause = outcome.error_cause.or(cause.map(|cause| cause.0));
    outcome.reason = Some(match outcome.reason {
        Some(reason) => format!("{why}; {reason}"),
        None => why,
    });
    outcome
}

/// What is to be tried again, or has been for long enough.
fn again(order: &ClaimedOrder, config: &WorkerConfig, why: String) -> OrderOutcome {
    let doubled = 2u32.saturating_pow(order.attempts.saturating_sub(1));
    let wait = config.first_wait.saturating_mul(doubled).min(config.longest_wait);
    if order.age + wait > config.give_up {
        return failed(order.id, format!("{why}; given up after {} attempts", order.attempts));
    }
    OrderOutcome {
        state: OrderState::Pending,
        wait: wait.as_secs().max(1),
        ..failed(order.id, why)
    }
}

/// Whether a refusal means that there is no such session, or that it may be asked for again later.
fn stands(cause: Option<ErrorCause>) -> bool {
    matches!(
        cause,
        Some(ErrorCause::SESSION_CONTEXT_NOT_FOUND | ErrorCause::RESOURCES_UNAVAILABLE)
    )
}

fn told(cause: Option<ErrorCause>) -> String {
    cause.map_or_else(|| "no Error-Cause".to_owned(), |cause| format!("Error-Cause {cause}"))
}

fn judge(kind: OrderKind, order: &ClaimedOrder, report: &Report, config: &WorkerConfig) -> OrderOutcome {
    let rtt = report
        .round_trip
        .map(|rtt| u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX));
    let answered = |state, result, cause: Option<ErrorCause>, reason: Option<String>| OrderOutcome {
        id: order.id,
        state,
        wait: 0,
        rtt,
        result: Some(result),
        error_cause: cause.map(|cause| cause.0),
        reason,
    };
    match report.outcome {
        Outcome::Ack => answered(OrderState::Done, "ack", None, None),
        Outcome::Nak(cause @ Some(ErrorCause::SESSION_CONTEXT_NOT_FOUND)) => {
            let reason = "the NAS has no such session".to_owned();
            answered(OrderState::Done, "gone", cause, Some(reason))
        }
        Outcome::Nak(cause @ Some(ErrorCause::RESOURCES_UNAVAILABLE)) => OrderOutcome {
            rtt,
            error_cause: cause.map(|cause| cause.0),
            ..again(order, config, format!("the NAS is busy ({})", told(cause)))
        },
        Outcome::Nak(cause) => {
            let what = match kind {
                OrderKind::Change => "the change",
                OrderKind::Disconnect => "to end the session",
            };
            let reason = format!("the NAS refused {what} ({})", told(cause));
            answered(OrderState::Failed, "nak", cause, Some(reason))
        }
        Outcome::Timeout if report.rejected > 0 => {
            let why = format!(
                "{} answers did not verify: has the NAS another shared secret?",
                report.rejected
            );
            again(order, config, why)
        }
        Outcome::Timeout => again(order, config, "the NAS does not answer".to_owned()),
    }
}
