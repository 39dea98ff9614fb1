//! The command line of `wharf artifact`, `wharf gc` and `wharf verify`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use wharf_model::ArtifactReference;
use wharf_model::limits::Millis;
use wharf_model::name::Name;

use super::InStore;

/// Keep, find and move named artifacts
///
/// An artifact has a name and versions that never change. A tag, such as `prod`, says
/// which version is meant, and can be moved. A REF is NAME (the newest version),
/// NAME:TAG, NAME@NUMBER or NAME@sha256:DIGEST.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  wharf artifact put churn-model model.onnx --tag candidate
  wharf artifact tag churn-model:candidate prod
  wharf artifact get churn-model:prod model.onnx")]
pub(crate) struct Artifact {
    #[command(subcommand)]
    pub(crate) command: ArtifactCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ArtifactCommand {
    /// Keep a file or a folder as a new version of an artifact
    Put(Put),
    /// Make a file or a folder of an artifact
    Get(Get),
    /// List artifacts, or the versions and tags of one
    Ls(Ls),
    /// Show a version: what it is, who made it and how, and the history of its tags
    Show(Show),
    /// Move a tag to a version
    Tag(Tag),
    /// Compare two versions
    Diff(Diff),
    /// Show what a version was made from
    Lineage(Show),
    /// Remove a version, or a tag
    Rm(Rm),
    /// Copy a version to another store
    Copy(Copy),
}

#[derive(Debug, Args)]
#[command(after_help = "Example: wharf artifact put churn-model model.onnx --tag candidate")]
pub(crate) struct Put {
    /// The name of the artifact
    #[arg(value_name = "NAME", value_parser = name)]
    pub(crate) name: Name,

    /// The file or folder
    pub(crate) path: PathBuf,

    /// Move a tag to the new version
    #[arg(long, value_name = "TAG", value_parser = name)]
    pub(crate) tag: Option<Name>,

    /// Its media type, such as text/csv
    #[arg(long, value_name = "TYPE")]
    pub(crate) media_type: Option<String>,

    /// Attach something to it
    #[arg(long = "meta", value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) metadata: Vec<(String, String)>,

    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, Args)]
#[command(after_help = "Example: wharf artifact get churn-model:prod model.onnx")]
pub(crate) struct Get {
    /// The version
    #[arg(value_name = "REF")]
    pub(crate) reference: ArtifactReference,

    /// Where it goes
    pub(crate) path: PathBuf,

    /// Replace what is there
    #[arg(long)]
    pub(crate) force: bool,

    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  wharf artifact ls\n  wharf artifact ls churn-model")]
pub(crate) struct Ls {
    /// The artifact whose versions and tags are listed
    #[arg(value_name = "NAME", value_parser = name)]
    pub(crate) name: Option<Name>,

    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  wharf artifact show churn-model:prod
  wharf artifact lineage churn-model@3")]
pub(crate) struct Show {
    /// The version
    #[arg(value_name = "REF")]
    pub(crate) reference: ArtifactReference,

    #[command(flatten)]
    pub(crate) common: Common,
}

/// Move a tag to a version
///
/// With --expect, the tag is moved only if it means that version now: of two who
/// promote at the same time, one is told. To roll back is to move the tag to the
/// version before; `wharf artifact show` lists where it was.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  wharf artifact tag churn-model@4 prod
  wharf artifact tag churn-model@4 prod --expect 3")]
pub(crate) struct Tag {
    /// The version
    #[arg(value_name = "REF")]
    pub(crate) reference: ArtifactReference,

    /// The tag
    #[arg(value_name = "TAG", value_parser = name)]
    pub(crate) tag: Name,

    /// The number of the version that the tag must mean now, or `none`
    #[arg(long, value_name = "NUMBER", value_parser = expected)]
    pub(crate) expect: Option<Expected>,

    #[command(flatten)]
    pub(crate) common: Common,
}

/// What a tag must mean before it is moved.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected(pub(crate) Option<u64>);

#[derive(Debug, Args)]
#[command(after_help = "Example: wharf artifact diff churn-model:prod churn-model")]
pub(crate) struct Diff {
    /// One version
    #[arg(value_name = "REF")]
    pub(crate) before: ArtifactReference,

    /// Another
    #[arg(value_name = "REF")]
    pub(crate) after: ArtifactReference,

    #[command(flatten)]
    pub(crate) common: Common,
}

/// Remove a version, or a tag
///
/// The number of a version that was removed is not used again. Its content is freed
/// by `wharf gc`, where nothing else needs it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  wharf artifact rm churn-model@2
  wharf artifact rm churn-model:candidate")]
pub(crate) struct Rm {
    /// NAME@NUMBER for a version, NAME:TAG for a tag
    #[arg(value_name = "REF")]
    pub(crate) reference: ArtifactReference,

    #[command(flatten)]
    pub(crate) common: Common,
}

/// Copy a version to another store
///
/// What is there already is left out, so that a copy that was interrupted goes on
/// when it is started again. Every byte is checked on its way.
#[derive(Debug, Args)]
#[command(after_help = "Example: wharf artifact copy churn-model:prod --to s3://models/prod")]
pub(crate) struct Copy {
    /// The version
    #[arg(value_name = "REF")]
    pub(crate) reference: ArtifactReference,

    /// The store that it is copied to
    #[arg(long, value_name = "STORE", required_unless_present = "to_stack")]
    pub(crate) to: Option<PathBuf>,

    /// The stack whose store it is copied to, with the settings that it has
    #[arg(long, value_name = "NAME", conflicts_with = "to")]
    pub(crate) to_stack: Option<String>,

    /// Move a tag there to the copy
    #[arg(long, value_name = "TAG", value_parser = name)]
    pub(crate) tag: Option<Name>,

    #[command(flatten)]
    pub(crate) common: Common,
}

/// Remove blobs that nothing names
///
/// Safe beside running pipelines: blobs that were written lately are left alone, since
/// what will name them may not be written yet.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  wharf gc --dry-run\n  wharf gc --older-than 7d")]
pub(crate) struct Gc {
    /// Only say what would be removed
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Leave blobs alone that were written within this time, of 24 h at least
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = days)]
    pub(crate) older_than: Millis,

    /// Nothing else uses the store: --older-than may be less
    #[arg(long)]
    pub(crate) alone: bool,

    #[command(flatten)]
    pub(crate) common: Common,
}

/// Read every blob that something names, and report what is missing or damaged
#[derive(Debug, Args)]
#[command(after_help = "Example: wharf verify --store s3://models/prod")]
pub(crate) struct Verify {
    #[command(flatten)]
    pub(crate) common: Common,
}

/// What all of these take.
#[derive(Debug, Args)]
pub(crate) struct Common {
    #[command(flatten)]
    pub(crate) within: InStore,

    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

impl Artifact {
    pub(crate) fn json(&self) -> bool {
        let common = match &self.command {
            ArtifactCommand::Put(args) => &args.common,
            ArtifactCommand::Get(args) => &args.common,
            ArtifactCommand::Ls(args) => &args.common,
            ArtifactCommand::Show(args) | ArtifactCommand::Lineage(args) => &args.common,
            ArtifactCommand::Tag(args) => &args.common,
            ArtifactCommand::Diff(args) => &args.common,
            ArtifactCommand::Rm(args) => &args.common,
            ArtifactCommand::Copy(args) => &args.common,
        };
        common.json
    }
}

pub(super) fn name(text: &str) -> Result<Name, String> {
    Name::new(text).map_err(|error| error.to_string())
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE".to_owned()),
    }
}

fn expected(text: &str) -> Result<Expected, String> {
    match text {
        "none" => Ok(Expected(None)),
        number => match number.parse() {
            Ok(number) => Ok(Expected(Some(number))),
            Err(_) => Err("write the number of a version, or `none`".to_owned()),
        },
    }
}

/// A length of time; here, days are usual.
fn days(text: &str) -> Result<Millis, String> {
    let days = text
        .strip_suffix('d')
        .and_then(|days| days.trim().parse::<u64>().ok());
    match days {
        Some(days) => format!("{}h", days.saturating_mul(24)).parse(),
        None => text.parse(),
    }
    .map_err(|error: wharf_model::limits::ParseMillisError| error.to_string())
}
