//! What one event costs against 1,000 rules: by the index, and beside it by asking every rule.
//! `cargo bench -p heal --bench matching`

use heal::{
    event::{Context, Event, read},
    language::Catalogue,
    rules::{RuleFile, Rules},
};
use std::{fmt::Write, hint::black_box, time::Instant};

const RULES: usize = 1_000;
const ROUNDS: usize = 2_001;

fn rules(on: impl Fn(usize) -> String) -> Rules {
    let mut source = String::new();
    for place in 0..RULES {
        let on = on(place);
        writeln!(
            source,
            "rule \"{place}\" {{\n on alert {on}\n when promql(\"up\") < 1\n then [ notify(\"#ops\") ]\n}}"
        )
        .expect("a string takes all");
    }
    let file = RuleFile { name: "bench.heal".into(), source };
    Rules::load(&[file], &Catalogue::standard())
        .unwrap_or_else(|refused| panic!("{}", refused.reports.join("\n")))
}

fn event() -> Event {
    let body = br#"{"version": "4", "alerts": [{"status": "firing", "startsAt": "2026-02-03T04:00:00Z", "labels":
{"alertname": "Alert7", "namespace": "ns-207", "pod": "checkout-7d9f8b6c5-abcde", "container": "app", "severity": "critical",
"app": "checkout", "team": "shop", "job": "kube-state-metrics", "instance": "10.0.0.1:8080", "region": "eu"}}]}"#;
    let context = Context { cluster: Some("prod-eu"), received: jiff::Timestamp::UNIX_EPOCH };
    read(body, context).expect("an alert").events.remove(0)
}

/// Median and 99th percentile, in microseconds.
fn measure(mut work: impl FnMut() -> usize) -> (f64, f64) {
    let mut times: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            black_box(work());
            start.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    times.sort_by(f64::total_cmp);
    (times[ROUNDS / 2], times[ROUNDS * 99 / 100])
}

fn main() {
    let event = event();
    println!(
        "{:<58} {:>6} {:>10} {:>10} {:>10} {:>7}",
        "1,000 rules, one event", "found", "median µs", "p99 µs", "scan µs", "ratio"
    );
    let cases: [(&str, Rules); 4] = [
        (
            "200 alerts, 5 namespaces each",
            rules(|n| format!("\"Alert{}\" where labels.namespace == \"ns-{n}\" and severity >= 3", n % 200)),
        ),
        (
            "one alert, 1,000 namespaces",
            rules(|n| format!("\"Alert7\" where labels.namespace == \"ns-{n}\" and severity >= 3")),
        ),
        (
            "one alert, 1,000 regular expressions on the namespace",
            rules(|n| format!("\"Alert7\" where labels.namespace =~ \"ns-{n}|x.*\"")),
        ),
        (
            "one alert, every rule passes",
            rules(|n| format!("\"Alert7\" where severity >= 3 and labels.l{n} == \"\"")),
        ),
    ];
    for (name, rules) in &cases {
        let found = rules.concerned(&event).len();
        let scan = || rules.all().iter().filter(|rule| rule.concerns(&event)).count();
        assert_eq!(found, scan());
        let (median, p99) = measure(|| rules.concerned(&event).len());
        let (scanned, _) = measure(scan);
        println!(
            "{name:<58} {found:>6} {median:>10.2} {p99:>10.2} {scanned:>10.2} {:>7.1}",
            scanned / median
        );
    }
}
