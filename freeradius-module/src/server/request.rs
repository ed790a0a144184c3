//! A request of the server's, as the hooks see it.

use std::ffi::{CStr, CString, c_char, c_void};
use std::marker::PhantomData;
use std::net::IpAddr;
use std::ptr::{self, NonNull};
use std::slice;
use std::time::Duration;

use isp_core::node::{Client, Credential};
use isp_core::policy::Reason;
use isp_core::policy::reply::{Attribute as ReplyAttribute, ReplyItem};
use isp_core::subscriber::RawRow;

use super::dictionary::Attributes;
use super::encoded::Encoded;
use super::rows::Rows;
use super::sys;
use crate::attribute::{List, Name, Value};
use crate::hooks::{FallThrough, Outcome, PutError, Request, Taken};

/// Bytes of an answer that attributes may take: what RFC 2865 section 3 allows, without the header and the
/// Message-Authenticator that the server may add.
const ROOM: usize = 4096 - 20 - 18;
/// What the answer around a tunnel takes besides: MS-MPPE keys, EAP-Message, User-Name and what a site adds.
const AROUND_TUNNEL: usize = 512;
/// No value of Fall-Through.
const UNSAID: u32 = 2;

/// Room for the text of an address or of a packet's type.
const EXPANSION: usize = 64;

impl List {
    const fn raw(self) -> sys::pair_lists_t {
        match self {
            Self::Request => sys::PAIR_LIST_REQUEST,
            Self::Reply => sys::PAIR_LIST_REPLY,
            Self::Control => sys::PAIR_LIST_CONTROL,
            Self::SessionState => sys::PAIR_LIST_STATE,
        }
    }
}

/// Expansions of the server's language, compiled when the module starts.
///
/// A packet's source and code have no accessor, and the structure that holds them changed within 3.2.
pub(super) struct Expansions {
    source_ipv4: NonNull<sys::xlat_exp_t>,
    source_ipv6: NonNull<sys::xlat_exp_t>,
    reply_type: NonNull<sys::xlat_exp_t>,
}

// SAFETY: expansions: nothing writes to one once it is compiled.
unsafe impl Send for Expansions {}
// SAFETY: expansions: as above.
unsafe impl Sync for Expansions {}

impl Expansions {
    /// # Safety
    /// expansions: `owner` is a talloc chunk that outlives the result.
    pub(super) unsafe fn compile(owner: *mut c_void) -> Result<Self, String> {
        let compile = |format: &CStr| {
            // SAFETY: expansions: the caller vouches for the owner; the format is copied.
            let compiled = unsafe { sys::rlm_rust_xlat_compile(owner, format.as_ptr()) };
            NonNull::new(compiled)
                .ok_or_else(|| format!("cannot expand {}: {}", format.to_string_lossy(), last_error()))
        };
        Ok(Self {
            source_ipv4: compile(c"%{Packet-Src-IP-Address}")?,
            source_ipv6: compile(c"%{Packet-Src-IPv6-Address}")?,
            reply_type: compile(c"%{reply:Packet-Type}")?,
        })
    }
}

/// The last error of the server's library on this thread.
pub(super) fn last_error() -> String {
    // SAFETY: server-exports: a buffer of this thread's own, NUL-terminated, or NULL.
    let text = unsafe { sys::fr_strerror() };
    if text.is_null() {
        return "for an unknown reason".to_owned();
    }
    // SAFETY: server-exports: as above, and not NULL.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// A request, for as long as the hook it was handed to runs, on that hook's thread.
pub(super) struct RequestRef<'r> {
    request: NonNull<sys::REQUEST>,
    attributes: &'r Attributes,
    expansions: &'r Expansions,
    instance_name: &'r str,
    /// The server's threads hand a request on, they do not share it.
    thread: PhantomData<*mut sys::REQUEST>,
}

impl<'r> RequestRef<'r> {
    /// # Safety
    /// request: `request` is the one the server has called a hook with, and the hook runs for at least `'r`.
    pub(super) const unsafe fn new(
        request: NonNull<sys::REQUEST>,
        attributes: &'r Attributes,
        expansions: &'r Expansions,
        instance_name: &'r str,
    ) -> Self {
        Self {
            request,
            attributes,
            expansions,
            instance_name,
            thread: PhantomData,
        }
    }

    /// The talloc chunk that the pairs of a list belong to, or NULL.
    pub(super) fn owner_of(&self, list: List) -> *mut c_void {
        // SAFETY: request-lists: a live request; the chunk that the list's pairs belong to.
        unsafe { sys::radius_list_ctx(self.request.as_ptr(), list.raw()) }
    }

    /// The request this one is tunnelled in, if it is.
    fn outer(request: NonNull<sys::REQUEST>) -> Option<NonNull<sys::REQUEST>> {
        let mut outer = request.as_ptr();
        // SAFETY: request: live; the outer one waits for it on the same thread.
        let found = unsafe { sys::radius_request(&raw mut outer, sys::REQUEST_OUTER) } == 0;
        if found { NonNull::new(outer) } else { None }
    }

    fn outermost(&self) -> NonNull<sys::REQUEST> {
        let mut request = self.request;
        while let Some(outer) = Self::outer(request) {
            request = outer;
        }
        request
    }

    /// The first value of each attribute in a list of this request or of one it came inside.
    fn find_in<const N: usize>(
        &self,
        request: NonNull<sys::REQUEST>,
        list: List,
        wanted: [Name; N],
    ) -> [Option<Value<'_>>; N] {
        let wanted = wanted.map(|name| self.attributes.name(name));
        let mut found = [NOTHING; N];
        // SAFETY: request-lists: a live request; both arrays have N elements.
        unsafe {
            sys::rlm_rust_pairs_find(request.as_ptr(), list.raw(), wanted.as_ptr(), N, found.as_mut_ptr());
        }
        found.map(|value| self.value(&value))
    }

    /// Every value of an attribute in a list of this request or of one it came inside.
    fn all_in(&self, request: NonNull<sys::REQUEST>, list: List, wanted: Name) -> impl Iterator<Item = Value<'_>> {
        let wanted = self.attributes.name(wanted);
        (0..).map_while(move |n| {
            let mut found = NOTHING;
            let request = request.as_ptr();
            // SAFETY: request-lists: a live request.
            unsafe { sys::rlm_rust_pairs_find_nth(request, list.raw(), wanted, n, &raw mut found) };
            self.value(&found)
        })
    }

    /// Expand into `buffer`; empty where there is no value.
    fn expand(
        request: NonNull<sys::REQUEST>,
        expansion: NonNull<sys::xlat_exp_t>,
        buffer: &mut [u8; EXPANSION],
    ) -> &str {
        buffer.fill(0);
        let (out, room) = (buffer.as_mut_ptr().cast::<c_char>(), buffer.len());
        // SAFETY: expansions: writes at most `room` bytes with the NUL, and does not change the request.
        unsafe {
            sys::radius_xlat_struct(out, room, request.as_ptr(), expansion.as_ptr(), None, ptr::null_mut());
        }
        let text = CStr::from_bytes_until_nul(buffer).unwrap_or(c"");
        text.to_str().unwrap_or("")
    }

    fn put(
        &mut self,
        request: NonNull<sys::REQUEST>,
        list: List,
        items: &[sys::rlm_rust_item_t],
    ) -> Result<(), PutError> {
        // SAFETY: request-lists: a live request; attributes and bytes outlive the call, which copies them.
        let done = unsafe { sys::rlm_rust_pairs_put(request.as_ptr(), list.raw(), items.as_ptr(), items.len()) };
        if done { Ok(()) } else { Err(PutError::WrongType) }
    }

    fn put_one(&mut self, name: Name, bytes: &[u8], keep: bool) -> Result<(), PutError> {
        let item = item(self.attributes.name(name), 0, bytes, keep);
        self.put(self.request, List::Control, &[item])
    }
}

fn item(da: *const sys::DICT_ATTR, tag: u8, bytes: &[u8], keep: bool) -> sys::rlm_rust_item_t {
    sys::rlm_rust_item_t {
        da,
        ptr: bytes.as_ptr(),
        len: bytes.len(),
        tag: tag.cast_signed(),
        keep,
        keyed: false,
    }
}

/// Cisco-AVPair and its like carry "key=value": what they say is a matter of the key.
fn is_keyed(attribute: ReplyAttribute<'_>) -> bool {
    // Huawei-AVpair and H3C-Av-Pair, by others.
    let ends = |name: &str| ["AVPair", "Av-Pair"].iter().any(|end| has_suffix(name, end));
    matches!(attribute, ReplyAttribute::Vendor(vendor) if ends(vendor.name()))
}

fn has_suffix(name: &str, end: &str) -> bool {
    let at = name.len().checked_sub(end.len());
    at.and_then(|at| name.get(at..))
        .is_some_and(|tail| tail.eq_ignore_ascii_case(end))
}

/// `PW_AUTH_TYPE_ACCEPT`: the server authenticates nobody.
const ACCEPT: u32 = 254;

const NOTHING: sys::rlm_rust_value_t = sys::rlm_rust_value_t {
    ptr: ptr::null(),
    len: 0,
    integer: 0,
};

impl<'r> Request for RequestRef<'r> {
    type Rows = Rows<'r>;

    fn find<const N: usize>(&self, list: List, wanted: [Name; N]) -> [Option<Value<'_>>; N] {
        self.find_in(self.request, list, wanted)
    }

    fn find_outside<const N: usize>(&self, wanted: [Name; N]) -> [Option<Value<'_>>; N] {
        self.find_in(self.outermost(), List::Request, wanted)
    }

    fn all(&self, list: List, wanted: Name) -> impl Iterator<Item = Value<'_>> {
        self.all_in(self.request, list, wanted)
    }

    fn word(&self, name: Name, value: u32) -> Option<&str> {
        self.attributes.word(name, value)
    }

    fn source(&self) -> Option<IpAddr> {
        let request = self.outermost();
        let mut buffer = [0; EXPANSION];
        [self.expansions.source_ipv4, self.expansions.source_ipv6]
            .into_iter()
            .find_map(|expansion| Self::expand(request, expansion, &mut buffer).parse().ok())
    }

    fn is_tunnelled(&self) -> bool {
        Self::outer(self.request).is_some()
    }

    fn outcome(&self) -> Outcome {
        match Self::expand(self.request, self.expansions.reply_type, &mut [0; EXPANSION]) {
            "Access-Accept" => Outcome::Accept,
            "Access-Reject" => Outcome::Reject,
            _ => Outcome::Unfinished,
        }
    }

    fn instance_name(&self) -> &str {
        self.instance_name
    }

    fn give(&mut self, credential: &Credential) -> Result<(), PutError> {
        match credential {
            Credential::Cleartext(password) => self.put_one(Name::CleartextPassword, password.expose(), false),
            Credential::NtHash(hash) => self.put_one(Name::NtPassword, hash.expose(), false),
            Credential::VerifyHere => {
                let auth_type = self.attributes.auth_type.ok_or(PutError::NoAuthType)?;
                self.put_one(Name::AuthType, &auth_type.to_ne_bytes(), true)
            }
            Credential::NotNeeded => self.put_one(Name::AuthType, &ACCEPT.to_ne_bytes(), true),
            Credential::None => Ok(()),
        }
    }

    fn reply(&mut self, items: &[ReplyItem<'_>]) -> Result<(), PutError> {
        let encoded: Vec<_> = items.iter().map(|item| Encoded::from(&item.value)).collect();
        let raw: Vec<_> = items
            .iter()
            .zip(&encoded)
            .map(|(given, value)| sys::rlm_rust_item_t {
                keyed: is_keyed(given.attribute),
                ..item(self.attributes.reply(given.attribute), given.tag, value.bytes(), false)
            })
            .collect();
        self.put(self.request, List::Reply, &raw)
    }

    fn take_away<'a>(&mut self, attributes: impl Iterator<Item = Taken<'a>>) {
        for taken in attributes {
            let (request, list) = (self.request.as_ptr(), List::Reply.raw());
            let attribute = match taken {
                Taken::Named(name) => self.attributes.name(name),
                Taken::OfVendor(attribute) => self.attributes.reply(ReplyAttribute::Vendor(attribute)),
            };
            if !attribute.is_null() {
                // SAFETY: request-lists: a live request; the attribute is one of the server's dictionary.
                unsafe { sys::rlm_rust_pairs_drop(request, list, attribute) };
            }
        }
    }

    fn hold_back(&mut self, delay: Duration) -> Result<(), PutError> {
        let microseconds = u32::try_from(delay.as_micros()).unwrap_or(u32::MAX).to_ne_bytes();
        let attribute = self.attributes.name(Name::ResponseDelay);
        self.put(self.request, List::Reply, &[item(attribute, 0, &microseconds, true)])
    }

    fn build<'a>(&self, list: List, rows: impl Iterator<Item = RawRow<'a>>) -> Result<Rows<'r>, String> {
        let mut built = Rows::for_list(self, list);
        for row in rows {
            built
                .append(row.attribute, row.op, row.value)
                .map_err(|why| format!("row {} ({} {}): {why}", row.id, row.attribute, row.op))?;
        }
        Ok(built)
    }

    fn fall_through(&self, rows: &Rows<'r>) -> FallThrough {
        let wanted = self.attributes.name(Name::FallThrough);
        // SAFETY: rows: the list is ours alone, and only read.
        match unsafe { sys::rlm_rust_pairs_integer(rows.first, wanted, UNSAID) } {
            0 => FallThrough::No,
            1 => FallThrough::Yes,
            _ => FallThrough::Unsaid,
        }
    }

    fn fits(&self) -> Result<(), String> {
        // The server copies Proxy-State into the answer that is sent, which this is not yet (RFC 2865 section 5.33).
        let room = if self.is_tunnelled() {
            let states = self.all_in(self.outermost(), List::Request, Name::ProxyState);
            ROOM - AROUND_TUNNEL - states.map(|state| state.bytes.len() + 2).sum::<usize>().min(ROOM / 2)
        } else {
            ROOM
        };
        // SAFETY: request-lists: a live request, whose reply is only read.
        let fits = unsafe { sys::rlm_rust_reply_fits(self.request.as_ptr(), room) };
        if fits { Ok(()) } else { Err(last_error()) }
    }

    fn matches(&mut self, checks: &mut Rows<'r>) -> bool {
        let request = self.request.as_ptr();
        // SAFETY: request-lists: a live request has these two lists.
        let (sent, reply) = unsafe {
            (
                sys::radius_list(request, sys::PAIR_LIST_REQUEST),
                sys::radius_list(request, sys::PAIR_LIST_REPLY),
            )
        };
        if sent.is_null() || reply.is_null() {
            return false;
        }
        // SAFETY: request-lists: not NULL; the comparison may expand the pairs of `checks`, which are ours.
        unsafe { sys::paircompare(request, *sent, checks.first, reply) == 0 }
    }

    fn expand(&mut self, rows: &mut Rows<'r>) -> Result<(), String> {
        // SAFETY: rows: the list is ours alone; expanding reads a live request, and changes the pairs in place.
        let unfit = unsafe { sys::rlm_rust_pairs_expand(self.request.as_ptr(), rows.first) };
        if unfit.is_null() {
            return Ok(());
        }
        // SAFETY: dictionary-entries: the name lives as long as the dictionary, NUL-terminated.
        Err(unsafe { CStr::from_ptr(unfit) }.to_string_lossy().into_owned())
    }

    fn merge(&mut self, list: List, mut rows: Rows<'r>) {
        let request = self.request.as_ptr();
        // SAFETY: request-lists: a live request.
        let to = unsafe { sys::radius_list(request, list.raw()) };
        if to.is_null() || rows.first.is_null() {
            return;
        }
        let first = std::mem::replace(&mut rows.first, ptr::null_mut());
        // SAFETY: request-lists: takes the pairs over; none of the arguments is NULL.
        unsafe { sys::radius_pairmove(request, to, first, true) };
    }

    fn introduce(&mut self, source: IpAddr, client: &Client) -> Result<(), PutError> {
        let (address, octets) = match source {
            IpAddr::V4(address) => (Name::ClientIpAddress, Encoded::Four(address.octets())),
            IpAddr::V6(address) => (Name::ClientIpv6Address, Encoded::Sixteen(address.octets())),
        };
        let signed = u32::from(client.require_message_authenticator).to_ne_bytes();
        let mut items = vec![
            (address, octets.bytes()),
            (Name::ClientSecret, client.secret.expose().as_slice()),
            (Name::ClientShortname, client.shortname.as_bytes()),
            (Name::ClientNasType, client.kind.as_bytes()),
            (Name::ClientRequireMa, signed.as_slice()),
        ];
        if let Some(server) = &client.server {
            items.push((Name::ClientVirtualServer, server.as_bytes()));
        }
        let raw: Vec<_> = items
            .iter()
            .map(|(name, octets)| item(self.attributes.name(*name), 0, octets, false))
            .collect();
        self.put(self.request, List::Control, &raw)
    }

    fn set_reason(&mut self, reason: Reason, conversation: bool) {
        let (request, list) = if conversation {
            (self.outermost(), List::SessionState)
        } else {
            (self.request, List::Control)
        };
        let item = item(
            self.attributes.name(Name::RejectReason),
            0,
            reason.code().as_bytes(),
            false,
        );
        // A request without a state has no conversation to keep it for.
        let _ = self.put(request, list, &[item]);
    }

    fn set_class(&mut self, class: &str) {
        if let [Some(_)] = self.find(List::Reply, [Name::Class]) {
            return;
        }
        let item = item(self.attributes.name(Name::Class), 0, class.as_bytes(), false);
        // A server whose Class is no octets has no use for it.
        let _ = self.put(self.request, List::Reply, &[item]);
    }

    fn set_restricted(&mut self, reason: Reason) {
        let _ = self.put_one(Name::RestrictedReason, reason.code().as_bytes(), false);
    }

    fn note(&self, message: &str) {
        let text = loggable(message);
        // SAFETY: request-lists: a live request; the text is no format.
        unsafe { sys::rlm_rust_log_request(sys::L_WARN, sys::L_DBG_LVL_OFF, self.request.as_ptr(), text.as_ptr()) };
    }

    fn fail(&mut self, message: &str, loud: bool) {
        let text = loggable(message);
        let (kind, level) = if loud {
            (sys::L_AUTH, sys::L_DBG_LVL_OFF)
        } else {
            (sys::L_DBG_ERR, sys::L_DBG_LVL_1)
        };
        // SAFETY: request-lists: a live request; the text is no format. Adds to the request list and removes nothing.
        unsafe { sys::rlm_rust_log_failure(kind, level, self.request.as_ptr(), text.as_ptr()) };
    }
}

/// A message without the NULs that a packet may have brought into it.
fn loggable(message: &str) -> CString {
    let clean: Vec<u8> = message.bytes().filter(|byte| *byte != 0).collect();
    CString::new(clean).unwrap_or_default()
}

impl RequestRef<'_> {
    /// A value that was found, borrowed from the request.
    fn value(&self, found: &sys::rlm_rust_value_t) -> Option<Value<'_>> {
        if found.ptr.is_null() {
            return None;
        }
        Some(Value {
            // SAFETY: request-values: `len` bytes of a pair that stays where it is while `self` is not borrowed mutably.
            bytes: unsafe { slice::from_raw_parts(found.ptr, found.len) },
            integer: found.integer,
        })
    }
}
