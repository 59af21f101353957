//! Tests of how the questions are spelled and the answers read.

use super::{Both, compared, comparison, counts, duplicates, sample};
use crate::domain::diff::{How, Kind, Paired};
use crate::foundation::sql::identifier::Qualified;

fn columns() -> Vec<Paired> {
    let column = |name: &str, how, is_measurable| Paired {
        name: name.to_owned(),
        how,
        is_measurable,
        retyped: None,
    };
    vec![
        column("k", How::Native, true),
        column("a\"b", How::Native, false),
        column("j", How::AsText, false),
    ]
}

fn both<'a>(columns: &'a [Paired], key: &[usize]) -> Both<'a> {
    Both {
        blue: Qualified::object("d", "s", "t"),
        green: Qualified::object("d", "s_dbt_deploy", "t"),
        condition: Some("k > 1 -- all"),
        columns,
        key: key.to_vec(),
    }
}

#[test]
fn names_stand_in_quotes_and_a_condition_in_parentheses() {
    let columns = columns();
    let both = both(&columns, &[0]);
    assert_eq!(
        counts(&both).sql(),
        "SELECT (SELECT count(*) FROM \"d\".\"s\".\"t\" WHERE (k > 1 -- all\n))::text, \
         (SELECT count(*) FROM \"d\".\"s_dbt_deploy\".\"t\" WHERE (k > 1 -- all\n))::text"
    );
    let sql = comparison(&both, true);
    assert!(sql.sql().contains(
        "b AS (SELECT \"k\" AS c0, \"a\"\"b\" AS c1, \"j\"::text AS c2 FROM \"d\".\"s\".\"t\" WHERE (k > 1 -- all\n))"
    ));
    assert!(
        duplicates(&both)
            .sql()
            .contains("GROUP BY c0 HAVING count(*) > 1")
    );
    assert!(
        sample(&both, Kind::Changed, &[0, 2], 5).is_some_and(|of| of.sql().ends_with("LIMIT 5"))
    );
}

#[test]
fn an_answer_is_read_in_the_order_in_which_it_was_asked_for() {
    let columns = columns();
    let keyed = both(&columns, &[0]);
    let numbers = |all: &[u64]| -> Vec<Option<String>> {
        all.iter().map(|number| Some(number.to_string())).collect()
    };
    let whole = [1, 2, 3, 0, 4, 0];
    // Rows; NULLs, distinct values and ends of k; NULLs and distinct values of the others.
    let blue = [10, 0, 9, 1, 9, 5, 4, 6, 3];
    let green = [11, 0, 8, 1, 8, 7, 6, 8, 5];
    let joined = [20, 30, 7, 5, 3];
    let answer = [&whole[..], &blue, &green, &joined].concat();
    let read = compared(&keyed, true, numbers(&answer)).expect("an answer");
    assert_eq!(read.rows, [10, 11]);
    assert_eq!((read.lost, read.added, read.changed), (21, 32, Some(7)));
    assert_eq!(read.keyless, Some([3, 4]));
    assert_eq!(read.by_column, [None, Some(5), Some(3)]);
    assert_eq!(read.statistics[1][1].nulls, Some(7));
    assert!(compared(&keyed, true, numbers(&answer[1..])).is_err());

    let unkeyed = both(&columns, &[]);
    let answer = [1, 2, 10, 0, 0, 0, 11, 0, 0, 0];
    let read = compared(&unkeyed, false, numbers(&answer)).expect("an answer");
    assert_eq!((read.lost, read.added, read.changed), (1, 2, None));
    assert!(sample(&unkeyed, Kind::Changed, &[0], 5).is_none());
}
