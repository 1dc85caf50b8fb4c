//! Compiling a component in a child process, because a compiler at work cannot be stopped, and a component can be made that keeps it at work for hours.
//!
//! The rule: the child gets the component and nothing else (no environment, no file, bounded memory and computing time), and is killed at its deadline.
//! It is this same program, so what it hands back is trusted as what this process would have compiled: the limits keep a component from hurting the server
//! by way of the compiler's appetite, not by way of a fault in its output.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit, set_parent_process_death_signal};
use wasmtime::Engine;

use crate::engine;
use crate::load::LARGEST;
use crate::log::bounded;

/// The most compiled code of one component, in bytes.
const LARGEST_CODE: u64 = 1 << 30;
/// What is kept of the child's words.
const SAID: u64 = 4 << 10;
/// The files that the child may open, its streams among them.
const FILES: u64 = 32;
/// How often the child is looked at.
const GLANCE: Duration = Duration::from_millis(5);

/// The program that compiles, and what it may use.
#[derive(Clone, Debug)]
pub struct Compiler {
    /// The program: this same one, which is asked to call [`compile_from_stdin`].
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// The most address space, in bytes.
    pub memory: u64,
    /// The longest that it may take.
    pub time: Duration,
}

impl Compiler {
    /// A program with limits that let a component of 20 MB from a scripting language through.
    pub fn new(program: PathBuf, arguments: &[&str]) -> Compiler {
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        Compiler { program, arguments, memory: 4 << 30, time: Duration::from_secs(120) }
    }

    /// The component's code, or what is to be said of the failure.
    pub(crate) fn compile(&self, component: &[u8]) -> Result<Vec<u8>, String> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env_clear().current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().map_err(|error| format!("the compiler {} cannot be started: {error}", self.program.display()))?;
        let mut child = Killed(child);
        // It waits for the component, so that it has used nothing yet.
        self.limit(&child.0).map_err(|error| format!("the compiler cannot be limited: {error}"))?;
        let (Some(mut stdin), Some(stdout), Some(stderr)) = (child.0.stdin.take(), child.0.stdout.take(), child.0.stderr.take()) else {
            return Err("the compiler has no streams".to_owned());
        };
        let (status, code, said) = thread::scope(|scope| {
            // A child that ends early does not read all of it: its status says why.
            scope.spawn(move || drop(stdin.write_all(component)));
            let code = scope.spawn(move || read(stdout, LARGEST_CODE + 1));
            let said = scope.spawn(move || read(stderr, SAID));
            let status = child.wait(self.time);
            (status, code.join().unwrap_or_default(), said.join().unwrap_or_default())
        });
        match status.map_err(|error| format!("the compiler is lost: {error}"))? {
            None => Err(format!("compiling it took longer than {:?}, which is all it may take", self.time)),
            Some(status) if status.success() && code.len() as u64 <= LARGEST_CODE => Ok(code),
            Some(status) if status.success() => Err(format!("its compiled code is larger than {LARGEST_CODE} bytes")),
            Some(status) => Err(self.failed(status, &String::from_utf8_lossy(&said))),
        }
    }

    fn limit(&self, child: &Child) -> rustix::io::Result<()> {
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        // As many seconds of computing as all processors have in that time.
        let processors = thread::available_parallelism().map_or(1, |count| count.get() as u64);
        let seconds = self.time.as_secs().saturating_add(1).saturating_mul(processors);
        let limits =
            [(Resource::As, self.memory), (Resource::Cpu, seconds), (Resource::Fsize, 0), (Resource::Nofile, FILES), (Resource::Core, 0)];
        for (resource, most) in limits {
            prlimit(pid, resource, Rlimit { current: Some(most), maximum: Some(most) })?;
        }
        Ok(())
    }

    fn failed(&self, status: ExitStatus, said: &str) -> String {
        let said = bounded(said.trim());
        match status.code() {
            Some(REFUSED) => said,
            // Killed, most likely by its own abort when an allocation failed.
            _ => format!("the compiler ended with {status}; it may use {} MiB of memory. It said: {said:?}", self.memory >> 20),
        }
    }
}

/// The exit code of a child that has found the component unfit.
const REFUSED: i32 = 3;

/// What the child does: compiles the component on standard input to standard output. Gives the exit code.
pub fn compile_from_stdin() -> u8 {
    match compile() {
        Ok(()) => 0,
        Err(reason) => {
            // Nobody is left to tell if that fails.
            let _ = writeln!(std::io::stderr(), "{reason}");
            REFUSED as u8
        }
    }
}

/// The child must not outlive whoever waits for it, however that ends.
fn die_with_parent() -> Result<(), String> {
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|error| format!("the compiler cannot be tied to its parent: {error}"))
}

fn compile() -> Result<(), String> {
    // If the parent has ended before this, standard input is at its end: what is there is no component.
    die_with_parent()?;
    let mut component = Vec::new();
    std::io::stdin().take(LARGEST + 1).read_to_end(&mut component).map_err(|error| format!("the component cannot be read: {error}"))?;
    let engine = Engine::new(&engine::config()).map_err(|error| format!("{error:#}"))?;
    let code = engine.precompile_component(&component).map_err(|error| format!("{error:#}"))?;
    std::io::stdout().write_all(&code).map_err(|error| format!("the code cannot be handed over: {error}"))
}

/// As much as is wanted; the rest is read and dropped, so that the writer is not kept waiting.
fn read(mut from: impl Read, most: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What could not be read is missing, which the status tells.
    let _ = from.by_ref().take(most).read_to_end(&mut bytes);
    let _ = std::io::copy(&mut from, &mut std::io::sink());
    bytes
}

/// A child that does not outlive its owner.
struct Killed(Child);

impl Killed {
    /// Waits until it ends, or kills it at the deadline.
    fn wait(&mut self, time: Duration) -> std::io::Result<Option<ExitStatus>> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait()? {
                return Ok(Some(status));
            }
            if begun.elapsed() > time {
                self.0.kill()?;
                self.0.wait()?;
                return Ok(None);
            }
            thread::sleep(GLANCE);
        }
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Compiler {
        Compiler::new("/bin/sh".into(), &["-c", script])
    }

    #[test]
    fn the_child_has_its_limits_and_nothing_of_ours() {
        assert!(std::env::vars_os().count() > 2, "nothing could be inherited");
        let mut compiler = shell("cat > /dev/null; ulimit -v; ulimit -t; ulimit -f; ulimit -n; ulimit -c; pwd; /usr/bin/env");
        compiler.memory = 1 << 30;
        compiler.time = Duration::from_secs(59);
        let said = String::from_utf8(compiler.compile(b"component").unwrap()).unwrap();
        let processors = thread::available_parallelism().unwrap().get();
        let lines: Vec<&str> =
            said.lines().filter(|line| !line.starts_with("PWD=") && !line.starts_with("_=") && !line.starts_with("SHLVL=")).collect();
        assert_eq!(lines, [&(1 << 20).to_string(), &(60 * processors).to_string(), "0", "32", "0", "/"], "{said}");
    }

    #[test]
    fn the_compiler_dies_with_its_parent() {
        // Of this process, and taken back at once.
        die_with_parent().unwrap();
        let set = rustix::process::parent_process_death_signal().unwrap();
        set_parent_process_death_signal(None).unwrap();
        assert_eq!(set, Some(Signal::KILL));
    }

    #[test]
    fn the_component_goes_in_and_the_code_comes_out() {
        let component: Vec<u8> = (0..1 << 20).map(|n| n as u8).collect();
        assert_eq!(shell("cat").compile(&component).unwrap(), component);
    }

    #[test]
    fn whatever_goes_wrong_is_told() {
        let mut slow = shell("exec sleep 600");
        slow.time = Duration::from_millis(50);
        assert!(slow.compile(b"x").unwrap_err().contains("longer than 50ms"));
        assert_eq!(shell("cat > /dev/null; echo 'no good' >&2; exit 3").compile(b"x").unwrap_err(), "no good");
        let ended = shell("kill -ABRT $$").compile(b"x").unwrap_err();
        assert!(ended.contains("signal: 6") && ended.contains("4096 MiB"), "{ended}");
        // It need not read what it is given.
        assert_eq!(shell("exit 0").compile(&vec![0; 1 << 20]).unwrap(), b"");
        let missing = Compiler::new("/nowhere/coffer".into(), &[]).compile(b"x").unwrap_err();
        assert!(missing.contains("/nowhere/coffer"), "{missing}");
    }
}
