//! One view over everything that can be selected, whatever map of the manifest it stands in.

use super::node::{DependsOn, Node, Relation, ResourceType};
use super::semantic::{Exposure, Metric, SavedQuery, SemanticModel, Source, UnitTest};

/// Something of the manifest that selectors can name.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the names are dbt's own")]
pub enum Resource<'m> {
    Node(&'m Node),
    Source(&'m Source),
    Exposure(&'m Exposure),
    Metric(&'m Metric),
    SemanticModel(&'m SemanticModel),
    SavedQuery(&'m SavedQuery),
    UnitTest(&'m UnitTest),
    Function(&'m Node),
}

/// The same field of every kind.
macro_rules! each {
    ($resource:expr, $field:ident) => {
        match $resource {
            Resource::Node(it) | Resource::Function(it) => &it.$field,
            Resource::Source(it) => &it.$field,
            Resource::Exposure(it) => &it.$field,
            Resource::Metric(it) => &it.$field,
            Resource::SemanticModel(it) => &it.$field,
            Resource::SavedQuery(it) => &it.$field,
            Resource::UnitTest(it) => &it.$field,
        }
    };
}

impl<'m> Resource<'m> {
    /// For example `model.shop.orders`.
    pub fn unique_id(&self) -> &'m str {
        each!(self, unique_id)
    }

    /// Its name; of a source, the table's.
    pub fn name(&self) -> &'m str {
        each!(self, name)
    }

    /// As dbt prints it: a version after the name, the source before a table.
    pub fn search_name(&self) -> String {
        match self {
            Self::Source(source) => format!("{}.{}", source.source_name, source.name),
            Self::Node(node) if node.resource_type == ResourceType::Model => match &node.version {
                Some(serde_json::Value::String(version)) => format!("{}.v{version}", node.name),
                Some(version) => format!("{}.v{version}", node.name),
                None => node.name.clone(),
            },
            Self::Node(_)
            | Self::Function(_)
            | Self::Exposure(_)
            | Self::Metric(_)
            | Self::SemanticModel(_)
            | Self::SavedQuery(_)
            | Self::UnitTest(_) => self.name().to_owned(),
        }
    }

    /// The package that it belongs to.
    pub fn package_name(&self) -> &'m str {
        each!(self, package_name)
    }

    /// Its file, relative to the root of its package.
    pub fn original_file_path(&self) -> &'m str {
        each!(self, original_file_path)
    }

    /// The path that selectors and configurations use.
    pub fn fqn(&self) -> &'m [String] {
        each!(self, fqn)
    }

    /// What it is.
    pub fn resource_type(&self) -> ResourceType {
        match self {
            Self::Node(node) | Self::Function(node) => node.resource_type,
            Self::Source(_) => ResourceType::Source,
            Self::Exposure(_) => ResourceType::Exposure,
            Self::Metric(_) => ResourceType::Metric,
            Self::SemanticModel(_) => ResourceType::SemanticModel,
            Self::SavedQuery(_) => ResourceType::SavedQuery,
            Self::UnitTest(_) => ResourceType::UnitTest,
        }
    }

    /// Ids of its parents; a source has none.
    pub fn parents(&self) -> &'m [String] {
        self.depends_on()
            .map_or(&[], |depends_on| depends_on.nodes.as_slice())
    }

    /// What it was made from; a source from nothing.
    pub fn depends_on(&self) -> Option<&'m DependsOn> {
        Some(match self {
            Self::Node(it) | Self::Function(it) => &it.depends_on,
            Self::Source(_) => return None,
            Self::Exposure(it) => &it.depends_on,
            Self::Metric(it) => &it.depends_on,
            Self::SemanticModel(it) => &it.depends_on,
            Self::SavedQuery(it) => &it.depends_on,
            Self::UnitTest(it) => &it.depends_on,
        })
    }

    /// The relation that it makes or stands for.
    pub fn relation(&self) -> Option<Relation> {
        match self {
            Self::Node(node) | Self::Function(node) => node.relation(),
            Self::Source(source) => Some(source.relation()),
            Self::Exposure(_)
            | Self::Metric(_)
            | Self::SemanticModel(_)
            | Self::SavedQuery(_)
            | Self::UnitTest(_) => None,
        }
    }
}
