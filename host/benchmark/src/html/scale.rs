//! Where a figure lies along an axis, and what is written beside it.

use super::chart::Series;
use crate::report::go_duration;

/// An axis: where figures lie, from 0 to 1, and its marks.
pub(super) struct Scale {
    place: Box<dyn Fn(f64) -> f64>,
    marks: Vec<(f64, String)>,
}

impl Scale {
    /// Where a figure lies, from 0 to 1.
    pub(super) fn place(&self, figure: f64) -> f64 {
        let place = (self.place)(figure);
        if place.is_finite() { place.clamp(0.0, 1.0) } else { 0.0 }
    }

    /// The figures that are marked, with their text.
    pub(super) fn marks(&self) -> &[(f64, String)] {
        &self.marks
    }
}

/// Percentiles: equal steps for each nine.
pub(super) fn rarity() -> Scale {
    const MOST: f64 = 99.99;
    let nines = |percent: f64| -(1.0 - percent.min(MOST) / 100.0).log10();
    let most = nines(MOST);
    let marks = [0.0, 50.0, 90.0, 99.0, 99.9, MOST].map(|percent| (percent, format!("{percent} %"))).to_vec();
    Scale { place: Box::new(move |percent| nines(percent) / most), marks }
}

/// Nanoseconds: equal steps for equal factors.
pub(super) fn times(series: &[Series]) -> Option<Scale> {
    let (least, most) = bounds(series.iter().flat_map(|series| &series.points).map(|(_, y)| *y))?;
    let (low, high) = (below(least), above(most));
    let mut marks = Vec::new();
    let mut mark = low;
    while mark <= high * 1.001 && marks.len() < 40 {
        marks.push((mark, go_duration(whole(mark))));
        mark = above(mark * 1.5);
    }
    let (from, reach) = (low.ln(), (high / low).ln().max(f64::MIN_POSITIVE));
    Some(Scale { place: Box::new(move |figure| (figure.ln() - from) / reach), marks })
}

/// Seconds from 0 on.
pub(super) fn seconds(series: &[Series]) -> Option<Scale> {
    linear(series.iter().flat_map(|series| &series.points).map(|(x, _)| *x), " s")
}

/// Amounts from 0 on.
pub(super) fn amounts(series: &[Series]) -> Option<Scale> {
    linear(series.iter().flat_map(|series| &series.points).map(|(_, y)| *y), "")
}

fn linear(figures: impl Iterator<Item = f64>, unit: &str) -> Option<Scale> {
    let (_, most) = bounds(figures)?;
    let high = above(most);
    let step = above(high / 6.0);
    let mut marks = Vec::new();
    let mut mark = 0.0;
    while mark <= high * 1.001 {
        // Tenths add up to a little more or less than they should.
        marks.push((mark, format!("{}{unit}", (mark * 1e6).round() / 1e6)));
        mark += step;
    }
    Some(Scale { place: Box::new(move |figure| figure / high), marks })
}

/// The least and the greatest, if there are any.
fn bounds(figures: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    figures.fold(None, |held, figure| match held {
        None => Some((figure, figure)),
        Some((least, most)) => Some((figure.min(least), figure.max(most))),
    })
}

/// The next of 1, 2, 5, 10, 20 … that is not less.
fn above(figure: f64) -> f64 {
    let power = decade(figure);
    let near = |step: &&f64| **step * power >= figure * 0.999_999;
    [1.0, 2.0, 5.0, 10.0].iter().find(near).map_or(10.0 * power, |step| step * power)
}

/// The last of 1, 2, 5, 10, 20 … that is not more.
fn below(figure: f64) -> f64 {
    let power = decade(figure);
    let near = |step: &&f64| **step * power <= figure * 1.000_001;
    [5.0, 2.0, 1.0].iter().find(near).map_or(power, |step| step * power)
}

fn decade(figure: f64) -> f64 {
    if figure > 0.0 { 10f64.powf(figure.log10().floor()).max(1e-9) } else { 1.0 }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a mark of nanoseconds, positive")]
fn whole(figure: f64) -> u64 {
    figure.round() as u64
}

#[cfg(test)]
mod tests {
    use super::Series;
    use super::above;
    use super::below;
    use super::rarity;
    use super::times;

    #[test]
    fn marks_are_round_figures() {
        for (figure, low, high) in
            [(1.0, 1.0, 1.0), (3.0, 2.0, 5.0), (7_000.0, 5_000.0, 10_000.0), (1_000_000.0, 1e6, 1e6), (0.3, 0.2, 0.5)]
        {
            assert!((below(figure) - low).abs() < 1e-6 * low && (above(figure) - high).abs() < 1e-6 * high, "{figure}");
        }
        let series = [Series { name: String::new(), points: vec![(0.0, 1.2e6), (50.0, 9e6)] }];
        let scale = times(&series).unwrap();
        let marks: Vec<&str> = scale.marks().iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(marks, ["1ms", "2ms", "5ms", "10ms"]);
        assert!(scale.place(1e6).abs() < 1e-9 && (scale.place(1e7) - 1.0).abs() < 1e-9);
        assert!(times(&[]).is_none());
    }

    #[test]
    fn each_nine_takes_as_much_room() {
        let scale = rarity();
        assert!((scale.place(99.0) - 2.0 * scale.place(90.0)).abs() < 1e-9);
        assert!((scale.place(99.999) - 1.0).abs() < 1e-9);
    }
}
