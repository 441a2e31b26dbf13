//! Lines of `./dev bench`: what was measured beside its target, and what the machine had left for it.

/// The first line.
pub fn head() {
    println!("{:<70} {:>14} {:>14}", "figure", "measured", "target");
}

/// One figure.
pub fn row(figure: &str, measured: String, target: &str) {
    println!("{figure:<70} {measured:>14} {target:>14}");
}

/// Of sorted values.
pub fn percentile(sorted: &[f64], p: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * p).round() as usize]
}

/// Median and 99th percentile, in milliseconds; the target is about the latter.
pub fn latencies(name: &str, mut ms: Vec<f64>, target: &str) {
    ms.sort_by(f64::total_cmp);
    row(&format!("{name}: median"), format!("{:.1} ms", percentile(&ms, 0.5)), "");
    row(&format!("{name}: p99"), format!("{:.1} ms", percentile(&ms, 0.99)), target);
}

/// How busy the machine was during a figure. What a hypervisor takes away (`steal`) is time in which nobody here runs: no latency is shorter
/// than that.
pub struct Machine {
    busy: f64,
    stolen: f64,
    all: f64,
}

impl Machine {
    /// From now on.
    pub fn begin() -> Machine {
        let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
        let words = stat.lines().next().unwrap_or_default().split_whitespace().skip(1);
        // user nice system idle iowait irq softirq steal; guests are counted in the first two.
        let ticks: Vec<f64> = words.take(8).filter_map(|word| word.parse().ok()).collect();
        let sum = |which: &[usize]| which.iter().filter_map(|index| ticks.get(*index)).sum();
        Machine { busy: sum(&[0, 1, 2, 5, 6]), stolen: sum(&[7]), all: ticks.iter().sum() }
    }

    /// Until now.
    pub fn end(self) -> Machine {
        let now = Machine::begin();
        Machine { busy: now.busy - self.busy, stolen: now.stolen - self.stolen, all: now.all - self.all }
    }

    /// What it was, once it has ended.
    pub fn row(&self) {
        let share = |ticks: f64| 100.0 * ticks / self.all.max(1.0);
        let shares = format!("{:.0} %, {:.0} %", share(self.busy), share(self.stolen));
        row("  meanwhile all cores: busy, taken away by the hypervisor", shares, "");
    }
}
