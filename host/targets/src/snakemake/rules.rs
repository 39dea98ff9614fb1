//! The Snakefile.

use std::fmt::Write as _;
use std::time::Duration;

use wharf_model::limits::Bytes;
use wharf_model::stack::SecretReference;

use super::{has_config, listing, pattern, rule};
use crate::python::{prose, string};
use crate::workflow::Step;
use crate::{Items, Target, Task, Workflow, made, shell};

pub(super) fn snakefile(workflow: &Workflow) -> String {
    let rules = Rules { workflow };
    let mut parts = vec![rules.beginning()];
    if let Some(constraints) = rules.constraints() {
        parts.push(constraints);
    }
    parts.push("localrules:\n    all,\n    run_id,\n".to_owned());
    parts.push(rules.all());
    parts.push(rules.run_id());
    for step in workflow.steps() {
        if step.task.items == Items::Each {
            parts.push(rules.checkpoint(&step));
            parts.push(rules.files_of_items(step.task));
        }
        parts.push(rules.step(&step));
    }
    parts.join("\n\n")
}

struct Rules<'a> {
    workflow: &'a Workflow,
}

impl Rules<'_> {
    fn is_partitioned(&self) -> bool {
        self.workflow.partition.is_some()
    }

    /// All before the first rule.
    fn beginning(&self) -> String {
        let workflow = self.workflow;
        let has_environment =
            !workflow.parameters.is_empty() || !workflow.deployment.environment.is_empty();
        let head = made::head(workflow, Target::Snakemake);
        let head: Vec<_> = head.iter().map(|line| prose(line)).collect();
        let mut text = format!("\"\"\"{}\n\"\"\"\n\n", head.join("\n"));
        let mut imports = Vec::new();
        if !workflow.parameters.is_empty() || workflow.maps() {
            imports.push("import json\n");
        }
        if has_environment {
            imports.push("import os\n");
        }
        if workflow.maps() {
            imports.push("from pathlib import Path\n");
        }
        text += &imports.concat();
        if has_config(workflow) {
            if !imports.is_empty() {
                text.push('\n');
            }
            text += "from snakemake.utils import validate\n\n\n\
                     configfile: \"config/config.yaml\"\n\n\n\
                     validate(config, \"schemas/config.schema.yaml\")\n\n";
        }
        if self.is_partitioned() {
            text += "# One, or several.\n\
                     PARTITIONS = expand(\"{partition}\", partition=config[\"partition\"])\n\n";
        }
        text += &self.environment();
        text += &self.command("STEP", "exec", &[" --skip-exit-code 0"]);
        if workflow.maps() {
            text += &self.command("ITEMS", "items", &[]);
        }
        text
    }

    /// What jobs find in their environment.
    fn environment(&self) -> String {
        let workflow = self.workflow;
        let mut text = String::new();
        let named = workflow.deployment.secrets.values();
        let named = named.filter_map(|reference| match reference {
            SecretReference::Env(variable) => Some(format!("    {},\n", string(variable))),
            SecretReference::File(_) => None,
        });
        let named: String = named.collect();
        if !named.is_empty() {
            let _ = write!(text, "\nenvvars:\n{named}\n\n");
        }
        for (name, value) in &workflow.deployment.environment {
            let _ = writeln!(text, "os.environ[{}] = {}", string(name), string(value));
        }
        if !workflow.parameters.is_empty() {
            let parameters = match self.is_partitioned() {
                false => "config".to_owned(),
                true => "{name: config[name] for name in config if name != \"partition\"}".into(),
            };
            let _ = write!(
                text,
                "PARAMETERS = json.dumps({parameters})\n\
                 os.environ[\"WHARF_PARAMETERS\"] = PARAMETERS\n",
            );
        }
        match text.is_empty() {
            true => text,
            false => format!("{text}\n"),
        }
    }

    /// The beginning of what starts a job.
    fn command(&self, name: &str, command: &str, rest: &[&str]) -> String {
        let deployment = &self.workflow.deployment;
        let mut lines = vec![
            format!("{} step {command}", shell::word(&deployment.command)),
            format!(" --store {}", shell::word(&deployment.store)),
            format!(" --pipeline {}", self.workflow.pipeline),
        ];
        for secret in self.workflow.secret_arguments().chunks(2) {
            lines.push(format!(" {} {}", secret[0], shell::word(&secret[1])));
        }
        lines.extend(rest.iter().map(|&line| line.to_owned()));
        let lines = lines.iter().map(|line| format!("    {}\n", string(line)));
        format!("{name} = (\n{})\n", lines.collect::<String>())
    }

    /// What wildcards can be.
    fn constraints(&self) -> Option<String> {
        let mut text = String::from("wildcard_constraints:\n");
        let has_items = |task: &Task| task.items != Items::One;
        let items = self.workflow.tasks.iter().any(has_items);
        if items {
            text += "    item=r\"\\d+\",\n";
        }
        if let Some(partition) = &self.workflow.partition {
            let _ = writeln!(text, "    partition=r\"{}\",", pattern(partition));
        }
        (items || self.is_partitioned()).then_some(text)
    }

    /// What all ends with: the steps that no other waits for.
    fn all(&self) -> String {
        let steps = self.workflow.steps();
        let is_last = |step: &&Step<'_>| {
            let name = &*step.task.step;
            !steps.iter().any(|other| other.needs.contains(&name))
        };
        let last = steps.iter().filter(is_last);
        let files = last.map(|step| match (step.task.items, self.is_partitioned()) {
            (Items::Each, false) => files_of(step.task),
            (Items::Each, true) => format!(
                "lambda wildcards: [\n            file\n            for each in PARTITIONS\n            \
                 for file in {}({{\"partition\": each}})\n        ]",
                files_of(step.task)
            ),
            (_, false) => self.files(step.task),
            (Items::One, true) => format!(
                "expand(\"results/{{partition}}/{}.json\", partition=PARTITIONS)",
                step.task.step
            ),
            (Items::At { of, .. }, true) => format!(
                "expand(\n            \"results/{{partition}}/{}/{{item}}.json\",\n            \
                 partition=PARTITIONS,\n            item=range({of}),\n        )",
                step.task.step
            ),
        });
        let files = files.map(|files| format!("        {files},\n"));
        format!("rule all:\n    input:\n{}", files.collect::<String>())
    }

    /// What gives a run its id.
    fn run_id(&self) -> String {
        let parameters = match self.workflow.parameters.is_empty() {
            true => "",
            false => "        parameters=lambda wildcards: PARAMETERS,\n",
        };
        format!(
            "rule run_id:\n    \
             \"\"\"Names a run, anew where the pipeline or its parameters are others.\"\"\"\n    \
             output:\n        \"{}run-id\",\n    \
             log:\n        \"{}run-id.log\",\n    \
             params:\n        step=lambda wildcards: STEP,\n{parameters}    \
             shell:\n        \"date -u +%Y%m%dT%H%M%SZ-$RANDOM > {{output}} 2> {{log}}\"\n",
            self.folder("results"),
            self.folder("logs"),
        )
    }

    /// The job that lists the items of a step.
    fn checkpoint(&self, step: &Step<'_>) -> String {
        let name = &step.task.step;
        format!(
            "checkpoint {}:\n    \"\"\"Lists the items of {name}.\"\"\"\n{}    \
             output:\n        \"{}{name}/items.json\",\n    \
             log:\n        \"{}{name}/items.log\",\n{}",
            listing(name),
            self.inputs(&step.needs),
            self.folder("results"),
            self.folder("logs"),
            self.shell("", "ITEMS", &format!(" --step {name}"), LIST),
        )
    }

    /// The files of all items of a step, which are known once its checkpoint has ended.
    fn files_of_items(&self, task: &Task) -> String {
        let step = &task.step;
        let wildcards = match self.is_partitioned() {
            true => "        **wildcards,\n",
            false => "",
        };
        format!(
            "def {files}(wildcards):\n    \
             items = checkpoints.{listing}.get(**wildcards).output[0]\n    \
             return expand(\n        \"{folder}{step}/{{item}}.json\",\n{wildcards}        \
             item=json.loads(Path(items).read_text()),\n    )\n",
            files = files_of(task),
            listing = listing(step),
            folder = self.folder("results"),
        )
    }

    fn step(&self, step: &Step<'_>) -> String {
        let task = step.task;
        let name = &task.step;
        let (path, item) = match task.items {
            Items::One => (name.clone(), ""),
            Items::At { .. } | Items::Each => {
                (format!("{name}/{{item}}"), " --item {wildcards.item}")
            }
        };
        let retries = match task.retries.count {
            0 => "",
            _ => " --retries step",
        };
        let runtime = task.deadline_of_all().map_or_else(String::new, |deadline| {
            format!("        runtime={},\n", minutes(deadline))
        });
        let rest = format!(" --step {name}{item}{retries}");
        let mut inputs = self.inputs(&step.needs);
        if task.items == Items::Each {
            let list = format!(
                "    input:\n        \"{}{name}/items.json\",\n",
                self.folder("results")
            );
            inputs = inputs.replacen("    input:\n", &list, 1);
        }
        format!(
            "rule {}:\n    \"\"\"{}.\"\"\"\n{inputs}    \
             output:\n        \"{}{path}.json\",\n    \
             log:\n        \"{}{path}.log\",\n    \
             resources:\n        mem_mb={},\n{runtime}{}",
            rule(name),
            prose(&task.summary()),
            self.folder("results"),
            self.folder("logs"),
            megabytes(task.memory),
            self.shell(ANEW, "STEP", &rest, ENDING),
        )
    }

    /// What a job waits for.
    fn inputs(&self, needs: &[&str]) -> String {
        let steps = self.workflow.steps();
        let needs = needs.iter().filter_map(|name| {
            let step = steps.iter().find(|step| step.task.step == *name)?;
            Some(format!("        {},\n", self.files(step.task)))
        });
        format!(
            "    input:\n{}        run_id=\"{}run-id\",\n",
            needs.collect::<String>(),
            self.folder("results")
        )
    }

    /// The files that the jobs of a step write.
    fn files(&self, task: &Task) -> String {
        let (folder, step) = (self.folder("results"), &task.step);
        match task.items {
            Items::One => string(&format!("{folder}{step}.json")),
            Items::At { of, .. } => {
                // Only items are filled in here.
                let folder = folder.replace('{', "{{").replace('}', "}}");
                format!("expand(\"{folder}{step}/{{item}}.json\", item=range({of}))")
            }
            Items::Each => files_of(task),
        }
    }

    fn folder(&self, kind: &str) -> String {
        match self.is_partitioned() {
            true => format!("{kind}/{{partition}}/"),
            false => format!("{kind}/"),
        }
    }

    fn shell(&self, before: &str, command: &str, rest: &str, output: &str) -> String {
        let partition = match self.is_partitioned() {
            true => " --partition {wildcards.partition}",
            false => "",
        };
        format!(
            "    shell:\n{before}        '{{{command}}} --run-id \"$(cat {{input.run_id}})\"{partition}'\n        \
             \"{rest}\"\n        \
             \"{output}\"\n"
        )
    }
}

/// Of a job that is killed, no file says how it ended, and none of an earlier run may seem to.
const ANEW: &str = "        \"rm -f {output}.part; \"\n";

/// How a step ended is also written where it failed or was stopped, which must not look
/// as if it had succeeded: Snakemake does not take such files away in all cases.
const ENDING: &str = " --ending-to {output}.part > {log} 2>&1 && mv {output}.part {output}";

/// The list of the items of a step.
const LIST: &str = " --results-to {output} > {log} 2>&1";

/// The function that tells the files of all items of a step.
fn files_of(task: &Task) -> String {
    format!("{}_files", crate::names::identifier(&task.step))
}

/// Millions of bytes, which is what Snakemake means, rounded up.
const fn megabytes(bytes: Bytes) -> u64 {
    bytes.0.div_ceil(1_000_000)
}

/// Minutes, rounded up.
const fn minutes(time: Duration) -> u128 {
    time.as_millis().div_ceil(60_000)
}
