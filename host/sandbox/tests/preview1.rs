//! Core modules for WASI preview 1, against the sandbox as others use it:
//! hostile ones first, then what limits and outcomes they come to.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cap_std::fs::Dir;
use jiff::Timestamp;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::watch;
use wharf_model::event::{Event, Stream};
use wharf_model::limits::{Bytes, LimitKind, Limits, Millis};
use wharf_model::outcome::Cancellation;
use wharf_model::{Digest, ErrorKind, Grants, Outcome};
use wharf_sandbox::{
    Call, Called, Compiler, Component, Entry, PrepareError, Sandbox, Seed, Stopping,
};

/// A sandbox with a module, and a folder for each of its runs.
struct Program {
    sandbox: Sandbox,
    component: Component,
    limits: Limits,
    grants: Grants,
    cancel: watch::Receiver<Option<Cancellation>>,
}

impl Program {
    async fn new(text: &str) -> Self {
        Self::limited(text, Limits::default()).await
    }

    async fn limited(text: &str, limits: Limits) -> Self {
        let sandbox = Sandbox::new(Compiler::InProcess, None, Stopping::Yielding);
        let component = prepare(&sandbox, text, &limits).await.unwrap();
        Self {
            sandbox,
            component,
            limits,
            grants: Grants::default(),
            cancel: watch::channel(None).1,
        }
    }

    async fn run(&self, arguments: &[&str]) -> (Called, UnboundedReceiver<Event>) {
        let folder = tempfile::tempdir().unwrap();
        self.run_in(folder.path(), arguments).await
    }

    async fn run_in(
        &self,
        folder: &Path,
        arguments: &[&str],
    ) -> (Called, UnboundedReceiver<Event>) {
        let scratch = Dir::open_ambient_dir(folder, cap_std::ambient_authority()).unwrap();
        let (events, received) = unbounded_channel();
        let call = Call {
            entry: Entry::Program {
                arguments: arguments.iter().map(|&text| text.to_owned()).collect(),
                inputs: vec![],
                scratch: Some(scratch),
            },
            step_name: "p".to_owned(),
            limits: self.limits.clone(),
            grants: self.grants.clone(),
            logical_time: Timestamp::UNIX_EPOCH,
            partition: None,
            seed: Seed::known(1),
            events,
            progress: Arc::new(Mutex::default()),
            cancel: self.cancel.clone(),
        };
        let called = self.sandbox.call(&self.component, call).await.unwrap();
        (called, received)
    }

    async fn outcome(&self, arguments: &[&str]) -> Outcome {
        self.run(arguments).await.0.outcome
    }
}

async fn prepare(
    sandbox: &Sandbox,
    text: &str,
    limits: &Limits,
) -> Result<Component, PrepareError> {
    let wasm = wat::parse_str(text).unwrap();
    let digest = Digest::of(&wasm);
    let opened = sandbox.open(wasm, digest, limits).await?;
    sandbox.prepare(opened, limits, |_| {}).await
}

/// A module of one page that imports some functions and has a body.
fn module(imports: &[&str], body: &str) -> String {
    let imports: String = imports.iter().map(|name| import(name)).collect();
    format!("(module {imports} (memory (export \"memory\") 1) {DATA} {body})")
}

/// The functions with their parameters: `f` a descriptor, `p` an address, `n` a
/// length, count or flag, `w` 64 bits.
const FUNCTIONS: &[(&str, &str)] = &[
    ("args_get", "pp"),
    ("args_sizes_get", "pp"),
    ("clock_res_get", "np"),
    ("clock_time_get", "nwp"),
    ("environ_get", "pp"),
    ("environ_sizes_get", "pp"),
    ("fd_advise", "fwwn"),
    ("fd_allocate", "fww"),
    ("fd_close", "f"),
    ("fd_datasync", "f"),
    ("fd_fdstat_get", "fp"),
    ("fd_fdstat_set_flags", "fn"),
    ("fd_fdstat_set_rights", "fww"),
    ("fd_filestat_get", "fp"),
    ("fd_filestat_set_size", "fw"),
    ("fd_filestat_set_times", "fwwn"),
    ("fd_pread", "fpnwp"),
    ("fd_prestat_dir_name", "fpn"),
    ("fd_prestat_get", "fp"),
    ("fd_pwrite", "fpnwp"),
    ("fd_read", "fpnp"),
    ("fd_readdir", "fpnwp"),
    ("fd_renumber", "ff"),
    ("fd_seek", "fwnp"),
    ("fd_sync", "f"),
    ("fd_tell", "fp"),
    ("fd_write", "fpnp"),
    ("path_create_directory", "fpn"),
    ("path_filestat_get", "fnpnp"),
    ("path_filestat_set_times", "fnpnwwn"),
    ("path_link", "fnpnfpn"),
    ("path_open", "fnpnnwwnp"),
    ("path_readlink", "fpnpnp"),
    ("path_remove_directory", "fpn"),
    ("path_rename", "fpnfpn"),
    ("path_symlink", "pnfpn"),
    ("path_unlink_file", "fpn"),
    ("poll_oneoff", "ppnp"),
    ("proc_raise", "n"),
    ("random_get", "pn"),
    ("sched_yield", ""),
    ("sock_accept", "fnp"),
    ("sock_recv", "fpnnpp"),
    ("sock_send", "fpnnp"),
    ("sock_shutdown", "fn"),
];

/// What an import looks like; every function but `proc_exit` returns an error
/// number.
fn import(name: &str) -> String {
    let (parameters, result) = match FUNCTIONS.iter().find(|(known, _)| *known == name) {
        Some((_, parameters)) => (*parameters, "(result i32)"),
        None => ("n", ""),
    };
    let types: String = parameters
        .chars()
        .map(|kind| if kind == 'w' { " i64" } else { " i32" })
        .collect();
    format!(
        "(import \"wasi_snapshot_preview1\" \"{name}\" (func ${name} (param{types}) {result}))\n"
    )
}

/// Paths at 1024 (`f`), 1026 (`d`), 1028 (`..`) and 1032 (`/`); lists of buffers
/// at 2048 (a good one), 2056 (past the end), 2064 (as long as can be), 2072 (a
/// wild address); subscriptions at 2400.
const DATA: &str = r#"
    (data (i32.const 1024) "f\00d\00..\00\00/\00\ff\fe")
    (data (i32.const 2048) "\00\10\00\00\10\00\00\00")
    (data (i32.const 2056) "\ff\ff\00\00\02\00\00\00")
    (data (i32.const 2064) "\00\00\00\00\ff\ff\ff\ff")
    (data (i32.const 2072) "\ff\ff\ff\ff\01\00\00\00")
    (data (i32.const 2400) "\01\00\00\00\00\00\00\00\00")
    (data (i32.const 2448) "\02\00\00\00\00\00\00\00\01")
    (data (i32.const 2496) "\03\00\00\00\00\00\00\00\09")"#;

/// Opens `/out/f` as 5, and `/out/d` as 6; tells the case, which is the number
/// of bytes of the one argument.
const PREPARE: &str = r#"
    (func $prepare (result i32)
        (call $path_open (i32.const 4) (i32.const 0) (i32.const 1024) (i32.const 1) (i32.const 1)
            (i64.const 0x42) (i64.const 0) (i32.const 0) (i32.const 512))
        (if (then (unreachable)))
        (call $path_create_directory (i32.const 4) (i32.const 1026) (i32.const 1))
        (if (then (unreachable)))
        (call $path_open (i32.const 4) (i32.const 0) (i32.const 1026) (i32.const 1) (i32.const 2)
            (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 516))
        (if (then (unreachable)))
        (if (i32.ne (i32.load (i32.const 516)) (i32.const 6)) (then (unreachable)))
        (call $args_sizes_get (i32.const 520) (i32.const 524))
        (if (then (unreachable)))
        (i32.sub (i32.load (i32.const 524)) (i32.const 3)))"#;

/// The values of a kind of parameter: first the harmless ones, each of which
/// the others are combined with.
fn values(kind: char) -> (&'static [i64], &'static [i64]) {
    match kind {
        'f' => (&[5, 4, 6, 1, 0], &[3, 2, 7, 1 << 20, -1]),
        'p' => (
            &[1024, 2048, 2400],
            &[
                0,
                1026,
                1028,
                1032,
                2056,
                2064,
                2072,
                65_535,
                65_536,
                1 << 31,
                -8,
                -1,
            ],
        ),
        'n' => (
            &[1, 2],
            &[0, 3, 25, 1024, 1025, 65_536, 65_537, 1 << 30, 1 << 31, -1],
        ),
        'w' => (&[0], &[1, 3, 1 << 40, i64::MAX, i64::MIN, -1]),
        _ => unreachable!("there is no such kind"),
    }
}

/// Combinations of values: all harmless ones, each parameter wild in turn, and
/// all of them wild.
fn combinations(parameters: &str) -> Vec<Vec<i64>> {
    let kinds: Vec<_> = parameters.chars().map(values).collect();
    let pick = |round: usize| kinds.iter().map(move |(good, _)| good[round % good.len()]);
    let mut all = Vec::new();
    for round in 0..5 {
        let base: Vec<_> = pick(round).collect();
        for (at, (_, wild)) in kinds.iter().enumerate() {
            for value in *wild {
                let mut one = base.clone();
                one[at] = *value;
                all.push(one);
            }
        }
        all.push(base);
        all.push(
            kinds
                .iter()
                .map(|(_, wild)| wild[round % wild.len()])
                .collect(),
        );
    }
    all.sort();
    all.dedup();
    all
}

/// Calls a function with the values of the case; more than an error number may
/// never come back.
fn case(index: usize, name: &str, parameters: &str, values: &[i64]) -> String {
    let constants = parameters
        .chars()
        .zip(values)
        .map(|(kind, value)| match kind {
            'w' => format!("(i64.const {value})"),
            _ => format!("(i32.const {})", *value as i32),
        });
    let constants: String = constants.collect();
    format!(
        "(if (i32.eq (local.get 0) (i32.const {index}))
            (then (if (i32.gt_u (call ${name} {constants}) (i32.const 76)) (then unreachable))))\n"
    )
}

#[tokio::test]
async fn wild_pointers_and_lengths_do_no_harm() {
    let names: Vec<_> = FUNCTIONS.iter().map(|(name, _)| *name).collect();
    let limits = Limits {
        output: Bytes(1 << 20),
        handles: 16,
        ..Limits::default()
    };
    let (mut traps, mut ends, mut errors) = (0, 0, 0);
    for (name, parameters) in FUNCTIONS {
        let cases = combinations(parameters);
        let calls = cases.iter().enumerate();
        let calls: String = calls
            .map(|(index, values)| case(index, name, parameters, values))
            .collect();
        let start =
            format!("(func (export \"_start\") (local i32) (local.set 0 (call $prepare)) {calls})");
        let text = module(&names, &format!("{PREPARE} {start}"));
        let program = Program::limited(&text, limits.clone()).await;
        for (index, values) in cases.iter().enumerate() {
            match program.outcome(&[&"x".repeat(index)]).await {
                Outcome::Succeeded { .. } => errors += 1,
                Outcome::LimitExceeded { limit, .. } => {
                    assert_eq!(limit, LimitKind::OutputBytes, "{name} {values:?}");
                    ends += 1;
                }
                Outcome::Trapped { reason, .. } => {
                    let is_wanted = reason.ends_with("out of bounds memory access");
                    assert!(is_wanted, "{name} {values:?}: {reason}");
                    traps += 1;
                }
                other => panic!("{name} {values:?}: {other:?}"),
            }
        }
    }
    // Each of them is there to be met.
    assert!(
        errors > 500 && traps > 500 && ends > 0,
        "{errors} {traps} {ends}"
    );
}

#[tokio::test]
async fn the_exit_code_is_exact() {
    let text = module(
        &["proc_exit", "args_sizes_get"],
        r#"(func (export "_start")
            (drop (call $args_sizes_get (i32.const 0) (i32.const 4)))
            (call $proc_exit (i32.sub (i32.load (i32.const 4)) (i32.const 3)))
            (unreachable))"#,
    );
    let program = Program::new(&text).await;
    assert!(matches!(
        program.outcome(&[""]).await,
        Outcome::Succeeded { .. }
    ));
    for (argument, wanted) in [("abc", "exit code 3"), (&"x".repeat(200), "exit code 200")] {
        let Outcome::Failed { message, .. } = program.outcome(&[argument]).await else {
            panic!("the program did not fail")
        };
        assert!(message.ends_with(wanted), "{message}");
    }
}

async fn exceeded(text: &str, limits: Limits) -> LimitKind {
    let program = Program::limited(text, limits).await;
    match program.outcome(&[]).await {
        Outcome::LimitExceeded { limit, .. } => limit,
        other => panic!("{other:?}"),
    }
}

/// Repeats something for ever.
fn forever(imports: &[&str], call: &str) -> String {
    let start = format!("(func (export \"_start\") (loop {call} (br 0)))");
    module(imports, &start)
}

#[tokio::test]
async fn limits_hold_as_for_components() {
    let limits = Limits {
        memory: Bytes(2 << 20),
        output: Bytes(4 << 10),
        log: Bytes(16 << 10),
        handles: 100,
        ..Limits::default()
    };
    let write = |fd: u32| {
        format!(
            "(drop (call $fd_write (i32.const {fd}) (i32.const 2048) (i32.const 1) (i32.const 8)))"
        )
    };
    let open = r#"(if (call $path_open (i32.const 4) (i32.const 0) (i32.const 1024) (i32.const 1)
        (i32.const 1) (i64.const 0x42) (i64.const 0) (i32.const 0) (i32.const 512))
        (then (unreachable)))"#;
    let write_file = module(
        &["path_open", "fd_write"],
        &format!(
            "(func (export \"_start\") {open} (loop {} (br 0)))",
            write(5)
        ),
    );
    let poll = "(drop (call $poll_oneoff
        (i32.const 2400) (i32.const 4096) (i32.const 1) (i32.const 8)))";
    let random = "(memory.grow (i32.const 20)) drop
        (drop (call $random_get (i32.const 0) (i32.const 0x100001)))";
    let cases = [
        (forever(&["path_open"], open), LimitKind::Handles),
        (forever(&["fd_write"], &write(1)), LimitKind::LogBytes),
        (write_file, LimitKind::OutputBytes),
        (forever(&["random_get"], random), LimitKind::RandomBytes),
        (
            forever(&["sched_yield"], "(drop (call $sched_yield))"),
            LimitKind::Time,
        ),
        (forever(&["poll_oneoff"], poll), LimitKind::Time),
        (
            forever(&[], "(drop (memory.grow (i32.const 1)))"),
            LimitKind::Memory,
        ),
    ];
    for (text, wanted) in cases {
        let mut limits = limits.clone();
        if wanted == LimitKind::Time {
            limits.time = Millis::of(Duration::from_millis(200));
        }
        assert_eq!(exceeded(&text, limits).await, wanted, "{text}");
    }
    let fuel = Limits {
        fuel: Some(10_000),
        ..limits
    };
    assert_eq!(exceeded(&forever(&[], ""), fuel).await, LimitKind::Fuel);
}

/// Waits an hour, by the clock of the given number.
fn sleeper() -> String {
    let start = r#"(func (export "_start")
        (i64.store (i32.const 2424) (i64.const 3600000000000))
        (if (call $poll_oneoff (i32.const 2400) (i32.const 4096) (i32.const 1) (i32.const 8))
            (then (unreachable)))
        (if (i32.ne (i32.load (i32.const 8)) (i32.const 1)) (then (unreachable)))
        (if (i64.ne (i64.load (i32.const 4096)) (i64.const 1)) (then (unreachable))))"#;
    module(&["poll_oneoff"], start)
}

#[tokio::test]
async fn a_sleep_is_virtual_unless_the_clock_is_granted() {
    let begin = Instant::now();
    let mut program = Program::new(&sleeper()).await;
    let outcome = program.outcome(&[]).await;
    assert!(matches!(outcome, Outcome::Succeeded { .. }), "{outcome:?}");
    program.grants.clock = true;
    program.limits.time = Millis::of(Duration::from_millis(200));
    let outcome = program.outcome(&[]).await;
    let is_time = matches!(
        outcome,
        Outcome::LimitExceeded {
            limit: LimitKind::Time,
            ..
        }
    );
    assert!(is_time, "{outcome:?}");
    assert!(begin.elapsed() < Duration::from_secs(60));
}

#[tokio::test]
async fn a_real_sleep_can_be_cancelled() {
    let mut program = Program::new(&sleeper()).await;
    program.grants.clock = true;
    let (sender, cancel) = watch::channel(None);
    program.cancel = cancel;
    let stop = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        sender.send(Some(Cancellation::Interrupt)).unwrap();
    };
    let (outcome, ()) = tokio::join!(program.outcome(&[]), stop);
    assert!(matches!(outcome, Outcome::Cancelled { .. }), "{outcome:?}");
}

#[tokio::test]
async fn the_same_run_gives_the_same_bytes() {
    let start = format!(
        r#"(func (export "_start") {}
        (drop (call $clock_time_get (i32.const 0) (i64.const 0) (i32.const 4096)))
        (drop (call $clock_time_get (i32.const 1) (i64.const 0) (i32.const 4104)))
        (drop (call $random_get (i32.const 4112) (i32.const 64)))
        (drop (call $path_filestat_get
            (i32.const 4) (i32.const 0) (i32.const 1024) (i32.const 1) (i32.const 4176)))
        (drop (call $fd_readdir
            (i32.const 4) (i32.const 4240) (i32.const 200) (i64.const 0) (i32.const 12)))
        (i32.store (i32.const 2052) (i32.const 500))
        (drop (call $fd_write (i32.const 5) (i32.const 2048) (i32.const 1) (i32.const 8))))"#,
        r#"(drop (call $path_open (i32.const 4) (i32.const 0) (i32.const 1024) (i32.const 1)
        (i32.const 1) (i64.const 0x42) (i64.const 0) (i32.const 0) (i32.const 512)))"#
    );
    let names = [
        "clock_time_get",
        "fd_readdir",
        "fd_write",
        "path_filestat_get",
        "path_open",
        "random_get",
    ];
    let program = Program::new(&module(&names, &start)).await;
    let mut all = Vec::new();
    for _ in 0..2 {
        let folder = tempfile::tempdir().unwrap();
        program.run_in(folder.path(), &[]).await;
        all.push(std::fs::read(folder.path().join("f")).unwrap());
    }
    assert_eq!(all[0].len(), 500);
    assert_eq!(all[0], all[1]);
    // Its clock began at the logical time, which is the year 1970.
    assert_eq!(all[0][..8], 1_000_u64.to_le_bytes());
    assert_ne!(all[0][16..80], [0; 64]);
}

#[tokio::test]
async fn output_and_environment_are_those_of_components() {
    let start = r#"(func (export "_start")
        (drop (call $environ_sizes_get (i32.const 0) (i32.const 4)))
        (drop (call $environ_get (i32.const 8) (i32.const 4096)))
        (i32.store (i32.const 2052) (i32.load (i32.const 4)))
        (i32.store8 (i32.add (i32.const 4095) (i32.load (i32.const 4))) (i32.const 10))
        (drop (call $fd_write (i32.const 2) (i32.const 2048) (i32.const 1) (i32.const 8))))"#;
    let text = module(&["environ_get", "environ_sizes_get", "fd_write"], start);
    let mut program = Program::new(&text).await;
    program.grants.env = [("NAME".to_owned(), "value".to_owned())].into();
    let (_, mut events) = program.run(&[]).await;
    let Some(Event::Print { stream, line }) = events.recv().await else {
        panic!("nothing was printed")
    };
    assert_eq!((stream, &*line), (Stream::Stderr, "NAME=value"));
}

#[tokio::test]
async fn what_is_no_program_is_refused_by_type() {
    let sandbox = Sandbox::new(Compiler::InProcess, None, Stopping::Yielding);
    let cases = [
        ("(module)", ErrorKind::NotAStep),
        (
            r#"(module (import "env" "f" (func)) (func (export "_start")))"#,
            ErrorKind::MissingImport,
        ),
        (
            r#"(module (import "wasi_snapshot_preview1" "fd_close" (func))
                (memory (export "memory") 1) (func (export "_start")))"#,
            ErrorKind::MissingImport,
        ),
        (
            r#"(module (import "wasi_snapshot_preview1" "fd_close" (func (param i32) (result i32)))
                (func (export "_start")))"#,
            ErrorKind::NotAStep,
        ),
    ];
    for (text, wanted) in cases {
        match prepare(&sandbox, text, &Limits::default()).await {
            Err(PrepareError::Fault(fault)) => assert_eq!(fault.kind(), wanted, "{text}: {fault}"),
            other => panic!("{text}: {other:?}"),
        }
    }
}
