//! Secrets in memory and at rest.

/// A value that is never shown: `Debug` prints `[redacted]`, there is no `Display`, and it is wiped when dropped.
#[derive(Clone)]
pub struct Secret<T: zeroize::Zeroize>(zeroize::Zeroizing<T>);

impl<T: zeroize::Zeroize> Secret<T> {
    pub fn new(value: T) -> Self {
        Self(zeroize::Zeroizing::new(value))
    }

    /// The value. Name the reason where it leaves this library.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: zeroize::Zeroize> std::fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Why a sealed value could not be opened, or a key file not used.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("{0}")]
    Todo(String),
}

/// The keys that seal secrets at rest (XChaCha20-Poly1305). One is primary: it seals; all open.
#[derive(Debug, Clone)]
pub struct KeyRing {}

impl KeyRing {
    /// Read a key file. Refuses one that others can read.
    pub fn load(path: &std::path::Path) -> Result<Self, SecretError> {
        todo!()
    }
    /// Make a new key file (mode 0600) with one fresh key; never overwrites.
    pub fn create(path: &std::path::Path) -> Result<Self, SecretError> {
        todo!()
    }
    /// Add a fresh primary key to the file (atomically); older ones stay to open what they sealed.
    pub fn rotate(path: &std::path::Path) -> Result<Self, SecretError> {
        todo!()
    }
    /// Id of the primary key.
    pub fn primary(&self) -> u32 {
        todo!()
    }
    /// Seal `plain`, bound to `context` (the row's id). Text form: `sealed:<key id>:<base64 of nonce, ciphertext, tag>`.
    pub fn seal(&self, context: &str, plain: &[u8]) -> Result<String, SecretError> {
        todo!()
    }
    pub fn open(&self, context: &str, sealed: &Sealed<'_>) -> Result<Secret<Vec<u8>>, SecretError> {
        todo!()
    }
}

/// A sealed value, in binary: what a snapshot keeps.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Sealed<'a> {
    pub key_id: u32,
    #[serde(borrow)]
    pub body: std::borrow::Cow<'a, [u8]>,
}

impl Sealed<'static> {
    /// Parse the text form; `Ok(None)` where the text is not sealed at all.
    pub fn parse(text: &str) -> Result<Option<Self>, SecretError> {
        todo!()
    }
}
