//! Why a NAS refuses.

/// Error-Cause (RFC 5176 section 3.5).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ErrorCause(pub u32);

impl ErrorCause {
    pub const SESSION_CONTEXT_NOT_FOUND: Self = Self(503);
    pub const RESOURCES_UNAVAILABLE: Self = Self(506);

    /// As FreeRADIUS writes it: a number, or the name with hyphens.
    #[must_use]
    pub fn from_dictionary(word: &str) -> Option<Self> {
        if let Ok(number) = word.parse() {
            return Some(Self(number));
        }
        let plain = |text: &str| -> String {
            let letters = text.chars().filter(char::is_ascii_alphanumeric);
            letters.map(|letter| letter.to_ascii_lowercase()).collect()
        };
        let word = plain(word);
        (201..=601)
            .map(Self)
            .find(|cause| cause.name().is_some_and(|name| plain(name) == word))
    }

    /// The name in the RFC.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            201 => "Residual Session Context Removed",
            202 => "Invalid EAP Packet (Ignored)",
            401 => "Unsupported Attribute",
            402 => "Missing Attribute",
            403 => "NAS Identification Mismatch",
            404 => "Invalid Request",
            405 => "Unsupported Service",
            406 => "Unsupported Extension",
            407 => "Invalid Attribute Value",
            501 => "Administratively Prohibited",
            502 => "Request Not Routable (Proxy)",
            503 => "Session Context Not Found",
            504 => "Session Context Not Removable",
            505 => "Other Proxy Processing Error",
            506 => "Resources Unavailable",
            507 => "Request Initiated",
            508 => "Multiple Session Selection Unsupported",
            // RFC 5580 section 4.5 and RFC 7499 section 4.4.
            509 => "Location-Info-Required",
            601 => "Response Too Big",
            _ => return None,
        })
    }
}

impl std::fmt::Display for ErrorCause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{} {name}", self.0),
            None => write!(f, "Error-Cause {}", self.0),
        }
    }
}

impl std::fmt::Debug for ErrorCause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}
