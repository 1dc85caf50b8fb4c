//! The filesystem guest on a [`Disk`] in memory: a host of its own, with as much of WASI as the guest uses. Any other call traps.

use std::sync::OnceLock;

use wasmtime::component::{Component, HasSelf, InstancePre, Linker, Resource, ResourceTable, ResourceType};
use wasmtime::{Engine, Store};

use super::disk::{Call, Content, Disk, Failure, Node, ROOT};
use crate::runtime::path;

mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit",
        inline: r#"
            package cofferdam:machine;

            world machine {
                import wasi:filesystem/types@0.2.12;
                import wasi:filesystem/preopens@0.2.12;
                import wasi:random/random@0.2.12;
                import cofferdam:backend/log@0.1.0;
                export cofferdam:backend/storage@0.1.0;
            }

            package wasi:random@0.2.12 {
                interface random {
                    get-random-u64: func() -> u64;
                }
            }

            package wasi:filesystem@0.2.12 {
                interface preopens {
                    use types.{descriptor};
                    get-directories: func() -> list<tuple<descriptor, string>>;
                }

                interface types {
                    record datetime { seconds: u64, nanoseconds: u32 }
                    enum descriptor-type {
                        unknown, block-device, character-device, directory, fifo, symbolic-link, regular-file, socket,
                    }
                    flags descriptor-flags {
                        read, write, file-integrity-sync, data-integrity-sync, requested-write-sync, mutate-directory,
                    }
                    flags path-flags { symlink-follow }
                    flags open-flags { create, directory, exclusive, truncate }
                    record descriptor-stat {
                        %type: descriptor-type,
                        link-count: u64,
                        size: u64,
                        data-access-timestamp: option<datetime>,
                        data-modification-timestamp: option<datetime>,
                        status-change-timestamp: option<datetime>,
                    }
                    record directory-entry { %type: descriptor-type, name: string }
                    enum error-code {
                        access, would-block, already, bad-descriptor, busy, deadlock, quota, exist, file-too-large, illegal-byte-sequence,
                        in-progress, interrupted, invalid, io, is-directory, loop, too-many-links, message-size, name-too-long, no-device,
                        no-entry, no-lock, insufficient-memory, insufficient-space, not-directory, not-empty, not-recoverable, unsupported,
                        no-tty, no-such-device, overflow, not-permitted, pipe, read-only, invalid-seek, text-file-busy, cross-device,
                    }
                    resource descriptor {
                        read: func(length: u64, offset: u64) -> result<tuple<list<u8>, bool>, error-code>;
                        write: func(buffer: list<u8>, offset: u64) -> result<u64, error-code>;
                        read-directory: func() -> result<directory-entry-stream, error-code>;
                        sync: func() -> result<_, error-code>;
                        create-directory-at: func(path: string) -> result<_, error-code>;
                        stat: func() -> result<descriptor-stat, error-code>;
                        stat-at: func(path-flags: path-flags, path: string) -> result<descriptor-stat, error-code>;
                        open-at: func(path-flags: path-flags, path: string, open-flags: open-flags, %flags: descriptor-flags) -> result<descriptor, error-code>;
                        remove-directory-at: func(path: string) -> result<_, error-code>;
                        rename-at: func(old-path: string, new-descriptor: borrow<descriptor>, new-path: string) -> result<_, error-code>;
                        unlink-file-at: func(path: string) -> result<_, error-code>;
                    }
                    resource directory-entry-stream {
                        read-directory-entry: func() -> result<option<directory-entry>, error-code>;
                    }
                }
            }
        "#,
        with: {
            "wasi:filesystem/types.descriptor": super::Open,
            "wasi:filesystem/types.directory-entry-stream": super::Names,
        },
    });
}

pub(super) use bindings::cofferdam::backend::types::{Error, Setting};
use bindings::exports::cofferdam::backend::storage::Guest;
use bindings::wasi::filesystem::types::{DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry, ErrorCode, OpenFlags, PathFlags};

/// What a descriptor of the guest stands for.
#[expect(unreachable_pub, reason = "the bindings name it again, publicly")]
pub struct Open(Node);

/// What is left of a directory that the guest reads.
#[expect(unreachable_pub, reason = "the bindings name it again, publicly")]
pub struct Names(std::vec::IntoIter<DirectoryEntry>);

struct State {
    disk: Disk,
    table: ResourceTable,
    random: u64,
}

impl From<Failure> for ErrorCode {
    fn from(failure: Failure) -> ErrorCode {
        match failure {
            Failure::Exist => ErrorCode::Exist,
            Failure::Io => ErrorCode::Io,
            Failure::IsDirectory => ErrorCode::IsDirectory,
            Failure::NoEntry => ErrorCode::NoEntry,
            Failure::NoSpace => ErrorCode::InsufficientSpace,
            Failure::NotDirectory => ErrorCode::NotDirectory,
            Failure::NotEmpty => ErrorCode::NotEmpty,
            Failure::NotPermitted => ErrorCode::NotPermitted,
            Failure::Quota => ErrorCode::Quota,
            Failure::ReadOnly => ErrorCode::ReadOnly,
        }
    }
}

impl State {
    fn node(&self, handle: &Resource<Open>) -> Node {
        self.table.get(handle).unwrap().0
    }

    fn stat_of(&self, node: Node) -> DescriptorStat {
        let (type_, size) = match &self.disk.nodes[node] {
            Content::File(bytes) => (DescriptorType::RegularFile, bytes.len() as u64),
            Content::Directory(_) => (DescriptorType::Directory, 4096),
        };
        DescriptorStat {
            type_,
            size,
            link_count: 1,
            data_access_timestamp: None,
            data_modification_timestamp: None,
            status_change_timestamp: None,
        }
    }
}

impl bindings::wasi::filesystem::types::Host for State {}

impl bindings::wasi::filesystem::types::HostDescriptor for State {
    fn read(&mut self, handle: Resource<Open>, length: u64, offset: u64) -> Result<(Vec<u8>, bool), ErrorCode> {
        self.disk.check(Call::Read)?;
        let bytes = self.disk.read(self.node(&handle)).map_err(|_| ErrorCode::BadDescriptor)?;
        let rest = bytes.get(offset as usize..).unwrap_or_default();
        let read = &rest[..rest.len().min(length as usize)];
        Ok((read.to_vec(), read.is_empty()))
    }

    /// Takes less than it is given, as a host may.
    fn write(&mut self, handle: Resource<Open>, mut buffer: Vec<u8>, offset: u64) -> Result<u64, ErrorCode> {
        self.disk.check(Call::Write)?;
        buffer.truncate(40);
        let length = buffer.len();
        self.disk.write(self.node(&handle), offset as usize, buffer)?;
        Ok(length as u64)
    }

    fn read_directory(&mut self, handle: Resource<Open>) -> Result<Resource<Names>, ErrorCode> {
        self.disk.check(Call::ReadDirectory)?;
        let names = self.disk.names(self.node(&handle))?;
        let entry = |(name, node): (&String, &Node)| DirectoryEntry { type_: self.stat_of(*node).type_, name: name.clone() };
        let entries: Vec<_> = names.iter().map(entry).collect();
        Ok(self.table.push(Names(entries.into_iter())).unwrap())
    }

    fn sync(&mut self, handle: Resource<Open>) -> Result<(), ErrorCode> {
        let node = self.node(&handle);
        self.disk.check(if self.disk.is_directory(node) { Call::SyncDirectory } else { Call::SyncFile })?;
        self.disk.sync(node);
        Ok(())
    }

    fn create_directory_at(&mut self, _: Resource<Open>, path: String) -> Result<(), ErrorCode> {
        self.disk.check(Call::MakeDirectory)?;
        Ok(self.disk.make_directory(&path)?)
    }

    fn stat(&mut self, handle: Resource<Open>) -> Result<DescriptorStat, ErrorCode> {
        self.disk.check(Call::Stat)?;
        Ok(self.stat_of(self.node(&handle)))
    }

    fn stat_at(&mut self, _: Resource<Open>, _: PathFlags, path: String) -> Result<DescriptorStat, ErrorCode> {
        self.disk.check(Call::Stat)?;
        Ok(self.stat_of(self.disk.find(&path)?))
    }

    fn open_at(
        &mut self,
        _: Resource<Open>,
        _: PathFlags,
        path: String,
        flags: OpenFlags,
        _: DescriptorFlags,
    ) -> Result<Resource<Open>, ErrorCode> {
        let node = if flags.contains(OpenFlags::CREATE) {
            self.disk.check(Call::CreateFile)?;
            assert!(flags.contains(OpenFlags::EXCLUSIVE), "a file that may be another's is opened for writing");
            self.disk.make_file(&path)?
        } else if flags.contains(OpenFlags::DIRECTORY) {
            self.disk.check(Call::OpenDirectory)?;
            let node = self.disk.find(&path)?;
            self.disk.names(node)?;
            node
        } else {
            self.disk.check(Call::OpenFile)?;
            self.disk.find(&path)?
        };
        Ok(self.table.push(Open(node)).unwrap())
    }

    fn remove_directory_at(&mut self, _: Resource<Open>, path: String) -> Result<(), ErrorCode> {
        self.disk.check(Call::RemoveDirectory)?;
        Ok(self.disk.remove_directory(&path)?)
    }

    fn rename_at(&mut self, _: Resource<Open>, old: String, _: Resource<Open>, new: String) -> Result<(), ErrorCode> {
        self.disk.check(Call::Rename)?;
        Ok(self.disk.rename(&old, &new)?)
    }

    fn unlink_file_at(&mut self, handle: Resource<Open>, path: String) -> Result<(), ErrorCode> {
        self.disk.check(Call::Unlink)?;
        Ok(self.disk.unlink(self.node(&handle), &path)?)
    }

    fn drop(&mut self, handle: Resource<Open>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

impl bindings::wasi::filesystem::types::HostDirectoryEntryStream for State {
    fn read_directory_entry(&mut self, names: Resource<Names>) -> Result<Option<DirectoryEntry>, ErrorCode> {
        Ok(self.table.get_mut(&names).unwrap().0.next())
    }

    fn drop(&mut self, names: Resource<Names>) -> wasmtime::Result<()> {
        self.table.delete(names)?;
        Ok(())
    }
}

impl bindings::wasi::filesystem::preopens::Host for State {
    fn get_directories(&mut self) -> Vec<(Resource<Open>, String)> {
        vec![(self.table.push(Open(ROOT)).unwrap(), "/data".to_owned())]
    }
}

impl bindings::wasi::random::random::Host for State {
    fn get_random_u64(&mut self) -> u64 {
        self.random += 1;
        self.random
    }
}

impl bindings::cofferdam::backend::log::Host for State {
    fn write(&mut self, _: bindings::cofferdam::backend::log::Level, _: String) {}
}

impl bindings::cofferdam::backend::types::Host for State {}

fn prepared() -> &'static (Engine, InstancePre<State>) {
    static PREPARED: OnceLock<(Engine, InstancePre<State>)> = OnceLock::new();
    PREPARED.get_or_init(|| {
        let engine = Engine::default();
        let component = Component::from_file(&engine, path("filesystem")).unwrap();
        let mut linker = Linker::<State>::new(&engine);
        bindings::Machine::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state).unwrap();
        // The other interface's name for the same resource, which else would be taken for an unknown one.
        let mut preopens = linker.instance("wasi:filesystem/preopens@0.2.12").unwrap();
        preopens.resource("descriptor", ResourceType::host::<Open>(), |_, _| Ok(())).unwrap();
        linker.define_unknown_imports_as_traps(&component).unwrap();
        let prepared = linker.instantiate_pre(&component).unwrap();
        (engine, prepared)
    })
}

/// One instance of the guest with its disk.
pub(super) struct Machine {
    store: Store<State>,
    storage: Guest,
}

impl Machine {
    /// An instance on the disk, as yet without `open`. Instances that share a disk need numbers of their own.
    pub(super) fn new(disk: Disk, number: u64) -> Machine {
        let (engine, prepared) = prepared();
        let state = State { disk, table: ResourceTable::new(), random: number << 32 };
        let mut store = Store::new(engine, state);
        let instance = prepared.instantiate(&mut store).unwrap();
        let indices = bindings::exports::cofferdam::backend::storage::GuestIndices::new(prepared).unwrap();
        let storage = indices.load(&mut store, &instance).unwrap();
        Machine { store, storage }
    }

    /// An instance on the disk after `open` and `attach`.
    pub(super) fn open(disk: Disk, number: u64) -> Machine {
        let mut machine = Machine::new(disk, number);
        machine.try_open(&[]).unwrap();
        machine
    }

    pub(super) fn try_open(&mut self, settings: &[Setting]) -> Result<(), Error> {
        let opened = self.storage.call_open(&mut self.store, settings).unwrap()?;
        self.storage.call_attach(&mut self.store, settings, &opened).unwrap()
    }

    pub(super) fn disk(&mut self) -> &mut Disk {
        &mut self.store.data_mut().disk
    }

    pub(super) fn into_disk(self) -> Disk {
        self.store.into_data().disk
    }

    pub(super) fn get(&mut self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        self.storage.call_get(&mut self.store, key).unwrap()
    }

    pub(super) fn put(&mut self, key: &str, value: &[u8], known: u32) -> Result<(), Error> {
        self.storage.call_put(&mut self.store, key, value, known).unwrap()
    }

    pub(super) fn delete(&mut self, key: &str) -> Result<u32, Error> {
        self.storage.call_delete(&mut self.store, key).unwrap()
    }

    /// Every key that can be reached by listing from the root.
    pub(super) fn keys(&mut self) -> Result<Vec<String>, Error> {
        let mut keys = Vec::new();
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            let page = self.storage.call_list_page(&mut self.store, &folder, "", 1_000).unwrap()?;
            assert!(folder.is_empty() || !page.names.is_empty(), "{folder:?} is listed but holds nothing");
            for name in page.names {
                let path = format!("{folder}{name}");
                if name.ends_with('/') { folders.push(path) } else { keys.push(path) }
            }
        }
        keys.sort();
        Ok(keys)
    }
}
