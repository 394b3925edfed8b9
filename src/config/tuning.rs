//! Checks of what section `spillway` says of levels and capacity.

use std::time::Duration;

use super::annotations::{Annotation, CAPACITY, LEVELS, REMOTE, ROUTING, value};
use super::check::Findings;
use super::file::{self, Word};
use super::settings::Settings;
use crate::model::{Capacity, Level, Mode, Remote, Said, Tuning};

/// What is true where nobody says otherwise: the file's words, or else the defaults.
pub fn defaults(file: &file::Spillway, findings: &mut Findings<'_>) -> Tuning {
    let capacity = file.capacity.as_ref().map(|word| match word {
        Word::Number(number) => number.to_string(),
        Word::Text(text) => text.clone(),
    });
    Tuning {
        routing: word(
            ("spillway.routing", file.routing.as_deref()),
            &ROUTING,
            Mode::default(),
            findings,
        ),
        levels: word(
            ("spillway.levels", file.levels.as_deref()),
            &LEVELS,
            Level::USUAL.to_vec(),
            findings,
        ),
        capacity: word(
            ("spillway.capacity", capacity.as_deref()),
            &CAPACITY,
            Capacity::Unlimited,
            findings,
        ),
        remote: word(
            ("spillway.remote", file.remote.as_deref()),
            &REMOTE,
            Remote::default(),
            findings,
        ),
        shed: Said::Valid(file.shed.unwrap_or_default()),
        affinity_yield: Said::Valid(file.affinity_yield.unwrap_or_default()),
        drain_back: Said::Valid(file.drain_back.unwrap_or_default()),
        // These have fields of their own in the settings.
        weights: Said::Nothing,
        scheduler: Said::Nothing,
    }
}

/// A value that is written as in an annotation.
fn word<T>(
    (field, text): (&str, Option<&str>),
    annotation: &Annotation<T>,
    default: T,
    findings: &mut Findings<'_>,
) -> Said<T> {
    let Some(text) = text else {
        return Said::Valid(default);
    };
    let value = (annotation.read)(text).unwrap_or_else(|| {
        findings.wrong(field, format_args!("found {text:?}"), annotation.remedy);
        default
    });
    Said::Valid(value)
}

/// `spillway.clusterId`; empty for none
pub fn cluster_id(file: &file::Spillway, findings: &mut Findings<'_>) -> Option<String> {
    let text = file.cluster_id.as_deref().filter(|text| !text.is_empty())?;
    let id = value::cluster_id(text);
    if id.is_none() {
        findings.wrong(
            "spillway.clusterId",
            format_args!("found {text:?}"),
            "give a DNS subdomain of at most 127 characters, like east-1.example.com",
        );
    }
    id.map(|id| id.to_string())
}

/// `spillway.capacityTickMilliseconds`
pub fn tick(file: &file::Spillway, findings: &mut Findings<'_>) -> Duration {
    let Some(found) = file.capacity_tick_milliseconds else {
        return Settings::TICK;
    };
    if let Ok(milliseconds @ 100..=10_000) = u64::try_from(found) {
        return Duration::from_millis(milliseconds);
    }
    findings.wrong(
        "spillway.capacityTickMilliseconds",
        format_args!("found {found}"),
        "give 100 to 10000 milliseconds",
    );
    Settings::TICK
}

/// `spillway.slowStartSeconds`
pub fn slow_start(file: &file::Spillway, findings: &mut Findings<'_>) -> Duration {
    let Some(found) = file.slow_start_seconds else {
        return Settings::SLOW_START;
    };
    if let Ok(seconds @ 0..=600) = u64::try_from(found) {
        return Duration::from_secs(seconds);
    }
    findings.wrong(
        "spillway.slowStartSeconds",
        format_args!("found {found}"),
        "give 0 to 600 seconds",
    );
    Settings::SLOW_START
}
