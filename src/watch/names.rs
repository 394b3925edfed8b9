//! Names that many objects share, held once.

use std::collections::HashSet;
use std::sync::Arc;

/// The fewest names worth looking through for some that are no longer used.
const MANY: usize = 1024;

/// A set of shared names: thousands of endpoints name the same few nodes and zones.
#[derive(Debug, Default)]
pub struct Names {
    names: HashSet<Arc<str>>,
    used: usize,
}

impl Names {
    /// The shared form of a name.
    pub fn intern(&mut self, name: &str) -> Arc<str> {
        if let Some(shared) = self.names.get(name) {
            return Arc::clone(shared);
        }
        // Looking through the set only when it has doubled keeps the cost of a name constant.
        if self.names.len() >= MANY.max(2 * self.used) {
            self.names.retain(|name| Arc::strong_count(name) > 1);
            self.used = self.names.len();
        }
        let shared: Arc<str> = name.into();
        self.names.insert(Arc::clone(&shared));
        shared
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_names_share_their_memory() {
        let mut names = Names::default();
        let (a, b) = (names.intern("node-1"), names.intern("node-1"));
        assert!(Arc::ptr_eq(&a, &b));
        assert_ne!(a, names.intern("node-2"));
    }

    #[test]
    fn names_that_nobody_holds_are_forgotten() {
        let mut names = Names::default();
        let kept = names.intern("kept");
        for number in 0..10 * MANY {
            names.intern(&number.to_string());
        }
        assert!(names.names.len() <= MANY);
        assert!(Arc::ptr_eq(&kept, &names.intern("kept")));
    }
}
