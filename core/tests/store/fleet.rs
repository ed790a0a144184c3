//! A fleet of NAS, simulated second by second, and the network between it and the database: whatever the order, the
//! delays, the repetitions, the wraps and the restarts, sessions and usage come out as they were.
//!
//! The simulation knows nothing of how records are folded. `ISP_FLEET_SEEDS=1000` runs more of it; a failure names its
//! seed, and `ISP_FLEET_SEED=N` runs that one.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use fastrand::Rng;
use isp_core::accounting::{AccountingRecord, AcctStatusType};

use crate::accounting::record;
use crate::harness::{Database, subscriber, tenant};

on_both_databases!(sessions_and_usage_come_out_as_they_were);

const SUBSCRIBERS: usize = 5;
/// 2026-03-28T20:00:00Z: summer time begins in the night.
const BEGIN: i64 = 1_774_728_000;
const WRAP: u64 = 1 << 32;

/// How a session ended, as the operator should see it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Open,
    Stopped(i64),
    /// Its NAS said that it restarted.
    Rebooted(i64),
    /// Its id was used again, and neither a Stop nor a restart had been heard of.
    Superseded(i64),
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Truth {
    unique: String,
    start: i64,
    end: End,
    seconds: i64,
    input: u64,
    output: u64,
    subscriber: String,
}

struct Nas {
    address: IpAddr,
    gigawords: bool,
    /// Says so when it restarts.
    announces: bool,
}

struct Simulation {
    rng: Rng,
    records: Vec<AccountingRecord>,
    truth: Vec<Truth>,
}

impl Simulation {
    fn run(seed: u64) -> Self {
        let mut simulation = Self {
            rng: Rng::with_seed(seed),
            records: Vec::new(),
            truth: Vec::new(),
        };
        for number in 0..simulation.rng.u8(1..4) {
            let nas = Nas {
                address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, number + 1)),
                gigawords: simulation.rng.bool(),
                announces: simulation.rng.u8(0..3) > 0,
            };
            simulation.life(&nas);
        }
        simulation
    }

    /// A NAS from boot to boot. One that says when it restarts numbers its sessions anew each time: records of the session
    /// before and of the one after bear one id.
    fn life(&mut self, nas: &Nas) {
        let lives = self.rng.u8(1..4);
        let mut booted = BEGIN + self.rng.i64(0..5_000);
        for life in 1..=lives {
            let last = life == lives;
            let mut latest = booted;
            let first = self.truth.len();
            let prefix = if nas.announces { 0 } else { life };
            for line in 0..self.rng.usize(1..4) {
                latest = latest.max(self.line(nas, line, prefix, booted, last));
            }
            if last {
                return;
            }
            let reboot = latest + self.rng.i64(10..2_000);
            if nas.announces {
                let mut on = record(AcctStatusType::AccountingOn, "", 0);
                (on.nas_ip_address, on.event_time) = (nas.address, reboot);
                self.records.push(on);
                for session in self
                    .truth
                    .iter_mut()
                    .skip(first)
                    .filter(|session| session.end == End::Open)
                {
                    session.end = End::Rebooted(reboot);
                }
            }
            booted = reboot + self.rng.i64(60..1_000);
        }
    }

    /// The sessions of one line until the NAS restarts. Returns when the last report was sent.
    fn line(&mut self, nas: &Nas, line: usize, prefix: u8, booted: i64, last: bool) -> i64 {
        let mut now = booted + self.rng.i64(1..300);
        for number in 0..self.rng.u8(1..4) {
            let unique = format!("{:0>32x}", unique_id(nas.address, prefix, line, number));
            let (ended, stopped) = self.session(nas, line, &unique, now);
            now = ended + self.rng.i64(60..4_000);
            if !stopped {
                return ended;
            }
            if !last && self.rng.u8(0..4) == 0 {
                return ended;
            }
        }
        now
    }

    fn session(&mut self, nas: &Nas, line: usize, unique: &str, start: i64) -> (i64, bool) {
        let name = format!("sub{}", (line + usize::from(nas.gigawords)) % SUBSCRIBERS);
        let template = AccountingRecord {
            subscriber_id: Some(name.clone()),
            user_name: name.clone(),
            nas_ip_address: nas.address,
            event_time: start,
            gigawords: false,
            ..record(AcctStatusType::Start, unique, 0)
        };
        let started = self.rng.u8(0..5) > 0;
        if started {
            self.records.push(template.clone());
        }
        let (mut input, mut output, mut seconds) = (0_u64, 0_u64, 0_i64);
        let reports = self.rng.u8(0..14).max(u8::from(!started));
        let stops = self.rng.u8(0..4) > 0;
        for report in 1..=reports {
            // No restart within the time that a report may be mistaken by.
            seconds += self.rng.i64(40..900);
            input += self.rng.u64(0..WRAP / 2);
            output += self.rng.u64(0..WRAP / 2);
            let stop = stops && report == reports;
            let status = if stop {
                AcctStatusType::Stop
            } else {
                AcctStatusType::InterimUpdate
            };
            let counted = |count: u64| Some(if nas.gigawords { count } else { count % WRAP });
            self.records.push(AccountingRecord {
                status,
                event_time: start + seconds,
                session_time: Some(u32::try_from(seconds).unwrap()),
                input_octets: counted(input),
                output_octets: counted(output),
                gigawords: nas.gigawords,
                terminate_cause: stop.then(|| "User-Request".to_owned()),
                ..template.clone()
            });
        }
        let stopped = stops && reports > 0;
        let end = if stopped {
            End::Stopped(start + seconds)
        } else {
            End::Open
        };
        self.truth.push(Truth {
            unique: unique.to_owned(),
            start,
            end,
            seconds,
            input,
            output,
            subscriber: name,
        });
        (start + seconds, stopped)
    }

    /// What the network makes of it: each record at least once, some late, some again and again.
    fn delivered(&mut self) -> Vec<AccountingRecord> {
        let mut sent: Vec<(i64, AccountingRecord)> = Vec::new();
        for record in &self.records {
            for copy in 0..self.rng.u8(1..4) {
                let restart = record.status == AcctStatusType::AccountingOn;
                let delay = match self.rng.u8(0..10) {
                    _ if restart => self.rng.i64(0..10),
                    0 => self.rng.i64(0..20_000),
                    1..4 => self.rng.i64(0..1_000),
                    _ => self.rng.i64(0..10),
                };
                let mut record = record.clone();
                // A retransmission without Acct-Delay-Time seems to be from later.
                if copy > 0 && !restart {
                    record.event_time += self.rng.i64(0..5);
                }
                sent.push((record.event_time + delay, record));
            }
        }
        sent.sort_by_key(|(arrival, _)| *arrival);
        sent.into_iter().map(|(_, record)| record).collect()
    }
}

fn unique_id(nas: IpAddr, prefix: u8, line: usize, number: u8) -> u64 {
    let IpAddr::V4(nas) = nas else { return 0 };
    u64::from(u32::from(nas)) << 24 | u64::from(prefix) << 16 | u64::try_from(line).unwrap() << 8 | u64::from(number)
}

async fn sessions_and_usage_come_out_as_they_were(db: &Database) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    db.raw("UPDATE tenants SET timezone = 'Europe/Berlin'").await;
    for number in 0..SUBSCRIBERS {
        db.store
            .subscriber_add(&subscriber(&format!("sub{number}"), "t1"))
            .await
            .unwrap();
    }
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seeds = match number("ISP_FLEET_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("ISP_FLEET_SEEDS").unwrap_or(25),
    };
    for seed in seeds {
        for table in ["radacct", "nasreload", "usage_hourly", "usage_daily"] {
            db.raw(&format!("DELETE FROM {table}")).await;
        }
        db.raw("UPDATE subscribers SET total_sessions = 0, total_upload_bytes = 0, total_download_bytes = 0")
            .await;
        one(db, seed).await;
    }
}

async fn one(db: &Database, seed: u64) {
    let mut simulation = Simulation::run(seed);
    let delivered = simulation.delivered();
    let rng = &mut simulation.rng;
    let mut rest = delivered.as_slice();
    while !rest.is_empty() {
        let (batch, later) = rest.split_at(rng.usize(1..=rest.len().min(40)));
        db.store.record_accounting(batch).await.unwrap();
        // The writer died before it noted how far it was.
        if rng.u8(0..4) == 0 {
            let again = rng.usize(0..batch.len());
            db.store.record_accounting(&batch[again..]).await.unwrap();
        }
        rest = later;
    }
    simulation.truth.sort();
    let sessions = sessions(db).await;
    // What is inferred depends on what was heard of first: the restart, the next restart, or the next use of the id.
    let restarts: Vec<i64> = simulation
        .records
        .iter()
        .filter(|r| r.acct_session_id == "id-")
        .map(|r| r.event_time)
        .collect();
    for (truth, found) in simulation.truth.iter_mut().zip(&sessions) {
        match (&truth.end, &found.end) {
            (End::Rebooted(_), End::Superseded(_)) => truth.end = End::Superseded(truth.start + truth.seconds),
            (End::Rebooted(at), End::Rebooted(later)) if at < later && restarts.contains(later) => {
                truth.end = End::Rebooted(*later);
            }
            _ => {}
        }
    }
    assert_eq!(sessions, simulation.truth, "ISP_FLEET_SEED={seed}");
    let mut expected: BTreeMap<String, [u64; 3]> = BTreeMap::new();
    for truth in &simulation.truth {
        let used = expected.entry(truth.subscriber.clone()).or_default();
        let parts = [truth.input, truth.output, u64::try_from(truth.seconds).unwrap()];
        used.iter_mut().zip(parts).for_each(|(sum, part)| *sum += part);
    }
    expected.retain(|_, used| *used != [0, 0, 0]);
    for table in ["usage_hourly", "usage_daily"] {
        assert_eq!(usage(db, table).await, expected, "{table}, ISP_FLEET_SEED={seed}");
    }
    let totals = db
        .query(&format!(
            "SELECT id, {}, {}, {} FROM subscribers WHERE total_upload_bytes + total_download_bytes + total_sessions > 0",
            text("total_upload_bytes"),
            text("total_download_bytes"),
            text("total_sessions"),
        ))
        .await;
    for row in totals {
        let [id, upload, download, sessions] = row.try_into().unwrap();
        let id = id.unwrap();
        let used = expected.get(&id).copied().unwrap_or_default();
        let count = simulation.truth.iter().filter(|truth| truth.subscriber == id).count();
        let expected = [used[0].to_string(), used[1].to_string(), count.to_string()].map(Some);
        assert_eq!([upload, download, sessions], expected, "{id}, ISP_FLEET_SEED={seed}");
    }
}

fn text(expression: &str) -> String {
    format!("CAST({expression} AS TEXT)")
}

async fn sessions(db: &Database) -> Vec<Truth> {
    let epoch = |column: &str| {
        if db.is_sqlite() {
            text(&format!("unixepoch({column})"))
        } else {
            text(&format!("extract(epoch FROM {column})::bigint"))
        }
    };
    let rows = db
        .query(&format!(
            "SELECT acctuniqueid, {}, {}, acctterminatecause, {}, {}, {}, subscriber_id FROM radacct",
            epoch("acctstarttime"),
            epoch("acctstoptime"),
            text("acctsessiontime"),
            text("acctinputoctets"),
            text("acctoutputoctets")
        ))
        .await;
    let mut sessions: Vec<Truth> = rows
        .into_iter()
        .map(|row| {
            let [unique, start, stop, cause, seconds, input, output, subscriber] = row.try_into().unwrap();
            let start: i64 = start.unwrap().parse().unwrap();
            let seconds: i64 = seconds.unwrap().parse().unwrap();
            let end = match (stop.map(|stop| stop.parse().unwrap()), cause.as_deref()) {
                (None, None) => End::Open,
                (Some(at), Some("User-Request")) => End::Stopped(at),
                (Some(at), Some("NAS-Reboot")) => End::Rebooted(at),
                // Retransmissions seem to be from up to five seconds later.
                (Some(at), Some("Stale-Session")) if (0..5).contains(&(at - start - seconds)) => {
                    End::Superseded(start + seconds)
                }
                other => panic!("ends as {other:?}"),
            };
            Truth {
                unique: unique.unwrap(),
                start,
                end,
                seconds,
                input: input.unwrap().parse().unwrap(),
                output: output.unwrap().parse().unwrap(),
                subscriber: subscriber.unwrap(),
            }
        })
        .collect();
    sessions.sort();
    sessions
}

async fn usage(db: &Database, table: &str) -> BTreeMap<String, [u64; 3]> {
    let rows = db
        .query(&format!(
            "SELECT subscriber_id, {}, {}, {} FROM {table} GROUP BY subscriber_id",
            text("sum(upload_octets)"),
            text("sum(download_octets)"),
            text("sum(seconds)")
        ))
        .await;
    rows.into_iter()
        .map(|row| {
            let [subscriber, upload, download, seconds] = row.try_into().unwrap();
            let parsed = [upload, download, seconds].map(|sum| sum.unwrap().parse().unwrap());
            (subscriber.unwrap(), parsed)
        })
        .collect()
}
