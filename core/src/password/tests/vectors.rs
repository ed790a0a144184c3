//! Hashes made by other implementations.

use super::super::{StoredPassword, md5_crypt, nt_hash};

const LONG: [u8; 100] = [b'x'; 100];

/// Method column, password column, password.
#[rustfmt::skip]
const VECTORS: &[(&str, &str, &[u8])] = &[
    // printf %s hunter2 | md5sum, sha256sum
    ("md5", "2ab96390c7dbe3439de74d0c9b0b1767", b"hunter2"),
    ("md5", "2AB96390C7DBE3439DE74D0C9B0B1767", b"hunter2"),
    ("sha256", "f52fbd32b2b3b86ff88ef6c490628285f482af15ddcb29541f94bcf526a3f6c7", b"hunter2"),
    // (printf hunter2saltsalt | openssl sha1 -binary; printf saltsalt) | base64
    ("ssha", "EwvBq0sMQSLLD3eOSZNmhQqOOkRzYWx0c2FsdA==", b"hunter2"),
    ("ssha", "{SSHA}EwvBq0sMQSLLD3eOSZNmhQqOOkRzYWx0c2FsdA==", b"hunter2"),
    // openssl passwd -1 -salt saltsalt; the others with crypt(3) of libxcrypt 4.4.33
    ("crypt", "$1$saltsalt$ZliGyAN3DciDHEkDboonh/", b"hunter2"),
    ("crypt", "$1$ab$OjK3U3awB8PLmyLCpnrP80", b"0123456789abcdef0"),
    ("crypt", "$1$saltsalt$5Jhcit4zN9UlGiA0txPkO0", b""),
    ("crypt", "$1$saltsalt$AomvFEJYtItwDZI8JetzY0", &LONG),
    // openssl passwd -5 and -6 -salt saltstring; the others with crypt(3)
    ("crypt", "$5$saltstring$9JBjAeLRHX/Lm/1Njo98nbLiUsNRFEuARumLKkxJMm7", b"hunter2"),
    ("crypt", "$5$rounds=1000$abc$9tsAdlnn66OlLc9naP1yNWeD/dh1NeUQtxsinFtPDP2", b"hunter2"),
    ("crypt", "$5$saltstring$Oa4FAe3j12NEBjTMwR61FXUth0v2z1HlRVgHK3bteq/", &LONG),
    ("crypt", "$6$saltstring$q2.778Y7vt0Ij2OIl01VlxEE6SEh8ZCtgFbyJX8fYkl5S7gx32QO24FVg.rs4DkoAs9t6R19x4z8g69teXFxA0", b"hunter2"),
    ("crypt", "$6$rounds=10000$saltstringsaltst$B2zY0XSejvWqxaIslE79JBzmu09DwRVf2/UY8TBtefp.9xxbjtDrLFzFgcPrt1KgDf1MZ3BoAlYbeCko17pdH/", b"hunter2"),
    ("crypt", "$6$x$QSmr1Bx2g4O6BzKvdkgOcyU6H91X6I/XBv5pSalMhSPkwdH6Beo3F455xZJg0v//bxVK5F4OE5k1.0xuR26MK0", b""),
    ("crypt", "$6$saltstring$6PSVl254uv0cWCoUS0qzSX5NenRA/YFCwPzGA9ONu.MmmxqXTWHerEzD8WyuBl3ukfIZZU9uxLD6Bn6p7S3rG.", "pässwörd".as_bytes()),
    ("crypt", "{CRYPT}$6$saltstring$MTEOJx1zhJ5109YzqYzCaFk55JWZM1QJeKTBu63saMo0UwwWLpCB56lyhLVgvClgMHXn3tBaHXoSTCac4QqUv0", &LONG),
    // crypt(3); $y$j9T$ is what Debian 12 makes
    ("crypt", "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$PmNgGTLMFjJn.URBv11CpTEm5RwlKtPjRtztKe6.b33", b"hunter2"),
    ("crypt", "$y$j75$abcd$eCNABnCYh9Yg4ibb.2WZzfD1Qm8EmjGIsb4F81qkaL2", b""),
    ("crypt", "$y$j75$abcd$rHeI.u9HNB1La1Ad5C6b8kO0mO.Z6YqlmhwW7Zscaq1", &LONG),
    ("bcrypt", "$2b$04$abcdefghijklmnopqrstuuV3duMsC0HpUex6N9qapiuOHHWkwRXVm", b"hunter2"),
    ("bcrypt", "$2a$04$abcdefghijklmnopqrstuuV3duMsC0HpUex6N9qapiuOHHWkwRXVm", b"hunter2"),
    ("bcrypt", "$2y$05$abcdefghijklmnopqrstuuoXuKqgZXLiJqzfmMXDDhSFPIvxV7t8.", b"hunter2"),
    ("bcrypt", "$2b$04$abcdefghijklmnopqrstuuyx2n0Zzopyr9QuYTMCfOJJOj526QVoC", "pässwörd".as_bytes()),
    ("bcrypt", "$2b$04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i", &LONG),
    ("crypt", "$2b$04$abcdefghijklmnopqrstuuV3duMsC0HpUex6N9qapiuOHHWkwRXVm", b"hunter2"),
    // libsodium's crypto_pwhash_str_alg
    ("argon2id", "$argon2id$v=19$m=19456,t=2,p=1$gIksMriP318vIbVMYTUksw$xyZZfRqq5WvFIcYbf2p25mcy0E9e02PVL+RB/QXakF8", b"hunter2"),
    ("argon2id", "$argon2id$v=19$m=8,t=1,p=1$uFLOnbvdDZCIkQs23zJKEw$RKu+wZzZ9amwlzziAWnMEbMqyJRy1RTUZds4uTN7AWw", b""),
];

#[test]
fn what_others_hashed_verifies_and_nothing_else_does() {
    for (method, hash, password) in VECTORS {
        let by_method = StoredPassword::parse(Some(method), hash).unwrap();
        let by_prefix = StoredPassword::parse(None, &format!("{method}:{hash}")).unwrap();
        assert_eq!(by_method, by_prefix);
        assert!(by_method.verify(password).unwrap(), "{hash}");
        for wrong in [&b"hunter3"[..], b"hunter", b"hunter2\0", b"Hunter2", b"x"] {
            assert!(!by_method.verify(wrong).unwrap(), "{hash}");
        }
    }
}

#[test]
fn md5_crypt_is_what_openssl_makes() {
    assert_eq!(&md5_crypt::digest(b"hunter2", b"saltsalt"), b"ZliGyAN3DciDHEkDboonh/");
}

/// RFC 2759 section 9.2, and `openssl md4` of the UTF-16LE text.
#[test]
fn nt_hash_is_what_the_rfc_says() {
    let hex = |text: &str| super::super::one_way::hex::<16>(text).unwrap();
    assert_eq!(nt_hash("clientPass"), hex("44EBBA8D5312B8D611474411F56989AE"));
    assert_eq!(nt_hash("hunter2"), hex("6608e4bc7b2b7a5f77ce3573570775af"));
    assert_eq!(nt_hash(""), hex("31d6cfe0d16ae931b73c59d7e0c089c0"));
    // Outside the basic plane: a surrogate pair.
    assert_eq!(nt_hash("\u{1F511}"), hex(KEY_EMOJI));
}

const KEY_EMOJI: &str = "5f7b3ff474e4237afd6a078f3c4d8632";
