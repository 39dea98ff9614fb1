//! The workflow.

use std::time::Duration;

use super::Document;
use crate::made;
use crate::workflow::Step;
use crate::yaml::Yaml;
use crate::{Items, Task};

impl Document<'_> {
    pub(super) fn workflow(&self) -> Yaml {
        let workflow = self.workflow;
        let steps = workflow.steps();
        let mut made = Vec::new();
        for step in &steps {
            if step.task.items == Items::Each {
                made.push((self.listing(step.task), self.lists(step)));
            }
            made.push((self.id(&step.task.step), self.runs(step)));
        }
        let outputs = steps.iter().map(|step| {
            let task = step.task;
            let ty = match task.items {
                Items::One => "File",
                Items::At { .. } | Items::Each => "File[]",
            };
            let output = Yaml::map([
                ("type", Some(ty.into())),
                ("outputSource", Some(self.ending(&task.step).into())),
            ]);
            (format!("{}_ending", task.step.replace('-', "_")), output)
        });
        let about = workflow.description.as_deref().map(made::line);
        Yaml::map([
            ("id", Some("main".into())),
            ("class", Some("Workflow".into())),
            ("label", Some((&*workflow.name).into())),
            ("doc", about.map(Yaml::from)),
            ("requirements", self.requirements().unless_empty()),
            ("inputs", Some(self.inputs())),
            ("steps", Some(Yaml::Map(made))),
            ("outputs", Some(Yaml::Map(outputs.collect()))),
        ])
    }

    fn requirements(&self) -> Yaml {
        let waits = self.workflow.tasks.iter().any(|it| !it.needs.is_empty());
        let empty = || Some(Yaml::Map(Vec::new()));
        Yaml::map([
            ("MultipleInputFeatureRequirement", empty().filter(|_| waits)),
            (
                "ScatterFeatureRequirement",
                empty().filter(|_| self.has_items),
            ),
            (
                "StepInputExpressionRequirement",
                empty().filter(|_| self.has_items),
            ),
        ])
    }

    /// A step that runs one of the pipeline.
    fn runs(&self, step: &Step<'_>) -> Yaml {
        let task = step.task;
        let mut given = self.given(step);
        let name = match task.items {
            Items::One => default((&*task.step).into()),
            Items::At { .. } | Items::Each => {
                let name = format!("{}-$(inputs.item_index)", task.step);
                Yaml::map([("valueFrom", Some(name.into()))])
            }
        };
        given.push(("file_name".to_owned(), name));
        let items = match task.items {
            Items::One => None,
            Items::At { of, .. } => {
                let items = (0..of).map(|item| Yaml::Integer(i64::try_from(item).unwrap_or(0)));
                Some(default(Yaml::list(items)))
            }
            Items::Each => Some(format!("{}/indices", self.listing(task)).into()),
        };
        let scatter = items.as_ref().map(|_| "item_index".into());
        given.extend(items.map(|items| ("item_index".to_owned(), items)));
        if task.retries.count > 0 {
            given.push(("retried_by".to_owned(), default("step".into())));
        }
        let limit = task.deadline_of_all().map(|deadline| {
            let seconds = Some(Yaml::Integer(seconds(deadline)));
            Yaml::map([("timelimit", seconds)])
        });
        let memory = i64::try_from(task.memory.0.div_ceil(1 << 20)).unwrap_or(i64::MAX);
        let resources = Yaml::map([("ramMin", Some(Yaml::Integer(memory)))]);
        let requirements = Yaml::map([
            ("ResourceRequirement", Some(resources)),
            ("ToolTimeLimit", limit),
        ]);
        Yaml::map([
            (
                "doc",
                Some(made::line(&format!("{}.", task.summary())).into()),
            ),
            ("run", Some("#step".into())),
            ("scatter", scatter),
            ("in", Some(Yaml::Map(given))),
            ("out", Some(Yaml::list(["ending"]))),
            ("requirements", Some(requirements)),
        ])
    }

    /// A step that lists the items of one of the pipeline.
    fn lists(&self, step: &Step<'_>) -> Yaml {
        Yaml::map([
            (
                "doc",
                Some(format!("Lists the items of {}.", step.task.step).into()),
            ),
            ("run", Some("#items".into())),
            ("in", Some(Yaml::Map(self.given(step)))),
            ("out", Some(Yaml::list(["indices"]))),
        ])
    }

    /// What both are given.
    fn given(&self, step: &Step<'_>) -> Vec<(String, Yaml)> {
        let common = self.common().into_iter();
        let mut given: Vec<_> = common
            .map(|name| (name.clone(), Yaml::from(name)))
            .collect();
        let name = default((&*step.task.step).into());
        given.push(("step_name".to_owned(), name));
        if !step.needs.is_empty() {
            let endings = step.needs.iter().map(|name| self.ending(name));
            let after = Yaml::map([
                ("source", Some(Yaml::list(endings))),
                ("linkMerge", Some("merge_flattened".into())),
            ]);
            given.push(("comes_after".to_owned(), after));
        }
        given
    }

    fn ending(&self, step: &str) -> String {
        format!("{}/ending", self.id(step))
    }

    /// What a step is called, beside the inputs.
    fn id(&self, step: &str) -> String {
        let mut parameters = self.workflow.parameters.iter();
        match parameters.any(|parameter| parameter.name == step) {
            true => format!("{step}_step"),
            false => step.to_owned(),
        }
    }

    /// The step that lists the items of another; no other has a `_` there.
    fn listing(&self, task: &Task) -> String {
        format!("{}_items", task.step)
    }
}

fn default(value: Yaml) -> Yaml {
    Yaml::map([("default", Some(value))])
}

/// Seconds, rounded up.
fn seconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis().div_ceil(1_000)).unwrap_or(i64::MAX)
}
