//! Reads what a component offers and needs from its WIT.

use wasmparser::{ComponentExternalKind, Parser, Payload};
use wharf_model::signature::{
    Arity, FailureType, Function, MAX_TYPE_NODES, Parameter, ParameterType, Returns, Signature,
};
use wharf_model::value_type::{Case, Field, IntegerType, ValueType};
use wharf_model::{ErrorKind, Fault};
use wit_component::DecodedWasm;
use wit_parser::{
    Docs, Handle, Resolve, Type, TypeDef, TypeDefKind, TypeId, TypeOwner, World, WorldItem,
    WorldKey,
};

use super::prescan::{damaged, prescan};
use super::{Description, Import, Kind, docs, program};

/// Scans and describes.
pub(crate) fn describe(wasm: &[u8]) -> Result<Description, Fault> {
    match prescan(wasm)? {
        Kind::Component => component(wasm),
        Kind::CoreModule => program::describe(wasm),
    }
}

fn component(wasm: &[u8]) -> Result<Description, Fault> {
    let decoded = wit_component::decode(wasm).map_err(|error| match runnable_exports(wasm) {
        // It can be whole and still have nothing that WIT could describe.
        Some(0) => no_step(&[]),
        _ => damaged(&format!("{error:#}")),
    })?;
    let DecodedWasm::Component(resolve, world) = decoded else {
        let message = "the file holds a WIT package, not a component";
        return Err(Fault::new(ErrorKind::NotAComponent, message)
            .hint("give the path of a component, as built for the target wasm32-wasip2"));
    };
    let world = &resolve.worlds[world];
    let mut description = Description {
        signature: signature(&resolve, world)?,
        imports: imports(&resolve, world),
        kind: Kind::Component,
        docs: None,
    };
    if let Some(text) = docs::section(wasm) {
        docs::attach(&mut description, text);
    }
    Ok(description)
}

/// How many functions and interfaces a component exports; `None` where it is
/// damaged.
fn runnable_exports(wasm: &[u8]) -> Option<usize> {
    let mut depth = 0;
    let mut exports = 0;
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.ok()? {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentExportSection(section) if depth == 1 => {
                for export in section {
                    let kind = export.ok()?.kind;
                    let runnable = matches!(
                        kind,
                        ComponentExternalKind::Func | ComponentExternalKind::Instance
                    );
                    exports += usize::from(runnable);
                }
            }
            _ => {}
        }
    }
    Some(exports)
}

fn imports(resolve: &Resolve, world: &World) -> Vec<Import> {
    let mut imports: Vec<_> = world
        .imports
        .iter()
        .filter(|(_, item)| !matches!(item, WorldItem::Type { .. }))
        .map(|(key, _)| resolve.name_world_key(key))
        .map(|name| Import {
            provided: is_provided(&name),
            name,
        })
        .collect();
    imports.sort_by(|a, b| a.name.cmp(&b.name));
    imports
}

/// Whether Wharf links an interface. The linker decides in the end; this names
/// what is missing before anything is compiled.
fn is_provided(name: &str) -> bool {
    let (interface, version) = name.split_once('@').unwrap_or((name, ""));
    match interface.split_once('/') {
        Some((
            "wasi:io" | "wasi:clocks" | "wasi:random" | "wasi:filesystem" | "wasi:cli"
            | "wasi:sockets",
            _,
        )) => version.starts_with("0.2."),
        Some(("wharf:step", "types" | "artifacts" | "context" | "telemetry")) => {
            version.starts_with("0.1.")
        }
        _ => false,
    }
}

fn signature(resolve: &Resolve, world: &World) -> Result<Signature, Fault> {
    let functions = world.exports.iter().filter_map(|(_, item)| match item {
        WorldItem::Function(function) => Some(function),
        _ => None,
    });
    let functions: Vec<_> = functions
        .map(|f| function(resolve, f))
        .collect::<Result<_, _>>()?;
    if !functions.is_empty() {
        return Ok(Signature::Typed { functions });
    }
    let exports: Vec<_> = world
        .exports
        .keys()
        .map(|key| resolve.name_world_key(key))
        .collect();
    let is_run = |name: &String| name.starts_with("wasi:cli/run@0.2.");
    match exports.iter().any(is_run) {
        true => Ok(Signature::Program),
        false => Err(no_step(&exports)),
    }
}

fn no_step(exports: &[String]) -> Fault {
    let message = match exports {
        [] => "the component exports nothing that can be run".to_owned(),
        _ => format!(
            "the component exports {} but no function of its own",
            exports.join(", ")
        ),
    };
    Fault::new(ErrorKind::NotAStep, message)
        .hint("a step is a function that the world exports directly, or `wasi:cli/run`")
}

fn function(resolve: &Resolve, function: &wit_parser::Function) -> Result<Function, Fault> {
    let mut types = Types {
        resolve,
        function: &function.name,
        nodes: 0,
    };
    if function.kind.is_async() {
        return Err(types.unsupported("it is async"));
    }
    let mut parameters = Vec::new();
    for parameter in &function.params {
        let ty = types.parameter(&parameter.name, parameter.ty)?;
        parameters.push(Parameter {
            name: parameter.name.clone(),
            ty,
        });
    }
    Ok(Function {
        name: function.name.clone(),
        docs: text_of(&function.docs),
        parameters,
        returns: types.returns(function.result)?,
    })
}

fn text_of(docs: &Docs) -> Option<String> {
    docs.contents.as_ref().map(|text| text.trim().to_owned())
}

/// Translates WIT types, counting them.
struct Types<'a> {
    resolve: &'a Resolve,
    function: &'a str,
    nodes: usize,
}

/// A resource of `wharf:step/artifacts`.
#[derive(Clone, Copy, PartialEq)]
enum Artifact {
    Input,
    Output,
    InputTree,
    OutputTree,
}

impl Types<'_> {
    fn unsupported(&self, why: impl std::fmt::Display) -> Fault {
        let message = format!("the function `{}` cannot be a step: {why}", self.function);
        Fault::new(ErrorKind::NotAStep, message)
    }

    fn parameter(&mut self, name: &str, ty: Type) -> Result<ParameterType, Fault> {
        let (arity, item) = match self.kind(ty) {
            Some(TypeDefKind::List(item)) => (Arity::Many, *item),
            Some(TypeDefKind::Option(item)) => (Arity::Optional, *item),
            _ => (Arity::One, ty),
        };
        match (self.artifact(item), arity) {
            (Some(Artifact::Input), arity) => Ok(ParameterType::Input { tree: false, arity }),
            (Some(Artifact::InputTree), arity) => Ok(ParameterType::Input { tree: true, arity }),
            (Some(Artifact::Output), Arity::One) => Ok(ParameterType::Output { tree: false }),
            (Some(Artifact::OutputTree), Arity::One) => Ok(ParameterType::Output { tree: true }),
            (Some(Artifact::Output | Artifact::OutputTree), _) => Err(self.unsupported(format!(
                "its parameter `{name}` is a list or an option of outputs; use an output-tree"
            ))),
            (None, _) => {
                let value = self.value(ty)?;
                Ok(ParameterType::Value { value })
            }
        }
    }

    fn returns(&mut self, result: Option<Type>) -> Result<Returns, Fault> {
        let Some(ty) = result else {
            return Ok(Returns {
                results: None,
                failure: FailureType::None,
            });
        };
        let Some(TypeDefKind::Result(result)) = self.kind(ty).cloned() else {
            return Ok(Returns {
                results: Some(self.value(ty)?),
                failure: FailureType::None,
            });
        };
        let failure = match result.err {
            Some(err) if self.is_failure(err) => FailureType::Failure,
            err => FailureType::Other {
                value: err.map(|err| self.value(err)).transpose()?,
            },
        };
        Ok(Returns {
            results: result.ok.map(|ok| self.value(ok)).transpose()?,
            failure,
        })
    }

    /// The definition behind a type, through aliases.
    fn definition(&self, ty: Type) -> Option<(TypeId, &TypeDef)> {
        let Type::Id(mut id) = ty else { return None };
        loop {
            let definition = &self.resolve.types[id];
            match definition.kind {
                TypeDefKind::Type(Type::Id(next)) => id = next,
                _ => return Some((id, definition)),
            }
        }
    }

    fn kind(&self, ty: Type) -> Option<&TypeDefKind> {
        self.definition(ty).map(|(_, definition)| &definition.kind)
    }

    fn artifact(&self, ty: Type) -> Option<Artifact> {
        let TypeDefKind::Handle(Handle::Own(id) | Handle::Borrow(id)) = self.kind(ty)? else {
            return None;
        };
        let (_, definition) = self.definition(Type::Id(*id))?;
        if !self.is_owned_by(definition, "artifacts") {
            return None;
        }
        match definition.name.as_deref()? {
            "input" => Some(Artifact::Input),
            "output" => Some(Artifact::Output),
            "input-tree" => Some(Artifact::InputTree),
            "output-tree" => Some(Artifact::OutputTree),
            _ => None,
        }
    }

    fn is_failure(&self, ty: Type) -> bool {
        self.definition(ty).is_some_and(|(_, definition)| {
            definition.name.as_deref() == Some("failure") && self.is_owned_by(definition, "types")
        })
    }

    /// Whether a type belongs to an interface of `wharf:step`.
    fn is_owned_by(&self, definition: &TypeDef, interface: &str) -> bool {
        let TypeOwner::Interface(owner) = definition.owner else {
            return false;
        };
        let owner = &self.resolve.interfaces[owner];
        let package = owner
            .package
            .map(|package| &self.resolve.packages[package].name);
        owner.name.as_deref() == Some(interface)
            && package.is_some_and(|name| name.namespace == "wharf" && name.name == "step")
    }

    fn boxed(&mut self, ty: Type) -> Result<Box<ValueType>, Fault> {
        self.value(ty).map(Box::new)
    }

    fn value(&mut self, ty: Type) -> Result<ValueType, Fault> {
        self.nodes += 1;
        if self.nodes > MAX_TYPE_NODES {
            return Err(
                self.unsupported(format!("its types have more than {MAX_TYPE_NODES} parts"))
            );
        }
        let integer = |integer| Ok(ValueType::Integer { integer });
        match ty {
            Type::Bool => Ok(ValueType::Bool),
            Type::U8 => integer(IntegerType::U8),
            Type::U16 => integer(IntegerType::U16),
            Type::U32 => integer(IntegerType::U32),
            Type::U64 => integer(IntegerType::U64),
            Type::S8 => integer(IntegerType::S8),
            Type::S16 => integer(IntegerType::S16),
            Type::S32 => integer(IntegerType::S32),
            Type::S64 => integer(IntegerType::S64),
            Type::F32 => Ok(ValueType::F32),
            Type::F64 => Ok(ValueType::F64),
            Type::Char => Ok(ValueType::Char),
            Type::String => Ok(ValueType::String),
            Type::ErrorContext => Err(self.unsupported("it uses error-context")),
            Type::Id(id) => self.defined(id),
        }
    }

    fn defined(&mut self, id: TypeId) -> Result<ValueType, Fault> {
        let resolve = self.resolve;
        let definition = &resolve.types[id];
        let name = definition.name.clone().unwrap_or_default();
        match &definition.kind {
            TypeDefKind::Type(ty) => self.value(*ty),
            TypeDefKind::List(item) => Ok(ValueType::List {
                item: self.boxed(*item)?,
            }),
            TypeDefKind::Option(some) => Ok(ValueType::Option {
                some: self.boxed(*some)?,
            }),
            TypeDefKind::Result(result) => Ok(ValueType::Result {
                ok: result.ok.map(|ok| self.boxed(ok)).transpose()?,
                err: result.err.map(|err| self.boxed(err)).transpose()?,
            }),
            TypeDefKind::Tuple(tuple) => {
                let items = tuple.types.iter().map(|ty| self.value(*ty));
                Ok(ValueType::Tuple {
                    items: items.collect::<Result<_, _>>()?,
                })
            }
            TypeDefKind::Record(record) => {
                let fields = record.fields.iter().map(|field| {
                    let ty = self.value(field.ty)?;
                    Ok(Field {
                        name: field.name.clone(),
                        ty,
                        docs: text_of(&field.docs),
                    })
                });
                Ok(ValueType::Record {
                    name,
                    fields: fields.collect::<Result<_, Fault>>()?,
                })
            }
            TypeDefKind::Variant(variant) => {
                let cases = variant.cases.iter().map(|case| {
                    let ty = case.ty.map(|ty| self.value(ty)).transpose()?;
                    Ok(Case {
                        name: case.name.clone(),
                        ty,
                        docs: text_of(&case.docs),
                    })
                });
                Ok(ValueType::Variant {
                    name,
                    cases: cases.collect::<Result<_, Fault>>()?,
                })
            }
            TypeDefKind::Enum(of) => {
                let cases = of.cases.iter().map(|case| case.name.clone()).collect();
                Ok(ValueType::Enum { name, cases })
            }
            TypeDefKind::Flags(of) => {
                let flags = of.flags.iter().map(|flag| flag.name.clone()).collect();
                Ok(ValueType::Flags { name, flags })
            }
            TypeDefKind::Handle(_) | TypeDefKind::Resource => {
                Err(self
                    .unsupported("artifacts may only be parameters of their own, options or lists"))
            }
            TypeDefKind::Map(..)
            | TypeDefKind::FixedLengthList(..)
            | TypeDefKind::Future(_)
            | TypeDefKind::Stream(_)
            | TypeDefKind::Unknown => {
                Err(self.unsupported(format!("it uses a {}", definition.kind.as_str())))
            }
        }
    }
}

/// The functions that a world exports, with their documentation; for `docs`.
pub(super) fn documented_functions(resolve: &Resolve) -> Vec<(Option<String>, Function)> {
    let exports = resolve.worlds.iter().flat_map(|(_, world)| {
        world
            .exports
            .iter()
            .map(move |(key, item)| (world, key, item))
    });
    let functions = exports.filter_map(|(world, key, item)| match (key, item) {
        (WorldKey::Name(_), WorldItem::Function(f)) => {
            let function = function(resolve, f).ok()?;
            Some((text_of(&world.docs), function))
        }
        _ => None,
    });
    functions.collect()
}
