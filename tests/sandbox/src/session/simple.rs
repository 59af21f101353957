//! The simple query protocol: a string of statements.

use super::client::End;
use super::execute::Answer;
use super::query::backend_text;
use super::transaction::{Transaction, aborted};
use super::{Session, Stop};
use crate::failure::SqlError;
use crate::lexer;
use crate::statement::{self, Statement};

impl Session {
    /// Serves one `Query` message up to ReadyForQuery.
    pub(super) async fn simple(&mut self, text: &str) -> Result<(), End> {
        self.backend.sync().await?;
        match self.simple_statements(text).await {
            Ok(()) => {}
            Err(Stop::Sql(error)) => {
                self.fail().await?;
                self.client.out.error(&error);
            }
            Err(Stop::End(end)) => return Err(end),
        }
        self.settle_steering().await;
        let status = self.status();
        self.client.out.ready(status);
        self.client.flush().await?;
        Ok(())
    }

    /// Marks an open transaction as failed; an implicit one is over.
    pub(super) async fn fail(&mut self) -> Result<(), End> {
        match &mut self.transaction {
            Some(transaction) if transaction.explicit => transaction.failed = true,
            Some(_) => match self.rollback().await {
                Ok(_) => {}
                Err(Stop::Sql(error)) => {
                    tracing::debug!(%error, "rollback of an implicit transaction")
                }
                Err(Stop::End(end)) => return Err(end),
            },
            None => {}
        }
        Ok(())
    }

    async fn simple_statements(&mut self, text: &str) -> Result<(), Stop> {
        let statements = lexer::split(text)?;
        if statements.is_empty() {
            self.client.out.message(b'I', |_| {});
            return Ok(());
        }
        let mut parsed = Vec::new();
        let mut from = 0;
        for sql in statements {
            // Comments in front of a statement belong to it: they often name it.
            let start = sql.as_ptr().addr() - text.as_ptr().addr();
            let end = start + sql.len();
            let whole = text[from..end].trim_start_matches(|c: char| c == ';' || c.is_whitespace());
            from = end;
            parsed.push((whole, sql, statement::parse(sql)?));
        }
        if parsed.len() > 1 && self.transaction.is_none() {
            self.transaction = Some(Transaction::new(false, self.variables.clone()));
        }
        for (whole, sql, statement) in parsed {
            self.simple_statement(whole, sql, &statement).await?;
        }
        if self.transaction.as_ref().is_some_and(|t| !t.explicit) {
            self.commit().await?;
        }
        Ok(())
    }

    async fn simple_statement(
        &mut self,
        whole: &str,
        sql: &str,
        statement: &Statement,
    ) -> Result<(), Stop> {
        let failed = self.transaction.as_ref().is_some_and(|t| t.failed);
        if failed && !matches!(statement, Statement::Commit | Statement::Rollback) {
            return Err(aborted().into());
        }
        let struck = self.strike(whole, sql, statement).await?;
        match backend_text(statement, sql) {
            Some(query) => {
                let (catalog, rewritten) = self.resolve(query)?;
                self.admit(statement, sql, &catalog, &rewritten).await?;
                self.backend.send_query(&rewritten.sql).await?;
                self.relay(b"Z").await?;
            }
            None => {
                let answer = self.execute_front(statement, sql).await?;
                self.answer(answer);
            }
        }
        self.struck(struck).await
    }

    fn answer(&mut self, answer: Answer) {
        let out = &mut self.client.out;
        answer.notices.iter().for_each(|n| out.notice(n));
        if let Some(rows) = answer.rows {
            let columns: Vec<_> = rows
                .columns
                .iter()
                .map(|(n, oid)| (n.as_str(), *oid))
                .collect();
            out.row_description(&columns);
            rows.rows.iter().for_each(|row| out.data_row(row));
        }
        out.complete(&answer.tag);
        answer
            .reported
            .iter()
            .for_each(|(n, v)| out.parameter(n, v));
    }
}

/// The answer to a statement of several where one is expected.
pub(super) fn several() -> SqlError {
    SqlError::syntax("cannot insert multiple commands into a prepared statement")
}
