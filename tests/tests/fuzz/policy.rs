//! The policy file.

use crate::mutant::{assert_inside, fuzz};
use actions::policy::Policy;

const PEOPLE: &str = r#"
[[person]]
name = "ann"
identities = ["console:ann", "slack:T1:U2"]
groups = ["oncall"]
"#;

const RULES: &str = r#"
timezone = "Europe/Berlin"
contact = "ops"
[[rule]]
name = "production"
action = ["scale", "restart"]
when = 'cluster.labels.production == "true" && params.replicas < 10'
decide = "approve"
votes = 1
from = ["oncall"]
within = "30m"
[[rule]]
name = "rest"
action = "*"
decide = "allow"
"#;

const TIMES: &str = r#"
[[freeze]]
name = "weekend"
from = "0 0 18 * * Fri"
lasts = "62h"
when = "true"
except = ["break-glass"]
[[cap]]
name = "steady"
each = "person"
per_hour = 30
when = """
target.busy"""
"#;

#[test]
fn a_policy_is_read_or_the_mistake_is_located_in_the_file() {
    let whole = include_str!("../../../docs/policy.example.toml");
    for good in ["", PEOPLE, whole] {
        Policy::parse("policy.toml", good).unwrap_or_else(|error| panic!("a seed is refused: {error}"));
    }
    fuzz!(&[PEOPLE, RULES, TIMES], |text: &str| {
        match Policy::parse("policy.toml", text) {
            Err(error) => {
                assert_inside(text, error.line, error.column);
                assert!(!error.message.contains("report this as a bug"), "{error}");
            }
            Ok(policy) => {
                assert_eq!(policy.version().len(), 12);
                for (person, identities, groups) in policy.people() {
                    for identity in identities {
                        let who = policy.who(&identity).expect("whoever is listed is known");
                        assert_eq!((&who.person, &who.groups), (&person, &groups));
                    }
                }
            }
        }
    });
}
