//! From a new password to the columns and back.

use std::borrow::Cow;

use super::super::{Encoded, Known, MAX_PASSWORD, PasswordError, Scheme, StoredPassword, encode, nt_hash};
use crate::secret::{KeyRing, Sealed};

struct Fixture {
    directory: tempfile::TempDir,
    keys: KeyRing,
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let keys = KeyRing::create(&directory.path().join("keys")).unwrap();
        Self { directory, keys }
    }

    fn rotated(&self) -> KeyRing {
        KeyRing::rotate(&self.directory.path().join("keys")).unwrap()
    }
}

fn parse(encoded: &Encoded) -> StoredPassword<'static> {
    StoredPassword::parse(Some(encoded.method), &encoded.password).unwrap()
}

#[test]
fn every_scheme_comes_back() {
    let keys = Fixture::new().keys;
    for scheme in Scheme::ALL {
        let passwords = ["pässwörd 🔑", "hunter2", "md5:x"];
        // One will do where each costs a quarter of a second.
        for password in &passwords[..if scheme.is_slow() { 1 } else { 3 }] {
            let encoded = encode(scheme, password.as_bytes(), Some(&keys), "id").unwrap();
            assert_eq!(encoded.method, scheme.as_str());
            assert!(
                encoded.password.starts_with(&format!("{scheme}:")),
                "{}",
                encoded.password
            );
            assert!(!encoded.password.contains("hunter2"));
            assert!(encoded.password.len() <= 255);
            let stored = parse(&encoded);
            assert_eq!(stored.scheme(), scheme);
            match stored.reveal(Some(&keys), "id").unwrap() {
                Known::Cleartext(text) => {
                    assert_eq!(scheme, Scheme::Cleartext);
                    assert_eq!(text.expose(), password.as_bytes());
                }
                Known::NtHash(hash) => {
                    assert_eq!(scheme, Scheme::Nt);
                    assert_eq!(*hash.expose(), nt_hash(password));
                }
                Known::OneWay => {
                    assert!(!matches!(scheme, Scheme::Cleartext | Scheme::Nt));
                    assert!(stored.verify(password.as_bytes()).unwrap());
                    assert!(!stored.verify(b"wrong").unwrap());
                    // Salted ones differ each time.
                    let again = encode(scheme, password.as_bytes(), None, "id").unwrap();
                    assert_eq!(again == encoded, matches!(scheme, Scheme::Md5 | Scheme::Sha256));
                }
            }
        }
    }
}

#[test]
fn reversible_schemes_need_keys_and_say_how_to_get_them() {
    let keys = Fixture::new().keys;
    for scheme in [Scheme::Cleartext, Scheme::Nt] {
        let message = encode(scheme, b"hunter2", None, "id").unwrap_err().to_string();
        assert!(
            message.contains("ispctl key create") && message.contains(scheme.as_str()),
            "{message}"
        );
        let stored = parse(&encode(scheme, b"hunter2", Some(&keys), "id").unwrap());
        assert!(matches!(stored.reveal(None, "id"), Err(PasswordError::NoKeys(_))));
        assert!(matches!(
            stored.reveal(Some(&keys), "other"),
            Err(PasswordError::Secret(_))
        ));
        assert!(stored.verify(b"hunter2").is_err());
    }
}

#[test]
fn unsuitable_passwords_are_refused() {
    let keys = Fixture::new().keys;
    let longest = vec![b'x'; MAX_PASSWORD];
    for scheme in Scheme::ALL {
        assert!(encode(scheme, b"", Some(&keys), "id").is_err(), "{scheme}");
        assert!(
            encode(scheme, &[b'x'; MAX_PASSWORD + 1], Some(&keys), "id").is_err(),
            "{scheme}"
        );
        let fits = encode(scheme, &longest, Some(&keys), "id");
        assert_eq!(fits.is_ok(), scheme != Scheme::Bcrypt, "{scheme}");
        if let Ok(encoded) = fits {
            assert!(encoded.password.len() <= 255, "{scheme}: {}", encoded.password.len());
        }
    }
    assert!(encode(Scheme::Nt, b"\xff", Some(&keys), "id").is_err());
    assert!(encode(Scheme::Bcrypt, &[b'x'; 71], None, "id").is_ok());
    assert!(encode(Scheme::Bcrypt, &[b'x'; 72], None, "id").is_err());
}

#[test]
fn what_another_tool_wrote_in_clear_is_known() {
    let clear = StoredPassword::parse(None, "hunter2").unwrap();
    assert!(matches!(clear.reveal(None, "id").unwrap(), Known::Cleartext(text) if text.expose() == b"hunter2"));
    assert!(clear.verify(b"hunter2").unwrap());
    assert!(!clear.verify(b"hunter").unwrap());
    let nt = StoredPassword::parse(Some("nt"), "6608e4bc7b2b7a5f77ce3573570775af").unwrap();
    assert!(matches!(nt.reveal(None, "id").unwrap(), Known::NtHash(hash) if *hash.expose() == nt_hash("hunter2")));
    assert!(nt.verify(b"hunter2").unwrap());
    assert!(!nt.verify(b"\xff").unwrap());
}

#[test]
fn encoding_a_stored_one_seals_it_under_the_primary_key() {
    let fixture = Fixture::new();
    let old = parse(&encode(Scheme::Cleartext, b"hunter2", Some(&fixture.keys), "id").unwrap());
    let keys = fixture.rotated();
    for stored in [old.clone(), StoredPassword::Cleartext(Cow::Borrowed("hunter2"))] {
        let encoded = stored.encode(Some(&keys), "id").unwrap();
        assert!(
            encoded.password.starts_with("cleartext:sealed:2:"),
            "{}",
            encoded.password
        );
        let known = parse(&encoded).reveal(Some(&keys), "id").unwrap();
        assert!(matches!(known, Known::Cleartext(text) if text.expose() == b"hunter2"));
        assert!(stored.encode(None, "id").is_err());
    }
    assert!(old.encode(Some(&keys), "another row").is_err());
    let nt = StoredPassword::Nt([7; 16]).encode(Some(&keys), "id").unwrap();
    assert!(nt.password.starts_with("nt:sealed:2:"));
    let hash = StoredPassword::parse(Some("ssha"), "{ssha}EwvBq0sMQSLLD3eOSZNmhQqOOkRzYWx0c2FsdA==").unwrap();
    let encoded = hash.encode(None, "id").unwrap();
    assert_eq!(encoded.password, "ssha:EwvBq0sMQSLLD3eOSZNmhQqOOkRzYWx0c2FsdA==");
    assert_eq!(encoded.method, "ssha");
}

#[test]
fn a_sealed_nt_hash_has_16_bytes() {
    let keys = Fixture::new().keys;
    let text = keys.seal("id", b"hunter2").unwrap();
    let stored = StoredPassword::parse(Some("nt"), &text).unwrap();
    assert!(matches!(
        stored.reveal(Some(&keys), "id"),
        Err(PasswordError::Unreadable { .. })
    ));
}

#[test]
fn nothing_shows_a_password_or_a_hash() {
    let keys = Fixture::new().keys;
    let md5 = "2ab96390c7dbe3439de74d0c9b0b1767";
    let shown = format!(
        "{:?} {:?} {:?} {:?} {:?}",
        StoredPassword::parse(None, "hunter2").unwrap(),
        StoredPassword::parse(Some("nt"), md5).unwrap(),
        StoredPassword::parse(Some("md5"), md5).unwrap(),
        encode(Scheme::Md5, b"hunter2", None, "id").unwrap(),
        parse(&encode(Scheme::Cleartext, b"hunter2", Some(&keys), "id").unwrap()),
    );
    assert!(
        !shown.contains("hunter2") && !shown.contains("2ab9") && !shown.contains("42,"),
        "{shown}"
    );
    assert!(shown.contains("StoredPassword(cleartext, sealed)"), "{shown}");
}

#[test]
fn a_snapshot_holds_them_compactly_and_reads_them_in_place() {
    let sealed = StoredPassword::Sealed {
        scheme: Scheme::Cleartext,
        sealed: Sealed {
            key_id: 1,
            body: Cow::Owned(vec![7; 48]),
        },
    };
    let hash = StoredPassword::parse(Some("md5"), "2ab96390c7dbe3439de74d0c9b0b1767").unwrap();
    let clear = StoredPassword::Cleartext(Cow::Borrowed("hunter2"));
    for (stored, size) in [(sealed, 52), (hash, 35), (clear, 9), (StoredPassword::Nt([7; 16]), 17)] {
        let bytes = postcard::to_allocvec(&stored).unwrap();
        assert_eq!(bytes.len(), size, "{stored:?}");
        let read: StoredPassword<'_> = postcard::from_bytes(&bytes).unwrap();
        assert_eq!(read, stored);
        let borrowed = match &read {
            StoredPassword::Sealed { sealed, .. } => matches!(sealed.body, Cow::Borrowed(_)),
            StoredPassword::Cleartext(text) | StoredPassword::OneWay { hash: text, .. } => {
                matches!(text, Cow::Borrowed(_))
            }
            StoredPassword::Nt(_) => true,
        };
        assert!(borrowed, "{read:?}");
    }
}
