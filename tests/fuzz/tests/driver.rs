//! The driver finds what it is for: a target that panics, one that is slow, one that takes memory. And it finds the same again.

use std::hint::black_box;
use std::time::Duration;

use cofferdam_fuzz::{Target, drive, replay};
use rustix::time::{ClockId, clock_gettime};

/// Long enough for any machine: each of these ends with its finding.
const LONG: Duration = Duration::from_secs(600);

fn seeds() -> Vec<Vec<u8>> {
    vec![b"if (a) { b(1); }".to_vec(), b"else".to_vec()]
}

fn of(run: fn(&[u8])) -> Target {
    Target { name: "planted", run, seeds, words: &["else", "if"] }
}

fn has(input: &[u8], part: &str) -> bool {
    input.windows(part.len()).any(|window| window == part.as_bytes())
}

/// Neither seed does it: it takes a word in the other, and a byte that neither has.
fn panics(input: &[u8]) {
    assert!(!(has(input, "else") && has(input, "if (") && input.contains(&0xff)), "planted");
}

/// The processor time of this thread: on a busy machine little of it passes in a long while.
fn processor() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.try_into().unwrap_or_default())
}

fn slow(input: &[u8]) {
    if has(input, "(((") {
        let begun = processor();
        while processor() - begun < Duration::from_millis(1300) {
            black_box(0);
        }
    }
}

fn greedy(input: &[u8]) {
    if has(input, "if (a) { b(1); }else") || has(input, "elseelse") {
        black_box(&vec![1_u8; 320 << 20]);
    }
}

#[test]
fn a_planted_panic_is_found_and_found_again() {
    let finding = drive(&of(panics), LONG, 7).unwrap_err();
    assert!(finding.what.contains("planted") && has(&finding.input, "else"), "{finding}");
    assert_eq!(drive(&of(panics), LONG, 7).unwrap_err(), finding);
    let text = finding.to_string();
    assert!(
        text.contains("seed 7")
            && text.contains("findings/planted/")
            && text.ends_with(&finding.input.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    );

    // Kept, it is tried again.
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("planted")).unwrap();
    std::fs::write(directory.path().join("planted/one"), b"harmless").unwrap();
    assert_eq!(replay(&of(panics), directory.path()), Ok(1));
    std::fs::write(directory.path().join("planted/two"), &finding.input).unwrap();
    assert_eq!(replay(&of(panics), directory.path()).unwrap_err().input, finding.input);
}

#[test]
fn a_slow_input_is_found() {
    let finding = drive(&of(slow), LONG, 1).unwrap_err();
    assert!(finding.what.contains("of the processor") && has(&finding.input, "((("), "{finding}");
}

#[test]
fn an_input_that_takes_memory_is_found() {
    let finding = drive(&of(greedy), LONG, 1).unwrap_err();
    assert!(finding.what.contains("MiB of memory") && has(&finding.input, "else"), "{finding}");
}

#[test]
fn a_target_that_stands_everything_has_no_finding() {
    // More than its own inputs, as soon as the machine does not stand still for all of the time.
    let driven = |seconds| drive(&of(|input| _ = black_box(input).len()), Duration::from_secs(seconds), 1).unwrap();
    assert!([1, 5, 25].into_iter().any(|seconds| driven(seconds) > 20));
}
