"""Snapshots, forks and templates."""

import time
from pathlib import Path

import pytest
from e2b import Sandbox, Template, wait_for_file
from e2b.exceptions import SandboxException


def name_of_its_own() -> str:
    return f"t{time.monotonic_ns()}"


def test_a_snapshot_is_a_sandbox_to_begin_from(sandbox: Sandbox) -> None:
    sandbox.files.write("kept.txt", "content")
    snapshot = sandbox.create_snapshot(name=name_of_its_own())
    try:
        known = Sandbox.list_snapshots(sandbox_id=sandbox.sandbox_id).next_items()
        assert [one.snapshot_id for one in known] == [snapshot.snapshot_id]
        sandbox.files.write("kept.txt", "changed")
        with Sandbox.create(snapshot.snapshot_id, timeout=60) as other:
            assert other.files.read("kept.txt") == "content"
            assert other.files.get_info("kept.txt").owner == "user"
    finally:
        assert Sandbox.delete_snapshot(snapshot.snapshot_id) is True
    assert Sandbox.delete_snapshot(snapshot.snapshot_id) is False


def test_forks_have_the_files_and_go_their_own_ways(sandbox: Sandbox) -> None:
    sandbox.files.write("file", "before")
    forks = sandbox.fork(timeout=60, count=3)
    try:
        assert len({fork.sandbox_id for fork in forks} | {sandbox.sandbox_id}) == 4
        forks[0].files.write("file", "after")
        assert [fork.files.read("file") for fork in forks] == [
            "after",
            "before",
            "before",
        ]
        assert sandbox.files.read("file") == "before"
    finally:
        for fork in forks:
            fork.kill()


def test_memory_that_cannot_be_kept_is_refused_and_not_forgotten(
    sandbox: Sandbox,
) -> None:
    running = sandbox.commands.run("sleep 1000", background=True, timeout=0)
    for call in (sandbox.create_snapshot, sandbox.fork):
        with pytest.raises(SandboxException, match="processes run"):
            call()
    assert running.pid in [process.pid for process in sandbox.commands.list()]


def test_a_template_is_built_and_used(tmp_path: Path) -> None:
    (tmp_path / "greeting.txt").write_text("good day")
    recipe = (
        Template(file_context_path=str(tmp_path))
        .from_template("base")
        .set_envs({"COLOUR": "green"})
        .copy("greeting.txt", "/home/user/greeting.txt")
        .run_cmd("echo made > made.txt")
        .set_workdir("/tmp")
    )
    name = name_of_its_own()
    lines: list[str] = []
    built = Template.build(recipe, alias=name, on_build_logs=lambda line: lines.append(str(line)))
    assert built.template_id and any("RUN echo made" in line for line in lines)
    assert Template.exists(name) is True
    with Sandbox.create(name, timeout=60) as sandbox:
        assert sandbox.files.read("/home/user/greeting.txt") == "good day"
        assert sandbox.files.read("/home/user/made.txt") == "made\n"
        assert sandbox.commands.run("echo $COLOUR; pwd").stdout == "green\n/tmp\n"


def test_a_template_has_tags_and_a_command_that_is_started() -> None:
    name = name_of_its_own()
    recipe = (
        Template()
        .from_base_image()
        .run_cmd("echo at the build > /home/user/built")
        .set_start_cmd("touch /tmp/up; sleep 1000", wait_for_file("/tmp/up"))
    )
    Template.build(recipe, f"{name}:v1", tags=["extra"], cpu_count=1, memory_mb=256)
    Template.assign_tags(f"{name}:v1", ["stable"])
    assert sorted(tag.tag for tag in Template.get_tags(name)) == ["extra", "stable", "v1"]
    Template.remove_tags(name, ["extra"])
    assert sorted(tag.tag for tag in Template.get_tags(name)) == ["stable", "v1"]
    with Sandbox.create(f"{name}:stable", timeout=60) as sandbox:
        assert sandbox.files.read("/home/user/built") == "at the build\n"
        assert any("sleep 1000" in str(process.args) for process in sandbox.commands.list())


def test_a_build_that_fails_says_where() -> None:
    recipe = Template().from_template("base").run_cmd("echo about to fail; exit 7")
    with pytest.raises(Exception, match="7"):
        Template.build(recipe, alias=name_of_its_own())
    with pytest.raises(Exception, match="(?i)image|registry"):
        Template.build(Template().from_image("debian:12"), alias=name_of_its_own())
    with pytest.raises(Exception, match="read-only"):
        Template.build(Template().from_template("base").apt_install("x"), alias=name_of_its_own())


def test_unknown_templates_are_told_apart() -> None:
    assert Template.exists(name_of_its_own()) is False
