//! From layers to one configuration.
//!
//! Later layers win: the compiled-in defaults, the file, `CUTOVER__SECTION__KEY`, flags. What a
//! named environment changes wins over the general keys of all of them but flags, which win always.

use super::fault::{Fault, SettingsError};
use super::tree::{Layer, Path, Tree, set};
use super::validate::Faults;
use super::{Settings, show};
use config::{Config, ConfigError, FileFormat, Source};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The defaults, with a comment for every key.
pub const DEFAULTS: &str = include_str!("../../../config/default.yaml");

/// The file that is read from the project's folder when no other is given.
pub const FILE_NAME: &str = "cutover.yaml";

/// What environment variables of the configuration begin with.
pub const PREFIX: &str = "CUTOVER__";

/// Where the layers come from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The file that was asked for; it must exist.
    pub file: Option<PathBuf>,
    /// The project's folder, where [`FILE_NAME`] is looked for when no file was asked for.
    pub directory: PathBuf,
    /// The environment variables, of which those with [`PREFIX`] count.
    pub environment: BTreeMap<String, String>,
    /// What flags say.
    pub overrides: Vec<Override>,
}

/// A value that a flag sets.
#[derive(Debug, Clone, PartialEq)]
pub struct Override {
    /// The flag, for messages, for example `--promotion`.
    pub flag: String,
    /// The key with dots, for example `project.target`.
    pub path: String,
    /// The value.
    pub value: Value,
}

/// A configuration, and where what differs from the defaults was set.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration.
    pub settings: Settings,
    /// The named environment that was merged into it.
    pub environment: Option<String>,
    /// The file that was read.
    pub file: Option<PathBuf>,
    origins: BTreeMap<Path, String>,
    overrides: Layer,
}

impl Sources {
    /// The sources of a real process.
    #[must_use]
    pub fn of_process(file: Option<PathBuf>, directory: PathBuf, overrides: Vec<Override>) -> Self {
        let environment = std::env::vars_os()
            .map(|(key, value)| {
                (
                    key.to_string_lossy().into_owned(),
                    value.to_string_lossy().into_owned(),
                )
            })
            .filter(|(key, _)| key.starts_with(PREFIX))
            .collect();
        Self {
            file,
            directory,
            environment,
            overrides,
        }
    }

    /// The file to read with its text, where there is one.
    fn read(&self) -> Result<Option<(PathBuf, String)>, SettingsError> {
        let unreadable = |path: PathBuf| move |source| SettingsError::Unreadable { path, source };
        let path = match &self.file {
            Some(path) => path.clone(),
            None => {
                let path = self.directory.join(FILE_NAME);
                if !path.try_exists().map_err(unreadable(path.clone()))? {
                    let found = path.with_extension("yml");
                    if found.exists() {
                        return Err(SettingsError::Misnamed {
                            found,
                            expected: FILE_NAME,
                        });
                    }
                    return Ok(None);
                }
                path
            }
        };
        let bytes = std::fs::read(&path).map_err(unreadable(path.clone()))?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let good = error.utf8_error().valid_up_to();
            let line = error.as_bytes()[..good]
                .split(|byte| *byte == b'\n')
                .count();
            SettingsError::Syntax {
                place: format!("{}:{line}", path.display()),
                message: "this is not UTF-8".to_owned(),
            }
        })?;
        let text = text
            .strip_prefix('\u{feff}')
            .map_or(text.clone(), str::to_owned);
        Ok(Some((path, text)))
    }
}

impl Settings {
    /// The compiled-in defaults.
    ///
    /// # Errors
    /// Never in a build whose tests pass.
    pub fn defaults() -> Result<Self, SettingsError> {
        merged(&[])
    }

    /// Reads all layers and checks everything.
    ///
    /// # Errors
    /// When a file cannot be read, or with every fault of every layer at once.
    pub fn load(sources: &Sources) -> Result<Loaded, SettingsError> {
        let tree = Tree::new(&Settings::defaults()?);
        let mut faults = Vec::new();

        let mut file = Layer::default();
        let read = sources.read()?;
        if let Some((path, text)) = &read {
            let place = path.display().to_string();
            let document = parse(&place, text)?;
            tree.take(&mut file, &[], &document, &place, &mut faults);
        }

        let mut variables = Layer::default();
        for (name, value) in &sources.environment {
            let Some(rest) = name.strip_prefix(PREFIX) else {
                continue;
            };
            let path: Path = rest.split("__").map(str::to_owned).collect();
            tree.take_text(
                &mut variables,
                &path,
                &file.values,
                value,
                name,
                &mut faults,
            );
        }

        let mut overrides = Layer::default();
        for Override { flag, path, value } in &sources.overrides {
            let path: Path = path.split('.').map(str::to_owned).collect();
            let value = serde_yaml::to_value(value).unwrap_or_default();
            tree.take(&mut overrides, &path, &value, flag, &mut faults);
        }

        let layers = [file, variables, overrides];
        let settings = merged(&layers)?;
        let origins: BTreeMap<Path, String> = layers
            .iter()
            .flat_map(|layer| layer.origins.clone())
            .collect();
        let [_, _, overrides] = layers;
        let loaded = Loaded {
            settings,
            environment: None,
            file: read.map(|(path, _)| path),
            origins,
            overrides,
        };
        // Values that do not fit are left out above, so the rest can be judged all the same.
        faults.extend(loaded.validate());
        faults.extend(loaded.check_chains());
        if faults.is_empty() {
            Ok(loaded)
        } else {
            Err(SettingsError::Faults(faults))
        }
    }
}

impl Loaded {
    /// The folder of the file that was read, or else the working directory: where relative paths of the daemon's
    /// own files begin.
    #[must_use]
    pub fn folder(&self, working_directory: &std::path::Path) -> PathBuf {
        let folder = self.file.as_deref().and_then(std::path::Path::parent);
        let folder = folder.filter(|folder| !folder.as_os_str().is_empty());
        folder.map_or(working_directory.to_owned(), |folder| {
            working_directory.join(folder)
        })
    }

    /// The configuration with what the named environment changes; without a name, as it is.
    ///
    /// # Errors
    /// [`SettingsError::UnknownEnvironment`] with the names that there are, or faults that only
    /// show in the merged configuration.
    pub fn for_environment(&self, name: Option<&str>) -> Result<Self, SettingsError> {
        let Some(name) = name else {
            return Ok(self.clone());
        };
        let Some(environment) = self.settings.environments.get(name) else {
            return Err(SettingsError::UnknownEnvironment {
                name: name.to_owned(),
                known: self.settings.environments.keys().cloned().collect(),
            });
        };
        let mut values = object(&self.settings);
        let changes = Value::Object(object(environment));
        let mut origins = self.origins.clone();
        for (path, origin) in &self.origins {
            let Some(path) = path
                .strip_prefix(["environments".to_owned(), name.to_owned()].as_slice())
                .filter(|path| !path.is_empty())
            else {
                continue;
            };
            let Some(value) = path.iter().try_fold(&changes, |at, key| at.get(key)) else {
                continue;
            };
            // Null means: as the general key says. Only a variable may itself be null.
            if value.is_null() && path.get(1).is_none_or(|key| key != "vars") {
                continue;
            }
            let general = path.first().and_then(|key| values.get(key));
            let value = match (general, value) {
                (Some(Value::Array(general)), Value::Array(own))
                    if path == ["allow"]
                        || path == ["checks"]
                        || path == ["gates"]
                        || path == ["freeze"] =>
                {
                    let mut all = general.clone();
                    all.extend(own.iter().filter(|word| !general.contains(word)).cloned());
                    Value::Array(all)
                }
                _ => value.clone(),
            };
            set(&mut values, path, value);
            origins.insert(path.to_vec(), format!("environments.{name} in {origin}"));
        }
        for (path, flag) in &self.overrides.origins {
            let value = path
                .split_first()
                .and_then(|(first, rest)| {
                    rest.iter()
                        .try_fold(self.overrides.values.get(first)?, |at, key| at.get(key))
                })
                .cloned()
                .unwrap_or_default();
            set(&mut values, path, value);
            origins.insert(path.clone(), flag.clone());
        }
        let settings: Settings =
            serde_json::from_value(Value::Object(values)).map_err(|error| unforeseen(&error))?;
        let merged = Self {
            settings,
            environment: Some(name.to_owned()),
            file: self.file.clone(),
            origins,
            overrides: self.overrides.clone(),
        };
        let faults = merged.validate();
        if faults.is_empty() {
            Ok(merged)
        } else {
            Err(SettingsError::Faults(faults))
        }
    }

    /// Every key that is set, with the file, variable or flag that set it, in the order of keys.
    pub fn changes(&self) -> impl Iterator<Item = (String, &str)> {
        self.origins
            .iter()
            .map(|(path, origin)| (path.join("."), origin.as_str()))
    }

    /// The configuration as YAML that can be read again, each value that is set with its origin
    /// in a comment. A password in the store's URL is masked.
    #[must_use]
    pub fn show(&self) -> String {
        show::yaml(&self.settings, &self.origins)
    }

    /// The faults that types admit, with their places.
    fn validate(&self) -> Vec<Fault> {
        self.placed(self.settings.validate())
    }

    /// The faults of what comes after what.
    fn check_chains(&self) -> Vec<Fault> {
        let mut faults = Faults(Vec::new());
        self.settings.check_chains(&mut faults);
        self.placed(faults.0)
    }

    fn placed(&self, faults: Vec<Fault>) -> Vec<Fault> {
        let placed = |fault: Fault| Fault {
            place: self.origin(&fault.path).unwrap_or_default(),
            ..fault
        };
        faults.into_iter().map(placed).collect()
    }

    /// Where the key, or something within it, was set.
    fn origin(&self, path: &str) -> Option<String> {
        self.origins
            .iter()
            .find(|(known, _)| {
                let known = known.join(".");
                let below = path.strip_prefix(&known);
                below.is_some_and(|below| below.is_empty() || below.starts_with(['.', '[']))
            })
            .or_else(|| {
                self.origins
                    .iter()
                    .find(|(known, _)| known.join(".").starts_with(&format!("{path}.")))
            })
            .map(|(_, origin)| origin.clone())
    }
}

/// The defaults with the layers on top.
fn merged(layers: &[Layer]) -> Result<Settings, SettingsError> {
    let defaults = config::File::from_str(DEFAULTS, FileFormat::Yaml);
    layers
        .iter()
        .cloned()
        .fold(Config::builder().add_source(defaults), |builder, layer| {
            builder.add_source(layer)
        })
        .build()
        .and_then(Config::try_deserialize)
        .map_err(|error| unforeseen(&error))
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<config::Map<String, config::Value>, ConfigError> {
        Ok(self
            .values
            .iter()
            .map(|(key, value)| (key.clone(), value_of(value)))
            .collect())
    }
}

fn value_of(value: &Value) -> config::Value {
    match value {
        Value::Null => config::Value::new(None, config::ValueKind::Nil),
        Value::Bool(value) => config::Value::new(None, *value),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(whole), _) => config::Value::new(None, whole),
            (None, Some(whole)) => config::Value::new(None, whole),
            (None, None) => config::Value::new(None, number.as_f64().unwrap_or_default()),
        },
        Value::String(text) => config::Value::new(None, text.as_str()),
        Value::Array(items) => {
            config::Value::new(None, items.iter().map(value_of).collect::<Vec<_>>())
        }
        Value::Object(entries) => config::Value::new(
            None,
            entries
                .iter()
                .map(|(key, value)| (key.clone(), value_of(value)))
                .collect::<config::Map<_, _>>(),
        ),
    }
}

fn object(value: &impl serde::Serialize) -> Map<String, Value> {
    match serde_json::to_value(value) {
        Ok(Value::Object(map)) => map,
        Ok(_) | Err(_) => Map::new(),
    }
}

/// The document in a file.
fn parse(place: &str, text: &str) -> Result<serde_yaml::Value, SettingsError> {
    serde_yaml::from_str(text).map_err(|error| SettingsError::Syntax {
        place: match error.location() {
            Some(at) => format!("{place}:{}:{}", at.line(), at.column()),
            None => place.to_owned(),
        },
        message: error.to_string(),
    })
}

/// Layers are checked key by key before they are merged; what fails afterwards is still reported
/// like a fault.
fn unforeseen(error: &dyn std::error::Error) -> SettingsError {
    SettingsError::Faults(vec![Fault {
        place: String::new(),
        path: String::new(),
        message: error.to_string(),
        remedy: "compare the file with config/default.yaml".to_owned(),
    }])
}
