//! The project's variables: `vars:` of `dbt_project.yml`, or of `vars.yml` beside it.
//!
//! dbt 1.12 reads `vars.yml`, hands its variables to the Jinja of `dbt_project.yml`, and refuses variables
//! in both files (`dbt.config.project.vars_data_from_root`). Older ones do not know the file. Which dbt is in
//! use is not known here, so where both hold variables those of `dbt_project.yml` count, with a warning: they
//! are what an older dbt reads, and a newer one says itself that it will not go on.

use std::path::Path;

use serde_yaml::{Mapping, Value};

use super::super::document::{Document, Fault, Step, kind};
use super::super::jinja::Variables;
use super::Error;

/// The file of the project's variables, besides `dbt_project.yml`.
pub const VARS_FILE: &str = "vars.yml";
const KEY: &str = "vars";

/// Variables as written, and where.
#[derive(Clone, Debug)]
pub(super) struct Vars {
    /// What stands under `vars:`.
    pub(super) entries: Mapping,
    /// The file that holds them.
    pub(super) document: Document,
    /// What a person should know of it.
    pub(super) warnings: Vec<String>,
    is_own_file: bool,
}

impl Vars {
    /// Reads the variables of a project in `dir`, whose `dbt_project.yml` is `project`.
    pub(super) fn read(dir: &Path, project: &Document) -> Result<Self, Error> {
        let in_project = entries(project)?;
        let file = dir.join(VARS_FILE);
        let own = file.is_file().then(|| Document::read(&file));
        // To an older dbt the file is any file.
        if let Some(entries) = in_project.filter(|entries| !entries.is_empty()) {
            let own = own.and_then(Result::ok);
            let is_both = own.as_ref().is_some_and(|own| is_filled(own.root.get(KEY)));
            let warn = |own: Document| {
                format!(
                    "{}: stands in {} too, whose variables are taken; dbt 1.12 refuses both: keep one of the two",
                    own.place(&[KEY.into()]),
                    project.file.display()
                )
            };
            return Ok(Self {
                entries,
                document: project.clone(),
                warnings: own.filter(|_| is_both).map(warn).into_iter().collect(),
                is_own_file: false,
            });
        }
        let own = own.transpose()?.filter(|own| own.root.contains_key(KEY));
        let Some(own) = own else {
            return Ok(Self {
                entries: Mapping::new(),
                document: project.clone(),
                warnings: Vec::new(),
                is_own_file: false,
            });
        };
        Ok(Self {
            entries: entries(&own)?.unwrap_or_default(),
            warnings: own.warnings(),
            document: own,
            is_own_file: true,
        })
    }

    /// The same variables with other text in their file.
    pub(super) fn over(&self, document: Document) -> Result<Self, Error> {
        Ok(Self {
            entries: entries(&document)?.unwrap_or_default(),
            document,
            ..self.clone()
        })
    }

    /// What `var()` gives in the files of the project: the command line's variables, over those of
    /// `vars.yml`. Those of `dbt_project.yml` are not known before it is read.
    pub(super) fn under(&self, cli: &Variables) -> Variables {
        let entries = self.entries.iter().filter(|_| self.is_own_file);
        let mut vars: Variables = entries
            .filter_map(|(name, value)| Some((name.as_str()?.to_owned(), value.clone())))
            .collect();
        vars.extend(cli.clone());
        vars
    }
}

fn is_filled(vars: Option<&Value>) -> bool {
    match vars {
        None | Some(Value::Null) => false,
        Some(Value::Mapping(entries)) => !entries.is_empty(),
        Some(
            Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Sequence(_)
            | Value::Tagged(_),
        ) => true,
    }
}

/// `vars:` of a file; nothing where it is not given.
fn entries(document: &Document) -> Result<Option<Mapping>, Error> {
    let at = [Step::from(KEY)];
    match document.root.get(KEY) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Mapping(entries)) => Ok(Some(entries.clone())),
        Some(other) => {
            let what = format!("expected a mapping, found {}", kind(other));
            let fault = Fault::new(document.place(&at), what);
            Err(Error::Invalid(vec![
                fault.remedy("write `name: value` lines under it"),
            ]))
        }
    }
}
