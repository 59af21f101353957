//! The project beside the baseline: what comes out of both, and what is written.

use super::{Release, ReleaseError};
use crate::artifacts::{Baseline, KeptOutcomes};
use crate::deployment::builds::{Builds, Parsed, uncompiled};
use crate::plan::candidate::Input;
use crate::plan::changes::Changes;
use crate::plan::clusters::ClusterNames;
use crate::plan::replace::Difference;
use crate::project::outcome::{self, Outcomes, Verdict};
use crate::project::select;
use crate::project::state::Comparison;
use std::borrow::Cow;

/// The project beside the baseline.
pub(super) struct Compared<'a> {
    /// As they are written.
    pub(super) texts: Comparison<'a>,
    /// What came out of the baseline, and what comes out of the project, where that is compared.
    outcomes: Option<(Cow<'a, Outcomes>, &'a Outcomes)>,
    /// What an operator should know of it.
    notes: Vec<String>,
}

impl Compared<'_> {
    /// What changed, as a release of `input` sees it.
    pub(super) fn changes(&self, input: &Input<'_>) -> Changes {
        let mut changes = match &self.outcomes {
            Some((old, new)) => Changes::of_outcomes(old, new, &self.texts, input),
            None => Changes::of_texts(&self.texts, input),
        };
        changes.notes.splice(0..0, self.notes.iter().cloned());
        changes
    }

    /// How a node that changed differs.
    pub(super) fn difference(&self, id: &str, has_hooks: bool) -> Difference {
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
    baseline: &Baseline,
    builds: &Builds,
    names: &ClusterNames,
) -> Result<Outcomes, ReleaseError> {
    let content = &baseline.metadata.manifest_hash;
    let clusters = |named: Option<&str>| builds.final_cluster(names, named);
    let mut outcomes = uncompiled(
        &baseline.manifest,
        content,
        &clusters,
        None,
        builds.switches,
        None,
    )?;
    outcomes.take_compiled(&baseline.manifest);
    Ok(outcomes)
}

impl Release {
    /// The project beside the baseline.
    pub(super) fn compared<'a>(
        &self,
        baseline: &'a Baseline,
        parsed: &'a Parsed,
        builds: &Builds,
        outcomes: Option<&'a Outcomes>,
    ) -> Result<Compared<'a>, ReleaseError> {
        let rules = select::rules(&self.project.dbt.flags, &parsed.manifest.metadata);
        let texts = Comparison::with(&baseline.manifest, &parsed.manifest, rules);
        let mut notes = Vec::new();
        let Some(new) = outcomes else {
            return Ok(Compared {
                texts,
                outcomes: None,
                notes,
            });
        };
        let names = &parsed.candidate.cluster_names;
        let old = match &baseline.outcomes {
            KeptOutcomes::Known(known) => Cow::Borrowed(&**known),
            KeptOutcomes::Absent => Cow::Owned(of_manifest(baseline, builds, names)?),
            KeptOutcomes::OtherForm { found } => {
                notes.push(format!(
                    "what came out of the baseline was recorded by another version of Cutover (form {found}, this one compares form {}), so it is not compared",
                    outcome::FORM
                ));
                Cow::Owned(of_manifest(baseline, builds, names)?)
            }
        };
        Ok(Compared {
            texts,
            outcomes: Some((old, new)),
            notes,
        })
    }
}
