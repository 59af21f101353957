//! What the daemon shows of builds and teardowns that it was asked for, and their news. In memory, and never a basis
//! for decisions: what stands is in the journal, with its last report.

use crate::domain::records::subject::Subject;
use crate::foundation::failure::Class;
use crate::operations::ci::collect::Collected;
use crate::operations::ci::report::{Kind, Report};
use crate::operations::daemon::status::News;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};
use tokio::sync::broadcast;

/// How many news a slow reader may be behind before it misses some.
const NEWS: usize = 1024;
/// Of how many corners of an environment it is remembered what was asked.
const REMEMBERED: usize = 200;

/// How far something is that was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It waits until others have ended.
    InLine,
    /// It is being done.
    UnderWay,
    /// It is over.
    Ended,
}

/// Why something ended before its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// How it is treated; the exit code of a command that waits for it.
    pub class: Class,
    /// What went wrong.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

/// A build.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BuildStatus {
    /// Its id; ids of later builds order after those of earlier ones.
    pub id: String,
    /// Whether it stops after every node was described.
    pub kind: Kind,
    /// The revision as it was asked for.
    pub reference: String,
    /// The commit that this is, once it is known.
    pub revision: Option<String>,
    /// Who asked.
    pub by: Subject,
    /// When.
    pub asked_at: Timestamp,
    /// How far it is.
    pub phase: Phase,
    /// Where in line it waits, from 1.
    pub position: Option<usize>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Why it ended before its end, where it did.
    pub failure: Option<Failure>,
}

/// A teardown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TeardownStatus {
    /// Its id.
    pub id: String,
    /// Who asked.
    pub by: Subject,
    /// When.
    pub asked_at: Timestamp,
    /// How far it is.
    pub phase: Phase,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Why it ended before its end, where it did.
    pub failure: Option<Failure>,
    /// What went, once it is over.
    pub collected: Option<Collected>,
}

/// What was asked of one corner last.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Asked {
    /// The last build.
    pub build: Option<BuildStatus>,
    /// The last teardown.
    pub teardown: Option<TeardownStatus>,
    /// The report of the last build that ended, with its id.
    pub report: Option<(String, Arc<Report>)>,
}

impl Asked {
    fn is_over(&self) -> bool {
        let build = self.build.as_ref().map(|build| build.phase);
        let teardown = self.teardown.as_ref().map(|teardown| teardown.phase);
        let mut phases = build.into_iter().chain(teardown);
        phases.all(|phase| phase == Phase::Ended)
    }

    fn ended_at(&self) -> Option<Timestamp> {
        let build = self.build.as_ref().and_then(|build| build.ended_at);
        let teardown = self.teardown.as_ref().and_then(|it| it.ended_at);
        build.max(teardown)
    }
}

/// All of it, by environment and name.
#[derive(Debug)]
pub struct Shown {
    entries: RwLock<BTreeMap<String, BTreeMap<String, Asked>>>,
    news: broadcast::Sender<Arc<News>>,
}

impl Default for Shown {
    fn default() -> Self {
        Self {
            entries: RwLock::default(),
            news: broadcast::Sender::new(NEWS),
        }
    }
}

impl Shown {
    /// What was asked of one corner.
    #[must_use]
    pub fn one(&self, environment: &str, name: &str) -> Option<Asked> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries.get(environment)?.get(name).cloned()
    }

    /// The builds of an environment that have not ended, with the names of their corners; those that were asked for
    /// first come first.
    #[must_use]
    pub fn under_way(&self, environment: &str) -> Vec<(String, BuildStatus)> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let asked = entries.get(environment).into_iter().flatten();
        let builds = asked.filter_map(|(name, asked)| Some((name.clone(), asked.build.clone()?)));
        let mut builds: Vec<_> = builds
            .filter(|(_, build)| build.phase != Phase::Ended)
            .collect();
        builds.sort_by(|(_, a), (_, b)| a.id.cmp(&b.id));
        builds
    }

    /// News of corners from now on. A reader that is too slow is told how many it missed.
    #[must_use]
    pub fn news(&self) -> broadcast::Receiver<Arc<News>> {
        self.news.subscribe()
    }

    /// Tells whoever listens.
    pub fn tell(&self, news: News) {
        // Nobody need listen.
        let _ = self.news.send(Arc::new(news));
    }

    /// Changes what is shown of a corner.
    pub fn change(&self, environment: &str, name: &str, change: impl FnOnce(&mut Asked)) {
        let mut entries = self.write();
        let asked = entries.entry(environment.to_owned()).or_default();
        change(asked.entry(name.to_owned()).or_default());
        if asked.len() > REMEMBERED {
            let ended = asked.iter().filter(|(_, asked)| asked.is_over());
            let oldest = ended.min_by_key(|(_, asked)| asked.ended_at());
            if let Some(oldest) = oldest.map(|(name, _)| name.clone()) {
                asked.remove(&oldest);
            }
        }
    }

    /// Changes what is shown of a build, unless another one is shown by now.
    pub fn change_build(
        &self,
        environment: &str,
        name: &str,
        id: &str,
        change: impl FnOnce(&mut BuildStatus),
    ) {
        self.change(environment, name, |asked| {
            if let Some(build) = asked.build.as_mut().filter(|build| build.id == id) {
                change(build);
            }
        });
    }

    /// Forgets an environment.
    pub(in crate::operations::daemon) fn forget(&self, environment: &str) {
        self.write().remove(environment);
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<String, BTreeMap<String, Asked>>> {
        self.entries.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{BuildStatus, Phase, REMEMBERED, Shown};
    use crate::domain::records::subject::Subject;
    use crate::operations::ci::report::Kind;
    use jiff::Timestamp;

    fn build(id: usize, phase: Phase) -> BuildStatus {
        let at = Timestamp::from_second(i64::try_from(id).expect("a number"));
        let at = at.expect("a time");
        BuildStatus {
            id: format!("{id:04}"),
            kind: Kind::Build,
            reference: "main".to_owned(),
            revision: None,
            by: Subject::Cutover,
            asked_at: at,
            phase,
            position: None,
            ended_at: (phase == Phase::Ended).then_some(at),
            failure: None,
        }
    }

    #[test]
    fn what_is_over_is_forgotten_when_there_is_too_much() {
        let shown = Shown::default();
        for number in 0..REMEMBERED + 10 {
            let phase = match number {
                0 => Phase::InLine,
                _ => Phase::Ended,
            };
            let name = format!("pr-{number}");
            shown.change("prod", &name, |asked| {
                asked.build = Some(build(number, phase));
            });
        }
        let is_there = |name: &str| shown.one("prod", name).is_some();
        assert!(is_there("pr-0") && !is_there("pr-1") && is_there("pr-209"));
        let under_way = shown.under_way("prod");
        assert_eq!(under_way.len(), 1);
        assert_eq!(under_way[0].0, "pr-0");
        shown.change_build("prod", "pr-0", "9999", |build| build.phase = Phase::Ended);
        assert_eq!(shown.under_way("prod").len(), 1, "it is another build");
    }
}
