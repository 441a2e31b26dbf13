//! The variables that conditions may use, as the interpreter sees them. They borrow from the ask and its plan.

use super::Who;
use cel::{
    Context, Env, ExecutionError,
    common::{
        traits::{Container, Indexer},
        types::{CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, MAP_TYPE, Type},
        value::{CowVal, Val},
    },
};
use chrono::{Datelike, NaiveDateTime, Timelike};
use jiff::Timestamp;
use ledger::{Actor, Plan};
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc};

/// Every variable and its fields. Empty fields: a plain value, or free-form (`params`).
pub(super) const VARIABLES: &[(&str, &[&str])] = &[
    ("actor", &["id", "kind", "person", "groups"]),
    ("action", &[]),
    ("params", &[]),
    ("target", &["cluster", "namespace", "kind", "name", "busy"]),
    ("cluster", &["name", "labels"]),
    ("plan", &["risk", "pods", "of", "percent", "budgets", "summary"]),
    ("time", &["hour", "minute", "weekday", "date", "unix"]),
];

/// What a question has not: no identity reaches policy with it, and nothing would change.
pub(super) const NOT_FOR_QUERIES: &[&str] = &["actor.id", "actor.kind", "params", "target", "plan"];

/// Days as conditions (and cron) write them.
pub(super) const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// Everything a condition may look at, as values.
pub(super) struct Scene<'v> {
    pub who: &'v Who,
    pub action: &'v str,
    pub cluster: &'v str,
    pub labels: &'v BTreeMap<String, String>,
    pub doing: Option<Doing<'v>>,
    pub now: Timestamp,
    pub zone: chrono_tz::Tz,
}

/// What an ask has and a question has not.
pub(super) struct Doing<'v> {
    pub actor: &'v Actor,
    pub plan: &'v Plan,
    pub busy: bool,
}

impl<'v> Scene<'v> {
    /// The variables, bound.
    pub fn bind(&self, env: &Arc<Env>) -> Context<'v, 'v> {
        let mut context = Context::with_env(Arc::clone(env));
        let groups = self.who.groups.iter().map(|group| text(group)).collect::<Vec<_>>();
        let mut actor = vec![("person", text(&self.who.person.0)), ("groups", list(groups))];
        if let Some(doing) = &self.doing {
            actor.extend([("id", text(doing.actor.as_str())), ("kind", text(doing.actor.kind()))]);
            let (plan, target) = (doing.plan, &doing.plan.target);
            context.add_variable_as_val("params", json(&plan.parameters, 0));
            context.add_variable_as_val(
                "target",
                record([
                    ("cluster", text(&target.cluster)),
                    ("namespace", text(target.namespace.as_deref().unwrap_or_default())),
                    ("kind", text(&target.kind)),
                    ("name", text(&target.name)),
                    ("busy", Box::new(CelBool::from(doing.busy))),
                ]),
            );
            context.add_variable_as_val(
                "plan",
                record([
                    ("risk", owned(plan.risk.to_string())),
                    ("pods", number(plan.blast.pods.into())),
                    ("of", number(plan.blast.of.into())),
                    ("percent", number(percent(plan))),
                    ("budgets", list(plan.blast.budgets.iter().map(|budget| text(budget)).collect())),
                    ("summary", text(&plan.summary)),
                ]),
            );
        }
        context.add_variable_as_val("actor", record(actor));
        context.add_variable_as_val("action", text(self.action));
        let labels = Box::new(Labels(self.labels));
        context.add_variable_as_val(
            "cluster",
            record([("name", text(self.cluster)), ("labels", labels as Boxed<'v>)]),
        );
        let local = local(self.now, self.zone);
        context.add_variable_as_val(
            "time",
            record([
                ("hour", number(local.hour().into())),
                ("minute", number(local.minute().into())),
                ("weekday", text(WEEKDAYS[local.weekday().num_days_from_monday() as usize])),
                ("date", owned(local.format("%Y-%m-%d").to_string())),
                ("unix", number(self.now.as_second())),
            ]),
        );
        context
    }
}

/// A moment as a clock on the wall of that zone shows it.
pub(super) fn local(now: Timestamp, zone: chrono_tz::Tz) -> NaiveDateTime {
    let utc = chrono::DateTime::from_timestamp(now.as_second(), 0).unwrap_or_default();
    utc.with_timezone(&zone).naive_local()
}

/// `Blast::percent`, in numbers that cannot overflow.
fn percent(plan: &Plan) -> i64 {
    let (pods, of) = (i64::from(plan.blast.pods), i64::from(plan.blast.of));
    if of == 0 { 0 } else { (pods * 100 / of).min(100) }
}

type Boxed<'v> = Box<dyn Val + 'v>;

fn text(value: &str) -> Boxed<'_> {
    Box::new(CelString::from(value))
}

fn owned<'v>(value: String) -> Boxed<'v> {
    Box::new(CelString::from(value))
}

fn number<'v>(value: i64) -> Boxed<'v> {
    Box::new(CelInt::from(value))
}

fn list(values: Vec<Boxed<'_>>) -> Boxed<'_> {
    Box::new(CelList::from(values))
}

fn record<'v>(fields: impl IntoIterator<Item = (&'v str, Boxed<'v>)>) -> Boxed<'v> {
    let fields = fields.into_iter().map(|(name, value)| (CelMapKey::from(name), value));
    Box::new(CelMap::from(fields.collect::<std::collections::HashMap<_, _>>()))
}

/// Parameters as they are, to a depth that no real parameter has.
fn json(value: &Value, depth: u8) -> Boxed<'_> {
    match value {
        Value::Bool(value) => Box::new(CelBool::from(*value)),
        Value::Number(value) => match value.as_i64() {
            Some(whole) => number(whole),
            None => Box::new(CelDouble::from(value.as_f64().unwrap_or(f64::NAN))),
        },
        Value::String(value) => text(value),
        Value::Array(values) if depth < 16 => {
            list(values.iter().map(|value| json(value, depth + 1)).collect())
        }
        Value::Object(fields) if depth < 16 => {
            record(fields.iter().map(|(name, value)| (name.as_str(), json(value, depth + 1))))
        }
        Value::Null | Value::Array(_) | Value::Object(_) => Box::new(CelNull),
    }
}

/// A cluster's labels. One that the cluster does not have reads as `""`, so that a condition on it is false, not an error.
#[derive(Clone, Debug)]
struct Labels<'v>(&'v BTreeMap<String, String>);

impl Val for Labels<'_> {
    fn get_type(&self) -> &Type {
        <Self as Val>::cel_type()
    }
    fn cel_type() -> &'static Type {
        &MAP_TYPE
    }
    fn as_container(&self) -> Option<&dyn Container> {
        Some(self)
    }
    fn as_indexer<'b, 'w>(&'b self) -> Option<&'b (dyn Indexer + 'w)>
    where
        Self: 'w,
    {
        Some(self)
    }
    fn clone_as_boxed<'w>(&self) -> Box<dyn Val + 'w>
    where
        Self: 'w,
    {
        Box::new(self.clone())
    }
}

impl Container for Labels<'_> {
    fn contains(&self, name: &dyn Val) -> Result<bool, ExecutionError> {
        Ok(self.0.contains_key(label_name(name)?))
    }
}

impl Indexer for Labels<'_> {
    fn get<'b, 'w>(&'b self, name: &dyn Val) -> Result<CowVal<'b, 'w>, ExecutionError>
    where
        Self: 'w,
    {
        let value = self.0.get(label_name(name)?).map_or("", String::as_str);
        Ok(CowVal::owned(CelString::from(value.to_string())))
    }
    fn steal<'w>(self: Box<Self>, name: &dyn Val) -> Result<Box<dyn Val + 'w>, ExecutionError>
    where
        Self: 'w,
    {
        let value = self.0.get(label_name(name)?).map_or("", String::as_str);
        Ok(Box::new(CelString::from(value.to_string())))
    }
}

fn label_name(name: &dyn Val) -> Result<&str, ExecutionError> {
    name.downcast_ref::<CelString>().map(|name| name.inner()).ok_or_else(|| ExecutionError::UnexpectedType {
        got: name.get_type().name().to_string(),
        want: "string".to_string(),
    })
}
