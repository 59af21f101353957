//! A build from its beginning to its report: by itself, or of a corner that whoever asks leads already.

use super::Build;
use crate::adapters::store::Lead;
use crate::foundation::failure::{Classify, with_causes};
use crate::operations::ci::error::CiError;
use crate::operations::ci::queue::Ask;
use crate::operations::ci::report::{Kind, Report};
use jiff::Timestamp;
use std::time::Instant;

impl Build<'_> {
    /// Builds, and says how it ended; also of an error there is a report.
    pub async fn run(&self) -> (Report, Option<CiError>) {
        let (mut report, began) = self.begun();
        let ended = match self.request.kind {
            Kind::Check => self.check(&mut report).await,
            Kind::Build => self.in_turn(&mut report).await,
        };
        ended_so(report, began, ended)
    }

    /// As [`Build::run`], of a corner that is led. Whoever leads it also sees to it that a later build takes its place.
    pub async fn run_held(&self, lead: &Lead, ask: &Ask<'_>) -> (Report, Option<CiError>) {
        let (mut report, began) = self.begun();
        let ended = match self.request.kind {
            Kind::Check => self.check(&mut report).await,
            Kind::Build => self.led(lead, ask, self.stop, &mut report).await,
        };
        ended_so(report, began, ended)
    }

    fn begun(&self) -> (Report, Instant) {
        let name = self.request.name.as_str();
        let mut report = Report::begun(self.request.kind, name, Timestamp::now());
        report.environment.clone_from(&self.release.environment);
        report.project.clone_from(&self.release.project.dbt.name);
        report.revision.clone_from(&self.request.revision);
        (report, Instant::now())
    }
}

fn ended_so(
    mut report: Report,
    began: Instant,
    ended: Result<(), CiError>,
) -> (Report, Option<CiError>) {
    let error = match ended {
        Ok(()) => {
            report.judge();
            None
        }
        Err(error) => {
            report.cut_short(error.class(), with_causes(&error));
            Some(error)
        }
    };
    report.seconds = began.elapsed().as_secs_f64();
    (report, error)
}
