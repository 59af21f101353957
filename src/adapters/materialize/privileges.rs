//! Privileges as the catalog shows them: `{u1=UC/u1,=U/u1}`, a list of `grantee=letters/grantor`.
//!
//! The text comes with the row of whatever it is about, so that reading it costs nothing. Grantees are
//! ids of roles; nobody (or `p`) is PUBLIC. The server's own function for taking the list apart is a
//! dataflow.

/// Who holds which privilege.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Held {
    /// The id of the role; `None` is PUBLIC.
    pub(super) grantee: Option<String>,
    /// `SELECT`, `USAGE`, …
    pub(super) privilege: &'static str,
}

/// The privileges of a list; NULL is an empty one.
///
/// # Errors
/// What is not of the known form, one sentence.
pub(super) fn of_list(text: Option<&str>) -> Result<Vec<Held>, String> {
    let Some(text) = text else {
        return Ok(Vec::new());
    };
    let mut held = Vec::new();
    for item in items(text).ok_or_else(|| format!("{text:?} is no list of privileges"))? {
        held.extend(of_item(&item)?);
    }
    Ok(held)
}

/// The privileges of one `grantee=letters/grantor`.
///
/// # Errors
/// As [`of_list`].
pub(super) fn of_item(item: &str) -> Result<Vec<Held>, String> {
    let form = || format!("{item:?} is no privilege of the form grantee=letters/grantor");
    // Letters have neither sign, so the last ones are those that separate.
    let (front, _) = item.rsplit_once('/').ok_or_else(form)?;
    let (grantee, letters) = front.rsplit_once('=').ok_or_else(form)?;
    let grantee = grantee_of(grantee);
    of_letters(letters)
        .into_iter()
        .map(|privilege| {
            let privilege = privilege.ok_or_else(form)?;
            let grantee = grantee.clone();
            Ok(Held { grantee, privilege })
        })
        .collect()
}

/// The role that a grantee's id names; `None` is PUBLIC.
pub(super) fn grantee_of(id: &str) -> Option<String> {
    (!id.is_empty() && id != "p").then(|| id.to_owned())
}

/// The words of letters; `None` for one that is not known.
pub(super) fn of_letters(letters: &str) -> Vec<Option<&'static str>> {
    letters.chars().map(word).collect()
}

fn word(letter: char) -> Option<&'static str> {
    Some(match letter {
        'r' => "SELECT",
        'a' => "INSERT",
        'w' => "UPDATE",
        'd' => "DELETE",
        'U' => "USAGE",
        'C' => "CREATE",
        'R' => "CREATEROLE",
        'B' => "CREATEDB",
        'N' => "CREATECLUSTER",
        'P' => "CREATENETWORKPOLICY",
        _ => return None,
    })
}

/// The elements of an array's text, without their quotes and escapes.
fn items(text: &str) -> Option<Vec<String>> {
    let inner = text.strip_prefix('{')?.strip_suffix('}')?;
    let mut items = Vec::new();
    if inner.is_empty() {
        return Some(items);
    }
    let mut characters = inner.chars();
    let mut item = String::new();
    let mut quoted = false;
    while let Some(character) = characters.next() {
        match character {
            '\\' => item.push(characters.next()?),
            '"' => quoted = !quoted,
            ',' if !quoted => items.push(std::mem::take(&mut item)),
            '{' | '}' if !quoted => return None,
            _ => item.push(character),
        }
    }
    items.push(item);
    (!quoted).then_some(items)
}

#[cfg(test)]
mod tests {
    use super::{Held, of_item, of_list};
    use proptest::prelude::*;

    fn held(grantee: &str, privilege: &'static str) -> Held {
        let grantee = (!grantee.is_empty()).then(|| grantee.to_owned());
        Held { grantee, privilege }
    }

    #[test]
    fn a_list_is_read() {
        let list = of_list(Some("{u1=UC/u1,=U/u1,p=r/s1,mz_support=U/u1}"));
        let expected = vec![
            held("u1", "USAGE"),
            held("u1", "CREATE"),
            held("", "USAGE"),
            held("", "SELECT"),
            held("mz_support", "USAGE"),
        ];
        assert_eq!(list, Ok(expected));
        assert_eq!(of_list(None), Ok(Vec::new()));
        assert_eq!(of_list(Some("{}")), Ok(Vec::new()));
        assert_eq!(of_list(Some("{u1=/u1}")), Ok(Vec::new()));
    }

    #[test]
    fn what_is_not_known_is_an_error() {
        for text in [
            "",
            "u1=r/u1",
            "{u1=r/u1",
            "{u1}",
            "{u1=r}",
            "{u1=?/u1}",
            "{u1=R0/u1}",
            "{{u1=r/u1}}",
            "{\"u1=r/u1}",
            "{u1=r/u1\\",
            "{NULL}",
        ] {
            assert!(of_list(Some(text)).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_name_of_a_role_is_read_back(name in "[^\\x00]{1,30}", grantor in "[^\\x00/=]{0,20}") {
            prop_assume!(name != "p");
            let item = format!("{name}=rU/{grantor}");
            prop_assert_eq!(of_item(&item), Ok(vec![held(&name, "SELECT"), held(&name, "USAGE")]));
            let quoted = item.replace('\\', "\\\\").replace('"', "\\\"");
            let list = format!("{{u1=C/u1,\"{quoted}\",=U/u2}}");
            prop_assert_eq!(of_list(Some(&list)), Ok(vec![
                held("u1", "CREATE"), held(&name, "SELECT"), held(&name, "USAGE"), held("", "USAGE"),
            ]));
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,40}") {
            let _ = of_list(Some(&text));
        }
    }
}
