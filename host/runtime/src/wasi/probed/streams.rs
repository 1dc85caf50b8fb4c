//! Streams of files as a probe sees them.

use std::io;

use bytes::Bytes;
use rustix::io::Errno;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, InputStream, OutputStream, Pollable, StreamError, StreamResult};

use crate::probe::{Course, Fault, Probed};

/// A stream of a file.
pub(super) struct Watched<S> {
    pub(super) inner: S,
    pub(super) probed: Probed,
    pub(super) path: String,
}

/// The file system's word for it.
pub(super) fn errno(fault: Fault) -> Errno {
    match fault {
        Fault::Unavailable => Errno::IO,
        Fault::Throttled => Errno::BUSY,
        Fault::Denied => Errno::ACCESS,
        Fault::Full => Errno::NOSPC,
    }
}

fn failed(errno: Errno) -> StreamError {
    StreamError::LastOperationFailed(io::Error::from(errno).into())
}

/// Whether the answer is lost, unless the operation fails.
fn lost(course: wasmtime::Result<Course>) -> StreamResult<bool> {
    match course.map_err(StreamError::Trap)? {
        Course::Go => Ok(false),
        Course::Lose => Ok(true),
        Course::Fail(fault) => Err(failed(errno(fault))),
    }
}

fn unless<T>(lost: bool, answer: StreamResult<T>) -> StreamResult<T> {
    match answer {
        Ok(_) if lost => Err(failed(Errno::IO)),
        answer => answer,
    }
}

const READ: &str = "wasi:io/streams.read";
const WRITE: &str = "wasi:io/streams.write";

#[async_trait]
impl<S: Pollable> Pollable for Watched<S> {
    async fn ready(&mut self) {
        self.inner.ready().await;
    }
}

#[async_trait]
impl InputStream for Watched<DynInputStream> {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        let lost = lost(self.probed.before_on_thread(READ, &self.path))?;
        unless(lost, self.inner.read(size))
    }

    async fn blocking_read(&mut self, size: usize) -> StreamResult<Bytes> {
        let lost = lost(self.probed.before(READ, &self.path).await)?;
        unless(lost, self.inner.blocking_read(size).await)
    }

    async fn cancel(&mut self) {
        self.inner.cancel().await;
    }
}

#[async_trait]
impl OutputStream for Watched<DynOutputStream> {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let lost = lost(self.probed.before_on_thread(WRITE, &self.path))?;
        unless(lost, self.inner.write(bytes))
    }

    async fn blocking_write_and_flush(&mut self, bytes: Bytes) -> StreamResult<()> {
        let lost = lost(self.probed.before(WRITE, &self.path).await)?;
        unless(lost, self.inner.blocking_write_and_flush(bytes).await)
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.inner.flush()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.inner.check_write()
    }

    async fn cancel(&mut self) {
        self.inner.cancel().await;
    }
}
