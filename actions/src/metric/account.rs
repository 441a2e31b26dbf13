//! What a forecast is made of and how far to trust it, in words.

use super::unit::digits;
use forecast::{Errors, Forecast, Series};
use jiff::Timestamp;

/// Label and text, most important first.
pub fn account(series: &Series, forecast: &Forecast) -> Vec<(&'static str, String)> {
    let components = &forecast.components;
    let seasons = components.seasons.iter().map(|season| {
        format!(
            "{} ({:.0} % of what the trend leaves)",
            every(series, season.period),
            season.strength * 100.0
        )
    });
    let turns = components.changepoints.iter().map(|turn| {
        let (before, after) = (growth(series, turn.slope_before), growth(series, turn.slope_after));
        format!("{} ({before} to {after})", moment(series, turn.index))
    });
    let members = forecast.members.iter().filter(|member| member.weight >= 0.005);
    let members = members.map(|member| format!("{:.0} % {}", member.weight * 100.0, member.kind));
    let backtest = &forecast.backtest;
    let mut lines = vec![
        ("seasons", or(seasons, "none")),
        ("trend turns", or(turns, "nowhere")),
        ("made of", or(members, "nothing")),
        (
            "backtest",
            format!(
                "{} from {} origins, {} steps each",
                errors(&backtest.errors),
                backtest.origins,
                backtest.steps
            ),
        ),
        ("baseline", format!("{} (seasonal naive)", errors(&backtest.baseline))),
        (
            "held",
            format!(
                "{:.0} % in the 80 % interval, {:.0} % in the 95 % one",
                backtest.coverage80 * 100.0,
                backtest.coverage95 * 100.0
            ),
        ),
    ];
    let cleaning = &forecast.cleaning;
    if cleaning.gaps > 0 || !cleaning.spikes.is_empty() {
        lines.push(("input", format!("{} gaps, {} points stand out", cleaning.gaps, cleaning.spikes.len())));
    }
    lines
}

fn or(texts: impl Iterator<Item = String>, none: &str) -> String {
    let texts: Vec<String> = texts.collect();
    if texts.is_empty() { none.into() } else { texts.join(", ") }
}

fn errors(errors: &Errors) -> String {
    let share =
        |value: Option<f64>| value.map_or("undefined".into(), |value| format!("{:.1} %", value * 100.0));
    let mase = errors.mase.map_or("undefined".into(), |value| format!("{value:.2}"));
    format!("MAPE {}, WAPE {}, MASE {mase}", share(errors.mape), share(errors.wape))
}

/// `every day`, where the step is known.
fn every(series: &Series, period: usize) -> String {
    let seconds = series.step().map(|step| step.as_secs() * period as u64);
    match seconds {
        Some(86_400) => "every day".into(),
        Some(604_800) => "every week".into(),
        Some(seconds) if seconds.is_multiple_of(3600) => format!("every {} h", seconds / 3600),
        Some(seconds) if seconds.is_multiple_of(60) => format!("every {} min", seconds / 60),
        _ => format!("every {period} steps"),
    }
}

/// Per day, where the step is known.
fn growth(series: &Series, slope: f64) -> String {
    let (slope, per) = match series.step() {
        Some(step) => (slope * 86_400.0 / step.as_secs_f64(), "day"),
        None => (slope, "step"),
    };
    format!("{}{} a {per}", if slope > 0.0 { "+" } else { "" }, digits(slope))
}

/// `2026-11-21 09:05 UTC`, or the index where the time is not known.
pub fn moment(series: &Series, index: usize) -> String {
    match series.time_at(index).and_then(|at| Timestamp::from_second(at).ok()) {
        Some(at) => at.strftime("%Y-%m-%d %H:%M UTC").to_string(),
        None => format!("point {index}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use forecast::Options;

    #[test]
    fn a_season_a_turn_and_a_record_are_said_in_words() {
        let values = (0..24 * 21).map(|hour| {
            let growth = f64::from((hour - 24 * 14).max(0)) * 0.2;
            100.0 + growth + 40.0 * (f64::from(hour % 24) / 24.0 * std::f64::consts::TAU).sin()
        });
        let series = Series::new(values.collect())
            .every(std::time::Duration::from_secs(3600))
            .starting_at(1_767_225_600);
        let lines = account(&series, &forecast::forecast(&series, &Options::horizon(24)).unwrap());
        let said = |label: &str| &lines.iter().find(|(known, _)| *known == label).unwrap().1;
        assert!(said("seasons").starts_with("every day ("), "{lines:?}");
        assert!(said("trend turns").starts_with("2026-01-1") && said("trend turns").contains("a day)"));
        assert!(said("backtest").contains("MASE") && said("baseline").contains("seasonal naive"));
        assert!(said("made of").contains('%') && said("held").contains("95 % one"));
    }
}
