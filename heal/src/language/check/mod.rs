//! What is wrong with rules that parse.

mod condition;
mod filter;
mod step;

use super::{
    At, Catalogue, Problem, Risk, Span,
    ast::{Check, Commented, Expression, File, List, Rule, Step},
    duration,
    problem::{Problems, shown},
};
use std::{collections::BTreeMap, time::Duration};

/// Longest name of a rule or an event, in letters.
const LONGEST_NAME: usize = 120;
const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3600);
const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);

/// Every mistake, by its place in the file. Rules are refused when one of them is an error.
pub fn check(file: &File, catalogue: &Catalogue) -> Vec<Problem> {
    let mut problems = Problems::default();
    let mut titles: BTreeMap<String, Span> = BTreeMap::new();
    for Commented { value: rule, .. } in &file.rules {
        let title = rule.title();
        if let Some(first) = titles.get(&title) {
            let help = match rule.name {
                Some(_) => "limits and records are kept by name: give it another one".to_string(),
                None => format!(
                    "the short form is called after its event; write `rule \"…\" {{ on … }}` to name it, not \"{}\"",
                    shown(&title)
                ),
            };
            problems.push(
                Problem::error(rule.span, format!("there are two rules \"{}\"", shown(&title)))
                    .related(*first, "the first one")
                    .help(help),
            );
        } else {
            titles.insert(title, rule.span);
        }
        one(&mut problems, rule, catalogue);
    }
    unreachable(&mut problems, file);
    let mut problems = problems.0;
    problems.sort_by_key(|problem| problem.span.start);
    problems
}

fn one(problems: &mut Problems, rule: &Rule, catalogue: &Catalogue) {
    let on = &rule.on.value;
    for (name, what) in rule.name.iter().map(|name| (name, "a rule")).chain([(&on.name, "an event")]) {
        if name.value.trim().is_empty() {
            problems.push(Problem::error(name.span, format!("{what} needs a name")));
        } else if name.value.chars().count() > LONGEST_NAME {
            problems.push(Problem::error(name.span, format!("a name has at most {LONGEST_NAME} letters")));
        }
    }
    if let Some(filter) = &on.filter {
        filter::check(problems, filter);
    }
    for condition in &rule.when {
        condition::check(problems, &condition.value, None);
    }
    if let Some(unless) = &rule.unless {
        between(problems, &unless.value, SECOND, MONTH, "the time since the last healing");
    }
    limits(problems, rule);
    steps(problems, "then", &rule.then.value, catalogue);
    if let Some(otherwise) = &rule.otherwise {
        steps(problems, "else", &otherwise.value, catalogue);
    }
    verify(problems, rule, catalogue);
}

fn limits(problems: &mut Problems, rule: &Rule) {
    let mut scopes = BTreeMap::new();
    for limit in rule.limits.iter().map(|limit| &limit.value) {
        if limit.count.value == 0 {
            problems.push(
                Problem::error(limit.count.span, "with a limit of 0 the rule never acts")
                    .help("take the rule out, or allow it at least once"),
            );
        }
        between(problems, &limit.per, SECOND, MONTH, "the time of a limit");
        if let Some(first) = scopes.insert(limit.scope.value, limit.scope.span) {
            let scope = limit.scope.value.word();
            problems.push(
                Problem::error(limit.scope.span, format!("there are two limits per {scope}"))
                    .related(first, "the first one"),
            );
        }
    }
}

fn steps(problems: &mut Problems, keyword: &str, list: &List<Step>, catalogue: &Catalogue) {
    if !list.items.iter().any(|item| matches!(item.value, Step::Action(_))) {
        problems.push(
            Problem::error(list.span, format!("`{keyword}` does nothing"))
                .help("give it a step, such as `notify(\"#ops\")`"),
        );
    }
    for item in &list.items {
        match &item.value {
            Step::Wait(wait) => between(problems, wait, SECOND, DAY, "a wait"),
            Step::Action(call) => step::check(problems, call, catalogue),
        }
    }
}

fn verify(problems: &mut Problems, rule: &Rule, catalogue: &Catalogue) {
    let Some(verify) = &rule.verify else {
        let riskiest = rule
            .then
            .value
            .items
            .iter()
            .filter_map(|item| match &item.value {
                Step::Action(call) => {
                    Some((catalogue.shape(&call.action.value)?.risk, call.action.value.as_str(), call.span))
                }
                Step::Wait(_) => None,
            })
            .filter(|(risk, ..)| *risk > Risk::Low)
            // The first of the riskiest.
            .reduce(|worst, next| if next.0 > worst.0 { next } else { worst });
        if let Some((risk, action, span)) = riskiest {
            let message = format!("nobody looks whether `{action}` helped");
            let problem = match risk {
                Risk::High => Problem::error(span, message).label("this is risky"),
                _ => Problem::warning(span, message),
            };
            problems.push(problem.help("add `verify within 5m { alert resolved, rollout healthy }`"));
        }
        return;
    };
    let verify = &verify.value;
    between(problems, &verify.within, SECOND, DAY, "the time to verify");
    if verify.checks.items.is_empty() {
        problems.push(
            Problem::error(verify.checks.span, "nothing is verified")
                .help("say what must hold: `{ alert resolved, rollout healthy }`"),
        );
    }
    for item in &verify.checks.items {
        match &item.value {
            Check::AlertResolved(span) if rule.on.value.origin.value == super::ast::Origin::Log => {
                problems.push(
                    Problem::error(*span, "a log line never resolves")
                        .help("write that it has gone silent: `log(\"…\", within: 2m) == 0`"),
                );
            }
            Check::AlertResolved(_) | Check::RolloutHealthy(_) => {}
            Check::Holds(condition) => condition::check(problems, condition, Some(verify.within.value)),
        }
    }
}

/// Both bounds belong to it.
fn between(problems: &mut Problems, at: &At<Duration>, least: Duration, most: Duration, what: &str) {
    let fault = if at.value < least {
        format!("{what} is at least {}", duration::show(least))
    } else if at.value > most {
        format!("{what} is at most {}", duration::show(most))
    } else {
        return;
    };
    problems.push(Problem::error(at.span, fault));
}

/// Rules are tried in order and the first that applies acts. One that always applies hides those behind it that listen
/// to no more than it does.
fn unreachable(problems: &mut Problems, file: &File) {
    let mut always: BTreeMap<(super::ast::Origin, &str), Vec<&Rule>> = BTreeMap::new();
    for Commented { value: rule, .. } in &file.rules {
        let on = &rule.on.value;
        let earlier = always.entry((on.origin.value, &on.name.value)).or_default();
        if let Some(hiding) = earlier.iter().find(|hiding| covers(&hiding.on.value.filter, &on.filter)) {
            problems.push(
                Problem::error(rule.span, "this rule is never reached")
                    .related(hiding.span, "this one always acts before it")
                    .help("rules are tried in order: put the narrower one first"),
            );
        } else if rule.when.is_empty() && rule.unless.is_none() && rule.limits.is_empty() {
            // Nobody writes more, and comparing each with each must end.
            if earlier.len() < 100 {
                earlier.push(rule);
            }
        }
    }
}

/// Whether whatever passes the narrow filter also passes the wide one, as far as their words tell.
fn covers(wide: &Option<Expression>, narrow: &Option<Expression>) -> bool {
    match (wide, narrow) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(wide), Some(narrow)) => {
            let narrow = all_of(narrow);
            all_of(wide).iter().all(|part| narrow.contains(part))
        }
    }
}

fn all_of(expression: &Expression) -> &[Expression] {
    match expression {
        Expression::And(parts) => parts,
        other => std::slice::from_ref(other),
    }
}

/// An operator that compares numbers.
fn is_order(operator: super::ast::Operator) -> bool {
    use super::ast::Operator::{Greater, GreaterOrEqual, Less, LessOrEqual};
    matches!(operator, Less | LessOrEqual | Greater | GreaterOrEqual)
}

/// An operator that takes a regular expression.
fn is_pattern(operator: super::ast::Operator) -> bool {
    use super::ast::Operator::{Matches, MatchesNot};
    matches!(operator, Matches | MatchesNot)
}

/// Checked by `filter` and `condition` alike.
fn pattern(problems: &mut Problems, at: Span, pattern: &str) -> Option<regex::Regex> {
    super::pattern::search(pattern)
        .map_err(|why| problems.push(Problem::error(at, "this is not a regular expression").label(why)))
        .ok()
}
