//! What tests put into a database.

use std::net::Ipv4Addr;

use isp_core::dictionary::RowList;
use isp_core::nas::Nas;
use isp_core::password::{self, Scheme};
use isp_core::plan::Plan;
use isp_core::subscriber::{Status, Subscriber};
use isp_core::tenant::{Tenant, UsernameCase, UsernameRealm};

use crate::database::Database;

/// The tenant most tests work in.
pub const TENANT: &str = "acme";
/// The password of every subscriber, unless a test says otherwise.
pub const PASSWORD: &str = "correct horse";

impl Database {
    /// The tenant [`TENANT`] with a Mikrotik NAS on 127.0.0.1 and a plan `fibre` of 100 Mbit/s down, 20 up.
    #[must_use]
    pub fn seeded(self) -> Self {
        self.add_tenant(TENANT);
        self.add_nas(TENANT, Ipv4Addr::LOCALHOST);
        self.add_plan(TENANT, "fibre", 100_000, 20_000);
        self
    }

    pub fn add_tenant(&self, id: &str) {
        let tenant = Tenant {
            id: id.to_owned(),
            name: id.to_owned(),
            enabled: true,
            username_case: UsernameCase::Preserve,
            username_realm: UsernameRealm::Keep,
            timezone: "UTC".to_owned(),
            interim_jitter_percent: 0,
            lookup_by: isp_core::tenant::LookupBy::Username,
        };
        self.wait(self.store().tenant_add(&tenant)).unwrap();
    }

    /// A Mikrotik NAS.
    pub fn add_nas(&self, tenant: &str, address: Ipv4Addr) {
        self.add_nas_of(tenant, address, "mikrotik");
    }

    /// A NAS of this vendor.
    pub fn add_nas_of(&self, tenant: &str, address: Ipv4Addr, vendor: &str) {
        let nas = Nas {
            id: 0,
            tenant_id: tenant.to_owned(),
            nasname: address.to_string(),
            shortname: format!("nas-{address}"),
            kind: "other".to_owned(),
            vendor: vendor.to_owned(),
            model: None,
            firmware_version: None,
            ports: None,
            secret: crate::radclient::SECRET.to_owned(),
            server: None,
            community: None,
            description: None,
            require_message_authenticator: false,
            coa: isp_core::nas::CoaSettings::default(),
        };
        self.wait(self.store().nas_add(&nas)).unwrap();
    }

    /// Its id is its name.
    pub fn add_plan(&self, tenant: &str, name: &str, download_kbps: u32, upload_kbps: u32) {
        let plan = Plan {
            id: format!("{tenant}-{name}"),
            tenant_id: tenant.to_owned(),
            name: name.to_owned(),
            download_rate_kbps: download_kbps,
            upload_rate_kbps: upload_kbps,
            ..Plan::default()
        };
        self.wait(self.store().plan_add(&plan)).unwrap();
    }

    /// An active subscriber of [`TENANT`] with [`PASSWORD`] sealed.
    pub fn add(&self, username: &str) -> Subscriber {
        self.add_with(username, Scheme::Cleartext, |_| {})
    }

    /// As [`Database::add`], the password stored by this scheme, further columns set by `set`.
    pub fn add_with(&self, username: &str, scheme: Scheme, set: impl FnOnce(&mut Subscriber)) -> Subscriber {
        self.add_in(TENANT, username, PASSWORD, scheme, set)
    }

    pub fn add_in(
        &self,
        tenant: &str,
        username: &str,
        password: &str,
        scheme: Scheme,
        set: impl FnOnce(&mut Subscriber),
    ) -> Subscriber {
        let id = format!("{tenant}-{username}");
        let stored = password::encode(scheme, password.as_bytes(), Some(self.keys()), &id).unwrap();
        let mut subscriber = Subscriber {
            id,
            tenant_id: tenant.to_owned(),
            username: username.to_owned(),
            password: Some(stored.password),
            password_hash_method: Some(stored.method.to_owned()),
            status: Status::Active,
            service_type: "fiber_internet".to_owned(),
            simultaneous_use: 1,
            ..Subscriber::default()
        };
        set(&mut subscriber);
        self.wait(self.store().subscriber_add(&subscriber)).unwrap();
        subscriber
    }

    /// A row of `radcheck` or `radreply`.
    pub fn add_row(&self, list: RowList, subscriber: &Subscriber, attribute: &str, op: &str, value: &str) {
        self.wait(self.store().row_add(list, subscriber, attribute, op, value))
            .unwrap();
    }
}
