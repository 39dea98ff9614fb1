//! Describes a core module for WASI preview 1: Go, and C with wasi-libc, still
//! make such modules. What they are given is in `host::preview1`.

use wasmparser::types::{EntityType, TypesRef};
use wasmparser::{Parser, Payload, ValidPayload, Validator};
use wharf_model::{ErrorKind, Fault, Signature};

use super::prescan::damaged;
use super::{Description, Import, Kind};
use crate::host::preview1::{MEMORY, MODULE, START, is_provided};
use crate::host::telemetry::clean;

/// Describes a core module that is a program.
pub(super) fn describe(module: &[u8]) -> Result<Description, Fault> {
    let surface = surface(module)?;
    surface.check_imports()?;
    surface.check_exports()?;
    let imports = match surface.imports.is_empty() {
        true => Vec::new(),
        false => vec![Import {
            name: MODULE.to_owned(),
            provided: true,
        }],
    };
    Ok(Description {
        signature: Signature::Program,
        imports,
        kind: Kind::CoreModule,
        docs: None,
    })
}

/// What a core module imports and exports.
#[derive(Debug, Default)]
struct Surface {
    /// From which module, and what.
    imports: Vec<(String, String)>,
    start: Export,
    memory: Export,
}

/// An export that a program must have.
#[derive(Debug, Default, PartialEq)]
enum Export {
    #[default]
    Missing,
    /// It is there, but something else.
    Wrong,
    Right,
}

/// Most imports that a message names, and longest name in it, in bytes.
const MAX_NAMED: usize = 8;
const MAX_NAME: usize = 128;

impl Surface {
    fn check_imports(&self) -> Result<(), Fault> {
        let foreign: Vec<_> = self
            .imports
            .iter()
            .filter(|(from, name)| from != MODULE || !is_provided(name))
            .take(MAX_NAMED)
            .map(|(from, name)| format!("`{}` `{}`", clean(from, MAX_NAME), clean(name, MAX_NAME)))
            .collect();
        if foreign.is_empty() {
            return Ok(());
        }
        let message = format!(
            "the module imports {}, which nobody provides",
            foreign.join(", ")
        );
        Err(Fault::new(ErrorKind::MissingImport, message)
            .hint("build it for the target wasm32-wasip2, or for WASI preview 1"))
    }

    fn check_exports(&self) -> Result<(), Fault> {
        let why = match (&self.start, &self.memory) {
            (Export::Missing, _) => "it has no `_start`",
            (Export::Wrong, _) => "its `_start` is not a function without parameters and results",
            (_, Export::Wrong) => "its export `memory` is not a memory of 32 bits of its own",
            // Everything that WASI passes is passed there.
            (_, Export::Missing) if !self.imports.is_empty() => "it exports no `memory`",
            _ => return Ok(()),
        };
        let message = format!("the file is a core module that is not a program for WASI: {why}");
        Err(Fault::new(ErrorKind::NotAStep, message)
            .hint("build it for the target wasm32-wasip2, or make a component of it"))
    }
}

/// Validates all but the bodies of functions, which compiling does, and looks
/// at imports and exports.
fn surface(module: &[u8]) -> Result<Surface, Fault> {
    let mut surface = Surface::default();
    let mut validator = Validator::new();
    let mut exports = Vec::new();
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload.map_err(|error| damaged(&error))?;
        match validator
            .payload(&payload)
            .map_err(|error| damaged(&error))?
        {
            ValidPayload::End(types) => {
                for export in &exports {
                    surface.note(export, types.as_ref());
                }
            }
            ValidPayload::Ok | ValidPayload::Parser(_) | ValidPayload::Func(..) => {}
        }
        match payload {
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
                    exports.push(export.map_err(|error| damaged(&error))?);
                }
            }
            _ => {}
        }
    }
    Ok(surface)
}

impl Surface {
    fn note(&mut self, export: &wasmparser::Export<'_>, types: TypesRef<'_>) {
        let (place, is_right) = match (export.name, types.entity_type_from_export(export)) {
            (START, Some(EntityType::Func(id))) => {
                let of = types[id].unwrap_func();
                let is_right = of.params().is_empty() && of.results().is_empty();
                (&mut self.start, is_right)
            }
            (START, _) => (&mut self.start, false),
            (MEMORY, Some(EntityType::Memory(of))) => {
                (&mut self.memory, !of.memory64 && !of.shared)
            }
            (MEMORY, _) => (&mut self.memory, false),
            _ => return,
        };
        *place = if is_right {
            Export::Right
        } else {
            Export::Wrong
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        let module = wat::parse_str(text).unwrap();
        describe(&module).unwrap_err().to_string()
    }

    const IMPORT: &str = r#"(import "wasi_snapshot_preview1" "sched_yield" (func (result i32)))"#;

    #[test]
    fn a_program_has_a_start_and_a_memory() {
        let text =
            format!(r#"(module {IMPORT} (memory (export "memory") 1) (func (export "_start")))"#);
        let description = describe(&wat::parse_str(text).unwrap()).unwrap();
        assert_eq!(description.kind, Kind::CoreModule);
        assert_eq!(description.imports.len(), 1);
        assert!(description.imports[0].provided);
        let alone = describe(&wat::parse_str(r#"(module (func (export "_start")))"#).unwrap());
        assert!(alone.unwrap().imports.is_empty());
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let cases = [
            ("(module)", "it has no `_start`"),
            (
                r#"(module (func (export "_start") (param i32)))"#,
                "`_start` is not a function without parameters",
            ),
            (
                r#"(module (memory (export "_start") 1))"#,
                "`_start` is not a function",
            ),
            (
                &format!(r#"(module {IMPORT} (func (export "_start")))"#),
                "it exports no `memory`",
            ),
            (
                r#"(module (func (export "_start")) (func (export "memory")))"#,
                "`memory` is not a memory",
            ),
            (
                r#"(module (func (export "_start")) (memory (export "memory") i64 1))"#,
                "`memory` is not a memory of 32 bits",
            ),
            (
                r#"(module (import "env" "f" (func)) (func (export "_start")))"#,
                "the module imports `env` `f`, which nobody provides",
            ),
            (
                r#"(module (import "wasi_snapshot_preview1" "fly" (func)))"#,
                "imports `wasi_snapshot_preview1` `fly`, which nobody provides",
            ),
        ];
        for (text, wanted) in cases {
            let message = message(text);
            assert!(message.contains(wanted), "{text}: {message}");
        }
    }
}
