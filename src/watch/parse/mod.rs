//! Checked conversion of Kubernetes objects into the words of the model.
//!
//! Pure. A bad part of an object is left out and reported; everything else works on. What is meant
//! for others (headless Services, say) is left out without a word.

mod address;
mod annotations;
mod external;
mod import;
mod node;
mod property;
mod service;
mod service_cidr;
mod slice;

use std::fmt::{self, Display};
use std::num::NonZeroU16;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

pub use import::import;
pub use node::{neighbour, node};
pub use property::{CLUSTER_ID, cluster_id};
pub use service::{service, service_id};
pub use service_cidr::service_cidr;
pub use slice::{slice, slice_id};

use super::lenient::Field;

/// A part of an object that Spillway cannot use and therefore leaves out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The kind of the object, like `Service`.
    pub kind: &'static str,
    /// The object.
    pub object: ObjectName,
    /// The path of the part, like `spec.ports[2].port`.
    pub field: String,
    /// What is wrong with it.
    pub wrong: String,
    /// What to do about it.
    pub remedy: &'static str,
}

/// Which object it is: enough for a message to those who look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectName {
    /// The namespace; empty for an object without one.
    pub namespace: String,
    /// The name within the namespace.
    pub name: String,
    /// Tells it from others that have had its name; empty where an object comes from a file.
    pub uid: String,
}

impl From<&ObjectMeta> for ObjectName {
    fn from(metadata: &ObjectMeta) -> Self {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        Self {
            namespace: text(&metadata.namespace),
            name: text(&metadata.name),
            uid: text(&metadata.uid),
        }
    }
}

impl Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.namespace.is_empty() {
            write!(f, "{}/", self.namespace)?;
        }
        f.write_str(&self.name)
    }
}

impl Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {}: {}: {}; {}",
            self.kind, self.object, self.field, self.wrong, self.remedy
        )
    }
}

/// The problems of one object.
struct Report<'a> {
    kind: &'static str,
    object: &'a ObjectMeta,
    problems: Vec<Problem>,
}

impl<'a> Report<'a> {
    fn new(kind: &'static str, object: &'a ObjectMeta) -> Self {
        Self {
            kind,
            object,
            problems: Vec::new(),
        }
    }

    /// Reports a problem.
    fn add(&mut self, field: impl Display, wrong: impl Display, remedy: &'static str) {
        self.problems.push(Problem {
            kind: self.kind,
            object: self.object.into(),
            field: field.to_string(),
            wrong: wrong.to_string(),
            remedy,
        });
    }

    /// The value of a field, if it is there; reports one that is unusable.
    fn value<T>(&mut self, path: impl Display, remedy: &'static str, field: Field<T>) -> Option<T> {
        match field {
            Field::Absent => None,
            Field::Valid(value) => Some(value),
            Field::Invalid(found) => {
                self.add(path, format_args!("found {found:?}"), remedy);
                None
            }
        }
    }

    /// The usable elements of a list, with their places in it.
    fn list<T>(
        &mut self,
        path: impl Display,
        remedy: &'static str,
        list: Field<Vec<Field<T>>>,
    ) -> Vec<(usize, T)> {
        let list = self
            .value(&path, "make it a list", list)
            .unwrap_or_default();
        list.into_iter()
            .enumerate()
            .filter_map(|(index, item)| {
                let value = self.value(format_args!("{path}[{index}]"), remedy, item)?;
                Some((index, value))
            })
            .collect()
    }

    /// A port number, if one is given.
    fn port(&mut self, path: impl Display, field: Field<i64>) -> Option<NonZeroU16> {
        let number = self.value(&path, PORT, field)?;
        let port = u16::try_from(number).ok().and_then(NonZeroU16::new);
        if port.is_none() {
            self.add(path, format_args!("found {number}"), PORT);
        }
        port
    }
}

/// What is to be said of something that is no port.
const PORT: &str = "give a port number from 1 to 65535";
/// What is to be said of an unknown protocol.
const PROTOCOL: &str = "use TCP, UDP or SCTP";
/// What is to be said of something that is no map.
const MAP: &str = "make it a map";
/// What is to be said of something that is no text.
const TEXT: &str = "make it a string";
/// What is to be said of an unknown truth value.
const FLAG: &str = "make it true or false";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_names_the_object_the_field_what_is_wrong_and_what_to_do() {
        let object = ObjectMeta {
            namespace: Some("default".into()),
            name: Some("web".into()),
            uid: Some("1-2-3".into()),
            ..ObjectMeta::default()
        };
        let mut report = Report::new("Service", &object);
        report.port("spec.ports[2].port", Field::Valid(70_000));
        assert_eq!(
            report.problems[0].to_string(),
            "Service default/web: spec.ports[2].port: found 70000; \
             give a port number from 1 to 65535"
        );
        assert_eq!(report.problems[0].object.uid, "1-2-3");
    }
}
