//! `wharf inspect`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;
use wharf_model::limits::LimitKind;
use wharf_model::signature::{Arity, Function, ParameterType};
use wharf_model::value_type::ValueType;
use wharf_model::{Digest, ErrorKind, Fault, Signature};
use wharf_runner::ComponentFile;
use wharf_sandbox::{Description, Kind, PrepareError};

use crate::args;
use crate::report::{bytes, inert, out};
use crate::surroundings;

pub(crate) fn inspect(args: &args::Inspect) -> Result<(), Fault> {
    let limits = args.limits.limits();
    let file = Arc::new(ComponentFile::open(&args.step.path)?);
    let size = file.size();
    if size > limits.component.0 {
        let message = format!(
            "the component has {size} bytes, more than the limit of {}",
            limits.component
        );
        return Err(
            Fault::new(ErrorKind::InvalidComponent, message).hint(LimitKind::ComponentBytes.hint())
        );
    }
    let sandbox = surroundings::sandbox(surroundings::compile_cache(args.cache.as_deref()))?;
    let (digest, opened) = surroundings::runtime()?.block_on(async {
        let digest = file.digest().await?;
        let opening = sandbox.open_with(digest, size, &limits, || file.read(digest));
        Ok::<_, Fault>((digest, opening.await))
    })?;
    let opened = opened.map_err(|error| match error {
        PrepareError::Fault(fault) => fault,
        PrepareError::LimitExceeded { limit, allowed } => {
            let message =
                format!("looking at the component exceeded the limit `{limit}` of {allowed}");
            Fault::new(ErrorKind::InvalidComponent, message).hint(limit.hint())
        }
    })?;
    let description = opened.description();
    let chosen = match args.step.function.as_deref() {
        Some(name) => {
            let found = description.signature.resolve(Some(name));
            found.map_err(|error| Fault::new(ErrorKind::NotAStep, error.to_string()))?
        }
        None => None,
    };
    match args.json {
        true => out(&inert(as_json(description, digest, size))),
        false => out(&as_text(
            &args.step.path.display().to_string(),
            description,
            chosen,
            digest,
            size,
        )),
    }
}

fn as_json(description: &Description, digest: Digest, size: u64) -> String {
    let imports: Vec<_> = description
        .imports
        .iter()
        .map(|import| json!({"name": import.name, "provided": import.provided, "gets": gets(&import.name)}))
        .collect();
    let json = json!({
        "format": "wharf.inspect/1",
        "digest": digest,
        "size": size,
        "docs": description.docs,
        "kind": description.kind,
        "signature": description.signature,
        "imports": imports,
    });
    format!("{json:#}\n")
}

fn as_text(
    path: &str,
    description: &Description,
    chosen: Option<&Function>,
    digest: Digest,
    size: u64,
) -> String {
    let mut text = format!("{path}\n  digest  {digest}\n  size    {}\n", bytes(size));
    if description.kind == Kind::CoreModule {
        text.push_str("  kind    core module for WASI preview 1\n");
    }
    text.push_str(&indented("", description.docs.as_deref()));
    match &description.signature {
        Signature::Program => {
            text.push_str(
                "\nA program: it reads /in/NAME, writes /out/NAME, and takes arguments.\n",
            );
            text.push_str(&format!(
                "\nRun it:\n  wharf run {path} --in NAME=PATH --out NAME=PATH -- ARGUMENTS\n"
            ));
        }
        Signature::Typed { functions } => {
            let shown = functions
                .iter()
                .filter(|f| chosen.is_none_or(|chosen| chosen.name == f.name));
            for function in shown {
                text.push_str(&function_text(path, function, functions.len() > 1));
            }
        }
    }
    text.push_str(&imports_text(description));
    text
}

fn function_text(path: &str, function: &Function, several: bool) -> String {
    let mut text = String::from("\n");
    for definition in function.definitions() {
        text.push_str(&definition.definition().unwrap_or_default());
        text.push_str("\n\n");
    }
    text.push_str(&indented("/// ", function.docs.as_deref()));
    text.push_str(&format!("{function}\n"));
    let reference = match several {
        true => format!("{path}#{}", function.name),
        false => path.to_owned(),
    };
    text.push_str(&format!(
        "\nRun it:\n  wharf run {reference}{}\n",
        usage(function)
    ));
    text
}

fn indented(prefix: &str, docs: Option<&str>) -> String {
    let lines = docs.into_iter().flat_map(str::lines);
    lines
        .map(|line| format!("{prefix}{line}").trim_end().to_owned() + "\n")
        .collect()
}

/// The parameters of a function, as a command line takes them.
fn usage(function: &Function) -> String {
    let argument = |parameter: &wharf_model::signature::Parameter| {
        let name = &parameter.name;
        match &parameter.ty {
            ParameterType::Input {
                arity: Arity::Optional,
                ..
            } => format!(" [{name}=PATH]"),
            ParameterType::Input {
                arity: Arity::Many, ..
            } => format!(" {name}=PATH..."),
            ParameterType::Input { .. } | ParameterType::Output { .. } => format!(" {name}=PATH"),
            ParameterType::Value {
                value: ValueType::Option { some },
            } => {
                format!(" [{name}={}]", some.to_string().to_uppercase())
            }
            ParameterType::Value { value } => {
                format!(" {name}={}", value.to_string().to_uppercase())
            }
        }
    };
    function.parameters.iter().map(argument).collect()
}

fn imports_text(description: &Description) -> String {
    let groups = import_groups(description);
    let width = groups.iter().map(|(names, _)| names.len()).max();
    let width = width.unwrap_or(0);
    let lines = groups
        .iter()
        .map(|(names, gets)| format!("  {names:width$}  {gets}\n"));
    let lines: String = lines.collect();
    match lines.is_empty() {
        true => "\nImports:\n  none\n".to_owned(),
        false => format!("\nImports:\n{lines}"),
    }
}

/// Interfaces of one package by which a step gets the same, in one line: a language
/// runtime imports dozens.
fn import_groups(description: &Description) -> Vec<(String, &'static str)> {
    let mut groups: BTreeMap<(&str, &str, &'static str), Vec<&str>> = BTreeMap::new();
    for import in &description.imports {
        let gets = match import.provided {
            true => gets(&import.name),
            false => "MISSING: nobody provides it",
        };
        let (name, version) = import.name.split_once('@').unwrap_or((&import.name, ""));
        let (package, interface) = name.split_once('/').unwrap_or((name, ""));
        let group = groups.entry((package, version, gets)).or_default();
        group.push(interface);
    }
    let group = |((package, version, gets), interfaces): (_, Vec<&str>)| {
        let version = match version {
            "" => String::new(),
            version => format!("@{version}"),
        };
        (format!("{package}{}{version}", several(&interfaces)), gets)
    };
    groups.into_iter().map(group).collect()
}

/// Names of interfaces after that of their package.
fn several(interfaces: &[&str]) -> String {
    match interfaces {
        [] | [""] => String::new(),
        [one] => format!("/{one}"),
        [a, b] => format!("/{{{a},{b}}}"),
        [a, b, c] => format!("/{{{a},{b},{c}}}"),
        [first, rest @ ..] => format!("/{{{first} + {} more}}", rest.len()),
    }
}

/// What a step gets where it imports an interface, and what would change that.
fn gets(import: &str) -> &'static str {
    let (interface, _) = import.split_once('@').unwrap_or((import, ""));
    match interface.split_once('/') {
        Some(("wharf:step", "artifacts")) => "the artifacts that it is bound to",
        Some(("wharf:step", "context")) => "logical time, partition, seed",
        Some(("wharf:step", "telemetry")) => "logs, progress, metrics",
        Some(("wharf:step", _)) => "types; no permission",
        Some(("wasi:io", _)) => "streams; no permission",
        Some(("wasi:clocks", _)) => "a virtual clock; the real one with --allow clock",
        Some(("wasi:random", _)) => "a seeded source; true randomness with --allow entropy",
        Some(("wasi:cli", "environment")) => "its arguments; variables with --allow env:NAME",
        Some(("wasi:cli", "stdout" | "stderr")) => "lines in the log",
        Some(("wasi:cli", "exit")) => "to end itself",
        Some(("wasi:cli", _)) => "nothing: no input, no terminal",
        Some(("wasi:filesystem", _)) => "/in and /out for programs; nothing for typed steps",
        Some(("wasi:sockets", _)) => "nothing: every call is refused",
        _ if import.starts_with("wasi_snapshot_preview1") => {
            "/in, /out, arguments; virtual clock and seeded randomness"
        }
        _ => "",
    }
}
