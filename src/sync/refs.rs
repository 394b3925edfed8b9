//! Things that the kernel holds once and several service ports need.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

/// Counts who needs a thing, and knows whether the kernel holds it.
#[derive(Debug)]
pub struct Refs<K> {
    entries: HashMap<K, Entry>,
    unsettled: HashSet<K>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    needed: u32,
    present: bool,
}

/// What has to change so that the kernel holds what is needed, and no more.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes<K> {
    /// Needed but not there.
    pub add: Vec<K>,
    /// There but not needed.
    pub remove: Vec<K>,
}

impl<K> Default for Refs<K> {
    fn default() -> Self {
        Self {
            entries: HashMap::new(),
            unsettled: HashSet::new(),
        }
    }
}

impl<K: Copy + Eq + Hash + Ord> Refs<K> {
    /// Says what the kernel holds now, in place of what was believed.
    pub fn found(&mut self, keys: impl IntoIterator<Item = K>) {
        for (key, entry) in &mut self.entries {
            entry.present = false;
            self.unsettled.insert(*key);
        }
        for key in keys {
            self.entries.entry(key).or_default().present = true;
            self.unsettled.insert(key);
        }
    }

    /// One more needs it.
    pub fn retain(&mut self, key: K) {
        self.entries.entry(key).or_default().needed += 1;
        self.unsettled.insert(key);
    }

    /// One fewer needs it.
    pub fn release(&mut self, key: K) {
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.needed = entry.needed.saturating_sub(1);
            self.unsettled.insert(key);
        }
    }

    /// Whether the kernel holds it.
    pub fn is_present(&self, key: &K) -> bool {
        self.entries.get(key).is_some_and(|entry| entry.present)
    }

    /// What the kernel holds.
    pub fn present(&self) -> impl Iterator<Item = &K> {
        let present = self.entries.iter().filter(|(_, entry)| entry.present);
        present.map(|(key, _)| key)
    }

    /// What has to change, sorted.
    pub fn pending(&mut self) -> Changes<K> {
        let mut changes = Changes {
            add: Vec::new(),
            remove: Vec::new(),
        };
        let entries = &mut self.entries;
        self.unsettled.retain(|key| match entries.get(key) {
            Some(Entry {
                needed: 1..,
                present: false,
            }) => {
                changes.add.push(*key);
                true
            }
            Some(Entry {
                needed: 0,
                present: true,
            }) => {
                changes.remove.push(*key);
                true
            }
            Some(Entry {
                needed: 0,
                present: false,
            }) => {
                entries.remove(key);
                false
            }
            _ => false,
        });
        changes.add.sort_unstable();
        changes.remove.sort_unstable();
        changes
    }

    /// The kernel has been told to add these.
    pub fn added(&mut self, keys: &[K]) {
        for key in keys {
            self.settle(*key, true);
        }
    }

    /// The kernel has been told to remove these.
    pub fn removed(&mut self, keys: &[K]) {
        for key in keys {
            self.settle(*key, false);
        }
    }

    fn settle(&mut self, key: K, present: bool) {
        self.entries.entry(key).or_default().present = present;
        // Whether that is what is needed now is for the next `pending` to see.
        self.unsettled.insert(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thing_is_added_for_the_first_and_removed_after_the_last() {
        let mut refs = Refs::default();
        refs.retain('a');
        refs.retain('a');
        assert_eq!(
            refs.pending(),
            Changes {
                add: vec!['a'],
                remove: vec![]
            }
        );
        refs.added(&['a']);
        refs.release('a');
        assert_eq!(refs.pending(), Changes::default());
        refs.release('a');
        assert_eq!(
            refs.pending(),
            Changes {
                add: vec![],
                remove: vec!['a']
            }
        );
        refs.removed(&['a']);
        assert_eq!(refs.pending(), Changes::default());
    }

    #[test]
    fn a_thing_that_moves_from_one_owner_to_another_is_left_alone() {
        let mut refs = Refs::default();
        refs.retain('a');
        refs.added(&['a']);
        refs.release('a');
        refs.retain('a');
        assert_eq!(refs.pending(), Changes::default());
    }

    #[test]
    fn what_the_kernel_held_at_the_start_is_kept_if_needed_and_removed_if_not() {
        let mut refs = Refs::default();
        refs.found(['a', 'b']);
        refs.retain('a');
        assert_eq!(
            refs.pending(),
            Changes {
                add: vec![],
                remove: vec!['b']
            }
        );
    }

    #[test]
    fn what_was_not_confirmed_is_still_pending() {
        let mut refs = Refs::default();
        refs.retain('a');
        let _ = refs.pending();
        assert_eq!(refs.pending().add, vec!['a']);
    }
}
