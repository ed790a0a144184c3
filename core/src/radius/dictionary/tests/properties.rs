//! What holds of whatever octets arrive, and of whatever pairs are written.

use proptest::prelude::*;

use super::super::{Cipher, Dictionary, Kind, Pair, head};
use super::dictionary;
use crate::radius::SharedSecret;

/// Pairs as they can be written.
fn pair() -> impl Strategy<Value = Pair> {
    let path = prop_oneof![
        (1..=240u32)
            .prop_filter("a container", |number| *number != 26)
            .prop_map(|number| vec![number]),
        (1..100_000u32, 1..=255u32)
            .prop_filter("a form", |(vendor, _)| ![429, 4846, 8164, 24757].contains(vendor))
            .prop_map(|(vendor, number)| vec![26, vendor, number]),
        (241..=246u32, 30..=255u32).prop_map(|(outer, number)| vec![outer, number]),
        (241..=246u32, any::<u32>(), 1..=255u32).prop_map(|(outer, vendor, number)| vec![outer, 26, vendor, number]),
        Just(vec![26, 24757, 99]),
        Just(vec![241, 2, 1]),
        Just(vec![241, 2, 3, 1]),
    ];
    (path, prop::collection::vec(any::<u8>(), 1..240)).prop_map(|(path, value)| Pair {
        raw: true,
        path,
        tag: None,
        value,
    })
}

proptest! {
    #[test]
    fn no_octets_are_too_much(attributes in prop::collection::vec(any::<u8>(), 0..300)) {
        let dictionary = dictionary();
        let secret = SharedSecret::new(b"secret").unwrap();
        let cipher = Cipher { secret: &secret, authenticator: [7; 16] };
        for cipher in [None, Some(&cipher)] {
            for pair in dictionary.decode(&attributes, cipher) {
                let text = dictionary.print(&pair).to_string();
                // What is shown can be given again, and means the same.
                if let Ok(again) = dictionary.parse(&text) {
                    prop_assert_eq!(dictionary.print(&again).to_string(), text.clone());
                    prop_assert_eq!((&again.path, again.tag), (&pair.path, pair.tag), "{}", text);
                    // Of prefixes there are several ways to write one: what is given again is the shortest.
                    let kind = dictionary.at(&pair.path).map(|entry| entry.kind);
                    if !matches!(kind, Some(Kind::Ipv4Prefix | Kind::Ipv6Prefix)) {
                        prop_assert_eq!(again.value, pair.value, "{}", text);
                    }
                }
            }
        }
    }

    #[test]
    fn structured_octets_decode_to_what_they_are_made_of(
        kind in prop::sample::select(vec![1u8, 26, 64, 69, 81, 97, 241, 245]),
        vendor in prop::sample::select(vec![429u32, 4846, 8164, 24757, 14988, 1]),
        inside in prop::collection::vec(0..8u8, 0..40),
    ) {
        let dictionary = dictionary();
        let mut attributes = Vec::new();
        for part in inside.chunks(20) {
            let value = [vendor.to_be_bytes().as_slice(), part].concat();
            attributes.extend([kind, u8::try_from(value.len() + 2).unwrap()]);
            attributes.extend(value);
        }
        let pairs = dictionary.decode(&attributes, None);
        let mut again = Vec::new();
        dictionary.encode(&pairs, None, &mut again).unwrap();
        prop_assert_eq!(dictionary.decode(&again, None), pairs);
    }

    #[test]
    fn what_is_written_is_read(pairs in prop::collection::vec(pair(), 1..12)) {
        let dictionary = dictionary();
        let mut attributes = Vec::new();
        // Without a dictionary all are raw, and so stay what they are.
        let empty = Dictionary::empty();
        let untyped: Vec<Pair> = pairs.iter().filter(|pair| pair.path.len() <= head(&pair.path)).cloned().collect();
        empty.encode(&untyped, None, &mut attributes).unwrap();
        prop_assert_eq!(empty.decode(&attributes, None), untyped);
        attributes.clear();
        dictionary.encode(&pairs, None, &mut attributes).unwrap();
        let values = |pairs: &[Pair]| -> Vec<_> { pairs.iter().map(|pair| pair.path.clone()).collect() };
        prop_assert_eq!(values(&dictionary.decode(&attributes, None)), values(&pairs));
    }
}
