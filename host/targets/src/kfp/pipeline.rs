//! The pipeline: its tasks, and their order.

use std::fmt::Write as _;

use super::Module;
use super::components::{Input, definition};
use crate::pods;
use crate::python::{WIDTH, prose, string};
use crate::{Items, Task};

impl Module<'_> {
    fn has_timeouts(&self) -> bool {
        self.workflow.tasks.iter().any(|it| it.timeout.is_some())
    }

    /// What a run chooses, in a variable that each call passes on.
    fn bound(&self) -> String {
        let passed = self.inputs(false);
        let passed = passed.iter();
        let passed: Vec<_> = passed
            .map(|Input { name, .. }| format!("{name}={name}"))
            .collect();
        match passed.is_empty() {
            true => String::new(),
            false => format!("    parameters = {}\n", call(4, "dict", &passed)),
        }
    }

    fn passed(&self) -> Vec<String> {
        match self.inputs(false).is_empty() {
            true => Vec::new(),
            false => vec!["**parameters".to_owned()],
        }
    }

    /// What all tasks have in common.
    pub(super) fn configured(&self) -> String {
        let deployment = &self.workflow.deployment;
        let kubernetes = &deployment.kubernetes;
        let timeout = match self.has_timeouts() {
            true => ", timeout=None",
            false => "",
        };
        let mut text = format!(
            "def configured(task, memory{timeout}):\n    \
             \"\"\"What all tasks have in common; what is done already, Wharf knows itself.\"\"\"\n    \
             task.set_caching_options(False)\n    \
             task.set_memory_request(memory).set_memory_limit(memory)\n    \
             kubernetes.set_security_context(task, run_as_non_root=True)\n"
        );
        let mut line = |line: &str| {
            let _ = writeln!(text, "    {line}");
        };
        if let Some(cpu) = &kubernetes.cpu {
            line(&format!("task.set_cpu_request({})", string(cpu)));
        }
        for (name, value) in &deployment.environment {
            let value = string(&pods::literal(value));
            line(&format!("task.set_env_variable({}, {value})", string(name)));
        }
        if let Some(secret) = &kubernetes.secret
            && !deployment.secrets.is_empty()
        {
            let keys = deployment.secrets.keys().map(|name| {
                let name = string(name);
                format!("        {name}: {name},\n")
            });
            line(&format!(
                "kubernetes.use_secret_as_env(task, {}, {{\n{}    }})",
                string(secret),
                keys.collect::<String>()
            ));
        }
        for (label, value) in &kubernetes.node_selector {
            line(&format!(
                "kubernetes.add_node_selector(task, {}, {})",
                string(label),
                string(value)
            ));
        }
        if self.has_timeouts() {
            line("if timeout:\n        kubernetes.set_timeout(task, timeout)");
        }
        text + "    return task\n"
    }

    /// What a task has of its own.
    fn options(task: &Task) -> Vec<String> {
        let mut options = vec![format!("memory={}", string(&pods::quantity(task.memory)))];
        if let Some(deadline) = task.deadline_of_all() {
            options.push(format!("timeout={}", pods::seconds(deadline)));
        }
        options
    }

    /// A call that makes a task.
    fn call(&self, indent: usize, task: &Task, item: Option<&str>) -> String {
        let mut arguments = self.passed();
        if let Some(item) = item {
            arguments.push(format!("{}={item}", self.names.item));
        }
        let made = call(indent + 4, &self.names.step(task).component, &arguments);
        let mut all = vec![made];
        all.extend(Self::options(task));
        call(indent, "configured", &all)
    }

    /// A pipeline of its own that makes a task of each item, so that others can wait for all
    /// of them.
    pub(super) fn each(&self, task: &Task) -> String {
        let names = self.names.step(task);
        let mut inputs = vec![Input {
            name: self.names.items.clone(),
            ty: "list",
            default: None,
        }];
        inputs.extend(self.inputs(false));
        let signature: Vec<_> = inputs.iter().map(Input::text).collect();
        let parallelism = self.workflow.deployment.parallelism;
        let parallelism =
            parallelism.map_or_else(String::new, |most| format!(", parallelism={most}"));
        let item = &self.names.item;
        format!(
            "@dsl.pipeline(name={})\n{}{}    with dsl.ParallelFor({}{parallelism}) as {item}:\n        {}\n",
            string(names.each.replace('_', "-").trim_end_matches('-')),
            definition(&names.each, &signature),
            self.bound(),
            self.names.items,
            self.call(8, task, Some(item)),
        )
    }

    pub(super) fn pipeline(&self) -> String {
        let workflow = self.workflow;
        let mut options = vec![format!("name={}", string(&workflow.name))];
        let about = workflow.description.as_deref();
        options.extend(about.map(|about| format!("description={}", string(&prose(about)))));
        let signature: Vec<_> = self.inputs(true).iter().map(Input::text).collect();
        let mut text = format!(
            "@{}\n{}",
            call(0, "dsl.pipeline", &options),
            definition("pipeline", &signature)
        );
        text += &self.bound();
        for task in &workflow.tasks {
            if !text.ends_with(":\n") {
                text.push('\n');
            }
            text += &self.task(task);
        }
        text
    }

    /// A task, in the pipeline.
    fn task(&self, task: &Task) -> String {
        let names = self.names.step(task);
        let variable = self.names.variable(task);
        let after = self.after(task);
        match task.items {
            Items::One => {
                let made = self.call(4, task, None);
                format!("    {variable} = {made}\n{}", order(variable, &after))
            }
            Items::At { index, .. } => {
                let made = self.call(4, task, Some(&index.to_string()));
                let title = string(&task.title());
                format!(
                    "    {variable} = {made}\n    {variable}.set_display_name({title})\n{}",
                    order(variable, &after)
                )
            }
            Items::Each => {
                let list = &names.list;
                let made = call(8, &names.listing, &self.passed());
                let memory = format!("memory={}", string("256Mi"));
                let listed = call(4, "configured", &[made, memory]);
                let items = format!(
                    "{}={list}.outputs[{}]",
                    self.names.items,
                    string(&self.names.results)
                );
                let mut arguments = vec![items];
                arguments.extend(self.passed());
                format!(
                    "    {list} = {listed}\n{}    {variable} = {}\n    \
                     {variable}.set_caching_options(False)\n",
                    order(list, &after),
                    call(4, &names.each, &arguments)
                )
            }
        }
    }

    /// The variables of the tasks that come before one.
    fn after(&self, task: &Task) -> Vec<&str> {
        let needs = task.needs.iter().map(|on| &self.workflow.tasks[*on]);
        needs.map(|on| self.names.variable(on)).collect()
    }

    /// What starts a run: the namespace and the account are not of the pipeline.
    pub(super) fn main(&self) -> String {
        let kubernetes = &self.workflow.deployment.kubernetes;
        let missing = self.inputs(true);
        let missing = missing.iter().filter(|input| input.default.is_none());
        let missing: Vec<_> = missing
            .map(|input| format!("{}: ...", string(&input.name)))
            .collect();
        let namespace = kubernetes.namespace.as_deref();
        let namespace = namespace.map(|name| format!("namespace={}", string(name)));
        let account = kubernetes.service_account.as_deref();
        let account = account.map(|name| format!("service_account={}", string(name)));
        let mut arguments = vec!["pipeline".to_owned()];
        arguments.push(format!("arguments={{{}}}", missing.join(", ")));
        arguments.extend(namespace.iter().cloned());
        arguments.extend(account);
        let client = format!("Client({})", namespace.unwrap_or_default());
        format!(
            "if __name__ == \"__main__\":\n    {}\n",
            call(
                4,
                &format!("{client}.create_run_from_pipeline_func"),
                &arguments
            )
        )
    }
}

/// What stands before a call: the variable that it is given.
const MADE: usize = 20;

/// A call, in one line where it fits.
fn call(indent: usize, function: &str, arguments: &[String]) -> String {
    let line = format!("{function}({})", arguments.join(", "));
    let fits = indent + line.len() + MADE <= WIDTH && !line.contains('\n');
    match fits {
        true => line,
        false => {
            let space = " ".repeat(indent);
            let lines = arguments.iter().map(|it| format!("{space}    {it},\n"));
            format!("{function}(\n{}{space})", lines.collect::<String>())
        }
    }
}

/// What a task waits for.
fn order(variable: &str, after: &[&str]) -> String {
    match after {
        [] => String::new(),
        after => format!("    {variable}.after({})\n", after.join(", ")),
    }
}
