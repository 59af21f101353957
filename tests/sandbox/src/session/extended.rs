//! The extended query protocol. A prepared statement keeps its text: when the catalog has changed since it was parsed,
//! it is resolved and prepared anew at Bind, so it follows a swap.

use std::sync::Arc;

use super::client::End;
use super::execute::{self, Afterwards, Answer};
use super::query::backend_text;
use super::transaction::aborted;
use super::{Session, Stop};
use crate::catalog::Catalog;
use crate::failure::SqlError;
use crate::lexer;
use crate::rewrite::{Rewritten, USER_SCHEMA};
use crate::statement::{self, Statement};
use crate::wire::{Fields, Frame, Writer, put_text};

/// A prepared statement.
#[derive(Debug)]
pub(super) struct Prepared {
    /// As sent, comments included.
    whole: String,
    sql: String,
    /// None for an empty query.
    statement: Option<Statement>,
    parameter_types: Vec<u32>,
    /// Name in the backend, and the text that is prepared there.
    backend: Option<(String, String)>,
}

/// The text with the row types of temporary views in the place of the views, which have the same columns.
///
/// Materialize plans a query over a view without looking into the view. PostgreSQL looks into each, and into those
/// that it reads, as soon as the query is parsed; of views that many others read, level over level, it makes more
/// than there is memory for. What is executed is prepared at Bind, with the views.
fn shapes_of_temporary_views(catalog: &Catalog, query: &Rewritten) -> String {
    let read = query.objects.iter();
    let read = read.filter_map(|id| catalog.objects.get(id));
    let views = read.filter(|object| object.session.is_some() && object.body.is_some());
    views.fold(query.sql.clone(), |sql, view| {
        let name = format!("\"{USER_SCHEMA}\".\"{}\"", view.relation);
        sql.replace(
            &format!("{name} AS "),
            &format!("(SELECT (NULL::{name}).*) AS "),
        )
    })
}

/// A bound portal.
#[derive(Debug, Clone)]
pub(super) struct Portal {
    prepared: Arc<Prepared>,
    in_backend: bool,
}

impl Session {
    /// Serves one message of the extended protocol.
    pub(super) async fn extended(&mut self, frame: Frame) -> Result<(), End> {
        if frame.tag == b'S' {
            return self.end_of_run().await;
        }
        match self.extended_message(&frame).await {
            Ok(()) => Ok(()),
            Err(Stop::End(end)) => Err(end),
            Err(Stop::Sql(error)) => {
                self.backend.sync().await?;
                self.fail().await?;
                self.client.out.error(&error);
                // Everything up to the next Sync is skipped.
                while let Some(frame) = self.client.next().await? {
                    if frame.tag == b'S' {
                        return self.end_of_run().await;
                    }
                }
                Ok(())
            }
        }
    }

    async fn end_of_run(&mut self) -> Result<(), End> {
        self.backend.sync().await?;
        self.settle_steering().await;
        let status = self.status();
        self.client.out.ready(status);
        self.client.flush().await?;
        Ok(())
    }

    async fn extended_message(&mut self, frame: &Frame) -> Result<(), Stop> {
        let mut fields = Fields::new(&frame.body);
        match frame.tag {
            b'P' => {
                let (name, sql) = (fields.text()?, fields.text()?);
                let count = fields.u16()?;
                let types = (0..count)
                    .map(|_| fields.u32())
                    .collect::<Result<Vec<_>, _>>()?;
                self.parse(name, &sql, types).await
            }
            b'B' => {
                let (portal, name) = (fields.text()?, fields.text()?);
                self.bind(portal, &name, fields.rest()).await
            }
            b'D' => {
                let (kind, name) = (fields.u8()?, fields.text()?);
                self.describe(kind, &name).await
            }
            b'E' => {
                let (portal, limit) = (fields.text()?, fields.u32()?);
                self.execute(&portal, limit).await
            }
            b'C' => {
                let (kind, name) = (fields.u8()?, fields.text()?);
                if kind == b'S' {
                    self.prepared.remove(&name);
                } else {
                    self.portals.remove(&name);
                }
                self.client.out.message(b'3', |_| {});
                Ok(())
            }
            _ => Ok(self.client.flush().await?),
        }
    }

    fn found(&self, name: &str) -> Result<Arc<Prepared>, SqlError> {
        let missing = || {
            SqlError::new(
                "26000",
                format!("prepared statement {name:?} does not exist"),
            )
        };
        self.prepared.get(name).cloned().ok_or_else(missing)
    }

    async fn parse(
        &mut self,
        name: String,
        text: &str,
        parameter_types: Vec<u32>,
    ) -> Result<(), Stop> {
        let statements = lexer::split(text)?;
        let sql = match statements.as_slice() {
            [] => "",
            [one] => one,
            _ => return Err(super::simple::several().into()),
        };
        let statement = if sql.is_empty() {
            None
        } else {
            Some(statement::parse(sql)?)
        };
        let failed = self.transaction.as_ref().is_some_and(|t| t.failed);
        if failed
            && !matches!(
                statement,
                None | Some(Statement::Commit | Statement::Rollback)
            )
        {
            return Err(aborted().into());
        }
        let mut prepared = Prepared {
            whole: text.trim().to_owned(),
            sql: sql.to_owned(),
            statement,
            parameter_types,
            backend: None,
        };
        if let Some(query) = prepared
            .statement
            .as_ref()
            .and_then(|s| backend_text(s, sql))
        {
            let (catalog, rewritten) = self.resolve(query)?;
            self.settle().await?;
            let sql = shapes_of_temporary_views(&catalog, &rewritten);
            prepared.backend = Some(self.prepare(sql, &prepared.parameter_types).await?);
        }
        self.prepared.insert(name, Arc::new(prepared));
        self.client.out.message(b'1', |_| {});
        Ok(())
    }

    /// Prepares resolved text under a name of its own.
    async fn prepare(&mut self, sql: String, types: &[u32]) -> Result<(String, String), Stop> {
        self.next_statement += 1;
        let name = format!("s{}", self.next_statement);
        let mut out = Writer::default();
        out.message(b'P', |b| {
            put_text(b, &name);
            put_text(b, &sql);
            b.extend_from_slice(&u16::try_from(types.len()).unwrap_or(0).to_be_bytes());
            types
                .iter()
                .for_each(|t| b.extend_from_slice(&t.to_be_bytes()));
        });
        out.message(b'H', |_| {});
        self.converse(&out).await?;
        let kept = self.client.out.buffer.len();
        self.relay(b"1").await?;
        // ParseComplete is the front's to send.
        self.client.out.buffer.truncate(kept);
        Ok((name, sql))
    }

    async fn converse(&mut self, out: &Writer) -> Result<(), Stop> {
        self.backend.unsynced = true;
        Ok(self.backend.send(out).await?)
    }

    async fn bind(&mut self, portal: String, name: &str, rest: &[u8]) -> Result<(), Stop> {
        let prepared = self.found(name)?;
        let statement = prepared.statement.as_ref();
        let Some(query) = statement.and_then(|s| backend_text(s, &prepared.sql)) else {
            self.portals.insert(
                portal,
                Portal {
                    prepared,
                    in_backend: false,
                },
            );
            self.client.out.message(b'2', |_| {});
            return Ok(());
        };
        let (catalog, rewritten) = self.resolve(query)?;
        // Settling and BEGIN are simple queries: they end the run of extended messages first.
        if let Some(statement) = statement {
            self.admit(statement, &prepared.sql, &catalog, &rewritten)
                .await?;
        }
        let mut target = prepared.backend.clone();
        if target.as_ref().is_none_or(|(_, sql)| *sql != rewritten.sql) {
            let renewed = self
                .prepare(rewritten.sql, &prepared.parameter_types)
                .await?;
            target = Some(renewed.clone());
            let copy = Prepared {
                whole: prepared.whole.clone(),
                sql: prepared.sql.clone(),
                statement: prepared.statement.clone(),
                parameter_types: prepared.parameter_types.clone(),
                backend: Some(renewed),
            };
            self.prepared.insert(name.to_owned(), Arc::new(copy));
        }
        let backend_name = target.map(|(name, _)| name).unwrap_or_default();
        let mut out = Writer::default();
        out.message(b'B', |b| {
            put_text(b, &portal);
            put_text(b, &backend_name);
            b.extend_from_slice(rest);
        });
        out.message(b'H', |_| {});
        self.converse(&out).await?;
        self.relay(b"2").await?;
        self.portals.insert(
            portal,
            Portal {
                prepared,
                in_backend: true,
            },
        );
        Ok(())
    }

    async fn describe(&mut self, kind: u8, name: &str) -> Result<(), Stop> {
        let (prepared, in_backend) = if kind == b'S' {
            let prepared = self.found(name)?;
            let in_backend = prepared.backend.is_some();
            (prepared, in_backend)
        } else {
            let portal = self.portal(name)?;
            (portal.prepared, portal.in_backend)
        };
        if !in_backend {
            let out = &mut self.client.out;
            if kind == b'S' {
                out.message(b't', |b| b.extend_from_slice(&[0, 0]));
            }
            match prepared.statement.as_ref().and_then(execute::columns) {
                Some(columns) => out.row_description(
                    &columns
                        .iter()
                        .map(|(n, oid)| (n.as_str(), *oid))
                        .collect::<Vec<_>>(),
                ),
                None => out.message(b'n', |_| {}),
            }
            return Ok(());
        }
        let target = match (&prepared.backend, kind) {
            (Some((name, _)), b'S') => name.clone(),
            _ => name.to_owned(),
        };
        let mut out = Writer::default();
        out.message(b'D', |b| {
            b.push(kind);
            put_text(b, &target);
        });
        out.message(b'H', |_| {});
        self.converse(&out).await?;
        self.relay(b"Tn").await?;
        Ok(())
    }

    fn portal(&self, name: &str) -> Result<Portal, SqlError> {
        self.portals
            .get(name)
            .cloned()
            .ok_or_else(|| SqlError::new("34000", format!("portal {name:?} does not exist")))
    }

    async fn execute(&mut self, name: &str, limit: u32) -> Result<(), Stop> {
        let portal = self.portal(name)?;
        let Some(statement) = &portal.prepared.statement else {
            self.client.out.message(b'I', |_| {});
            return Ok(());
        };
        let struck = self
            .strike(&portal.prepared.whole, &portal.prepared.sql, statement)
            .await?;
        if portal.in_backend {
            let mut out = Writer::default();
            out.message(b'E', |b| {
                put_text(b, name);
                b.extend_from_slice(&limit.to_be_bytes());
            });
            out.message(b'H', |_| {});
            self.converse(&out).await?;
            self.relay(b"CsI").await?;
            if struck.afterwards != Afterwards::Answer {
                self.backend.sync().await?;
            }
        } else {
            let answer = self.execute_front(statement, &portal.prepared.sql).await?;
            self.plain_answer(answer);
        }
        self.struck(struck).await
    }

    fn plain_answer(&mut self, answer: Answer) {
        let out = &mut self.client.out;
        answer.notices.iter().for_each(|n| out.notice(n));
        for row in answer.rows.iter().flat_map(|r| &r.rows) {
            out.data_row(row);
        }
        out.complete(&answer.tag);
        answer
            .reported
            .iter()
            .for_each(|(n, v)| out.parameter(n, v));
    }
}
