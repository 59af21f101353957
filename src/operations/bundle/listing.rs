//! `bundle.json`: what a bundle is about and which files it has.

use super::about::About;
use super::error::{BundleError, Name};
use super::{COMPILED, FORM, LISTING, MANIFEST, OUTCOMES, PROJECT};
use crate::inputs::outcome;
use crate::inputs::project::file;
use crate::inputs::project::locate::PROJECT_FILE;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Component, Path};

/// The most bytes of `bundle.json`.
pub(super) const LARGEST_LISTING: u64 = 64 << 20;

/// The most bytes of any other file.
pub(super) const LARGEST: u64 = 4 << 30;

/// `bundle.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listing {
    /// [`FORM`].
    pub(super) form: u32,
    /// Over form, `about` and `files`, 64 hexadecimal digits.
    pub(super) digest: String,
    /// When it was made.
    pub(super) made_at: Timestamp,
    /// The Cutover that made it.
    pub(super) made_by: String,
    /// What it was compiled from and for.
    pub(super) about: About,
    /// Every other file, by its path with `/`.
    pub(super) files: BTreeMap<String, Listed>,
}

/// A file of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listed {
    /// In bytes.
    pub(super) size: u64,
    /// Of its bytes, 64 hexadecimal digits.
    pub(super) sha256: String,
}

impl Listed {
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self {
            size: bytes.len() as u64,
            sha256: hex::encode(Sha256::digest(bytes)),
        }
    }
}

/// What every form has.
#[derive(Deserialize)]
struct Formed {
    form: u32,
}

/// What the digest is over.
#[derive(Serialize)]
struct Counted<'a> {
    form: u32,
    about: &'a About,
    files: &'a BTreeMap<String, Listed>,
}

impl Listing {
    /// The listing of these files.
    ///
    /// # Errors
    /// When `about` cannot be written as JSON.
    pub(super) fn of(
        about: About,
        files: BTreeMap<String, Listed>,
        made_at: Timestamp,
    ) -> Result<Self, serde_json::Error> {
        Ok(Self {
            form: FORM,
            digest: digest(&about, &files)?,
            made_at,
            made_by: format!("cutover {}", env!("CARGO_PKG_VERSION")),
            about,
            files,
        })
    }

    /// The listing in these bytes, verified; `place` is named in messages.
    pub(super) fn parse(bytes: &[u8], place: &str) -> Result<Self, BundleError> {
        let damaged = |error| {
            let message = format!("{place} is no listing of a bundle, or is cut short");
            BundleError::because(Name::Damaged, message, error)
        };
        let Formed { form } = serde_json::from_slice(bytes).map_err(damaged)?;
        let another = |what: &str, found: u32, known: u32| {
            BundleError::refused(
                Name::Format,
                format!("{place} has {what} {found}, this Cutover reads {known}"),
            )
        };
        if form != FORM {
            return Err(another("the form", form, FORM));
        }
        let listing: Self = serde_json::from_slice(bytes).map_err(damaged)?;
        let found = digest(&listing.about, &listing.files).map_err(damaged)?;
        if found != listing.digest {
            return Err(BundleError::refused(
                Name::Damaged,
                format!(
                    "{place} was changed: what it says has the digest {found}, not {}",
                    listing.digest
                ),
            ));
        }
        if let Some(path) = listing.files.keys().find(|path| !is_within(path)) {
            return Err(BundleError::refused(
                Name::Outside,
                format!("{place} lists {path:?}, which is no file within the bundle"),
            ));
        }
        if listing.about.outcomes != outcome::FORM {
            let found = listing.about.outcomes;
            return Err(another("outcomes of the form", found, outcome::FORM));
        }
        for needed in [MANIFEST, OUTCOMES, COMPILED, &project_file()] {
            if !listing.files.contains_key(needed) {
                return Err(BundleError::refused(
                    Name::Incomplete,
                    format!("{place} does not list {needed}"),
                ));
            }
        }
        Ok(listing)
    }

    /// The listing of the bundle in a folder.
    pub(super) fn of_folder(folder: &Path) -> Result<Self, BundleError> {
        let place = folder.join(LISTING).display().to_string();
        match read_in(folder, LISTING, LARGEST_LISTING)? {
            Some(bytes) => Self::parse(&bytes, &place),
            None => Err(BundleError::refused(
                Name::Missing,
                format!("{} is no bundle: there is no {LISTING}", folder.display()),
            )),
        }
    }

    /// A file in the bundle of a folder, verified.
    pub(super) fn read_from(&self, folder: &Path, path: &str) -> Result<Vec<u8>, BundleError> {
        let bytes = read_in(folder, path, LARGEST)?;
        self.verified(path, bytes, &folder.join(path).display().to_string())
    }

    /// The bytes, when they are those of the listed file.
    pub(super) fn verified(
        &self,
        path: &str,
        bytes: Option<Vec<u8>>,
        place: &str,
    ) -> Result<Vec<u8>, BundleError> {
        let (Some(listed), Some(bytes)) = (self.files.get(path), bytes) else {
            return Err(BundleError::refused(
                Name::Incomplete,
                format!("{place} is not there"),
            ));
        };
        let found = Listed::of(&bytes);
        let message = if found.size != listed.size {
            format!(
                "{place} has {} bytes, {LISTING} lists {}",
                found.size, listed.size
            )
        } else if found.sha256 != listed.sha256 {
            format!("{place} is not what {LISTING} lists: its content is another")
        } else {
            return Ok(bytes);
        };
        Err(BundleError::refused(Name::Damaged, message))
    }
}

/// The project's own file, as listed.
pub(super) fn project_file() -> String {
    format!("{PROJECT}/{PROJECT_FILE}")
}

fn digest(about: &About, files: &BTreeMap<String, Listed>) -> Result<String, serde_json::Error> {
    let counted = serde_json::to_vec(&Counted {
        form: FORM,
        about,
        files,
    })?;
    Ok(hex::encode(Sha256::digest(counted)))
}

/// Whether a path names a file within a bundle, in the one way in which that is written.
pub(super) fn is_within(path: &str) -> bool {
    let mut parts = Vec::new();
    for part in Path::new(path).components() {
        match part {
            Component::Normal(part) => parts.extend(part.to_str()),
            Component::Prefix(_)
            | Component::RootDir
            | Component::CurDir
            | Component::ParentDir => return false,
        }
    }
    !parts.is_empty()
        && parts.join("/") == path
        && path != LISTING
        && !path.contains(char::is_control)
}

/// A file within a folder, where it is there. Links are not followed: they may lead anywhere.
pub(super) fn read_in(
    folder: &Path,
    path: &str,
    most: u64,
) -> Result<Option<Vec<u8>>, BundleError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| BundleError::File {
            path,
            action: "read",
            source,
        }
    };
    let mut at = folder.to_owned();
    for part in Path::new(path).components() {
        at.push(part);
        match at.symlink_metadata() {
            Ok(found) if found.is_symlink() => {
                return Err(BundleError::refused(
                    Name::Outside,
                    format!("{} is a link", at.display()),
                ));
            }
            Ok(_) => {}
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(failed(&at)(error)),
        }
    }
    match file::read_up_to(&at, most) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::InvalidInput => Err(BundleError::because(
            Name::Damaged,
            format!("{} is no file of a bundle", at.display()),
            error,
        )),
        Err(error) => Err(failed(&at)(error)),
    }
}
