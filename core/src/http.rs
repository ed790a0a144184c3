//! What the clients of HTTP services have in common.

/// What happened to a request that got no answer: with all its causes (refused, no such host, a certificate) and without
/// the URL, which may hold what is nobody's business.
pub(crate) fn problem(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut problem = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        problem = format!("{problem}: {cause}");
        source = cause.source();
    }
    problem
}
