//! Each NAS: its secret, its vendor, where it takes orders, and whether the server knows it as a client.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;
use isp_core::coa::{Client, Order, Outcome, Retry, Target};
use isp_core::nas::{CoaTransport, Nas};
use isp_core::radius::{AttributeType, SharedSecret};
use isp_core::secret::{KeyRing, Sealed, Secret};
use isp_core::store::Store;

use super::finding::Findings;
use super::raddb::Raddb;
use crate::context::Context;
use crate::error::Result;

/// RFC 2865 section 3 asks for 16.
const SHORTEST: usize = 8;

pub(super) async fn check(
    context: &Context,
    store: &Store,
    raddb: Option<&Raddb>,
    keys: Option<&KeyRing>,
    findings: &mut Findings,
) -> Result<()> {
    // What is wrong with the files is told elsewhere.
    let vendors = context.vendors().ok();
    let clients = raddb.map(Clients::of);
    for nas in store.nas_list(None).await? {
        let place = format!("NAS {}", nas.nasname);
        secret(&nas, &place, keys, findings);
        if vendors
            .as_ref()
            .is_some_and(|vendors| vendors.get(&nas.vendor).is_none())
        {
            let problem = format!(
                "its vendor {:?} is none: it is served as generic, without rates",
                nas.vendor
            );
            let remedy = format!(
                "ispctl nas set {} --vendor NAME (ispctl vendor list names them)",
                nas.nasname
            );
            findings.error("nas_vendor_unknown", &place, &problem, &remedy);
        }
        let Ok(network) = network(&nas.nasname) else {
            let problem = "it is neither an address nor a network: no packet can come from it";
            findings.error(
                "nas_address",
                &place,
                problem,
                "set its address: ispctl nas set ID --name ADDRESS",
            );
            continue;
        };
        if nas.coa.coa_transport == CoaTransport::Udp && nas.coa.coa_port == Some(0) {
            findings.error(
                "nas_coa_port",
                &place,
                "0 is no port to send orders to",
                &format!("ispctl nas set {} --coa-port 3799", nas.nasname),
            );
        }
        if clients.as_ref().is_some_and(|clients| !clients.admit(&network)) {
            let problem = "the server takes no packet from it: no client of its configuration has this address, and clients are not looked up in the database";
            findings.error(
                "nas_no_client",
                &place,
                problem,
                "enable sites-available/isp-dynamic-clients, or add it to clients.conf",
            );
        }
    }
    Ok(())
}

fn network(name: &str) -> std::result::Result<IpNet, String> {
    name.parse::<IpNet>()
        .or_else(|_| name.parse::<IpAddr>().map(IpNet::from))
        .map_err(|error| error.to_string())
}

fn open(nas: &Nas, keys: Option<&KeyRing>) -> std::result::Result<Secret<Vec<u8>>, String> {
    match Sealed::parse(&nas.secret) {
        Ok(None) => Ok(Secret::new(nas.secret.clone().into_bytes())),
        Ok(Some(sealed)) => match keys {
            Some(keys) => keys
                .open(&nas.secret_context(), &sealed)
                .map_err(|error| error.to_string()),
            None => Err("it is sealed, and there is no key file".to_owned()),
        },
        Err(error) => Err(error.to_string()),
    }
}

fn secret(nas: &Nas, place: &str, keys: Option<&KeyRing>, findings: &mut Findings) {
    let remedy = format!("ispctl nas secret {} --generate, and set it on the NAS", nas.nasname);
    if nas.secret.is_empty() {
        return findings.error(
            "nas_no_secret",
            place,
            "it has no shared secret: it cannot be a client",
            &remedy,
        );
    }
    match open(nas, keys) {
        Err(why) => findings.error(
            "nas_secret_locked",
            place,
            &format!("its shared secret cannot be opened: {why}"),
            &remedy,
        ),
        Ok(secret) if secret.expose().len() < SHORTEST || secret.expose().as_slice() == b"testing123" => {
            let problem = "its shared secret can be guessed: shorter than 8 octets, or of the documentation";
            findings.warning("nas_secret_weak", place, problem, &remedy);
        }
        Ok(_) if keys.is_some() && matches!(Sealed::parse(&nas.secret), Ok(None)) => {
            findings.warning(
                "nas_secret_in_clear",
                place,
                "its shared secret is in the database in clear",
                "ispctl key reseal",
            );
        }
        Ok(_) => {}
    }
}

/// Whom the server takes packets from.
struct Clients {
    networks: Vec<IpNet>,
}

impl Clients {
    fn of(raddb: &Raddb) -> Self {
        let networks = raddb.clients().filter_map(|client| {
            let address = ["ipaddr", "ipv4addr", "ipv6addr"]
                .iter()
                .find_map(|name| raddb.value(client, name))
                .or_else(|| client.second().map(str::to_owned))?;
            let address = match address.as_str() {
                "localhost" => "127.0.0.1",
                "*" => "0.0.0.0/0",
                address => address,
            };
            network(address).ok()
        });
        Self {
            networks: networks.collect(),
        }
    }

    fn admit(&self, network: &IpNet) -> bool {
        self.networks.iter().any(|known| known.contains(network))
    }
}

/// Send each NAS an order about a session that no NAS has, once, and see whether and how it answers.
pub(super) async fn probe(
    context: &Context,
    store: &Store,
    keys: Option<&KeyRing>,
    findings: &mut Findings,
) -> Result<()> {
    let client = Client::new();
    let vendors = context.vendors().unwrap_or_default();
    for nas in store.nas_list(None).await? {
        let of_vendor = vendors.get(&nas.vendor).unwrap_or(vendors.generic()).coa().port;
        let port = nas.coa.coa_port.or(context.settings.coa.port).unwrap_or(of_vendor);
        let address = network(&nas.nasname)
            .ok()
            .filter(|network| network.prefix_len() == network.max_prefix_len());
        let shared = open(&nas, keys)
            .ok()
            .and_then(|secret| SharedSecret::new(secret.expose()).ok());
        let (Some(address), Some(shared), CoaTransport::Udp) = (address, shared, nas.coa.coa_transport) else {
            continue;
        };
        let mut target = Target::new(SocketAddr::new(address.addr(), port), shared);
        target.retry = Retry {
            attempts: 2,
            first_wait: context.settings.coa.timeout,
            longest_wait: context.settings.coa.timeout.max(Duration::from_secs(1)),
        };
        let nobody = format!("doctor-{}", uuid::Uuid::now_v7().simple());
        let order = Order::disconnect()
            .with(AttributeType::USER_NAME, &nobody)
            .with(AttributeType::ACCT_SESSION_ID, &nobody);
        let place = format!("NAS {} port {port}", nas.nasname);
        match client.deliver(&target, &order).await.map(|report| report.outcome) {
            // That it knows no such session is the answer wanted.
            Ok(Outcome::Nak(_)) => {}
            Ok(Outcome::Ack) => findings.error(
                "coa_false_ack",
                &place,
                "it says it ended a session that does not exist: its answers tell nothing",
                "send to the NAS itself, not to a RADIUS server in between",
            ),
            Ok(Outcome::Timeout) => findings.error(
                "coa_no_answer",
                &place,
                "it does not answer orders",
                "turn RFC 5176 on there, allow this host, compare port and shared secret",
            ),
            Err(error) => findings.error("coa_no_answer", &place, &error.to_string(), "mend the way there"),
        }
    }
    Ok(())
}
