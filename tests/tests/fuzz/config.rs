//! petrel.toml.

use crate::mutant::{assert_inside, fuzz};
use bot::config::{Config, ConfigError};
use std::path::Path;

const LEAST: &str = "[database]\nprivate = \"data\"\n[policy]\nfile = \"policy.toml\"\n";

const MORE: &str = r#"
[server]
listen = "127.0.0.1:8080"
public_url = "https://petrel.example"
[database]
url = "postgres://petrel@db/petrel"
connections = 10
[policy]
file = "policy.toml"
[[cluster]]
name = "prod-eu"
kubeconfig = "kubeconfig"
context = "prod"
labels = { production = "true" }
[[room]]
place = "slack:T1:C9"
cluster = "prod-eu"
namespace = "shop"
commands = ["get", "restart"]
notices = ["approvals", "break-glass"]
notice_clusters = ["prod-eu"]
[[console.person]]
person = "ann"
token_env = "ANN"
[[api.token]]
name = "ci"
token_env = "CI"
[audit]
checkpoint_dir = "checkpoints"
signing_key_file = "key"
every = "1h"
[runner]
concurrency = 8
lease = "15s"
"#;

/// Every variable has a token of its own.
fn environment(name: &str) -> Option<String> {
    (!name.starts_with("PETREL_"))
        .then(|| format!("{:x<32}", name.replace(|c: char| !c.is_ascii_alphanumeric(), "_")))
}

#[test]
fn a_configuration_is_read_or_the_mistake_is_located_in_the_file() {
    let file = Path::new("/nowhere/petrel.toml");
    for good in [LEAST, MORE] {
        Config::parse(file, good, &environment).unwrap_or_else(|error| panic!("a seed is refused: {error}"));
    }
    fuzz!(&[LEAST, MORE], |text: &str| match Config::parse(file, text, &environment) {
        Err(ConfigError::Syntax { line, column, .. }) => assert_inside(text, line, column),
        Err(error) => assert!(error.to_string().starts_with("/nowhere/petrel.toml: "), "{error}"),
        Ok(config) => {
            assert!(config.console_rooms().next().is_some(), "the console has a room");
            for room in &config.rooms {
                assert_eq!(config.room(&room.place), Some(room), "two rooms in one place");
            }
            let mut names: Vec<&str> = config.clusters.iter().map(|cluster| cluster.name.as_str()).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), config.clusters.len(), "two clusters of one name");
        }
    });
}
