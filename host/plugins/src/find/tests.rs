use super::*;
use crate::{Lock, TrustedKey, list, pin};
use minisign::KeyPair;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use tempfile::TempDir;

const BUILTIN: &[(&str, Option<&[u8]>)] =
    &[("filesystem", Some(b"the filesystem guest")), ("dynamodb", Some(b"the dynamodb guest")), ("awskms", None)];

/// A plugin directory with the policy for it.
struct Ground {
    directory: TempDir,
    policy: Policy,
}

impl Ground {
    fn new(files: &[(&str, &str)]) -> Ground {
        let directory = tempfile::tempdir().unwrap();
        let policy = Policy { directory: Some(directory.path().to_owned()), builtin: BUILTIN, ..Policy::default() };
        let ground = Ground { directory, policy };
        for (name, content) in files {
            ground.put(name, content.as_bytes());
        }
        ground
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn put(&self, name: &str, content: &[u8]) {
        fs::write(self.path(name), content).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o644)).unwrap();
    }

    fn pin(&self, files: &[&str]) {
        let files: Vec<String> = files.iter().map(|file| (*file).to_owned()).collect();
        pin(self.directory.path(), &files, &|_, _| Ok(Kind::Storage)).unwrap();
    }

    fn find(&self, request: &Request) -> Result<Found, String> {
        find(request, &self.policy).map_err(|error| error.to_string())
    }

    #[track_caller]
    fn refused(&self, request: &Request, expected: &[&str]) {
        let error = self.find(request).unwrap_err();
        for part in expected {
            assert!(error.contains(part), "{part:?} is not in: {error}");
        }
    }

    fn lock(&self) -> PathBuf {
        self.path(LOCK_FILE)
    }
}

fn storage(name: &str) -> Request {
    Request::named(Kind::Storage, name)
}

fn pinned(name: &str, content: &str) -> Request {
    Request { sha256: Some(sha256(content.as_bytes())), ..storage(name) }
}

#[test]
fn what_is_built_in_is_found_without_a_file() {
    let ground = Ground::new(&[("notes.txt", "x")]);
    let alone = Policy { directory: None, ..ground.policy.clone() };
    for policy in [&ground.policy, &alone] {
        let found = find(&storage("filesystem"), policy).unwrap();
        assert_eq!(
            (found.bytes.as_slice(), &found.origin, &found.trust),
            (&b"the filesystem guest"[..], &Origin::Builtin, &Trust::Builtin)
        );
        assert!(find(&pinned("filesystem", "the filesystem guest"), policy).is_ok());
        let error = find(&pinned("filesystem", "another"), policy).unwrap_err().to_string();
        assert!(error.contains(&sha256(b"another")) && error.contains(&sha256(b"the filesystem guest")), "{error}");
        // Built without it, and never heard of.
        let error = find(&Request::named(Kind::Seal, "awskms"), policy).unwrap_err().to_string();
        assert!(error.contains("cargo xtask build"), "{error}");
        let error = find(&storage("etcd"), policy).unwrap_err().to_string();
        assert!(error.contains("etcd") && error.contains("correct the type"), "{error}");
    }
}

#[test]
fn a_directory_that_is_not_there_is_named_with_its_setting() {
    let ground = Ground::new(&[("file", "x")]);
    for name in ["none", "file", "none/deeper"] {
        let policy = Policy { directory: Some(ground.path(name)), ..ground.policy.clone() };
        let error = find(&storage("filesystem"), &policy).unwrap_err().to_string();
        assert!(error.starts_with(&format!("plugin_directory {}: ", ground.path(name).display())), "{error}");
        assert!(list(&policy).is_err());
    }
}

#[test]
fn outside_of_development_something_has_to_vouch_for_a_file() {
    let mut ground = Ground::new(&[("etcd.wasm", "etcd")]);
    let digest = sha256(b"etcd");
    let path = ground.path("etcd.wasm").display().to_string();
    ground.refused(&storage("etcd"), &[&path, &digest, &format!("`coffer plugin pin {path}`"), &format!("`sha256 = \"{digest}\"`")]);
    assert_eq!(ground.find(&pinned("etcd", "etcd")).unwrap().trust, Trust::PinnedInConfig);
    let upper = Request { sha256: Some(digest.to_uppercase()), ..storage("etcd") };
    assert_eq!(ground.find(&upper).unwrap().trust, Trust::PinnedInConfig);
    ground.refused(&Request { sha256: Some("abc".to_owned()), ..storage("etcd") }, &["\"abc\"", "64 hexadecimal digits"]);
    ground.pin(&["etcd.wasm"]);
    let found = ground.find(&storage("etcd")).unwrap();
    assert_eq!((found.trust, found.sha256, found.bytes), (Trust::PinnedInLock(ground.lock()), digest, b"etcd".to_vec()));
    assert_eq!((found.origin, found.replaces_builtin), (Origin::File(ground.path("etcd.wasm")), false));
    // Development needs none of that.
    fs::remove_file(ground.lock()).unwrap();
    ground.policy.dev = true;
    assert_eq!(ground.find(&storage("etcd")).unwrap().trust, Trust::Dev);
}

#[test]
fn what_says_otherwise_refuses_also_where_another_vouches_and_in_development() {
    let mut ground = Ground::new(&[("etcd.wasm", "etcd")]);
    ground.pin(&["etcd.wasm"]);
    ground.put("etcd.wasm", b"new");
    for dev in [false, true] {
        ground.policy.dev = dev;
        let lock = ground.lock().display().to_string();
        for request in [storage("etcd"), pinned("etcd", "new")] {
            ground.refused(&request, &[&sha256(b"new"), &sha256(b"etcd"), &lock, "`coffer plugin pin "]);
        }
        ground.refused(&pinned("etcd", "etcd"), &[&sha256(b"new"), &sha256(b"etcd"), "the configuration's plugin block"]);
    }
    let seal = Request::named(Kind::Seal, "etcd");
    ground.put("etcd.wasm", b"etcd");
    ground.refused(&seal, &["as a storage plugin", "asked for as seal"]);
}

#[test]
fn bytes_that_are_pinned_under_another_name_are_not_taken() {
    let ground = Ground::new(&[("etcd.wasm", "etcd"), ("consul.wasm", "etcd")]);
    ground.pin(&["etcd.wasm"]);
    ground.refused(&storage("consul"), &["under the name etcd.wasm", &sha256(b"etcd"), "rename the file", "coffer plugin pin"]);
}

#[test]
fn a_component_of_the_release_counts_as_pinned() {
    let ground = Ground::new(&[("copy.wasm", "the dynamodb guest"), ("filesystem.wasm", "the filesystem guest")]);
    assert_eq!(ground.find(&storage("copy")).unwrap().trust, Trust::Release("dynamodb".to_owned()));
    // The very bytes replace nothing.
    let found = ground.find(&storage("filesystem")).unwrap();
    assert_eq!((found.trust, found.replaces_builtin), (Trust::Release("filesystem".to_owned()), false));
    assert_eq!(found.origin, Origin::File(ground.path("filesystem.wasm")));
}

#[test]
fn a_file_replaces_a_component_of_the_release_only_where_that_is_said() {
    let ground = Ground::new(&[("filesystem.wasm", "other"), ("dynamodb-9.0.wasm", "other")]);
    ground.pin(&[]);
    ground.refused(
        &storage("filesystem"),
        &["is built in", "replaces_builtin = true", "plugin \"storage\" \"filesystem\"", &sha256(b"other")],
    );
    let replacing = |name| Request { replaces_builtin: true, ..storage(name) };
    let found = ground.find(&replacing("filesystem")).unwrap();
    assert!(found.replaces_builtin);
    assert_eq!(found.bytes, b"other");
    let elsewhere = Request { path: Some(ground.path("dynamodb-9.0.wasm")), ..storage("dynamodb") };
    ground.refused(&elsewhere, &["replaces_builtin = true"]);
    assert!(ground.find(&Request { replaces_builtin: true, ..elsewhere }).is_ok());
    // Said, and nothing there: what is built in is not what was meant.
    fs::remove_file(ground.path("filesystem.wasm")).unwrap();
    ground.refused(&replacing("filesystem"), &["does not exist", "replaces_builtin = true"]);
    ground.refused(&storage("filesystem"), &["does not exist", &format!("{} pins it", ground.lock().display())]);
}

#[test]
fn where_two_could_be_meant_neither_is_taken() {
    for other in ["Etcd.wasm", "etcd.WASM", "etcd-1.2.wasm", "etcd_v0.3.1.wasm", "etcd@1.wasm", "etcd.2.wasm", "ETCD-1.2-rc1.wasm"] {
        let ground = Ground::new(&[("etcd.wasm", "etcd"), (other, "other")]);
        ground.refused(&pinned("etcd", "etcd"), &["more than one file", "etcd.wasm", other, "`path`"]);
        let by_path = Request { path: Some(ground.path("etcd.wasm")), ..pinned("etcd", "etcd") };
        assert!(ground.find(&by_path).is_ok());
        fs::remove_file(ground.path("etcd.wasm")).unwrap();
        ground.refused(&pinned("etcd", "other"), &["etcd.wasm does not exist", other, "`path`"]);
    }
    // Names of other backends, and what is no plugin.
    let others = ["etcd-3.wasm", "etcd2.wasm", "my-etcd.wasm", "etcd.wasm.minisig", "etcd.wasm.bak", "etcd-1.2.txt", "etcd-notes.1.wasm"];
    let ground = Ground::new(&others.map(|name| (name, "other")));
    ground.put("etcd.wasm", b"etcd");
    assert!(ground.find(&pinned("etcd", "etcd")).is_ok());
}

#[test]
fn a_path_names_a_file_of_the_form() {
    let ground = Ground::new(&[("etcd.bin", "etcd"), ("etcd-0.3.wasm", "etcd")]);
    let at = |name: &str| Request { path: Some(ground.path(name)), ..pinned("etcd", "etcd") };
    assert_eq!(ground.find(&at("etcd-0.3.wasm")).unwrap().origin, Origin::File(ground.path("etcd-0.3.wasm")));
    ground.refused(&at("etcd.bin"), &["ends in .wasm"]);
    ground.refused(&at("none.wasm"), &["none.wasm does not exist"]);
    ground.refused(&at("none/etcd.wasm"), &["none: cannot be read"]);
    // The lock file beside the file counts.
    let other = Ground::new(&[("etcd.wasm", "etcd")]);
    other.pin(&[]);
    let found = ground.find(&Request { path: Some(other.path("etcd.wasm")), ..storage("etcd") }).unwrap();
    assert_eq!(found.trust, Trust::PinnedInLock(other.lock()));
}

#[test]
fn what_others_may_write_is_refused_with_what_mends_it() {
    let ground = Ground::new(&[("etcd.wasm", "etcd")]);
    ground.pin(&[]);
    for (name, bits) in [("etcd.wasm", 0o664), ("", 0o775), (LOCK_FILE, 0o646)] {
        let path = if name.is_empty() { ground.directory.path().to_owned() } else { ground.path(name) };
        let usual = fs::metadata(&path).unwrap().permissions();
        fs::set_permissions(&path, fs::Permissions::from_mode(bits)).unwrap();
        let command = format!("`chmod go-w {}`", path.display().to_string().trim_end_matches('/'));
        ground.refused(&storage("etcd"), &[&command, &format!("mode {bits:04o}")]);
        fs::set_permissions(&path, usual).unwrap();
    }
    assert!(ground.find(&storage("etcd")).is_ok());
}

fn sign(pair: &KeyPair, bytes: &[u8], file: &str) -> Vec<u8> {
    minisign::sign(None, &pair.sk, std::io::Cursor::new(bytes), Some(&format!("timestamp:1\tfile:{file}")), None)
        .unwrap()
        .into_string()
        .into_bytes()
}

#[test]
fn a_signature_by_a_trusted_key_vouches_for_a_file() {
    let (author, stranger) = (KeyPair::generate_unencrypted_keypair().unwrap(), KeyPair::generate_unencrypted_keypair().unwrap());
    let mut ground = Ground::new(&[("etcd.wasm", "etcd")]);
    ground.put("etcd.wasm.minisig", &sign(&author, b"etcd", "etcd.wasm"));
    ground.refused(&storage("etcd"), &["neither pinned nor signed", "once plugin_trusted_keys is set"]);
    let key = TrustedKey::parse(&author.pk.to_base64()).unwrap();
    ground.policy.trusted_keys = vec![key.clone()];
    let expected = Trust::Signed { key_id: key.id().to_owned(), trusted_comment: "timestamp:1\tfile:etcd.wasm".to_owned() };
    assert_eq!(ground.find(&storage("etcd")).unwrap().trust, expected);
    // By somebody else: nothing where nothing is needed.
    ground.put("etcd.wasm.minisig", &sign(&stranger, b"etcd", "etcd.wasm"));
    let id = TrustedKey::parse(&stranger.pk.to_base64()).unwrap();
    ground.refused(&storage("etcd"), &["etcd.wasm.minisig", id.id(), key.id(), "plugin_trusted_keys"]);
    assert_eq!(ground.find(&pinned("etcd", "etcd")).unwrap().trust, Trust::PinnedInConfig);
    // One that names a trusted key and does not fit, one for another file, one that is none: refused also beside a pin, and in development.
    let bad: [(Vec<u8>, &str); 3] = [
        (sign(&author, b"older", "etcd.wasm"), "does not fit the file"),
        (sign(&author, b"etcd", "consul.wasm"), "\"consul.wasm\""),
        (b"none".to_vec(), "no minisign signature"),
    ];
    for (text, expected) in bad {
        ground.put("etcd.wasm.minisig", &text);
        for dev in [false, true] {
            ground.policy.dev = dev;
            ground.refused(&storage("etcd"), &[expected, "etcd.wasm.minisig"]);
            ground.refused(&pinned("etcd", "etcd"), &[expected]);
        }
        ground.policy.dev = false;
    }
    ground.put("etcd.wasm.minisig", &vec![b'x'; 9000]);
    ground.refused(&storage("etcd"), &["larger than"]);
}

#[test]
fn a_list_has_every_file_and_all_that_is_built_in() {
    let ground = Ground::new(&[("b.wasm", "b"), ("a.wasm", "a"), ("filesystem.wasm", "other"), ("notes.txt", "x"), (".c.wasm.1.new", "x")]);
    ground.pin(&["a.wasm"]);
    std::os::unix::fs::symlink("a.wasm", ground.path("link.wasm")).unwrap();
    let listed = list(&ground.policy).unwrap();
    let names: Vec<&str> = listed.iter().map(|listed| listed.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "filesystem", "link", "filesystem", "dynamodb"]);
    let trust = |at: usize| listed[at].found.as_ref().map(|found| found.trust.clone()).map_err(ToString::to_string);
    assert_eq!(trust(0), Ok(Trust::PinnedInLock(ground.lock())));
    assert!(trust(1).unwrap_err().contains("neither pinned nor signed"));
    assert!(listed[2].shadows_builtin && !listed[0].shadows_builtin);
    assert!(trust(3).unwrap_err().contains("symbolic link"));
    assert_eq!(trust(4), Ok(Trust::Builtin));
    let without = list(&Policy { directory: None, ..ground.policy.clone() }).unwrap();
    assert_eq!(without.len(), 2);
    assert_eq!(Lock::parse(&fs::read(ground.lock()).unwrap()).unwrap().plugins.len(), 1);
}
