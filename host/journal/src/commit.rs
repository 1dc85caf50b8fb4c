//! Group commit: a thread writes what has gathered while the last sync ran, and syncs it; another sees to what full journals hold, and frees them.

use std::convert::Infallible;
use std::fmt::Display;
use std::io;
use std::mem;
use std::ops::Range;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use cofferdam_backend::{Error, Result};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::Options;
use crate::format::{Group, HEADER, Header, Submission};
use crate::medium::{Medium, Place};

/// What was written to the journal. As long as it is held, the journal waits for it to be applied.
pub(crate) struct Ticket {
    /// The number of the first submission; the others' follow.
    pub(crate) first: u64,
    _held: Sender<Infallible>,
}

/// Left free behind what is written, for the aborts of all that may be under way.
const ROOM: u64 = 1 << 18;

/// A group of this many bytes has its length in the field for it.
const LARGEST: usize = 1 << 31;

type Answer = oneshot::Sender<Result<Ticket>>;

/// The journal that is written.
pub(crate) struct Journal {
    shared: Arc<Shared>,
    name: String,
    ended: Mutex<Option<oneshot::Receiver<()>>>,
}

struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
}

struct Queue {
    group: Group,
    /// How much has to be left behind the group, for aborts.
    room: u64,
    waiting: Vec<(u64, Answer)>,
    next: u64,
    spare: Option<Box<dyn Medium>>,
    ending: bool,
    failed: Option<String>,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fail(&self, name: &str, what: &str, error: &dyn Display) {
        let text = format!("the journal in {name} cannot be {what}: {error}: nothing is written until the server is started again");
        tracing::error!("{text}");
        self.queue().failed.get_or_insert(text);
        self.wake.notify_one();
    }
}

/// The journal that is being filled.
struct Active {
    medium: Box<dyn Medium>,
    header: Header,
    /// Where the next group goes.
    at: u64,
    /// When the first one came.
    since: Option<Instant>,
    /// Held by everything that is in it and not applied yet.
    held: Sender<Infallible>,
    quiet: Receiver<Infallible>,
}

impl Active {
    fn begin(mut medium: Box<dyn Medium>, generation: u64, before: u64) -> io::Result<Active> {
        let header = Header { generation, before, id: *Uuid::new_v4().as_bytes() };
        medium.reserve(HEADER)?;
        medium.write(&header.write(), 0)?;
        medium.sync()?;
        let (held, quiet) = mpsc::channel();
        Ok(Active { medium, header, at: HEADER, since: None, held, quiet })
    }
}

/// A journal that is no longer filled.
struct Full {
    medium: Box<dyn Medium>,
    quiet: Receiver<Infallible>,
}

impl Journal {
    /// Begins a journal in the first of two files that hold none.
    pub(crate) fn begin(place: Arc<dyn Place>, options: Options) -> io::Result<Journal> {
        let active = Active::begin(place.medium(0)?, 1, 0)?;
        let queue = Queue {
            group: Group::default(),
            room: 0,
            waiting: Vec::new(),
            next: 0,
            spare: Some(place.medium(1)?),
            ending: false,
            failed: None,
        };
        let shared = Arc::new(Shared { queue: Mutex::new(queue), wake: Condvar::new() });
        let name = place.name();
        let (full, to_free) = mpsc::channel();
        let (end, ended) = oneshot::channel();
        let freeing = Freeing { place: place.clone(), shared: shared.clone(), full: to_free };
        let freeing = thread::Builder::new().name("coffer-settle".to_owned()).spawn(move || freeing.run())?;
        let writing = Writing { place, shared: shared.clone(), active, full, options };
        thread::Builder::new().name("coffer-journal".to_owned()).spawn(move || {
            let (place, shared) = (writing.place.clone(), writing.shared.clone());
            writing.run();
            if freeing.join().is_ok() && shared.queue().failed.is_none() {
                tidy(place.as_ref());
            }
            let _ = end.send(());
        })?;
        Ok(Journal { shared, name, ended: Mutex::new(Some(ended)) })
    }

    /// Writes to the journal, all in one group, and returns when that is durable.
    pub(crate) async fn commit(&self, submissions: impl IntoIterator<Item = Submission>) -> Result<Ticket> {
        let answered = self.submit(submissions, ROOM)?;
        answered.await.unwrap_or_else(|_| Err(Error::Unavailable("the journal's thread has ended".to_owned())))
    }

    /// Writes that submissions were not applied. There is room for that also on a full disk.
    pub(crate) async fn abort(&self, numbers: Range<u64>) -> Result<()> {
        if numbers.is_empty() {
            return Ok(());
        }
        let answered = self.submit(numbers.map(Submission::abort), 0)?;
        answered.await.unwrap_or_else(|_| Err(Error::Unavailable("the journal's thread has ended".to_owned()))).map(drop)
    }

    fn submit(&self, submissions: impl IntoIterator<Item = Submission>, room: u64) -> Result<oneshot::Receiver<Result<Ticket>>> {
        let (answer, answered) = oneshot::channel();
        // Before the queue is taken, for which the writing thread waits.
        let submissions: Vec<Submission> = submissions.into_iter().collect();
        {
            let mut queue = self.shared.queue();
            if let Some(failed) = &queue.failed {
                return Err(Error::Unavailable(failed.clone()));
            }
            // What was begun is ended: its ticket keeps the journal.
            if queue.ending && room > 0 {
                return Err(Error::Unavailable("the storage is closed".to_owned()));
            }
            let first = queue.next;
            for submission in submissions {
                let number = queue.next;
                queue.next += 1;
                queue.group.add(number, &submission);
            }
            queue.room = queue.room.max(room);
            queue.waiting.push((first, answer));
        }
        self.shared.wake.notify_one();
        Ok(answered)
    }

    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.shared.queue().waiting.len()
    }

    /// Takes no more, and does not give up what is in it: something of it is not where it belongs.
    pub(crate) fn keep(&self, error: &str) {
        self.shared.fail(&self.name, "applied", &error);
    }

    /// Takes no more. What is in the journal is seen to the disk, and the files are emptied.
    pub(crate) async fn end(&self) {
        self.shared.queue().ending = true;
        self.shared.wake.notify_one();
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(ended) = ended {
            let _ = ended.await;
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.shared.queue().ending = true;
        self.shared.wake.notify_one();
    }
}

/// Gives back the room of journals that hold nothing any more.
fn tidy(place: &dyn Place) {
    for number in [0, 1] {
        if let Err(error) = place.medium(number).and_then(|mut medium| medium.clear()) {
            tracing::debug!(%error, "a journal that holds nothing cannot be emptied");
        }
    }
}

/// What the first thread does.
struct Writing {
    place: Arc<dyn Place>,
    shared: Arc<Shared>,
    active: Active,
    full: Sender<Full>,
    options: Options,
}

impl Writing {
    /// Runs until the journal is ended.
    fn run(mut self) {
        loop {
            let (group, room, waiting, ending) = self.gathered();
            if !group.is_empty() {
                self.write(group, room, waiting);
            }
            if ending {
                let Active { medium, quiet, .. } = self.active;
                let _ = self.full.send(Full { medium, quiet });
                return;
            }
            if let Err(error) = self.turn_over() {
                self.shared.fail(&self.place.name(), "begun", &error);
            }
        }
    }

    fn due(&self) -> bool {
        self.active.since.is_some_and(|since| self.active.at >= self.options.size || since.elapsed() >= self.options.age)
    }

    /// What there is to write, as soon as there is something to do.
    fn gathered(&self) -> (Group, u64, Vec<(u64, Answer)>, bool) {
        let mut queue = self.shared.queue();
        loop {
            let due = self.due() && queue.spare.is_some() && queue.failed.is_none();
            if !queue.group.is_empty() || queue.ending || due {
                return (mem::take(&mut queue.group), mem::take(&mut queue.room), mem::take(&mut queue.waiting), queue.ending);
            }
            queue = match self.active.since.filter(|_| !self.due()) {
                Some(since) => {
                    let left = self.options.age.saturating_sub(since.elapsed());
                    self.shared.wake.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.shared.wake.wait(queue).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    fn write(&mut self, group: Group, room: u64, waiting: Vec<(u64, Answer)>) {
        let bytes = group.seal(&self.active.header.id, self.active.at);
        let end = self.active.at + u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if let Err(error) = self.write_at(&bytes, end, room) {
            for (_, answer) in waiting {
                let _ = answer.send(Err(error.clone()));
            }
            return;
        }
        let active = &mut self.active;
        active.at = end;
        active.since.get_or_insert_with(Instant::now);
        for (first, answer) in waiting {
            // Whoever asked may be gone; what is in the journal counts all the same.
            let _ = answer.send(Ok(Ticket { first, _held: active.held.clone() }));
        }
    }

    fn write_at(&mut self, bytes: &[u8], end: u64, room: u64) -> Result<()> {
        let active = &mut self.active;
        if let Some(failed) = self.shared.queue().failed.clone() {
            return Err(Error::Unavailable(failed));
        }
        if bytes.len() > LARGEST {
            return Err(Error::Unavailable("more is written at once than a group of the journal holds".to_owned()));
        }
        // A full disk passes, and nothing has been written.
        let grown = active.medium.reserve(end + room);
        grown.map_err(|error| Error::Denied(format!("the journal in {} cannot grow: {error}", self.place.name())))?;
        active.medium.write(bytes, active.at).and_then(|()| active.medium.sync()).map_err(|error| {
            self.shared.fail(&self.place.name(), "written", &error);
            Error::Unavailable(format!("the journal in {} cannot be written: {error}", self.place.name()))
        })
    }

    /// Goes on in the other file, if it is time to and that is free.
    fn turn_over(&mut self) -> io::Result<()> {
        if !self.due() {
            return Ok(());
        }
        let mut queue = self.shared.queue();
        if queue.failed.is_some() {
            return Ok(());
        }
        let Some(spare) = queue.spare.take() else { return Ok(()) };
        drop(queue);
        let next = Active::begin(spare, self.active.header.generation + 1, self.active.at)?;
        let Active { medium, quiet, .. } = mem::replace(&mut self.active, next);
        let _ = self.full.send(Full { medium, quiet });
        Ok(())
    }
}

/// What the second thread does.
struct Freeing {
    place: Arc<dyn Place>,
    shared: Arc<Shared>,
    full: Receiver<Full>,
}

impl Freeing {
    /// Runs until no more journals come.
    fn run(self) {
        while let Ok(full) = self.full.recv() {
            match self.free(full) {
                Ok(medium) => self.shared.queue().spare = Some(medium),
                Err(error) => {
                    self.shared.fail(&self.place.name(), "settled", &error);
                    return;
                }
            }
            self.shared.wake.notify_one();
        }
    }

    fn free(&self, full: Full) -> io::Result<Box<dyn Medium>> {
        let Full { mut medium, quiet } = full;
        // Ends when nobody holds the other side any more: all of it has been applied.
        let _ = quiet.recv();
        if let Some(failed) = self.shared.queue().failed.clone() {
            return Err(io::Error::other(failed));
        }
        self.place.sync_all()?;
        medium.write(&[0; 64], 0)?;
        medium.sync()?;
        Ok(medium)
    }
}
