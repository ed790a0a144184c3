//! The subscriber base every contender serves: made from an index, so that the generator knows each expected answer
//! without keeping a million of them.

use std::net::Ipv4Addr;

/// A plan of the generated base. Three of a subscriber's four reply attributes come from it.
#[derive(Debug)]
pub(crate) struct BenchPlan {
    pub(crate) name: &'static str,
    pub(crate) download_kbps: u32,
    pub(crate) upload_kbps: u32,
    /// RouterOS counts from its own side: rx/tx = the client's upload/download.
    pub(crate) rate_limit: &'static str,
    pub(crate) session_timeout: u32,
    pub(crate) interim_interval: u32,
}

pub(crate) const PLANS: [BenchPlan; 4] = [
    BenchPlan {
        name: "home-50",
        download_kbps: 50_000,
        upload_kbps: 10_000,
        rate_limit: "10000k/50000k",
        session_timeout: 86_400,
        interim_interval: 300,
    },
    BenchPlan {
        name: "home-100",
        download_kbps: 100_000,
        upload_kbps: 20_000,
        rate_limit: "20000k/100000k",
        session_timeout: 86_400,
        interim_interval: 600,
    },
    BenchPlan {
        name: "office-300",
        download_kbps: 300_000,
        upload_kbps: 100_000,
        rate_limit: "100000k/300000k",
        session_timeout: 43_200,
        interim_interval: 300,
    },
    BenchPlan {
        name: "legacy-8",
        download_kbps: 8_128,
        upload_kbps: 1_536,
        rate_limit: "1536k/8128k",
        session_timeout: 21_600,
        interim_interval: 900,
    },
];

/// First address handed out; the base stays inside 10.0.0.0/8.
const FIRST_ADDRESS: u32 = 0x0A00_0001;

/// Largest base the address plan holds.
pub(crate) const LARGEST: u32 = 16_000_000;

/// One generated subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Member(pub(crate) u32);

impl Member {
    pub(crate) fn framed_ip(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(FIRST_ADDRESS + self.0)
    }

    pub(crate) fn plan_index(self) -> usize {
        // Neighbours differ, so that a reply taken from the wrong row is seen in more than the address.
        (mix(self.0) % PLANS.len() as u64) as usize
    }

    pub(crate) fn plan(self) -> &'static BenchPlan {
        &PLANS[self.plan_index()]
    }

    /// User-Name, ASCII.
    pub(crate) fn username(self) -> [u8; 25] {
        let mut name = *b"sub00000000@fiber.example";
        let mut rest = self.0;
        for digit in name[3..11].iter_mut().rev() {
            *digit += (rest % 10) as u8;
            rest /= 10;
        }
        name
    }

    /// The clear password, ASCII, different for every subscriber.
    pub(crate) fn password(self) -> [u8; 13] {
        const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
        let mut bits = mix(self.0);
        std::array::from_fn(|_| {
            let character = ALPHABET[(bits & 31) as usize];
            bits >>= 5;
            character
        })
    }

    pub(crate) fn username_text(self) -> String {
        self.username().escape_ascii().to_string()
    }

    pub(crate) fn password_text(self) -> String {
        self.password().escape_ascii().to_string()
    }
}

/// SplitMix64 finalizer: a bijection, so no two subscribers share a password.
fn mix(index: u32) -> u64 {
    let mut z = u64::from(index).wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_member_is_distinguishable() {
        let all: Vec<Member> = (0..5_000).map(Member).collect();
        let distinct = |of: &dyn Fn(Member) -> String| all.iter().map(|m| of(*m)).collect::<HashSet<_>>().len();
        assert_eq!(distinct(&Member::username_text), all.len());
        assert_eq!(distinct(&Member::password_text), all.len());
        assert_eq!(distinct(&|m| m.framed_ip().to_string()), all.len());
        assert!(PLANS.iter().all(|plan| all.iter().any(|m| m.plan().name == plan.name)));
    }

    #[test]
    fn the_largest_base_stays_in_its_network() {
        assert_eq!(Member(0).framed_ip(), Ipv4Addr::new(10, 0, 0, 1));
        assert_eq!(Member(LARGEST - 1).framed_ip().octets()[0], 10);
    }
}
