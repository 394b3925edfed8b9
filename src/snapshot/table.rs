use std::collections::HashMap;
use std::hash::Hash;

/// Objects of one kind by name, kept through repeated full lists without a second copy: each
/// object remembers the list that last named it, and the end of a list sweeps out the others.
#[derive(Debug)]
pub struct Table<K, V> {
    rows: HashMap<K, (u32, V)>,
    list: u32,
    listed: bool,
}

/// What putting an object into a table did.
#[derive(Debug)]
pub enum Put<V> {
    /// It was there already, and the same.
    Same,
    /// It was not there.
    New,
    /// It was there, but different.
    Replaced(V),
}

impl<V> Put<V> {
    /// Whether the table holds something else than before.
    pub fn is_changed(&self) -> bool {
        !matches!(self, Self::Same)
    }
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self {
            rows: HashMap::new(),
            list: 0,
            listed: false,
        }
    }
}

impl<K: Eq + Hash, V: PartialEq> Table<K, V> {
    pub fn put(&mut self, key: K, value: V) -> Put<V> {
        let list = self.list;
        match self.rows.get_mut(&key) {
            Some((seen, old)) if *old == value => {
                *seen = list;
                Put::Same
            }
            Some((seen, old)) => {
                *seen = list;
                Put::Replaced(std::mem::replace(old, value))
            }
            None => {
                self.rows.insert(key, (list, value));
                Put::New
            }
        }
    }

    pub fn remove(&mut self, key: &K) -> Option<V> {
        self.rows.remove(key).map(|(_, value)| value)
    }

    pub fn get(&self, key: &K) -> Option<&V> {
        self.rows.get(key).map(|(_, value)| value)
    }

    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.rows.values().map(|(_, value)| value)
    }

    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.rows.keys()
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether a full list has been completed.
    pub fn is_listed(&self) -> bool {
        self.listed
    }

    pub fn begin_list(&mut self) {
        self.list = self.list.wrapping_add(1);
    }

    /// Completes a full list and gives back the objects that it did not name.
    pub fn end_list(&mut self) -> Vec<V> {
        self.listed = true;
        let list = self.list;
        self.rows
            .extract_if(|_, (seen, _)| *seen != list)
            .map(|(_, (_, value))| value)
            .collect()
    }
}
