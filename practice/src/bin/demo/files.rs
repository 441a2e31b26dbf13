//! What the demo keeps in its folder. Config, policy and tokens are written once and are yours to edit afterwards.

use super::{
    new_token,
    server::{at, end_left_behind},
    usable,
};
use anyhow::Context;
use practice::free_port;
use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Who may sign in, and as what.
const PEOPLE: &[(&str, &str)] = &[("ann", "on call"), ("bob", "approver"), ("cat", "approver")];

/// Said as soon as it is true.
pub const METRICS: &str = "\
Two weeks of metrics are there now. Try as ann
  forecast deploy/checkout -n shop -c prod-eu
  nodes forecast -c prod-eu
  hpa propose deploy/checkout -n shop -c prod-eu --why \"the sale\"            (bob or cat approves)
";

pub struct Files {
    folder: PathBuf,
    pub config: PathBuf,
    pub log: PathBuf,
    /// Where Prometheus keeps what it measured.
    pub prometheus: PathBuf,
    /// Where Alertmanager keeps what it was told.
    pub alertmanager: PathBuf,
    /// Where Prometheus listens, on loopback; the config names it.
    pub prometheus_port: u16,
    tokens: Vec<String>,
}

impl Files {
    /// Writes what is missing.
    pub fn prepare(data: &Path) -> anyhow::Result<Files> {
        usable(data)?;
        fs::create_dir_all(data).with_context(|| format!("create {}", data.display()))?;
        let folder = data.canonicalize()?;
        let mut tokens = Vec::new();
        for (name, _) in PEOPLE {
            tokens.push(token(&folder, name)?);
        }
        let config = folder.join("petrel.toml");
        token(&folder, "hook")?;
        let [prometheus, alertmanager, rules] =
            ["prometheus", "alertmanager", "rules"].map(|name| folder.join(name));
        for folder in [&prometheus, &alertmanager, &rules] {
            fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
            end_left_behind(folder);
        }
        let port = port(&prometheus.join("port"), &config)?;
        keep(&config, &petrel_toml(port))?;
        keep(&folder.join("policy.toml"), POLICY)?;
        keep(&rules.join("shop.heal"), RULES)?;
        Ok(Files {
            log: folder.join("petrel.log"),
            config,
            folder,
            prometheus,
            alertmanager,
            prometheus_port: port,
            tokens,
        })
    }

    pub fn cluster_data(&self, name: &str) -> PathBuf {
        self.folder.join("clusters").join(name)
    }

    /// Written at every start: the port is a new one.
    pub fn write_kubeconfig(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let path = self.folder.join(format!("{name}.kubeconfig"));
        secret(&path, text).with_context(|| format!("write {}", path.display()))
    }

    /// The last lines that petrel wrote.
    pub fn log_end(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        format!("the end of {}:\n{}", self.log.display(), lines[lines.len().saturating_sub(12)..].join("\n"))
    }

    /// The one block that the demo prints.
    pub fn welcome(&self, listen: SocketAddr) -> String {
        let base = format!("http://{listen}");
        let mut text = format!("\nPetrel is ready: {base}\n\nSign in as\n");
        for ((name, role), token) in PEOPLE.iter().zip(&self.tokens) {
            text.push_str(&format!(
                "  {name} ({role}){}{base}/sign-in#token={token}\n",
                " ".repeat(12 - role.len())
            ));
        }
        text.push_str(
            "\nTry as ann\n  \
             top pods -n shop -c prod-eu\n  \
             scale deploy/checkout 5 -n shop -c prod-eu --why \"sale tonight\"            (bob or cat approves)\n  \
             set-image deploy/cart cart=shop/cart:nope -n shop -c staging --why \"a typo\"  (watch it being undone)\n  \
             drill crash-loop deploy/cart -n shop -c staging --why \"are we woken?\"     (watch it being healed; then look at Drills)\n\
             \nIn half a minute something breaks in prod-eu: stay in the room, and click.\n",
        );
        text.push_str(&format!("\nEverything is kept in {}. Ctrl-C stops it.\n", self.folder.display()));
        text
    }
}

fn token(folder: &Path, name: &str) -> anyhow::Result<String> {
    let path = folder.join(format!("{name}.token"));
    if let Ok(text) = fs::read_to_string(&path) {
        return Ok(text.trim().to_owned());
    }
    let token = new_token()?;
    secret(&path, &format!("{token}\n")).with_context(|| format!("write {}", path.display()))?;
    Ok(token)
}

/// For nobody else's eyes.
fn secret(path: &Path, text: &str) -> std::io::Result<()> {
    fs::OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?
        .write_all(text.as_bytes())
}

fn keep(path: &Path, text: &str) -> anyhow::Result<()> {
    if path.exists() {
        return Ok(());
    }
    fs::write(path, text).with_context(|| format!("write {}", path.display()))
}

/// The port of the last time; where somebody else took it, another one, which the config then names.
fn port(file: &Path, config: &Path) -> anyhow::Result<u16> {
    let before: Option<u16> = fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok());
    if let Some(before) = before.filter(|before| TcpListener::bind(at(*before)).is_ok()) {
        return Ok(before);
    }
    let port = free_port().context("find a free port")?;
    if let (Some(before), Ok(text)) = (before, fs::read_to_string(config)) {
        fs::write(config, text.replace(&address(before), &address(port)))
            .with_context(|| format!("write {}", config.display()))?;
    }
    fs::write(file, port.to_string()).with_context(|| format!("write {}", file.display()))?;
    Ok(port)
}

fn address(port: u16) -> String {
    format!("http://127.0.0.1:{port}\"")
}

fn petrel_toml(prometheus_port: u16) -> String {
    let mut text = CONFIG.replace("PROMETHEUS\"", &address(prometheus_port));
    for (name, _) in PEOPLE {
        text.push_str(&format!("\n[[console.person]]\nperson = \"{name}\"\ntoken_file = \"{name}.token\"\n"));
        text.push_str(&format!("\n[[api.token]]\nname = \"{name}\"\ntoken_file = \"{name}.token\"\n"));
    }
    text
}

const CONFIG: &str = r##"# The demo's configuration. Edit it as you like; the demo does not write it again. Paths are relative to this file.

[database]
private = "postgres"

[policy]
file = "policy.toml"

[audit]
checkpoint_dir = "checkpoints"
signing_key_file = "checkpoint.key"
every = "10m"

[[cluster]]
name = "prod-eu"
kubeconfig = "prod-eu.kubeconfig"
labels = { production = "true", region = "eu" }

[cluster.prometheus]
url = "PROMETHEUS"
labels = { cluster = "prod-eu" }

[[cluster]]
name = "staging"
kubeconfig = "staging.kubeconfig"
# Petrel itself looks out for trouble there; in prod-eu Prometheus does.
watch = true

[cluster.prometheus]
url = "PROMETHEUS"
labels = { cluster = "staging" }

[[room]]
place = "console:ops"
notices = ["incidents", "break-glass", "unknown"]
notice_clusters = ["prod-eu"]

[[room]]
place = "console:staging"
cluster = "staging"
namespace = "shop"
notices = ["incidents"]
notice_clusters = ["staging"]

# Alertmanager tells what happens here, at /hook/alertmanager/prom.
[[intake]]
name = "prom"
kind = "alertmanager"
token_file = "hook.token"

# What is done about it.
[heal]
rules = "rules"
rooms = { "#ops" = "console:ops" }
"##;

const RULES: &str = r##"# What Petrel asks for when something happens. Edit it as you like: it is read again when it changes, and a mistake leaves the old
# rules in force. Policy decides what becomes of it: in prod-eu it needs one click of anybody's, in staging none.

rule "a bad release goes back" {
  on alert "KubePodCrashLooping" where namespace == "shop"
  then [ rollback(workload) ]
  verify within 3m { alert resolved, rollout healthy }
  else [ escalate("#ops") ]
}

# What Petrel sees in staging by itself. (recommendations never had a release that worked.)
rule "a bad release goes back in staging" {
  on event "CrashLoopBackOff" where namespace == "shop" and workload != "recommendations"
  then [ rollback(workload) ]
  verify within 3m { alert resolved, rollout healthy }
  else [ escalate("console:staging") ]
}
"##;

const POLICY: &str = r#"# Who may do what in the demo. The first rule that matches decides; without one the answer is no.

contact = "ann"

[[person]]
name = "ann"
identities = ["console:ann", "api:ann"]
groups = ["oncall"]

[[person]]
name = "bob"
identities = ["console:bob", "api:bob"]
groups = ["approvers"]

[[person]]
name = "cat"
identities = ["console:cat", "api:cat"]
groups = ["approvers"]

# Rules of rules/ ask as the alert they are about.
[[machine]]
name = "healer"
identities = ["alert:*"]
groups = ["machines"]

# What a proposal left to be done later: its schedule of floors, or putting it back.
[[machine]]
name = "forecaster"
identities = ["forecast:*"]
groups = ["machines"]

[[cap]]
name = "a steady hand"
each = "person"
per_hour = 60

[[rule]]
name = "one thing at a time per workload"
action = "*"
when = 'target.busy'
decide = "refuse"
message = "Another change of this workload is under way; wait for it to end, or cancel it."

[[rule]]
name = "nobody scales production to zero"
action = "scale"
when = 'cluster.labels.production == "true" && params.replicas == 0'
decide = "refuse"
message = "Scaling to zero takes the service down. If that is meant: break-glass."

[[rule]]
name = "steps of a schedule that a person approved"
action = ["floor"]
when = '"machines" in actor.groups'
decide = "allow"

[[rule]]
name = "what a machine asks for in production needs one click"
action = "*"
when = '"machines" in actor.groups && cluster.labels.production == "true"'
decide = "approve"
votes = 1
from = ["oncall", "approvers"]
within = "30m"

[[rule]]
name = "two people for what can hurt production"
action = "*"
when = 'cluster.labels.production == "true" && plan.risk == "high"'
decide = "approve"
votes = 2
from = ["approvers"]
within = "30m"
needs_why = true
type_cluster = true

[[rule]]
name = "one more pair of eyes for the rest of production"
action = "*"
when = 'cluster.labels.production == "true"'
decide = "approve"
votes = 1
from = ["approvers"]
within = "1h"
needs_why = true

[[rule]]
name = "anything goes elsewhere"
action = "*"
when = 'cluster.labels.production != "true"'
decide = "allow"

[[rule]]
name = "on call may break the glass"
action = "break-glass"
when = '"oncall" in actor.groups'
decide = "allow"
"#;
