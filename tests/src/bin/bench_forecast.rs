//! The forecasting figures: `./dev bench forecast`, in CPU time of the measuring thread, so that a busy machine does not count. Accuracy on the series beside the checkout (`shared/data`), where they are, and
//! times with augurs' MSTL in the same process, and with Prophet and statsforecast in the same run (`tests/peers/forecast.py`, by the Python that
//! `PETREL_BENCH_PYTHON` names; `./dev bench` sets it up). Accuracy of peers is as published in that folder's README, and named so.

#[path = "../../../forecast/tests/score.rs"]
mod score;
#[path = "../../../forecast/tests/workload.rs"]
#[allow(dead_code, reason = "shared with the tests of forecast, which use all of it")]
mod workload;

use augurs::ets::AutoETS;
use augurs::mstl::MSTLModel;
use augurs::{Fit, Predict};
use forecast::{Decomposer, Model, Options, Series, forecast};
use score::{Answer, SETS, folder, load, score};
use std::hint::black_box;
use std::process::Command;
use std::time::{Duration, Instant};
use workload::{LOADS, Load};

/// MASE of the best of naive, seasonal naive, theta and MSTL on each set, and of Prophet; as published.
const PEERS: [(f64, f64); 6] =
    [(1.112, 1.546), (0.626, 0.965), (1.058, 1.292), (0.944, 1.166), (0.788, 1.164), (0.794, 1.427)];
const MANY: usize = 10_000;

fn main() {
    match folder() {
        Some(folder) => accuracy(&folder),
        None => println!("accuracy not measured: no shared/data beside the checkout"),
    }
    times();
    many();
}

fn accuracy(folder: &std::path::Path) {
    println!("set            sMAPE  MASE   best peer*  Prophet*  OWA    in 80 / 95 %   MSIS   (*published)");
    let (mut to_best, mut to_prophet) = (0.0, 0.0);
    for ((set, season, step), (best, prophet)) in SETS.into_iter().zip(PEERS) {
        let cases = load(folder, set);
        let answers: Vec<Answer> = cases
            .iter()
            .map(|case| {
                let series = Series::new(case.train.clone()).every(Duration::from_secs(step));
                let said = forecast(&series, &Options::horizon(case.test.len()));
                let said =
                    said.or_else(|refusal| refusal.anyway().ok_or(&case.id)).expect("a forecast of each");
                let bands =
                    [0.8, 0.95].map(|level| said.interval(level)).map(|band| (band.lower, band.upper));
                Answer { mean: said.mean, bands: Some(bands) }
            })
            .collect();
        let s = score(&cases, &answers, season);
        println!(
            "{set:<12} {:>7.3} {:>6.3} {best:>7.3} {:+4.0}% {prophet:>6.3} {:+4.0}% {:>6.3} {:>6.1} {:>6.1} {:>7.2}",
            s.smape,
            s.mase,
            100.0 * (s.mase / best - 1.0),
            100.0 * (s.mase / prophet - 1.0),
            s.owa,
            s.coverage80,
            s.coverage95,
            s.msis,
        );
        if set != "m4_hourly" {
            to_best += 20.0 * (s.mase / best - 1.0);
            to_prophet += 20.0 * (s.mase / prophet - 1.0);
        }
    }
    println!(
        "five resource sets on average: {to_best:+.0} % to the best peer, {to_prophet:+.0} % to Prophet\n"
    );
}

/// Seconds that this thread has run, as the kernel counts them; the clock's where it does not say.
fn cpu_seconds(start: Instant) -> f64 {
    let counted = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = counted.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    nanoseconds.map_or_else(|| start.elapsed().as_secs_f64(), |n| n / 1e9)
}

/// Mean milliseconds of so many runs, together long enough for the kernel's count, which moves in steps of some milliseconds.
fn mean(runs: usize, mut run: impl FnMut()) -> f64 {
    let clock = Instant::now();
    let start = cpu_seconds(clock);
    (0..runs).for_each(|_| run());
    (cpu_seconds(clock) - start) * 1e3 / runs as f64
}

fn row(figure: &str, measured: f64, target: &str) {
    println!("{figure:<62} {measured:>10.3} ms {target:>10}");
}

fn times() {
    let values = workload::load(Load::Weekly, 24, 1000, 5.0, 1);
    let series = Series::new(values.clone()).every(Duration::from_secs(3600));
    let options = Options::horizon(48);
    row(
        "one fit (trend, seasons 24 and 168), 1,000 points, cold",
        mean(2000, || drop(black_box(Decomposer::new(1000, &[24, 168]).decompose(&values)))),
        "<= 0.3",
    );
    let decomposer = Decomposer::new(1000, &[24, 168]);
    row(
        "the same with the Gram matrix at hand",
        mean(2000, || drop(black_box(decomposer.decompose(&values)))),
        "<= 0.1",
    );
    let whole = mean(300, || drop(black_box(forecast(&series, &options))));
    row("whole answer, 1,000 points", whole, "<= 3");
    let fitted = Model::fit(&series, &options).expect("a model");
    let (mut model, mut newest) = (fitted.clone(), values[..90].iter());
    let follow = mean(5000, || {
        // Short of the tenth after which a model is fitted anew.
        let Some(&value) = newest.next() else {
            (model, newest) = (fitted.clone(), values[..90].iter());
            return;
        };
        model.extend(&[value]);
        black_box(model.forecast().expect("a forecast"));
    });
    row("one more point and the answer anew", follow, "");
    let mstl = mean(15, || {
        let trend = AutoETS::non_seasonal().into_trend_model();
        let fitted = MSTLModel::new(vec![24, 168], trend).fit(&values).expect("a fit");
        black_box(fitted.predict(48, 0.95).expect("a forecast"));
    });
    row("augurs MSTL + AutoETS, same series, same process", mstl, "");
    println!("whole answer: {:.1} x faster than augurs MSTL", mstl / whole);
    match python_peers(&values) {
        Ok(peers) => {
            for (peer, ms) in peers {
                row(&format!("{peer}, same series, same run"), ms, "");
                println!("whole answer: {:.0} x faster than {peer}", ms / whole);
            }
        }
        Err(why) => println!("Prophet and statsforecast not measured: {why}"),
    }
    let long = workload::load(Load::Growth, 24, 100_000, 5.0, 2);
    row(
        "one fit (trend, seasons 24 and 168), 100,000 points",
        mean(11, || drop(black_box(Decomposer::new(100_000, &[24, 168]).decompose(&long)))),
        "<= 20",
    );
}

/// Name and version of each peer in Python, and its milliseconds of CPU for the same answer: 48 hours ahead with intervals.
fn python_peers(values: &[f64]) -> Result<Vec<(String, f64)>, String> {
    let python = std::env::var("PETREL_BENCH_PYTHON").map_err(|_| "PETREL_BENCH_PYTHON is not set")?;
    let file = std::env::temp_dir().join(format!("petrel-series-{}.csv", std::process::id()));
    let lines: String = values.iter().map(|value| format!("{value}\n")).collect();
    std::fs::write(&file, lines).map_err(|error| error.to_string())?;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/forecast.py");
    let ran = Command::new(python)
        .args([script.as_ref(), file.as_os_str(), "48".as_ref(), "24,168".as_ref(), "10".as_ref()])
        .envs(["OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS"].map(|name| (name, "1")))
        .output();
    let _ = std::fs::remove_file(file);
    let ran = ran.map_err(|error| error.to_string())?;
    if !ran.status.success() {
        return Err(String::from_utf8_lossy(&ran.stderr).lines().last().unwrap_or("it failed").to_string());
    }
    let read = |line: &str| {
        let (peer, ms) = line.rsplit_once(' ')?;
        Some((peer.to_string(), ms.parse().ok()?))
    };
    Ok(String::from_utf8_lossy(&ran.stdout).lines().filter_map(read).collect())
}

/// Ten thousand different series of a week of five minutes, on two cores.
fn many() {
    let clock = Instant::now();
    let worker = |offset: usize| {
        let start = cpu_seconds(clock);
        for number in (offset..MANY).step_by(2) {
            let values = workload::load(LOADS[number % LOADS.len()], 288, 2016, 6.0, number as u64);
            let series = Series::new(values).every(Duration::from_secs(300));
            let said = forecast(&series, &Options::horizon(72));
            black_box(said.or_else(|refusal| refusal.anyway().ok_or(())).expect("a forecast"));
        }
        cpu_seconds(clock) - start
    };
    let busy = std::thread::scope(|scope| {
        let both = [0, 1].map(|offset| scope.spawn(move || worker(offset)));
        both.into_iter().map(|thread| thread.join().expect("a worker")).fold(0.0, f64::max)
    });
    println!(
        "{MANY} series of 2,016 points, two threads, made and forecast: {busy:.1} s of CPU on the busier one (<= 40), \
         {:.1} s by the clock, peak memory {} MB (<= 500)",
        clock.elapsed().as_secs_f64(),
        peak_mb()
    );
}

/// The most memory this process ever held, where the system says so.
fn peak_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kb| kb.parse::<u64>().ok()).unwrap_or(0) / 1024
}
