//! Records that the database takes, though some among them are refused for what they hold.

use crate::accounting::AccountingRecord;
use crate::store::{Result, Store, StoreError};

impl Store {
    /// As [`Self::record_accounting`], but records that the database refuses for what they hold do not keep the others from
    /// it: they are found by halves and given back, each with the reason.
    ///
    /// One is given back only where the error says that it is about what the record holds. That others go in proves nothing:
    /// one that changes nothing is taken by a database that cannot write.
    ///
    /// # Errors
    /// The database is away, or not as it should be. Some may be stored: the same again change nothing.
    pub async fn sift_accounting<'a>(
        &self,
        records: &'a [AccountingRecord],
    ) -> Result<Vec<(&'a AccountingRecord, StoreError)>> {
        let mut refused = Vec::new();
        let mut left = vec![records];
        while let Some(part) = left.pop() {
            match (self.record_accounting(part).await, part) {
                (Ok(()), _) => {}
                (Err(why), _) if why.is_transient() => return Err(why),
                (Err(why), [record]) if blames(&why) => refused.push((record, why)),
                (Err(why), [_]) => return Err(why),
                (Err(_), _) => {
                    let (first, second) = part.split_at(part.len() / 2);
                    left.extend([second, first]);
                }
            }
        }
        Ok(refused)
    }
}

/// Does the error say that it is about what the record holds?
const fn blames(why: &StoreError) -> bool {
    matches!(
        why,
        StoreError::Refused { .. } | StoreError::Duplicate { .. } | StoreError::MissingReference { .. }
    )
}
