#![expect(clippy::unwrap_used, reason = "a panic is the failure of a test")]
use super::*;

fn environment() -> Environment {
    [
        ("P", "6875"),
        ("U", "a.b"),
        ("S", " Ab "),
        ("B", "true"),
        ("N", "1.5"),
        ("L", "['a','b']"),
        ("Z", "010"),
        ("Q", "\"6875\""),
        ("DBT_ENV_SECRET_PW", "s3cr3t{{"),
        ("DBT_ENV_SECRET_U", "usr"),
    ]
    .into_iter()
    .collect()
}

fn render(template: &str) -> Result<Value, Error> {
    let vars = Variables::from([
        ("cv".to_owned(), Value::from("{{ env_var('P') }}")),
        ("n".to_owned(), Value::from(3)),
    ]);
    Renderer::new(&environment(), &vars, Scope::Profile).text(template)
}

// Every expectation of these two tables was seen in dbt-core 1.11.16.
#[test]
fn one_expression_keeps_its_type() {
    let cases: &[(&str, Value)] = &[
        ("{{ env_var('P') }}", "6875".into()),
        ("{{ env_var('P') | int }}", 6875.into()),
        ("{{ env_var('P') | as_number }}", 6875.into()),
        ("{{ env_var('P') | as_native }}", 6875.into()),
        ("{{ env_var('P') | as_text }}", "6875".into()),
        ("{{ 5432 }}", "5432".into()),
        ("{{ var('n') }}", 3.into()),
        ("{{ var('cv') }}", "6875".into()),
        ("{{ var('cv') | int }}", 6875.into()),
        ("{{ env_var('P')|int }} ", "6875 ".into()),
        ("{{ env_var('Q') | as_native }}", "6875".into()),
        ("{{ env_var('Z') | int }}", 10.into()),
        ("{{ env_var('N') | int }}", 1.into()),
        ("{{ env_var('NOPE', 5) }}", 5.into()),
        ("{{ env_var('NOPE', default='x') }}", "x".into()),
        (
            "{% if true %}{{ env_var('P')|int }}{% endif %}",
            6875.into(),
        ),
        (
            "{{ (env_var('P') if env_var('B')=='true' else '1')|int }}",
            6875.into(),
        ),
        ("{# x #}{{ env_var('P')|int }}", 6875.into()),
        ("{{ env_var('P')|int }}\n", 6875.into()),
        ("{{ env_var('S')|trim|lower }}", "ab".into()),
        (
            "{{ env_var('S').strip() }}x{{ true }}{{ none }}",
            "AbxTrueNone".into(),
        ),
        ("a{{ undefinedthing }}", "a".into()),
        ("{{ undefinedthing | default('zz') }}", "zz".into()),
        ("{{ env_var('P') ~ '' }}", "6875".into()),
        ("plain", "plain".into()),
    ];
    for (template, wanted) in cases {
        assert_eq!(&render(template).unwrap(), wanted, "{template}");
    }
    assert_eq!(
        render("{{ env_var('L') | as_native }}").unwrap(),
        Value::Sequence(vec!["a".into(), "b".into()])
    );
}

/// What dbt-core 1.11.16 made of these, as one list.
#[test]
fn python_is_taken_as_dbt_takes_it() {
    let cases: Vec<(String, serde_json::Value)> =
        serde_json::from_str(include_str!("python_cases.json")).unwrap();
    assert!(cases.len() > 70);
    let mut wrong = Vec::new();
    for (template, wanted) in cases {
        let found = render(&template).map_err(|error| error.to_string());
        let found = found.map(|value| serde_json::to_value(value).unwrap());
        if found.as_ref() != Ok(&wanted) {
            wrong.push(format!("{template}\n  dbt: {wanted}\n  here: {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_python_has_and_this_has_not_is_an_error_that_says_so() {
    let cases = [
        ("{{ 'a'.encode() }}", "text has no method encode here"),
        (
            "{{ modules.re.sub('(?=a)', '', 'a') }}",
            "is not one that Cutover can read",
        ),
        (
            "{{ modules.datetime.datetime.now().ctime() }}",
            "a datetime has no method ctime here",
        ),
        (
            "{{ modules.pytz.timezone('No/Where') }}",
            "there is no time zone No/Where",
        ),
        ("{{ '%d' % 'a' }}", "%d"),
        ("{{ '%r' % 'a' }}", "conversion type"),
        ("{{ modules.itertools.product([1] * 0, 5) }}", ""),
    ];
    for (template, wanted) in cases {
        let error = render(template).unwrap_err().to_string();
        assert!(error.contains(wanted), "{template}: {error}");
    }
}

#[test]
fn a_run_has_one_time() {
    let renderer = Renderer::new(&environment(), &Variables::new(), Scope::Profile);
    let started = || renderer.text("{{ run_started_at.isoformat() }}").unwrap();
    assert_eq!(started(), started());
    assert!(started().as_str().unwrap().ends_with("+00:00"));
}

#[test]
fn what_cannot_be_rendered_says_why() {
    let cases = [
        (
            "{{ env_var('NOPE') }}",
            "environment variable NOPE is not set",
        ),
        ("{{ env_var('Z') | as_number }}", "not a number"),
        ("{{ env_var('B') | as_bool }}", "not True or False"),
        ("{{ undefinedthing }}", "does not exist"),
        ("{{ target.name }}", "undefined"),
        ("{{ var('nope') }}", "variable nope is not given"),
        ("a{{b", "syntax error"),
    ];
    for (template, wanted) in cases {
        let error = render(template).unwrap_err().to_string();
        assert!(error.contains(wanted), "{template}: {error}");
        assert!(error.contains(template), "{template}: {error}");
    }
}

#[test]
fn secrets_go_in_last_and_only_into_profiles() {
    assert_eq!(
        render("{{ env_var('DBT_ENV_SECRET_PW') }}").unwrap(),
        Value::from("s3cr3t{{")
    );
    let two = "x{{ env_var('DBT_ENV_SECRET_PW') }}y{{ env_var('DBT_ENV_SECRET_U') }}z";
    assert_eq!(render(two).unwrap(), Value::from("xs3cr3t{{yusrz"));
    assert_eq!(
        render("{{ env_var('DBT_ENV_SECRET_PW') | upper }}").unwrap(),
        Value::from("s3cr3t{{")
    );
    let unset = render("{{ env_var('DBT_ENV_SECRET_NO') }}").unwrap_err();
    assert!(
        unset.to_string().contains("DBT_ENV_SECRET_NO is not set"),
        "{unset}"
    );
    let project = Renderer::new(
        &environment(),
        &Variables::new(),
        Scope::Project { target: None },
    );
    let refused = project
        .text("{{ env_var('DBT_ENV_SECRET_PW') }}")
        .unwrap_err();
    assert!(
        refused.to_string().contains("profiles.yml only"),
        "{refused}"
    );
    assert!(!format!("{:?}", environment()).contains("s3cr3t"));
}

#[test]
fn a_tree_names_the_place_of_a_fault() {
    let tree: Value = serde_yaml::from_str("a: [x, \"{{ env_var('NOPE') }}\"]").unwrap();
    let error = Renderer::new(&environment(), &Variables::new(), Scope::Profile)
        .tree(&tree)
        .unwrap_err();
    assert_eq!(error.key(), "a[1]");
}

#[test]
fn a_variable_may_refer_to_another_but_not_to_itself() {
    let vars = [
        "a:{{ var('b') }}!",
        "b:{{ env_var('P') }}",
        "c:{{ var('c') }}",
    ]
    .map(|line| line.split_once(':').unwrap())
    .map(|(name, value)| (name.to_owned(), Value::from(value)));
    let renderer = Renderer::new(&environment(), &Variables::from(vars), Scope::Profile);
    assert_eq!(
        renderer.text("{{ var('a') }}").unwrap(),
        Value::from("6875!")
    );
    let error = renderer.text("{{ var('c') }}").unwrap_err().to_string();
    assert!(error.contains("variable c refers to itself"), "{error}");
}

proptest::proptest! {
    #[test]
    fn no_template_panics(text in "([{%#}' |().0-9a-z\\PC-]|\\{\\{|\\}\\}|as_native|env_var\\('P'\\)){0,24}") {
        let _ = render(&text);
    }
}
