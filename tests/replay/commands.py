"""What the workflow code of today does with a recorded history, as lines a person can read and compare."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_commands import WorkflowCommand
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.client import WorkflowHistory
from temporalio.worker import (
    Interceptor,
    Replayer,
    WorkflowInstance,
    WorkflowInstanceDetails,
    WorkflowRunner,
)
from temporalio.workflow import Info

from runtime.temporal import DATA_CONVERTER, INTERCEPTORS
from worker.build import WORKFLOWS, sandbox

HISTORIES = Path(__file__).parent / "histories"


def recorded() -> list[str]:
    """Names of all recorded histories."""
    return sorted(path.stem for path in HISTORIES.glob("*.json"))


def history(name: str) -> WorkflowHistory:
    """A recorded history."""
    return WorkflowHistory.from_json(name, (HISTORIES / f"{name}.json").read_text())


def commands_file(name: str) -> Path:
    """Where the commands that were right when the history was recorded are kept."""
    return HISTORIES / f"{name}.commands.txt"


async def replay(
    past: WorkflowHistory, workflows: Sequence[type] = WORKFLOWS
) -> tuple[list[str], Exception | None]:
    """The lines of a replay with today's code, or with that of other versions, and why it failed if it did.

    Runs like the worker: same workflows, sandbox, data converter and interceptors.
    """
    watching = Watching(sandbox())
    replayer = Replayer(
        workflows=workflows,
        workflow_runner=watching,
        data_converter=DATA_CONVERTER,
        interceptors=[each for each in INTERCEPTORS if isinstance(each, Interceptor)],
    )
    outcome = await replayer.replay_workflow(past, raise_on_replay_failure=False)
    return watching.lines, outcome.replay_failure


class Watching(WorkflowRunner):
    """The workers' sandbox, writing down what comes in and which commands go out."""

    def __init__(self, inner: WorkflowRunner) -> None:
        self.inner = inner
        self.lines: list[str] = []

    def prepare_workflow(self, defn: Any) -> None:
        """As the sandbox does."""
        self.inner.prepare_workflow(defn)

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        """The sandbox's instance, watched."""
        return _Watched(self.inner.create_instance(det), self.lines)

    def set_worker_level_failure_exception_types(self, types: Any) -> None:
        """As the sandbox does."""
        self.inner.set_worker_level_failure_exception_types(types)


class _Watched(WorkflowInstance):
    def __init__(self, inner: WorkflowInstance, lines: list[str]) -> None:
        self.inner = inner
        self.lines = lines

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        self.lines.extend(_news(act))
        completion = self.inner.activate(act)
        self.lines.extend(line for each in completion.successful.commands if (line := _words(each)))
        return completion

    def get_info(self) -> Info:
        return self.inner.get_info()

    def get_thread_id(self) -> int | None:
        return self.inner.get_thread_id()

    def get_serialization_context(self, command_info: Any) -> Any:
        return self.inner.get_serialization_context(command_info)

    def get_external_store_context(self, command_info: Any) -> Any:
        return self.inner.get_external_store_context(command_info)


def _news(act: WorkflowActivation) -> Iterator[str]:
    for job in act.jobs:
        if job.HasField("signal_workflow"):
            yield f"< signal {job.signal_workflow.signal_name}"
        elif job.HasField("do_update"):
            yield f"< update {job.do_update.name}"
        elif job.HasField("fire_timer"):
            yield "< timer"


def _words(command: WorkflowCommand) -> str | None:
    kind = command.WhichOneof("variant")
    match kind:
        case "schedule_activity":
            return f"> activity {command.schedule_activity.activity_type}"
        case "start_child_workflow_execution":
            return f"> child {command.start_child_workflow_execution.workflow_type}"
        case "signal_external_workflow_execution":
            return f"> signal {command.signal_external_workflow_execution.signal_name}"
        case "set_patch_marker":
            return f"> patch {command.set_patch_marker.patch_id}"
        case "update_response":
            return f"> update {command.update_response.WhichOneof('response')}"
        case "respond_to_query" | None:
            return None
        case _:
            return f"> {kind.replace('_', ' ')}"


def clean(recording: str, host: str) -> str:
    """A recording without the machine it was made on: no host, process, stack or path."""

    def walk(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {name: walk(each, name) for name, each in value.items() if name != "stackTrace"}
        if isinstance(value, list):
            return [walk(each) for each in value]
        if key == "identity":
            return "recorder"
        # As a word of its own: ids are random letters, and a machine's name may be short.
        if isinstance(value, str) and host and re.search(rf"(?<!\w){re.escape(host)}(?!\w)", value):
            return "recorder"
        return value

    return json.dumps(walk(json.loads(recording)), ensure_ascii=False, indent=1) + "\n"


def every_text(value: Any) -> Iterator[str]:
    """All texts of a recorded history, payloads decoded."""
    if isinstance(value, dict):
        for name, each in value.items():
            if name == "data" and isinstance(each, str):
                yield base64.b64decode(each).decode(errors="replace")
            else:
                yield from every_text(each)
    elif isinstance(value, list):
        for each in value:
            yield from every_text(each)
    elif isinstance(value, str):
        yield value
