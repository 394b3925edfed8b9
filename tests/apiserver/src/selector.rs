//! Label and field selectors: which objects a list or watch is about.

use serde_json::Value;

use crate::error::Refusal;
use crate::object::{Key, Object};

/// Everything that narrows a list or watch down.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// `None`: all namespaces.
    pub namespace: Option<String>,
    labels: Vec<Requirement>,
    fields: Vec<Requirement>,
}

impl Filter {
    /// Parses the `labelSelector` and `fieldSelector` parameters.
    pub fn parse(namespace: Option<String>, labels: &str, fields: &str) -> Result<Self, Refusal> {
        let labels = terms(labels)
            .map(Requirement::label)
            .collect::<Result<_, _>>()?;
        let fields = terms(fields)
            .map(Requirement::field)
            .collect::<Result<_, _>>()?;
        Ok(Self {
            namespace,
            labels,
            fields,
        })
    }

    /// The name that a `metadata.name=` field selector asks for: RBAC's resourceNames apply to it.
    pub fn name(&self) -> Option<&str> {
        self.fields.iter().find_map(|field| match &field.test {
            Test::In(names) if field.key == "metadata.name" => names.first().map(String::as_str),
            _ => None,
        })
    }

    pub fn admits_key(&self, key: &Key) -> bool {
        self.namespace
            .as_ref()
            .is_none_or(|namespace| *namespace == key.namespace)
    }

    /// Whether an object, whose key is admitted, has the labels and fields asked for.
    pub fn admits(&self, object: &Object) -> bool {
        let labels = object.labels();
        self.labels
            .iter()
            .all(|label| label.holds(labels.get(&label.key)))
            && self
                .fields
                .iter()
                .all(|field| field.holds_for_field(&object.value))
    }
}

/// One comma-separated term of a selector.
#[derive(Debug, Clone)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Debug, Clone)]
enum Test {
    Exists,
    Missing,
    In(Vec<String>),
    NotIn(Vec<String>),
}

/// Splits at the commas that are not inside parentheses.
fn terms(selector: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0;
    selector
        .split(move |c| {
            match c {
                '(' => depth += 1,
                ')' => depth -= 1,
                _ => {}
            }
            c == ',' && depth == 0
        })
        .map(str::trim)
        .filter(|term| !term.is_empty())
}

impl Requirement {
    fn new(key: &str, test: Test) -> Self {
        Self {
            key: key.trim().to_owned(),
            test,
        }
    }

    /// `key`, `!key`, `key=value`, `key==value`, `key!=value`, `key in (a,b)`, `key notin (a,b)`.
    fn label(term: &str) -> Result<Self, Refusal> {
        let unparsable = || Refusal::new(400, format!("unable to parse requirement: {term:?}"));
        let requirement = if let Some(key) = term.strip_prefix('!') {
            Self::new(key, Test::Missing)
        } else if let Some(equality) = Self::equality(term) {
            equality
        } else if let Some((head, values)) = term.split_once('(') {
            let values = values.strip_suffix(')').ok_or_else(unparsable)?;
            let values = values
                .split(',')
                .map(|value| value.trim().to_owned())
                .collect();
            match head.split_whitespace().collect::<Vec<_>>()[..] {
                [key, "in"] => Self::new(key, Test::In(values)),
                [key, "notin"] => Self::new(key, Test::NotIn(values)),
                _ => return Err(unparsable()),
            }
        } else {
            Self::new(term, Test::Exists)
        };
        let key = &requirement.key;
        let malformed = key.is_empty() || key.contains(|c: char| c.is_whitespace() || c == '(');
        if malformed {
            Err(unparsable())
        } else {
            Ok(requirement)
        }
    }

    /// A dotted path and one of `=`, `==`, `!=`. Any path is served; a real API server knows a
    /// few per kind.
    fn field(term: &str) -> Result<Self, Refusal> {
        Self::equality(term).ok_or_else(|| {
            Refusal::new(
                400,
                format!("invalid field selector: {term:?}; can't understand it"),
            )
        })
    }

    fn equality(term: &str) -> Option<Self> {
        let value = |value: &str| vec![value.trim().to_owned()];
        if let Some((key, unwanted)) = term.split_once("!=") {
            return Some(Self::new(key, Test::NotIn(value(unwanted))));
        }
        let (key, wanted) = term.split_once("==").or_else(|| term.split_once('='))?;
        Some(Self::new(key, Test::In(value(wanted))))
    }

    fn holds(&self, label: Option<&Value>) -> bool {
        let label = label.and_then(Value::as_str);
        let among =
            |values: &[String]| label.is_some_and(|label| values.iter().any(|v| v == label));
        match &self.test {
            Test::Exists => label.is_some(),
            Test::Missing => label.is_none(),
            Test::In(values) => among(values),
            Test::NotIn(values) => !among(values),
        }
    }

    /// An absent field counts as empty, as it does for typed objects.
    fn holds_for_field(&self, object: &Value) -> bool {
        let field = self
            .key
            .split('.')
            .try_fold(object, |value, step| value.get(step));
        let text = match field {
            None | Some(Value::Null) => Value::String(String::new()),
            Some(Value::String(text)) => Value::String(text.clone()),
            Some(other) => Value::String(other.to_string()),
        };
        self.holds(Some(&text))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn admits(labels: &str, fields: &str) -> bool {
        let web = json!({
            "metadata": { "name": "web", "labels": { "app": "web", "tier": "front" } },
            "spec": { "clusterIP": "10.0.0.1", "hostNetwork": true },
        });
        Filter::parse(None, labels, fields)
            .unwrap()
            .admits(&Object::at(web, 1))
    }

    #[test]
    fn labels_are_selected_by_equality_sets_and_existence() {
        for selector in [
            "",
            "app=web",
            "app==web,tier=front",
            "app!=db",
            "absent!=x",
            "app in (db, web)",
            "tier notin (back),app",
            "absent notin (a,b)",
            "!absent",
        ] {
            assert!(admits(selector, ""), "{selector}");
        }
        for selector in [
            "app=db",
            "app!=web",
            "app in (db)",
            "tier notin (front)",
            "absent",
            "!app",
        ] {
            assert!(!admits(selector, ""), "{selector}");
        }
    }

    #[test]
    fn fields_are_selected_by_path() {
        for selector in [
            "metadata.name=web",
            "spec.clusterIP!=None",
            "spec.hostNetwork==true",
            "spec.nodeName=,metadata.name=web",
        ] {
            assert!(admits("", selector), "{selector}");
        }
        for selector in [
            "metadata.name!=web",
            "spec.clusterIP=None",
            "spec.nodeName=n1",
        ] {
            assert!(!admits("", selector), "{selector}");
        }
    }

    #[test]
    fn nonsense_is_a_bad_request() {
        for (labels, fields) in [
            ("app in web", ""),
            ("app in (web", ""),
            ("=x", ""),
            ("", "spec"),
        ] {
            let refusal = Filter::parse(None, labels, fields).unwrap_err();
            assert_eq!(refusal.code, 400, "{labels} {fields}");
        }
    }
}
