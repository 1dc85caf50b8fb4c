//! Every target, driven for a while from the same seed (`COFFER_FUZZ_SEED` takes another, `COFFER_FUZZ_SECONDS` more time), and with what was found before.

use std::path::Path;

use cofferdam_fuzz::{TARGETS, budget, drive, replay, seed};

fn driven(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name);
    let found = target.map(|target| drive(target, budget(), seed()).map_err(|finding| finding.to_string()));
    // Even the slowest gets through its own inputs.
    assert!(matches!(found, Some(Ok(1..))), "{name}: {}", found.and_then(Result::err).unwrap_or_default());
}

macro_rules! targets {
    ($($(#[$only:meta])? $name:ident),+ $(,)?) => {
        $($(#[$only])? #[test] fn $name() { driven(stringify!($name)); })+

        #[test]
        fn every_target_has_a_test() {
            let tested = [$($(#[$only])? stringify!($name)),+];
            let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(names, tested);
        }
    };
}

targets!(
    configuration,
    policy,
    audit_settings,
    request_body,
    request_address,
    request_headers,
    kv_fields,
    shares,
    token_forms,
    aws_logins,
    sts_answers,
    barrier_frame,
    keyring,
    mount_table,
    token_entries,
    token_messages,
    kv_messages,
    kv_names,
    seal_entries,
    journal,
    snapshot_archive,
    snapshot_members,
    lock_file,
    signature,
    registry,
    #[cfg(feature = "guests")]
    component,
    #[cfg(feature = "guests")]
    dynamodb_request,
    #[cfg(feature = "guests")]
    kms_request,
    #[cfg(feature = "guests")]
    aws_answer,
    #[cfg(feature = "guests")]
    http_address,
    #[cfg(feature = "guests")]
    recording,
);

#[test]
fn what_was_found_once_is_not_found_again() {
    let findings = Path::new(env!("CARGO_MANIFEST_DIR")).join("findings");
    for target in TARGETS {
        if let Err(finding) = replay(target, &findings) {
            panic!("{finding}");
        }
    }
    let known = |name: &str| TARGETS.iter().any(|target| target.name == name);
    for entry in std::fs::read_dir(&findings).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        assert!(known(&name) || cfg!(not(feature = "guests")) || !entry.path().is_dir(), "findings/{name} is of no target");
    }
}

#[test]
fn every_target_has_inputs_to_begin_from_and_words() {
    for target in TARGETS {
        assert!((target.seeds)().iter().filter(|seed| !seed.is_empty()).count() > 0, "{}", target.name);
        assert!(!target.words.is_empty(), "{}", target.name);
    }
}
