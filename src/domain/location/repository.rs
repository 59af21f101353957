//! What may be given to git: addresses, references and folders, judged before git sees them.
//!
//! Invariant: no text accepted here begins with `-` or names a transport that runs a program, and an
//! accepted address holds no secret, so that it may be printed.

use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

/// The longest address, reference or folder, in bytes.
const LONGEST: usize = 1024;

/// The address of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    text: String,
    transport: Transport,
}

/// How a repository is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// `https://`
    Https,
    /// `ssh://` or `user@host:path`
    Ssh,
    /// `file://` or a path
    File,
}

/// Why an address is refused. It does not repeat the address, which may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressProblem {
    /// Empty, long, or with control characters or spaces around it.
    #[error("this is no address: it is empty, too long, or has control characters or spaces")]
    Text,
    /// It begins with `-`, so that git would take it for an option.
    #[error("an address may not begin with -")]
    Option,
    /// Another transport.
    #[error("this is not an address that can be fetched from")]
    Transport,
    /// There is a password, or a query that may be one.
    #[error("the address holds a name or password, a query or a fragment")]
    Secret,
    /// No host or no path.
    #[error("the address has no host or no path")]
    Incomplete,
}

impl AddressProblem {
    /// What to write instead.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Text | Self::Option | Self::Transport | Self::Incomplete => {
                "write https://…, ssh://…, user@host:path, file:///… or an absolute path"
            }
            Self::Secret => {
                "take it out; source.username and source.password are for names and passwords"
            }
        }
    }
}

impl Address {
    /// As it is given to git.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// How it is reached.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// `https://host:port`, for which credentials count.
    #[must_use]
    pub fn origin(&self) -> &str {
        let after = self.text.find("://").map_or(0, |at| at + 3);
        let end = self.text[after..]
            .find('/')
            .map_or(self.text.len(), |at| after + at);
        &self.text[..end]
    }
}

impl FromStr for Address {
    type Err = AddressProblem;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() || text.len() > LONGEST || text.trim() != text {
            return Err(AddressProblem::Text);
        }
        if text.contains(char::is_control) {
            return Err(AddressProblem::Text);
        }
        if text.starts_with('-') {
            return Err(AddressProblem::Option);
        }
        let transport = if let Some(rest) = text.strip_prefix("https://") {
            remote(rest)?;
            let authority = rest.split('/').next().unwrap_or_default();
            if authority.contains('@') {
                return Err(AddressProblem::Secret);
            }
            Transport::Https
        } else if let Some(rest) = text.strip_prefix("ssh://") {
            remote(rest)?;
            let authority = rest.split('/').next().unwrap_or_default();
            user(authority)?;
            Transport::Ssh
        } else if let Some(path) = text.strip_prefix("file://") {
            if !path.starts_with('/') {
                return Err(AddressProblem::Incomplete);
            }
            Transport::File
        } else if text.starts_with('/') {
            Transport::File
        } else {
            scp(text)?;
            Transport::Ssh
        };
        Ok(Self {
            text: text.to_owned(),
            transport,
        })
    }
}

/// `authority/path` of a URL.
fn remote(rest: &str) -> Result<(), AddressProblem> {
    if rest.contains(['?', '#']) {
        return Err(AddressProblem::Secret);
    }
    if rest.contains([' ', '\\']) {
        return Err(AddressProblem::Text);
    }
    let (authority, path) = rest.split_once('/').ok_or(AddressProblem::Incomplete)?;
    let host = authority.rsplit('@').next().unwrap_or_default();
    // A host that begins with - would be an option of ssh.
    if authority.starts_with('-') || host.starts_with('-') {
        return Err(AddressProblem::Option);
    }
    match host.is_empty() || path.trim_matches('/').is_empty() {
        true => Err(AddressProblem::Incomplete),
        false => Ok(()),
    }
}

/// The user before a host, without a password.
fn user(authority: &str) -> Result<(), AddressProblem> {
    match authority.rsplit_once('@') {
        Some((user, _)) if user.is_empty() || user.contains([':', '@']) => {
            Err(AddressProblem::Secret)
        }
        Some(_) | None => Ok(()),
    }
}

/// `user@host:path`. The user is asked for, since `word:path` is as easily a mistake or a transport.
fn scp(text: &str) -> Result<(), AddressProblem> {
    let (authority, path) = text.split_once(':').ok_or(AddressProblem::Transport)?;
    let (name, host) = authority.split_once('@').ok_or(AddressProblem::Transport)?;
    // `ext::sh -c …` and other helpers; `scheme://…` of a transport that is not known.
    if path.starts_with(':') || path.starts_with("//") {
        return Err(AddressProblem::Transport);
    }
    let word = |text: &str| {
        let mut characters = text.chars();
        characters.next().is_some_and(|c| c.is_ascii_alphanumeric())
            && characters.all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    };
    if !word(name) || !word(host) {
        return Err(AddressProblem::Transport);
    }
    match path.is_empty() || path.starts_with('-') {
        true => Err(AddressProblem::Incomplete),
        false => Ok(()),
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A commit: 40 or 64 hexadecimal digits, lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(String);

/// A text that is no commit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a commit of 40 or 64 hexadecimal digits")]
pub struct NotACommit(pub String);

impl Revision {
    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Revision {
    type Err = NotACommit;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_commit =
            matches!(text.len(), 40 | 64) && text.chars().all(|c| c.is_ascii_hexdigit());
        match is_commit {
            true => Ok(Self(text.to_ascii_lowercase())),
            false => Err(NotACommit(text.to_owned())),
        }
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is wanted of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// Exactly this commit.
    Commit(Revision),
    /// A whole name: `refs/…` or `HEAD`.
    Full(String),
    /// A branch or, when there is none of that name, a tag.
    Name(String),
}

/// Why a reference is refused: the rules of `git check-ref-format`, and no `-` at the beginning.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is not a reference: {problem}")]
pub struct NotAReference {
    name: String,
    problem: &'static str,
}

impl Reference {
    /// The names to ask the repository for, the best first.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        match self {
            Self::Commit(_) => Vec::new(),
            Self::Full(name) => vec![name.clone()],
            Self::Name(name) => vec![format!("refs/heads/{name}"), format!("refs/tags/{name}")],
        }
    }
}

impl FromStr for Reference {
    type Err = NotAReference;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(commit) = text.parse() {
            return Ok(Self::Commit(commit));
        }
        let is_bad = |c: char| c.is_control() || " ~^:?*[\\".contains(c);
        let problem = if text.is_empty() || text.len() > LONGEST {
            Some("it is empty or too long")
        } else if text.starts_with('-') {
            Some("it begins with -")
        } else if text.contains("..") || text.contains("@{") || text == "@" {
            Some("it has .. or @{, or is @")
        } else if text.contains(is_bad) {
            Some("it has a space, a control character, or one of ~ ^ : ? * [ \\")
        } else if text.ends_with('.') || text.split('/').any(is_bad_part) {
            Some("a part of it is empty, begins with ., or ends with . or .lock")
        } else {
            None
        };
        match problem {
            Some(problem) => Err(NotAReference {
                name: text.to_owned(),
                problem,
            }),
            None if text == "HEAD" || text.starts_with("refs/") => Ok(Self::Full(text.to_owned())),
            None => Ok(Self::Name(text.to_owned())),
        }
    }
}

fn is_bad_part(part: &str) -> bool {
    part.is_empty() || part.starts_with('.') || part.to_ascii_lowercase().ends_with(".lock")
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Commit(commit) => commit.fmt(f),
            Self::Full(name) | Self::Name(name) => f.write_str(name),
        }
    }
}

/// Why a folder is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{folder:?} is not a folder of the repository: {problem}")]
pub struct NotASubfolder {
    folder: String,
    problem: &'static str,
}

/// A folder of a repository, relative, without steps out of it.
///
/// # Errors
/// An absolute path, `..`, `.git`, control characters.
pub fn subfolder(text: &str) -> Result<PathBuf, NotASubfolder> {
    let refused = |problem| NotASubfolder {
        folder: text.to_owned(),
        problem,
    };
    if text.len() > LONGEST || text.contains(char::is_control) {
        return Err(refused("it is too long or has control characters"));
    }
    let mut folder = PathBuf::new();
    for component in Path::new(text).components() {
        match component {
            Component::Normal(part) if part.eq_ignore_ascii_case(".git") => {
                return Err(refused("it is git's own"));
            }
            Component::Normal(part) => folder.push(part),
            Component::CurDir => {}
            Component::ParentDir => return Err(refused("it leaves the repository")),
            Component::RootDir | Component::Prefix(_) => return Err(refused("it is absolute")),
        }
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::{Address, AddressProblem, Reference, Revision, Transport, subfolder};
    use std::path::PathBuf;

    #[test]
    fn addresses_of_known_transports_are_taken() {
        for (text, transport) in [
            ("https://git.example.com/team/shop.git", Transport::Https),
            ("https://git.example.com:8443/shop", Transport::Https),
            ("ssh://git@git.example.com:2222/shop", Transport::Ssh),
            ("git@git.example.com:team/shop.git", Transport::Ssh),
            ("file:///srv/shop.git", Transport::File),
            ("/srv/a b/shop.git", Transport::File),
        ] {
            let address: Address = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(address.transport(), transport);
            assert_eq!(address.as_str(), text);
        }
        let address: Address = "https://h:1/x/y".parse().expect("an address");
        assert_eq!(address.origin(), "https://h:1");
    }

    #[test]
    fn other_addresses_are_refused_and_not_repeated() {
        use AddressProblem::{Incomplete, Option, Secret, Text, Transport};
        for (text, problem) in [
            ("", Text),
            ("--upload-pack=touch /tmp/x", Option),
            ("-u@host:x", Option),
            ("ssh://-oProxyCommand=x/y", Option),
            ("ssh://git@-oProxyCommand=x/y", Option),
            ("-oProxyCommand=x:y", Option),
            ("ext::sh -c 'touch x'", Transport),
            ("fd::17/foo", Transport),
            ("a@ext::sh", Transport),
            ("git@-oProxy:x", Transport),
            ("http://host/x", Transport),
            ("git://host/x", Transport),
            ("ftp://host/x", Transport),
            ("HTTPS://host/x", Transport),
            ("a@b://host/x", Transport),
            ("relative/path", Transport),
            ("../x", Transport),
            ("https://me:s3cret@host/x", Secret),
            ("https://s3cret@host/x", Secret),
            ("https://host/x?token=s3cret", Secret),
            ("ssh://me:s3cret@host/x", Secret),
            ("https://host", Incomplete),
            ("https:///x", Incomplete),
            ("file://host/x", Incomplete),
            ("git@host:", Incomplete),
            ("https://host/a\nb", Text),
            (" /srv/x", Text),
        ] {
            let found = text.parse::<Address>();
            assert_eq!(found, Err(problem), "{text:?}");
            assert!(!problem.to_string().contains("s3cret"));
        }
    }

    #[test]
    fn references_follow_the_rules_of_git() {
        let commit = "0123456789abcdef0123456789ABCDEF01234567";
        let parse = str::parse::<Reference>;
        let revision: Revision = commit.parse().expect("a commit");
        assert_eq!(parse(commit), Ok(Reference::Commit(revision)));
        assert_eq!(parse("main"), Ok(Reference::Name("main".to_owned())));
        for good in [
            "release/1.2",
            "a@b",
            "v1",
            "ümlaut",
            "HEAD",
            "refs/pull/7/head",
            "0123456",
        ] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "-x",
            "--upload-pack=x",
            "a..b",
            "a b",
            "a\nb",
            "a\u{7f}",
            "a~1",
            "a^",
            "a:b",
            "a?",
            "a*",
            "a[b",
            "a\\b",
            "@{u}",
            "a@{1}",
            "@",
            "/a",
            "a/",
            "a//b",
            ".a",
            "a/.b",
            "a.lock",
            "a.lock/b",
            "a.",
            "+main:refs/heads/x",
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn folders_stay_within_the_repository() {
        assert_eq!(subfolder("a/./b/"), Ok(PathBuf::from("a/b")));
        assert_eq!(subfolder("."), Ok(PathBuf::new()));
        for bad in ["/etc", "..", "a/../b", ".git", "a/.GIT/b", "a\nb"] {
            assert!(subfolder(bad).is_err(), "{bad:?}");
        }
    }
}
