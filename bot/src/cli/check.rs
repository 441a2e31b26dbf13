//! `petrel check`: one line for each thing that must be right before `serve`, and how to mend what is not.

use crate::{
    config::{Config, Notice, Proof},
    database, discord,
    door::Checked,
    external,
    healing::RulesHandle,
    slack,
};
use actions::{
    cluster::Clusters,
    policy::{Policy, PolicyHandle},
};
use anyhow::Result;
use jiff::Timestamp;
use ledger::Actor;
use std::{error::Error, path::Path, process::ExitCode};

/// Prints as it goes. 0: all is well.
pub async fn check(file: &Path) -> Result<ExitCode> {
    let mut report = Report { faults: 0 };
    let config = match Config::load(file) {
        Ok(config) => {
            report.good("config", &file.display().to_string());
            config
        }
        Err(error) => {
            report.bad("config", &error.to_string(), "mend the file; nothing else can be checked before");
            return Ok(ExitCode::FAILURE);
        }
    };
    policy(&config, &mut report);
    rooms(&config, &mut report);
    healing(&config, &mut report);
    if config.slack.is_some() {
        report.take(slack::check(&config).await);
    }
    if config.discord.is_some() {
        report.take(discord::check(&config).await);
    }
    machines(&config, &mut report);
    external_metrics(&config, &mut report);
    sandbox(&config, &mut report).await;
    database(&config, &mut report).await;
    clusters(&config, &mut report).await;
    Ok(if report.faults == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Report {
    faults: u32,
}

impl Report {
    fn good(&self, what: &str, text: &str) {
        println!("ok    {what}: {text}");
    }

    fn mind(&self, what: &str, text: &str, mend: &str) {
        println!("mind  {what}: {text}; {mend}");
    }

    fn bad(&mut self, what: &str, text: &str, mend: &str) {
        self.faults += 1;
        println!("BAD   {what}: {text}; {mend}");
    }

    fn take(&mut self, lines: Vec<Checked>) {
        for line in lines {
            match line {
                Checked::Good { what, text } => self.good(&what, &text),
                Checked::Mind { what, text, mend } => self.mind(&what, &text, &mend),
                Checked::Bad { what, text, mend } => self.bad(&what, &text, &mend),
            }
        }
    }
}

/// Only rules with `exec` need it, so a machine where it cannot be is no fault.
async fn sandbox(config: &Config, report: &mut Report) {
    let least = "until then no command of a rule is run (docs/SANDBOX.md)";
    match config.sandbox.run(&["true".to_owned()]).await {
        Ok(ran) if ran.ended == sandbox::Ended::Exited(0) => {
            let missing: Vec<String> = ran
                .layers
                .iter()
                .filter(|(_, standing)| **standing != sandbox::Standing::InForce)
                .map(|(layer, _)| layer.to_string())
                .chain(ran.remarks)
                .collect();
            match missing.is_empty() {
                true => report.good("sandbox", "commands of rules run behind all layers"),
                false => {
                    report.good("sandbox", &format!("commands of rules run, but: {}", missing.join(", ")))
                }
            }
        }
        Ok(ran) => report.mind("sandbox", &format!("`true` did not run there: {:?}", ran.ended), least),
        Err(error) => report.mind("sandbox", &error.to_string(), least),
    }
}

fn policy(config: &Config, report: &mut Report) {
    let policy = match PolicyHandle::load(&config.policy) {
        Ok(handle) => handle.current(),
        Err(error) => {
            return report.bad("policy", &error.to_string(), "docs/POLICY.md says what may stand there");
        }
    };
    let people = policy.people().len();
    report.good(
        "policy",
        &format!("{}, version {}, {people} people", config.policy.display(), policy.version()),
    );
    let console = config.people.iter().map(|person| format!("console:{}", person.person));
    let api = config.api.iter().map(|token| format!("api:{}", token.name));
    for actor in console.chain(api).filter(|actor| is_stranger(&policy, actor)) {
        report.mind(
            "policy",
            &format!("{actor} has a token and is nobody"),
            "add it to a person's identities, or take the token away",
        );
    }
}

/// Is there somebody to hear what nobody should miss, and a door to every room?
fn rooms(config: &Config, report: &mut Report) {
    let door = |platform: &str| match platform {
        "slack" => config.slack.is_some(),
        "discord" => config.discord.is_some(),
        _ => true,
    };
    for room in config.rooms.iter().filter(|room| !door(room.place.platform())) {
        let (what, platform) = (format!("room {}", room.place), room.place.platform());
        report.mind(&what, &format!("there is no [{platform}]"), "add that table, or take the room away");
    }
    for cluster in &config.clusters {
        for notice in [Notice::Unknown, Notice::BreakGlass] {
            if config.hearing(notice, &cluster.name).next().is_none() {
                report.mind(
                    &format!("cluster {}", cluster.name),
                    &format!("no room hears its \"{}\" notices", notice.as_str()),
                    "name it in a [[room]]'s notices",
                );
            }
        }
    }
}

/// Are there rules, somebody who tells what happened, and somebody whom policy lets ask?
fn healing(config: &Config, report: &mut Report) {
    let rules = RulesHandle::new(config.heal.rules.clone());
    match (&config.heal.rules, rules.reload()) {
        (None, _) if config.intakes.is_empty() => return,
        (None, _) => {
            report.mind("rules", "there are none", "add [heal] rules = \"folder\" with *.heal files")
        }
        (Some(folder), Ok(_)) => {
            let rules = rules.current();
            report.good(
                "rules",
                &format!("{}, {} rules, version {}", folder.display(), rules.all().len(), rules.version()),
            );
        }
        (Some(_), Err(error)) => {
            report.bad("rules", &error.to_string(), "docs/HEALING.md says what may stand there")
        }
    }
    for intake in &config.intakes {
        let (kind, name) = (intake.kind.as_str(), &intake.name);
        let proof = match intake.proof {
            Proof::Token(_) => "a bearer token",
            Proof::Hmac(_) => "a signature",
        };
        report.good(
            "intake",
            &format!("POST {} with {proof}", config.address(&format!("/hook/{kind}/{name}"))),
        );
        if intake.cluster.is_none() {
            report.mind(
                "intake",
                &format!("{name} names no cluster for alerts without a label `cluster`"),
                "add cluster = \"...\", or that label",
            );
        }
    }
    if config.intakes.is_empty() {
        report.mind("intake", "there are rules and nobody tells what happens", "add [[intake]]");
    }
    if let Ok(policy) = PolicyHandle::load(&config.policy)
        && is_stranger(&policy.current(), "alert:*")
    {
        report.mind(
            "policy",
            "alert:* is nobody, so rules can ask for nothing",
            "add a [[machine]] with identities = [\"alert:*\"]",
        );
    }
    for cluster in &config.clusters {
        if config.hearing(Notice::Incidents, &cluster.name).next().is_none() {
            report.mind(
                &format!("cluster {}", cluster.name),
                "no room hears its \"incidents\" notices, so nobody is called",
                "name it in a [[room]]'s notices",
            );
        }
    }
}

/// May Petrel ask for what it is to ask for by itself?
fn machines(config: &Config, report: &mut Report) {
    let Ok(policy) = PolicyHandle::load(&config.policy) else { return };
    let policy = policy.current();
    for scheduled in &config.schedules {
        if is_stranger(&policy, scheduled.actor.as_str()) {
            report.mind(
                &format!("schedule {}", scheduled.name),
                &format!("{} is nobody, so it can ask for nothing", scheduled.actor),
                "add a [[machine]] with identities = [\"schedule:*\"]",
            );
        }
    }
    if config.clusters.iter().any(|cluster| cluster.prometheus.is_some())
        && is_stranger(&policy, "forecast:*")
    {
        report.mind(
            "policy",
            "forecast:* is nobody, so approved floors do not come by themselves, nor does the way back",
            "add a [[machine]] with identities = [\"forecast:*\"] (docs/FORECAST.md)",
        );
    }
}

fn is_stranger(policy: &Policy, actor: &str) -> bool {
    actor.parse::<Actor>().is_ok_and(|actor| policy.who(&actor).is_none())
}

fn external_metrics(config: &Config, report: &mut Report) {
    let Some(external) = &config.external_metrics else { return };
    let what = "external metrics";
    if let Err(error) = external::tls(external) {
        let why = error.source().map(|source| format!(": {source}")).unwrap_or_default();
        report.bad(what, &format!("{error}{why}"), "docs/METRICS.md says where the files come from");
        return;
    }
    let listen = external.listen;
    report.good(what, &format!("of {} at {listen}, its certificates can be used", external.cluster));
    if external.allowed_names.is_empty() {
        report.mind(
            what,
            "any certificate of the clients' authority is let in",
            "name the front proxy in allowed_names, unless the authority signs nothing else",
        );
    }
}

async fn database(config: &Config, report: &mut Report) {
    let database = match database::open_once(&config.database).await {
        Ok(database) => database,
        Err(error) => {
            return report.bad(
                "database",
                &format!("{error:#}"),
                "check [database] in the config, and that the server runs",
            );
        }
    };
    match database.ledger.ping().await {
        Ok(version) => report.good("database", &format!("PostgreSQL {version}, schema up to date")),
        Err(error) => report.bad("database", &error.to_string(), "check that the server runs"),
    }
    match database.ledger.rooms_given_up().await {
        Ok(rooms) => {
            for (place, count, why) in rooms {
                let text = format!("{count} cards were given up there within the last day: {why}");
                report.mind(
                    &format!("room {place}"),
                    &text,
                    "invite the bot again, or take the room out of [[room]]",
                );
            }
        }
        Err(error) => report.bad("database", &error.to_string(), "check that the server runs"),
    }
    match database.ledger.rights_on_record().await {
        Ok(rights) if rights.is_empty() => {
            report.good("record", "the serving role can append to it and not change it")
        }
        Ok(rights) => report.bad(
            "record",
            &format!("the serving role could change it: {}", rights.join(", ")),
            "serve as a role that does not own the schema, and run `petrel migrate` again",
        ),
        Err(error) => report.bad("record", &error.to_string(), "check that the server runs"),
    }
    if config.audit.is_none() {
        report.mind(
            "record",
            "no checkpoint is kept outside the database",
            "add [audit] checkpoint_dir and signing_key_file",
        );
    }
    if let Err(error) = database.close().await {
        report.bad("database", &format!("{error:#}"), "look at the server's log");
    }
}

async fn clusters(config: &Config, report: &mut Report) {
    if config.clusters.is_empty() {
        report.mind("clusters", "none", "add [[cluster]] with name and kubeconfig");
    }
    let clusters = Clusters::new(config.clusters.clone());
    for health in clusters.health().await {
        let what = format!("cluster {}", health.name);
        match (&health.version, &health.trouble) {
            (Some(version), None) => {
                let nodes = health
                    .nodes
                    .map_or_else(String::new, |(ready, all)| format!(", {ready} of {all} nodes ready"));
                let latency =
                    health.latency_ms.map_or_else(String::new, |ms| format!(", answers in {ms} ms"));
                report.good(&what, &format!("{version}{latency}{nodes}"));
                rights(&clusters, &health.name, &what, report).await;
                prometheus(&clusters, &health.name, report).await;
            }
            (_, trouble) => {
                let text = trouble.clone().unwrap_or_else(|| "does not say its version".into());
                // Errors of a cluster name it, and so does this line.
                let text = text.strip_prefix(&format!("{what}: ")).unwrap_or(&text);
                report.bad(&what, text, "check its address, its token and what the token may do");
            }
        }
    }
}

async fn rights(clusters: &Clusters, name: &str, what: &str, report: &mut Report) {
    let missing = match clusters.get(name) {
        Ok(cluster) => cluster.not_allowed().await,
        Err(error) => Err(error),
    };
    match missing {
        Ok(missing) if missing.is_empty() => {
            report.good(what, "its credentials may read and change what the actions are about");
        }
        Ok(missing) => report.mind(
            what,
            &format!("its credentials may not, in all namespaces: {}", missing.join(", ")),
            "grant it with a ClusterRole and a ClusterRoleBinding, or leave it: then the cluster refuses what needs it",
        ),
        Err(error) => report.mind(
            what,
            &format!("does not say what its credentials may do: {error}"),
            "let them create selfsubjectaccessreviews (ClusterRole system:basic-user)",
        ),
    }
}

/// Nothing to say where none is configured: only forecasts and conditions on metrics need it.
async fn prometheus(clusters: &Clusters, name: &str, report: &mut Report) {
    let Ok(cluster) = clusters.get(name) else { return };
    let Ok(prometheus) = cluster.prometheus() else { return };
    let what = format!("prometheus of {name}");
    match prometheus.look(Timestamp::now()).await {
        Ok(look) if look.missing.is_empty() => {
            let text =
                format!("answers in {} ms, has what containers use and ask for", look.latency.as_millis());
            report.good(&what, &text);
        }
        Ok(look) => {
            let missing: Vec<String> =
                look.missing.iter().map(|(metric, source)| format!("{metric} of {source}")).collect();
            report.mind(
                &what,
                &format!("it answers, and has no {}", missing.join(", no ")),
                "let it scrape them, or say in [[cluster.prometheus.query]] what to ask for instead",
            );
        }
        Err(error) => report.bad(&what, &error.to_string(), "docs/METRICS.md shows the table"),
    }
}
