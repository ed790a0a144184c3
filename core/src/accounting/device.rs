//! Where a login or a session comes from, and which of them come from the same place.

use std::cmp::Reverse;
use std::net::IpAddr;

use super::AccountingRecord;

/// Where a login or a session comes from, as far as its packet tells.
///
/// A NAS may put less into one kind of packet than into another. Two are the same device where what both tell is the same:
/// Calling-Station-Id, else NAS-Port-Id, else the NAS. What a NAS does not tell apart is one device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Device<T = String> {
    /// Calling-Station-Id; a MAC address is the same in every notation.
    pub station: Option<T>,
    pub nas: Option<T>,
    /// Of the NAS.
    pub port: Option<T>,
}

impl Device {
    #[must_use]
    pub fn new(calling_station_id: Option<&str>, nas: Option<IpAddr>, port: Option<&str>) -> Self {
        let station = calling_station_id.filter(|station| !station.is_empty());
        Self {
            station: station.map(|station| mac(station).unwrap_or_else(|| station.to_owned())),
            nas: nas.map(|nas| nas.to_string()),
            port: port.filter(|port| !port.is_empty()).map(str::to_owned),
        }
    }

    #[must_use]
    pub fn of(record: &AccountingRecord) -> Self {
        Self::new(
            record.calling_station_id.as_deref(),
            Some(record.nas_ip_address),
            record.nas_port_id.as_deref(),
        )
    }

    /// The most that is known of it, in one text.
    #[must_use]
    pub fn name(&self) -> String {
        let nas = self.nas.as_deref().unwrap_or("unknown");
        match (&self.station, &self.port) {
            (Some(station), _) => station.clone(),
            (None, Some(port)) => format!("{nas} {port}"),
            (None, None) => nas.to_owned(),
        }
    }
}

impl<T: PartialEq> Device<T> {
    /// Whether the two are one device, as far as both tell.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        if self.station.is_some() && other.station.is_some() {
            return self.station == other.station;
        }
        let told = |device: &Self| device.nas.is_some() && device.port.is_some();
        self.nas == other.nas && (!told(self) || !told(other) || self.port == other.port)
    }

    /// How many devices these are. What tells less of a device than another does not make it two, nor two of them one.
    #[must_use]
    pub fn count<'a>(told: impl IntoIterator<Item = &'a Self>) -> u32
    where
        T: 'a,
    {
        let mut told: Vec<&Self> = told.into_iter().collect();
        told.sort_by_key(|device| Reverse((device.station.is_some(), device.port.is_some(), device.nas.is_some())));
        let mut counted: Vec<&Self> = Vec::with_capacity(told.len());
        for device in told {
            if !counted.iter().any(|known| known.is_same(device)) {
                counted.push(device);
            }
        }
        u32::try_from(counted.len()).unwrap_or(u32::MAX)
    }
}

/// Twelve lower-case hex digits of a MAC address, in whatever notation it comes.
#[must_use]
pub fn mac(station: &str) -> Option<String> {
    let digits: String = station
        .chars()
        .filter(|c| !matches!(c, ':' | '-' | '.'))
        .map(|c| c.to_ascii_lowercase())
        .collect();
    (digits.len() == 12 && digits.bytes().all(|b| b.is_ascii_hexdigit())).then_some(digits)
}

/// The MAC address of a Calling-Station-Id. Some NAS copy DHCP's client identifier, in which the type of the hardware comes
/// first (RFC 2132 section 9.14).
#[must_use]
pub fn station_mac(octets: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(octets).ok()?;
    mac(text).or_else(|| mac(text.strip_prefix("1:")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_counted_once_however_little_of_it_is_told() {
        let nas = "192.0.2.1".parse().ok();
        let full = Device::new(Some("00:11:22:33:44:01"), nas, Some("ether1"));
        let other = Device::new(Some("00:11:22:33:44:02"), nas, Some("ether1"));
        let no_station = Device::new(None, nas, Some("ether1"));
        let bare = Device::new(None, nas, None);
        assert_eq!(Device::count([&no_station, &full, &bare]), 1);
        // What is told of neither station is not what makes them one, whatever comes first.
        for told in [
            [&full, &no_station, &other],
            [&no_station, &full, &other],
            [&full, &other, &bare],
        ] {
            assert_eq!(Device::count(told), 2);
        }
        assert_eq!(Device::<String>::count([]), 0);
    }
}
