//! Folders with a pipeline, its steps and a store, which a run under an orchestrator has
//! for itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, bail};
use serde_json::Value as Json;
use tempfile::TempDir;
use wharf_services::Service;

use crate::inventory::{source_folder, target_folder, wharf};

/// A pipeline that is run under each orchestrator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Example {
    /// Trains a model, compares it with the one in use, and promotes it where it is
    /// better (`docs/promote.md`).
    Promote,
    /// Counts a month of flights, for each month of a year (`docs/backfill.md`).
    Flights,
    /// The same in one run: a step for each month of a list, and one that joins them.
    FlightsYear,
    /// Makes one table of months that were counted before.
    Year,
    /// Steps that end in each way there is.
    Ends,
    /// A file that is copied, and the copy again. Whoever runs it writes the file,
    /// `big.bin`, which may be as large as they like.
    Big,
}

impl Example {
    /// The name of its file.
    #[must_use]
    pub const fn file(self) -> &'static str {
        match self {
            Self::Promote => "promote.yaml",
            Self::Flights => "flights.yaml",
            Self::FlightsYear => "flights-year.yaml",
            Self::Year => "year.yaml",
            Self::Ends => "ends.yaml",
            Self::Big => "big.yaml",
        }
    }

    /// The name of the pipeline.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.file().trim_end_matches(".yaml")
    }

    const fn guests(self) -> &'static [&'static str] {
        match self {
            Self::Promote => &["split", "train", "compare"],
            Self::Flights => &["summarise"],
            Self::FlightsYear => &["summarise", "merge"],
            Self::Year => &["merge"],
            Self::Ends => &["values", "hostile"],
            Self::Big => &["copy"],
        }
    }
}

/// Steps that end in each way there is. `kind` says which of them are run: the others are
/// skipped, so that one file serves for each end.
const ENDS: &str = r#"
name: ends
description: A step that ends as it is told to, and one that follows.
parameters:
  kind: { type: string, default: succeed, description: "How `step` ends" }
steps:
  permanent:
    uses: steps/values.wasm#fail
    when: ${{ parameters.kind == 'permanent' }}
    with: { kind: permanent, message: "this cannot work: it's \"broken\"" }
    retries: { count: 2, backoff: 1s, max-backoff: 1s }
  transient:
    uses: steps/values.wasm#fail
    when: ${{ parameters.kind == 'transient' }}
    with: { kind: transient, message: the service is away }
    retries: { count: 1, backoff: 1s, max-backoff: 1s }
  slow:
    uses: steps/hostile.wasm#spin
    when: ${{ parameters.kind == 'timeout' }}
    timeout: 1s
  long:
    uses: steps/hostile.wasm#spin
    when: ${{ parameters.kind == 'long' }}
    timeout: 10m
  after:
    uses: steps/values.wasm#nothing
    needs: [permanent, transient, slow, long]
"#;

/// An artifact that passes from one step to the next.
const BIG: &str = r#"
name: big
description: Copies a file, and copies the copy.
steps:
  first:
    uses: steps/copy.wasm
    with: { data: big.bin }
  second:
    uses: steps/copy.wasm
    with: { data: "${{ steps.first.outputs.copy }}" }
"#;

/// A folder with a pipeline. Gone when this is dropped.
#[derive(Debug)]
pub struct Project {
    folder: TempDir,
    example: Example,
    store: Store,
}

/// Where the store of a project is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Store {
    /// In its folder.
    Folder,
    /// In a bucket of this machine, as `stack.toml` says.
    Bucket,
}

/// The name of what a client of the bucket may only be told in secret.
const SECRET: &str = "AWS_SECRET_ACCESS_KEY";

impl Project {
    /// A new folder with an example, its steps and its data; the store is empty.
    ///
    /// # Errors
    /// Where the guests or the data are not there.
    pub fn new(example: Example) -> Result<Self> {
        Self::with(example, Store::Folder)
    }

    /// The same with its store in a bucket, which containers reach, too, and with the image
    /// of those.
    ///
    /// # Errors
    /// As above.
    pub fn in_bucket(example: Example, image: &str) -> Result<Self> {
        let project = Self::with(example, Store::Bucket)?;
        let settings = Service::S3.settings().into_iter();
        let settings: Vec<String> = settings
            .filter(|(name, _)| name != SECRET)
            .map(|(name, value)| format!("{name} = {value:?}"))
            .collect();
        let stack = format!(
            "default = \"containers\"\n\
             [stacks.containers]\n\
             store = {:?}\n\
             image = {image:?}\n\
             settings = {{ {} }}\n\
             secrets = {{ {SECRET} = \"env:{SECRET}\" }}\n\
             kubernetes = {{ secret = \"wharf-store\" }}\n",
            project.store(),
            settings.join(", ")
        );
        fs::write(project.path("stack.toml"), stack)?;
        Ok(project)
    }

    fn with(example: Example, store: Store) -> Result<Self> {
        // A short path: sockets have at most 107 bytes for theirs.
        let folder = tempfile::Builder::new().prefix("wharf-").tempdir()?;
        let project = Self {
            folder,
            example,
            store,
        };
        let examples = source_folder().join("docs/examples");
        match example {
            Example::Ends => fs::write(project.path(example.file()), ENDS)?,
            Example::Big => fs::write(project.path(example.file()), BIG)?,
            _ => drop(fs::copy(
                examples.join(example.file()),
                project.path(example.file()),
            )?),
        }
        let guests = std::env::var_os("WHARF_GUESTS")
            .map_or_else(|| target_folder().join("guests"), PathBuf::from);
        fs::create_dir(project.path("steps"))?;
        for guest in example.guests() {
            let file = format!("{guest}.wasm");
            let copied = fs::copy(guests.join(&file), project.path("steps").join(&file));
            copied.with_context(|| format!("{file} is missing: cargo xtask guests"))?;
        }
        match example {
            Example::Promote => {
                let table = source_folder().join("guest-examples/data/breast-cancer.csv");
                fs::copy(table, project.path("breast-cancer.csv"))?;
            }
            Example::Flights | Example::FlightsYear => {
                let table = target_folder().join("data/flights.csv");
                let copied = fs::copy(table, project.path("flights.csv"));
                copied.context("flights.csv is missing: cargo xtask data")?;
            }
            Example::Year | Example::Ends | Example::Big => {}
        }
        Ok(project)
    }

    /// The example that it has.
    #[must_use]
    pub const fn example(&self) -> Example {
        self.example
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A path in it.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    /// The store of its runs: a folder or a URL, as tasks are told.
    #[must_use]
    pub fn store(&self) -> String {
        match self.store {
            Store::Folder => self.path("store").display().to_string(),
            Store::Bucket => {
                // The name of the folder is nobody else's.
                let name = self.folder().file_name().unwrap_or_default();
                Service::S3.url(&name.to_string_lossy())
            }
        }
    }

    /// What tasks have to be told in secret.
    #[must_use]
    pub fn secrets(&self) -> Vec<(String, String)> {
        match self.store {
            Store::Folder => vec![],
            Store::Bucket => {
                let settings = Service::S3.settings().into_iter();
                settings.filter(|(name, _)| name == SECRET).collect()
            }
        }
    }

    /// A folder in it that is new.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn make(&self, name: &str) -> Result<PathBuf> {
        let folder = self.path(name);
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// `wharf`, in the folder.
    #[must_use]
    pub fn wharf(&self) -> Command {
        let mut command = Command::new(wharf());
        command
            .current_dir(self.folder())
            .env("WHARF_CACHE", compiled())
            .envs(self.secrets());
        match self.store {
            Store::Folder => command.env("WHARF_STORE", self.store()),
            // The stack says it, and its settings.
            Store::Bucket => command.env_remove("WHARF_STORE"),
        };
        command
    }

    /// What `wharf` prints; it must succeed.
    ///
    /// # Errors
    /// What it says where it does not.
    pub fn print(&self, arguments: &[&str]) -> Result<String> {
        let ended = self.wharf().args(arguments).output()?;
        said(arguments, &ended)
    }

    /// What `wharf` prints as JSON.
    ///
    /// # Errors
    /// As [`Self::print`], and where it is no JSON.
    pub fn json(&self, arguments: &[&str]) -> Result<Json> {
        Ok(serde_json::from_str(&self.print(arguments)?)?)
    }

    /// Compiles the pipeline for a target, into a folder of its own, which is returned.
    ///
    /// # Errors
    /// What `wharf` says where it refuses.
    pub fn compile(&self, target: &str) -> Result<PathBuf> {
        let output = self.path(&format!("compiled-{target}"));
        let shown = output.display().to_string();
        let file = self.example.file();
        self.print(&[
            "pipeline", "compile", file, "--target", target, "-o", &shown,
        ])?;
        Ok(output)
    }
}

fn said(arguments: &[&str], ended: &Output) -> Result<String> {
    match ended.status.success() {
        true => Ok(String::from_utf8(ended.stdout.clone())?),
        false => bail!(
            "wharf {}: {}\n{}",
            arguments.join(" "),
            ended.status,
            String::from_utf8_lossy(&ended.stderr)
        ),
    }
}

/// A folder of compiled code that all runs share.
#[must_use]
pub fn compiled() -> PathBuf {
    target_folder().join("tmp/orchestrators-compiled")
}
