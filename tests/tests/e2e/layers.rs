//! The layers that `deny.toml` cannot tell apart: what is only for tests, and which sources speak SQL and Kubernetes.

use std::{fs, path::Path};

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// What the shipped code of a crate depends on, for building too and on any platform.
fn shipped_dependencies(manifest: &toml::Table) -> Vec<String> {
    let platforms = manifest.get("target").and_then(toml::Value::as_table).into_iter().flatten();
    let tables = platforms.filter_map(|(_, platform)| platform.as_table()).chain([manifest]);
    tables
        .flat_map(|table| ["dependencies", "build-dependencies"].map(|section| table.get(section)))
        .flatten()
        .filter_map(toml::Value::as_table)
        .flatten()
        .flat_map(|(name, wanted)| {
            // A dependency may be renamed.
            let renamed = wanted.get("package").and_then(toml::Value::as_str).map(str::to_string);
            [Some(name.clone()), renamed]
        })
        .flatten()
        .collect()
}

#[test]
fn what_is_shipped_never_depends_on_practice_or_tests() {
    for (crate_name, expected) in [("ledger", "sqlx"), ("actions", "kube"), ("bot", "actions")] {
        let path = root().join(crate_name).join("Cargo.toml");
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let manifest: toml::Table = toml::from_str(&text).expect("a manifest");
        let dependencies = shipped_dependencies(&manifest);
        assert!(
            dependencies.iter().any(|name| name == expected),
            "{crate_name} has no {expected}: {dependencies:?}"
        );
        for forbidden in ["practice", "tests"] {
            assert!(
                !dependencies.iter().any(|name| name == forbidden),
                "{crate_name} depends on {forbidden}"
            );
        }
    }
}

/// Files below the folder that use the word in code, not in a comment; unit tests count too.
fn files_with(folder: &Path, word: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files_with(&path, word));
        } else if path.extension().is_some_and(|end| end == "rs") {
            let text = fs::read_to_string(&path).expect("a source");
            let mut code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            if code.any(|line| uses(line, word)) {
                found.push(path.display().to_string());
            }
        }
    }
    found
}

/// The word followed by `::`, and not as the end of a longer one.
fn uses(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let part_of_another = line[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        !part_of_another && line[at + word.len()..].starts_with("::")
    })
}

#[test]
fn only_the_ledger_speaks_sql_and_only_actions_speak_kubernetes() {
    for (word, owner) in [("sqlx", "ledger"), ("kube", "actions")] {
        for crate_name in ["ledger", "actions", "bot"] {
            let found = files_with(&root().join(crate_name).join("src"), word);
            assert_eq!(!found.is_empty(), crate_name == owner, "{word}:: in {crate_name}: {found:?}");
        }
    }
}

/// Whoever wants forecasts elsewhere gets arithmetic: nothing that reads, writes, waits or asks for the time.
#[test]
fn the_forecast_crate_is_arithmetic_only() {
    let text = fs::read_to_string(root().join("forecast/Cargo.toml")).expect("a manifest");
    let mut dependencies = shipped_dependencies(&toml::from_str(&text).expect("a manifest"));
    dependencies.sort_unstable();
    assert_eq!(dependencies, ["rustfft", "thiserror"], "a new one needs a reason, and no I/O");
    for word in ["fs", "net", "process", "thread", "env", "io", "Instant", "SystemTime"] {
        let found = files_with(&root().join("forecast/src"), word);
        assert!(found.is_empty(), "{word}:: in forecast: {found:?}");
    }
}
