//! Where the bundle of an environment is, and the verified copy from which it is released.
//!
//! Below `<base>/.cutover/sources/<environment>`:
//!
//! - `bundles/<digest>`: copies, each made beside and renamed when it is whole.
//! - `bundle.json`: which one was opened last, and from where.

use super::error::{BundleError, Name};
use super::listing::{LARGEST, LARGEST_LISTING, Listing, read_in};
use super::write::{file_error, put, put_listing};
use super::{Bundle, LISTING, REVISION};
use crate::adapters::artifacts::{Artifacts, Key};
use crate::domain::location::url;
use crate::inputs::settings;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// How many copies are kept for a deployment that goes on with one.
const KEPT: usize = 5;

/// The record of the copy that was opened last.
const OPENED: &str = "bundle.json";

/// Where the bundle of one environment is.
#[derive(Debug, Clone)]
pub struct Origin {
    place: Place,
    shown: String,
    folder: PathBuf,
}

#[derive(Debug, Clone)]
enum Place {
    Folder(PathBuf),
    Objects(Artifacts),
    /// That of a deployment, in the artifact store.
    Kept(Artifacts, Key, String),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Opened {
    place: String,
    digest: String,
}

impl Origin {
    /// The place that the settings name; `None` where they name none. Relative paths begin in `base`. Nothing is
    /// opened.
    ///
    /// # Errors
    /// A place that cannot be opened by this version.
    pub fn new(
        settings: &settings::Settings,
        base: &Path,
        environment: &str,
    ) -> Result<Option<Self>, BundleError> {
        let Some(text) = &settings.source.bundle else {
            return Ok(None);
        };
        let folder = base
            .join(".cutover/sources")
            .join(url::segment(environment));
        let path = match text.split_once("://") {
            None => Some(text.as_str()),
            Some(("file", path)) => Some(path),
            Some(_) => None,
        };
        let (place, shown) = match path {
            Some(path) => {
                let path = base.join(path);
                let shown = path.display().to_string();
                (Place::Folder(path), shown)
            }
            None => {
                // What the artifact store is told holds for another bucket of the same kind.
                let scheme = |url: &str| url.split_once("://").map(|(scheme, _)| scheme.to_owned());
                let options = match scheme(text) == scheme(&settings.artifacts.url) {
                    true => settings.artifacts.texts(),
                    false => BTreeMap::new(),
                };
                let objects = Artifacts::open(text, &options, base)?;
                (Place::Objects(objects), url::shown(text))
            }
        };
        Ok(Some(Self {
            place,
            shown,
            folder,
        }))
    }

    /// The place of what is kept of a deployment.
    #[must_use]
    pub fn of_kept(artifacts: Artifacts, key: Key, deployment: &str, base: &Path) -> Self {
        let folder = base
            .join(".cutover/sources")
            .join(url::segment(&key.environment));
        Self {
            shown: format!("{deployment} in {}", artifacts.place()),
            place: Place::Kept(artifacts, key, deployment.to_owned()),
            folder,
        }
    }

    /// The same place, with the copies of another environment: that one works with the bundle.
    #[must_use]
    pub fn copied_for(self, environment: &str, base: &Path) -> Self {
        let folder = base
            .join(".cutover/sources")
            .join(url::segment(environment));
        Self { folder, ..self }
    }

    /// The place, for people.
    #[must_use]
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// The revision of the bundle that is there now. Only `bundle.json` is read.
    ///
    /// # Errors
    /// What is no bundle; an object store that does not answer.
    pub async fn resolve(&self) -> Result<String, BundleError> {
        let listing = self.listing().await?;
        Ok(format!("{REVISION}{}", listing.digest))
    }

    async fn listing(&self) -> Result<Listing, BundleError> {
        match &self.place {
            Place::Folder(path) => Listing::of_folder(path),
            Place::Objects(_) | Place::Kept(..) => {
                match self.object(LISTING, LARGEST_LISTING).await? {
                    Some(bytes) => Listing::parse(&bytes, &self.below(LISTING)),
                    None => Err(BundleError::refused(
                        Name::Missing,
                        format!("{} is no bundle: there is no {LISTING}", self.shown),
                    )),
                }
            }
        }
    }

    /// The bundle that is there now, copied and verified.
    ///
    /// # Errors
    /// [`BundleError::Refused`] for what is no whole bundle; an object store that does not answer.
    pub async fn fetch(&self) -> Result<Bundle, BundleError> {
        match &self.place {
            Place::Folder(_) => {
                let origin = self.clone();
                let fetching = tokio::task::spawn_blocking(move || origin.fetch_folder());
                fetching.await.unwrap_or_else(|error| {
                    Err(file_error(&self.folder, "used")(std::io::Error::other(
                        error,
                    )))
                })
            }
            Place::Objects(_) | Place::Kept(..) => {
                let listing = self.listing().await?;
                self.fetch_objects(listing).await
            }
        }
    }

    /// The bundle with this digest: the copy, or what is at its place now.
    ///
    /// # Errors
    /// [`Name::Replaced`] when there is another one by now; as [`Origin::fetch`].
    pub async fn at(&self, digest: &str) -> Result<Bundle, BundleError> {
        if let Ok(copy) = Bundle::open(&self.copy(digest)) {
            return Ok(copy);
        }
        let found = self.listing().await?.digest;
        if found != digest {
            return Err(BundleError::refused(
                Name::Replaced,
                format!(
                    "the bundle {digest} is not here any more, and at {} is {found}",
                    self.shown
                ),
            ));
        }
        self.fetch().await
    }

    /// The bundle without asking an object store: that of a folder, else the copy that was opened last.
    ///
    /// # Errors
    /// [`BundleError::NotFetched`] where an object store was not asked yet; as [`Origin::fetch`].
    pub fn present(&self) -> Result<Bundle, BundleError> {
        match &self.place {
            Place::Folder(_) => self.fetch_folder(),
            Place::Objects(_) | Place::Kept(..) => match self.opened() {
                Some(opened) => opened,
                None => Err(BundleError::NotFetched {
                    place: self.shown.clone(),
                }),
            },
        }
    }

    /// A bundle for whoever goes on with a deployment, which names its own: what is there, else the copy that was
    /// opened last. What becomes of the place does not keep anybody from a rollback.
    ///
    /// # Errors
    /// As [`Origin::fetch`], where there is no such copy.
    pub async fn at_hand(&self) -> Result<Bundle, BundleError> {
        match self.present() {
            Ok(bundle) => Ok(bundle),
            Err(BundleError::NotFetched { .. }) => self.fetch().await,
            Err(error) => match self.opened() {
                Some(Ok(copy)) => Ok(copy),
                Some(Err(_)) | None => Err(error),
            },
        }
    }

    fn opened(&self) -> Option<Result<Bundle, BundleError>> {
        let bytes = fs::read(self.folder.join(OPENED)).ok()?;
        let opened: Opened = serde_json::from_slice(&bytes).ok()?;
        let copy = self.copy(&opened.digest);
        (opened.place == self.shown && copy.is_dir()).then(|| Bundle::open(&copy))
    }

    fn copies(&self) -> PathBuf {
        self.folder.join("bundles")
    }

    fn copy(&self, digest: &str) -> PathBuf {
        self.copies().join(url::segment(digest))
    }

    fn fetch_folder(&self) -> Result<Bundle, BundleError> {
        let Place::Folder(place) = &self.place else {
            return Err(BundleError::NotFetched {
                place: self.shown.clone(),
            });
        };
        let listing = Listing::of_folder(place)?;
        if let Some(copy) = self.copied(&listing)? {
            return self.remember(copy);
        }
        let new = self.new_copy()?;
        let copied = copy_folder(place, &listing, &new);
        let made = copied.and_then(|()| self.take(&new, &listing));
        self.end(&new, made)
    }

    /// A file of the bundle in an object store, where it is there.
    async fn object(&self, path: &str, most: u64) -> Result<Option<Vec<u8>>, BundleError> {
        Ok(match &self.place {
            Place::Folder(folder) => read_in(folder, path, most)?,
            Place::Objects(objects) => objects.read_below(path, most).await?,
            Place::Kept(artifacts, key, id) => artifacts.project_file(key, id, path).await?,
        })
    }

    async fn fetch_objects(&self, listing: Listing) -> Result<Bundle, BundleError> {
        if let Some(copy) = self.copied(&listing)? {
            return self.remember(copy);
        }
        let new = self.new_copy()?;
        let copied = self.copy_objects(&listing, &new).await;
        let made = copied.and_then(|()| self.take(&new, &listing));
        self.end(&new, made)
    }

    async fn copy_objects(&self, listing: &Listing, new: &Path) -> Result<(), BundleError> {
        for path in listing.files.keys() {
            let bytes = self.object(path, LARGEST).await?;
            let place = self.below(path);
            put(new, path, &listing.verified(path, bytes, &place)?)?;
        }
        Ok(())
    }

    /// A file of the bundle in an object store, for people.
    fn below(&self, path: &str) -> String {
        let store = self.shown.strip_suffix('/').unwrap_or(&self.shown);
        format!("{store}/{path}")
    }

    /// The copy of a bundle, where there is a whole one; what is left of another is removed.
    fn copied(&self, listing: &Listing) -> Result<Option<Bundle>, BundleError> {
        let copy = self.copy(&listing.digest);
        if let Ok(bundle) = Bundle::open(&copy) {
            return Ok(Some(bundle));
        }
        // A copy gets its name when it is whole, so what is there was harmed. It is taken aside first: another
        // process may put a whole one there at any moment.
        let aside = self.copies().join(format!("new-{}", uuid::Uuid::now_v7()));
        match fs::rename(&copy, &aside) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(file_error(&copy, "removed")(source)),
        }
        if Bundle::open(&aside).is_ok() {
            return self.named(&aside, &listing.digest).map(Some);
        }
        fs::remove_dir_all(&aside).map_err(file_error(&aside, "removed"))?;
        Ok(None)
    }

    /// A folder for a copy in the making.
    fn new_copy(&self) -> Result<PathBuf, BundleError> {
        let copies = self.copies();
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&copies)
            .map_err(file_error(&copies, "created"))?;
        if let Some(home) = self.folder.parent().and_then(Path::parent) {
            let ignore = home.join(".gitignore");
            if !ignore.exists() {
                fs::write(&ignore, "*\n").map_err(file_error(&ignore, "written"))?;
            }
        }
        Ok(copies.join(format!("new-{}", uuid::Uuid::now_v7())))
    }

    /// Ends a copy whose files are written and gives it its name.
    fn take(&self, new: &Path, listing: &Listing) -> Result<Bundle, BundleError> {
        put_listing(new, listing)?;
        self.named(new, &listing.digest)
    }

    /// Gives a whole copy its name.
    fn named(&self, new: &Path, digest: &str) -> Result<Bundle, BundleError> {
        let copy = self.copy(digest);
        match fs::rename(new, &copy) {
            Ok(()) => {}
            // Another process made the same one a moment ago.
            Err(_) if copy.is_dir() => {
                fs::remove_dir_all(new).map_err(file_error(new, "removed"))?;
            }
            Err(source) => return Err(file_error(&copy, "written")(source)),
        }
        Bundle::open(&copy)
    }

    fn end(&self, new: &Path, made: Result<Bundle, BundleError>) -> Result<Bundle, BundleError> {
        match made {
            Ok(bundle) => {
                self.prune(bundle.digest());
                self.remember(bundle)
            }
            Err(error) => {
                // The error is what matters.
                let _ = fs::remove_dir_all(new);
                Err(error)
            }
        }
    }

    /// Notes which copy was opened last.
    fn remember(&self, bundle: Bundle) -> Result<Bundle, BundleError> {
        // What is configured was not opened.
        if let Place::Kept(..) = &self.place {
            return Ok(bundle);
        }
        let opened = Opened {
            place: self.shown.clone(),
            digest: bundle.digest().to_owned(),
        };
        let path = self.folder.join(OPENED);
        let text = serde_json::json!(opened).to_string();
        if fs::read(&path).is_ok_and(|there| there == text.as_bytes()) {
            return Ok(bundle);
        }
        let new = self.folder.join(format!("new-{}", uuid::Uuid::now_v7()));
        fs::write(&new, text)
            .and_then(|()| fs::rename(&new, &path))
            .map_err(file_error(&path, "written"))?;
        Ok(bundle)
    }

    /// Removes copies but the newest ones, and what a killed process left. One that stays does no harm.
    fn prune(&self, digest: &str) {
        let entries = fs::read_dir(self.copies()).into_iter().flatten().flatten();
        let mut found: Vec<(SystemTime, PathBuf)> = entries
            .filter(|entry| entry.file_name() != *url::segment(digest))
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .collect();
        found.sort_by(|left, right| right.cmp(left));
        for (_, path) in found.into_iter().skip(KEPT - 1) {
            let _ = fs::remove_dir_all(path);
        }
    }
}

/// Copies the files of a bundle, each as it is verified.
fn copy_folder(place: &Path, listing: &Listing, new: &Path) -> Result<(), BundleError> {
    for path in listing.files.keys() {
        let bytes = read_in(place, path, LARGEST)?;
        let shown = place.join(path).display().to_string();
        put(new, path, &listing.verified(path, bytes, &shown)?)?;
    }
    Ok(())
}

#[cfg(test)]
impl Origin {
    /// The same origin with its bundle in the store of a URL.
    pub(super) fn in_store(mut self, url: &str, base: &Path) -> Self {
        let objects = Artifacts::open(url, &BTreeMap::new(), base).expect("a store");
        self.place = Place::Objects(objects);
        self
    }
}
