//! What decoding passes over.
//!
//! The slim objects leave out most of what there is, and it is gone once an object is decoded. Its
//! names are kept, so that whoever gets the object can tell what nobody here knows from what is
//! just of no use to a proxy. What is inside of something that was passed over is not looked at.

use serde_ignored::Path;

use super::path;

/// The fields of an object that its slim type does not have: each once, for all elements of a list
/// together, as in `endpoints[].targetRef`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PassedOver(Vec<String>);

impl PassedOver {
    /// Their paths.
    pub fn fields(&self) -> &[String] {
        &self.0
    }

    /// Adds a field that is being passed over.
    pub fn note(&mut self, path: &Path<'_>) {
        if is_named_by_people(path) {
            return;
        }
        let field = path::of_all(path);
        if !self.0.contains(&field) {
            self.0.push(field);
        }
    }
}

/// Whether it is a label or an annotation: those have any names, and as many as people like.
fn is_named_by_people(path: &Path<'_>) -> bool {
    let Path::Map { parent, .. } = path else {
        return false;
    };
    matches!(parent, Path::Map { parent: Path::Map { parent: Path::Root, key }, key: map }
        if key == "metadata" && ["labels", "annotations"].contains(&map.as_str()))
}

/// Makes objects that are derived with `remote = "Self"` decodable, and their `passed_over` true.
macro_rules! note_passed_over {
    ($($type:ty),+ $(,)?) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let mut passed_over = PassedOver::default();
                let mut note = |path: serde_ignored::Path<'_>| passed_over.note(&path);
                let noted = serde_ignored::Deserializer::new(deserializer, &mut note);
                // Not this function, but the one that is derived.
                let object = <$type>::deserialize(noted)?;
                Ok(Self { passed_over, ..object })
            }
        }
    )+};
}
pub(super) use note_passed_over;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::watch::objects::{EndpointSlice, Service};

    #[test]
    fn fields_that_are_not_used_are_noted_once_and_not_looked_into() {
        let slice = json!({
            "metadata": {"name": "web-1", "generation": 7},
            "endpoints": [
                {"addresses": ["10.1.1.5"], "targetRef": {"kind": "Pod"}},
                {"addresses": ["10.1.1.6"], "targetRef": {"kind": "Pod"}, "weight": 7},
            ],
        });
        let slice: EndpointSlice = serde_json::from_value(slice).unwrap();
        assert_eq!(
            slice.passed_over.fields(),
            [
                "endpoints[].targetRef",
                "endpoints[].weight",
                "metadata.generation"
            ]
        );
    }

    #[test]
    fn labels_and_annotations_are_no_fields() {
        let names = json!({"shop.example/colour": "blue"});
        let service = json!({"metadata": {"labels": names, "annotations": names}});
        let service: Service = serde_json::from_value(service).unwrap();
        assert!(service.passed_over.fields().is_empty());
    }

    #[test]
    fn what_is_in_a_value_of_the_wrong_type_is_noted_and_the_rest_is_read() {
        let service = json!({"spec": {"ports": {"port": 80}, "clusterIP": "10.96.0.1"}});
        let service: Service = serde_json::from_value(service).unwrap();
        assert_eq!(service.passed_over.fields(), ["spec.ports.port"]);
        let spec = service.spec.ok().unwrap();
        assert!(spec.cluster_ip.ok().is_some());
    }
}
