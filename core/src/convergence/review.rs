//! What one look at a live session comes to.

use super::diff::{Step, all_carried, difference};
use super::outlook::{Outlook, cause, refused};
use crate::order::{Cause, NewOrder, OrderItem, OrderKind, Verdict, Wanted};
use crate::policy::mark::Mark;
use crate::policy::vendor::Coa;
use crate::store::{Review, ReviewedSession};

/// A session that waits for something else is looked at again after this, seconds.
const LATER: i64 = 5;

/// What is to be written about a session whose outlook is this; `None`: nothing. Without an outlook it is left alone until
/// something changes.
pub(super) fn review(session: &ReviewedSession, outlook: Option<&Outlook>, now: i64) -> Option<Review> {
    let Some(outlook) = outlook else {
        // Else it would be due for ever.
        let applied = session.applied.as_ref()?;
        applied.recheck_at?;
        return Some(plain(session, applied.wanted.clone(), None));
    };
    match &session.applied {
        None => Some(first_sight(session, outlook)),
        Some(applied) => {
            let looked = later_sight(session, outlook, &applied.wanted, applied.settled.as_deref(), now);
            let same = looked.order.is_none()
                && !looked.supersede
                && !looked.retold
                && looked.recheck_at == applied.recheck_at;
            (!same).then_some(looked)
        }
    }
}

/// The outlook of a session whose subscriber is gone.
pub(super) fn gone() -> Outlook {
    Outlook {
        wanted: refused(),
        reason: Some(crate::policy::Reason::UnknownSubscriber),
        recheck_at: None,
        coa: Coa::default(),
    }
}

fn plain(session: &ReviewedSession, applied: Wanted, recheck_at: Option<i64>) -> Review {
    Review {
        session_id: session.live.session_id,
        tenant_id: session.live.tenant_id.clone(),
        subscriber_id: session.live.subscriber_id.clone(),
        applied,
        retold: false,
        recheck_at,
        supersede: false,
        order: None,
    }
}

fn first_sight(session: &ReviewedSession, outlook: &Outlook) -> Review {
    let wanted = &outlook.wanted;
    let mark = session.class.as_deref().and_then(Mark::in_class);
    let told = mark.map(|mark| mark.to_string());
    let had = match (mark, wanted.verdict) {
        // It was opened under today's decision, or there is no telling.
        (None, Verdict::Accept | Verdict::Restricted) => wanted.clone(),
        (Some(_), _) if told.as_deref() == Some(wanted.fingerprint.as_str()) => wanted.clone(),
        (mark, _) => Wanted {
            fingerprint: told.unwrap_or_default(),
            items: Vec::new(),
            verdict: match mark {
                Some(mark) if mark.restricted => Verdict::Restricted,
                _ => Verdict::Accept,
            },
        },
    };
    let mut looked = plain(session, had, outlook.recheck_at);
    if looked.applied == *wanted {
        return looked;
    }
    // Of what it was told then, no more is known than that it was something else.
    let step = match (looked.applied.verdict, wanted.verdict) {
        (_, Verdict::Reject) | (Verdict::Restricted, Verdict::Accept) => Step::Disconnect,
        _ => match all_carried(&outlook.coa, &wanted.items) {
            set if set.is_empty() => Step::Nothing,
            set => Step::Change { set, unset: Vec::new() },
        },
    };
    if step == Step::Nothing {
        looked.applied = wanted.clone();
    }
    looked.order = ordered(session, outlook, &looked.applied, step);
    looked
}

fn later_sight(session: &ReviewedSession, outlook: &Outlook, had: &Wanted, settled: Option<&str>, now: i64) -> Review {
    let wanted = &outlook.wanted;
    let mut looked = plain(session, had.clone(), outlook.recheck_at);
    let is_it = |order: &Option<crate::store::LiveOrder>| {
        order
            .as_ref()
            .is_some_and(|order| order.wanted.as_deref() == Some(&wanted.fingerprint))
    };
    if is_it(&session.pending) {
        return looked;
    }
    let by_hand = session.pending.as_ref().filter(|order| order.cause == Cause::Manual);
    if let Some(order) = by_hand {
        // The session ends anyway, or it is told by hand first.
        if order.kind == OrderKind::Change && wanted.fingerprint != had.fingerprint {
            looked.recheck_at = Some(now + LATER);
        }
        return looked;
    }
    looked.supersede = session.pending.is_some();
    if session.pending.is_none() && is_it(&session.sending) {
        return looked;
    }
    if settled == Some(wanted.fingerprint.as_str()) && session.sending.is_none() {
        return looked;
    }
    // What is on its way, or was sent without an answer, the session may have been told or not.
    let sent = session
        .pending
        .iter()
        .filter(|order| order.attempts > 0)
        .chain(&session.sending);
    let maybe: Vec<OrderItem> = sent
        // What was told by hand is not the policy's to take back.
        .filter(|order| order.kind == OrderKind::Change && order.wanted.is_some())
        .flat_map(|order| order.set.iter().chain(&order.unset))
        .cloned()
        .collect();
    if wanted.fingerprint == had.fingerprint && maybe.is_empty() {
        return looked;
    }
    let step = match wanted.verdict {
        Verdict::Reject => Step::Disconnect,
        _ => difference(&outlook.coa, &had.items, &maybe, &wanted.items),
    };
    if step == Step::Nothing {
        looked.retold = *wanted != *had;
        looked.applied = wanted.clone();
    }
    looked.order = ordered(session, outlook, had, step);
    looked
}

fn ordered(session: &ReviewedSession, outlook: &Outlook, had: &Wanted, step: Step) -> Option<NewOrder> {
    let kind = step.kind()?;
    let (set, unset) = match step {
        Step::Change { set, unset } => (set, unset),
        Step::Nothing | Step::Disconnect => (Vec::new(), Vec::new()),
    };
    Some(NewOrder {
        session_id: session.live.session_id,
        kind,
        cause: cause(had, outlook),
        actor: None,
        plan_id: session.plan_id.clone(),
        set,
        unset,
        wanted: Some(outlook.wanted.clone()),
    })
}
