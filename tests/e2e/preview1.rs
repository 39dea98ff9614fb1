//! Core modules for WASI preview 1 that attack the host: by pointers that lead
//! nowhere, by sizes, by paths. Written as text here, since no compiler makes
//! them.

use serde_json::json;

use crate::harness::{HOST_BYTES, MIB, Project, Refusal, Wharf};
use crate::limits::exceeds;

/// What the modules here import; `$name` calls it.
const IMPORTS: &[(&str, &str)] = &[
    ("args_get", "i32 i32"),
    ("clock_time_get", "i32 i64 i32"),
    ("environ_sizes_get", "i32 i32"),
    ("fd_allocate", "i32 i64 i64"),
    ("fd_filestat_set_size", "i32 i64"),
    ("fd_prestat_dir_name", "i32 i32 i32"),
    ("fd_pwrite", "i32 i32 i32 i64 i32"),
    ("fd_readdir", "i32 i32 i32 i64 i32"),
    ("fd_write", "i32 i32 i32 i32"),
    ("path_create_directory", "i32 i32 i32"),
    ("path_link", "i32 i32 i32 i32 i32 i32 i32"),
    ("path_open", "i32 i32 i32 i32 i32 i64 i64 i32 i32"),
    ("path_rename", "i32 i32 i32 i32 i32 i32"),
    ("path_symlink", "i32 i32 i32 i32 i32"),
    ("path_unlink_file", "i32 i32 i32"),
    ("poll_oneoff", "i32 i32 i32 i32"),
    ("random_get", "i32 i32"),
    ("sock_accept", "i32 i32 i32"),
    ("sock_send", "i32 i32 i32 i32 i32"),
];

/// Rights to read and to write, and the flag to create.
const READ: u64 = 1 << 1;
const WRITE: u64 = 1 << 6;
const CREATE: u32 = 1;

/// A module with one page of memory that begins with a text. `body` uses `$r`
/// for a result.
fn module(text: &str, body: &str) -> Vec<u8> {
    let import = |(name, parameters): &(&str, &str)| {
        format!(
            r#"(import "wasi_snapshot_preview1" "{name}"
                 (func ${name} (param {parameters}) (result i32)))"#
        )
    };
    let imports: String = IMPORTS.iter().map(import).collect();
    let text = format!(
        r#"(module {imports}
            (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
            (memory (export "memory") 1)
            (data (i32.const 0) "{text}")
            (func (export "_start") (local $r i32) {body}))"#
    );
    wat::parse_str(text).expect("the text is a module")
}

/// A call with constants; 64-bit ones have an `L` at their end, as in C.
fn call(name: &str, arguments: &str) -> String {
    let constant = |argument: &str| match argument.strip_suffix('L') {
        Some(long) => format!("(i64.const {long})"),
        None => format!("(i32.const {argument})"),
    };
    let constants: String = arguments.split(' ').map(constant).collect();
    format!("(call ${name} {constants})")
}

fn open(fd: u32, path: &str, oflags: u32, rights: u64) -> String {
    let len = path.len();
    call(
        "path_open",
        &format!("{fd} 0 0 {len} {oflags} {rights}L 0L 0 60000"),
    )
}

fn project(text: &str, body: &str) -> Project {
    let project = Project::with(&[("data", "the input")]);
    project.write("step.wasm", module(text, body));
    project
}

/// A run with `/in/data` and `/out/data`, which are descriptors 3 and 4.
fn run(project: &Project, options: &[&str]) -> Wharf {
    let artifacts = ["--in", "data=data", "--out", "data=out"];
    project.step("step.wasm", &[&artifacts[..], options].concat())
}

#[test]
fn exit_codes_are_told_apart() {
    for (code, status, exit) in [(3, "permanent", 1), (75, "transient", 75)] {
        let project = project("", &format!("(call $proc_exit (i32.const {code}))"));
        let outcome = run(&project, &[]).record(exit)["outcome"].clone();
        assert_eq!(outcome["retry"], status);
        let said = outcome["message"].as_str().unwrap();
        assert!(said.contains(&format!("exit code {code}")), "{said}");
        project.holds(&["data", "step.wasm"]);
    }
    let project = project("", "(call $proc_exit (i32.const 0))");
    let outcome = project.step("step.wasm", &[]).record(0)["outcome"].clone();
    assert_eq!(outcome, json!({"status": "succeeded", "results": null}));
}

#[test]
fn a_pointer_that_leads_nowhere_is_a_trap() {
    // At 0: a buffer that begins within memory and ends beyond it.
    let vector = r"\f0\ff\00\00\ff\ff\ff\ff";
    for (name, arguments) in [
        ("args_get", "65535 65535"),
        ("clock_time_get", "0 0L -1"),
        ("environ_sizes_get", "-4 0"),
        ("fd_prestat_dir_name", "3 65535 3"),
        ("fd_readdir", "3 65000 -1 0L 100"),
        ("fd_write", "1 0 1 100"),
        ("fd_write", "1 -8 1 100"),
        ("fd_write", "1 65532 1 100"),
        ("path_create_directory", "4 -1 -1"),
        ("path_open", "4 0 60000 6000 1 64L 0L 0 100"),
        ("poll_oneoff", "65530 0 1 100"),
        ("random_get", "65530 100"),
        ("random_get", "-1 -1"),
    ] {
        // Where a call may also refuse what it was given, the trap has to come
        // from the module itself: it fails with an exit code otherwise.
        let body = format!("(drop {})", call(name, arguments));
        let project = project(vector, &body);
        let outcome = run(&project, &[]).record(1)["outcome"].clone();
        let ended = outcome.to_string();
        let is_trap = ended.contains("out of bounds");
        let is_limit = outcome["limit"] == "random-bytes";
        assert!(is_trap || is_limit, "{name} {arguments}: {outcome}");
        project.holds(&["data", "step.wasm"]);
    }
}

/// Asserts that each call gives an error number, and that nothing changed.
#[track_caller]
fn all_refused(text: &str, calls: &[String]) {
    let checks: String = (10..)
        .zip(calls)
        .map(|(code, call)| {
            format!("(if (i32.eqz {call}) (then (call $proc_exit (i32.const {code}))))")
        })
        .collect();
    let project = project(text, &checks);
    let outcome = run(&project, &[]).record(1)["outcome"].clone();
    let message = outcome["message"].as_str().unwrap_or_default();
    // The code is the place of the call that was not refused.
    assert!(
        message.contains("did not write `/out/data`"),
        "{calls:?}: {outcome}"
    );
    project.holds(&["data", "step.wasm"]);
    assert_eq!(project.text("data"), "the input");
}

#[test]
fn no_path_leads_outside() {
    for path in [
        "/etc/passwd",
        "../etc/passwd",
        "..",
        "a/../../x",
        "../../../../../../../../etc/passwd",
        "./../in/data",
        "",
        "a\\00b",
        "/",
    ] {
        let len = path.replace("\\00", "0").len();
        let opened = |fd, oflags, rights: u64| {
            call(
                "path_open",
                &format!("{fd} 0 0 {len} {oflags} {rights}L 0L 0 60000"),
            )
        };
        let calls = [
            opened(3, 0, READ),
            opened(4, 0, READ),
            opened(4, CREATE, READ | WRITE),
            call("path_create_directory", &format!("4 0 {len}")),
            call("path_unlink_file", &format!("4 0 {len}")),
            call("path_rename", &format!("4 0 {len} 4 0 {len}")),
            call("path_link", &format!("3 0 0 {len} 4 0 {len}")),
            call("path_symlink", &format!("0 {len} 4 0 {len}")),
        ];
        all_refused(path, &calls);
    }
}

#[test]
fn an_input_cannot_be_changed_by_a_module() {
    let calls = [
        open(3, "data", CREATE, READ | WRITE),
        open(3, "data", 0, WRITE),
        // Truncates.
        open(3, "data", 8, READ),
        open(3, "datb", CREATE, WRITE),
        call("path_unlink_file", "3 0 4"),
        call("path_rename", "3 0 4 4 0 4"),
        call("path_rename", "3 0 4 3 1 3"),
        call("path_link", "3 0 0 4 4 0 4"),
        call("path_create_directory", "3 1 3"),
        call("fd_filestat_set_size", "3 0L"),
    ];
    all_refused("data", &calls);
    // Through a descriptor that may read.
    let opened = open(3, "data", 0, READ);
    let body = format!(
        "(if {opened} (then (call $proc_exit (i32.const 9))))
         (if (i32.eqz (call $fd_filestat_set_size (i32.load (i32.const 60000)) (i64.const 0)))
           (then (call $proc_exit (i32.const 10))))
         (if (i32.eqz (call $fd_allocate (i32.load (i32.const 60000)) (i64.const 0) (i64.const 99)))
           (then (call $proc_exit (i32.const 11))))
         (if (i32.eqz (call $fd_pwrite (i32.load (i32.const 60000))
             (i32.const 0) (i32.const 0) (i64.const 0) (i32.const 100)))
           (then (call $proc_exit (i32.const 12))))"
    );
    let project = project("data", &body);
    let outcome = run(&project, &[]).record(1)["outcome"].clone();
    let message = outcome["message"].as_str().unwrap_or_default();
    assert!(message.contains("did not write `/out/data`"), "{outcome}");
    assert_eq!(project.text("data"), "the input");
}

#[test]
fn there_are_no_sockets() {
    let sockets = (0..8).flat_map(|fd| {
        let accept = call("sock_accept", &format!("{fd} 0 100"));
        let send = call("sock_send", &format!("{fd} 0 0 0 100"));
        [accept, send]
    });
    all_refused("", &sockets.collect::<Vec<_>>());
}

#[test]
fn a_module_sees_no_environment_and_no_time_of_day() {
    // 2000-01-01T00:00:00Z in nanoseconds, and an hour of sleep: a subscription
    // to the clock at 0, relative, with its timeout at byte 24.
    let body = "
        (if (call $environ_sizes_get (i32.const 100) (i32.const 104))
          (then (call $proc_exit (i32.const 10))))
        (if (i32.load (i32.const 100)) (then (call $proc_exit (i32.const 11))))
        (if (call $clock_time_get (i32.const 0) (i64.const 0) (i32.const 200))
          (then (call $proc_exit (i32.const 12))))
        (if (i64.ne (i64.div_u (i64.load (i32.const 200)) (i64.const 1000000000))
            (i64.const 946684800))
          (then (call $proc_exit (i32.const 13))))
        (i32.store (i32.const 16) (i32.const 1))
        (i64.store (i32.const 24) (i64.const 3600000000000))
        (if (call $poll_oneoff (i32.const 0) (i32.const 300) (i32.const 1) (i32.const 400))
          (then (call $proc_exit (i32.const 14))))
        (drop (call $clock_time_get (i32.const 0) (i64.const 0) (i32.const 200)))
        (if (i64.ne (i64.div_u (i64.load (i32.const 200)) (i64.const 1000000000))
            (i64.const 946688400))
          (then (call $proc_exit (i32.const 15))))";
    let project = project("", body);
    let run = project.step("step.wasm", &["--timeout", "60s"]);
    run.env("SECRET", "hunter2").record(0);
}

#[test]
fn limits_hold_for_modules_too() {
    let endless = |call: &str| format!("(loop $again (drop {call}) (br $again))");
    // 1024 buffers, each of the same 60,000 bytes: 58 MiB a call.
    let vectors = "(loop $fill
        (i32.store (i32.add (i32.const 1000) (local.get $r)) (i32.const 0))
        (i32.store (i32.add (i32.const 1004) (local.get $r)) (i32.const 60000))
        (local.set $r (i32.add (local.get $r) (i32.const 8)))
        (br_if $fill (i32.lt_u (local.get $r) (i32.const 8192))))";
    let create = format!("(drop {})", open(4, "data", CREATE, READ | WRITE));
    let file = "(i32.load (i32.const 60000))";
    for (body, limit, allowed) in [
        ("(loop $again (br $again))".to_owned(), "time", "2 s"),
        (endless(&call("random_get", "0 60000")), "time", "2 s"),
        (
            endless(&format!("(memory.grow {})", "(i32.const 16)")),
            "memory",
            "64 MiB",
        ),
        (endless(&open(3, "data", 0, READ)), "handles", "1024"),
        (
            format!(
                "{vectors} {}",
                endless(&call("fd_write", "1 1000 1024 900"))
            ),
            "log-bytes",
            "4 MiB",
        ),
        (
            format!(
                "{create} {vectors} {}",
                endless(&format!(
                    "(call $fd_write {file} (i32.const 1000) (i32.const 1024) (i32.const 900))"
                ))
            ),
            "output-bytes",
            "256 MiB",
        ),
        (
            format!(
                "{create} (drop (call $fd_filestat_set_size {file} (i64.const 1099511627776)))"
            ),
            "output-bytes",
            "256 MiB",
        ),
        (
            format!(
                "{create} (drop (call $fd_pwrite {file} (i32.const 1000) (i32.const 1)
                    (i64.const 1099511627776) (i32.const 900)))"
            ),
            "output-bytes",
            "256 MiB",
        ),
    ] {
        let body = format!("(i32.store (i32.const 1004) (i32.const 8)) {body}");
        let project = project("data", &body);
        let options = [
            "--timeout",
            "2s",
            "--memory",
            "64MiB",
            "--max-output",
            "256MiB",
        ];
        exceeds(&project, run(&project, &options), limit, allowed);
    }
}

#[test]
fn waiting_for_too_much_is_no_way_to_the_hosts_memory() {
    for count in ["-1", "1000000", "100000"] {
        let body = format!(
            "(drop (memory.grow (i32.const 200))) (drop {})",
            call("poll_oneoff", &format!("0 0 {count} 100"))
        );
        let project = project("", &body);
        let ended = run(&project, &["--timeout", "5s"]).run().exits(1);
        ended.stays_below(16 * MIB + HOST_BYTES);
    }
}

#[test]
fn a_function_that_preview_1_does_not_have_is_named() {
    let project = Project::new();
    let module = r#"(module
        (import "wasi_snapshot_preview1" "path_format_disk" (func))
        (memory (export "memory") 1) (func (export "_start")))"#;
    project.write("step.wasm", wat::parse_str(module).unwrap());
    let refusal = Refusal {
        code: 1,
        kind: "missing-import",
        says: &["path_format_disk", "nobody provides"],
    };
    project.refuses_step("step.wasm", &[], &refusal);
}

#[test]
fn a_function_with_other_parameters_is_refused() {
    let project = Project::new();
    let module = r#"(module
        (import "wasi_snapshot_preview1" "fd_write" (func (param i64)))
        (memory (export "memory") 1) (func (export "_start")))"#;
    project.write("step.wasm", wat::parse_str(module).unwrap());
    let ended = project.step("step.wasm", &["--json"]).run().exits(1);
    assert_ne!(ended.json()["error"]["kind"], "internal", "{ended}");
}

/// A processor's own NaN has another sign, and another payload where one of the
/// operands was a NaN.
#[test]
fn a_nan_has_the_same_bits_everywhere() {
    let made = "(f64.store (i32.const 1000) (f64.div (f64.load (i32.const 2000)) (f64.const 0)))
        (f64.store (i32.const 1008)
            (f64.mul (f64.const -nan:0x123456789) (f64.const 2)))
        (v128.store (i32.const 1016)
            (f32x4.sqrt (f32x4.splat (f32.neg (f32.const 1)))))";
    let create = format!("(drop {})", open(4, "data", CREATE, READ | WRITE));
    let vector =
        "(i32.store (i32.const 500) (i32.const 1000)) (i32.store (i32.const 504) (i32.const 32))";
    let write = "(drop (call $fd_write (i32.load (i32.const 60000)) (i32.const 500) (i32.const 1) (i32.const 600)))";
    let project = project("data", &format!("{create} {made} {vector} {write}"));
    run(&project, &[]).record(0);
    let double = 0x7ff8_0000_0000_0000_u64.to_le_bytes();
    let single = 0x7fc0_0000_u32.to_le_bytes();
    let wanted = [&double[..], &double, &single, &single, &single, &single].concat();
    assert_eq!(project.read("out"), wanted);
}
