//! Every command and every YAML on a page is one: commands go to the parser of the command line, YAML to what reads it.

use super::documentation::{document, documents};
use clap::error::ErrorKind;
use clap::{Command, CommandFactory};
use cutover::foundation::environment::Environment;
use cutover::inputs::project::{Arguments as Options, Project};
use cutover::inputs::settings::{Settings, Sources};
use cutover::interfaces::console::Arguments;
use regex::Regex;
use serde_json::Value;
use std::path::Path;

/// What a block is called that holds what a reader does and no test can do, such as to install something.
const NOT_RUN: &str = "on your machine";

/// A block of code on a page.
pub(super) struct Block {
    page: String,
    line: usize,
    /// What stands behind the fence; nothing for a block that is indented.
    pub(super) language: String,
    pub(super) title: String,
    pub(super) lines: Vec<String>,
}

impl Block {
    pub(super) fn text(&self) -> String {
        self.lines.join("\n") + "\n"
    }

    fn place(&self) -> String {
        format!("{}:{}", self.page, self.line)
    }

    pub(super) fn is_run(&self) -> bool {
        self.title != NOT_RUN
    }
}

/// The blocks of a page, fenced or indented, and the page without them.
pub(super) fn blocks(page: &str) -> (Vec<Block>, String) {
    let text = document(page);
    let title = Regex::new(r#"title="([^"]*)""#).expect("a pattern");
    let (mut found, mut prose) = (Vec::new(), String::new());
    let mut lines = text.lines().enumerate().peekable();
    let mut was_blank = true;
    while let Some((at, line)) = lines.next() {
        let mut block = Block {
            page: page.to_owned(),
            line: at + 1,
            language: String::new(),
            title: String::new(),
            lines: Vec::new(),
        };
        if let Some(info) = line.trim_start().strip_prefix("```") {
            let margin = line.len() - line.trim_start().len();
            block.language = info.split(' ').next().unwrap_or_default().to_owned();
            block.title = title
                .captures(info)
                .map(|it| it[1].to_owned())
                .unwrap_or_default();
            let inside = lines.by_ref().take_while(|(_, line)| line.trim() != "```");
            let inside = inside.map(|(_, line)| line.get(margin..).unwrap_or_default().to_owned());
            block.lines = inside.collect();
            found.push(block);
        } else if was_blank && line.starts_with("    ") {
            block.lines.push(line[4..].to_owned());
            while let Some((_, line)) =
                lines.next_if(|(_, it)| it.starts_with("    ") || it.is_empty())
            {
                block
                    .lines
                    .push(line.get(4..).unwrap_or_default().to_owned());
            }
            found.push(block);
            continue;
        } else {
            prose.push_str(line);
            prose.push('\n');
        }
        was_blank = line.is_empty();
    }
    (found, prose)
}

fn all_blocks() -> Vec<Block> {
    documents().iter().flat_map(|page| blocks(page).0).collect()
}

/// The words of a command line, as a shell takes them apart.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for sign in line.chars() {
        match (quote, sign) {
            (Some(begun), _) if begun == sign => quote = None,
            (None, '\'' | '"') => {
                quote = Some(sign);
                word.get_or_insert_default();
            }
            (None, ' ') => words.extend(word.take()),
            _ => word.get_or_insert_default().push(sign),
        }
    }
    words.extend(word);
    words
}

/// The commands of `cutover` in a block, without what is explained beside them.
fn commands(block: &Block) -> Vec<String> {
    let end = Regex::new(r" {2,}| # | > | \| | && |;").expect("a pattern");
    let text = block.text().replace("\\\n", " ");
    text.lines()
        .filter_map(|line| {
            let mut line = line.trim();
            for lead in ["$ ", "- run: ", "sudo -u cutover "] {
                line = line.strip_prefix(lead).unwrap_or(line);
            }
            // A line of usage is written by the parser itself.
            let rest = line
                .strip_prefix("cutover ")
                .filter(|it| !it.contains("[OPTIONS]"))?;
            let command = format!("cutover {}", rest.trim_start());
            let command = end.split(&command).next().unwrap_or_default().to_owned();
            Some(command.replace("--server URL", "--server https://cutover.example:8425"))
        })
        .collect()
}

#[test]
fn every_command_on_a_page_is_one() {
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for block in all_blocks() {
        for command in commands(&block) {
            seen += 1;
            if let Err(error) = Arguments::try_of(words(&command).into_iter().map(Into::into))
                && !matches!(
                    error.kind(),
                    ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
                )
            {
                wrong.push(format!("{}: {command}\n{error}", block.place()));
            }
        }
    }
    assert!(seen > 100, "{seen}");
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// What of the words is no command and no flag.
fn unknown<'a>(program: &Command, words: &[&'a str]) -> Option<&'a str> {
    let (mut command, mut is_path) = (program, true);
    for &word in words {
        if let Some(flag) = word.strip_prefix("--") {
            let flag = flag.split('=').next().unwrap_or_default();
            let knows = |it: &Command| it.get_arguments().any(|it| it.get_long() == Some(flag));
            if !knows(command) && !["help", "version"].contains(&flag) {
                return Some(word);
            }
            is_path = false;
        } else if is_path && command.has_subcommands() && !word.starts_with('-') {
            match command.find_subcommand(word) {
                Some(below) => command = below,
                None => return Some(word),
            }
        } else {
            is_path = false;
        }
    }
    None
}

#[test]
fn every_command_in_a_sentence_has_its_flags() {
    let mut program = Arguments::command();
    program.build();
    let command = Regex::new(r"`cutover\s([^`]+)`").expect("a pattern");
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for page in documents() {
        for found in command.captures_iter(&blocks(&page).1) {
            // Several in one, as `ci build|list`, are looked at as the first one.
            let line = found[1].replace("\\|", "|");
            let words: Vec<&str> = line.split_whitespace().collect();
            let words: Vec<&str> = words
                .iter()
                .map(|it| it.split('|').next().unwrap_or(it))
                .collect();
            seen += 1;
            if let Some(word) = unknown(&program, &words) {
                wrong.push(format!("{page}: `cutover {line}` has no {word}"));
            }
        }
    }
    assert!(seen > 200, "{seen}");
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// What is wrong with a configuration.
fn faults_of_settings(text: &str) -> Option<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("cutover.yaml");
    std::fs::write(&file, text).expect("a file");
    let loaded = Settings::load(&Sources {
        file: Some(file),
        directory: folder.path().to_owned(),
        ..Sources::default()
    });
    let loaded = match loaded {
        Ok(loaded) => loaded,
        Err(error) => return Some(error.to_string()),
    };
    let written: Value = serde_yaml::from_str(text).expect("YAML");
    let environments = written["environments"].as_object().into_iter().flatten();
    let mut faults =
        environments.filter_map(|(name, _)| loaded.for_environment(Some(name.as_str())).err());
    faults.next().map(|error| error.to_string())
}

/// What is wrong with a part of `dbt_project.yml`.
fn faults_of_project(text: &str) -> Option<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let written: Value = serde_yaml::from_str(text).expect("YAML");
    let targets = written["vars"]["deployment"].as_object().expect("targets");
    let outputs: String = targets
        .keys()
        .map(|name| {
            format!(
                "    {name}: {{type: materialize, host: localhost, user: u, password: p, database: d, schema: s, threads: 1, port: 6875}}\n"
            )
        })
        .collect();
    let head = "name: shop\nversion: '1.0'\nprofile: shop\n";
    std::fs::write(
        folder.path().join("dbt_project.yml"),
        format!("{head}{text}"),
    )
    .expect("a file");
    std::fs::write(
        folder.path().join("profiles.yml"),
        format!(
            "shop:\n  target: {}\n  outputs:\n{outputs}",
            targets.keys().next().expect("one")
        ),
    )
    .expect("a file");
    let mut faults = targets.keys().filter_map(|name| {
        let options = Options {
            target: Some(name.clone()),
            profiles_dir: Some(folder.path().to_owned()),
            ..Options::default()
        };
        let project = Project::open(&options, &Environment::default(), folder.path());
        project.and_then(|it| it.deployment()).err()
    });
    faults.next().map(|error| error.to_string())
}

/// What is wrong with a workflow of GitHub, as far as its form says so.
fn faults_of_workflow(text: &str) -> Option<String> {
    let written: Value = match serde_yaml::from_str(text) {
        Ok(written) => written,
        Err(error) => return Some(error.to_string()),
    };
    let mut jobs = written["jobs"].as_object().into_iter().flatten();
    let has_steps = jobs.any(|(_, job)| job["steps"].is_array());
    (!has_steps || written.get("on").is_none()).then(|| "no jobs with steps".to_owned())
}

#[test]
fn every_yaml_on_a_page_is_what_it_says() {
    let defaults: Value = serde_yaml::from_str(&document("config/default.yaml")).expect("YAML");
    let (mut wrong, mut settings, mut projects, mut workflows) = (Vec::new(), 0, 0, 0);
    for block in all_blocks() {
        let text = block.text();
        let first = block.lines.first().map(String::as_str).unwrap_or_default();
        let is_yaml = block.language == "yaml";
        // An indented block says what it is by its keys.
        let is_settings = block.language.is_empty()
            && serde_yaml::from_str::<Value>(&text).is_ok_and(|it| {
                let mut keys = it.as_object().into_iter().flatten();
                keys.any(|(key, _)| defaults.get(key).is_some())
            });
        let name = match block.title.as_str() {
            "" => first.trim_start_matches("# "),
            title => title,
        };
        let fault = match name {
            _ if is_settings => {
                settings += 1;
                faults_of_settings(&text)
            }
            _ if !is_yaml => continue,
            "cutover.yaml" => {
                settings += 1;
                faults_of_settings(&text)
            }
            "dbt_project.yml" => {
                projects += 1;
                faults_of_project(&text)
            }
            name if name.starts_with(".github/workflows/") => {
                workflows += 1;
                faults_of_workflow(&text)
            }
            name => Some(format!("nobody knows what {name:?} is")),
        };
        if let Some(fault) = fault {
            wrong.push(format!("{}: {fault}", block.place()));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert!(settings >= 15, "{settings}");
    assert!(projects >= 3, "{projects}");
    assert_eq!(workflows, 1);
}

#[test]
fn blocks_that_no_test_runs_are_few_and_say_so() {
    let marked = all_blocks().iter().filter(|it| !it.is_run()).count();
    assert_eq!(marked, 4);
    let known = ["", "console", "yaml", "sql", "text"];
    for block in all_blocks() {
        let language = block.language.as_str();
        assert!(known.contains(&language), "{}: {language}", block.place());
    }
}

#[test]
fn every_page_is_in_the_navigation_of_the_site() {
    let site = document("mkdocs.yml");
    let pages = documents();
    let pages = pages.iter().filter_map(|it| it.strip_prefix("docs/"));
    let missing: Vec<&str> = pages
        .filter(|page| !page.starts_with("adr/") && !page.starts_with("help/"))
        .filter(|page| !site.contains(&format!(" {page}\n")))
        .collect();
    assert_eq!(missing, Vec::<&str>::new());
    let image = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/images/page.png");
    assert!(image.metadata().expect("a picture").len() < 200_000);
}
