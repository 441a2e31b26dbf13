//! What steps there are, as data: the language itself knows only `wait`.

use super::ast::Subject;

/// The parameter that says where a target is which stands by its name; without it, it is where the event is.
pub const NAMESPACE: &str = "namespace";

/// How much harm a step can do when it goes wrong; the words of the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Risk {
    /// Easily undone, no interruption expected.
    Low,
    /// Interrupts a part of a workload.
    Medium,
    /// Can interrupt a whole workload or cannot be undone.
    High,
}

/// What a parameter takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One of these as the event says, or one by name in quotes: `"deploy/checkout"`. Where it is not given, the first of them that
    /// the event names.
    Target(Vec<Subject>),
    /// A text in quotes.
    Text,
    /// A whole number, not negative.
    Count,
    /// A whole number, or a change from what it is now: `+2`.
    Change,
    /// A duration, longer than nothing.
    Duration,
}

/// One parameter of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// As it is written before the colon.
    pub name: String,
    /// What it takes.
    pub kind: Kind,
    /// A step without it makes no sense.
    pub required: bool,
    /// May stand without its name, in the order of the shape.
    pub by_place: bool,
}

/// One step: its name, its parameters, and how risky it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// As it is written: `set_image`.
    pub name: String,
    /// What it is good for, in one line.
    pub about: String,
    /// In the order they are written.
    pub parameters: Vec<Parameter>,
    /// At worst.
    pub risk: Risk,
}

impl Shape {
    /// `scale(workload, replicas: +2, max: 12)`, as a hint.
    pub fn usage(&self) -> String {
        let parameters: Vec<String> = self
            .parameters
            .iter()
            .map(|parameter| {
                let value = match &parameter.kind {
                    Kind::Target(subjects) => subjects.first().map_or("\"name\"", |subject| subject.word()),
                    Kind::Text => "\"…\"",
                    Kind::Count => "1",
                    Kind::Change => "+1",
                    Kind::Duration => "1m",
                };
                match (parameter.by_place, parameter.required) {
                    (true, true) => value.to_string(),
                    (true, false) => format!("[{value}]"),
                    (false, true) => format!("{}: {value}", parameter.name),
                    (false, false) => format!("[{}: {value}]", parameter.name),
                }
            })
            .collect();
        format!("{}({})", self.name, parameters.join(", "))
    }
}

/// Every step that rules may ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalogue {
    shapes: Vec<Shape>,
}

impl Catalogue {
    /// Of these; a later shape replaces an earlier one of its name.
    pub fn new(shapes: impl IntoIterator<Item = Shape>) -> Catalogue {
        let mut catalogue = Catalogue::default();
        for shape in shapes {
            catalogue.shapes.retain(|known| known.name != shape.name);
            catalogue.shapes.push(shape);
        }
        catalogue
    }

    /// Without the steps whose names are not wanted, for an installation that has them not.
    pub fn only(self, wanted: impl Fn(&str) -> bool) -> Catalogue {
        Catalogue { shapes: self.shapes.into_iter().filter(|shape| wanted(&shape.name)).collect() }
    }

    /// By name.
    pub fn shape(&self, name: &str) -> Option<&Shape> {
        self.shapes.iter().find(|shape| shape.name == name)
    }

    /// All, in the order they are listed to people.
    pub fn shapes(&self) -> &[Shape] {
        &self.shapes
    }

    /// What Petrel can do, as rules write it.
    pub fn standard() -> Catalogue {
        use Risk::{High, Low, Medium};
        let workload = || target("workload", &[Subject::Workload]);
        Catalogue::new([
            shape("restart", "restart all pods of a workload, one after the other", Medium, [workload()]),
            shape(
                "scale",
                "set the number of replicas, or change it within bounds",
                Medium,
                [
                    workload(),
                    required("replicas", Kind::Change),
                    optional("min", Kind::Count),
                    optional("max", Kind::Count),
                ],
            ),
            shape(
                "scale_up",
                "make sure that at least so many replicas run",
                Low,
                [workload(), required("replicas", Kind::Count)],
            ),
            shape(
                "rollback",
                "go back to the revision before, or to a given one",
                High,
                [workload(), optional("to", Kind::Count)],
            ),
            shape("pause", "stop a rollout where it is", Low, [workload()]),
            shape("resume", "let a paused rollout go on", Low, [workload()]),
            shape(
                "set_image",
                "set a container's image",
                High,
                [workload(), required("container", Kind::Text), required("image", Kind::Text)],
            ),
            shape(
                "set_resources",
                "set what a container is promised and may use",
                Medium,
                [
                    workload(),
                    optional("container", Kind::Text),
                    optional("requests", Kind::Text),
                    optional("limits", Kind::Text),
                ],
            ),
            shape(
                "delete_pod",
                "delete a pod; its controller makes a new one",
                Medium,
                [target("pod", &[Subject::Pod])],
            ),
            shape("hpa", "propose an autoscaler from the forecast of the load", Medium, [workload()]),
            shape(
                "floor",
                "give an autoscaler the floor that its approved schedule has for now",
                Low,
                [workload()],
            ),
            shape(
                "scale_nodes",
                "set how many nodes a pool has, by number or from the forecast",
                High,
                [
                    target("pool", &[]),
                    optional("nodes", Kind::Count),
                    optional("days", Kind::Count),
                    optional(NAMESPACE, Kind::Text),
                ],
            ),
            shape(
                "run_job",
                "run a CronJob now, or a Job once more",
                Medium,
                [target("job", &[]), optional(NAMESPACE, Kind::Text)],
            ),
            shape(
                "rotate_logs",
                "compress and empty the logs in files, and keep so many older ones",
                Medium,
                [
                    place("files", Kind::Text),
                    required("keep", Kind::Count),
                    optional("of", Kind::Target(vec![Subject::Pod, Subject::Workload])),
                    optional("container", Kind::Text),
                ],
            ),
            shape(
                "inject_delay",
                "delay requests in the service mesh for a while; always taken back",
                High,
                [
                    workload(),
                    required("delay", Kind::Duration),
                    required("lasts", Kind::Duration),
                    optional("percent", Kind::Count),
                ],
            ),
            shape(
                "drill",
                "break something on purpose, to see whether it is healed; always given back",
                High,
                [
                    target("workload", &[Subject::Workload, Subject::Node]),
                    required("fault", Kind::Text),
                    optional("lasts", Kind::Duration),
                ],
            ),
            shape(
                "notify",
                "write a message to a room",
                Low,
                [place("room", Kind::Text), Parameter { required: false, ..place("text", Kind::Text) }],
            ),
            shape(
                "escalate",
                "page people with the history",
                Low,
                [place("room", Kind::Text), Parameter { required: false, ..place("text", Kind::Text) }],
            ),
        ])
    }
}

fn shape<const N: usize>(name: &str, about: &str, risk: Risk, parameters: [Parameter; N]) -> Shape {
    Shape { name: name.into(), about: about.into(), parameters: parameters.into(), risk }
}

fn target(name: &str, subjects: &[Subject]) -> Parameter {
    place(name, Kind::Target(subjects.to_vec()))
}

fn place(name: &str, kind: Kind) -> Parameter {
    Parameter { name: name.into(), kind, required: true, by_place: true }
}

fn required(name: &str, kind: Kind) -> Parameter {
    Parameter { name: name.into(), kind, required: true, by_place: false }
}

fn optional(name: &str, kind: Kind) -> Parameter {
    Parameter { name: name.into(), kind, required: false, by_place: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_explains_how_it_is_written() {
        let catalogue = Catalogue::standard();
        assert_eq!(
            catalogue.shape("scale").unwrap().usage(),
            "scale(workload, replicas: +1, [min: 1], [max: 1])"
        );
        assert_eq!(catalogue.shape("notify").unwrap().usage(), "notify(\"…\", [\"…\"])");
    }

    #[test]
    fn an_installation_can_have_less() {
        let catalogue = Catalogue::standard().only(|name| name != "inject_delay");
        assert!(catalogue.shape("inject_delay").is_none());
        assert_eq!(catalogue.shapes().len() + 1, Catalogue::standard().shapes().len());
    }
}
