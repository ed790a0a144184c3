//! The key file, and whether it opens what is sealed.

use isp_core::password::StoredPassword;
use isp_core::secret::{KeyRing, Sealed, SecretError};
use isp_core::store::Store;

use super::finding::Findings;
use super::raddb::{Entry, Raddb};
use crate::context::Context;
use crate::error::Result;

/// Sealed passwords of so many subscribers are tried.
const SAMPLE: u32 = 200;

pub(super) fn load(context: &Context, findings: &mut Findings) -> Option<KeyRing> {
    let path = context.settings.key_file.as_deref()?;
    match KeyRing::load(path) {
        Ok(keys) => Some(keys),
        Err(error) => {
            let shown = path.display().to_string();
            let (code, remedy) = match &error {
                SecretError::Permissions { .. } => (
                    "key_file_exposed",
                    format!("chmod 0600 {shown}, and rotate the keys (ispctl key rotate) if others may have read it"),
                ),
                SecretError::Owner { .. } => ("key_file_owner", format!("chown {shown} to the user that runs this")),
                SecretError::KeyFile { .. } => (
                    "key_file_missing",
                    "restore it from its backup; ispctl key create makes one for a new installation".to_owned(),
                ),
                _ => ("key_file_damaged", "restore it from its backup".to_owned()),
            };
            findings.error(code, &shown, &error.to_string(), &remedy);
            None
        }
    }
}

/// The server's key file against ispctl's.
pub(super) fn compare(context: &Context, raddb: &Raddb, instance: &Entry, findings: &mut Findings) {
    let ours = context.settings.key_file.as_deref();
    let remedy = "set key_file there to ispctl's key file, or to a copy of it";
    let Some(theirs) = raddb.path(instance, None, "key_file") else {
        if ours.is_some() {
            let problem = "ispctl seals passwords, and the server has no key_file to open them";
            findings.error("server_key_file_unset", &instance.place(), problem, remedy);
        }
        return;
    };
    let shown = theirs.display().to_string();
    match (KeyRing::load(&theirs), ours.map(KeyRing::load)) {
        // It is said of ispctl's.
        (Err(_), _) if Some(theirs.as_path()) == ours => {}
        (Err(error), _) => findings.error(
            "server_key_file",
            &shown,
            &error.to_string(),
            "restore it, mode 0600, the server's user its owner",
        ),
        (Ok(server), Some(Ok(own))) => {
            let sealed = own.seal("doctor", b"doctor");
            let opens = sealed.is_ok_and(
                |text| matches!(Sealed::parse(&text), Ok(Some(sealed)) if server.open("doctor", &sealed).is_ok()),
            );
            if !opens {
                let problem = "it cannot open what ispctl seals: its keys are others";
                findings.error(
                    "server_key_file_differs",
                    &shown,
                    problem,
                    "copy ispctl's key file there",
                );
            }
        }
        _ => {}
    }
}

/// Whether the keys open what is in the database.
pub(super) async fn check_sealed(
    context: &Context,
    store: &Store,
    keys: Option<&KeyRing>,
    findings: &mut Findings,
) -> Result<()> {
    let sample = store.stored_passwords("", SAMPLE).await?;
    let (mut locked, mut clear, mut why) = (0_u64, 0_u64, String::new());
    for stored in &sample {
        match StoredPassword::parse(stored.password_hash_method.as_deref(), &stored.password) {
            Ok(StoredPassword::Sealed { sealed, .. }) => {
                let outcome = keys.map(|keys| keys.open(&stored.id, &sealed));
                match outcome {
                    Some(Ok(_)) => {}
                    Some(Err(error)) => (locked, why) = (locked + 1, error.to_string()),
                    None => (locked, why) = (locked + 1, "there is no key file".to_owned()),
                }
            }
            Ok(StoredPassword::Cleartext(_) | StoredPassword::Nt(_)) => clear += 1,
            Ok(StoredPassword::OneWay { .. }) => {}
            Err(error) => findings.error(
                "password_unreadable",
                &format!("subscriber {}", stored.username),
                &error.to_string(),
                &format!("ispctl subscriber password {}", stored.username),
            ),
        }
    }
    let looked = sample.len();
    if locked > 0 {
        let problem = format!("{locked} of {looked} stored passwords looked at cannot be opened: {why}");
        findings.error(
            "passwords_locked",
            "subscribers",
            &problem,
            "use the key file they were sealed with, or set the passwords anew",
        );
    }
    if clear > 0 && context.settings.key_file.is_some() {
        let problem = format!("{clear} of {looked} stored passwords looked at are in clear");
        findings.warning("passwords_in_clear", "subscribers", &problem, "ispctl key reseal");
    }
    Ok(())
}
