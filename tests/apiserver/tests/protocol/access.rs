use apiserver::{Config, Server, User};
use k8s_openapi::api::core::v1::Node;
use kube::api::{ListParams, Patch, PatchParams};

use super::*;

const ROLES: &str = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: agent}
rules:
- {apiGroups: [""], resources: [services], verbs: [list, watch]}
- {apiGroups: [""], resources: [nodes/status], verbs: [patch]}
- {apiGroups: [""], resources: [nodes], resourceNames: [mine], verbs: [get, list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: agent}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: agent}
subjects: [{kind: ServiceAccount, namespace: kube-system, name: agent}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: here}
rules: [{apiGroups: ["*"], resources: ["*"], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader, namespace: here}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: Group, name: "system:serviceaccounts"}]
---
{apiVersion: v1, kind: Node, metadata: {name: mine}}
---
{apiVersion: v1, kind: Service, metadata: {name: web, namespace: here}}
"#;

fn guarded() -> anyhow::Result<(Server, Handle)> {
    let server = Server::bind(
        "127.0.0.1:0",
        Config {
            rbac: true,
            ..Config::default()
        },
    )?;
    let api = server.handle();
    api.apply_yaml(ROLES)?;
    api.add_token("agent-token", agent());
    api.add_token("admin-token", User::admin());
    Ok((server, api))
}

fn agent() -> User {
    User::service_account("kube-system", "agent")
}

#[tokio::test]
async fn a_role_allows_what_it_says_and_no_more() -> anyhow::Result<()> {
    let (_server, api) = guarded()?;
    let client = client_with(&api.url(), Some("agent-token"))?;
    let all: Api<Service> = Api::all(client.clone());
    let nodes: Api<Node> = Api::all(client.clone());
    let patch = Patch::Merge(json!({ "status": { "phase": "Running" } }));

    all.list(&ListParams::default()).await?;
    nodes.get("mine").await?;
    nodes
        .list(&ListParams::default().fields("metadata.name=mine"))
        .await?;
    nodes
        .patch_status("mine", &PatchParams::default(), &patch)
        .await?;
    Api::<Service>::namespaced(client.clone(), "here")
        .get("web")
        .await?;

    assert_eq!(code(nodes.get("other").await), 403);
    assert_eq!(code(nodes.list(&ListParams::default()).await), 403);
    assert_eq!(
        code(nodes.patch("mine", &PatchParams::default(), &patch).await),
        403
    );
    let there = Api::<Service>::namespaced(client, "there").get("web").await;
    let Err(kube::Error::Api(status)) = there else {
        panic!("{there:?}")
    };
    assert_eq!(
        status.message,
        r#"services "web" is forbidden: User "system:serviceaccount:kube-system:agent" cannot get resource "services" in API group "" in the namespace "there""#
    );
    assert_eq!(status.reason, "Forbidden");
    Ok(())
}

#[tokio::test]
async fn tokens_tell_users_apart() -> anyhow::Result<()> {
    let (_server, api) = guarded()?;
    let list = async |token| {
        let services: Api<Service> = Api::all(client_with(&api.url(), token)?);
        anyhow::Ok(services.list(&ListParams::default()).await)
    };
    assert_eq!(list(Some("admin-token")).await??.items.len(), 1);
    assert_eq!(code(list(None).await?), 403);
    assert_eq!(code(list(Some("forged")).await?), 401);
    let asked: Vec<_> = api
        .requests()
        .into_iter()
        .map(|r| (r.user, r.status))
        .collect();
    assert_eq!(
        asked,
        [
            ("kubernetes-admin", 200),
            ("system:anonymous", 403),
            ("", 401)
        ]
        .map(|(user, status)| (user.to_owned(), Some(status)))
    );
    Ok(())
}

#[tokio::test]
async fn grants_that_nothing_used_are_told() -> anyhow::Result<()> {
    let (_server, api) = guarded()?;
    let client = client_with(&api.url(), Some("agent-token"))?;
    Api::<Service>::all(client.clone())
        .list(&ListParams::default())
        .await?;
    Api::<Node>::all(client.clone()).get("mine").await?;
    let unused: Vec<_> = api
        .unused_grants(&agent())
        .into_iter()
        .map(|grant| {
            format!(
                "{} {} {}",
                grant.verb,
                grant.resource,
                grant.name.unwrap_or_default()
            )
        })
        .collect();
    assert_eq!(
        unused,
        [
            "get * ",
            "list nodes mine",
            "patch nodes/status ",
            "watch services "
        ]
    );
    Ok(())
}
