import DeploymentCore
import ManifestParsing
import Testing

/// What is said about keys and values that do not fit.
@Suite struct KeyTests {
    @Test func misspeltKeyGetsTheRightOne() {
        #expect(
            refused(iris("requirments: [numpy]\n")) == """
                m.yaml:3:1: unknown key 'requirments'
                  requirments: [numpy]
                  ^
                  did you mean 'requirements'?
                """)
        #expect(refused(iris("health: {startupTimeout: 1s}")).contains("did you mean 'startup_timeout'?"))
        #expect(refused(iris("heatlh: {}")).contains("did you mean 'health'?"))
    }

    @Test func severalErrorsComeInOnePass() {
        #expect(
            refused("nme: iris\nmodel: m.onnx\nserver: {port: 0}\nhealth:\n  timout: 1s\n  interval: 50\nsmoke: {}\n")
                == """
                m.yaml:1:1: unknown key 'nme'
                  nme: iris
                  ^
                  did you mean 'name'?
                m.yaml:1:1: the key 'name' is missing
                  nme: iris
                  ^
                  add a line such as 'name: iris'
                m.yaml:3:16: 'server.port' must be from 1 to 65535, not 0
                  server: {port: 0}
                                 ^
                m.yaml:5:3: unknown key 'timout' in 'health'
                    timout: 1s
                    ^
                  did you mean 'timeout'?
                m.yaml:6:13: 'health.interval' must be a duration such as 500ms, 30s, 5m or 1h, not '50'
                    interval: 50
                              ^
                  did you mean '50s'?
                m.yaml:7:8: 'smoke' must be a list, not a mapping
                  smoke: {}
                         ^
                """)
    }

    @Test(arguments: [
        ("storageUri: s3://b/m", "KServe's 'storageUri' is 'model' here"),
        ("requirements_file: r.txt", "Truss's 'requirements_file' is 'requirements: requirements.txt' here"),
        ("readiness_probe: {}", "SkyServe's 'readiness_probe' is 'health' here"),
        ("healthcheck: {}", "Kamal's 'healthcheck' is 'health' here"),
        ("environment: {}", "'environment' is 'env' here"),
        ("dependencies: []", "'dependencies' is 'requirements' here"),
        ("python_version: '3.11'", "Truss's 'python_version' is 'python' here"),
        ("image: x", "there are no images; 'python' and 'requirements' say what is installed"),
        ("runtime: {}", "the runtime is 'python', 'requirements' and 'server' here"),
        ("kind: InferenceService", "this looks like a Kubernetes resource; a manifest starts with 'name' and 'model'"),
        ("resources: {zzz: 1}", "known keys: cpu, memory, disk, processes, open_files"),
        ("limits: {}", "Kubernetes's 'limits' is 'resources' here"),
        ("memory: 2Gi", "'memory' belongs under 'resources'"),
        ("secrets: []", "'secrets' is not supported yet; leave it out"),
        ("replicas: 2", "'replicas' is not supported yet; leave it out"),
        ("block_network: true", "Modal's 'block_network' is 'network: none' here"),
        ("port: 80", "'port' belongs under 'server'"),
        ("interval: 1s", "'interval' belongs under 'health'"),
        ("timeout: 1s", "'timeout' belongs under 'health' or under 'predict'"),
        ("predict: {model: x}", "'model' belongs at the top"),
        ("rollout: {zzz: 1}", "known keys: drain"),
    ])
    func unknownKeyGetsTheWayOut(line: String, suggestion: String) {
        let text = refused(iris(line))
        #expect(text.hasPrefix("m.yaml:3:"))
        #expect(text.contains(": unknown key '"))
        #expect(text.hasSuffix("\n  \(suggestion)"))
    }

    @Test(arguments: [
        ("health: 5s", "m.yaml:3:9: 'health' must be a mapping, not text"),
        ("health:", "m.yaml:3:8: 'health' has no value"),
        ("smoke: [5]", "m.yaml:3:9: 'smoke[0]' must be a mapping, not a number"),
        ("server: {port: '80'}", "m.yaml:3:16: 'server.port' must be a whole number, not text"),
        ("server: {port: 1.5}", "'server.port' must be a whole number, not a number"),
        ("server: {port: 65536}", "'server.port' must be from 1 to 65535, not 65536"),
        ("server: {framework: fastpi}", "'server.framework' must be 'fastapi' or 'flask', not 'fastpi'"),
        ("server: {framework: fastpi}", "did you mean 'fastapi'?"),
        ("apiVersion: v2", "'apiVersion' must be 'v1', not 'v2'"),
        ("python: 2.7", "'python' must be a Python version such as \"3.11\" or \"3.11.7\", not '2.7'"),
        ("python: py311", "write \"3.11\""),
        ("python: [3]", "'python' must be a Python version such as \"3.11\", not a list"),
        ("health: {timeout: 1.5s}", "did you mean '1500ms'?"),
        ("health: {startup_timeout: 2min}", "did you mean '120s'?"),
        ("health: {startup_timeout: 1m30s}", "did you mean '90s'?"),
        ("health: {interval: 2s}", "'health.interval' must be from 10ms to 1s, not 2s"),
        ("health: {timeout: [1s]}", "'health.timeout' must be a duration such as 500ms, 30s, 5m or 1h, not a list"),
        ("health: {path: health}", "'health.path' must start with '/'"),
        ("env: {1A: x}", "'env.1A' must be letters, digits and '_', and not start with a digit"),
        ("env: {PORT: 1}", "'env.PORT' is set by berth"),
        ("env: {BERTH_X: 1}", "'env.BERTH_X' is set by berth; names with 'BERTH_' are kept for it"),
        ("env: {A: [1]}", "'env.A' must be text, not a list"),
        ("env: {A: \"\\0\"}", "'env.A' must not contain the character U+0000"),
        ("health: {headers: {'a b': c}}", "'health.headers.a b' must be the name of an HTTP header"),
        ("health: {headers: {Host: c}}", "'health.headers.Host' is set by the HTTP client and cannot be given"),
        ("health: {headers: {A: \"b\\r\\nc\"}}", "'health.headers.A' must not contain the character U+000D"),
        ("health: {headers: {A: b, a: c}}", "the header 'a' is given twice"),
        ("requirements: numpy>=2", "write a list: [numpy>=2]"),
        ("requirements: [-r base.txt]", "give the file itself: 'requirements: requirements.txt'"),
        ("requirements: [--index-url https://x]", "'requirements[0]' must be a requirement, not an option"),
        ("requirements: ['']", "'requirements[0]' must not be empty"),
        ("requirements: [\"a\\nb\"]", "'requirements[0]' must not contain the character U+000A"),
        ("requirements: [1]", "'requirements[0]' must be a requirement such as numpy==2.1.0, not a number"),
    ])
    func wrongValueIsNamed(line: String, message: String) {
        #expect(refused(iris(line)).contains(message))
    }

    @Test(arguments: [
        ("Iris_Model", "did you mean 'iris-model'?"), ("-a", "did you mean 'a'?"), ("ä", "without '-' at either end"),
        (String(repeating: "a", count: 64), "must be 1 to 63 lower-case letters"), ("''", "must be 1 to 63"),
        ("123", "'name' must be a DNS label, not a number"), ("123", "write it in quotes: \"123\""),
    ])
    func nameMustBeALabel(name: String, message: String) {
        #expect(refused("name: \(name)\nmodel: m.onnx\n").contains(message))
    }

    @Test func textInMessagesIsHarmless() {
        let text = refused(iris("\"a\\e[31m\\u202E\(String(repeating: "x", count: 100))\": 1"))
        #expect(text.contains("unknown key 'aU+001B[31mU+202E"))
        #expect(text.contains("…'\n"))
    }

    @Test func diagnosticsAreLimited() throws {
        let text = refused(iris((0..<500).map { "zz\($0): 1\n" }.joined()))
        #expect(text.contains("unknown key 'zz99'"))
        #expect(!text.contains("unknown key 'zz100'"))
        #expect(text.hasSuffix("\nm.yaml: more than 100 problems; the rest is not shown"))
    }

    @Test func colouredTextSaysTheSame() throws {
        let error = try #require(throws: ManifestErrors.self) { try accepted(iris("nam: x")) }
        let plain = error.rendered(color: true).replacing(/\u{1B}\[[0-9;]*m/, with: "")
        #expect(error.rendered(color: true).contains("\u{1B}[1;31m^\u{1B}[0m"))
        #expect(plain == error.rendered(color: false))
        #expect(error.berthError.code == .invalidManifest)
        #expect(error.berthError.message == "m.yaml:3:1: unknown key 'nam'")
    }
}
