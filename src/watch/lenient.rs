//! Values that decode whatever they are.
//!
//! A list is decoded as a whole: one value of the wrong type in one object would lose all others.
//! So every value of the slim objects is a [`Field`], which keeps what it cannot use for the report.

use std::fmt;
use std::marker::PhantomData;
use std::net::{IpAddr, Ipv4Addr};

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A value of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Field<T> {
    /// Left out, or null.
    #[default]
    Absent,
    /// Usable.
    Valid(T),
    /// Unusable; the text to show for it.
    Invalid(Box<str>),
}

/// A type that a [`Field`] can hold: what it makes of the values of YAML and JSON. Each answers
/// `None` where such a value is no good, which is the default.
pub trait FromValue: Sized {
    /// From a string.
    fn text(_: &str) -> Option<Self> {
        None
    }

    /// From an integer.
    fn integer(_: i64) -> Option<Self> {
        None
    }

    /// From a truth value.
    fn flag(_: bool) -> Option<Self> {
        None
    }

    /// From a list, which is to be read to its end.
    fn list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<Option<Self>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    /// From a map, which is to be read to its end.
    fn map<'de, A: MapAccess<'de>>(mut map: A) -> Result<Option<Self>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

impl<'de, T: FromValue> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FieldVisitor(PhantomData))
    }
}

struct FieldVisitor<T>(PhantomData<T>);

fn field<T>(value: Option<T>, shown: &(impl ToString + ?Sized)) -> Field<T> {
    value.map_or_else(|| Field::Invalid(shown.to_string().into()), Field::Valid)
}

impl<'de, T: FromValue> Visitor<'de> for FieldVisitor<T> {
    type Value = Field<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Field::Absent)
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(Field::Absent)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(field(T::flag(value), &value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(field(T::integer(value), &value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(field(
            i64::try_from(value).ok().and_then(T::integer),
            &value,
        ))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(field(None, &value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(field(T::text(value), value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
        Ok(field(T::list(list)?, "a list"))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        Ok(field(T::map(map)?, "a map"))
    }
}

impl FromValue for String {
    fn text(text: &str) -> Option<Self> {
        Some(text.into())
    }
}

impl FromValue for i64 {
    fn integer(value: i64) -> Option<Self> {
        Some(value)
    }
}

impl FromValue for bool {
    fn flag(value: bool) -> Option<Self> {
        Some(value)
    }
}

impl<T: for<'a> Deserialize<'a>> FromValue for Vec<T> {
    fn list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<Option<Self>, A::Error> {
        let mut items = Self::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Some(items))
    }
}

impl FromValue for IpAddr {
    /// Reads addresses as Kubernetes does: old objects may hold IPv4 with leading zeros (which are
    /// decimal), and an IPv4 address mapped into IPv6 is that IPv4 address.
    fn text(text: &str) -> Option<Self> {
        let ip = text.parse().ok().or_else(|| padded(text));
        ip.as_ref().map(Self::to_canonical)
    }
}

fn padded(text: &str) -> Option<IpAddr> {
    let mut octets = text.split('.').map(|octet| {
        let digits = !octet.is_empty() && octet.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| octet.parse::<u8>().ok()).flatten()
    });
    let mut next = || octets.next().flatten();
    let ip = Ipv4Addr::new(next()?, next()?, next()?, next()?);
    octets.next().is_none().then_some(ip.into())
}

/// Makes structs of [`Field`]s usable as the value of a field.
macro_rules! from_map {
    ($($type:ty),+ $(,)?) => {$(
        impl crate::watch::lenient::FromValue for $type {
            fn map<'de, A: serde::de::MapAccess<'de>>(map: A) -> Result<Option<Self>, A::Error> {
                crate::watch::lenient::read_map(map).map(Some)
            }
        }
    )+};
}
pub(super) use from_map;

/// Reads a struct from a map.
pub fn read_map<'de, T: Deserialize<'de>, A: MapAccess<'de>>(map: A) -> Result<T, A::Error> {
    T::deserialize(MapAccessDeserializer::new(map))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(json: &str) -> Field<IpAddr> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn addresses_are_read_as_kubernetes_reads_them() {
        let valid = |text: &str| Field::Valid(text.parse().unwrap());
        assert_eq!(ip(r#""10.96.0.1""#), valid("10.96.0.1"));
        assert_eq!(ip(r#""010.096.0.010""#), valid("10.96.0.10"));
        assert_eq!(ip(r#""::ffff:10.0.0.1""#), valid("10.0.0.1"));
        assert_eq!(ip(r#""fd00::1""#), valid("fd00::1"));
        for wrong in [
            "",
            "10.0.0",
            "10.0.0.1.2",
            "10.0.0.256",
            "10..0.1",
            "+1.2.3.4",
            "web",
        ] {
            let json = serde_json::to_string(wrong).unwrap();
            assert_eq!(ip(&json), Field::Invalid(wrong.into()));
        }
    }

    #[test]
    fn any_value_decodes() {
        assert_eq!(ip("null"), Field::Absent);
        for (json, shown) in [
            ("7", "7"),
            ("1.5", "1.5"),
            ("true", "true"),
            ("18446744073709551615", "18446744073709551615"),
            (r#"[1, {"a": [2]}]"#, "a list"),
            (r#"{"a": {"b": []}}"#, "a map"),
        ] {
            assert_eq!(ip(json), Field::Invalid(shown.into()));
        }
    }

    #[test]
    fn what_follows_an_invalid_value_is_still_read() {
        let list: Vec<Field<i64>> = serde_json::from_str(r#"[{"a": [1]}, 2, null]"#).unwrap();
        let invalid = Field::Invalid("a map".into());
        assert_eq!(list, [invalid, Field::Valid(2), Field::Absent]);
    }
}
