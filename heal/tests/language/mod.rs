//! The language as its readers see it.

mod examples;
mod hostile;
mod reports;
mod round_trip;

use heal::language::{Catalogue, Problem, ast::File, check, parse};

/// Everything that is wrong with it.
fn problems(source: &str) -> Vec<Problem> {
    let (file, mut problems) = parse(source);
    problems.extend(check(&file, &Catalogue::standard()));
    problems
}

/// Without any mistake in its syntax.
fn parsed(source: &str) -> File {
    let (file, problems) = parse(source);
    let problems: Vec<String> =
        problems.iter().map(|problem| problem.render("test.heal", source, false)).collect();
    assert!(problems.is_empty(), "{}", problems.join("\n\n"));
    file
}

/// As `petrel heal check` shows it.
fn report(source: &str) -> String {
    let problems: Vec<String> =
        problems(source).iter().map(|problem| problem.render("shop.heal", source, false)).collect();
    problems.join("\n\n")
}

const EXAMPLES_FOR_CUTTING: [&str; 3] = [
    include_str!("../../examples/issue.heal"),
    include_str!("../../examples/ladder.heal"),
    include_str!("../../examples/nodes.heal"),
];
