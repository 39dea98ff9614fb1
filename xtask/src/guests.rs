//! The list of guests, and what happens to each: skipped where it is up to date,
//! else built by its language's module, given its WIT and put into
//! `<target>/guests`.
//!
//! Knows no compiler; the language modules know no other guest.

use std::cell::OnceCell;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::context::Context;
use crate::rust::RustGuests;
use crate::stamp::{self, Recipe, Stamp};
use crate::{c, go, javascript, python, wat_text, wit_section};

/// Changes with anything in xtask that changes the guests it makes.
const FORMAT: &str = "3";

/// One component or module to build.
pub(crate) struct Guest {
    /// The file's stem.
    pub(crate) name: String,
    /// What it is written in.
    pub(crate) language: Language,
    /// The folder or file that its code is in.
    pub(crate) source: PathBuf,
    /// The folder of its WIT package; programs have none.
    pub(crate) wit: Option<PathBuf>,
}

/// How a guest is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    Rust,
    Python,
    JavaScript,
    Go,
    C,
    Text,
}

/// The guests in `guest-examples/NAME`.
const EXAMPLES: [(&str, Language); 18] = [
    ("noop", Language::Rust),
    ("copy", Language::Rust),
    ("lines", Language::Rust),
    ("split", Language::Rust),
    ("train", Language::Rust),
    ("evaluate", Language::Rust),
    ("compare", Language::Rust),
    ("summarise", Language::Rust),
    ("merge", Language::Rust),
    ("tree", Language::Rust),
    ("values", Language::Rust),
    ("facts", Language::Rust),
    ("compute", Language::Rust),
    ("train-python", Language::Python),
    ("profile", Language::JavaScript),
    ("wordcount", Language::Go),
    ("linecount", Language::C),
    ("hello", Language::Rust),
];

/// Builds every guest that is not up to date.
pub(crate) fn build_all(context: &Context) -> Result<()> {
    build(context, &list(context)?)
}

/// Builds the guests with these names.
pub(crate) fn build_only(context: &Context, names: &[String]) -> Result<()> {
    let mut guests = list(context)?;
    if let Some(unknown) = names
        .iter()
        .find(|name| guests.iter().all(|guest| guest.name != **name))
    {
        let known: Vec<&str> = guests.iter().map(|guest| guest.name.as_str()).collect();
        bail!(
            "there is no guest {unknown}; there are {}",
            known.join(", ")
        );
    }
    guests.retain(|guest| names.contains(&guest.name));
    build(context, &guests)
}

/// All guests.
fn list(context: &Context) -> Result<Vec<Guest>> {
    let mut guests: Vec<Guest> = EXAMPLES
        .iter()
        .map(|(name, language)| example(context, name, *language))
        .collect();
    guests.push(Guest {
        name: "hostile".to_owned(),
        language: Language::Rust,
        source: context.source("tests/hostile"),
        wit: Some(context.source("tests/hostile/wit")),
    });
    guests.push(Guest {
        name: "hostile-cli".to_owned(),
        language: Language::Rust,
        source: context.source("tests/hostile/cli"),
        wit: None,
    });
    guests.extend(wat_text::list(&context.source("tests/hostile"))?);
    Ok(guests)
}

fn example(context: &Context, name: &str, language: Language) -> Guest {
    let source = context.source("guest-examples").join(name);
    let wit = match language {
        // One contract in two languages: the host cannot tell them apart.
        Language::Python => Some(context.source("guest-examples/train/wit")),
        // A program has no world of its own.
        Language::Rust | Language::JavaScript => {
            Some(source.join("wit")).filter(|folder| folder.is_dir())
        }
        Language::Go | Language::C | Language::Text => None,
    };
    Guest {
        name: name.to_owned(),
        language,
        source,
        wit,
    }
}

/// The Rust toolchain is looked for when the first guest asks for it.
struct Tools<'a> {
    context: &'a Context,
    rust: OnceCell<RustGuests>,
}

impl Tools<'_> {
    fn rust(&self) -> Result<&RustGuests> {
        if self.rust.get().is_none() {
            let _ = self.rust.set(RustGuests::prepare(self.context)?);
        }
        self.rust.get().context("the toolchain was just found")
    }
}

fn build(context: &Context, guests: &[Guest]) -> Result<()> {
    let tools = Tools {
        context,
        rust: OnceCell::new(),
    };
    let mut built = 0;
    for guest in guests {
        built += u32::from(
            build_one(&tools, guest)
                .with_context(|| format!("cannot build the guest {}", guest.name))?,
        );
    }
    context.say(format!(
        "{} guests in {}, {built} of them new",
        guests.len(),
        context.guests().display()
    ));
    Ok(())
}

/// Builds a guest unless it is up to date; returns whether it was built.
fn build_one(tools: &Tools<'_>, guest: &Guest) -> Result<bool> {
    let context = tools.context;
    let product = context.guests().join(format!("{}.wasm", guest.name));
    let stamp = Stamp::new(
        context.build().join("stamps").join(&guest.name),
        recipe(tools, guest)?,
    );
    if stamp.is_current(&product) {
        return Ok(false);
    }
    context.say(format!("building {}", guest.name));
    stamp.remove()?;
    let mut wasm = make(tools, guest)?;
    if let Some(wit) = &guest.wit {
        wit_section::append(
            &mut wasm,
            &wit_section::documented(&context.source("wit"), wit)?,
        );
    }
    stamp::write(&product, &wasm)?;
    stamp.keep()?;
    Ok(true)
}

/// Everything that the guest is made from.
fn recipe(tools: &Tools<'_>, guest: &Guest) -> Result<Recipe> {
    let mut recipe = Recipe::default().text(FORMAT).path(&guest.source)?;
    if let Some(wit) = &guest.wit {
        recipe = recipe.path(wit)?.path(&tools.context.source("wit"))?;
    }
    match guest.language {
        Language::Rust => tools.rust()?.add_to(recipe, tools.context),
        Language::Python => Ok(python::add_to(recipe)),
        Language::JavaScript => javascript::add_to(recipe, tools.context),
        Language::Go => go::add_to(recipe),
        Language::C => Ok(c::add_to(recipe)),
        Language::Text => Ok(recipe),
    }
}

fn make(tools: &Tools<'_>, guest: &Guest) -> Result<Vec<u8>> {
    let context = tools.context;
    match guest.language {
        Language::Rust => tools.rust()?.build(context, &guest.name),
        Language::Python => python::build(context, guest),
        Language::JavaScript => javascript::build(context, guest),
        Language::Go => go::build(context, guest),
        Language::C => c::build(context, guest),
        Language::Text => wat_text::build(&guest.source),
    }
}

/// A folder for what building the guest leaves behind, empty.
pub(crate) fn scratch(context: &Context, guest: &Guest) -> Result<PathBuf> {
    let folder = context.build().join("scratch").join(&guest.name);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// The guest's WIT with the contract below it, as tools want it that take one
/// folder: `deps` holds what the package uses.
pub(crate) fn staged_wit(context: &Context, guest: &Guest) -> Result<PathBuf> {
    let wit = guest.wit.as_ref().context("the guest has no WIT")?;
    let folder = scratch(context, guest)?.join("wit");
    copy_files(wit, &folder)?;
    copy_files(&context.source("wit"), &folder.join("deps/wharf-step"))?;
    Ok(folder)
}

/// Copies the files below one folder to another.
pub(crate) fn copy_files(from: &Path, to: &Path) -> Result<()> {
    for file in stamp::files(from)? {
        stamp::write(&to.join(file.strip_prefix(from)?), &fs::read(&file)?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_guest_has_a_source_and_a_name_of_its_own() {
        let context = Context::from_environment().unwrap();
        let guests = list(&context).unwrap();
        let mut names: Vec<&str> = guests.iter().map(|guest| guest.name.as_str()).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
        for guest in &guests {
            assert!(guest.source.exists(), "{}", guest.source.display());
        }
    }

    #[test]
    fn every_world_can_be_documented() {
        let context = Context::from_environment().unwrap();
        for guest in list(&context).unwrap() {
            let Some(wit) = &guest.wit else { continue };
            let text = wit_section::documented(&context.source("wit"), wit).unwrap();
            assert!(text.contains("///"), "{} has no documentation", guest.name);
        }
    }
}
