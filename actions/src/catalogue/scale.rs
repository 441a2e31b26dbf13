//! `scale`: sets the number of replicas, absolutely or relative to what is there.

use super::*;
use draft::{Draft, while_it_moves};
use futures::future::try_join;
use ledger::{Blast, Condition, PatchKind, Risk};
use serde_json::json;
use workload::{Subject, accept, budgets};

const SCALABLE: [&str; 2] = ["Deployment", "StatefulSet"];

/// See the module.
pub struct Scale;

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Replicas {
    Exactly(u32),
    /// `+2`, `-1`
    By(i64),
}

impl Replicas {
    fn parse(text: &str) -> Result<Replicas, String> {
        let wrong = || {
            format!(
                "'{}' is not a number of replicas; write 6, +2 or -1",
                text.chars().take(40).flat_map(char::escape_debug).collect::<String>()
            )
        };
        let digits = text.trim_start_matches(['+', '-']);
        if digits.is_empty()
            || digits.len() > 6
            || text.len() > digits.len() + 1
            || !digits.bytes().all(|byte| byte.is_ascii_digit())
        {
            return Err(wrong());
        }
        let count: u32 = digits.parse().map_err(|_| wrong())?;
        Ok(match text.as_bytes().first() {
            Some(b'+') => Replicas::By(count.into()),
            Some(b'-') => Replicas::By(-i64::from(count)),
            _ => Replicas::Exactly(count),
        })
    }

    /// A change goes no further than its bounds, and a bound never turns more into fewer, or fewer into more.
    fn from(self, now: u32, min: Option<u32>, max: Option<u32>) -> Result<u32, String> {
        let change = match self {
            Replicas::Exactly(count) => return Ok(count),
            Replicas::By(change) => change,
        };
        let most = max.map_or(i64::MAX, i64::from);
        let least = min.map_or(i64::MIN, i64::from).min(most);
        let wanted = (i64::from(now) + change).min(most).max(least);
        if (wanted - i64::from(now)).signum() != change.signum() {
            return Ok(now);
        }
        u32::try_from(wanted)
            .map_err(|_| format!("it has {now} replicas; {change} more would be less than none"))
    }
}

impl Action for Scale {
    fn name(&self) -> &'static str {
        "scale"
    }

    fn command(&self) -> clap::Command {
        clap::Command::new("scale")
            .about("Set the number of replicas of a workload")
            .arg(target_arg("Deployment or StatefulSet"))
            .arg(
                clap::Arg::new("replicas")
                    .value_name("REPLICAS")
                    .required(true)
                    .allow_negative_numbers(true)
                    .help("How many: 6, or by how many: +2, -1"),
            )
            .arg(
                clap::Arg::new("at-least")
                    .long("at-least")
                    .action(clap::ArgAction::SetTrue)
                    .help("Never fewer than it has now"),
            )
            .arg(bound("min", "A change ends here: scale deploy/checkout -2 --min 3"))
            .arg(bound("max", "A change ends here: scale deploy/checkout +2 --max 12"))
            .after_help("Example: scale deploy/checkout 6 -n shop -c prod-eu --why \"sale\"")
    }

    fn parse(&self, matches: &clap::ArgMatches) -> Result<(Named, Value), String> {
        let named = parse_accepted(matches, &SCALABLE, why_not(matches.get_one::<String>("target")))?;
        let typed = matches.get_one::<String>("replicas").map(String::as_str).unwrap_or_default();
        let replicas = match Replicas::parse(typed)? {
            Replicas::Exactly(count) => json!(count),
            Replicas::By(change) => json!(format!("{change:+}")),
        };
        let bounds = ["min", "max"].map(|name| (name, matches.get_one::<u32>(name)));
        if replicas.is_u64() && bounds.iter().any(|(_, bound)| bound.is_some()) {
            return Err("--min and --max go with a change, such as +2".into());
        }
        let mut parameters = json!({"replicas": replicas});
        if matches.get_flag("at-least") {
            parameters["at_least"] = true.into();
        }
        for (name, bound) in bounds.into_iter().filter_map(|(name, bound)| Some((name, bound?))) {
            parameters[name] = (*bound).into();
        }
        Ok((named, parameters))
    }

    fn plan<'a>(&'a self, context: PlanContext<'a>) -> BoxFuture<'a, Result<Plan, PlanError>> {
        Box::pin(while_it_moves(move || plan(context)))
    }
}

fn bound(name: &'static str, help: &'static str) -> clap::Arg {
    let count = clap::value_parser!(u32).range(0..1_000_000);
    clap::Arg::new(name).long(name).value_name("N").value_parser(count).help(help)
}

fn why_not(target: Option<&String>) -> &'static str {
    let kind = target.and_then(|target| parse_target(target).ok()).map(|named| named.kind);
    if kind.as_deref() == Some("DaemonSet") {
        "has no replicas, it runs one pod on every node that it selects"
    } else {
        "cannot be scaled"
    }
}

async fn plan(context: PlanContext<'_>) -> Result<Plan, PlanError> {
    accept(&context.target.kind, &SCALABLE, "has no replicas").map_err(PlanError::Invalid)?;
    let asked = match &context.parameters["replicas"] {
        Value::String(relative) => Replicas::parse(relative),
        number => Replicas::parse(&number.to_string()),
    };
    let subject = Subject::read(&context).await?;
    let now = subject.replicas();
    let bound = |name: &str| context.parameters[name].as_u64().and_then(|count| u32::try_from(count).ok());
    let wanted = asked
        .and_then(|asked| asked.from(now, bound("min"), bound("max")))
        .map_err(|why| PlanError::Invalid(format!("{}: {why}", subject.words())))?;
    if wanted == now || (wanted < now && context.parameters["at_least"] == true) {
        return Err(PlanError::Nothing(format!("{} has {now} replicas", subject.words())));
    }
    let change = json!({"spec": {"replicas": wanted}});
    let dry_run = subject.dry_run(PatchKind::Merge, &change);
    let (blast, after) = try_join(blast(&subject, now, wanted), dry_run).await?;
    let mut conditions = vec![Condition::Replicas { object: subject.reference.clone(), count: wanted }];
    if wanted > 0 {
        conditions.push(Condition::NotCrashLooping { object: subject.reference.clone() });
    }
    let draft = Draft {
        action: "scale",
        summary: format!(
            "scale {} from {now} to {wanted} {}",
            subject.words(),
            if wanted == 1 { "replica" } else { "replicas" }
        ),
        kind: PatchKind::Merge,
        change,
        about_replicas: true,
        risk: match wanted {
            0 => Risk::High,
            _ if wanted < now => Risk::Medium,
            _ => Risk::Low,
        },
        within_s: subject.rollout_within_s(wanted.abs_diff(now)),
        conditions,
        blast,
    };
    draft.plan(context, subject, &after)
}

async fn blast(subject: &Subject, now: u32, wanted: u32) -> Result<Blast, ClusterError> {
    let mut blast = Blast { pods: wanted.abs_diff(now), of: now, ..Blast::default() };
    let losses = async {
        if wanted >= now {
            return Ok(None);
        }
        let namespace = subject.reference.namespace.as_deref();
        try_join(subject.pods(), budgets(&subject.cluster, namespace)).await.map(Some)
    };
    let (losses, autoscalers) = try_join(losses, subject.autoscalers()).await?;
    if let Some((pods, budgets)) = losses {
        budgets.on(&pods, &mut blast);
    }
    if wanted == 0 {
        blast.notes.push("no replica is left: whoever uses it gets no answer".into());
    }
    for (name, least, most) in autoscalers {
        blast.notes.push(match wanted {
            0 => format!("an HPA ({name}, {least}-{most}) is switched off while replicas are 0"),
            _ => format!("an HPA ({name}, {least}-{most}) will overrule this"),
        });
    }
    if subject.is_paused() {
        blast
            .notes
            .push(format!("{} is paused: replicas change, its rollout does not go on", subject.words()));
    }
    if now > 0 && wanted >= 20 && wanted / now >= 5 {
        blast.notes.push(format!("{wanted} is {} times as many as now", wanted / now));
    }
    Ok(blast)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn replicas_are_absolute_or_relative() {
        assert_eq!(Replicas::parse("6"), Ok(Replicas::Exactly(6)));
        assert_eq!(Replicas::parse("+2"), Ok(Replicas::By(2)));
        assert_eq!(Replicas::parse("-1"), Ok(Replicas::By(-1)));
        for text in ["", "+", "--1", "+-1", "six", "1.5", "1000000000", "٣", " 6"] {
            assert!(Replicas::parse(text).is_err(), "{text}");
        }
        assert_eq!(Replicas::By(-1).from(3, None, None), Ok(2));
        assert!(Replicas::By(-4).from(3, None, None).is_err());
    }

    #[test]
    fn a_change_goes_no_further_than_its_bounds_and_never_the_other_way() {
        let (up, down) = (Replicas::By(2), Replicas::By(-2));
        assert_eq!([3, 11, 12, 20].map(|now| up.from(now, None, Some(12))), [5, 12, 12, 20].map(Ok));
        assert_eq!([9, 4, 3, 1].map(|now| down.from(now, Some(3), None)), [7, 3, 3, 1].map(Ok));
        assert_eq!(down.from(1, Some(0), None), Ok(0));
        assert_eq!(Replicas::Exactly(20).from(1, None, None), Ok(20));
    }

    #[test]
    fn bounds_are_those_of_a_change() {
        let parsed = |line: &str| {
            let matches = Scale.command().try_get_matches_from(line.split_whitespace()).expect("a line");
            Scale.parse(&matches).map(|(_, parameters)| parameters)
        };
        assert_eq!(parsed("scale sts/db +2 --max 12"), Ok(json!({"replicas": "+2", "max": 12})));
        assert!(parsed("scale sts/db 6 --max 12").unwrap_err().contains("go with a change"));
    }

    proptest! {
        #[test]
        fn parsing_replicas_never_panics(text in any::<String>(), now in 0..u32::MAX) {
            if let Ok(replicas) = Replicas::parse(&text) {
                let _ = replicas.from(now, None, Some(now / 2));
            }
        }
    }
}
