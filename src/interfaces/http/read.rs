//! What can be looked at.

use super::access::Caller;
use super::routes::App;
use crate::adapters::store::{Store, StoreError};
use crate::domain::lifecycle::role::Role;
use crate::domain::plan::Plan;
use crate::domain::records::deployment::Deployment;
use crate::domain::records::run::Run;
use crate::interfaces::api::document::{Environments, Events, Health, Logs, Readings, Runs};
use crate::interfaces::api::problem::{Kind, Problem};
use crate::interfaces::record::{DeploymentView, DiffView, EventView, HistoryView, ShowView};
use crate::operations::ci::name::{CornerName, NotAName};
use crate::operations::daemon::logs;
use crate::operations::daemon::status::Status;
use crate::operations::deployment::promotion;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use jiff::Timestamp;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The description of the API.
pub const OPENAPI: &str = include_str!("../../../docs/openapi.json");

/// How many deployments or runs are listed where no number is given, and at most.
const LISTED: (u32, u32) = (20, 10_000);

type Asked = Extension<Arc<Caller>>;
pub(super) type Named = Result<Path<String>, PathRejection>;

pub(super) async fn alive() -> Json<Health> {
    Json(Health {
        status: "alive".to_owned(),
    })
}

pub(super) async fn ready(State(app): State<Arc<App>>) -> Result<Json<Health>, Problem> {
    // Whoever asks has no token, so no environment is named.
    let mut reasons = BTreeSet::new();
    if app.stop.is_cancelled() || app.daemon.stop.is_cancelled() {
        reasons.insert("it is stopping");
    }
    for status in app.daemon.status_board.all() {
        let name = &status.environment;
        let store = app.daemon.store(name);
        match status.role {
            Role::Starting => {
                reasons.insert("an environment is starting");
            }
            Role::Leader | Role::Standby if store.is_none() => {
                reasons.insert("a journal is not open");
            }
            Role::Leader | Role::Standby => {}
        }
    }
    if reasons.is_empty() {
        return Ok(Json(Health {
            status: "ready".to_owned(),
        }));
    }
    Err(Problem::new(
        Kind::NotReady,
        Vec::from_iter(reasons).join("; "),
        "wait; GET /v1/environments says what keeps an environment",
    ))
}

pub(super) async fn metrics(
    State(app): State<Arc<App>>,
    caller: Option<Extension<Arc<Caller>>>,
) -> Response {
    let mut text = app.metrics.text();
    if let Some(Extension(caller)) = caller {
        text = without_unseen(&text, &caller);
    }
    let mut answer = text.into_response();
    let media_type = HeaderValue::from_static(crate::operations::metrics::MEDIA_TYPE);
    answer
        .headers_mut()
        .insert(header::CONTENT_TYPE, media_type);
    answer
}

/// The metrics without those of environments that the caller does not see.
fn without_unseen(text: &str, caller: &Caller) -> String {
    let lines = text.split_inclusive('\n');
    let is_seen = |line: &&str| match line.split_once("environment=\"") {
        Some((_, rest)) => {
            let quoted = rest.split_once('"').map_or(rest, |(name, _)| name);
            caller.sees(quoted)
        }
        None => true,
    };
    lines.filter(is_seen).collect()
}

pub(super) async fn description() -> Response {
    let mut answer = OPENAPI.into_response();
    let media_type = HeaderValue::from_static("application/json");
    answer
        .headers_mut()
        .insert(header::CONTENT_TYPE, media_type);
    answer
}

pub(super) async fn environments(
    State(app): State<Arc<App>>,
    Extension(caller): Asked,
) -> Json<Environments> {
    let all = app.daemon.status_board.all();
    let seen = all.iter().filter(|status| caller.sees(&status.environment));
    Json(Environments {
        environments: seen.map(|status| Status::clone(status)).collect(),
    })
}

pub(super) async fn environment(
    State(app): State<Arc<App>>,
    Extension(caller): Asked,
    name: Named,
) -> Result<Json<Status>, Problem> {
    let name = named(name)?;
    let status = seen(&app, &caller, &name)?;
    Ok(Json(Status::clone(&status)))
}

pub(super) async fn plan(
    State(app): State<Arc<App>>,
    Extension(caller): Asked,
    name: Named,
) -> Result<Json<Plan>, Problem> {
    let name = named(name)?;
    let store = store(&app, &caller, &name)?;
    let failed = |error| Problem::store(&error);
    let deployment = match store.active(&name).await.map_err(failed)? {
        Some(active) => Some(active),
        None => store.latest(&name).await.map_err(failed)?,
    };
    match deployment {
        Some(deployment) => Ok(Json(deployment.plan)),
        None => Err(Problem::new(
            Kind::NoPlan,
            format!("the environment {name:?} never had a deployment"),
            "start a release first",
        )),
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Limit {
    limit: Option<u32>,
}

pub(super) async fn deployments(
    State(app): State<Arc<App>>,
    Extension(caller): Asked,
    name: Named,
    query: Result<Query<Limit>, QueryRejection>,
) -> Result<Json<HistoryView>, Problem> {
    let name = named(name)?;
    let limit = limited(query)?;
    let store = store(&app, &caller, &name)?;
    let summaries = store.history(Some(&name), limit).await;
    let summaries = summaries.map_err(|error| Problem::store(&error))?;
    let mut held = store
        .holds(&name)
        .await
        .map_err(|error| Problem::store(&error))?;
    let now = Timestamp::now();
    held.retain(|hold| hold.is_on_at(now));
    Ok(Json(HistoryView {
        deployments: summaries.into_iter().map(DeploymentView::from).collect(),
        held,
    }))
}

fn limited(query: Result<Query<Limit>, QueryRejection>) -> Result<u32, Problem> {
    let Query(Limit { limit }) = query.map_err(|error| parameter(&error.body_text()))?;
    let (usual, most) = LISTED;
    let limit = limit.unwrap_or(usual);
    if !(1..=most).contains(&limit) {
        return Err(parameter(&format!("limit must be from 1 to {most}")));
    }
    Ok(limit)
}

pub(super) async fn runs(
    State(app): State<Arc<App>>,
    Extension(caller): Asked,
    name: Named,
    query: Result<Query<Limit>, QueryRejection>,
) -> Result<Json<Runs>, Problem> {
    let name = named(name)?;
    let limit = limited(query)?;
    let store = store(&app, &caller, &name)?;
    let runs = store.runs(Some(&name), limit).await;
    let runs = runs.map_err(|error| Problem::store(&error))?;
    Ok(Json(Runs { runs }))
}

pub(super) async fn run(
    State(app): State<Arc<App>>,
    Extension(caller): Asked,
    id: Named,
) -> Result<Json<Run>, Problem> {
    let id = named(id)?;
    let mut asked = BTreeSet::new();
    let mut fault = None;
    for name in names(&app, &caller) {
        let Some(store) = app.daemon.store(&name) else {
            fault.get_or_insert(Problem::store_is_closed(&name));
            continue;
        };
        // Environments share journals.
        if !asked.insert(store.place()) {
            continue;
        }
        match store.run(&id).await {
            Ok(found) if caller.sees(&found.environment) => return Ok(Json(found)),
            // As if it were not there.
            Ok(_) | Err(StoreError::RunNotFound { .. }) => {}
            Err(error) => {
                fault.get_or_insert(Problem::store(&error));
            }
        }
    }
    Err(fault.unwrap_or_else(|| Problem::unknown_run(&id)))
}

pub(super) async fn deployment(
    State(app): State<Arc<App>>,
    Extension(caller): Asked,
    id: Named,
) -> Result<Json<ShowView>, Problem> {
    let (store, deployment) = found(&app, &caller, &named(id)?).await?;
    let failed = |error| Problem::store(&error);
    let events = store.events(&deployment.id).await.map_err(failed)?;
    let effects = store.effects(&deployment.id).await.map_err(failed)?;
    let promotion = promotion::standing(&store, &deployment)
        .await
        .map_err(failed)?;
    let view = ShowView::new(deployment, events, effects, promotion).map_err(failed)?;
    Ok(Json(view))
}

/// The data diff of the deployment under way, or else of the last one.
pub(super) async fn diff(
    State(app): State<Arc<App>>,
    Extension(caller): Asked,
    name: Named,
) -> Result<Json<DiffView>, Problem> {
    let name = named(name)?;
    let store = store(&app, &caller, &name)?;
    let failed = |error| Problem::store(&error);
    let active = store.active(&name).await.map_err(failed)?;
    let deployment = match active {
        Some(active) => Some(active),
        None => store.latest(&name).await.map_err(failed)?,
    };
    let deployment = deployment.ok_or_else(|| Problem::no_deployment(&name))?;
    let effects = store.effects(&deployment.id).await.map_err(failed)?;
    let view = DiffView::new(&deployment, &effects);
    Ok(Json(view.map_err(failed)?))
}

pub(super) async fn events(
    State(app): State<Arc<App>>,
    Extension(caller): Asked,
    id: Named,
) -> Result<Json<Events>, Problem> {
    let (store, deployment) = found(&app, &caller, &named(id)?).await?;
    let events = store.events(&deployment.id).await;
    let events = events.map_err(|error| Problem::store(&error))?;
    Ok(Json(Events {
        deployment: deployment.id,
        events: events.into_iter().map(EventView::from).collect(),
    }))
}

/// Lag and hydration of relations, as this process was told them.
pub(super) async fn readings(
    State(app): State<Arc<App>>,
    Extension(caller): Asked,
    id: Named,
) -> Result<Json<Readings>, Problem> {
    let (_, deployment) = found(&app, &caller, &named(id)?).await?;
    let board = &app.daemon.status_board;
    let (relations, left_out) = board.lines(&deployment.environment, &deployment.id);
    Ok(Json(Readings {
        deployment: deployment.id,
        relations,
        left_out,
    }))
}

/// What dbt wrote, as far as it lies on this machine.
pub(super) async fn logs(
    State(app): State<Arc<App>>,
    Extension(caller): Asked,
    id: Named,
) -> Result<Json<Logs>, Problem> {
    let (_, deployment) = found(&app, &caller, &named(id)?).await?;
    let folder = app.daemon.run_folder(&deployment.id);
    let settings = app.daemon.settings();
    let reading = tokio::task::spawn_blocking(move || match folder {
        Some(folder) => logs::read(&folder, &settings.settings),
        None => Ok(Vec::new()),
    });
    let read = reading.await.unwrap_or_else(|error| Err(error.into()));
    let logs = read.map_err(|error| {
        Problem::new(
            Kind::Internal,
            format!("a log of dbt cannot be read: {error}"),
            "see that the daemon may read the folder runs.directory",
        )
    })?;
    Ok(Json(Logs {
        deployment: deployment.id,
        logs,
    }))
}

/// The parameter of the path.
pub(super) fn named(name: Named) -> Result<String, Problem> {
    match name {
        Ok(Path(name)) => Ok(name),
        Err(error) => Err(parameter(&error.body_text())),
    }
}

/// The name of a corner.
pub(super) fn corner_name(name: &str) -> Result<CornerName, Problem> {
    let parsed = name.parse();
    parsed.map_err(|error: NotAName| parameter(&error.to_string()))
}

pub(super) fn parameter(problem: &str) -> Problem {
    Problem::new(
        Kind::InvalidParameter,
        problem,
        "GET /v1/openapi.json describes the parameters",
    )
}

/// The names that the caller may see.
pub(super) fn names(app: &App, caller: &Caller) -> Vec<String> {
    let mut names = app.daemon.names();
    names.retain(|name| caller.sees(name));
    names
}

/// The entry of an environment that the caller may see.
pub(super) fn seen(app: &App, caller: &Caller, name: &str) -> Result<Arc<Status>, Problem> {
    let status = app
        .daemon
        .status_board
        .one(name)
        .filter(|_| caller.sees(name));
    status.ok_or_else(|| Problem::unknown_environment(name, &names(app, caller)))
}

pub(super) fn store(app: &App, caller: &Caller, name: &str) -> Result<Store, Problem> {
    seen(app, caller, name)?;
    let store = app.daemon.store(name);
    store.ok_or_else(|| Problem::store_is_closed(name))
}

/// The deployment that this id begins, among those of environments that the caller may see.
async fn found(app: &App, caller: &Caller, id: &str) -> Result<(Store, Deployment), Problem> {
    let mut asked = BTreeSet::new();
    let mut fault = None;
    for name in names(app, caller) {
        let Some(store) = app.daemon.store(&name) else {
            fault.get_or_insert(Problem::store_is_closed(&name));
            continue;
        };
        // Environments share journals.
        if !asked.insert(store.place()) {
            continue;
        }
        match store.deployment(id).await {
            Ok(found) if caller.sees(&found.environment) => return Ok((store, found)),
            // As if it were not there.
            Ok(_) | Err(StoreError::NotFound { .. }) => {}
            Err(StoreError::Ambiguous { ids, .. }) => match among(&store, caller, id, ids).await {
                Ok(Some(found)) => return Ok((store, found)),
                Ok(None) => {}
                Err(problem) => return Err(problem),
            },
            Err(error) => {
                fault.get_or_insert(Problem::store(&error));
            }
        }
    }
    Err(fault.unwrap_or_else(|| Problem::unknown_deployment(id)))
}

/// The only one of several that the caller may see. Ids of others are not told.
async fn among(
    store: &Store,
    caller: &Caller,
    id: &str,
    ids: Vec<String>,
) -> Result<Option<Deployment>, Problem> {
    let mut visible = Vec::new();
    for id in ids {
        let found = store.deployment(&id).await;
        let found = found.map_err(|error| Problem::store(&error))?;
        if caller.sees(&found.environment) {
            visible.push(found);
        }
    }
    if visible.len() > 1 {
        let ids: Vec<&str> = visible.iter().map(|found| found.id.as_str()).collect();
        return Err(Problem::new(
            Kind::AmbiguousDeployment,
            format!("{id:?} begins more than one deployment: {}", ids.join(", ")),
            "give more characters of the id",
        ));
    }
    Ok(visible.pop())
}
