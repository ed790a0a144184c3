//! Where settings come from, and what is said when they are wrong.

use crate::lab::{Kind, Lab, chmod};

#[test]
fn flags_win_over_environment_over_file() {
    Lab::run_on(Kind::Sqlite, |lab| {
        lab.set_up();
        for name in ["flag", "environment", "file"] {
            lab.ctl(&["tenant", "add", name]).ok();
            lab.ctl(&["subscriber", "add", &format!("of-{name}"), "--tenant", name])
                .ok();
        }
        let shown = |args: &[&str], environment: &[(&str, &str)]| {
            let all = [&["subscriber", "list"], args].concat();
            lab.ctl_with(&all, "", environment).ok()
        };
        lab.write("ispctl.toml", "tenant = \"file\"\noperator = \"from-file\"\n");
        assert!(shown(&[], &[]).contains("of-file"));
        assert!(shown(&[], &[("ISP_TENANT", "environment")]).contains("of-environment"));
        assert!(shown(&["--tenant", "flag"], &[("ISP_TENANT", "environment")]).contains("of-flag"));
        // Set but empty is not set.
        assert!(shown(&[], &[("ISP_TENANT", "")]).contains("of-file"));

        lab.write(
            "ispctl.toml",
            &format!("database_url = \"{}\"\ntenant = \"file\"\n", lab.url),
        );
        assert!(shown(&[], &[("ISP_DATABASE_URL", "")]).contains("of-file"));
        let other = format!("sqlite://{}", lab.path("none.db").display());
        lab.ctl_with(&["subscriber", "list"], "", &[("ISP_DATABASE_URL", &other)])
            .fails(1);
        assert!(shown(&["--database-url", &lab.url], &[("ISP_DATABASE_URL", &other)]).contains("of-file"));

        let elsewhere = lab.write("other.toml", "tenant = \"flag\"\n");
        assert!(shown(&["--config", elsewhere.to_str().unwrap()], &[]).contains("of-flag"));

        // A default that only the file changes.
        lab.write("ispctl.toml", "tenant = \"file\"\npassword_scheme = \"sha256\"\n");
        lab.ctl_with(
            &["subscriber", "add", "hashed", "--password-file", "-"],
            "pw-of-hashed",
            &[],
        )
        .ok();
        assert_eq!(
            lab.query("SELECT password_hash_method FROM subscribers WHERE username = 'hashed'"),
            ["sha256"]
        );
    });
}

#[test]
fn mistakes_are_told_by_file_and_line() {
    Lab::run_on(Kind::Sqlite, |lab| {
        let told = |text: &str| {
            lab.write("ispctl.toml", text);
            lab.ctl(&["tenant", "list"]).fails(2)
        };
        let path = lab.path("ispctl.toml").display().to_string();
        for (text, expected) in [
            (
                "# x\nkeyfile = \"/k\"\n",
                ":2: unknown key \"keyfile\": did you mean \"key_file\"?",
            ),
            ("\n\ntenant = 5\n", ":3: "),
            ("tenant = \"a\"\ntenant = \"b\"\n", ":2: "),
            ("tenant = \n", ":1: "),
            ("\nlog = \"loud\"\n", ":2: log: "),
            ("password_scheme = \"rot13\"\n", ":1: password_scheme: \"rot13\""),
            ("import_batch = 0\n", ":1: import_batch: "),
            ("reseal_batch = 100001\n", ":1: reseal_batch: "),
            ("import_max_errors = -1\n", ":1: "),
            ("database_connections = 101\n", ":1: database_connections: "),
        ] {
            let error = told(text);
            assert!(error.contains(&format!("{path}{expected}")), "{text:?}: {error}");
        }
        let missing = lab
            .ctl(&["tenant", "list", "--config", "/nonexistent/ispctl.toml"])
            .fails(2);
        assert!(missing.contains("/nonexistent/ispctl.toml"));
        lab.write("ispctl.toml", "");
        assert!(lab.ctl(&["tenant", "list", "--log", "loud"]).fails(2).contains("loud"));
        let none = lab
            .ctl_with(&["tenant", "list"], "", &[("ISP_DATABASE_URL", "")])
            .fails(2);
        assert!(none.contains("database_url"), "{none}");
        let no_keys = lab.ctl_with(&["key", "create"], "", &[("ISP_KEY_FILE", "")]).fails(2);
        assert!(no_keys.contains("key_file"), "{no_keys}");
    });
}

#[test]
fn the_database_s_password_is_guarded_and_never_shown() {
    Lab::run_on(Kind::Sqlite, |lab| {
        // Nothing listens on port 1.
        let url = "postgres://isp:hunter2@127.0.0.1:1/isp?sslmode=disable";
        let config = lab.write("ispctl.toml", &format!("database_url = \"{url}\"\n"));
        let without = [("ISP_DATABASE_URL", "")];
        chmod(&config, 0o644);
        let open = lab.ctl_with(&["tenant", "list"], "", &without).fails(1);
        assert!(open.contains("warning") && open.contains("chmod"), "{open}");
        chmod(&config, 0o640);
        let closed = lab.ctl_with(&["tenant", "list"], "", &without).fails(1);
        assert!(!closed.contains("warning"), "{closed}");
        assert!(closed.contains("127.0.0.1"), "{closed}");

        lab.write("ispctl.toml", "");
        lab.ctl_with(&["status"], "", &[("ISP_DATABASE_URL", url)]).fails(1);
        lab.ctl_with(&["status", "--log", "trace"], "", &[("ISP_DATABASE_URL", url)])
            .fails(1);
        let refused = lab.ctl(&["tenant", "list", "--database-url", url]).fails(2);
        assert!(refused.contains("--database-url"), "{refused}");
        lab.ctl(&["tenant", "list", "--database-url", "postgres://h/d?password=hunter2"])
            .fails(2);
        lab.ctl_with(&["--help"], "", &[("ISP_DATABASE_URL", url)]).ok();
        lab.never_printed(&["hunter2"]);
    });
}

#[test]
fn what_is_no_database_url_is_refused_unseen() {
    Lab::run_on(Kind::Sqlite, |lab| {
        for url in [
            "mysql://isp:hunter2@h/d",
            "postgres:/isp:hunter2@h/d",
            "isp:hunter2@h/d",
            "hunter2",
        ] {
            let refused = lab.ctl_with(&["status"], "", &[("ISP_DATABASE_URL", url)]).fails(2);
            assert!(
                refused.contains("ISP_DATABASE_URL") && refused.contains("postgres://"),
                "{refused}"
            );
            lab.ctl(&["status", "--database-url", url]).fails(2);
            let config = lab.write("ispctl.toml", &format!("tenant = \"t\"\ndatabase_url = \"{url}\"\n"));
            let refused = lab.ctl_with(&["status"], "", &[("ISP_DATABASE_URL", "")]).fails(2);
            assert!(
                refused.contains(&format!("{}:2: database_url", config.display())),
                "{refused}"
            );
            lab.write("ispctl.toml", "");
        }
        lab.never_printed(&["hunter2"]);
    });
}

#[test]
fn an_sqlite_file_that_everybody_can_read_is_warned_of() {
    Lab::run_on(Kind::Sqlite, |lab| {
        lab.set_up();
        assert!(!lab.ctl(&["status"]).err.contains("warning"));
        chmod(&lab.path("isp.db"), 0o644);
        let warned = lab.ctl(&["status"]).err;
        assert!(warned.contains("isp.db") && warned.contains("chmod"), "{warned}");
    });
}

#[test]
fn help_tells_the_exit_codes_and_a_closed_pipe_is_no_error() {
    Lab::run_on(Kind::Sqlite, |lab| {
        let help = lab.ctl(&["--help"]).ok();
        for code in [
            "0  done",
            "1  failure",
            "2  usage",
            "3  not found",
            "4  conflict",
            "5  refused",
        ] {
            assert!(help.contains(code), "{code}");
        }
        assert!(lab.ctl(&["tenant", "lst"]).fails(2).contains("list"));
        lab.ctl(&[]).fails(2);
    });
}
