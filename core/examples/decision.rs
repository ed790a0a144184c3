//! Ask the policy for a decision from another program: no database, no driver, no runtime.
//!
//! ```sh
//! cargo run -p isp-core --no-default-features --example decision -- active
//! cargo run -p isp-core --no-default-features --example decision -- suspended
//! ```

use std::process::ExitCode;

use isp_core::password::{AuthMethod, Scheme};
use isp_core::plan::Plan;
use isp_core::policy::vendor::VendorSet;
use isp_core::policy::{self, Facts, PasswordFact, PlanReply, SubscriberFacts};
use isp_core::subscriber::Status;
use isp_core::tenant::{Tenant, UsernameCase, UsernameRealm};

fn main() -> ExitCode {
    let word = std::env::args().nth(1).unwrap_or_else(|| "active".to_owned());
    let status: Status = match word.parse() {
        Ok(status) => status,
        Err(unknown) => {
            eprintln!("{unknown}");
            return ExitCode::from(2);
        }
    };
    let tenant = Tenant {
        id: "example".into(),
        name: "Example Fibre".into(),
        enabled: true,
        username_case: UsernameCase::Lower,
        username_realm: UsernameRealm::Keep,
        timezone: "UTC".to_owned(),
        interim_jitter_percent: 0,
        lookup_by: isp_core::tenant::LookupBy::Username,
    };
    let vendors = match VendorSet::shipped() {
        Ok(vendors) => vendors,
        Err(faults) => {
            faults.iter().for_each(|fault| eprintln!("{fault}"));
            return ExitCode::FAILURE;
        }
    };
    let plan = Plan {
        name: "Fibre 100/20".into(),
        download_rate_kbps: 100_000,
        upload_rate_kbps: 20_000,
        acct_interim_interval: Some(300),
        ..Plan::default()
    };
    let plan = PlanReply::new(plan, &vendors);
    let subscriber = SubscriberFacts {
        status,
        password: PasswordFact::Stored(Scheme::Cleartext),
        static_ipv4: Some([192, 0, 2, 7].into()),
        ..SubscriberFacts::default()
    };
    let decision = policy::decide(&Facts {
        vendor: vendors.get("mikrotik").unwrap_or(vendors.generic()),
        plan: Some(&plan),
        ..Facts::new(&tenant, &subscriber, AuthMethod::Pap, 1_800_000_000)
    });
    match decision {
        Ok(decision) => {
            println!("accept");
            for item in decision.reply {
                println!("\t{} = {:?}", item.attribute.name(), item.value);
            }
            ExitCode::SUCCESS
        }
        Err(refusal) => {
            println!("reject: {refusal}");
            ExitCode::FAILURE
        }
    }
}
