//! A device's file, and the thread that alone writes to it. Sockets have a task of their own instead.
//!
//! The rule: an entry is one write of one whole line at the file's end. What a failed write left of a line is taken back, or, where the file
//! does not allow it, ended, so that the next line is whole. After a failure, and on SIGHUP, the file is opened anew.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use tokio::sync::oneshot;
use zeroize::Zeroizing;

use super::settings::{Settings, Target};
use super::socket;

/// The mode of a new file whose device sets none.
const NEW_FILE: u32 = 0o600;
/// The mode of folders that are made for a file.
const NEW_FOLDER: u32 = 0o700;

/// What the thread, or the task of a socket, is asked to do.
pub(super) enum Job {
    /// Write a line, and say whether that was done.
    Line(Zeroizing<Vec<u8>>, oneshot::Sender<bool>),
    /// Open the file again.
    Reopen,
}

/// Where a device's lines go. The thread, or the task, ends with it.
pub(super) enum Sink {
    File(mpsc::Sender<Job>),
    Socket(tokio::sync::mpsc::UnboundedSender<Job>),
}

impl Sink {
    /// Opens the file and starts the thread. None for a device that writes nowhere.
    pub(super) fn open(path: &str, settings: &Settings) -> io::Result<Option<Sink>> {
        let writer = match &settings.target {
            Target::Discard => return Ok(None),
            Target::Socket { .. } => return Ok(socket::start(path, &settings.target).map(Sink::Socket)),
            Target::Stdout => Writer::new(path, Output::Stdout),
            Target::File(file) => {
                let mut writer = Writer::new(path, Output::File { path: file.clone(), mode: settings.mode, open: None });
                writer.output.ready()?;
                writer
            }
        };
        let (sender, jobs) = mpsc::channel();
        std::thread::Builder::new().name("audit".to_owned()).spawn(move || writer.run(&jobs))?;
        Ok(Some(Sink::File(sender)))
    }

    /// Has a line written.
    pub(super) fn send(&self, line: Zeroizing<Vec<u8>>) -> oneshot::Receiver<bool> {
        let (done, written) = oneshot::channel();
        // If the thread has ended, whoever waits learns it by the other end being gone.
        self.ask(Job::Line(line, done));
        written
    }

    /// Has the file opened again.
    pub(super) fn reopen(&self) {
        self.ask(Job::Reopen);
    }

    fn ask(&self, job: Job) {
        match self {
            Sink::File(jobs) => drop(jobs.send(job)),
            Sink::Socket(jobs) => drop(jobs.send(job)),
        }
    }
}

struct Writer {
    output: Output,
    report: Report,
}

/// Tells the log of failures.
pub(super) struct Report {
    device: String,
    /// The last line could not be written, which was logged.
    failing: bool,
}

impl Report {
    pub(super) fn new(device: &str) -> Report {
        Report { device: device.to_owned(), failing: false }
    }

    /// Logs the first failure of a row, and that it is over.
    pub(super) fn note(&mut self, error: Option<&io::Error>) {
        match error {
            Some(error) if !self.failing => tracing::error!(device = self.device, %error, "an audit device cannot write"),
            None if self.failing => tracing::info!(device = self.device, "an audit device writes again"),
            _ => {}
        }
        self.failing = error.is_some();
    }
}

enum Output {
    Stdout,
    File { path: PathBuf, mode: Option<u32>, open: Option<Appended> },
}

impl Writer {
    fn new(device: &str, output: Output) -> Writer {
        Writer { output, report: Report::new(device) }
    }

    fn run(mut self, jobs: &mpsc::Receiver<Job>) {
        while let Ok(job) = jobs.recv() {
            match job {
                Job::Line(line, done) => {
                    let written = self.output.line(&line);
                    self.report.note(written.as_ref().err());
                    // Nobody waits if the client went away.
                    _ = done.send(written.is_ok());
                }
                Job::Reopen => {
                    let opened = self.output.reopen();
                    self.report.note(opened.as_ref().err());
                }
            }
        }
    }
}

impl Output {
    /// Opens the file if it is not open.
    fn ready(&mut self) -> io::Result<()> {
        if let Output::File { path, mode, open } = self
            && open.is_none()
        {
            *open = Some(Appended::open(path, *mode)?);
        }
        Ok(())
    }

    fn reopen(&mut self) -> io::Result<()> {
        if let Output::File { open, .. } = self {
            *open = None;
        }
        self.ready()
    }

    fn line(&mut self, line: &[u8]) -> io::Result<()> {
        self.ready()?;
        match self.write(line) {
            Ok(()) => Ok(()),
            Err(error) if matches!(self, Output::Stdout) => Err(error),
            Err(_) => {
                self.reopen()?;
                self.write(line)
            }
        }
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        match self {
            Output::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(line)?;
                out.flush()
            }
            Output::File { open: Some(file), .. } => file.line(line),
            Output::File { open: None, .. } => Err(io::Error::other("the file is not open")),
        }
    }
}

/// A file that is only appended to.
struct Appended {
    file: File,
    /// It ends within a line, whose rest could not be written.
    torn: bool,
}

impl Appended {
    fn open(path: &Path, mode: Option<u32>) -> io::Result<Appended> {
        if std::fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo()) {
            // Opening one waits for a reader.
            return Err(io::Error::other("it is a pipe, not a file"));
        }
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            DirBuilder::new().recursive(true).mode(NEW_FOLDER).create(folder)?;
        }
        let file = OpenOptions::new().append(true).create(true).mode(mode.unwrap_or(NEW_FILE)).open(path)?;
        let regular = file.metadata()?.is_file();
        if let (true, Some(mode)) = (regular, mode) {
            file.set_permissions(Permissions::from_mode(mode))?;
        }
        let torn = regular && ends_within_a_line(path, &file)?;
        Ok(Appended { file, torn })
    }

    fn line(&mut self, line: &[u8]) -> io::Result<()> {
        if self.torn {
            append(&mut self.file, b"\n").map_err(|(error, _)| error)?;
            self.torn = false;
        }
        append(&mut self.file, line).map_err(|(error, written)| {
            if written > 0 {
                self.torn = self.take_back(written).is_err();
            }
            error
        })
    }

    /// Removes what this wrote last, if nobody has written since.
    fn take_back(&mut self, written: usize) -> io::Result<()> {
        let end = self.file.stream_position()?;
        let before = end.checked_sub(u64::try_from(written).map_err(io::Error::other)?);
        let found = self.file.metadata()?;
        match before {
            Some(before) if found.is_file() && found.len() == end => self.file.set_len(before),
            _ => Err(io::Error::other("the file's end is not ours")),
        }
    }
}

/// Whether a file that was found has a last line without an end.
fn ends_within_a_line(path: &Path, file: &File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    // The file may be one that this process may write and not read.
    let Ok(mut reader) = File::open(path) else { return Ok(false) };
    let mut last = [0];
    reader.seek(io::SeekFrom::End(-1))?;
    reader.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

/// Writes all of it, in one write if the system takes it; an error says how much was written.
fn append(file: &mut File, bytes: &[u8]) -> Result<(), (io::Error, usize)> {
    let mut written = 0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        match file.write(rest) {
            Ok(0) => return Err((io::ErrorKind::WriteZero.into(), written)),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err((error, written)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_of_a_line_is_taken_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("made/for/it/audit.log");
        let mut file = Appended::open(&path, Some(0o640)).unwrap();
        file.line(b"one\n").unwrap();
        append(&mut file.file, b"tw").unwrap();
        file.take_back(2).unwrap();
        file.line(b"three\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\nthree\n");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o640);
        // Another has written since.
        append(&mut file.file, b"fo").unwrap();
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"other\n").unwrap();
        assert!(file.take_back(2).is_err());
    }

    #[test]
    fn a_line_that_was_cut_is_ended_before_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        std::fs::write(&path, "{\"cut").unwrap();
        let mut file = Appended::open(&path, None).unwrap();
        file.line(b"two\n").unwrap();
        file.line(b"three\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"cut\ntwo\nthree\n");
    }

    #[test]
    fn a_pipe_is_refused_since_it_could_block_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
        assert!(Appended::open(&path, None).is_err());
    }

    #[test]
    fn a_file_that_fails_is_opened_again_and_one_that_was_renamed_is_let_go() {
        let dir = tempfile::tempdir().unwrap();
        let (path, kept) = (dir.path().join("audit.log"), dir.path().join("kept"));
        std::os::unix::fs::symlink("/dev/full", &path).unwrap();
        let mut output = Output::File { path: path.clone(), mode: None, open: None };
        assert!(output.line(b"lost\n").is_err());
        std::fs::remove_file(&path).unwrap();
        output.line(b"one\n").unwrap();
        std::fs::rename(&path, &kept).unwrap();
        output.line(b"two\n").unwrap();
        output.reopen().unwrap();
        output.line(b"three\n").unwrap();
        assert_eq!(std::fs::read_to_string(&kept).unwrap(), "one\ntwo\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "three\n");
    }
}
