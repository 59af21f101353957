//! A fresh cluster, made by `initdb` once and unpacked from one file from then on.
//!
//! Invariants: the file is whole or not there (it is renamed into place), it is believed only when it is ours and its
//! first line names the very programs and arguments that would make the cluster, and what it says is its length is its
//! length. Two processes that miss it both make one; whichever comes last stays, and both are the same.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

/// How entries are written; part of the key.
const FORMAT: &str = "cluster 1";

/// The file for one set of programs and arguments.
#[derive(Debug)]
pub struct Template {
    path: PathBuf,
    key: String,
}

impl Template {
    /// The template in `folder` of what `programs` make with `recipe`.
    pub fn of(folder: &Path, programs: &[PathBuf], recipe: &str) -> io::Result<Self> {
        let mut key = format!("{FORMAT} {recipe:?}");
        for program in programs {
            let program = fs::canonicalize(program)?;
            let seen = fs::metadata(&program)?;
            key.push_str(&format!(
                " {program:?} {} {} {}.{} {}.{}",
                seen.ino(),
                seen.size(),
                seen.mtime(),
                seen.mtime_nsec(),
                seen.ctime(),
                seen.ctime_nsec()
            ));
        }
        let user = fs::metadata("/proc/self")?.uid();
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let name = format!("mz-sandbox-{user}-{:016x}.cluster", hasher.finish());
        Ok(Self {
            path: folder.join(name),
            key,
        })
    }

    /// Makes `data` from it; `false` when there is none that may be believed.
    pub fn unpack(&self, data: &Path, owner: Option<(u32, u32)>) -> io::Result<bool> {
        let Ok(mut file) = File::open(&self.path) else {
            return Ok(false);
        };
        let seen = file.metadata()?;
        if seen.uid() != fs::metadata("/proc/self")?.uid() || seen.mode() & 0o022 != 0 {
            return Ok(false);
        }
        let mut bytes = Vec::with_capacity(usize::try_from(seen.size()).unwrap_or(0));
        file.read_to_end(&mut bytes)?;
        let Some(mut rest) = self.body(&bytes) else {
            return Ok(false);
        };
        while !rest.is_empty() {
            let (entry, after) = Entry::read(rest).ok_or(io::ErrorKind::InvalidData)?;
            let path = match entry.name {
                "" => data.to_owned(),
                name => data.join(name),
            };
            match entry.content {
                None => fs::create_dir(&path)?,
                Some(content) => fs::write(&path, content)?,
            }
            if let Some((user, group)) = owner {
                chown(&path, Some(user), Some(group))?;
            }
            fs::set_permissions(&path, Permissions::from_mode(entry.mode))?;
            rest = after;
        }
        Ok(true)
    }

    fn body<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let (length, rest) = number(bytes)?;
        let body = rest
            .strip_prefix(self.key.as_bytes())?
            .strip_prefix(b"\n")?;
        (body.len() == length).then_some(body)
    }

    /// Keeps `data`, in which nothing is changing, for others.
    pub fn pack(&self, data: &Path) -> io::Result<()> {
        let mut body = Vec::new();
        pack(data, OsStr::new("").as_ref(), &mut body)?;
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        let mut file = tempfile::Builder::new()
            .prefix("mz-sandbox-")
            .tempfile_in(folder)?;
        file.write_all(format!("{}\n{}\n", body.len(), self.key).as_bytes())?;
        file.write_all(&body)?;
        file.as_file().sync_all()?;
        file.persist(&self.path)?;
        Ok(())
    }
}

/// A file, or a folder, whose name is below that of the data folder.
struct Entry<'a> {
    mode: u32,
    name: &'a str,
    content: Option<&'a [u8]>,
}

impl<'a> Entry<'a> {
    fn read(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (mode, rest) = number(bytes)?;
        let (is_file, rest) = number(rest)?;
        let (length, rest) = number(rest)?;
        let (name, rest) = line(rest)?;
        let content = rest.get(..length)?;
        let entry = Self {
            mode: u32::try_from(mode).ok()?,
            name,
            content: (is_file == 1).then_some(content),
        };
        Some((entry, &rest[length..]))
    }
}

fn line(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let text = std::str::from_utf8(&bytes[..end]).ok()?;
    Some((text, &bytes[end + 1..]))
}

fn number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (text, rest) = line(bytes)?;
    Some((text.parse().ok()?, rest))
}

fn pack(data: &Path, name: &Path, body: &mut Vec<u8>) -> io::Result<()> {
    let path = data.join(name);
    let seen = fs::symlink_metadata(&path)?;
    let shown = name.to_str().ok_or(io::ErrorKind::InvalidData)?;
    let content = if seen.is_dir() {
        Vec::new()
    } else if seen.is_file() {
        fs::read(&path)?
    } else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let head = format!(
        "{}\n{}\n{}\n{shown}\n",
        seen.mode() & 0o7777,
        u8::from(seen.is_file()),
        content.len()
    );
    body.extend(head.into_bytes());
    body.extend(content);
    if seen.is_dir() {
        for entry in fs::read_dir(&path)? {
            pack(data, &name.join(entry?.file_name()), body)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn programs(folder: &Path, text: &str) -> Vec<PathBuf> {
        let path = folder.join("initdb");
        fs::write(&path, text).unwrap();
        vec![path]
    }

    fn cluster(folder: &Path) -> PathBuf {
        let data = folder.join("data");
        fs::create_dir_all(data.join("base/1")).unwrap();
        fs::set_permissions(&data, Permissions::from_mode(0o700)).unwrap();
        fs::write(data.join("base/1/2"), b"\n\0\xff\n").unwrap();
        fs::write(data.join("empty"), b"").unwrap();
        fs::set_permissions(data.join("empty"), Permissions::from_mode(0o600)).unwrap();
        data
    }

    #[test]
    fn what_was_packed_is_unpacked() {
        let home = tempfile::tempdir().unwrap();
        let data = cluster(home.path());
        let template = Template::of(home.path(), &programs(home.path(), "a"), "b").unwrap();
        let copy = home.path().join("copy");
        assert!(!template.unpack(&copy, None).unwrap());
        assert!(!copy.exists());
        template.pack(&data).unwrap();
        assert!(template.unpack(&copy, None).unwrap());
        assert_eq!(fs::read(copy.join("base/1/2")).unwrap(), b"\n\0\xff\n");
        assert_eq!(fs::read(copy.join("empty")).unwrap(), b"");
        for (place, mode) in [("", 0o700), ("empty", 0o600)] {
            let seen = fs::metadata(copy.join(place)).unwrap();
            assert_eq!(seen.mode() & 0o7777, mode, "{place}");
        }
    }

    #[test]
    fn what_others_made_or_other_programs_or_arguments_make_is_not_believed() {
        let home = tempfile::tempdir().unwrap();
        let data = cluster(home.path());
        let template = Template::of(home.path(), &programs(home.path(), "a"), "b").unwrap();
        template.pack(&data).unwrap();
        let copy = home.path().join("copy");
        let whole = fs::read(&template.path).unwrap();

        let arguments = Template::of(home.path(), &programs(home.path(), "a"), "c").unwrap();
        let program = Template::of(home.path(), &programs(home.path(), "longer"), "b").unwrap();
        for other in [arguments, program] {
            // Even under its name.
            fs::write(&other.path, &whole).unwrap();
            fs::set_permissions(&other.path, Permissions::from_mode(0o600)).unwrap();
            assert!(!other.unpack(&copy, None).unwrap());
        }
        for broken in [&whole[..whole.len() - 1], b""] {
            fs::write(&template.path, broken).unwrap();
            assert!(!template.unpack(&copy, None).unwrap());
        }
        fs::write(&template.path, &whole).unwrap();
        fs::set_permissions(&template.path, Permissions::from_mode(0o666)).unwrap();
        assert!(!template.unpack(&copy, None).unwrap());
        assert!(!copy.exists());
    }
}
