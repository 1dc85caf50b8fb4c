//! The state of a copy: moved on by every page, and written to the destination every so often.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use crate::end::End;
use crate::retry::Patience;
use crate::state::{Lock, Mark, Segment, State, Step, Unfits, lock_key, now};
use crate::sums::Sums;
use crate::{Error, Result};

/// The state, and where it is kept. A snapshot has no place for it: a copy into one begins anew.
pub(crate) struct Board<'a> {
    state: Mutex<State>,
    saved: Mutex<Option<State>>,
    start: String,
    destination: &'a End,
    patience: Patience<'a>,
}

/// What came of a page.
#[derive(Default)]
pub(crate) struct Taken {
    pub(crate) copied: Sums,
    pub(crate) left_out: Unfits,
    pub(crate) too_large: Unfits,
}

impl<'a> Board<'a> {
    pub(crate) fn new(state: State, destination: &'a End, patience: Patience<'a>) -> Board<'a> {
        Board { state: Mutex::new(state), saved: Mutex::default(), start: now(), destination, patience }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn step(&self) -> Step {
        self.state().step
    }

    pub(crate) fn advance(&self, step: Step) {
        self.state().step = step;
    }

    /// Forgets what was copied: something was wrong with it, and another run copies all of it again.
    pub(crate) fn begin_anew(&self) {
        let mut state = self.state();
        state.total = None;
        state.copied = Sums::default();
        state.left_out = Unfits::default();
        state.segments.fill(Segment::default());
    }

    /// Where a part goes on; none if it is done.
    pub(crate) fn place(&self, segment: usize) -> Option<Option<Bytes>> {
        let state = self.state();
        let segment = state.segments.get(segment)?;
        if segment.done {
            return None;
        }
        Some(segment.cursor.as_deref().and_then(|cursor| hex::decode(cursor).ok()).map(Bytes::from))
    }

    /// What was taken is at the destination, and the part goes on at the cursor.
    pub(crate) fn moved(&self, segment: usize, cursor: Option<&Bytes>, taken: Taken) {
        let mut state = self.state();
        state.copied.merge(&taken.copied);
        state.left_out.merge(taken.left_out);
        state.too_large.merge(taken.too_large);
        if let Some(segment) = state.segments.get_mut(segment) {
            *segment = Segment { cursor: cursor.map(hex::encode), done: cursor.is_none() };
        }
    }

    /// Writes the state to the destination, unless another run has begun to.
    pub(crate) async fn save(&self) -> Result<()> {
        let Some(storage) = self.destination.storage() else { return Ok(()) };
        let state = self.state().clone();
        let saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if saved.as_ref() == Some(&state) {
            return Ok(());
        }
        let failed = |source| Error::Write { end: self.destination.name.clone(), source };
        let key = lock_key().map_err(failed)?;
        if saved.is_some() {
            let there = self.patience.persist(async || storage.get(&key).await).await.map_err(failed)?;
            match there.map(|bytes| Lock::read(&bytes)).and_then(|lock| lock.cofferdam) {
                Some(Mark::Destination(there)) if there.run == state.run => {}
                _ => return Err(Error::TakenOver),
            }
        }
        let lock = Lock { start: self.start.clone(), cofferdam: Some(Mark::Destination(Box::new(state.clone()))) };
        let value = Bytes::from(lock.write().map_err(failed)?);
        self.patience.persist(async || storage.put(&key, value.clone()).await).await.map_err(failed)?;
        *self.saved.lock().unwrap_or_else(PoisonError::into_inner) = Some(state);
        Ok(())
    }

    /// Saves again and again, for ever, while something else is done.
    pub(crate) async fn keep_saving(&self, every: Duration) -> Error {
        loop {
            tokio::time::sleep(every).await;
            if let Err(error) = self.save().await {
                return error;
            }
        }
    }
}
