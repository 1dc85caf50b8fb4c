//! Notes what passes between a component and its grants.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use cofferdam_runtime::{Aws, AwsCall, AwsResponse, AwsSendError, Http, HttpCall, HttpError, KeyAnswered, KeyAsked};
use http::{Request, Response};

use super::exchange::{Body, Came, Exchange, Found, asked};
use super::file::{self, Header, Kept, Take, VERSION};
use super::scrub::Scrub;
use super::{Player, Tape, left_out, word};
use crate::case::held;
use crate::report::{Outcome, Report};

/// The most that is kept of one check, in bytes.
const LARGEST: usize = 64 << 20;
/// The same of all of them.
const LARGEST_OF_ALL: usize = 512 << 20;
/// What a request takes besides its texts.
const OVERHEAD: usize = 128;

/// A recording that is being made.
pub struct Recorder {
    header: Mutex<Header>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    scrub: Scrub,
    kept: Vec<Kept>,
    running: Option<Running>,
    /// How many checks have begun.
    begun: u64,
    /// What all checks that have ended take.
    size: usize,
}

/// A request, and what came of it as soon as it has.
type Noted = (String, Body, Option<(Came, Found)>);

/// The check that is run now.
struct Running {
    id: String,
    requests: Vec<Noted>,
    together: bool,
    size: usize,
    /// Why it cannot be played back.
    spoilt: Option<String>,
}

impl Running {
    fn spoil(&mut self, why: String) {
        self.spoilt.get_or_insert(why);
        self.requests.clear();
    }

    /// Makes room for so much more; whether there is any.
    fn grow(&mut self, size: usize, others: usize) -> bool {
        self.size = self.size.saturating_add(size);
        let fits = self.size <= LARGEST && self.size.saturating_add(others) <= LARGEST_OF_ALL;
        if !fits {
            self.spoil(format!(
                "not recorded: its traffic is larger than {} MiB, or all of it than {} MiB; --quick has less",
                LARGEST >> 20,
                LARGEST_OF_ALL >> 20
            ));
        }
        fits
    }
}

/// A request that is under way.
struct UnderWay<'a> {
    recorder: &'a Recorder,
    /// In which check, and as which of its requests; none between checks.
    at: Option<(u64, usize)>,
}

impl UnderWay<'_> {
    fn came(mut self, make: impl FnOnce(&mut Scrub) -> (Came, Found)) {
        let Some((check, number)) = self.at.take() else { return };
        let state = &mut *held(&self.recorder.state);
        if state.begun != check {
            // Its check was left out when it ended before its request.
            return;
        }
        let Some(running) = &mut state.running else { return };
        let came = make(&mut state.scrub);
        if running.grow(came.0.size(), state.size)
            && let Some((_, _, slot)) = running.requests.get_mut(number)
        {
            *slot = Some(came);
        }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let Some((check, _)) = self.at else { return };
        let state = &mut *held(&self.recorder.state);
        if let Some(running) = state.running.as_mut().filter(|_| state.begun == check) {
            running.spoil("not recorded: a request was given up before its answer came".to_owned());
        }
    }
}

impl Recorder {
    /// A recording of what the header says. `secrets` are taken out wherever they stand.
    pub fn new(header: Header, secrets: &[Vec<u8>]) -> Arc<Recorder> {
        let mut state = State::default();
        for secret in secrets {
            state.scrub.secret(secret);
        }
        Arc::new(Recorder { header: Mutex::new(Header { version: VERSION, ..header }), state: Mutex::new(state) })
    }

    /// The grant, with what passes noted.
    pub fn aws(self: &Arc<Recorder>, aws: Arc<dyn Aws>) -> Arc<dyn Aws> {
        held(&self.header).grants.push("aws".to_owned());
        Arc::new(Passing { recorder: Arc::clone(self), to: aws })
    }

    /// The same.
    pub fn http(self: &Arc<Recorder>, http: Arc<dyn Http>) -> Arc<dyn Http> {
        let header = &mut *held(&self.header);
        header.grants.push("http".to_owned());
        header.max_request = Some(http.max_request());
        Arc::new(Passing { recorder: Arc::clone(self), to: http })
    }

    /// The names of the settings that the component is given, and the region of AWS among them.
    pub fn settings(&self, names: Vec<String>, region: Option<String>) {
        let header = &mut *held(&self.header);
        (header.settings, header.region) = (names, region);
    }

    /// The folder of the store in which it is tried.
    pub fn folder(&self, folder: Option<&str>) {
        held(&self.header).folder = folder.map(str::to_owned);
    }

    /// What has been recorded, to be played back.
    pub fn player(&self) -> Arc<Player> {
        Player::new(held(&self.header).clone(), held(&self.state).kept.clone())
    }

    /// Leaves out what did not come to the same end when it was played back: something in it is another in each run.
    pub fn prove(&self, played: &Report) {
        for (id, take) in &mut held(&self.state).kept {
            let Ok(recorded) = take else { continue };
            let again = played.checks().find(|check| check.id == *id).map(|check| &check.outcome);
            let why = match again {
                // It passed, and nobody asked for it by name.
                None => continue,
                Some(outcome) if word(outcome) == recorded.outcome => continue,
                Some(Outcome::Failed { what, .. }) => format!("not recorded: it does not play back: {what}"),
                _ => "not recorded: it does not play back".to_owned(),
            };
            *take = Err(why);
        }
    }

    /// The checks of which there is a recording, and those of which there is none with why.
    pub fn checks(&self) -> (Vec<String>, Vec<(String, String)>) {
        let (mut kept, mut without) = (Vec::new(), Vec::new());
        for (id, take) in &held(&self.state).kept {
            match take {
                Ok(_) => kept.push(id.clone()),
                Err(why) => without.push((id.clone(), why.clone())),
            }
        }
        (kept, without)
    }

    /// Writes it into a new file.
    pub fn write(&self, path: &Path) -> Result<(), String> {
        let state = held(&self.state);
        file::write(path, &held(&self.header), &state.kept, |line| state.scrub.finds(line))
    }

    fn ask(&self, make: impl FnOnce(&mut Scrub) -> (String, Body)) -> UnderWay<'_> {
        let state = &mut *held(&self.state);
        let Some(running) = state.running.as_mut().filter(|running| running.spoilt.is_none()) else {
            return UnderWay { recorder: self, at: None };
        };
        let (asked, body) = make(&mut state.scrub);
        running.together |= running.requests.iter().rev().take(64).any(|(_, _, came)| came.is_none());
        if !running.grow(asked.len() + body.size() + OVERHEAD, state.size) {
            return UnderWay { recorder: self, at: None };
        }
        running.requests.push((asked, body, None));
        UnderWay { recorder: self, at: Some((state.begun, running.requests.len() - 1)) }
    }
}

impl Tape for Recorder {
    fn begin(&self, id: &str) -> Option<String> {
        let state = &mut *held(&self.state);
        state.scrub.begin();
        state.begun += 1;
        let spoilt = left_out(id).map(str::to_owned);
        state.running = Some(Running { id: id.to_owned(), requests: Vec::new(), together: false, size: 0, spoilt });
        None
    }

    fn end(&self, outcome: Outcome) -> Outcome {
        let state = &mut *held(&self.state);
        let Some(Running { id, requests, together, spoilt, size }) = state.running.take() else { return outcome };
        if spoilt.is_none() {
            state.size = state.size.saturating_add(size);
        }
        let exchanges: Option<Vec<Exchange>> =
            requests.into_iter().map(|(asked, body, came)| came.map(|(came, found)| Exchange { asked, body, came, found })).collect();
        let take = match (spoilt, exchanges) {
            (Some(why), _) => Err(why),
            (None, None) => Err("not recorded: a request was still under way when it ended".to_owned()),
            (None, Some(exchanges)) => Ok(Take { outcome: word(&outcome).to_owned(), together, exchanges }),
        };
        state.kept.push((id, take));
        outcome
    }

    fn key(&self, dek: &[u8; 32]) {
        held(&self.state).scrub.key(dek);
    }

    fn is_silent(&self) -> bool {
        false
    }
}

/// A grant that is listened to.
struct Passing<T: ?Sized> {
    recorder: Arc<Recorder>,
    to: Arc<T>,
}

impl<T: std::fmt::Debug + ?Sized> std::fmt::Debug for Passing<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorded").field("grant", &self.to).finish_non_exhaustive()
    }
}

#[async_trait]
impl Aws for Passing<dyn Aws> {
    fn describe(&self) -> String {
        self.to.describe()
    }

    async fn send(&self, call: &mut AwsCall, operation: &str, body: Vec<u8>) -> Result<AwsResponse, AwsSendError> {
        let under_way = self.recorder.ask(|scrub| {
            if let Some(KeyAsked::Wrap(dek)) = call.key.as_ref().map(|key| &key.asked) {
                scrub.key(dek);
            }
            (scrub.hide_text(operation), asked(scrub, &body))
        });
        let result = self.to.send(call, operation, body).await;
        under_way.came(|scrub| {
            // A key that comes from elsewhere than from this check's wraps is one all the same.
            if let Some(KeyAnswered::Plain(plain)) = call.key.as_ref().and_then(|key| key.answered.as_ref())
                && let Ok(dek) = <&[u8; 32]>::try_from(plain.as_slice())
            {
                scrub.key(dek);
            }
            (Came::of_aws(scrub, &result), Found::of(scrub, call.key.as_ref()))
        });
        result
    }

    fn now(&self) -> SystemTime {
        self.to.now()
    }
}

#[async_trait]
impl Http for Passing<dyn Http> {
    fn describe(&self) -> String {
        self.to.describe()
    }

    fn max_request(&self) -> u64 {
        self.to.max_request()
    }

    async fn send(&self, call: &HttpCall, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        // The guest's own headers are no part of it: what it sends there may be secret.
        let under_way = self.recorder.ask(|scrub| (scrub.line(request.method().as_str(), request.uri()), asked(scrub, request.body())));
        let result = self.to.send(call, request).await;
        under_way.came(|scrub| (Came::of_http(scrub, &result), Found::default()));
        result
    }
}
