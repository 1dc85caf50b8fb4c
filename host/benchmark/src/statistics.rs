//! Whether two sets of repetitions differ by more than they vary among themselves.
//!
//! Times and rates vary by a factor rather than by an amount, so their logarithms are compared, by Welch's t-test: it asks neither for
//! equal variances nor for equally many repetitions. The rule: one repetition on either side shows nothing, however far apart they are.

/// The confidence that all intervals here have, in percent.
pub const CONFIDENCE: u8 = 95;

/// Student's t for 95 %, two-sided, by degrees of freedom from 1.
const STUDENT: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093,
    2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
];
/// The same where the table ends: for 40, 60 and 120 degrees and more.
const BEYOND: [(f64, f64); 3] = [(120.0, 1.980), (60.0, 2.000), (40.0, 2.021)];

/// Where a figure lies with the stated confidence.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Interval {
    /// From here.
    pub low: f64,
    /// To here.
    pub high: f64,
}

impl Interval {
    fn around(middle: f64, reach: f64) -> Self {
        Self { low: middle - reach, high: middle + reach }
    }

    fn map(self, change: impl Fn(f64) -> f64) -> Self {
        Self { low: change(self.low), high: change(self.high) }
    }
}

/// The arithmetic mean; `None` of nothing.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a handful of repetitions")]
pub fn average(figures: &[f64]) -> Option<f64> {
    (!figures.is_empty()).then(|| figures.iter().sum::<f64>() / figures.len() as f64)
}

/// The geometric mean of positive figures, which [`change`] is of; `None` of nothing.
#[must_use]
pub fn geometric(figures: &[f64]) -> Option<f64> {
    average(&figures.iter().map(|figure| figure.ln()).collect::<Vec<_>>()).map(f64::exp)
}

/// By which factor the second differs from the first, less one: 0.1 is ten percent more. `None` if either has fewer than two figures, or one
/// that is not positive.
#[must_use]
pub fn change(before: &[f64], after: &[f64]) -> Option<Interval> {
    let logarithms = |figures: &[f64]| -> Option<Vec<f64>> {
        figures.iter().map(|figure| (*figure > 0.0 && figure.is_finite()).then(|| figure.ln())).collect()
    };
    Some(difference(&logarithms(before)?, &logarithms(after)?)?.map(f64::exp_m1))
}

/// By how much the second differs from the first. `None` if either has fewer than two figures.
#[must_use]
pub fn difference(before: &[f64], after: &[f64]) -> Option<Interval> {
    let (one, two) = (Sample::of(before)?, Sample::of(after)?);
    let parts = [one, two].map(|sample| sample.variance / sample.count);
    let error = parts.iter().sum::<f64>();
    if error <= 0.0 {
        // Figures that do not scatter at all are too coarse or too few to say how far off they may be.
        return (one.mean.to_bits() == two.mean.to_bits()).then(|| Interval::around(0.0, 0.0));
    }
    // The degrees of freedom by Welch and Satterthwaite.
    let weight: f64 = parts.iter().zip([one, two]).map(|(part, sample)| part * part / (sample.count - 1.0)).sum();
    Some(Interval::around(two.mean - one.mean, student(error * error / weight) * error.sqrt()))
}

#[derive(Clone, Copy)]
struct Sample {
    count: f64,
    mean: f64,
    variance: f64,
}

impl Sample {
    #[expect(clippy::cast_precision_loss, reason = "a handful of repetitions")]
    fn of(figures: &[f64]) -> Option<Self> {
        if figures.len() < 2 || figures.iter().any(|figure| !figure.is_finite()) {
            return None;
        }
        let count = figures.len() as f64;
        let mean = average(figures)?;
        let variance = figures.iter().map(|figure| (figure - mean).powi(2)).sum::<f64>() / (count - 1.0);
        Some(Self { count, mean, variance })
    }
}

/// Student's t; between two rows of the table that of the fewer degrees, which is the wider.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the table, by the first lines")]
fn student(degrees: f64) -> f64 {
    if let Some((_, value)) = BEYOND.iter().find(|(least, _)| degrees >= *least) {
        return *value;
    }
    // Equal variances give a whole number, but for the last bit.
    let row = (degrees + 1e-9).clamp(1.0, 30.0).floor() as usize;
    STUDENT.get(row - 1).copied().unwrap_or(12.706)
}

#[cfg(test)]
mod tests {
    use super::average;
    use super::change;
    use super::difference;
    use super::geometric;
    use super::student;

    fn near(found: f64, expected: f64) -> bool {
        (found - expected).abs() < 5e-4 * expected.abs().max(1.0)
    }

    #[test]
    fn the_change_of_the_geometric_means_is_in_the_middle_of_the_interval() {
        let (before, after) = ([100.0, 400.0], [50.0, 3_200.0]);
        let (one, two) = (geometric(&before).unwrap(), geometric(&after).unwrap());
        assert!(near(one, 200.0) && near(two, 400.0), "{one} and {two}");
        let interval = change(&before, &after).unwrap();
        assert!(near(((1.0 + interval.low) * (1.0 + interval.high)).sqrt(), two / one), "{interval:?}");
        assert!(geometric(&[]).is_none() && average(&[]).is_none());
    }

    #[test]
    fn a_difference_is_welchs() {
        // Means 20.6 and 23.4, variances 1.3 and 9.3, by hand: 5.10 degrees of freedom, of which 5 count.
        let interval = difference(&[19.0, 20.0, 21.0, 21.0, 22.0], &[20.0, 21.0, 23.0, 26.0, 27.0]).unwrap();
        assert!(near(interval.low, -0.9434) && near(interval.high, 6.5434), "{interval:?}");
    }

    #[test]
    fn a_change_is_a_factor() {
        assert!(change(&[100.0, 100.0], &[110.0, 110.0]).is_none(), "no scatter says nothing of how far off the figures are");
        let same = change(&[100.0, 100.0], &[100.0, 100.0]).unwrap();
        assert!(near(same.low, 0.0) && near(same.high, 0.0));
        let interval = change(&[100.0, 101.0, 99.0], &[200.0, 203.0, 198.0]).unwrap();
        assert!(interval.low > 0.9 && interval.high < 1.1, "{interval:?}");
        let interval = change(&[100.0, 150.0, 80.0], &[110.0, 90.0, 160.0]).unwrap();
        assert!(interval.low < 0.0 && interval.high > 0.0, "{interval:?}");
    }

    #[test]
    fn one_figure_shows_nothing() {
        assert!(change(&[1.0], &[2.0, 2.0]).is_none());
        assert!(change(&[1.0, 1.0], &[2.0]).is_none());
        assert!(change(&[0.0, 1.0], &[2.0, 2.0]).is_none());
        assert!(difference(&[f64::NAN, 1.0], &[2.0, 2.0]).is_none());
    }

    #[test]
    fn the_table_is_students() {
        for (degrees, value) in [(0.5, 12.706), (1.0, 12.706), (4.9, 2.776), (30.0, 2.042), (39.0, 2.042), (60.0, 2.0), (1e9, 1.98)] {
            assert!(near(student(degrees), value), "{degrees}");
        }
    }
}
