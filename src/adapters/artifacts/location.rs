//! Where the artifact store is: its URL and options, and the client made of them.

use super::Artifacts;
use super::error::{ArtifactError, Cause, Said};
use crate::domain::location::url::{Location, faults, parse, shown};
use crate::foundation::tls;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, RetryConfig};
use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long a remote store is asked again before it counts as away.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// How often it is asked again.
const RETRIES: usize = 5;

/// See [`Artifacts::open`].
pub(super) fn open(
    url: &str,
    options: &BTreeMap<String, String>,
    base: &Path,
) -> Result<Artifacts, ArtifactError> {
    if let Some(fault) = faults(url, options).into_iter().next() {
        return Err(fault.into());
    }
    let (store, root, place) = match parse(url)? {
        Location::Folder(path) => {
            let path = base.join(path);
            let place = path.display().to_string();
            let store = folder(&path).map_err(|source| ArtifactError::CannotOpen {
                place: place.clone(),
                source,
            })?;
            (store, ObjectPath::ROOT, place)
        }
        Location::Bucket {
            scheme,
            bucket,
            prefix,
        } => {
            let shown = shown(url);
            let place = shown.strip_suffix('/').unwrap_or(&shown).to_owned();
            let store =
                client(scheme, &bucket, options).map_err(|error| ArtifactError::CannotOpen {
                    place: place.clone(),
                    source: Said::of(&error).into(),
                })?;
            (store, prefix, place)
        }
    };
    Ok(Artifacts {
        store,
        root,
        place,
        proven: Arc::default(),
    })
}

fn folder(path: &Path) -> Result<Arc<dyn ObjectStore>, Cause> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    // What is told to be kept must be kept when the power fails.
    Ok(Arc::new(
        LocalFileSystem::new_with_prefix(path)?.with_fsync(true),
    ))
}

fn client(
    scheme: &str,
    bucket: &str,
    options: &BTreeMap<String, String>,
) -> Result<Arc<dyn ObjectStore>, object_store::Error> {
    // Its clients take that of the process.
    tls::provider();
    let retry = RetryConfig {
        max_retries: RETRIES,
        retry_timeout: LONGEST_WAIT,
        ..RetryConfig::default()
    };
    Ok(match scheme {
        "s3" => {
            let mut builder = AmazonS3Builder::from_env()
                .with_bucket_name(bucket)
                .with_retry(retry);
            for (key, value) in options {
                builder = builder.with_config(key.parse::<AmazonS3ConfigKey>()?, value);
            }
            Arc::new(builder.build()?)
        }
        "gs" => {
            let mut builder = GoogleCloudStorageBuilder::from_env()
                .with_bucket_name(bucket)
                .with_retry(retry);
            for (key, value) in options {
                builder = builder.with_config(key.parse::<GoogleConfigKey>()?, value);
            }
            Arc::new(builder.build()?)
        }
        _ => {
            let mut builder = MicrosoftAzureBuilder::from_env()
                .with_container_name(bucket)
                .with_retry(retry);
            for (key, value) in options {
                builder = builder.with_config(key.parse::<AzureConfigKey>()?, value);
            }
            Arc::new(builder.build()?)
        }
    })
}
