//! Every stored form of a password against every method of proving one.

use std::time::Duration;

use e2e::database::Database;
use e2e::eapol::{self, Eap};
use e2e::radclient::{self, Method};
use e2e::radiusd::Radiusd;
use e2e::seed::PASSWORD;
use isp_core::password::Scheme;

use crate::{recorded, server_on};

#[derive(Debug, Clone, Copy)]
enum Way {
    Plain(Method),
    Eap(Eap),
}

const WAYS: [Way; 10] = [
    Way::Plain(Method::Pap),
    Way::Plain(Method::Chap),
    Way::Plain(Method::MsChapV1),
    Way::Plain(Method::MsChapV2),
    Way::Eap(Eap::Md5),
    Way::Eap(Eap::MsChapV2),
    Way::Eap(Eap::PeapMsChapV2),
    Way::Eap(Eap::TtlsPap),
    Way::Eap(Eap::TtlsMsChapV2),
    Way::Eap(Eap::TtlsChap),
];

/// Which of [`WAYS`] each stored form serves.
#[rustfmt::skip]
const SERVES: [(Scheme, [bool; 10]); 8] = [
    //                   PAP    CHAP   MS1    MS2    MD5    EAPMS  PEAP   T/PAP  T/MS   T/CHAP
    (Scheme::Cleartext, [true,  true,  true,  true,  true,  true,  true,  true,  true,  true]),
    (Scheme::Nt,        [true,  false, true,  true,  false, true,  true,  true,  true,  false]),
    (Scheme::Md5,       [true,  false, false, false, false, false, false, true,  false, false]),
    (Scheme::Sha256,    [true,  false, false, false, false, false, false, true,  false, false]),
    (Scheme::Ssha,      [true,  false, false, false, false, false, false, true,  false, false]),
    (Scheme::Bcrypt,    [true,  false, false, false, false, false, false, true,  false, false]),
    (Scheme::Argon2id,  [true,  false, false, false, false, false, false, true,  false, false]),
    (Scheme::Crypt,     [true,  false, false, false, false, false, false, true,  false, false]),
];

fn try_login(server: &Radiusd, way: Way, user_name: &str, password: &str) -> bool {
    match way {
        Way::Plain(method) => radclient::login(method, user_name, password).ask(server).accepted(),
        Way::Eap(eap) => eapol::login(server, eap, "anonymous", user_name, password).accepted,
    }
}

#[test]
fn every_stored_form_serves_exactly_the_methods_it_can() {
    let database = Database::sqlite().seeded();
    for (scheme, _) in SERVES {
        database.add_with(scheme.as_str(), scheme, |_| {});
    }
    let server = server_on(&database).start();
    let mut wrong = Vec::new();
    for (scheme, serves) in SERVES {
        let mut outcomes = Vec::new();
        for (way, serves) in WAYS.into_iter().zip(serves) {
            if try_login(&server, way, scheme.as_str(), PASSWORD) != serves {
                wrong.push(format!("{} by {way:?}: expected {serves}", scheme.as_str()));
            }
            outcomes.push(if serves { "accepted" } else { "method_unsupported" });
            if serves {
                if try_login(&server, way, scheme.as_str(), "wrong") {
                    wrong.push(format!("{} by {way:?}: let in with a wrong password", scheme.as_str()));
                }
                outcomes.push("bad_password");
            }
        }
        let complete = || recorded(&database, scheme.as_str()).len() >= outcomes.len();
        e2e::wait_for("every login is recorded", Duration::from_secs(10), complete);
        let recorded = recorded(&database, scheme.as_str());
        if recorded != outcomes {
            wrong.push(format!(
                "{}: recorded {recorded:?} instead of {outcomes:?}",
                scheme.as_str()
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
