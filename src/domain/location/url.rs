//! Where an artifact store or a bundle is: its URL and options, as they may be written.

use object_store::path::{Path as ObjectPath, PathPart};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What is wrong with the place of an artifact store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The URL cannot be opened by this version.
    #[error("artifacts.url {url:?}: {problem}")]
    Url {
        /// The URL, without what may be secret.
        url: String,
        /// Why it cannot be used.
        problem: String,
    },
    /// An option is not one.
    #[error("artifacts.options.{key}: {problem}")]
    Option {
        /// Its key.
        key: String,
        /// Why it cannot be used.
        problem: String,
        /// What to do.
        remedy: String,
    },
}

impl Fault {
    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> &str {
        match self {
            Self::Url { .. } => {
                "write artifacts.url as file://PATH, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX"
            }
            Self::Option { remedy, .. } => remedy,
        }
    }
}

/// File systems take names of 255 bytes; the marks of unfinished files need some of them.
const LONGEST_PART: usize = 200;

/// The options that may be set, with the schemes that know them.
const OPTIONS: [(&str, &[&str]); 11] = [
    ("account_name", &["az"]),
    ("allow_http", &["s3", "gs", "az"]),
    ("base_url", &["gs"]),
    ("connect_timeout", &["s3", "gs", "az"]),
    ("endpoint", &["s3", "az"]),
    ("region", &["s3"]),
    ("request_payer", &["s3"]),
    ("skip_signature", &["s3", "gs", "az"]),
    ("timeout", &["s3", "gs", "az"]),
    ("use_emulator", &["az"]),
    ("virtual_hosted_style_request", &["s3"]),
];

/// Words that only options with a secret have in their names.
const SECRETS: [&str; 9] = [
    "key",
    "secret",
    "token",
    "password",
    "passwd",
    "credential",
    "sas",
    "signature",
    "authorization",
];

/// A URL that this version can open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Location {
    /// A folder; the path as written, perhaps relative.
    Folder(PathBuf),
    /// A bucket or container, with a prefix in it.
    Bucket {
        scheme: &'static str,
        bucket: String,
        prefix: ObjectPath,
    },
}

/// The URL as it may be printed.
#[must_use]
pub fn shown(url: &str) -> String {
    match url.split_once("://") {
        Some(("file", _)) | None => url.to_owned(),
        Some((scheme, rest)) => {
            // None of these belongs into the URL, and either may hold a secret.
            let place = rest.split(['?', '#']).next().unwrap_or_default();
            let masked = match place.rsplit_once('@') {
                Some((_, host)) => format!("***@{host}"),
                None => place.to_owned(),
            };
            format!("{scheme}://{masked}")
        }
    }
}

/// What is wrong with a URL and its options; empty when nothing is.
pub(crate) fn faults(url: &str, options: &BTreeMap<String, String>) -> Vec<Fault> {
    let location = match parse(url) {
        Ok(location) => location,
        Err(error) => return vec![error],
    };
    let scheme = match &location {
        Location::Folder(_) => "file",
        Location::Bucket { scheme, .. } => scheme,
    };
    options
        .iter()
        .filter_map(|(key, value)| option_fault(scheme, key, value))
        .collect()
}

fn option_fault(scheme: &str, key: &str, value: &str) -> Option<Fault> {
    let fault = |problem: String, remedy: &str| {
        Some(Fault::Option {
            key: key.to_owned(),
            problem,
            remedy: remedy.to_owned(),
        })
    };
    let name = key.to_ascii_lowercase();
    let Some((_, schemes)) = OPTIONS.iter().find(|(known, _)| *known == key) else {
        if SECRETS.iter().any(|word| name.contains(word)) {
            return fault(
                "this looks like a secret, and secrets do not belong into a configuration file"
                    .to_owned(),
                "take it out and set the variable of the environment: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, GOOGLE_SERVICE_ACCOUNT, AZURE_STORAGE_ACCOUNT_KEY and the like",
            );
        }
        let known: Vec<&str> = OPTIONS.iter().map(|(known, _)| *known).collect();
        return fault(
            "this option is not known".to_owned(),
            &format!("the options are {}", known.join(", ")),
        );
    };
    if !schemes.contains(&scheme) {
        return fault(
            format!("{scheme}:// has no such option"),
            "take it out, or correct artifacts.url",
        );
    }
    // An address with a user in it has a password in it too.
    if value.contains('@') || value.contains('?') {
        return fault(
            "the value holds a user, a password or parameters".to_owned(),
            "write the plain address; credentials come from the environment",
        );
    }
    None
}

pub(crate) fn parse(url: &str) -> Result<Location, Fault> {
    let refuse = |problem: &str| {
        Err(Fault::Url {
            url: shown(url),
            problem: problem.to_owned(),
        })
    };
    let Some((scheme, rest)) = url.split_once("://") else {
        return refuse("there is no scheme");
    };
    if scheme == "file" {
        if rest.is_empty() || rest.contains('\0') {
            return refuse("the path does not name a folder");
        }
        return Ok(Location::Folder(PathBuf::from(rest)));
    }
    let Some(scheme) = ["s3", "gs", "az"]
        .into_iter()
        .find(|known| *known == scheme)
    else {
        return refuse("the scheme is not one that this version can open");
    };
    if rest.contains(['@', '?', '#']) {
        return refuse("credentials and parameters do not belong here");
    }
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.is_empty() {
        return refuse("there is no bucket");
    }
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '$');
    if !bucket.chars().all(good) {
        return refuse("this is not the name of a bucket");
    }
    let Ok(prefix) = ObjectPath::parse(prefix) else {
        return refuse("the prefix has empty, dotted or unprintable parts");
    };
    Ok(Location::Bucket {
        scheme,
        bucket: bucket.to_owned(),
        prefix,
    })
}

/// A name as one part of a path: percent-encoded, so that it neither leaves its place nor means
/// anything to a store. A name that grows too long is cut and told apart by its hash; that it is the
/// right one is seen in the documents.
pub(crate) fn part(name: &str) -> PathPart<'_> {
    let whole = PathPart::from(if name.is_empty() { "%" } else { name });
    if whole.as_ref().len() <= LONGEST_PART {
        return whole;
    }
    let hash = hex::encode(Sha256::digest(name.as_bytes()));
    let mut short = String::new();
    for character in name.chars() {
        short.push(character);
        if PathPart::from(short.as_str()).as_ref().len() > LONGEST_PART - 2 * hash.len() {
            short.pop();
            break;
        }
    }
    PathPart::from(format!("{short}~{hash}"))
}

/// [`part`] as text.
pub(crate) fn segment(name: &str) -> String {
    part(name).as_ref().to_owned()
}

/// What is wrong with the place of a bundle; `None` when nothing is.
#[must_use]
pub fn bundle_fault(place: &str) -> Option<String> {
    if place.is_empty() || place.contains(char::is_control) {
        return Some("the place is empty or has control characters".to_owned());
    }
    if !place.contains("://") {
        return None;
    }
    let fault = faults(place, &BTreeMap::new()).into_iter().next()?;
    Some(match fault {
        Fault::Url { problem, .. } | Fault::Option { problem, .. } => problem,
    })
}

#[cfg(test)]
mod tests {
    use super::{LONGEST_PART, faults, part, shown};
    use std::collections::BTreeMap;

    fn problems(url: &str, options: &[(&str, &str)]) -> Vec<String> {
        let options: BTreeMap<String, String> = options
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let faults = faults(url, &options);
        faults.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn urls_name_a_folder_or_a_bucket() {
        for url in [
            "file://.cutover/artifacts",
            "file:///var/a b?c@d",
            "s3://bucket",
            "s3://bucket/a/b/",
            "gs://bucket/a",
            "az://container/a",
        ] {
            assert_eq!(problems(url, &[]), Vec::<String>::new(), "{url}");
        }
        for url in [
            "",
            "artifacts",
            "file://",
            "s3://",
            "s3:///a",
            "s3://bucket/a//b",
            "s3://bucket/../b",
            "s3://buc ket",
            "s3://key:s3cr3t@bucket/a",
            "az://container/a?sig=s3cr3t",
            "http://bucket/a",
            "memory://",
        ] {
            let found = problems(url, &[]);
            assert_eq!(found.len(), 1, "{url}");
            assert!(!found[0].contains("s3cr3t"), "{found:?}");
        }
        assert_eq!(shown("s3://k:s@bucket/a?b=c"), "s3://***@bucket/a");
    }

    #[test]
    fn options_are_known_and_no_secrets() {
        let good = [
            ("endpoint", "http://localhost:9000"),
            ("region", "eu-west-1"),
            ("allow_http", "true"),
        ];
        assert_eq!(problems("s3://b", &good), Vec::<String>::new());
        for (url, option, word) in [
            ("s3://b", ("secret_access_key", "x"), "looks like a secret"),
            ("s3://b", ("AWS_Session_Token", "x"), "looks like a secret"),
            ("az://b", ("sas_token", "x"), "looks like a secret"),
            (
                "gs://b",
                ("service_account_key", "x"),
                "looks like a secret",
            ),
            ("s3://b", ("regoin", "x"), "not known"),
            ("gs://b", ("region", "x"), "no such option"),
            ("file://b", ("allow_http", "true"), "no such option"),
            ("s3://b", ("endpoint", "http://u:pw@h"), "a password"),
        ] {
            let found = problems(url, &[option]);
            assert!(found.len() == 1 && found[0].contains(word), "{found:?}");
            assert!(!found[0].contains("pw@"), "{found:?}");
        }
    }

    #[test]
    fn every_name_is_one_part_of_a_path() {
        let long = "ü".repeat(127);
        for name in [
            "",
            ".",
            "..",
            "a/b",
            "../../x",
            "a\0b",
            "%2E",
            "x#1",
            long.as_str(),
        ] {
            let part = part(name);
            let text = part.as_ref();
            assert!(!text.is_empty() && text.len() <= LONGEST_PART, "{text}");
            assert!(!text.contains(['/', '\0', '#']), "{text}");
            assert!(text != "." && text != "..", "{text}");
        }
        assert_eq!(part("production").as_ref(), "production");
        assert_ne!(part(&long).as_ref(), part(&"ü".repeat(126)).as_ref());
    }
}
