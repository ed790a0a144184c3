//! Whose a User-Name is, by its realm.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use crate::tenant::{RealmAction, TenantRealm, split_realm};

/// A rule for a realm; the tenant it leads to is an index.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) said: TenantRealm,
    pub(super) to: Option<u32>,
}

/// The rules of one tenant's NAS.
#[derive(Debug, Clone, Default)]
pub(super) struct Rules {
    by_realm: HashMap<String, Rule, FixedState>,
}

impl Rules {
    pub(super) fn add(&mut self, said: TenantRealm, to: Option<u32>) {
        self.by_realm.insert(said.realm.clone(), Rule { said, to });
    }

    /// The rule for this name: of its realm, else of any other. A name that ends in `@` has no realm.
    pub(super) fn of(&self, user_name: &str) -> Option<&Rule> {
        match split_realm(user_name).1 {
            None => self.by_realm.get(TenantRealm::NONE),
            Some(realm) if realm.chars().any(char::is_uppercase) => self.get(&realm.to_lowercase()),
            Some(realm) => self.get(realm),
        }
    }

    fn get(&self, realm: &str) -> Option<&Rule> {
        self.by_realm
            .get(realm)
            .or_else(|| self.by_realm.get(TenantRealm::OTHER))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &TenantRealm> {
        self.by_realm.values().map(|rule| &rule.said)
    }
}

impl Rule {
    /// The name to look up.
    pub(super) fn name<'a>(&self, user_name: &'a str) -> &'a str {
        match self.said.action {
            RealmAction::Strip => split_realm(user_name).0,
            RealmAction::Accept | RealmAction::Refuse | RealmAction::Tenant(_) => user_name,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::tests::{builder, subscriber};
    use super::super::{Missing, Sender, Snapshot};
    use super::*;
    use crate::policy::binding::Packet;

    /// 192.0.2.1 is a NAS of `a`, which keeps realms; 192.0.2.9 one of `b`, which strips them.
    fn snapshot(rules: &[(&str, &str, RealmAction)]) -> Snapshot {
        let mut builder = builder();
        for (tenant, realm, action) in rules {
            builder.realm(TenantRealm {
                tenant_id: (*tenant).to_owned(),
                realm: (*realm).to_owned(),
                action: action.clone(),
            });
        }
        for (tenant, name) in [
            ("a", "ada"),
            ("a", "ada@a.example"),
            ("b", "bob"),
            ("b", "ada"),
            ("a", "eve@"),
        ] {
            builder.subscriber(&subscriber(tenant, &format!("{name} of {tenant}"), name));
        }
        builder.finish().0
    }

    fn at(snapshot: &Snapshot, nas: &str, name: &str) -> Result<String, Missing> {
        let view = snapshot.view();
        let found = view.find(Some(nas.parse().unwrap()), None, &Sender::named(name.as_bytes()))?;
        Ok(found.entry().unwrap().id())
    }

    fn to_b() -> RealmAction {
        RealmAction::Tenant("b".to_owned())
    }

    #[track_caller]
    fn comes_to(rules: &[(&str, &str, RealmAction)], name: &str, expected: Result<&str, Missing>) {
        let snapshot = snapshot(rules);
        assert_eq!(
            at(&snapshot, "192.0.2.1", name),
            expected.map(str::to_owned),
            "{name} by {rules:?}"
        );
    }

    #[test]
    fn a_realm_is_treated_as_the_tenant_of_the_nas_says() {
        use Missing::{NoRealm, Realm, Subscriber};
        use RealmAction::{Accept, Refuse, Strip};
        comes_to(&[], "ada@a.example", Ok("ada@a.example of a"));
        comes_to(&[("a", "a.example", Strip)], "ada@A.Example", Ok("ada of a"));
        comes_to(&[("a", "a.example", Refuse)], "ada@a.example", Err(Realm));
        comes_to(&[("a", "a.example", Refuse)], "ada", Ok("ada of a"));
        comes_to(&[("a", "", Refuse)], "ada", Err(NoRealm));
        comes_to(&[("a", "", Refuse)], "eve@", Err(NoRealm));
        comes_to(&[("a", "", Refuse)], "ada@a.example", Ok("ada@a.example of a"));
        comes_to(&[("a", "*", Refuse)], "ada@a.example", Err(Realm));
        comes_to(&[("a", "*", Refuse)], "ada", Ok("ada of a"));
        let but_one = [("a", "*", Refuse), ("a", "a.example", Accept)];
        comes_to(&but_one, "ada@a.example", Ok("ada@a.example of a"));
        comes_to(&but_one, "ada@b.example", Err(Realm));
        comes_to(&[("a", "*", Strip)], "ada@any.example", Ok("ada of a"));
        comes_to(&[("b", "*", Refuse)], "ada@a.example", Ok("ada@a.example of a"));
        comes_to(&[("a", "a.example", Strip)], "carol@a.example", Err(Subscriber));
    }

    #[test]
    fn a_realm_leads_to_its_tenant_and_no_further() {
        let rules = [
            ("a", "b.example", to_b()),
            ("a", "c.example", RealmAction::Tenant("c".to_owned())),
            ("b", "b.example", RealmAction::Tenant("a".to_owned())),
            ("b", "", RealmAction::Refuse),
        ];
        comes_to(&rules, "bob@b.example", Ok("bob of b"));
        comes_to(&rules, "ADA@B.EXAMPLE", Ok("ada of b"));
        comes_to(&rules, "bob", Err(Missing::Subscriber));
        comes_to(&rules, "bob@c.example", Err(Missing::Realm));
        let snapshot = snapshot(&rules);
        let view = snapshot.view();
        let tenant = |name: &[u8]| {
            let source = Some("192.0.2.1".parse().unwrap());
            view.tenant_of(source, None, &Sender::named(name))
                .map(|tenant| tenant.id.clone())
        };
        assert_eq!(tenant(b"nobody@b.example").as_deref(), Some("b"));
        assert_eq!(tenant(b"nobody@c.example").as_deref(), Some("a"));
        assert_eq!(tenant(b"nobody").as_deref(), Some("a"));
    }

    #[test]
    fn what_is_no_name_needs_no_realm() {
        use super::super::tests::builder_of;
        use crate::subscriber::SubscriberRecord;
        use crate::tenant::LookupBy;
        let mut builder = builder_of(LookupBy::Mac);
        builder.realm(TenantRealm {
            tenant_id: "a".to_owned(),
            realm: TenantRealm::NONE.to_owned(),
            action: RealmAction::Refuse,
        });
        builder.subscriber(&SubscriberRecord {
            cpe_mac_address: Some("020000000001".to_owned()),
            ..subscriber("a", "ada", "ada@a.example")
        });
        let (snapshot, _) = builder.finish();
        let sender = |user_name| Sender {
            packet: Packet {
                calling_station_id: Some(b"020000000001"),
                ..Packet::default()
            },
            ..Sender::named(user_name)
        };
        let find = |sender| snapshot.view().find(None, Some("a"), &sender).map(|_| ());
        assert_eq!(find(sender(b"02:00:00:00:00:01")), Ok(()));
        assert_eq!(find(sender(b"ada")), Err(Missing::NoRealm));
    }
}
