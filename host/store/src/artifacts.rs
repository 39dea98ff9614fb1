//! Named artifacts: versions that never change, and tags that say which one is
//! meant.
//!
//! ```text
//! artifacts/<name>/versions/<number>.json
//! artifacts/<name>/removed/<number>.json           a version that was removed
//! artifacts/<name>/tags/<tag>/<sequence>.json      each move of a tag
//! ```
//!
//! All is written by conditional create: who adds the next version, or makes the next
//! move of a tag, finds out that somebody else was faster by the number being taken.
//! That is compare-and-set on every kind of store, also where objects cannot be
//! replaced under a condition; and the history of a tag comes with it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use object_store::path::Path as ObjectPath;
use serde_json::{Map, Value as Json};
use wharf_model::artifact::{Origin, TAG_FORMAT, TagMove, VERSION_FORMAT, Version, Which};
use wharf_model::name::Name;
use wharf_model::pipeline::is_later;
use wharf_model::record::RunId;
use wharf_model::{ArtifactReference, Content, ErrorKind, Fault, nearest};

use crate::Store;
use crate::records::{Written, seal};

/// Where artifacts are.
pub(crate) const ARTIFACTS: &str = "artifacts";

/// How often somebody else may be faster. With a thousand writers of one artifact,
/// each finds its number after some tries.
const RACES: usize = 1000;

/// How many of the newest versions are looked at for one that is the same.
const LOOKED_AT: usize = 32;

/// A version that is to be added.
#[derive(Clone, Debug)]
pub struct NewVersion {
    /// The name of the artifact.
    pub name: Name,
    /// What it is.
    pub content: Content,
    /// Its media type.
    pub media_type: Option<String>,
    /// What is attached to it.
    pub metadata: Map<String, Json>,
    /// Where it comes from.
    pub origin: Origin,
}

/// Who does something, and when.
#[derive(Clone, Debug)]
pub struct Author {
    /// Who.
    pub by: String,
    /// When.
    pub now: Timestamp,
}

/// A tag that is to be moved.
#[derive(Clone, Debug)]
pub struct NewTag {
    /// The name of the artifact.
    pub name: Name,
    /// The tag.
    pub tag: Name,
    /// The version that it shall mean; none to remove it.
    pub version: Option<u64>,
    /// What it must mean now, where that matters: a version, or nothing.
    pub expected: Option<Option<u64>>,
    /// The run that moves it.
    pub run: Option<RunId>,
    /// The partition that this run is for. Unless it is said what the tag must mean now,
    /// it stays where the run of a later one has put it.
    pub partition: Option<String>,
}

impl Store {
    /// The names of all artifacts, sorted.
    ///
    /// # Errors
    /// Where listing fails.
    pub async fn artifacts(&self) -> Result<Vec<Name>, Fault> {
        let folders = self.objects.folders(ARTIFACTS).await?;
        let mut names: Vec<Name> = folders
            .iter()
            .filter_map(|name| Name::new(name).ok())
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    /// The numbers of all versions of an artifact that were not removed, in order.
    ///
    /// # Errors
    /// Where listing fails.
    pub async fn version_numbers(&self, name: &Name) -> Result<Vec<u64>, Fault> {
        let mut numbers = self
            .numbers(&format!("{ARTIFACTS}/{name}/versions"))
            .await?;
        let removed = self.numbers(&format!("{ARTIFACTS}/{name}/removed")).await?;
        numbers.retain(|number| removed.binary_search(number).is_err());
        Ok(numbers)
    }

    async fn numbers(&self, prefix: &str) -> Result<Vec<u64>, Fault> {
        let names = self.objects.names(prefix).await?;
        let numbers = names.iter();
        let numbers = numbers.filter_map(|name| name.strip_suffix(".json")?.parse().ok());
        let mut numbers: Vec<u64> = numbers.collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// A version of an artifact.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownArtifact`] where it does not exist, or was removed.
    pub async fn version(&self, reference: &ArtifactReference) -> Result<Version, Fault> {
        let found = self.find_version(reference).await?;
        match found {
            Some(version) => Ok(version),
            None => Err(self.unknown_artifact(reference).await?),
        }
    }

    /// The same, or nothing.
    ///
    /// # Errors
    /// Where reading fails.
    pub async fn find_version(
        &self,
        reference: &ArtifactReference,
    ) -> Result<Option<Version>, Fault> {
        let name = &reference.name;
        let number = match &reference.which {
            Which::Number(number) => Some(*number),
            Which::Tag(tag) => self.tag(name, tag).await?.and_then(|moved| moved.version),
            Which::Latest => self.version_numbers(name).await?.last().copied(),
            Which::Digest(digest) => {
                for number in self.version_numbers(name).await?.into_iter().rev() {
                    let version = self.read_version(name, number).await?;
                    if version
                        .as_ref()
                        .is_some_and(|it| it.content.digest == *digest)
                    {
                        return Ok(version);
                    }
                }
                None
            }
        };
        let Some(number) = number else {
            return Ok(None);
        };
        match self.objects.head(&removed_path(name, number)).await? {
            Some(_) => Ok(None),
            None => self.read_version(name, number).await,
        }
    }

    async fn read_version(&self, name: &Name, number: u64) -> Result<Option<Version>, Fault> {
        self.read_record(&version_path(name, number)).await
    }

    async fn unknown_artifact(&self, reference: &ArtifactReference) -> Result<Fault, Fault> {
        let place = self.place();
        let fault = |message| Fault::new(ErrorKind::UnknownArtifact, message);
        let names = self.artifacts().await?;
        let name = &reference.name;
        if !names.contains(name) {
            let fault = fault(format!(
                "there is no artifact `{name}` in the store {place}"
            ));
            return Ok(
                match nearest(name.as_str(), names.iter().map(Name::as_str)) {
                    Some(near) => fault.hint(format!("did you mean `{near}`?")),
                    None => fault.hint("`wharf artifact ls` lists the artifacts"),
                },
            );
        }
        let fault = fault(format!("there is no `{reference}` in the store {place}"));
        Ok(fault.hint(format!(
            "`wharf artifact ls {name}` lists its versions and tags"
        )))
    }

    /// Adds a version of an artifact. One of the newest versions that has the same
    /// content from the same origin is given instead: to publish twice, as after an
    /// interruption, is to publish once.
    ///
    /// # Errors
    /// Where reading or writing fails.
    pub async fn add_version(&self, new: &NewVersion, author: &Author) -> Result<Version, Fault> {
        let all = self
            .numbers(&format!("{ARTIFACTS}/{}/versions", new.name))
            .await?;
        if let Some(same) = self.same_version(new).await? {
            return Ok(same);
        }
        let mut number = all.last().map_or(1, |last| last + 1);
        for _ in 0..RACES {
            let version = new.numbered(number, author);
            let path = version_path(&new.name, number);
            match self.create_record(&path, &version).await? {
                Written::Ours => return Ok(version),
                Written::Other(_) => number += 1,
            }
        }
        Err(Fault::new(
            ErrorKind::Conflict,
            format!("too many add versions of `{}` at a time", new.name),
        ))
    }

    async fn same_version(&self, new: &NewVersion) -> Result<Option<Version>, Fault> {
        let numbers = self.version_numbers(&new.name).await?;
        for number in numbers.into_iter().rev().take(LOOKED_AT) {
            if let Some(version) = self.read_version(&new.name, number).await?
                && new.is_same(&version)
            {
                return Ok(Some(version));
            }
        }
        Ok(None)
    }

    /// Removes a version. Its number is not used again, and its content stays until
    /// garbage is collected.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] where a tag means it; [`ErrorKind::UnknownArtifact`]
    /// where there is none.
    pub async fn remove_version(
        &self,
        name: &Name,
        number: u64,
        author: &Author,
    ) -> Result<(), Fault> {
        let reference = ArtifactReference {
            name: name.clone(),
            which: Which::Number(number),
        };
        self.version(&reference).await?;
        let tags = self.tags(name).await?;
        let tagged = tags.iter().find(|(_, moved)| moved.version == Some(number));
        if let Some((tag, _)) = tagged {
            let message = format!("`{reference}` is tagged `{tag}`");
            return Err(Fault::new(ErrorKind::Conflict, message).hint(format!(
                "move the tag first, or remove it: wharf artifact rm {name}:{tag}"
            )));
        }
        let removal = serde_json::json!({"by": author.by, "removed": author.now});
        // Somebody else may have removed it meanwhile.
        let path = removed_path(name, number);
        self.objects.create(&path, seal(&removal)?).await.map(drop)
    }

    /// The tags that an artifact has or had, sorted.
    ///
    /// # Errors
    /// Where listing fails.
    pub async fn tag_names(&self, name: &Name) -> Result<Vec<Name>, Fault> {
        let prefix = format!("{ARTIFACTS}/{name}/tags");
        let folders = self.objects.folders(&prefix).await?;
        let tags = folders.iter().filter_map(|tag| Name::new(tag).ok());
        let mut tags: Vec<Name> = tags.collect();
        tags.sort_unstable();
        Ok(tags)
    }

    /// Where each tag of an artifact is.
    ///
    /// # Errors
    /// Where reading fails.
    pub async fn tags(&self, name: &Name) -> Result<BTreeMap<Name, TagMove>, Fault> {
        let mut tags = BTreeMap::new();
        for tag in self.tag_names(name).await? {
            if let Some(moved) = self.tag(name, &tag).await?
                && moved.version.is_some()
            {
                tags.insert(tag, moved);
            }
        }
        Ok(tags)
    }

    /// The last move of a tag.
    ///
    /// # Errors
    /// Where reading fails.
    pub async fn tag(&self, name: &Name, tag: &Name) -> Result<Option<TagMove>, Fault> {
        let moves = self.numbers(&tag_prefix(name, tag)).await?;
        match moves.last() {
            Some(sequence) => self.read_move(name, tag, *sequence).await.map(Some),
            None => Ok(None),
        }
    }

    /// All moves of a tag, oldest first.
    ///
    /// # Errors
    /// Where reading fails.
    pub async fn tag_history(&self, name: &Name, tag: &Name) -> Result<Vec<TagMove>, Fault> {
        let mut history = Vec::new();
        for sequence in self.numbers(&tag_prefix(name, tag)).await? {
            history.push(self.read_move(name, tag, sequence).await?);
        }
        Ok(history)
    }

    async fn read_move(&self, name: &Name, tag: &Name, sequence: u64) -> Result<TagMove, Fault> {
        let path = tag_path(name, tag, sequence);
        let moved = self.read_record(&path).await?;
        moved.ok_or_else(|| {
            let message = format!("`{path}` is gone from the store {}", self.place());
            Fault::new(ErrorKind::Store, message)
        })
    }

    /// Moves a tag, and says where it is then. Where it means that version already, or
    /// stays with a later partition, nothing is done.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] where it does not mean what is expected;
    /// [`ErrorKind::UnknownArtifact`] where the version does not exist.
    pub async fn move_tag(&self, new: &NewTag, author: &Author) -> Result<TagMove, Fault> {
        if let Some(number) = new.version {
            let which = Which::Number(number);
            let name = new.name.clone();
            self.version(&ArtifactReference { name, which }).await?;
        }
        for _ in 0..RACES {
            let last = self.tag(&new.name, &new.tag).await?;
            let before = last.as_ref().and_then(|moved| moved.version);
            new.check(before)?;
            let last = match last {
                Some(moved) => {
                    let partition = self.partition_of(new, &moved).await?;
                    if new.leaves(&moved, partition.as_deref()) {
                        return Ok(TagMove { partition, ..moved });
                    }
                    Some(moved)
                }
                None if new.version.is_none() => return Err(new.unknown()),
                None => None,
            };
            let sequence = last.map_or(1, |moved| moved.sequence + 1);
            let moved = new.moved(sequence, before, author);
            let path = tag_path(&new.name, &new.tag, sequence);
            match self.create_record(&path, &moved).await? {
                Written::Ours => return Ok(moved),
                // Somebody else has moved it: see whether it still may be.
                Written::Other(_) => {}
            }
        }
        Err(Fault::new(
            ErrorKind::Conflict,
            format!("too many move the tag `{}:{}` at a time", new.name, new.tag),
        ))
    }
}

impl Store {
    /// The partition that a tag is at, where that matters: of the run that has put it
    /// there or, where somebody did by hand, of the version that it means.
    async fn partition_of(&self, new: &NewTag, last: &TagMove) -> Result<Option<String>, Fault> {
        let Some(number) = last.version.filter(|_| new.partition.is_some()) else {
            return Ok(None);
        };
        if last.partition.is_some() {
            return Ok(last.partition.clone());
        }
        let version = self.read_version(&new.name, number).await?;
        Ok(version.and_then(|version| version.origin.partition().map(str::to_owned)))
    }
}

impl NewVersion {
    fn numbered(&self, number: u64, author: &Author) -> Version {
        Version {
            format: VERSION_FORMAT.to_owned(),
            name: self.name.clone(),
            number,
            content: self.content,
            media_type: self.media_type.clone(),
            metadata: self.metadata.clone(),
            created: author.now,
            by: author.by.clone(),
            origin: self.origin.clone(),
        }
    }

    fn is_same(&self, version: &Version) -> bool {
        let same_origin = match (&self.origin, &version.origin) {
            (
                Origin::Step { commit, output, .. },
                Origin::Step {
                    commit: its,
                    output: from,
                    ..
                },
            ) => (commit, output) == (its, from),
            (
                Origin::Input { .. } | Origin::Put { .. },
                Origin::Input { .. } | Origin::Put { .. },
            ) => true,
            (mine, its) => mine == its,
        };
        same_origin
            && self.content == version.content
            && self.media_type == version.media_type
            && self.metadata == version.metadata
    }
}

impl NewTag {
    fn check(&self, now: Option<u64>) -> Result<(), Fault> {
        let Some(expected) = self.expected.filter(|expected| *expected != now) else {
            return Ok(());
        };
        let shown = |version: Option<u64>| match version {
            Some(number) => format!("version {number}"),
            None => "no version".to_owned(),
        };
        let message = format!(
            "`{}:{}` means {}, not {} as expected",
            self.name,
            self.tag,
            shown(now),
            shown(expected)
        );
        Err(Fault::new(ErrorKind::Conflict, message)
            .hint("somebody has moved the tag; look at it before you move it again"))
    }

    /// Whether the tag stays as it is: it means that version already, or a later
    /// partition has it, as partitions run in any order, and again. A later partition
    /// with the same version is noted, so that an earlier one finds it.
    fn leaves(&self, last: &TagMove, partition: Option<&str>) -> bool {
        let both = partition.zip(self.partition.as_deref());
        match last.version == self.version {
            true => both.is_none_or(|(its, mine)| !is_later(mine, its)),
            false => self.expected.is_none() && both.is_some_and(|(its, mine)| is_later(its, mine)),
        }
    }

    fn unknown(&self) -> Fault {
        let message = format!("there is no `{}:{}`", self.name, self.tag);
        Fault::new(ErrorKind::UnknownArtifact, message)
            .hint(format!("`wharf artifact ls {}` lists its tags", self.name))
    }

    fn moved(&self, sequence: u64, before: Option<u64>, author: &Author) -> TagMove {
        TagMove {
            format: TAG_FORMAT.to_owned(),
            name: self.name.clone(),
            tag: self.tag.clone(),
            sequence,
            version: self.version,
            before,
            moved: author.now,
            by: author.by.clone(),
            run: self.run.clone(),
            partition: self.partition.clone(),
        }
    }
}

fn version_path(name: &Name, number: u64) -> ObjectPath {
    ObjectPath::from(format!("{ARTIFACTS}/{name}/versions/{number:010}.json"))
}

fn removed_path(name: &Name, number: u64) -> ObjectPath {
    ObjectPath::from(format!("{ARTIFACTS}/{name}/removed/{number:010}.json"))
}

fn tag_prefix(name: &Name, tag: &Name) -> String {
    format!("{ARTIFACTS}/{name}/tags/{tag}")
}

fn tag_path(name: &Name, tag: &Name, sequence: u64) -> ObjectPath {
    ObjectPath::from(format!("{}/{sequence:010}.json", tag_prefix(name, tag)))
}
