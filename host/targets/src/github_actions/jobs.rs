//! The jobs.

use std::time::Duration;

use super::{Actions, HOSTED_MINUTES, escaped};
use crate::workflow::Step;
use crate::yaml::Yaml;
use crate::{Items, Task};
use crate::{made, shell};

/// The job that tells when a schedule fired. No step has a `_` in its name.
const TIME: &str = "schedule_time";

/// The id of the step that runs `wharf`, where its outputs are looked up.
const STEP: &str = "wharf";

/// The job that lists the items of a step.
pub(super) fn listing(step: &str) -> String {
    format!("{step}-items")
}

/// Minutes, rounded up.
pub(super) fn minutes(time: Duration) -> u64 {
    u64::try_from(time.as_millis().div_ceil(60_000)).unwrap_or(u64::MAX)
}

impl Actions<'_> {
    pub(super) fn jobs(&self) -> Yaml {
        let mut jobs = Vec::new();
        if self.tells_time() {
            jobs.push((TIME.to_owned(), self.time()));
        }
        for step in self.workflow.steps() {
            if step.task.items == Items::Each {
                jobs.push((listing(&step.task.step), self.lists(&step)));
            }
            jobs.push((step.task.step.clone(), self.runs(&step)));
        }
        Yaml::Map(jobs)
    }

    /// Whether the partition of a run may come from the time of the schedule.
    fn tells_time(&self) -> bool {
        self.workflow.partition.is_some() && self.workflow.deployment.schedule.is_some()
    }

    /// When the schedule fired, in its time zone. All jobs must take it from one, and
    /// from the first attempt, or they could be of different partitions.
    fn time(&self) -> Yaml {
        let script = "if [ \"$GITHUB_RUN_ATTEMPT\" != 1 ]; then\n  \
                      echo '::error::A run by schedule goes on with \"Re-run failed jobs\". \
                      To run all of it again, start a run with its partition.'\n  exit 1\nfi\n\
                      echo \"time=$(date +%Y-%m-%dT%H:%M:%S%:z)\" >> \"$GITHUB_OUTPUT\"\n";
        let schedule = self.workflow.deployment.schedule.as_ref();
        let zone = schedule.map(|schedule| Yaml::from(&*schedule.timezone));
        let step = Yaml::map([
            ("id", Some("time".into())),
            ("if", Some("github.event_name == 'schedule'".into())),
            ("run", Some(script.into())),
            ("env", Some(Yaml::map([("TZ", zone)]))),
        ]);
        Yaml::map([
            ("runs-on", Some(self.machine())),
            ("timeout-minutes", Some(Yaml::Integer(5))),
            (
                "outputs",
                Some(Yaml::map([(
                    "time",
                    Some("${{ steps.time.outputs.time }}".into()),
                )])),
            ),
            ("steps", Some(Yaml::List(vec![step]))),
        ])
    }

    /// The job of a step, or the jobs of its items.
    fn runs(&self, step: &Step<'_>) -> Yaml {
        let task = step.task;
        let (items, condition) = match task.items {
            Items::One => (None, None),
            Items::At { of, .. } => {
                let items = (0..of).map(|item| Yaml::Integer(i64::try_from(item).unwrap_or(0)));
                (Some(Yaml::list(items)), None)
            }
            Items::Each => {
                let list = format!("needs.{}.outputs.results", listing(&task.step));
                // A matrix of nothing is a mistake.
                let condition = format!("{list} != '[]'");
                (
                    Some(format!("${{{{ fromJSON({list}) }}}}").into()),
                    Some(condition),
                )
            }
        };
        let most = self.workflow.deployment.parallelism;
        let most = most.map(|most| Yaml::Integer(i64::from(most)));
        let has_items = items.is_some();
        let strategy = items.map(|items| {
            Yaml::map([
                ("fail-fast", Some(Yaml::Boolean(false))),
                ("max-parallel", most),
                ("matrix", Some(Yaml::map([("item", Some(items))]))),
            ])
        });
        let mut arguments = vec![format!("--step {}", task.step)];
        if task.retries.count > 0 {
            arguments.push("--retries step".to_owned());
        }
        arguments.push("--skip-exit-code 0".to_owned());
        let limit = task.deadline_of_all().map(|deadline| {
            let minutes = match self.hosted {
                true => minutes(deadline).min(HOSTED_MINUTES),
                false => minutes(deadline),
            };
            Yaml::Integer(i64::try_from(minutes).unwrap_or(i64::MAX))
        });
        let item = has_items.then(|| "${{ matrix.item }}".into());
        Yaml::map([
            ("runs-on", Some(self.machine())),
            ("needs", self.needs(step).unless_empty()),
            ("if", self.condition(step, condition)),
            ("strategy", strategy),
            ("timeout-minutes", limit),
            // Of a matrix, the outputs of all jobs would be one.
            ("outputs", (!has_items).then(results)),
            ("env", self.time_of_schedule()),
            ("steps", Some(self.step("exec", task, &arguments, item))),
        ])
    }

    /// The job that lists the items of a step.
    fn lists(&self, step: &Step<'_>) -> Yaml {
        let name = &step.task.step;
        let arguments = [format!("--step {name}")];
        Yaml::map([
            ("runs-on", Some(self.machine())),
            ("needs", self.needs_of_list(step).unless_empty()),
            ("if", self.condition(step, None)),
            ("outputs", Some(results())),
            ("env", self.time_of_schedule()),
            (
                "steps",
                Some(self.step("items", step.task, &arguments, None)),
            ),
        ])
    }

    fn machine(&self) -> Yaml {
        match self.hosted {
            true => "ubuntu-latest".into(),
            false => Yaml::list(["self-hosted", "wharf"]),
        }
    }

    fn needs_of_list(&self, step: &Step<'_>) -> Yaml {
        let time = self.tells_time().then_some(TIME);
        Yaml::list(time.into_iter().chain(step.needs.iter().copied()))
    }

    fn needs(&self, step: &Step<'_>) -> Yaml {
        let list = (step.task.items == Items::Each).then(|| listing(&step.task.step));
        match (self.needs_of_list(step), list) {
            (Yaml::List(mut needs), Some(list)) => {
                needs.push(list.into());
                Yaml::List(needs)
            }
            (needs, _) => needs,
        }
    }

    /// A job whose list is empty is skipped by GitHub, and so would be all that come
    /// after it, unless they say that they start where nothing has failed.
    fn condition(&self, step: &Step<'_>, own: Option<String>) -> Option<Yaml> {
        let after = "!failure() && !cancelled()";
        match (self.comes_after_mapped(step), own) {
            (true, Some(own)) => Some(format!("${{{{ {after} && {own} }}}}").into()),
            (true, None) => Some(format!("${{{{ {after} }}}}").into()),
            (false, Some(own)) => Some(own.into()),
            (false, None) => None,
        }
    }

    fn comes_after_mapped(&self, step: &Step<'_>) -> bool {
        let steps = self.workflow.steps();
        step.needs.iter().any(|name| {
            let need = steps.iter().find(|step| step.task.step == *name);
            need.is_some_and(|need| need.task.items == Items::Each || self.comes_after_mapped(need))
        })
    }

    fn time_of_schedule(&self) -> Option<Yaml> {
        self.tells_time().then(|| {
            let time = format!("${{{{ needs.{TIME}.outputs.time }}}}");
            Yaml::map([("WHARF_PARTITION_BEFORE", Some(time.into()))])
        })
    }

    /// The one step of a job.
    fn step(&self, command: &str, task: &Task, rest: &[String], item: Option<Yaml>) -> Yaml {
        let deployment = &self.workflow.deployment;
        let about = match command {
            "items" => format!("Lists the items of {}", task.step),
            _ => task.summary(),
        };
        let mut lines = match self.hosted {
            true => self.container(task, item.is_some()),
            false => vec![format!("exec {}", shell::word(&deployment.command))],
        };
        if let Some(last) = lines.last_mut() {
            *last += &format!(" step {command}");
        }
        lines.push(format!("--store {}", shell::word(&deployment.store)));
        lines.push(format!("--pipeline {}", self.workflow.pipeline));
        if !self.hosted {
            let secrets = self.file_secrets().into_iter();
            lines.extend(secrets.map(|secret| format!("--secret {}", shell::word(&secret))));
        }
        lines.extend_from_slice(rest);
        let run = format!("{}\n", lines.join(" \\\n  "));
        let variables = item.map(|item| Yaml::map([("WHARF_ITEM", Some(item))]));
        Yaml::List(vec![Yaml::map([
            ("name", Some(escaped(&made::line(&about)).into())),
            ("id", Some(STEP.into())),
            ("run", Some(escaped(&run).into())),
            ("env", variables),
        ])])
    }

    /// What starts a container: as the user that the files are of where GitHub reads what
    /// a step returned, and with no more than a step needs. `uses: docker://` would run it
    /// as whom the image says, and stop it without a word.
    fn container(&self, task: &Task, has_item: bool) -> Vec<String> {
        let deployment = &self.workflow.deployment;
        let memory = task.memory.0.div_ceil(1 << 20);
        let files = ["GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"];
        let mut lines = vec![
            "exec docker run --rm --user \"$(id -u)\" --read-only --cap-drop ALL".to_owned(),
            format!("--memory {memory}m --volume \"$(mktemp -d):/tmp\""),
        ];
        lines.extend(files.map(|file| format!("--volume \"${file}:${file}\"")));
        let mut variables: Vec<String> = ["GITHUB_ACTIONS"]
            .iter()
            .chain(&files)
            .map(|it| (*it).to_owned())
            .collect();
        if let Yaml::Map(environment) = self.environment() {
            variables.extend(environment.into_iter().map(|(name, _)| name));
        }
        if self.tells_time() {
            variables.push("WHARF_PARTITION_BEFORE".to_owned());
        }
        if has_item {
            variables.push("WHARF_ITEM".to_owned());
        }
        lines.extend(variables.chunks(3).map(|names| {
            let names: Vec<_> = names
                .iter()
                .map(|name| format!("--env {}", shell::word(name)))
                .collect();
            names.join(" ")
        }));
        let image = deployment.image.as_deref().unwrap_or_default();
        lines.push(format!(
            "--entrypoint {} {}",
            shell::word(&deployment.command),
            shell::word(image)
        ));
        lines
    }

    /// Secrets that are files of the machine.
    fn file_secrets(&self) -> Vec<String> {
        let secrets = self.workflow.deployment.secrets.iter();
        let files = secrets.filter_map(|(name, reference)| match reference {
            wharf_model::stack::SecretReference::File(_) => Some(format!("{name}={reference}")),
            wharf_model::stack::SecretReference::Env(_) => None,
        });
        files.collect()
    }
}

/// What a step returns.
fn results() -> Yaml {
    let value = format!("${{{{ steps.{STEP}.outputs.results }}}}");
    Yaml::map([("results", Some(value.into()))])
}
