//! Group commit: a thread writes what has gathered while the last sync ran, and syncs it; another waits until the storage has what a full journal holds,
//! sees that to the disk, and frees the journal.

use std::convert::Infallible;
use std::fmt::Display;
use std::io;
use std::mem;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use cofferdam_backend::{Error, Operation, Result};
use tokio::sync::{Notify, oneshot, watch};
use uuid::Uuid;

use crate::Options;
use crate::format::{Group, HEADER, Header};
use crate::medium::{Medium, Place};
use crate::pending::Pending;

/// A group of this many bytes has its length in the field for it.
const LARGEST: usize = 1 << 31;

/// Those who write wait once a journal has this many times its size, and the other one is not free.
const OVERFULL: u64 = 2;

type Waiting = (Vec<Operation>, oneshot::Sender<Result<()>>);

/// The journal that is written.
pub(crate) struct Journal {
    shared: Arc<Shared>,
    name: String,
    ended: Mutex<Option<oneshot::Receiver<()>>>,
}

struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    /// There is room again, or a reason not to wait for it.
    room: Notify,
    /// What has a lower number in [`Pending`] is to be applied.
    due: watch::Sender<u64>,
}

struct Queue {
    group: Group,
    waiting: Vec<Waiting>,
    spare: Option<Box<dyn Medium>>,
    overfull: bool,
    ending: bool,
    /// Why nothing more is written until the next start.
    failed: Option<String>,
    /// Why nothing is written as long as the storage does not take what is in the journal.
    stuck: Option<Error>,
}

impl Queue {
    /// Fails if nothing more is written.
    fn open(&self) -> Result<()> {
        if let Some(failed) = &self.failed {
            return Err(Error::Unavailable(failed.clone()));
        }
        if let Some(stuck) = &self.stuck {
            return Err(stuck.clone());
        }
        if self.ending { Err(Error::Unavailable("the storage is closed".to_owned())) } else { Ok(()) }
    }
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
        self.room.notify_waiters();
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
    /// Held by everything that is in it and not in the storage yet.
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
    pub(crate) fn begin(place: Arc<dyn Place>, pending: Arc<Pending>, options: Options) -> io::Result<Journal> {
        let active = Active::begin(place.medium(0)?, 1, 0)?;
        let queue = Queue {
            group: Group::default(),
            waiting: Vec::new(),
            spare: Some(place.medium(1)?),
            overfull: false,
            ending: false,
            failed: None,
            stuck: None,
        };
        let shared = Arc::new(Shared { queue: Mutex::new(queue), wake: Condvar::new(), room: Notify::new(), due: watch::Sender::new(0) });
        let name = place.name();
        let (full, to_free) = mpsc::channel();
        let (end, ended) = oneshot::channel();
        let freeing = Freeing { place: place.clone(), shared: shared.clone(), full: to_free };
        let freeing = thread::Builder::new().name("coffer-settle".to_owned()).spawn(move || freeing.run())?;
        let writing = Writing { place, shared: shared.clone(), pending, active, full, options };
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

    /// Writes to the journal, all in one group, and returns when that is durable and among what is pending. Once begun, it is done also if nobody waits for it.
    pub(crate) async fn commit(&self, operations: Vec<Operation>) -> Result<()> {
        let (answer, answered) = oneshot::channel();
        loop {
            let room = self.shared.room.notified();
            {
                let mut queue = self.shared.queue();
                queue.open()?;
                if !queue.overfull {
                    for operation in &operations {
                        queue.group.add(operation);
                    }
                    queue.waiting.push((operations, answer));
                    break;
                }
            }
            room.await;
        }
        self.shared.wake.notify_one();
        answered.await.unwrap_or_else(|_| Err(Error::Unavailable("the journal's thread has ended".to_owned())))
    }

    /// Up to which number of [`Pending`] the storage is to have all; the highest there is when the journal ends.
    pub(crate) fn due(&self) -> watch::Receiver<u64> {
        self.shared.due.subscribe()
    }

    /// What is in the journal cannot be applied for this reason, or can again: until then no more is written.
    pub(crate) fn stuck(&self, why: Option<&Error>) {
        let why = why.map(|error| {
            let text = format!("what the journal in {} holds cannot be stored: {error}", self.name);
            // Of what is refused here nothing was begun, and the case must say so.
            if matches!(error, Error::Exhausted(_)) { Error::Exhausted(text) } else { Error::Denied(text) }
        });
        self.shared.queue().stuck = why;
        self.shared.room.notify_waiters();
    }

    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.shared.queue().waiting.len()
    }

    /// Takes no more, and does not give up what is in it: something of it is not in the storage.
    pub(crate) fn keep(&self) {
        self.shared.fail(&self.name, "emptied", &"the storage was given up before it had all of it");
    }

    fn finish(&self) {
        self.shared.queue().ending = true;
        self.shared.wake.notify_one();
        self.shared.room.notify_waiters();
    }

    /// Takes no more. What is in the journal is seen to the disk once the storage has it, and the files are emptied.
    pub(crate) async fn end(&self) {
        self.finish();
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(ended) = ended {
            let _ = ended.await;
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.finish();
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
    pending: Arc<Pending>,
    active: Active,
    full: Sender<Full>,
    options: Options,
}

impl Writing {
    /// Runs until the journal is ended.
    fn run(mut self) {
        loop {
            let (group, waiting, ending) = self.gathered();
            if !group.is_empty() {
                self.write(group, waiting);
            }
            if ending {
                self.shared.due.send_replace(u64::MAX);
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
    fn gathered(&self) -> (Group, Vec<Waiting>, bool) {
        let mut queue = self.shared.queue();
        loop {
            let due = self.due() && queue.spare.is_some() && queue.failed.is_none();
            if !queue.group.is_empty() || queue.ending || due {
                return (mem::take(&mut queue.group), mem::take(&mut queue.waiting), queue.ending);
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

    fn write(&mut self, group: Group, waiting: Vec<Waiting>) {
        let bytes = group.seal(&self.active.header.id, self.active.at);
        let end = self.active.at + u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if let Err(error) = self.write_at(&bytes, end) {
            for (_, answer) in waiting {
                let _ = answer.send(Err(error.clone()));
            }
            return;
        }
        let active = &mut self.active;
        active.at = end;
        active.since.get_or_insert_with(Instant::now);
        let (operations, answers): (Vec<_>, Vec<_>) = waiting.into_iter().unzip();
        // Before anybody is told: whoever was may read it. Whoever asked may be gone; what is in the journal counts all the same.
        self.pending.add(operations.into_iter().flatten(), &active.held);
        for answer in answers {
            let _ = answer.send(Ok(()));
        }
    }

    fn write_at(&mut self, bytes: &[u8], end: u64) -> Result<()> {
        let active = &mut self.active;
        if let Some(failed) = self.shared.queue().failed.clone() {
            return Err(Error::Unavailable(failed));
        }
        if bytes.len() > LARGEST {
            return Err(Error::Denied("more is written at once than a group of the journal holds".to_owned()));
        }
        // A full disk passes, and nothing has been written.
        let grown = active.medium.reserve(end);
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
        let spare = {
            let mut queue = self.shared.queue();
            if queue.failed.is_some() {
                return Ok(());
            }
            queue.overfull = queue.spare.is_none() && self.active.at >= self.options.size.saturating_mul(OVERFULL);
            queue.spare.take()
        };
        let Some(spare) = spare else { return Ok(()) };
        let next = Active::begin(spare, self.active.header.generation + 1, self.active.at)?;
        let Active { medium, quiet, .. } = mem::replace(&mut self.active, next);
        self.shared.due.send_replace(self.pending.next());
        let _ = self.full.send(Full { medium, quiet });
        self.shared.room.notify_waiters();
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
