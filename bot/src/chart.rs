//! Pictures of forecasts: history, what is expected with its bands, where the trend turned, what there is room for and what
//! is proposed. SVG for the console, PNG for chats; light or dark, readable at the width of a chat.

use forecast::{Forecast, Series};
use jiff::Timestamp;
use plotters::{
    coord::Shift,
    prelude::*,
    style::{
        FontStyle, register_font,
        text_anchor::{HPos, Pos, VPos},
    },
};
use std::sync::OnceLock;

/// Width and height, in pixels.
const SIZE: (u32, u32) = (860, 380);
/// Points drawn at most: two for each pixel column.
const MOST_POINTS: usize = 1_600;
/// History is drawn for so many horizons back, so that what comes can be seen beside what was.
const HORIZONS_BACK: usize = 5;

/// What to draw.
#[derive(Clone, Copy)]
pub struct Chart<'a> {
    /// What it is about.
    pub title: &'a str,
    /// The history.
    pub series: &'a Series,
    /// What is expected.
    pub forecast: &'a Forecast,
    /// What there is room for, in the unit of the series.
    pub capacity: Option<f64>,
    /// What there would be room for after a proposed change, each from so many steps ahead on.
    pub proposal: &'a [(usize, f64)],
}

/// The reader's background.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    /// Dark on white.
    Light,
    /// Light on near-black.
    Dark,
}

/// The picture could not be drawn.
#[derive(Debug, thiserror::Error)]
#[error("draw a chart: {0}")]
pub struct NotDrawn(pub(crate) String);

/// What is drawn in which colour.
pub(crate) struct Colours {
    pub background: RGBColor,
    pub text: RGBColor,
    pub grid: RGBColor,
    pub history: RGBColor,
    pub ahead: RGBColor,
    pub capacity: RGBColor,
    pub proposal: RGBColor,
}

impl Theme {
    pub(crate) fn colours(self) -> Colours {
        match self {
            Theme::Light => Colours {
                background: RGBColor(255, 255, 255),
                text: RGBColor(38, 44, 52),
                grid: RGBColor(226, 230, 236),
                history: RGBColor(71, 85, 105),
                ahead: RGBColor(29, 99, 191),
                capacity: RGBColor(190, 37, 40),
                proposal: RGBColor(20, 122, 72),
            },
            Theme::Dark => Colours {
                background: RGBColor(22, 26, 32),
                text: RGBColor(224, 229, 236),
                grid: RGBColor(52, 59, 69),
                history: RGBColor(160, 172, 188),
                ahead: RGBColor(106, 169, 255),
                capacity: RGBColor(255, 118, 117),
                proposal: RGBColor(94, 205, 143),
            },
        }
    }
}

impl Chart<'_> {
    /// As SVG text, whose words a reader can search.
    pub fn svg(&self, theme: Theme) -> Result<String, NotDrawn> {
        let mut text = String::new();
        self.draw(&SVGBackend::with_string(&mut text, SIZE).into_drawing_area(), theme)?;
        Ok(text)
    }

    /// As SVG text that is light or dark as its reader's ground is.
    pub fn adaptive_svg(&self) -> Result<String, NotDrawn> {
        adaptive(&self.svg(Theme::Light)?)
    }

    /// As a PNG file.
    pub fn png(&self, theme: Theme) -> Result<Vec<u8>, NotDrawn> {
        let (width, height) = SIZE;
        let mut pixels = vec![0; (width * height * 3) as usize];
        self.draw(&BitMapBackend::with_buffer(&mut pixels, SIZE).into_drawing_area(), theme)?;
        encode(&pixels, SIZE)
    }

    /// Where the drawn part of the history begins.
    fn first(&self) -> usize {
        let (have, ahead) = (self.series.values().len(), self.forecast.mean.len());
        have.saturating_sub((HORIZONS_BACK * ahead).max(48))
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
        let (first, now) = (self.first(), self.series.values().len());
        let end = now + self.forecast.mean.len();
        let (near, far) = (self.forecast.interval(0.8), self.forecast.interval(0.95));
        let history = thinned(self.series.values(), first);
        let (low, high) = self.range(&history, &far.lower, &far.upper);
        area.fill(&colours.background)?;
        let words = |size: u32| ("sans-serif", size).into_font().color(&colours.text);
        let mut chart = ChartBuilder::on(area)
            .caption(self.title, words(17))
            .margin(10)
            .margin_right(44)
            .x_label_area_size(30)
            .y_label_area_size(64)
            .build_cartesian_2d(first as f64..(end - 1).max(first + 1) as f64, low..high)?;
        let time = |index: &f64| self.label(*index, first, end);
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(colours.grid)
            .axis_style(colours.grid)
            .label_style(words(13))
            .x_labels(6)
            .y_labels(6)
            .x_label_formatter(&time)
            .y_label_formatter(&|value| short(*value))
            .draw()?;

        let ahead = |values: &[f64]| -> Vec<(f64, f64)> {
            values.iter().enumerate().map(|(step, value)| ((now + step) as f64, *value)).collect()
        };
        for (interval, strength) in [(&far, 0.16), (&near, 0.26)] {
            let mut outline = ahead(&interval.lower);
            outline.extend(ahead(&interval.upper).into_iter().rev());
            chart
                .draw_series(std::iter::once(Polygon::new(outline, colours.ahead.mix(strength).filled())))?;
        }
        for turn in self.forecast.components.changepoints.iter().filter(|turn| turn.index > first) {
            let line = vec![(turn.index as f64, low), (turn.index as f64, high)];
            chart.draw_series(DashedLineSeries::new(line, 2, 5, colours.history.mix(0.6).stroke_width(1)))?;
        }
        for piece in history.split(|(_, value)| value.is_nan()) {
            chart.draw_series(LineSeries::new(piece.iter().copied(), colours.history.stroke_width(2)))?;
        }
        // From the last point on, so that past and future are one line.
        let last = history.iter().rev().find(|(_, value)| value.is_finite()).copied();
        let expected = last.into_iter().chain(ahead(&self.forecast.mean));
        chart.draw_series(LineSeries::new(expected, colours.ahead.stroke_width(2)))?;
        let label = |colour: &RGBColor, side| {
            ("sans-serif", 13).into_font().color(colour).pos(Pos::new(side, VPos::Bottom))
        };
        if let Some(level) = self.capacity {
            let line = vec![(first as f64, level), (end as f64, level)];
            chart.draw_series(DashedLineSeries::new(line, 7, 4, colours.capacity.stroke_width(2)))?;
            let text = format!("capacity {}", short(level));
            let style = label(&colours.capacity, HPos::Left);
            chart.draw_series(std::iter::once(Text::new(text, (first as f64, level), style)))?;
        }
        if let Some(&(_, level)) = self.proposal.first() {
            chart.draw_series(LineSeries::new(self.proposed(now, end), colours.proposal.stroke_width(2)))?;
            let text = format!("proposed {}", short(level));
            let style = label(&colours.proposal, HPos::Right);
            chart.draw_series(std::iter::once(Text::new(text, (now as f64, level), style)))?;
        }
        let style = words(13).pos(Pos::new(HPos::Right, VPos::Top));
        let legend = "expected, with what 80 % and 95 % of cases stay within";
        chart.draw_series(std::iter::once(Text::new(legend, ((end - 1) as f64, high), style)))?;
        area.present()
    }

    /// What is proposed, as a line of steps from now to the end.
    fn proposed(&self, now: usize, end: usize) -> Vec<(f64, f64)> {
        let ends = self.proposal.iter().skip(1).map(|(step, _)| now + step).chain([end]);
        let steps = self.proposal.iter().zip(ends).flat_map(|(&(step, level), until)| {
            let from = (now + step).min(end);
            [(from as f64, level), (until.min(end) as f64, level)]
        });
        steps.collect()
    }

    /// From below the lowest to above the highest; from zero where nothing is below it.
    fn range(&self, history: &[(f64, f64)], lower: &[f64], upper: &[f64]) -> (f64, f64) {
        let levels = self.capacity.into_iter().chain(self.proposal.iter().map(|(_, level)| *level));
        let all =
            history.iter().map(|(_, value)| *value).chain(lower.iter().chain(upper).copied()).chain(levels);
        let (least, most) = all
            .filter(|value| value.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), value| {
                (least.min(value), most.max(value))
            });
        if least > most {
            return (0.0, 1.0);
        }
        let room = ((most - least) * 0.12).max(most.abs() * 1e-3).max(f64::MIN_POSITIVE * 1e9);
        let low = if least >= 0.0 && least < 0.6 * most { 0.0 } else { least - room };
        (low, most + room)
    }

    fn label(&self, index: f64, first: usize, end: usize) -> String {
        let index = index.round().max(0.0) as usize;
        let at = |index| self.series.time_at(index).and_then(|at| Timestamp::from_second(at).ok());
        let (Some(time), Some(from), Some(to)) = (at(index), at(first), at(end)) else {
            return index.to_string();
        };
        let days = from.duration_until(to).as_hours() / 24;
        time.strftime(if days <= 2 { "%H:%M" } else { "%b %d %H:%M" }).to_string()
    }
}

/// Each colour of the light theme becomes that of the dark one.
fn dark_rules() -> String {
    let of = |colours: Colours| {
        let Colours { background, text, grid, history, ahead, capacity, proposal } = colours;
        [background, text, grid, history, ahead, capacity, proposal]
    };
    let hex = |RGBColor(red, green, blue): RGBColor| format!("#{red:02X}{green:02X}{blue:02X}");
    let pairs = of(Theme::Light.colours()).into_iter().zip(of(Theme::Dark.colours()));
    pairs
        .map(|(light, dark)| {
            let (light, dark) = (hex(light), hex(dark));
            format!("[fill=\"{light}\"]{{fill:{dark}}}[stroke=\"{light}\"]{{stroke:{dark}}}")
        })
        .collect()
}

/// The history from `first` on; where there are more points than pixels, the lowest and highest of each few.
fn thinned(values: &[f64], first: usize) -> Vec<(f64, f64)> {
    let points: Vec<(f64, f64)> =
        values.iter().enumerate().skip(first).map(|(index, value)| (index as f64, *value)).collect();
    if points.len() <= MOST_POINTS {
        return points;
    }
    let group = points.len().div_ceil(MOST_POINTS / 2);
    points
        .chunks(group)
        .flat_map(|chunk| {
            let real = || chunk.iter().filter(|(_, value)| value.is_finite());
            let least = real().min_by(|a, b| a.1.total_cmp(&b.1));
            let most = real().max_by(|a, b| a.1.total_cmp(&b.1));
            match least.zip(most) {
                Some((least, most)) if least.0 <= most.0 => vec![*least, *most],
                Some((least, most)) => vec![*most, *least],
                None => vec![chunk[0]],
            }
        })
        .collect()
}

/// `1.5 k`, `20 M`, `0.25`.
pub(crate) fn short(value: f64) -> String {
    let (scaled, unit) = match value.abs() {
        size if size >= 1e12 => return format!("{value:.1e}"),
        size if size >= 1e9 => (value / 1e9, " G"),
        size if size >= 1e6 => (value / 1e6, " M"),
        size if size >= 1e4 => (value / 1e3, " k"),
        size if size > 0.0 && size < 1e-3 => return format!("{value:.1e}"),
        _ => (value, ""),
    };
    let text = format!("{scaled:.3}");
    format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
}

/// The font that comes along: pictures look the same wherever Petrel runs, and need no font of the system.
/// A light picture that is dark where its reader's ground is.
pub(crate) fn adaptive(svg: &str) -> Result<String, NotDrawn> {
    let (head, drawing) = svg.split_once('>').ok_or_else(|| NotDrawn("an SVG without a head".into()))?;
    Ok(format!("{head}><style>@media (prefers-color-scheme: dark) {{{}}}</style>{drawing}", dark_rules()))
}

/// Pixels, three bytes each, as a PNG file.
pub(crate) fn encode(pixels: &[u8], (width, height): (u32, u32)) -> Result<Vec<u8>, NotDrawn> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(pixels));
    written.map_err(|error| NotDrawn(error.to_string()))?;
    Ok(file)
}

pub(crate) fn with_font() -> Result<(), NotDrawn> {
    static FONT: OnceLock<bool> = OnceLock::new();
    let there =
        FONT.get_or_init(|| register_font("sans-serif", FontStyle::Normal, dejavu::sans::regular()).is_ok());
    if *there { Ok(()) } else { Err(NotDrawn("the font that comes along cannot be read".into())) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use forecast::{Options, forecast};

    fn load(days: i32) -> Series {
        let hour = |hour: i32| 100.0 + 40.0 * (f64::from(hour % 24) / 24.0 * std::f64::consts::TAU).sin();
        Series::new((0..24 * days).map(hour).collect())
            .every(std::time::Duration::from_secs(3600))
            .starting_at(1_767_225_600)
    }

    #[test]
    fn a_picture_says_what_it_is_about_and_what_there_is_room_for() {
        let series = load(21);
        let answer = forecast(&series, &Options::horizon(48)).unwrap();
        let chart = Chart {
            title: "checkout <cpu>",
            series: &series,
            forecast: &answer,
            capacity: Some(180.0),
            proposal: &[(0, 240.0), (12, 200.0)],
        };
        let svg = chart.svg(Theme::Dark).unwrap();
        for words in ["checkout &lt;cpu&gt;", "capacity 180", "proposed 240", "Jan "] {
            assert!(svg.contains(words), "{words} is not in the picture");
        }
        let png = chart.png(Theme::Light).unwrap();
        assert!(png.starts_with(b"\x89PNG") && png.len() > 5_000);
    }

    #[test]
    fn in_the_dark_every_colour_is_another() {
        let series = load(21);
        let answer = forecast(&series, &Options::horizon(48)).unwrap();
        let proposal = [(0, 150.0), (12, 120.0), (36, 160.0)];
        let chart = Chart {
            title: "cpu",
            series: &series,
            forecast: &answer,
            capacity: Some(180.0),
            proposal: &proposal,
        };
        let svg = chart.adaptive_svg().unwrap();
        let (style, drawing) = svg.split_once("</style>").unwrap();
        let mut seen = std::collections::BTreeSet::new();
        for attribute in ["fill=\"#", "stroke=\"#"] {
            for (at, _) in drawing.match_indices(attribute) {
                let word = &drawing[at..at + attribute.len() + 7];
                assert!(style.contains(&format!("[{word}]")), "{word} stays as it is");
                seen.insert(&word[attribute.len()..]);
            }
        }
        assert_eq!(seen.len(), 7, "all of the theme: {seen:?}");
        // Text on its ground, by the rule of WCAG 2.1: at least 4.5 to 1, lines at least 3 to 1.
        for theme in [Theme::Light, Theme::Dark] {
            let colours = theme.colours();
            let contrast = |colour| contrast(colour, colours.background);
            assert!(contrast(colours.text) > 7.0);
            for colour in [colours.capacity, colours.proposal] {
                assert!(contrast(colour) > 4.5, "{theme:?} {colour:?}: {}", contrast(colour));
            }
            for colour in [colours.history, colours.ahead] {
                assert!(contrast(colour) > 3.0, "{theme:?} {colour:?}");
            }
        }
    }

    fn contrast(a: RGBColor, b: RGBColor) -> f64 {
        let part = |byte: u8| match f64::from(byte) / 255.0 {
            low @ ..=0.04045 => low / 12.92,
            high => ((high + 0.055) / 1.055).powf(2.4),
        };
        let light = |RGBColor(red, green, blue): RGBColor| {
            0.2126 * part(red) + 0.7152 * part(green) + 0.0722 * part(blue) + 0.05
        };
        light(a).max(light(b)) / light(a).min(light(b))
    }

    #[test]
    fn what_is_proposed_is_a_line_of_steps() {
        let series = load(21);
        let answer = forecast(&series, &Options::horizon(48)).unwrap();
        let chart = Chart {
            title: "",
            series: &series,
            forecast: &answer,
            capacity: None,
            proposal: &[(0, 3.0), (2, 5.0), (90, 1.0)],
        };
        let line = chart.proposed(10, 20);
        assert_eq!(line, [(10.0, 3.0), (12.0, 3.0), (12.0, 5.0), (20.0, 5.0), (20.0, 1.0), (20.0, 1.0)]);
    }

    #[test]
    fn the_strangest_series_can_be_drawn() {
        for values in [vec![0.0; 400], vec![1e-12; 400], vec![-3e11; 400]] {
            let series = Series::new(values);
            let answer = forecast(&series, &Options::horizon(3)).unwrap();
            let chart =
                Chart { title: "", series: &series, forecast: &answer, capacity: None, proposal: &[] };
            assert!(chart.svg(Theme::Light).unwrap().contains("<svg"));
        }
    }

    #[test]
    fn many_points_keep_their_peaks() {
        let mut values = vec![1.0; 100_000];
        values[77_777] = 9.0;
        let drawn = thinned(&values, 0);
        assert!(drawn.len() <= MOST_POINTS && drawn.contains(&(77_777.0, 9.0)));
    }

    #[test]
    fn numbers_are_short() {
        let said: Vec<String> = [0.0, 0.25, 1500.0, 15_000.0, -2.5e6, 3e9].map(short).into();
        assert_eq!(said, ["0", "0.25", "1500", "15 k", "-2.5 M", "3 G"]);
    }
}
