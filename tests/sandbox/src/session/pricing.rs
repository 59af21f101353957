//! What a statement of this session costs, and the wait for it.

use tokio::time::Instant;

use super::transaction::Mode;
use super::{Session, Stop};
use crate::catalog::{Catalog, Relation, Scope};
use crate::costs::{self, Costs, Held, Priced, Seen, Shape, Situation};
use crate::ddl::{self, Context};
use crate::statement::{Ddl, Statement};
use crate::steering::exempt;

impl Session {
    /// Classifies a statement; none where nobody wants to know, and for statements that steer.
    pub(super) fn priced(&self, statement: &Statement, whole: &str, sql: &str) -> Option<Priced> {
        let wanted = self.engine.steering.is_logging() || self.engine.steering.costs().is_some();
        if !wanted || exempt(whole) {
            return None;
        }
        let catalog = self.engine.catalog();
        let scope = self.scope();
        let context = Context {
            scope: &scope,
            system: &self.engine.system,
            cluster: self.variables.known("cluster"),
        };
        let (in_transaction, held) = match &self.transaction {
            None => (false, Held::Nothing),
            Some(open) => {
                let held = match &open.mode {
                    Mode::Empty | Mode::Read(_) => Held::Nothing,
                    Mode::Write => Held::Rows,
                    Mode::Ddl(..) => Held::Names,
                    Mode::Single(ddl) => Held::Single(ddl.clone()),
                };
                (open.explicit, held)
            }
        };
        let look_up = |name: &[String]| self.seen(&catalog, &scope, name);
        let changes = |ddl: &Ddl| {
            let mut trial = match &self.transaction {
                Some(open) => match &open.mode {
                    Mode::Ddl(_, own) => own.as_ref().clone(),
                    Mode::Empty | Mode::Read(_) | Mode::Write | Mode::Single(_) => {
                        catalog.as_ref().clone()
                    }
                },
                None => catalog.as_ref().clone(),
            };
            let before = trial.clone();
            // What is refused is planned as far as what is done.
            ddl::apply(&mut trial, context, ddl).is_err() || !trial.same_content(&before)
        };
        let situation = Situation {
            look_up: &look_up,
            in_transaction,
            held,
            changes: &changes,
        };
        Some(costs::price(statement, sql, &situation))
    }

    /// Whether a query is answered from one index, or from none.
    pub(super) fn is_peek(&self, text: &str) -> bool {
        let (catalog, scope) = (self.engine.catalog(), self.scope());
        let judged = costs::judge(text, &|name| self.seen(&catalog, &scope, name));
        matches!(judged.shape, Shape::Constant | Shape::Peek)
    }

    fn seen(&self, catalog: &Catalog, scope: &Scope, name: &[String]) -> Seen {
        match catalog.relation(&self.engine.system, scope, name) {
            Ok(Relation::System(system)) => costs::system_relation(&system.schema, &system.name),
            Ok(Relation::User(object)) => costs::user_relation(catalog, &object),
            Err(_) => Seen::Other,
        }
    }

    /// Waits for most of a statement's price; answers when the rest is over.
    pub(super) async fn charge(&mut self, priced: &Priced) -> Result<Option<Instant>, Stop> {
        let Some(Costs { factor, .. }) = self.engine.steering.costs() else {
            return Ok(None);
        };
        let engine = std::sync::Arc::clone(&self.engine);
        let arrived = self.arrived;
        let due = self
            .wait(async move { engine.coordinator.charge(priced, factor, arrived).await })
            .await?;
        Ok(Some(due))
    }
}
