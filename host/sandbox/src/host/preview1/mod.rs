//! `wasi_snapshot_preview1` for core modules, over the same run state as WASI
//! 0.2 for components.
//!
//! Go, and C with wasi-libc, still make such modules. An adapter can turn them
//! into components, but it claims its memory by growing the module's own, and
//! Go's allocator takes for granted that nobody else does. So a core module runs
//! as itself, and these functions are its only way out: the file system, clock,
//! randomness, standard streams and limits are the ones that components get.
//!
//! Every pointer and length is the guest's and checked where it is used
//! ([`memory`]): one that is out of bounds is a trap, as the specification
//! wants. Nothing is allocated by a size that the guest chooses unchecked.
//!
//! What is not here: sockets, links, signals. They are linked and refuse.

mod abi;
mod descriptors;
mod fds;
mod memory;
mod paths;
mod poll;
mod process;

use wasmtime::{Caller, Extern, Linker, Trap};
use wasmtime_wasi::I32Exit;
use wharf_model::Fault;

use super::State;
use super::files::{FilesError, Mistake};
use crate::limiter::Exceeded;
use abi::Errno;
use memory::GuestMemory;
pub(crate) use process::Process;

/// The module that core modules import from.
pub(crate) const MODULE: &str = "wasi_snapshot_preview1";

/// Under which name a module exports its memory.
pub(crate) const MEMORY: &str = "memory";

/// The function that is a program.
pub(crate) const START: &str = "_start";

/// What a function sees: the guest's memory, and the run.
struct Guest<'a> {
    memory: GuestMemory<'a>,
    state: &'a mut State,
}

/// What a function comes to.
type Answer<T = ()> = Result<T, Refusal>;

/// Why a function does not do what it was asked for.
#[derive(Debug)]
enum Refusal {
    /// An error that the guest may handle.
    Errno(Errno),
    /// The end of the run.
    End(wasmtime::Error),
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

impl From<Mistake> for Refusal {
    fn from(mistake: Mistake) -> Self {
        Self::Errno(mistake.into())
    }
}

impl From<FilesError> for Refusal {
    fn from(error: FilesError) -> Self {
        match error {
            FilesError::Mistake(mistake) => mistake.into(),
            error => Self::End(error.into_end()),
        }
    }
}

impl From<Exceeded> for Refusal {
    fn from(exceeded: Exceeded) -> Self {
        Self::End(exceeded.into())
    }
}

impl From<Trap> for Refusal {
    fn from(trap: Trap) -> Self {
        Self::End(trap.into())
    }
}

impl From<wasmtime::Error> for Refusal {
    fn from(error: wasmtime::Error) -> Self {
        Self::End(error)
    }
}

/// Lists the functions that never wait, each with its parameters, and makes
/// `link_all` and [`FUNCTIONS`] of the list.
macro_rules! functions {
    ($($file:ident { $($name:ident($($parameter:ident: $type:ty),*);)* })*) => {
        /// All functions that are provided.
        const FUNCTIONS: &[&str] = &[
            "poll_oneoff", "proc_exit", "random_get", $($(stringify!($name),)*)*
        ];

        fn link_all(linker: &mut Linker<State>) -> wasmtime::Result<()> {
            $($(linker.func_wrap(
                MODULE,
                stringify!($name),
                |mut caller: Caller<'_, State>, $($parameter: $type),*| {
                    let mut guest = guest(&mut caller)?;
                    returned($file::$name(&mut guest, $($parameter),*))
                },
            )?;)*)*
            Ok(())
        }
    };
}

functions! {
    process {
        args_get(pointers: u32, texts: u32);
        args_sizes_get(count: u32, bytes: u32);
        environ_get(pointers: u32, texts: u32);
        environ_sizes_get(count: u32, bytes: u32);
        clock_res_get(clock: u32, result: u32);
        clock_time_get(clock: u32, precision: u64, result: u32);
        proc_raise(signal: u32);
        sched_yield();
    }
    fds {
        fd_advise(fd: u32, offset: u64, len: u64, advice: u32);
        fd_allocate(fd: u32, offset: u64, len: u64);
        fd_close(fd: u32);
        fd_datasync(fd: u32);
        fd_fdstat_get(fd: u32, result: u32);
        fd_fdstat_set_flags(fd: u32, flags: u32);
        fd_fdstat_set_rights(fd: u32, base: u64, inheriting: u64);
        fd_filestat_get(fd: u32, result: u32);
        fd_filestat_set_size(fd: u32, size: u64);
        fd_filestat_set_times(fd: u32, accessed: u64, modified: u64, flags: u32);
        fd_pread(fd: u32, vectors: u32, count: u32, offset: u64, result: u32);
        fd_prestat_get(fd: u32, result: u32);
        fd_prestat_dir_name(fd: u32, path: u32, len: u32);
        fd_pwrite(fd: u32, vectors: u32, count: u32, offset: u64, result: u32);
        fd_read(fd: u32, vectors: u32, count: u32, result: u32);
        fd_renumber(fd: u32, to: u32);
        fd_seek(fd: u32, offset: i64, whence: u32, result: u32);
        fd_sync(fd: u32);
        fd_tell(fd: u32, result: u32);
        fd_write(fd: u32, vectors: u32, count: u32, result: u32);
        sock_accept(fd: u32, flags: u32, result: u32);
        sock_recv(fd: u32, vectors: u32, count: u32, flags: u32, read: u32, returned: u32);
        sock_send(fd: u32, vectors: u32, count: u32, flags: u32, result: u32);
        sock_shutdown(fd: u32, how: u32);
    }
    paths {
        fd_readdir(fd: u32, buffer: u32, len: u32, cookie: u64, result: u32);
        path_create_directory(fd: u32, path: u32, len: u32);
        path_filestat_get(fd: u32, lookup: u32, path: u32, len: u32, result: u32);
        path_filestat_set_times(
            fd: u32, lookup: u32, path: u32, len: u32, accessed: u64, modified: u64, flags: u32
        );
        path_link(
            fd: u32, lookup: u32, path: u32, len: u32, new_fd: u32, new_path: u32, new_len: u32
        );
        path_open(
            fd: u32, lookup: u32, path: u32, len: u32, oflags: u32, rights: u64, inheriting: u64,
            flags: u32, result: u32
        );
        path_readlink(fd: u32, path: u32, len: u32, buffer: u32, buffer_len: u32, result: u32);
        path_remove_directory(fd: u32, path: u32, len: u32);
        path_rename(fd: u32, path: u32, len: u32, new_fd: u32, new_path: u32, new_len: u32);
        path_symlink(path: u32, len: u32, fd: u32, new_path: u32, new_len: u32);
        path_unlink_file(fd: u32, path: u32, len: u32);
    }
}

/// Whether a function of [`MODULE`] is provided.
pub(crate) fn is_provided(function: &str) -> bool {
    FUNCTIONS.contains(&function)
}

/// Links all functions.
pub(crate) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    type Parameters = (u32, u32, u32, u32);
    link_all(linker)?;
    linker.func_wrap(MODULE, "proc_exit", |code: i32| {
        Err::<(), _>(wasmtime::Error::from(I32Exit(code)))
    })?;
    // The ones that may wait: for the seed, for time to pass.
    linker.func_wrap_async(
        MODULE,
        "random_get",
        |mut caller: Caller<'_, State>, (buffer, len): (u32, u32)| {
            Box::new(async move { returned(process::random_get(&mut caller, buffer, len).await) })
        },
    )?;
    linker.func_wrap_async(
        MODULE,
        "poll_oneoff",
        |mut caller: Caller<'_, State>, (wanted, events, count, result): Parameters| {
            Box::new(async move {
                returned(poll::poll_oneoff(&mut caller, wanted, events, count, result).await)
            })
        },
    )?;
    Ok(())
}

/// The guest as it is now; its memory moves when it grows, so that this must
/// not be kept while it runs.
fn guest<'a>(caller: &'a mut Caller<'_, State>) -> wasmtime::Result<Guest<'a>> {
    let Some(Extern::Memory(memory)) = caller.get_export(MEMORY) else {
        // Looked at before anything was compiled.
        return Err(Fault::internal("the module exports no memory").into());
    };
    let (bytes, state) = memory.data_and_store_mut(caller);
    Ok(Guest {
        memory: GuestMemory(bytes),
        state,
    })
}

/// What the guest gets: an error number, or the end.
fn returned(answer: Answer) -> wasmtime::Result<i32> {
    match answer {
        Ok(()) => Ok(0),
        Err(Refusal::Errno(errno)) => Ok(errno as i32),
        Err(Refusal::End(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_what_is_linked() {
        let engine = wasmtime::Engine::default();
        let mut linker = Linker::new(&engine);
        link(&mut linker).unwrap();
        for name in FUNCTIONS {
            // A name can be taken only once.
            assert!(linker.func_wrap(MODULE, name, || {}).is_err(), "{name}");
        }
        assert_eq!(FUNCTIONS.len(), 46);
    }
}
