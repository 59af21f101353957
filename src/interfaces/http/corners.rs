//! Corners of pull requests, as they are looked at.

use super::access::Caller;
use super::read::{Named, corner_name, named, parameter, store};
use super::routes::App;
use crate::adapters::store::Store;
use crate::domain::records::corner::CornerState;
use crate::foundation::failure::{Classify, with_causes};
use crate::interfaces::api::document::CornerDocument;
use crate::interfaces::api::problem::{Kind, Problem};
use crate::interfaces::record::CornersView;
use crate::operations::ci::error::CiError;
use crate::operations::ci::listing::{self, Listed};
use crate::operations::ci::name::CornerName;
use crate::operations::ci::queue;
use crate::operations::daemon::corners::status::{BuildStatus, Phase};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::{Extension, Json};
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;

type Asked = Extension<Arc<Caller>>;
/// An environment and the name of a corner.
pub(super) type Place = Result<Path<(String, String)>, PathRejection>;

/// The parameters of a path that names a corner.
pub(super) fn place(place: Place) -> Result<(String, CornerName), Problem> {
    match place {
        Ok(Path((environment, name))) => Ok((environment, corner_name(&name)?)),
        Err(error) => Err(parameter(&error.body_text())),
    }
}

pub(super) async fn all(
    State(app): State<Arc<App>>,
    Extension(caller): Asked,
    name: Named,
) -> Result<Json<CornersView>, Problem> {
    let environment = named(name)?;
    let store = store(&app, &caller, &environment)?;
    Ok(Json(CornersView {
        corners: listed(&app, &store, &environment).await?,
        environment,
    }))
}

pub(super) async fn one(
    State(app): State<Arc<App>>,
    Extension(caller): Asked,
    path: Place,
) -> Result<Json<CornerDocument>, Problem> {
    let (environment, name) = place(path)?;
    let store = store(&app, &caller, &environment)?;
    let name = name.as_str();
    // The status first: what it says is over stands in the journal by then.
    let asked = app.daemon.status_board.corners.one(&environment, name);
    let corners = listed(&app, &store, &environment).await?;
    let corner = corners.into_iter().find(|corner| corner.name == name);
    let latest = store.latest_corner(&environment, name).await;
    let latest = latest.map_err(|error| Problem::store(&error))?;
    if corner.is_none() && asked.is_none() && latest.is_none() {
        return Err(Problem::unknown_corner(name));
    }
    let asked = asked.unwrap_or_default();
    let (mut reported, mut report) = (None, None);
    if let Some(latest) = latest {
        let record = queue::read(&latest).map_err(|error| unread(&error))?;
        (reported, report) = (record.reported, record.report.map(|report| *report));
    }
    // A command may have built since, and a check leaves no record.
    if let Some((id, own)) = asked.report
        && reported.as_ref().is_none_or(|known| *known <= id)
    {
        (reported, report) = (Some(id), Some(own.as_ref().clone()));
    }
    Ok(Json(CornerDocument {
        name: name.to_owned(),
        environment,
        corner,
        build: asked.build,
        teardown: asked.teardown,
        reported,
        report,
    }))
}

/// What the journal has, and after it what is in line here and not recorded yet.
async fn listed(app: &App, store: &Store, environment: &str) -> Result<Vec<Listed>, Problem> {
    let now = Timestamp::now();
    let listed = listing::listed(store, environment, now).await;
    let mut corners = listed.map_err(|error| unread(&error))?;
    let before = corners.iter().filter_map(|it| it.position).max();
    let in_line = app.daemon.status_board.corners.under_way(environment);
    let in_line = in_line
        .into_iter()
        .filter(|(_, build)| build.phase == Phase::InLine);
    for (name, build) in in_line {
        if !corners.iter().any(|corner| corner.name == name) {
            corners.push(waiting(app, name, build, before.unwrap_or_default()));
        }
    }
    Ok(corners)
}

/// A corner that is only asked for. It expires when its build has waited too long.
fn waiting(app: &App, name: String, build: BuildStatus, before: usize) -> Listed {
    let wait = app.daemon.settings().settings.ci.wait.0;
    let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
    let until = build.asked_at.checked_add(wait);
    Listed {
        name,
        id: build.id,
        state: CornerState::Waiting,
        is_worked_on: false,
        position: build.position.map(|position| before + position),
        owner: build.by.to_string(),
        revision: build.revision,
        verdict: None,
        created_at: build.asked_at,
        expires_at: until.unwrap_or(Timestamp::MAX),
        objects: 0,
        schemas: Vec::new(),
        cluster: None,
        cluster_seconds: None,
        credits: None,
    }
}

/// What the journal said, to somebody who only reads.
fn unread(error: &CiError) -> Problem {
    if let CiError::Store(error) = error {
        return Problem::store(error);
    }
    let class = error.class();
    let hint = error.hint().unwrap_or_else(|| class.hint().to_owned());
    tracing::error!(%error, "a corner of the journal cannot be read");
    Problem::new(Kind::Internal, with_causes(error), hint)
}
