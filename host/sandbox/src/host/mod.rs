//! What a guest can call: one module for each capability.
//!
//! Every capability has the same shape: its state is a field of [`State`], its
//! host functions are a few lines each (fetch from the table, call the core,
//! convert), and `link` adds them to a linker once. A mistake that a guest can
//! handle is a value; everything else is a trap with a typed cause.

mod artifacts;
pub(crate) mod clocks;
mod context;
pub(crate) mod files;
mod filesystem;
pub(crate) mod preview1;
pub(crate) mod random;
pub(crate) mod telemetry;

#[expect(unreachable_pub, reason = "the generated bindings re-export them")]
pub use artifacts::{Input, InputTree, Output, OutputTree};
pub(crate) use context::{Cancelled, Context};

use wasmtime::component::{HasData, HasSelf, Linker, ResourceTable};
use wasmtime_wasi::cli::WasiCliView as _;
use wasmtime_wasi::sockets::WasiSocketsView as _;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView, cli, p2::bindings as wasi, sockets};

use crate::gate::Gate;
use crate::limiter::{Budget, MemoryLimiter};

/// Bindings for the package `wharf:step`.
pub(crate) mod bindings {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "imports",
        imports: {
            // The only ones that may wait: for the hash or the bytes of an input, for
            // room in a queue, for the seed.
            "wharf:step/artifacts.[method]input.digest": async | trappable,
            "wharf:step/artifacts.[method]input.read": async | trappable,
            "wharf:step/artifacts.[method]output.write": async | trappable,
            "wharf:step/context.seed": async | trappable,
            default: trappable,
        },
        with: {
            "wharf:step/artifacts.input": crate::host::Input,
            "wharf:step/artifacts.output": crate::host::Output,
            "wharf:step/artifacts.input-tree": crate::host::InputTree,
            "wharf:step/artifacts.output-tree": crate::host::OutputTree,
        },
    });
}

/// Everything that belongs to one run inside wasmtime.
pub(crate) struct State {
    pub(crate) table: ResourceTable,
    pub(crate) wasi: WasiCtx,
    pub(crate) memory: MemoryLimiter,
    pub(crate) output: Budget,
    pub(crate) gate: Gate,
    pub(crate) clock: clocks::Clock,
    pub(crate) random: random::Random,
    pub(crate) context: Context,
    pub(crate) telemetry: telemetry::Telemetry,
    pub(crate) files: files::Files,
    /// What a core module has besides.
    pub(crate) process: preview1::Process,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

struct HasTable;

impl HasData for HasTable {
    type Data<'a> = &'a mut ResourceTable;
}

/// Links everything. Interfaces that Wharf denies are linked all the same, with
/// functions that refuse: language runtimes import them whether they use them
/// or not.
pub(crate) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    bindings::Imports::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    clocks::link(linker)?;
    random::link(linker)?;
    filesystem::link(linker)?;
    link_io(linker)?;
    link_cli(linker)?;
    link_sockets(linker)
}

fn link_io(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wasi::io::error::add_to_linker::<State, HasTable>(linker, |state| &mut state.table)?;
    wasi::io::poll::add_to_linker::<State, HasTable>(linker, |state| &mut state.table)?;
    wasi::io::streams::add_to_linker::<State, HasTable>(linker, |state| &mut state.table)
}

fn link_cli(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    use cli::WasiCli;
    wasi::cli::exit::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    wasi::cli::environment::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    wasi::cli::stdin::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    wasi::cli::stdout::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    wasi::cli::stderr::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    wasi::cli::terminal_input::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    wasi::cli::terminal_output::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    wasi::cli::terminal_stdin::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    wasi::cli::terminal_stdout::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    wasi::cli::terminal_stderr::add_to_linker::<State, WasiCli>(linker, State::cli)
}

/// Sockets that the context denies: see `invoke`, which allows none.
fn link_sockets(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    use sockets::WasiSockets;
    let options = wasi::LinkOptions::default();
    wasi::sockets::network::add_to_linker::<State, WasiSockets>(
        linker,
        &(&options).into(),
        State::sockets,
    )?;
    wasi::sockets::instance_network::add_to_linker::<State, WasiSockets>(linker, State::sockets)?;
    wasi::sockets::ip_name_lookup::add_to_linker::<State, WasiSockets>(linker, State::sockets)?;
    wasi::sockets::tcp::add_to_linker::<State, WasiSockets>(linker, State::sockets)?;
    wasi::sockets::tcp_create_socket::add_to_linker::<State, WasiSockets>(linker, State::sockets)?;
    wasi::sockets::udp::add_to_linker::<State, WasiSockets>(linker, State::sockets)?;
    wasi::sockets::udp_create_socket::add_to_linker::<State, WasiSockets>(linker, State::sockets)
}
