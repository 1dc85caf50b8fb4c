//! Answers as was recorded, with no service behind it.

use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use cofferdam_runtime::{Aws, AwsCall, AwsResponse, AwsSendError, Http, HttpCall, HttpError, KeyAsked};
use http::{Request, Response};

use super::Tape;
use super::exchange::{Body, Exchange, asked};
use super::file::{self, Header, Kept, Take};
use super::scrub::Scrub;
use crate::case::held;
use crate::report::Outcome;

/// What the guest is told of a request that the recording does not have.
const UNKNOWN: &str = "the recording has no such request";
/// Without the grant `http` there is no limit on its requests.
const REQUEST: u64 = 64 << 20;

/// A recording that is played back. It dials nowhere: there is nothing in it that could.
pub struct Player {
    header: Header,
    takes: HashMap<String, Result<Take, String>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    scrub: Scrub,
    running: Option<Running>,
}

/// The check that is run now.
struct Running {
    id: String,
    /// For each request where its answers are, in their order.
    left: HashMap<(String, Body), VecDeque<usize>>,
    used: Vec<bool>,
    /// The first request that the recording does not have, and how many there were.
    wrong: Option<(String, usize)>,
}

impl Player {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Arc<Player>, String> {
        let (header, kept) = file::read(path)?;
        Ok(Player::new(header, kept))
    }

    pub(super) fn new(header: Header, kept: Vec<Kept>) -> Arc<Player> {
        Arc::new(Player { header, takes: kept.into_iter().collect(), state: Mutex::default() })
    }

    /// What the recording is of.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Whether there is a recording of the check.
    pub fn has(&self, id: &str) -> bool {
        self.take(id).is_some()
    }

    /// In place of the grant `aws`.
    pub fn aws(self: &Arc<Player>) -> Arc<dyn Aws> {
        Arc::new(InPlace(Arc::clone(self)))
    }

    /// In place of the grant `http`.
    pub fn http(self: &Arc<Player>) -> Arc<dyn Http> {
        Arc::new(InPlace(Arc::clone(self)))
    }

    fn take(&self, id: &str) -> Option<&Take> {
        self.takes.get(id).and_then(|take| take.as_ref().ok())
    }

    /// What came of the request, if there is one that is not used up. `read` makes the answer of it.
    fn answer<T>(&self, make: impl FnOnce(&mut Scrub) -> (String, Body), read: impl FnOnce(Exchange, &Scrub) -> Option<T>) -> Option<T> {
        let state = &mut *held(&self.state);
        let request = make(&mut state.scrub);
        let running = state.running.as_mut()?;
        let take = self.take(&running.id)?;
        let found = running.next(take, &request).and_then(|number| take.exchanges.get(number)).cloned();
        let wrong = match found {
            None => running.unknown(take, &request),
            Some(exchange) => match read(exchange, &state.scrub) {
                Some(read) => return Some(read),
                None => format!("of {} the recording holds no answer that can be read", told(&request)),
            },
        };
        running.wrong.get_or_insert((wrong, 0)).1 += 1;
        None
    }
}

/// A request in a line.
fn told((asked, body): &(String, Body)) -> String {
    format!("{} {}", asked.escape_debug(), body.shown()).trim_end().to_owned()
}

impl Running {
    fn next(&mut self, take: &Take, request: &(String, Body)) -> Option<usize> {
        let left = self.left.get_mut(request)?;
        let number = match left.pop_front() {
            Some(number) => number,
            // Side by side, calls ask for the same more or less often; where every answer was the same, it is the answer.
            None if take.together => {
                let same = |exchange: &&Exchange| exchange.asked == request.0 && exchange.body == request.1;
                let mut all = take.exchanges.iter().filter(same);
                let first = all.next()?;
                if !all.all(|other| other == first) {
                    return None;
                }
                take.exchanges.iter().position(|exchange| same(&exchange))?
            }
            None => return None,
        };
        if let Some(used) = self.used.get_mut(number) {
            *used = true;
        }
        Some(number)
    }

    fn unknown(&self, take: &Take, request: &(String, Body)) -> String {
        let next = take.exchanges.iter().zip(&self.used).find(|(_, used)| !**used).map(|(exchange, _)| exchange);
        let next = next.map_or_else(
            || "everything of it was asked for".to_owned(),
            |next| format!("next in it is {}", told(&(next.asked.clone(), next.body.clone()))),
        );
        let often = if self.left.contains_key(request) { " once more" } else { "" };
        format!("it asked{often} for {}, which is not in the recording; {next}", told(request))
    }
}

impl Tape for Player {
    fn begin(&self, id: &str) -> Option<String> {
        let take = match self.takes.get(id) {
            None => return Some("the recording has nothing of this check".to_owned()),
            Some(Err(why)) => return Some(why.clone()),
            Some(Ok(take)) => take,
        };
        let mut left: HashMap<(String, Body), VecDeque<usize>> = HashMap::new();
        for (number, exchange) in take.exchanges.iter().enumerate() {
            left.entry((exchange.asked.clone(), exchange.body.clone())).or_default().push_back(number);
        }
        let state = &mut *held(&self.state);
        state.scrub.begin();
        state.running = Some(Running { id: id.to_owned(), left, used: vec![false; take.exchanges.len()], wrong: None });
        None
    }

    fn end(&self, outcome: Outcome) -> Outcome {
        let Some(running) = held(&self.state).running.take() else { return outcome };
        let Some((wrong, count)) = running.wrong else { return outcome };
        let more = if count > 1 { format!(" (and {} more)", count - 1) } else { String::new() };
        let (then, script) = match outcome {
            Outcome::Failed { what, script } => (format!(". The check came to: {what}"), script),
            _ => (String::new(), Vec::new()),
        };
        Outcome::Failed { what: format!("{wrong}{more}{then}"), script }
    }

    fn key(&self, dek: &[u8; 32]) {
        held(&self.state).scrub.key(dek);
    }

    fn is_silent(&self) -> bool {
        held(&self.state).running.is_none()
    }
}

/// A grant with a recording in place of the service.
#[derive(Clone)]
struct InPlace(Arc<Player>);

impl std::fmt::Debug for InPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("InPlace")
    }
}

const WORDS: &str = "what a recording holds, and no network";

#[async_trait]
impl Aws for InPlace {
    fn describe(&self) -> String {
        WORDS.to_owned()
    }

    async fn send(&self, call: &mut AwsCall, operation: &str, body: Vec<u8>) -> Result<AwsResponse, AwsSendError> {
        let make = |scrub: &mut Scrub| {
            if let Some(KeyAsked::Wrap(dek)) = call.key.as_ref().map(|key| &key.asked) {
                scrub.key(dek);
            }
            (scrub.hide_text(operation), asked(scrub, &body))
        };
        let answer = self.0.answer(make, |exchange, scrub| Some((exchange.came.for_aws(scrub)?, exchange.found.shown(scrub)?)));
        let Some((result, found)) = answer else { return Err(AwsSendError::Refused(UNKNOWN.to_owned())) };
        found.note(call.key.as_mut());
        result
    }
}

#[async_trait]
impl Http for InPlace {
    fn describe(&self) -> String {
        WORDS.to_owned()
    }

    fn max_request(&self) -> u64 {
        self.0.header.max_request.unwrap_or(REQUEST)
    }

    async fn send(&self, _: &HttpCall, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let make = |scrub: &mut Scrub| (scrub.line(request.method().as_str(), request.uri()), asked(scrub, request.body()));
        let answer = self.0.answer(make, |exchange, scrub| exchange.came.for_http(scrub));
        answer.unwrap_or_else(|| Err(HttpError::Refused(UNKNOWN.to_owned())))
    }
}
