//! Where the parts under test are, and what it takes to run them.

mod browser;
mod command;
mod disk;
mod page;
mod project;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub(crate) use browser::{Browser, Window};
pub(crate) use command::{Ended, Running, Wharf};
pub(crate) use disk::SmallDisk;
pub(crate) use page::Page;
pub(crate) use project::{Project, Refusal, names_in};

/// The binary under test.
pub(crate) const WHARF: &str = env!("CARGO_BIN_EXE_wharf");

pub(crate) const MIB: u64 = 1 << 20;

/// What the host itself may hold beside the guest's memory, in a debug build. A
/// run of `noop` peaks at 16 to 30 MiB. The most seen is 53 MiB: 4 MiB of control
/// characters in the log, which escaping makes five times as long.
pub(crate) const HOST_BYTES: u64 = 80 * MIB;

/// The folder that cargo builds into.
pub(crate) fn target_folder() -> &'static Path {
    let folder = Path::new(WHARF).parent().and_then(Path::parent);
    folder.expect("the binary is in a profile's folder of the target folder")
}

/// The source tree.
pub(crate) fn source_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The file of a guest.
pub(crate) fn guest(name: &str) -> String {
    let folder = std::env::var_os("WHARF_GUESTS")
        .map_or_else(|| target_folder().join("guests"), PathBuf::from);
    let path = std::path::absolute(folder.join(format!("{name}.wasm"))).expect("a path");
    assert!(
        path.is_file(),
        "{} is missing; build the guests first: cargo xtask guests",
        path.display()
    );
    text(path)
}

/// A function of the guest `hostile`.
pub(crate) fn hostile(function: &str) -> String {
    format!("{}#{function}", guest("hostile"))
}

/// A function of the guest `values`.
pub(crate) fn values(function: &str) -> String {
    format!("{}#{function}", guest("values"))
}

/// The table that the examples learn from.
pub(crate) fn example_table() -> PathBuf {
    source_folder().join("guest-examples/data/breast-cancer.csv")
}

fn text(path: PathBuf) -> String {
    path.into_os_string()
        .into_string()
        .expect("paths here are UTF-8")
}

/// Far longer than anything here takes, on a slow machine too: a test that
/// hangs ends, with what the command said.
const HANG: Duration = Duration::from_secs(180);

/// Waits until something holds.
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < HANG, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
