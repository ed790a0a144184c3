//! Passwords of an import file: what a cell holds, and its stored form.

use isp_core::password::{self, PasswordError, Scheme, StoredPassword};
use isp_core::secret::{KeyRing, Secret};
use isp_core::subscriber::Subscriber;

use crate::secret_input::{self, PASSWORD};

/// What a row says of the password.
#[derive(Debug)]
pub(super) enum Given {
    Cleartext(Secret<String>),
    /// In a form that may be stored, or sealed first.
    Stored(StoredPassword<'static>),
}

#[derive(Debug)]
pub(super) struct Encoder {
    /// For cleartext passwords.
    pub(super) scheme: Scheme,
    /// Every cell holds a stored form.
    pub(super) hashed: bool,
    pub(super) keys: Option<KeyRing>,
}

impl Encoder {
    /// Understand the cells `password` and `password_hash_method`, either of them perhaps empty.
    pub(super) fn understand(&self, password: &str, method: &str) -> Result<Option<Given>, String> {
        if password.is_empty() {
            return if method.is_empty() {
                Ok(None)
            } else {
                Err("is empty, but password_hash_method is not".to_owned())
            };
        }
        if method.is_empty() && !self.hashed {
            secret_input::check(PASSWORD, password)?;
            return Ok(Some(Given::Cleartext(Secret::new(password.to_owned()))));
        }
        let method = (!method.is_empty()).then_some(method);
        match StoredPassword::parse(method, password).map_err(|e| e.to_string())? {
            StoredPassword::Cleartext(text) => {
                secret_input::check(PASSWORD, &text)?;
                Ok(Some(Given::Stored(StoredPassword::Cleartext(text))))
            }
            stored => Ok(Some(Given::Stored(stored))),
        }
    }

    /// Put the stored form into `subscriber`, whose id it may be bound to.
    pub(super) fn encode(&self, given: &Given, subscriber: &mut Subscriber) -> Result<(), PasswordError> {
        let keys = self.keys.as_ref();
        let encoded = match given {
            Given::Cleartext(text) => password::encode(self.scheme, text.expose().as_bytes(), keys, &subscriber.id)?,
            Given::Stored(stored) => stored.encode(keys, &subscriber.id)?,
        };
        subscriber.password = Some(encoded.password);
        subscriber.password_hash_method = Some(encoded.method.to_owned());
        Ok(())
    }
}
