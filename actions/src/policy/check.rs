//! What can be known about a condition before anybody asks anything: that its variables, fields, functions and values
//! exist, and that its types fit. A typing error in a policy must be found when the file is loaded, not when it matters.

use super::{
    Who,
    condition::{Fault, brief},
    vocabulary::{Doing, NOT_FOR_QUERIES, Scene, VARIABLES, WEEKDAYS},
};
use cel::{
    Context, Env, ExecutionError, IdedExpr, Value,
    common::{
        ast::{CallExpr, ComprehensionExpr, Expr, LiteralValue, SelectExpr, SourceInfo, operators},
        types::CelBool,
    },
};
use ledger::{Actor, Blast, Person, Plan, Risk, Target, Verify};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, LazyLock},
};

/// Nesting that a readable condition does not reach; it bounds the stack that evaluation takes.
const DEEPEST: usize = 40;

/// Functions that conditions may call; operators apart.
const FUNCTIONS: &[&str] =
    &["contains", "double", "endsWith", "int", "matches", "size", "startsWith", "string"];

/// Kinds that actions work on.
const KINDS: &[&str] =
    &["CronJob", "DaemonSet", "Deployment", "Job", "MachineDeployment", "Pod", "Pool", "StatefulSet"];

/// Kinds of identity.
pub(super) const IDENTITY_KINDS: &[&str] =
    &["alert", "api", "console", "discord", "forecast", "schedule", "slack"];

/// The names that a policy file may use in conditions, apart from variables.
#[derive(Clone, Copy)]
pub(super) struct Words<'a> {
    /// What `action` can be.
    pub actions: &'a [&'a str],
    pub people: &'a BTreeSet<&'a str>,
    pub groups: &'a BTreeSet<&'a str>,
    /// The condition must also make sense for questions.
    pub for_queries: bool,
}

/// What an expression depends on.
#[derive(Clone, Copy, Default)]
struct Depends {
    /// On parameters, whose types differ by action.
    params: bool,
    /// On the variable of an enclosing `exists` or `all`.
    bound: bool,
}

impl std::ops::BitOr for Depends {
    type Output = Depends;
    fn bitor(self, other: Depends) -> Depends {
        Depends { params: self.params | other.params, bound: self.bound | other.bound }
    }
}

/// One check of one condition.
pub(super) struct Check<'a> {
    words: &'a Words<'a>,
    info: &'a SourceInfo,
    sample: Context<'static, 'static>,
}

impl<'a> Check<'a> {
    pub fn new(words: &'a Words<'a>, env: &Arc<Env>, info: &'a SourceInfo) -> Self {
        Check { words, info, sample: SAMPLE.scene().bind(env) }
    }

    /// The whole condition: its parts, and that it is true or false.
    pub fn whole(&self, expression: &IdedExpr) -> Result<(), Fault> {
        let depends = self.walk(expression, &mut Vec::new(), 0)?;
        match Value::resolve_val(expression, &self.sample) {
            Ok(value) if !depends.params && value.downcast_ref::<CelBool>().is_none() => {
                let kind = value.get_type().name();
                Err(Fault {
                    offset: 0,
                    message: format!("a condition must be true or false; this is {kind}"),
                })
            }
            _ => Ok(()),
        }
    }

    fn walk(&self, node: &IdedExpr, bound: &mut Vec<String>, depth: usize) -> Result<Depends, Fault> {
        if depth > DEEPEST {
            return Err(self.fault(node, format!("nested more than {DEEPEST} deep; split it into two rules")));
        }
        let depends = match &node.expr {
            Expr::Literal(_) => return Ok(Depends::default()),
            Expr::Ident(name) if bound.contains(name) => {
                return Ok(Depends { bound: true, ..Depends::default() });
            }
            Expr::Ident(_) => self.path(node, &path(&node.expr).unwrap_or_default())?,
            Expr::Select(select) => self.select(node, select, bound, depth)?,
            Expr::List(list) => self.all(&list.elements, bound, depth)?,
            Expr::Call(call) => self.call(node, call, bound, depth)?,
            Expr::Comprehension(each) => self.comprehension(node, each, bound, depth)?,
            Expr::Unspecified | Expr::Map(_) | Expr::Struct(_) => {
                return Err(self.fault(node, "maps and structs have no place in a condition"));
            }
        };
        if !depends.params && !depends.bound {
            self.types(node)?;
        }
        Ok(depends)
    }

    fn all(&self, nodes: &[IdedExpr], bound: &mut Vec<String>, depth: usize) -> Result<Depends, Fault> {
        nodes.iter().try_fold(Depends::default(), |sum, node| Ok(sum | self.walk(node, bound, depth + 1)?))
    }

    fn select(
        &self,
        node: &IdedExpr,
        select: &SelectExpr,
        bound: &mut Vec<String>,
        depth: usize,
    ) -> Result<Depends, Fault> {
        match path(&node.expr) {
            Some(names) if !bound.iter().any(|name| name == names[0]) => {
                if select.test && names.starts_with(&["cluster", "labels"]) {
                    let message = "a label that a cluster does not have reads as \"\": compare with that instead of has()";
                    return Err(self.fault(node, message));
                }
                self.path(node, &names)
            }
            _ => self.walk(&select.operand, bound, depth + 1),
        }
    }

    /// `plan.risk` and the like must be in the vocabulary.
    fn path(&self, node: &IdedExpr, names: &[&str]) -> Result<Depends, Fault> {
        let [root, fields @ ..] = names else { return Ok(Depends::default()) };
        let Some((_, known)) = VARIABLES.iter().find(|(name, _)| name == root) else {
            let all = VARIABLES.iter().map(|(name, _)| *name).collect::<Vec<_>>();
            return Err(self.fault(node, format!("there is no variable '{root}'{}", which(root, &all))));
        };
        if let Some(field) = fields.first().filter(|field| *root != "params" && !known.contains(field)) {
            let message = if known.is_empty() {
                format!("{root} is a plain value and has no field '{field}'")
            } else {
                format!("{root} has no field '{field}'{}", which(field, known))
            };
            return Err(self.fault(node, message));
        }
        if self.words.for_queries {
            let name = fields.first().map_or(root.to_string(), |field| format!("{root}.{field}"));
            if NOT_FOR_QUERIES.contains(root) || NOT_FOR_QUERIES.contains(&name.as_str()) {
                return Err(self.fault(
                    node,
                    format!("a question has no {name}; write a rule of its own for \"query\""),
                ));
            }
        }
        Ok(Depends { params: *root == "params", bound: false })
    }

    fn call(
        &self,
        node: &IdedExpr,
        call: &CallExpr,
        bound: &mut Vec<String>,
        depth: usize,
    ) -> Result<Depends, Fault> {
        let name = call.func_name.as_str();
        // Operators and what macros expand to are spelled with characters that no function name begins with.
        let is_operator = name.starts_with(['_', '@', '!', '-']);
        if !is_operator && !FUNCTIONS.contains(&name) {
            return Err(self.fault(node, format!("there is no function '{name}'{}", which(name, FUNCTIONS))));
        }
        let mut depends = self.all(&call.args, bound, depth)?;
        if let Some(target) = &call.target {
            depends = depends | self.walk(target, bound, depth + 1)?;
        }
        if let (operators::EQUALS | operators::NOT_EQUALS | operators::IN, [left, right]) =
            (name, &call.args[..])
        {
            self.known_values(left, right)?;
            self.known_values(right, left)?;
            if name != operators::IN && !depends.params && !depends.bound {
                self.comparable(node, left, right)?;
            }
        }
        Ok(depends)
    }

    fn comprehension(
        &self,
        node: &IdedExpr,
        each: &ComprehensionExpr,
        bound: &mut Vec<String>,
        depth: usize,
    ) -> Result<Depends, Fault> {
        if !bound.is_empty() {
            // One level keeps the cost of a condition linear in what it looks at.
            return Err(self.fault(node, "exists, all, map and filter cannot be nested"));
        }
        let range = self.walk(&each.iter_range, bound, depth + 1)?;
        bound.extend([each.iter_var.clone(), each.accu_var.clone()]);
        bound.extend(each.iter_var2.clone());
        let mut body = Depends::default();
        for part in [&each.accu_init, &each.loop_cond, &each.loop_step, &each.result] {
            body = body | self.walk(part, bound, depth + 1)?;
        }
        bound.clear();
        Ok(Depends { params: range.params | body.params, bound: false })
    }

    /// Evaluates one part against a representative sample. Each part is tried on its own, so that an error behind an
    /// `&&` that is false in the sample is found too.
    fn types(&self, node: &IdedExpr) -> Result<(), Fault> {
        use ExecutionError::{DivisionByZero, IndexOutOfBounds, NoSuchKey, Overflow, RemainderByZero};
        match Value::resolve_val(node, &self.sample) {
            Ok(_)
            | Err(
                NoSuchKey(_) | IndexOutOfBounds(_) | DivisionByZero(_) | RemainderByZero(_) | Overflow(..),
            ) => Ok(()),
            Err(error) => Err(self.fault(node, brief(&error))),
        }
    }

    /// CEL says that values of different types are never equal, without an error: `labels.production == true` would
    /// quietly never hold.
    fn comparable(&self, node: &IdedExpr, left: &IdedExpr, right: &IdedExpr) -> Result<(), Fault> {
        let kind = |part| {
            Value::resolve_val(part, &self.sample).ok().map(|value| value.get_type().name().to_string())
        };
        let (Some(left), Some(right)) = (kind(left), kind(right)) else { return Ok(()) };
        let is_number = |kind: &str| ["int", "uint", "double"].contains(&kind);
        if left == right || (is_number(&left) && is_number(&right)) {
            return Ok(());
        }
        Err(self.fault(node, format!("compares {left} with {right}, which are never equal")))
    }

    /// Where a variable has a known set of values, the text it is compared with must be one of them.
    fn known_values(&self, variable: &IdedExpr, with: &IdedExpr) -> Result<(), Fault> {
        let Some(names) = path(&variable.expr) else { return Ok(()) };
        let known: Vec<&str> = match names.join(".").as_str() {
            "plan.risk" => vec!["low", "medium", "high"],
            "time.weekday" => WEEKDAYS.to_vec(),
            "target.kind" => KINDS.to_vec(),
            "actor.kind" => IDENTITY_KINDS.to_vec(),
            "actor.person" => self.words.people.iter().copied().collect(),
            "actor.groups" => self.words.groups.iter().copied().collect(),
            // What questions there are is not policy's to know.
            "action" if !self.words.for_queries => self.words.actions.to_vec(),
            _ => return Ok(()),
        };
        let values =
            if let Expr::List(list) = &with.expr { &list.elements[..] } else { std::slice::from_ref(with) };
        for value in values {
            let Expr::Literal(LiteralValue::String(text)) = &value.expr else { continue };
            if !known.contains(&text.inner()) {
                let message =
                    format!("{} is never '{}'{}", names.join("."), text.inner(), which(text.inner(), &known));
                return Err(self.fault(value, message));
            }
        }
        Ok(())
    }

    fn fault(&self, node: &IdedExpr, message: impl Into<String>) -> Fault {
        let offset = self.info.offset_for(node.id).map_or(0, |(start, _)| start as usize);
        Fault { offset, message: message.into() }
    }
}

/// `a.b.c` as its names; None for anything else.
fn path(mut expression: &Expr) -> Option<Vec<&str>> {
    let mut names = Vec::new();
    loop {
        match expression {
            Expr::Ident(name) => {
                names.push(name.as_str());
                names.reverse();
                return Some(names);
            }
            Expr::Select(select) => {
                names.push(select.field.as_str());
                expression = &select.operand.expr;
            }
            _ => return None,
        }
    }
}

/// `; did you mean 'x'?`, or all there are.
pub(crate) fn which(word: &str, known: &[&str]) -> String {
    let near =
        known.iter().map(|name| (strsim::jaro_winkler(word, name), *name)).max_by(|a, b| a.0.total_cmp(&b.0));
    match near {
        Some((likeness, name)) if likeness > 0.82 => format!("; did you mean '{name}'?"),
        Some(_) => format!("; there is {}", known.join(", ")),
        None => "; there is none yet".to_string(),
    }
}

/// A representative ask, for trying conditions on.
struct Sample {
    who: Who,
    actor: Actor,
    plan: Plan,
    labels: BTreeMap<String, String>,
}

impl Sample {
    fn scene(&self) -> Scene<'_> {
        Scene {
            who: &self.who,
            action: "restart",
            cluster: "prod",
            labels: &self.labels,
            doing: Some(Doing { actor: &self.actor, plan: &self.plan, busy: false }),
            now: jiff::Timestamp::UNIX_EPOCH,
            zone: chrono_tz::UTC,
        }
    }
}

static SAMPLE: LazyLock<Sample> = LazyLock::new(|| Sample {
    who: Who { person: Person("ann".to_string()), groups: vec!["oncall".to_string()] },
    actor: "console:ann".parse().expect("a constant"),
    plan: Plan {
        action: "restart".to_string(),
        parameters: serde_json::json!({}),
        target: Target {
            cluster: "prod".to_string(),
            namespace: Some("shop".to_string()),
            kind: "Deployment".to_string(),
            name: "checkout".to_string(),
            uid: None,
        },
        resource_version: String::new(),
        summary: "restart Deployment checkout".to_string(),
        steps: Vec::new(),
        diff: String::new(),
        blast: Blast { pods: 3, of: 3, budgets: vec!["checkout (1 more)".to_string()], ..Blast::default() },
        risk: Risk::Medium,
        prior: serde_json::Value::Null,
        undo: Vec::new(),
        verify: Verify { conditions: Vec::new(), within_s: 60 },
    },
    labels: BTreeMap::new(),
});
