//! What the files of a project are to say, each read again before it is shown to anybody.

use super::Survey;
use crate::foundation::draft::Draft;
use crate::foundation::process::private::private_folder;
use crate::inputs::project::Deployment;
use crate::inputs::project::dbt_project::edit::{EditError, is_same};
use crate::inputs::settings::{FILE_NAME, Settings, Sources};
use crate::operations::error::DeploymentError;
use crate::operations::release::{Release, ReleaseError, Wanted};

/// The configuration that is written; `{target}` stands for the dbt target.
const TEMPLATE: &str = include_str!("../../../../config/init.yaml");

/// The project's file with what it should list.
pub fn deployment(release: &Release, survey: &Survey, notes: &mut Vec<String>) -> Option<Draft> {
    let (dbt, target) = (&release.project.dbt, &release.project.profile.target);
    let proposed = Deployment {
        clusters: survey.lists.clusters.iter().cloned().collect(),
        schemas: survey.lists.schemas.iter().cloned().collect(),
    };
    if proposed.schemas.is_empty() {
        return None;
    }
    match &survey.listed {
        Some(listed) if is_same(listed, &proposed) => {
            notes.push(format!("vars.deployment.{target} lists this already"));
            return None;
        }
        Some(listed) => notes.push(format!(
            "vars.deployment.{target} lists something else now: {}",
            differences(listed, &proposed).join("; ")
        )),
        None => {}
    }
    match dbt.with_deployment(target, &proposed) {
        Ok(edited) => Some(Draft {
            path: edited.file,
            before: Some(edited.before),
            after: edited.after,
        }),
        Err(error) => {
            notes.push(by_hand(&error, target, &proposed));
            None
        }
    }
}

/// What differs between two lists, in words.
fn differences(listed: &Deployment, proposed: &Deployment) -> Vec<String> {
    let of = |what: &str, now: &[String], then: &[String]| {
        let missing = |from: &[String], other: &[String]| {
            let names = from.iter().filter(|name| !other.contains(name));
            names.cloned().collect::<Vec<_>>().join(", ")
        };
        let (more, less) = (missing(then, now), missing(now, then));
        let told = |label: &str, names: String| {
            (!names.is_empty()).then(|| format!("{what} {names} {label}"))
        };
        [told("would be added", more), told("would go", less)]
    };
    let schemas = of("schemas", &listed.schemas, &proposed.schemas);
    let clusters = of("clusters", &listed.clusters, &proposed.clusters);
    schemas.into_iter().chain(clusters).flatten().collect()
}

fn by_hand(error: &EditError, target: &str, proposed: &Deployment) -> String {
    format!(
        "{error}; write it yourself: vars.deployment.{target} is {{clusters: [{}], schemas: [{}]}}",
        proposed.clusters.join(", "),
        proposed.schemas.join(", ")
    )
}

/// A configuration, where there is none.
///
/// # Errors
/// A configuration that is there and faulty; a target that cannot be written into one.
pub fn configuration(
    wanted: &Wanted,
    release: &Release,
    notes: &mut Vec<String>,
) -> Result<Option<Draft>, ReleaseError> {
    let path = release.folder().join(FILE_NAME);
    if let Some(file) = super::super::configuration(wanted)?.file {
        notes.push(format!(
            "the configuration is {}, which stays as it is",
            file.display()
        ));
        return Ok(None);
    }
    let target = serde_json::Value::from(release.project.profile.target.as_str()).to_string();
    let named = release.project.profile.target.as_str();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_word =
        named.starts_with(|c: char| c.is_ascii_alphabetic()) && named.chars().all(is_plain);
    let shown = if is_word { named } else { &target };
    let text = TEMPLATE.replace("{target}", shown);
    is_configuration(&text, named)?;
    Ok(Some(Draft {
        path,
        before: None,
        after: text,
    }))
}

/// Makes sure that the program reads the file as it is meant.
fn is_configuration(text: &str, target: &str) -> Result<(), ReleaseError> {
    let folder = std::env::temp_dir().join(format!("cutover-init-{}", uuid::Uuid::now_v7()));
    let file = folder.join(FILE_NAME);
    let made = private_folder(&folder).and_then(|()| std::fs::write(&file, text));
    let read = made.map(|()| {
        Settings::load(&Sources {
            file: Some(file),
            directory: folder.clone(),
            ..Sources::default()
        })
    });
    // Made a moment ago, by this process.
    let _ = std::fs::remove_dir_all(&folder);
    let loaded = read.map_err(|source| ReleaseError::Folder {
        path: folder,
        source,
    })??;
    match loaded.settings.project.target.as_deref() == Some(target) {
        true => Ok(()),
        false => Err(DeploymentError::Failed(format!(
            "the target {target:?} cannot be written into {FILE_NAME}; the project needs none"
        ))
        .into()),
    }
}

#[cfg(test)]
mod tests {
    use super::{TEMPLATE, is_configuration};

    #[test]
    fn the_configuration_is_one_also_with_each_key_that_it_shows() {
        let text = TEMPLATE.replace("{target}", "prod");
        assert!(is_configuration(&text, "prod").is_ok());
        let with_all: String = text
            .lines()
            .filter(|line| !line.contains("environments:") && !line.contains("production:"))
            .map(|line| match line.strip_prefix("# ") {
                Some(rest) if is_key(rest) => format!("{rest}\n"),
                Some(_) | None => format!("{line}\n"),
            })
            .collect();
        let read = is_configuration(&with_all, "prod");
        assert!(read.is_ok(), "{with_all}\n{read:?}");
        assert!(with_all.contains("\nsoak: 0s\n") && with_all.contains("\n  lag_threshold: 1s\n"));
    }

    /// `key:`, with or without a value, indented or not; no sentence.
    fn is_key(line: &str) -> bool {
        let Some((key, rest)) = line.split_once(':') else {
            return false;
        };
        let key = key.trim_start();
        !key.is_empty()
            && key.chars().all(|c| c.is_ascii_lowercase() || c == '_')
            && (rest.is_empty() || rest.starts_with(' '))
    }
}
