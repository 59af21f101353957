//! `init`: proposes what the project should list and a configuration, and writes both once somebody agrees.

use super::{Commands, overriding};
use crate::foundation::failure::Class;
use crate::inputs::project::Deployment;
use crate::inputs::project::dbt_project::edit::{EditError, is_same};
use crate::inputs::settings::{FILE_NAME, Settings, Sources};
use crate::interfaces::cli::arguments::Target;
use crate::interfaces::cli::arguments::init::Init;
use crate::interfaces::cli::handlers::{Answer, Ending};
use crate::interfaces::cli::{CommandError, Output};
use crate::interfaces::record::{InitView, LeftOutView, WrittenFile};
use crate::operations::release::survey::Survey;
use crate::operations::release::{self, Release, Wanted};
use serde_json::json;
use similar::TextDiff;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use tokio_util::sync::CancellationToken;

/// Files, whole or not at all.
mod write;

use write::Draft;

/// The configuration that is written; `{target}` stands for the dbt target.
const TEMPLATE: &str = include_str!("../../../../config/init.yaml");

pub(super) async fn init(
    commands: &Commands,
    arguments: &Init,
    output: &Output,
    stop: &CancellationToken,
) -> Answer {
    let wanted = wanted(commands, arguments)?;
    let release = Release::open(&wanted)?;
    let survey = release.survey(stop).await?;
    let mut drafts = Vec::new();
    let mut notes: Vec<String> = release.project.warnings().map(str::to_owned).collect();
    drafts.extend(deployment(&release, &survey, &mut notes));
    drafts.extend(configuration(&wanted, &release, &mut notes)?);
    let mut view = view(&release, &survey, &drafts, notes);
    if drafts.is_empty() {
        let what = match survey.lists.schemas.is_empty() {
            true => "nothing is proposed: no schema can be listed as things are",
            false => "nothing to write: everything is there",
        };
        view.notes.push(what.to_owned());
        output.document(&view);
        return Ok(Ending::Success);
    }
    let is_asked = !arguments.yes && !arguments.print && !output.is_json() && has_terminal();
    if arguments.print || (!arguments.yes && !is_asked) {
        let why = match arguments.print {
            true => "nothing was written (--print)",
            false => {
                "nothing was written: there is no terminal to ask on; `cutover init --yes` writes this"
            }
        };
        view.notes.push(why.to_owned());
        output.document(&view);
        return Ok(Ending::Success);
    }
    if is_asked {
        output.document(&view);
        if !agreed(drafts.len(), output, stop).await? {
            output.text("nothing was written\n");
            return Ok(Ending::Success);
        }
    }
    for draft in &drafts {
        draft.write()?;
    }
    view.written = true;
    match is_asked {
        true => output.text(&told(&drafts)),
        false => {
            view.notes.push(told(&drafts).trim_end().to_owned());
            output.document(&view);
        }
    }
    Ok(Ending::Success)
}

/// The project that is meant: here, whatever repository or bundle a configuration names.
fn wanted(commands: &Commands, arguments: &Init) -> Result<Wanted, CommandError> {
    let target = Target {
        environment: arguments.environment.clone(),
    };
    let mut wanted = commands.wanted(&target, Vec::new());
    wanted.is_here = true;
    if let Some(folder) = &arguments.folder {
        let here = std::env::current_dir().map_err(|error| {
            let error = anyhow::Error::new(error);
            CommandError::new(
                Class::Usage,
                error.context("the working directory cannot be read"),
            )
        })?;
        let folder = here.join(folder);
        let named = overriding("DIR", "project.directory", json!(folder));
        wanted.overrides.push(named);
        wanted.working_directory = folder;
    }
    Ok(wanted)
}

/// The project's file with what it should list.
fn deployment(release: &Release, survey: &Survey, notes: &mut Vec<String>) -> Option<Draft> {
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
fn configuration(
    wanted: &Wanted,
    release: &Release,
    notes: &mut Vec<String>,
) -> Result<Option<Draft>, CommandError> {
    let path = release.folder().join(FILE_NAME);
    if let Some(file) = release::configuration(wanted)?.file {
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
fn is_configuration(text: &str, target: &str) -> Result<(), CommandError> {
    let folder = std::env::temp_dir().join(format!("cutover-init-{}", uuid::Uuid::now_v7()));
    let read = || {
        crate::foundation::process::private::private_folder(&folder)?;
        let file = folder.join(FILE_NAME);
        std::fs::write(&file, text)?;
        let sources = Sources {
            file: Some(file),
            directory: folder.clone(),
            ..Sources::default()
        };
        Ok::<_, anyhow::Error>(Settings::load(&sources)?.settings.project.target)
    };
    let read = read();
    // Made a moment ago, by this process.
    let _ = std::fs::remove_dir_all(&folder);
    match read {
        Ok(Some(read)) if read == target => Ok(()),
        Ok(_) => Err(unfit(anyhow::anyhow!(
            "the target {target:?} cannot be written into {FILE_NAME}"
        ))),
        Err(error) => Err(unfit(error.context(format!("{FILE_NAME} cannot be made")))),
    }
}

fn unfit(error: anyhow::Error) -> CommandError {
    CommandError::new(Class::Permanent, error)
        .with_hint("write the file yourself, or none: the project needs none")
}

fn view(release: &Release, survey: &Survey, drafts: &[Draft], notes: Vec<String>) -> InitView {
    let folder = release.folder().to_owned();
    let refusals = survey.lists.refusals.iter();
    InitView {
        project: survey.project.clone(),
        environment: release.environment.clone(),
        target: release.project.profile.target.clone(),
        server: survey.server.clone(),
        schemas: survey.lists.schemas.iter().cloned().collect(),
        clusters: survey.lists.clusters.iter().cloned().collect(),
        left_out: survey
            .lists
            .left_out
            .iter()
            .map(|left| LeftOutView {
                kind: left.kind.to_owned(),
                name: left.name.clone(),
                why: left.why.clone(),
                remedy: left.remedy.clone(),
            })
            .collect(),
        missing: survey.missing.clone(),
        refusals: refusals
            .map(|it| {
                format!(
                    "{}: {} [{}]; {}",
                    it.name,
                    it.message,
                    it.objects.join(", "),
                    it.remedy
                )
            })
            .collect(),
        unseen: survey.unseen.clone(),
        notes,
        files: drafts.iter().map(|draft| shown(draft, &folder)).collect(),
        written: false,
        folder,
    }
}

/// A file as a unified difference.
fn shown(draft: &Draft, folder: &Path) -> WrittenFile {
    let name: PathBuf = match draft.path.strip_prefix(folder) {
        Ok(below) => below.to_owned(),
        Err(_) => draft.path.clone(),
    };
    let name = name.display().to_string();
    let before = draft.before.as_deref().unwrap_or_default();
    let from = match draft.before {
        Some(_) => name.as_str(),
        None => "/dev/null",
    };
    WrittenFile {
        path: draft.path.clone(),
        is_new: draft.before.is_none(),
        diff: TextDiff::from_lines(before, &draft.after)
            .unified_diff()
            .header(from, &name)
            .to_string(),
    }
}

fn told(drafts: &[Draft]) -> String {
    let files: Vec<String> = drafts
        .iter()
        .map(|draft| draft.path.display().to_string())
        .collect();
    format!(
        "written: {}; next: `cutover check`, then `cutover plan`\n",
        files.join(", ")
    )
}

fn has_terminal() -> bool {
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}

/// Asks, and waits for a line.
async fn agreed(
    files: usize,
    output: &Output,
    stop: &CancellationToken,
) -> Result<bool, CommandError> {
    let what = match files {
        1 => "it",
        _ => "them",
    };
    output.text(&format!("Write {what}? [y/N] "));
    let _ = std::io::stdout().flush();
    // The thread ends with the process where nobody answers.
    let (answer, answered) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = std::io::stdin().read_line(&mut line).map(|_| line);
        let _ = answer.send(read);
    });
    let line = tokio::select! {
        () = stop.cancelled() => return Err(release::ReleaseError::Interrupted.into()),
        line = answered => line,
    };
    let line = line.ok().and_then(Result::ok).unwrap_or_default();
    Ok(matches!(
        line.trim().to_ascii_lowercase().as_str(),
        "y" | "yes"
    ))
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
