//! Statements that the front executes itself: transactions, variables, SHOW, DDL; and what surrounds every statement:
//! faults, the log, the rules of transactions.

use std::sync::Arc;
use std::time::Duration;

use super::client::End;
use super::transaction::{Mode, Transaction, Use, aborted, must_stand_alone};
use super::{Session, Stop};
use crate::catalog::{Column, CommentOn};
use crate::costs::Priced;
use crate::ddl::{self, Context, Effect};
use crate::engine::race;
use crate::failure::{Notice, SqlError};
use crate::statement::{Ddl, Show, Statement, Thing};
use crate::steering::Action;
use crate::wire::Rows;

/// What a front statement answers.
#[derive(Debug, Clone, Default)]
pub(super) struct Answer {
    pub(super) tag: String,
    /// Columns and rows, for statements that have any.
    pub(super) rows: Option<Rows>,
    pub(super) notices: Vec<Notice>,
    /// Variables to report as changed.
    pub(super) reported: Vec<(String, String)>,
}

impl Answer {
    pub(super) fn tag(tag: impl Into<String>) -> Self {
        Self {
            tag: tag.into(),
            ..Self::default()
        }
    }
}

/// What becomes of the answer to a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Afterwards {
    /// It is sent.
    Answer,
    /// The connection is cut instead.
    Cut,
    /// It is sent once the fault's row is gone.
    Hang(i64),
}

/// What is left to do once a statement has run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Struck {
    pub(super) afterwards: Afterwards,
    /// When its price has been paid.
    due: Option<tokio::time::Instant>,
}

/// Type OID of text.
pub(super) const TEXT: u32 = 25;
/// How often a stalled sink or view is looked at.
const POLL: Duration = Duration::from_millis(40);

/// Columns of a front statement, known before it runs.
pub(super) fn columns(statement: &Statement) -> Option<Vec<(String, u32)>> {
    let names: &[&str] = if let Statement::Show(show) = statement {
        match show {
            Show::Variable(name) => &[name.as_str()],
            Show::All => &["name", "setting", "description"],
            Show::Create(..) => &["name", "create_sql"],
            Show::Columns(_) => {
                const BOOL: u32 = 16;
                let columns = [
                    ("name", TEXT),
                    ("nullable", BOOL),
                    ("type", TEXT),
                    ("comment", TEXT),
                ];
                return Some(
                    columns
                        .iter()
                        .map(|(name, oid)| ((*name).to_owned(), *oid))
                        .collect(),
                );
            }
            Show::Query(_) => return None,
        }
    } else if matches!(statement, Statement::Explain(_)) {
        &["Optimized Plan"]
    } else {
        return None;
    };
    Some(
        names
            .iter()
            .map(|name| ((*name).to_owned(), TEXT))
            .collect(),
    )
}

fn canceled(why: &str) -> SqlError {
    SqlError::new("57014", format!("canceling statement due to {why}"))
}

impl Session {
    /// Logs, counts and perhaps strikes a statement before it runs, and waits for most of its price. `text` has the
    /// comments in front of it, `sql` has not.
    pub(super) async fn strike(
        &mut self,
        text: &str,
        sql: &str,
        statement: &Statement,
    ) -> Result<Struck, Stop> {
        let priced = self.priced(statement, text, sql);
        let afterwards = self.fault(text, priced.as_ref()).await?;
        let due = match &priced {
            Some(priced) => self.charge(priced).await?,
            None => None,
        };
        Ok(Struck { afterwards, due })
    }

    async fn fault(&mut self, text: &str, priced: Option<&Priced>) -> Result<Afterwards, Stop> {
        let application = self.variables.known("application_name").to_owned();
        if self.engine.steering.is_logging() {
            let engine = Arc::clone(&self.engine);
            let (application, role) = (application.clone(), self.role_name.clone());
            let (text, priced) = (text.to_owned(), priced.cloned());
            // Beside its execution, and done before it is answered.
            self.logging = Some(tokio::spawn(async move {
                let steering = &engine.steering;
                steering
                    .log(&application, &role, &text, priced.as_ref())
                    .await;
            }));
        }
        let Some((id, action)) = self.engine.steering.strike(&application, text).await else {
            return Ok(Afterwards::Answer);
        };
        self.logged().await;
        match action {
            Action::Error(code) => {
                return Err(SqlError::new(&code, "injected by the sandbox").into());
            }
            Action::Delay(duration) => self.wait(tokio::time::sleep(duration)).await?,
            Action::Hang => {
                let engine = Arc::clone(&self.engine);
                self.wait(async move { engine.steering.gone(id).await })
                    .await?;
            }
            Action::CutBefore => return Err(End::Cut.into()),
            Action::CutAfter => return Ok(Afterwards::Cut),
            Action::HangAfter => return Ok(Afterwards::Hang(id)),
            Action::Outage(duration) => {
                self.engine.steering.begin_outage(duration);
                return Err(End::Cut.into());
            }
        }
        Ok(Afterwards::Answer)
    }

    /// The rest of a statement's price, which nothing but the end of the session cuts short: it has run, and its answer
    /// is only late. Then what a fault does to a statement that has run.
    pub(super) async fn struck(&mut self, struck: Struck) -> Result<(), Stop> {
        let late = self.late(struck).await;
        // The next one of the same message.
        self.arrived = tokio::time::Instant::now();
        late
    }

    /// The log has what was last logged.
    pub(super) async fn logged(&mut self) {
        if let Some(logging) = self.logging.take()
            && let Err(error) = logging.await
        {
            tracing::warn!(%error, "a statement was not logged");
        }
    }

    async fn late(&mut self, struck: Struck) -> Result<(), Stop> {
        self.logged().await;
        if let Some(due) = struck.due {
            let mut interrupt = self.client.interrupt.clone();
            tokio::select! {
                () = tokio::time::sleep_until(due) => {}
                end = interrupt.ended() => return Err(end.into()),
            }
        }
        match struck.afterwards {
            Afterwards::Answer => Ok(()),
            Afterwards::Cut => Err(End::Cut.into()),
            Afterwards::Hang(id) => {
                let engine = Arc::clone(&self.engine);
                self.wait(async move { engine.steering.gone(id).await })
                    .await
            }
        }
    }

    /// Waits for something of the front's own; ends with the statement timeout, a cancel or the session.
    pub(super) async fn wait<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Stop> {
        let timeout = self
            .variables
            .statement_timeout()
            .unwrap_or(Duration::from_secs(86_400));
        let mut interrupt = self.client.interrupt.clone();
        let cancel = Arc::clone(&interrupt.cancel);
        tokio::select! {
            done = work => Ok(done),
            () = tokio::time::sleep(timeout) => Err(canceled("statement timeout").into()),
            () = cancel.notified() => Err(canceled("user request").into()),
            end = interrupt.ended() => Err(end.into()),
        }
    }

    /// Executes a front statement.
    pub(super) async fn execute_front(
        &mut self,
        statement: &Statement,
        text: &str,
    ) -> Result<Answer, Stop> {
        let failed = self.transaction.as_ref().is_some_and(|t| t.failed);
        if failed && !matches!(statement, Statement::Commit | Statement::Rollback) {
            return Err(aborted().into());
        }
        match statement {
            Statement::Begin { read_only } => Ok(self.begin_transaction(*read_only)),
            Statement::Commit => self.commit().await,
            Statement::Rollback => self.rollback().await,
            Statement::Set { name, value, local } => self.set(name, value.as_deref(), *local),
            Statement::SetTransaction => Ok(Answer::tag("SET")),
            Statement::Reset(name) => {
                match name {
                    Some(name) => self.variables.set(name, None, false)?,
                    None => self.variables.reset(),
                }
                self.unsettled = true;
                Ok(Answer::tag("RESET"))
            }
            Statement::Discard => {
                self.variables.reset();
                self.unsettled = true;
                self.forget_cursors().await;
                self.engine.forget_session(self.backend.pid).await;
                Ok(Answer::tag("DISCARD ALL"))
            }
            Statement::Deallocate(name) => {
                match name {
                    Some(name) => self.prepared.remove(name).map(|_| ()),
                    None => {
                        self.prepared.clear();
                        None
                    }
                };
                Ok(Answer::tag("DEALLOCATE"))
            }
            Statement::Show(show) => self.show(statement, show),
            Statement::Explain(text) => {
                let catalog = self.engine.catalog();
                let plan = crate::rewrite::statement(self.resolver(&catalog, &self.scope()), text)
                    .map(|r| catalog.render(&r.stored))?;
                let columns = columns(statement).unwrap_or_default();
                let fast = if self.is_peek(text) {
                    " (fast path)"
                } else {
                    ""
                };
                Ok(Answer {
                    rows: Some(Rows {
                        columns,
                        rows: vec![vec![Some(format!("Explained Query{fast}:\n  {plan}\n"))]],
                    }),
                    ..Answer::tag("EXPLAIN 1")
                })
            }
            Statement::Declare {
                name,
                subscribe,
                query,
            } => self.declare(name, subscribe.as_ref(), query).await,
            Statement::Fetch {
                name,
                count,
                timeout_ms,
            } => self.fetch(name, *count, *timeout_ms).await,
            Statement::Close(name) => self.close_cursor(name).await,
            Statement::Ddl(ddl) => self.ddl(ddl, text).await,
            Statement::Query | Statement::Insert | Statement::Mutation(_) | Statement::Copy => {
                Err(SqlError::internal("not a statement of the front").into())
            }
        }
    }

    fn begin_transaction(&mut self, read_only: bool) -> Answer {
        match &mut self.transaction {
            Some(open) if open.explicit => Answer {
                notices: vec![Notice::new("there is already a transaction in progress")],
                ..Answer::tag("BEGIN")
            },
            Some(open) => {
                open.explicit = true;
                Answer::tag("BEGIN")
            }
            None => {
                let mut transaction = Transaction::new(true, self.variables.clone());
                if read_only {
                    transaction.mode = Mode::Read(None);
                }
                self.transaction = Some(transaction);
                Answer::tag("BEGIN")
            }
        }
    }

    /// Ends a transaction well; also the implicit one of a string of statements.
    pub(super) async fn commit(&mut self) -> Result<Answer, Stop> {
        let Some(transaction) = self.transaction.take() else {
            return Ok(Answer {
                notices: vec![Notice::new("there is no transaction in progress")],
                ..Answer::tag("COMMIT")
            });
        };
        if transaction.failed {
            self.transaction = Some(transaction);
            return self.rollback().await;
        }
        self.forget_cursors().await;
        let mut answer = Answer::tag("COMMIT");
        let ended = match transaction.mode {
            Mode::Ddl(base, catalog) => self
                .engine
                .install(base, *catalog)
                .await
                .map_err(Stop::from),
            Mode::Single(ddl) => match self.apply(&ddl).await {
                Ok(effect) => {
                    answer.notices = effect.notices;
                    Ok(())
                }
                Err(stop) => Err(stop),
            },
            Mode::Empty | Mode::Read(_) | Mode::Write => Ok(()),
        };
        if transaction.backend {
            self.backend.query("COMMIT").await??;
        }
        self.variables.end_transaction();
        self.unsettled = true;
        if let Err(stop) = ended {
            self.variables = transaction.before;
            return Err(stop);
        }
        Ok(answer)
    }

    /// Gives a transaction up.
    pub(super) async fn rollback(&mut self) -> Result<Answer, Stop> {
        let Some(transaction) = self.transaction.take() else {
            return Ok(Answer {
                notices: vec![Notice::new("there is no transaction in progress")],
                ..Answer::tag("ROLLBACK")
            });
        };
        self.forget_cursors().await;
        if transaction.backend {
            self.backend.query("ROLLBACK").await??;
        }
        self.variables = transaction.before;
        self.unsettled = true;
        Ok(Answer::tag("ROLLBACK"))
    }

    fn set(&mut self, name: &str, value: Option<&str>, local: bool) -> Result<Answer, Stop> {
        let name = name.to_ascii_lowercase();
        if name == "role" {
            let wanted = value.unwrap_or_default();
            if wanted == self.role_name || wanted == "none" || wanted.is_empty() {
                return Ok(Answer::tag("SET"));
            }
            return Err(SqlError::new("0A000", "SET ROLE is not supported").into());
        }
        let used = self
            .transaction
            .as_ref()
            .is_some_and(|t| !matches!(t.mode, Mode::Empty));
        if used && name == "cluster" {
            return Err(SqlError::new(
                "25001",
                "SET cluster cannot be called in an active transaction",
            )
            .into());
        }
        self.variables.set(&name, value, local)?;
        if self.transaction.is_none() {
            // SET LOCAL has no transaction to last for.
            self.variables.end_transaction();
        }
        self.unsettled = true;
        let shown = super::REPORTED.iter().find(|(known, _)| *known == name);
        let reported =
            shown.map(|(name, shown)| ((*shown).to_owned(), self.variables.known(name).to_owned()));
        Ok(Answer {
            reported: reported.into_iter().collect(),
            ..Answer::tag("SET")
        })
    }

    fn show(&self, statement: &Statement, show: &Show) -> Result<Answer, Stop> {
        let rows = match show {
            Show::Variable(name) => vec![vec![Some(self.variables.get(name)?.to_owned())]],
            Show::All => self
                .variables
                .all()
                .into_iter()
                .map(|(n, v)| vec![Some(n), Some(v), Some(String::new())])
                .collect(),
            Show::Create(Thing::Cluster, name) => {
                let catalog = self.engine.catalog();
                let cluster = catalog.cluster(&name.join("."))?;
                vec![vec![
                    Some(cluster.name.clone()),
                    Some(catalog.show_create_cluster(cluster)?),
                ]]
            }
            Show::Create(_, name) => {
                let catalog = self.engine.catalog();
                let scope = self.scope();
                let object = catalog
                    .object(&scope, name)
                    .ok_or_else(|| SqlError::unknown_item(&name.join(".")))?;
                vec![vec![
                    Some(catalog.object_path(object)),
                    Some(catalog.show_create(object)),
                ]]
            }
            Show::Columns(name) => {
                let catalog = self.engine.catalog();
                let scope = self.scope();
                let object = catalog
                    .object(&scope, name)
                    .ok_or_else(|| SqlError::unknown_item(&name.join(".")))?;
                let row = |(column, position): (&Column, u32)| {
                    let comment = CommentOn::Object(object.id, Some(position));
                    let comment = catalog.comments.get(&comment).cloned();
                    let nullable = if column.nullable { "t" } else { "f" };
                    vec![
                        Some(column.name.clone()),
                        Some(nullable.to_owned()),
                        Some(column.type_name.clone()),
                        Some(comment.unwrap_or_default()),
                    ]
                };
                object.columns.iter().zip(1..).map(row).collect()
            }
            Show::Query(_) => return Err(SqlError::internal("not a statement of the front").into()),
        };
        let tag = format!("SELECT {}", rows.len());
        Ok(Answer {
            rows: Some(Rows {
                columns: columns(statement).unwrap_or_default(),
                rows,
            }),
            ..Answer::tag(tag)
        })
    }

    async fn ddl(&mut self, ddl: &Ddl, text: &str) -> Result<Answer, Stop> {
        let wanted = if ddl.is_transactional() {
            Use::Ddl
        } else {
            Use::Single
        };
        let Some(transaction) = &self.transaction else {
            let effect = self.apply(ddl).await?;
            return Ok(Answer {
                notices: effect.notices,
                ..Answer::tag(effect.tag)
            });
        };
        if transaction.explicit && matches!(ddl, Ddl::ApplyReplacement { .. }) {
            return Err(must_stand_alone(text).into());
        }
        transaction.admit(wanted, text)?;
        let engine = Arc::clone(&self.engine);
        let current = engine.catalog();
        let scope = self.scope();
        let cluster = self.variables.known("cluster").to_owned();
        let context = Context {
            scope: &scope,
            system: &engine.system,
            cluster: &cluster,
        };
        let Some(transaction) = &mut self.transaction else {
            return Ok(Answer::default());
        };
        if wanted == Use::Single {
            // Only tried here; it takes effect at COMMIT.
            let effect = ddl::apply(&mut current.as_ref().clone(), context, ddl)?;
            transaction.mode = Mode::Single(Box::new(ddl.clone()));
            return Ok(Answer::tag(effect.tag));
        }
        if !matches!(transaction.mode, Mode::Ddl(..)) {
            transaction.mode = Mode::Ddl(current.version, Box::new(current.as_ref().clone()));
        }
        let Mode::Ddl(base, catalog) = &mut transaction.mode else {
            return Ok(Answer::default());
        };
        if current.version != *base {
            return Err(race().into());
        }
        let effect = ddl::apply(catalog, context, ddl)?;
        Ok(Answer {
            notices: effect.notices,
            ..Answer::tag(effect.tag)
        })
    }

    /// Executes a DDL statement on its own. A sink takes its new input only once it runs, and a view its new definition
    /// only once it has come as far as the replacement, as on a real server: a statement that times out before has
    /// changed nothing.
    async fn apply(&mut self, ddl: &Ddl) -> Result<Effect, Stop> {
        let scope = self.scope();
        let cluster = self.variables.known("cluster").to_owned();
        let engine = Arc::clone(&self.engine);
        if matches!(ddl, Ddl::AlterSink { .. } | Ddl::ApplyReplacement { .. }) {
            let context = Context {
                scope: &scope,
                system: &engine.system,
                cluster: &cluster,
            };
            let mut trial = engine.catalog().as_ref().clone();
            let tried = ddl::apply(&mut trial, context, ddl)?;
            self.wait(async {
                if let Some(sink) = tried.repointed {
                    while engine
                        .steering
                        .sink_status(&sink.to_string())
                        .await
                        .is_some_and(|s| s != "running")
                    {
                        tokio::time::sleep(POLL).await;
                    }
                }
                if let Some((replacement, target)) = tried.applied {
                    let reached = engine.steering.frontier(&replacement.to_string()).await;
                    let target = target.to_string();
                    while engine.steering.frontier(&target).await < reached {
                        tokio::time::sleep(POLL).await;
                    }
                }
            })
            .await?;
        }
        Ok(self.engine.execute(&scope, &cluster, ddl).await?)
    }
}
