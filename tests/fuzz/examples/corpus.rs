//! Writes what each target begins from, and its words, for libFuzzer: `DIR/corpus/TARGET/` and `DIR/TARGET.dict`.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use cofferdam_fuzz::TARGETS;

fn main() -> std::io::Result<()> {
    let directory = std::env::args_os().nth(1).map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz"), PathBuf::from);
    for target in TARGETS {
        let corpus = directory.join("corpus").join(target.name);
        fs::create_dir_all(&corpus)?;
        for (number, seed) in (target.seeds)().iter().enumerate() {
            fs::write(corpus.join(format!("seed-{number}")), seed)?;
        }
        let mut words = String::new();
        for word in target.words {
            let bytes = word.bytes().fold(String::new(), |mut bytes, byte| {
                let _ = write!(bytes, "\\x{byte:02x}");
                bytes
            });
            let _ = writeln!(words, "\"{bytes}\"");
        }
        fs::write(directory.join(format!("{}.dict", target.name)), words)?;
    }
    Ok(())
}
