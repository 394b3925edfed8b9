use super::*;

/// An exchange of three agents, as the one that is no keeper of `web` sees it, with its number.
fn reporter() -> (Exchange, usize) {
    let keepers = peers(0..3).keepers(key_hash(&key("web")));
    let node = (0..3).find(|node| !keepers.contains(&name(*node)));
    let node = node.expect("one is no keeper");
    let mut exchange = Exchange::new(name(node), Keys::default());
    exchange.peers(peers(0..3));
    (exchange, node)
}

fn at(start: Instant, millis: u64) -> Now {
    moment(start, Duration::from_millis(millis))
}

/// How many datagrams go out when this much is wanted at this time.
fn sends(exchange: &mut Exchange, demand: f64, capacity: u32, now: Now) -> usize {
    exchange.demand(None, &[asked("web", demand, capacity)], now);
    exchange.tick(now).0.len()
}

#[test]
fn a_report_goes_to_both_keepers_and_again_after_five_seconds() {
    let (mut exchange, _) = reporter();
    let start = Instant::now();
    assert_eq!(sends(&mut exchange, 10.0, 0, at(start, 0)), 2);
    assert_eq!(sends(&mut exchange, 10.0, 0, at(start, 1_000)), 0);
    assert_eq!(sends(&mut exchange, 10.0, 0, at(start, 4_900)), 0);
    assert_eq!(sends(&mut exchange, 10.0, 0, at(start, 5_000)), 2);
}

#[test]
fn a_demand_that_moved_is_reported_after_a_second() {
    let (mut exchange, _) = reporter();
    let start = Instant::now();
    assert_eq!(sends(&mut exchange, 100.0, 0, at(start, 0)), 2);
    assert_eq!(sends(&mut exchange, 120.0, 0, at(start, 900)), 0);
    assert_eq!(sends(&mut exchange, 109.0, 0, at(start, 1_000)), 0);
    assert_eq!(sends(&mut exchange, 120.0, 0, at(start, 1_250)), 2);
    // A tenth of little is nothing.
    assert_eq!(sends(&mut exchange, 1.0, 0, at(start, 2_500)), 2);
    assert_eq!(sends(&mut exchange, 1.9, 0, at(start, 4_000)), 0);
    // Another capacity always counts.
    assert_eq!(sends(&mut exchange, 1.9, 7, at(start, 4_250)), 2);
}

#[test]
fn who_wants_nothing_and_has_no_pods_is_silent() {
    let (mut exchange, _) = reporter();
    let start = Instant::now();
    assert_eq!(sends(&mut exchange, 0.0, 0, at(start, 0)), 0);
    assert_eq!(sends(&mut exchange, 0.0, 5, at(start, 250)), 2);
}

#[test]
fn new_keepers_are_told_at_once() {
    let (mut exchange, node) = reporter();
    let start = Instant::now();
    assert_eq!(sends(&mut exchange, 10.0, 0, at(start, 0)), 2);
    let gone = (node + 1) % 3;
    exchange.peers(peers((0..3).filter(|peer| *peer != gone)));
    let (outgoing, _) = exchange.tick(at(start, 250));
    let to: Vec<SocketAddr> = outgoing.iter().map(|datagram| datagram.to).collect();
    assert_eq!(to, [address((node + 2) % 3)]);
}

#[test]
fn many_virtual_servers_share_datagrams() {
    let mut exchange = Exchange::new(name(0), Keys::default());
    exchange.peers(peers(0..3));
    let all: Vec<Asked> = (0..300)
        .map(|number| asked(&format!("s{number}"), 9.0, 0))
        .collect();
    let now = at(Instant::now(), 0);
    exchange.demand(Some(zone(0)), &all, now);
    let (outgoing, _) = exchange.tick(now);
    // 600 entries, a third of them its own to keep, 73 to a datagram, to two others.
    assert!((6..=8).contains(&outgoing.len()), "{}", outgoing.len());
    assert!(outgoing.iter().all(|one| one.bytes.len() <= 1_200));
}

#[test]
fn a_core_that_says_nothing_any_more_wants_nothing() {
    let (mut exchange, _) = reporter();
    let start = Instant::now();
    assert_eq!(sends(&mut exchange, 10.0, 0, at(start, 0)), 2);
    assert_eq!(exchange.tick(at(start, 5_000)).0.len(), 0);
    assert!(exchange.is_idle());
}

#[test]
fn without_a_key_only_the_addresses_of_agents_count() {
    let (mut exchange, node) = reporter();
    let now = at(Instant::now(), 0);
    let mut other = Exchange::new(name((node + 1) % 3), Keys::default());
    other.peers(peers(0..3));
    let all: Vec<Asked> = (0..50)
        .map(|number| asked(&format!("s{number}"), 9.0, 0))
        .collect();
    other.demand(None, &all, now);
    let (outgoing, _) = other.tick(now);
    let mut outgoing = outgoing.into_iter();
    let datagram = outgoing.find(|datagram| datagram.to == address(node));
    let datagram = datagram.expect("it keeps some").bytes;
    let elsewhere = "203.0.113.1:10251".parse().expect("an address");
    let from = |exchange: &mut Exchange, from| exchange.on_datagram(from, &datagram, now);
    assert_eq!(from(&mut exchange, elsewhere), Err(Rejected::Stranger));
    // The port is not asked for: it says nothing.
    let mut known = address((node + 1) % 3);
    known.set_port(1);
    assert_eq!(from(&mut exchange, known), Ok(()));

    exchange.peers(peers([node]));
    assert_eq!(from(&mut exchange, known), Err(Rejected::Stranger));
}
