"""Runs no-ops with Dagster in this process, and prints the seconds of one run of each
count of them: dagster_noops.py COUNT..

Imports, the definition of the job, and a first run are not counted.
"""

import sys
import time

from dagster import DagsterInstance, job, op

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def no_ops(count):
    @op
    def no_op():
        pass

    @job(name=f"no_ops_{count}")
    def no_ops():
        for number in range(count):
            no_op.alias(f"no_op_{number}")()

    return no_ops


def seconds(job):
    started = time.perf_counter()
    with DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(instance=instance, run_config=QUIET)
    assert result.success
    return time.perf_counter() - started


def main():
    seconds(no_ops(1))
    jobs = [no_ops(int(count)) for count in sys.argv[1:]]
    print(*[seconds(job) for job in jobs])


main()
