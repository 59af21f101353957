//! Python's `itertools`, with lists for iterators.

use minijinja::Error;
use minijinja::value::{Kwargs, Rest, Value as Jinja};

use super::wrong;

/// The most items that one call makes.
const MOST: usize = 10_000;

pub(super) fn module() -> Jinja {
    [
        ("chain", Jinja::from_function(chain)),
        ("islice", Jinja::from_function(islice)),
        ("product", Jinja::from_function(product)),
        ("repeat", Jinja::from_function(repeat)),
        ("zip_longest", Jinja::from_function(zip_longest)),
    ]
    .into_iter()
    .collect()
}

fn lists(of: &[Jinja]) -> Result<Vec<Vec<Jinja>>, Error> {
    of.iter()
        .map(|list| Ok(list.try_iter()?.take(MOST).collect()))
        .collect()
}

fn chain(of: Rest<Jinja>) -> Result<Jinja, Error> {
    Ok(Jinja::from(lists(&of)?.concat()))
}

fn islice(of: Jinja, bounds: Rest<Option<usize>>) -> Result<Jinja, Error> {
    let (start, stop, step) = match bounds[..] {
        [stop] => (None, stop, None),
        [start, stop] => (start, stop, None),
        [start, stop, step] => (start, stop, step),
        _ => return Err(wrong("islice takes one to three bounds")),
    };
    let (start, stop) = (start.unwrap_or(0), stop.unwrap_or(MOST).min(MOST));
    let step = step.unwrap_or(1).max(1);
    let items = of.try_iter()?.take(stop).skip(start).step_by(step);
    Ok(items.collect::<Vec<_>>().into())
}

fn product(of: Rest<Jinja>) -> Result<Jinja, Error> {
    let mut rows: Vec<Vec<Jinja>> = vec![Vec::new()];
    for list in lists(&of)? {
        if rows.len().saturating_mul(list.len()) > MOST {
            return Err(wrong(format!("a product of more than {MOST} items")));
        }
        let longer = |row: &Vec<Jinja>| {
            let add = |item: &Jinja| [row.as_slice(), std::slice::from_ref(item)].concat();
            list.iter().map(add).collect::<Vec<_>>()
        };
        rows = rows.iter().flat_map(longer).collect();
    }
    Ok(rows.into_iter().map(Jinja::from).collect())
}

fn repeat(item: Jinja, times: usize) -> Jinja {
    Jinja::from(vec![item; times.min(MOST)])
}

fn zip_longest(of: Rest<Jinja>, named: Kwargs) -> Result<Jinja, Error> {
    let fill: Option<Jinja> = named.get("fillvalue")?;
    let fill = fill.unwrap_or(Jinja::from(()));
    let lists = lists(&of)?;
    let longest = lists.iter().map(Vec::len).max().unwrap_or(0);
    let row = |at: usize| {
        let item = |list: &Vec<Jinja>| list.get(at).unwrap_or(&fill).clone();
        Jinja::from(lists.iter().map(item).collect::<Vec<_>>())
    };
    Ok((0..longest).map(row).collect())
}
