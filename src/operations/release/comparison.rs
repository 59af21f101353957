//! The project beside the baseline: what comes out of both, and what is written.

use super::{Release, ReleaseError};
use crate::adapters::artifacts::{Baseline, KeptOutcomes};
use crate::domain::plan::refusal::{Refusal, RefusalName, Refused};
use crate::inputs::manifest::Manifest;
use crate::inputs::outcome::{self, Outcomes, Verdict};
use crate::inputs::selection;
use crate::inputs::selection::state::{Comparison, StateValue};
use crate::operations::builds::{Builds, Parsed, uncompiled};
use crate::operations::error::DeploymentError;
use crate::planning::planner::candidate::Input;
use crate::planning::planner::changes::{self, Changes};
use crate::planning::planner::clusters::ClusterNames;
use crate::planning::planner::replace::Difference;
use crate::planning::planner::replace::{self, Reasons};
use std::borrow::Cow;

/// The project beside the baseline.
pub(crate) struct Compared<'a> {
    /// As they are written.
    pub(crate) texts: Comparison<'a>,
    /// What came out of the baseline, and what comes out of the project, where that is compared.
    outcomes: Option<(Cow<'a, Outcomes>, &'a Outcomes)>,
    /// What an operator should know of it.
    notes: Vec<String>,
}

impl Compared<'_> {
    /// What changed, as a release of `input` sees it.
    pub(crate) fn changes(&self, input: &Input<'_>) -> Changes {
        let mut changes = match &self.outcomes {
            Some((old, new)) => Changes::of_outcomes(old, new, &self.texts, input),
            None => Changes::of_texts(&self.texts, input),
        };
        changes.notes.splice(0..0, self.notes.iter().cloned());
        changes
    }

    /// In which words what comes out of a node differs; `None` where it does not. Where that is not known, the texts
    /// are compared.
    pub(crate) fn differs(&self, id: &str) -> Option<String> {
        let by_text = || {
            let is_rewritten = self.texts.matches(id, StateValue::Modified);
            is_rewritten.then(|| changes::phrase(&self.texts, id))
        };
        let Some((old, new)) = &self.outcomes else {
            return by_text();
        };
        match new.verdict(id, old) {
            Verdict::Same => None,
            Verdict::Differs(differences) => {
                let words: Vec<String> = differences.iter().map(ToString::to_string).collect();
                Some(words.join(", "))
            }
            Verdict::Unknown => by_text(),
        }
    }

    /// What an operator should know of the comparison.
    pub(crate) fn notes(&self) -> &[String] {
        &self.notes
    }

    /// How a node that changed differs.
    pub(crate) fn difference(&self, id: &str, has_hooks: bool) -> Difference {
        if let Some((old, new)) = &self.outcomes
            && let Verdict::Differs(differences) = new.verdict(id, old)
        {
            return Difference::of_outcomes(&differences, has_hooks);
        }
        Difference::of_texts(self.texts.changes(id), has_hooks)
    }
}

/// What came out of a baseline, as far as its manifest says: all but the SQL, and that too where dbt had
/// compiled it.
fn of_manifest(
    old: Old<'_>,
    builds: &Builds,
    names: &ClusterNames,
) -> Result<Outcomes, ReleaseError> {
    let clusters = |named: Option<&str>| builds.final_cluster(names, named);
    let mut outcomes = uncompiled(
        old.manifest,
        old.content,
        &clusters,
        None,
        builds.switches,
        None,
    )?;
    outcomes.take_compiled(old.manifest);
    Ok(outcomes)
}

/// A project as it was.
#[derive(Clone, Copy)]
pub(crate) struct Old<'a> {
    pub(crate) manifest: &'a Manifest,
    /// The content hash of the manifest.
    pub(crate) content: &'a str,
    pub(crate) outcomes: &'a KeptOutcomes,
}

impl<'a> Old<'a> {
    pub(crate) fn of(baseline: &'a Baseline) -> Self {
        Self {
            manifest: &baseline.manifest,
            content: &baseline.metadata.manifest_hash,
            outcomes: &baseline.outcomes,
        }
    }
}

impl Release {
    /// The project beside another state of it.
    pub(crate) fn compared<'a>(
        &self,
        old: Old<'a>,
        parsed: &'a Parsed,
        builds: &Builds,
        outcomes: Option<&'a Outcomes>,
    ) -> Result<Compared<'a>, ReleaseError> {
        let rules = selection::rules(&self.project.dbt.flags, &parsed.manifest.metadata);
        let texts = Comparison::with(old.manifest, &parsed.manifest, rules);
        let mut notes = Vec::new();
        let Some(new) = outcomes else {
            return Ok(Compared {
                texts,
                outcomes: None,
                notes,
            });
        };
        let names = &parsed.candidate.cluster_names;
        let old = match old.outcomes {
            KeptOutcomes::Known(known) => Cow::Borrowed(&**known),
            KeptOutcomes::Absent => Cow::Owned(of_manifest(old, builds, names)?),
            KeptOutcomes::OtherForm { found } => {
                notes.push(format!(
                    "what came out of the baseline was recorded by another version of Cutover (form {found}, this one compares form {}), so it is not compared",
                    outcome::FORM
                ));
                Cow::Owned(of_manifest(old, builds, names)?)
            }
        };
        Ok(Compared {
            texts,
            outcomes: Some((old, new)),
            notes,
        })
    }
}

pub(super) fn refused_without_baseline() -> DeploymentError {
    Refused(vec![Refusal {
        name: RefusalName::BaselineMissing,
        message: "a selection says what of the changes is released, and there is no baseline to compare with"
            .to_owned(),
        objects: Vec::new(),
        remedy: "release everything once with `cutover deploy --full`, or take over what is live with `cutover baseline import`"
            .to_owned(),
    }])
    .into()
}

pub(super) fn refused_to_replace_all(is_full: bool) -> DeploymentError {
    let why = if is_full {
        "a full release swaps all of it"
    } else {
        "there is no baseline, so that all of it is released"
    };
    let reasons = Reasons::from([("vars.deployment".to_owned(), why.to_owned())]);
    Refused(replace::refusal(&reasons)).into()
}
