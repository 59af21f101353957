//! Looking through SQL that the server shows.

/// The answer of SHOW CREATE INDEX from the key's opening parenthesis on: `("customer")`, with the
/// options that follow.
///
/// # Errors
/// The answer itself, when it does not have the known shape.
pub fn index_key(create_sql: &str) -> Result<String, String> {
    let sql = create_sql.trim_end();
    let sql = sql.strip_suffix(';').unwrap_or(sql).trim_end();
    let opening = unquoted(sql).find(|(_, character)| *character == '(');
    match opening {
        Some((at, _)) if sql.starts_with("CREATE INDEX") && sql.ends_with(')') => {
            Ok(sql[at..].to_owned())
        }
        Some(_) | None => Err(create_sql.to_owned()),
    }
}

/// The characters outside quotes, with their places. A doubled quote ends and begins a quotation.
pub(crate) fn unquoted(sql: &str) -> impl Iterator<Item = (usize, char)> {
    let mut quote = None;
    sql.char_indices().filter(move |(_, character)| {
        match quote {
            Some(open) if *character == open => quote = None,
            Some(_) => {}
            None if matches!(character, '"' | '\'') => quote = Some(*character),
            None => return true,
        }
        false
    })
}
