//! What a request changes itself, told from what only differs because production moved on.

use super::Build;
use crate::foundation::failure::{Class, Classify, with_causes};
use crate::inputs::outcome::Outcomes;
use crate::inputs::settings::Override;
use crate::operations::ci::error::CiError;
use crate::operations::ci::merge_base;
use crate::operations::ci::report::Report;
use crate::operations::release::proposal::Proposal;
use crate::operations::release::{Release, ReleaseError};

impl Build<'_> {
    /// Tells what the request changes from what only differs because production moved on, where it can be told.
    pub(crate) async fn keep_own(
        &self,
        proposal: &mut Proposal,
        build: &str,
        report: &mut Report,
    ) -> Result<(), CiError> {
        let differs = !(proposal.changed.is_empty()
            && proposal.changed_tests.is_empty()
            && proposal.deleted.is_empty());
        if self.request.all || !differs || proposal.selected.is_some() {
            return Ok(());
        }
        let Some(now) = &proposal.outcomes else {
            report.notes.push(
                "texts are compared, so that what only differs because production moved on is built, too"
                    .to_owned(),
            );
            return Ok(());
        };
        let base = self.request.base.as_ref();
        let Some(base) = base.or(self.release.settings.ci.base.as_ref()) else {
            report.notes.push(
                "it is not known where the request goes to (--base, ci.base), so that what only differs because production moved on is built, too"
                    .to_owned(),
            );
            return Ok(());
        };
        let folder = self.release.runs().join(format!("planning-{build}-began"));
        let ended = self.began(base, &folder, now).await;
        let _ = std::fs::remove_dir_all(&folder);
        let (commit, began) = ended?;
        for (id, how) in proposal.keep_own(&began) {
            let why = format!(
                "as it was where the request began ({}); production moved on: {how}",
                commit.chars().take(12).collect::<String>()
            );
            report.left_out.insert(id, why);
        }
        Ok(())
    }

    /// What came out of the project where the request began.
    async fn began(
        &self,
        base: &str,
        folder: &std::path::Path,
        now: &Outcomes,
    ) -> Result<(String, Outcomes), CiError> {
        let (commit, release) = match self.fetched(base, folder).await? {
            Some(fetched) => fetched,
            None => self.checked_out(base, folder).await?,
        };
        let (here, packages) = (
            self.release.folder(),
            &self.release.project.dbt.packages_install_path,
        );
        merge_base::share_packages(here, packages, release.folder())?;
        let builds = release.builds(&folder.join("run"), self.reporter, self.stop)?;
        let outcomes = release.outcomes_before(&builds, now).await?;
        Ok((commit, outcomes))
    }

    /// The project as it was there, where it comes from a repository that is fetched; `None` where it does not.
    async fn fetched(
        &self,
        base: &str,
        folder: &std::path::Path,
    ) -> Result<Option<(String, Release)>, CiError> {
        let place = folder.join("git");
        match self.release.began(base, &place, self.stop).await {
            Err(ReleaseError::Source(error)) if error.class() != Class::Interrupted => {
                Err(CiError::Git(with_causes(&error)))
            }
            ended => Ok(ended?),
        }
    }

    /// The project as it was there, from the repository around the project's folder.
    async fn checked_out(
        &self,
        base: &str,
        folder: &std::path::Path,
    ) -> Result<(String, Release), CiError> {
        let here = self.release.folder();
        let began = merge_base::written(here, base, &folder.join("git"), self.stop).await?;
        let mut wanted = self.wanted.clone();
        wanted.environment = Some(self.release.environment.clone());
        wanted.is_here = true;
        let profiles = self.release.project.locations.profiles_dir.clone();
        for (path, value) in [
            ("project.directory", &began.project),
            ("project.profiles_directory", &profiles),
        ] {
            wanted.overrides.push(Override {
                flag: "--base".to_owned(),
                path: path.to_owned(),
                value: serde_json::json!(value),
            });
        }
        Ok((began.commit, Release::open(&wanted)?))
    }
}
