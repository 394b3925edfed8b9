//! Several agents share the capacity of the same pods: what each may have of it follows what each
//! wants.

use std::process::Command;
use std::thread;

use anyhow::{Result, ensure};
use lab::traffic::Held;
use lab::world::Place;

use crate::bed::until;
use crate::fleet::{ALL, EQUAL, Fleet, NODES};

/// What a node wants that wants most of the shared pods.
const MUCH: usize = 50;

pub fn a_node_that_wants_all_gets_more_than_an_equal_share() -> Result<()> {
    let fleet = Fleet::start()?;
    let _little = a_little(&fleet)?;
    let mut held = fleet.hold("east-1", EQUAL)?;
    ensure!(fleet.near(&held) == EQUAL, "{}", held.now());
    held.add(fleet.hold("east-1", MUCH - EQUAL)?);
    fleet.until_budget("east-1", MUCH..)?;
    // The others are left what nobody uses.
    fleet.until_budget("east-2", ..EQUAL)?;
    fleet.until_lets_in("east-1", MUCH..)?;

    // What went farther before that was known stays there; what is opened now does not.
    let far = MUCH - fleet.near(&held);
    let own: Vec<String> = fleet
        .bed
        .cluster
        .iter()
        .map(|pod| pod.name.clone())
        .collect();
    held.close_those_of(|server| !own.iter().any(|name| name == server));
    let again = fleet.hold("east-1", far)?;
    ensure!(fleet.near(&again) == far, "{}", again.now());
    held.add(again);
    ensure!(held.ping().answered() == MUCH, "{}", held.ping());
    fleet.none_is_over(&[&held])
}

pub fn nodes_that_want_the_same_share_it_and_who_dies_leaves_its_part() -> Result<()> {
    let mut fleet = Fleet::start()?;
    let (mut one, mut two) = both(&fleet, MUCH)?;
    fleet.until_budget("east-1", ALL / 2 - 3..=ALL / 2 + 6)?;
    fleet.until_budget("east-2", ALL / 2 - 3..=ALL / 2 + 6)?;
    fleet.none_is_over(&[&one, &two])?;
    // They have it all between them, and more than their equal shares: what was opened before the
    // reports came did not know, so some come anew.
    until("the nodes use more than their equal shares", || {
        for (held, node) in [(&mut one, "east-1"), (&mut two, "east-2")] {
            // One by one: where many end at a time, as many more are let in beside those that are.
            held.close(1);
            held.add(fleet.hold(node, 1)?);
        }
        let near = [&one, &two].map(|held| fleet.near(held));
        Ok(near.iter().sum::<usize>() > 2 * EQUAL)
    })?;
    fleet.none_is_over(&[&one, &two])?;
    ensure!(one.ping().answered() + two.ping().answered() == 2 * MUCH);

    // One dies, and its clients go: the other may have its part once its reports have run out.
    fleet.kill("east-2")?;
    drop(two);
    fleet.until_budget("east-1", MUCH..)?;

    // It comes back, and so do its clients.
    fleet.restart("east-2")?;
    two = fleet.hold("east-2", MUCH)?;
    fleet.until_budget("east-2", ALL / 2 - 3..)?;
    fleet.until_budget("east-1", ..=ALL / 2 + 6)?;
    ensure!(one.ping().answered() + two.ping().answered() == 2 * MUCH);
    Ok(())
}

pub fn without_reports_nobody_is_refused_and_they_are_used_again() -> Result<()> {
    let fleet = Fleet::start()?;
    let little = a_little(&fleet)?;
    let mut held = fleet.hold("east-1", MUCH)?;
    fleet.until_budget("east-1", MUCH..)?;
    fleet.until_budget("east-2", ..EQUAL)?;

    ensure!(fleet.goes_by_reports("east-2")?);

    cut_reports(&fleet, true)?;
    // An equal share for who has no demand; who had more keeps it.
    fleet.until_budget("east-2", EQUAL..)?;
    until("nobody goes by reports", || {
        Ok(!fleet.goes_by_reports("east-1")? && !fleet.goes_by_reports("east-2")?)
    })?;
    ensure!(
        fleet.budget("east-1")? >= MUCH,
        "{}",
        fleet.budget("east-1")?
    );
    let mut other = fleet.hold("east-2", MUCH)?;
    let near = fleet.near(&little) + fleet.near(&other);
    ensure!(near >= EQUAL, "{} and {}", little.now(), other.now());
    held.add(fleet.hold("east-1", EQUAL)?);
    ensure!(held.ping().failed() + other.ping().failed() == 0);

    // With reports again, the two are to have all between them.
    cut_reports(&fleet, false)?;
    let seen = fleet.until_budget("east-1", ..=ALL / 2 + 9)?;
    // Nobody speaks who does not know of all: of the pods, say.
    ensure!(seen.iter().all(|budget| *budget >= EQUAL), "{seen:?}");
    fleet.until_budget("east-2", EQUAL..=ALL / 2 + 6)?;
    ensure!(held.ping().failed() + other.ping().failed() == 0);
    Ok(())
}

/// What makes `east-2` report: a node that wants nothing says nothing, and hears nothing.
fn a_little(fleet: &Fleet) -> Result<Held> {
    fleet.hold("east-2", 1)
}

/// The same load from two nodes at once.
fn both(fleet: &Fleet, count: usize) -> Result<(Held, Held)> {
    thread::scope(|scope| {
        let other = scope.spawn(|| fleet.hold("east-2", count));
        let one = fleet.hold("east-1", count)?;
        let other = other.join();
        Ok((
            one,
            other.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?,
        ))
    })
}

/// Drops the agents' datagrams at every node, or lets them through again.
fn cut_reports(fleet: &Fleet, cut: bool) -> Result<()> {
    let rule = if cut {
        "add table inet cut; \
         add chain inet cut input { type filter hook input priority 0; }; \
         add rule inet cut input udp dport 10251 drop"
    } else {
        "delete table inet cut"
    };
    for node in NODES {
        let node = fleet.bed.world.node(node)?;
        let output = node
            .netns()
            .enter(|| Command::new("nft").arg(rule).output())??;
        ensure!(output.status.success(), "{output:?}");
    }
    Ok(())
}
