//! Attaches a component's documented WIT to it.
//!
//! Linking drops doc comments: a component's own type says what its functions
//! take, not what they are for. So the WIT goes in as the custom section
//! `wharf:wit`: UTF-8 text, the guest's package first, then the packages that it
//! uses, other than `wharf:step`, which every host knows.
//!
//! Does not check that the text describes the component; it is for people, and
//! the host takes types from the component alone.

use std::borrow::Cow;
use std::path::Path;

use anyhow::{Context as _, Result};
use wasm_encoder::{CustomSection, Encode as _, Section as _};
use wit_component::WitPrinter;
use wit_parser::{PackageId, Resolve};

/// The name of the custom section.
pub(crate) const NAME: &str = "wharf:wit";

/// The documented text of the WIT package in `world`, which uses the contract.
pub(crate) fn documented(contract: &Path, world: &Path) -> Result<String> {
    let mut resolve = Resolve::default();
    let (step, _) = resolve
        .push_dir(contract)
        .with_context(|| format!("in {}", contract.display()))?;
    let (main, _) = resolve
        .push_dir(world)
        .with_context(|| format!("in {}", world.display()))?;
    let nested: Vec<PackageId> = resolve
        .topological_packages()
        .into_iter()
        .filter(|package| *package != step && *package != main)
        .collect();
    let mut printer = WitPrinter::default();
    printer.emit_docs(true).print(&resolve, main, &nested)?;
    Ok(printer.output.to_string())
}

/// Appends a text as a custom section. Sections of that name that are there
/// already stay; readers take the last.
pub(crate) fn append(component: &mut Vec<u8>, text: &str) {
    let section = CustomSection {
        name: Cow::Borrowed(NAME),
        data: Cow::Borrowed(text.as_bytes()),
    };
    component.push(section.id());
    section.encode(component);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stamp;
    use wasmparser::{Parser, Payload, Validator};

    const CONTRACT: &str = "package wharf:step@0.1.0; interface artifacts { resource input; } world imports { import artifacts; }";
    const WORLD: &str = "package example:guest;
/// What it does.
world guest {
  include wharf:step/imports@0.1.0;
  use wharf:step/artifacts@0.1.0.{input};
  /// Runs it.
  export run: func(data: input);
}";

    fn documented_world() -> String {
        let folder = tempfile::tempdir().unwrap();
        stamp::write(&folder.path().join("step/step.wit"), CONTRACT.as_bytes()).unwrap();
        stamp::write(&folder.path().join("guest/world.wit"), WORLD.as_bytes()).unwrap();
        documented(&folder.path().join("step"), &folder.path().join("guest")).unwrap()
    }

    fn sections(component: &[u8]) -> Vec<String> {
        let payloads = Parser::new(0).parse_all(component).map(Result::unwrap);
        payloads
            .filter_map(|payload| match payload {
                Payload::CustomSection(section) if section.name() == NAME => {
                    Some(section.data().to_vec())
                }
                _ => None,
            })
            .map(|data| String::from_utf8(data).unwrap())
            .collect()
    }

    #[test]
    fn docs_are_kept_and_the_contract_is_left_out() {
        let text = documented_world();
        assert!(text.starts_with("package example:guest;"), "{text}");
        assert!(
            text.contains("/// Runs it.") && text.contains("/// What it does."),
            "{text}"
        );
        assert!(!text.contains("package wharf:step"), "{text}");
    }

    #[test]
    fn the_text_is_wit_again() {
        let mut resolve = Resolve::default();
        resolve.push_source("step.wit", CONTRACT).unwrap();
        resolve
            .push_source("guest.wit", &documented_world())
            .unwrap();
    }

    #[test]
    fn a_section_is_appended_and_the_component_stays_valid() {
        let mut component = wat::parse_str("(component)").unwrap();
        for text in ["", "short", &"long ".repeat(100)] {
            append(&mut component, text);
        }
        Validator::new().validate_all(&component).unwrap();
        assert_eq!(
            sections(&component),
            ["".to_owned(), "short".to_owned(), "long ".repeat(100)]
        );
    }
}
