#![expect(clippy::unwrap_used, reason = "a panic is the failure of a test")]
use super::*;

fn read(text: &str) -> Result<Seed, Unsure> {
    let format = Format {
        delimiter: ',',
        ..Format::default()
    };
    Seed::read(text.as_bytes(), &format)
}

/// Types of the columns of a file with one column and these values.
fn type_of(values: &[&str]) -> Result<String, Unsure> {
    let quoted: Vec<String> = values.iter().map(|value| format!("\"{value}\"")).collect();
    let seed = read(&format!("c\n{}\n", quoted.join("\n")))?;
    Ok(seed.columns[0].data_type.clone())
}

#[test]
fn records_are_read_as_python_does() {
    let seed =
        read("\u{feff}a,\"b,\"\"x\"\"\",c\r\n1,\"two\r\nlines\",x\"y\r\n\r\n2\r\n").unwrap_err();
    assert!(seed.to_string().contains("a column named"), "{seed}");
    let seed = read("\u{feff}a,\"b,\",c\r\n1,\"two\r\nlines\",x\"y\r\n\r\n2\r\n").unwrap();
    let names: Vec<&str> = seed.columns.iter().map(|column| &*column.name).collect();
    assert_eq!(names, ["a", "b,", "c"]);
    let text = |text: &str| Value::Text(text.to_owned());
    assert_eq!(
        seed.rows,
        [
            vec![
                Value::Number("1".to_owned()),
                text("two\nlines"),
                text("x\"y")
            ],
            vec![Value::Null, Value::Null, Value::Null],
            vec![Value::Number("2".to_owned()), Value::Null, Value::Null],
        ]
    );
}

#[test]
fn types_are_those_that_dbt_infers() {
    for (values, expected) in [
        (&["1", "-2", "", "null"][..], "integer"),
        (&["1.0", "2"], "integer"),
        (&["1.5", "2"], "float8"),
        (&["", " NULL "], "integer"),
        (&["2024-01-05", "2024-1-5"], "date"),
        (&["2024-01-05", "x"], "text"),
        (&["2024-02-30"], "text"),
        (&["2024-01-05 10:00:00"], "timestamp without time zone"),
        (&["2024-01-05T10:00:00"], "timestamp without time zone"),
        (&["2024-01-05 10:00:00", "2024-01-05T10:00:00"], "text"),
        (&["true", "FALSE", ""], "boolean"),
        (&["true", "1"], "text"),
        (&["yes", "no"], "text"),
        (&["007"], "integer"),
        (&["12 apples", "$5"], "text"),
    ] {
        assert_eq!(type_of(values).as_deref(), Ok(expected), "{values:?}");
    }
    assert_eq!(read("a,b\n").unwrap().columns[1].data_type, "integer");
}

#[test]
fn what_is_not_certain_is_said() {
    for values in [
        &["1,000"][..],
        &["$5"],
        &["5%"],
        &["1e3"],
        &["1_000"],
        &["nan"],
        &["-$ 5"],
        &["+5"],
        &["٣"],
        &["2024-01-05T10:00:00Z"],
        &["20240105T100000"],
        &["2024-01-05 1:2:3"],
        &["2024-01-05 23:59:60"],
        &["true,"],
        &["12345678901234567890123456789"],
    ] {
        let error = type_of(values).unwrap_err().to_string();
        assert!(error.contains("not certain"), "{values:?}: {error}");
    }
    for (text, expected) in [
        ("", "no line with names"),
        ("\n1\n", "no line with names"),
        ("a,\n1,2\n", "a column without a name"),
        ("a,a\n1,2\n", "two columns named a"),
        ("a\n1,2\n", "has 2 values in row 1, and only 1 columns"),
        ("a\n\0\n", "code 0"),
    ] {
        let error = read(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text:?}: {error}");
    }
    let error = Seed::read(b"a\n\xff\n", &Format::default()).unwrap_err();
    assert!(error.to_string().contains("UTF-8 after byte 2"), "{error}");
}

#[test]
fn a_configured_type_makes_text_of_what_it_holds() {
    let format = Format {
        delimiter: ';',
        column_types: [("a".to_owned(), "numeric(10,2)".to_owned())].into(),
    };
    let seed = Seed::read(b"a;b\n1,000;2\nnull;\n", &format).unwrap();
    assert_eq!(seed.columns[0].data_type, "numeric(10,2)");
    assert_eq!(
        seed.rows,
        [
            vec![
                Value::Text("1,000".to_owned()),
                Value::Number("2".to_owned())
            ],
            vec![Value::Null, Value::Null]
        ]
    );
    let unknown = Format {
        delimiter: ',',
        column_types: [("z".to_owned(), "text".to_owned())].into(),
    };
    assert!(Seed::read(b"a\n1\n", &unknown).is_err());
}
