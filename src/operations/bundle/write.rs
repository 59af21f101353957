//! Making a bundle: beside its place, then renamed, so that what is there is whole whenever somebody looks.

use super::about::About;
use super::error::{BundleError, Name};
use super::listing::{Listed, Listing, is_within};
use super::{Bundle, LISTING};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// What a bundle is made from.
#[derive(Debug, Clone, PartialEq)]
pub struct Contents {
    /// What it was compiled from and for.
    pub about: About,
    /// The bytes of each file, by its path with `/`.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// A bundle that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// The digest over all of it.
    pub digest: String,
    /// Whether the same one was there already.
    pub was_there: bool,
    /// How many files it has besides `bundle.json`.
    pub files: usize,
    /// How many bytes they have.
    pub bytes: u64,
}

/// Makes sure that a bundle may be made in a place: there is nothing, an empty folder, or a bundle.
///
/// # Errors
/// [`Name::Occupied`], with what is there.
pub fn may_be_made(place: &Path) -> Result<(), BundleError> {
    let occupied = |what: String| {
        Err(BundleError::refused(
            Name::Occupied,
            format!("{} {what}; it was not overwritten", place.display()),
        ))
    };
    match place.symlink_metadata() {
        Ok(found) if found.is_dir() => {}
        Ok(_) => return occupied("is no folder".to_owned()),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(file_error(place, "read")(source)),
    }
    let mut found = Vec::new();
    files_below(place, Path::new(""), &mut found)?;
    if found.is_empty() {
        return Ok(());
    }
    // One that was changed or cut short is one all the same, as long as it says which files are its own.
    let Ok(bytes) = fs::read(place.join(LISTING)) else {
        return occupied("is no bundle".to_owned());
    };
    let listed = serde_json::from_slice::<serde_json::Value>(&bytes).ok();
    let listed = listed.as_ref().filter(|listing| listing["form"].is_u64());
    let Some(listed) = listed.and_then(|listing| listing["files"].as_object()) else {
        return occupied(format!("has a {LISTING} that is none of a bundle"));
    };
    match found
        .iter()
        .find(|path| *path != LISTING && !listed.contains_key(*path))
    {
        Some(other) => occupied(format!("holds {other} besides a bundle")),
        None => Ok(()),
    }
}

/// Paths of all that is below a folder and no folder, with `/`.
fn files_below(root: &Path, below: &Path, found: &mut Vec<String>) -> Result<(), BundleError> {
    let folder = root.join(below);
    for entry in fs::read_dir(&folder).map_err(file_error(&folder, "read"))? {
        let entry = entry.map_err(file_error(&folder, "read"))?;
        let path = below.join(entry.file_name());
        let kind = entry.file_type().map_err(file_error(&folder, "read"))?;
        if kind.is_dir() {
            files_below(root, &path, found)?;
        } else {
            found.push(path.display().to_string());
        }
    }
    Ok(())
}

/// Makes a bundle in a place, in which there is nothing, an empty folder or another bundle.
///
/// # Errors
/// [`Name::Occupied`]; a path of a file that leads out of the bundle; what cannot be written.
pub fn write(place: &Path, contents: Contents, made_at: Timestamp) -> Result<Made, BundleError> {
    may_be_made(place)?;
    if let Some(path) = contents.files.keys().find(|path| !is_within(path)) {
        return Err(BundleError::refused(
            Name::Outside,
            format!("{path:?} cannot be in a bundle: it leads out of it"),
        ));
    }
    let files: BTreeMap<String, Listed> = contents
        .files
        .iter()
        .map(|(path, bytes)| (path.clone(), Listed::of(bytes)))
        .collect();
    let listing = Listing::of(contents.about, files, made_at).map_err(not_json)?;
    let made = |was_there| Made {
        digest: listing.digest.clone(),
        was_there,
        files: listing.files.len(),
        bytes: listing.files.values().map(|listed| listed.size).sum(),
    };
    if Bundle::open(place).is_ok_and(|there| there.digest() == listing.digest) {
        return Ok(made(true));
    }
    let whole = std::path::absolute(place).map_err(file_error(place, "read"))?;
    let (Some(parent), Some(name)) = (whole.parent(), whole.file_name()) else {
        return Err(BundleError::refused(
            Name::Occupied,
            format!("{} names no folder", place.display()),
        ));
    };
    fs::create_dir_all(parent).map_err(file_error(parent, "created"))?;
    let beside = |what: &str| {
        let name = name.to_string_lossy();
        parent.join(format!(".{name}.{what}-{}", uuid::Uuid::now_v7()))
    };
    let new = beside("new");
    let written = whole_in(&new, &contents.files, &listing)
        .and_then(|()| put_in_place(&new, place, &beside("old")));
    if let Err(error) = written {
        // The error is what matters.
        let _ = fs::remove_dir_all(&new);
        return Err(error);
    }
    sync(parent)?;
    Ok(made(false))
}

/// Writes a bundle into a folder that is not there yet.
fn whole_in(
    folder: &Path,
    files: &BTreeMap<String, Vec<u8>>,
    listing: &Listing,
) -> Result<(), BundleError> {
    for (path, bytes) in files {
        put(folder, path, bytes)?;
    }
    put_listing(folder, listing)
}

/// Writes `bundle.json`, after all other files.
pub(super) fn put_listing(folder: &Path, listing: &Listing) -> Result<(), BundleError> {
    let mut bytes = serde_json::to_vec_pretty(listing).map_err(not_json)?;
    bytes.push(b'\n');
    put(folder, LISTING, &bytes)?;
    sync(folder)
}

/// Writes one file of a bundle, and the folders on the way to it.
pub(super) fn put(folder: &Path, path: &str, bytes: &[u8]) -> Result<(), BundleError> {
    let path = folder.join(path);
    let parent = path.parent().unwrap_or(folder);
    fs::create_dir_all(parent).map_err(file_error(parent, "created"))?;
    File::create_new(&path)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        })
        .map_err(file_error(&path, "written"))?;
    sync(parent)
}

/// Puts a folder in the place of another one, or of nothing. Where there is another one, the place is empty for
/// the moment between two renames: nobody takes half of either for a bundle.
fn put_in_place(new: &Path, place: &Path, old: &Path) -> Result<(), BundleError> {
    let had_one = match fs::rename(place, old) {
        Ok(()) => true,
        Err(error) if error.kind() == ErrorKind::NotFound => false,
        Err(source) => return Err(file_error(place, "replaced")(source)),
    };
    if let Err(source) = fs::rename(new, place) {
        if had_one {
            fs::rename(old, place).map_err(file_error(place, "put back"))?;
        }
        return Err(file_error(place, "written")(source));
    }
    if had_one {
        fs::remove_dir_all(old).map_err(file_error(old, "removed"))?;
    }
    Ok(())
}

/// Makes the names in a folder durable.
fn sync(folder: &Path) -> Result<(), BundleError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(file_error(folder, "written"))
}

pub(super) fn file_error(
    path: &Path,
    action: &'static str,
) -> impl FnOnce(std::io::Error) -> BundleError + use<> {
    let path: PathBuf = path.to_owned();
    move |source| BundleError::File {
        path,
        action,
        source,
    }
}

pub(super) fn not_json(error: serde_json::Error) -> BundleError {
    BundleError::File {
        path: LISTING.into(),
        action: "written",
        source: error.into(),
    }
}
