//! What somebody may have meant.

/// `": did you mean a?"`, or what there is.
pub(super) fn hint<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.collect();
    let close = known
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .min()
        .filter(|(distance, candidate)| *distance <= candidate.len().div_ceil(3));
    match close {
        Some((_, candidate)) => format!(": did you mean {candidate:?}?"),
        None => format!("; there are {}", known.join(", ")),
    }
}
