//! A report as JUnit's XML, for CI systems.

use quick_junit::{NonSuccessKind, Report as Junit, TestCase, TestCaseStatus, TestSuite};

use super::{Check, Outcome, PlayedBack, Report, Section, Value};

pub(super) fn write(report: &Report) -> Result<String, String> {
    let mut junit = Junit::new(format!("coffer plugin test {}", report.subject.file));
    junit.set_time(report.took);
    junit.add_test_suites(report.sections.iter().map(|section| suite(report, section)));
    if let Some(why) = &report.left_behind {
        let mut suite = TestSuite::new("end");
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
        status.set_message(format!("what was written is still there, since it could not be removed: {why}"));
        suite.add_test_case(TestCase::new("end/store-is-empty-again", status));
        junit.add_test_suite(suite);
    }
    junit.to_string().map_err(|error| format!("the report cannot be written as JUnit: {error}"))
}

fn suite(report: &Report, section: &Section) -> TestSuite {
    let mut suite = TestSuite::new(section.name.as_str());
    suite.set_time(section.checks.iter().map(|check| check.took).sum());
    suite.add_property(("sha256", report.subject.sha256.as_str()));
    suite.add_property(("seed", report.seed.to_string().as_str()));
    suite.add_property(("quick", report.quick.to_string().as_str()));
    if let Some(PlayedBack { file, sha256, time }) = &report.played_back {
        suite.add_property(("played_back", file.as_str()));
        suite.add_property(("played_back/sha256", sha256.as_str()));
        suite.add_property(("played_back/time", time.to_string().as_str()));
    }
    for figure in &section.figures {
        let value = match &figure.value {
            Value::Number(number) => format!("{number} {}", figure.unit).trim_end().to_owned(),
            Value::Text(text) => text.clone(),
            Value::Table(table) => {
                for (name, value) in table.pairs() {
                    suite.add_property((format!("{}/{name}", figure.id).as_str(), value.as_str()));
                }
                continue;
            }
        };
        suite.add_property((figure.id.as_str(), value.as_str()));
    }
    suite.add_test_cases(section.checks.iter().map(|check| case(section, check)));
    suite
}

fn case(section: &Section, check: &Check) -> TestCase {
    let status = match &check.outcome {
        Outcome::Passed => TestCaseStatus::success(),
        Outcome::Failed { what, script } => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_message(what.as_str());
            status.set_description(if script.is_empty() { what.clone() } else { format!("{what}\n\n{}", script.join("\n")) });
            status
        }
        Outcome::Skipped { why } => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(why.as_str());
            status
        }
    };
    let mut case = TestCase::new(check.id.as_str(), status);
    case.set_classname(format!("coffer.{}", section.name)).set_time(check.took);
    case
}
