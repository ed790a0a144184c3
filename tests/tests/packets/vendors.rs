//! What a plan is to NAS of each vendor, octet by octet, and whose word counts for that.
//!
//! The expected octets are written down from the vendors' own documentation, named at each; numbers of attributes are
//! theirs, too.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use e2e::database::Database;
use e2e::on_both_databases;
use e2e::radclient::{Method, SECRET, login};
use e2e::radiusd::{Builder, Radiusd};
use e2e::seed::{PASSWORD, TENANT};
use isp_core::password::Scheme;
use isp_core::plan::Plan;
use isp_core::radius::{AttributeType, Code, MAX_PACKET, Packet, PacketWriter, SharedSecret};
use isp_core::subscriber::Subscriber;

use crate::server_on;

/// 100 Mbit/s down and 20 up, bursts to 150 and 30, and a name for whatever a NAS may hold.
fn fibre() -> Plan {
    Plan {
        id: format!("{TENANT}-bursting"),
        tenant_id: TENANT.to_owned(),
        name: "bursting".to_owned(),
        download_rate_kbps: 100_000,
        upload_rate_kbps: 20_000,
        download_burst_kbps: Some(150_000),
        upload_burst_kbps: Some(30_000),
        download_burst_threshold_kbps: Some(80_000),
        upload_burst_threshold_kbps: Some(16_000),
        download_burst_seconds: Some(12),
        upload_burst_seconds: Some(8),
        priority: Some(5),
        download_min_kbps: Some(10_000),
        upload_min_kbps: Some(2_000),
        address_list: Some("paying".to_owned()),
        ipv4_pool: Some("v4".to_owned()),
        ipv6_pool: Some("v6".to_owned()),
        delegated_ipv6_pool: Some("pd".to_owned()),
        qos_profile_download: Some("gold-down".to_owned()),
        qos_profile_upload: Some("gold-up".to_owned()),
        filter_id: Some("customers".to_owned()),
        redirect_url: Some("http://pay.example/".to_owned()),
        ..Plan::default()
    }
}

/// RFC 2865 section 5: type, length, value.
fn standard(kind: u8, value: &[u8]) -> Vec<u8> {
    [&[kind, u8::try_from(value.len() + 2).unwrap()], value].concat()
}

/// RFC 2865 section 5.26: Vendor-Specific, in it the vendor's id and one attribute of its own.
fn specific(vendor: u32, kind: u8, value: &[u8]) -> Vec<u8> {
    standard(26, &[&vendor.to_be_bytes()[..], &standard(kind, value)].concat())
}

fn text(vendor: u32, kind: u8, value: &str) -> Vec<u8> {
    specific(vendor, kind, value.as_bytes())
}

fn number(vendor: u32, kind: u8, value: u32) -> Vec<u8> {
    specific(vendor, kind, &value.to_be_bytes())
}

/// Filter-Id (RFC 2865 section 5.11), Framed-Pool (RFC 2869 section 5.18), Framed-IPv6-Pool (RFC 3162 section 2.6) and
/// Delegated-IPv6-Prefix-Pool (RFC 6911 section 3.4).
fn filter() -> Vec<u8> {
    standard(11, b"customers")
}
fn pools() -> Vec<u8> {
    [standard(88, b"v4"), standard(100, b"v6")].concat()
}
fn delegated_pool() -> Vec<u8> {
    standard(171, b"pd")
}

/// Each vendor with the attributes of an Access-Accept for [`fibre`].
fn expected() -> Vec<(&'static str, Vec<u8>)> {
    let generic = [filter(), pools(), delegated_pool()].concat();
    // "WISPr Roaming Best Current Practices", vendor 14122: 5 to 8 are rates in bit/s, minimum up and down, maximum up and
    // down; 4 is the URL after the login.
    let wispr = [
        generic.clone(),
        number(14_122, 7, 20_000_000),
        number(14_122, 8, 100_000_000),
        number(14_122, 5, 2_000_000),
        number(14_122, 6, 10_000_000),
        text(14_122, 4, "http://pay.example/"),
    ]
    .concat();
    // "QoS: Per-Session Shaping and Queuing on LNS", "Quality of Service Configuration Guide" example 18-3: VSA 1, in is from
    // the subscriber.
    let cisco = [
        filter(),
        standard(100, b"v6"),
        delegated_pool(),
        text(9, 1, "ip:sub-qos-policy-in=gold-up"),
        text(9, 1, "ip:sub-qos-policy-out=gold-down"),
        text(9, 1, "ip:addr-pool=v4"),
    ]
    .concat();
    vec![
        ("generic", generic.clone()),
        (
            // "RADIUS Client" of the RouterOS manual, vendor 14988: rx is upload; rate, burst, threshold, time, priority,
            // minimum rate; "k" is 1000.
            "mikrotik",
            [
                filter(),
                pools(),
                text(
                    14_988,
                    8,
                    "20000k/100000k 30000k/150000k 16000k/80000k 8/12 5 2000k/10000k",
                ),
                text(14_988, 19, "paying"),
                text(14_988, 22, "pd"),
                text(14_122, 4, "http://pay.example/"),
            ]
            .concat(),
        ),
        ("wispr", wispr.clone()),
        ("ubiquiti", wispr),
        ("cisco", cisco.clone()),
        (
            // "Configuring ISG Policies for Regulating Network Access": VSA 250, bit/s, then bytes: what passes in 1.5
            // seconds, and twice that.
            "cisco-isg",
            [
                cisco,
                text(9, 250, "QU;20000000;3750000;7500000;D;100000000;18750000;37500000"),
            ]
            .concat(),
        ),
        (
            // "RADIUS Attributes" of the NetEngine documentation, vendor 2011: (2) upstream CIR, (3) upstream PIR, (5) and (6)
            // downstream, in bit/s; (31) QoS profile, (182) the one of downstream; (27) portal.
            "huawei",
            [
                filter(),
                pools(),
                number(2_011, 2, 20_000_000),
                number(2_011, 3, 30_000_000),
                number(2_011, 5, 100_000_000),
                number(2_011, 6, 150_000_000),
                text(2_011, 31, "gold-up"),
                text(2_011, 182, "gold-down"),
                text(2_011, 191, "pd"),
                text(2_011, 27, "http://pay.example/"),
            ]
            .concat(),
        ),
        (
            // "Juniper Networks VSAs Supported by the AAA Service Framework", vendor 4874: (65) is tagged, one octet before the
            // name (RFC 2868 section 3.1). "Subscriber Interfaces That Provide Initial CoS Parameters Dynamically Obtained
            // from RADIUS": (108) T02 shaping, T03 guaranteed rate, bit/s. (161) pool for delegated prefixes.
            "juniper",
            [
                filter(),
                pools(),
                specific(4_874, 65, b"\x01gold-down"),
                specific(4_874, 65, b"\x02gold-up"),
                text(4_874, 108, "T02 100000000"),
                text(4_874, 108, "T03 10000000"),
                text(4_874, 161, "pd"),
            ]
            .concat(),
        ),
        (
            // JUNOSe "Broadband Access Configuration Guide", "VSAs That Apply to Dynamic IP Interfaces": (10) input policy, (26)
            // QoS profile.
            "juniper-e",
            [
                generic.clone(),
                text(4_874, 10, "gold-up"),
                text(4_874, 26, "gold-down"),
            ]
            .concat(),
        ),
        (
            // "7450 ESS, 7750 SR, and VSR RADIUS Attributes Reference Guide", vendor 6527: (12) subscriber profile, (13) SLA
            // profile, (126) overrides, i ingress, e egress, kbit/s, (131) pool for delegated prefixes.
            "nokia-sr",
            [
                filter(),
                pools(),
                text(6_527, 12, "gold-up"),
                text(6_527, 13, "gold-down"),
                text(6_527, 126, "i:q:1:pir=20000,cir=2000"),
                text(6_527, 126, "e:r:rate=100000"),
                text(6_527, 131, "pd"),
            ]
            .concat(),
        ),
        (
            // No documentation of ZTE's is public; vendor 3902 as in the server's dictionary, bit/s as other servers send.
            "zte",
            [
                generic.clone(),
                number(3_902, 89, 20_000_000),
                number(3_902, 83, 100_000_000),
                text(3_902, 94, "gold-up"),
                text(3_902, 82, "gold-down"),
                text(3_902, 27, "http://pay.example/"),
            ]
            .concat(),
        ),
        (
            // "RADIUS subattributes (vendor ID 25506)": (2) average and (1) peak rate from the user, (5) and (4) to the user,
            // bit/s; (27) portal.
            "h3c",
            [
                generic,
                number(25_506, 2, 20_000_000),
                number(25_506, 1, 30_000_000),
                number(25_506, 5, 100_000_000),
                number(25_506, 4, 150_000_000),
                text(25_506, 27, "http://pay.example/"),
            ]
            .concat(),
        ),
        (
            // "[shaper]" and "[ipv6-pool]" of the accel-ppp documentation: Filter-Id is down/up in kbit/s;
            // Stateful-IPv6-Address-Pool is 172 (RFC 6911 section 3.5).
            "accel-ppp",
            [
                standard(11, b"100000/20000"),
                standard(88, b"v4"),
                delegated_pool(),
                standard(172, b"v6"),
            ]
            .concat(),
        ),
    ]
}

/// The NAS of the `n`th vendor.
fn address(n: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 1, u8::try_from(n + 1).unwrap())
}

/// A server with a NAS of each of these vendors, in the tenant named beside it.
fn server_with<'v>(database: &Database, nas: impl IntoIterator<Item = (&'v str, &'v str)>) -> Builder {
    nas.into_iter()
        .enumerate()
        .fold(server_on(database), |server, (n, (tenant, vendor))| {
            database.add_nas_of(tenant, address(n), vendor);
            server.client(address(n))
        })
}

/// The subscriber alice, who may come from every NAS.
fn add(database: &Database, set: impl FnOnce(&mut Subscriber)) {
    database.add_with("alice", Scheme::Cleartext, |s| {
        s.simultaneous_use = 0;
        set(s);
    });
}

/// The attributes of the answer to a login, as they came, but for a Message-Authenticator.
#[track_caller]
fn attributes(server: &Radiusd, source: Ipv4Addr, user_name: &str) -> Vec<u8> {
    let secret = SharedSecret::new(SECRET.as_bytes()).unwrap();
    let mut packet = Vec::new();
    let mut writer = PacketWriter::access_request(7, b"not random at al", &secret, &mut packet);
    writer
        .attribute(AttributeType::USER_NAME, user_name.as_bytes())
        .unwrap()
        .user_password(PASSWORD.as_bytes())
        .unwrap();
    let request = writer.finish();
    let socket = UdpSocket::bind((source, 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket
        .send_to(&packet, (Ipv4Addr::LOCALHOST, server.auth_port()))
        .unwrap();
    let mut answer = [0; MAX_PACKET];
    let length = socket.recv(&mut answer).unwrap();
    let answer = request.verify(&secret, &answer[..length]).unwrap();
    let answer: &Packet<'_> = &answer;
    assert_eq!(answer.code(), Code::ACCESS_ACCEPT, "{user_name}");
    answer
        .attributes()
        .filter(|attribute| attribute.kind != AttributeType::MESSAGE_AUTHENTICATOR)
        .flat_map(|attribute| standard(attribute.kind.0, attribute.value))
        .collect()
}

fn shown(octets: &[u8]) -> String {
    octets.escape_ascii().to_string()
}

/// What a login with radclient shows, by the server's own dictionary.
fn reply_of(server: &Radiusd, source: Ipv4Addr, user_name: &str) -> Vec<String> {
    let answer = login(Method::Pap, user_name, PASSWORD).from(source).ask(server);
    assert!(answer.accepted(), "{user_name}");
    answer
        .attributes
        .into_iter()
        .map(|(name, value)| format!("{name} = {value}"))
        .collect()
}

on_both_databases! {
    fn each_vendor_gets_the_octets_its_documentation_asks_for(database) {
        let database = database.seeded();
        database.wait(database.store().plan_add(&fibre())).unwrap();
        add(&database, |s| s.bandwidth_profile_id = Some(fibre().id));
        let expected = expected();
        let server = server_with(&database, expected.iter().map(|(vendor, _)| (TENANT, *vendor))).start();
        for (n, (vendor, octets)) in expected.iter().enumerate() {
            let got = attributes(&server, address(n), "alice");
            assert_eq!(shown(&got), shown(octets), "{vendor}");
        }
    }

    fn a_tenant_and_a_nas_may_have_vendors_of_the_providers_own(database) {
        let database = database.seeded();
        database.add_tenant("northern");
        database.add_plan("northern", "fibre", 100_000, 20_000);
        let fibre = |tenant: &str| Some(format!("{tenant}-fibre"));
        add(&database, |s| s.bandwidth_profile_id = fibre(TENANT));
        database.add_in("northern", "alice", PASSWORD, Scheme::Cleartext, |s| {
            s.bandwidth_profile_id = fibre("northern");
            s.simultaneous_use = 0;
        });
        let nas = [
            (TENANT, "mikrotik"),
            ("northern", "mikrotik"),
            (TENANT, "ours"),
            (TENANT, "Huawei"),
            (TENANT, "nobody-knows"),
        ];
        let server = server_with(&database, nas)
            .vendors(
                r#"
                [vendor.ours]
                extends = "mikrotik"
                [[vendor.ours.reply]]
                attribute = "Reply-Message"
                value = "{plan}: {download_kbps/1000} Mbit/s"

                [vendor.huawei]
                extends = "huawei"
                without = ["Huawei-Input-Peak-Rate", "Huawei-Output-Peak-Rate"]

                [tenant.northern]
                mikrotik = "wispr"
                "#,
            )
            .start();
        let reply = |n: usize| reply_of(&server, address(n), "alice");
        assert_eq!(reply(0), ["Mikrotik-Rate-Limit = 20000k/100000k"]);
        assert_eq!(
            reply(1),
            ["WISPr-Bandwidth-Max-Up = 20000000", "WISPr-Bandwidth-Max-Down = 100000000"]
        );
        assert_eq!(
            reply(2),
            ["Mikrotik-Rate-Limit = 20000k/100000k", "Reply-Message = fibre: 100 Mbit/s"]
        );
        assert_eq!(
            reply(3),
            ["Huawei-Input-Average-Rate = 20000000", "Huawei-Output-Average-Rate = 100000000"]
        );
        assert_eq!(reply(4), [""; 0], "taken for generic");
        // Said once, however often tenants, plans and NAS are read anew.
        database.execute("UPDATE radius_bandwidth_profiles SET filter_id = 'new'");
        e2e::wait_for("the plan counts", Duration::from_secs(2), || reply(4) == ["Filter-Id = new"]);
        let log = server.log();
        let told = log.lines().filter(|line| line.contains("\"nobody-knows\"")).count();
        assert_eq!(told, 1, "{log}");
    }

    fn a_subscribers_own_rates_and_addresses_are_told_to_every_vendor(database) {
        let database = database.seeded();
        database.wait(database.store().plan_add(&fibre())).unwrap();
        add(&database, |s| {
            s.bandwidth_profile_id = Some(fibre().id);
            s.download_speed_kbps = Some(5_000);
            s.static_ipv4 = Some(Ipv4Addr::new(192, 0, 2, 7));
        });
        let server = server_with(&database, [(TENANT, "mikrotik"), (TENANT, "huawei"), (TENANT, "nokia-sr")]).start();
        let has = |n: usize, line: &str| reply_of(&server, address(n), "alice").contains(&line.to_owned());
        assert!(has(0, "Mikrotik-Rate-Limit = 20000k/5000k 20000k/5000k 20000k/5000k 1/1 5"));
        assert!(has(1, "Huawei-Output-Peak-Rate = 5000000"));
        assert!(has(2, "Alc-Subscriber-QoS-Override = e:r:rate=5000"));
        for n in 0..3 {
            assert!(has(n, "Framed-IP-Address = 192.0.2.7"));
            assert!(!has(n, "Framed-Pool = v4"), "it has an address already");
        }
    }

    fn a_value_that_no_attribute_holds_refuses_the_login_and_says_so(database) {
        let database = database.seeded();
        add(&database, |s| s.bandwidth_profile_id = Some(format!("{TENANT}-fibre")));
        // One attribute of a vendor holds 247 octets (RFC 2865 section 5.26); the column takes 253.
        let name = "x".repeat(250);
        database.execute(&format!("UPDATE radius_bandwidth_profiles SET address_list = '{name}'"));
        let server = server_on(&database).start();
        assert!(!login(Method::Pap, "alice", PASSWORD).ask(&server).accepted());
        crate::assert_recorded(&database, "alice", "bad_attribute");
        let log = server.log();
        assert!(log.contains("Mikrotik-Address-List would be 250 bytes long, and at most 247 fit"), "{log}");
    }
}
