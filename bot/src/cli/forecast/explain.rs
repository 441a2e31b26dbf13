//! What a forecast is made of, for people.

use forecast::{Errors, Forecast, Series};
use jiff::Timestamp;
use std::fmt::Write;

/// A few lines for one series.
pub fn text(name: &str, series: &Series, forecast: &Forecast) -> String {
    let mut out = format!("{name}: {} points, {} steps ahead\n", series.values().len(), forecast.mean.len());
    let mut line = |label: &str, said: String| {
        let _ = writeln!(out, "  {label:<12} {said}");
    };
    let seasons: Vec<String> = forecast
        .components
        .seasons
        .iter()
        .map(|season| {
            format!(
                "every {} steps ({:.0} % of what the trend leaves)",
                season.period,
                season.strength * 100.0
            )
        })
        .collect();
    line("seasons", if seasons.is_empty() { "none".into() } else { seasons.join(", ") });
    let turns: Vec<String> = forecast
        .components
        .changepoints
        .iter()
        .map(|turn| {
            let (before, after) = (number(turn.slope_before), number(turn.slope_after));
            format!("{} ({before} to {after} per step)", place(series, turn.index))
        })
        .collect();
    line("trend turns", if turns.is_empty() { "nowhere".into() } else { turns.join(", ") });
    let members: Vec<String> = forecast
        .members
        .iter()
        .filter(|member| member.weight >= 0.005)
        .map(|member| format!("{:.0} % {}", member.weight * 100.0, member.kind))
        .collect();
    line("made of", members.join(", "));
    let backtest = &forecast.backtest;
    line(
        "backtest",
        format!(
            "{} from {} origins, {} steps each",
            errors(&backtest.errors),
            backtest.origins,
            backtest.steps
        ),
    );
    line("baseline", format!("{} (seasonal naive)", errors(&backtest.baseline)));
    line(
        "held",
        format!(
            "{:.0} % in the 80 % interval, {:.0} % in the 95 % one",
            backtest.coverage80 * 100.0,
            backtest.coverage95 * 100.0
        ),
    );
    let cleaning = &forecast.cleaning;
    if cleaning.gaps > 0 || !cleaning.spikes.is_empty() {
        line("input", format!("{} gaps, {} points stand out", cleaning.gaps, cleaning.spikes.len()));
    }
    out
}

fn errors(errors: &Errors) -> String {
    let share =
        |value: Option<f64>| value.map_or("undefined".into(), |value| format!("{:.1} %", value * 100.0));
    let mase = errors.mase.map_or("undefined".into(), |value| format!("{value:.2}"));
    format!("MAPE {}, WAPE {}, MASE {mase}", share(errors.mape), share(errors.wape))
}

fn place(series: &Series, index: usize) -> String {
    match series.time_at(index).and_then(|at| Timestamp::from_second(at).ok()) {
        Some(at) => at.strftime("%Y-%m-%d %H:%M UTC").to_string(),
        None => format!("point {index}"),
    }
}

/// Three significant digits.
fn number(value: f64) -> String {
    if value == 0.0 {
        return "0".into();
    }
    let digits = (2 - value.abs().log10().floor() as i32).clamp(0, 12) as usize;
    format!("{value:+.digits$}")
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
        let said = text("checkout", &series, &forecast::forecast(&series, &Options::horizon(24)).unwrap());
        assert!(said.starts_with("checkout: 504 points, 24 steps ahead\n"), "{said}");
        assert!(
            said.contains("every 24 steps") && said.contains("2026-01-1") && said.contains("MASE"),
            "{said}"
        );
    }
}
