//! session, usage, whohad and retention.

use serde_json::{Value, json};

use crate::lab::{Kind, Lab, keys};

crate::on_both_databases!(
    sessions_are_listed_and_shown,
    whohad_answers_who,
    usage_is_told,
    a_date_is_a_day_of_the_tenants_calendar,
    hours_that_a_quota_counts_over_are_kept,
    retention_asks_first,
);

/// A moment as the SQL of the database writes it.
fn moment(lab: &Lab, seconds: i64) -> String {
    match lab.kind() {
        Kind::Sqlite => format!("datetime({seconds}, 'unixepoch')"),
        Kind::Postgres => format!("to_timestamp({seconds})"),
    }
}

/// Some days ago, Unix seconds, on the hour.
fn ago(days: i64) -> i64 {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let hour = i64::try_from(now).unwrap() / 3_600 * 3_600;
    hour - days * 86_400
}

/// A session of `alice`.
fn put(lab: &Lab, id: i64, start: i64, stop: Option<i64>, address: &str) {
    if let (Kind::Postgres, Some(stop)) = (lab.kind(), stop) {
        lab.query(&format!("SELECT radacct_create_month(to_timestamp({stop}))::text"));
    }
    let stop = stop.map_or("NULL".to_owned(), |stop| moment(lab, stop));
    let start = moment(lab, start);
    lab.execute(&format!(
        "INSERT INTO radacct (radacctid, acctsessionid, acctuniqueid, username, nasipaddress, acctstarttime, acctupdatetime,
            acctstoptime, acctsessiontime, acctinputoctets, acctoutputoctets, framedipaddress, tenant_id, subscriber_id)
         SELECT {id}, 's', 'abcdef0123456789abcdef012345678{id}', 'Alice@isp', '192.0.2.1', {start}, {start}, {stop}, 3661,
            5000000000, 1500, '{address}', tenant_id, id FROM subscribers WHERE username = 'alice'"
    ));
}

fn set_up(lab: &Lab) {
    lab.set_up();
    lab.ctl(&[
        "subscriber",
        "add",
        "alice",
        "--status",
        "active",
        "--subscriber-number",
        "N-1",
    ])
    .ok();
}

fn sessions_are_listed_and_shown(lab: &Lab) {
    set_up(lab);
    put(lab, 1, ago(2), Some(ago(1)), "10.0.0.1");
    put(lab, 2, ago(1), None, "10.0.0.1");
    put(lab, 3, ago(1), None, "10.0.0.3");
    let table = lab.ctl(&["session", "list"]).ok();
    assert!(table.starts_with("ID  USERNAME"), "{table}");
    assert!(
        table.contains("5.00 GB") && table.contains("1.50 kB") && table.contains("1h 1m 1s"),
        "{table}"
    );
    let ids = |args: &[&str]| {
        let args = [&["session", "list", "--json"], args].concat();
        let list = lab.ctl(&args).json();
        list.as_array()
            .unwrap()
            .iter()
            .map(|s| s["id"].as_i64().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(&[]), [3, 2, 1]);
    assert_eq!(ids(&["--tenant", "example", "--open"]), [3, 2]);
    assert_eq!(ids(&["--subscriber", "alice", "--address", "10.0.0.1"]), [2, 1]);
    assert_eq!(
        ids(&["--username", "Alice@isp", "--nas", "192.0.2.1", "--limit", "1"]),
        [3]
    );
    assert_eq!(ids(&["--username", "alice"]), [0; 0]);
    assert_eq!(ids(&["--to", &(ago(1) - 1).to_string()]), [1]);
    assert_eq!(ids(&["--after", "3", "--limit", "1"]), [2]);
    let some = lab.ctl(&["session", "list", "--limit", "1"]);
    assert!(some.err.contains("--after 3"), "{}", some.err);
    let shown = lab.ctl(&["session", "show", "1", "--json"]).json();
    assert_eq!(
        (&shown["upload_octets"], &shown["stop_inferred"]),
        (&json!(5_000_000_000_u64), &json!(false))
    );
    assert_eq!(
        lab.ctl(&["session", "show", "ABCDEF0123456789ABCDEF0123456782", "--json"])
            .json()["id"],
        2
    );
    assert!(lab.ctl(&["session", "show", "2"]).ok().contains("acct_unique_id"));
    lab.ctl(&["session", "show", "9"]).fails(3);
    lab.ctl(&["session", "list", "--subscriber", "bob"]).fails(3);
    lab.ctl(&["session", "list", "--tenant", "other"]).fails(3);
    let backwards = lab
        .ctl(&["session", "list", "--from", "2026-02-01", "--to", "2026-01-01"])
        .fails(2);
    assert!(
        backwards.contains("ends (2026-01-01T00:00:00Z) before it begins"),
        "{backwards}"
    );
}

fn whohad_answers_who(lab: &Lab) {
    set_up(lab);
    put(lab, 1, ago(3), Some(ago(2)), "10.0.0.1");
    put(lab, 2, ago(1), None, "10.0.0.1");
    let at = (ago(2) - 60).to_string();
    let answer = lab.ctl(&["whohad", "10.0.0.1", "--at", &at, "--json"]).json();
    let [holder] = answer.as_array().unwrap().as_slice() else {
        panic!("{answer}")
    };
    assert_eq!(keys(holder)[..2], ["certainty", "id"]);
    let told: Vec<&Value> = ["id", "certainty", "username", "subscriber_number"]
        .iter()
        .map(|key| &holder[key])
        .collect();
    assert_eq!(
        told,
        [&json!(1), &json!("reported"), &json!("Alice@isp"), &json!("N-1")]
    );
    let now = lab.ctl(&["whohad", "10.0.0.1"]);
    assert!(
        now.out.contains("presumed") && now.err.contains("last heard"),
        "{now:?}"
    );
    assert!(
        now.out.contains("FRAMED_IP_ADDRESS") && now.out.contains("10.0.0.1"),
        "{}",
        now.out
    );
    assert!(!now.out.contains("FRAMED_IPV6"), "{}", now.out);
    let all = lab.ctl(&["whohad", "10.0.0.1", "--limit", "0"]).fails(2);
    assert!(all.contains("0 is not in 1..=100000"), "{all}");
    let both = lab.ctl(&[
        "whohad",
        "10.0.0.1",
        "--from",
        &ago(3).to_string(),
        "--to",
        &ago(1).to_string(),
        "--json",
    ]);
    assert_eq!(both.json().as_array().unwrap().len(), 2);
    let nobody = lab.ctl(&["whohad", "2001:db8::1", "--at", "2026-01-31T18:00:00+02:00"]);
    assert!(
        nobody
            .err
            .contains("no session had 2001:db8::1 at 2026-01-31T16:00:00Z"),
        "{}",
        nobody.err
    );
    nobody.ok();
    for (args, reason) in [
        (
            &["whohad", "nonsense"][..],
            "no IPv4 address, IPv6 address or prefix, or MAC address",
        ),
        (&["whohad", "10.0.0.0/24"], "by one IPv4 address"),
        (&["whohad", "2001:db8::1/64"], "did you mean 2001:db8::/64?"),
        (&["whohad", "10.0.0.1", "--at", "yesterday"], "is no date"),
        (
            &["whohad", "10.0.0.1", "--at", "9998-01-01"],
            "9998-01-01T00:00:00Z is in the future",
        ),
        (&["whohad", "10.0.0.1", "--to", "2026-01-01"], "--from"),
        (
            &["whohad", "10.0.0.1", "--at", "2026-01-01", "--from", "2026-01-01"],
            "cannot be used",
        ),
    ] {
        let error = lab.ctl(args).fails(2);
        assert!(error.contains(reason), "{args:?}: {error}");
    }
}

fn a_date_is_a_day_of_the_tenants_calendar(lab: &Lab) {
    lab.set_up();
    let tenant = lab.ctl(&["tenant", "list", "--json"]).json()[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    lab.ctl(&["tenant", "set", &tenant, "--timezone", "Europe/Berlin"]).ok();
    for by in ["day", "total"] {
        let october = [
            "usage",
            "--from",
            "2025-10-01",
            "--to",
            "2025-11-01",
            "--by",
            by,
            "--json",
        ];
        let told = lab.ctl(&october).json();
        // The clocks were put back on the 26th.
        assert_eq!(
            (told["from"].as_i64(), told["to"].as_i64()),
            (Some(1_759_269_600), Some(1_761_951_600)),
            "{told}"
        );
    }
}

fn hours_that_a_quota_counts_over_are_kept(lab: &Lab) {
    lab.set_up();
    lab.ctl(&["plan", "add", "slow", "--download", "1M", "--upload", "1M"])
        .ok();
    lab.ctl(&["plan", "add", "fibre", "--download", "1G", "--upload", "1G"])
        .ok();
    let quota = [
        "plan", "quota", "add", "fibre", "--metric", "total", "--period", "rolling", "--length", "30d", "--tier",
        "1G=slow",
    ];
    lab.ctl(&quota).ok();
    let told = lab.ctl(&["retention", "--hourly-days", "29", "--yes"]).fails(2);
    assert!(told.contains("must be 30 or more"), "{told}");
    lab.ctl(&["retention", "--hourly-days", "30", "--yes"]).ok();
}

fn usage_is_told(lab: &Lab) {
    set_up(lab);
    let day = ago(2) / 86_400 * 86_400;
    let (hour, date) = (moment(lab, day + 3_600), moment(lab, day));
    lab.execute(&format!(
        "INSERT INTO usage_hourly (subscriber_id, hour, tenant_id, upload_octets, download_octets, seconds)
         SELECT id, {hour}, tenant_id, 5000000000, 7, 3600 FROM subscribers"
    ));
    let date = match lab.kind() {
        Kind::Sqlite => format!("date({date})"),
        Kind::Postgres => format!("({date} AT TIME ZONE 'UTC')::date"),
    };
    lab.execute(&format!(
        "INSERT INTO usage_daily (subscriber_id, day, tenant_id, upload_octets, download_octets, seconds)
         SELECT id, {date}, tenant_id, 5000000000, 7, 3600 FROM subscribers"
    ));
    let usage = |args: &[&str]| lab.ctl(&[&["usage", "--json"], args].concat()).json();
    let (from, to) = (day.to_string(), (day + 86_400).to_string());
    let days = usage(&["alice"]);
    assert_eq!(keys(&days)[..3], ["tenant", "username", "from"]);
    assert_eq!(
        (&days["rows"][0]["from"], &days["rows"][0]["upload_octets"]),
        (&json!(day), &json!(5_000_000_000_u64))
    );
    let hours = usage(&["alice", "--by", "hour", "--from", &from, "--to", &to]);
    assert_eq!(
        (&hours["rows"][0]["from"], &hours["seconds"]),
        (&json!(day + 3_600), &json!(3_600))
    );
    let total = usage(&["--by", "total", "--from", &from, "--to", &to]);
    assert_eq!(
        (&total["username"], &total["upload_octets"], &total["rows"]),
        (&json!(null), &json!(5_000_000_000_u64), &json!([]))
    );
    let top = usage(&["--top", "3"]);
    assert_eq!(top[0]["username"], "alice");
    let earlier = lab.ctl(&["usage", "--top", "3", "--from", "2026-01-02", "--to", "2026-01-05"]);
    assert!(
        earlier
            .err
            .contains("from 2026-01-02T00:00:00Z to 2026-01-05T00:00:00Z")
            && !earlier.out.contains("alice"),
        "{earlier:?}"
    );
    assert!(lab.ctl(&["usage", "alice"]).ok().contains("5.00 GB"));
    lab.execute("DELETE FROM usage_hourly");
    let widened = lab.ctl(&["usage", "alice", "--by", "total", "--from", &(day + 7_200).to_string()]);
    assert!(widened.err.contains("told by day"), "{}", widened.err);
    lab.ctl(&["usage", "bob"]).fails(3);
    lab.ctl(&["usage", "alice", "--top", "3"]).fails(2);
    assert!(lab.ctl(&["usage", "--from", "9998-01-01"]).fails(2).contains("future"));
    lab.ctl(&["usage", "--from", "2026-01-02", "--to", "2026-01-02"])
        .fails(2);
}

fn retention_asks_first(lab: &Lab) {
    set_up(lab);
    put(lab, 1, ago(400), Some(ago(399)), "10.0.0.1");
    put(lab, 2, ago(400), None, "10.0.0.1");
    let old = moment(lab, ago(450));
    lab.execute(&format!(
        "INSERT INTO radpostauth (username, authdate) VALUES ('alice', {old})"
    ));
    lab.execute(&format!(
        "INSERT INTO usage_hourly (subscriber_id, hour, upload_octets, download_octets, seconds) VALUES ('a', {old}, 1, 1, 1)"
    ));
    let all = ["retention", "--accounting-months", "6", "--postauth-days", "90"];
    let refused = lab.ctl(&all);
    assert!(refused.out.contains("radacct"), "{}", refused.out);
    assert!(refused.fails(2).contains("say --yes"));
    let would = lab.ctl(&[&all[..], &["--dry-run"]].concat());
    assert!(would.err.contains("would remove"), "{}", would.err);
    let tables = |report: &Value| crate::lab::names(report, "table");
    let removed = lab.ctl(&[&all[..], &["--yes", "--json"]].concat()).json();
    assert!(
        removed
            .as_array()
            .unwrap()
            .iter()
            .all(|r| r["table"] == "radacct" || r["rows"] == 1),
        "{removed}"
    );
    assert_eq!(
        tables(&removed).iter().rev().take(2).collect::<Vec<_>>(),
        ["radpostauth", "usage_hourly"]
    );
    let left = lab.query("SELECT CAST(radacctid AS text) FROM radacct");
    assert_eq!(left, ["2"], "the open session stays");
    let again = lab.ctl(&[&all[..], &["--yes"]].concat());
    assert!(again.err.contains("nothing is old enough"), "{}", again.err);
    lab.ctl(&["retention", "--accounting-months", "0", "--yes"]).fails(2);
}
