//! The names of services as people write them, and those that they may have meant.

use crate::model::{Origin, ServiceId};

/// How many names are suggested.
const FEW: usize = 5;
/// What a `ServiceImport` is told by, as in its DNS name.
const IMPORT: &str = "@clusterset";

/// Reads `NAMESPACE/NAME` or `NAME` (in namespace `default`), with `@clusterset` for a
/// `ServiceImport`.
///
/// # Errors
/// Says what a name looks like.
pub fn parse(text: &str) -> Result<ServiceId, String> {
    let (plain, import) = match text.strip_suffix(IMPORT) {
        Some(plain) => (plain, true),
        None => (text, false),
    };
    let (namespace, name) = plain.split_once('/').unwrap_or(("default", plain));
    if !is_label(namespace) || !is_label(name) {
        return Err(format!(
            "{text:?} is not the name of a service: NAMESPACE/NAME, or NAME in namespace default; \
             NAME{IMPORT} for a ServiceImport"
        ));
    }
    let id = ServiceId::new(namespace, name);
    Ok(if import { id.import() } else { id })
}

/// A DNS label (RFC 1123), which Kubernetes takes for names of services and namespaces.
fn is_label(text: &str) -> bool {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=63).contains(&text.len()) && text.chars().all(good)
}

/// The names most like one that does not exist, best first: the same name elsewhere, then those
/// that are a few letters off, then those that contain it.
pub fn near(wanted: &ServiceId, names: &[ServiceId]) -> Vec<String> {
    let mut ranked: Vec<(usize, &ServiceId)> = names
        .iter()
        .filter_map(|id| Some((distance(wanted, id)?, id)))
        .collect();
    ranked.sort();
    let best = ranked.into_iter().take(FEW);
    best.map(|(_, id)| id.to_string()).collect()
}

/// How far a name is from the wanted one, if near enough to be meant.
fn distance(wanted: &ServiceId, id: &ServiceId) -> Option<usize> {
    let elsewhere = usize::from(wanted.namespace != id.namespace);
    let other = usize::from(wanted.origin != id.origin && id.origin == Origin::Import);
    let letters = edits(&wanted.name, &id.name);
    let name = if letters <= (wanted.name.len() / 3).max(1) {
        letters
    } else if id.name.contains(&*wanted.name) || wanted.name.contains(&*id.name) {
        wanted.name.len().max(id.name.len())
    } else {
        return None;
    };
    Some(3 * name + 2 * elsewhere + other)
}

/// Letters to put in, take out, change or swap with their neighbour to make one word of the other
/// (optimal string alignment).
fn edits(one: &str, other: &str) -> usize {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in other.iter().enumerate() {
            let changed = above[j] + usize::from(a != b);
            let mut least = changed.min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == other[j - 1] && one[i - 1] == *b {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    above.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_that_of_a_service_or_of_an_import() {
        assert_eq!(parse("web").unwrap(), ServiceId::new("default", "web"));
        assert_eq!(parse("shop/web").unwrap(), ServiceId::new("shop", "web"));
        let import = ServiceId::new("shop", "web").import();
        assert_eq!(parse("shop/web@clusterset").unwrap(), import);
        assert_eq!(parse(&import.to_string()).unwrap(), import);
        for wrong in ["", "a/b/c", "Web", "web:80", "web@b", "/web", "shop/"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn words_are_as_far_apart_as_letters_differ() {
        for (one, other, wanted) in [
            ("web", "web", 0),
            ("web", "wob", 1),
            ("web", "wb", 1),
            ("web", "wbe", 1),
            ("web", "", 3),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(edits(one, other), wanted, "{one} {other}");
            assert_eq!(edits(other, one), wanted, "{other} {one}");
        }
    }

    #[test]
    fn what_was_meant_comes_first() {
        let names = [
            ServiceId::new("default", "frontend"),
            ServiceId::new("default", "db"),
            ServiceId::new("shop", "frontend-canary"),
            ServiceId::new("shop", "frontend"),
            ServiceId::new("shop", "fronted").import(),
        ];
        let wanted = ServiceId::new("shop", "fronted");
        assert_eq!(
            near(&wanted, &names),
            [
                "shop/fronted@clusterset",
                "shop/frontend",
                "default/frontend"
            ]
        );
        let wanted = ServiceId::new("shop", "canary");
        assert_eq!(near(&wanted, &names), ["shop/frontend-canary"]);
        assert!(near(&ServiceId::new("default", "queue"), &names).is_empty());
    }
}
