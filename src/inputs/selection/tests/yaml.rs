//! `selectors.yml`

use super::*;

fn read(yaml: &str) -> Result<Selectors, Error> {
    let document = Document::parse(Path::new("selectors.yml"), yaml.to_owned()).unwrap();
    let environment = Environment::from_iter([("TAG", "nightly")]);
    let scope = Scope::Project { target: None };
    let renderer = Renderer::new(&environment, &Variables::new(), scope);
    Selectors::of(&document, &renderer, IndirectSelection::Empty)
}

fn defined(definition: &str) -> String {
    let yaml = format!(
        "selectors:\n- name: base\n  definition: a\n- name: s\n  definition: {definition}\n"
    );
    let selectors = read(&yaml).unwrap();
    let manifest = shop();
    let graph = manifest.graph().unwrap();
    let spec = selectors.get("s").unwrap();
    let found = evaluate(spec, &Context::new(&manifest, &graph), &everything()).unwrap();
    let names: Vec<&str> = found
        .iter()
        .map(|id| id.split_once(".shop.").map_or(*id, |(_, name)| name))
        .collect();
    names.join(" ")
}

#[test]
fn definitions_mean_what_dbt_takes_them_for() {
    for (definition, found) in [
        ("b+1", "b c t_ab u"),
        // Neither a space nor a comma separates here.
        ("'a b'", ""),
        ("{tag: \"{{ env_var('TAG') }}\"}", "a u"),
        ("{method: fqn, value: b, parents: true}", "a b src.t"),
        (
            "{method: fqn, value: c, parents: true, parents_depth: 1}",
            "b c",
        ),
        (
            "{method: fqn, value: c, parents: true, parents_depth: 0}",
            "a b c src.t",
        ),
        (
            "{method: fqn, value: c, parents: false, parents_depth: 1}",
            "c",
        ),
        (
            "{method: fqn, value: c, childrens_parents: true}",
            "board a b c src.t single",
        ),
        (
            "{method: fqn, value: b, indirect_selection: eager}",
            "b t_ab u",
        ),
        (
            "{method: fqn, value: '*', exclude: ['shop.*']}",
            "seed.lib.rows",
        ),
        ("{union: [a, {fqn: c}]}", "a c"),
        ("{union: [a, c, {exclude: [c]}]}", "a"),
        ("{intersection: [a+, +c, {exclude: [a, b]}]}", "c"),
        ("{intersection: []}", ""),
        ("{union: [c, {method: selector, value: base}]}", "a c"),
        // An item with an exclusion is nothing but that exclusion.
        ("{union: [c, {method: fqn, value: a, exclude: [b]}]}", "c"),
        ("{config.meta.on: true}", "a"),
        ("{method: config.meta.on, value: 'true'}", "a"),
    ] {
        assert_eq!(defined(definition), found, "{definition}");
    }
}

#[test]
fn faults_have_a_place_and_a_remedy() {
    let texts: Vec<String> = [
        "version: 2\n",
        "selectors: {}\n",
        "selectors: [a]\n",
        "selectors:\n- definition: a\n",
        "selectors:\n- name: a\n",
        "selectors:\n- name: a\n  definition: a\n  tags: x\n",
        "selectors:\n- name: a\n  definition: {union: [a], method: fqn}\n",
        "selectors:\n- name: a\n  definition: {union: a}\n",
        "selectors:\n- name: a\n  definition: {method: selector, value: later}\n- name: later\n  definition: b\n",
        "selectors:\n- name: a\n  definition: {method: tag, valeu: x}\n",
        "selectors:\n- name: a\n  definition: {tags: x}\n",
        "selectors:\n- name: a\n  definition:\n    union:\n    - b\n    - exclude: [c]\n    - exclude: [d]\n",
        "selectors:\n- name: a\n  default: true\n  definition: a\n- name: b\n  default: true\n  definition: b\n",
        "selectors:\n- name: a\n  definition: {method: tag, value: x, parents_depth: near}\n",
        "selectors:\n- name: a\n  definition: {method: tag, value: x, indirect_selection: greedy}\n",
        "selectors:\n- name: a\n  definition: \"@a+\"\n",
        "selectors:\n- name: a\n  definition: {tag: \"{{ env_var('NOT_SET') }}\"}\n",
    ]
    .into_iter()
    .map(|yaml| read(yaml).unwrap_err().to_string())
    .collect();
    insta::assert_snapshot!(texts.join("\n"));
}

#[test]
fn an_empty_file_is_none_at_all() {
    assert_eq!(read("").unwrap().names().count(), 0);
    let selectors =
        read("selectors:\n- {name: a, definition: a}\n- {name: a, definition: b, default: true}\n");
    let selectors = selectors.unwrap();
    let spec = Criteria::parse("b", IndirectSelection::Empty)
        .map(Spec::Criteria)
        .unwrap();
    assert_eq!(selectors.get("a"), Some(&spec));
    assert_eq!(selectors.default_selection(), Some(("a", &spec)));
}
