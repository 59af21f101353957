//! Reading a file that a commit may have put there: it must be a regular one and of a sane size. A device
//! never ends, and a fifo keeps whoever opens it waiting.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The most bytes of a file that is read whole: people write these files.
pub const LARGEST: u64 = 16 << 20;

/// The bytes of a regular file.
///
/// # Errors
/// As opening and reading it; [`ErrorKind::InvalidInput`] for what is no regular file or too large.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    read_up_to(path, LARGEST)
}

/// As [`read`], with the most bytes.
///
/// # Errors
/// As [`read`].
pub fn read_up_to(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let no = |problem: String| io::Error::new(ErrorKind::InvalidInput, problem);
    // A fifo without a writer would keep us waiting.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(nix::libc::O_NONBLOCK | nix::libc::O_NOCTTY)
        .open(path)?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(no("it is not a regular file".to_owned()));
    }
    let mut bytes = Vec::new();
    // It may grow while it is read.
    file.take(most + 1).read_to_end(&mut bytes)?;
    match u64::try_from(bytes.len()) {
        Ok(length) if length <= most => Ok(bytes),
        Ok(_) | Err(_) => Err(no(format!(
            "it is larger than {} MiB, which no file of its kind is",
            most >> 20
        ))),
    }
}

/// As [`read`], as text.
///
/// # Errors
/// As [`read`]; [`ErrorKind::InvalidData`] for what is not UTF-8.
pub fn read_text(path: &Path) -> io::Result<String> {
    let bytes = read(path)?;
    String::from_utf8(bytes).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use super::{read, read_text, read_up_to};
    use std::io::ErrorKind;
    use std::path::Path;

    #[test]
    fn what_never_ends_or_never_begins_is_no_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        std::os::unix::fs::symlink("/dev/zero", path("zero")).expect("a link");
        nix::unistd::mkfifo(&path("fifo"), nix::sys::stat::Mode::S_IRWXU).expect("a fifo");
        std::fs::create_dir(path("folder")).expect("a folder");
        for name in ["zero", "fifo", "folder"] {
            let error = read(&path(name)).expect_err(name);
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{name}: {error}");
        }
        std::fs::write(path("text"), "ä: 1").expect("a file");
        assert_eq!(read_text(&path("text")).expect("text"), "ä: 1");
        assert_eq!(read_up_to(&path("text"), 5).expect("all").len(), 5);
        let error = read_up_to(&path("text"), 4).expect_err("too large");
        assert!(error.to_string().contains("larger than"), "{error}");
        let error = read(Path::new("/no/file")).expect_err("none");
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
}
