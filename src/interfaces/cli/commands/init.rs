//! `init`: proposes what the project should list and a configuration, and writes both once somebody agrees.

use super::{Commands, overriding};
use crate::foundation::draft::Draft;
use crate::foundation::failure::Class;
use crate::interfaces::cli::handlers::{Answer, Ending};
use crate::interfaces::console::arguments::Target;
use crate::interfaces::console::arguments::init::Init;
use crate::interfaces::console::{CommandError, Output};
use crate::interfaces::record::{InitView, LeftOutView, WrittenFile};
use crate::operations::release::survey::{Survey, proposed};
use crate::operations::release::{self, Release, Wanted};
use serde_json::json;
use similar::TextDiff;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use tokio_util::sync::CancellationToken;

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
    drafts.extend(proposed::deployment(&release, &survey, &mut notes));
    drafts.extend(proposed::configuration(&wanted, &release, &mut notes)?);
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
        draft.write().map_err(|error| {
            let place = draft.path.display();
            let error = anyhow::Error::new(error).context(format!("{place} was not written"));
            CommandError::new(Class::Permanent, error)
                .with_hint("look at the file and its folder, and run `cutover init` again")
        })?;
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
