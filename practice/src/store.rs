//! All objects, their versions, and a bounded history of changes that watches and paged lists read.

use crate::admission;
use crate::object;
use crate::persist::Log;
use crate::resource::{Registry, Resource};
use crate::selector::Labels;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use tokio::sync::watch;

/// Changes that a table remembers; a watch or a page that starts before them gets 410.
const REMEMBERED: usize = 4096;

/// Where an object is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    /// `deployments.apps`
    pub table: Arc<str>,
    /// Empty for what lives outside namespaces.
    pub namespace: String,
    pub name: String,
}

/// One change of one object.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub key: Key,
    pub version: u64,
    pub old: Option<Arc<Value>>,
    pub new: Option<Arc<Value>>,
    /// What watches show: the new state, or the last one with the version of its end.
    pub shown: Arc<Value>,
}

pub(crate) type Place = (String, String);

pub(crate) struct Table {
    id: Arc<str>,
    objects: BTreeMap<Place, Arc<Value>>,
    /// Label and value to the objects that have it.
    labelled: HashMap<(String, String), BTreeSet<Place>>,
    history: VecDeque<Change>,
    /// Changes up to this version are forgotten.
    forgotten: u64,
    latest: watch::Sender<u64>,
}

#[derive(Default)]
pub(crate) struct Store {
    pub registry: Registry,
    tables: HashMap<Arc<str>, Table>,
    version: u64,
    /// Where this life began: nothing before it can be watched.
    floor: u64,
    /// Owner uid to its dependents.
    dependents: HashMap<String, BTreeSet<Key>>,
    /// Changes that the controllers have not looked at yet.
    pub unseen: Vec<Change>,
    /// Webhooks that did not answer.
    pub unanswered: admission::Counts,
    pub log: Option<Log>,
}

impl Default for Registry {
    fn default() -> Self {
        Registry::builtin()
    }
}

impl Store {
    pub fn version(&self) -> u64 {
        self.version
    }

    pub fn get(&self, table: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.tables.get(table)?.objects.get(&(namespace.to_owned(), name.to_owned())).cloned()
    }

    pub fn get_key(&self, key: &Key) -> Option<Arc<Value>> {
        self.get(&key.table, &key.namespace, &key.name)
    }

    /// All objects of a table, or those of one namespace, by namespace and name.
    pub fn list<'a>(&'a self, table: &str, namespace: &str) -> Box<dyn Iterator<Item = &'a Arc<Value>> + 'a> {
        let Some(table) = self.tables.get(table) else { return Box::new(std::iter::empty()) };
        if namespace.is_empty() {
            return Box::new(table.objects.values());
        }
        let namespace = namespace.to_owned();
        let start = (namespace.clone(), String::new());
        Box::new(
            table
                .objects
                .range(start..)
                .take_while(move |((of, _), _)| *of == namespace)
                .map(|(_, object)| object),
        )
    }

    /// As [`Store::list`], without most of what the labels do not select: the caller still has to ask whether they match.
    pub fn candidates<'a>(
        &'a self,
        id: &str,
        namespace: &'a str,
        labels: &Labels,
    ) -> Box<dyn Iterator<Item = &'a Arc<Value>> + 'a> {
        let Some(table) = self.tables.get(id) else { return Box::new(std::iter::empty()) };
        let with = |label: &(String, String)| table.labelled.get(label);
        match labels.exact().map(|label| with(&label)).min_by_key(|places| places.map_or(0, BTreeSet::len)) {
            None => self.list(id, namespace),
            Some(None) => Box::new(std::iter::empty()),
            Some(Some(places)) => Box::new(
                places
                    .iter()
                    .filter(move |(of, _)| namespace.is_empty() || of == namespace)
                    .filter_map(|place| table.objects.get(place)),
            ),
        }
    }

    /// The table as it was at a version; none when its history does not reach back so far.
    pub fn view(&self, id: &str, version: u64) -> Option<BTreeMap<Place, Arc<Value>>> {
        let Some(table) = self.tables.get(id) else { return Some(BTreeMap::new()) };
        if version < table.forgotten {
            return None;
        }
        let mut objects = table.objects.clone();
        for change in table.history.iter().rev().take_while(|change| change.version > version) {
            let place = (change.key.namespace.clone(), change.key.name.clone());
            match &change.old {
                Some(old) => objects.insert(place, old.clone()),
                None => objects.remove(&place),
            };
        }
        Some(objects)
    }

    /// Changes of a table after a version; none when some of them are forgotten.
    pub fn since(&self, id: &str, version: u64) -> Option<Vec<Change>> {
        let Some(table) = self.tables.get(id) else { return Some(Vec::new()) };
        if version < table.forgotten {
            return None;
        }
        let start = table.history.partition_point(|change| change.version <= version);
        Some(table.history.range(start..).cloned().collect())
    }

    /// The oldest version from which a watch of the table can start.
    pub fn oldest(&self, id: &str) -> u64 {
        self.tables.get(id).map_or(0, |table| table.forgotten)
    }

    /// Wakes at each change of a table.
    pub fn follow(&mut self, id: &str) -> watch::Receiver<u64> {
        self.table(id).latest.subscribe()
    }

    /// Dependents of an owner, in the order of their names.
    pub fn dependents(&self, uid: &str) -> Vec<Key> {
        self.dependents.get(uid).map(|keys| keys.iter().cloned().collect()).unwrap_or_default()
    }

    /// Dependents of an owner in one table, that it controls.
    pub fn controlled(&self, uid: &str, table: &str) -> Vec<Arc<Value>> {
        let Some(keys) = self.dependents.get(uid) else { return Vec::new() };
        keys.iter()
            .filter(|key| &*key.table == table)
            .filter_map(|key| self.get_key(key))
            .filter(|object| {
                object::controller(object).is_some_and(|owner| object::text(owner, &["uid"]) == uid)
            })
            .collect()
    }

    /// Writes the new state of an object (none: it is gone), with the next version. Everything that changes goes through here.
    pub fn commit(&mut self, resource: &Resource, old: Option<Arc<Value>>, new: Option<Value>) -> Arc<Value> {
        self.version += 1;
        let version = self.version;
        let deleted = new.is_none();
        let mut shown = new.unwrap_or_else(|| old.as_deref().cloned().unwrap_or_default());
        object::set(&mut shown, &["metadata", "resourceVersion"], json!(version.to_string()));
        let shown = Arc::new(shown);
        let table = self.table(&resource.id());
        let key = Key {
            table: table.id.clone(),
            namespace: object::namespace(&shown).to_owned(),
            name: object::name(&shown).to_owned(),
        };
        let place = (key.namespace.clone(), key.name.clone());
        if deleted {
            table.objects.remove(&place);
        } else {
            table.objects.insert(place, shown.clone());
        }
        let change =
            Change { key, version, old, new: (!deleted).then(|| shown.clone()), shown: shown.clone() };
        if table.history.len() == REMEMBERED
            && let Some(forgotten) = table.history.pop_front()
        {
            table.forgotten = forgotten.version;
        }
        table.history.push_back(change.clone());
        table.latest.send_replace(version);
        self.index(&change);
        if let Some(log) = &mut self.log {
            log.append(&change);
        }
        self.unseen.push(change);
        shown
    }

    /// Puts back an object of an earlier life, as it was.
    pub fn restore(&mut self, id: &str, object: Value) {
        let table = self.table(id);
        let key = Key {
            table: table.id.clone(),
            namespace: object::namespace(&object).to_owned(),
            name: object::name(&object).to_owned(),
        };
        let version = object::version(&object).parse().unwrap_or(0);
        let object = Arc::new(object);
        let old = table.objects.insert((key.namespace.clone(), key.name.clone()), object.clone());
        let change = Change { key, version, old, new: Some(object.clone()), shown: object };
        self.index(&change);
    }

    /// Goes on counting after an earlier life; what happened before cannot be watched.
    pub fn resume_at(&mut self, version: u64) {
        self.version = version;
        self.floor = version;
        for table in self.tables.values_mut() {
            table.forgotten = version;
        }
        self.unseen = self
            .tables
            .values()
            .flat_map(|table| {
                table.objects.iter().map(|(place, object)| Change {
                    key: Key { table: table.id.clone(), namespace: place.0.clone(), name: place.1.clone() },
                    version,
                    old: None,
                    new: Some(object.clone()),
                    shown: object.clone(),
                })
            })
            .collect();
    }

    /// Every object there is, with its table.
    pub fn everything(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<Value>)> {
        self.tables.values().flat_map(|table| table.objects.values().map(move |object| (&table.id, object)))
    }

    fn table(&mut self, id: &str) -> &mut Table {
        if !self.tables.contains_key(id) {
            let id: Arc<str> = id.into();
            let table = Table {
                id: id.clone(),
                objects: BTreeMap::new(),
                labelled: HashMap::new(),
                history: VecDeque::new(),
                forgotten: self.floor,
                latest: watch::Sender::new(0),
            };
            self.tables.insert(id, table);
        }
        self.tables.get_mut(id).expect("just made")
    }

    fn index(&mut self, change: &Change) {
        self.index_labels(change);
        let owners = |object: &Option<Arc<Value>>| -> Vec<String> {
            object
                .iter()
                .flat_map(|object| object::list(object, &["metadata", "ownerReferences"]))
                .map(|owner| object::text(owner, &["uid"]).to_owned())
                .collect()
        };
        let (before, after) = (owners(&change.old), owners(&change.new));
        for owner in before.iter().filter(|owner| !after.contains(owner)) {
            if let Some(keys) = self.dependents.get_mut(owner) {
                keys.remove(&change.key);
                if keys.is_empty() {
                    self.dependents.remove(owner);
                }
            }
        }
        for owner in after.into_iter().filter(|owner| !before.contains(owner)) {
            self.dependents.entry(owner).or_default().insert(change.key.clone());
        }
        if &*change.key.table == "customresourcedefinitions.apiextensions.k8s.io" {
            match &change.new {
                Some(definition) => self.registry.add_custom(definition),
                None => self.registry.remove_custom(&change.shown),
            }
        }
    }
}

impl Store {
    fn index_labels(&mut self, change: &Change) {
        let labels =
            |object: &Option<Arc<Value>>| object.as_deref().map(|object| object::labels(object).clone());
        let (before, after) = (labels(&change.old), labels(&change.new));
        if before == after {
            return;
        }
        let place = (change.key.namespace.clone(), change.key.name.clone());
        let pairs = |labels: Option<Value>| -> Vec<(String, String)> {
            let labels = labels.as_ref().and_then(Value::as_object).into_iter().flatten();
            labels.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
        };
        let table = self.table(&change.key.table);
        for label in pairs(before) {
            if let Some(places) = table.labelled.get_mut(&label) {
                places.remove(&place);
                if places.is_empty() {
                    table.labelled.remove(&label);
                }
            }
        }
        for label in pairs(after) {
            table.labelled.entry(label).or_default().insert(place.clone());
        }
    }

    /// Removes the objects of a custom kind that is no longer served.
    pub fn drop_table(&mut self, id: &str, objects: &[Arc<Value>]) {
        let (plural, group) = id.split_once('.').unwrap_or((id, ""));
        let gone = Resource {
            group: group.to_owned(),
            version: String::new(),
            plural: plural.to_owned(),
            singular: String::new(),
            kind: String::new(),
            short: Vec::new(),
            namespaced: true,
            status: false,
            scale: None,
            custom: true,
            generation: true,
        };
        for object in objects {
            self.commit(&gone, Some(object.clone()), None);
        }
    }
}
