//! `coffer bench review`: saved results, shown again in any way.

use crate::html;
use crate::report;
use crate::report::Mode;
use crate::saved::SavedError;
use crate::saved::load;
use crate::saved::save;
use clap::Args;
use std::path::PathBuf;

/// Which results, and how they are shown.
#[derive(Debug, Args)]
pub struct ReviewArguments {
    /// Results that `coffer bench` or vault-benchmark wrote in their json mode
    #[arg(value_name = "FILE", required_unless_present = "results_file")]
    pub files: Vec<PathBuf>,
    /// The same, as vault-benchmark names it
    #[arg(long, alias = "results_file", value_name = "FILE", conflicts_with = "files")]
    pub results_file: Option<PathBuf>,
    /// A table, all figures, or JSON
    #[arg(long, alias = "report_mode", value_enum, ignore_case = true, default_value = "terse")]
    pub report_mode: Mode,
    /// Write a page with charts to this file, too
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// The text for standard output.
///
/// # Errors
///
/// If a file cannot be read or written, or holds something else than results.
pub fn run(arguments: &ReviewArguments) -> Result<String, SavedError> {
    let mut targets = Vec::new();
    for path in arguments.results_file.iter().chain(&arguments.files) {
        targets.extend(load(path)?);
    }
    if let Some(path) = &arguments.html {
        save(path, &html::page(&targets))?;
    }
    Ok(report::render(arguments.report_mode, &targets)?)
}
