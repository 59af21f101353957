use super::levels;
use super::stand::{Asked, Gathered, SHARE, share};
use crate::planning::recipe::document::{Item, Make, Recipe};
use std::collections::BTreeSet;

fn item(id: &str, after: &[&str]) -> Item {
    Item {
        unique_id: id.to_owned(),
        schema: "s".to_owned(),
        name: id.to_owned(),
        after: after.iter().map(ToString::to_string).collect(),
        make: Make::View {
            query: "select 1".to_owned(),
        },
        contract: None,
        indexes: Vec::new(),
        comment: None,
        column_comments: Vec::new(),
    }
}

fn asked<'i>(item: &'i Item, number: usize, names: Option<&[&str]>) -> Asked<'i> {
    Asked {
        item,
        is_promise: false,
        number,
        query: "select 1".to_owned(),
        reads: BTreeSet::new(),
        names: names.map(|names| names.iter().map(ToString::to_string).collect()),
    }
}

#[test]
fn a_node_stands_one_level_above_the_highest_that_it_reads() {
    let items = vec![
        item("a", &[]),
        item("b", &[]),
        item("c", &["a"]),
        item("d", &["b", "c"]),
    ];
    let recipe = Recipe::of(items).expect("no circle");
    let found: Vec<Vec<&str>> = levels(&recipe)
        .into_iter()
        .map(|level| level.into_iter().map(|item| &*item.unique_id).collect())
        .collect();
    assert_eq!(found, [vec!["a", "b"], vec!["c"], vec!["d"]]);
}

#[test]
fn what_shares_a_view_is_named_and_bounded() {
    let one = item("a", &[]);
    let can_share = |names: Option<&[&str]>| asked(&one, 1, names).can_share();
    assert!(can_share(Some(&["id"])));
    for names in [None, Some(&["id", "id"][..]), Some(&[])] {
        assert!(!can_share(names), "{names:?}");
    }

    let many = (0..2 * SHARE + 1).map(|number| asked(&one, number, Some(&["id"])));
    let (parts, own) = share(many.collect());
    assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [SHARE; 2]);
    assert_eq!(own.len(), 1, "nothing shares a view with itself");
    assert_eq!(share(Vec::new()).0.len(), 0);

    let names: Vec<String> = (0..300).map(|at| format!("c{at}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (parts, own) = share(vec![
        asked(&one, 0, Some(&names)),
        asked(&one, 1, Some(&names)),
        asked(&one, 2, Some(&["c"])),
        asked(&one, 3, Some(&["c"])),
    ]);
    let numbers: Vec<Vec<usize>> = parts
        .iter()
        .map(|part| part.iter().map(|one| one.number).collect())
        .collect();
    assert_eq!((numbers, own.len()), (vec![vec![1, 2, 3]], 1));
}

#[test]
fn a_view_is_put_together_over_levels_while_it_has_room() {
    let one = item("a", &[]);
    let mut gathered = Gathered::default();
    gathered.levels.push(vec![
        asked(&one, 1, Some(&["id"])),
        asked(&one, 2, Some(&["id"])),
    ]);
    let reading = |number, reads: &[usize]| Asked {
        reads: reads.iter().copied().collect(),
        ..asked(&one, number, Some(&["id"]))
    };
    gathered.levels.push(vec![reading(3, &[1])]);
    assert_eq!(gathered.closed(&[3].into()), [1, 3].into());
    assert_eq!(gathered.closed(&BTreeSet::new()), BTreeSet::new());
    // What is read stands in front, with what it reads, in order; nothing else does.
    let text = gathered.readable(&reading(4, &[1, 3]));
    let at = |name: &str| text.find(name);
    assert!(at("cutover_node_1") < at("cutover_node_3"), "{text}");
    assert_eq!(at("cutover_node_2"), None, "{text}");
    assert_eq!(gathered.readable(&reading(4, &[])), "select 1");

    let more = |count| (0..count).map(|number| asked(&one, number, Some(&["id"])));
    assert!(gathered.has_room_for(&more(SHARE - 3).collect::<Vec<_>>()));
    assert!(!gathered.has_room_for(&more(SHARE - 2).collect::<Vec<_>>()));
}
