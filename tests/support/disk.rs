//! A small disk that fills up: a file system in memory that only processes which enter its mount
//! namespace see. It is gone when the process that holds it ends, however that is.

use super::World;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A file system of a few MiB on a folder of the project.
pub struct Disk {
    holder: Child,
    folder: PathBuf,
}

/// Mounts on `$0` and holds the namespace until its input ends.
const HOLDER: &str = "mount -t tmpfs -o size=8m,mode=0755 tmpfs \"$0\" && echo mounted && cat";

impl Disk {
    /// Mounts one on `folder` of the project for every `cutover` that the world runs from now on;
    /// `None`, with a word on why, where nobody may do that.
    pub fn mount(world: &mut World, folder: &str) -> Option<Self> {
        let place = world.project.path().join(folder);
        std::fs::create_dir_all(&place).expect("a folder");
        let mut holder = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", HOLDER])
            .arg(&place)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let mut line = String::new();
        BufReader::new(holder.stdout.take().expect("a pipe"))
            .read_line(&mut line)
            .expect("its output");
        if line != "mounted\n" {
            eprintln!("skipped: no file system may be mounted here, not even in a user namespace");
            let _ = holder.wait();
            return None;
        }
        let id = holder.id();
        // Entering a namespace forgets the working directory.
        world.through = [
            "nsenter",
            "--preserve-credentials",
            "--user",
            "--mount",
            "--target",
            &id.to_string(),
            "sh",
            "-c",
            "cd \"$0\" && exec \"$@\"",
            &world.project.path().display().to_string(),
        ]
        .map(str::to_owned)
        .to_vec();
        let root = PathBuf::from(format!("/proc/{id}/root"));
        let inside = place.strip_prefix("/").expect("an absolute path");
        Some(Self {
            folder: root.join(inside),
            holder,
        })
    }

    /// Takes all the room that is left.
    pub fn fill(&self) {
        let mut filler = File::create(self.folder.join("filler")).expect("a file");
        let mut taken = 0;
        while filler.write_all(&[0; 4096]).is_ok() {
            taken += 4096;
        }
        assert!(taken > 0, "there was no room already");
    }

    /// Gives it back.
    pub fn free(&self) {
        std::fs::remove_file(self.folder.join("filler")).expect("the filler");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
