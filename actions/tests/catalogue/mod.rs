//! Plans of every action against a practice cluster.

mod plans;
mod promises;
mod refusals;

use ledger::Plan;
use serde::Serialize;

/// A plan as text that is the same in every run: uids and generated names are replaced.
pub fn picture(plan: &Plan, replace: &[(&str, &str)]) -> String {
    let mut text = format!(
        "{}\nrisk: {}\nblast: {} of {} pods ({} %)\nbudgets: {:?}\nnotes: {:#?}\n\n{}\nsteps: {}\n\nundo: {}\n\nprior: {}\n\nverify: {}\n",
        plan.summary,
        plan.risk,
        plan.blast.pods,
        plan.blast.of,
        plan.blast.percent(),
        plan.blast.budgets,
        plan.blast.notes,
        plan.diff,
        json(&plan.steps),
        json(&plan.undo),
        json(&plan.prior),
        json(&plan.verify),
    );
    if let Some(uid) = &plan.target.uid {
        text = text.replace(uid, "<uid>");
    }
    for (from, to) in replace {
        text = text.replace(from, to);
    }
    text
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap()
}
