//! Small pictures of one metric, as evidence on the card of an incident: the last hour, the bound of the rule, and when it was noticed.

use crate::chart::{Colours, NotDrawn, Theme, adaptive, encode, short, with_font};
use jiff::Timestamp;
use plotters::{
    coord::Shift,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

/// Width and height, in pixels.
const SIZE: (u32, u32) = (640, 190);

/// What to draw.
#[derive(Clone, Debug, PartialEq)]
pub struct Sketch {
    /// What is measured.
    pub title: String,
    /// Unix seconds and values, in order; two at least.
    pub points: Vec<(i64, f64)>,
    /// What a rule compares it with.
    pub bound: Option<f64>,
    /// When it was noticed, Unix seconds.
    pub noticed: i64,
}

impl Sketch {
    /// What is to be seen, for who cannot see it.
    pub fn alt(&self) -> String {
        let all = self.points.iter().map(|(_, value)| *value).filter(|value| value.is_finite());
        let (least, most) = all.fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), value| {
            (least.min(value), most.max(value))
        });
        let last = self.points.last().map_or(f64::NAN, |(_, value)| *value);
        format!(
            "{}: now {}, between {} and {} in the last hour",
            self.title,
            short(last),
            short(least),
            short(most)
        )
    }

    /// As SVG text that is light or dark as its reader's ground is.
    pub fn adaptive_svg(&self) -> Result<String, NotDrawn> {
        let mut text = String::new();
        self.draw(&SVGBackend::with_string(&mut text, SIZE).into_drawing_area(), Theme::Light)?;
        adaptive(&text)
    }

    /// As a PNG file.
    pub fn png(&self, theme: Theme) -> Result<Vec<u8>, NotDrawn> {
        let mut pixels = vec![0; (SIZE.0 * SIZE.1 * 3) as usize];
        self.draw(&BitMapBackend::with_buffer(&mut pixels, SIZE).into_drawing_area(), theme)?;
        encode(&pixels, SIZE)
    }

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>, theme: Theme) -> Result<(), NotDrawn> {
        with_font()?;
        self.draw_on(area, &theme.colours()).map_err(|error| NotDrawn(error.to_string()))
    }

    fn draw_on<B: DrawingBackend>(
        &self,
        area: &DrawingArea<B, Shift>,
        colours: &Colours,
    ) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
        let (first, last) = match (self.points.first(), self.points.last()) {
            (Some(first), Some(last)) => (first.0, last.0.max(first.0 + 1)),
            _ => (0, 1),
        };
        let (low, high) = self.range();
        area.fill(&colours.background)?;
        let words = |size: u32| ("sans-serif", size).into_font().color(&colours.text);
        let mut chart = ChartBuilder::on(area)
            .caption(&self.title, words(15))
            .margin(8)
            .margin_right(16)
            .x_label_area_size(24)
            .y_label_area_size(56)
            .build_cartesian_2d(first..last, low..high)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(colours.grid)
            .axis_style(colours.grid)
            .label_style(words(12))
            .x_labels(5)
            .y_labels(4)
            .x_label_formatter(&|second| {
                Timestamp::from_second(*second).map(|at| at.strftime("%H:%M").to_string()).unwrap_or_default()
            })
            .y_label_formatter(&|value| short(*value))
            .draw()?;
        if let Some(bound) = self.bound {
            let line = vec![(first, bound), (last, bound)];
            chart.draw_series(DashedLineSeries::new(line, 6, 4, colours.capacity.stroke_width(1)))?;
        }
        if (first..=last).contains(&self.noticed) {
            let line = vec![(self.noticed, low), (self.noticed, high)];
            chart.draw_series(DashedLineSeries::new(line, 2, 4, colours.history.stroke_width(1)))?;
            let style = words(12).pos(Pos::new(HPos::Right, VPos::Top));
            chart.draw_series(std::iter::once(Text::new("noticed ", (self.noticed, high), style)))?;
        }
        for piece in self.points.split(|(_, value)| !value.is_finite()) {
            chart.draw_series(LineSeries::new(piece.iter().copied(), colours.ahead.stroke_width(2)))?;
        }
        area.present()
    }

    /// From zero, or below the lowest; room above the highest.
    fn range(&self) -> (f64, f64) {
        let values = self.points.iter().map(|(_, value)| *value).chain(self.bound);
        let (least, most) = values
            .filter(|value| value.is_finite())
            .fold((0.0_f64, 0.0_f64), |(least, most), value| (least.min(value), most.max(value)));
        let span = if most > least { most - least } else { 1.0 };
        (if least < 0.0 { least - 0.1 * span } else { 0.0 }, most + 0.15 * span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sketch(points: Vec<(i64, f64)>) -> Sketch {
        Sketch { title: "errors".into(), points, bound: Some(0.05), noticed: 1_795_248_000 + 1800 }
    }

    #[test]
    fn whatever_the_points_a_picture_comes_out() {
        let at = |n: i64| 1_795_248_000 + 60 * n;
        for points in [
            vec![],
            vec![(at(0), 1.0)],
            (0..60).map(|n| (at(n), 0.0)).collect(),
            (0..60).map(|n| (at(n), if n == 30 { f64::NAN } else { n as f64 * -3.5 })).collect(),
            (0..60).map(|n| (at(n), 1e12 * n as f64)).collect(),
        ] {
            let sketch = sketch(points);
            assert!(sketch.adaptive_svg().unwrap().contains("errors"));
            assert_eq!(&sketch.png(Theme::Dark).unwrap()[1..4], b"PNG");
        }
    }

    #[test]
    fn the_words_say_what_the_picture_shows() {
        let sketch = sketch(vec![(0, 1.0), (60, 4.0), (120, 2.5)]);
        assert_eq!(sketch.alt(), "errors: now 2.5, between 1 and 4 in the last hour");
    }
}
