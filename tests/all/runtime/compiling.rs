//! Components that are not ours are compiled by a child of limited means: the real program, asked as the server asks it.

use std::time::Duration;

use cofferdam_runtime::{Compiler, Inspection, LoadError, Runtime, RuntimeOptions, Source};

use crate::e2e::process::{coffer, component};

fn compiler() -> Compiler {
    Compiler::new(coffer().get_program().into(), &["compile-component"])
}

fn load(change: impl FnOnce(&mut RuntimeOptions, &Inspection)) -> Result<cofferdam_runtime::Component, LoadError> {
    let bytes = std::fs::read(component()).unwrap();
    let mut options = RuntimeOptions::default();
    options.compiler = Some(compiler());
    change(&mut options, &cofferdam_runtime::inspect("filesystem", &bytes).unwrap());
    Runtime::new(options).unwrap().component(Source::Bytes { name: "filesystem".to_owned(), bytes })
}

#[test]
fn a_foreign_component_is_compiled_by_the_child() {
    let loaded = load(|_, _| {}).unwrap();
    assert!(loaded.compile_time().is_some());
}

#[test]
fn the_childs_limits_are_told_and_hold_nobody_up() {
    let refused = |change: fn(&mut Compiler)| {
        let mut limited = compiler();
        change(&mut limited);
        load(|options, _| options.compiler = Some(limited)).unwrap_err().to_string()
    };
    let slow = refused(|compiler| compiler.time = Duration::ZERO);
    assert!(slow.contains("filesystem: it is not compiled: compiling it took longer than"), "{slow}");
    let large = refused(|compiler| compiler.memory = 64 << 20);
    assert!(large.contains("64 MiB of memory"), "{large}");
}

#[test]
fn what_is_ours_needs_no_child() {
    let broken = || Some(Compiler::new("/nowhere/coffer".into(), &[]));
    assert!(load(|options, _| options.compiler = broken()).is_err());
    load(|options, inspection| {
        options.compiler = broken();
        options.ours = vec![inspection.sha256.clone()];
    })
    .unwrap();
}

#[test]
fn what_the_compiler_refuses_is_told_in_its_words() {
    // A component by its first bytes and its exports, with a body that is none.
    let mut bytes = std::fs::read(component()).unwrap();
    let code = bytes.windows(4).rposition(|window| window == b"\0asm").unwrap();
    for byte in bytes.iter_mut().skip(code + 64).take(4096).step_by(7) {
        *byte ^= 0x55;
    }
    let mut options = RuntimeOptions::default();
    options.compiler = Some(compiler());
    let source = Source::Bytes { name: "broken".to_owned(), bytes };
    let error = Runtime::new(options).unwrap().component(source).unwrap_err().to_string();
    assert!(error.starts_with("broken: "), "{error}");
}
