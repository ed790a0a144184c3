//! Any octets as a packet and as attributes: nothing panics, and what can be written says what was read.
#![no_main]

use isp_core::radius::dictionary::Cipher;
use isp_core::radius::{Dictionary, Packet, SharedSecret};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static SECRET: LazyLock<SharedSecret> = LazyLock::new(|| SharedSecret::new(b"testing123").expect("it is not empty"));

/// Besides the built-in ones, every form that vendors have.
static DICTIONARY: LazyLock<Dictionary> = LazyLock::new(|| {
    let mut dictionary = Dictionary::builtin().clone();
    let more = "VENDOR A 1 format=2,1\nVENDOR B 2 format=2,2\nVENDOR C 3 format=4,0\nVENDOR D 4 format=1,1,c\n\
                VENDOR E 5 format=1,0\nBEGIN-VENDOR D\nATTRIBUTE T 1 tlv\nATTRIBUTE T1 1.1 string\nATTRIBUTE T2 1.2 tlv\n\
                ATTRIBUTE T21 1.2.1 integer64\nEND-VENDOR D\nATTRIBUTE X 241.1 tlv\nATTRIBUTE X1 241.1.1 ipv6prefix\n\
                ATTRIBUTE Y 245.1 ipv4prefix\nATTRIBUTE Z 245.2 ifid\n";
    dictionary.add(more).expect("it follows the form");
    dictionary
});

fuzz_target!(|data: &[u8]| {
    if let Ok(packet) = Packet::decode(data) {
        let _ = format!("{packet:?}");
        for attribute in packet.attributes() {
            let _ = (attribute.text(), attribute.integer(), attribute.ipv6());
        }
        let _ = packet.verify_request(&SECRET);
    }
    let attributes = data.get(20..).unwrap_or(data);
    let cipher = Cipher {
        secret: &SECRET,
        authenticator: [7; 16],
    };
    for cipher in [None, Some(&cipher)] {
        let pairs = DICTIONARY.decode(attributes, cipher);
        for pair in &pairs {
            let text = DICTIONARY.print(pair).to_string();
            if let Ok(again) = DICTIONARY.parse(&text) {
                assert_eq!(DICTIONARY.print(&again).to_string(), text);
            }
        }
        let mut again = Vec::new();
        if DICTIONARY.encode(&pairs, cipher, &mut again).is_ok() {
            assert_eq!(DICTIONARY.decode(&again, cipher), pairs);
        } else {
            // What is not hidden can always be written again.
            assert!(cipher.is_some());
        }
    }
    let text = String::from_utf8_lossy(data);
    let _ = DICTIONARY.parse(&text);
    let _ = Dictionary::empty().add(&text);
});
