use super::{ALONE, Asked, SHARE, levels, share};
use crate::planning::recipe::document::{Item, Make, Recipe};

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
    let few = (0..ALONE).map(|number| asked(&one, number, Some(&["id"])));
    let (parts, own) = share(few.collect());
    assert_eq!((parts.len(), own.len()), (0, ALONE));

    let mut many: Vec<Asked<'_>> = (0..SHARE + 5)
        .map(|number| asked(&one, number, Some(&["id"])))
        .collect();
    // Of the first the names are not known, the next has one of them twice, the third none.
    many[0].names = None;
    many[1].names = Some(vec!["id".to_owned(), "id".to_owned()]);
    many[2].names = Some(Vec::new());
    let (parts, own) = share(many);
    let numbers: Vec<usize> = own.iter().map(|one| one.number).collect();
    assert_eq!(numbers, [0, 1, 2]);
    assert_eq!(
        parts.iter().map(Vec::len).collect::<Vec<_>>(),
        [SHARE, 2],
        "the rest shares"
    );

    let narrow = ["c"];
    let names: Vec<String> = (0..300).map(|at| format!("c{at}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (parts, own) = share(vec![
        asked(&one, 0, Some(&names)),
        asked(&one, 1, Some(&names)),
        asked(&one, 2, Some(&narrow)),
        asked(&one, 3, Some(&narrow)),
    ]);
    assert_eq!((parts.len(), own.len()), (2, 0));
}
