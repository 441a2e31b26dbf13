//! What makes one effect safe to repeat, as pure functions: the key it leaves on the object, the precondition it is
//! sent with, and what an object that was read back says about whether the effect took place.
//!
//! Why an effect cannot happen twice, whatever dies: a patch is only ever sent with a resourceVersion that was read
//! while the key was not on the object, and one that succeeds moves the resourceVersion and leaves the key. So of any
//! number of copies of the request under way, late ones included, at most one can succeed. Creating goes by a name that
//! the plan fixed, deleting by uid.

use jiff::Timestamp;
use ledger::{PatchKind, Phase, Request, Step};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// The annotation that says which step wrote an object last.
pub(super) const STEP_ANNOTATION: &str = "petrel.dev/step";

/// A created object that is not there so long after its intent may have been made, used and removed since.
const CREATED_IS_SURELY_THERE_S: i64 = 600;

/// `<request>/<revision>/<phase>/<index>`: the same for every attempt at this step, and for no other step ever.
pub(super) fn step_key(request: &Request, phase: Phase, index: u32) -> String {
    let phase = if phase == Phase::Undo { "undo" } else { "act" };
    format!("{}/{}/{phase}/{index}", request.id, request.revision)
}

/// What was seen and meant before the effect. Committed before anything is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Intent {
    /// As [`step_key`] gives it.
    pub key: String,
    /// Of the object as read; none when it is to be created.
    pub uid: Option<String>,
    /// The precondition.
    pub resource_version: Option<String>,
    /// Moves when the meaning of the object moves and not with its status; not every kind has one.
    pub generation: Option<i64>,
    /// A hash of the spec, for kinds without a generation (autoscalers).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub spec: Option<String>,
}

impl Intent {
    /// From the object as read, if there is one.
    pub fn new(key: String, seen: Option<&Value>) -> Intent {
        let text =
            |pointer| seen.and_then(|seen| seen.pointer(pointer)).and_then(Value::as_str).map(str::to_string);
        Intent {
            key,
            uid: text("/metadata/uid"),
            resource_version: text("/metadata/resourceVersion"),
            generation: seen.and_then(generation),
            spec: seen.and_then(spec),
        }
    }
}

/// What was read back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Outcome {
    /// Of the object.
    pub uid: Option<String>,
    /// After our write.
    pub resource_version: Option<String>,
    /// That our write gave it: undo is refused when it has moved since (G7).
    pub generation: Option<i64>,
    /// A hash of the spec as our write left it, for kinds without a generation.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub spec: Option<String>,
    /// Why the step is not done, where it is not.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub why: Option<String>,
}

impl Outcome {
    /// From an object that shows our key. It may have been read back late, after someone else had changed it: one write
    /// of ours moves the generation by one at most, and what is beyond that is not ours.
    pub fn done(intent: &Intent, seen: Option<&Value>) -> Outcome {
        let Some(seen) = seen else { return Outcome { uid: intent.uid.clone(), ..Outcome::default() } };
        let read = Intent::new(String::new(), Some(seen));
        let generation = match (intent.generation, read.generation) {
            (Some(before), Some(after)) => Some(after.min(before + 1)),
            (_, after) => after,
        };
        Outcome {
            uid: read.uid,
            resource_version: read.resource_version,
            generation,
            spec: read.spec,
            why: None,
        }
    }

    /// For a step that is not done.
    pub fn not_done(why: &str) -> Outcome {
        Outcome { why: Some(why.to_string()), ..Outcome::default() }
    }
}

/// What an object that was read back says about our effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// It took place.
    Ours,
    /// It has not taken place; trying again with the resourceVersion just read is safe.
    NotYet,
    /// The object has moved on without our key: ours did not take place, or it did and was written over.
    Overtaken,
}

/// Reads the object, or its absence, against what was intended at `intended_at`.
pub(super) fn classify(
    step: &Step,
    intent: &Intent,
    seen: Option<&Value>,
    intended_at: Timestamp,
    now: Timestamp,
) -> Reading {
    match (step, seen) {
        (Step::Delete { .. }, None) => Reading::Ours,
        (Step::Delete { .. }, Some(seen)) => {
            let another = intent.uid.is_some() && intent.uid.as_deref() != uid(seen);
            let going = seen.pointer("/metadata/deletionTimestamp").is_some_and(|at| !at.is_null());
            if another || going { Reading::Ours } else { Reading::NotYet }
        }
        (Step::Create { body, .. }, None) => {
            let ttl = body.pointer("/spec/ttlSecondsAfterFinished").and_then(Value::as_i64);
            let surely_there = ttl.unwrap_or(CREATED_IS_SURELY_THERE_S).min(CREATED_IS_SURELY_THERE_S);
            if now.as_second() - intended_at.as_second() < surely_there {
                Reading::NotYet
            } else {
                Reading::Overtaken
            }
        }
        (Step::Create { .. }, Some(seen)) => {
            if has_key(seen, &intent.key) {
                Reading::Ours
            } else {
                Reading::Overtaken
            }
        }
        // It is safe to run twice, in the same pod.
        (Step::Exec { object, .. }, Some(seen)) if object.uid.as_deref() == uid(seen) => Reading::NotYet,
        (Step::Exec { .. }, _) => Reading::Overtaken,
        (Step::Patch { .. }, None) => Reading::Overtaken,
        (Step::Patch { .. }, Some(seen)) => {
            if intent.uid.is_some() && intent.uid.as_deref() != uid(seen) {
                Reading::Overtaken
            } else if has_key(seen, &intent.key) {
                Reading::Ours
            } else if same_meaning(intent, seen) {
                Reading::NotYet
            } else {
                Reading::Overtaken
            }
        }
    }
}

/// Only the status has moved, if anything has.
fn same_meaning(intent: &Intent, seen: &Value) -> bool {
    let version = seen.pointer("/metadata/resourceVersion").and_then(Value::as_str);
    let same_version = version.is_some() && version == intent.resource_version.as_deref();
    let same_generation = intent.generation.is_some() && intent.generation == generation(seen);
    let same_spec = intent.spec.is_some() && intent.spec == spec(seen);
    same_version || same_generation || same_spec
}

/// The body as it is sent: the plan's, our key, and for a patch the precondition.
pub(super) fn body(step: &Step, intent: &Intent, resource_version: Option<&str>) -> Value {
    if let Step::Patch { kind: PatchKind::Json, body, .. } = step {
        return operations(body, intent, resource_version);
    }
    let (mut body, patch) = match step {
        Step::Patch { body, .. } => (body.clone(), true),
        Step::Create { body, .. } => (body.clone(), false),
        Step::Delete { .. } | Step::Exec { .. } => return Value::Null,
    };
    let metadata = object_at(&mut body, "metadata");
    object_at_map(metadata, "annotations").insert(STEP_ANNOTATION.to_string(), json!(intent.key));
    if patch {
        if let Some(version) = resource_version {
            metadata.insert("resourceVersion".to_string(), json!(version));
        }
        if let Some(uid) = &intent.uid {
            metadata.insert("uid".to_string(), json!(uid));
        }
    }
    body
}

/// The same as operations. Writing an old version, and not testing it, is answered as a conflict, as it is in the other patches.
fn operations(body: &Value, intent: &Intent, resource_version: Option<&str>) -> Value {
    let mut all = body.as_array().cloned().unwrap_or_default();
    if let Some(uid) = &intent.uid {
        all.insert(0, json!({"op": "test", "path": "/metadata/uid", "value": uid}));
    }
    if let Some(version) = resource_version {
        all.push(json!({"op": "replace", "path": "/metadata/resourceVersion", "value": version}));
    }
    let annotation = STEP_ANNOTATION.replace('/', "~1");
    all.push(
        json!({"op": "add", "path": format!("/metadata/annotations/{annotation}"), "value": intent.key}),
    );
    all.into()
}

fn object_at<'a>(value: &'a mut Value, key: &str) -> &'a mut Map<String, Value> {
    if !value.is_object() {
        *value = json!({});
    }
    match value {
        Value::Object(map) => object_at_map(map, key),
        _ => unreachable!("it was just made an object"),
    }
}

fn object_at_map<'a>(map: &'a mut Map<String, Value>, key: &str) -> &'a mut Map<String, Value> {
    let slot = map.entry(key).or_insert_with(|| json!({}));
    if !slot.is_object() {
        *slot = json!({});
    }
    slot.as_object_mut().unwrap_or_else(|| unreachable!("it was just made an object"))
}

/// Whether the object's last step is the one with this key.
pub(super) fn has_key(seen: &Value, key: &str) -> bool {
    seen.pointer("/metadata/annotations").and_then(|all| all.get(STEP_ANNOTATION)).and_then(Value::as_str)
        == Some(key)
}

/// Its uid.
pub(super) fn uid(seen: &Value) -> Option<&str> {
    seen.pointer("/metadata/uid").and_then(Value::as_str)
}

/// Its generation, where the kind has one.
pub(super) fn generation(seen: &Value) -> Option<i64> {
    seen.pointer("/metadata/generation").and_then(Value::as_i64)
}

/// A hash of its spec, where it has no generation: then nothing else tells a change of meaning from one of status.
fn spec(seen: &Value) -> Option<String> {
    let spec = seen.get("spec").filter(|_| generation(seen).is_none())?;
    // Maps are sorted, so equal specs have equal texts.
    Some(hex::encode(Sha256::digest(spec.to_string())))
}

/// Nobody has changed it since our step: its generation is what our step made it, and the key is still ours (G7).
pub(super) fn unchanged_since(outcome: &Outcome, key: &str, seen: Option<&Value>) -> bool {
    seen.is_some_and(|seen| {
        has_key(seen, key)
            && outcome.uid.as_deref() == uid(seen)
            && outcome.generation == generation(seen)
            // An outcome that an earlier build wrote has none.
            && (outcome.spec.is_none() || outcome.spec == spec(seen))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::ObjectRef;
    use proptest::prelude::*;

    fn object() -> ObjectRef {
        ObjectRef {
            api_version: "apps/v1".into(),
            kind: "Deployment".into(),
            namespace: Some("shop".into()),
            name: "checkout".into(),
            uid: Some("u1".into()),
        }
    }

    fn patch() -> Step {
        Step::Patch { object: object(), kind: PatchKind::Merge, body: json!({"spec": {"replicas": 6}}) }
    }

    fn delete() -> Step {
        Step::Delete { object: object(), grace_period_seconds: None }
    }

    fn create(ttl: Option<i64>) -> Step {
        Step::Create { object: object(), body: json!({"spec": {"ttlSecondsAfterFinished": ttl}}) }
    }

    fn seen(uid: &str, version: &str, generation: Option<i64>, key: Option<&str>) -> Value {
        json!({"metadata": {"uid": uid, "resourceVersion": version, "generation": generation, "annotations": {STEP_ANNOTATION: key}}})
    }

    fn after(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + seconds).expect("in range")
    }

    #[test]
    fn what_is_read_back_decides_whether_the_effect_took_place() {
        let intent = Intent {
            key: "k".into(),
            uid: Some("u1".into()),
            resource_version: Some("10".into()),
            generation: Some(3),
            spec: None,
        };
        let no_generation = Intent { generation: None, ..intent.clone() };
        let table = [
            (
                "the key is there",
                patch(),
                &intent,
                Some(seen("u1", "11", Some(4), Some("k"))),
                0,
                Reading::Ours,
            ),
            (
                "the key is there and someone went on",
                patch(),
                &intent,
                Some(seen("u1", "15", Some(6), Some("k"))),
                0,
                Reading::Ours,
            ),
            (
                "nothing has moved",
                patch(),
                &intent,
                Some(seen("u1", "10", Some(3), None)),
                0,
                Reading::NotYet,
            ),
            (
                "an earlier step's key",
                patch(),
                &intent,
                Some(seen("u1", "10", Some(3), Some("j"))),
                0,
                Reading::NotYet,
            ),
            (
                "only the status has moved",
                patch(),
                &intent,
                Some(seen("u1", "19", Some(3), None)),
                0,
                Reading::NotYet,
            ),
            (
                "someone changed it",
                patch(),
                &intent,
                Some(seen("u1", "19", Some(4), None)),
                0,
                Reading::Overtaken,
            ),
            (
                "someone changed it with a key",
                patch(),
                &intent,
                Some(seen("u1", "19", Some(4), Some("j"))),
                0,
                Reading::Overtaken,
            ),
            (
                "no generation, not moved",
                patch(),
                &no_generation,
                Some(seen("u1", "10", None, None)),
                0,
                Reading::NotYet,
            ),
            (
                "no generation, moved",
                patch(),
                &no_generation,
                Some(seen("u1", "11", None, None)),
                0,
                Reading::Overtaken,
            ),
            (
                "another of the same name",
                patch(),
                &intent,
                Some(seen("u2", "10", Some(3), None)),
                0,
                Reading::Overtaken,
            ),
            ("it is gone", patch(), &intent, None, 0, Reading::Overtaken),
            ("deleted", delete(), &intent, None, 0, Reading::Ours),
            (
                "deleted and made anew",
                delete(),
                &intent,
                Some(seen("u2", "30", None, None)),
                0,
                Reading::Ours,
            ),
            ("not deleted", delete(), &intent, Some(seen("u1", "30", None, None)), 0, Reading::NotYet),
            ("created", create(None), &intent, Some(seen("u9", "30", None, Some("k"))), 0, Reading::Ours),
            (
                "created by someone else",
                create(None),
                &intent,
                Some(seen("u9", "30", None, None)),
                0,
                Reading::Overtaken,
            ),
            ("not created", create(None), &intent, None, 30, Reading::NotYet),
            ("not there after long", create(None), &intent, None, 600, Reading::Overtaken),
            ("not there after its time to live", create(Some(20)), &intent, None, 30, Reading::Overtaken),
        ];
        for (what, step, intent, seen, later, expected) in table {
            assert_eq!(classify(&step, intent, seen.as_ref(), after(0), after(later)), expected, "{what}");
        }
    }

    #[test]
    fn a_pod_that_is_terminating_counts_as_deleted() {
        let intent = Intent::new("k".into(), Some(&seen("u1", "10", None, None)));
        let going = json!({"metadata": {"uid": "u1", "deletionTimestamp": "2026-01-01T00:00:00Z"}});
        assert_eq!(classify(&delete(), &intent, Some(&going), after(0), after(0)), Reading::Ours);
    }

    #[test]
    fn a_patch_is_sent_with_key_and_precondition_and_keeps_what_the_plan_says() {
        let step = Step::Patch {
            object: object(),
            kind: PatchKind::Merge,
            body: json!({"metadata": {"annotations": {"a": "b"}, "labels": {"c": "d"}}, "spec": {"paused": true}}),
        };
        let intent = Intent::new("k".into(), Some(&seen("u1", "10", Some(3), None)));
        assert_eq!(
            body(&step, &intent, Some("12")),
            json!({
                "metadata": {"annotations": {"a": "b", STEP_ANNOTATION: "k"}, "labels": {"c": "d"}, "resourceVersion": "12", "uid": "u1"},
                "spec": {"paused": true},
            })
        );
    }

    #[test]
    fn a_created_object_carries_the_key_and_no_precondition() {
        let step = Step::Create {
            object: object(),
            body: json!({"kind": "Job", "metadata": {"name": "x", "annotations": null}}),
        };
        let sent = body(&step, &Intent::new("k".into(), None), None);
        assert_eq!(
            sent,
            json!({"kind": "Job", "metadata": {"name": "x", "annotations": {STEP_ANNOTATION: "k"}}})
        );
    }

    #[test]
    fn an_outcome_read_back_late_claims_only_our_own_write() {
        let intent = Intent::new("k".into(), Some(&seen("u1", "10", Some(3), None)));
        let late = seen("u1", "40", Some(7), Some("k"));
        let outcome = Outcome::done(&intent, Some(&late));
        assert_eq!(outcome.generation, Some(4));
        assert!(
            !unchanged_since(&outcome, "k", Some(&late)),
            "someone has changed it since, so it must not be undone"
        );
    }

    #[test]
    fn undo_is_only_for_an_object_that_nobody_touched_since() {
        let outcome = Outcome { uid: Some("u1".into()), generation: Some(4), ..Outcome::default() };
        assert!(
            unchanged_since(&outcome, "k", Some(&seen("u1", "99", Some(4), Some("k")))),
            "status moves are fine"
        );
        for (what, changed) in [
            ("generation moved", Some(seen("u1", "99", Some(5), Some("k")))),
            ("key removed", Some(seen("u1", "99", Some(4), None))),
            ("other key", Some(seen("u1", "99", Some(4), Some("j")))),
            ("another object", Some(seen("u2", "99", Some(4), Some("k")))),
            ("gone", None),
        ] {
            assert!(!unchanged_since(&outcome, "k", changed.as_ref()), "{what}");
        }
    }

    #[test]
    fn without_a_generation_the_spec_tells_whether_anybody_changed_it() {
        let hpa = |version: &str, key: Option<&str>, most: u32| {
            let annotations = key.map_or(json!({}), |key| json!({STEP_ANNOTATION: key}));
            json!({"metadata": {"uid": "u1", "resourceVersion": version, "annotations": annotations},
                "spec": {"maxReplicas": most}, "status": {"at": version}})
        };
        let now = Timestamp::UNIX_EPOCH;
        let intent = Intent::new("k".into(), Some(&hpa("10", None, 5)));
        let read = |seen: &Value| classify(&patch(), &intent, Some(seen), now, now);
        assert_eq!(read(&hpa("12", None, 5)), Reading::NotYet, "only its status has moved");
        assert_eq!(read(&hpa("12", None, 6)), Reading::Overtaken);
        let outcome = Outcome::done(&intent, Some(&hpa("13", Some("k"), 9)));
        assert!(unchanged_since(&outcome, "k", Some(&hpa("14", Some("k"), 9))));
        assert!(
            !unchanged_since(&outcome, "k", Some(&hpa("14", Some("k"), 8))),
            "a person has edited it since"
        );
    }

    /// A cluster of one object and any number of copies of the same effect under way, delivered in any order and any
    /// number of times, between writes of others: it is applied once at most, and a reader who finds it applied or
    /// finds the object untouched is never wrong.
    #[derive(Clone, Debug)]
    enum Event {
        /// A worker reads, and sends a copy if the reading allows it.
        Attempt,
        /// A copy arrives.
        Arrive(usize),
        /// A controller writes the status.
        Status,
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![Just(Event::Attempt), any::<usize>().prop_map(Event::Arrive), Just(Event::Status)]
    }

    proptest! {
        #[test]
        fn whatever_arrives_in_whatever_order_takes_place_once_at_most(events in proptest::collection::vec(event(), 1..60)) {
            let (mut version, mut generation, mut key, mut applied) = (10_i64, 3_i64, None::<String>, 0);
            let picture = |version: i64, generation: i64, key: &Option<String>| seen("u1", &version.to_string(), Some(generation), key.as_deref());
            let intent = Intent::new("k".into(), Some(&picture(version, generation, &key)));
            let mut under_way: Vec<Value> = Vec::new();
            for event in events {
                match event {
                    Event::Status => version += 1,
                    Event::Attempt => {
                        let now = picture(version, generation, &key);
                        match classify(&patch(), &intent, Some(&now), after(0), after(1)) {
                            Reading::Ours => prop_assert_eq!(applied, 1),
                            Reading::NotYet => {
                                prop_assert_eq!(applied, 0);
                                under_way.push(body(&patch(), &intent, now.pointer("/metadata/resourceVersion").and_then(Value::as_str)));
                            }
                            Reading::Overtaken => prop_assert!(false, "nobody else changes the meaning here"),
                        }
                    }
                    Event::Arrive(which) => if !under_way.is_empty() {
                        let copy = &under_way[which % under_way.len()];
                        if copy.pointer("/metadata/resourceVersion") == Some(&json!(version.to_string())) {
                            applied += 1;
                            version += 1;
                            generation += 1;
                            key = copy["metadata"]["annotations"][STEP_ANNOTATION].as_str().map(str::to_string);
                        }
                    },
                }
            }
            prop_assert!(applied <= 1);
        }
    }
}
