use super::{TOPICS, nearest, plain, sections};
use crate::adapters::artifacts::Name as OfBaselines;
use crate::domain::plan::refusal::RefusalName;
use crate::operations::bundle::Name as OfBundles;

#[test]
fn every_refusal_is_explained_in_order_and_with_an_example() {
    let told: Vec<&str> = sections().map(|(name, _)| name).collect();
    let known: Vec<&str> = RefusalName::ALL.iter().map(|name| name.as_str()).collect();
    assert_eq!(told.get(..known.len()), Some(known.as_slice()));
    for name in OfBaselines::ALL.iter().map(|name| name.as_str()) {
        assert!(told.contains(&name), "{name}");
    }
    for name in OfBundles::ALL.iter().map(|name| name.as_str()) {
        assert!(told.contains(&name), "{name}");
    }
    for (name, text) in sections() {
        assert_eq!(
            told.iter().filter(|other| **other == name).count(),
            1,
            "{name}"
        );
        let may = name.parse().is_ok_and(RefusalName::is_allowable);
        let said = match may {
            true => "It may be allowed.",
            false => "It cannot be allowed.",
        };
        for part in ["\nExample: ", "\nWhat to do: ", said] {
            assert!(text.contains(part), "{name} has no {part:?}");
        }
    }
}

#[test]
fn a_topic_is_at_most_two_screens_and_fits_a_terminal() {
    for (name, text) in TOPICS {
        let text = plain::text(text);
        assert!(
            text.lines().count() <= 50,
            "{name}: {}",
            text.lines().count()
        );
        let longest = text.lines().map(|line| line.chars().count()).max();
        assert!(longest <= Some(100), "{name}: {longest:?}");
        assert!(!text.contains("]("), "{name} has a link");
    }
}

#[test]
fn a_wrong_word_has_its_nearest() {
    let names = || RefusalName::ALL.iter().map(|name| name.as_str().to_owned());
    let near = nearest("outside-depndent", names());
    assert_eq!(near.as_deref(), Some("outside-dependent"));
    assert_eq!(nearest("xyz", names()), None);
}

/// Where a help text or a topic names a command of Cutover, there is one.
#[test]
fn topics_name_commands_that_there_are() {
    use crate::interfaces::console::arguments::Arguments;
    use clap::CommandFactory;
    for (topic, text) in TOPICS {
        for line in text
            .lines()
            .filter_map(|line| line.trim().strip_prefix("cutover "))
        {
            let mut command = Arguments::command();
            let words = line.split("  ").next().unwrap_or(line);
            let words = words
                .split_whitespace()
                .take_while(|word| !word.starts_with('#'));
            let words = std::iter::once("cutover").chain(words);
            let read = command.try_get_matches_from_mut(words);
            assert!(read.is_ok(), "{topic}: {line}: {read:?}");
        }
    }
}
