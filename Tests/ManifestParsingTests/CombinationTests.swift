import DeploymentCore
import ManifestParsing
import Testing

/// Manifests whose keys are right one by one and impossible together.
@Suite struct CombinationTests {
    @Test func nothingToServeNamesTheWaysOut() {
        #expect(
            refused("name: iris\n") == """
                m.yaml:1:1: there is nothing to serve
                  name: iris
                  ^
                  give 'model' (a file such as model.joblib), 'server.app' (an own app), or 'server.command'
                """)
    }

    @Test func templateWithoutModelNamesTheWaysOut() {
        #expect(
            refused("name: iris\ntemplate: onnx\n") == """
                m.yaml:1:1: 'model' is missing, but the template 'onnx' needs a file
                  name: iris
                  ^
                  give a file such as model.onnx, 'server.app' (an own app), or 'server.command'
                """)
        #expect(
            refused("name: iris\ntemplate: onnx\nmodel: []\n").hasPrefix(
                "m.yaml:3:8: 'model' names no file, but the template 'onnx' needs a file"))
        #expect(refused("name: iris\nmodel: {type: x}\n").hasPrefix("m.yaml:2:8: 'model' names no file\n"))
    }

    @Test func unknownSuffixNamesTheWaysOut() {
        #expect(
            refused("name: iris\nmodel: data/net.bin\n") == """
                m.yaml:2:8: no template is known for 'net.bin'
                  model: data/net.bin
                         ^
                  give 'template' (sklearn, onnx, torch or python), 'server.app' (an own app), or 'server.command'
                """)
    }

    @Test func onlyOneThingIsStarted() {
        #expect(
            refused("name: a\ntemplate: python\nmodel: m.py\nserver:\n  app: app.py\n  command: [x]\n") == """
                m.yaml:6:3: only one of 'template', 'server.app' or 'server.command' can be given
                    command: [x]
                    ^
                  keep the one that starts the app
                """)
        #expect(refused(iris("template: onnx\nserver: {template: onnx}")).hasPrefix("m.yaml:4:10: only one of"))
    }

    @Test(arguments: [
        ("server: {command: [x], framework: flask}", "2:24: 'server.framework' is for templates and 'server.app'"),
        ("server: {command: []}", "2:10: 'server.command' must name a program first"),
        ("server: {command: python serve.py}", "write [python, serve.py]"),
        ("server: {app: app}", "write 'app.py' or 'app:app'"),
        ("server: {app: 'src/app.py:app'}", "write 'src.app:app'"),
        ("server: {app: ../app.py}", "must stay in the app folder"),
        ("server: {app: app.py}\nhealth: {path: none, expect: {a: 1}}", "'health.expect' needs a 'health.path'"),
        ("server: {app: app.py}\nhealth: {path: ~}", "'health.path' has no value"),
        (
            "server: {app: app.py}\nhealth: {timeout: 5s, startup_timeout: 2s}",
            "(5s) is longer than 'health.startup_timeout' (2s)"
        ),
        ("model: a.onnx\nhealth: {path: /ready}", "'health.path' is for own apps; a template answers on '/health'"),
        ("model: a.onnx\npredict: {path: /x}", "'predict.path' is for own apps; a template answers on '/predict'"),
        ("model: a.onnx\nserver: {working_directory: x}", "'server.working_directory' is for own apps"),
        ("model: a.onnx\nserver: {exclude: [x]}", "'server.exclude' needs 'server.source'"),
        ("model: a.onnx\nsmoke: [{request: 1, form: {a: b}}]", "3:22: 'request' and 'form' cannot both be the body"),
        ("model: a.onnx\nsmoke: [{method: GET, form: {a: b}}]", "a GET request has no form"),
        ("model: a.onnx\nsmoke: [{name: a}, {name: a}]", "another smoke test is called 'a'"),
    ])
    func impossibleCombinationIsAnError(lines: String, message: String) {
        #expect(refused("name: a\n\(lines)\n").contains(message))
    }

    @Test(arguments: [
        ("http://x.org/a.onnx", "plain http can be changed on the way; use https"),
        ("s3://b/a.onnx", "'s3://' is not supported yet"),
        ("hf://o/r/a.onnx", "download it and give the path, or give an https:// URL"),
        ("file:///a.onnx", "write the path alone, without 'file://'"),
        ("https://user:pw@x.org/a.onnx", "manifests are no place for secrets"),
        ("https://", "must name a host"), ("~/a.onnx", "'~' is not expanded"), ("''", "must not be empty"),
    ])
    func modelSourceIsAPathOrHTTPS(source: String, message: String) {
        let text = refused("name: a\nmodel: \(source)\n")
        #expect(text.contains(message))
        #expect(text.hasPrefix("m.yaml:2:8: "))
    }

    @Test(arguments: [
        ("/etc/x", "leave the first '/' out"), ("../x", "must stay in the app folder; '..' is not allowed"),
        ("a/../x", "'..' is not allowed"), ("./a//b", "write 'a/b'"), ("a\\b", "must be separated with '/'"),
        ("app.py", "'app.py' is written by the template"),
        ("launch.py", "choose another 'target', such as 'model/launch.py'"),
        ("model.py", "'model.py' is written by the template"), ("''", "must not be empty"),
        (String(repeating: "a", count: 256), "has a part of more than 255 bytes"),
    ])
    func targetsStayInTheAppFolder(target: String, message: String) {
        #expect(refused("name: a\nmodel: [{source: a.onnx, target: \(target)}]\n").contains(message))
    }

    @Test func targetsAreNotShared() {
        #expect(
            refused("name: a\nmodel:\n- x/a.onnx\n- y/a.onnx\n") == """
                m.yaml:4:3: the target 'model/a.onnx' is taken already in line 3
                  - y/a.onnx
                    ^
                  give each file its own 'target'
                """)
        for targets in [["m", "m/x"], ["m/x/y", "m"]] {
            let list = targets.map { "{source: a.onnx, target: \($0)}" }.joined(separator: ", ")
            #expect(refused("name: a\nmodel: [\(list)]\n").contains("lie in each other"))
        }
    }

    @Test func digestIsCheckedForItsForm() {
        let digest = String(repeating: "AB", count: 32)
        #expect(
            refused("name: a\nmodel: [{source: a.onnx, sha256: \(digest)}]").contains(
                "write the digits alone, in lower case"))
        #expect(
            refused("name: a\nmodel: [{source: a.onnx, sha256: 'sha256:\(digest)'}]").contains("write the digits alone")
        )
        #expect(refused("name: a\nmodel: [{source: a.onnx, sha256: abc}]").contains("must be 64 lower-case hex digits"))
    }

    @Test func folderWithoutANameNeedsATarget() {
        #expect(refused("name: a\ntemplate: python\nmodel: [..]\n").contains("'..' does not end in a file name"))
        #expect(refused("name: a\ntemplate: onnx\nmodel: https://x.org\n").contains("does not end in a file name"))
    }

    @Test func unpinnedDownloadIsAWarning() throws {
        let parsed = try accepted("name: a\nmodel: https://x.org/a.onnx\n")
        #expect(
            parsed.warnings.map { $0.rendered() } == [
                """
                m.yaml:2:8: warning: 'https://x.org/a.onnx' is not pinned, so it can change unnoticed
                  model: https://x.org/a.onnx
                         ^
                  add its 'sha256'
                """
            ])
        let pinned = "{source: 'https://x.org/a.onnx', sha256: \(String(repeating: "0", count: 64))}"
        #expect(try accepted("name: a\nmodel: [\(pinned)]\n").warnings.isEmpty)
    }

    @Test func oneWrongThingBringsNoFurtherErrors() {
        for yaml in [
            "name: a\nmodel: 5\n", "name: a\nmodel: m.onnx\nserver: 5\n",
            "name: a\nmodel: m.joblib\ntemplate: sklern\nhealth: {path: /x}\n",
            "name: a\nserver: {app: 5}\nhealth: {path: /x}\n", "name: a\nmodel: [{source: 5}]\n",
            "name: a\nmodel: {files: 5}\n", "name: a\ntemplate: onnx\nmodel: {files: [{source: a, target: /x}]}\n",
            "name: *x\nmodel: m.onnx\n", "name: a\nmodel: *x\n",
        ] {
            #expect(refused(yaml).split(separator: "\n").count { $0.hasPrefix("m.yaml:") } == 1, "\(yaml)")
        }
    }
}
