//! Turns a core module for WASI preview 1 into a component.
//!
//! Go, and C with wasi-libc, still make such modules. The adapter is the one
//! that wasmtime ships; it translates each call and is part of what runs, so
//! its version is part of the compile cache's key (as wasmtime's).

use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER,
};
use wasmparser::{Parser, Payload};
use wharf_model::{ErrorKind, Fault};
use wit_component::ComponentEncoder;

use super::prescan::damaged;

/// Makes a component of a core module that has `_start`.
pub(super) fn adapt(module: &[u8]) -> Result<Vec<u8>, Fault> {
    let surface = surface(module)?;
    let foreign: Vec<_> = surface
        .imports
        .iter()
        .filter(|(from, _)| from != WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME)
        .map(|(from, name)| format!("`{from}` `{name}`"))
        .collect();
    if !foreign.is_empty() {
        let message = format!(
            "the module imports {}, which nobody provides",
            foreign.join(", ")
        );
        return Err(Fault::new(ErrorKind::MissingImport, message)
            .hint("build it for the target wasm32-wasip2, or for WASI preview 1"));
    }
    if !surface.exports.iter().any(|name| name == "_start") {
        let message =
            "the file is a core module that is not a program for WASI: it has no `_start`";
        return Err(Fault::new(ErrorKind::NotAStep, message)
            .hint("build it for the target wasm32-wasip2, or make a component of it"));
    }
    ComponentEncoder::default()
        .module(module)
        .and_then(|encoder| {
            encoder.adapter(
                WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME,
                WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER,
            )
        })
        .and_then(|mut encoder| encoder.encode())
        .map_err(|error| damaged(&format!("{error:#}")))
}

/// What a core module imports and exports.
#[derive(Default)]
struct Surface {
    imports: Vec<(String, String)>,
    exports: Vec<String>,
}

fn surface(module: &[u8]) -> Result<Surface, Fault> {
    let mut surface = Surface::default();
    for payload in Parser::new(0).parse_all(module) {
        match payload.map_err(|error| damaged(&error))? {
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import.map_err(|error| damaged(&error))?;
                    surface
                        .imports
                        .push((import.module.to_owned(), import.name.to_owned()));
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export.map_err(|error| damaged(&error))?;
                    surface.exports.push(export.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(surface)
}
