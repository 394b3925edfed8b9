use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Node};
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};

use super::*;

#[tokio::test]
async fn a_created_object_gets_an_identity() -> anyhow::Result<()> {
    let (_server, api) = server()?;
    let services = services(&api)?;
    let made = services
        .create(
            &PostParams::default(),
            &serde_json::from_value(service("web"))?,
        )
        .await?;
    assert!(made.uid().is_some() && made.creation_timestamp().is_some());
    assert_eq!(made.resource_version(), Some(api.version().to_string()));
    assert_eq!(made.namespace().as_deref(), Some("default"));
    let again = services
        .create(
            &PostParams::default(),
            &serde_json::from_value(service("web"))?,
        )
        .await;
    let Err(kube::Error::Api(status)) = again else {
        panic!("created twice")
    };
    assert!(status.is_already_exists());
    assert_eq!(status.message, r#"services "web" already exists"#);
    Ok(())
}

#[tokio::test]
async fn names_are_made_up_from_a_prefix() -> anyhow::Result<()> {
    let (_server, api) = server()?;
    let maps: kube::Api<ConfigMap> = kube::Api::default_namespaced(client(&api)?);
    let mut map = ConfigMap::default();
    map.metadata.generate_name = Some("map-".to_owned());
    let one = maps.create(&PostParams::default(), &map).await?.name_any();
    let other = maps.create(&PostParams::default(), &map).await?.name_any();
    assert!(
        one.starts_with("map-") && one.len() == "map-".len() + 5,
        "{one}"
    );
    assert_ne!(one, other);
    Ok(())
}

#[tokio::test]
async fn a_stale_write_is_a_conflict() -> anyhow::Result<()> {
    let (_server, api) = server()?;
    let leases: kube::Api<Lease> = kube::Api::default_namespaced(client(&api)?);
    let mut lease = Lease::default();
    lease.metadata.name = Some("leader".to_owned());
    let mut mine = leases.create(&PostParams::default(), &lease).await?;
    let mut theirs = mine.clone();
    let hold = |lease: &mut Lease, who: &str| {
        lease.spec.get_or_insert_default().holder_identity = Some(who.to_owned());
    };
    hold(&mut theirs, "them");
    let theirs = leases
        .replace("leader", &PostParams::default(), &theirs)
        .await?;
    hold(&mut mine, "me");
    assert_eq!(
        code(
            leases
                .replace("leader", &PostParams::default(), &mine)
                .await
        ),
        409
    );
    mine.metadata.resource_version = theirs.metadata.resource_version;
    assert_eq!(
        leases
            .replace("leader", &PostParams::default(), &mine)
            .await?
            .spec,
        mine.spec
    );
    Ok(())
}

#[tokio::test]
async fn a_write_that_changes_nothing_makes_no_version() -> anyhow::Result<()> {
    let (_server, api) = server()?;
    api.apply(service("web"))?;
    let version = api.version();
    let services = services(&api)?;
    let web = services.get("web").await?;
    services
        .replace("web", &PostParams::default(), &web)
        .await?;
    api.apply(service("web"))?;
    assert_eq!(api.version(), version);
    Ok(())
}

#[tokio::test]
async fn status_and_the_rest_are_written_apart() -> anyhow::Result<()> {
    let (_server, api) = server()?;
    api.apply(json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": "n" } }))?;
    let nodes: kube::Api<Node> = kube::Api::all(client(&api)?);
    let both = json!({ "spec": { "podCIDR": "10.1.0.0/24" }, "status": { "phase": "Running" } });
    let (params, patch) = (PatchParams::default(), Patch::Merge(&both));
    let node = nodes.patch("n", &params, &patch).await?;
    assert!(node.spec.is_some() && node.status.is_none(), "{node:?}");
    let node = nodes.patch_status("n", &params, &patch).await?;
    assert_eq!(
        node.status.and_then(|status| status.phase).as_deref(),
        Some("Running")
    );
    Ok(())
}

#[tokio::test]
async fn server_side_apply_creates_changes_and_takes_back() -> anyhow::Result<()> {
    let (_server, api) = server()?;
    let maps: kube::Api<ConfigMap> = kube::Api::default_namespaced(client(&api)?);
    let apply = async |data: Value| {
        let patch = json!({ "apiVersion": "v1", "kind": "ConfigMap", "data": data });
        maps.patch("m", &PatchParams::apply("test"), &Patch::Apply(&patch))
            .await
    };
    apply(json!({ "a": "1", "b": "2" })).await?;
    api.patch("configmaps", "", "m", json!({ "data": { "theirs": "3" } }))?;
    let map = apply(json!({ "a": "4" })).await?;
    assert_eq!(json!(map.data), json!({ "a": "4", "theirs": "3" }));
    Ok(())
}

#[tokio::test]
async fn deletion_honours_preconditions_and_finalizers() -> anyhow::Result<()> {
    let (_server, api) = server()?;
    let mut web = service("web");
    web["metadata"]["finalizers"] = json!(["test/held"]);
    let uid = api.apply(web)?["metadata"]["uid"].clone();
    let services = services(&api)?;
    let only = |uid: &str| DeleteParams {
        preconditions: Some(Preconditions {
            uid: Some(uid.to_owned()),
            resource_version: None,
        }),
        ..DeleteParams::default()
    };
    assert_eq!(code(services.delete("web", &only("another")).await), 409);
    let held = services
        .delete("web", &only(uid.as_str().unwrap_or_default()))
        .await?;
    assert!(
        held.left()
            .is_some_and(|web| web.metadata.deletion_timestamp.is_some())
    );
    api.patch(
        "services",
        "",
        "web",
        json!({ "metadata": { "finalizers": null } }),
    )?;
    assert_eq!(code(services.get("web").await), 404);
    assert_eq!(
        code(services.delete("web", &DeleteParams::default()).await),
        404
    );
    Ok(())
}

#[tokio::test]
async fn a_collection_is_deleted_by_selector() -> anyhow::Result<()> {
    let (_server, api) = server()?;
    api.apply_all(["a", "b", "c"].map(service))?;
    let params = ListParams::default().labels("app in (a,c)");
    services(&api)?
        .delete_collection(&DeleteParams::default(), &params)
        .await?;
    assert_eq!(api.list("services").len(), 1);
    Ok(())
}

#[tokio::test]
async fn clients_discover_the_kinds() -> anyhow::Result<()> {
    let (_server, api) = server()?;
    let found = kube::discovery::Discovery::new(client(&api)?).run().await?;
    let slices = found
        .groups()
        .flat_map(kube::discovery::ApiGroup::recommended_resources);
    let mut kinds = slices.map(|(resource, _)| resource.plural);
    assert!(kinds.any(|plural| plural == "endpointslices"));
    Ok(())
}

#[tokio::test]
async fn yaml_is_applied_document_by_document() -> anyhow::Result<()> {
    let (_server, api) = server()?;
    let count = api.apply_yaml(
        "{apiVersion: v1, kind: Node, metadata: {name: a}}\n---\n---\n\
         {kind: List, items: [{apiVersion: v1, kind: Node, metadata: {name: b}}]}",
    )?;
    assert_eq!((count, api.list("nodes").len()), (2, 2));
    assert_eq!(
        api.apply_yaml("{apiVersion: v1, kind: Gateway}")
            .unwrap_err()
            .code,
        404
    );
    Ok(())
}
