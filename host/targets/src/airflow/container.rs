//! Tasks that are pods: `KubernetesPodOperator`.

use std::fmt::Write as _;

use super::{Kind, listing, options, process, variable};
use crate::pods::quantity;
use crate::python::{literal, string};
use crate::{Items, Task, Workflow};

/// Where `KubernetesPodOperator` says how a container ended: in what it shows of the pod.
pub(super) const EXIT_CODE: &str = r"'exit_code': (\d+)";

pub(super) fn imports(workflow: &Workflow) -> String {
    let mut text = String::new();
    text += "from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator\n";
    if !workflow.deployment.secrets.is_empty() {
        text += "from airflow.providers.cncf.kubernetes.secret import Secret\n";
    }
    text
}

/// What all tasks have in common.
pub(super) fn constants(workflow: &Workflow) -> String {
    let mut text = arguments("STEP", "exec", workflow);
    if workflow.maps() {
        text += &arguments("ITEMS", "items", workflow);
    }
    text += "\nDEFAULT_ARGS = {\n";
    let deployment = &workflow.deployment;
    let kubernetes = &deployment.kubernetes;
    let mut entry = |name: &str, value: &str| {
        let _ = writeln!(text, "    {}: {value},", string(name));
    };
    entry(
        "image",
        &string(deployment.image.as_deref().unwrap_or_default()),
    );
    entry("cmds", &literal(&[deployment.command.as_str()][..].into()));
    if let Some(namespace) = &kubernetes.namespace {
        entry("namespace", &string(namespace));
    }
    if let Some(account) = &kubernetes.service_account {
        entry("service_account_name", &string(account));
    }
    if !kubernetes.node_selector.is_empty() {
        let labels = kubernetes.node_selector.iter();
        let labels = labels.map(|(name, value)| (name.clone(), value.clone().into()));
        entry(
            "node_selector",
            &literal(&serde_json::Value::Object(labels.collect())),
        );
    }
    entry("env_vars", &variables(workflow));
    if let Some(secret) = &kubernetes.secret
        && !deployment.secrets.is_empty()
    {
        let secrets = deployment.secrets.keys().map(|name| {
            let name = string(name);
            format!(
                "        Secret(\"env\", {name}, {}, {name}),\n",
                string(secret)
            )
        });
        entry(
            "secrets",
            &format!("[\n{}    ]", secrets.collect::<String>()),
        );
    }
    entry(
        "container_security_context",
        "k8s.V1SecurityContext(\n        run_as_non_root=True,\n        \
         read_only_root_filesystem=True,\n        allow_privilege_escalation=False,\n        \
         capabilities=k8s.V1Capabilities(drop=[\"ALL\"]),\n    )",
    );
    // What it works on besides the store: files of outputs, and what was read.
    entry(
        "volumes",
        "[k8s.V1Volume(name=\"tmp\", empty_dir=k8s.V1EmptyDirVolumeSource())]",
    );
    entry(
        "volume_mounts",
        "[k8s.V1VolumeMount(name=\"tmp\", mount_path=\"/tmp\")]",
    );
    text += "    # The host decides whether a step runs, from all that came before it.\n    \
             \"skip_on_exit_code\": 99,\n    \
             \"trigger_rule\": \"none_failed\",\n}\n";
    text + RESOURCES
}

/// Memory is what a step was promised: asked for, and never exceeded.
const RESOURCES: &str = "\n
def resources(memory, cpu=None):
    requests = {\"memory\": memory} if cpu is None else {\"memory\": memory, \"cpu\": cpu}
    return k8s.V1ResourceRequirements(requests=requests, limits={\"memory\": memory})

";

/// The beginning of what starts tasks.
fn arguments(name: &str, command: &str, workflow: &Workflow) -> String {
    let pipeline = workflow.pipeline.to_string();
    let mut lines = vec![
        literal(&["step", command][..].into()),
        literal(&["--store", &literally(&workflow.deployment.store)][..].into()),
        literal(&["--pipeline", &pipeline][..].into()),
        literal(&["--run-id", "$(RUN_ID)"][..].into()),
    ];
    if workflow.partition.is_some() {
        lines.push(literal(&["--partition", "$(PARTITION)"][..].into()));
    }
    let lines = lines.iter().map(|line| {
        let items = line.trim_start_matches('[').trim_end_matches(']');
        format!("    {items},\n")
    });
    format!("\n{name} = [\n{}]\n", lines.collect::<String>())
}

/// A text that Kubernetes fills no variable into.
pub(super) fn literally(text: &str) -> String {
    text.replace('$', "$$")
}

fn variables(workflow: &Workflow) -> String {
    let mut variables: Vec<(String, String)> = process::variables(workflow, Kind::Container);
    // What processes of a worker are told by Airflow itself.
    for (name, value) in [
        ("AIRFLOW_CTX_DAG_ID", "{{ dag.dag_id }}"),
        ("AIRFLOW_CTX_TASK_ID", "{{ task.task_id }}"),
        ("AIRFLOW_CTX_DAG_RUN_ID", "{{ run_id }}"),
        ("AIRFLOW_CTX_TRY_NUMBER", "{{ ti.try_number }}"),
    ] {
        variables.push((name.to_owned(), string(value)));
    }
    let lines = variables.into_iter();
    let lines = lines.map(|(name, value)| format!("        {}: {value},\n", string(&name)));
    format!("{{\n{}    }}", lines.collect::<String>())
}

pub(super) fn task(workflow: &Workflow, task: &Task) -> String {
    match task.items {
        Items::One => operator(
            workflow,
            task,
            &format!("[\"--step\", {}]", string(&task.step)),
        ),
        Items::At { index, .. } => {
            let step = string(&task.step);
            let index = string(&index.to_string());
            operator(
                workflow,
                task,
                &format!("[\"--step\", {step}, \"--item\", {index}]"),
            )
        }
        Items::Each => mapped(workflow, task),
    }
}

fn operator(workflow: &Workflow, task: &Task, rest: &str) -> String {
    let mut text = format!(
        "    # {}.\n    {} = KubernetesPodOperator(\n        task_id={},\n        \
         arguments=STEP + {rest},\n",
        task.summary(),
        variable(task),
        string(&task.slug()),
    );
    for (name, value) in all_options(workflow, task) {
        let _ = writeln!(text, "        {name}={value},");
    }
    text + "    )\n"
}

fn all_options(workflow: &Workflow, task: &Task) -> Vec<(&'static str, String)> {
    let cpu = workflow.deployment.kubernetes.cpu.as_deref();
    let cpu = cpu.map_or_else(String::new, |cpu| format!(", cpu={}", string(cpu)));
    let memory = string(&quantity(task.memory));
    let mut all = vec![("container_resources", format!("resources({memory}{cpu})"))];
    all.extend(options(task));
    all
}

/// A task that lists the items of a step, and one for each of them.
fn mapped(workflow: &Workflow, task: &Task) -> String {
    let (list, name, step) = (listing(task), variable(task), string(&task.step));
    let mut text = format!(
        "    {list} = KubernetesPodOperator(\n        task_id={},\n        \
         arguments=ITEMS + [\"--step\", {step}],\n        do_xcom_push=True,\n        \
         container_resources=resources(\"256Mi\"),\n    )\n\n    \
         # {}, once for each item.\n    {name} = KubernetesPodOperator.partial(\n        \
         task_id={step},\n",
        string(&format!("{}-items", task.step)),
        task.summary(),
    );
    for (name, value) in all_options(workflow, task) {
        let _ = writeln!(text, "        {name}={value},");
    }
    let _ = write!(
        text,
        "    ).expand(\n        arguments={list}.output.map(\n            \
         lambda item: STEP + [\"--step\", {step}, \"--item\", str(item)]\n        )\n    )\n",
    );
    text
}
