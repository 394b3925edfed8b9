//! Netlink attributes by table: one line per attribute gives its number, name and type; encoding
//! and decoding follow from it.

use netlink_packet_core::{DecodeError, Emitable, NLA_F_NESTED, Nla};

/// What the value of an attribute can be.
pub trait Value: Sized {
    /// Whether the value is a list of attributes itself.
    const NESTED: bool = false;

    /// The bytes that the encoded value takes.
    fn size(&self) -> usize;

    /// Encodes into exactly [`Value::size`] bytes.
    fn emit(&self, buffer: &mut [u8]);

    /// Decodes; never panics, whatever the bytes.
    fn parse(bytes: &[u8]) -> Result<Self, DecodeError>;
}

impl<const N: usize> Value for [u8; N] {
    fn size(&self) -> usize {
        N
    }

    fn emit(&self, buffer: &mut [u8]) {
        buffer.copy_from_slice(self);
    }

    fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        bytes
            .try_into()
            .map_err(|_| DecodeError::invalid_number(N, bytes.len()))
    }
}

/// Values that travel as a fixed number of bytes.
macro_rules! fixed_size {
    ($($type:ty: $value:ident => $to:expr, $bytes:ident => $from:expr;)*) => {$(
        impl Value for $type {
            fn size(&self) -> usize {
                size_of::<Self>()
            }

            fn emit(&self, buffer: &mut [u8]) {
                let $value = self;
                buffer.copy_from_slice(&$to);
            }

            fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
                Value::parse(bytes).map(|$bytes| $from)
            }
        }
    )*};
}

fixed_size! {
    u8: value => [*value], bytes => { let [byte] = bytes; byte };
    u16: value => value.to_ne_bytes(), bytes => Self::from_ne_bytes(bytes);
    u32: value => value.to_ne_bytes(), bytes => Self::from_ne_bytes(bytes);
    NetworkOrder: value => value.0.to_be_bytes(), bytes => Self(u16::from_be_bytes(bytes));
}

/// A port, the one kind of number that IPVS sends in network byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkOrder(pub u16);

/// A counter: 4 or 8 bytes from the kernel, by the attribute and its list; 8 when encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter(pub u64);

impl Value for Counter {
    fn size(&self) -> usize {
        size_of::<u64>()
    }

    fn emit(&self, buffer: &mut [u8]) {
        buffer.copy_from_slice(&self.0.to_ne_bytes());
    }

    fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() == size_of::<u32>() {
            u32::parse(bytes).map(|value| Self(value.into()))
        } else {
            Value::parse(bytes).map(|bytes| Self(u64::from_ne_bytes(bytes)))
        }
    }
}

/// Bits and which of them are meant (`struct ip_vs_flags`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaskedFlags {
    /// The bits.
    pub flags: u32,
    /// Set where a bit of `flags` counts; the others stay as they are.
    pub mask: u32,
}

impl Value for MaskedFlags {
    fn size(&self) -> usize {
        2 * size_of::<u32>()
    }

    fn emit(&self, buffer: &mut [u8]) {
        let (flags, mask) = buffer.split_at_mut(size_of::<u32>());
        self.flags.emit(flags);
        self.mask.emit(mask);
    }

    fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (flags, mask) = bytes
            .split_at_checked(size_of::<u32>())
            .ok_or_else(|| DecodeError::invalid_number(8, bytes.len()))?;
        Ok(Self {
            flags: Value::parse(flags)?,
            mask: Value::parse(mask)?,
        })
    }
}

/// One attribute on its way out.
pub struct Attribute<'a, V> {
    /// Its number in its list.
    pub kind: u16,
    /// Its value.
    pub value: &'a V,
}

impl<V: Value> Nla for Attribute<'_, V> {
    fn value_len(&self) -> usize {
        self.value.size()
    }

    fn kind(&self) -> u16 {
        if V::NESTED {
            self.kind | NLA_F_NESTED
        } else {
            self.kind
        }
    }

    fn emit_value(&self, buffer: &mut [u8]) {
        self.value.emit(buffer);
    }
}

/// The encoded size of an attribute, which may be absent.
pub fn size<V: Value>(kind: u16, value: Option<&V>) -> usize {
    value.map_or(0, |value| Attribute { kind, value }.buffer_len())
}

/// Encodes an attribute, which may be absent, and returns the rest of the buffer.
pub fn emit<'b, V: Value>(kind: u16, value: Option<&V>, buffer: &'b mut [u8]) -> &'b mut [u8] {
    let (head, rest) = buffer.split_at_mut(size(kind, value));
    if let Some(value) = value {
        Attribute { kind, value }.emit(head);
    }
    rest
}

/// A list of attributes as a struct of options, by a table of `number => name: type`.
///
/// A number that is not in the table is passed over: newer kernels add attributes.
macro_rules! attributes {
    ($(
        $(#[$doc:meta])*
        $list:ident {
            $($(#[$field_doc:meta])* $kind:literal => $field:ident: $type:ty,)*
        }
    )*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct $list {
            $($(#[$field_doc])* pub $field: Option<$type>,)*
        }

        impl netlink_packet_core::Emitable for $list {
            fn buffer_len(&self) -> usize {
                0 $(+ $crate::kernel::ipvs::attribute::size($kind, self.$field.as_ref()))*
            }

            fn emit(&self, rest: &mut [u8]) {
                $(let rest = $crate::kernel::ipvs::attribute::emit(
                    $kind, self.$field.as_ref(), rest,
                );)*
                debug_assert!(rest.is_empty());
            }
        }

        impl netlink_packet_core::Parseable<[u8]> for $list {
            fn parse(bytes: &[u8]) -> Result<Self, netlink_packet_core::DecodeError> {
                use netlink_packet_core::ErrorContext;

                let mut list = Self::default();
                for attribute in netlink_packet_core::NlasIterator::new(bytes) {
                    let attribute = attribute?;
                    match attribute.kind() {
                        $($kind => {
                            let value = $crate::kernel::ipvs::attribute::Value::parse(attribute.value())
                                .context(concat!(stringify!($list), ".", stringify!($field)))?;
                            list.$field = Some(value);
                        })*
                        _ => {}
                    }
                }
                Ok(list)
            }
        }

        impl $crate::kernel::ipvs::attribute::Value for $list {
            const NESTED: bool = true;

            fn size(&self) -> usize {
                netlink_packet_core::Emitable::buffer_len(self)
            }

            fn emit(&self, buffer: &mut [u8]) {
                netlink_packet_core::Emitable::emit(self, buffer);
            }

            fn parse(bytes: &[u8]) -> Result<Self, netlink_packet_core::DecodeError> {
                netlink_packet_core::Parseable::parse(bytes)
            }
        }
    )*};
}

pub(super) use attributes;
