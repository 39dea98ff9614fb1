//! `wharf doctor`: what this machine offers.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use landlock::{ABI, Access, AccessFs, CompatLevel, Compatible, Ruleset, RulesetAttr};
use serde::Serialize;
use wharf_model::limits::Limits;
use wharf_model::{Digest, Fault};
use wharf_sandbox::WASMTIME_VERSION;
use wharf_store::Location;

use crate::args;
use crate::report::{bytes, out};
use crate::surroundings;

/// One thing that was looked at.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Check {
    name: &'static str,
    state: State,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    /// There, and it works.
    Ok,
    /// Not there; something is slower, weaker or cannot be done.
    Missing,
    /// Not there, and nothing is wrong with that.
    None,
    /// There, and it does not work.
    Broken,
}

pub(crate) fn doctor(args: &args::Doctor) -> Result<(), Fault> {
    let mut checks = vec![
        wharf(),
        machine(),
        compiler()?,
        cache(args),
        store(args),
        landlock(),
        seccomp(),
    ];
    checks.extend(toolchains());
    let text = match args.json {
        true => {
            let json = serde_json::json!({"format": "wharf.doctor/1", "checks": checks});
            format!("{json:#}\n")
        }
        false => checks.iter().map(check_text).collect(),
    };
    out(&text)
}

fn check_text(check: &Check) -> String {
    let mark = match check.state {
        State::Ok => "ok     ",
        State::Missing => "missing",
        State::None => "-      ",
        State::Broken => "BROKEN ",
    };
    let hint = check
        .hint
        .iter()
        .map(|hint| format!("{:27}{hint}\n", ""))
        .collect::<String>();
    format!("{mark}  {:16}  {}\n{hint}", check.name, check.detail)
}

fn ok(name: &'static str, detail: impl Into<String>) -> Check {
    Check {
        name,
        state: State::Ok,
        detail: detail.into(),
        hint: None,
    }
}

fn not_ok(
    name: &'static str,
    state: State,
    detail: impl Into<String>,
    hint: impl Into<String>,
) -> Check {
    Check {
        name,
        state,
        detail: detail.into(),
        hint: Some(hint.into()),
    }
}

fn wharf() -> Check {
    let host = surroundings::host();
    ok(
        "wharf",
        format!(
            "{}, with wasmtime {WASMTIME_VERSION}, on {}",
            host.version, host.platform
        ),
    )
}

fn machine() -> Check {
    let cores = surroundings::cores();
    let info = rustix::system::sysinfo();
    let memory = info.totalram.saturating_mul(u64::from(info.mem_unit));
    ok(
        "machine",
        format!("{cores} cores, {} memory", bytes(memory)),
    )
}

/// Compiles the smallest component there is, the way that steps are compiled.
fn compiler() -> Result<Check, Fault> {
    /// `(component)` in binary.
    const EMPTY: [u8; 8] = [0, b'a', b's', b'm', 0x0d, 0, 1, 0];
    let sandbox = surroundings::sandbox(None)?;
    let opened = surroundings::runtime()?.block_on(sandbox.open(
        EMPTY.to_vec(),
        Digest::of(&EMPTY),
        &Limits::default(),
    ));
    Ok(match opened {
        // It has nothing to run, which the child can only say if it works.
        Err(error) if error.to_string().contains("exports nothing") => ok(
            "compiler",
            "components are compiled in a process of their own, with limits",
        ),
        Err(error) => not_ok(
            "compiler",
            State::Broken,
            error.to_string(),
            "no step can be compiled here",
        ),
        Ok(_) => not_ok(
            "compiler",
            State::Broken,
            "it takes what is not a step",
            "reinstall Wharf",
        ),
    })
}

fn cache(args: &args::Doctor) -> Check {
    let Some(folder) = surroundings::cache_folder(args.places.cache.as_deref()) else {
        let hint = "set HOME, XDG_CACHE_HOME or WHARF_CACHE; without a cache every run compiles";
        return not_ok(
            "compile cache",
            State::Missing,
            "there is no place for it",
            hint,
        );
    };
    match wharf_sandbox::CompileCache::open(&folder) {
        Ok(cache) => {
            let (entries, size) = cache.usage();
            ok(
                "compile cache",
                format!(
                    "{} ({entries} components, {})",
                    folder.display(),
                    bytes(size)
                ),
            )
        }
        Err(fault) => {
            let hint = fault
                .advice()
                .unwrap_or("without a cache every run compiles")
                .to_owned();
            not_ok("compile cache", State::Broken, fault.to_string(), hint)
        }
    }
}

fn store(args: &args::Doctor) -> Check {
    let given = args.places.store.as_deref();
    let checked = surroundings::store_location(given).and_then(|location| {
        let shown = location.to_string();
        if matches!(&location, Location::Folder(folder) if !folder.is_dir()) {
            return Ok((shown, false));
        }
        let store = surroundings::open_store(&location, args.places.cache.as_deref())?;
        surroundings::runtime()?.block_on(store.prepare())?;
        Ok((shown, true))
    });
    match checked {
        Ok((shown, true)) => ok("store", shown),
        Ok((shown, false)) => not_ok("store", State::None, shown, "the first run makes it"),
        Err(fault) => {
            let hint = fault.advice().unwrap_or_default().to_owned();
            not_ok("store", State::Broken, fault.to_string(), hint)
        }
    }
}

/// The newest Landlock that the kernel has: creating a rule set (which confines
/// nobody) fails where a right in it is unknown.
fn landlock() -> Check {
    let abis = [ABI::V6, ABI::V5, ABI::V4, ABI::V3, ABI::V2, ABI::V1];
    let newest = abis.into_iter().find(|abi| {
        let rules = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
        rules
            .handle_access(AccessFs::from_all(*abi))
            .and_then(Ruleset::create)
            .is_ok()
    });
    match newest {
        Some(abi) => ok(
            "landlock",
            format!("file system rights of ABI {abi:?} or newer"),
        ),
        None => not_ok(
            "landlock",
            State::Missing,
            "this kernel has none, or it is turned off",
            "the second wall around steps will not be available",
        ),
    }
}

fn seccomp() -> Check {
    let actions =
        std::fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail").unwrap_or_default();
    match actions.split_whitespace().any(|action| action == "errno") {
        true => ok("seccomp", "system calls can be filtered"),
        false => not_ok(
            "seccomp",
            State::Missing,
            "this kernel has none",
            "the second wall around steps will not be available",
        ),
    }
}

/// What it takes to build steps in some language.
struct Toolchain {
    name: &'static str,
    command: &'static [&'static str],
    /// What the output of the command must have in it.
    wanted: &'static str,
    hint: &'static str,
}

const TOOLCHAINS: [Toolchain; 5] = [
    Toolchain {
        name: "rust guests",
        command: &["rustup", "target", "list", "--installed"],
        wanted: "wasm32-wasip2",
        hint: "rustup target add wasm32-wasip2",
    },
    Toolchain {
        name: "python guests",
        command: &["componentize-py", "--version"],
        wanted: "componentize-py",
        hint: "pip install componentize-py",
    },
    Toolchain {
        name: "js guests",
        command: &["node", "--version"],
        wanted: "v",
        hint: "install Node.js, then npm install @bytecodealliance/componentize-js",
    },
    Toolchain {
        name: "go guests",
        command: &["go", "version"],
        wanted: "go version",
        hint: "install Go 1.21 or newer",
    },
    Toolchain {
        name: "c guests",
        command: &["python3", "-m", "ziglang", "version"],
        wanted: "0.",
        hint: "pip install ziglang, or install clang with wasi-libc",
    },
];

fn toolchains() -> Vec<Check> {
    TOOLCHAINS.iter().map(toolchain).collect()
}

fn toolchain(toolchain: &Toolchain) -> Check {
    let [program, arguments @ ..] = toolchain.command else {
        return not_ok(toolchain.name, State::Missing, "unknown", toolchain.hint);
    };
    let output = Command::new(program)
        .args(arguments)
        // Some write beside themselves where they have no home.
        .current_dir(std::env::temp_dir())
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    let text = output
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default();
    match text.lines().find(|line| line.contains(toolchain.wanted)) {
        Some(line) => ok(toolchain.name, short(line)),
        None => not_ok(
            toolchain.name,
            State::None,
            format!("not found by `{}`", toolchain.command.join(" ")),
            format!("to build steps in that language: {}", toolchain.hint),
        ),
    }
}

fn short(line: &str) -> String {
    let path = PathBuf::from(line);
    match path.is_absolute() {
        true => path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default(),
        false => line.trim().to_owned(),
    }
}
