//! Lag and hydration of each relation over time, of the deployment under way or the last one: what the page draws. In
//! memory only, bounded whatever a plan has, and never a basis for decisions.

use crate::domain::progress::ClusterReadiness;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How many relations are remembered; beyond them, those that are worst.
const MOST_RELATIONS: usize = 32;

/// How many points a relation has; beyond them, every two become one.
const MOST_POINTS: usize = 120;

/// The shortest time between two points, in milliseconds.
const SHORTEST: i64 = 1000;

/// One relation at one moment: milliseconds since the epoch, how far it lags in milliseconds where that is known, and
/// whether it is hydrated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point(pub i64, pub Option<i64>, pub bool);

/// One relation over time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The relation, as production calls it.
    pub relation: String,
    /// The production name of the cluster that computes it.
    pub cluster: String,
    /// Oldest first.
    pub points: Vec<Point>,
}

/// The relations of one environment.
#[derive(Debug, Default)]
pub struct Lines {
    deployment: String,
    /// The time between two points.
    every: i64,
    last: i64,
    known: BTreeMap<(String, String), Vec<Point>>,
    left_out: bool,
}

impl Lines {
    /// Takes a reading. That of another deployment begins anew.
    pub fn take(&mut self, deployment: &str, clusters: &[ClusterReadiness], at: Timestamp) {
        if self.deployment != deployment {
            *self = Self {
                deployment: deployment.to_owned(),
                every: SHORTEST,
                last: i64::MIN,
                ..Self::default()
            };
        }
        let at = at.as_millisecond();
        // What lies between two points changes the later one: nothing bad is lost.
        let is_new = self.last == i64::MIN || at >= self.last.saturating_add(self.every);
        if is_new {
            self.last = at;
        }
        let place = self.last;
        for cluster in clusters {
            for relation in &cluster.relations {
                let key = (relation.name.clone(), cluster.cluster.clone());
                let point = Point(place, relation.lag_ms, relation.hydrated);
                let points = self.known.entry(key).or_default();
                match points.last_mut() {
                    Some(last) if last.0 == place => *last = both(*last, point),
                    Some(_) | None => points.push(point),
                }
            }
        }
        while self.known.len() > MOST_RELATIONS {
            self.left_out = true;
            let best = self.known.iter().min_by_key(|(_, points)| badness(points));
            let Some(best) = best.map(|(key, _)| key.clone()) else {
                break;
            };
            self.known.remove(&best);
        }
        if self.known.values().any(|points| points.len() > MOST_POINTS) {
            self.every *= 2;
            for points in self.known.values_mut() {
                *points = points
                    .chunks(2)
                    .map(|pair| pair.iter().copied().reduce(both).unwrap_or(pair[0]))
                    .collect();
            }
        }
    }

    /// What is known of a deployment, the worst relations first, and whether some were left out.
    #[must_use]
    pub fn of(&self, deployment: &str) -> (Vec<Line>, bool) {
        if self.deployment != deployment {
            return (Vec::new(), false);
        }
        let mut lines: Vec<_> = self.known.iter().collect();
        lines.sort_by_key(|(_, points)| std::cmp::Reverse(badness(points)));
        let lines = lines.into_iter().map(|((relation, cluster), points)| Line {
            relation: relation.clone(),
            cluster: cluster.clone(),
            points: points.clone(),
        });
        (lines.collect(), self.left_out)
    }
}

/// Two points as one, at the time of the first: the worse of both.
fn both(first: Point, second: Point) -> Point {
    let lag = match (first.1, second.1) {
        (Some(one), Some(other)) => Some(one.max(other)),
        // What became known counts; before, it was not hydrated.
        (None, known) => known,
        (Some(_), None) => None,
    };
    Point(first.0, lag, second.2)
}

/// Not hydrated now, how long it was not, and how far it lagged at worst.
fn badness(points: &[Point]) -> (bool, usize, Option<i64>) {
    let now = points.last().is_none_or(|last| !last.2);
    let before = points.iter().filter(|point| !point.2).count();
    (now, before, points.iter().filter_map(|point| point.1).max())
}

#[cfg(test)]
mod tests {
    use super::{Lines, MOST_POINTS, MOST_RELATIONS};
    use crate::domain::progress::{ClusterReadiness, RelationReadiness};
    use jiff::Timestamp;

    fn reading(many: usize, lag: i64, hydrated: bool) -> Vec<ClusterReadiness> {
        let relation = |number: usize| RelationReadiness {
            name: format!("marts.r{number:03}"),
            hydrated: hydrated || number == 1,
            lag_ms: (hydrated || number == 1).then_some(lag + number as i64),
        };
        vec![ClusterReadiness {
            cluster: "c".to_owned(),
            hydrated: 0,
            total: many,
            lag_ms: None,
            lagging: None,
            waiting_for: Vec::new(),
            relations: (0..many).map(relation).collect(),
        }]
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).expect("a time")
    }

    #[test]
    fn a_long_wait_for_many_relations_has_a_bound_and_keeps_its_worst() {
        let mut lines = Lines::default();
        for second in 0..4000 {
            let lag = if second == 777 { 99_000 } else { 5 };
            lines.take("a", &reading(400, lag, second > 100), at(second));
        }
        let (known, left_out) = lines.of("a");
        assert!(left_out && known.len() == MOST_RELATIONS, "{}", known.len());
        for line in &known {
            assert!(line.points.len() <= MOST_POINTS && line.points.len() > MOST_POINTS / 3);
            assert!(line.points.is_sorted_by(|one, next| one.0 < next.0));
            let worst = line.points.iter().filter_map(|point| point.1).max();
            assert!(worst >= Some(99_000), "{worst:?}");
            assert!(!line.points[0].2 && line.points.last().is_some_and(|last| last.2));
        }
        // The one that was hydrated at once is not among them.
        assert!(known.iter().all(|line| line.relation != "marts.r001"));
        assert_eq!(lines.of("b").0, []);
        lines.take("b", &reading(2, 7, true), at(5000));
        assert_eq!(lines.of("a").0, []);
        assert_eq!(lines.of("b").0.len(), 2);
    }

    #[test]
    fn what_is_read_within_a_second_is_one_point() {
        let mut lines = Lines::default();
        for (milli, lag) in [(0, 5), (300, 80), (900, 6), (1100, 7)] {
            let at = Timestamp::from_millisecond(1_800_000_000_000 + milli).expect("a time");
            lines.take("a", &reading(1, lag, true), at);
        }
        let lags: Vec<_> = lines.of("a").0[0]
            .points
            .iter()
            .map(|point| point.1)
            .collect();
        assert_eq!(lags, [Some(80), Some(7)]);
    }
}
