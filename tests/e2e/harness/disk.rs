//! Disks that are full soon.

use std::io::Write;
use std::path::Path;
use std::process::Command;

/// A small file system, where the test may mount one.
pub(crate) struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    /// `None` where mounting needs rights that the test does not have; says so.
    pub(crate) fn mount(folder: &'a Path, options: &str) -> Option<Self> {
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(folder)
            .output();
        let why = match mount {
            Ok(output) if output.status.success() => return Some(Self(folder)),
            Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
            Err(error) => error.to_string(),
        };
        assert!(
            std::env::var_os("CI").is_none(),
            "a full disk cannot be tested here, and has to be: {why}"
        );
        // Not `eprintln`, which is not shown of a test that passes.
        let said = format!("SKIPPED: a full disk needs a file system of its own: {why}\n");
        let _ = std::io::stderr().write_all(said.as_bytes());
        None
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        // Lazily: a process that is still there must not keep it.
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}
