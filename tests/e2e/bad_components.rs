//! Files that are not what they should be.

use std::time::Duration;

use crate::harness::{Project, Refusal, WHARF, guest};

fn refuses(project: &Project, component: &str, kind: &str, says: &[&str]) {
    let code = if kind == "component-file" { 2 } else { 1 };
    project.refuses_step(component, &[], &Refusal { code, kind, says });
    project.refuses(&["inspect", component], &Refusal { code, kind, says });
}

#[test]
fn a_missing_component_is_refused() {
    let says = [
        "the component `nope.wasm` does not exist",
        "relative to the current folder",
    ];
    refuses(&Project::new(), "nope.wasm", "component-file", &says);
}

#[test]
fn a_folder_is_not_a_component() {
    let project = Project::with(&[("folder.wasm/file", "x")]);
    let says = ["`folder.wasm` is a folder", "the path of a .wasm file"];
    refuses(&project, "folder.wasm", "component-file", &says);
}

#[test]
fn files_that_are_not_wasm_are_told_apart() {
    let noise = (0_u32..4096).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8);
    let elf = std::fs::read(WHARF).expect("the binary is there");
    let hint = "give the path of a component, as built for the target wasm32-wasip2";
    for (bytes, what, hint) in [
        (vec![], "the file is empty", hint),
        (
            b"(component)".to_vec(),
            "WebAssembly text, not binary",
            "wasm-tools parse",
        ),
        (elf[..65536].to_vec(), "a native program", hint),
        (noise.collect(), "the file is not WebAssembly", hint),
        (b"#!/bin/sh\n".to_vec(), "the file is not WebAssembly", hint),
        (b"\0asm".to_vec(), "WebAssembly", hint),
        (b"\0asm\x09\0\0\0".to_vec(), "an unknown version", hint),
    ] {
        let project = Project::new();
        project.write("step.wasm", bytes);
        refuses(&project, "step.wasm", "not-a-component", &[what, hint]);
    }
}

#[test]
fn a_truncated_component_is_refused_wherever_it_ends() {
    let whole = std::fs::read(guest("copy")).expect("the guest is there");
    let project = Project::new();
    for length in [
        9,
        64,
        1000,
        whole.len() / 2,
        whole.len() - 1000,
        whole.len() - 1,
    ] {
        project.write("step.wasm", &whole[..length]);
        let says = ["the component is damaged", "build or download it again"];
        refuses(&project, "step.wasm", "invalid-component", &says);
    }
}

/// Not every flipped byte is seen (it may be in a name), but none may crash the
/// host or be a fault of Wharf's.
#[test]
fn a_flipped_byte_ends_in_a_refusal_or_an_outcome() {
    let whole = std::fs::read(guest("noop")).expect("the guest is there");
    let project = Project::with(&[("data", "x")]);
    for part in 1..24 {
        let at = whole.len() * part / 24;
        let mut bad = whole.clone();
        bad[at] ^= 0x55;
        project.write("step.wasm", bad);
        let arguments = [
            "data=data",
            "result=r",
            "--force",
            "--json",
            "--timeout",
            "20s",
        ];
        // A cache of its own: what is compiled here is not worth keeping.
        let run = project.step("step.wasm", &arguments);
        let ended = run.env("WHARF_CACHE", project.path("cache")).run();
        let code = ended.status.code();
        assert!(matches!(code, Some(0..=2)), "byte {at}: {ended}");
        let kind = ended.json()["error"]["kind"].clone();
        assert_ne!(kind, "internal", "byte {at}: {ended}");
    }
}

#[test]
fn a_core_module_without_wasi_is_refused() {
    let says = [
        "a core module that is not a program for WASI",
        "no `_start`",
        "wasm32-wasip2",
    ];
    refuses(
        &Project::new(),
        &guest("hostile-no-wasi"),
        "not-a-step",
        &says,
    );
}

#[test]
fn a_module_that_imports_from_elsewhere_is_refused() {
    let project = Project::new();
    let module = r#"(module (import "env" "jit" (func)) (memory (export "memory") 1)
        (func (export "_start")))"#;
    project.write("step.wasm", wat::parse_str(module).unwrap());
    let says = ["the module imports `env` `jit`, which nobody provides"];
    refuses(&project, "step.wasm", "missing-import", &says);
}

#[test]
fn a_component_without_a_usable_export_is_refused() {
    let says = ["exports nothing"];
    refuses(
        &Project::new(),
        &guest("hostile-no-export"),
        "not-a-step",
        &says,
    );
    let project = Project::new();
    project.write("step.wasm", wat::parse_str("(component)").unwrap());
    refuses(&project, "step.wasm", "not-a-step", &says);
}

#[test]
fn an_import_that_nobody_provides_is_named() {
    let project = Project::new();
    let step = guest("hostile-missing-import");
    let says = [
        "imports `acme:gpu/kernels@1.0.0`, which nobody provides",
        "wharf:step@0.1",
    ];
    let refusal = Refusal {
        code: 1,
        kind: "missing-import",
        says: &says,
    };
    project.refuses_step(&step, &[], &refusal);
    let inspected = project.wharf(["inspect", &step]).run().exits(0);
    let line = "acme:gpu/kernels@1.0.0  MISSING: nobody provides it";
    assert!(inspected.stdout.contains(line), "{inspected}");
}

#[test]
fn a_component_with_one_function_of_a_megabyte_is_refused_fast() {
    let body = "(drop (i32.const 1))".repeat(300_000);
    let text = format!(
        r#"(component
            (core module $m (func (export "run") {body}))
            (core instance $i (instantiate $m))
            (func (export "run") (canon lift (core func $i "run"))))"#
    );
    let project = Project::new();
    let wasm = wat::parse_str(text).unwrap();
    assert!(wasm.len() > 900_000);
    project.write("step.wasm", wasm);
    let says = [
        "has a body of 900",
        "compile time grows faster than size",
        "split the function",
    ];
    refuses(&project, "step.wasm", "invalid-component", &says);
    let ended = project.step("step.wasm", &[]).run();
    assert!(
        ended.took < Duration::from_secs(10),
        "{:?}: {ended}",
        ended.took
    );
}

#[test]
fn a_component_that_nests_too_deeply_is_refused() {
    let depth = 100;
    let text = format!("{}{}", "(component ".repeat(depth), ")".repeat(depth));
    let project = Project::new();
    project.write("step.wasm", wat::parse_str(text).unwrap());
    let says = ["components nested in each other"];
    refuses(&project, "step.wasm", "invalid-component", &says);
}

/// Few bytes of types that are huge when they are spelt out.
#[test]
fn a_type_that_doubles_with_each_level_is_refused() {
    let levels: String = (1..40)
        .map(|level| {
            let (this, below) = (format!("$t{level}"), format!("$t{}", level - 1));
            format!("(type {this} (tuple {below} {below}))")
        })
        .collect();
    let text = format!(
        r#"(component
            (core module $m (memory (export "memory") 1)
                (func (export "run") (param i32))
                (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 0))
            (core instance $i (instantiate $m))
            (type $t0 (tuple bool bool)) {levels}
            (func (export "run") (param "huge" $t39)
                (canon lift (core func $i "run") (memory $i "memory") (realloc (func $i "realloc")))))"#
    );
    let project = Project::new();
    project.write("step.wasm", wat::parse_str(text).unwrap());
    refuses(&project, "step.wasm", "invalid-component", &[]);
}

#[test]
fn a_trap_has_the_guests_own_names() {
    let project = Project::new();
    let step = guest("hostile-unreachable");
    let outcome = project.step(&step, &[]).record(1)["outcome"].clone();
    assert_eq!(outcome["status"], "trapped");
    assert_eq!(
        outcome["backtrace"],
        serde_json::json!(["load_row", "load_table", "fit"])
    );
    let ended = project.step(&step, &[]).run().exits(1);
    ended.says(&[
        "trapped",
        "unreachable",
        "in load_row\n",
        "in load_table\n",
        "in fit\n",
    ]);
    project.holds(&[]);
}
