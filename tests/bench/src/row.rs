//! One line of the budget: what was measured, its floor, what the budget demands and aims at, and the verdict.

use serde::Serialize;

/// How a row is judged.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Judge {
    /// Ours less the floor, at most.
    Added,
    /// Ours over the floor, at most.
    AtMost,
    /// Ours over the floor, at least.
    AtLeast,
    /// Ours over the floor, shown and not judged: the budget demands nothing.
    Shown,
}

/// A measured row.
#[derive(Serialize)]
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) unit: &'static str,
    pub(crate) ours: f64,
    pub(crate) floor: f64,
    pub(crate) floor_is: &'static str,
    pub(crate) judge: Judge,
    pub(crate) must: f64,
    pub(crate) aim: f64,
    pub(crate) verdict: &'static str,
    /// What is judged: the difference or the ratio.
    pub(crate) value: f64,
}

impl Row {
    /// Judges a pair of figures; `must` and `aim` are a difference in `unit`, or a ratio.
    pub(crate) fn new(
        what: impl Into<String>,
        unit: &'static str,
        ours: f64,
        (floor_is, floor): (&'static str, f64),
        judge: Judge,
        (must, aim): (f64, f64),
    ) -> Self {
        let value = match judge {
            Judge::Added => ours - floor,
            Judge::AtMost | Judge::AtLeast | Judge::Shown => ours / floor,
        };
        let reaches = |bound: f64| match judge {
            Judge::Added | Judge::AtMost => value <= bound,
            Judge::AtLeast => value >= bound,
            Judge::Shown => true,
        };
        let verdict = if matches!(judge, Judge::Shown) {
            "-"
        } else if reaches(aim) {
            "aim"
        } else if reaches(must) {
            "must"
        } else {
            "BELOW"
        };
        Self { what: what.into(), unit, ours, floor, floor_is, judge, must, aim, verdict, value }
    }

    /// A figure that is shown beside another and not judged.
    pub(crate) fn shown(what: impl Into<String>, unit: &'static str, ours: f64, floor: (&'static str, f64)) -> Self {
        Self::new(what, unit, ours, floor, Judge::Shown, (1.0, 1.0))
    }

    /// Whether the row does what the budget demands.
    pub(crate) fn met(&self) -> bool {
        self.verdict != "BELOW"
    }
}

/// Prints the rows as a table.
pub(crate) fn print(rows: &[Row]) {
    println!("{:<34} {:>12} {:>12}  {:<24} {:>10} {:>10} {:>10}  verdict", "what", "ours", "floor", "floor is", "judged", "must", "aim");
    for row in rows {
        let shown = |value: f64| match row.judge {
            Judge::Added => format!("{value:+.2} {}", row.unit),
            Judge::AtMost | Judge::AtLeast | Judge::Shown => format!("{value:.3}x"),
        };
        let bound = |value: f64| if matches!(row.judge, Judge::Shown) { "-".to_owned() } else { shown(value) };
        println!(
            "{:<34} {:>12} {:>12}  {:<24} {:>10} {:>10} {:>10}  {}",
            row.what,
            format!("{:.2} {}", row.ours, row.unit),
            format!("{:.2} {}", row.floor, row.unit),
            row.floor_is,
            shown(row.value),
            bound(row.must),
            bound(row.aim),
            row.verdict
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(ours: f64, floor: f64, judge: Judge, bounds: (f64, f64)) -> &'static str {
        Row::new("x", "us", ours, ("y", floor), judge, bounds).verdict
    }

    #[test]
    fn each_judge_tells_aim_must_and_below_apart() {
        assert_eq!(verdict(1.4, 1.0, Judge::Added, (1.5, 0.5)), "aim");
        assert_eq!(verdict(2.4, 1.0, Judge::Added, (1.5, 0.5)), "must");
        assert_eq!(verdict(2.6, 1.0, Judge::Added, (1.5, 0.5)), "BELOW");
        assert_eq!(verdict(1.0, 80.0, Judge::AtMost, (0.04, 0.0133)), "aim");
        assert_eq!(verdict(4.0, 80.0, Judge::AtMost, (0.04, 0.0133)), "BELOW");
        assert_eq!(verdict(500.0, 100.0, Judge::AtLeast, (2.0, 5.0)), "aim");
        assert_eq!(verdict(199.0, 100.0, Judge::AtLeast, (2.0, 5.0)), "BELOW");
        assert!(Row::shown("x", "us", 9.0, ("y", 1.0)).met());
    }
}
