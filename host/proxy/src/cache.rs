//! Answers that are kept for a while, for requests that ask for it.
//!
//! The rule: an answer is given again only to the same request with the same token, and only while the wall clock says that it may be; what is kept
//! is bounded by its bytes, and wiped when it leaves. Equal requests that find nothing wait for the first of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, StatusCode};
use quick_cache::Weighter;
use quick_cache::unsync::Cache as Entries;
use sha2::{Digest, Sha256};
use tokio::sync::{Mutex as Turns, OwnedMutexGuard};
use zeroize::Zeroizing;

use crate::settings;
use crate::token::{Clock, Token};

/// What a request asks of the cache.
pub(crate) const CONTROL: HeaderName = HeaderName::from_static("x-vault-cache-control");
/// Headers that say nothing about the answer.
static IGNORED: [HeaderName; 6] = [
    CONTROL,
    HeaderName::from_static("x-vault-index"),
    HeaderName::from_static("x-vault-forward"),
    HeaderName::from_static("x-vault-inconsistent"),
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
];
/// The answer is a token that can be used once.
const WRAP: HeaderName = HeaderName::from_static("x-vault-wrap-ttl");
/// What an entry costs beside its headers and its body.
const OVERHEAD: u64 = 512;
/// No answer may take more than this part of the whole.
const LARGEST: u64 = 4;
/// For the tables of the cache; it grows beyond.
const USUAL_ANSWER: u64 = 2048;

/// What is to be done with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    /// Look for a kept answer.
    pub(crate) lookup: bool,
    /// Keep the answer.
    pub(crate) store: bool,
}

impl Wish {
    /// Neither.
    pub(crate) const NOTHING: Wish = Wish { lookup: false, store: false };
}

/// A request and its token, as a digest.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key([u8; 32]);

impl Key {
    /// Of a request as it is sent, but for its token.
    pub(crate) fn of(parts: &Parts, body: &[u8], token: &str) -> Key {
        let mut headers: Vec<_> = parts.headers.iter().filter(|(name, _)| !IGNORED.contains(name)).collect();
        // Values of one name keep their order.
        headers.sort_by_key(|(name, _)| name.as_str());
        let mut digest = Sha256::new();
        // Each part with its length, so that no two requests look alike.
        let mut add = |bytes: &[u8]| {
            digest.update((bytes.len() as u64).to_be_bytes());
            digest.update(bytes);
        };
        add(token.as_bytes());
        add(parts.method.as_str().as_bytes());
        add(parts.uri.path_and_query().map_or("/", |target| target.as_str()).as_bytes());
        add(body);
        for (name, value) in headers {
            add(name.as_str().as_bytes());
            add(value.as_bytes());
        }
        Key(digest.finalize().into())
    }
}

/// An answer that is kept.
pub(crate) struct Stored {
    /// Its status.
    pub(crate) status: StatusCode,
    /// Its headers.
    pub(crate) headers: HeaderMap,
    /// Its body, which is wiped with its last copy.
    pub(crate) body: Bytes,
    from: SystemTime,
    until: SystemTime,
}

impl Stored {
    /// A clock that was set back makes nothing live longer.
    fn is_good(&self, now: SystemTime) -> bool {
        self.from <= now && now < self.until
    }
}

#[derive(Clone)]
struct Weight;

impl Weighter<Key, Arc<Stored>> for Weight {
    fn weight(&self, _: &Key, stored: &Arc<Stored>) -> u64 {
        let headers: usize = stored.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        OVERHEAD + (headers + stored.body.len()) as u64
    }
}

struct State {
    entries: Entries<Key, Arc<Stored>, Weight>,
    /// A lock for each request that somebody has asked the server for.
    turns: HashMap<Key, Arc<Turns<()>>>,
    /// The digest of the token that the entries are of.
    token: Option<[u8; 32]>,
}

/// The answers that are kept.
pub(crate) struct Answers {
    settings: settings::Cache,
    clock: Clock,
    state: Mutex<State>,
}

impl Answers {
    /// None yet.
    pub(crate) fn new(settings: settings::Cache, clock: Clock) -> Answers {
        let items = usize::try_from(settings.size / USUAL_ANSWER).unwrap_or(usize::MAX).clamp(16, 1 << 16);
        let entries = Entries::with_weighter(items, settings.size, Weight);
        Answers { settings, clock, state: Mutex::new(State { entries, turns: HashMap::new(), token: None }) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a request asks for, by its method and headers.
    pub(crate) fn wish(&self, method: &Method, headers: &HeaderMap) -> Wish {
        if method != Method::GET || headers.contains_key(WRAP) {
            return Wish::NOTHING;
        }
        let values = headers.get_all(CONTROL).iter().filter_map(|value| value.to_str().ok());
        let words: Vec<String> = values.flat_map(|value| value.split(',')).map(|word| word.trim().to_ascii_lowercase()).collect();
        let says = |word: &str| words.iter().any(|said| said == word);
        let (cache, recache, nocache) = (self.settings.enabled || says("cache"), says("recache"), says("nocache"));
        Wish { lookup: cache && !recache && !nocache, store: (cache || recache) && !nocache }
    }

    /// The most bytes of a body that is kept.
    pub(crate) fn largest(&self) -> usize {
        usize::try_from(self.settings.size / LARGEST).unwrap_or(usize::MAX)
    }

    /// With another token no request finds what the last one's left: it is wiped at once.
    pub(crate) fn use_token(&self, token: &Token) {
        let digest = token.digest();
        let mut state = self.lock();
        if state.token.replace(digest).is_some_and(|last| last != digest) {
            state.entries.clear();
        }
    }

    /// Whether nothing is kept.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().entries.len() == 0
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        self.lock().entries.clear();
    }

    /// The answer to a request, if a good one is kept.
    pub(crate) fn get(&self, key: &Key) -> Option<Arc<Stored>> {
        let now = (self.clock)();
        let mut state = self.lock();
        let stored = Arc::clone(state.entries.get(key)?);
        if stored.is_good(now) {
            return Some(stored);
        }
        state.entries.remove(key);
        None
    }

    /// Keeps an answer, and gives its body back.
    pub(crate) fn put(&self, key: Key, status: StatusCode, headers: HeaderMap, body: Zeroizing<Vec<u8>>) -> Bytes {
        let body = Bytes::from_owner(body);
        let from = (self.clock)();
        // A time that no clock can show is never.
        if let Some(until) = from.checked_add(self.settings.ttl) {
            self.lock().entries.insert(key, Arc::new(Stored { status, headers, body: body.clone(), from, until }));
        }
        body
    }

    /// Wipes what is too old.
    pub(crate) fn sweep(&self) {
        let now = (self.clock)();
        self.lock().entries.retain(|_, stored| stored.is_good(now));
    }

    /// How often that is worth it.
    pub(crate) fn sweep_interval(&self) -> Duration {
        self.settings.ttl.clamp(Duration::from_secs(1), Duration::from_secs(60))
    }

    /// Waits until nobody else asks the server for this.
    pub(crate) async fn turn(&self, key: Key) -> Turn<'_> {
        let slot = Arc::clone(self.lock().turns.entry(key).or_default());
        // Made before the wait, so that one who goes away while waiting leaves nothing behind.
        let mut turn = Turn { answers: self, key, slot: Some(Arc::clone(&slot)), guard: None };
        turn.guard = Some(slot.lock_owned().await);
        turn
    }
}

/// The right to ask the server for a request. The next one waiting gets it when this is dropped.
pub(crate) struct Turn<'a> {
    answers: &'a Answers,
    key: Key,
    slot: Option<Arc<Turns<()>>>,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.guard = None;
        self.slot = None;
        let mut state = self.answers.lock();
        // Nobody waits if only the table knows it.
        if state.turns.get(&self.key).is_some_and(|slot| Arc::strong_count(slot) == 1) {
            state.turns.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cache whose clock stands at so many seconds.
    fn cache(enabled: bool, size: u64) -> (Arc<Mutex<u64>>, Answers) {
        let now = Arc::new(Mutex::new(1_000));
        let clock = Arc::clone(&now);
        let clock: Clock = Arc::new(move || SystemTime::UNIX_EPOCH + Duration::from_secs(*clock.lock().unwrap()));
        (now, Answers::new(settings::Cache { ttl: Duration::from_secs(60), enabled, size }, clock))
    }

    fn parts(method: &str, target: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = http::Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn wish(answers: &Answers, method: &str, headers: &[(&str, &str)]) -> (bool, bool) {
        let parts = parts(method, "/v1/x", headers);
        let wish = answers.wish(&parts.method, &parts.headers);
        (wish.lookup, wish.store)
    }

    fn keep(answers: &Answers, name: u8, bytes: usize) {
        answers.put(Key([name; 32]), StatusCode::OK, HeaderMap::new(), Zeroizing::new(vec![name; bytes]));
    }

    #[test]
    fn the_header_and_the_switch_say_what_is_looked_for_and_kept() {
        let (_, asked) = cache(false, 1 << 20);
        let (_, always) = cache(true, 1 << 20);
        for (value, when_asked, when_always) in [
            ("", (false, false), (true, true)),
            ("cache", (true, true), (true, true)),
            ("recache", (false, true), (false, true)),
            ("nocache", (false, false), (false, false)),
            ("cache, recache", (false, true), (false, true)),
            ("Cache,nocache", (false, false), (false, false)),
            ("whatever", (false, false), (true, true)),
        ] {
            let headers = [("X-Vault-Cache-Control", value)];
            assert_eq!((wish(&asked, "GET", &headers), wish(&always, "GET", &headers)), (when_asked, when_always), "{value:?}");
        }
        let twice = [("X-Vault-Cache-Control", "cache"), ("X-Vault-Cache-Control", "recache")];
        assert_eq!(wish(&asked, "GET", &twice), (false, true));
        for method in ["POST", "PUT", "LIST", "HEAD", "DELETE"] {
            assert_eq!(wish(&always, method, &[("X-Vault-Cache-Control", "cache")]), (false, false), "{method}");
        }
        assert_eq!(wish(&always, "GET", &[("X-Vault-Wrap-TTL", "60")]), (false, false));
    }

    #[test]
    fn keys_differ_by_everything_that_the_answer_may_depend_on() {
        let plain = parts("GET", "/v1/a?x=1", &[("a", "1"), ("b", "2")]);
        let key = |parts: &Parts, body: &str, token: &str| Key::of(parts, body.as_bytes(), token).0;
        let first = key(&plain, "", "t");
        let other_order = parts("GET", "/v1/a?x=1", &[("b", "2"), ("a", "1")]);
        let ignored: Vec<_> = IGNORED.iter().map(|name| (name.as_str(), "x")).chain([("a", "1"), ("b", "2")]).collect();
        for same in
            [&plain, &other_order, &parts("GET", "http://h:1/v1/a?x=1", &[("a", "1"), ("b", "2")]), &parts("GET", "/v1/a?x=1", &ignored)]
        {
            assert!(key(same, "", "t") == first, "{same:?}");
        }
        let namespace = [("a", "1"), ("b", "2"), ("x-vault-namespace", "n")];
        for other in [
            parts("GET", "/v1/a?x=2", &[("a", "1"), ("b", "2")]),
            parts("GET", "/v1/b?x=1", &[("a", "1"), ("b", "2")]),
            parts("GET", "/v1/a?x=1", &namespace),
            parts("GET", "/v1/a?x=1", &[("a", "1b2")]),
        ] {
            assert!(key(&other, "", "t") != first, "{other:?}");
        }
        assert!(key(&plain, "body", "t") != first && key(&plain, "", "u") != first);
    }

    #[test]
    fn the_wall_clock_ends_what_is_kept() {
        let (now, answers) = cache(false, 1 << 20);
        keep(&answers, 1, 10);
        *now.lock().unwrap() += 59;
        assert!(answers.get(&Key([1; 32])).is_some());
        *now.lock().unwrap() += 1;
        assert!(answers.get(&Key([1; 32])).is_none());
        // Nor does a clock that was set back prolong it.
        keep(&answers, 2, 10);
        *now.lock().unwrap() -= 1;
        assert!(answers.get(&Key([2; 32])).is_none());
        keep(&answers, 3, 10);
        *now.lock().unwrap() += 3_600;
        answers.sweep();
        assert!(answers.is_empty());
    }

    #[test]
    fn its_bytes_are_bounded_and_another_token_empties_it() {
        let (_, answers) = cache(false, 10_000);
        for name in 0..200 {
            keep(&answers, name, 1_000);
            assert!(answers.lock().entries.weight() <= 10_000);
        }
        assert!(answers.lock().entries.len() > 2 && answers.largest() == 2_500);
        keep(&answers, 201, 20_000);
        assert!(answers.get(&Key([201; 32])).is_none());
        let token = |text: &str| Token::new(Zeroizing::new(text.to_owned()));
        answers.use_token(&token("first"));
        answers.use_token(&token("first"));
        assert!(answers.lock().entries.len() > 2);
        answers.use_token(&token("second"));
        assert!(answers.is_empty());
    }

    #[tokio::test]
    async fn one_asks_and_the_others_wait_also_if_it_goes_away() {
        let (_, answers) = cache(false, 1 << 20);
        let key = Key([7; 32]);
        let first = answers.turn(key).await;
        let mut gone = Box::pin(answers.turn(key));
        let mut waiting = Box::pin(answers.turn(key));
        let other = answers.turn(Key([8; 32])).await;
        assert!(futures_now(&mut gone).await.is_none() && futures_now(&mut waiting).await.is_none());
        drop(gone);
        drop(first);
        let second = futures_now(&mut waiting).await.unwrap();
        drop((second, other));
        assert!(answers.lock().turns.is_empty());
    }

    /// What a future gives at once.
    async fn futures_now<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        tokio::select! {
            biased;
            output = future => Some(output),
            () = std::future::ready(()) => None,
        }
    }
}
