//! session disconnect and coa, and the log of what NAS were told.

use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use isp_core::radius::{AttributeType, Code, Packet, PacketWriter, SharedSecret};
use serde_json::json;

use crate::lab::{Lab, names};

crate::on_both_databases!(
    what_matches_several_is_listed_and_not_guessed,
    an_order_waits_and_is_cancelled_and_placed_once_more,
    the_nas_is_told_from_here,
    what_counts_by_now_is_told_again,
    a_nas_that_cannot_be_told_is_said,
    the_environment_of_the_original_counts,
);

pub(crate) const SECRET: &str = "a secret of theirs";

/// Alice with open sessions `s1` and so on at 127.0.0.1.
pub(crate) fn set_up(lab: &Lab, sessions: u32) {
    lab.set_up();
    lab.ctl(&["subscriber", "add", "alice", "--status", "active"]).ok();
    for id in 1..=sessions {
        lab.execute(&format!(
            "INSERT INTO radacct (radacctid, acctsessionid, acctuniqueid, username, nasipaddress, tenant_id, subscriber_id)
             SELECT {id}, 's{id}', 'u{id}', 'alice@isp', '127.0.0.1', tenant_id, id FROM subscribers"
        ));
    }
}

/// A NAS that acknowledges what verifies while `then` runs; the codes of what came.
pub(crate) fn with_nas(then: impl FnOnce(u16)) -> Vec<Code> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let port = socket.local_addr().unwrap().port();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let nas = scope.spawn(|| {
            let secret = SharedSecret::new(SECRET.as_bytes()).unwrap();
            let (mut codes, mut buffer) = (Vec::new(), [0; 4096]);
            while !over.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut buffer) else {
                    continue;
                };
                let packet = Packet::decode(&buffer[..length])
                    .unwrap()
                    .verify_request(&secret)
                    .unwrap();
                codes.push(packet.code());
                assert_eq!(packet.get(AttributeType::ACCT_SESSION_ID).unwrap().text(), Some("s1"));
                let code = match packet.code() {
                    Code::COA_REQUEST => Code::COA_ACK,
                    _ => Code::DISCONNECT_ACK,
                };
                let mut reply = Vec::new();
                PacketWriter::reply(code, &packet, &secret, &mut reply).finish();
                socket.send_to(&reply, from).unwrap();
            }
            codes
        });
        then(port);
        over.store(true, Ordering::Relaxed);
        nas.join().unwrap()
    })
}

fn what_matches_several_is_listed_and_not_guessed(lab: &Lab) {
    set_up(lab, 2);
    lab.ctl(&["session", "disconnect"]).fails(2);
    lab.ctl(&["session", "disconnect", "--username", "nobody"]).fails(3);
    let several = lab.ctl(&["session", "disconnect", "--username", "alice"]);
    assert!(
        several.out.contains("s1") && several.out.contains("s2"),
        "{}",
        several.out
    );
    assert!(several.fails(4).contains("2 open sessions match"));
    assert_eq!(lab.ctl(&["coa", "log", "--json"]).json(), json!([]));
    let one = lab
        .ctl(&[
            "session",
            "disconnect",
            "--username",
            "alice",
            "--session-id",
            "s2",
            "--nas",
            "127.0.0.1",
            "--json",
        ])
        .json();
    assert_eq!(
        (
            &one[0]["success"],
            &one[0]["username"],
            &one[0]["details"]["session_id"],
            &one[0]["details"]["state"]
        ),
        (&json!(false), &json!("alice@isp"), &json!("s2"), &json!("pending"))
    );
    let all = lab
        .ctl(&["session", "disconnect", "--nas", "127.0.0.1", "--all", "--json"])
        .json();
    assert_eq!(all.as_array().unwrap().len(), 2);
}

fn an_order_waits_and_is_cancelled_and_placed_once_more(lab: &Lab) {
    set_up(lab, 1);
    lab.ctl(&["session", "coa", "--id", "1", "nonsense"]).fails(2);
    lab.ctl(&["session", "coa", "--id", "1", "Filter-Id = slow"]).ok();
    let waits = lab.ctl(&["session", "coa", "--id", "1", "Filter-Id = fast"]).fails(4);
    assert!(waits.contains("ispctl coa cancel 1"), "{waits}");
    let shown = lab.ctl(&["coa", "show", "1", "--json"]).json();
    assert_eq!(
        (&shown["kind"], &shown["cause"], &shown["actor"], &shown["set"]),
        (
            &json!("change"),
            &json!("manual"),
            &json!("tester"),
            &json!([{"attribute": "Filter-Id", "value": "slow"}])
        )
    );
    lab.ctl(&["coa", "cancel"]).fails(2);
    lab.ctl(&["coa", "cancel", "7"]).fails(3);
    lab.ctl(&["coa", "cancel", "1"]).ok();
    lab.ctl(&["coa", "cancel", "1"]).fails(4);
    lab.ctl(&["coa", "retry", "1"]).ok();
    lab.ctl(&["coa", "retry", "1"]).fails(4);
    let log = lab.ctl(&["coa", "log", "--json"]).json();
    assert_eq!(names(&log, "state"), ["pending", "cancelled"]);
    let summary = lab.ctl(&["coa", "log", "--summary", "--json"]).json();
    assert_eq!(
        (&summary[0]["pending"], &summary[0]["cancelled"]),
        (&json!(1), &json!(1))
    );
    lab.ctl(&["coa", "cancel", "--nas", "127.0.0.1"]).ok();
}

fn the_nas_is_told_from_here(lab: &Lab) {
    set_up(lab, 1);
    let codes = with_nas(|port| {
        let add = ["nas", "add", "127.0.0.1", "--coa-port", &port.to_string()];
        lab.ctl_with(&add, "", &[("ISP_NAS_SECRET", SECRET)]).ok();
        let change = [
            "session",
            "coa",
            "--username",
            "alice",
            "Mikrotik-Rate-Limit = 1M/1M",
            "--direct",
            "--json",
        ];
        let told = lab.ctl(&change).json();
        assert_eq!(
            (&told[0]["success"], &told[0]["message"], &told[0]["details"]["result"]),
            (&json!(true), &json!("the session was changed"), &json!("ack"))
        );
        lab.ctl(&["session", "disconnect", "--session-id", "s1", "--direct"])
            .ok();
    });
    assert_eq!(codes, [Code::COA_REQUEST, Code::DISCONNECT_REQUEST]);
    lab.never_printed(&[SECRET]);
}

fn what_counts_by_now_is_told_again(lab: &Lab) {
    set_up(lab, 1);
    let codes = with_nas(|port| {
        let add = ["nas", "add", "127.0.0.1", "--coa-port", &port.to_string()];
        lab.ctl_with(&add, "", &[("ISP_NAS_SECRET", SECRET)]).ok();
        let rates = ["--download-rate-kbps", "2000", "--upload-rate-kbps", "1000"];
        lab.ctl(&[&["plan", "add", "p"], &rates[..]].concat()).ok();
        lab.ctl(&["subscriber", "set", "alice", "--plan", "p"]).ok();
        lab.ctl(&["session", "coa", "--id", "1", "--direct"]).ok();
        let shown = lab.ctl(&["coa", "show", "1", "--json"]).json();
        assert_eq!(
            (&shown["set"], &shown["verdict"]),
            (
                &json!([{"attribute": "Mikrotik-Rate-Limit", "value": "1000k/2000k"}]),
                &json!("accept")
            )
        );
        lab.ctl(&["subscriber", "set", "alice", "--status", "suspended"]).ok();
        lab.ctl(&["session", "coa", "--id", "1", "--direct"]).ok();
    });
    assert_eq!(codes, [Code::COA_REQUEST, Code::DISCONNECT_REQUEST]);
}

fn a_nas_that_cannot_be_told_is_said(lab: &Lab) {
    set_up(lab, 1);
    let run = lab.ctl(&["session", "disconnect", "--id", "1", "--direct", "--json"]);
    assert!(run.out.contains("there is no NAS 127.0.0.1"), "{}", run.out);
    assert!(run.fails(1).contains("1 of 1 order(s)"));
    lab.ctl_with(
        &["nas", "add", "127.0.0.1", "--coa-transport", "none"],
        "",
        &[("ISP_NAS_SECRET", SECRET)],
    )
    .ok();
    let run = lab.ctl(&["session", "disconnect", "--id", "1", "--direct"]);
    assert!(run.out.contains("takes no orders"), "{}", run.out);
    let unknown = lab.ctl(&["session", "coa", "--id", "1", "No-Such-Attribute = 1", "--direct"]);
    assert_eq!(unknown.code, 1);
}

fn the_environment_of_the_original_counts(lab: &Lab) {
    set_up(lab, 1);
    let codes = with_nas(|port| {
        let environment = [
            ("RADIUS_SECRET", SECRET),
            ("RADIUS_COA_PORT", &port.to_string()),
            ("RADIUS_TIMEOUT", "2"),
            ("RADIUS_MAX_RETRIES", "1"),
        ];
        lab.ctl_with(&["session", "disconnect", "--id", "1", "--direct"], "", &environment)
            .ok();
    });
    assert_eq!(codes, [Code::DISCONNECT_REQUEST]);
    let bad = lab.ctl_with(&["status"], "", &[("RADIUS_TIMEOUT", "soon")]).fails(2);
    assert!(bad.contains("RADIUS_TIMEOUT"), "{bad}");
}
