//! Whose an address or a prefix is: custom fields, and the description where those are not filled in.

use serde::Serialize;

use super::model::{CustomFields, IpAddress, Prefix, text};

/// The custom fields a subscriber's addresses carry. In NetBox they are of type text, on `ipam.ipaddress` and
/// `ipam.prefix`, and `subscriber_id` is made with `"filter_logic": "exact"`: with the default, `loose`, a filter finds
/// every id that contains the one asked for.
///
/// Serialized, it is the `custom_fields` of a request; what is `None` is left as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct OwnerFields {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscriber_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscriber_username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_address: Option<String>,
}

impl OwnerFields {
    /// The description of what this subscriber was given.
    #[must_use]
    pub fn description(subscriber_id: &str) -> String {
        format!("{DESCRIPTION}{subscriber_id}")
    }
}

const DESCRIPTION: &str = "Subscriber:";

impl From<&CustomFields> for OwnerFields {
    fn from(fields: &CustomFields) -> Self {
        Self {
            subscriber_id: text(fields, "subscriber_id"),
            subscriber_username: text(fields, "subscriber_username"),
            service_address: text(fields, "service_address"),
        }
    }
}

/// What may belong to a subscriber.
pub trait Owned {
    fn custom_fields(&self) -> &CustomFields;
    fn description(&self) -> &str;

    fn owner_fields(&self) -> OwnerFields {
        OwnerFields::from(self.custom_fields())
    }

    /// Id of the subscriber it was given to: of the custom field, or else of a description `Subscriber:ID`, which some
    /// write with a space after the colon. `None`: of nobody that is known here.
    fn subscriber_id(&self) -> Option<String> {
        self.owner_fields().subscriber_id.or_else(|| {
            let id = self.description().strip_prefix(DESCRIPTION)?.trim();
            (!id.is_empty()).then(|| id.to_owned())
        })
    }

    /// Does it belong to this subscriber? To be asked of every answer: a filter that NetBox does not know is ignored.
    fn is_of(&self, subscriber_id: &str) -> bool {
        self.subscriber_id().is_some_and(|id| id == subscriber_id)
    }
}

impl Owned for IpAddress {
    fn custom_fields(&self) -> &CustomFields {
        &self.custom_fields
    }

    fn description(&self) -> &str {
        &self.description
    }
}

impl Owned for Prefix {
    fn custom_fields(&self) -> &CustomFields {
        &self.custom_fields
    }

    fn description(&self) -> &str {
        &self.description
    }
}
