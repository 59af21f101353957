//! Statements by name.

use super::cost::Cost;
use std::fmt;

/// A named statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    label: &'static str,
    sql: String,
    cost: Cost,
}

impl Statement {
    /// A statement with the name that logs and errors use.
    #[must_use]
    pub fn new(label: &'static str, sql: impl Into<String>) -> Self {
        let sql = sql.into();
        let cost = Cost::of(&sql);
        Self { label, sql, cost }
    }

    /// The statement without its name.
    #[must_use]
    pub fn sql(&self) -> &str {
        &self.sql
    }

    /// What it costs, by its first word.
    #[must_use]
    pub fn cost(&self) -> Cost {
        self.cost
    }

    /// The name.
    #[must_use]
    pub fn label(&self) -> &'static str {
        self.label
    }
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/* cutover: {} */ {}", self.label, self.sql)
    }
}

#[cfg(test)]
mod tests {
    use super::Statement;

    #[test]
    fn statements_carry_their_name() {
        assert_eq!(
            Statement::new("drop it", "DROP SCHEMA \"x\"").to_string(),
            "/* cutover: drop it */ DROP SCHEMA \"x\""
        );
    }
}
