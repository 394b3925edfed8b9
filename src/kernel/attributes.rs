//! Attributes as the kernel sends them, looked up where they are: a dump of thousands of entries
//! is read without copying what is not wanted.

use netlink_packet_core::NlasIterator;

/// The attributes in a buffer, by their kind, as far as they are well-formed.
pub fn nested(buffer: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    /// The length of `struct nlattr`.
    const HEADER: usize = 4;
    NlasIterator::new(buffer).map_while(|attribute| {
        let attribute = attribute.ok()?;
        let end = usize::from(attribute.length());
        Some((attribute.kind(), attribute.into_inner().get(HEADER..end)?))
    })
}

/// The first attribute of a kind.
pub fn find(buffer: &[u8], kind: u16) -> Option<&[u8]> {
    nested(buffer).find_map(|(found, value)| (found == kind).then_some(value))
}
