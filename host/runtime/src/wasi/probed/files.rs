//! `wasi:filesystem` as a probe sees it. The file system's own errors stand for faults.

use std::io;

use wasmtime::component::Resource;
use wasmtime_wasi::filesystem::WasiFilesystemView as _;
use wasmtime_wasi::p2::bindings::filesystem::types::{
    self, Advice, Descriptor, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry, DirectoryEntryStream, ErrorCode, Filesize,
    Host, HostDescriptor, HostDirectoryEntryStream, MetadataHashValue, NewTimestamp, OpenFlags, PathFlags,
};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, FsError, FsResult};

use super::streams::{Watched, errno};
use crate::probe::{Course, Probed};
use crate::state::State;

/// An operation that the probe lets happen.
struct Under {
    probed: Option<Probed>,
    name: &'static str,
    path: String,
    lost: bool,
}

impl Under {
    fn end<T>(&self, answer: FsResult<T>) -> FsResult<T> {
        match &answer {
            Err(error) => {
                let outside = matches!(error.downcast_ref(), Some(ErrorCode::NotPermitted | ErrorCode::ReadOnly));
                if let (true, Some(probed)) = (outside, &self.probed) {
                    probed.refused(&format!("{} {}", self.name, self.path));
                }
                answer
            }
            Ok(_) if self.lost => Err(ErrorCode::Io.into()),
            Ok(_) => answer,
        }
    }
}

impl Under {
    /// Asks the probe about an operation on a descriptor, or on a path below it.
    async fn begin(probed: Option<Probed>, name: &'static str, descriptor: u32, below: &str) -> FsResult<Under> {
        let Some(probed) = probed else { return Ok(Under { probed: None, name, path: String::new(), lost: false }) };
        let path = probed.path(descriptor, below);
        let course = probed.before(name, &path).await;
        Under::on(course, probed, name, path)
    }

    /// The same where nothing can wait but the thread.
    fn begin_on_thread(probed: Option<Probed>, name: &'static str, descriptor: u32) -> FsResult<Under> {
        let Some(probed) = probed else { return Ok(Under { probed: None, name, path: String::new(), lost: false }) };
        let path = probed.path(descriptor, "");
        let course = probed.before_on_thread(name, &path);
        Under::on(course, probed, name, path)
    }

    fn on(course: wasmtime::Result<Course>, probed: Probed, name: &'static str, path: String) -> FsResult<Under> {
        match course.map_err(FsError::trap)? {
            Course::Fail(fault) => Err(io::Error::from(errno(fault)).into()),
            course => Ok(Under { probed: Some(probed), name, path, lost: matches!(course, Course::Lose) }),
        }
    }
}

impl Host for State {
    fn convert_error_code(&mut self, error: FsError) -> wasmtime::Result<ErrorCode> {
        error.downcast()
    }

    fn filesystem_error_code(&mut self, error: Resource<wasmtime::Error>) -> wasmtime::Result<Option<ErrorCode>> {
        self.filesystem().filesystem_error_code(error)
    }
}

/// Functions that need no more than to be asked about. The detail is the path of the descriptor, or with `at` of what is below it.
macro_rules! asked {
    ($($name:literal: $function:ident($($argument:ident: $type:ty),*) -> $answer:ty $(, at $path:ident $(in $directory:ident)?)?;)*) => {$(
        async fn $function(&mut self, descriptor: Resource<Descriptor>, $($argument: $type),*) -> FsResult<$answer> {
            let (directory, below) = place!(descriptor $(, $path $(, $directory)?)?);
            let under = Under::begin(self.probed.clone(), concat!("wasi:filesystem/types.", $name), directory, below).await?;
            let answer = self.filesystem().$function(descriptor, $($argument),*).await;
            under.end(answer)
        }
    )*};
}

/// What they are about: a handle, or a path below one.
macro_rules! place {
    ($descriptor:ident) => {
        ($descriptor.rep(), "")
    };
    ($descriptor:ident, $path:ident) => {
        ($descriptor.rep(), $path.as_str())
    };
    ($descriptor:ident, $path:ident, $directory:ident) => {
        ($directory.rep(), $path.as_str())
    };
}

impl HostDescriptor for State {
    asked! {
        "advise": advise(offset: Filesize, length: Filesize, advice: Advice) -> ();
        "sync-data": sync_data() -> ();
        "get-flags": get_flags() -> DescriptorFlags;
        "get-type": get_type() -> DescriptorType;
        "set-size": set_size(size: Filesize) -> ();
        "set-times": set_times(access: NewTimestamp, modified: NewTimestamp) -> ();
        "read": read(length: Filesize, offset: Filesize) -> (Vec<u8>, bool);
        "write": write(buffer: Vec<u8>, offset: Filesize) -> Filesize;
        "sync": sync() -> ();
        "create-directory-at": create_directory_at(path: String) -> (), at path;
        "stat": stat() -> DescriptorStat;
        "stat-at": stat_at(flags: PathFlags, path: String) -> DescriptorStat, at path;
        "set-times-at": set_times_at(flags: PathFlags, path: String, access: NewTimestamp, modified: NewTimestamp) -> (), at path;
        "link-at": link_at(flags: PathFlags, old: String, new_descriptor: Resource<Descriptor>, new: String) -> (), at new in new_descriptor;
        "readlink-at": readlink_at(path: String) -> String, at path;
        "remove-directory-at": remove_directory_at(path: String) -> (), at path;
        "rename-at": rename_at(old: String, new_descriptor: Resource<Descriptor>, new: String) -> (), at new in new_descriptor;
        "symlink-at": symlink_at(target: String, path: String) -> (), at path;
        "unlink-file-at": unlink_file_at(path: String) -> (), at path;
        "metadata-hash": metadata_hash() -> MetadataHashValue;
        "metadata-hash-at": metadata_hash_at(flags: PathFlags, path: String) -> MetadataHashValue, at path;
    }

    async fn open_at(
        &mut self,
        descriptor: Resource<Descriptor>,
        path_flags: PathFlags,
        path: String,
        open_flags: OpenFlags,
        flags: DescriptorFlags,
    ) -> FsResult<Resource<Descriptor>> {
        let below = descriptor.rep();
        let under = Under::begin(self.probed.clone(), "wasi:filesystem/types.open-at", below, &path).await?;
        let opened = self.filesystem().open_at(descriptor, path_flags, path.clone(), open_flags, flags).await;
        match opened {
            Ok(opened) if under.lost => {
                HostDescriptor::drop(&mut self.filesystem(), opened).map_err(FsError::trap)?;
                Err(ErrorCode::Io.into())
            }
            Ok(opened) => {
                if let Some(probed) = &self.probed {
                    probed.opened(below, &path, opened.rep());
                }
                Ok(opened)
            }
            Err(error) => under.end(Err(error)),
        }
    }

    async fn read_directory(&mut self, descriptor: Resource<Descriptor>) -> FsResult<Resource<DirectoryEntryStream>> {
        let under = Under::begin(self.probed.clone(), "wasi:filesystem/types.read-directory", descriptor.rep(), "").await?;
        let entries = self.filesystem().read_directory(descriptor).await;
        match entries {
            Ok(entries) if under.lost => {
                HostDirectoryEntryStream::drop(&mut self.filesystem(), entries).map_err(FsError::trap)?;
                Err(ErrorCode::Io.into())
            }
            entries => under.end(entries),
        }
    }

    fn read_via_stream(&mut self, descriptor: Resource<Descriptor>, offset: Filesize) -> FsResult<Resource<DynInputStream>> {
        let under = Under::begin_on_thread(self.probed.clone(), "wasi:filesystem/types.read-via-stream", descriptor.rep())?;
        let stream = under.unlost(self.filesystem().read_via_stream(descriptor, offset))?;
        let Some(probed) = under.probed else { return Ok(stream) };
        let table = self.filesystem().table;
        let inner = table.delete(stream)?;
        Ok(table.push(Box::new(Watched { inner, probed, path: under.path }) as DynInputStream)?)
    }

    fn write_via_stream(&mut self, descriptor: Resource<Descriptor>, offset: Filesize) -> FsResult<Resource<DynOutputStream>> {
        let under = Under::begin_on_thread(self.probed.clone(), "wasi:filesystem/types.write-via-stream", descriptor.rep())?;
        let stream = under.unlost(self.filesystem().write_via_stream(descriptor, offset))?;
        self.probed_output(stream, under)
    }

    fn append_via_stream(&mut self, descriptor: Resource<Descriptor>) -> FsResult<Resource<DynOutputStream>> {
        let under = Under::begin_on_thread(self.probed.clone(), "wasi:filesystem/types.append-via-stream", descriptor.rep())?;
        let stream = under.unlost(self.filesystem().append_via_stream(descriptor))?;
        self.probed_output(stream, under)
    }

    async fn is_same_object(&mut self, one: Resource<Descriptor>, other: Resource<Descriptor>) -> wasmtime::Result<bool> {
        self.filesystem().is_same_object(one, other).await
    }

    fn drop(&mut self, descriptor: Resource<Descriptor>) -> wasmtime::Result<()> {
        if let Some(probed) = &self.probed {
            probed.closed(descriptor.rep());
        }
        HostDescriptor::drop(&mut self.filesystem(), descriptor)
    }
}

impl Under {
    /// The stream, which does nothing until it is used: there is no answer yet to lose.
    fn unlost<T>(&self, stream: FsResult<T>) -> FsResult<T> {
        if stream.is_ok() { stream } else { self.end(stream) }
    }
}

impl State {
    fn probed_output(&mut self, stream: Resource<DynOutputStream>, under: Under) -> FsResult<Resource<DynOutputStream>> {
        let Some(probed) = under.probed else { return Ok(stream) };
        let table = self.filesystem().table;
        let inner = table.delete(stream)?;
        Ok(table.push(Box::new(Watched { inner, probed, path: under.path }) as DynOutputStream)?)
    }
}

impl HostDirectoryEntryStream for State {
    async fn read_directory_entry(&mut self, stream: Resource<DirectoryEntryStream>) -> FsResult<Option<DirectoryEntry>> {
        let under = Under::begin(self.probed.clone(), "wasi:filesystem/types.read-directory-entry", u32::MAX, "").await?;
        let entry = self.filesystem().read_directory_entry(stream).await;
        under.end(entry)
    }

    fn drop(&mut self, stream: Resource<types::DirectoryEntryStream>) -> wasmtime::Result<()> {
        HostDirectoryEntryStream::drop(&mut self.filesystem(), stream)
    }
}
