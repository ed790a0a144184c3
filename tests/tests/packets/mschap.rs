//! MS-CHAPv2 outside of EAP.

use e2e::database::Database;
use e2e::mschap::Exchange;
use e2e::radclient::{MSCHAP_CHALLENGES, MSCHAP_IDENT, Method, login};
use e2e::seed::PASSWORD;
use isp_core::password::Scheme;

use crate::server_on;

/// RFC 2759 section 9.2.
#[test]
fn the_client_computes_what_the_standard_says() {
    let exchange = Exchange {
        user_name: "User",
        authenticator_challenge: *b"[]|}{?/><,`!2&&(",
        peer_challenge: *b"!@#$%^&*()_+:3|~",
    };
    let response: String = exchange
        .nt_response("clientPass")
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect();
    assert_eq!(response, "82309ECD8D708B5EA08FAA3981CD83544233114A3D85D6DF");
    assert_eq!(
        exchange.authenticator_response("clientPass"),
        "S=407A5589115FD0D6209F510FE9C04566932CDA56"
    );
}

#[test]
fn an_accept_proves_that_the_server_knows_the_password() {
    let database = Database::sqlite().seeded();
    for scheme in [Scheme::Cleartext, Scheme::Nt] {
        database.add_with(scheme.as_str(), scheme, |_| {});
    }
    let server = server_on(&database).start();
    for scheme in [Scheme::Cleartext, Scheme::Nt] {
        let answer = login(Method::MsChapV2, scheme.as_str(), PASSWORD).ask(&server);
        assert!(answer.accepted(), "{answer:?}");
        let [authenticator_challenge, peer_challenge] = MSCHAP_CHALLENGES;
        let exchange = Exchange {
            user_name: scheme.as_str(),
            authenticator_challenge,
            peer_challenge,
        };
        let proof = exchange.authenticator_response(PASSWORD);
        let expected: String = std::iter::once(MSCHAP_IDENT)
            .chain(proof.bytes())
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(answer.values("MS-CHAP2-Success"), [format!("0x{expected}")]);

        let answer = login(Method::MsChapV2, scheme.as_str(), "wrong").ask(&server);
        assert!(!answer.accepted(), "{answer:?}");
        assert!(answer.values("MS-CHAP2-Success").is_empty());
        // RFC 2759 section 6: 691 is "authentication failure".
        assert!(
            answer
                .values("MS-CHAP-Error")
                .iter()
                .any(|error| error.contains("E=691")),
            "{answer:?}"
        );
    }
}
