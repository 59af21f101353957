//! Compiled SQL that reads production, made to read green where a release builds green.
//!
//! By tokens, so that nothing inside strings and comments is a name. What is rewritten is the schema of a
//! name, everything else stays as it is written:
//! - a name of three parts that is exactly a moved relation, as dbt renders it, and such a name with a
//!   column behind it;
//! - a name of two parts that is exactly a moved relation where it stands right after FROM or JOIN, or
//!   where its first part names nothing else in the text. Elsewhere it may be a column of an alias.
//!
//! What names a relation in any other form still reads production. That is not found here: the server's own
//! dependencies say it once the object is there.

use crate::foundation::sql::identifier::Ident;
use crate::foundation::sql::tokens::Tokens;
use crate::inputs::manifest::identifier::ClusterName;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// The relations that a release builds aside.
#[derive(Debug, Clone)]
pub struct Moves<'a> {
    database: &'a str,
    /// `(schema, name)` → the schema in which it is built.
    relations: BTreeMap<(&'a str, &'a str), &'a str>,
}

impl<'a> Moves<'a> {
    /// Relations of one database: pairs of `(schema, name)`, as the catalog holds them, and the schema in which
    /// each is built.
    #[must_use]
    pub fn new(
        database: &'a str,
        relations: impl IntoIterator<Item = ((&'a str, &'a str), &'a str)>,
    ) -> Self {
        Self {
            database,
            relations: relations.into_iter().collect(),
        }
    }

    /// The SQL with the names of moved relations in their new schemas.
    #[must_use]
    pub fn rewrite(&self, sql: &str) -> String {
        let names = names(sql);
        let alone = alone(&names);
        let mut out = String::with_capacity(sql.len() + 64);
        let mut taken = 0;
        for name in &names {
            let Some((schema, green)) = self.moved(name, &alone) else {
                continue;
            };
            out.push_str(&sql[taken..schema.begin]);
            out.push_str(&Ident(green).to_string());
            taken = schema.end;
        }
        out.push_str(&sql[taken..]);
        out
    }

    /// The moved relations that a text names, `(schema, name)`.
    #[must_use]
    pub fn named(&self, sql: &str) -> BTreeSet<(String, String)> {
        let names = names(sql);
        let alone = alone(&names);
        let moved = names.iter().filter_map(|name| {
            let (schema, _) = self.moved(name, &alone)?;
            let mut parts = name.parts.iter();
            parts.find(|part| part.begin == schema.begin)?;
            Some((schema.text.to_string(), parts.next()?.text.to_string()))
        });
        moved.collect()
    }

    /// The part of a name that is the schema of a moved relation, and what becomes of it.
    fn moved<'n>(
        &self,
        name: &'n Name<'_>,
        alone: &BTreeSet<&str>,
    ) -> Option<(&'n Part<'n>, &'a str)> {
        let (schema, relation) = match name.parts.as_slice() {
            // The fourth is a column: nothing else has four parts.
            [database, schema, relation] | [database, schema, relation, _]
                if database.text == self.database =>
            {
                (schema, relation)
            }
            [schema, relation] if name.is_relation || !alone.contains(&*schema.text) => {
                (schema, relation)
            }
            _ => return None,
        };
        let green = self.relations.get(&(&*schema.text, &*relation.text))?;
        Some((schema, green))
    }
}

/// Relations in whose places something else is read: common table expressions.
#[derive(Debug, Clone)]
pub struct StandIns<'a>(Moves<'a>);

/// What may follow a relation that has no alias.
const BEHIND_A_RELATION: [&str; 25] = [
    "",
    ")",
    ",",
    ";",
    "on",
    "using",
    "where",
    "group",
    "having",
    "order",
    "limit",
    "offset",
    "fetch",
    "union",
    "except",
    "intersect",
    "join",
    "inner",
    "left",
    "right",
    "full",
    "cross",
    "natural",
    "options",
    "qualify",
];

impl<'a> StandIns<'a> {
    /// Relations of one database: pairs of `(schema, name)`, as the catalog holds them, and the name of what is read
    /// in the place of each.
    #[must_use]
    pub fn new(
        database: &'a str,
        relations: impl IntoIterator<Item = ((&'a str, &'a str), &'a str)>,
    ) -> Self {
        Self(Moves::new(database, relations))
    }

    /// The SQL with each relation replaced by what stands for it, and the names of relations that nothing stands for,
    /// as they are written; a name of one part is not found among these. A relation that has no alias gets its own
    /// name as one, so that its columns are called as before.
    #[must_use]
    pub fn put_in(&self, sql: &str) -> (String, BTreeSet<String>) {
        let names = names(sql);
        let alone = alone(&names);
        let (mut out, mut left) = (String::with_capacity(sql.len() + 64), BTreeSet::new());
        let mut taken = 0;
        for name in &names {
            let Some((schema, stand_in)) = self.0.moved(name, &alone) else {
                if let (true, Some(first), Some(last)) =
                    (self.is_other(name), name.parts.first(), name.parts.last())
                {
                    left.insert(sql[first.begin..last.end].to_owned());
                }
                continue;
            };
            let own = name
                .parts
                .iter()
                .position(|part| part.begin == schema.begin);
            let own = own.map_or(0, |at| at + 1);
            let (Some(first), Some(relation)) = (name.parts.first(), name.parts.get(own)) else {
                continue;
            };
            out.push_str(&sql[taken..first.begin]);
            let is_of_column = name.parts.len() > own + 1 || name.next == ".";
            let is_without_alias = BEHIND_A_RELATION
                .iter()
                .any(|word| name.next.eq_ignore_ascii_case(word));
            let (stand_in, alias) = (Ident(stand_in), Ident(&relation.text));
            out.push_str(&match (is_of_column, is_without_alias) {
                (true, _) => alias.to_string(),
                (false, true) => format!("{stand_in} AS {alias}"),
                (false, false) => stand_in.to_string(),
            });
            taken = relation.end;
        }
        out.push_str(&sql[taken..]);
        (out, left)
    }

    /// Whether a name that nothing stands for is one of a relation.
    fn is_other(&self, name: &Name<'_>) -> bool {
        match name.parts.as_slice() {
            [] | [_] => false,
            [_, _] => name.is_relation,
            [database, ..] => name.is_relation || database.text == self.0.database,
        }
    }
}

/// One part of a name.
#[derive(Debug)]
struct Part<'a> {
    /// As the catalog holds it.
    text: Cow<'a, str>,
    begin: usize,
    end: usize,
}

/// Words and quoted names with points between them.
#[derive(Debug)]
struct Name<'a> {
    parts: Vec<Part<'a>>,
    /// Whether it stands right after the word FROM or JOIN of a query.
    is_relation: bool,
    /// The token behind it; empty at the end.
    next: &'a str,
}

/// Names of one part: aliases among them.
fn alone<'n>(names: &'n [Name<'_>]) -> BTreeSet<&'n str> {
    let alone = names.iter().filter(|name| name.parts.len() == 1);
    alone.map(|name| &*name.parts[0].text).collect()
}

/// Functions that have a FROM of their own between their parentheses.
const WITH_FROM: [&str; 5] = ["extract", "substring", "trim", "overlay", "position"];

/// All names of a text, whole. What follows a point that follows no name, and what is called as a function, is
/// none.
fn names(sql: &str) -> Vec<Name<'_>> {
    let tokens: Vec<(usize, &str)> = Tokens::with_places(sql).collect();
    let text = |at: usize| tokens.get(at).map_or("", |(_, token)| *token);
    let is = |at: usize, word: &str| text(at).eq_ignore_ascii_case(word);
    let mut names = Vec::new();
    // What stands before each parenthesis that is open.
    let mut callers: Vec<&str> = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        match text(at) {
            "(" => callers.push(at.checked_sub(1).map_or("", text)),
            ")" => {
                callers.pop();
            }
            _ => {}
        }
        let Some(first) = part(tokens[at]) else {
            at += 1;
            continue;
        };
        let (began, mut parts) = (at, vec![first]);
        at += 1;
        while text(at) == "."
            && let Some(next) = tokens.get(at + 1).and_then(|token| part(*token))
        {
            parts.push(next);
            at += 2;
        }
        let after_point = began
            .checked_sub(1)
            .is_some_and(|before| text(before) == ".");
        if after_point || (parts.len() > 1 && text(at) == "(") {
            continue;
        }
        let is_relation = began.checked_sub(1).is_some_and(|before| {
            let is_distinct = before
                .checked_sub(1)
                .is_some_and(|before| is(before, "distinct"));
            let caller = callers.last().copied().unwrap_or_default();
            let is_argument = WITH_FROM
                .iter()
                .any(|function| caller.eq_ignore_ascii_case(function));
            is(before, "join") || (is(before, "from") && !is_distinct && !is_argument)
        });
        names.push(Name {
            parts,
            is_relation,
            next: text(at),
        });
    }
    names
}

/// A token as a part of a name; `None` of what is none, and of names with escapes in them.
fn part((begin, token): (usize, &str)) -> Option<Part<'_>> {
    let text = match token.strip_prefix('"') {
        Some(rest) => {
            let inner = rest.strip_suffix('"')?;
            if inner.contains('"') {
                Cow::Owned(inner.replace("\"\"", "\""))
            } else {
                Cow::Borrowed(inner)
            }
        }
        None => match ClusterName::fold(token) {
            Ok(ClusterName::Plain(name)) => Cow::Owned(name),
            Ok(ClusterName::Quoted(_)) | Err(_) => return None,
        },
    };
    Some(Part {
        text,
        begin,
        end: begin + token.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::{Moves, StandIns};
    use proptest::prelude::*;

    fn moves() -> Moves<'static> {
        Moves::new(
            "db",
            [
                (("marts", "totals"), "marts_g"),
                (("marts", "Odd \"name\""), "marts_g"),
                (("Stage", "orders"), "Stage_g"),
            ],
        )
    }

    #[test]
    fn whole_names_of_moved_relations_are_rewritten_and_nothing_else() {
        for (sql, expected) in [
            (
                r#"select * from "db"."marts"."totals""#,
                r#"select * from "db"."marts_g"."totals""#,
            ),
            (
                "select 1 from DB.Marts.Totals t",
                r#"select 1 from DB."marts_g".Totals t"#,
            ),
            (
                r#"from "db" . /* x */ "marts" . "totals""#,
                r#"from "db" . /* x */ "marts_g" . "totals""#,
            ),
            (
                r#"from "db"."marts"."Odd ""name""""#,
                r#"from "db"."marts_g"."Odd ""name""""#,
            ),
            // Case counts between quotes.
            (
                r#"from "db"."Stage"."orders""#,
                r#"from "db"."Stage_g"."orders""#,
            ),
            ("from db.Stage.orders", "from db.Stage.orders"),
            (
                r#"from "DB"."marts"."totals""#,
                r#"from "DB"."marts"."totals""#,
            ),
            // Columns of one.
            (
                r#"select "db"."marts"."totals"."id", "db"."marts"."totals".* from x"#,
                r#"select "db"."marts_g"."totals"."id", "db"."marts_g"."totals".* from x"#,
            ),
            // Two parts.
            (
                "select 1 from marts.totals",
                r#"select 1 from "marts_g".totals"#,
            ),
            (
                "a join marts.totals on b",
                r#"a join "marts_g".totals on b"#,
            ),
            ("from a, marts.totals", r#"from a, "marts_g".totals"#),
            (
                "with marts as (select 1) select marts.totals from marts",
                "with marts as (select 1) select marts.totals from marts",
            ),
            (
                "with marts as (select * from marts.totals) select marts.totals from marts",
                r#"with marts as (select * from "marts_g".totals) select marts.totals from marts"#,
            ),
            (
                "select extract(year from marts.totals) from x as marts where a is distinct from marts.totals",
                "select extract(year from marts.totals) from x as marts where a is distinct from marts.totals",
            ),
            // No names of relations.
            (
                "select '\"db\".\"marts\".\"totals\"'",
                "select '\"db\".\"marts\".\"totals\"'",
            ),
            (
                "select 1 -- from db.marts.totals",
                "select 1 -- from db.marts.totals",
            ),
            ("select $$db.marts.totals$$", "select $$db.marts.totals$$"),
            ("select marts.totals(1)", "select marts.totals(1)"),
            ("select (x).marts.totals", "select (x).marts.totals"),
            ("select marts.totals.id", "select marts.totals.id"),
            ("select a.db.marts.totals", "select a.db.marts.totals"),
            ("from db.marts.totals.a.b", "from db.marts.totals.a.b"),
            (
                r#"from db.marts.U&"totals", db.marts.totals_2"#,
                r#"from db.marts.U&"totals", db.marts.totals_2"#,
            ),
        ] {
            assert_eq!(moves().rewrite(sql), expected, "{sql}");
        }
    }

    #[test]
    fn what_a_text_names_is_told() {
        let sql = r#"select x.a, db.marts.totals.b from marts.totals join "db"."Stage"."orders" on 'db.marts."Odd ""name"""'"#;
        let pair = |schema: &str, name: &str| (schema.to_owned(), name.to_owned());
        let expected = [pair("marts", "totals"), pair("Stage", "orders")];
        assert_eq!(moves().named(sql), expected.into());
    }

    #[test]
    fn what_stands_for_a_relation_is_read_under_its_name() {
        let stand_ins = StandIns::new(
            "db",
            [(("marts", "totals"), "in_0"), (("Stage", "orders"), "in_1")],
        );
        for (sql, expected, left) in [
            (
                r#"select * from "db"."marts"."totals""#,
                r#"select * from "in_0" AS "totals""#,
                "",
            ),
            (
                "select totals.id, db.marts.totals.n, db.marts.totals.* from db.marts.totals where 1 = 1",
                r#"select totals.id, "totals".n, "totals".* from "in_0" AS "totals" where 1 = 1"#,
                "",
            ),
            (
                r#"select t.id from "db"."marts"."totals" t JOIN "db"."Stage"."orders" as o ON t.id = o.id"#,
                r#"select t.id from "in_0" t JOIN "in_1" as o ON t.id = o.id"#,
                "",
            ),
            (
                "with x as (select * from db.marts.totals), y as (select 1 from marts.totals, db.marts.totals) select * from x",
                r#"with x as (select * from "in_0" AS "totals"), y as (select 1 from "in_0" AS "totals", "in_0" AS "totals") select * from x"#,
                "",
            ),
            // Strings and comments are none.
            (
                "select 'db.marts.totals' -- from db.marts.totals\nfrom x",
                "select 'db.marts.totals' -- from db.marts.totals\nfrom x",
                "",
            ),
            // What nothing stands for.
            (
                r#"select a.b, extract(year from a.b) from "db"."marts"."other" o, a"#,
                r#"select a.b, extract(year from a.b) from "db"."marts"."other" o, a"#,
                r#""db"."marts"."other""#,
            ),
            (
                "select 1 from x, db.marts.other join mz_catalog.mz_objects on true",
                "select 1 from x, db.marts.other join mz_catalog.mz_objects on true",
                "db.marts.other mz_catalog.mz_objects",
            ),
            (
                "select * from mz_catalog.generate_series(1, 2)",
                "select * from mz_catalog.generate_series(1, 2)",
                "",
            ),
        ] {
            let (found, others) = stand_ins.put_in(sql);
            assert_eq!(found, expected, "{sql}");
            let others: Vec<String> = others.into_iter().collect();
            assert_eq!(others.join(" "), left, "{sql}");
        }
    }

    /// What stands between names: text that holds them, and is none.
    fn noise() -> impl Strategy<Value = String> {
        prop_oneof![
            Just(" select ".to_owned()),
            Just(" /* \"db\".\"marts\".\"totals\" /* ' */ */ ".to_owned()),
            Just(" -- db.marts.totals ' \" $$\n".to_owned()),
            Just(" 'from db.marts.totals' ".to_owned()),
            Just(" E'\\' from db.marts.totals' ".to_owned()),
            Just(" $t$ from \"db\".\"marts\".\"totals\" $t$ ".to_owned()),
            Just(" \"db.marts.totals\" ".to_owned()),
            Just(" \"db\".\"marts\".\"other\" ".to_owned()),
            Just(" \"db\".\"other\".\"totals\" ".to_owned()),
            Just(" , ".to_owned()),
            Just(" ( ".to_owned()),
            Just(" ) ".to_owned()),
            Just(" 1.5 <= ".to_owned()),
            " [a-c]{1,3} ",
        ]
    }

    /// A relation in one of its forms, before and after.
    fn relation() -> impl Strategy<Value = (String, String)> {
        let both = |form: &str| {
            let with = |schema: &str| form.replace('@', schema);
            (with("\"marts\""), with("\"marts_g\""))
        };
        prop_oneof![
            Just(both(" \"db\".@.\"totals\" ")),
            Just(both(" db.@.\"Odd \"\"name\"\"\" ")),
            Just(both(" from @.totals ")),
            Just(both(" \"db\" /* . */ . @\n. TOTALS ")),
            Just(both(" \"db\".@.\"totals\".\"id\" ")),
        ]
    }

    fn pieces() -> impl Strategy<Value = Vec<(String, String)>> {
        let noise = noise().prop_map(|text| (text.clone(), text));
        prop::collection::vec(prop_oneof![3 => noise, 2 => relation()], 0..24)
    }

    proptest! {
        #[test]
        fn names_are_found_among_anything(pieces in pieces()) {
            // A name and a parenthesis behind it are a call of a function.
            let sql: String = pieces.iter().map(|(before, _)| format!("{before};")).collect();
            let expected: String = pieces.iter().map(|(_, after)| format!("{after};")).collect();
            let found = moves().rewrite(&sql);
            prop_assert_eq!(&found, &expected);
            prop_assert_eq!(moves().rewrite(&found), found);
        }

        #[test]
        fn what_names_no_moved_relation_stays_as_it_is(sql in "\\PC{0,80}") {
            let nothing = Moves::new("db", []);
            prop_assert_eq!(nothing.rewrite(&sql), sql);
        }
    }
}
