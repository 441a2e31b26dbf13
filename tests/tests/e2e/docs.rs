//! The documents say what is true.

use std::{fs, path::Path};

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn sources(folder: &Path, into: &mut String) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() && !path.ends_with("target") && !path.ends_with(".git") {
            sources(&path, into);
        } else if path.extension().is_some_and(|end| end == "rs") {
            into.push_str(&fs::read_to_string(&path).unwrap_or_default());
        }
    }
}

#[test]
fn every_promise_names_tests_that_exist() {
    let guarantees = fs::read_to_string(root().join("docs/GUARANTEES.md")).expect("docs/GUARANTEES.md");
    let mut code = String::new();
    sources(root(), &mut code);
    for promise in ["G1", "G2", "G3", "G4", "G5", "G6", "G7", "G10", "G11", "G12"] {
        assert!(guarantees.contains(&format!("## {promise} ")), "{promise} has no section");
    }
    let mut named = 0;
    for line in guarantees.lines().filter(|line| line.starts_with("- `")) {
        let test = line.split('`').nth(1).expect("a name in backticks");
        let name = test.rsplit("::").next().expect("a name");
        assert!(code.contains(&format!("fn {name}(")), "docs/GUARANTEES.md names {test}, which is not there");
        named += 1;
    }
    assert!(named >= 20, "only {named} tests are named");
}

#[test]
fn links_between_documents_lead_somewhere() {
    for file in
        ["README.md", "docs/ARCHITECTURE.md", "docs/GUARANTEES.md", "docs/POLICY.md", "docs/BENCHMARKS.md"]
    {
        let path = root().join(file);
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if target.starts_with("http") || target.starts_with('#') {
                continue;
            }
            let target = target.split('#').next().expect("a path");
            assert!(
                path.parent().expect("a folder").join(target).exists(),
                "{file} links to {target}, which is not there"
            );
        }
    }
}
