//! Paths of fields as people write them: `spec.ports[0].prot`.

use serde_ignored::Path;
use serde_json::{Value, json};

/// The path.
pub fn plain(path: &Path<'_>) -> String {
    let mut text = String::new();
    write(path, &mut text, &|place| place.to_string());
    text
}

/// The path for all elements of a list together: `spec.ports[].prot`.
pub fn of_all(path: &Path<'_>) -> String {
    let mut text = String::new();
    write(path, &mut text, &|_| String::new());
    text
}

fn write(path: &Path<'_>, text: &mut String, place: &impl Fn(usize) -> String) {
    match path {
        Path::Root => {}
        Path::Seq { parent, index } => {
            write(parent, text, place);
            text.push('[');
            text.push_str(&place(*index));
            text.push(']');
        }
        Path::Map { parent, key } => {
            write(parent, text, place);
            if !text.is_empty() {
                text.push('.');
            }
            text.push_str(key);
        }
        Path::Some { parent }
        | Path::NewtypeStruct { parent }
        | Path::NewtypeVariant { parent } => write(parent, text, place),
    }
}

/// An object with nothing but the field that [`of_all`] calls this.
pub fn sample(field: &str) -> Value {
    field.rsplit('.').fold(Value::Null, |value, part| {
        let key = part.trim_end_matches("[]");
        let lists = (part.len() - key.len()) / "[]".len();
        let value = (0..lists).fold(value, |value, _| json!([value]));
        json!({ key: value })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_has_its_field() {
        assert_eq!(sample("spec"), json!({"spec": null}));
        assert_eq!(sample("a.b[].c"), json!({"a": {"b": [{"c": null}]}}));
        assert_eq!(sample("a[][]"), json!({"a": [[null]]}));
    }
}
