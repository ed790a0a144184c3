#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod properties;

use super::{Cipher, Dictionary, DictionaryError, Pair, PairError, TextError};
use crate::radius::SharedSecret;

/// Vendors and types that the built-in dictionary has none of.
const VENDORS: &str = "\
VENDOR Lucent 4846 format=2,1
BEGIN-VENDOR Lucent
ATTRIBUTE Lucent-Max-Shared-Users 2 integer
END-VENDOR Lucent
VENDOR Starent 8164 format=2,2
BEGIN-VENDOR Starent
ATTRIBUTE SN-VPN-Name 2 string
END-VENDOR Starent
VENDOR USR 429 format=4,0
BEGIN-VENDOR USR
ATTRIBUTE USR-Event-Id 0xbfbe integer
END-VENDOR USR
VENDOR WiMAX 24757 format=1,1,c
BEGIN-VENDOR WiMAX
ATTRIBUTE WiMAX-Capability 1 tlv
BEGIN-TLV WiMAX-Capability
ATTRIBUTE WiMAX-Release 1 string
ATTRIBUTE WiMAX-Accounting-Capabilities 2 byte
END-TLV WiMAX-Capability
VALUE WiMAX-Accounting-Capabilities IP-Session-Based 1
ATTRIBUTE WiMAX-Packet-Flow-Descriptor-v2 84 tlv
ATTRIBUTE WiMAX-PFDv2-Classifier 84.9 tlv
ATTRIBUTE WiMAX-PFDv2-Classifier-Direction 84.9.4 byte
ATTRIBUTE WiMAX-PFDv2-Src 84.9.5 tlv
ATTRIBUTE WiMAX-PFDv2-Src-Port 84.9.5.4 short
ATTRIBUTE WiMAX-Long 99 octets
END-VENDOR WiMAX
VENDOR Example 1
BEGIN-VENDOR Example format=Extended-Vendor-Specific-5
ATTRIBUTE Example-Long 7 octets
END-VENDOR Example
ATTRIBUTE Test-TLV 241.2 tlv
ATTRIBUTE Test-TLV-One 241.2.1 octets
ATTRIBUTE Test-TLV-Three 241.2.3 tlv
ATTRIBUTE Test-TLV-Three-One 241.2.3.1 octets
ATTRIBUTE Test-TLV-Three-Two 241.2.3.2 string
ATTRIBUTE Test-Integer64 241.3 integer64
ATTRIBUTE Test-Ether 241.4 ether
ATTRIBUTE Test-IPv4-Prefix 241.5 ipv4prefix
ATTRIBUTE Test-Signed 241.6 signed
ATTRIBUTE Test-Combo 241.7 combo-ip
";

fn dictionary() -> Dictionary {
    let mut dictionary = Dictionary::builtin().clone();
    dictionary.add(VENDORS).unwrap();
    dictionary
}

fn octets(hex: &str) -> Vec<u8> {
    let digits: String = hex.split_whitespace().collect();
    let (pairs, []) = digits.as_bytes().as_chunks::<2>() else {
        panic!("{hex}");
    };
    let octet = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    pairs.iter().map(octet).collect()
}

fn encode(dictionary: &Dictionary, lines: &[&str]) -> Vec<u8> {
    let pairs: Vec<Pair> = lines.iter().map(|line| dictionary.parse(line).expect(line)).collect();
    let mut out = Vec::new();
    dictionary.encode(&pairs, None, &mut out).expect(lines[0]);
    out
}

fn decode(dictionary: &Dictionary, attributes: &[u8]) -> Vec<String> {
    let pairs = dictionary.decode(attributes, None);
    pairs.iter().map(|pair| dictionary.print(pair).to_string()).collect()
}

/// Attributes and what they say. The first lines after what FreeRADIUS checks of its own codec (src/tests/unit/rfc.txt,
/// vendor.txt, lucent.txt, wimax.txt and extended.txt of release 3.2.1), the octets and their meaning; then RFC 2865
/// section 7, RFC 2868, RFC 3162 and RFC 5176.
const BOTH_WAYS: &[(&str, &[&str])] = &[
    ("01 05 62 6f 62", &["User-Name = \"bob\""]),
    ("59 02", &["Chargeable-User-Identity = 0x"]),
    ("04 04 ab cd", &["Attr-4 = 0xabcd"]),
    (
        "1a 0d 00 00 12 ee 00 02 07 00 00 00 01",
        &["Lucent-Max-Shared-Users = 1"],
    ),
    (
        "1a 0d 00 00 12 ee ff 02 07 00 00 00 01",
        &["Attr-26.4846.65282 = 0x00000001"],
    ),
    ("1a 0d 00 00 1f e4 00 02 00 07 66 6f 6f", &["SN-VPN-Name = \"foo\""]),
    ("1a 0e 00 00 01 ad 00 00 bf be 00 00 04 d2", &["USR-Event-Id = 1234"]),
    (
        "1a 15 00 00 4e 20 01 0f 6c 69 74 68 69 61 73 70 72 69 6e 67 73",
        &["Attr-26.20000.1 = 0x6c6974686961737072696e6773"],
    ),
    ("1a 09 00 00 00 09 ab cd ef", &["Attr-26 = 0x00000009abcdef"]),
    (
        "1a 0e 00 00 60 b5 01 08 00 01 05 31 2e 30",
        &["WiMAX-Release = \"1.0\""],
    ),
    (
        "1a 11 00 00 60 b5 01 0b 00 01 05 31 2e 30 02 03 01",
        &[
            "WiMAX-Release = \"1.0\"",
            "WiMAX-Accounting-Capabilities = IP-Session-Based",
        ],
    ),
    (
        "1a 14 00 00 60 b5 54 0e 00 09 0b 04 03 01 05 06 04 04 1a 99",
        &["WiMAX-PFDv2-Classifier-Direction = 1", "WiMAX-PFDv2-Src-Port = 6809"],
    ),
    ("1a 08 00 00 60 b5 01 02", &["Attr-26 = 0x000060b50102"]),
    (
        "1a 11 00 00 60 b5 01 0a 00 01 05 31 2e 30 02 03 01",
        &["Attr-26 = 0x000060b5010a000105312e30020301"],
    ),
    (
        "1a 11 00 00 60 b5 01 0c 00 01 05 31 2e 30 02 03 01",
        &["Attr-26 = 0x000060b5010c000105312e30020301"],
    ),
    ("f1 06 01 62 6f 62", &["Attr-241.1 = 0x626f62"]),
    ("f1 07 02 01 04 23 45", &["Test-TLV-One = 0x2345"]),
    (
        "f1 12 02 01 04 23 45 03 0b 01 04 ab cd 02 05 66 6f 6f",
        &[
            "Test-TLV-One = 0x2345",
            "Test-TLV-Three-One = 0xabcd",
            "Test-TLV-Three-Two = \"foo\"",
        ],
    ),
    ("f1 0c 1a 00 00 00 01 04 74 65 73 74", &["Attr-241.26.1.4 = 0x74657374"]),
    ("f5 07 01 00 62 6f 62", &["Attr-245.1 = 0x626f62"]),
    (
        "f5 0d 1a 00 00 00 00 01 04 74 65 73 74",
        &["Attr-245.26.1.4 = 0x74657374"],
    ),
    ("f5 0a 1a 00 00 00 00 01 07 01", &["Example-Long = 0x01"]),
    ("f5 04 01 00", &["Attr-245 = 0x0100"]),
    ("f5 03 01", &["Attr-245 = 0x01"]),
    // RFC 2865 section 7.1, the request's and the answer's, but for the password.
    (
        "04 06 c0 a8 01 10 05 06 00 00 00 03",
        &["NAS-IP-Address = 192.168.1.16", "NAS-Port = 3"],
    ),
    (
        "06 06 00 00 00 01 0f 06 00 00 00 00 0e 06 c0 a8 01 03",
        &[
            "Service-Type = Login-User",
            "Login-Service = 0",
            "Login-IP-Host = 192.168.1.3",
        ],
    ),
    // RFC 2868: tags.
    ("40 06 01 00 00 0d", &["Tunnel-Type:1 = VLAN"]),
    ("51 06 02 31 30 30", &["Tunnel-Private-Group-Id:2 = \"100\""]),
    ("51 05 31 30 30", &["Tunnel-Private-Group-Id = \"100\""]),
    // RFC 3162, RFC 4818, RFC 6911.
    ("60 0a 00 01 00 02 00 03 00 04", &["Framed-Interface-Id = 1:2:3:4"]),
    (
        "61 0c 00 40 20 01 0d b8 00 00 00 00",
        &["Framed-IPv6-Prefix = 2001:db8::/64"],
    ),
    (
        "7b 0b 00 38 20 01 0d b8 00 00 01",
        &["Delegated-IPv6-Prefix = 2001:db8:0:100::/56"],
    ),
    (
        "a8 12 20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 01",
        &["Framed-IPv6-Address = 2001:db8::1"],
    ),
    // RFC 5176 section 3.5.
    ("65 06 00 00 01 f7", &["Error-Cause = Session-Context-Not-Found"]),
    ("37 06 65 00 00 00", &["Event-Timestamp = \"2023-09-12T06:06:56Z\""]),
    (
        "1a 0f 00 00 3a 8c 08 09 31 30 4d 2f 32 30 4d",
        &["Mikrotik-Rate-Limit = \"10M/20M\""],
    ),
    ("f1 0b 03 00 00 00 01 00 00 00 02", &["Test-Integer64 = 4294967298"]),
    ("f1 09 04 02 00 00 00 00 0a", &["Test-Ether = 02:00:00:00:00:0a"]),
    ("f1 09 05 00 18 0a 01 02 00", &["Test-IPv4-Prefix = 10.1.2.0/24"]),
    ("f1 07 06 ff ff ff fe", &["Test-Signed = -2"]),
    ("f1 07 07 0a 00 00 01", &["Test-Combo = 10.0.0.1"]),
];

#[test]
fn vectors_encode_and_decode() {
    let dictionary = dictionary();
    for (hex, lines) in BOTH_WAYS {
        let attributes = octets(hex);
        assert_eq!(decode(&dictionary, &attributes), *lines, "{hex}");
        assert_eq!(encode(&dictionary, lines), attributes, "{hex}");
        let (pairs, mut again) = (dictionary.decode(&attributes, None), Vec::new());
        dictionary.encode(&pairs, None, &mut again).unwrap();
        assert_eq!(again, attributes, "{hex}");
    }
}

#[test]
fn vectors_decode_whose_form_is_not_ours() {
    let dictionary = dictionary();
    let cases: &[(&str, &[&str])] = &[
        // An attribute without a value; FreeRADIUS, rfc.txt.
        ("01 02", &[]),
        // Several in one Vendor-Specific; FreeRADIUS, vendor.txt.
        (
            "1a 14 00 00 00 2b 01 06 00 00 00 00 3c 08 31 35 35 2e 34 2e",
            &["Attr-26.43.1 = 0x00000000", "Attr-26.43.60 = 0x3135352e342e"],
        ),
        // One of three TLVs has the wrong length; FreeRADIUS, wimax.txt.
        (
            "1a 14 00 00 60 b5 54 0e 00 09 0b 04 03 01 05 06 04 05 1a 99",
            &[
                "WiMAX-PFDv2-Classifier-Direction = 1",
                "Attr-26.24757.84.9.5 = 0x04051a99",
            ],
        ),
        // A fragment that is followed by something else; FreeRADIUS, extended.txt.
        (
            "f5 0a 1a 80 00 00 00 01 06 aa 01 05 62 6f 62",
            &["Attr-245 = 0x1a8000000001 06aa", "User-Name = \"bob\""],
        ),
        (
            "f5 0a 1a 80 00 00 00 01 06 01 f5 05 1a 00 01",
            &["Attr-245.26.1.6 = 0x0101"],
        ),
        ("f5 09 1a 80 00 00 00 01 06 f5 05 1a 00 01", &["Attr-245.26.1.6 = 0x01"]),
    ];
    for (hex, lines) in cases {
        let expected: Vec<String> = lines.iter().map(|line| line.replace("01 06aa", "0106aa")).collect();
        assert_eq!(decode(&dictionary, &octets(hex)), expected, "{hex}");
    }
}

#[test]
fn long_values_are_written_in_fragments() {
    let dictionary = dictionary();
    // As FreeRADIUS, extended.txt: 251 octets in the first attribute, the rest in a second.
    let value = [vec![0xaa; 251], vec![0xcc; 15]].concat();
    let pair = Pair {
        path: vec![245, 4],
        tag: None,
        value: value.clone(),
        raw: true,
    };
    let mut out = Vec::new();
    dictionary.encode(std::slice::from_ref(&pair), None, &mut out).unwrap();
    assert_eq!(&out[..4], [0xf5, 0xff, 4, 0x80]);
    assert_eq!(&out[255..], [vec![0xf5, 0x13, 4, 0], vec![0xcc; 15]].concat());
    assert_eq!(dictionary.decode(&out, None), [pair]);

    let long = Pair {
        path: vec![26, 24757, 99],
        tag: None,
        value: (0..=255).cycle().take(700).collect(),
        raw: false,
    };
    out.clear();
    dictionary.encode(std::slice::from_ref(&long), None, &mut out).unwrap();
    assert_eq!(crate::radius::Attributes::new(&out).count(), 3);
    assert_eq!(dictionary.decode(&out, None), [long]);
}

#[test]
fn what_is_hidden_is_hidden() {
    let dictionary = dictionary();
    let secret = SharedSecret::new(b"xyzzy5461").unwrap();
    // RFC 2865 section 7.1.
    let cipher = Cipher {
        secret: &secret,
        authenticator: octets("0f403f9473978057bd83d5cb98f4227a").try_into().unwrap(),
    };
    let password = octets("02 12 0d be 70 8d 93 d4 13 ce 31 96 e4 3f 78 2a 0a ee");
    let pairs = dictionary.decode(&password, Some(&cipher));
    assert_eq!(
        dictionary.print(&pairs[0]).to_string(),
        "User-Password = \"arctangent\""
    );
    let mut again = Vec::new();
    dictionary.encode(&pairs, Some(&cipher), &mut again).unwrap();
    assert_eq!(again, password);
    // Without the secret it stays what it is.
    let pairs = dictionary.decode(&password, None);
    assert!(pairs[0].raw);
    let mut again = Vec::new();
    dictionary.encode(&pairs, Some(&cipher), &mut again).unwrap();
    assert_eq!(again, password);
    assert!(matches!(
        dictionary.encode(&[dictionary.parse("User-Password = \"a\"").unwrap()], None, &mut again),
        Err(PairError::Hidden(_))
    ));

    for line in [
        "Tunnel-Password:1 = \"0123456789abcdef\"",
        "MS-MPPE-Send-Key = 0x00112233",
    ] {
        let pair = dictionary.parse(line).unwrap();
        let mut out = Vec::new();
        dictionary
            .encode(std::slice::from_ref(&pair), Some(&cipher), &mut out)
            .unwrap();
        assert!(!out.windows(4).any(|part| pair.value.starts_with(part)));
        assert_eq!(dictionary.decode(&out, Some(&cipher)), [pair]);
        let other = SharedSecret::new(b"other").unwrap();
        let wrong = Cipher {
            secret: &other,
            ..cipher
        };
        assert!(dictionary.print(&dictionary.decode(&out, Some(&wrong))[0]).to_string() != line);
    }
}

#[test]
fn text_that_is_no_pair_is_refused() {
    let dictionary = dictionary();
    let error = |text: &str| dictionary.parse(text).unwrap_err();
    assert!(matches!(error("User-Name"), TextError::Form(_)));
    assert!(matches!(error("= x"), TextError::Form(_)));
    assert_eq!(
        error("User-Nam = x").to_string(),
        "there is no attribute User-Nam; is it User-Name?"
    );
    assert!(matches!(error("Session-Timeout = soon"), TextError::Value { .. }));
    assert!(matches!(error("User-Name = \"a"), TextError::Value { .. }));
    assert!(matches!(error("User-Name = \"a\"b\""), TextError::Value { .. }));
    assert!(matches!(error("User-Name:1 = \"a\""), TextError::Tag(_)));
    assert!(matches!(error("Tunnel-Type:99 = VLAN"), TextError::Tag(_)));
    assert!(matches!(error("Attr-1 = bob"), TextError::Value { .. }));
    assert!(!error("Tunnel-Password:1 = \"secret").to_string().contains("secret"));
    let awkward = "User-Name = \"a\\\"b\\\\c\\n\\001\\377é\"";
    let pair = dictionary.parse(awkward).unwrap();
    assert_eq!(pair.value, b"a\"b\\c\n\x01\xff\xc3\xa9");
    assert_eq!(dictionary.print(&pair).to_string(), awkward);
}

/// Found by fuzzing: as text it would be empty, and what is empty is not sent.
#[test]
fn a_tag_alone_stays_an_octet() {
    let dictionary = Dictionary::builtin();
    let sent = [0x51, 3, 0];
    let pairs = dictionary.decode(&sent, None);
    assert!(pairs[0].raw && pairs[0].tag.is_none(), "{pairs:?}");
    let mut out = Vec::new();
    dictionary.encode(&pairs, None, &mut out).unwrap();
    assert_eq!(out, sent);
}

#[test]
fn what_does_not_fit_is_refused() {
    let dictionary = dictionary();
    let mut out = b"kept".to_vec();
    let mut refused = |path: &[u32], tag: Option<u8>, value: Vec<u8>, raw: bool| {
        let pair = Pair {
            path: path.to_vec(),
            tag,
            value,
            raw,
        };
        let good = dictionary.parse("User-Name = \"bob\"").unwrap();
        let error = dictionary.encode(&[good, pair], None, &mut out).unwrap_err();
        assert_eq!(out, b"kept");
        error
    };
    assert!(matches!(
        refused(&[1], None, vec![0; 254], false),
        PairError::TooLong(..)
    ));
    assert!(matches!(
        refused(&[26, 9, 1], None, vec![0; 248], false),
        PairError::TooLong(..)
    ));
    assert!(matches!(
        refused(&[26, 9, 300], None, vec![0; 4], true),
        PairError::Path(_)
    ));
    assert!(matches!(refused(&[], None, vec![0; 4], true), PairError::Path(_)));
    assert!(matches!(refused(&[26], None, vec![0; 4], false), PairError::Path(_)));
    assert!(matches!(refused(&[1], None, Vec::new(), false), PairError::Empty(_)));
    assert!(matches!(
        refused(&[4], None, vec![0; 5], false),
        PairError::Value { .. }
    ));
    assert!(matches!(refused(&[1], Some(1), vec![65], false), PairError::Tag(_)));
    assert!(matches!(
        refused(&[64], Some(1), vec![1, 0, 0, 13], false),
        PairError::Value { .. }
    ));
}

#[test]
fn the_builtin_dictionary_is_whole() {
    let mut again = Dictionary::empty();
    again.add(include_str!("../builtin.dictionary")).unwrap();
    assert_eq!(again.len(), Dictionary::builtin().len());
    // Every attribute that the shipped vendors can be sent.
    let vendors = include_str!("../../../../../raddb/mods-config/rust/vendors.toml");
    let mut seen = 0;
    for list in vendors
        .lines()
        .filter_map(|line| line.trim().strip_prefix("attributes = ["))
    {
        for name in list.split('"').skip(1).step_by(2) {
            assert!(again.get(name).is_some(), "{name}");
            seen += 1;
        }
    }
    assert!(seen > 10);
}

#[test]
fn the_dictionaries_of_the_machine_are_read() {
    let path = std::path::Path::new("/usr/share/freeradius/dictionary");
    if !path.exists() {
        return;
    }
    let dictionary = Dictionary::load(path).unwrap();
    assert!(dictionary.len() > 5_000, "{}", dictionary.len());
    for (hex, lines) in BOTH_WAYS
        .iter()
        .filter(|(_, lines)| !lines[0].starts_with("Test-") && !lines[0].contains("241."))
    {
        let printed = decode(&dictionary, &octets(hex));
        assert_eq!(
            encode(&dictionary, &printed.iter().map(String::as_str).collect::<Vec<_>>()),
            octets(hex),
            "{lines:?}"
        );
    }
    // Nothing of the built-in one is at odds with them.
    for entry in &Dictionary::builtin().entries {
        let same = dictionary.get(&entry.name).unwrap_or_else(|| panic!("{}", entry.name));
        assert_eq!(
            (&same.path, same.kind, same.tagged),
            (&entry.path, entry.kind, entry.tagged),
            "{}",
            entry.name
        );
        assert_eq!(same.encryption, entry.encryption, "{}", entry.name);
    }
}

#[test]
fn a_dictionary_with_a_fault_tells_where() {
    for (text, said) in [
        (
            "ATTRIBUTE A 1 string\nATTRIBUTE B one string",
            "dictionary:2: one is no number",
        ),
        ("ATTRIBUTE A 1 strings", "there is no type strings"),
        ("BEGIN-VENDOR Nobody", "there is no vendor Nobody"),
        ("VENDOR V 1 format=3,1", "there is no format 3,1"),
        ("END-VENDOR V", "nothing was begun"),
        ("$INCLUDE other", "nothing can be included here"),
    ] {
        let error = Dictionary::empty().add(text).unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
    }
    let missing = Dictionary::load(std::path::Path::new("/nonexistent/dictionary")).unwrap_err();
    assert!(matches!(missing, DictionaryError::Read { .. }));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("dictionary");
    std::fs::write(&file, "$INCLUDE dictionary\n").unwrap();
    assert!(Dictionary::load(&file).is_err(), "a file that includes itself");
}
