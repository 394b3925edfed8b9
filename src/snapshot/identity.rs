use std::sync::Arc;

use crate::model::Said;
use crate::watch::Change;

/// Which cluster this is.
#[derive(Debug, Default)]
pub struct Identity {
    /// What the operator wrote, which goes before what the cluster says of itself.
    given: Option<Arc<str>>,
    said: Said<Arc<str>>,
    /// Whether the list that has begun has named an id.
    named: bool,
    listed: bool,
}

impl Identity {
    /// Of a cluster that has this id whatever it says of itself.
    pub fn given(id: Option<Arc<str>>) -> Self {
        Self {
            given: id,
            ..Self::default()
        }
    }

    /// This cluster's id, if it has one.
    pub fn id(&self) -> Option<&Arc<str>> {
        self.given.as_ref().or(self.said.get())
    }

    /// Whether a full list has been completed.
    pub fn is_listed(&self) -> bool {
        self.listed
    }

    /// Takes in a change; true if the cluster has another id now.
    pub fn apply(&mut self, change: Change<Said<Arc<str>>, ()>) -> bool {
        let before = self.id().cloned();
        match change {
            Change::Apply(mut said) => {
                said.or_before(&self.said);
                self.said = said;
                self.named = true;
            }
            Change::Delete(()) => self.said = Said::Nothing,
            Change::Listing => self.named = false,
            Change::Listed => {
                self.listed = true;
                if !self.named {
                    self.said = Said::Nothing;
                }
            }
        }
        before.as_ref() != self.id()
    }
}
