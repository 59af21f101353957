//! What stands for a node while nodes are described, and which nodes share a view.

use crate::adapters::materialize::MaterializeError;
use crate::adapters::materialize::temporary::{self, Member};
use crate::domain::catalog::Column;
use crate::operations::error::DeploymentError;
use crate::planning::recipe::document::Item;
use std::collections::BTreeSet;

/// The most nodes in one view.
pub(super) const SHARE: usize = 24;
/// The most columns in one view.
pub(super) const WIDTH: usize = 400;

/// What stands for a node.
#[derive(Debug, Clone)]
pub(super) enum Stand {
    /// A view of its own.
    Own(String),
    /// A part of a view that it shares.
    Shared {
        /// `None` while the view is still being put together: whoever reads it then is a part of it, too.
        view: Option<String>,
        /// Its number in there.
        number: usize,
        /// The names of its columns.
        columns: Vec<String>,
    },
}

/// Something that the server is to look at.
#[derive(Debug)]
pub(super) struct Asked<'r> {
    pub item: &'r Item,
    /// Whether it is not the node, but the types that its contract promises.
    pub is_promise: bool,
    pub number: usize,
    pub query: String,
    /// The numbers of what it reads, directly or not, in the view that is being put together.
    pub reads: BTreeSet<usize>,
    /// The names of its columns, where they are known.
    pub names: Option<Vec<String>>,
}

impl Asked<'_> {
    pub fn member(&self) -> Member<'_> {
        Member {
            number: self.number,
            columns: self.width(),
            query: &self.query,
        }
    }

    fn width(&self) -> usize {
        self.names.as_ref().map_or(0, Vec::len)
    }

    /// Whether it may share a view. Two columns of one name are for the server to refuse.
    pub fn can_share(&self) -> bool {
        self.names.as_ref().is_some_and(|names| {
            !names.is_empty()
                && names.len() <= WIDTH
                && names.iter().collect::<BTreeSet<_>>().len() == names.len()
        })
    }
}

/// The next view, as far as it is put together: level by level, each reads those before.
#[derive(Debug, Default)]
pub(super) struct Gathered<'r> {
    pub levels: Vec<Vec<Asked<'r>>>,
}

impl<'r> Gathered<'r> {
    pub fn all(&self) -> impl Iterator<Item = &Asked<'r>> {
        self.levels.iter().flatten()
    }

    pub fn is_empty(&self) -> bool {
        self.levels.is_empty()
    }

    /// Whether these may join.
    pub fn has_room_for(&self, asked: &[Asked<'_>]) -> bool {
        let width = self.all().map(Asked::width).sum::<usize>();
        fits(
            self.all().count() + asked.len(),
            width + asked.iter().map(Asked::width).sum::<usize>(),
        )
    }

    /// What stands at these numbers reads, directly or not, with themselves.
    pub fn closed(&self, numbers: &BTreeSet<usize>) -> BTreeSet<usize> {
        let read = self.all().filter(|one| numbers.contains(&one.number));
        let read = read.flat_map(|one| one.reads.iter().copied());
        read.chain(numbers.iter().copied()).collect()
    }

    /// A query as the server can look at it before there is a view: with what it reads in front of it.
    pub fn readable(&self, asked: &Asked<'_>) -> String {
        let read = self.all().filter(|one| asked.reads.contains(&one.number));
        let read: Vec<Member<'_>> = read.map(Asked::member).collect();
        temporary::query_with_members(&read, &asked.query)
    }
}

fn fits(nodes: usize, columns: usize) -> bool {
    nodes <= SHARE && columns <= WIDTH
}

/// Parts that each fit into a view, and those that would be alone in one. All of them can share.
pub(super) fn share(asked: Vec<Asked<'_>>) -> (Vec<Vec<Asked<'_>>>, Vec<Asked<'_>>) {
    let (mut parts, mut part, mut width) = (Vec::new(), Vec::new(), 0);
    for one in asked {
        if !fits(part.len() + 1, width + one.width()) {
            parts.push(std::mem::take(&mut part));
            width = 0;
        }
        width += one.width();
        part.push(one);
    }
    parts.push(part);
    let (parts, alone): (Vec<_>, Vec<_>) = parts.into_iter().partition(|part| part.len() > 1);
    (parts, alone.into_iter().flatten().collect())
}

/// The columns of what stands for a node, under their names.
pub(super) fn of(
    found: &temporary::Columns,
    stand: &Stand,
) -> Result<Vec<Column>, DeploymentError> {
    let columns = match stand {
        Stand::Own(view) => found.own.get(view).cloned(),
        Stand::Shared {
            view,
            number,
            columns,
        } => {
            let shared = view.as_ref();
            let shared = shared.and_then(|view| found.shared.get(&(view.clone(), *number)));
            let shared = shared.filter(|shared| shared.len() == columns.len());
            shared.map(|shared| {
                let named = shared.iter().zip(columns);
                named
                    .map(|(column, name)| Column {
                        name: name.clone(),
                        ..column.clone()
                    })
                    .collect()
            })
        }
    };
    // A view without columns has no row.
    match (columns, stand) {
        (Some(columns), _) => Ok(columns),
        (None, Stand::Own(_)) => Ok(Vec::new()),
        (None, Stand::Shared { .. }) => Err(MaterializeError::Unexpected {
            label: "describe nodes",
            what: "other columns than were described".to_owned(),
        }
        .into()),
    }
}
