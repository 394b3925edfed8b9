use std::collections::{BTreeMap, BTreeSet};

use super::super::number::float;
use super::hosts::short_hash;
use super::{Hosts, Place, Pod, Report, in_order, pods_in_order};
use crate::capacity::Budgets;

/// All that a node must know of the others' demand for a virtual server.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// How many nodes reported.
    pub nodes: u32,
    /// What they want together, in connections at a time.
    pub demand: f64,
    /// What hosts serve to their own nodes.
    pub hosts: Hosts,
    /// What their zones serve besides, by the hash of the zone's name.
    pub zones: BTreeMap<u32, Place>,
    /// What the cluster serves besides.
    pub cluster: Place,
}

/// How small a summary must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coarse {
    /// At most so many zones; nodes and pods of others are taken to be in none.
    pub zones: usize,
    /// At most so many hosts one by one.
    pub listed: usize,
    /// Where there are more, by so many leading bits of their names' hashes.
    pub bits: u32,
}

/// Connections at a time that pods of one host can have together.
#[derive(Clone, Copy, Debug)]
pub struct Room<'a> {
    /// The host, if known.
    pub host: Option<&'a str>,
    /// Its zone, if known.
    pub zone: Option<&'a str>,
    /// So many.
    pub capacity: f64,
}

impl Summary {
    /// Of the reports of all nodes and these pods, with nothing left out.
    pub fn of(reports: &[Report], pods: &[Pod]) -> Self {
        let rooms: Vec<Room<'_>> = pods_in_order(pods)
            .into_iter()
            .map(|pod| Room {
                host: pod.node.as_deref(),
                zone: pod.zone.as_deref(),
                capacity: f64::from(pod.capacity.get()),
            })
            .collect();
        Self::build(reports, &rooms, None)
    }

    /// Of reports that tell the capacity of the pods on the node, too: small, and never promising
    /// more than [`Self::of`] would.
    pub fn of_hosts(reports: &[(Report, u32)], coarse: Coarse) -> Self {
        let mut rooms: Vec<Room<'_>> = reports
            .iter()
            .filter(|(_, capacity)| *capacity > 0)
            .map(|(report, capacity)| Room {
                host: Some(&report.node),
                zone: report.zone.as_deref(),
                capacity: f64::from(*capacity),
            })
            .collect();
        rooms.sort_by_key(|room| room.host);
        let reports: Vec<Report> = reports.iter().map(|(report, _)| report.clone()).collect();
        Self::build(&reports, &rooms, Some(coarse))
    }

    fn build(reports: &[Report], rooms: &[Room<'_>], coarse: Option<Coarse>) -> Self {
        let reports = in_order(reports);
        let zone_names = reports.iter().filter_map(|report| report.zone.as_deref());
        let zone_names = zone_names.chain(rooms.iter().filter_map(|room| room.zone));
        let known: BTreeSet<u32> = zone_names.map(short_hash).collect();
        let most = coarse.map_or(usize::MAX, |coarse| coarse.zones);
        let known: BTreeSet<u32> = known.into_iter().take(most).collect();
        let zone = |name: Option<&str>| name.map(short_hash).filter(|zone| known.contains(zone));

        let mut of_host: BTreeMap<&str, f64> = BTreeMap::new();
        for room in rooms {
            if let Some(host) = room.host {
                *of_host.entry(host).or_default() += room.capacity;
            }
        }
        let mut exact = Hosts::default();
        let mut summary = Self::default();
        // What each node wants that is not served on itself.
        let mut wanted = Vec::with_capacity(reports.len());
        for report in &reports {
            let here = Place {
                demand: demand(report),
                room: of_host.get(&*report.node).copied().unwrap_or(0.0),
            };
            exact.note_host(&report.node, here.used());
            let left = here.demand * (1.0 - here.served());
            wanted.push((zone(report.zone.as_deref()), left));
            summary.nodes += 1;
            summary.demand += here.demand;
        }
        summary.hosts = match coarse {
            Some(coarse) => exact.coarse(coarse.listed, coarse.bits),
            None => exact,
        };
        for (zone, left) in &wanted {
            if let Some(zone) = zone {
                summary.zones.entry(*zone).or_default().demand += left;
            }
        }
        let offered = |room: &Room<'_>, hosts: &Hosts| {
            let used = room.host.map_or(0.0, |host| hosts.used(host));
            room.capacity * (1.0 - used)
        };
        for room in rooms {
            if let Some(zone) = zone(room.zone) {
                let here = summary.zones.entry(zone).or_default();
                here.room += offered(room, &summary.hosts);
            }
        }
        for (zone, left) in wanted {
            summary.cluster.demand += left * (1.0 - summary.zone(zone).served());
        }
        for room in rooms {
            let used = summary.zone(zone(room.zone)).used();
            summary.cluster.room += offered(room, &summary.hosts) * (1.0 - used);
        }
        summary
    }

    fn zone(&self, zone: Option<u32>) -> Place {
        let place = zone.and_then(|zone| self.zones.get(&zone));
        place.copied().unwrap_or_default()
    }

    /// What the node of this report may use of each pod. The report may be newer than the one in
    /// the summary.
    pub fn budgets(&self, own: &Report, pods: &[Pod]) -> Budgets {
        let pods = pods_in_order(pods);
        let is_own = |pod: &Pod| pod.node.as_deref() == Some(&*own.node);
        let here = Place {
            demand: demand(own),
            room: pods
                .iter()
                .filter(|pod| is_own(pod))
                .map(|pod| f64::from(pod.capacity.get()))
                .sum(),
        };
        let own_zone = own.zone.as_deref().map(short_hash);
        let zone = self.zone(own_zone);
        let to_zone = here.demand * (1.0 - here.served());
        let to_cluster = to_zone * (1.0 - zone.served());
        let share = self.share(here.demand);

        let mut budgets = BTreeMap::new();
        for pod in pods {
            let capacity = f64::from(pod.capacity.get());
            let mut left = capacity;
            let mut mine = 0.0;
            if is_own(pod) {
                mine += part(here.demand, here, left);
                left *= 1.0 - here.used();
            } else if let Some(host) = pod.node.as_deref() {
                left *= 1.0 - self.hosts.used(host);
            }
            let pod_zone = pod.zone.as_deref().map(short_hash);
            if own_zone.is_some() && pod_zone == own_zone {
                mine += part(to_zone, zone, left);
            }
            left *= 1.0 - self.zone(pod_zone).used();
            mine += part(to_cluster, self.cluster, left);
            left *= 1.0 - self.cluster.used();
            let unwanted = left
                * match pod.node {
                    Some(_) if is_own(pod) => 0.5 + 0.5 * share,
                    Some(_) => 0.5 * share,
                    None => share,
                };
            let budget = (mine + unwanted).min(capacity);
            budgets.insert(pod.address(), budget);
        }
        budgets.into()
    }

    /// A node's part of what nobody wants.
    fn share(&self, demand: f64) -> f64 {
        let count = f64::from(self.nodes.max(1));
        // One connection more, so that this is a number where nobody wants anything.
        let even = (self.demand + 1.0) / count;
        ((demand + even) / (self.demand + even * count)).min(1.0)
    }

    /// Whether it says something that differs from another by more than this fraction, 0 to 1.
    pub fn differs(&self, other: &Self, by: f64) -> bool {
        let most = float(u64::from(self.nodes.max(other.nodes)));
        let nodes = f64::from(self.nodes.abs_diff(other.nodes)) > by * most;
        let demand = (self.demand - other.demand).abs() > by * self.demand.max(other.demand);
        let zones = self.zones.keys().chain(other.zones.keys());
        let mut zones = zones.map(|zone| (self.zone(Some(*zone)), other.zone(Some(*zone))));
        nodes
            || demand
            || self.cluster.differs(other.cluster, by)
            || zones.any(|(one, other)| one.differs(other, by))
            || self.hosts.difference(&other.hosts) > by
    }
}

/// A demand that is no number is none.
fn demand(report: &Report) -> f64 {
    if report.demand.is_finite() && report.demand > 0.0 {
        report.demand
    } else {
        0.0
    }
}

/// What a pod with this room serves of a node's demand, if the place serves it.
fn part(demand: f64, place: Place, room: f64) -> f64 {
    if place.room > 0.0 {
        demand * place.served() * room / place.room
    } else {
        0.0
    }
}
