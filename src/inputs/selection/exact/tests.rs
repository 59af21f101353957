use super::{Node, SelectorError, for_node, for_nodes};
use std::collections::BTreeSet;

/// Owned, so that cases read as `type.package.path.name`.
struct Owned {
    unique_id: String,
    fqn: Vec<String>,
    resource_type: String,
    file: String,
    versioned: bool,
}

fn node(resource_type: &str, fqn: &[&str], file: &str) -> Owned {
    Owned {
        unique_id: format!("{resource_type}.{}", fqn.join("/")),
        fqn: fqn.iter().map(|&segment| segment.to_owned()).collect(),
        resource_type: resource_type.to_owned(),
        file: file.to_owned(),
        versioned: false,
    }
}

fn view(nodes: &[Owned]) -> Vec<Node<'_>> {
    nodes
        .iter()
        .map(|node| Node {
            unique_id: &node.unique_id,
            fqn: &node.fqn,
            resource_type: &node.resource_type,
            package: &node.fqn[0],
            file: &node.file,
            versioned: node.versioned,
        })
        .collect()
}

/// The selector of each node when it alone is wanted.
fn each(nodes: &[Owned]) -> Vec<String> {
    let all = view(nodes);
    all.iter()
        .map(
            |node| match for_nodes(&all, &BTreeSet::from([node.unique_id])) {
                Ok(selectors) => selectors.join(" | "),
                Err(error) => error.to_string(),
            },
        )
        .collect()
}

#[test]
fn a_name_alone_suffices_where_it_is_unique() {
    let nodes = [
        node("model", &["shop", "a", "b"], "models/a/b.sql"),
        node("seed", &["shop", "countries"], "seeds/countries.csv"),
    ];
    assert_eq!(each(&nodes), ["fqn:shop.a.b", "fqn:shop.countries"]);
}

#[test]
fn a_folder_of_the_same_name_is_kept_out_unless_wanted() {
    let nodes = [
        node("model", &["shop", "a", "b"], "models/a/b.sql"),
        node("model", &["shop", "a", "b", "c"], "models/a/b/c.sql"),
    ];
    assert_eq!(
        each(&nodes),
        [
            "fqn:shop.a.b,resource_type:model,file:b.sql",
            "fqn:shop.a.b.c"
        ]
    );
    let all = view(&nodes);
    let both = all.iter().map(|node| node.unique_id).collect();
    assert_eq!(
        for_nodes(&all, &both).expect("selectors"),
        ["fqn:shop.a.b", "fqn:shop.a.b.c"]
    );
}

#[test]
fn a_folder_named_as_a_package_is_kept_out() {
    let nodes = [
        node("model", &["lib", "a", "b"], "models/a/b.sql"),
        node("model", &["shop", "lib", "a", "b"], "models/lib/a/b.sql"),
    ];
    assert_eq!(
        each(&nodes),
        [
            "fqn:lib.a.b,resource_type:model,file:b.sql,package:lib",
            "fqn:shop.lib.a.b"
        ]
    );
}

#[test]
fn versions_match_across_folders_and_packages() {
    let mut nodes = [
        node("model", &["shop", "a", "m", "v1"], "models/a/m_v1.sql"),
        node("model", &["lib", "m", "v1"], "models/m_v1.sql"),
        node("model", &["shop", "a", "m", "v10"], "models/a/m_v10.sql"),
    ];
    nodes.iter_mut().for_each(|node| node.versioned = true);
    assert_eq!(
        each(&nodes),
        [
            "fqn:shop.a.m.v1,resource_type:model,file:m_v1.sql,package:shop",
            "fqn:lib.m.v1,resource_type:model,file:m_v1.sql,package:lib",
            "fqn:shop.a.m.v10"
        ]
    );
}

#[test]
fn characters_of_the_grammar_become_patterns() {
    let nodes = [
        node("model", &["shop", "a+b, c"], "models/a+b, c.sql"),
        node("model", &["shop", "a+b__c"], "models/a+b__c.sql"),
        node("model", &["shop", "x*[y]?"], "models/x*[y]?.sql"),
        node("model", &["shop", "d.e"], "models/d.e.sql"),
    ];
    let selectors = each(&nodes);
    assert_eq!(
        selectors[0],
        "dbt cannot select model.shop/a+b, c without model.shop/a+b__c"
    );
    assert_eq!(
        selectors[1..],
        [
            "fqn:shop.a[+]b__c",
            "fqn:shop.x[*][[]y[]][?]",
            "fqn:shop.d.e"
        ]
    );
}

#[test]
fn tests_of_one_name_are_selected_together_or_not_at_all() {
    let mut nodes = [
        node("test", &["shop", "positive"], "models/schema.yml"),
        node("test", &["shop", "positive"], "models/schema.yml"),
    ];
    nodes[1].unique_id.push_str(".2");
    let all = view(&nodes);
    let both = all.iter().map(|node| node.unique_id).collect();
    assert_eq!(for_nodes(&all, &both).expect("selectors").len(), 2);
    let one = BTreeSet::from([all[0].unique_id]);
    assert!(matches!(
        for_nodes(&all, &one),
        Err(SelectorError::Ambiguous { .. })
    ));
}

#[test]
fn an_unknown_node_is_an_error() {
    assert_eq!(
        for_nodes(&[], &BTreeSet::from(["model.shop.gone"])),
        Err(SelectorError::Unknown {
            unique_id: "model.shop.gone".to_owned()
        })
    );
}

#[test]
fn one_node_by_itself_gets_the_most_precise_selector() {
    let fqn = ["shop", "a", "b"].map(str::to_owned);
    assert_eq!(
        for_node(&fqn, "model", "models/a/b.sql", "shop").expect("a selector"),
        "fqn:shop.a.b,resource_type:model,file:b.sql,package:shop"
    );
    assert!(for_node(&[], "model", "models/a/b.sql", "shop").is_err());
}
