//! `eapol_test` as a supplicant behind a NAS.

use std::process::Command;

use crate::artifact;
use crate::radclient::SECRET;
use crate::radiusd::Radiusd;

/// EAP method and what is inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Eap {
    PeapMsChapV2,
    TtlsPap,
    TtlsMsChapV2,
    TtlsChap,
    MsChapV2,
    Md5,
}

/// How a conversation ended.
#[derive(Debug)]
pub struct Outcome {
    pub accepted: bool,
    /// Everything the supplicant printed.
    pub log: String,
}

impl Outcome {
    /// Values of an attribute of the Access-Accept, by number: addresses and text as such, all else in hexadecimal.
    #[must_use]
    pub fn values(&self, number: u8) -> Vec<&str> {
        let Some(start) = self.log.rfind("RADIUS message: code=2 (Access-Accept)") else {
            return Vec::new();
        };
        let heading = format!("Attribute {number} (");
        let lines: Vec<&str> = self.log[start..].lines().map(str::trim).collect();
        lines
            .windows(2)
            .filter(|pair| pair[0].starts_with(&heading))
            .filter_map(|pair| pair[1].strip_prefix("Value: "))
            .map(|value| value.trim_matches('\''))
            .collect()
    }
}

/// Log in over EAP, with `outer` as the name outside of a tunnel.
#[must_use]
pub fn login(server: &Radiusd, eap: Eap, outer: &str, user_name: &str, password: &str) -> Outcome {
    let (method, phase2, tunnel) = match eap {
        Eap::PeapMsChapV2 => ("PEAP", "auth=MSCHAPV2", true),
        Eap::TtlsPap => ("TTLS", "auth=PAP", true),
        Eap::TtlsMsChapV2 => ("TTLS", "auth=MSCHAPV2", true),
        Eap::TtlsChap => ("TTLS", "auth=CHAP", true),
        Eap::MsChapV2 => ("MSCHAPV2", "", false),
        Eap::Md5 => ("MD5", "", false),
    };
    let mut network = format!(
        "network={{\nkey_mgmt={}\neap={method}\nidentity=\"{user_name}\"\npassword=\"{password}\"\n",
        if tunnel { "WPA-EAP" } else { "IEEE8021X\neapol_flags=0" },
    );
    if tunnel {
        let authority = artifact::certificates().join("ca.pem");
        network.push_str(&format!(
            "anonymous_identity=\"{outer}\"\nphase2=\"{phase2}\"\nca_cert=\"{}\"\n",
            authority.display()
        ));
    }
    network.push_str("}\n");
    let file = tempfile::NamedTempFile::new_in(server.directory()).unwrap();
    std::fs::write(file.path(), network).unwrap();

    let mut supplicant = Command::new("eapol_test");
    supplicant
        .current_dir(server.directory())
        .arg("-c")
        .arg(file.path())
        .args(["-t", "20", "-a", "127.0.0.1", "-s", SECRET])
        .arg("-p")
        .arg(server.auth_port().to_string());
    if !tunnel {
        // These methods derive no keys for the NAS.
        supplicant.arg("-n");
    }
    let output = supplicant
        .output()
        .expect("eapol_test (package eapoltest) can be started");
    let log = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        !log.contains("EAPOL test timed out"),
        "no end of the EAP conversation\n{log}\n{}",
        server.log()
    );
    Outcome {
        accepted: log.trim_end().ends_with("SUCCESS"),
        log,
    }
}
