//! Who may connect: a bound on all connections together, and one on those of an address, before anything is read.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Connections by address.
type Addresses = Arc<Mutex<HashMap<IpAddr, usize>>>;

/// The bounds of a listener, or of several together. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Intake {
    all: Arc<Semaphore>,
    per_address: usize,
    addresses: Addresses,
}

/// The place of one connection, given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    _all: OwnedSemaphorePermit,
    address: Option<(IpAddr, Addresses)>,
}

impl Intake {
    pub(super) fn new(all: usize, per_address: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(all.max(1))), per_address: per_address.max(1), addresses: Arc::default() }
    }

    /// Waits until there is room for one more connection; those who come meanwhile wait in the kernel's queue.
    pub(super) async fn room(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.all).acquire_owned().await.ok()
    }

    /// A place for a connection from `address`; `None` when it has as many as it may.
    pub(super) fn place(&self, room: OwnedSemaphorePermit, address: Option<IpAddr>) -> Option<Place> {
        let Some(address) = address.map(whose) else { return Some(Place { _all: room, address: None }) };
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        let count = addresses.entry(address).or_default();
        if *count >= self.per_address {
            return None;
        }
        *count += 1;
        Some(Place { _all: room, address: Some((address, Arc::clone(&self.addresses))) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((address, addresses)) = self.address.take() else { return };
        let mut addresses = addresses.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = addresses.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                addresses.remove(&address);
            }
        }
    }
}

/// One party has a whole /64 of IPv6 addresses.
pub(super) fn whose(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => IpAddr::V4(v4),
            None => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_has_its_share_and_gives_it_back() {
        let intake = Intake::new(10, 2);
        let one: IpAddr = "10.0.0.1".parse().unwrap();
        let take = async |a| intake.place(intake.room().await.unwrap(), Some(a));
        let (a, b) = (take(one).await, take(one).await);
        assert!(a.is_some() && b.is_some() && take(one).await.is_none());
        assert!(take("10.0.0.2".parse().unwrap()).await.is_some());
        drop(a);
        assert!(take("::ffff:10.0.0.1".parse().unwrap()).await.is_some());
        drop(b);
        assert!(intake.addresses.lock().unwrap().is_empty());
        assert_eq!(intake.all.available_permits(), 10);
    }

    #[test]
    fn a_network_of_ipv6_is_one_party() {
        assert_eq!(whose("2001:db8::1".parse().unwrap()), whose("2001:db8::ffff:1".parse().unwrap()));
        assert_ne!(whose("2001:db8::1".parse().unwrap()), whose("2001:db8:0:1::1".parse().unwrap()));
    }
}
