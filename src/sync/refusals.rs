//! What the kernel has refused: it is not tried again for any change, but when a Service that needs it
//! is.

use std::collections::BTreeSet;

/// Things that the kernel has refused.
#[derive(Debug)]
pub struct Refusals<K> {
    all: BTreeSet<K>,
    news: BTreeSet<K>,
}

impl<K> Default for Refusals<K> {
    fn default() -> Self {
        Self {
            all: BTreeSet::new(),
            news: BTreeSet::new(),
        }
    }
}

impl<K: Copy + Ord> Refusals<K> {
    /// It has been refused. Whether that is new.
    pub fn add(&mut self, key: K) -> bool {
        let is_new = self.all.insert(key);
        if is_new {
            self.news.insert(key);
        }
        is_new
    }

    /// Whether it has been refused and is not to be tried.
    pub fn has(&self, key: &K) -> bool {
        self.all.contains(key)
    }

    /// It may be tried again.
    pub fn forget(&mut self, key: &K) {
        self.all.remove(key);
    }

    /// What has been refused since the last call.
    pub fn take_news(&mut self) -> BTreeSet<K> {
        std::mem::take(&mut self.news)
    }
}
