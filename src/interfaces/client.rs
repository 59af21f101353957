//! A client of the daemon's HTTP API: what `cutover --server` and other programs of Cutover use.
//!
//! Every answer is read into the type that the daemon wrote it from. A request that changes
//! something is sent again after a lost answer, under the same key, so that it is taken up once.

use crate::domain::lifecycle::verb::Verb;
use crate::domain::plan::Plan;
use crate::domain::records::run::Run;
use crate::foundation::tls;
use crate::interfaces::api::document::{
    Act, CornerBuild, CornerDocument, Environments, Events, Health, Logs, NewHold, Nothing,
    Readings, Release, Runs,
};
use crate::interfaces::api::{IDEMPOTENCY_KEY, problem};
use crate::interfaces::record::{CornersView, DiffView, HistoryView, ShowView};
use crate::operations::daemon::request::Accepted;
use crate::operations::daemon::status::Status;
use reqwest::{Method, RequestBuilder, Response, Url, header};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use address::Address;
pub use error::ClientError;
pub use stream::{Item, News};

mod address;
mod error;
mod stream;

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an answer may take; longer than a daemon gives itself by default.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a stream may be silent; three of its signs of life.
const SILENCE: Duration = Duration::from_secs(45);

/// How often what changes something is sent when its answer is lost.
const ATTEMPTS: u32 = 4;

/// What a client needs besides the address.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The bearer token; not needed over a socket.
    pub token: Option<SecretString>,
    /// Certificates, PEM, that are trusted beside the system's.
    pub ca_file: Option<PathBuf>,
}

/// A client. Clones share connections.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    place: String,
}

/// Where nothing is proved by a certificate, a machine without authorities is no reason not to ask.
fn without_authorities(builder: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
    builder.tls_certs_only([])
}

impl Client {
    /// A client of the daemon at `address`. Nothing is sent yet.
    ///
    /// # Errors
    /// A certificate file that cannot be used, a token that cannot be sent.
    pub fn connect(address: &Address, options: &Options) -> Result<Self, ClientError> {
        let mut headers = header::HeaderMap::new();
        if let Some(token) = &options.token {
            if !address.is_private() {
                return Err(ClientError::Exposed {
                    place: address.to_string(),
                });
            }
            let value = format!("Bearer {}", token.expose_secret());
            let mut value =
                header::HeaderValue::from_str(&value).map_err(|_| ClientError::Token)?;
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        // A daemon never redirects; a token must not follow anybody.
        let mut builder = tls::http_client()
            .default_headers(headers)
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(SILENCE);
        if let Some(path) = &options.ca_file {
            builder = builder.tls_certs_merge(certificates(path)?);
        }
        let base = match address {
            Address::Url(url) => {
                if url.scheme() == "http" {
                    builder = without_authorities(builder);
                }
                if address.is_loopback() {
                    builder = builder.no_proxy();
                }
                url.clone()
            }
            Address::Socket(path) => {
                builder = without_authorities(builder)
                    .no_proxy()
                    .unix_socket(path.as_path());
                Url::parse("http://localhost/").map_err(|error| ClientError::Address {
                    problem: error.to_string(),
                })?
            }
        };
        let http = builder.build().map_err(ClientError::Unusable)?;
        Ok(Self {
            http,
            base,
            place: address.to_string(),
        })
    }

    /// Whether the daemon is ready.
    ///
    /// # Errors
    /// A problem when it is not.
    pub async fn ready(&self) -> Result<Health, ClientError> {
        self.get(&["readyz"]).await
    }

    /// Every environment that may be seen.
    ///
    /// # Errors
    /// See [`ClientError`]; so for every method.
    pub async fn environments(&self) -> Result<Vec<Status>, ClientError> {
        let answer: Environments = self.get(&["v1", "environments"]).await?;
        Ok(answer.environments)
    }

    /// One environment.
    ///
    /// # Errors
    /// A problem when there is none of the name.
    pub async fn environment(&self, name: &str) -> Result<Status, ClientError> {
        self.get(&["v1", "environments", name]).await
    }

    /// The plan of the deployment under way, or of the latest.
    ///
    /// # Errors
    /// A problem when there never was one.
    pub async fn plan(&self, environment: &str) -> Result<Plan, ClientError> {
        self.get(&["v1", "environments", environment, "plan"]).await
    }

    /// Deployments of an environment, the latest first.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn deployments(
        &self,
        environment: &str,
        limit: u32,
    ) -> Result<HistoryView, ClientError> {
        let mut url = self.url(&["v1", "environments", environment, "deployments"]);
        url.query_pairs_mut()
            .append_pair("limit", &limit.to_string());
        self.read(self.http.get(url)).await
    }

    /// The record of a deployment; the first characters of its id suffice.
    ///
    /// # Errors
    /// A problem when there is none, or more than one.
    pub async fn deployment(&self, id: &str) -> Result<ShowView, ClientError> {
        self.get(&["v1", "deployments", id]).await
    }

    /// The events of a deployment.
    ///
    /// # Errors
    /// As [`Client::deployment`].
    pub async fn events(&self, id: &str) -> Result<Events, ClientError> {
        self.get(&["v1", "deployments", id, "events"]).await
    }

    /// Lag and hydration of a deployment's relations over time, as that daemon was told them.
    ///
    /// # Errors
    /// As [`Client::deployment`].
    pub async fn readings(&self, id: &str) -> Result<Readings, ClientError> {
        self.get(&["v1", "deployments", id, "readings"]).await
    }

    /// What dbt wrote for a deployment, as far as it lies on that daemon's machine.
    ///
    /// # Errors
    /// As [`Client::deployment`].
    pub async fn logs(&self, id: &str) -> Result<Logs, ClientError> {
        self.get(&["v1", "deployments", id, "logs"]).await
    }

    /// Runs of an environment, the latest first.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn runs(&self, environment: &str, limit: u32) -> Result<Vec<Run>, ClientError> {
        let mut url = self.url(&["v1", "environments", environment, "runs"]);
        url.query_pairs_mut()
            .append_pair("limit", &limit.to_string());
        let answer: Runs = self.read(self.http.get(url)).await?;
        Ok(answer.runs)
    }

    /// The data diff of the deployment under way, or else of the last one, as it is on record.
    ///
    /// # Errors
    /// A problem when there is no deployment.
    pub async fn diff(&self, environment: &str) -> Result<DiffView, ClientError> {
        self.get(&["v1", "environments", environment, "diff"]).await
    }

    /// One run.
    ///
    /// # Errors
    /// A problem when there is none of the id.
    pub async fn run(&self, id: &str) -> Result<Run, ClientError> {
        self.get(&["v1", "runs", id]).await
    }

    /// The corners of an environment.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn corners(&self, environment: &str) -> Result<CornersView, ClientError> {
        self.get(&["v1", "environments", environment, "ci"]).await
    }

    /// One corner, with what was asked of it last and its last report.
    ///
    /// # Errors
    /// A problem when there is none of the name.
    pub async fn corner(
        &self,
        environment: &str,
        name: &str,
    ) -> Result<CornerDocument, ClientError> {
        self.get(&["v1", "environments", environment, "ci", name])
            .await
    }

    /// Has a revision built in a corner.
    ///
    /// # Errors
    /// A problem when it was declined; nothing was changed then.
    pub async fn build_corner(
        &self,
        environment: &str,
        name: &str,
        build: &CornerBuild,
        key: &str,
    ) -> Result<Accepted, ClientError> {
        let path = ["v1", "environments", environment, "ci", name, "builds"];
        let request = self.http.request(Method::POST, self.url(&path));
        self.repeatedly(request.json(build), key).await
    }

    /// Has a corner dropped.
    ///
    /// # Errors
    /// As [`Client::build_corner`].
    pub async fn tear_corner_down(
        &self,
        environment: &str,
        name: &str,
        key: &str,
    ) -> Result<Accepted, ClientError> {
        let path = ["v1", "environments", environment, "ci", name];
        let request = self.http.request(Method::DELETE, self.url(&path));
        self.repeatedly(request, key).await
    }

    /// News of a corner from now on.
    ///
    /// # Errors
    /// A problem when too many streams are open.
    pub async fn corner_news(&self, environment: &str, name: &str) -> Result<News, ClientError> {
        let path = ["v1", "environments", environment, "ci", name, "stream"];
        let answer = self.http.get(self.url(&path)).send().await;
        let answer = self.answered(answer).await?;
        Ok(News::new(answer, self.place.clone()))
    }

    /// Where the daemon answers.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Starts a release. `key` makes asking twice the same as asking once.
    ///
    /// # Errors
    /// A problem when it was declined; nothing was changed then.
    pub async fn release(
        &self,
        environment: &str,
        release: &Release,
        key: &str,
    ) -> Result<Accepted, ClientError> {
        self.ask(environment, "releases", release, key).await
    }

    /// Acts on the deployment under way.
    ///
    /// # Errors
    /// A problem when it was declined; nothing was changed then.
    pub async fn act(
        &self,
        environment: &str,
        verb: Verb,
        act: &Act,
        key: &str,
    ) -> Result<Accepted, ClientError> {
        self.ask(environment, verb.word(), act, key).await
    }

    /// Approves the deployment under way.
    ///
    /// # Errors
    /// A problem when it may not be approved, or not by this one.
    pub async fn approve(
        &self,
        environment: &str,
        act: &Act,
        key: &str,
    ) -> Result<Accepted, ClientError> {
        self.ask(environment, "approve", act, key).await
    }

    /// Holds an environment as it is. Without a key it is only said what would be done.
    ///
    /// # Errors
    /// A problem when it was declined; nothing was changed then.
    pub async fn hold(
        &self,
        environment: &str,
        hold: &NewHold,
        key: Option<&str>,
    ) -> Result<Accepted, ClientError> {
        self.ask_or_try(environment, "hold", hold, key).await
    }

    /// Lifts what holds an environment. Without a key it is only said what would be done.
    ///
    /// # Errors
    /// A problem when it was declined; nothing was changed then.
    pub async fn lift_hold(
        &self,
        environment: &str,
        nothing: &Nothing,
        key: Option<&str>,
    ) -> Result<Accepted, ClientError> {
        self.ask_or_try(environment, "release-hold", nothing, key)
            .await
    }

    async fn ask_or_try<T: Serialize + Sync>(
        &self,
        environment: &str,
        word: &str,
        body: &T,
        key: Option<&str>,
    ) -> Result<Accepted, ClientError> {
        if let Some(key) = key {
            return self.ask(environment, word, body, key).await;
        }
        let mut url = self.url(&["v1", "environments", environment, word]);
        url.query_pairs_mut().append_pair("dry_run", "true");
        self.read(self.http.request(Method::POST, url).json(body))
            .await
    }

    /// News from now on, of one environment or of all.
    ///
    /// # Errors
    /// A problem when too many streams are open.
    pub async fn news(&self, environment: Option<&str>) -> Result<News, ClientError> {
        let url = match environment {
            Some(name) => self.url(&["v1", "environments", name, "stream"]),
            None => self.url(&["v1", "stream"]),
        };
        let answer = self.http.get(url).send().await;
        let answer = self.answered(answer).await?;
        Ok(News::new(answer, self.place.clone()))
    }

    async fn ask<T: Serialize + Sync>(
        &self,
        environment: &str,
        word: &str,
        body: &T,
        key: &str,
    ) -> Result<Accepted, ClientError> {
        let url = self.url(&["v1", "environments", environment, word]);
        let request = self.http.request(Method::POST, url);
        self.repeatedly(request.json(body), key).await
    }

    /// Sends what changes something, again where the answer was lost, so that it is taken up once.
    async fn repeatedly(
        &self,
        request: RequestBuilder,
        key: &str,
    ) -> Result<Accepted, ClientError> {
        let request = request.header(IDEMPOTENCY_KEY, key);
        let mut attempt = 1;
        loop {
            // A body in memory is there a second time.
            let Some(again) = request.try_clone() else {
                return self.read(request).await;
            };
            match self.read(again).await {
                Err(error) if error.is_lost() && attempt < ATTEMPTS => {
                    tracing::debug!(%error, attempt, "asking again");
                    tokio::time::sleep(Duration::from_millis(200) * 2_u32.pow(attempt)).await;
                    attempt += 1;
                }
                answer => return answer,
            }
        }
    }

    async fn get<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, ClientError> {
        self.read(self.http.get(self.url(path))).await
    }

    async fn read<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ClientError> {
        let answer = request.timeout(ANSWER_TIMEOUT).send().await;
        let answer = self.answered(answer).await?;
        let body = answer.bytes().await.map_err(|source| self.lost(source))?;
        serde_json::from_slice(&body).map_err(|error| ClientError::Unreadable {
            place: self.place.clone(),
            problem: error.to_string(),
        })
    }

    /// The answer, when it is a good one.
    async fn answered(&self, answer: reqwest::Result<Response>) -> Result<Response, ClientError> {
        let answer = answer.map_err(|source| self.lost(source))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let body = answer.bytes().await.map_err(|source| self.lost(source))?;
        match serde_json::from_slice::<problem::Document>(&body) {
            Ok(document) => Err(ClientError::Problem(Box::new(document))),
            Err(_) => Err(ClientError::Unreadable {
                place: self.place.clone(),
                problem: format!("it answers with the status {status} and no problem"),
            }),
        }
    }

    fn lost(&self, source: reqwest::Error) -> ClientError {
        ClientError::Lost {
            place: self.place.clone(),
            // The place is said; the URL of a socket would mislead.
            source: source.without_url(),
        }
    }

    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }
}

fn certificates(path: &Path) -> Result<Vec<reqwest::Certificate>, ClientError> {
    let failed = |problem: String| ClientError::Certificates {
        path: path.to_owned(),
        problem,
    };
    let pem = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    let found = reqwest::Certificate::from_pem_bundle(&pem);
    let found = found.map_err(|error| failed(error.to_string()))?;
    if found.is_empty() {
        return Err(failed("there is no certificate in it".to_owned()));
    }
    Ok(found)
}
