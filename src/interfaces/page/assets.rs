//! The files of the page. Their path has their digest, so that a browser may keep them and a new
//! version of the program is never mixed with an old one.

use crate::foundation::digest::Digesting;
use std::sync::OnceLock;

/// One file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asset {
    name: &'static str,
    pub(crate) media_type: &'static str,
    pub(crate) bytes: &'static [u8],
}

const SCRIPT: &str = "text/javascript; charset=utf-8";

macro_rules! assets {
    ($($name:literal $media_type:expr;)*) => {
        const ASSETS: &[Asset] = &[$(Asset {
            name: $name,
            media_type: $media_type,
            bytes: include_bytes!(concat!("assets/", $name)),
        },)*];
    };
}

assets! {
    "actions.js" SCRIPT;
    "api.js" SCRIPT;
    "app.js" SCRIPT;
    "deployment.js" SCRIPT;
    "dom.js" SCRIPT;
    "environments.js" SCRIPT;
    "graph.js" SCRIPT;
    "history.js" SCRIPT;
    "icon.svg" "image/svg+xml";
    "lines.js" SCRIPT;
    "live.js" SCRIPT;
    "logs.js" SCRIPT;
    "pulls.js" SCRIPT;
    "relations.js" SCRIPT;
    "stuck.js" SCRIPT;
    "style.css" "text/css; charset=utf-8";
    "words.js" SCRIPT;
}

/// The file of this name.
pub(crate) fn asset(name: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.name == name)
}

/// What all files hash to; a part of their path.
pub(crate) fn digest() -> &'static str {
    static DIGEST: OnceLock<String> = OnceLock::new();
    DIGEST.get_or_init(|| {
        let mut digesting = Digesting::default();
        for asset in ASSETS {
            digesting.part(asset.name.as_bytes()).part(asset.bytes);
        }
        let mut text = digesting.finish().to_string();
        text.truncate(16);
        text
    })
}

#[cfg(test)]
mod tests {
    use super::{ASSETS, asset};
    use std::collections::BTreeSet;
    use std::path::Path;

    /// The most bytes of all files together.
    const MOST: usize = 300_000;

    #[test]
    fn the_files_are_small_and_all_of_them_are_served() {
        let all: usize = ASSETS.iter().map(|asset| asset.bytes.len()).sum();
        assert!(all < MOST, "{all} bytes");
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/interfaces/page/assets");
        let there: BTreeSet<String> = std::fs::read_dir(folder)
            .expect("a folder")
            .map(|entry| {
                entry
                    .expect("a file")
                    .file_name()
                    .into_string()
                    .expect("a name")
            })
            .collect();
        let served = ASSETS.iter().map(|asset| asset.name.to_owned()).collect();
        assert_eq!(there, served);
    }

    /// What comes from outside is text and nothing else, and no other place is asked for anything.
    #[test]
    fn no_text_becomes_markup_and_nothing_is_fetched_from_elsewhere() {
        for asset in ASSETS {
            let text = std::str::from_utf8(asset.bytes).expect("text");
            for word in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                "Function(",
                "srcdoc",
                "javascript:",
                "setAttribute('on",
                "createContextualFragment",
                "DOMParser",
                "//cdn",
                "https://",
            ] {
                assert!(!text.contains(word), "{} has {word}", asset.name);
            }
            for (at, _) in text.match_indices("http://") {
                let rest = &text[at..];
                assert!(
                    rest.starts_with("http://www.w3.org/"),
                    "{}: {:.60}",
                    asset.name,
                    rest
                );
            }
        }
    }

    /// Modules import each other by names that are served.
    #[test]
    fn every_import_is_served() {
        for module in ASSETS.iter().filter(|asset| asset.name.ends_with(".js")) {
            let text = std::str::from_utf8(module.bytes).expect("text");
            for line in text.lines().filter(|line| line.contains(" from './")) {
                let name = line.rsplit("'./").next().expect("a name");
                let name = name.split('\'').next().expect("a name");
                assert!(asset(name).is_some(), "{}: {line}", module.name);
            }
        }
    }
}
