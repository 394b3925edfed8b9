//! Misbehaviour: what the server does to requests in place of, or before, answering them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::record::Recorded;
use crate::request::Verb;

/// Something to do to the requests that match, in the order in which faults were added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Which requests.
    #[serde(default)]
    pub matching: Match,
    /// What happens to them.
    pub action: Action,
    /// How many of them; `None`: all, until the server is told to behave.
    #[serde(default)]
    pub times: Option<u32>,
}

/// Which requests a fault is for: those that agree with every field that is given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Match {
    /// E.g. `watch`.
    pub verb: Option<Verb>,
    /// The plural, with the subresource if there is one, e.g. `nodes/status`.
    pub resource: Option<String>,
    /// The namespace in the path.
    pub namespace: Option<String>,
    /// The object in the path.
    pub name: Option<String>,
    /// Who asks.
    pub user: Option<String>,
}

/// What happens to a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// Refused with an HTTP status code, e.g. 410, 429, 500, 503.
    #[serde(rename_all = "camelCase")]
    Refuse {
        /// HTTP status code.
        code: u16,
        /// Seconds for the `Retry-After` header.
        #[serde(default)]
        retry_after: Option<u64>,
    },
    /// Answered properly, later.
    DelayMillis(u64),
    /// Never answered.
    Hang,
    /// The connection is closed without an answer.
    Drop,
}

impl Fault {
    /// A fault for every request with this verb on this resource.
    pub fn on(verb: Verb, resource: impl Into<String>, action: Action) -> Self {
        let resource = Some(resource.into());
        Self {
            matching: Match {
                verb: Some(verb),
                resource,
                ..Match::default()
            },
            action,
            times: None,
        }
    }

    /// A fault for every request.
    pub fn always(action: Action) -> Self {
        Self {
            matching: Match::default(),
            action,
            times: None,
        }
    }

    /// The same for the next `times` requests only.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self {
            times: Some(times),
            ..self
        }
    }
}

impl Action {
    /// Refusal with a code and no `Retry-After`.
    pub fn refuse(code: u16) -> Self {
        Self::Refuse {
            code,
            retry_after: None,
        }
    }

    /// A delay, in whole milliseconds.
    pub fn delay(delay: Duration) -> Self {
        Self::DelayMillis(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX))
    }
}

impl Match {
    fn applies(&self, request: &Recorded) -> bool {
        let agrees = |wanted: &Option<String>, given: &str| {
            wanted.as_ref().is_none_or(|wanted| wanted == given)
        };
        self.verb.is_none_or(|verb| verb.as_str() == request.verb)
            && agrees(&self.resource, &request.resource)
            && agrees(&self.namespace, &request.namespace)
            && agrees(&self.name, &request.name)
            && agrees(&self.user, &request.user)
    }
}

/// The faults in force.
#[derive(Debug, Default)]
pub struct Faults(Vec<Fault>);

impl Faults {
    pub fn add(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The action of the first fault that applies, which is thereby used once.
    pub fn take(&mut self, request: &Recorded) -> Option<Action> {
        let at = self
            .0
            .iter()
            .position(|fault| fault.times != Some(0) && fault.matching.applies(request))?;
        let fault = &mut self.0[at];
        if let Some(times) = &mut fault.times {
            *times -= 1;
        }
        Some(fault.action.clone())
    }
}
