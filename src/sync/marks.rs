//! Which marks are in use.

use std::collections::HashSet;

use crate::kernel::mark::{Mark, MarkRange};

/// The marks of one range, handed out in a circle: a mark that has just been freed comes last, so
/// that what the kernel still remembers of it (persistence templates) has long expired.
#[derive(Debug)]
pub struct Marks {
    range: MarkRange,
    used: HashSet<Mark>,
    last: u32,
}

impl Marks {
    /// All marks of the range are free.
    pub fn new(range: MarkRange) -> Self {
        Self {
            range,
            used: HashSet::new(),
            last: range.prefix(),
        }
    }

    /// Takes a certain mark, as found in the kernel; false if it is taken already.
    pub fn adopt(&mut self, mark: Mark) -> bool {
        self.last = self.last.max(mark.value());
        self.used.insert(mark)
    }

    /// Takes a mark that is free; none if all are taken.
    pub fn allocate(&mut self) -> Option<Mark> {
        let after = self.range.mark(self.last.wrapping_add(1));
        let mut candidates = after
            .into_iter()
            .flat_map(|mark| self.range.servers_from(mark))
            .chain(self.range.servers());
        let mark = candidates.find(|mark| !self.used.contains(mark))?;
        self.last = mark.value();
        self.used.insert(mark);
        Some(mark)
    }

    /// Gives a mark back.
    pub fn free(&mut self, mark: Mark) {
        self.used.remove(&mark);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range() -> MarkRange {
        MarkRange::new(0x0100_0000, 24).expect("a range of 256 marks")
    }

    #[test]
    fn a_freed_mark_is_handed_out_again_only_after_all_others() {
        let mut marks = Marks::new(range());
        let first = marks.allocate().expect("a free mark");
        marks.free(first);
        let others: Vec<Mark> = (0..62).filter_map(|_| marks.allocate()).collect();
        assert_eq!(others.len(), 62);
        assert!(!others.contains(&first));
        assert_eq!(marks.allocate(), Some(first));
        assert_eq!(marks.allocate(), None, "63 servers fit into 256 marks");
    }

    #[test]
    fn verdict_marks_are_never_handed_out() {
        let mut marks = Marks::new(range());
        let all: Vec<Mark> = std::iter::from_fn(|| marks.allocate()).collect();
        for mark in &all {
            for twin in [range().refusing(*mark), range().dropping(*mark)] {
                assert!(!all.contains(&twin), "{twin} is a verdict");
                assert_eq!(range().server(twin), Some(*mark));
            }
            assert_eq!(range().server(*mark), Some(*mark));
            let both = range().dropping(range().refusing(*mark));
            assert_eq!(range().server(both), None);
        }
    }

    #[test]
    fn an_adopted_mark_is_taken() {
        let mut marks = Marks::new(range());
        let found = range().mark(0x0100_0002).expect("in the range");
        assert!(marks.adopt(found));
        assert!(!marks.adopt(found), "two service ports cannot share a mark");
        assert_ne!(marks.allocate(), Some(found));
    }
}
