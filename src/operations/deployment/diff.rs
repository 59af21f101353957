//! The data diff of a deployment: before the swap by itself where that is configured, and whenever somebody asks.
//!
//! Durable is what each relation came to, an effect of its own. A process that died goes on behind the last one on
//! record, as long as both sides are the objects that it was about.

use super::checks::places::Places;
use super::replace;
use crate::adapters::store::StoreError;
use crate::domain::catalog::ObjectKind;
use crate::domain::checks::{Moment, Relation, Side};
use crate::domain::diff::{Diff, Entry, Mode, Outcome, Record, Verdict, choose};
use crate::domain::lifecycle::state::State;
use crate::domain::plan::{Plan, PlannedNode, Strategy};
use crate::domain::records::deployment::{Deployment, Effect};
use crate::operations::diff::{Comparing, Server, Subject};
use crate::operations::error::DeploymentError;
use crate::operations::saga::context::{Context, key};
use serde::{Deserialize, Serialize};

/// What somebody asks for.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// What is asked.
    pub diff: Diff,
    /// Only these relations; all without any.
    pub relations: Vec<Relation>,
    /// Whether what is on record is asked again.
    pub again: bool,
}

/// What is on record of a deployment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// Green against production; `None` when nothing was compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Record>,
    /// What serves since the swap against the old side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soak: Option<Record>,
}

impl Recorded {
    /// What these effects say.
    ///
    /// # Errors
    /// When a record cannot be read.
    pub fn of(effects: &[Effect]) -> Result<Self, StoreError> {
        let record = |moment| -> Result<Option<Record>, StoreError> {
            let (whole, part) = keys_of(moment);
            let Some(whole) = effects.iter().find(|effect| effect.key == whole) else {
                return Ok(None);
            };
            let mut record = Record::default();
            for effect in effects.iter().filter(|effect| effect.key.starts_with(part)) {
                // One without a result was being compared when its process ended.
                if let Some(entry) = effect.result_as()? {
                    record.put(entry);
                }
            }
            record.complete = whole.result_as()?.unwrap_or(false);
            Ok(Some(record))
        };
        Ok(Self {
            before: record(Moment::Before)?,
            soak: record(Moment::Soak)?,
        })
    }

    /// The records with their moments, in order.
    pub fn all(&self) -> impl Iterator<Item = (Moment, &Record)> {
        let before = self.before.iter().map(|record| (Moment::Before, record));
        before.chain(self.soak.iter().map(|record| (Moment::Soak, record)))
    }

    /// Whether nothing was compared.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.before.is_none() && self.soak.is_none()
    }
}

/// The effect of all relations, and what begins those of one.
fn keys_of(moment: Moment) -> (&'static str, &'static str) {
    match moment {
        Moment::Before => (key::DIFF, key::DIFF_OF),
        Moment::Soak => (key::DIFF_SOAK, key::DIFF_SOAK_OF),
    }
}

/// Compares green with production, where that was asked for with the deployment.
///
/// # Errors
/// [`DeploymentError::Failed`] with each relation that exceeds a threshold or could not be compared, where that is a
/// gate; a server that is away.
pub(super) async fn before(
    context: &Context<'_>,
    deployment: &Deployment,
) -> Result<(), DeploymentError> {
    let Some(diff) = deployment.request.diff.as_ref() else {
        return Ok(());
    };
    if diff.mode == Mode::Off {
        return Ok(());
    }
    let wanted = Wanted {
        diff: diff.clone(),
        relations: Vec::new(),
        again: false,
    };
    let record = run(context, deployment, Moment::Before, &wanted).await?;
    let text = format!("data diff: {}", record.summary());
    context.reporter.note(text);
    match record.refusal() {
        Some(reason) => Err(DeploymentError::Failed(reason)),
        None => Ok(()),
    }
}

/// When a deployment in this state has two sides to compare.
///
/// # Errors
/// [`DeploymentError::NotNow`] when it has not.
pub fn moment(deployment: &Deployment) -> Result<Moment, DeploymentError> {
    match deployment.state {
        State::Hydrating | State::Verifying | State::Kept | State::Ready => Ok(Moment::Before),
        State::Soaking => Ok(Moment::Soak),
        State::Pending
        | State::Planned
        | State::Staging
        | State::Building
        | State::CuttingOver
        | State::CleaningUp
        | State::Done
        | State::Unwinding
        | State::Aborted
        | State::Failed
        | State::RollingBack
        | State::RolledBack
        | State::Stuck => Err(DeploymentError::NotNow(format!(
            "a deployment that is {} does not have two sides to compare",
            deployment.state
        ))),
    }
}

/// Compares both sides and records what came of it, after each relation.
///
/// # Errors
/// A server that is away; the journal's; relations that are not part of the release.
pub async fn run(
    context: &Context<'_>,
    deployment: &Deployment,
    moment: Moment,
    wanted: &Wanted,
) -> Result<Record, DeploymentError> {
    let subjects = subjects(deployment, moment, wanted)?;
    let (whole, part) = keys_of(moment);
    context.begin(deployment, whole, &wanted.diff).await?;
    let known = match wanted.again {
        true => Record::default(),
        false => {
            let effects = context.store.effects(&deployment.id).await?;
            let recorded = Recorded::of(&effects)?;
            let known = recorded.all().find(|(then, _)| *then == moment);
            known.map(|(_, record)| record.clone()).unwrap_or_default()
        }
    };
    context.materialize.session_patiently().await?;
    let server = Server {
        materialize: context.materialize,
        database: &deployment.plan.database,
    };
    let total = wanted.diff.total_timeout.0;
    let mut comparing = Comparing::begin(server, &subjects, total, &known).await?;
    while let Some(next) = comparing.upcoming() {
        let key = format!("{part}{}", next.node);
        context.begin(deployment, &key, &next.asked).await?;
        let entry = tokio::select! {
            entry = comparing.next() => entry?,
            () = context.cancel.cancelled() => {
                context.interrupted(deployment)?;
                None
            }
        };
        let Some(entry) = entry else { break };
        context.finish(deployment, &key, &entry).await?;
        tell(context, &entry);
    }
    if wanted.relations.is_empty() {
        context.finish(deployment, whole, &true).await?;
    }
    Ok(comparing.record().clone())
}

fn tell(context: &Context<'_>, entry: &Entry) {
    let text = format!("data diff of {}: {}", entry.relation, entry.says());
    match entry.verdict {
        Verdict::Exceeded | Verdict::Undecided => {
            let against = entry.against.join(", ");
            context.reporter.warning(format!("{text} ({against})"));
        }
        // Of many relations most are as they were, and the summary says so.
        Verdict::NotJudged | Verdict::Within => match entry.outcome {
            Outcome::Equal | Outcome::New => {}
            Outcome::Different
            | Outcome::CountsOnly
            | Outcome::TimedOut
            | Outcome::NotReached
            | Outcome::Refused
            | Outcome::Missing
            | Outcome::NoColumns
            | Outcome::NoCluster
            | Outcome::Unreadable => context.reporter.note(text),
        },
    }
}

/// What is compared: the relations that the release makes anew, in the order of their names.
fn subjects(
    deployment: &Deployment,
    moment: Moment,
    wanted: &Wanted,
) -> Result<Vec<Subject>, DeploymentError> {
    let plan = &deployment.plan;
    let places = Places::new(plan, moment, &replace::secret_name(deployment));
    let mut subjects = Vec::new();
    for node in plan.built() {
        let is_relation = match node.kind {
            Some(ObjectKind::View | ObjectKind::MaterializedView | ObjectKind::Table) => true,
            Some(
                ObjectKind::Index
                | ObjectKind::Source
                | ObjectKind::Sink
                | ObjectKind::Connection
                | ObjectKind::Secret
                | ObjectKind::Type
                | ObjectKind::Function,
            )
            | None => false,
        };
        let relation = Relation {
            schema: node.schema.clone(),
            name: node.identifier.clone(),
        };
        let is_wanted = wanted.relations.is_empty() || wanted.relations.contains(&relation);
        let Some(green) = places.on(Side::Green, &relation).filter(|_| is_relation) else {
            continue;
        };
        let asked = choose(&wanted.diff, &relation, &node.diff);
        if !is_wanted || !places.is_touched(&relation) || asked.mode == Mode::Off {
            continue;
        }
        let place = |relation: Relation| (relation.schema, relation.name);
        subjects.push(Subject {
            node: node.unique_id.clone(),
            blue: places.on(Side::Blue, &relation).map(place),
            green: place(green),
            cluster: cluster(plan, node, wanted.diff.cluster.as_deref()),
            asked,
            faults: node.diff.faults.clone(),
            relation,
        });
    }
    let is_known = |relation: &&Relation| subjects.iter().any(|one| one.relation == **relation);
    let strange = wanted.relations.iter().find(|relation| !is_known(relation));
    if let Some(strange) = strange {
        return Err(DeploymentError::NotNow(format!(
            "{strange} is not among what this release makes anew and compares"
        )));
    }
    subjects.sort_by_cached_key(|one| (one.relation.clone(), one.node.clone()));
    Ok(subjects)
}

/// The cluster that compares: before the swap the one called green is the new side's, and after it the old side's.
/// It never serves production's readers.
fn cluster(plan: &Plan, node: &PlannedNode, given: Option<&str>) -> Result<String, String> {
    if let Some(given) = given {
        return Ok(given.to_owned());
    }
    if plan.strategy == Strategy::Replace {
        return Err(
            "the view is replaced in place, so that only production's cluster has it; diff.cluster names another"
                .to_owned(),
        );
    }
    let own = plan
        .clusters
        .iter()
        .find(|cluster| node.cluster.as_ref() == Some(&cluster.name));
    let swapped = plan.clusters.iter().find(|cluster| !cluster.scratch);
    let any = own.or(swapped).or_else(|| plan.clusters.first());
    any.map(|cluster| cluster.green.clone()).ok_or_else(|| {
        "the release makes no cluster of its own; diff.cluster names one that may compare"
            .to_owned()
    })
}
