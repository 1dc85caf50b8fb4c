//! Changes inputs. The rule: the same seed makes the same inputs.

/// The longest input.
const LONGEST: usize = 64 << 10;
/// The most changes of one input.
const CHANGES: usize = 6;
/// How many changed inputs are kept to be changed again.
const KEPT: usize = 64;

/// Words of no language in particular: bounds of numbers, nesting, what texts should not hold.
const WORDS: &[&str] = &[
    "0",
    "-1",
    "1",
    "255",
    "256",
    "65536",
    "2147483648",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "1e999",
    "-1e-999",
    "0.1",
    "00",
    "1_0",
    "0x7f",
    "null",
    "true",
    "false",
    "\"",
    "\"\"",
    "\\",
    "\\\"",
    "\\u0000",
    "\\ud800",
    "\\u",
    "{",
    "}",
    "[",
    "]",
    "{}",
    "[]",
    "[[[[[[[[",
    "{\"a\":",
    "(",
    ")",
    ",",
    ":",
    ";",
    "=",
    "/",
    "//",
    "/*",
    "*/",
    "..",
    "../",
    "%",
    "%00",
    "%2f",
    "+",
    "*",
    "?",
    "#",
    "\n",
    "\r\n",
    "\t",
    "\0",
    " ",
    "\u{feff}",
    "\u{202e}",
    "ä",
    "日本",
    "\u{10ffff}",
];
const BYTES: &[u8] = &[0, 1, 0x0a, 0x1f, 0x20, 0x22, 0x2f, 0x5c, 0x7f, 0x80, 0xc0, 0xed, 0xf4, 0xff];
/// For where digits stand.
const NUMBERS: &[&str] =
    &["0", "-0", "-1", "1", "99999999999999999999", "9223372036854775807", "-9223372036854775808", "4294967295", "1e400", "0.5"];

/// Numbers that look random (splitmix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Less than `bound`; zero if that is.
    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(u64::MAX);
        self.next().checked_rem(bound).and_then(|number| usize::try_from(number).ok()).unwrap_or_default()
    }

    fn byte(&mut self) -> u8 {
        let [byte, ..] = self.next().to_le_bytes();
        byte
    }

    fn of<T: Copy>(&mut self, items: &[T]) -> Option<T> {
        items.get(self.below(items.len())).copied()
    }
}

/// Makes inputs of others.
pub(crate) struct Mutator {
    random: Random,
    seeds: Vec<Vec<u8>>,
    kept: Vec<Vec<u8>>,
    words: &'static [&'static str],
}

impl Mutator {
    /// Begins from these inputs, which should be some.
    pub(crate) fn new(seed: u64, seeds: Vec<Vec<u8>>, words: &'static [&'static str]) -> Mutator {
        Mutator { random: Random(seed), seeds, kept: Vec::new(), words }
    }

    /// The next input.
    pub(crate) fn next(&mut self) -> Vec<u8> {
        let mut input = self.other();
        for _ in 0..=self.random.below(CHANGES) {
            self.change(&mut input);
        }
        input.truncate(LONGEST);
        if self.random.below(8) == 0 {
            let at = self.random.below(KEPT);
            match self.kept.get_mut(at) {
                Some(kept) => kept.clone_from(&input),
                None => self.kept.push(input.clone()),
            }
        }
        input
    }

    /// One of the inputs to begin from; now and then one that was made of them.
    fn other(&mut self) -> Vec<u8> {
        let from = if self.kept.is_empty() || self.random.below(4) > 0 { &self.seeds } else { &self.kept };
        from.get(self.random.below(from.len())).cloned().unwrap_or_default()
    }

    fn word(&mut self) -> &'static [u8] {
        let words = if self.words.is_empty() || self.random.below(3) == 0 { WORDS } else { self.words };
        self.random.of(words).unwrap_or_default().as_bytes()
    }

    /// A part of an input: mostly short.
    fn range(&mut self, input: &[u8]) -> std::ops::Range<usize> {
        let start = self.random.below(input.len());
        let most = if self.random.below(4) == 0 { input.len() } else { 16 };
        let len = self.random.below(most) + 1;
        start..input.len().min(start + len)
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let at = self.random.below(input.len() + 1);
        match self.random.below(13) {
            0 => {
                let bit = 1 << self.random.below(8);
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= bit;
                }
            }
            1 => {
                let new = self.random.of(BYTES).unwrap_or_default();
                if let Some(byte) = input.get_mut(at) {
                    *byte = new;
                }
            }
            2 => {
                let new: Vec<u8> = (0..=self.random.below(8)).map(|_| self.random.byte()).collect();
                input.splice(at..at, new);
            }
            3 => drop(input.drain(self.range(input))),
            4 => {
                let part = self.part(input);
                input.splice(at..at, part);
            }
            5 => {
                let other = self.other();
                let tail = self.random.below(other.len() + 1);
                input.truncate(at);
                input.extend(other.into_iter().skip(tail));
            }
            6 => drop(input.splice(self.range(input), self.word().iter().copied())),
            7 => drop(input.splice(at..at, self.word().iter().copied())),
            8 => input.truncate(at),
            9 => self.repeat(input, at),
            10 => self.number(input, at),
            11 => {
                let other = self.other();
                let part = self.part(&other);
                input.splice(at..at, part);
            }
            _ => {
                // A length or a number in binary, a little more or less.
                let by = self.random.of(&[1, 0xff, 0x7f, 0x80]).unwrap_or_default();
                if let Some(byte) = input.get_mut(at) {
                    *byte = byte.wrapping_add(by);
                }
            }
        }
    }

    fn part(&mut self, input: &[u8]) -> Vec<u8> {
        let range = self.range(input);
        input.get(range).unwrap_or_default().to_vec()
    }

    /// The same again and again: what nests, or adds up.
    fn repeat(&mut self, input: &mut Vec<u8>, at: usize) {
        let part = if self.random.below(2) == 0 { self.word().to_vec() } else { self.part(input) };
        let times = 1 << self.random.below(14);
        let room = LONGEST.saturating_sub(input.len()).checked_div(part.len()).unwrap_or_default();
        input.splice(at..at, part.repeat(room.min(times)));
    }

    /// Another number in place of the next one.
    fn number(&mut self, input: &mut Vec<u8>, at: usize) {
        let digit = |byte: &u8| byte.is_ascii_digit();
        let Some(start) = input.iter().skip(at).position(digit).map(|ahead| at + ahead) else { return };
        let len = input.iter().skip(start).take_while(|byte| digit(byte)).count();
        let new = self.random.of(NUMBERS).unwrap_or_default();
        input.splice(start..start + len, new.bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_inputs_and_another_seed_others() {
        let made = |seed| {
            let mut mutator = Mutator::new(seed, vec![b"abc 123".to_vec(), b"{\"x\":[1,2]}".to_vec()], &["if", "else"]);
            (0..500).map(|_| mutator.next()).collect::<Vec<_>>()
        };
        assert_eq!(made(1), made(1));
        assert_ne!(made(1), made(2));
        assert!(made(3).iter().all(|input| input.len() <= LONGEST));
        // They are neither all the same nor all the seeds.
        let distinct: std::collections::BTreeSet<_> = made(4).into_iter().collect();
        assert!(distinct.len() > 400, "{}", distinct.len());
    }

    #[test]
    fn nothing_to_begin_from_is_enough() {
        let mut mutator = Mutator::new(7, vec![Vec::new()], &[]);
        assert!((0..500).any(|_| !mutator.next().is_empty()));
    }
}
