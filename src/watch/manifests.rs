//! Kubernetes objects from YAML and JSON files instead of an API server.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::event::{Change, Event};
use super::kinds::{Kind, applied};
use super::names::Names;
use super::objects::{
    ClusterProperty, EndpointSlice, KNOWN_TO_ALL, Neighbour, Node, Service, ServiceImport,
};
use super::parse::{CLUSTER_ID, Problem};
use super::unknown;

/// Why manifests could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// A file or directory cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file is neither YAML nor JSON.
    #[error("{path}: {source}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: Box<serde_saphyr::Error>,
    },
    /// A document is no Kubernetes object.
    #[error("{path}: document {document}: {source}; each document must be a Kubernetes object")]
    Object {
        /// The file.
        path: PathBuf,
        /// Its number within the file, from 1.
        document: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// Reads the Services, `ServiceImports`, `EndpointSlices`, the Node called `node` and the property
/// that holds the cluster's id from files, and from the `.yaml`, `.yml` and `.json` files of
/// directories, as the events of a complete list of each.
///
/// Objects without a namespace are taken to be in `default`; other kinds are passed over.
pub fn read(paths: &[PathBuf], node: &str) -> Result<(Vec<Event>, Vec<Problem>), ManifestError> {
    let mut lists = Lists {
        node,
        names: Names::default(),
        services: Vec::new(),
        imports: Vec::new(),
        slices: Vec::new(),
        nodes: Vec::new(),
        neighbours: Vec::new(),
        properties: Vec::new(),
        problems: Vec::new(),
    };
    for path in paths {
        for file in files(path).map_err(|source| read_error(path, source))? {
            lists.file(&file)?;
        }
    }
    let events = listed::<Service>(lists.services)
        .chain(listed::<ServiceImport>(lists.imports))
        .chain(listed::<EndpointSlice>(lists.slices))
        .chain(listed::<Node>(lists.nodes))
        .chain(listed::<Neighbour>(lists.neighbours))
        .chain(listed::<ClusterProperty>(lists.properties))
        .collect();
    Ok((events, lists.problems))
}

fn listed<K: Kind>(events: Vec<Event>) -> impl Iterator<Item = Event> {
    std::iter::once(K::event(Change::Listing))
        .chain(events)
        .chain(std::iter::once(K::event(Change::Listed)))
}

fn read_error(path: &Path, source: io::Error) -> ManifestError {
    ManifestError::Read {
        path: path.into(),
        source,
    }
}

/// The files that a path stands for, in alphabetical order.
fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.into()]);
    }
    let mut files = Vec::new();
    for entry in path.read_dir()? {
        let file = entry?.path();
        let extension = file.extension().and_then(|extension| extension.to_str());
        if matches!(extension, Some("yaml" | "yml" | "json")) && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

fn yaml(path: &Path, text: &str) -> Result<Vec<Value>, ManifestError> {
    // A whole cluster is more than the parser expects of one file, and this is not a stranger's.
    let options = serde_saphyr::options! { budget: None };
    serde_saphyr::from_multiple_with_options(text, options).map_err(|source| {
        ManifestError::Syntax {
            path: path.into(),
            source: Box::new(source),
        }
    })
}

struct Lists<'a> {
    node: &'a str,
    names: Names,
    services: Vec<Event>,
    imports: Vec<Event>,
    slices: Vec<Event>,
    nodes: Vec<Event>,
    neighbours: Vec<Event>,
    properties: Vec<Event>,
    problems: Vec<Problem>,
}

impl Lists<'_> {
    fn file(&mut self, path: &Path) -> Result<(), ManifestError> {
        let text = std::fs::read_to_string(path).map_err(|source| read_error(path, source))?;
        // JSON is YAML, too, but its own parser is many times faster.
        let json = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
        let documents = match json.collect() {
            Ok(documents) => documents,
            Err(_) => yaml(path, &text)?,
        };
        for (index, document) in documents.into_iter().enumerate() {
            self.object(document)
                .map_err(|source| ManifestError::Object {
                    path: path.into(),
                    document: index + 1,
                    source,
                })?;
        }
        Ok(())
    }

    fn object(&mut self, mut object: Value) -> serde_json::Result<()> {
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        let kind = text(object.get("kind")).unwrap_or_default();
        let name = text(object.pointer("/metadata/name")).unwrap_or_default();
        match kind.as_str() {
            "Service" => {
                self.problems.extend(unknown::of_service(&object));
                let (event, problems) = self.namespaced::<Service>(object)?;
                self.services.push(event);
                self.problems.extend(problems);
            }
            "ServiceImport" => {
                let (event, problems) = self.namespaced::<ServiceImport>(object)?;
                self.imports.push(event);
                self.problems.extend(problems);
            }
            "EndpointSlice" => {
                self.problems.extend(unknown::of_slice(&object));
                let (event, problems) = self.namespaced::<EndpointSlice>(object)?;
                self.slices.push(event);
                self.problems.extend(problems);
            }
            "Node" if name == self.node => {
                let object = serde_json::from_value::<Node>(object)?;
                let (event, problems) = applied(object, &mut self.names);
                self.nodes.push(event);
                self.problems.extend(problems);
            }
            "Node" => {
                let object = serde_json::from_value::<Neighbour>(object)?;
                let labels = object.metadata.labels.as_ref();
                let known = labels.and_then(|labels| labels.get(KNOWN_TO_ALL));
                if known.is_some_and(|known| known == "true") {
                    self.neighbours.push(applied(object, &mut self.names).0);
                }
            }
            "ClusterProperty" if name == CLUSTER_ID => {
                let object = serde_json::from_value::<ClusterProperty>(object)?;
                let (event, problems) = applied(object, &mut self.names);
                self.properties.push(event);
                self.problems.extend(problems);
            }
            // `List`, `ServiceList` and so on; the items of the latter do not name their kind.
            _ if kind.ends_with("List") => {
                let of = Value::from(kind.trim_end_matches("List"));
                let items = object.get_mut("items").map(Value::take);
                for mut item in serde_json::from_value::<Vec<Value>>(items.unwrap_or_default())? {
                    if let Value::Object(fields) = &mut item {
                        fields.entry("kind").or_insert_with(|| of.clone());
                    }
                    self.object(item)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn namespaced<K: Kind>(&mut self, object: Value) -> serde_json::Result<(Event, Vec<Problem>)> {
        let mut object: K = serde_json::from_value(object)?;
        let namespace = &mut object.meta_mut().namespace;
        namespace.get_or_insert_with(|| "default".to_owned());
        Ok(applied(object, &mut self.names))
    }
}

#[cfg(test)]
#[path = "manifests_tests.rs"]
mod tests;
