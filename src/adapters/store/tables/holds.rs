//! What holds environments back.

use super::{Fault, Tables, Write, values};
use crate::adapters::store::Proof;

/// Writes what holds an environment, or that nothing does. Done twice it is the same.
pub(in crate::adapters::store) struct WriteHold(pub String, pub Option<String>);

impl Write for WriteHold {
    type Answer = ();

    async fn change(&self, tables: &Tables<'_>, _: &Proof) -> Result<(), Fault> {
        let Self(environment, document) = self;
        match document {
            Some(document) => {
                tables
                    .execute(
                        "/* store.set_hold */
                        INSERT INTO holds (environment, document) VALUES ($1, $2)
                        ON CONFLICT (environment) DO UPDATE SET document = excluded.document",
                        values![environment, document],
                    )
                    .await?;
            }
            None => {
                tables
                    .execute(
                        "/* store.remove_hold */
                        DELETE FROM holds WHERE environment = $1",
                        values![environment],
                    )
                    .await?;
            }
        }
        Ok(())
    }

    /// A second time the same is written.
    async fn stands(&self, _: &Tables<'_>, (): &()) -> Result<bool, Fault> {
        Ok(false)
    }
}

impl Tables<'_> {
    /// The document of what holds an environment.
    pub(in crate::adapters::store) async fn hold(
        &self,
        environment: &str,
    ) -> Result<Option<String>, Fault> {
        self.first(
            "/* store.hold */
            SELECT document FROM holds WHERE environment = $1",
            values![environment],
            |row| row.text(),
        )
        .await
    }
}
