//! Whether a query has the columns that its contract promises.

use super::document::Promise;
use crate::adapters::materialize::describe::Columns;

/// How a query's columns differ from those that are promised, whose types are `types`; their order does not count.
#[must_use]
pub fn breaks(promised: &[Promise], types: &Columns, given: &Columns) -> Option<String> {
    let mut differences = Vec::new();
    for (name, data_type) in given {
        match types.iter().find(|(promised, _)| promised == name) {
            None => differences.push(format!("{name} is not in the contract")),
            Some((_, promised)) if promised != data_type => {
                differences.push(format!("{name} is {data_type}, promised is {promised}"));
            }
            Some(_) => {}
        }
    }
    for promise in promised {
        if !given.iter().any(|(name, _)| *name == promise.name) {
            differences.push(format!("{} is missing", promise.name));
        }
    }
    if differences.is_empty() && given.len() != types.len() {
        differences.push(format!(
            "{} columns, promised are {}",
            given.len(),
            types.len()
        ));
    }
    (!differences.is_empty()).then(|| {
        format!(
            "the columns are not those of the contract: {}",
            differences.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contract_is_kept_in_any_order_and_by_nothing_else() {
        let columns = |pairs: &[(&str, &str)]| -> Columns {
            let pairs = pairs.iter();
            pairs
                .map(|(name, of)| ((*name).to_owned(), (*of).to_owned()))
                .collect()
        };
        let promise = |name: &str, data_type: &str| Promise {
            name: name.to_owned(),
            data_type: data_type.to_owned(),
        };
        let promised = [promise("a", "int"), promise("b", "text")];
        let types = columns(&[("a", "int4"), ("b", "text")]);
        let breaks = |given: &[(&str, &str)]| breaks(&promised, &types, &columns(given));
        assert_eq!(breaks(&[("b", "text"), ("a", "int4")]), None);
        let said = breaks(&[("a", "int8"), ("c", "text")]).unwrap_or_default();
        for part in [
            "a is int8, promised is int4",
            "c is not in the contract",
            "b is missing",
        ] {
            assert!(said.contains(part), "{said}");
        }
        assert!(breaks(&[("a", "int4"), ("a", "int4"), ("b", "text")]).is_some());
    }
}
