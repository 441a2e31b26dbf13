//! What a `.heal` file says, as values. Two trees are equal when they say the same with the same comments, wherever it
//! stands ([`Span`]).

use super::{At, Span};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A text as it was meant, without quotes and escapes.
pub type Text = At<String>;

/// One line of what stands between things.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Line {
    /// With its `#` or `//`.
    Comment(String),
    /// An empty line behind a comment.
    Blank,
}

/// Something with the comments that belong to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Commented<T> {
    /// On the lines above.
    pub before: Vec<Line>,
    /// What it is about.
    pub value: T,
    /// Behind it on the same line.
    pub after: Option<String>,
}

/// A file.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct File {
    /// In the order they are written, which is the order they are tried in.
    pub rules: Vec<Commented<Rule>>,
    /// Comments behind the last rule.
    pub end: Vec<Line>,
}

/// `rule "name" { on … }`, or the short form `on … { … }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// None in the short form, which is called after its event.
    pub name: Option<Text>,
    /// What it listens to.
    pub on: Commented<On>,
    /// All of these must hold.
    pub when: Vec<Commented<Condition>>,
    /// `unless healed within 30m`
    pub unless: Option<Commented<At<Duration>>>,
    /// `limit 3 per 1h per workload`
    pub limits: Vec<Commented<Limit>>,
    /// What to do.
    pub then: Commented<List<Step>>,
    /// How to know that it helped.
    pub verify: Option<Commented<Verify>>,
    /// What to do when it did not.
    pub otherwise: Option<Commented<List<Step>>>,
    /// Comments before the closing brace.
    pub end: Vec<Line>,
    /// The first line, for messages about the rule as a whole.
    pub span: Span,
}

impl Rule {
    /// What the rule is called in limits, records and messages.
    pub fn title(&self) -> String {
        match &self.name {
            Some(name) => name.value.clone(),
            None => format!("{} {}", self.on.value.origin.value.word(), self.on.value.name.value),
        }
    }
}

/// Where an event comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// Alertmanager or Grafana.
    Alert,
    /// CloudEvents, and what is watched in a cluster.
    Event,
    /// The log patrol.
    Log,
    /// An inspection.
    Finding,
}

/// `on alert "KubePodCrashLooping" where …`
#[derive(Clone, Debug, PartialEq)]
pub struct On {
    /// Alert, event, log or finding.
    pub origin: At<Origin>,
    /// The event's name, exactly.
    pub name: Text,
    /// What else must be true of the event.
    pub filter: Option<Expression>,
}

/// A question about the event's own words. `And` and `Or` hold two or more, none of them of their own kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Expression {
    /// Any of them.
    Or(Vec<Expression>),
    /// All of them.
    And(Vec<Expression>),
    /// The opposite.
    Not(Box<Expression>),
    /// `severity >= 3`
    Compare {
        /// Of the event.
        attribute: Attribute,
        /// How.
        operator: At<Operator>,
        /// With what.
        value: At<Value>,
    },
    /// `labels.namespace in ["shop", "pay"]`
    In {
        /// Of the event.
        attribute: Attribute,
        /// Any of these.
        values: Vec<At<Value>>,
    },
}

/// `severity`, `labels.namespace`, `labels["app.kubernetes.io/name"]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// The first word.
    pub name: Text,
    /// What is asked for inside of it.
    pub key: Option<Text>,
}

impl Attribute {
    /// From the first letter to the last.
    pub fn span(&self) -> Span {
        self.name.span.to(self.key.as_ref().map_or(self.name.span, |key| key.span))
    }
}

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Operator {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `=~`
    Matches,
    /// `!~`
    MatchesNot,
}

/// A literal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Value {
    /// `0.05`; finite
    Number(f64),
    /// `"shop"`
    Text(String),
}

/// A question about the world, asked when the event has come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Condition {
    /// `promql("…") > 0.05 for 2m`
    Promql {
        /// PromQL with one sample as its answer.
        query: Text,
        /// How.
        operator: At<Operator>,
        /// With what.
        bound: At<f64>,
        /// Without a break for so long.
        lasting: Option<At<Duration>>,
    },
    /// `exec "df -h /data" -> parse("Use%: ([0-9]+)%") > 95`
    Exec {
        /// In the sandbox when None.
        pod: Option<Pod>,
        /// As one line.
        command: Text,
        /// Its first group is the value, or the whole match where it has none.
        pattern: Text,
        /// How.
        operator: At<Operator>,
        /// With what.
        value: At<Value>,
    },
    /// `log("OutOfMemory", within: 5m) >= 3`: how many lines of the workload's pods match.
    Log {
        /// A regular expression.
        pattern: Text,
        /// How far back.
        within: At<Duration>,
        /// How.
        operator: At<Operator>,
        /// With what.
        count: At<f64>,
    },
    /// `condition(node, "Ready") == "False"`: a condition in an object's status.
    Status {
        /// Of what.
        subject: At<Subject>,
        /// The condition's type.
        name: Text,
        /// `==` or `!=`.
        operator: At<Operator>,
        /// `True`, `False` or `Unknown`.
        value: Text,
    },
}

/// `in pod(workload, container: "app")`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pod {
    /// The event's pod, any running one of its workload, or one by name.
    pub which: At<Which>,
    /// Needed where there are several.
    pub container: Option<Text>,
}

/// Something in the cluster: by the event's word for it, or by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Which {
    /// As the event says.
    Subject(Subject),
    /// By name.
    Name(String),
}

/// What an event is about, as rules call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Subject {
    /// Deployment, StatefulSet or DaemonSet.
    Workload,
    /// A pod.
    Pod,
    /// A node.
    Node,
}

/// `limit 3 per 1h per workload`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// How often.
    pub count: At<u32>,
    /// In how long.
    pub per: At<Duration>,
    /// Counted for what.
    pub scope: At<Scope>,
}

/// For what a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Each workload.
    Workload,
    /// Each namespace.
    Namespace,
    /// Each cluster.
    Cluster,
    /// The rule, wherever.
    Rule,
}

/// `[ a, b ]` or `{ a, b }`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct List<T> {
    /// In order.
    pub items: Vec<Commented<T>>,
    /// Comments before the closing bracket.
    pub end: Vec<Line>,
    /// From bracket to bracket.
    pub span: Span,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// `wait 2m`
    Wait(At<Duration>),
    /// `scale(workload, replicas: +2, max: 12)`
    Action(Call),
}

/// An action with its arguments.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// As the catalogue has it.
    pub action: Text,
    /// In order.
    pub arguments: Vec<Argument>,
    /// From the name to the closing parenthesis.
    pub span: Span,
}

/// `workload` or `replicas: +2`
#[derive(Clone, Debug, PartialEq)]
pub struct Argument {
    /// None when it goes by its place.
    pub name: Option<Text>,
    /// What is given.
    pub value: At<Given>,
}

/// What an argument can be.
#[derive(Clone, Debug, PartialEq)]
pub enum Given {
    /// What the event is about.
    Subject(Subject),
    /// `"#oncall"`
    Text(String),
    /// `12`
    Number(f64),
    /// `+2` or `-1`: from what it is now.
    Change(f64),
    /// `5m`
    Duration(Duration),
}

/// `verify within 5m { … }`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verify {
    /// How long it may take.
    pub within: At<Duration>,
    /// All of these must hold in the end.
    pub checks: List<Check>,
}

/// One thing that must hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Check {
    /// `alert resolved`
    AlertResolved(Span),
    /// `rollout healthy`
    RolloutHealthy(Span),
    /// The same questions as in `when`.
    Holds(Box<Condition>),
}

/// Words of the language for a closed set of values.
macro_rules! words {
    ($type:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        impl $type {
            /// All, in the order they are listed to people.
            pub const ALL: &'static [$type] = &[$($type::$variant),+];

            /// As it is written.
            pub fn word(self) -> &'static str {
                match self { $($type::$variant => $word),+ }
            }

            /// From what was written.
            pub fn from_word(word: &str) -> Option<$type> {
                match word { $($word => Some($type::$variant),)+ _ => None }
            }
        }
    };
}

words!(Origin { Alert = "alert", Event = "event", Log = "log", Finding = "finding" });
words!(Subject { Workload = "workload", Pod = "pod", Node = "node" });
words!(Scope { Workload = "workload", Namespace = "namespace", Cluster = "cluster", Rule = "rule" });
words!(Operator {
    Equal = "==",
    NotEqual = "!=",
    LessOrEqual = "<=",
    GreaterOrEqual = ">=",
    Less = "<",
    Greater = ">",
    Matches = "=~",
    MatchesNot = "!~",
});
