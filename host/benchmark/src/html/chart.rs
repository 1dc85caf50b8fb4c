//! A chart of lines, as SVG.

use super::escape;
use super::scale::Scale;
use std::fmt::Write as _;

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 320.0;
/// Room for the marks at the left and below, and so that none is cut at the right and above.
const LEFT: f64 = 80.0;
const BELOW: f64 = 28.0;
const EDGE: f64 = 24.0;
/// Colours of the style sheet; then they begin again, dashed.
const COLOURS: usize = 8;

/// A line.
pub(super) struct Series {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
}

/// A chart of lines.
pub(super) struct Chart {
    title: &'static str,
    x: Scale,
    y: Scale,
    series: Vec<Series>,
}

impl Chart {
    /// A chart, if there is a line to draw.
    pub(super) fn of(title: &'static str, x: Scale, y: Scale, series: Vec<Series>) -> Option<Self> {
        (!series.is_empty()).then_some(Self { title, x, y, series })
    }

    /// The figure with its title and legend.
    pub(super) fn draw(&self) -> String {
        let mut text = format!(
            "<figure>\n<figcaption>{0}</figcaption>\n<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{0}\">\n",
            escape(self.title)
        );
        for (figure, label) in self.y.marks() {
            let y = self.down(*figure);
            let _infallible = writeln!(
                text,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                WIDTH - EDGE,
                LEFT - 8.0,
                y + 4.0,
                escape(label)
            );
        }
        for (figure, label) in self.x.marks() {
            let x = self.along(*figure);
            let _infallible = writeln!(
                text,
                "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{EDGE}\" y2=\"{:.1}\"/><text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                HEIGHT - BELOW,
                HEIGHT - 8.0,
                escape(label)
            );
        }
        for (number, series) in self.series.iter().enumerate() {
            let points: Vec<String> = series.points.iter().map(|(x, y)| format!("{:.1},{:.1}", self.along(*x), self.down(*y))).collect();
            let dashes = if number >= COLOURS { " stroke-dasharray=\"6 3\"" } else { "" };
            let _infallible = writeln!(
                text,
                "<polyline style=\"stroke: var(--c{})\"{dashes} points=\"{}\"><title>{}</title></polyline>",
                number % COLOURS,
                points.join(" "),
                escape(&series.name)
            );
        }
        text.push_str("</svg>\n<ul class=\"legend\">\n");
        for (number, series) in self.series.iter().enumerate() {
            let _infallible =
                writeln!(text, "<li><span style=\"background: var(--c{})\"></span>{}</li>", number % COLOURS, escape(&series.name));
        }
        text.push_str("</ul>\n</figure>\n");
        text
    }

    fn along(&self, figure: f64) -> f64 {
        LEFT + self.x.place(figure) * (WIDTH - LEFT - EDGE)
    }

    fn down(&self, figure: f64) -> f64 {
        HEIGHT - BELOW - self.y.place(figure) * (HEIGHT - BELOW - EDGE)
    }
}
