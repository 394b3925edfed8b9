//! The objects, the one counter of versions, and the history that watches are served from.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, OnceLock};

use serde_json::Value;
use tokio::sync::watch;

use crate::error::Refusal;
use crate::kinds::Kind;
use crate::object::{Key, Object};

/// Changes of one kind that are kept for watches: two loads of 10,000 objects and some churn.
const HISTORY: usize = 65_536;

/// All objects of one kind.
pub type Objects = BTreeMap<Key, Arc<Object>>;

/// What happened to an object at one version.
#[derive(Debug)]
pub struct Change {
    pub version: u64,
    pub key: Key,
    pub before: Option<Arc<Object>>,
    pub after: Option<Arc<Object>>,
    gone: OnceLock<Arc<Object>>,
}

impl Change {
    /// The object as a DELETED event shows it: its last content at the version of its going.
    pub fn tombstone(&self, last: &Object) -> &Arc<Object> {
        self.gone
            .get_or_init(|| Object::at(last.value.clone(), self.version))
    }
}

#[derive(Debug)]
struct Table {
    objects: Objects,
    history: VecDeque<Arc<Change>>,
    /// The version of the newest change that fell out of the history.
    trimmed: u64,
    /// Server-side apply: what each field manager applied last.
    applied: BTreeMap<(Key, String), Value>,
    changed: watch::Sender<u64>,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            objects: Objects::new(),
            history: VecDeque::new(),
            trimmed: 0,
            applied: BTreeMap::new(),
            changed: watch::Sender::new(0),
        }
    }
}

/// The state of the cluster.
#[derive(Debug)]
pub struct Store {
    version: u64,
    compacted: u64,
    tables: BTreeMap<(&'static str, &'static str), Table>,
}

impl Default for Store {
    fn default() -> Self {
        // Version 0 means "any" to clients, so that no state may carry it.
        Self {
            version: 1,
            compacted: 0,
            tables: BTreeMap::new(),
        }
    }
}

impl Store {
    /// The version of the newest change of any kind.
    pub fn version(&self) -> u64 {
        self.version
    }

    fn table(&mut self, kind: &'static Kind) -> &mut Table {
        self.tables.entry((kind.group, kind.plural)).or_default()
    }

    /// The current objects of a kind.
    pub fn objects(&mut self, kind: &'static Kind) -> &Objects {
        &self.table(kind).objects
    }

    /// The current object under a key.
    pub fn get(&mut self, kind: &'static Kind, key: &Key) -> Result<Arc<Object>, Refusal> {
        let found = self.objects(kind).get(key).cloned();
        found.ok_or_else(|| Refusal::not_found(kind, &key.name))
    }

    /// Writes an object under a new version and tells the watches of its kind.
    pub fn put(&mut self, kind: &'static Kind, key: Key, value: Value) -> Arc<Object> {
        let object = Object::at(value, self.version + 1);
        let table = self.table(kind);
        let before = table.objects.insert(key.clone(), Arc::clone(&object));
        self.log(kind, key, before, Some(Arc::clone(&object)));
        object
    }

    /// Takes an object away.
    pub fn remove(&mut self, kind: &'static Kind, key: &Key) -> Result<Arc<Object>, Refusal> {
        let table = self.table(kind);
        let before = table.objects.remove(key);
        let before = before.ok_or_else(|| Refusal::not_found(kind, &key.name))?;
        table.applied.retain(|(applied, _), _| applied != key);
        let change = self.log(kind, key.clone(), Some(Arc::clone(&before)), None);
        Ok(Arc::clone(change.tombstone(&before)))
    }

    fn log(
        &mut self,
        kind: &'static Kind,
        key: Key,
        before: Option<Arc<Object>>,
        after: Option<Arc<Object>>,
    ) -> Arc<Change> {
        self.version += 1;
        let version = self.version;
        let change = Arc::new(Change {
            version,
            key,
            before,
            after,
            gone: OnceLock::new(),
        });
        let table = self.table(kind);
        table.history.push_back(Arc::clone(&change));
        if table.history.len() > HISTORY
            && let Some(oldest) = table.history.pop_front()
        {
            table.trimmed = oldest.version;
        }
        table.changed.send_replace(version);
        change
    }

    /// Remembers what a field manager applied and returns what it had applied before.
    pub fn remember_applied(
        &mut self,
        kind: &'static Kind,
        key: &Key,
        manager: &str,
        applied: Value,
    ) -> Option<Value> {
        self.table(kind)
            .applied
            .insert((key.clone(), manager.to_owned()), applied)
    }

    /// Wakes whoever reads the changes of a kind. It ends when the state is lost.
    pub fn subscribe(&mut self, kind: &'static Kind) -> watch::Receiver<u64> {
        self.table(kind).changed.subscribe()
    }

    /// Refuses a version that a new watch or list can no longer start from.
    pub fn check_not_compacted(&mut self, kind: &'static Kind, since: u64) -> Result<(), Refusal> {
        let oldest = self.compacted.max(self.table(kind).trimmed);
        if since < oldest {
            Err(Refusal::too_old(since, oldest))
        } else {
            Ok(())
        }
    }

    /// At most `limit` changes after `since`, oldest first. A compaction does not hurt a watch
    /// that is under way, but one that falls behind the history is refused.
    pub fn changes(
        &mut self,
        kind: &'static Kind,
        since: u64,
        limit: usize,
    ) -> Result<Vec<Arc<Change>>, Refusal> {
        let table = self.table(kind);
        if since < table.trimmed {
            return Err(Refusal::too_old(since, table.trimmed));
        }
        let start = table
            .history
            .partition_point(|change| change.version <= since);
        Ok(table.history.range(start..).take(limit).cloned().collect())
    }

    /// The objects as they were at `version`: today's with the later changes undone.
    pub fn objects_at(
        &mut self,
        kind: &'static Kind,
        version: u64,
    ) -> Result<Cow<'_, Objects>, Refusal> {
        self.check_not_compacted(kind, version)?;
        let table = self.table(kind);
        if table
            .history
            .back()
            .is_none_or(|newest| newest.version <= version)
        {
            return Ok(Cow::Borrowed(&table.objects));
        }
        let mut objects = table.objects.clone();
        for change in table
            .history
            .iter()
            .rev()
            .take_while(|change| change.version > version)
        {
            match &change.before {
                Some(before) => objects.insert(change.key.clone(), Arc::clone(before)),
                None => objects.remove(&change.key),
            };
        }
        Ok(Cow::Owned(objects))
    }

    /// Forgets the past: whoever starts from a version before now is told to list again.
    pub fn compact(&mut self) {
        // Some change must lie between the past and now, or the newest version would survive.
        self.version += 1;
        self.compacted = self.version;
    }

    /// Loses all objects, as an etcd restored from an empty snapshot with `--bump-revision` and
    /// `--mark-compacted` does: versions never run backwards.
    pub fn forget(&mut self) {
        self.tables.clear();
        self.compact();
    }
}
