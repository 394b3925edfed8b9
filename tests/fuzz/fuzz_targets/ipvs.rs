//! Answers of the kernel's IPVS: whatever the bytes, reading them ends in a value or an error, and
//! what was read can be encoded and read again.
//!
//! On a stable toolchain: `RUSTC_BOOTSTRAP=1 cargo fuzz run --fuzz-dir tests/fuzz -s none ipvs`.

#![no_main]

use std::fmt::Debug;

use libfuzzer_sys::fuzz_target;
use netlink_packet_core::{Emitable, Parseable, ParseableParametrized};
use netlink_packet_generic::GenlHeader;
use spillway::kernel::ipvs::wire::{Attributes, InfoAttributes, Message};
use spillway::kernel::ipvs::{DestinationEntry, Info, ServiceEntry, Timeouts};

/// Reads a message as its generic netlink header and the attributes after it.
fn read<A>(bytes: &[u8]) -> Option<Message<A>>
where
    A: Parseable<[u8]> + Emitable + PartialEq + Debug,
{
    let header = GenlHeader::parse(bytes).ok()?;
    let message = Message::parse_with_param(bytes.get(4..)?, header).ok()?;
    let mut encoded = vec![0; message.buffer_len()];
    message.emit(&mut encoded);
    let again = Message::parse_with_param(&encoded, header).expect("own encoding");
    assert_eq!(message, again);
    Some(message)
}

fuzz_target!(|bytes: &[u8]| {
    if let Some(Message { attributes, .. }) = read::<Attributes>(bytes) {
        let _ = Timeouts::from(&attributes);
        let _ = attributes.service.map(|it| ServiceEntry::parse(&it));
        let _ = attributes
            .destination
            .map(|it| DestinationEntry::parse(&it));
    }
    if let Some(Message { attributes, .. }) = read::<InfoAttributes>(bytes) {
        let _ = Info::from(&attributes);
    }
});
