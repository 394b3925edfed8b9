//! Connections are called back from far endpoints.

use super::*;

fn called(bed: &mut Bed) -> Vec<String> {
    bed.kernel.take_log();
    let far = far();
    let web = port(8080);
    bed.syncer
        .call_back(BTreeSet::from([(Protocol::Tcp, far.ip, web)]), bed.now);
    bed.kernel.take_log()
}

#[test]
fn from_an_endpoint_of_one_service_they_are() {
    let mut bed = Bed::new();
    bed.set(&web(), &[near(), far()]);
    let log = called(&mut bed);
    assert!(log.len() == 1 && log[0].contains("10.1.3.5"), "{log:?}");
}

#[test]
fn from_an_endpoint_of_two_services_they_are_not() {
    let mut bed = Bed::new();
    bed.set(&web(), &[near(), far()]);
    bed.set(&service("shop", &["10.96.0.11"]), &[far()]);
    assert_eq!(called(&mut bed), Vec::<String>::new());
}
