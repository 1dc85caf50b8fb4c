//! The order of a migration.
//!
//! The source is locked before anything else; then its entries are counted and the destination's state is written, before its first entry. In the end the copy is
//! compared, then the state says that only the locks are left, then the source's is removed, then the destination's. Whatever is cut short in between, the next
//! run finds by the two entries where it was: see [`decide`].

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::board::{Board, Taken};
use crate::copy::{Pass, Scope};
use crate::empty;
use crate::end::{End, Held};
use crate::progress::{Phase, Progress};
use crate::read::Reader;
use crate::retry::Patience;
use crate::state::{Lock, Mark, Segment, SourceMark, State, Step, Unfits, lock_key, new_id};
use crate::sums::Sums;
use crate::write::Writer;
use crate::{Error, Result};

/// How to migrate.
#[derive(Clone, Debug)]
pub struct Options {
    /// Leave keys alone that sort before it, at both ends.
    pub start: Option<String>,
    /// How many batches are written at once, and in how many parts the source is read at most.
    pub max_parallel: usize,
    /// Remove what the destination holds.
    pub overwrite: bool,
    /// Count the entries first, and find those that are too large before anything is written.
    pub count: bool,
    /// How long a call is made again and again that fails for now.
    pub patience: Duration,
    /// How often it is written down how far the copy is: a killed run has to do so much again, and the page under way.
    pub save_every: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            start: None,
            max_parallel: 10,
            overwrite: false,
            count: true,
            patience: Duration::from_secs(300),
            save_every: Duration::from_secs(1),
        }
    }
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Report {
    /// What was read from the source, but for what was left out.
    pub source: Sums,
    /// What the destination holds.
    pub destination: Sums,
    /// What the destination has no key for.
    pub left_out: Unfits,
    /// It went on where an earlier run stopped.
    pub resumed: bool,
}

/// A migration.
pub struct Migration {
    /// What is copied.
    pub source: End,
    /// Where to.
    pub destination: End,
    /// How.
    pub options: Options,
    /// Moved while it runs.
    pub progress: Arc<Progress>,
}

/// What there is to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Begun {
    /// All of it, with the id under which the source is locked already.
    Fresh(Option<String>),
    /// What the state says.
    Resumed(Box<State>),
}

/// Removes the lock of a migration from a source; returns whether there was one. What the destination holds stays, and stays locked.
pub async fn reset(source: &End, patience: Duration) -> Result<bool> {
    let patience = Patience { limit: patience, progress: &Progress::default() };
    match lock_of(source, patience).await? {
        None => Ok(false),
        Some(Lock { cofferdam: Some(Mark::Destination(_)), .. }) => Err(Error::HalfSource(source.name.clone())),
        Some(_) => unlock(source, patience).await.map(|()| true),
    }
}

async fn lock_of(end: &End, patience: Patience<'_>) -> Result<Option<Lock>> {
    let Some(storage) = end.storage() else { return Ok(None) };
    let failed = |source| Error::Read { end: end.name.clone(), source };
    let key = lock_key().map_err(failed)?;
    let found = patience.persist(async || storage.get(&key).await).await.map_err(failed)?;
    Ok(found.map(|bytes| Lock::read(&bytes)))
}

async fn unlock(end: &End, patience: Patience<'_>) -> Result<()> {
    let Some(storage) = end.storage() else { return Ok(()) };
    let failed = |source| Error::Write { end: end.name.clone(), source };
    let key = lock_key().map_err(failed)?;
    patience.persist(async || storage.delete(&key).await).await.map_err(failed)
}

impl Migration {
    /// Copies all of it, or what an earlier run left to do, and compares.
    pub async fn run(&self) -> Result<Report> {
        self.progress.enter(Phase::Preparing, (0, 0), None);
        let reader = Reader::open(&self.source).await?;
        let locks = (lock_of(&self.source, self.patience()).await?, lock_of(&self.destination, self.patience()).await?);
        match self.decide(locks.0, locks.1, &reader.identity())? {
            Begun::Resumed(mut state) => {
                state.run = new_id();
                self.go_on(&reader, *state, true).await
            }
            Begun::Fresh(id) => {
                let state = self.fresh(&reader, id).await?;
                self.go_on(&reader, state, false).await
            }
        }
    }

    /// Compares the two ends and changes nothing.
    pub async fn verify(&self) -> Result<Report> {
        let [source, destination] = [Reader::open(&self.source).await?, Reader::open(&self.destination).await?];
        let there = self.counted(&source).await?;
        let report = Report {
            destination: self.arrived(&destination, &there.copied).await?,
            source: there.copied,
            left_out: there.left_out,
            resumed: false,
        };
        self.told(report)
    }

    fn patience(&self) -> Patience<'_> {
        Patience { limit: self.options.patience, progress: &self.progress }
    }

    fn scope(&self) -> Scope<'_> {
        Scope { start: self.options.start.as_deref() }
    }

    fn pass<'a>(&'a self, reader: &'a Reader) -> Pass<'a> {
        Pass { reader, scope: self.scope(), patience: self.patience() }
    }

    /// What there is to copy. Nothing of it is too large for the destination.
    async fn counted(&self, reader: &Reader) -> Result<Taken> {
        self.progress.enter(Phase::Counting, (0, 0), None);
        let writer = Writer::new(&self.destination, 1);
        let found = self.pass(reader).survey(reader.segments(self.options.max_parallel), Some(&writer)).await?;
        if found.too_large.count > 0 {
            return Err(Error::TooLarge { end: self.destination.name.clone(), unfit: found.too_large, untouched: true });
        }
        Ok(found)
    }

    /// What has arrived where this was sent.
    async fn arrived(&self, destination: &Reader, sent: &Sums) -> Result<Sums> {
        self.progress.enter(Phase::Verifying, (0, 0), Some(sent.total().entries));
        Ok(self.pass(destination).survey(destination.segments(self.options.max_parallel), None).await?.copied)
    }

    fn told(&self, report: Report) -> Result<Report> {
        if report.source != report.destination {
            return Err(Error::Differs(Box::new(report)));
        }
        self.progress.enter(Phase::Done, (0, 0), None);
        Ok(report)
    }

    /// What the locks at both ends say that there is to do. `from` is what the source is.
    pub(crate) fn decide(&self, source: Option<Lock>, destination: Option<Lock>, from: &str) -> Result<Begun> {
        let held = match source.map(|lock| (lock.start, lock.cofferdam)) {
            None => None,
            Some((_, Some(Mark::Source(mark)))) if mark.destination == self.destination.name => Some(mark.id),
            Some((_, Some(Mark::Destination(_)))) => return Err(Error::HalfSource(self.source.name.clone())),
            Some((started, _)) => return Err(Error::InProgress { end: self.source.name.clone(), started }),
        };
        let end = self.destination.name.clone();
        let refused = match destination.map(|lock| (lock.start, lock.cofferdam)) {
            None => return Ok(Begun::Fresh(held)),
            Some((_, Some(Mark::Destination(state)))) => {
                let reason = if state.source != from {
                    format!("it is of {}", state.source)
                } else if state.start != self.options.start {
                    "it was begun with another first key".to_owned()
                } else if state.step != Step::Release && self.source.storage().is_some() && held.as_ref() != Some(&state.id) {
                    "the source was unlocked since, and may have changed".to_owned()
                } else {
                    return Ok(Begun::Resumed(state));
                };
                Error::Foreign { end, reason }
            }
            Some((started, _)) => Error::InProgress { end, started },
        };
        if self.options.overwrite { Ok(Begun::Fresh(held)) } else { Err(refused) }
    }

    /// Locks the source and looks at all that is to come. What it refuses leaves both ends as they were.
    async fn fresh(&self, reader: &Reader, held: Option<String>) -> Result<State> {
        self.refuse_what_is_there(held.is_some()).await?;
        let id = held.unwrap_or_else(new_id);
        self.lock_source(&id).await?;
        let looked = self.look(reader).await;
        if looked.is_err() {
            unlock(&self.source, self.patience()).await?;
        }
        let empties = self.options.overwrite && self.destination.storage().is_some();
        Ok(State {
            id,
            run: new_id(),
            source: reader.identity(),
            start: self.options.start.clone(),
            step: if empties { Step::Empty } else { Step::Copy },
            total: looked?,
            segments: vec![Segment::default(); reader.segments(self.options.max_parallel)],
            copied: Sums::default(),
            left_out: Unfits::default(),
            too_large: Unfits::default(),
        })
    }

    /// `ours`: an earlier run of this migration locked the source, so that a snapshot that is there is its own.
    async fn refuse_what_is_there(&self, ours: bool) -> Result<()> {
        let end = self.destination.name.clone();
        let holds = match &self.destination.held {
            _ if self.options.overwrite => None,
            Held::Storage(storage) => {
                let first = empty::first(storage.as_ref(), &end, self.scope(), self.patience()).await?;
                first.map(|key| format!("the entry {key:?}"))
            }
            Held::Snapshot(path) => (!ours && path.exists()).then(|| "a file".to_owned()),
        };
        holds.map_or(Ok(()), |holds| Err(Error::NotEmpty { end, holds }))
    }

    async fn lock_source(&self, id: &str) -> Result<()> {
        let Some(storage) = self.source.storage() else { return Ok(()) };
        let failed = |source| Error::Write { end: self.source.name.clone(), source };
        let mark = SourceMark { id: id.to_owned(), destination: self.destination.name.clone() };
        let (key, value) = (lock_key().map_err(failed)?, Lock::now(Mark::Source(mark)).write().map_err(failed)?);
        let value = Bytes::from(value);
        self.patience().persist(async || storage.put(&key, value.clone()).await).await.map_err(failed)
    }

    /// How many entries there are, if they are to be counted.
    async fn look(&self, reader: &Reader) -> Result<Option<u64>> {
        if !self.options.count {
            return Ok(None);
        }
        let found = self.counted(reader).await?;
        match found.copied.total().entries + found.left_out.count {
            // A mistyped table is made when it is opened.
            0 => Err(Error::Nothing(self.source.name.clone())),
            count => Ok(Some(count)),
        }
    }

    async fn go_on(&self, reader: &Reader, state: State, resumed: bool) -> Result<Report> {
        let board = Board::new(state, &self.destination, self.patience());
        board.save().await?;
        if board.step() == Step::Empty {
            self.progress.enter(Phase::Emptying, (0, 0), None);
            if let Some(storage) = self.destination.storage() {
                empty::empty(storage.as_ref(), &self.destination.name, self.scope(), self.patience()).await?;
            }
            board.advance(Step::Copy);
            board.save().await?;
        }
        let mut destination = None;
        if board.step() == Step::Copy {
            destination = Some(self.copy(reader, &board).await?);
        }
        self.release(&board).await?;
        self.progress.enter(Phase::Done, (0, 0), None);
        let state = board.state().clone();
        let destination = destination.unwrap_or_else(|| state.copied.clone());
        Ok(Report { source: state.copied, destination, left_out: state.left_out, resumed })
    }

    /// Copies what is left to copy and compares; returns what the destination holds.
    async fn copy(&self, reader: &Reader, board: &Board<'_>) -> Result<Sums> {
        let writer = Writer::new(&self.destination, self.options.max_parallel);
        writer.begin().await?;
        let (total, before) = {
            let state = board.state();
            (state.total, state.copied.total())
        };
        self.progress.enter(Phase::Copying, (before.entries, before.bytes), total);
        let pass = self.pass(reader);
        let copied = tokio::select! {
            error = board.keep_saving(self.options.save_every) => return Err(error),
            copied = pass.copy(board, &writer) => copied,
        };
        // What is done is kept also where the rest failed, as far as the destination still takes it.
        let saved = board.save().await;
        copied.and(saved)?;
        let state = board.state().clone();
        if state.too_large.count > 0 {
            return Err(Error::TooLarge { end: self.destination.name.clone(), unfit: state.too_large, untouched: false });
        }
        let came = state.copied.total().entries + state.left_out.count;
        if came == 0 {
            // Nobody counted before.
            self.release(board).await?;
            return Err(Error::Nothing(self.source.name.clone()));
        }
        if let Some(counted) = state.total.filter(|counted| *counted != came) {
            board.begin_anew();
            board.save().await?;
            return Err(Error::Changed { end: self.source.name.clone(), counted, copied: came });
        }
        writer.finish().await?;
        let destination = self.arrived(&Reader::open(&self.destination).await?, &state.copied).await?;
        if destination != state.copied {
            board.begin_anew();
            board.save().await?;
            let report = Report { source: state.copied, destination, left_out: state.left_out, resumed: false };
            return Err(Error::Differs(Box::new(report)));
        }
        board.advance(Step::Release);
        board.save().await?;
        Ok(destination)
    }

    /// Removes the locks. As long as the destination's is there, another run comes here again.
    async fn release(&self, board: &Board<'_>) -> Result<()> {
        let id = board.state().id.clone();
        if let Some(Lock { cofferdam: Some(Mark::Source(mark)), .. }) = lock_of(&self.source, self.patience()).await?
            && mark.id == id
        {
            unlock(&self.source, self.patience()).await?;
        }
        unlock(&self.destination, self.patience()).await
    }
}
