//! News as server-sent events. Losing some never matters; the journal is the record.

use super::access::Caller;
use super::corners::{Place, place};
use super::read::{Named, named, seen};
use super::routes::App;
use crate::interfaces::api::document::Missed;
use crate::interfaces::api::problem::{Kind, Problem};
use crate::operations::daemon::status::News;
use axum::Extension;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{Stream, StreamExt};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::broadcast::Receiver;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;

/// How often a stream without news shows that it is there.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

type Asked = Extension<Arc<Caller>>;
type Events = Result<Event, axum::Error>;

pub(super) async fn all(
    State(app): State<Arc<App>>,
    Extension(caller): Asked,
) -> Result<Sse<impl Stream<Item = Events>>, Problem> {
    news(&app, caller, None)
}

pub(super) async fn one(
    State(app): State<Arc<App>>,
    Extension(caller): Asked,
    name: Named,
) -> Result<Sse<impl Stream<Item = Events>>, Problem> {
    let name = named(name)?;
    seen(&app, &caller, &name)?;
    news(&app, caller, Some(name))
}

/// News of one corner.
pub(super) async fn corner(
    State(app): State<Arc<App>>,
    Extension(caller): Asked,
    path: Place,
) -> Result<Sse<impl Stream<Item = Events>>, Problem> {
    let (environment, name) = place(path)?;
    seen(&app, &caller, &environment)?;
    let receiver = app.daemon.status_board.corners.news();
    let wanted = move |news: &News| {
        let is_it = news
            .corner
            .as_ref()
            .is_some_and(|of| of.name == name.as_str());
        is_it && news.environment == environment
    };
    told(&app, caller, receiver, wanted)
}

fn news(
    app: &App,
    caller: Arc<Caller>,
    only: Option<String>,
) -> Result<Sse<impl Stream<Item = Events> + use<>>, Problem> {
    let sees = Arc::clone(&caller);
    let wanted = move |news: &News| {
        let environment = &news.environment;
        sees.sees(environment) && only.as_ref().is_none_or(|only| only == environment)
    };
    told(app, caller, app.daemon.status_board.news(), wanted)
}

fn told<W: Fn(&News) -> bool + Send + 'static>(
    app: &App,
    caller: Arc<Caller>,
    receiver: Receiver<Arc<News>>,
    wanted: W,
) -> Result<Sse<impl Stream<Item = Events> + use<W>>, Problem> {
    let room = Arc::clone(&app.streams).try_acquire_owned().map_err(|_| {
        Problem::new(
            Kind::TooManyStreams,
            "as many streams are open as there may be",
            "ask for the status from time to time instead",
        )
    })?;
    let rules = app.rules.clone();
    // A token that was taken away tells its holder nothing more.
    let sessions = Arc::clone(&app.sessions);
    let lasts = move |caller: &Caller| match &caller.session {
        Some(session) => sessions.lasts(session, Instant::now()),
        None => true,
    };
    let knows = move || rules.get().keep(&caller) && lasts(&caller);
    let stop = app.stop.clone();
    let events = BroadcastStream::new(receiver)
        .take_while(move |_| std::future::ready(knows()))
        .filter_map(move |news| {
            // The place is given back when the stream ends.
            let _room = &room;
            std::future::ready(match news {
                Ok(news) if wanted(&news) => Some(
                    Event::default()
                        .event(news.progress.word())
                        .json_data(&*news),
                ),
                Ok(_) => None,
                Err(BroadcastStreamRecvError::Lagged(missed)) => Some(
                    Event::default()
                        .event("missed")
                        .json_data(Missed { missed }),
                ),
            })
        })
        .take_until(async move { stop.cancelled().await });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}
