//! Tasks that are processes of the worker: `BashOperator`.
//!
//! Mapped, too, and not by `@task.bash`: that fills templates in twice, so that what a run
//! is given would be one.

use std::fmt::Write as _;

use super::{Kind, container, listing, options, variable};
use crate::python::string;
use crate::shell;
use crate::{Items, Task, Workflow};

/// Where `BashOperator` says how a command ended.
pub(super) const EXIT_CODE: &str = r"exit code (\d+)\.$";

pub(super) fn imports(_: &Workflow) -> String {
    "from airflow.providers.standard.operators.bash import BashOperator\n".to_owned()
}

/// What all tasks have in common.
pub(super) fn constants(workflow: &Workflow) -> String {
    let variables = variables(workflow, Kind::Process).into_iter();
    let variables = variables.map(|(name, value)| format!("        {}: {value},\n", string(&name)));
    let variables: String = variables.collect();
    let mut text = command("STEP", "exec", workflow);
    if workflow.maps() {
        text += &command("ITEMS", "items", workflow);
    }
    let _ = write!(
        text,
        "\nDEFAULT_ARGS = {{\n    \"env\": {{\n{variables}    }},\n    \"append_env\": True,\n    \
         # What a step returns, which is the last line that it prints.\n    \
         \"output_processor\": json.loads,\n    \
         # The host decides whether a step runs, from all that came before it.\n    \
         \"skip_on_exit_code\": 99,\n    \
         \"trigger_rule\": \"none_failed\",\n}}\n",
    );
    text
}

/// What tasks find in their environment: its name, and the text in Python. Of pods,
/// Kubernetes fills other variables in where it finds `$(NAME)`, and takes `$$` for `$`.
pub(super) fn variables(workflow: &Workflow, kind: Kind) -> Vec<(String, String)> {
    let (of_setting, of_parameters): (fn(&str) -> String, &str) = match kind {
        Kind::Process => (escaped, ""),
        Kind::Container => (
            |text| escaped(&container::literally(text)),
            " | replace('$', '$$')",
        ),
    };
    let environment = workflow.deployment.environment.iter();
    let mut variables: Vec<_> = environment
        .map(|(name, value)| (name.clone(), string(&of_setting(value))))
        .collect();
    variables.push(("RUN_ID".to_owned(), string("{{ run_id }}")));
    let partitioned = workflow.partition.is_some();
    if partitioned {
        let partition = string("{{ params.partition or partition_key or '' }}");
        variables.push(("PARTITION".to_owned(), partition));
    }
    if !workflow.parameters.is_empty() {
        let parameters = match partitioned {
            false => format!("{{{{ params | tojson{of_parameters} }}}}"),
            // The partition is no parameter of the pipeline.
            true => {
                let names = workflow.parameters.iter().map(|it| &it.name);
                let pairs: Vec<_> = names
                    .map(|name| format!("'{name}': params['{name}']"))
                    .collect();
                format!("{{{{ {{{}}} | tojson{of_parameters} }}}}", pairs.join(", "))
            }
        };
        variables.push(("WHARF_PARAMETERS".to_owned(), string(&parameters)));
    }
    variables
}

/// The beginning of what starts tasks.
fn command(name: &str, command: &str, workflow: &Workflow) -> String {
    let deployment = &workflow.deployment;
    let mut lines = vec![
        format!("exec {} step {command}", shell::word(&deployment.command)),
        format!(" --store {}", shell::word(&deployment.store)),
        format!(" --pipeline {}", workflow.pipeline),
        " --run-id \"$RUN_ID\"".to_owned(),
    ];
    if workflow.partition.is_some() {
        lines.push(" --partition \"$PARTITION\"".to_owned());
    }
    let secrets = workflow.secret_arguments();
    for secret in secrets.chunks(2) {
        lines.push(format!(" {} {}", secret[0], shell::word(&secret[1])));
    }
    let lines: String = lines
        .iter()
        .map(|line| format!("    {}\n", string(line)))
        .collect();
    format!("\n{name} = (\n{lines})\n")
}

/// A text that Airflow fills nothing into.
fn escaped(text: &str) -> String {
    text.replace("{{", "{{ '{{' }}")
        .replace("{%", "{{ '{%' }}")
        .replace("{#", "{{ '{#' }}")
}

pub(super) fn task(workflow: &Workflow, task: &Task) -> String {
    let _ = workflow;
    let mut text = String::new();
    let step = format!(" --step {}", task.step);
    match task.items {
        Items::One => operator(
            &mut text,
            &variable(task),
            &task.slug(),
            "STEP",
            &step,
            task,
        ),
        Items::At { index, .. } => {
            let step = format!("{step} --item {index}");
            operator(
                &mut text,
                &variable(task),
                &task.slug(),
                "STEP",
                &step,
                task,
            );
        }
        Items::Each => mapped(&mut text, &step, task),
    }
    text
}

fn operator(text: &mut String, variable: &str, id: &str, command: &str, rest: &str, task: &Task) {
    let _ = write!(
        text,
        "    # {}.\n    {variable} = BashOperator(\n        task_id={},\n        \
         bash_command={command} + {},\n",
        task.summary(),
        string(id),
        string(rest)
    );
    for (name, value) in options(task) {
        let _ = writeln!(text, "        {name}={value},");
    }
    *text += "    )\n";
}

/// A task that lists the items of a step, and one for each of them.
fn mapped(text: &mut String, step: &str, task: &Task) {
    let (list, name) = (listing(task), variable(task));
    let _ = write!(
        text,
        "    {list} = BashOperator(\n        task_id={},\n        bash_command=ITEMS + {},\n    )\n\n",
        string(&format!("{}-items", task.step)),
        string(step),
    );
    let _ = write!(
        text,
        "    # {}, once for each item.\n    {name} = BashOperator.partial(\n        task_id={},\n",
        task.summary(),
        string(&task.step),
    );
    for (name, value) in options(task) {
        let _ = writeln!(text, "        {name}={value},");
    }
    let _ = write!(
        text,
        "    ).expand(\n        bash_command={list}.output.map(\n            \
         lambda item: STEP + f{}\n        )\n    )\n",
        string(&format!("{step} --item {{item}}")),
    );
}
