//! What a project should list in `vars.deployment`, worked out from the project and, where it answers, the server.
//! Nothing is touched: dbt works in a folder of its own, which goes.

use super::{Release, ReleaseError, planning};
use crate::adapters::materialize::Materialize;
use crate::domain::catalog::{Catalog, ClusterDefinition};
use crate::domain::progress::Reporter;
use crate::foundation::failure::{Class, Classify, with_causes};
use crate::inputs::manifest::Manifest;
use crate::inputs::project::Deployment;
use crate::inputs::project::dbt_project;
use crate::inputs::project::switches::Switches;
use crate::operations::builds::{Builds, Green};
use crate::operations::error::DeploymentError;
use crate::planning::planner::candidate::{Candidate, ClusterUse};
use crate::planning::planner::clusters::ClusterNames;
use crate::planning::planner::propose::{self, Lists, Scene};
use std::collections::{BTreeMap, BTreeSet};
use tokio_util::sync::CancellationToken;

/// What its files are to say.
pub mod proposed;

/// What was seen, and what is proposed.
#[derive(Debug)]
pub struct Survey {
    /// Where the project was read from, one sentence.
    pub project: String,
    /// The server, its role and database; `None` where it was not seen.
    pub server: Option<String>,
    /// What `vars.deployment` should list.
    pub lists: Lists,
    /// What it lists now.
    pub listed: Option<Deployment>,
    /// What is proposed and not in production yet: `schema marts`.
    pub missing: Vec<String>,
    /// What could not be seen, and why.
    pub unseen: Vec<String>,
}

/// What was seen of the server.
struct Seen {
    catalog: Catalog,
    definitions: BTreeMap<String, Result<ClusterDefinition, String>>,
    server: Option<String>,
    unseen: Option<String>,
}

impl Release {
    /// Looks at the project and the server, and works out what should be listed.
    ///
    /// # Errors
    /// A `vars.deployment` that cannot be read; a project that neither dbt nor an earlier manifest tells of.
    pub async fn survey(&self, stop: &CancellationToken) -> Result<Survey, ReleaseError> {
        let listed = match self.project.dbt.deployment(&self.project.profile.target) {
            Ok(listed) => Some(listed),
            Err(dbt_project::Error::NoDeployment { .. }) => None,
            Err(error) => return Err(crate::inputs::project::Error::from(error).into()),
        };
        let mut unseen = Vec::new();
        let (candidate, project) = self.candidate(stop, &mut unseen).await?;
        if stop.is_cancelled() {
            return Err(ReleaseError::Interrupted);
        }
        let given = self.project.profile.credentials.cluster.as_deref();
        let target_cluster = given.map(|given| candidate.cluster_names.in_catalog(given));
        let target_cluster = target_cluster.as_deref();
        let seen = self.seen_of_server(&candidate, target_cluster).await;
        unseen.extend(seen.unseen);
        let file = self.project.dbt.vars_file().display().to_string();
        let lists = propose::lists(&Scene {
            environment: &self.environment,
            target: &self.project.profile.target,
            deployment_file: &file,
            target_cluster,
            candidate: &candidate,
            catalog: &seen.catalog,
            definitions: &seen.definitions,
            size: &self.settings.bootstrap.cluster_size,
        });
        let (catalog, is_seen) = (&seen.catalog, seen.server.is_some());
        let schemas = lists.schemas.iter();
        let schemas = schemas.filter(|name| is_seen && catalog.schema(name).is_none());
        let clusters = lists.clusters.iter();
        let clusters = clusters.filter(|name| is_seen && catalog.cluster(name).is_none());
        let missing = schemas
            .map(|name| format!("schema {name}"))
            .chain(clusters.map(|name| format!("cluster {name}")))
            .collect();
        Ok(Survey {
            project,
            server: seen.server,
            listed,
            missing,
            unseen,
            lists,
        })
    }

    /// The project as dbt parses it; where that cannot be, as the manifest has it that dbt left.
    async fn candidate(
        &self,
        stop: &CancellationToken,
        unseen: &mut Vec<String>,
    ) -> Result<(Candidate, String), ReleaseError> {
        let folder = std::env::temp_dir().join(format!("cutover-init-{}", uuid::Uuid::now_v7()));
        let parsed = self.parsed(&folder, stop).await;
        // Made a moment ago, by this process.
        let _ = std::fs::remove_dir_all(&folder);
        let error = match parsed {
            Ok(candidate) => return Ok((candidate, "as dbt parses it".to_owned())),
            Err(error) => error,
        };
        let place = self.project.dbt.manifest_path();
        if error.class() == Class::Interrupted || !place.is_file() {
            return Err(error);
        }
        let wrong = |text: String| DeploymentError::Manifest(text);
        let manifest = Manifest::read(&place).map_err(|error| wrong(with_causes(&error)))?;
        let project = manifest.metadata.project_name.as_deref();
        if project.is_some_and(|name| name != self.project.dbt.name) {
            return Err(error);
        }
        let candidate = Candidate::alone(&manifest, ClusterNames::default(), Switches::default())
            .map_err(|error| wrong(error.to_string()))?;
        unseen.push(format!(
            "the project as it is now: {}. What dbt left in {} is taken, which may be of an earlier state or of another target",
            with_causes(&error),
            place.display()
        ));
        Ok((candidate, format!("as {} has it", place.display())))
    }

    async fn parsed(
        &self,
        folder: &std::path::Path,
        stop: &CancellationToken,
    ) -> Result<Candidate, ReleaseError> {
        let builds: Builds = self.builds(folder, &Reporter::silent(), stop)?;
        // `dbt deps` would write into the project.
        if builds.listed_packages.needs_install() {
            return Err(DeploymentError::Failed(
                "packages that the project lists are not installed; run `dbt deps`".to_owned(),
            )
            .into());
        }
        let parsed = builds.parse_and_compile(None, Green::ByName).await?;
        Ok(parsed.candidate)
    }

    /// The server's catalog; without one, a server that has nothing and allows everything.
    async fn seen_of_server(&self, candidate: &Candidate, target_cluster: Option<&str>) -> Seen {
        let materialize = self.materialize();
        match self
            .looked_at(&materialize, candidate, target_cluster)
            .await
        {
            Ok((catalog, definitions)) => Seen {
                server: Some(format!(
                    "Materialize {}, database {}, role {}",
                    catalog.version, catalog.database, catalog.role
                )),
                unseen: None,
                catalog,
                definitions,
            },
            Err(error) => Seen {
                catalog: Catalog {
                    database: self.project.profile.credentials.database.clone(),
                    may_create_schemas: true,
                    may_create_clusters: true,
                    ..Catalog::default()
                },
                definitions: BTreeMap::new(),
                server: None,
                unseen: Some(format!(
                    "the server: {}. So it is not known which of the schemas and clusters exist, who owns them, and whether sources, sinks, tables or readers outside keep some from being listed",
                    with_causes(&error)
                )),
            },
        }
    }

    async fn looked_at(
        &self,
        materialize: &Materialize,
        candidate: &Candidate,
        target_cluster: Option<&str>,
    ) -> Result<(Catalog, BTreeMap<String, Result<ClusterDefinition, String>>), ReleaseError> {
        materialize.session().await?;
        let catalog = Catalog::read(materialize).await?;
        let nodes = candidate.nodes.values();
        let of_nodes = nodes.flat_map(|node| node.clusters(target_cluster));
        let of_tests = candidate.tests.values().map(|test| test.cluster.clone());
        let mut names: BTreeSet<String> = of_nodes
            .chain(of_tests)
            .flatten()
            .map(|cluster| match cluster {
                ClusterUse::Named(name) | ClusterUse::NeedsQuotes(name) => name,
            })
            .collect();
        names.extend(target_cluster.map(str::to_owned));
        let names = names.iter().map(String::as_str);
        let definitions = planning::definitions(materialize, &catalog, names).await?;
        Ok((catalog, definitions))
    }
}
