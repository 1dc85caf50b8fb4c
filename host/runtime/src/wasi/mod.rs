//! What of WASI 0.2 a guest is linked with: clocks, random bytes and streams; the file system, which shows the granted directory or
//! nothing; the command line, which is empty; sockets, which refuse. `wasi:http` where it is granted. Nothing else of WASI exists for it.

pub(crate) mod http;
mod probed;
mod sockets;
pub(crate) mod stdio;

use wasmtime::component::{Component, HasData, Linker, ResourceTable};
use wasmtime_wasi::WasiView as _;
use wasmtime_wasi::cli::{WasiCli, WasiCliView as _};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView as _};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView as _};
use wasmtime_wasi::p2::bindings::{cli, clocks, filesystem, io, random};
use wasmtime_wasi::random::WasiRandom;

use crate::state::State;

struct Io;

impl HasData for Io {
    type Data<'a> = &'a mut ResourceTable;
}

/// Links all of the above; with `probed` so that a probe sees what is called. A server has none, and pays nothing.
pub(crate) fn link(linker: &mut Linker<State>, component: &Component, probed: bool) -> wasmtime::Result<()> {
    let l = linker;
    io::error::add_to_linker::<State, Io>(l, |t| t.ctx().table)?;
    io::poll::add_to_linker::<State, Io>(l, |t| t.ctx().table)?;
    io::streams::add_to_linker::<State, Io>(l, |t| t.ctx().table)?;
    if probed {
        probed::link(l)?;
    } else {
        clocks::wall_clock::add_to_linker::<State, WasiClocks>(l, State::clocks)?;
        clocks::monotonic_clock::add_to_linker::<State, WasiClocks>(l, State::clocks)?;
        random::random::add_to_linker::<State, WasiRandom>(l, |t| t.ctx().ctx.random())?;
        random::insecure::add_to_linker::<State, WasiRandom>(l, |t| t.ctx().ctx.random())?;
        random::insecure_seed::add_to_linker::<State, WasiRandom>(l, |t| t.ctx().ctx.random())?;
        filesystem::types::add_to_linker::<State, WasiFilesystem>(l, State::filesystem)?;
    }
    filesystem::preopens::add_to_linker::<State, WasiFilesystem>(l, State::filesystem)?;
    cli::exit::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::environment::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::stdin::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::stdout::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::stderr::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_input::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_output::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_stdin::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_stdout::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_stderr::add_to_linker::<State, WasiCli>(l, State::cli)?;
    sockets::link(l, component)
}
