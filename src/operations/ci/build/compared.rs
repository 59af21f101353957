//! The data of what was built beside production's, where that is configured. It is told; nothing fails by it.

use super::{Build, Worked};
use crate::domain::checks::Relation;
use crate::domain::diff::{Mode, Record, choose};
use crate::operations::ci::choice::Relations;
use crate::operations::ci::error::CiError;
use crate::operations::ci::make::Made;
use crate::operations::ci::namespace::Work;
use crate::operations::ci::report::Report;
use crate::operations::diff::{Comparing, Server, Subject};
use crate::planning::recipe::document::Make;

impl Build<'_> {
    /// Compares what was built with its counterpart in production, on the corner's cluster. What a request says of its
    /// models is heeded but for what it shows: it may have taken a mask away.
    pub(super) async fn compare(
        &self,
        work: &Work<'_>,
        worked: &Worked,
        made: &Made,
        report: &mut Report,
    ) -> Result<(), CiError> {
        let mut diff = self.release.settings.diff.clone();
        diff.mode = Mode::Report;
        diff.samples = 0;
        let candidate = &worked.proposal.parsed.candidate;
        let catalog = &worked.proposal.catalog;
        let relations = Relations::of(catalog);
        let mut subjects = Vec::new();
        for item in &worked.recipe.items {
            let is_there =
                made.built.contains_key(&item.unique_id) || made.kept.contains(&item.unique_id);
            let is_relation = match item.make {
                Make::MaterializedView { .. } | Make::Seed { .. } | Make::View { .. } => true,
                Make::Source { .. } => false,
            };
            let Some(node) = candidate.nodes.get(&item.unique_id) else {
                continue;
            };
            let is_live = relations.get(&node.schema, &node.identifier).is_some();
            if !is_there || !is_relation || !is_live {
                continue;
            }
            let relation = Relation {
                schema: node.schema.clone(),
                name: node.identifier.clone(),
            };
            let asked = choose(&diff, &relation, &node.diff);
            if asked.mode == Mode::Off {
                continue;
            }
            subjects.push(Subject {
                node: item.unique_id.clone(),
                blue: Some((node.schema.clone(), node.identifier.clone())),
                green: (item.schema.clone(), item.name.clone()),
                cluster: Ok(worked.place.cluster.clone()),
                asked,
                faults: node.diff.faults.clone(),
                relation,
            });
        }
        let server = Server {
            materialize: work.materialize,
            database: &catalog.database,
        };
        let total = diff.total_timeout.0;
        let mut comparing = Comparing::begin(server, &subjects, total, &Record::default()).await?;
        while comparing.next().await?.is_some() {}
        report.diff.clone_from(&comparing.record().entries);
        Ok(())
    }
}
