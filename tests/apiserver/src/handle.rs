//! The way of tests into the server: as every controller at once, as an observer, as bad luck.

use std::io;
use std::sync::{Arc, mpsc};

use serde_json::Value;

use crate::access::{self, Grant, User};
use crate::error::Refusal;
use crate::fault::Fault;
use crate::kinds::Kind;
use crate::object::Key;
use crate::record::Recorded;
use crate::server::{Command, Done};
use crate::shared::Shared;
use crate::write::{Half, Patch, Preconditions};

/// Fills, questions and disturbs a server. All methods return at once and work without a runtime.
///
/// Objects go in whole, status included. A kind may be named as `services`, `Service`, `svc`, or
/// `events.events.k8s.io`; the namespace of an object of the cluster is `""`. Objects of
/// namespaces that have none go to `default`.
#[derive(Debug, Clone)]
pub struct Handle(pub(crate) Arc<Shared>);

/// Objects.
impl Handle {
    /// `http://ADDRESS:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.0.address)
    }

    /// The resource version of the newest change.
    pub fn version(&self) -> u64 {
        self.0.state().store.version()
    }

    /// Creates an object or replaces it, whatever its version. No change makes no new version.
    pub fn apply(&self, object: Value) -> Result<Value, Refusal> {
        let (kind, key) = address(&object)?;
        let applied = self.0.state().store.create_or_replace(kind, &key, object)?;
        Ok(applied.value.clone())
    }

    /// Applies many objects in one go and says how many.
    pub fn apply_all(&self, objects: impl IntoIterator<Item = Value>) -> Result<usize, Refusal> {
        let mut count = 0;
        let mut state = self.0.state();
        for object in objects {
            let (kind, key) = address(&object)?;
            state.store.create_or_replace(kind, &key, object)?;
            count += 1;
        }
        Ok(count)
    }

    /// Applies all documents of a YAML text, and the items of those that are Lists.
    pub fn apply_yaml(&self, yaml: &str) -> Result<usize, Refusal> {
        let documents: Vec<Value> = serde_saphyr::from_multiple(yaml)
            .map_err(|error| Refusal::new(400, error.to_string()))?;
        self.apply_all(documents.into_iter().flat_map(|mut document| {
            match document.get_mut("items").map(Value::take) {
                Some(Value::Array(items)) => items,
                _ => vec![document],
            }
        }))
    }

    /// Creates an object that must not exist yet.
    pub fn create(&self, object: Value) -> Result<Value, Refusal> {
        let (kind, key) = address(&object)?;
        let created = self
            .0
            .state()
            .store
            .create(kind, &key.namespace, object, Half::Both)?;
        Ok(created.value.clone())
    }

    /// Replaces an object; a stale resource version in it is a conflict.
    pub fn replace(&self, object: Value) -> Result<Value, Refusal> {
        let (kind, key) = address(&object)?;
        let replaced = self
            .0
            .state()
            .store
            .replace(kind, &key, object, Half::Both)?;
        Ok(replaced.value.clone())
    }

    /// Merges `patch` into an object (RFC 7386).
    pub fn patch(
        &self,
        kind: &str,
        namespace: &str,
        name: &str,
        patch: Value,
    ) -> Result<Value, Refusal> {
        let (kind, key) = named(kind, namespace, name)?;
        let patched = self
            .0
            .state()
            .store
            .patch(kind, &key, Patch::Merge(patch), Half::Both)?;
        Ok(patched.value.clone())
    }

    /// Deletes an object.
    pub fn delete(&self, kind: &str, namespace: &str, name: &str) -> Result<(), Refusal> {
        let (kind, key) = named(kind, namespace, name)?;
        self.0
            .state()
            .store
            .delete(kind, &key, &Preconditions::default())?;
        Ok(())
    }

    /// The object, if it exists.
    pub fn get(&self, kind: &str, namespace: &str, name: &str) -> Option<Value> {
        let (kind, key) = named(kind, namespace, name).ok()?;
        let object = self.0.state().store.get(kind, &key).ok()?;
        Some(object.value.clone())
    }

    /// All objects of a kind, by namespace and name.
    pub fn list(&self, kind: &str) -> Vec<Value> {
        let Some(kind) = Kind::named(kind) else {
            return Vec::new();
        };
        self.0
            .state()
            .store
            .objects(kind)
            .values()
            .map(|object| object.value.clone())
            .collect()
    }
}

/// Users and what they do.
impl Handle {
    /// Lets a bearer token stand for a user.
    pub fn add_token(&self, token: impl Into<String>, user: User) {
        self.0.state().tokens.insert(token.into(), user);
    }

    /// All requests for resources so far, in the order of their answers.
    pub fn requests(&self) -> Vec<Recorded> {
        self.0.state().requests.clone()
    }

    /// Starts the record anew.
    pub fn clear_requests(&self) {
        self.0.state().requests.clear();
    }

    /// What roles grant to a user and no recorded request of theirs made use of. Roles that are
    /// no wider than needed leave nothing; a grant of `*` counts as unused.
    pub fn unused_grants(&self, user: &User) -> Vec<Grant> {
        let mut state = self.0.state();
        let requests = std::mem::take(&mut state.requests);
        let unused = access::unused(&mut state.store, user, &requests);
        state.requests = requests;
        unused.into_iter().collect()
    }
}

/// Misbehaviour.
impl Handle {
    /// Adds a fault.
    pub fn misbehave(&self, fault: Fault) {
        self.0.state().faults.add(fault);
    }

    /// Ends all faults. Requests that hang already go on hanging.
    pub fn behave(&self) {
        self.0.state().faults.clear();
    }

    /// Breaks the connection of every watch, as a server that crashes does.
    pub fn cut_watches(&self) {
        self.0.cut_watches();
    }

    /// Forgets the past: watches and continued lists from any version seen so far get 410.
    /// Watches under way go on.
    pub fn compact(&self) {
        self.0.state().store.compact();
    }

    /// Loses all objects, roles included, without a word to watches, which are cut.
    pub fn forget(&self) {
        self.0.state().store.forget();
    }

    /// Whether `sendInitialEvents` is served from now on.
    pub fn serve_watch_list(&self, serve: bool) {
        self.0.state().config.watch_list = serve;
    }

    /// Refuses and drops all connections until [`resume`](Self::resume). The state stays, and
    /// can be changed or [forgotten](Self::forget) meanwhile.
    pub fn stop(&self) -> io::Result<()> {
        self.command(Command::Stop)
    }

    /// Listens again, on the same address and port.
    pub fn resume(&self) -> io::Result<()> {
        self.command(Command::Resume)
    }

    fn command(&self, command: impl FnOnce(Done) -> Command) -> io::Result<()> {
        let ended = || io::Error::new(io::ErrorKind::BrokenPipe, "the API server has ended");
        let (done, wait) = mpsc::channel();
        self.0.commands.send(command(done)).map_err(|_| ended())?;
        wait.recv().map_err(|_| ended())?
    }
}

fn key(kind: &Kind, namespace: &str, name: &str) -> Key {
    let namespace = match (kind.namespaced, namespace) {
        (false, _) => "",
        (true, "") => "default",
        (true, namespace) => namespace,
    };
    Key {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    }
}

fn named(kind: &str, namespace: &str, name: &str) -> Result<(&'static Kind, Key), Refusal> {
    let unknown = || Refusal::new(404, format!("kind {kind:?} is not served"));
    let kind = Kind::named(kind).ok_or_else(unknown)?;
    Ok((kind, key(kind, namespace, name)))
}

/// Where an object belongs, by its own words.
fn address(object: &Value) -> Result<(&'static Kind, Key), Refusal> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (api_version, kind) = (text(&object["apiVersion"]), text(&object["kind"]));
    let unknown = || {
        Refusal::new(
            404,
            format!("kind {kind:?} of {api_version:?} is not served"),
        )
    };
    let kind = Kind::of(&api_version, &kind).ok_or_else(unknown)?;
    let metadata = &object["metadata"];
    Ok((
        kind,
        key(
            kind,
            &text(&metadata["namespace"]),
            &text(&metadata["name"]),
        ),
    ))
}
