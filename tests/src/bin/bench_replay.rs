//! What proposals would have been worth: `./dev bench replay`. Loads of known length are gone through again by a simulated
//! HorizontalPodAutoscaler that only reacts, by one whose floor follows the day before, by one that knows the future, and by what
//! Petrel proposes. Nothing is timed; the same series give the same table. Without `shared/data` beside the checkout only
//! generated loads are gone through.

#[path = "../../../forecast/tests/score.rs"]
#[allow(dead_code, reason = "shared with the forecasting benchmark, which uses all of it")]
mod score;
#[path = "../../../forecast/tests/workload.rs"]
mod workload;

use forecast::Series;
use forecast::capacity::foresight::{floors, rolling};
use forecast::capacity::hpa::{Keep, Question, propose};
use forecast::capacity::replay::{Autoscaler, Floor, Outcome, replay};
use forecast::capacity::{Pod, Relation};
use score::{SETS, folder, load};
use std::time::Duration;
use workload::LOADS;

/// From the decision to a ready pod.
const START_UP: Duration = Duration::from_secs(300);
/// The busiest twentieth of the history needs so many replicas at the usual target.
const USUAL: f64 = 20.0;
const BOUNDS: (u32, u32) = (2, 200);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Generated loads: steps a day, days, seeds.
const GENERATED: (usize, usize, u64) = (288, 14, 10);

const POLICIES: [&str; 6] =
    ["HPA at 50 %", "HPA at 70 %", "HPA at 85 %", "seasonal naive", "proposal", "perfect foresight"];
/// The row that the others are compared with, and the one that only counts where something is proposed.
const REACTIVE: usize = 1;
const PROPOSAL: usize = 4;

fn main() {
    println!(
        "start-up {} s; under: minutes a day with more load than the ready pods' requests hold; missing: share of the load that they\ndid not hold; \
         changes a day; cost beside the HPA at 70 %; acted: on how many series the proposal was\n\
         not to go on only reacting, and on those alone: under of the HPA at 70 % -> of the proposal, cost\n",
        START_UP.as_secs()
    );
    println!("| load | policy | slack | under | missing | changes | cost | acted |");
    println!("|---|---|---|---|---|---|---|---|");
    for kind in LOADS {
        let (day, days, seeds) = GENERATED;
        let all = (1..=seeds).map(|seed| workload::load(kind, day, day * days, 3.0, seed)).collect();
        report(&format!("{kind:?}").to_lowercase(), all, day, Duration::from_secs(300));
    }
    let Some(folder) = folder() else {
        println!("series not gone through: no shared/data beside the checkout");
        return;
    };
    for (set, season, step) in SETS {
        let all = load(&folder, set).into_iter().map(|case| [case.train, case.test].concat()).collect();
        report(set, all, season, Duration::from_secs(step));
    }
}

/// What one policy did on one series, and whether it was Petrel's own doing.
type Row = (Outcome, f64);

fn report(name: &str, all: Vec<Vec<f64>>, season: usize, step: Duration) {
    let runs: Vec<Run> = all.iter().filter_map(|values| run(values, season, step)).collect();
    let count = runs.len() as f64;
    let acted = runs.iter().filter(|run| run.acted).count();
    for (policy, title) in POLICIES.iter().enumerate() {
        let mean =
            |of: &dyn Fn(&Row) -> f64| runs.iter().map(|run| of(&run.rows[policy])).sum::<f64>() / count;
        let cost =
            runs.iter().map(|run| run.rows[policy].0.requested / run.rows[REACTIVE].0.requested).sum::<f64>()
                / count;
        println!(
            "| {name} | {title} | {:.0} % | {:.1} | {:.3} % | {:.0} | {:+.1} % | {} |",
            100.0 * mean(&|row| row.0.slack),
            mean(&|row| 24.0 * row.0.under_minutes / row.0.hours),
            100.0 * mean(&|row| if row.1 > 0.0 { row.0.missing / row.1 } else { 0.0 }),
            mean(&|row| 24.0 * f64::from(row.0.events) / row.0.hours),
            100.0 * (cost - 1.0),
            if policy == PROPOSAL { acting(&runs) } else { String::new() },
        );
    }
    let worse = |run: &&Run| {
        let (ours, theirs) = (&run.rows[PROPOSAL].0, &run.rows[REACTIVE].0);
        let forgiven = theirs.hours / 24.0;
        run.acted && ours.under_minutes > theirs.under_minutes + forgiven && ours.requested > theirs.requested
    };
    let lost = runs.iter().filter(worse).count();
    if lost > 0 {
        println!("| {name} | *worse in both on* | | | | | | {lost} of {acted} |");
    }
    if std::env::var_os("PETREL_REPLAY_REASONS").is_some() {
        let mut reasons: Vec<&str> = runs.iter().filter_map(|run| run.kept).collect();
        reasons.sort_unstable();
        for alike in reasons.chunk_by(|a, b| a == b) {
            eprintln!("{name}: {} kept: {}", alike.len(), alike[0]);
        }
    }
}

/// On how many series the proposal acted, and what it did on those alone.
fn acting(runs: &[Run]) -> String {
    let acted: Vec<&Run> = runs.iter().filter(|run| run.acted).collect();
    let mean = |of: &dyn Fn(&Run) -> f64| acted.iter().map(|run| of(run)).sum::<f64>() / acted.len() as f64;
    let under =
        |policy: usize| mean(&|run| 24.0 * run.rows[policy].0.under_minutes / run.rows[policy].0.hours);
    let cost = mean(&|run| run.rows[PROPOSAL].0.requested / run.rows[REACTIVE].0.requested);
    let count = format!("{} of {}", acted.len(), runs.len());
    if acted.is_empty() {
        return count;
    }
    format!("{count}: {:.1} -> {:.1} min, {:+.0} %", under(REACTIVE), under(PROPOSAL), 100.0 * (cost - 1.0))
}

struct Run {
    rows: Vec<Row>,
    acted: bool,
    kept: Option<&'static str>,
}

/// The proposal is made from the first three quarters; the rest is gone through.
fn run(values: &[f64], season: usize, step: Duration) -> Option<Run> {
    let values: Vec<f64> = values.iter().map(|v| v.max(0.0)).collect();
    let from = (values.len() * 3 / 4).max(season + 1);
    let mut sorted = values[..from].to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let busy = sorted[sorted.len() * 19 / 20];
    if busy <= 0.0 {
        return None;
    }
    let pod = Pod { request: busy / (0.7 * USUAL), idle: 0.0, burst: 2.0, start_up: START_UP };
    let series = Series::new(values.clone()).every(step);
    let known = Series::new(values[..from].to_vec()).every(step);
    let reactive = |target: u32| Autoscaler::new(BOUNDS.0, BOUNDS.1, target);
    let ahead = (DAY.as_secs() / step.as_secs()) as usize;
    let begin = pod.needed(values[from], 0.7).clamp(BOUNDS.0, BOUNDS.1);
    let question = Question {
        load: &known,
        relation: Relation::identity(),
        pod,
        replicas: begin,
        current: Some(reactive(70)),
        least: BOUNDS.0,
        ahead: DAY,
    };
    let proposal = propose(&question).expect("a load above zero with a step");
    let acted = proposal.keep.is_none();
    let target = if acted { proposal.proposed.target } else { 70 };
    let ours = if acted {
        rolling(&series, from, ahead, &pod, BOUNDS.0).expect("a forecast, as just before")
    } else {
        Vec::new()
    };
    let rest = &values[from..];
    let told = |path: &[f64]| floors(path, step, &pod, BOUNDS.0, step * rest.len() as u32);
    let naive: Vec<Floor> = told(&values[from - season..values.len() - season]);
    let perfect: Vec<Floor> = told(rest);
    let whole: f64 = rest.iter().sum::<f64>() * step.as_secs_f64() / 3600.0;
    let go = |spec: Autoscaler, floors: &[Floor]| (replay(rest, step, &pod, &spec, floors, begin), whole);
    let rows = vec![
        go(reactive(50), &[]),
        go(reactive(70), &[]),
        go(reactive(85), &[]),
        go(reactive(target), &naive),
        go(Autoscaler { target, max: proposal.proposed.max, ..reactive(70) }, &ours),
        go(reactive(100), &perfect),
    ];
    let kept = proposal.keep.as_ref().map(|keep| match keep {
        Keep::Refused(_) => "no forecast",
        Keep::Inaccurate { .. } => "MAPE above 15 %",
        Keep::Overconfident { .. } => "coverage",
        Keep::NoGain { .. } => "no gain",
    });
    Some(Run { rows, acted, kept })
}
