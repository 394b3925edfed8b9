use super::*;

/// A directory of its own with the given files.
fn directory(test: &str, files: &[(&str, &str)]) -> PathBuf {
    let name = format!("spillway-manifests-{test}-{}", std::process::id());
    let directory = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&directory).unwrap();
    for (name, text) in files {
        std::fs::write(directory.join(name), text).unwrap();
    }
    directory
}

/// The events in short: the names of what is applied, between the ends of its list.
fn summary(events: &[Event]) -> Vec<String> {
    fn change<T, I>(kind: &str, change: &Change<T, I>, name: impl Fn(&T) -> String) -> String {
        match change {
            Change::Apply(object) => name(object),
            Change::Delete(_) => format!("no {kind}"),
            Change::Listing => format!("{kind}:"),
            Change::Listed => ".".into(),
        }
    }
    let mut parts = Vec::new();
    for event in events {
        parts.push(match event {
            Event::Service(event) => change("services", event, |service| service.id.to_string()),
            Event::Import(event) => change("imports", event, |service| service.id.to_string()),
            Event::Slice(event) => change("slices", event, |slice| slice.id.to_string()),
            Event::Node(event) => change("node", event, |node| format!("{:?}", node.zone)),
            Event::Neighbour(event) => change("neighbours", event, |one| one.name.to_string()),
            Event::ServiceCidr(event) => change("cidrs", event, |one| one.name.to_string()),
            Event::ClusterId(event) => change("cluster", event, |id| format!("{:?}", id.get())),
        });
    }
    parts
}

const SERVICE: &str = "
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.1, ports: [{port: 80}]}
";

#[test]
fn files_and_directories_become_complete_lists() {
    let directory = directory(
        "lists",
        &[
            (
                "a.yaml",
                "kind: ConfigMap\n---\nkind: Node\nmetadata: {name: other}\n---\n\
                 kind: Node\nmetadata: {name: east-2, labels: {spillway.io/known-to-all: 'true'}}\n",
            ),
            (
                "b.yml",
                "kind: Node\nmetadata: {name: east-1, labels: {topology.kubernetes.io/zone: a}}\n",
            ),
            (
                "c.json",
                r#"{"kind": "EndpointSliceList", "items": [{"addressType": "IPv4",
                "metadata": {"name": "web-1", "namespace": "shop",
                             "labels": {"kubernetes.io/service-name": "web"}}}]}"#,
            ),
            (
                "d.yaml",
                "kind: ServiceImport\nmetadata: {name: web, namespace: shop}\n\
                 spec: {type: ClusterSetIP, ips: [10.112.0.1]}\n---\n\
                 kind: ClusterProperty\nmetadata: {name: cluster.clusterset.k8s.io}\n\
                 spec: {value: b}\n---\n\
                 kind: ClusterProperty\nmetadata: {name: clusterset.k8s.io}\nspec: {value: c}\n",
            ),
            ("ignored.txt", "no: [yaml"),
        ],
    );
    let file = directory.join("service.list");
    std::fs::write(
        &file,
        format!(
            "kind: List\nitems:\n- {}",
            SERVICE.trim().replace('\n', "\n  ")
        ),
    )
    .unwrap();
    let (events, problems) = read(&[directory.clone(), file], "east-1").unwrap();
    std::fs::remove_dir_all(directory).unwrap();
    assert_eq!(problems, []);
    assert_eq!(
        summary(&events),
        [
            "services:",
            "default/web",
            ".",
            "imports:",
            "shop/web@clusterset",
            ".",
            "slices:",
            "shop/web-1",
            ".",
            "node:",
            "Some(\"a\")",
            ".",
            "neighbours:",
            "east-2",
            ".",
            "cluster:",
            "Some(\"b\")",
            ".",
        ]
    );
}

#[test]
fn problems_name_the_object() {
    let directory = directory("problems", &[("a.yaml", &SERVICE.replace("80", "0"))]);
    let (_, problems) = read(std::slice::from_ref(&directory), "east-1").unwrap();
    std::fs::remove_dir_all(directory).unwrap();
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].object.to_string(), "default/web");
}

#[test]
fn what_cannot_be_read_is_named() {
    let directory = directory(
        "errors",
        &[("a.yaml", "a: [b"), ("b.yaml", "kind: List\nitems: 7\n")],
    );
    let error = |name: &str| {
        read(&[directory.join(name)], "east-1")
            .unwrap_err()
            .to_string()
    };
    let (syntax, object, missing) = (error("a.yaml"), error("b.yaml"), error("c.yaml"));
    std::fs::remove_dir_all(&directory).unwrap();
    assert!(syntax.contains("a.yaml"), "{syntax}");
    assert!(object.contains("b.yaml: document 1"), "{object}");
    assert!(missing.contains("c.yaml"), "{missing}");
}
