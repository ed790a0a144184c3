//! `$1$` of crypt(3): the one form of old shadow files that no kept crate computes without a second set of digests.

use md5::{Digest as _, Md5};

const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

const ROUNDS: u32 = 1000;

/// The order in which three bytes at a time go into four characters; the last byte (11) goes alone.
const ORDER: [[usize; 3]; 5] = [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]];
const LAST: usize = 11;

/// What stands after the salt.
pub(super) fn digest(password: &[u8], salt: &[u8]) -> [u8; 22] {
    let inner = Md5::new()
        .chain_update(password)
        .chain_update(salt)
        .chain_update(password)
        .finalize();
    let mut hash = Md5::new()
        .chain_update(password)
        .chain_update(b"$1$")
        .chain_update(salt);
    for chunk in password.chunks(inner.len()) {
        hash.update(inner.iter().take(chunk.len()).copied().collect::<Vec<u8>>());
    }
    let mut bits = password.len();
    while bits != 0 {
        // A one bit hashes NUL, a zero bit the first character: so the original has it, and so it stayed.
        let byte = if bits & 1 == 1 { Some(&0) } else { password.first() };
        hash.update(byte.map_or(&[][..], std::slice::from_ref));
        bits >>= 1;
    }
    let mut state: [u8; 16] = hash.finalize().into();
    for round in 0..ROUNDS {
        let (first, last): (&[u8], &[u8]) = if round % 2 == 1 {
            (password, &state)
        } else {
            (&state, password)
        };
        let mut hash = Md5::new_with_prefix(first);
        if round % 3 != 0 {
            hash.update(salt);
        }
        if round % 7 != 0 {
            hash.update(password);
        }
        hash.update(last);
        state = hash.finalize().into();
    }
    encode(state)
}

fn encode(state: [u8; 16]) -> [u8; 22] {
    let groups = ORDER
        .map(|[a, b, c]| u32::from_be_bytes([0, state[a], state[b], state[c]]))
        .into_iter()
        .chain([u32::from(state[LAST])]);
    let characters = groups.flat_map(|group| (0..4).map(move |place| ALPHABET[(group >> (6 * place)) as usize & 63]));
    let mut text = [0; 22];
    for (byte, character) in text.iter_mut().zip(characters) {
        *byte = character;
    }
    text
}
