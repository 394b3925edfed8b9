use std::collections::BTreeMap;
use std::sync::Arc;

/// What is to go out, by the node it goes to: several things for one node share datagrams.
#[derive(Debug)]
pub struct Post {
    space: usize,
    /// What every body begins with.
    head: Vec<u8>,
    bodies: BTreeMap<Arc<str>, Vec<Vec<u8>>>,
}

impl Post {
    /// Nothing yet. Bodies have at most `space` bytes and begin with `head`.
    pub fn new(space: usize, head: Vec<u8>) -> Self {
        Self {
            space,
            head,
            bodies: BTreeMap::new(),
        }
    }

    /// Adds something that is not torn apart.
    pub fn add(&mut self, to: &Arc<str>, item: &[u8]) {
        let bodies = self.bodies.entry(to.clone()).or_default();
        match bodies.last_mut() {
            Some(body) if body.len() + item.len() <= self.space => body.extend(item),
            _ => bodies.push([&self.head, item].concat()),
        }
    }

    /// All bodies.
    pub fn bodies(self) -> impl Iterator<Item = (Arc<str>, Vec<u8>)> {
        self.bodies
            .into_iter()
            .flat_map(|(to, bodies)| bodies.into_iter().map(move |body| (to.clone(), body)))
    }
}
