//! `ispctl serve` as a service manager sees it, and what is made of the command line: man pages, completions.

use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::lab::{Kind, Lab};

#[test]
fn a_service_manager_is_told_when_it_is_ready_and_when_it_ends() {
    Lab::run_on(Kind::Sqlite, |lab| {
        lab.set_up();
        let path = lab.path("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut served = Command::new(env!("CARGO_BIN_EXE_ispctl"))
            .arg("serve")
            .env_clear()
            .env("ISP_CONFIG", lab.path("ispctl.toml"))
            .env("ISP_DATABASE_URL", &lab.url)
            .env("ISP_KEY_FILE", lab.path("keys"))
            .env("NOTIFY_SOCKET", &path)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let told = || {
            let mut state = [0; 64];
            let read = socket.recv(&mut state).unwrap();
            String::from_utf8_lossy(&state[..read]).into_owned()
        };
        assert_eq!(told(), "READY=1");
        let pid = i32::try_from(served.id()).unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert_eq!(told(), "STOPPING=1");
        assert!(served.wait().unwrap().success());
    });
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
