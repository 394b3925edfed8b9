//! What a previous run left in the kernel, so that a restart changes only what differs.

use std::collections::HashMap;
use std::num::NonZeroU16;

use super::known::{KnownReal, KnownServer};
use super::platform::{Platform, Trouble};
use crate::kernel::ipvs::{DestinationEntry, Service, ServiceKey};
use crate::kernel::mark::{Mark, MarkRange};
use crate::model::Family;
use crate::plan::Limits;

/// The virtual servers in our mark range.
pub type Servers = HashMap<Mark, Vec<KnownServer>>;

/// Reads back the virtual servers whose marks are ours. Others are none of our business.
pub fn servers(platform: &mut impl Platform, range: MarkRange) -> Result<Servers, Trouble> {
    let mut found = Servers::new();
    for entry in platform.services()? {
        if let Some((mark, server)) = read(platform, range, &entry.service)? {
            found.entry(mark).or_default().push(server);
        }
    }
    Ok(found)
}

/// Reads back the virtual servers of one mark.
pub fn servers_of(
    platform: &mut impl Platform,
    range: MarkRange,
    mark: Mark,
) -> Result<Vec<KnownServer>, Trouble> {
    let mut found = Vec::new();
    for family in Family::ALL {
        let mark = mark.value();
        if let Some(entry) = platform.service(&ServiceKey::Mark { family, mark })?
            && let Some((_, server)) = read(platform, range, &entry.service)?
        {
            found.push(server);
        }
    }
    Ok(found)
}

fn read(
    platform: &mut impl Platform,
    range: MarkRange,
    service: &Service,
) -> Result<Option<(Mark, KnownServer)>, Trouble> {
    let ServiceKey::Mark { mark, .. } = service.key else {
        return Ok(None);
    };
    let Some(mark) = range.mark(mark) else {
        return Ok(None);
    };
    let reals = platform
        .destinations(&service.key)?
        .iter()
        .filter_map(real)
        .collect();
    let service = *service;
    Ok(Some((mark, KnownServer { service, reals })))
}

/// A real server as the kernel reports it; none where it has no port, which ours always have.
fn real(entry: &DestinationEntry) -> Option<KnownReal> {
    let destination = &entry.destination;
    Some(KnownReal {
        ip: destination.ip,
        port: NonZeroU16::new(destination.port)?,
        weight: destination.weight,
        limits: Limits {
            upper: destination.upper_threshold,
            lower: destination.lower_threshold,
        },
        forwarding: destination.forwarding,
    })
}
