//! Targets as people type them.

use crate::mutant::fuzz;
use actions::{
    catalogue::parse_target,
    cluster::{KINDS, is_dns_subdomain},
};

const TARGETS: &[&str] = &[
    "deploy/checkout",
    "Deployments/checkout",
    "sts/db-0.db",
    "ds/node-agent",
    "pod/checkout-7d4b9c-x2x7k",
    "job/nightly-28999",
    "cj/nightly",
];

#[test]
fn a_target_has_a_known_kind_and_a_dns_name() {
    for good in TARGETS {
        parse_target(good).unwrap_or_else(|error| panic!("a seed is refused: {error}"));
    }
    fuzz!(TARGETS, |text: &str| match parse_target(text) {
        Ok(named) => {
            assert!(is_dns_subdomain(&named.name), "{:?}", named.name);
            assert!(KINDS.iter().any(|kind| kind.kind == named.kind), "{:?}", named.kind);
            assert_eq!(parse_target(&format!("{}/{}", named.kind, named.name)), Ok(named));
        }
        Err(message) => {
            assert!(!message.contains(char::is_control) && message.chars().count() < 1_000, "{message:?}");
        }
    });
}
