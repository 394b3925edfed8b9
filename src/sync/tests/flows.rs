//! Which UDP flows are forgotten, and what that costs.

use super::*;
use crate::kernel::conntrack::Flow;

const CLIENT: &str = "10.1.9.9:4000";
const VIP: &str = "10.96.0.10:80";
const NODE_PORT: &str = "192.0.2.1:30053";

fn dns() -> Service {
    let mut dns = web();
    dns.ports[0].protocol = Protocol::Udp;
    dns
}

fn with_node_port() -> Service {
    let mut dns = dns();
    dns.ports[0].node_port = Some(port(30_053));
    dns
}

impl Bed {
    /// A client sends to `destination`, and `answers` is who answers.
    fn flow(&self, destination: &str, answers: &str) {
        let at = |text: &str| text.parse().expect("an address and port");
        let flow = Flow::new(at(CLIENT), at(destination), at(answers));
        self.kernel.state().flows.push(flow);
    }

    /// Who answers the flows that there are.
    fn answered(&self) -> Vec<String> {
        let state = self.kernel.state();
        state
            .flows
            .iter()
            .map(|it| it.answers.to_string())
            .collect()
    }

    fn reads(&self) -> usize {
        std::mem::take(&mut self.kernel.state().flow_reads)
    }
}

#[test]
fn flows_to_an_endpoint_that_goes_are_forgotten_and_the_others_stay() {
    let mut bed = Bed::new();
    bed.set(&with_node_port(), &[near(), far()]);
    for destination in [VIP, NODE_PORT] {
        bed.flow(destination, "10.1.1.5:8080");
        bed.flow(destination, "10.1.3.5:8080");
    }
    bed.flow("10.96.0.99:80", "10.1.1.5:8080");
    bed.reads();
    bed.set(&with_node_port(), &[far()]);
    assert_eq!(
        bed.answered(),
        ["10.1.3.5:8080", "10.1.3.5:8080", "10.1.1.5:8080"]
    );
    assert_eq!(bed.reads(), 1);
    let forgotten = bed.syncer.forgotten();
    assert_eq!((forgotten.v4, forgotten.v6), (2, 0));
}

#[test]
fn flows_from_before_the_first_endpoint_are_forgotten() {
    let mut bed = Bed::new();
    bed.set(&dns(), &[]);
    bed.flow(VIP, VIP);
    bed.set(&dns(), &[near()]);
    assert!(bed.answered().is_empty());
}

#[test]
fn flows_to_a_node_port_are_forgotten_when_it_is_claimed_and_when_it_is_given_up() {
    let mut bed = Bed::new();
    bed.set(&dns(), &[near()]);
    bed.flow(NODE_PORT, NODE_PORT);
    bed.flow(VIP, "10.1.1.5:8080");
    bed.set(&with_node_port(), &[near()]);
    assert_eq!(bed.answered(), ["10.1.1.5:8080"], "claimed");
    bed.flow(NODE_PORT, "10.1.1.5:8080");
    bed.set(&dns(), &[near()]);
    assert_eq!(bed.answered(), ["10.1.1.5:8080"], "given up");
    bed.delete(&dns());
    assert!(bed.answered().is_empty(), "the whole service");
}

#[test]
fn an_address_that_goes_from_one_service_port_to_another_keeps_the_flows_that_fit() {
    let mut bed = Bed::new();
    bed.set(&dns(), &[near()]);
    bed.flow(VIP, "10.1.1.5:8080");
    bed.flow(VIP, "10.1.1.6:8080");
    let mut other = dns();
    other.id = id("other");
    let plans = vec![
        (dns().id, ServicePlan::new()),
        (other.id.clone(), planned(&other, &[near()])),
    ];
    bed.syncer.apply(plans, bed.now);
    assert_eq!(bed.answered(), ["10.1.1.5:8080"]);
}

#[test]
fn without_any_endpoint_left_flows_stay_until_there_is_one() {
    let mut bed = Bed::new();
    bed.set(&dns(), &[near()]);
    bed.flow(VIP, "10.1.1.5:8080");
    bed.reads();
    bed.set(&dns(), &[]);
    assert_eq!((bed.answered().len(), bed.reads()), (1, 0));
    bed.set(&dns(), &[far()]);
    assert!(bed.answered().is_empty());
}

#[test]
fn tcp_and_changes_that_leave_no_flow_behind_cost_no_look() {
    let mut bed = Bed::new();
    bed.set(&web(), &[near(), far()]);
    bed.set(&web(), &[near()]);
    bed.delete(&web());
    assert_eq!(bed.reads(), 0, "TCP");
    bed.set(&dns(), &[near()]);
    assert_eq!(bed.reads(), 1, "the first endpoint");
    bed.set(&dns(), &[near(), far()]);
    bed.set(&dns(), &[far(), near()]);
    assert_eq!(bed.reads(), 0, "another endpoint, and nothing at all");
}

#[test]
fn the_first_sync_looks_once_for_what_changed_while_nobody_was_there() {
    let mut bed = Bed::new();
    bed.set(&dns(), &[near()]);
    let mut bed = Bed::on(bed.kernel);
    bed.flow(VIP, "10.1.1.5:8080");
    bed.flow(VIP, "10.1.3.5:8080");
    bed.reads();
    bed.set(&dns(), &[near()]);
    let mut other = service("other", &["10.96.0.11"]);
    other.ports[0].protocol = Protocol::Udp;
    bed.set(&other, &[near()]);
    assert_eq!(bed.reads(), 0);
    bed.syncer.sweep(bed.now);
    assert_eq!(
        (bed.answered(), bed.reads()),
        (vec!["10.1.1.5:8080".into()], 1)
    );
}

#[test]
fn what_could_not_be_forgotten_is_tried_again_and_is_no_reason_to_be_unhealthy() {
    let mut bed = Bed::new();
    bed.set(&dns(), &[near(), far()]);
    bed.flow(VIP, "10.1.1.5:8080");
    bed.kernel.state().flows_are_hidden = true;
    bed.set(&dns(), &[far()]);
    assert_eq!((bed.answered().len(), bed.syncer.failing()), (1, 1));
    assert!(!bed.syncer.shared_is_failing());
    bed.kernel.state().flows_are_hidden = false;
    bed.wait();
    assert_eq!((bed.answered().len(), bed.syncer.failing()), (0, 0));
}

#[test]
fn flows_are_forgotten_only_once_the_table_leads_where_it_shall() {
    let mut bed = Bed::new();
    bed.set(&dns(), &[]);
    bed.flow(VIP, VIP);
    bed.kernel.state().refuse_transactions = true;
    bed.set(&dns(), &[near()]);
    assert_eq!(bed.answered().len(), 1);
    bed.kernel.state().refuse_transactions = false;
    bed.wait();
    assert!(bed.answered().is_empty());
}
