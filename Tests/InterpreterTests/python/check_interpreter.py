"""Runs code through the official SDK: `python check_interpreter.py [TEST…]`, against the server at `E2B_SANDBOX_URL`.

`E2B_DEBUG=true` keeps the SDK from asking a control plane. `CHECK_SANDBOX=1` says that the server is in a sandbox whose
owner has set `SHARED=everywhere` and the token `CHECK_TOKEN`.
"""

import asyncio
import concurrent.futures
import contextlib
import http.client
import json
import os
import threading
import unittest
import urllib.parse
from typing import Any

from e2b import NotFoundException, SandboxException, TimeoutException
from e2b_code_interpreter import AsyncSandbox, Execution, Sandbox
from e2b_code_interpreter.charts import (
    BarChart,
    BoxAndWhiskerChart,
    ChartType,
    LineChart,
    PieChart,
    ScatterChart,
    SuperChart,
)

URL = urllib.parse.urlsplit(os.environ["E2B_SANDBOX_URL"])
IN_SANDBOX = os.environ.get("CHECK_SANDBOX") == "1"
PLOT = "import matplotlib.pyplot as plt\n"


def request(method: str, path: str, body: Any = None) -> tuple[int, str]:
    """What the server answers to a request that the SDK would not make."""
    connection = http.client.HTTPConnection(URL.hostname or "", URL.port, timeout=60)
    try:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection.request(method, path, data, {"Content-Type": "application/json"})
        reply = connection.getresponse()
        return reply.status, reply.read().decode()
    finally:
        connection.close()


def introduce(sandbox: Any) -> None:
    """Gives the SDK the token that it would have from a control plane."""
    if token := os.environ.get("CHECK_TOKEN"):
        names = [f"_{kind.__name__}__envd_access_token" for kind in type(sandbox).__mro__]
        (name,) = [name for name in names if hasattr(sandbox, name)]
        setattr(sandbox, name, token)


class Case(unittest.TestCase):
    """A test with a context of its own, so that tests do not see each other."""

    sandbox: Sandbox

    @classmethod
    def setUpClass(cls) -> None:
        cls.sandbox = Sandbox.create()
        introduce(cls.sandbox)

    def setUp(self) -> None:
        self.context = self.sandbox.create_code_context()
        self.addCleanup(self.remove)

    def remove(self) -> None:
        with contextlib.suppress(NotFoundException):
            self.sandbox.remove_code_context(self.context)

    def run_code(self, code: str, **options: Any) -> Execution:
        return self.sandbox.run_code(code, context=self.context, **options)

    def text(self, code: str, **options: Any) -> str | None:
        execution = self.run_code(code, **options)
        self.assertIsNone(execution.error, execution.error)
        return execution.text

    def chart(self, code: str) -> Any:
        execution = self.run_code(PLOT + code + "\nplt.show()")
        self.assertIsNone(execution.error, execution.error)
        self.assertTrue(execution.results[0].png)
        return execution.results[0].chart


class Cells(Case):
    def test_state_goes_from_cell_to_cell(self) -> None:
        self.assertIsNone(self.text("x = 41"))
        self.assertEqual(self.text("x += 1; x"), "42")

    def test_executions_are_counted(self) -> None:
        self.assertEqual([self.run_code("1").execution_count for _ in range(3)], [1, 2, 3])

    def test_the_default_context_keeps_state(self) -> None:
        self.sandbox.run_code("kept_by_default = 7")
        self.assertEqual(self.sandbox.run_code("kept_by_default").text, "7")
        self.assertEqual(self.sandbox.run_code("kept_by_default", language="python").text, "7")

    def test_output_is_told_apart_and_comes_as_it_is_written(self) -> None:
        out: list[Any] = []
        err: list[Any] = []
        execution = self.run_code(
            "import sys\nprint('one')\nprint('two', file=sys.stderr)", on_stdout=out.append, on_stderr=err.append
        )
        self.assertEqual((execution.logs.stdout, execution.logs.stderr), (["one\n"], ["two\n"]))
        self.assertEqual([(item.line, item.error) for item in out + err], [("one\n", False), ("two\n", True)])
        self.assertTrue(all(item.timestamp for item in out + err))

    def test_output_arrives_while_the_code_runs(self) -> None:
        # The code goes on only once its first line has been seen here.
        gate = f"/tmp/gate-{self.context.id}"
        code = (
            f"import os\nprint('first', flush=True)\nos.mkfifo({gate!r}, 0o600)\nopen({gate!r}).read()\nprint('last')"
        )
        seen: list[str] = []

        def open_gate(item: Any) -> None:
            seen.append(item.line)
            if len(seen) == 1:
                code = f"import os\nwhile not os.path.exists({gate!r}): pass\nopen({gate!r}, 'w').write('go')"
                self.sandbox.run_code(code)

        self.assertIsNone(self.run_code(code, on_stdout=open_gate, timeout=60).error)
        self.assertEqual(seen, ["first\n", "last\n"])

    def test_errors_have_name_value_and_traceback(self) -> None:
        errors: list[Any] = []
        execution = self.run_code("def broken():\n    return 1 / 0\n\nbroken()", on_error=errors.append)
        assert execution.error is not None
        self.assertEqual((execution.error.name, execution.error.value), ("ZeroDivisionError", "division by zero"))
        self.assertIn("broken()", execution.error.traceback)
        self.assertNotIn("\x1b", execution.error.traceback)
        self.assertEqual(errors, [execution.error])
        self.assertEqual(self.run_code("x = (").error.name, "SyntaxError")
        self.assertEqual(self.text("'after'"), "after")

    def test_input_is_refused_clearly(self) -> None:
        for code in ("input('name? ')", "import getpass; getpass.getpass()"):
            error = self.run_code(code).error
            assert error is not None
            self.assertEqual(error.name, "StdinNotImplementedError")
            self.assertIn("nobody is there to answer", error.value)

    def test_magics_shell_and_await(self) -> None:
        self.assertEqual("".join(self.run_code("!echo $((6 * 7))").logs.stdout).strip(), "42")
        self.assertEqual(self.text("import asyncio\nawait asyncio.sleep(0, 'awaited')"), "awaited")
        self.assertEqual(self.run_code("%%bash\necho from bash").logs.stdout, ["from bash\n"])
        self.assertIn("1 loop", "".join(self.run_code("%timeit -n1 -r1 pass").logs.stdout))
        self.assertEqual(self.text("    indented = 5\n    indented"), "5")

    def test_pip_belongs_to_the_users_interpreter(self) -> None:
        place = self.text("import os, sys; os.path.dirname(os.path.dirname(sys.executable))")
        for code in ("%pip --version", "!pip --version"):
            self.assertIn("python 3", "".join(self.run_code(code).logs.stdout), code)
        listed = "".join(self.run_code("!pip list --format=freeze").logs.stdout)
        self.assertIn("pandas==", listed)
        # A package of the user's own comes before those that are there.
        folder = f"{place}/lib/python3.{self.text('import sys; sys.version_info.minor')}/site-packages"
        self.run_code(f"open({folder!r} + '/six_of_mine.py', 'w').write('WHOSE = 6')")
        self.assertEqual(self.text("import six_of_mine; six_of_mine.WHOSE"), "6")

    def test_our_modules_are_not_the_users(self) -> None:
        code = "import os, sys; [name for name in sys.modules if name.startswith('berth')], "
        code += "[place for place in sys.path if os.path.exists(place + '/berth_interpreter')]"
        self.assertEqual(self.text(code), "([], [])")
        self.assertEqual(self.text("import sys; len(sys.argv), __name__"), "(1, '__main__')")

    def test_ten_megabytes_come_whole_and_in_order(self) -> None:
        code = "for i in range(163840): print(f'{i:063d}')"
        text = "".join(self.run_code(code, timeout=240).logs.stdout)
        self.assertEqual(len(text), 163840 * 64)
        self.assertTrue(all(int(line) == number for number, line in enumerate(text.splitlines())))

    def test_many_small_messages_come_whole(self) -> None:
        text = "".join(self.run_code("for i in range(20000): print(i, flush=True)", timeout=240).logs.stdout)
        self.assertEqual(text, "".join(f"{i}\n" for i in range(20000)))

    def test_a_long_line_comes_in_pieces(self) -> None:
        execution = self.run_code("print('ä' * 3_000_000)")
        self.assertGreater(len(execution.logs.stdout), 3)
        self.assertEqual("".join(execution.logs.stdout), "ä" * 3_000_000 + "\n")

    def test_a_reader_who_is_slow_holds_the_writer(self) -> None:
        # 64 MiB in all; the producer may be ahead of its reader by no more than what the way holds.
        path = f"/tmp/written-{self.context.id}"
        code = (
            f"file = open({path!r}, 'wb', buffering=0)\nfor i in range(1024):\n    print('x' * 65535)\n"
            "    file.write(b'.')"
        )
        connection = http.client.HTTPConnection(URL.hostname or "", URL.port, timeout=120)
        body = json.dumps({"code": code, "context_id": self.context.id})
        connection.request("POST", "/execute", body, {"Content-Type": "application/json"})
        reply = connection.getresponse()
        self.assertIn(b"number_of_executions", reply.readline())
        # It comes to a halt: two looks, a second apart, see the same.
        look = "import os, time\nlast, now = -1, 0\nwhile now != last or not now:\n    time.sleep(1)\n"
        look += f"    last, now = now, os.path.getsize({path!r})\nnow"
        self.assertLess(int(self.sandbox.run_code(look).text or 0), 900)
        events = [json.loads(line) for line in reply]
        connection.close()
        self.assertEqual(events[-1], {"type": "end_of_execution"})
        self.assertEqual(sum(len(event["text"]) for event in events[:-1]), 1024 * 65536)


class Contexts(Case):
    def test_contexts_are_kept_apart(self) -> None:
        other = self.sandbox.create_code_context(cwd="/tmp")
        try:
            self.text("mine = 1")
            error = self.sandbox.run_code("mine", context=other).error
            assert error is not None
            self.assertEqual(error.name, "NameError")
            self.assertEqual(self.sandbox.run_code("import os; os.getcwd()", context=other).text, "/tmp")
        finally:
            self.sandbox.remove_code_context(other)

    def test_contexts_are_listed_in_their_order(self) -> None:
        listed = self.sandbox.list_code_contexts()
        self.assertEqual((listed[-1].id, listed[-1].language), (self.context.id, "python"))
        self.assertIn("python", [context.language for context in listed[:-1]])

    def test_a_folder_that_is_missing_is_made(self) -> None:
        place = f"/tmp/made-{self.context.id}/below"
        context = self.sandbox.create_code_context(cwd=place, language="python")
        try:
            self.assertEqual(context.cwd, place)
            self.assertEqual(self.sandbox.run_code("import os; os.getcwd()", context=context).text, place)
            self.sandbox.run_code("os.chdir('/')", context=context)
            self.assertEqual(self.sandbox.run_code("os.getcwd()", context=context).text, "/")
        finally:
            self.sandbox.remove_code_context(context)

    def test_a_folder_that_cannot_be_is_refused(self) -> None:
        with self.assertRaisesRegex(SandboxException, "400.*/dev/null/x cannot be used"):
            self.sandbox.create_code_context(cwd="/dev/null/x")
        with self.assertRaisesRegex(SandboxException, "400.*not absolute"):
            self.sandbox.create_code_context(cwd="x")

    def test_restart_forgets(self) -> None:
        self.text("x = 1")
        self.sandbox.restart_code_context(self.context)
        execution = self.run_code("x")
        assert execution.error is not None
        self.assertEqual((execution.error.name, execution.execution_count), ("NameError", 1))

    def test_restart_ends_what_runs(self) -> None:
        def restart(_: Any) -> None:
            self.sandbox.restart_code_context(self.context)

        execution = self.run_code("print(1, flush=True)\nwhile True: pass", on_stdout=restart, timeout=60)
        assert execution.error is not None
        self.assertEqual(execution.error.name, "UnexpectedEndOfExecution")
        self.assertEqual(self.text("'again'"), "again")

    def test_a_removed_context_is_unknown(self) -> None:
        self.sandbox.remove_code_context(self.context)
        for call in (
            lambda: self.run_code("1"),
            lambda: self.sandbox.remove_code_context(self.context),
            lambda: self.sandbox.restart_code_context(self.context.id),
        ):
            with self.assertRaisesRegex(NotFoundException, f"Context {self.context.id} not found"):
                call()

    def test_removing_ends_what_runs(self) -> None:
        def remove(_: Any) -> None:
            self.sandbox.remove_code_context(self.context)

        execution = self.run_code("print(1, flush=True)\nwhile True: pass", on_stdout=remove, timeout=60)
        assert execution.error is not None
        self.assertEqual(execution.error.name, "UnexpectedEndOfExecution")

    def test_the_removed_default_is_made_again(self) -> None:
        self.sandbox.run_code("gone = 1")
        first = self.sandbox.list_code_contexts()[0]
        if first.id != self.context.id:
            self.sandbox.remove_code_context(first)
        error = self.sandbox.run_code("gone").error
        assert error is not None
        self.assertEqual(error.name, "NameError")

    def test_a_killed_kernel_is_told_and_replaced(self) -> None:
        def kill(item: Any) -> None:
            self.sandbox.run_code(f"import os; os.kill({item.line}, 9)")

        execution = self.run_code("x = 1\nimport os\nprint(os.getpid(), flush=True)\nwhile True: pass", on_stdout=kill)
        assert execution.error is not None
        self.assertEqual(execution.error.name, "UnexpectedEndOfExecution")
        self.assertIn("SIGKILL", execution.error.value)
        error = self.run_code("x").error
        assert error is not None
        self.assertEqual(error.name, "NameError")
        self.run_code("os = __import__('os'); os._exit(3)")
        self.sandbox.restart_code_context(self.context)
        self.assertEqual(self.text("'again'"), "again")

    def test_twenty_executions_in_five_contexts(self) -> None:
        contexts = [self.sandbox.create_code_context() for _ in range(5)]
        try:
            with concurrent.futures.ThreadPoolExecutor(20) as pool:
                for context in contexts:
                    self.sandbox.run_code("seen = []", context=context)
                runs = [
                    pool.submit(
                        self.sandbox.run_code, f"seen.append({number}); len(seen)", context=contexts[number % 5]
                    )
                    for number in range(20)
                ]
                counts = [run.result().text for run in runs]
            # One after the other in each context: each saw another number there.
            for place in range(5):
                self.assertEqual(sorted(counts[place::5]), ["1", "2", "3", "4"])
        finally:
            for context in contexts:
                self.sandbox.remove_code_context(context)


class Interrupts(Case):
    def test_a_client_who_goes_away_interrupts(self) -> None:
        code = "import time\ntry:\n    time.sleep(600)\nexcept KeyboardInterrupt:\n    interrupted = True\n    raise"
        with self.assertRaises(TimeoutException):
            self.run_code(code, timeout=1)
        self.assertEqual(self.text("interrupted", timeout=60), "True")

    def test_what_the_shell_started_is_interrupted(self) -> None:
        with self.assertRaises(TimeoutException):
            self.run_code("!sleep 600", timeout=1)
        self.assertEqual(self.text("'free'", timeout=60), "free")

    def test_a_flood_without_a_reader_ends(self) -> None:
        with self.assertRaises(TimeoutException):
            self.run_code("while True: print('x' * 10000)", timeout=1)
        self.assertEqual(self.text("'free'", timeout=60), "free")

    def test_what_waits_and_is_not_wanted_does_not_begin(self) -> None:
        started = threading.Event()
        first = threading.Thread(
            target=lambda: self.run_code(
                "began = []\nprint('', flush=True)\n__import__('time').sleep(4)", on_stdout=lambda _: started.set()
            )
        )
        first.start()
        started.wait()
        with self.assertRaises(TimeoutException):
            self.run_code("began.append(1)", timeout=1)
        first.join()
        self.assertEqual(self.text("began"), "[]")

    def test_an_interrupt_that_is_ignored_comes_again(self) -> None:
        code = (
            "import time\ncaught = 0\nwhile caught < 2:\n    try: time.sleep(600)\n"
            "    except KeyboardInterrupt: caught += 1"
        )
        with self.assertRaises(TimeoutException):
            self.run_code(code, timeout=1)
        self.assertEqual(self.text("caught", timeout=60), "2")

    def test_silence_is_kept_alive(self) -> None:
        connection = http.client.HTTPConnection(URL.hostname or "", URL.port, timeout=60)
        body = json.dumps({"code": "import time; time.sleep(6); 1", "context_id": self.context.id})
        connection.request("POST", "/execute", body, {"Content-Type": "application/json"})
        kinds = [json.loads(line)["type"] for line in connection.getresponse()]
        connection.close()
        self.assertIn("keepalive", kinds)
        self.assertEqual((kinds[0], kinds[-2:]), ("number_of_executions", ["result", "end_of_execution"]))


class Variables(Case):
    READ = "import os; os.environ.get('ONCE'), os.environ.get('HOME_OF')"

    def test_variables_are_of_one_execution(self) -> None:
        self.text("import os; os.environ['HOME_OF'] = 'before'")
        envs = {"ONCE": 'it\'s "q"\n$x', "HOME_OF": "changed"}
        printed = self.run_code("import os; print(os.environ['ONCE'], end='')", envs=envs).logs.stdout
        self.assertEqual("".join(printed), envs["ONCE"])
        self.assertEqual(self.text(self.READ, envs={"ONCE": "1", "HOME_OF": "2"}), "('1', '2')")
        self.assertEqual(self.text(self.READ), "(None, 'before')")
        self.run_code("1 / 0", envs={"ONCE": "1"})
        self.assertEqual(self.text(self.READ), "(None, 'before')")

    def test_variables_go_back_after_an_interrupt(self) -> None:
        with self.assertRaises(TimeoutException):
            self.run_code("__import__('time').sleep(600)", envs={"ONCE": "1"}, timeout=1)
        self.assertEqual(self.text("import os; os.environ.get('ONCE')"), None)

    def test_bash_has_variables_too(self) -> None:
        context = self.sandbox.create_code_context(language="bash", cwd="/tmp")
        try:

            def run(code: str, **options: Any) -> list[str]:
                return self.sandbox.run_code(code, context=context, **options).logs.stdout

            run("export KEPT=before; state=1")
            self.assertEqual(
                run('echo "$ONCE/$KEPT/$PWD"', envs={"ONCE": "it's $HOME", "KEPT": "x"}), ["it's $HOME/x//tmp\n"]
            )
            self.assertEqual(run('echo "${ONCE-none}/$KEPT/$state"'), ["none/before/1\n"])
        finally:
            self.sandbox.remove_code_context(context)

    def test_names_are_checked(self) -> None:
        with self.assertRaisesRegex(SandboxException, "400.*no name of an environment variable"):
            self.run_code("1", envs={"A=B;rm": "1"})

    @unittest.skipUnless(IN_SANDBOX, "there is no agent")
    def test_variables_of_the_sandbox_are_everywhere(self) -> None:
        self.assertEqual(self.text("import os; os.environ['SHARED']"), "everywhere")
        self.assertEqual(self.text("import os; os.environ['SHARED']", envs={"SHARED": "here"}), "here")
        self.assertEqual(self.text("import os; os.environ['SHARED']"), "everywhere")
        self.assertEqual(self.sandbox.run_code("echo $SHARED", language="bash").logs.stdout, ["everywhere\n"])
        self.sandbox.restart_code_context(self.context)
        self.assertEqual(self.text("import os; os.environ['SHARED']"), "everywhere")

    @unittest.skipUnless(IN_SANDBOX, "there is no agent")
    def test_the_agent_tells_those_inside_little(self) -> None:
        code = """
            import http.client
            def ask(method, path, **headers):
                agent = http.client.HTTPConnection("127.0.0.1", 49983)
                agent.request(method, path, headers=headers)
                return agent.getresponse().status
            token = {"X-Access-Token": TOKEN}
            [ask("GET", "/health"), ask("GET", "/envs"), ask("GET", "/envs", **token),
             ask("GET", "/files?path=/etc/passwd", **token), ask("POST", "/init", **token),
             ask("POST", "/process.Process/List", **token), ask("GET", "/berth/listeners", **token)]
        """
        code = code.replace("TOKEN", repr(os.environ["CHECK_TOKEN"]))
        self.assertEqual(self.text(code), "[204, 401, 200, 403, 403, 403, 403]")


class Results(Case):
    def one(self, code: str) -> Any:
        execution = self.run_code(code)
        self.assertIsNone(execution.error, execution.error)
        self.assertEqual(len(execution.results), 1)
        return execution.results[0]

    def test_text_has_no_quotes(self) -> None:
        for code, text in (("'a'", "a"), ('"it\'s"', "it's"), ("''", ""), ("[1, 'a']", "[1, 'a']"), ("3.5", "3.5")):
            self.assertEqual(self.text(code), text, code)

    def test_displays_come_before_the_main_result(self) -> None:
        seen: list[Any] = []
        execution = self.run_code("display(1)\ndisplay(2)\n3", on_result=seen.append)
        self.assertEqual([(r.text, r.is_main_result) for r in seen], [("1", False), ("2", False), ("3", True)])
        self.assertEqual((len(execution.results), execution.text), (3, "3"))

    def test_every_kind_has_its_field(self) -> None:
        kinds = {
            "html": ("text/html", "<b>1</b>"),
            "markdown": ("text/markdown", "*1*"),
            "svg": ("image/svg+xml", "<svg/>"),
            "png": ("image/png", "iVBORw0K"),
            "jpeg": ("image/jpeg", "/9j/"),
            "pdf": ("application/pdf", "JVBERi0="),
            "latex": ("text/latex", "$x$"),
            "json": ("application/json", {"a": [1, None]}),
            "javascript": ("application/javascript", "1"),
        }
        for name, (kind, value) in kinds.items():
            result = self.one(f"display({{{kind!r}: {value!r}}}, raw=True)")
            self.assertEqual((list(result.formats()), result[name]), ([name], value))
        result = self.one("display({'text/plain': 'x', 'application/x-own': {'a': 1}}, raw=True)")
        self.assertEqual((result.text, result.extra), ("x", {"application/x-own": {"a": 1}}))

    def test_a_table_is_data(self) -> None:
        result = self.one(
            "import pandas as pd, numpy as np\n"
            "pd.DataFrame({'a': [1, 2], 'b': [0.5, np.nan], 'c': ['x', None], 3: pd.to_datetime(['2024-01-02', None]),"
            " 'd': pd.array([True, None], dtype='boolean'), 'e': [{'k': np.int64(1)}, [np.inf]]})"
        )
        self.assertEqual(
            result.data,
            {
                "a": [1, 2],
                "b": [0.5, None],
                "c": ["x", None],
                "3": ["2024-01-02T00:00:00", None],
                "d": [True, None],
                "e": [{"k": 1}, [None]],
            },
        )
        self.assertIn("<table", result.html)
        self.assertTrue(result.text)

    def test_pictures_that_are_shown_or_saved_are_results(self) -> None:
        make = "from PIL import Image\nimage = Image.new('RGB', (4, 4))\n"
        for code in ("image", "image.show()", f"image.save('/tmp/{self.context.id}.png')"):
            self.assertTrue(self.one(make + code).png, code)
        self.assertEqual(self.run_code("import io; image.save(io.BytesIO(), format='png')").results, [])


class Charts(Case):
    def test_line(self) -> None:
        chart = self.chart(
            "plt.plot([1, 2, 3], [10, 20, 15], label='one')\nplt.plot([1, 2, 3], [3, 2, 1])\n"
            "plt.xlabel('Time (s)'); plt.ylabel('Way [m]'); plt.title('Two'); plt.legend()"
        )
        self.assertIsInstance(chart, LineChart)
        self.assertEqual((chart.title, chart.x_label, chart.x_unit, chart.y_unit), ("Two", "Time (s)", "s", "m"))
        self.assertEqual(chart.elements[0].label, "one")
        self.assertEqual(chart.elements[0].points, [(1, 10), (2, 20), (3, 15)])
        self.assertEqual((len(chart.elements), chart.x_scale), (2, "linear"))

    def test_dates_and_logarithms_are_scales(self) -> None:
        chart = self.chart(
            "import datetime\nplt.plot([datetime.date(2024, 1, day) for day in (1, 2, 3)], [1, 10, 100])\n"
            "plt.yscale('log')"
        )
        self.assertEqual((chart.x_scale, chart.y_scale), ("datetime", "log"))
        self.assertEqual(chart.elements[0].points[0][0], "2024-01-01")

    def test_scatter(self) -> None:
        chart = self.chart("plt.scatter([1, 2], [3, 4], label='dots')")
        self.assertIsInstance(chart, ScatterChart)
        self.assertEqual((chart.elements[0].label, chart.elements[0].points), ("dots", [(1, 3), (2, 4)]))

    def test_bar(self) -> None:
        chart = self.chart("plt.bar(['a', 'b'], [1, 2], label='g')")
        self.assertIsInstance(chart, BarChart)
        self.assertEqual([(b.label, b.value, b.group) for b in chart.elements], [("a", 1, "g"), ("b", 2, "g")])

    def test_pie(self) -> None:
        chart = self.chart("plt.pie([1, 3], labels=['a', 'b'])")
        self.assertIsInstance(chart, PieChart)
        self.assertEqual([(p.label, p.angle, p.radius) for p in chart.elements], [("a", 90, 1), ("b", 270, 1)])

    def test_box(self) -> None:
        code = (
            "plt.boxplot([[85, 90, 78, 92, 88], [95, 89, 76, 91, 84, 87]], tick_labels=['a', 'b'], patch_artist=True)"
        )
        chart = self.chart(code)
        self.assertIsInstance(chart, BoxAndWhiskerChart)
        first, second = chart.elements
        self.assertEqual((first.label, first.min, first.first_quartile, first.median), ("a", 78, 85, 88))
        self.assertEqual((first.third_quartile, first.max, second.outliers), (90, 92, [76]))
        self.assertEqual(self.run_code(PLOT + code).logs.stderr, [])

    def test_several_axes_are_a_superchart(self) -> None:
        chart = self.chart(
            "figure, (left, right) = plt.subplots(1, 2)\nfigure.suptitle('Both')\n"
            "left.plot([1, 2], [1, 2])\nright.bar(['a', 'b'], [1, 2])"
        )
        self.assertIsInstance(chart, SuperChart)
        self.assertEqual(chart.title, "Both")
        self.assertEqual([part.type for part in chart.elements], [ChartType.LINE, ChartType.BAR])

    def test_a_figure_that_is_no_known_chart_is_a_picture(self) -> None:
        self.assertEqual(self.chart("plt.imshow([[1, 2], [3, 4]])").type, ChartType.UNKNOWN)
        execution = self.run_code(PLOT + "plt.figure().subplots(); plt.show()")
        self.assertTrue(execution.results[0].png)
        self.assertIsNone(execution.results[0].chart)


class Languages(Case):
    def test_bash(self) -> None:
        out = self.sandbox.run_code("echo one; cd /tmp", language="bash").logs.stdout
        self.assertEqual(out, ["one\n"])
        self.assertEqual(self.sandbox.run_code("pwd", language="bash").logs.stdout, ["/tmp\n"])
        error = self.sandbox.run_code("exit_code() { return 3; }; exit_code", language="bash").error
        assert error is not None
        self.assertEqual(error.value, "3")

    def test_bash_is_interrupted(self) -> None:
        context = self.sandbox.create_code_context(language="bash")
        try:
            with self.assertRaises(TimeoutException):
                self.sandbox.run_code("sleep 600", context=context, timeout=1)
            self.assertEqual(self.sandbox.run_code("echo free", context=context, timeout=60).logs.stdout, ["free\n"])
        finally:
            self.sandbox.remove_code_context(context)

    def test_kernels_that_are_installed_are_used(self) -> None:
        # It stands for one of another language: what counts is how it is found and spoken to.
        place = "os.path.expanduser('~/.local/share/jupyter/kernels/r')"
        argv = "[sys.executable, '-m', 'ipykernel', '-f', '{connection_file}']"
        self.text(
            f"import json, os, shutil, sys\nos.makedirs({place}, exist_ok=True)\n"
            f"with open({place} + '/kernel.json', 'w') as file:\n"
            f"    json.dump({{'argv': {argv}, 'language': 'r', 'display_name': 'R', 'env': {{'OWN': '1'}}}}, file)"
        )
        try:
            context = self.sandbox.create_code_context(language="R")
            try:
                self.assertEqual(context.language, "r")
                self.assertEqual(self.sandbox.run_code("import os; os.environ['OWN']", context=context).text, "1")
                with self.assertRaisesRegex(SandboxException, "400.*not supported for r"):
                    self.sandbox.run_code("1", context=context, envs={"A": "1"})
            finally:
                self.sandbox.remove_code_context(context)
        finally:
            self.text(f"shutil.rmtree({place})")

    def test_languages_that_are_not_here_say_so(self) -> None:
        for language in ("cobol", "javascript", "java"):
            with self.assertRaisesRegex(SandboxException, f"400.*'{language}' is not available.*python, bash"):
                self.sandbox.run_code("1", language=language)
            with self.assertRaisesRegex(SandboxException, "400.*is not available"):
                self.sandbox.create_code_context(language=language)


class Protocol(Case):
    def test_health(self) -> None:
        self.assertEqual(request("GET", "/health"), (200, '"OK"'))

    def test_requests_that_are_wrong(self) -> None:
        both = {"code": "1", "context_id": self.context.id, "language": "python"}
        cases: list[tuple[str, str, Any, int, str]] = [
            ("POST", "/execute", both, 400, "Only one of context_id or language can be provided"),
            ("POST", "/execute", {"code": "1", "context_id": "nobody"}, 404, "Context nobody not found"),
            ("POST", "/execute", {}, 400, "The field 'code' has to be text"),
            ("POST", "/execute", {"code": 1}, 400, "The field 'code' has to be text"),
            ("POST", "/execute", {"code": "1", "env_vars": {"A": 1}}, 400, "The field 'env_vars'"),
            ("POST", "/execute", b"{", 400, "The body is not JSON"),
            ("POST", "/execute", b"[" * 100000, 400, "The body is not JSON"),
            ("POST", "/execute", b"[]", 400, "The body is not a JSON object"),
            ("POST", "/execute", b" " * ((16 << 20) + 1), 400, "more than 16777216 bytes"),
            ("POST", "/contexts", {"language": 1}, 400, "The field 'language' has to be text"),
            ("DELETE", "/contexts/nobody", None, 404, "Context nobody not found"),
            ("GET", "/nothing", None, 404, ""),
            ("GET", "/execute", None, 405, ""),
        ]
        for method, path, body, status, text in cases:
            reply = request(method, path, body)
            self.assertEqual(reply[0], status, f"{method} {path}: {reply}")
            self.assertIn(text, reply[1])

    def test_the_end_is_always_the_last_line(self) -> None:
        for code in ("1", "1 / 0", "x = (", "import os; os._exit(1)", ""):
            lines = request("POST", "/execute", {"code": code, "context_id": self.context.id})[1].splitlines()
            kinds = [json.loads(line)["type"] for line in lines]
            self.assertEqual((kinds[-1], kinds.count("end_of_execution")), ("end_of_execution", 1), code)


class Asynchronous(unittest.IsolatedAsyncioTestCase):
    async def test_cells_callbacks_contexts_and_interrupts(self) -> None:
        sandbox = await AsyncSandbox.create()
        introduce(sandbox)
        contexts = [await sandbox.create_code_context() for _ in range(2)]
        seen: list[str] = []

        async def note(item: Any) -> None:
            seen.append(item.line)

        await asyncio.gather(*(sandbox.run_code(f"x = {n}", context=c) for n, c in enumerate(contexts)))
        texts = [(await sandbox.run_code("print(x); x", context=c, on_stdout=note)).text for c in contexts]
        self.assertEqual((texts, seen), (["0", "1"], ["0\n", "1\n"]))
        with self.assertRaises(TimeoutException):
            await sandbox.run_code("import time; time.sleep(600)", context=contexts[0], timeout=1)
        self.assertEqual((await sandbox.run_code("x", context=contexts[0], timeout=60)).text, "0")
        await sandbox.restart_code_context(contexts[0])
        self.assertTrue({c.id for c in contexts} <= {c.id for c in await sandbox.list_code_contexts()})
        for context in contexts:
            await sandbox.remove_code_context(context)
        with self.assertRaises(NotFoundException):
            await sandbox.run_code("1", context=contexts[0])


if __name__ == "__main__":
    unittest.main(verbosity=2)
