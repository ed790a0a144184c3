//! How many accounting packets a second can a directory's disk acknowledge? Appends from many threads, as a server does.
//!
//! ```text
//! cargo run --release -p isp-core --example journal -- DIRECTORY [THREADS] [SECONDS]
//! ```

use std::error::Error;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::{Duration, Instant};

use isp_core::accounting::journal::{Journal, JournalConfig};
use isp_core::accounting::{AccountingRecord, AcctStatusType};

const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().ok_or("usage: journal DIRECTORY [THREADS] [SECONDS]")?;
    let threads: usize = arguments.next().map_or(Ok(32), |text| text.parse())?;
    let seconds: u64 = arguments.next().map_or(Ok(5), |text| text.parse())?;

    let (journal, _reader) = Journal::open(Path::new(&directory), JournalConfig::default())?;
    let started = Instant::now();
    let end = started + Duration::from_secs(seconds);
    let mut latencies = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|worker| {
                let journal = &journal;
                scope.spawn(move || {
                    let record = record(worker);
                    let mut latencies = Vec::new();
                    while Instant::now() < end {
                        let asked = Instant::now();
                        journal.append(&record, PATIENCE)?;
                        latencies.push(asked.elapsed());
                    }
                    Ok::<_, isp_core::accounting::journal::JournalError>(latencies)
                })
            })
            .collect();
        let mut all = Vec::new();
        for worker in workers {
            all.extend(worker.join().map_err(|_| "a thread ended badly")??);
        }
        Ok::<_, Box<dyn Error>>(all)
    })?;
    let elapsed = started.elapsed();
    latencies.sort_unstable();
    let share = |percent: usize| latencies[(latencies.len() - 1) * percent / 100].as_secs_f64() * 1e3;
    println!("records/s  {:.0}", latencies.len() as f64 / elapsed.as_secs_f64());
    println!("p50        {:.2} ms", share(50));
    println!("p99        {:.2} ms", share(99));
    println!("slowest    {:.2} ms", share(100));
    journal.close(PATIENCE);
    Ok(())
}

fn record(worker: usize) -> AccountingRecord {
    AccountingRecord {
        status: AcctStatusType::InterimUpdate,
        tenant_id: Some("example".to_owned()),
        subscriber_id: Some(format!("subscriber-{worker}")),
        acct_session_id: format!("{worker:08x}"),
        acct_unique_id: format!("{worker:032x}"),
        user_name: format!("subscriber{worker}@example.net"),
        realm: "example.net".to_owned(),
        nas_ip_address: Ipv4Addr::LOCALHOST.into(),
        nas_port_id: Some("ge-0/0/1:100".to_owned()),
        nas_port_type: Some("Ethernet".to_owned()),
        event_time: 1_700_000_000,
        session_time: Some(300),
        authentic: Some("RADIUS".to_owned()),
        connect_info: None,
        input_octets: Some(1 << 33),
        output_octets: Some(1 << 36),
        called_station_id: Some("bras1".to_owned()),
        calling_station_id: Some("02:00:5E:10:00:01".to_owned()),
        terminate_cause: None,
        service_type: Some("Framed-User".to_owned()),
        framed_protocol: Some("PPP".to_owned()),
        framed_ip_address: Some(Ipv4Addr::new(192, 0, 2, 1)),
        framed_ipv6_address: None,
        framed_ipv6_prefix: None,
        framed_interface_id: None,
        delegated_ipv6_prefix: None,
        class: None,
        multi_session_id: None,
        gigawords: true,
        received: 1_700_000_000,
        interim_interval: None,
    }
}
