//! Statements that PostgreSQL executes: resolved, checked, and handed on.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::backend::translated;
use super::transaction::{Mode, Use};
use super::{Session, Stop};
use crate::catalog::{Catalog, Id, Mode as Privilege, Scope};
use crate::ddl::access;
use crate::failure::SqlError;
use crate::rewrite::{self, Resolver, Rewritten};
use crate::statement::{Show, Statement};

/// The text PostgreSQL would execute, if it is a statement for it.
pub(super) fn backend_text<'a>(statement: &'a Statement, text: &'a str) -> Option<&'a str> {
    match statement {
        Statement::Query | Statement::Insert | Statement::Mutation(_) | Statement::Copy => {
            Some(text)
        }
        Statement::Show(Show::Query(query)) => Some(query),
        Statement::Begin { .. }
        | Statement::Commit
        | Statement::Rollback
        | Statement::Set { .. }
        | Statement::SetTransaction
        | Statement::Reset(_)
        | Statement::Discard
        | Statement::Deallocate(_)
        | Statement::Show(_)
        | Statement::Explain(_)
        | Statement::Declare { .. }
        | Statement::Fetch { .. }
        | Statement::Close(_)
        | Statement::Ddl(_) => None,
    }
}

fn use_of(statement: &Statement) -> Use {
    if let Statement::Mutation(kind) = statement {
        Use::Mutate(kind)
    } else if matches!(statement, Statement::Insert | Statement::Copy) {
        Use::Write
    } else {
        Use::Read
    }
}

impl Session {
    pub(super) fn resolver<'a>(&'a self, catalog: &'a Catalog, scope: &'a Scope) -> Resolver<'a> {
        Resolver {
            catalog,
            system: &self.engine.system,
            scope,
        }
    }

    /// Resolves a statement against the present catalog.
    pub(super) fn resolve(&self, text: &str) -> Result<(Arc<Catalog>, Rewritten), SqlError> {
        let catalog = self.engine.catalog();
        let rewritten = rewrite::statement(self.resolver(&catalog, &self.scope()), text)?;
        Ok((catalog, rewritten))
    }

    /// Transaction rules, privileges and the cluster; then the backend is brought to the same point.
    pub(super) async fn admit(
        &mut self,
        statement: &Statement,
        text: &str,
        catalog: &Catalog,
        rewritten: &Rewritten,
    ) -> Result<(), Stop> {
        let wanted = use_of(statement);
        self.steered |= rewritten.steering;
        if let Some(transaction) = &mut self.transaction {
            if transaction.failed {
                return Err(super::transaction::aborted().into());
            }
            if !rewritten.steering {
                transaction.admit(wanted, text)?;
                if matches!(transaction.mode, Mode::Empty) {
                    transaction.mode = if wanted == Use::Read {
                        Mode::Read(None)
                    } else {
                        Mode::Write
                    };
                }
                transaction.enter(schemas(catalog, &rewritten.objects))?;
            }
        }
        self.check(statement, catalog, rewritten)?;
        self.settle().await?;
        if let Some(transaction) = &mut self.transaction
            && !transaction.backend
        {
            let begin = if wanted == Use::Read && !rewritten.steering {
                "BEGIN ISOLATION LEVEL REPEATABLE READ"
            } else {
                "BEGIN"
            };
            transaction.backend = true;
            self.backend.query(begin).await??;
        }
        Ok(())
    }

    fn check(
        &self,
        statement: &Statement,
        catalog: &Catalog,
        rewritten: &Rewritten,
    ) -> Result<(), SqlError> {
        for (object, mode) in &rewritten.writes {
            access::object(catalog, self.role, object, *mode)?;
        }
        let written: BTreeSet<Id> = rewritten.writes.iter().map(|(o, _)| o.id).collect();
        let plain_insert = matches!(statement, Statement::Insert | Statement::Copy);
        let reads: BTreeSet<Id> = rewritten
            .objects
            .iter()
            .copied()
            .filter(|id| !(plain_insert && written.contains(id)))
            .collect();
        access::reads(catalog, self.role, &reads)?;
        if reads.is_empty() || *statement == Statement::Copy {
            return Ok(());
        }
        let cluster = catalog.cluster(self.variables.known("cluster"))?;
        access::cluster(catalog, self.role, cluster, Privilege::Usage)?;
        if !catalog.replicas.values().any(|r| r.cluster == cluster.id) {
            let message = format!(
                "CLUSTER \"{}\" has no replicas available to service request",
                cluster.name
            );
            return Err(SqlError::new("0A000", message));
        }
        Ok(())
    }

    /// Passes the backend's answer on until the frame that ends it. Errors come back untranslated into the stream.
    pub(super) async fn relay(&mut self, last: &[u8]) -> Result<u8, Stop> {
        let mut interrupt = self.client.interrupt.clone();
        let mut error = None;
        loop {
            let frame = tokio::select! {
                frame = self.backend.read() => frame?,
                end = interrupt.ended() => return Err(end.into()),
            };
            match frame.tag {
                b'E' => error = Some(translated(&frame)),
                b'Z' => {}
                b'N' | b'S' => continue,
                b'G' => {
                    self.client.out.frame(&frame);
                    self.client.flush().await?;
                    self.copy_in().await?;
                    continue;
                }
                _ => self.client.out.frame(&frame),
            }
            self.client.flush_if_full().await?;
            if last.contains(&frame.tag) || (frame.tag == b'E' && !last.contains(&b'Z')) {
                return match error {
                    Some(error) => Err(error.into()),
                    None => Ok(frame.tag),
                };
            }
        }
    }

    async fn copy_in(&mut self) -> Result<(), Stop> {
        while let Some(frame) = self.client.next().await? {
            let mut out = crate::wire::Writer::default();
            match frame.tag {
                b'd' | b'c' | b'f' => out.frame(&frame),
                _ => continue,
            }
            self.backend.send(&out).await?;
            if frame.tag != b'd' {
                return Ok(());
            }
        }
        Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset).into())
    }
}

/// Schemas of the objects and of all they read.
fn schemas(catalog: &Catalog, objects: &BTreeSet<Id>) -> BTreeSet<Id> {
    let mut seen = BTreeSet::new();
    let mut todo: Vec<Id> = objects.iter().copied().collect();
    let mut out = BTreeSet::new();
    while let Some(object) = todo.pop().and_then(|id| catalog.objects.get(&id)) {
        if seen.insert(object.id) {
            out.insert(object.schema);
            todo.extend(&object.depends);
        }
    }
    out
}
