//! Tries a backend before it is trusted: contract, behaviour under fault, conduct and cost, as a report.
//!
//! A [`Subject`] says how the backend is opened, again and again and always on a store of its own; each section runs its checks on it and the
//! [`Report`] holds what came of them. The rule: a check fails only for what the contract promises, says what was expected and what was found,
//! and shows the operations that lead there as a script that a person can follow.

mod case;
pub mod conduct;
pub mod contract;
pub mod cost;
pub mod fault;
mod guest;
mod model;
mod own;
pub mod record;
mod report;
mod script;
mod store;
mod subject;
#[cfg(test)]
mod tests;

pub use case::{Case, Ended, Failed, Ground, Options, Progress, Running, Sheet, Verdict};
pub use guest::{GuestSubject, Place};
pub use report::{Cell, Check, Column, Figure, Outcome, PlayedBack, Report, Section, Table, Value};
pub use script::Script;
pub use store::Store;
pub use subject::{Given, Info, OpenWith, OpenedSeal, OpenedStorage, Subject, SubjectError};

use std::time::Instant;

use cofferdam_runtime::World;

/// The sections of a report, in its order.
pub const SECTIONS: &[&str] = &["contract", "fault", "conduct", "cost"];

/// Every check that there is for a subject of this kind, in the order of the report.
pub fn cases(info: &Info) -> Vec<&'static Case> {
    let sections: [fn(World) -> Vec<&'static Case>; 4] = [contract::cases, fault::cases, conduct::cases, cost::cases];
    sections.into_iter().flat_map(|cases| cases(info.world)).collect()
}

/// The names of all checks for a subject of this kind.
pub fn ids(info: &Info) -> Vec<&'static str> {
    std::iter::once(contract::OPENS.id).chain(cases(info).into_iter().map(|case| case.id)).collect()
}

/// Tries the subject: all sections, as far as `options` want them. What does not open is not tried further.
pub async fn run(subject: &dyn Subject, options: &Options) -> Report {
    let began = Instant::now();
    let mut report = Report::new(subject.info().clone(), options);
    for name in SECTIONS {
        let mut sheet = Sheet::new(name, subject, options);
        if *name == "contract" && !sheet.precondition(&contract::OPENS).await {
            report.add(sheet);
            break;
        }
        sheet.cases(cases(subject.info()).into_iter().filter(|case| case.section() == *name)).await;
        report.add(sheet);
    }
    report.left_behind = subject.wipe().await.err().map(|error| error.to_string());
    report.took = began.elapsed();
    report
}
