//! Sessions that another system recorded.

use std::collections::BTreeSet;

use super::{Batch, Database, LOOK_BACK, take_turn};
use crate::accounting::session::{Adopted, Session};
use crate::store::error::Attempt as _;
use crate::store::link::Tx;
use crate::store::records::storable;
use crate::store::{Result, Store};

/// What became of sessions that were taken over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AdoptedSessions {
    pub added: u64,
    /// Open ones that were here already, and have gone on or ended since.
    pub continued: u64,
    /// Here already.
    pub known: u64,
}

impl Store {
    /// Take sessions over as another system recorded them, with what their subscribers used: by the day, and by the hour from
    /// `hours_from` (Unix seconds) on. All or none; the same again changes nothing. Unless `keep` is set all of it is taken
    /// back, and only told.
    ///
    /// Records of other sessions wait meanwhile: a few thousand sessions make a good batch.
    ///
    /// # Errors
    /// The database did not take them.
    pub async fn adopt_sessions(&self, sessions: Vec<Session>, hours_from: i64, keep: bool) -> Result<AdoptedSessions> {
        let attempt = || "take over sessions".to_owned();
        let mut tx = self.begin().await.attempt(attempt)?;
        let adopted = adopt(&mut tx, sessions, hours_from).await.attempt(attempt)?;
        if keep {
            tx.commit().await.attempt(attempt)?;
        }
        Ok(adopted)
    }
}

async fn adopt(tx: &mut Tx, sessions: Vec<Session>, hours_from: i64) -> Database<AdoptedSessions> {
    let mut adopted = AdoptedSessions::default();
    let Some(oldest) = sessions.iter().map(|session| session.start).min() else {
        return Ok(adopted);
    };
    take_turn(tx).await?;
    // One that is here already ended no earlier than it began.
    let since = (oldest - LOOK_BACK).max(0);
    let keys: BTreeSet<String> = sessions
        .iter()
        .map(|session| storable(&session.acct_unique_id))
        .collect();
    let mut batch = Batch::read(tx, &keys, &BTreeSet::new(), since).await?;
    for session in sessions {
        let key = (storable(&session.acct_unique_id), session.tenant_id.clone());
        let (fate, delta) = batch.sessions.entry(key).or_default().adopt(session);
        *match fate {
            Adopted::New => &mut adopted.added,
            Adopted::Continued => &mut adopted.continued,
            Adopted::Known => &mut adopted.known,
        } += 1;
        if let Some(delta) = delta {
            batch.enter(delta);
        }
    }
    batch.book.forget_hours_before(hours_from);
    batch.write(tx, since).await?;
    Ok(adopted)
}
