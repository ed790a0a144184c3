//! MS-CHAPv2 (RFC 2759) as a NAS passes it on, in attributes of RFC 2548: `radclient` itself makes version 1 only.

use des::Des;
use des::cipher::{BlockCipherEncrypt as _, KeyInit as _};
use md4::{Digest as _, Md4};
use sha1::Sha1;

/// What both sides said, before the proof.
#[derive(Debug, Clone, Copy)]
pub struct Exchange<'a> {
    pub user_name: &'a str,
    pub authenticator_challenge: [u8; 16],
    pub peer_challenge: [u8; 16],
}

impl Exchange<'_> {
    /// ChallengeHash, RFC 2759 section 8.2.
    fn challenge_hash(&self) -> [u8; 8] {
        let hash = Sha1::new()
            .chain_update(self.peer_challenge)
            .chain_update(self.authenticator_challenge)
            .chain_update(self.user_name)
            .finalize();
        *hash.first_chunk().unwrap()
    }

    /// GenerateNTResponse, section 8.1.
    #[must_use]
    pub fn nt_response(&self, password: &str) -> [u8; 24] {
        let mut padded = [0; 21];
        padded[..16].copy_from_slice(&nt_password_hash(password));
        let mut response = [0; 24];
        for (key, part) in padded.chunks_exact(7).zip(response.chunks_exact_mut(8)) {
            let mut block = self.challenge_hash().into();
            Des::new(&with_parity_bits(key).into()).encrypt_block(&mut block);
            part.copy_from_slice(&block);
        }
        response
    }

    /// GenerateAuthenticatorResponse, section 8.7: that the server knows the password too.
    #[must_use]
    pub fn authenticator_response(&self, password: &str) -> String {
        let digest = Sha1::new()
            .chain_update(Md4::digest(nt_password_hash(password)))
            .chain_update(self.nt_response(password))
            .chain_update(b"Magic server to client signing constant")
            .finalize();
        let digest = Sha1::new()
            .chain_update(digest)
            .chain_update(self.challenge_hash())
            .chain_update(b"Pad to make it do more than one iteration")
            .finalize();
        digest
            .iter()
            .fold("S=".to_owned(), |text, byte| text + &format!("{byte:02X}"))
    }

    /// MS-CHAP2-Response, RFC 2548 section 2.3.2.
    #[must_use]
    pub fn response_attribute(&self, ident: u8, password: &str) -> Vec<u8> {
        let mut value = vec![ident, 0];
        value.extend(self.peer_challenge);
        value.extend([0; 8]);
        value.extend(self.nt_response(password));
        value
    }
}

fn nt_password_hash(password: &str) -> [u8; 16] {
    let unicode: Vec<u8> = password.encode_utf16().flat_map(u16::to_le_bytes).collect();
    Md4::digest(unicode).into()
}

/// A DES key of 56 bits as the 64 that DES takes, of which every eighth is not looked at.
fn with_parity_bits(key: &[u8]) -> [u8; 8] {
    let bits = key.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
    std::array::from_fn(|at| ((bits >> (49 - 7 * at)) as u8 & 0x7f) << 1)
}
