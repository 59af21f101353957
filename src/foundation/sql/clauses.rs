//! Statements that make sinks, sources and connections, taken apart as far as a release must know them.

use super::tokens::{Tokens, are_several};

/// A sink's definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkClauses {
    /// The cluster that runs it, where the definition names one.
    pub cluster: Option<String>,
    /// The parts of the name of what it reads.
    pub from: Vec<String>,
    /// What follows that name: `INTO …`.
    pub rest: String,
}

/// The body of a sink as dbt compiles it: `FROM relation INTO …`.
///
/// # Errors
/// Why it is none, one clause.
pub fn sink_body(sql: &str) -> Result<SinkClauses, String> {
    let mut reader = Reader::of(sql)?;
    reader.expect("from")?;
    let from = reader.name()?;
    Ok(SinkClauses {
        cluster: None,
        from,
        rest: reader.rest_from("into")?,
    })
}

/// A sink as the server shows it: `CREATE SINK name IN CLUSTER c FROM relation INTO …`.
///
/// # Errors
/// Why it is none, one clause.
pub fn created_sink(sql: &str) -> Result<SinkClauses, String> {
    let mut reader = Reader::of(sql)?;
    reader.expect("create")?;
    reader.expect("sink")?;
    reader.name()?;
    let cluster = match reader.is_next("in") {
        true => {
            reader.expect("in")?;
            reader.expect("cluster")?;
            Some(reader.identifier()?)
        }
        false => None,
    };
    reader.expect("from")?;
    let from = reader.name()?;
    Ok(SinkClauses {
        cluster,
        from,
        rest: reader.rest_from("into")?,
    })
}

/// One statement's body that begins with this word, without what ends it.
///
/// # Errors
/// Why it is none, one clause.
pub fn body<'a>(sql: &'a str, begins: &str) -> Result<&'a str, String> {
    let reader = Reader::of(sql)?;
    let first = reader.tokens.first();
    let first = first.filter(|(_, token)| token.eq_ignore_ascii_case(begins));
    first
        .map(|(at, _)| sql[*at..reader.end].trim_end())
        .ok_or_else(|| format!("does not begin with {}", begins.to_uppercase()))
}

/// Whether a word stands in the SQL, outside of quotes.
#[must_use]
pub fn has_word(sql: &str, word: &str) -> bool {
    Tokens::of(sql).any(|token| token.eq_ignore_ascii_case(word))
}

/// The body of a source that says how its progress relation is called, be it this name. The server would choose
/// one after the name under which the source is made.
#[must_use]
pub fn with_progress(body: &str, progress: &str) -> String {
    let tokens: Vec<(usize, &str)> = Tokens::with_places(body).collect();
    let (mut depth, mut with) = (0_i32, None);
    for (number, (at, token)) in tokens.iter().enumerate() {
        match *token {
            "(" | "[" => depth += 1,
            ")" | "]" => depth -= 1,
            word if depth == 0 && word.eq_ignore_ascii_case("expose") => return body.to_owned(),
            word if depth == 0
                && word.eq_ignore_ascii_case("with")
                && tokens.get(number + 1).is_some_and(|(_, next)| *next == "(") =>
            {
                with = Some((number, *at));
            }
            _ => {}
        }
    }
    // Only the last clause can be the source's own options.
    let with = with.filter(|(number, _)| closes_at_the_end(&tokens[number + 1..]));
    match with {
        Some((_, at)) => format!(
            "{}\nEXPOSE PROGRESS AS {progress}\n{}",
            body[..at].trim_end(),
            &body[at..]
        ),
        None => format!("{}\nEXPOSE PROGRESS AS {progress}", body.trim_end()),
    }
}

/// Whether the parenthesis that these tokens begin with is closed by the last of them.
fn closes_at_the_end(tokens: &[(usize, &str)]) -> bool {
    let mut depth = 0_i32;
    for (number, (_, token)) in tokens.iter().enumerate() {
        match *token {
            "(" | "[" => depth += 1,
            ")" | "]" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return number + 1 == tokens.len();
        }
    }
    false
}

struct Reader<'a> {
    sql: &'a str,
    tokens: Vec<(usize, &'a str)>,
    /// The number of the next token.
    next: usize,
    /// Where the statement ends.
    end: usize,
}

impl<'a> Reader<'a> {
    fn of(sql: &'a str) -> Result<Self, String> {
        if are_several(sql) {
            return Err("is more than one statement".to_owned());
        }
        let mut tokens: Vec<(usize, &str)> = Tokens::with_places(sql).collect();
        let mut end = sql.len();
        while let Some((at, ";")) = tokens.last() {
            end = *at;
            tokens.pop();
        }
        Ok(Self {
            sql,
            tokens,
            next: 0,
            end,
        })
    }

    fn is_next(&self, word: &str) -> bool {
        let next = self.tokens.get(self.next);
        next.is_some_and(|(_, token)| token.eq_ignore_ascii_case(word))
    }

    fn expect(&mut self, word: &str) -> Result<(), String> {
        if !self.is_next(word) {
            let found = self.tokens.get(self.next);
            let found = found.map_or("the end", |(_, token)| *token);
            return Err(format!(
                "has {found} where {} is expected",
                word.to_uppercase()
            ));
        }
        self.next += 1;
        Ok(())
    }

    fn identifier(&mut self) -> Result<String, String> {
        let token = self.tokens.get(self.next).map(|(_, token)| *token);
        let token = token.ok_or_else(|| "ends where a name is expected".to_owned())?;
        let name = match token.strip_prefix('"') {
            Some(quoted) => quoted
                .strip_suffix('"')
                .map(|inner| inner.replace("\"\"", "\"")),
            None => {
                let is_letter = |c: char| c.is_alphabetic() || c == '_';
                token.starts_with(is_letter).then(|| token.to_lowercase())
            }
        };
        self.next += 1;
        name.filter(|name| !name.is_empty())
            .ok_or_else(|| format!("has {token} where a name is expected"))
    }

    fn name(&mut self) -> Result<Vec<String>, String> {
        let mut parts = vec![self.identifier()?];
        while self.is_next(".") {
            self.next += 1;
            parts.push(self.identifier()?);
        }
        Ok(parts)
    }

    /// The rest of the statement, which begins with this word.
    fn rest_from(&mut self, word: &str) -> Result<String, String> {
        let at = self.tokens.get(self.next).map(|(at, _)| *at);
        self.expect(word)?;
        let rest = at.and_then(|at| self.sql.get(at..self.end));
        Ok(rest.unwrap_or_default().trim_end().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_of_a_sink_is_taken_apart() {
        let sql = "\n-- what goes out\nFROM \"materialize\".\"marts\".\"To\"\"tals\"\nINTO KAFKA CONNECTION k (TOPIC 'a;b') FORMAT JSON ;\n";
        let clauses = sink_body(sql).expect("a sink");
        assert_eq!(clauses.from, ["materialize", "marts", "To\"tals"]);
        assert_eq!(
            clauses.rest,
            "INTO KAFKA CONNECTION k (TOPIC 'a;b') FORMAT JSON"
        );
        assert!(sink_body("SELECT 1").is_err());
        assert!(sink_body("FROM a INTO b; DROP TABLE c").is_err());
        assert!(sink_body("FROM (select 1) INTO b").is_err());
    }

    #[test]
    fn the_definition_of_a_sink_is_read_as_the_server_shows_it() {
        let sql = "CREATE SINK materialize.out.orders\n    IN CLUSTER \"Big\"\n    FROM materialize.marts_dbt_deploy.Totals\n    INTO KAFKA CONNECTION materialize.out.k (TOPIC = 'a')\n    ENVELOPE DEBEZIUM;";
        let clauses = created_sink(sql).expect("a sink");
        assert_eq!(clauses.cluster.as_deref(), Some("Big"));
        assert_eq!(clauses.from, ["materialize", "marts_dbt_deploy", "totals"]);
        assert!(clauses.rest.starts_with("INTO KAFKA"));
        assert!(clauses.rest.ends_with("ENVELOPE DEBEZIUM"));
    }

    #[test]
    fn the_progress_relation_is_named_where_the_source_does_not() {
        let name = "\"p\"";
        assert_eq!(
            with_progress("FROM LOAD GENERATOR COUNTER", name),
            "FROM LOAD GENERATOR COUNTER\nEXPOSE PROGRESS AS \"p\""
        );
        assert_eq!(
            with_progress(
                "FROM KAFKA CONNECTION k (TOPIC 'a') FORMAT CSV WITH HEADER (a, b) WITH (RETAIN HISTORY FOR '1d')",
                name
            ),
            "FROM KAFKA CONNECTION k (TOPIC 'a') FORMAT CSV WITH HEADER (a, b)\nEXPOSE PROGRESS AS \"p\"\nWITH (RETAIN HISTORY FOR '1d')"
        );
        let own = "FROM LOAD GENERATOR COUNTER EXPOSE PROGRESS AS x";
        assert_eq!(with_progress(own, name), own);
    }

    #[test]
    fn a_body_is_one_statement_that_begins_as_it_should() {
        assert_eq!(
            body("to KAFKA (BROKER 'b');", "to"),
            Ok("to KAFKA (BROKER 'b')")
        );
        assert!(body("CREATE CONNECTION x TO KAFKA", "to").is_err());
        assert!(has_word("TO KAFKA (PASSWORD = secret p)", "secret"));
        assert!(!has_word("TO KAFKA (BROKER 'secret')", "secret"));
    }
}
