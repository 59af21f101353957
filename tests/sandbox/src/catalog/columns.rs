//! Columns of relations, and what is known of their nullability when a query is planned.

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Type as `mz_columns.type` shows it.
    pub type_name: String,
    /// Type OID.
    pub type_oid: u32,
    /// Type modifier.
    pub type_mod: i32,
    /// Whether it may hold NULL.
    pub nullable: bool,
    /// Default expression of a table's column.
    pub default: Option<String>,
}

/// What planning says about the nullability of an object's columns; PostgreSQL knows it for tables only.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Nullability {
    /// By position, true where a NULL is impossible; missing positions may be NULL.
    pub not_null_at: Vec<bool>,
    /// By name, from `ASSERT NOT NULL`.
    pub asserted: Vec<String>,
    /// Whether the rows are distinct in some columns.
    pub keyed: bool,
}

impl Nullability {
    /// Applies it to described columns.
    pub fn apply(&self, columns: &mut [Column]) {
        for (at, column) in columns.iter_mut().enumerate() {
            if self.not_null_at.get(at).copied().unwrap_or(false)
                || self.asserted.contains(&column.name)
            {
                column.nullable = false;
            }
        }
    }
}
