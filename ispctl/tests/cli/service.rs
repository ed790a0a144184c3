//! `ispctl serve` as a service manager sees it, and what is made of the command line: man pages, completions.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::lab::{Kind, Lab};

#[test]
fn a_service_manager_is_told_when_it_is_ready_and_when_it_ends() {
    Lab::run_on(Kind::Sqlite, |lab| {
        lab.set_up();
        let path = lab.path("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        lab.write("ispctl.toml", "metrics_listen = \"127.0.0.1:0\"\n");
        let mut served = serve(lab, &[("NOTIFY_SOCKET", &path.display().to_string())]);
        let told = || {
            let mut state = [0; 64];
            let read = socket.recv(&mut state).unwrap();
            String::from_utf8_lossy(&state[..read]).into_owned()
        };
        assert_eq!(told(), "READY=1");
        let text = scrape(&metrics_address(&mut served));
        for line in ["isp_database_up 1", "isp_outbox_orders{state=\"pending\"} 0", "# EOF"] {
            assert!(text.lines().any(|told| told == line), "{text}");
        }
        terminate(&served);
        assert_eq!(told(), "STOPPING=1");
        assert!(served.wait().unwrap().success());
    });
}

/// The side service with what the laboratory has, and nothing of the caller's environment.
pub(crate) fn serve(lab: &Lab, environment: &[(&str, &str)]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_ispctl"))
        .arg("serve")
        .env_clear()
        .env("ISP_CONFIG", lab.path("ispctl.toml"))
        .env("ISP_DATABASE_URL", &lab.url)
        .env("ISP_KEY_FILE", lab.path("keys"))
        .envs(environment.iter().copied())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Said on standard error before anything is served.
pub(crate) fn metrics_address(served: &mut Child) -> String {
    let mut said = BufReader::new(served.stderr.as_mut().unwrap());
    let mut line = String::new();
    loop {
        line.clear();
        assert!(
            said.read_line(&mut line).unwrap() > 0,
            "it ended without a word of metrics"
        );
        if let Some((_, rest)) = line.split_once("metrics are at http://") {
            return rest.trim().trim_end_matches("/metrics").to_owned();
        }
    }
}

pub(crate) fn scrape(address: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    answer
}

pub(crate) fn terminate(served: &Child) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(served.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
}

#[test]
fn every_command_has_a_page_and_every_shell_completions() {
    Lab::run_on(Kind::Sqlite, |lab| {
        // Not even a broken configuration is in the way.
        lab.write("ispctl.toml", "no such key\n");
        let directory = lab.path("man");
        std::fs::create_dir(&directory).unwrap();
        lab.ctl(&["man", &directory.display().to_string()]).ok();
        for page in [
            "ispctl",
            "ispctl-doctor",
            "ispctl-serve",
            "ispctl-subscriber-add",
            "ispctl-oss-test",
        ] {
            let text = std::fs::read_to_string(directory.join(format!("{page}.1"))).unwrap();
            assert!(text.contains(".SH SYNOPSIS"), "{page}: {text}");
        }
        assert!(
            std::fs::read_to_string(directory.join("ispctl.1"))
                .unwrap()
                .contains("Exit codes")
        );
        for shell in ["bash", "zsh", "fish"] {
            let script = lab.ctl(&["completions", shell]).ok();
            assert!(script.contains("ispctl") && script.contains("doctor"), "{shell}");
        }
        lab.ctl(&["completions", "tcl"]).fails(2);
    });
}
