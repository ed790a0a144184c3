//! Which text is a stored password, and which is refused with what words.

use proptest::prelude::*;

use super::super::{AuthMethod, PasswordError, Scheme, StoredPassword};
use crate::secret::Sealed;

const METHODS: [AuthMethod; 7] = [
    AuthMethod::Pap,
    AuthMethod::Chap,
    AuthMethod::EapMd5,
    AuthMethod::MsChap,
    AuthMethod::EapMsChapV2,
    AuthMethod::EapOther,
    AuthMethod::None,
];

#[test]
fn the_matrix() {
    for scheme in Scheme::ALL {
        let served = METHODS.map(|method| scheme.serves(method));
        let expected = match scheme {
            Scheme::Cleartext => [true; 7],
            Scheme::Nt => [true, false, false, true, true, true, true],
            _ => [true, false, false, false, false, true, true],
        };
        assert_eq!(served, expected, "{scheme}");
    }
}

#[test]
fn a_scheme_has_one_word() {
    for scheme in Scheme::ALL {
        assert_eq!(scheme.as_str().parse::<Scheme>().unwrap(), scheme);
        assert_eq!(scheme.as_str().to_uppercase().parse::<Scheme>().unwrap(), scheme);
    }
    for word in ["", "plain", "md5 ", "sha512"] {
        assert!(word.parse::<Scheme>().is_err(), "{word}");
    }
}

#[test]
fn prefix_then_method_then_cleartext() {
    use Scheme::{Bcrypt, Cleartext, Crypt, Md5, Nt};
    let md5 = "2ab96390c7dbe3439de74d0c9b0b1767";
    let bcrypt = "$2y$05$abcdefghijklmnopqrstuuoXuKqgZXLiJqzfmMXDDhSFPIvxV7t8.";
    let cases = [
        (None, "hunter2", Cleartext),
        (None, "with:colon", Cleartext),
        (None, "MD5:hunter2", Cleartext),
        (None, bcrypt, Cleartext),
        (Some(""), "hunter2", Cleartext),
        (Some("cleartext"), "hunter2", Cleartext),
        (Some("Cleartext"), "cleartext:md5:hunter2", Cleartext),
        (Some("md5"), "cleartext:hunter2", Cleartext),
        (Some("nonsense"), "cleartext:hunter2", Cleartext),
        (Some("MD5"), md5, Md5),
        (Some(" md5 "), md5, Md5),
        (Some("nt"), md5, Nt),
        (None, "nt:0x2ab96390c7dbe3439de74d0c9b0b1767", Nt),
        (Some("bcrypt"), bcrypt, Bcrypt),
        (Some("crypt"), bcrypt, Bcrypt),
        (Some("crypt"), "{crypt}$1$saltsalt$ZliGyAN3DciDHEkDboonh/", Crypt),
    ];
    for (method, password, scheme) in cases {
        let parsed = StoredPassword::parse(method, password).unwrap();
        assert_eq!(parsed.scheme(), scheme, "{method:?} {password}");
    }
    let colon = StoredPassword::parse(None, "cleartext:md5:hunter2").unwrap();
    assert!(colon.verify(b"md5:hunter2").unwrap());
}

#[test]
fn sealed_values_are_told_by_their_prefix() {
    let sealed = format!("sealed:7:{}", "A".repeat(56));
    for (method, password, scheme) in [
        (None, format!("cleartext:{sealed}"), Scheme::Cleartext),
        (None, sealed.clone(), Scheme::Cleartext),
        (Some("nt"), sealed.clone(), Scheme::Nt),
        (None, format!("nt:{sealed}"), Scheme::Nt),
    ] {
        let parsed = StoredPassword::parse(method, &password).unwrap();
        let sealed = Sealed::parse(&sealed).unwrap().unwrap();
        assert_eq!(parsed, StoredPassword::Sealed { scheme, sealed });
    }
    assert!(matches!(
        StoredPassword::parse(None, "cleartext:sealed:7:AA"),
        Err(PasswordError::Secret(_))
    ));
}

#[test]
fn what_is_no_hash_is_refused_with_its_fault() {
    let argon2 = |head: &str| format!("${head}$gIksMriP318vIbVMYTUksw$xyZZfRqq5WvFIcYbf2p25mcy0E9e02PVL+RB/QXakF8");
    let bcrypt = |head: &str| format!("{head}abcdefghijklmnopqrstuuV3duMsC0HpUex6N9qapiuOHHWkwRXVm");
    let yescrypt = |params: &str| format!("$y${params}$abcd$eCNABnCYh9Yg4ibb.2WZzfD1Qm8EmjGIsb4F81qkaL2");
    let sha256 = |head: &str| format!("$5${head}$9JBjAeLRHX/Lm/1Njo98nbLiUsNRFEuARumLKkxJMm7");
    let owned = str::to_owned;
    let cases = [
        ("cleartext", String::new(), "empty"),
        ("nt", owned("hunter2"), "32 hex digits"),
        ("md5", owned("hunter2"), "32 hex digits"),
        ("md5", "é".repeat(16), "32 hex digits"),
        ("sha256", owned("2ab96390c7dbe3439de74d0c9b0b1767"), "64 hex digits"),
        ("ssha", owned("{SSHA}!"), "base64"),
        ("ssha", owned("EwvBq0sMQSLLD3eOSZNmhQqOOkQ="), "salt has 0 bytes"),
        ("ssha", "A".repeat(200), "salt has 130 bytes"),
        ("ssha", owned("AAAA"), "shorter"),
        ("bcrypt", owned("hunter2"), "$2a$"),
        ("bcrypt", bcrypt("$2x$04$"), "$2a$"),
        ("bcrypt", bcrypt("$2b$31$"), "cost 31"),
        ("bcrypt", bcrypt("$2b$16$"), "cost 16"),
        ("bcrypt", bcrypt("$2b$03$"), "cost 3"),
        ("bcrypt", owned("$2b$04$tooshort"), "60 ASCII"),
        ("bcrypt", format!("$2b$04${}", "é".repeat(26)), "60 ASCII"),
        ("argon2id", owned("hunter2"), ""),
        ("argon2id", argon2("argon2i$v=19$m=8,t=1,p=1"), "$argon2id$"),
        ("argon2id", argon2("argon2id$v=19$m=4194304,t=1,p=1"), "m=4194304"),
        (
            "argon2id",
            argon2("argon2id$v=19$m=4294967295,t=4294967295,p=1"),
            "m=4294967295",
        ),
        ("argon2id", argon2("argon2id$v=19$m=8,t=4294967295,p=1"), "t=4294967295"),
        ("argon2id", argon2("argon2id$v=19$m=65536,t=1,p=255"), "p=255"),
        ("argon2id", owned("$argon2id$v=19$m=8,t=1,p=1"), "no salt"),
        ("crypt", owned("hunter2"), "$ID$SALT$HASH"),
        ("crypt", owned("ab1234567890."), "$ID$SALT$HASH"),
        ("crypt", owned("$3$$8846f7eaee8fb117ad06bdd830b7586c"), "only $1$"),
        ("crypt", owned("$1$saltsaltsalt$ZliGyAN3DciDHEkDboonh/"), "salt"),
        ("crypt", owned("$1$salt$short"), "hash"),
        ("crypt", owned("$1$rounds=1000$salt$ZliGyAN3DciDHEkDboonh/"), "parts"),
        ("crypt", sha256("rounds=999999999$salt"), "rounds=999999999"),
        ("crypt", sha256("rounds=999$salt"), "rounds=999"),
        ("crypt", sha256("rounds=x$salt"), "rounds=NUMBER"),
        ("crypt", sha256(""), "salt"),
        ("crypt", sha256("saltstringsaltstring"), "salt"),
        ("crypt", sha256("salt") + "$", "rounds=NUMBER"),
        ("crypt", sha256("rounds=1000$salt") + "$x", "after the hash"),
        (
            "crypt",
            owned("$6$salt$9JBjAeLRHX/Lm/1Njo98nbLiUsNRFEuARumLKkxJMm7"),
            "hash is not 64 bytes",
        ),
        (
            "crypt",
            owned("$5$salt$9JBjAeLRHX/Lm/1Njo98nbLiUsNRFEuARumLKkxJMmz"),
            "hash is not 32 bytes",
        ),
        ("crypt", yescrypt("jP."), "KiB"),
        ("crypt", yescrypt("zzzz"), ""),
        ("crypt", yescrypt(""), ""),
    ];
    for (method, password, fault) in cases {
        let error = StoredPassword::parse(Some(method), &password).unwrap_err();
        let message = error.to_string();
        assert!(
            matches!(error, PasswordError::Unreadable { .. }),
            "{password}: {message}"
        );
        assert!(message.contains(fault), "{password}: {message}");
        assert!(!message.contains("hunter2"), "{message}");
    }
}

#[test]
fn an_unknown_method_is_not_shown() {
    let message = StoredPassword::parse(Some("hunter2"), "x").unwrap_err().to_string();
    assert!(message.contains("argon2id"), "{message}");
    assert!(!message.contains("hunter2"), "{message}");
}

proptest! {
    #[test]
    fn parsing_never_panics(method in proptest::option::of("[a-z0-9]{0,9}"), password in any::<String>()) {
        let _ = StoredPassword::parse(method.as_deref(), &password);
    }

    /// Near misses of every form; whatever parses also verifies without an error, since parsing takes it apart.
    #[test]
    fn what_parses_can_be_verified(
        text in "(md5:|sha256:)[0-9a-fA-F]{0,66}|ssha:(\\{SSHA\\})?[A-Za-z0-9+/]{24,44}={0,2}\
                 |bcrypt:\\$2[abxy]\\$0[0-5]\\$[./A-Za-z0-9]{53}\
                 |crypt:\\$1\\$[./a-z]{0,9}\\$[./A-Za-z0-9]{22}\
                 |crypt:\\$5\\$(rounds=[0-9]{4}\\$)?[./a-z]{0,17}\\$[./A-Za-z0-9]{43}\
                 |crypt:\\$6\\$(rounds=[0-9]{4}\\$)?[./a-z]{0,17}\\$[./A-Za-z0-9]{86}\
                 |crypt:\\$y\\$[./0-9A-Za-z]{0,4}\\$[./A-Za-z0-9]{0,24}\\$[./A-Za-z0-9]{43}\
                 |argon2id:\\$argon2id\\$v=(16|19)\\$m=[0-9]{1,3},t=[0-9],p=[0-9]\\$[A-Za-z0-9+/]{0,24}\\$[A-Za-z0-9+/]{20,44}",
        candidate in proptest::collection::vec(any::<u8>(), 0..32),
    ) {
        if let Ok(stored) = StoredPassword::parse(None, &text) {
            prop_assert!(!stored.verify(&candidate).unwrap());
        }
    }
}
