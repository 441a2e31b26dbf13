//! The catalogue: one file per action, one line each in [`catalogue`].
//!
//! Planning is deterministic: the same cluster state and the same context give the same digest. What moves without
//! meaning (status, replica counts under an autoscaler) is in no step, diff or prior state unless the action is about it.

mod change;
mod delete_pod;
mod diff;
mod draft;
mod drill;
mod drill_api;
mod drill_staged;
mod floor;
mod hpa;
mod inject_delay;
mod mask;
mod pause;
mod proposed;
mod quantity;
mod restart;
mod rollback;
mod rotate_logs;
mod run_job;
mod scale;
mod scale_nodes;
mod selector;
mod set_image;
mod set_resources;
mod watch;
mod workload;

pub use proposed::drawing;
pub use watch::{Due, Seen, Watch};

pub(crate) use diff::{masked, yaml};
pub(crate) use quantity::Quantity;
pub(crate) use selector::{Requirement, Selector};
pub(crate) use workload::{accept, controller, pods_of};

use crate::{
    autoscaler::NoStudy,
    cluster::{self, Cluster, ClusterError},
};
use futures::future::BoxFuture;
use jiff::Timestamp;
use ledger::{Plan, RequestId, Target};
use serde_json::Value;

/// What planning may look at. `request` and `at` are frozen for the request's life, so that planning again gives the
/// same plan unless the cluster changed.
#[derive(Clone, Copy)]
pub struct PlanContext<'a> {
    /// Where.
    pub cluster: &'a Cluster,
    /// Without uid.
    pub target: &'a Target,
    /// As `Action::parse` gave them.
    pub parameters: &'a Value,
    /// For deterministic names.
    pub request: RequestId,
    /// For time stamps inside the plan.
    pub at: Timestamp,
}

/// Why there is no plan; every message says what to do next.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The ask makes no sense for this target.
    #[error("{0}")]
    Invalid(String),
    /// It is already so.
    #[error("nothing to do: {0}")]
    Nothing(String),
    /// The cluster could not be asked, or refused the dry run.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
}

/// The kind and name in `deploy/checkout`, as parsed by [`parse_target`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Kubernetes kind.
    pub kind: String,
    /// Object name.
    pub name: String,
}

impl From<NoStudy> for PlanError {
    fn from(error: NoStudy) -> Self {
        match error {
            NoStudy::Cluster(error) => PlanError::Cluster(error),
            error => PlanError::Invalid(error.to_string()),
        }
    }
}

/// A typed entry of the catalogue.
pub trait Action: Send + Sync {
    /// What people type: `scale`.
    fn name(&self) -> &'static str;
    /// The clap command of this action: its arguments without the common ones (`-n`, `-c`, `--why`, `--dry-run`), with
    /// help for each and one example in `after_help`. The grammar adds the common ones.
    fn command(&self) -> clap::Command;
    /// Target and normalised parameters from what clap matched. The error is for people.
    fn parse(&self, matches: &clap::ArgMatches) -> Result<(Named, Value), String>;
    /// What exactly will happen. Reads only; dry runs on the server.
    fn plan<'a>(&'a self, context: PlanContext<'a>) -> BoxFuture<'a, Result<Plan, PlanError>>;
}

/// Every action.
pub fn catalogue() -> &'static [&'static dyn Action] {
    &[
        &restart::Restart,
        &scale::Scale,
        &rollback::Rollback,
        &pause::Pause,
        &pause::Resume,
        &set_image::SetImage,
        &set_resources::SetResources,
        &delete_pod::DeletePod,
        &run_job::RunJob,
        &rotate_logs::RotateLogs,
        &drill::Drill,
        &hpa::Hpa,
        &floor::Floor,
        &scale_nodes::ScaleNodes,
        &inject_delay::InjectDelay,
    ]
}

/// By name.
pub fn action(name: &str) -> Option<&'static dyn Action> {
    catalogue().iter().copied().find(|action| action.name() == name)
}

/// `deploy/checkout`, `deployment/checkout`, `sts/db`, `ds/agent`, `pod/x`, `job/y`, `cj/z` to kind and name. The error
/// names the word that is wrong and what would be right.
pub fn parse_target(text: &str) -> Result<Named, String> {
    let shown = |text: &str| text.chars().take(80).flat_map(char::escape_debug).collect::<String>();
    let Some((word, name)) = text.split_once('/') else {
        return Err(match cluster::by_word(text) {
            Some(kind) => format!(
                "'{}' needs a name: {}/<name>",
                shown(text),
                kind.short.first().unwrap_or(&kind.kind).to_ascii_lowercase()
            ),
            None => format!(
                "'{}' needs its kind: deploy/{}",
                shown(text),
                if cluster::is_dns_subdomain(text) { text } else { "<name>" }
            ),
        });
    };
    let Some(kind) = cluster::by_word(word) else {
        let hint = cluster::nearest(word)
            .map_or("use deploy, sts, ds, pod, job or cj".to_string(), |known| {
                format!("did you mean '{known}'?")
            });
        return Err(format!("'{}' is not a kind I know; {hint}", shown(word)));
    };
    if !cluster::is_dns_subdomain(name) {
        return Err(format!(
            "'{}' is not a valid name for a {}: use a-z, 0-9, '-' and '.'",
            shown(name),
            kind.kind
        ));
    }
    Ok(Named { kind: kind.kind.to_string(), name: name.to_string() })
}

/// The argument that names the target.
fn target_arg(help: &'static str) -> clap::Arg {
    clap::Arg::new("target").value_name("KIND/NAME").required(true).help(help)
}

/// The target that clap matched, of one of these kinds.
fn parse_accepted(matches: &clap::ArgMatches, accepted: &[&str], why: &str) -> Result<Named, String> {
    let named = parse_target(matches.get_one::<String>("target").map(String::as_str).unwrap_or_default())?;
    workload::accept(&named.kind, accepted, why)?;
    Ok(named)
}

/// The three kinds that roll out pods.
const ROLLING: [&str; 3] = ["Deployment", "StatefulSet", "DaemonSet"];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_target_is_a_kind_by_any_of_its_names_and_a_name() {
        for (typed, kind) in [
            ("deploy/checkout", "Deployment"),
            ("deployment/checkout", "Deployment"),
            ("Deployments/checkout", "Deployment"),
            ("sts/checkout", "StatefulSet"),
            ("ds/checkout", "DaemonSet"),
            ("pod/checkout", "Pod"),
            ("po/checkout", "Pod"),
            ("job/checkout", "Job"),
            ("cj/checkout", "CronJob"),
        ] {
            assert_eq!(
                parse_target(typed),
                Ok(Named { kind: kind.into(), name: "checkout".into() }),
                "{typed}"
            );
        }
    }

    #[test]
    fn a_wrong_target_is_told_which_word_is_wrong() {
        assert_eq!(
            parse_target("deplyo/checkout").unwrap_err(),
            "'deplyo' is not a kind I know; did you mean 'deploy'?"
        );
        assert_eq!(
            parse_target("zebra/x").unwrap_err(),
            "'zebra' is not a kind I know; use deploy, sts, ds, pod, job or cj"
        );
        assert_eq!(parse_target("checkout").unwrap_err(), "'checkout' needs its kind: deploy/checkout");
        assert_eq!(parse_target("deploy").unwrap_err(), "'deploy' needs a name: deploy/<name>");
        assert_eq!(
            parse_target("deploy/Check_out").unwrap_err(),
            "'Check_out' is not a valid name for a Deployment: use a-z, 0-9, '-' and '.'"
        );
        assert!(parse_target("deploy/../secrets").is_err());
    }

    #[test]
    fn every_action_has_its_own_name_a_command_of_that_name_and_an_example() {
        let mut names = std::collections::BTreeSet::new();
        for action in catalogue() {
            let command = action.command();
            command.clone().debug_assert();
            assert_eq!(command.get_name(), action.name());
            assert!(names.insert(action.name()));
            assert!(
                command.get_after_help().is_some_and(|help| help
                    .to_string()
                    .starts_with(&format!("Example: {} ", action.name())))
            );
        }
    }

    #[test]
    fn every_example_parses_once_the_common_options_are_there() {
        for action in catalogue() {
            let help = action.command().get_after_help().unwrap().to_string();
            let mut words = Vec::new();
            // The common options are the grammar's; here they are cut off where the first one begins.
            for word in
                help.trim_start_matches("Example: ").split_whitespace().take_while(|word| *word != "-n")
            {
                words.push(word.to_string());
            }
            let matches = action.command().try_get_matches_from(words).unwrap();
            action.parse(&matches).unwrap();
        }
    }

    proptest! {
        #[test]
        fn a_parsed_target_is_always_a_safe_name(text in any::<String>()) {
            if let Ok(named) = parse_target(&text) {
                prop_assert!(cluster::is_dns_subdomain(&named.name));
            }
        }

        #[test]
        fn likely_targets_never_panic(kind in "[a-zA-Z]{0,12}", name in "[a-z0-9./-]{0,20}") {
            let typed = format!("{kind}/{name}");
            match parse_target(&typed) {
                Ok(named) => prop_assert_eq!(named.name, name),
                Err(why) => prop_assert!(why.contains('\'')),
            }
        }
    }
}
