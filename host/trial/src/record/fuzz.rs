//! A recording as a function of bytes, for a fuzz target. The rule: no text may panic; what is refused is refused with a word, and what is taken is written as it was
//! read, and can be asked for.

use std::path::Path;

use super::exchange::Came;
use super::file;
use super::scrub::Scrub;

/// A file of `--record`.
pub fn recording(bytes: &[u8]) {
    let name = Path::new("recording");
    let (header, kept) = match file::parse(name, bytes) {
        Ok(read) => read,
        Err(error) => return assert!(error.len() > "recording: ".len() && error.starts_with("recording"), "{error:?} says nothing"),
    };
    let _ = header.now();
    let mut text = Vec::new();
    let written = file::lines(&header, &kept, |_| false, &mut text);
    assert!(written.is_ok(), "what was read cannot be written: {written:?}");
    for exchange in kept.iter().filter_map(|(_, take)| take.as_ref().ok()).flat_map(|take| &take.exchanges) {
        let scrub = Scrub::default();
        let plain = matches!(&exchange.came, Came::Answer { body, .. } if body.bytes().is_some_and(|body| scrub.show(body).is_some()));
        let answers = [exchange.came.clone().for_aws(&scrub).is_some(), exchange.came.clone().for_http(&scrub).is_some()];
        assert!(!plain || answers == [true, true], "an answer of the recording cannot be given");
        drop(exchange.found.clone().shown(&scrub));
    }
    let again = file::parse(name, text.as_slice());
    assert!(again == Ok((header, kept)), "a recording that was written is read as another");
}
