//! What happens to a request, in safe Rust and without the server's types.

mod accounting;
mod authorize;
mod client;
mod credentials;
mod post_auth;
mod throttle;

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use isp_core::node::{Client, Credential, Node};
use isp_core::policy::reply::ReplyItem;
use isp_core::policy::vendor::VendorAttribute;
use isp_core::policy::{Reason, Refusal};
use isp_core::subscriber::RawRow;

pub use accounting::accounting;
pub use authorize::{authenticate, authorize};
pub use post_auth::post_auth;
use throttle::Throttle;

use crate::attribute::{List, Name, Value};

/// Refusals logged per second. A flood of them must not become a flood of writes; the rest is counted.
const REFUSALS_PER_SECOND: u32 = 200;

/// An attribute that a decision takes out of the reply.
#[derive(Debug, Clone, Copy)]
pub enum Taken<'a> {
    Named(Name),
    OfVendor(&'a VendorAttribute),
}

/// A running instance of the module.
#[derive(Debug)]
pub struct Instance {
    node: Node,
    refusals: Throttle,
    /// Name the decision in Class.
    class: bool,
}

impl Instance {
    pub const fn new(node: Node, class: bool) -> Self {
        Self {
            node,
            class,
            refusals: Throttle::new(REFUSALS_PER_SECOND),
        }
    }

    pub fn into_node(self) -> Node {
        self.node
    }
}

/// Why attributes could not be put into a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutError {
    /// The `authenticate` section does not call this instance, so nothing would verify the password.
    NoAuthType,
    /// The dictionary's type of the attribute is not the value's.
    WrongType,
}

/// What the answer to a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Accept,
    Reject,
    /// A challenge: there will be another packet.
    Unfinished,
}

/// Whether the groups that come next count too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FallThrough {
    No,
    Yes,
    /// Nothing is said of it: after the subscriber's own rows they do, after those of a group they do not.
    Unsaid,
}

/// The request being processed, as far as the hooks need it.
pub trait Request {
    /// Raw rows the server has understood.
    type Rows;

    /// The first value of each attribute.
    fn find<const N: usize>(&self, list: List, wanted: [Name; N]) -> [Option<Value<'_>>; N];

    /// The same of the packet that came from the network: what is inside a tunnel is the subscriber's own word, and a
    /// subscriber may put there whatever a NAS would say.
    fn find_outside<const N: usize>(&self, wanted: [Name; N]) -> [Option<Value<'_>>; N];

    /// Every value of an attribute.
    fn all(&self, list: List, wanted: Name) -> impl Iterator<Item = Value<'_>>;

    /// The dictionary's word for a value of an enumerated attribute.
    fn word(&self, name: Name, value: u32) -> Option<&str>;

    /// Source address of the packet, of the outermost one where it is tunnelled.
    fn source(&self) -> Option<IpAddr>;

    /// Whether it came inside another one.
    fn is_tunnelled(&self) -> bool;

    fn outcome(&self) -> Outcome;

    /// The name the module goes by in the server's configuration.
    fn instance_name(&self) -> &str;

    /// Give the credential to the modules that authenticate.
    fn give(&mut self, credential: &Credential) -> Result<(), PutError>;

    /// Put the policy's items into the reply, in place of others of the same name.
    fn reply(&mut self, items: &[ReplyItem<'_>]) -> Result<(), PutError>;

    /// Take attributes out of the reply, whoever gave them.
    fn take_away<'a>(&mut self, attributes: impl Iterator<Item = Taken<'a>>);

    /// Build the pairs of raw rows for a list. Nothing happens to the request.
    fn build<'a>(&self, list: List, rows: impl Iterator<Item = RawRow<'a>>) -> Result<Self::Rows, String>;

    /// What the rows say of Fall-Through.
    fn fall_through(&self, rows: &Self::Rows) -> FallThrough;

    /// Do the check items hold for this request?
    fn matches(&mut self, checks: &mut Self::Rows) -> bool;

    /// Expand what is not expanded yet. `Err` names the attribute that gets no value.
    fn expand(&mut self, rows: &mut Self::Rows) -> Result<(), String>;

    /// Merge pairs into a list, each by its own operator.
    fn merge(&mut self, list: List, rows: Self::Rows);

    /// Whether the reply as it stands can be sent whole, and if not, why.
    fn fits(&self) -> Result<(), String>;

    /// Tell the server of the NAS that sent the packet.
    fn introduce(&mut self, source: IpAddr, client: &Client) -> Result<(), PutError>;

    /// Set the reason this request is refused with, or the `conversation` it is part of.
    fn set_reason(&mut self, reason: Reason, conversation: bool);

    /// Put Class into the reply, where there is none.
    fn set_class(&mut self, class: &str);

    /// Set why this request is let in under restrictions.
    fn set_restricted(&mut self, reason: Reason);

    /// Have the server hold its refusal back, for 10 seconds at most.
    fn hold_back(&mut self, delay: Duration) -> Result<(), PutError>;

    /// Log what is no failure.
    fn note(&self, message: &str);

    /// Log a failure and add it to Module-Failure-Message. One that is not `loud` is logged when debugging only.
    fn fail(&mut self, message: &str, loud: bool);
}

/// What is sent is the whole reply or none of it.
fn fits(request: &impl Request) -> Result<(), Refusal> {
    request
        .fits()
        .map_err(|why| Refusal::new(Reason::ReplyTooLong, format!("the reply cannot be sent whole: {why}")))
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Refuse: the reason goes into the log, into Module-Failure-Message, and where post-auth finds it.
fn refuse(refusals: &Throttle, request: &mut impl Request, user_name: &[u8], refusal: &Refusal) {
    request.set_reason(refusal.reason, false);
    if request.is_tunnelled() {
        request.set_reason(refusal.reason, true);
    }
    let loud = refusals.admit(now());
    let user_name = String::from_utf8_lossy(user_name);
    request.fail(
        &format!(
            "{}: {} (user \"{}\")",
            refusal.reason,
            refusal.message,
            user_name.escape_debug()
        ),
        loud,
    );
}

#[cfg(test)]
mod fake;

#[cfg(test)]
mod tests {
    use super::fake::Fake;
    use super::*;

    #[test]
    fn a_refusal_is_said_everywhere_and_loudly_where_there_is_room() {
        let refusal = Refusal::new(Reason::Suspended, "the subscriber is suspended");
        let mut request = Fake {
            tunnelled: true,
            ..Fake::default()
        };
        refuse(&Throttle::new(1), &mut request, b"a\"\n\xff", &refusal);
        assert_eq!(
            request.done,
            [
                "suspended of the request",
                "suspended of the conversation",
                "fail true: suspended: the subscriber is suspended (user \"a\\\"\\n\u{fffd}\")",
            ]
        );
        let mut next = Fake::default();
        refuse(&Throttle::new(0), &mut next, b"a", &refusal);
        assert_eq!(
            next.done.len(),
            2,
            "an outermost request has no conversation: {:?}",
            next.done
        );
        assert!(next.done[1].starts_with("fail false"), "{:?}", next.done);
    }
}
