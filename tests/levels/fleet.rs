//! Agents on all nodes of a cluster, which share the capacity of its pods by reports.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use lab::traffic::{Held, Protocol};
use lab::world::objects::Service;
use lab::world::{Agent, Place, Pod};
use spillway::serve::routes::{LevelRoutes, PortRoutes};

use crate::bed::{Bed, GLOBAL, Pods, TCP, until};

/// What each of the two pods takes of all nodes together.
pub const CAPACITY_OF_EACH: usize = 30;
/// What the two take.
pub const ALL: usize = 2 * CAPACITY_OF_EACH;
/// The nodes, each with an agent.
pub const NODES: [&str; 3] = ["east-1", "east-2", "east-3"];
/// A node's part of both pods while nothing is known of the others.
pub const EQUAL: usize = ALL / NODES.len();

/// Two pods on `east-3` that all clients share, two in another cluster for what does not fit, and
/// clients on `east-1` and `east-2`.
pub struct Fleet {
    pub agents: BTreeMap<&'static str, Agent>,
    pub service: Service,
    /// The client on `east-2`.
    other: Pod,
    pub bed: Bed,
}

impl Fleet {
    /// With all agents running; they know of each other.
    pub fn start() -> Result<Self> {
        let bed = Bed::new(Pods {
            node: 0,
            zone: 0,
            cluster: 2,
            remote: 2,
        })?;
        let service = bed.spilling("web", TCP, CAPACITY_OF_EACH)?;
        let service = service.annotation(GLOBAL, "true");
        let east = bed.east()?;
        east.publish_import(&east.import(&service), "west", &bed.remote)?;
        east.publish(&service, bed.own())?;
        let mut fleet = Self {
            agents: BTreeMap::new(),
            service,
            other: bed.world.node("east-2")?.pod("client")?,
            bed,
        };
        for node in NODES {
            fleet.agents.insert(node, fleet.bed.world.agent(node)?);
        }
        for agent in fleet.agents.values() {
            agent.wait_ready()?;
        }
        fleet.bed.world.publish_agents(&NODES)?;
        // Who does not know of others yet takes all of every pod for itself.
        for node in NODES {
            fleet.until_lets_in(node, EQUAL..=EQUAL + 2)?;
        }
        Ok(fleet)
    }

    /// Starts the agent of a node again.
    pub fn restart(&mut self, node: &'static str) -> Result<()> {
        let agent = self.bed.world.agent(node)?;
        agent.wait_ready()?;
        self.agents.insert(node, agent);
        Ok(())
    }

    /// Kills the agent of a node.
    pub fn kill(&mut self, node: &str) -> Result<()> {
        self.agents.remove(node).context("no agent there")?.kill9()
    }

    /// Opens connections from a node's client, which must not fail.
    pub fn hold(&self, node: &str, count: usize) -> Result<Held> {
        let client = if node == "east-1" {
            &self.bed.client
        } else {
            &self.other
        };
        let held = client.hold_over(TCP.to(&self.service), Protocol::Tcp, count, 2)?;
        ensure!(held.spread.failed() == 0, "{node}: {}", held.spread);
        Ok(held)
    }

    /// How many of these connections the shared pods have.
    pub fn near(&self, held: &Held) -> usize {
        held.now().of_all(&self.bed.cluster)
    }

    /// The level of the shared pods, as the agent of a node sees it.
    pub fn level(&self, node: &str) -> Result<LevelRoutes> {
        let agent = self.agents.get(node).context("no agent there")?;
        let output = agent.exec(&["routes", "web", "-o", "json"])?;
        ensure!(output.status.success(), "{output:?}");
        let ports: Vec<PortRoutes> = serde_json::from_slice(&output.stdout)?;
        let families = ports.into_iter().flat_map(|port| port.families);
        let mut levels = families.flat_map(|family| family.levels);
        levels
            .find(|level| level.cluster.is_none())
            .with_context(|| format!("{node} has no level in its own cluster"))
    }

    /// Whether a node's agent says that it goes by the reports of all.
    pub fn goes_by_reports(&self, node: &str) -> Result<bool> {
        let agent = self.agents.get(node).context("no agent there")?;
        let output = agent.exec(&["why", "web"])?;
        let why = String::from_utf8(output.stdout)?;
        let [yes, no] = ["budgets follow what all", "budgets are an equal share"];
        ensure!(why.contains(yes) != why.contains(no), "{why}");
        Ok(why.contains(yes))
    }

    /// What a node may have of the shared pods.
    pub fn budget(&self, node: &str) -> Result<usize> {
        let budget = self.level(node)?.budget.context("no budget")?;
        Ok(usize::try_from(budget)?)
    }

    /// Waits until a node's budget is within bounds, and tells what it was on the way.
    pub fn until_budget(
        &self,
        node: &str,
        bounds: impl std::ops::RangeBounds<usize>,
    ) -> Result<Vec<usize>> {
        let mut seen = Vec::new();
        let waited = until("the budget is as it should be", || {
            let budget = self.budget(node)?;
            if seen.last() != Some(&budget) {
                seen.push(budget);
            }
            Ok(bounds.contains(&budget))
        });
        tracing::info!("{node} had budgets of {seen:?}");
        waited.with_context(|| format!("{node} had budgets of {seen:?}"))?;
        Ok(seen)
    }

    /// Waits until the kernel of a node lets so many connections in to the shared pods: a budget is
    /// told a moment before.
    pub fn until_lets_in(
        &self,
        node: &str,
        bounds: impl std::ops::RangeBounds<usize>,
    ) -> Result<()> {
        let mut last = 0;
        let waited = until("the kernel lets in what it should", || {
            let shared: Vec<_> = self.bed.cluster.iter().map(|pod| TCP.at(pod)).collect();
            let programmed = self.bed.programmed_on(node)?.into_iter();
            let mut destinations: Vec<_> = programmed.flat_map(|(_, all)| all).collect();
            destinations.retain(|it| shared.contains(&it.destination.ip));
            let limits = destinations.iter().map(|it| it.destination.upper_threshold);
            last = usize::try_from(limits.sum::<u32>())?;
            Ok(bounds.contains(&last))
        });
        waited.with_context(|| format!("{node} lets {last} in"))
    }

    /// That none of the shared pods has more of these connections than it may.
    pub fn none_is_over(&self, held: &[&Held]) -> Result<()> {
        for pod in &self.bed.cluster {
            let has: usize = held.iter().map(|held| held.now().of(&pod.name)).sum();
            ensure!(
                has <= crate::bed::at_most(CAPACITY_OF_EACH),
                "{} has {has}",
                pod.name
            );
        }
        Ok(())
    }
}
