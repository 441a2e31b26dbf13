//! `petrel forecast`: series in a CSV file, forecasts out as CSV, with an explanation and a picture where they are wanted.

mod explain;
mod read;

use crate::chart::{Chart, Theme};
use anyhow::{Context, Result, bail};
use clap::Args;
use forecast::{Forecast as Answer, Options, Refusal, Series, forecast};
use indicatif::{ProgressBar, ProgressStyle};
use std::{
    fmt::Write as _,
    fs::File,
    io::{BufReader, BufWriter, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

/// What `petrel forecast` is told.
#[derive(Args)]
#[command(
    after_help = "Example: petrel forecast load.csv --horizon 48 --out pred.csv --explain --plot load.svg\n\n\
    FILE has the columns series_id, idx (or ts: RFC 3339 or Unix seconds) and value; an empty value is a gap. Written are\n\
    series_id,step,mean,lo80,hi80,lo95,hi95 with steps from 1."
)]
pub struct Forecast {
    /// The series, in long form
    file: PathBuf,
    /// How many steps to look ahead
    #[arg(long)]
    horizon: usize,
    /// Periods in steps, such as 24,168; `auto` finds them
    #[arg(long, default_value = "auto", value_parser = seasons)]
    season: Periods,
    /// Where to write the forecasts; otherwise they go to standard output
    #[arg(long)]
    out: Option<PathBuf>,
    /// Say what each forecast is made of and how such forecasts did
    #[arg(long)]
    explain: bool,
    /// Draw the series and its forecast, as .svg or .png; the file must hold one series
    #[arg(long, value_parser = picture)]
    plot: Option<PathBuf>,
}

/// `auto`, or a list.
#[derive(Clone, Debug, PartialEq)]
struct Periods(Option<Vec<usize>>);

fn seasons(text: &str) -> Result<Periods, String> {
    if text == "auto" {
        return Ok(Periods(None));
    }
    let period = |word: &str| {
        let period = word.trim().parse().ok().filter(|period| *period >= 2);
        period.ok_or_else(|| format!("'{word}' is not a period; write auto, or steps such as 24,168"))
    };
    Ok(Periods(Some(text.split(',').map(period).collect::<Result<_, _>>()?)))
}

fn picture(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    match path.extension().and_then(|end| end.to_str()) {
        Some("svg" | "png") => Ok(path),
        _ => Err("a picture is .svg or .png".into()),
    }
}

/// A series and what came of it.
struct Told {
    name: String,
    series: Series,
    answer: Result<Answer, Refusal>,
}

impl Forecast {
    /// Reads, forecasts over all cores, writes. Fails when a series got no forecast at all.
    pub fn run(&self) -> Result<ExitCode> {
        let file = File::open(&self.file).with_context(|| format!("open {}", self.file.display()))?;
        let all =
            read::series(BufReader::new(file)).with_context(|| format!("read {}", self.file.display()))?;
        if self.plot.is_some() && all.len() != 1 {
            bail!(
                "--plot draws one series, and {} holds {}; make a file of one",
                self.file.display(),
                all.len()
            );
        }
        let mut options = Options::horizon(self.horizon);
        if let Periods(Some(periods)) = &self.season {
            options = options.seasons(periods.clone());
        }
        let told = forecast_all(all, &options);
        self.write(&told)?;
        let mut silent = 0;
        for Told { name, answer, .. } in &told {
            match answer {
                Ok(_) => {}
                Err(refusal @ Refusal::TooRandom { .. }) => {
                    eprintln!("{name}: {refusal} (written all the same)")
                }
                Err(refusal) => {
                    eprintln!("{name}: {refusal}");
                    silent += 1;
                }
            }
        }
        if silent > 0 {
            eprintln!("{silent} of {} series have no forecast", told.len());
        }
        Ok(if silent == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn write(&self, told: &[Told]) -> Result<()> {
        match &self.out {
            Some(path) => {
                let file = File::create(path).with_context(|| format!("create {}", path.display()))?;
                let mut out = BufWriter::new(file);
                let written = table(&mut out, told).and_then(|()| out.flush());
                written.with_context(|| format!("write {}", path.display()))?;
            }
            None => {
                let mut text = Vec::new();
                table(&mut text, told)?;
                super::print(&String::from_utf8_lossy(&text))?;
            }
        }
        if self.explain {
            let text: String = told
                .iter()
                .filter_map(|told| said(told).map(|answer| explain::text(&told.name, &told.series, answer)))
                .collect();
            match &self.out {
                Some(_) => super::print(&text)?,
                // Standard output is the table's.
                None => eprint!("{text}"),
            }
        }
        if let (Some(path), [told]) = (&self.plot, told)
            && let Some(answer) = said(told)
        {
            draw(path, told, answer)?;
        }
        Ok(())
    }
}

/// What was said, also where it is not to be relied on.
fn said(told: &Told) -> Option<&Answer> {
    match &told.answer {
        Ok(answer) => Some(answer),
        Err(Refusal::TooRandom { forecast, .. }) => Some(forecast),
        Err(_) => None,
    }
}

fn draw(path: &Path, told: &Told, answer: &Answer) -> Result<()> {
    let chart =
        Chart { title: &told.name, series: &told.series, forecast: answer, capacity: None, proposal: &[] };
    let bytes = match path.extension().and_then(|end| end.to_str()) {
        Some("png") => chart.png(Theme::Light)?,
        _ => chart.svg(Theme::Light)?.into_bytes(),
    };
    std::fs::write(path, bytes).with_context(|| format!("write {}", path.display()))
}

/// In the order of the file, over all cores.
fn forecast_all(all: Vec<(String, Series)>, options: &Options) -> Vec<Told> {
    let bar = ProgressBar::new(all.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} series, {eta} left") {
        bar.set_style(style);
    }
    let next = AtomicUsize::new(0);
    let answers: Mutex<Vec<Option<Result<Answer, Refusal>>>> = Mutex::new(all.iter().map(|_| None).collect());
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(all.len().max(1));
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some((index, (_, series))) = {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    all.get(index).map(|one| (index, one))
                } {
                    let answer = forecast(series, options);
                    answers.lock().unwrap_or_else(PoisonError::into_inner)[index] = Some(answer);
                    bar.inc(1);
                }
            });
        }
    });
    bar.finish_and_clear();
    let answers = answers.into_inner().unwrap_or_else(PoisonError::into_inner);
    all.into_iter()
        .zip(answers.into_iter().flatten())
        .map(|((name, series), answer)| Told { name, series, answer })
        .collect()
}

fn table(out: &mut impl std::io::Write, told: &[Told]) -> std::io::Result<()> {
    writeln!(out, "series_id,step,mean,lo80,hi80,lo95,hi95")?;
    let mut line = String::new();
    for one in told {
        let Some(answer) = said(one) else { continue };
        let name = quoted(&one.name);
        let (near, far) = (answer.interval(0.8), answer.interval(0.95));
        for (step, mean) in answer.mean.iter().enumerate() {
            line.clear();
            let _ = write!(line, "{name},{},{mean}", step + 1);
            for bound in [near.lower[step], near.upper[step], far.lower[step], far.upper[step]] {
                let _ = write!(line, ",{bound}");
            }
            writeln!(out, "{line}")?;
        }
    }
    Ok(())
}

/// RFC 4180.
fn quoted(name: &str) -> String {
    match name.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", name.replace('"', "\"\"")),
        false => name.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seasons_are_auto_or_steps() {
        assert_eq!(seasons("auto"), Ok(Periods(None)));
        assert_eq!(seasons("24, 168"), Ok(Periods(Some(vec![24, 168]))));
        assert!(seasons("24,day").unwrap_err().contains("'day' is not a period"));
        assert!(seasons("1").is_err());
    }

    #[test]
    fn every_series_gets_its_rows_in_the_order_of_the_file() {
        let wave = |scale: f64| {
            (0..24 * 15)
                .map(move |hour| scale * (2.0 + (f64::from(hour) / 24.0 * std::f64::consts::TAU).sin()))
        };
        let all = ["b", "a,\"c\"", "z"].iter().zip([1.0, 10.0, 100.0]);
        let all = all.map(|(name, scale)| (name.to_string(), Series::new(wave(scale).collect()))).collect();
        let told = forecast_all(all, &Options::horizon(3));
        let mut out = Vec::new();
        table(&mut out, &told).unwrap();
        let out = String::from_utf8(out).unwrap();
        let names: Vec<&str> =
            out.lines().skip(1).map(|line| line.split(",1,").next().unwrap_or("")).collect();
        assert_eq!((out.lines().count(), names[0], names[3], names[6]), (10, "b", "\"a,\"\"c\"\"\"", "z"));
        let bounds: Vec<f64> =
            out.lines().nth(1).unwrap().split(',').skip(2).map(|n| n.parse().unwrap()).collect();
        let [mean, lo80, hi80, lo95, hi95] = bounds[..] else { panic!("{bounds:?}") };
        assert!(lo95 <= lo80 && lo80 <= mean && mean <= hi80 && hi80 <= hi95);
    }

    #[test]
    fn a_series_that_is_too_short_has_no_rows_and_a_reason() {
        let told = forecast_all(vec![("short".into(), Series::new(vec![1.0]))], &Options::horizon(3));
        assert!(told[0].answer.as_ref().is_err_and(|refusal| refusal.to_string().contains("too short")));
        let mut out = Vec::new();
        table(&mut out, &told).unwrap();
        assert_eq!(String::from_utf8(out).unwrap().lines().count(), 1);
    }
}
